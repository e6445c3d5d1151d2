"""Public keys whose private half can be computed (CSBR 6.1.1.3, 6.1.6): what is cheap to find out, is found out."""

from __future__ import annotations

from math import gcd, isqrt, prod

from cryptography.hazmat.primitives.asymmetric import rsa

from chopmark.envelopes import algorithms

_FERMAT_STEPS = 100
"""Primes this close are found by Fermat's method at once (CVE-2022-26320)."""

SMALL_PRIMES = [n for n in range(3, 752, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2))]
_SMALL_PRODUCT = prod(SMALL_PRIMES)

# Infineon's library made primes p = k * M + 65537**a mod M (CVE-2017-15361, "ROCA"): modulo each small prime, such a
# modulus is a power of 65537. A random one passes all of these with a chance of about 1 in 2**27.
ROCA_PRIMES = (11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157)
_ROCA_POWERS = {prime: frozenset(pow(65537, power, prime) for power in range(prime)) for prime in ROCA_PRIMES}


def fault(spki: bytes) -> str:
    """What is wrong with a public key, or the empty string. Raises UnsupportedError for keys that are none."""
    key = algorithms.public_key(spki)
    if not isinstance(key, rsa.RSAPublicKey):
        return ""  # loading it has checked that the point is on the curve
    numbers = key.public_numbers()
    if numbers.e % 2 == 0 or not 2**16 < numbers.e < 2**256:
        return f"the public exponent {numbers.e} is even or not between 2^16 + 1 and 2^256 - 1"
    if numbers.n % 2 == 0 or gcd(numbers.n, _SMALL_PRODUCT) != 1:
        return "the modulus has a small factor"
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
