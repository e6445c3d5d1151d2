"""rpm's database as a stranger may have made it: read by a copy, one table, and nothing else of SQLite's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import FileView
from chopmark.core.errors import InputError, UsageError
from chopmark.core.patch import WriteError
from chopmark.supply.rpm import sqlite as module
from chopmark.supply.rpm.database import Database
from chopmark.supply.rpm.records import DatabaseError
from tests.support import rpm_databases, rpms

if TYPE_CHECKING:
    from pathlib import Path

ENDLESS = """CREATE VIEW Packages AS WITH RECURSIVE n(hnum) AS (SELECT 1 UNION ALL SELECT hnum + 1 FROM n)
SELECT hnum, x'00' AS blob FROM n"""
TABLE = "CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)"


@pytest.fixture
def host(tmp_path: Path) -> rpms.Host:
    (tmp_path / "copy").mkdir()
    return rpms.Host(tmp_path / "host")


def opened(host: rpms.Host) -> Database:
    return Database(str(host.root), str(host.root.parent / "copy"))


def made(host: rpms.Host, *statements: str) -> Database:
    """A database that these statements made."""
    folder = host.root / "var/lib/rpm"
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "rpmdb.sqlite")) as connection, connection:
        for each in statements:
            connection.execute(each)
    return opened(host)


@pytest.mark.parametrize("form", rpm_databases.FORMS)
@pytest.mark.parametrize("place", ["var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"])
def test_records_are_found_where_hosts_have_them(host: rpms.Host, place: str, form: str) -> None:
    host.records(b"one", b"two", form=form, place=place)
    database = opened(host)
    assert [database.record(number) for number in database.numbers] == [b"one", b"two"]
    with pytest.raises(DatabaseError):
        database.record(3)


def test_the_newest_form_is_the_one_that_counts(host: rpms.Host) -> None:
    """rpm leaves the old file behind when it converts."""
    for blob, form in zip((b"sqlite", b"ndb", b"berkeley"), rpm_databases.FORMS, strict=True):
        host.records(blob, form=form)
    for form in rpm_databases.FORMS:
        database = opened(host)
        assert [database.record(number) for number in database.numbers] == [
            {rpm_databases.SQLITE: b"sqlite", rpm_databases.NDB: b"ndb", rpm_databases.BERKELEY: b"berkeley"}[form]
        ]
        (host.root / "var/lib/rpm" / form).unlink()
    with pytest.raises(InputError):
        opened(host)


def test_what_is_in_the_log_alone_is_read(host: rpms.Host) -> None:
    host.record(b"one")
    path = host.root / "var/lib/rpm/rpmdb.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO Packages (blob) VALUES (?)", (b"two",))
        connection.commit()
        before = path.read_bytes()
        database = opened(host)
        assert [database.record(number) for number in database.numbers] == [b"one", b"two"]
        assert path.read_bytes() == before


def test_links_do_not_lead_out_of_the_image(host: rpms.Host, tmp_path: Path) -> None:
    other = rpms.Host(tmp_path / "other")
    other.record(b"outside")
    (host.root / "var/lib").mkdir(parents=True)
    (host.root / "var/lib/rpm").symlink_to(tmp_path / "other/var/lib/rpm")
    with pytest.raises(InputError):
        opened(host)
    (host.root / "var/lib/rpm").unlink()
    (host.root / "var/lib/rpm").symlink_to("../../usr/lib/sysimage/rpm")
    host.record(b"inside", "usr/lib/sysimage/rpm")
    assert opened(host).numbers == [1]


def test_no_database_at_all(host: rpms.Host) -> None:
    with pytest.raises(InputError):
        opened(host)
    (host.root / "var/lib/rpm/rpmdb.sqlite").mkdir(parents=True)
    with pytest.raises(InputError):
        opened(host)


@pytest.mark.parametrize(
    "statements",
    [
        ["CREATE TABLE other (x)"],
        ["CREATE TABLE real (hnum, blob)", "CREATE VIEW Packages AS SELECT * FROM real"],
        [ENDLESS],
        ["CREATE VIRTUAL TABLE Packages USING fts5(hnum, blob)"],
        ["CREATE TABLE Packages (hnum, blob)", "INSERT INTO Packages VALUES ('one', x'00')"],
        ["CREATE TABLE Packages (hnum, blob)", *["INSERT INTO Packages VALUES (1, x'00')"] * 2],
    ],
    ids=["none", "view", "endless view", "virtual", "text", "twice"],
)  # fmt: skip
def test_schemas_that_are_not_rpms(host: rpms.Host, statements: list[str]) -> None:
    with pytest.raises(UsageError):
        made(host, *statements)


def test_each_guard_holds_by_itself(host: rpms.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    view = ("CREATE TABLE real (hnum, blob)", "CREATE VIEW Packages AS SELECT * FROM real")
    with monkeypatch.context() as without:
        without.setattr(module, "_require_table", lambda _: None)
        with pytest.raises(UsageError):
            made(host, *view)  # what the view reads is not the one table that may be read
    (host.root / "var/lib/rpm/rpmdb.sqlite").unlink()
    monkeypatch.setattr(module, "_allowed", lambda *_: sqlite3.SQLITE_OK)
    with pytest.raises(UsageError):
        made(host, "CREATE VIRTUAL TABLE Packages USING fts5(hnum, blob)")


def test_records_that_are_no_bytes(host: rpms.Host) -> None:
    database = made(host, TABLE, "INSERT INTO Packages VALUES (1, 'text')")
    assert database.numbers == [1]
    with pytest.raises(DatabaseError):
        database.record(1)


@pytest.mark.parametrize(
    "data", [b"", b"no database", b"SQLite format 3\0" + bytes(500)], ids=["empty", "text", "zeros"]
)
def test_files_that_are_no_database(host: rpms.Host, data: bytes) -> None:
    host.write("/var/lib/rpm/rpmdb.sqlite", data)
    with pytest.raises(UsageError, match=str(host.root)):  # and not what it is called inside
        opened(host)


def test_damage_is_an_answer(host: rpms.Host) -> None:
    for number in range(40):
        host.record(bytes([number]) * 3000)
    path = host.root / "var/lib/rpm/rpmdb.sqlite"
    good = path.read_bytes()
    for place in range(100, len(good), 1531):
        path.write_bytes(good[:place] + b"\xff" * 40 + good[place + 40 :])
        try:
            database = opened(host)
            for number in database.numbers:
                database.record(number)
        except (UsageError, DatabaseError):
            continue
    path.write_bytes(good)
    assert len(opened(host).numbers) == 40


@pytest.mark.parametrize(
    ("limit", "value"), [("RPM_DATABASE_MAX", 100), ("RPM_PACKAGES_MAX", 1), ("RPM_DATABASE_STEPS_MAX", 0)]
)
def test_limits(host: rpms.Host, limit: str, value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = host.root / "var/lib/rpm"
    folder.mkdir(parents=True)
    with closing(sqlite3.connect(folder / "rpmdb.sqlite")) as connection, connection:
        connection.execute(TABLE)
        connection.executemany("INSERT INTO Packages VALUES (?, x'00')", [(number,) for number in range(20_000)])
    assert len(opened(host).numbers) == 20_000
    monkeypatch.setattr(limits, limit, value)
    with pytest.raises(UsageError):
        opened(host)


def test_no_room_for_the_copy(host: rpms.Host) -> None:
    host.record(b"one")
    with pytest.raises(WriteError):
        Database(str(host.root), str(host.root / "missing"))


def test_a_database_that_changes_meanwhile(host: rpms.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.record(b"one")
    monkeypatch.setattr(FileView, "changed", lambda _: True)
    with pytest.raises(UsageError):
        opened(host)
