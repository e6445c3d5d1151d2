"""Revisions of the schema: one line of them, and the last is what the code declares."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex

from chopmark.authority.ca import Authority
from chopmark.authority.register import migrations, schema, upgrading
from chopmark.authority.register.configuration import DATABASE
from chopmark.authority.register.database import Database, DatabaseError
from tests.support.schemas import described

ROOT = Path(__file__).resolve().parents[4]
OLD = ROOT / "tests" / "vectors" / "authority" / "register-before-revisions.sql"
"""A dump of what chopmark made before there were revisions: two certificates, one of them revoked, four CRLs."""


def test_partial_indexes_are_partial_everywhere() -> None:
    """In PostgreSQL once one is opened: no other command loads its dialect."""
    code = "import sys, chopmark.authority.register.schema; print([m for m in sys.modules if 'dialects.p' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    Database("postgresql://nobody@localhost/nothing").close()
    for index in schema.certificates.indexes:
        for dialect in (sqlite.dialect(), postgresql.dialect()):  # type: ignore[no-untyped-call]
            statement = str(CreateIndex(index).compile(dialect=dialect))
            assert (" WHERE " in statement) is (index.name in ("ix_certificates_revoked", "ix_certificates_changed"))


@pytest.fixture
def old(founded: Path, tmp_path: Path) -> Path:
    """The folder of an authority whose database has no revision yet."""
    folder = tmp_path / "old"
    shutil.copytree(founded, folder)
    (folder / DATABASE).unlink()
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        connection.executescript(OLD.read_text())
    return folder


def test_the_revisions_are_one_line() -> None:
    config = Config()
    config.set_main_option("script_location", migrations.FOLDER)
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    assert script.get_heads() == [migrations.head()]
    assert tuple(step.revision for step in script.walk_revisions())[::-1] == migrations.revisions()
    assert migrations.revisions()[0] == migrations.BASELINE


def test_an_upgraded_database_is_like_a_new_one(old: Path, tmp_path: Path) -> None:
    new = Database(str(tmp_path / "new.sqlite3"))
    new.create()
    upgraded = Database(str(old / DATABASE))
    upgrading.upgrade(upgraded)
    with new.reading() as one, upgraded.reading() as other:
        assert described(other) == described(one)
        assert set(described(one)) == set(schema.metadata.tables)


def test_an_older_database_is_upgraded_after_a_copy_of_it(old: Path) -> None:
    path = str(old / DATABASE)
    with pytest.raises(DatabaseError, match="chopmark ca upgrade"):
        Authority.open(str(old))
    done = upgrading.upgrade(Database(path))
    assert done == (migrations.EARLIER, migrations.head(), f"{path}.1.backup")
    with closing(sqlite3.connect(done.backup)) as copy:
        assert "\n".join(copy.iterdump()) + "\n" == OLD.read_text()
    assert Path(done.backup).stat().st_mode & 0o777 == 0o600
    with Authority.open(str(old)) as authority:
        records = authority.register.search(authority.clock())
        assert sorted(record.profile for record in records) == ["authority", "authority", "code-signing", "internal"]
        assert sum(record.revoked is not None for record in records) == 1
    assert upgrading.upgrade(Database(path)) == (migrations.head(), migrations.head(), "")
    assert list(old.glob("*backup*")) == [Path(done.backup)]


def test_an_earlier_copy_is_kept(old: Path) -> None:
    (old / f"{DATABASE}.1.backup").write_bytes(b"mine")
    done = upgrading.upgrade(Database(str(old / DATABASE)))
    assert done.backup.endswith(".backup-2")
    assert (old / f"{DATABASE}.1.backup").read_bytes() == b"mine"


def test_nothing_is_upgraded_without_a_copy(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(DatabaseError, match="nothing was changed"):
        upgrading.upgrade(Database(str(old / DATABASE)))
    with closing(sqlite3.connect(old / DATABASE)) as connection:
        assert "\n".join(connection.iterdump()) + "\n" == OLD.read_text()
    assert list(old.glob("*.chopmark*")) == []


def test_a_later_database_is_refused(old: Path) -> None:
    database = Database(str(old / DATABASE))
    upgrading.upgrade(database)
    with database.writing() as connection:
        connection.execute(schema.revision.update().values(version_num="9999"))
    with pytest.raises(DatabaseError, match="later chopmark"):
        database.require_current()
    with pytest.raises(DatabaseError, match="later chopmark"):
        upgrading.upgrade(database)


def test_a_database_without_an_authority_is_not_upgraded(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no authority"):
        upgrading.upgrade(Database(str(tmp_path / "empty.sqlite3")))


def _upgrade_and_die(path: str) -> None:
    """Killed when all is changed and nothing is committed yet."""
    database = Database(path)
    with database.writing(references_checked=False) as connection:
        upgrading.adopt(connection)
        upgrading.migrate(connection)
        os.kill(os.getpid(), signal.SIGKILL)


def test_an_upgrade_that_is_killed_has_changed_nothing(old: Path) -> None:
    path = str(old / DATABASE)
    worker = multiprocessing.get_context("fork").Process(target=_upgrade_and_die, args=(path,))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    with closing(sqlite3.connect(path)) as connection:
        assert "\n".join(connection.iterdump()) + "\n" == OLD.read_text()
    assert upgrading.upgrade(Database(path)).after == migrations.head()


def test_the_revisions_are_in_the_wheel(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    here = {
        f"chopmark/authority/register/migrations/{path.relative_to(migrations.FOLDER)}"
        for path in Path(migrations.FOLDER).rglob("*.py")
    }
    assert here <= inside
