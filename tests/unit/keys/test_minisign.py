"""Secret key files of minisign and signify."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark import keys
from chopmark.core.errors import InputError, UsageError
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from tests.support import bare_keys
from tests.support.bare_keys import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

ENCRYPTED = VECTORS / "minisign" / "encrypted.key"
"""Made with minisign 0.11; the passphrase is `correct horse`."""


@pytest.mark.parametrize("name", ["minisign", "signify"])
def test_a_key_signs_under_its_number(name: str) -> None:
    signer = bare_keys.signer(name)
    public = base64.b64decode((VECTORS / name / "signer.pub").read_bytes().split(b"\n")[1])
    assert signer.algorithm == "ed25519"
    assert public == b"Ed" + signer.number + signer.public_key[-32:]  # type: ignore[attr-defined]
    assert len(signer.sign(b"x", "sha512")) == 64


def test_an_encrypted_key_wants_its_passphrase(tmp_path: Path) -> None:
    signer = keys.open_key(f"minisign:{ENCRYPTED}", lambda _: b"correct horse")
    public = base64.b64decode((VECTORS / "minisign" / "encrypted.pub").read_bytes().split(b"\n")[1])
    assert public[10:] == signer.public_key[-32:]
    comment, line, _ = ENCRYPTED.read_bytes().split(b"\n")
    cheap = bytearray(base64.b64decode(line))
    cheap[38:54] = struct.pack("<QQ", 1 << 15, 1 << 24)  # trying a wrong one takes no second
    path = tmp_path / "cheap.key"
    path.write_bytes(comment + b"\n" + base64.b64encode(cheap) + b"\n")
    path.chmod(0o600)
    with pytest.raises(PassphraseError):
        keys.open_key(f"minisign:{path}", lambda _: b"wrong")
    with pytest.raises(PassphraseError):
        keys.open_key(f"minisign:{ENCRYPTED}")


def rewritten(tmp_path: Path, name: str, at: int, to: bytes) -> str:
    comment, line, _ = (VECTORS / name / "signer.key").read_bytes().split(b"\n")
    raw = bytearray(base64.b64decode(line))
    raw[at : at + len(to)] = to
    path = tmp_path / "changed.key"
    path.write_bytes(comment + b"\n" + base64.b64encode(raw) + b"\n")
    path.chmod(0o600)
    return f"minisign:{path}"


@pytest.mark.parametrize(
    ("name", "at", "to"),
    [
        ("minisign", 0, b"XX"),
        ("minisign", 2, b"XX"),
        ("minisign", 4, b"XX"),
        ("minisign", 70, b"\0\0\0\0"),  # the seed
        ("signify", 4, b"\0\0\0\x2a"),  # rounds of bcrypt
        ("signify", 50, b"\0\0\0\0"),
        ("signify", 0, b"EdXX"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, name: str, at: int, to: bytes) -> None:
    with pytest.raises(UnusableKeyError):
        keys.open_key(rewritten(tmp_path, name, at, to))


def test_a_key_that_asks_for_too_much_memory_is_refused(tmp_path: Path) -> None:
    comment, line, _ = ENCRYPTED.read_bytes().split(b"\n")
    raw = bytearray(base64.b64decode(line))
    raw[46:54] = (1 << 40).to_bytes(8, "little")
    path = tmp_path / "huge.key"
    path.write_bytes(comment + b"\n" + base64.b64encode(raw) + b"\n")
    with pytest.raises(UnusableKeyError):
        keys.open_key(f"minisign:{path}", lambda _: b"correct horse")


@pytest.mark.parametrize("data", [b"", b"x", b"untrusted comment: x\n", b"untrusted comment: x\nAAAA\n", b"\0" * 999])
def test_junk_is_no_key(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "junk.key"
    path.write_bytes(data)
    with pytest.raises(UnusableKeyError):
        keys.open_key(f"minisign:{path}")


def test_a_missing_file_and_a_misspelt_parameter(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        keys.open_key(f"minisign:{tmp_path / 'missing'}")
    with pytest.raises(UsageError):
        keys.open_key(f"minisign:{ENCRYPTED}?padding=pss")


def test_a_plain_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    for name in ("minisign", "signify"):
        path = tmp_path / name
        path.write_bytes((VECTORS / name / "signer.key").read_bytes())
        path.chmod(0o644)
        with pytest.raises(UnusableKeyError, match="chmod"):
            keys.open_key(f"minisign:{path}")
