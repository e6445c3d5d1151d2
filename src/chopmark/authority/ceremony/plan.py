"""Plans: a TOML file that says what is to be done, read strictly; what it does not say is not done."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chopmark.core import limits, toml
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEXT_MAX = 64 * 1024


class Field(NamedTuple):
    """One parameter of a step: the type of its value, and whether it has to be there."""

    kind: type
    required: bool = False


STEPS: Mapping[str, Mapping[str, Field]] = {
    "found": {
        "name": Field(str, required=True),
        "url": Field(str, required=True),
        "type": Field(str),
        "country": Field(str),
        "database": Field(str),
    },
    "rules": {
        "threshold": Field(int, required=True),
        "required": Field(bool),
        "approvers": Field(dict, required=True),
    },
    "add": {
        "role": Field(str, required=True),
        "ca": Field(str),
        "title": Field(str),
        "parent": Field(str),
        "type": Field(str),
        "key": Field(str),
    },
    "roll": {"ca": Field(str, required=True), "type": Field(str), "key": Field(str)},
    "retire": {"ca": Field(str, required=True)},
    "cross": {"ca": Field(str, required=True), "by": Field(str, required=True)},
    "certify": {
        "pem": Field(str, required=True),
        "by": Field(str, required=True),
        "purposes": Field(list, required=True),
        "policies": Field(list),
        "path-length": Field(int),
        "permit": Field(list),
        "exclude": Field(list),
        "months": Field(int),
    },
    "accept": {"ca": Field(str, required=True), "pem": Field(str, required=True), "issuer": Field(str, required=True)},
    "revoke": {
        "serial": Field(str, required=True),
        "reason": Field(str),
        "date": Field(dt.datetime),
    },
}
"""What a plan may have done, and the parameters of each. `pem` and `issuer` are PEM, in the plan itself."""

_HEADER: Mapping[str, Field] = {
    "ceremony": Field(int, required=True),
    "title": Field(str, required=True),
    "authority": Field(str),
    "expires": Field(dt.datetime, required=True),
    "step": Field(list, required=True),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: a name of STEPS and its parameters."""

    do: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan as read. `raw` are the bytes that approvers sign; `authority` is the digest of the first root."""

    raw: bytes
    title: str
    authority: str
    expires: dt.datetime
    steps: tuple[Step, ...]

    @property
    def sha256(self) -> str:
        """What the plan is known by."""
        return hashlib.sha256(self.raw).hexdigest()

    @property
    def founds(self) -> bool:
        """Whether it makes a new authority."""
        return self.steps[0].do == "found"


def parse(raw: bytes) -> Plan:
    """Read a plan. Raises UsageError for whatever is missing, misspelt or of the wrong type."""
    if len(raw) > limits.CEREMONY_MAX:
        message = f"a plan of {len(raw)} bytes; {limits.CEREMONY_MAX} are the limit"
        raise UsageError(message)
    try:
        table = toml.loads(raw)
    except ValueError as error:
        message = f"not a plan: {' '.join(str(error).split())[:200]}"
        raise UsageError(message) from None
    values = _fields("the plan", table, _HEADER)
    if values["ceremony"] != VERSION:
        message = f"a plan of version {values['ceremony']}; this chopmark reads version {VERSION}"
        raise UsageError(message)
    steps = tuple(_step(number, each) for number, each in enumerate(values["step"], 1))
    if not 0 < len(steps) <= limits.CEREMONY_STEPS_MAX:
        message = f"a plan has 1 to {limits.CEREMONY_STEPS_MAX} steps, not {len(steps)}"
        raise UsageError(message)
    plan = Plan(raw, values["title"], values.get("authority", ""), _moment(values["expires"]), steps)
    _consistent(plan)
    return plan


def _consistent(plan: Plan) -> None:
    names = [step.do for step in plan.steps]
    if plan.founds:
        fault = ""
        if plan.authority:
            fault = "a plan that founds an authority cannot name one"
        elif names[1:2] != ["rules"]:
            fault = "after `found` comes `rules`: who approves from now on, and who has to approve this"
    else:
        fault = "" if _DIGEST.fullmatch(plan.authority) else "`authority` is the SHA-256 of its first root certificate"
    if not fault and "found" in names[1:]:
        fault = "`found` is the first step, or none"
    if fault:
        message = f"not a plan: {fault}"
        raise UsageError(message)


def _step(number: int, table: object) -> Step:
    where = f"step {number}"
    if not isinstance(table, dict) or table.get("do") not in STEPS:
        message = f"{where}: `do` is one of {', '.join(STEPS)}"
        raise UsageError(message)
    rest = {key: value for key, value in table.items() if key != "do"}
    return Step(table["do"], _fields(f"{where} ({table['do']})", rest, STEPS[table["do"]]))


def _fields(where: str, table: Mapping[str, Any], known: Mapping[str, Field]) -> dict[str, Any]:
    unknown = sorted(set(table) - set(known))
    missing = [name for name, field in known.items() if field.required and name not in table]
    if unknown or missing:
        what = f"unknown {', '.join(unknown)}" if unknown else f"missing {', '.join(missing)}"
        message = f"{where}: {what} (it has {', '.join(known)})"
        raise UsageError(message)
    empty = [name for name, field in known.items() if field.required and table[name] == ""]
    if empty:
        message = f"{where}: {', '.join(empty)} is still to be written"
        raise UsageError(message)
    for name, value in table.items():
        kind = known[name].kind
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)) or not _plain(value):
            message = f"{where}: {name} is not {_WORDS[kind]}"
            raise UsageError(message)
    return dict(table)


_WORDS = {
    str: "a text",
    int: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a table",
    dt.datetime: "a time such as 2026-12-31T12:00:00Z",
}


def _plain(value: object) -> bool:
    """Text that people can read as it is: what approvers see is what will be done."""
    if isinstance(value, str):
        return len(value) <= _TEXT_MAX and all(character.isprintable() or character == "\n" for character in value)
    if isinstance(value, list):
        return all(_plain(each) for each in value) if all(isinstance(each, str) for each in value) else True
    return True


def _moment(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is None:
        message = "the plan: expires needs a zone, such as the Z of 2026-12-31T12:00:00Z"
        raise UsageError(message)
    return value.astimezone(dt.UTC)


def moment(value: dt.datetime | None) -> dt.datetime | None:
    """A time in a step, in UTC. Raises UsageError for one without a zone."""
    return None if value is None else _moment(value)
