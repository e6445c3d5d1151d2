"""An authority's own profiles, from `profiles.toml` in its folder: one table for each, on top of a profile of chopmark.

Nothing that the file does not know is passed over: a misspelt rule would be a rule that nobody keeps.
"""

from __future__ import annotations

import dataclasses
import os
import re
from typing import TYPE_CHECKING, Any

from chopmark.authority.issuing import profiles
from chopmark.core import limits, toml
from chopmark.core.artifact import read_small
from chopmark.core.errors import UsageError
from chopmark.envelopes import names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.authority.issuing.profiles import Profile

FILE = "profiles.toml"
USAGES = {"digitalSignature": 0, "nonRepudiation": 1, "keyEncipherment": 2, "dataEncipherment": 3, "keyAgreement": 4}
"""Bits of key usage that a signer may have."""
KEYS = ("rsa-2048", "rsa-4096", *profiles.INTERNAL_KEYS)
_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,39}")
_DAYS_MAX = 366 * 100


def load(folder: str) -> dict[str, Profile]:
    """Every profile that an authority has: chopmark's, then its own. Raises UsageError for a file that is wrong."""
    path = os.path.join(folder, FILE)
    return profiles.PROFILES | (read(path) if os.path.lexists(path) else {})


def read(path: str) -> dict[str, Profile]:
    """The profiles of one file. Raises UsageError."""
    data = read_small(path, limits.PROFILES_FILE_MAX)
    try:
        tables = toml.loads(data)
    except ValueError as error:
        message = f"{path}: not a file of profiles: {' '.join(str(error).split())[:200]}"
        raise UsageError(message) from None
    if len(tables) > limits.PROFILES_MAX:
        message = f"{path}: {len(tables)} profiles, at most {limits.PROFILES_MAX}"
        raise UsageError(message)
    found: dict[str, Profile] = {}
    for name, table in tables.items():
        try:
            found[name] = _profile(name, table)
        except (_WrongError, UsageError) as error:
            message = f"{path}: {name[:64]}: {error}"
            raise UsageError(message) from None
    return found


class _WrongError(Exception):
    """What is wrong with one profile."""


def _profile(name: str, table: object) -> Profile:
    if not _NAME.fullmatch(name):
        raise _WrongError("a profile's name has small letters, digits and single hyphens, at most 40")
    if name in profiles.PROFILES or name == "authority":
        raise _WrongError("chopmark has a profile of this name, which cannot be changed")
    if not isinstance(table, dict):
        raise _WrongError("expected a table")
    base = table.get("based-on")
    if not isinstance(base, str) or base not in profiles.PROFILES:
        raise _WrongError(f"based-on is missing, or none of {', '.join(profiles.PROFILES)}")
    unknown = sorted(set(table) - set(_FIELDS) - {"based-on"})
    if unknown:
        raise _WrongError(f"unknown: {', '.join(unknown)} (known are based-on, {', '.join(_FIELDS)})")
    changes: dict[str, Any] = {"name": name}
    for key, value in table.items():
        if key in _FIELDS:
            field, convert = _FIELDS[key]
            try:
                changes[field] = convert(value)
            except _WrongError as error:
                raise _WrongError(f"{key}: {error}") from None
    made = dataclasses.replace(profiles.PROFILES[base], **changes)
    _consistent(made)
    return made


def _consistent(profile: Profile) -> None:
    if not profile.purposes:
        raise _WrongError("a certificate without a purpose would be for every purpose")
    role = profiles.AUTHORITIES.get(profile.issuer)
    if role is None or not role.purposes:
        signers = [each.role for each in profiles.AUTHORITIES.values() if each.purposes]
        raise _WrongError(f"issuer: one of {', '.join(signers)}")
    missing = sorted(set(profile.purposes) - set(role.purposes))
    if missing:
        raise _WrongError(f"the {role.role} CA is not for {', '.join(missing)}")
    if profile.stamps and len(profile.purposes) > 1:
        raise _WrongError("time stamping is a purpose that stands alone (RFC 3161 clause 2.3)")
    if profile.days_max is not None and profile.days > profile.days_max:
        raise _WrongError(f"days: {profile.days} is more than days-max, {profile.days_max}")
    if profile.public and not role.public:
        raise _WrongError(f"the {role.role} CA is internal, and so are its certificates: public = false")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 100:  # noqa: PLR2004 - a line
        raise _WrongError("expected a line of text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise _WrongError("expected true or false")
    return value


def _days(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _DAYS_MAX:
        raise _WrongError(f"expected a number of days, 1 to {_DAYS_MAX}")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value) or len(set(value)) != len(value):
        raise _WrongError("expected a list of different texts")
    return value


def _of(known: Mapping[str, Any] | tuple[str, ...]) -> Callable[[object], tuple[str, ...]]:
    def convert(value: object) -> tuple[str, ...]:
        listed = _texts(value)
        if wrong := [each for each in listed if each not in known]:
            raise _WrongError(f"{', '.join(map(repr, wrong))}: expected some of {', '.join(known)}")
        return tuple(listed)

    return convert


def _usage(value: object) -> tuple[int, ...]:
    bits = tuple(sorted(USAGES[each] for each in _of(USAGES)(value)))
    if 0 not in bits:
        raise _WrongError("a signer needs digitalSignature")
    return bits


def _keys(value: object) -> tuple[str, ...]:
    kinds = _of(KEYS)(value)
    if not kinds:
        raise _WrongError("no kind of key is allowed")
    return kinds


_FIELDS: dict[str, tuple[str, Callable[[object], Any]]] = {
    "title": ("title", _text),
    "issuer": ("issuer", _text),
    "purposes": ("purposes", lambda value: tuple(profiles.purpose(each) for each in _texts(value))),
    "policies": ("policies", lambda value: tuple(profiles.identifier(each) for each in _texts(value))),
    "days": ("days", _days),
    "days-max": ("days_max", _days),
    "public": ("public", _flag),
    "keys": ("keys", _keys),
    "subject": ("subject", _of(names.ATTRIBUTES)),
    "key-usage": ("usage", _usage),
    "basic-constraints": ("constraints", _flag),
}
"""What a profile may say: the field of Profile, and how its value is read."""
