"""Key files that ask for more work or memory than anybody has are refused before they get it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from hypothesis import given

from chopmark import keys
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der
from chopmark.keys import derivation, pbes2
from chopmark.keys.errors import UnusableKeyError
from tests.support import der_trees, pki

if TYPE_CHECKING:
    from pathlib import Path

PBKDF2, SCRYPT = "1.2.840.113549.1.5.12", "1.3.6.1.4.1.11591.4.11"
HASH = der.sequence(der.oid("1.2.840.113549.2.9"), der.null())
CIPHER = der.sequence(der.oid("2.16.840.1.101.3.4.1.42"), der.octet_string(bytes(16)))


def protected(oid: str, *numbers: int) -> bytes:
    """An EncryptedPrivateKeyInfo with such a derivation."""
    parameters = der.sequence(der.octet_string(bytes(16)), *map(der.integer, numbers), HASH if oid == PBKDF2 else b"")
    scheme = der.sequence(
        der.oid("1.2.840.113549.1.5.13"), der.sequence(der.sequence(der.oid(oid), parameters), CIPHER)
    )
    return der.sequence(scheme, der.octet_string(bytes(64)))


def older(oid: str, rounds: int) -> bytes:
    """The same by PBES1 or PKCS #12's own way."""
    parameters = der.sequence(der.octet_string(bytes(8)), der.integer(rounds))
    return der.sequence(der.sequence(der.oid(oid), parameters), der.octet_string(bytes(64)))


def container(*, encryption: int = 16, mac: int = 16) -> bytes:
    """A PKCS #12 file whose key and whose MAC ask for so many rounds."""
    signer = pki.world().signer
    builder = PrivateFormat.PKCS12.encryption_builder().hmac_hash(hashes.SHA256()).kdf_rounds(7919)
    raw = pkcs12.serialize_key_and_certificates(
        b"a",
        signer.private_key,  # type: ignore[arg-type]
        signer.certificate,
        None,
        builder.build(b"open"),
    )
    tree = der_trees.parse(raw)
    assert tree is not None
    rounds = [each for each in tree.walk() if each.value == der.integer(7919)[2:]]
    assert len(rounds) > 1
    for each in rounds:
        each.value = der.integer(mac if each is rounds[-1] else encryption)[2:]
    return der_trees.written(tree)


@pytest.mark.parametrize(
    "raw",
    [
        protected(PBKDF2, 2**31 - 1),
        protected(PBKDF2, 10**5000),
        protected(SCRYPT, 2**30, 8, 1),
        protected(SCRYPT, 2**14, 8, 2**20),
        protected(SCRYPT, 2**14, 2**20, 1),
        older("1.2.840.113549.1.5.10", 2**31 - 1),
        older("1.2.840.113549.1.12.1.3", 2**31 - 1),
    ],
)
def test_a_key_that_takes_hours_or_all_memory_is_refused_at_once(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "key.der"
    path.write_bytes(raw)
    with pytest.raises(UnusableKeyError):
        keys.open_key(str(path), lambda _: b"open")


@pytest.mark.parametrize("more", [{"encryption": 2**31 - 1}, {"mac": 2**31 - 1}], ids=["key", "mac"])
def test_so_is_a_container(tmp_path: Path, more: dict[str, int]) -> None:
    path = tmp_path / "key.p12"
    path.write_bytes(container(**more))
    with pytest.raises(UnusableKeyError):
        keys.open_key(f"pkcs12:{path}", lambda _: b"open")
    streamed = b"\x30\x80" + der.parse(container(**more)).value + b"\0\0"
    with pytest.raises(UnusableKeyError):
        derivation.refuse_endless(streamed, "key.p12")


def test_the_limits_are_those_with_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for raw in (protected(PBKDF2, 11), protected(SCRYPT, 16, 8, 1), container()):
        derivation.refuse_endless(raw, "key.pem")
    monkeypatch.setattr(limits, "PBKDF2_ROUNDS_MAX", 10)
    with pytest.raises(UnusableKeyError):
        derivation.refuse_endless(protected(PBKDF2, 11), "key.pem")
    monkeypatch.setattr(limits, "KDF_MEMORY_MAX", 128 * 16 * 8 - 1)
    with pytest.raises(UnusableKeyError):
        derivation.refuse_endless(protected(SCRYPT, 16, 8, 1), "key.pem")


def test_what_is_nested_without_end_is_no_key_file() -> None:
    raw = b""
    for _ in range(limits.DER_DEPTH_MAX + 5):
        raw = der.octet_string(raw)
    with pytest.raises(UnusableKeyError):
        derivation.refuse_endless(raw, "key.pem")


@given(der_trees.changed(protected(PBKDF2, 16), protected(SCRYPT, 16, 8, 1), container()))
def test_anything_else_is_left_to_whoever_loads_it(raw: bytes) -> None:
    try:
        derivation.refuse_endless(raw, "key.pem")
    except ChopmarkError as error:
        assert str(error).startswith("key.pem: ")  # noqa: PT017 - either way is right, and only these


def test_a_derivation_of_too_many_parts_is_refused() -> None:
    good = der.parse(pbes2.encrypt(b"plain", b"open", 16)).children()
    oid, both = good[0].children()
    for parts in ((), both.children()[:1], [*both.children(), both.children()[0]]):
        raw = der.sequence(der.sequence(oid.raw, der.sequence(*(each.raw for each in parts))), good[1].raw)
        with pytest.raises(ChopmarkError):
            pbes2.decrypt(raw, b"open")
