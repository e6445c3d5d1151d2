"""Public keys whose private half can be computed (CSBR 6.1.1.3, 6.1.6): what is cheap to find out, is found out."""

from __future__ import annotations

import hashlib
import os
import re
from math import isqrt

from cryptography.hazmat.primitives.asymmetric import rsa

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import UsageError
from chopmark.envelopes import public_keys

_FERMAT_STEPS = 100
"""Primes this close are found by Fermat's method at once (CVE-2022-26320)."""

# Infineon's library made primes p = k * M + 65537**a mod M (CVE-2017-15361, "ROCA"): modulo each small prime, such a
# modulus is a power of 65537. A random one passes all of these with a chance of about 1 in 2**27.
ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_POWERS = {prime: frozenset(pow(65537, power, prime) for power in range(prime)) for prime in ROCA_PRIMES}


def exponent(spki: bytes) -> int | None:
    """The public exponent of an RSA key, None for others. Raises UnsupportedError."""
    key = public_keys.load(spki)
    return key.public_numbers().e if isinstance(key, rsa.RSAPublicKey) else None


def fault(spki: bytes, *, usual: bool = True) -> str:
    """What is wrong with a public key, or the empty string. Raises UnsupportedError for keys that are none.

    `usual` also refuses exponents outside of the range that SHOULD be kept (CSBR 6.1.6).
    """
    try:
        key = public_keys.load(spki)
    except public_keys.ForbiddenKeyError as error:
        return str(error)
    if not isinstance(key, rsa.RSAPublicKey):
        return ""  # loading it has checked that the point is on the curve
    numbers = key.public_numbers()
    if numbers.e % 2 == 0 or (usual and not 2**16 < numbers.e < 2**256):
        return f"the public exponent {numbers.e} is even or not between 2^16 + 1 and 2^256 - 1"
    if _is_square(numbers.n) or _fermat(numbers.n):
        return "the two primes are so close that anybody can find them"
    if all(numbers.n % prime in powers for prime, powers in _ROCA_POWERS.items()):
        return "the key was made by a library with the ROCA weakness (CVE-2017-15361)"
    return ""


def _is_square(number: int) -> bool:
    return isqrt(number) ** 2 == number


def _fermat(modulus: int) -> bool:
    root = isqrt(modulus) + 1
    return any(_is_square((root + step) ** 2 - modulus) for step in range(_FERMAT_STEPS))


class Blocklist:
    """Keys that are known to be bad, from files in a folder: one a line, `#` begins a comment.

    A line is the SHA-256 of a SubjectPublicKeyInfo (64 hexadecimal digits), or what Debian's openssl-blacklist has for
    an RSA key (20 digits: the end of the SHA-1 of the line `Modulus=...` that `openssl rsa -modulus` prints), so that
    its lists of keys with predictable random numbers (CVE-2008-0166) can be put there as they are.
    """

    def __init__(self, folder: str) -> None:
        """Read every file of the folder, if there is one. Raises UsageError for a line that is neither."""
        self._known: set[str] = set()
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        for name in names:
            path = os.path.join(folder, name)
            text = read_small(path, limits.BLOCKED_KEYS_MAX).decode("utf-8", "replace")
            for number, line in enumerate(text.splitlines(), 1):
                entry = line.partition("#")[0].strip().lower()
                if entry and not re.fullmatch("[0-9a-f]{64}|[0-9a-f]{20}", entry):
                    message = f"{path}:{number}: neither a SHA-256 of a key nor an entry of openssl-blacklist"
                    raise UsageError(message)
                self._known.add(entry)

    def __contains__(self, spki: object) -> bool:
        """Whether a key (DER of SubjectPublicKeyInfo) is listed."""
        return isinstance(spki, bytes) and not self._known.isdisjoint(_names_of(spki))


def _names_of(spki: bytes) -> set[str]:
    names = {hashlib.sha256(spki).hexdigest()}
    key = public_keys.load(spki)
    if isinstance(key, rsa.RSAPublicKey):
        modulus = f"Modulus={key.public_numbers().n:X}\n".encode()
        names.add(hashlib.sha1(modulus, usedforsecurity=False).hexdigest()[20:])
    return names
