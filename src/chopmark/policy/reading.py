"""Reading tables of a policy: every value has one kind, and every mistake is noted with its line."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from chopmark.core import limits, versions
from chopmark.core.errors import MalformedError
from chopmark.core.meaning import meant
from chopmark.policy import glob
from chopmark.policy.source import Problem, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.policy.glob import Pattern

_SHA256 = re.compile(r"(?i:sha256:)?((?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2})")


class Reader:
    """Takes values out of a table; `finish` complains about whatever nobody took."""

    def __init__(self, table: Table, problems: list[Problem], prefix: str = "") -> None:
        self._table = table
        self._left = dict(table.values)
        self._asked: list[str] = []
        self._problems = problems
        self._prefix = prefix

    def complain(self, key: str, text: str) -> None:
        """Note a mistake at a key."""
        place = self._table.place(self._prefix + key)
        self._problems.append(Problem(place, f"{self._prefix}{key}: {text}"))

    def finish(self) -> None:
        """Whatever is left is unknown."""
        for key in self._left:
            self.complain(key, f"there is no such key{meant(key, self._asked)}")

    def names(self) -> list[str]:
        """The keys that nobody took yet."""
        return list(self._left)

    def take(self, key: str) -> Any:  # noqa: ANN401 - whatever TOML can hold
        """The value as it is; None when there is none."""
        self._asked.append(key)
        return self._left.pop(key, None)

    def text(self, key: str) -> str:
        """One piece of text; empty when it is not there."""
        value = self.take(key)
        return "" if value is None else self._text(key, value)

    def texts(self, key: str) -> list[str]:
        """One piece of text, or a list of them that is not empty."""
        return [text for text in (self._text(key, value) for value in self.values(key)) if text]

    def values(self, key: str) -> list[Any]:
        """One value, or a list of them that is not empty."""
        value = self.take(key)
        if value is None:
            return []
        found = value if isinstance(value, list) else [value]
        if not found or len(found) > limits.POLICY_VALUES_MAX:
            self.complain(key, f"from 1 to {limits.POLICY_VALUES_MAX} values, not {len(found)}")
            return []
        return found

    def _text(self, key: str, value: Any) -> str:  # noqa: ANN401
        if not isinstance(value, str) or not value.strip() or len(value) > limits.POLICY_TEXT_MAX:
            self.complain(key, f"text of at most {limits.POLICY_TEXT_MAX} characters is needed, not {value!r:.60}")
            return ""
        return value

    def switch(self, key: str) -> bool:
        """True or false; false when it is not there."""
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            self.complain(key, f"true or false, not {value!r:.60}")
            return False
        return bool(value)

    def number(self, key: str, least: int, most: int) -> int | None:
        """A whole number; None when it is not there."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            self.complain(key, f"a number from {least} to {most}, not {value!r:.60}")
            return None
        return value

    def choice(self, key: str, known: Sequence[str]) -> str:
        """One of some words; empty when it is not there."""
        value = self.text(key)
        return self._known(key, value, known) if value else ""

    def choices(self, key: str, known: Sequence[str]) -> frozenset[str]:
        """Some of some words."""
        return frozenset(word for word in (self._known(key, each, known) for each in self.texts(key)) if word)

    def _known(self, key: str, value: str, known: Sequence[str]) -> str:
        if value not in known:
            self.complain(key, f"{', '.join(map(str, known))}, not {value[:60]!r}")
            return ""
        return value

    def moment(self, key: str) -> dt.datetime | None:
        """A date or time of TOML; without a zone it is UTC."""
        value = self.take(key)
        if isinstance(value, dt.datetime):
            return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)
        if isinstance(value, dt.date):
            return dt.datetime(value.year, value.month, value.day, tzinfo=dt.UTC)
        if value is not None:
            self.complain(key, f"a date such as 2027-01-31, without quotes, not {value!r:.60}")
        return None

    def digests(self, key: str) -> frozenset[str]:
        """SHA-256 digests, written `sha256:` and 64 hex digits."""
        found = set()
        for text in self.texts(key):
            match = _SHA256.fullmatch(text.strip())
            if match is None:
                self.complain(key, f"sha256: and 64 hex digits, not {text[:80]!r}")
            else:
                found.add(match[1].replace(":", "").lower())
        return frozenset(found)

    def patterns(self, key: str, *, absolute: bool = False) -> tuple[Pattern, ...]:
        """Patterns of policy.glob; absolute ones begin at the root."""
        found = []
        for text in self.texts(key):
            try:
                found.append(glob.pattern(text))
            except MalformedError as error:
                self.complain(key, str(error))
                continue
            odd = any(each in f"{text}/" for each in ("//", "/./", "/../"))  # also at the end: no file is called so
            if absolute and (not text.startswith("/") or odd):
                self.complain(key, f"an absolute path of a file, without '.', '..' and '//', not {text[:80]!r}")
        return tuple(found)

    def version(self, key: str) -> str:
        """A version in any of the numberings."""
        return next(iter(self._versions(key, [self.text(key)])), "")

    def versions(self, key: str) -> tuple[str, ...]:
        """Several of them."""
        return tuple(self._versions(key, self.texts(key)))

    def _versions(self, key: str, texts: Sequence[str]) -> list[str]:
        found = [text for text in texts if text]
        for text in found:
            if not any(_readable(scheme, text) for scheme in versions.SCHEMES):
                self.complain(key, f"not a version: {text[:80]!r}")
        return found

    def table(self, key: str) -> Reader | None:
        """A table inside of this one."""
        value = self.take(key)
        return None if value is None else self.inner(key, value)

    def inner(self, key: str, value: Any) -> Reader | None:  # noqa: ANN401
        """A reader for a value that must be a table."""
        if not isinstance(value, dict):
            self.complain(key, f"a table is needed, not {value!r:.60}")
            return None
        place = self._table.place(self._prefix + key)
        table = Table(value, place.file, place.line, self._table.lines)
        return Reader(table, self._problems, f"{self._prefix}{key}.")


def _readable(scheme: str, text: str) -> bool:
    try:
        versions.key(scheme, text)
    except MalformedError:
        return False
    return True
