"""The policy language: from the text of a file to rules. docs/reference/policy.md has every key.

Nothing that is not understood is passed over: a key too many, a value of another kind, a pattern that is none makes the
whole file unusable, and every mistake is told with its line.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.policy import conditions, source
from chopmark.policy.deciding import Mode
from chopmark.policy.reading import Reader
from chopmark.policy.rules import ALLOW, DENY, NO_REQUIREMENTS, Place, Requirements, Rule
from chopmark.policy.source import PolicyError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.policy.source import Table

LANGUAGE = 1
"""The version of the language, which every file names."""
MARK = "chopmark-policy"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_AGE = re.compile(r"([1-9][0-9]{0,5})([dh])")
_VERSION_MAX = 2**53


class PolicyFile(NamedTuple):
    """One file of a policy, read.

    `name` and `version` say which one it is, so that an older one can be refused; `stores` are the trust stores that
    its rules rest on, and `stores_at` says where it names them, `revocation` how revocation is asked about; `include`
    are the files that it takes rules from; `sha256` is the digest of its text, in hex.
    """

    file: str
    name: str
    version: int
    mode: Mode
    rules: tuple[Rule, ...]
    sha256: str
    stores: tuple[str, ...] = ()
    stores_at: Place | None = None
    revocation: str = ""
    include: tuple[str, ...] = ()
    comment: str = ""
    owner: str = ""


def parse(data: bytes, file: str, first: int = 0) -> PolicyFile:
    """Read a policy; its rules are numbered from `first` on. Raises PolicyError, which has every mistake."""
    document = source.parse(data, file)
    problems: list[Problem] = []
    head = Reader(document.head, problems)
    if head.number(MARK, 1, LANGUAGE) is None:
        problems.append(Problem(Place(file, 1), f"it does not say {MARK} = {LANGUAGE}"))
    name = head.text("name")
    if not _NAME.fullmatch(name):
        head.complain("name", "a policy needs a name of letters, digits, spaces, dots, dashes and underscores")
    found = PolicyFile(
        file=file,
        name=name,
        version=head.number("version", 1, _VERSION_MAX) or 0,
        mode=Mode(head.choice("mode", tuple(Mode)) or Mode.ENFORCE),
        rules=tuple(_rule(table, number, problems) for number, table in enumerate(document.rules, first)),
        sha256=hashlib.sha256(data).hexdigest(),
        stores=tuple(head.texts("stores")),
        stores_at=document.head.place("stores"),
        revocation=head.choice("revocation", ("require", "prefer", "off")),
        include=tuple(head.texts("include")),
        comment=head.text("comment"),
        owner=head.text("owner"),
    )
    if not found.version:
        head.complain("version", "a policy needs a version, a number from 1 on that grows with every change")
    if len(found.include) > limits.POLICY_INCLUDES_MAX:
        head.complain("include", f"at most {limits.POLICY_INCLUDES_MAX} files are included")
    head.finish()
    _check_labels(found.rules, problems)
    if problems:
        raise PolicyError(sorted(problems, key=lambda problem: problem.place)[: limits.POLICY_PROBLEMS_MAX])
    return found


def _rule(table: Table, number: int, problems: list[Problem]) -> Rule:
    reader = Reader(table, problems)
    action = reader.choice("action", (ALLOW, DENY))
    if "action" not in table.values:
        reader.complain("action", f'a rule has an action, "{ALLOW}" or "{DENY}"')
    about = conditions.of_file(reader)
    users = conditions.of_process(reader)
    require = _requirements(reader)
    rule = Rule(
        number=number,
        place=table.place(),
        action=action,
        conditions=about,
        users=users,
        require=require,
        label=reader.text("name"),
        comment=reader.text("comment"),
        owner=reader.text("owner"),
        expires=reader.moment("expires"),
    )
    if action == DENY and require != NO_REQUIREMENTS:
        reader.complain("require", "a rule that denies demands nothing; conditions say what it is about")
    if action == ALLOW and about.statuses and (about.about_seals or about.products):
        reader.complain("status", "a rule about signers or products is about trusted files already")
    reader.finish()
    return rule


def _requirements(reader: Reader) -> Requirements:
    inner = reader.table("require")
    if inner is None:
        return NO_REQUIREMENTS
    found = Requirements(
        timestamp=inner.switch("timestamp"),
        log=inner.switch("log"),
        signers=inner.number("signers", 1, limits.POLICY_SIGNERS_MAX) or 0,
        age=_age(inner),
        version=inner.version("min-version"),
        no_rollback=inner.switch("no-rollback"),
        revocation=inner.choice("revocation", ("require",)) == "require",
    )
    inner.finish()
    return found


def _age(reader: Reader) -> dt.timedelta | None:
    text = reader.text("max-age")
    if not text:
        return None
    match = _AGE.fullmatch(text)
    if match is None:
        reader.complain("max-age", f'an age is days or hours, such as "90d" or "12h", not {text[:40]!r}')
        return None
    return dt.timedelta(**{"days" if match[2] == "d" else "hours": int(match[1])})


def _check_labels(rules: Iterable[Rule], problems: list[Problem]) -> None:
    known: dict[str, Place] = {}
    problems += [
        Problem(rule.place, f"the rule at {known[rule.label]} is called {rule.label!r} already")
        for rule in rules
        if rule.label and known.setdefault(rule.label, rule.place) is not rule.place
    ]
