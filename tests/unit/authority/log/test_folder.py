"""Logs in folders: written to the byte as a verifier that shares no code wants them, and never forked."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from chopmark.authority.log import logs
from chopmark.authority.log.folder import FolderLog
from chopmark.authority.log.storage import LogForkError
from chopmark.core import limits, patch
from chopmark.core.errors import ChopmarkError, RefusedError, UsageError
from chopmark.envelopes.tlog import merkle
from chopmark.envelopes.tlog.tree import Tree
from chopmark.keys import generate
from tests.support import killing, log_verifier
from tests.unit.authority.log.conftest import begun, entries


def served(log: FolderLog) -> Path:
    return Path(log.storage.folder)


@pytest.mark.parametrize("size", [0, 1, 2, 3, 255, 256, 257, 511, 512, 600])
def test_a_log_of_any_size_is_what_the_specification_says(log: FolderLog, size: int) -> None:
    assert log.append(entries(size)) == list(range(size))
    assert log_verifier.verify(served(log), str(log.key)) == entries(size)


def test_it_does_not_matter_in_how_many_steps_it_grew(log: FolderLog, tmp_path: Path) -> None:
    luck = random.Random(7)  # noqa: S311 - sizes, not secrets
    size = 0
    while size < 1100:
        step = luck.choice([1, 2, 3, 100, 255, 256, 257])
        assert log.append(entries(step, size)) == list(range(size, size + step))
        size += step
    other = begun(tmp_path / "other")
    other.append(entries(size))
    assert log.latest().checkpoint == other.latest().checkpoint
    assert log_verifier.verify(served(log), str(log.key)) == entries(size)
    # Partial tiles go when the full one has come.
    assert sorted(path.name for path in served(log).glob("tile/0/*.p")) == [f"{size // 256:03}.p"]


def test_proofs_are_what_the_specification_says(log: FolderLog) -> None:
    for size in (1, 2, 5, 256, 300, 700):
        log.append(entries(size - log.latest().checkpoint.size, log.latest().checkpoint.size))
        prover = logs.Prover(log)
        for number in {0, 1, size // 2, size - 2, size - 1} & set(range(size)):
            [entry] = entries(1, number)
            assert log_verifier.verify_proof(prover.prove(number).encode(), entry, str(log.key)) == number


def test_every_tree_is_the_beginning_of_every_later_one(log: FolderLog) -> None:
    roots = [log_verifier.tree_hash([merkle.leaf(entry) for entry in entries(size)]) for size in range(20)]
    log.append(entries(19))
    for later in range(1, 20):
        tree = Tree(later, lambda tile: log.storage.read(tile._replace(width=19))[: tile.width * merkle.HASH_SIZE])
        for earlier in range(later + 1):
            proof = tree.consistency(earlier)
            merkle.check_consistency(earlier, roots[earlier], later, roots[later], proof)
            if 0 < earlier < later:
                with pytest.raises(merkle.ProofError):
                    merkle.check_consistency(earlier, roots[earlier - 1], later, roots[later], proof)
                with pytest.raises(merkle.ProofError):
                    merkle.check_consistency(earlier, roots[earlier], later, roots[later], [*proof, proof[0]])
                with pytest.raises(merkle.ProofError):
                    merkle.check_consistency(earlier, roots[earlier], later, roots[later], proof[:-1])


def test_an_entry_that_is_too_long_is_refused_and_the_ones_before_are_kept(log: FolderLog) -> None:
    log.append([b"x" * limits.LOG_ENTRY_MAX, b""])
    with pytest.raises(RefusedError):
        log.append([b"x" * (limits.LOG_ENTRY_MAX + 1)])
    assert [len(entry) for entry in log_verifier.verify(served(log), str(log.key))] == [limits.LOG_ENTRY_MAX, 0]


@pytest.mark.parametrize("number", [-1, 3, 10**12])
def test_there_is_no_proof_for_what_is_not_there(log: FolderLog, number: int) -> None:
    log.append(entries(3))
    with pytest.raises(UsageError):
        log.prove(number)


def test_a_log_is_made_once(log: FolderLog) -> None:
    with pytest.raises(UsageError, match="already"):
        FolderLog.make(log.folder, "example.com/other", "folder:log.pem")
    with pytest.raises(UsageError, match="no log"):
        FolderLog.open(f"{log.folder}/public")


def test_only_ed25519_keys_sign_notes(tmp_path: Path) -> None:
    generate.store(str(tmp_path / "log.pem"), generate.encode(generate.new("p256"), None))
    with pytest.raises(RefusedError, match="Ed25519"):
        FolderLog.make(str(tmp_path), "example.com/log", "folder:log.pem")
    assert [path.name for path in tmp_path.iterdir()] == ["log.pem"]


@pytest.mark.parametrize("origin", ["", "with space", "a+b", "tab\t", "line\n"])
def test_a_name_must_fit_into_a_note(tmp_path: Path, origin: str) -> None:
    with pytest.raises(RefusedError, match="name"):
        begun(tmp_path / "log", origin)


# Nothing that was said is contradicted


def test_an_older_checkpoint_that_was_put_back_is_noticed(log: FolderLog) -> None:
    log.append(entries(5))
    old = (served(log) / "checkpoint").read_bytes()
    log.append(entries(1, 5))
    (served(log) / "checkpoint").write_bytes(old)
    with pytest.raises(LogForkError):
        log.append([b"another history"])
    assert (served(log) / "checkpoint").read_bytes() == old
    assert log.append(entries(1, 5)) == [5]  # the same one is not a contradiction


@pytest.mark.parametrize("path", ["tile/0/000.p/5", "tile/entries/000.p/5"])
@pytest.mark.parametrize("harm", ["flip", "cut", "remove", "replace"])
def test_a_tile_that_was_changed_is_noticed_before_anything_is_signed(log: FolderLog, path: str, harm: str) -> None:
    log.append(entries(5))
    before = (served(log) / "checkpoint").read_bytes()
    target = served(log) / path
    raw = target.read_bytes()
    if harm == "remove":
        target.unlink()
    else:
        target.write_bytes({"flip": bytes([raw[0] ^ 1]) + raw[1:], "cut": raw[:-1], "replace": b""}[harm])
    with pytest.raises(LogForkError):
        log.append([b"next"])
    assert (served(log) / "checkpoint").read_bytes() == before


def test_a_checkpoint_of_another_key_is_not_continued(log: FolderLog, tmp_path: Path) -> None:
    other = begun(tmp_path / "other")
    shutil.copy(served(other) / "checkpoint", served(log) / "checkpoint")
    with pytest.raises(LogForkError):
        log.append([b"next"])
    (served(log) / "checkpoint").write_bytes(b"\xff")
    with pytest.raises(LogForkError):
        log.append([b"next"])


@pytest.mark.parametrize("mine", [b"another", b"first"])
def test_compare_and_swap(log: FolderLog, monkeypatch: pytest.MonkeyPatch, mine: bytes) -> None:
    """Somebody who does not heed the lock writes between reading the checkpoint and replacing it, even the same."""
    other = FolderLog.open(log.folder)
    grown = logs.grown

    def overtaken(*arguments: object) -> object:
        monkeypatch.setattr(logs, "grown", grown)
        monkeypatch.setattr(FolderLog, "_recovered", lambda self: self.latest().checkpoint)
        with monkeypatch.context() as unlocked:
            unlocked.setattr(logs, "locked", lambda _: open(os.devnull))  # noqa: SIM115, PTH123
            other.append([b"first"])
        return grown(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(logs, "grown", overtaken)
    with pytest.raises(LogForkError):
        log.append([mine])
    assert log_verifier.verify(served(log), str(log.key)) == [b"first"]


# Killed


def test_killed_at_any_moment_while_two_append(log: FolderLog) -> None:
    """`make interop` does it a hundred times more."""
    told = killing.kill_appending(log.folder, 10, random.Random(1045))  # noqa: S311 - moments, not secrets
    killing.check_appended(log.folder, told)


def test_what_was_begun_is_finished_by_the_next(log: FolderLog, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("latest", "sign"):
        size = log.latest().checkpoint.size
        with monkeypatch.context() as patched:
            if step == "sign":
                patched.setattr(logs.Log, "sign", killed)
            else:
                patched.setattr(type(log.storage), "write_checkpoint", killed)
            with pytest.raises(KeyboardInterrupt):
                log.append([step.encode()])
        assert log.latest().checkpoint.size == size
        assert log.append([b"next"]) == [size + 1]
    assert log_verifier.verify(served(log), str(log.key)) == [b"latest", b"next", b"sign", b"next"]


@pytest.mark.parametrize("raw", [b"", b"junk", b"5 AAAA\n", b"0 !\n", b"0 \xff\n\x00\x05abc"])
def test_a_note_of_what_was_begun_that_cannot_be_read_stops_everything(log: FolderLog, raw: bytes) -> None:
    (Path(log.folder) / "pending").write_bytes(raw)
    with pytest.raises(LogForkError):
        log.append([b"next"])


def test_no_room(log: FolderLog, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append(entries(3))
    before = (served(log) / "checkpoint").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(patch.WriteError):
            log.append([b"next"])
    assert (served(log) / "checkpoint").read_bytes() == before
    log.append([b"later"])
    assert log_verifier.verify(served(log), str(log.key))[-1] == b"later"


@pytest.mark.parametrize("text", ["", "vkey = 1\nkey = 'x'", "vkey = 'a+b+c'\nkey = 'x'", "vkey", "\udcff"])
def test_settings_that_are_none(log: FolderLog, text: str) -> None:
    (Path(log.folder) / "log.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ChopmarkError) as refused:
        FolderLog.open(log.folder)
    assert refused.value.exit_status == 2
