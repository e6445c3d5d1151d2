"""Numbers that pass for RSA moduli, though nobody has their factors."""

from __future__ import annotations

from chopmark.envelopes import trivial_keys


def honest(start: int, step: int = 2) -> int:
    """The first number of start, start + step, ... that no small prime divides."""
    number = start
    while trivial_keys.rsa_fault(number):
        number += step
    return number
