"""Keys that anybody can break."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.authority.lint import weak_keys
from chopmark.authority.lint.linter import IssueRefusedError
from chopmark.authority.lint.weak_keys import ROCA_PRIMES
from chopmark.core.errors import UsageError
from tests.support import rsa_numbers
from tests.unit.authority.conftest import order, spki

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority


def public(modulus: int, exponent: int = 65537) -> bytes:
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", ["rsa3072", "rsa4096", "p256", "p384", "p521", "ed25519"])
def test_good_keys(kind: str) -> None:
    assert weak_keys.fault(spki(kind)) == ""


def test_primes_that_are_close() -> None:
    first = rsa_numbers.honest(2**1535 + 1)
    second = rsa_numbers.honest(first + 2**700)
    assert "close" in weak_keys.fault(public(first * second))
    assert "close" in weak_keys.fault(public(first * first))


def test_small_factors() -> None:
    assert "small factor" in weak_keys.fault(public(rsa_numbers.honest(2**3071 + 1) * 751))


def test_roca() -> None:
    product = prod(ROCA_PRIMES)
    start = pow(65537, 12345, product) + (2**3071 // product) * product
    assert "ROCA" in weak_keys.fault(public(rsa_numbers.honest(start, product)))


@pytest.mark.parametrize("exponent", [3, 17, 2**256 + 1])
def test_exponents(exponent: int) -> None:
    assert "exponent" in weak_keys.fault(public(rsa_numbers.honest(2**3071 + 1), exponent))


class TestBlocklist:
    def test_both_forms(self, tmp_path: Path) -> None:
        import hashlib

        key = public(rsa_numbers.honest(2**3071 + 1))
        modulus = rsa_numbers.honest(2**3071 + 1)
        line = f"Modulus={modulus:X}\n".encode()
        (tmp_path / "debian").write_text(f"# openssl-blacklist\n{hashlib.sha1(line).hexdigest()[20:]}\n")  # noqa: S324
        listed = weak_keys.Blocklist(str(tmp_path))
        assert key in listed
        assert spki("p256") not in listed
        (tmp_path / "own").write_text(f"{hashlib.sha256(spki('p256')).hexdigest().upper()} # leaked\n\n")
        assert spki("p256") in weak_keys.Blocklist(str(tmp_path))
        assert "not a key" not in weak_keys.Blocklist(str(tmp_path))
        assert spki("p256") not in weak_keys.Blocklist(str(tmp_path / "nothing"))

    def test_a_line_that_is_neither(self, tmp_path: Path) -> None:
        (tmp_path / "list").write_text("0123\n")
        with pytest.raises(UsageError, match="list:1"):
            weak_keys.Blocklist(str(tmp_path))

    def test_nothing_is_issued_for_them(self, authority: Authority) -> None:
        import hashlib

        folder = Path(authority.folder, "blocked-keys")
        folder.mkdir()
        (folder / "own").write_text(hashlib.sha256(spki("p256")).hexdigest())
        with pytest.raises(IssueRefusedError) as caught:
            authority.issue(order())
        assert {each.code for each in caught.value.findings if each.outcome == "no"} == {"issue.key_blocked"}
