"""Where the register is, and what its errors say."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.hierarchy import founding
from chopmark.authority.register import database
from chopmark.authority.register.configuration import Configuration
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_url_names_a_postgresql_database(scheme: str) -> None:
    url = database.postgresql_url(f"{scheme}://ca@db.example.com:5433/register?sslmode=verify-full")
    assert url.render_as_string() == "postgresql+psycopg://ca@db.example.com:5433/register?sslmode=verify-full"
    assert database.Database(f"{scheme}://ca@db.example.com/register").path == ""


@pytest.mark.parametrize(
    "place",
    [
        "mysql://ca@db.example.com/register",
        "postgresql+psycopg2://ca@db/register",
        "postgresql://ca@db:port/register",
        "sqlite:///register",
        "postgresql:register",
    ],
)
def test_other_urls_are_refused(place: str) -> None:
    with pytest.raises(UsageError, match="not a database"):
        database.postgresql_url(place)


@pytest.mark.parametrize("place", ["postgresql://ca:hush@db/register", "postgresql://ca@db/register?password=hush"])
def test_a_password_in_a_url_is_refused_and_not_repeated(place: str, tmp_path: Path) -> None:
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", database=place)
    with pytest.raises(UsageError, match="PGPASSFILE") as refused:
        founding.found(str(tmp_path / "ca"), setup)
    assert "hush" not in str(refused.value)
    assert not (tmp_path / "ca").exists()


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    setup = founding.Setup(
        "Example Ltd", "http://pki.example.com", "p256", database=f"postgresql://ca@/register?host={tmp_path}"
    )
    with pytest.raises(database.DatabaseError) as refused:
        founding.found(str(tmp_path / "ca"), setup)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    Configuration("postgresql://ca@/register?host=/run/a%22b").write(str(tmp_path))
    assert Configuration.read(str(tmp_path)) == Configuration("postgresql://ca@/register?host=/run/a%22b")


def test_nothing_is_written_when_all_is_as_usual(tmp_path: Path) -> None:
    Configuration().write(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert Configuration.read(str(tmp_path)) == Configuration()


@pytest.mark.parametrize(
    "text",
    [
        b"database = ",
        b"\xff",
        b"database = 7",
        b'database = "/srv/register"',
        b'database = "mysql://db/register"',
        b'database = "postgresql://ca:hush@db/register"',
        b"#" * (limits.SETTINGS_MAX + 1),
    ],
)
def test_a_wrong_configuration_is_one_error(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "authority.toml").write_bytes(text)
    with pytest.raises(ChopmarkError) as refused:
        Authority.open(str(tmp_path))
    assert refused.value.exit_status == 2


def test_a_database_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "other.sqlite3")
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE invoices (id INTEGER)")
    connection.close()
    with pytest.raises(UsageError, match="not empty"):
        database.Database(path).create()
    with pytest.raises(database.DatabaseError, match="no authority"):
        database.Database(path).require_current()
