"""The log of an authority: from the register into tiles, under checkpoints that never contradict each other."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.log import integration, journal, keeping, logs
from chopmark.authority.log.reasons import LOG_FORK, LOG_INTEGRATED, LOG_WAITING
from chopmark.authority.log.storage import LogForkError, Storage
from chopmark.authority.register.configuration import DATABASE
from chopmark.authority.register.database import Database
from chopmark.core.errors import UsageError
from chopmark.core.finding import Outcome
from tests.support import log_verifier
from tests.unit.authority.conftest import NOW, order

if TYPE_CHECKING:
    from tests.unit.authority.conftest import Clock


def served(authority: Authority) -> Path:
    return Path(authority.folder) / "public" / "log"


def verified(authority: Authority) -> list[bytes]:
    """The served log, checked by the other verifier, and the same as the register's entries."""
    found = log_verifier.verify(served(authority), str(authority.log.log().key))
    with closing(sqlite3.connect(Path(authority.folder) / DATABASE)) as connection:
        rows = connection.execute("SELECT entry FROM log_entries ORDER BY number").fetchall()
    assert found == [entry for (entry,) in rows]
    return found


def test_the_name_of_a_log_is_where_it_is_served(authority: Authority) -> None:
    assert authority.log.log().origin == "pki.example.com/log"
    assert keeping.origin("http://127.0.0.1:8080/a+b/") == "127.0.0.1:8080/a%2Bb/log"


def test_what_is_done_is_under_a_checkpoint_at_once(authority: Authority) -> None:
    before = len(verified(authority))
    issued = authority.issue(order("internal"))
    assert (issued.findings[-1].code, issued.findings[-1].outcome) == (LOG_INTEGRATED.code, Outcome.OK)
    authority.revoke(issued.serial, "superseded")
    authority.publish("code-signing")
    assert len(verified(authority)) == before + 3
    proof = authority.log.log().prove(before)
    assert proof.extra
    assert log_verifier.verify_proof(proof.encode(), proof.extra, str(authority.log.log().key)) == before


def test_nothing_new_is_signed_when_nothing_was_done(authority: Authority) -> None:
    before = (served(authority) / "checkpoint").stat().st_mtime_ns
    first = authority.log.integrate()
    assert authority.log.integrate() == first
    assert (served(authority) / "checkpoint").stat().st_mtime_ns == before


def test_it_waits_while_its_key_is_away(authority: Authority) -> None:
    key = Path(authority.folder) / "keys" / keeping.KEY_FILE
    key.rename(key.with_suffix(".away"))
    issued = authority.issue(order("internal"))
    assert issued.findings[-1].code == LOG_WAITING.code
    assert authority.log.log().waiting() == 1
    key.with_suffix(".away").rename(key)
    with Authority.open(authority.folder) as again:
        assert again.log.integrate().checkpoint.size == len(verified(again))
        assert again.log.log().waiting() == 0


def test_a_folder_that_was_lost_is_made_anew_and_is_the_same(authority: Authority) -> None:
    authority.issue(order("internal"))
    checkpoint = (served(authority) / "checkpoint").read_bytes()
    shutil.rmtree(served(authority))
    authority.log.integrate()
    assert (served(authority) / "checkpoint").read_bytes() == checkpoint
    verified(authority)


@pytest.mark.parametrize("step", ["put", "write_checkpoint", "drop_partial"])
def test_a_step_that_was_not_reached_is_done_by_the_next(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Storage, step, killed)
        with pytest.raises(KeyboardInterrupt):
            authority.issue(order("internal"))
    authority.issue(order("internal"))
    assert len([entry for entry in verified(authority) if b'"issue"' in entry]) == 2


def test_a_register_from_an_older_copy_signs_nothing(authority: Authority, clock: Clock) -> None:
    """The same numbers would get other entries, and the log would have said two things."""
    database = Path(authority.folder) / DATABASE
    authority.close()
    old = database.read_bytes()
    with Authority.open(authority.folder, clock=clock) as later:
        later.issue(order("internal"))
        checkpoint = (served(later) / "checkpoint").read_bytes()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{database}{suffix}").unlink(missing_ok=True)
    database.write_bytes(old)
    with Authority.open(authority.folder, clock=clock) as restored:
        for _ in range(3):
            issued = restored.issue(order("internal"))
            assert (issued.findings[-1].code, issued.findings[-1].outcome) == (LOG_FORK.code, Outcome.NO)
        with pytest.raises(LogForkError, match="older copy"):
            restored.log.integrate()
    assert (served(authority) / "checkpoint").read_bytes() == checkpoint


@pytest.mark.parametrize(
    "statement", ["UPDATE log_entries SET entry = X'7b7d' WHERE number = 1", "DELETE FROM log_entries WHERE number = 8"]
)
def test_an_entry_that_was_changed_in_the_register_is_noticed_when_tiles_are_made(
    authority: Authority, statement: str
) -> None:
    for _ in range(3):
        authority.issue(order("internal"))
    with closing(sqlite3.connect(Path(authority.folder) / DATABASE)) as connection:
        connection.execute(statement)
        connection.commit()
    shutil.rmtree(served(authority))
    with pytest.raises(LogForkError):
        authority.log.integrate()
    assert not (served(authority) / "checkpoint").exists()


def test_another_key_cannot_go_on(authority: Authority, tmp_path: Path) -> None:
    from chopmark.authority.hierarchy import founding

    setup = founding.Setup("Other Ltd", "http://pki.example.com", "p256", "GB")
    founding.found(str(tmp_path / "other"), setup).close()
    shutil.copy(tmp_path / "other" / "keys" / keeping.KEY_FILE, Path(authority.folder) / "keys")
    assert authority.issue(order("internal")).findings[-1].code == LOG_WAITING.code
    with pytest.raises(Exception, match="not the key of the log"):
        authority.log.integrate()


def test_a_checkpoint_that_somebody_else_signed_meanwhile_is_not_signed_again(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare-and-swap: the register's last checkpoint has to be the one that is continued."""
    log = authority.log.log()
    sign = logs.Log.sign
    elsewhere = integration.RegisterLog.open(authority.folder, authority._database)  # noqa: SLF001 - another process's
    assert elsewhere is not None
    calls = []

    def overtaken(self: logs.Log, size: int, root: bytes, signer: object) -> logs.Signed:
        calls.append(size)
        if len(calls) == 1:
            with authority._database.writing() as connection:  # noqa: SLF001
                journal.record(connection, NOW, "approve", detail="meanwhile")
            with monkeypatch.context() as unlocked:
                unlocked.setattr(logs, "locked", lambda _: open(os.devnull))  # noqa: SIM115, PTH123
                elsewhere.integrate(signer, NOW)  # type: ignore[arg-type]
        return sign(self, size, root, signer)  # type: ignore[arg-type]

    with authority._database.writing() as connection:  # noqa: SLF001
        journal.record(connection, NOW, "approve", detail="first")
    monkeypatch.setattr(logs.Log, "sign", overtaken)
    signed = authority.log.integrate()
    assert calls == [7, 8]
    assert signed.checkpoint.size == 8 == log.latest().checkpoint.size
    assert b"meanwhile" in verified(authority)[-1]


def test_a_log_without_a_key(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "register.sqlite3"))
    database.create()
    keeper = keeping.Keeper(str(tmp_path), database, keeping.Remembered(lambda _: None), lambda: NOW)
    with pytest.raises(UsageError, match="no key"):
        keeper.integrate()
    assert keeper.follow().code == LOG_WAITING.code
    database.close()
