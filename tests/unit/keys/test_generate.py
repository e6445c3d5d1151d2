"""New keys: what is made, how it is encrypted, where it goes."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from chopmark import keys
from chopmark.core.errors import MisplacedError, UsageError
from chopmark.envelopes import der, pem, public_keys
from chopmark.keys import generate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", generate.KINDS)
def test_every_kind_is_made_and_opened(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    generate.store(str(path), generate.encode(generate.new(kind), None))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    signer = keys.open_key(str(path))
    sizes = {"rsa-3072": 3072, "rsa-4096": 4096, "p256": 256, "p384": 384, "p521": 521, "ed25519": 256}
    sizes |= {"ml-dsa-44": 8 * 1312, "ml-dsa-65": 8 * 1952, "ml-dsa-87": 8 * 2592}
    assert public_keys.size(signer.public_key) == sizes[kind]


def test_an_unknown_kind() -> None:
    with pytest.raises(UsageError, match="rsa-3072"):
        generate.new("rsa-1024")


def test_encryption_is_what_it_says() -> None:
    key = generate.new("p256")
    made = generate.encode(key, b"open", rounds=1000)
    load_pem_private_key(made, b"open")
    with pytest.raises(ValueError, match="password"):
        load_pem_private_key(made, b"shut")
    assert b"2a864886f70d01050d" in pem.blocks(made)[0].der.hex().encode()  # PBES2
    assert der.integer(1000) in pem.blocks(made)[0].der
    assert made != generate.encode(key, b"open", rounds=1000)


def test_many_rounds_are_the_default(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    generate.store(str(path), generate.encode(generate.new("p256"), b"open"))
    assert der.integer(600_000) in pem.blocks(path.read_bytes())[0].der
    assert keys.open_key(str(path), lambda _: b"open").algorithm == "ec"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"precious")
    with pytest.raises(UsageError, match="exists already"):
        generate.store(str(path), b"new")
    dangling = tmp_path / "link.pem"
    dangling.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError):
        generate.store(str(dangling), b"new")
    assert path.read_bytes() == b"precious"
    generate.store(str(path), b"new", replace=True)
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MisplacedError):
        generate.store(str(tmp_path / "nowhere" / "key.pem"), b"new")
