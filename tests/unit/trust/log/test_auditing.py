"""Whole logs: tampered, cut off and forked ones, each found for what it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.log.folder import FolderLog
from chopmark.core.errors import InputError, UnavailableError, UsageError
from chopmark.envelopes import note
from chopmark.envelopes.note import Note, VerifierKey
from chopmark.envelopes.tlog import tiles
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from chopmark.trust.log import auditing, judging, keys, memory, reasons, sources
from tests.unit.authority.log.conftest import begun, entries

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from chopmark.envelopes.tlog.checkpoint import Checkpoint

SIZE = 600


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = begun(tmp_path_factory.mktemp("written") / "log")
    log.append(entries(SIZE))
    return Path(log.folder)


@pytest.fixture
def log(written: Path, tmp_path: Path) -> FolderLog:
    """A log of 600 entries."""
    shutil.copytree(written, tmp_path / "log")
    return FolderLog.open(str(tmp_path / "log"))


def served(log: FolderLog) -> Path:
    return Path(log.storage.folder)


def audit(log: FolderLog, seen: Sequence[Checkpoint] = (), *, whole: bool = True) -> dict[str, str]:
    """What is found: outcome by code, without what every sound log has."""
    source = sources.FolderSource(log.storage.folder)
    found = auditing.audit(source, keys.Trusted((log.key,)), seen, entries=whole)
    return {finding.code.removeprefix("log."): str(finding.outcome) for finding in found.findings}


SOUND = {"checkpoint_trusted": "ok", "complete": "ok"}


def test_a_sound_log(log: FolderLog) -> None:
    assert audit(log) == SOUND | {"first_seen": "info"}
    seen = log.latest().checkpoint
    assert audit(log, [seen]) == SOUND | {"continued": "ok"}
    log.append(entries(300, SIZE))
    assert audit(log, [seen]) == SOUND | {"continued": "ok"}
    assert audit(log, [seen], whole=False) == {"checkpoint_trusted": "ok", "continued": "ok"}


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257])
def test_a_sound_log_of_any_size(tmp_path: Path, size: int) -> None:
    small = begun(tmp_path / "log")
    small.append(entries(size))
    assert audit(small, [small.latest().checkpoint]) == SOUND | {"continued": "ok"}


def other_entry(path: Path, number: int) -> None:
    """Change one entry of a bundle."""
    found = tiles.entries(path.read_bytes())
    found[number] = found[number][::-1]
    path.write_bytes(tiles.bundle(found))


@pytest.mark.parametrize("path", ["000", "001", "002.p/88"])
@pytest.mark.parametrize("number", [0, 87])
def test_a_changed_entry(log: FolderLog, path: str, number: int) -> None:
    other_entry(served(log) / "tile/entries" / path, number)
    source = sources.FolderSource(log.storage.folder)
    found = auditing.audit(source, keys.Trusted((log.key,))).findings[-1]
    assert found.code == reasons.ENTRY_CHANGED.code
    assert found.detail.startswith(f"entry {int(path[:3]) * 256 + number}")


@pytest.mark.parametrize("harm", ["cut", "more", "junk", "empty"])
def test_a_damaged_bundle(log: FolderLog, harm: str) -> None:
    path = served(log) / "tile/entries/001"
    raw = path.read_bytes()
    path.write_bytes({"cut": raw[:-1], "more": raw[:-2], "junk": b"\xff" * 100, "empty": b""}[harm])
    assert audit(log)["entry_changed"] == "no"


def test_a_changed_hash_over_unchanged_entries(log: FolderLog) -> None:
    for path in ("tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2"):
        target = served(log) / path
        raw = target.read_bytes()
        for harmed in (bytes([raw[0] ^ 1]) + raw[1:], raw + raw[:32], raw[:-32]):
            target.write_bytes(harmed)
            assert audit(log)["tile_changed"] == "no", path
        target.write_bytes(raw)
    assert audit(log)["complete"] == "ok"


def test_an_entry_changed_together_with_its_hash(log: FolderLog) -> None:
    path = served(log) / "tile/entries/001"
    other_entry(path, 5)
    from chopmark.envelopes.tlog import merkle

    (served(log) / "tile/0/001").write_bytes(b"".join(map(merkle.leaf, tiles.entries(path.read_bytes()))))
    assert audit(log)["entry_changed"] == "no"


def rewritten(log: FolderLog, tmp_path: Path, history: list[bytes]) -> FolderLog:
    """A log of the same key that says something else."""
    folder = tmp_path / "rewritten"
    folder.mkdir()
    shutil.copy(Path(log.folder) / "log.pem", folder)
    other = FolderLog.make(str(folder), log.origin, "folder:log.pem")
    other.append(history)
    return other


def test_entries_and_hashes_written_anew_under_the_old_checkpoint(log: FolderLog, tmp_path: Path) -> None:
    other = rewritten(log, tmp_path, entries(SIZE, 1))
    shutil.copy(served(log) / "checkpoint", served(other) / "checkpoint")
    assert audit(other)["rewritten"] == "no"


def test_a_fork(log: FolderLog, tmp_path: Path) -> None:
    """Two histories, each sound by itself: only who has seen the other notices."""
    for history in ([*entries(SIZE - 1), b"other"], entries(SIZE + 100, 1), entries(SIZE - 1) + entries(50, 10_000)):
        shutil.rmtree(tmp_path / "rewritten", ignore_errors=True)
        other = rewritten(log, tmp_path, history)
        assert audit(other) == SOUND | {"first_seen": "info"}
        assert audit(other, [log.latest().checkpoint]) == SOUND | {"forked": "no"}
        assert audit(other, [log.latest().checkpoint], whole=False)["forked"] == "no"


def test_a_log_that_was_cut_off(log: FolderLog, tmp_path: Path) -> None:
    shorter = rewritten(log, tmp_path, entries(SIZE - 1))
    assert audit(shorter, [log.latest().checkpoint]) == SOUND | {"truncated": "no"}


@pytest.mark.parametrize(
    "path",
    ["checkpoint", "tile/entries/000", "tile/entries/002.p/88", "tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"],
)
def test_a_part_that_is_missing(log: FolderLog, path: str) -> None:
    (served(log) / path).unlink()
    assert audit(log)["truncated"] == "no"


def test_a_partial_tile_may_have_given_way_to_the_full_one(log: FolderLog) -> None:
    old = (served(log) / "checkpoint").read_bytes()
    log.append(entries(200, SIZE))
    assert not (served(log) / "tile/entries/002.p").exists()
    (served(log) / "checkpoint").write_bytes(old)
    assert audit(log)["complete"] == "ok"


@pytest.mark.parametrize("raw", [b"", b"junk", b"\xff", b"example.com/log\n1\nAAAA\n\n\xe2\x80\x94 x AAAAAAAA\n"])
def test_a_checkpoint_that_is_none(log: FolderLog, raw: bytes) -> None:
    (served(log) / "checkpoint").write_bytes(raw)
    assert audit(log) == {"checkpoint_malformed": "no"}


def test_whose_checkpoint_it_is(log: FolderLog, tmp_path: Path) -> None:
    other = begun(tmp_path / "other")
    shutil.copy(served(other) / "checkpoint", served(log) / "checkpoint")
    assert audit(log) == {"checkpoint_untrusted": "no"}
    changed = (served(other) / "checkpoint").read_bytes().replace(b"\n0\n", b"\n1\n")
    (served(other) / "checkpoint").write_bytes(changed)
    assert audit(other) == {"checkpoint_untrusted": "no"}
    renamed = begun(tmp_path / "renamed", "example.com/elsewhere")
    shutil.copy(served(renamed) / "checkpoint", served(other) / "checkpoint")
    assert audit(other) == {"checkpoint_untrusted": "no"}


def test_without_a_key_nothing_is_believed(log: FolderLog) -> None:
    found = auditing.audit(sources.FolderSource(log.storage.folder), keys.Trusted(()))
    assert [(finding.code, str(finding.outcome)) for finding in found.findings] == [("log.key_unknown", "unknown")]
    assert found.checkpoint is None


class Server:
    """A server by its answers: a dictionary, a folder, or out of order."""

    def __init__(self, folder: Path, *, dead_after: int = 10**9) -> None:
        self._folder = folder
        self._left = dead_after

    def get(self, url: str, limit: int) -> bytes:
        self._left -= 1
        path = self._folder / url.removeprefix("http://log.example/")
        if self._left < 0 or not path.is_file():
            raise UnavailableError(url)
        raw = path.read_bytes()
        assert len(raw) <= limit
        return raw

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
        raise NotImplementedError


def test_a_log_on_a_server(log: FolderLog) -> None:
    trusted = keys.Trusted((log.key,))
    source = sources.UrlSource("http://log.example/", Server(served(log)))
    assert auditing.audit(source, trusted).findings[-1].code == reasons.COMPLETE.code
    for dead_after in range(8):
        source = sources.UrlSource("http://log.example/", Server(served(log), dead_after=dead_after))
        found = auditing.audit(source, trusted).findings[-1]
        assert (found.code, str(found.outcome)) == (reasons.UNREACHABLE.code, "unknown")


def test_witnesses(log: FolderLog) -> None:
    seal = SoftwareSigner(generate.new("ed25519"))
    witness = VerifierKey.of("witness.example", seal.public_key, note.COSIGNATURE)
    trusted = keys.Trusted((log.key,), (witness,))
    source = sources.FolderSource(log.storage.folder)
    found = auditing.audit(source, trusted).findings
    assert reasons.WITNESS_MISSING.code in {finding.code for finding in found}
    signed = log.latest().note
    from tests.unit.authority.conftest import NOW

    line = note.sign(signed.text, witness, seal, NOW)
    (served(log) / "checkpoint").write_bytes(Note(signed.text, (*signed.signatures, line)).encode())
    found = auditing.audit(source, trusted).findings
    [witnessed] = [finding for finding in found if finding.code == reasons.WITNESSED.code]
    assert witnessed.detail == "witness.example, 2026-11-22T12:00:00Z"
    forged = line._replace(value=line.value[:-1] + bytes([line.value[-1] ^ 1]))
    (served(log) / "checkpoint").write_bytes(Note(signed.text, (*signed.signatures, forged)).encode())
    found = auditing.audit(source, trusted).findings
    assert reasons.CHECKPOINT_UNTRUSTED.code in {finding.code for finding in found}


# Memory


def test_what_was_seen_is_remembered(log: FolderLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    assert memory.last(log.key) is None
    raw = (served(log) / "checkpoint").read_bytes()
    memory.remember(log.key, raw)
    assert memory.last(log.key) == log.latest().checkpoint
    Path(memory.path(log.key)).write_bytes(raw.replace(b"\n600\n", b"\n6\n"))
    with pytest.raises(InputError):
        memory.last(log.key)


# Keys


def test_keys_by_text_and_file(log: FolderLog, tmp_path: Path) -> None:
    file = tmp_path / "keys.txt"
    file.write_text(f"# ours\n\n{log.key}\n")
    assert keys.trusted([str(log.key), str(file)]).logs == (log.key,)
    witness = VerifierKey(log.key.name, note.COSIGNATURE, log.key.public)
    assert keys.trusted([str(file)], [str(witness)]).witnesses == (witness,)


@pytest.mark.parametrize("text", ["", "a+b+c", "missing.txt"])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises((UsageError, InputError)):
        keys.trusted([text])


def test_a_witness_is_no_log(log: FolderLog, tmp_path: Path) -> None:
    witness = VerifierKey(log.key.name, note.COSIGNATURE, log.key.public)
    for logs, witnesses in ([str(witness)], []), ([str(log.key)], [str(log.key)]):
        with pytest.raises(UsageError):
            keys.trusted(logs, witnesses)
    for raw in (b"", b"# nothing\n", b"\xff\xfe"):
        (tmp_path / "keys").write_bytes(raw)
        with pytest.raises(UsageError):
            keys.trusted([str(tmp_path / "keys")])


# Proofs that came with a file


def event(**facts: str) -> bytes:
    told = {"type": "chopmark.event.v1", "action": "sign", "file_sha256": "00", "signer_sha256": "11"}
    return json.dumps({**told, **facts}).encode()


def judged(log: FolderLog, entry: bytes, **changes: Any) -> set[str]:  # noqa: ANN401 - fields of a proof
    [number] = log.append([entry])
    proof = log.prove(number)._replace(**changes)
    found = judging.judge(proof.encode(), keys.Trusted((log.key,)), "00", {"11"})
    return {finding.code.removeprefix("log.") for finding in found}


def test_a_proof_of_this_signature(log: FolderLog) -> None:
    assert judged(log, event()) == {"checkpoint_trusted", "included"}


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (event(file_sha256="01"), "proof_of_another"),
        (event(signer_sha256="12"), "proof_of_another"),
        (event(action="file"), "proof_of_another"),
        (event(type="chopmark.event.v2"), "proof_malformed"),
        (b"junk", "proof_malformed"),
        (b"[]", "proof_malformed"),
        (b"[" * 10_000, "proof_malformed"),
        (b'{"type":"chopmark.event.v1","file_sha256":"01","file_sha256":"00"}', "proof_malformed"),
    ],
)
def test_a_proof_of_something_else(log: FolderLog, entry: bytes, code: str) -> None:
    found = judged(log, entry)
    assert code in found
    assert "included" not in found


def test_a_proof_that_does_not_hold(log: FolderLog) -> None:
    assert judged(log, event(), number=3) == {"proof_broken"}
    assert judged(log, event(), hashes=()) == {"proof_broken"}
    assert judged(log, event(), extra=event(file_sha256="00", more="x")) == {"proof_broken"}
    assert judged(log, event(), extra=None) == {"proof_malformed"}


def test_a_proof_of_a_log_that_is_not_trusted(log: FolderLog, tmp_path: Path) -> None:
    other = begun(tmp_path / "other")
    [number] = other.append([event()])
    found = judging.judge(other.prove(number).encode(), keys.Trusted((log.key,)), "00", {"11"})
    assert [(finding.code, str(finding.outcome)) for finding in found] == [("log.checkpoint_untrusted", "no")]


def test_no_proof(log: FolderLog) -> None:
    found = judging.judge(None, keys.Trusted((log.key,)), "00", {"11"})
    assert [(finding.code, str(finding.outcome)) for finding in found] == [("log.proof_missing", "unknown")]
