"""Cases that a policy must decide in a certain way: a file for `policy test`, kept beside the policy.

chopmark-policy-cases = 1

[[case]]
name = "the vendor's tool"
expect = "allow"
file = "samples/tool.exe"            # a real file, relative to this one

[[case]]
name = "an unsigned program"
expect = "deny"
facts = { path = "/opt/tool", status = "unsigned", writable = false }   # as in events
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.policy import events, source
from chopmark.policy.facts import KINDS, FileFacts, Process
from chopmark.policy.reading import Reader
from chopmark.policy.source import PolicyError, Problem

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.policy.rules import Place
    from chopmark.policy.source import Table

MARK = "chopmark-policy-cases"
ALLOW, DENY, UNDECIDED = "allow", "deny", "undecided"
_ANY_DIGEST = "0" * 64
"""Of a file of which a case does not say what is in it."""


class Case(NamedTuple):
    """What shall come of a file, used in a way (empty: as it shows) by somebody, at a time (None: now).

    The file is real (`path`) or known by its facts alone. `rule` is the label of the rule that shall decide.
    """

    place: Place
    name: str
    expect: str
    path: str
    facts: FileFacts | None
    kind: str
    process: Process
    at: dt.datetime | None
    rule: str = ""


def parse(data: bytes, file: str) -> list[Case]:
    """Read cases. Raises PolicyError, which has every mistake."""
    document = source.parse(data, file, "case")
    problems: list[Problem] = []
    head = Reader(document.head, problems)
    if head.number(MARK, 1, 1) is None:
        problems.append(Problem(document.head.place(), f"it does not say {MARK} = 1"))
    head.finish()
    found = [_case(table, problems) for table in document.rules]
    if not found:
        problems.append(Problem(document.head.place(), "there is no case in it"))
    if problems:
        raise PolicyError(sorted(problems, key=lambda problem: problem.place))
    return found


def _case(table: Table, problems: list[Problem]) -> Case:
    reader = Reader(table, problems)
    path, facts = reader.text("file"), reader.take("facts")
    if bool(path) == (facts is not None):
        reader.complain("file", "a case has either a file or facts")
    case = Case(
        place=table.place(),
        name=reader.text("name"),
        expect=reader.choice("expect", (ALLOW, DENY, UNDECIDED)),
        path=os.path.join(os.path.dirname(table.file), path) if path else "",
        facts=None if facts is None else _facts(reader, facts),
        kind=reader.choice("use", KINDS),
        process=_process(reader),
        at=reader.moment("at"),
        rule=reader.text("rule"),
    )
    if not case.expect:
        reader.complain("expect", f"{ALLOW}, {DENY} or {UNDECIDED}")
    reader.finish()
    return case


def _facts(reader: Reader, values: Any) -> FileFacts | None:  # noqa: ANN401 - whatever TOML can hold
    if not isinstance(values, dict):
        reader.complain("facts", "a table is needed")
        return None
    unknown = sorted(values.keys() - set(FileFacts._fields))
    if unknown:
        reader.complain("facts", f"there is no {unknown[0]!r}")
        return None
    try:
        return events.file_from({"sha256": _ANY_DIGEST, **values})
    except MalformedError as error:
        reader.complain("facts", str(error))
        return None


def _process(reader: Reader) -> Process:
    values = reader.take("process")
    if values is None:
        return Process()
    try:
        if not isinstance(values, dict) or values.keys() - set(Process._fields):
            raise MalformedError(f"a table of {', '.join(Process._fields)} is needed")
        return events.process_from(values)
    except MalformedError as error:
        reader.complain("process", str(error))
        return Process()
