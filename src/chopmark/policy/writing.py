"""Policies as text: what `policy init` and `policy learn` write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.policy.language import LANGUAGE, MARK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


class Listed(NamedTuple):
    """A value in a list over several lines, with a comment behind it."""

    value: str
    comment: str


class Draft(NamedTuple):
    """A rule to be written: keys with their TOML, or with lists over several lines; `remarks` stand above it."""

    keys: tuple[tuple[str, str | tuple[Listed, ...]], ...]
    remarks: tuple[str, ...] = ()


def quoted(text: str) -> str:
    """A basic string of TOML (clause "String"); bytes that are no text cannot be written, and become question marks."""
    sound = text.encode("utf-8", "replace").decode()
    return '"' + "".join(_ESCAPES.get(each) or (each if each.isprintable() else _unicode(each)) for each in sound) + '"'


def _unicode(character: str) -> str:
    point = ord(character)
    return f"\\u{point:04X}" if point <= 0xFFFF else f"\\U{point:08X}"  # noqa: PLR2004 - what four digits hold


def table(values: dict[str, str]) -> str:
    """An inline table of strings."""
    return "{ " + ", ".join(f"{key} = {quoted(value)}" for key, value in values.items()) + " }"


def render(
    name: str,
    mode: str,
    drafts: Iterable[Draft],
    *,
    version: int = 1,
    stores: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> str:
    """The text of a policy."""
    lines = [f"{MARK} = {LANGUAGE}", f"name = {quoted(name)}", f"version = {version}", f'mode = "{mode}"']
    if stores:
        lines.append(f"stores = [{', '.join(map(quoted, stores))}]")
    lines += map(_remark, remarks)
    for draft in drafts:
        lines += ["", *map(_remark, draft.remarks), "[[rule]]"]
        for key, value in draft.keys:
            if isinstance(value, str):
                lines.append(f"{key} = {value}")
            else:
                lines += [f"{key} = [", *(f"  {quoted(each.value)}, {_remark(each.comment)}" for each in value), "]"]
    return "\n".join([*lines, ""])


def _remark(text: str) -> str:
    """A comment, without what would end it or steer a terminal."""
    return "# " + "".join(each if each.isprintable() else "?" for each in text.encode("utf-8", "replace").decode())


def plain(name: str, stores: Sequence[str], catalogs: Sequence[str] = ()) -> str:
    """The plain default: what a store, or a catalog that the store trusts, vouches for is allowed, the rest denied."""
    drafts = [
        Draft(
            (
                ("action", '"allow"'),
                ("store", f"[{', '.join(map(quoted, stores))}]"),
                ("comment", quoted("signed by somebody whom the store trusts, or listed in a catalog that is")),
                ("owner", quoted("chopmark policy init")),
            )
        )
    ]
    drafts += [
        Draft((("action", '"allow"'), ("catalog", quoted(each)), ("comment", quoted("listed in this catalog")),
               ("owner", quoted("chopmark policy init"))))
        for each in catalogs
    ]  # fmt: skip
    return render(name, "enforce", drafts, stores=stores, remarks=("What no rule allows is denied.",))
