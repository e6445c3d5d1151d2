"""Limits of parsers, of peers and of what is kept: what is allowed just so is read, and one more is refused."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.agent import control, events, guard, memory
from chopmark.core import limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.verdict import Status
from chopmark.engine.services import shell
from chopmark.engine.services.units import text as unit_text
from chopmark.envelopes import der, dn, public_keys, x509
from chopmark.envelopes.openpgp import bare_keys, packets
from chopmark.formats.git.database import repository
from chopmark.keys import pbes2, ssh_wire
from chopmark.keys.errors import PassphraseError
from chopmark.keys.tpm2 import signer as tpm_signer
from chopmark.policy import language
from chopmark.policy.facts import FileFacts, SealFacts
from chopmark.policy.source import PolicyError
from chopmark.trust import identities
from chopmark.trust.blocklists import app_control
from chopmark.trust.stores import source
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
OPENPGP = (VECTORS / "openpgp" / "signer.asc").read_bytes()


@pytest.mark.parametrize("read", [lambda raw: list(der.parse(raw).children()), lambda raw: der.spans(raw, 3, len(raw))])
def test_elements_of_a_value(monkeypatch: pytest.MonkeyPatch, read: Callable[[bytes], list[object]]) -> None:
    monkeypatch.setattr(limits, "DER_ELEMENTS_MAX", 70)
    fits, more = (der.sequence(*[der.null()] * count) for count in (70, 71))
    assert len(read(fits)) == 70
    with pytest.raises(MalformedError):
        read(more)


@pytest.mark.parametrize("read", [x509.name_key, lambda raw: x509.extensions(der.parse(raw))])
def test_elements_of_names_and_extensions(
    monkeypatch: pytest.MonkeyPatch, read: Callable[[bytes], Sequence[object]]
) -> None:
    monkeypatch.setattr(limits, "DER_ELEMENTS_MAX", 70)
    monkeypatch.setattr(dn, "_known_names", {})
    oids = [der.oid(f"2.5.{arc}.{number}") for number in range(71) for arc in ([4] if read is x509.name_key else [29])]
    if read is x509.name_key:
        elements = [der.set_of([der.sequence(oid, der.utf8("x"))]) for oid in oids]
    else:
        elements = [der.sequence(oid, der.octet_string(der.null())) for oid in oids]
    for _ in range(2):  # also when each of them is known
        assert len(read(der.sequence(*elements[:70]))) == 70
        with pytest.raises(MalformedError):
            read(der.sequence(*elements))


@pytest.mark.parametrize(("bits", "fits"), [(limits.RSA_BITS_MAX, True), (limits.RSA_BITS_MAX + 8, False)])
def test_bits_of_a_key(bits: int, fits: bool) -> None:  # noqa: FBT001
    numbers = der.sequence(der.integer((1 << (bits - 1)) + 1), der.integer(65537))
    spki = der.sequence(der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()), der.bit_string(numbers))
    with pytest.raises(MalformedError) as told:
        public_keys.load(spki)
    # One that is no larger is looked at, and has the factor three.
    assert isinstance(told.value, public_keys.ForbiddenKeyError) is fits


def test_characters_of_a_name() -> None:
    common = der.sequence(der.oid("2.5.4.3"), der.utf8("x" * (limits.NAME_SHOWN_MAX + 100)))
    shown = x509.name_text(der.sequence(der.set_of([common])))
    assert shown.endswith("...")
    assert len(shown) < limits.NAME_SHOWN_MAX + 20


def test_packets_and_keys_of_a_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = b"\xcd\x01x" * 3  # user ids
    monkeypatch.setattr(limits, "OPENPGP_PACKETS_MAX", 3)
    assert len(list(packets.read(raw))) == 3
    monkeypatch.setattr(limits, "OPENPGP_PACKETS_MAX", 2)
    with pytest.raises(MalformedError, match="more than 2"):
        list(packets.read(raw))
    monkeypatch.undo()
    assert bare_keys.public_keys(OPENPGP)
    monkeypatch.setattr(limits, "OPENPGP_KEYS_MAX", 0)
    with pytest.raises(MalformedError, match="more than 0 keys"):
        bare_keys.public_keys(OPENPGP)


def test_rounds_of_a_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = pbes2.encrypt(b"\x30\x00", b"secret", 11)
    assert pbes2.decrypt(sealed, b"secret") == b"\x30\x00"
    monkeypatch.setattr(limits, "PBKDF2_ROUNDS_MAX", 10)
    with pytest.raises(MalformedError, match="11 rounds"):
        pbes2.decrypt(sealed, b"secret")


def test_keys_of_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    body = struct.pack(">I", 2) + struct.pack(">I1sI1s", 1, b"k", 1, b"c") * 2
    monkeypatch.setattr(limits, "AGENT_KEYS_MAX", 2)
    assert len(ssh_wire.identities(body)) == 2
    monkeypatch.setattr(limits, "AGENT_KEYS_MAX", 1)
    with pytest.raises(MalformedError, match="2 keys"):
        ssh_wire.identities(body)


def test_octets_of_what_a_tpm_is_told() -> None:
    assert tpm_signer.auth_value(b"x" * limits.TPM_AUTH_MAX, "pin") == b"x" * limits.TPM_AUTH_MAX
    with pytest.raises(PassphraseError):
        tpm_signer.auth_value(b"x" * (limits.TPM_AUTH_MAX + 1), "pin")


def test_depth_of_a_blocklist(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = f'<SiPolicy xmlns="{app_control.NAMESPACE}"><a><b/></a></SiPolicy>'.encode()
    monkeypatch.setattr(limits, "BLOCKLIST_DEPTH_MAX", 2)
    with pytest.raises(MalformedError, match="more elements"):
        app_control.parse(raw)


def test_claims_of_an_identity() -> None:
    fits = b"x" * limits.IDENTITY_TEXT_MAX
    assert identities._plain(fits) == fits.decode()  # noqa: SLF001 - what reads every claim
    with pytest.raises(MalformedError):
        identities._plain(fits + b"x")  # noqa: SLF001


def test_files_of_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / f"{number}.pem").touch()
    assert len(source.listed(str(tmp_path), (".pem",))) == 3
    monkeypatch.setattr(limits, "STORE_FILES_MAX", 2)
    with pytest.raises(UsageError, match="more than 2 files"):
        source.listed(str(tmp_path), (".pem",))


def test_lines_and_settings_of_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_LINE_MAX", 20)
    assert not unit_text.read(b"[Unit]\nDescription=12345678\n", "u").is_broken
    assert unit_text.read(b"[Unit]\nDescription=123456789\n", "u").is_broken
    assert unit_text.read(b"[Unit]\nDescription=1234\\\n12345\n", "u").is_broken
    monkeypatch.setattr(limits, "SERVICE_SETTINGS_MAX", 1)
    assert not unit_text.read(b"[Unit]\nA=1\n", "u").is_broken
    assert unit_text.read(b"[Unit]\nA=1\nB=2\n", "u").is_broken


def test_shells_within_shells() -> None:
    [fits] = shell.simple_commands("true", {}, limits.SERVICE_SHELL_DEPTH_MAX)
    [deeper] = shell.simple_commands("true", {}, limits.SERVICE_SHELL_DEPTH_MAX + 1)
    assert not fits.problem
    assert deeper.problem


def test_refs_that_lead_to_refs(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "objects").mkdir(parents=True)
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/0\n")
    for number in range(limits.GIT_SYMBOLIC_MAX):
        (git / "refs" / "heads" / str(number)).write_text(f"ref: refs/heads/{number + 1}\n")
    (git / "refs" / "heads" / str(limits.GIT_SYMBOLIC_MAX)).write_text("a" * 40 + "\n")
    found = repository.discover(str(tmp_path), {})
    assert found.ref("refs/heads/1") == "a" * 40
    with pytest.raises(UsageError, match="leads to itself"):
        found.ref("refs/heads/0")


def test_signers_that_a_policy_may_ask_for() -> None:
    head = 'chopmark-policy = 1\nname = "p"\nversion = 1\n[[rule]]\naction = "allow"\nstore = "corp"\n'
    assert language.parse(f"{head}require = {{ signers = {limits.POLICY_SIGNERS_MAX} }}\n".encode(), "p").rules
    with pytest.raises(PolicyError):
        language.parse(f"{head}require = {{ signers = {limits.POLICY_SIGNERS_MAX + 1} }}\n".encode(), "p")


def test_what_a_guard_keeps_of_events_and_terminals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_EVENTS_RECENT_MAX", 3)
    monkeypatch.setattr(limits, "GUARD_TERMINALS_MAX", 3)
    stream = events.Stream([])
    for number in range(5):
        notice = events.Notice(str(tmp_path / f"terminal{number}"), "denied")
        stream.add(lambda number=number, notice=notice: ({"kind": "test", "number": number}, notice))  # type: ignore[misc]
    stream.start()
    stream.end()
    stream.join(PATIENCE)
    assert [each["number"] for each in stream.recent] == [2, 3, 4]
    assert stream.told["test"] == 5


def test_what_a_guard_has_in_memory_and_what_waits_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_WRITES_WAITING_MAX", 3)
    monkeypatch.setattr(limits, "GUARD_SEALS_MAX", 1)
    known = memory.Memory(str(tmp_path / "verdicts.db"), lambda _: None)  # which does not begin to write
    for number in range(5):
        seal = SealFacts("cms", Status.TRUSTED, "x509", f"CN={number}", "a", "b")
        known.put(str(number), FileFacts("", f"{number:064x}", "pe", Status.TRUSTED, (seal,)), time.time() + 60)
        known.seen(1, number, str(number), "/x")
    assert known.get("4") is not None
    known.start()
    known.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "verdicts.db")) as database:
        assert database.execute("SELECT count(*) FROM verdict").fetchone() == (3,)
        assert database.execute("SELECT count(*) FROM file").fetchone() == (3,)


@pytest.mark.parametrize("seconds", [-1.0, limits.GUARD_GLASS_SECONDS_MAX + 1, float("inf"), float("nan")])
def test_how_long_the_glass_stays_broken(seconds: float) -> None:
    worker = guard.Guard.__new__(guard.Guard)  # which is not even asked
    with pytest.raises(UsageError):
        worker.break_glass(seconds, "why", 0)


def test_octets_of_a_question_to_a_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_ANSWER_MAX", 100_000)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0.01)
        with contextlib.suppress(TimeoutError):
            ours.sendall(b"x" * 1_000_000)  # and no end of a line
        assert 100_000 <= len(control._line(theirs)) < 200_000  # noqa: SLF001 - what reads every question
