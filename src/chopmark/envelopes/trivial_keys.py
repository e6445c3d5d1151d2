"""Public keys with which everybody can sign: cheap to recognise, and taken by the libraries that check signatures."""

from __future__ import annotations

from functools import lru_cache
from math import gcd, isqrt, prod

_P = 2**255 - 19
_SIGN = 1 << 255
_ORDER_8 = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER = frozenset({0, 1, _P - 1, _P, _P + 1, _ORDER_8, _P - _ORDER_8})
"""The y coordinates of Ed25519's points of order 1, 2, 4 and 8, also those that are not reduced."""
PRIME_MAX = 752
"""Of smaller primes none divides an honest RSA modulus (CSBR 6.1.6)."""


def ed25519_fault(point: bytes) -> str:
    """What is wrong with a public key of Ed25519, empty for nothing.

    Below a point of small order one signature is good for every eighth message at least (RFC 8032 clause 8.9 leaves
    such points to whoever checks).
    """
    y = int.from_bytes(point, "little") & ~_SIGN
    return "an Ed25519 key of small order, with which everybody can sign" if y in _SMALL_ORDER else ""


def rsa_fault(modulus: int) -> str:
    """What is wrong with an RSA modulus, empty for nothing: whoever finds all its factors can sign."""
    even_or_small = modulus % 2 == 0 or gcd(modulus, _product()) != 1
    return "an RSA modulus with a small factor, which no honest key has" if even_or_small else ""


def dsa_fault(p: int, q: int, generator: int, y: int) -> str:
    """What is wrong with the numbers of a DSA key, empty for nothing (SP 800-89 clause 5.3.1; FIPS 186-4 appendix A.2).

    A public key that is 1 makes one signature good for every message; outside the group of order q others do nearly so.
    """
    of_group = all(1 < number < p - 1 and pow(number, q, p) == 1 for number in (generator, y))
    return "" if of_group else "a DSA key outside its own group, with which everybody can sign"


@lru_cache(maxsize=1)
def small_primes() -> tuple[int, ...]:
    """The odd primes below PRIME_MAX: those that nothing smaller has struck out."""
    struck = {many for n in range(3, isqrt(PRIME_MAX) + 1, 2) for many in range(n * n, PRIME_MAX, 2 * n)}
    return tuple(n for n in range(3, PRIME_MAX, 2) if n not in struck)


@lru_cache(maxsize=1)
def _product() -> int:
    return prod(small_primes())
