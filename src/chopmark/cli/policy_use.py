"""What the commands about policies share: how a policy is named, who uses files, and how decisions are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.settings import setting, text
from chopmark.core import clock
from chopmark.core.finding import Outcome

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace

    from chopmark.engine.policing.judging import Use
    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.deciding import Decision

KINDS = ("exec", "script", "library", "module", "service", "package", "image", "ci-step")


def add_signers(parser: ArgumentParser) -> None:
    """Whose policies count."""
    parser.add_argument(
        "--policy-store",
        metavar="NAME|F",
        help="who must have signed the policy (default: the store called policy, if there is one)",
    )


def add_kinds(parser: ArgumentParser) -> None:
    """Kinds of use, as many as are wanted."""
    parser.add_argument(
        "--use", action="append", choices=KINDS, metavar="KIND", default=[], help=f"{', '.join(KINDS)}; repeatable"
    )


def add_use(parser: ArgumentParser, *, whole: bool = True) -> None:
    """How a file is used, and by whom."""
    parser.add_argument("--use", choices=KINDS, metavar="KIND", default="", help=f"{', '.join(KINDS)}")
    if whole:
        parser.add_argument("--user", metavar="NAME|N", help="who uses it")
        parser.add_argument("--program", metavar="PATH", default="", help="the program that asks for it")
        parser.add_argument("--parent", metavar="PATH", default="", help="the program that started that one")


def use_of(args: Namespace) -> Use:
    """What was said of the use."""
    from chopmark.engine.policing.judging import Use
    from chopmark.policy.facts import Process

    name, uid = _user(getattr(args, "user", None) or "")
    process = Process(uid, name, getattr(args, "program", ""), getattr(args, "parent", ""))
    return Use(args.use, process)


def _user(given: str) -> tuple[str, int | None]:
    """Name and number of a user of this host; who has no name is called by the number, as by ls."""
    if not given:
        return "", None
    import pwd

    number = int(given) if given.isascii() and given.isdigit() else None
    try:
        entry = pwd.getpwnam(given) if number is None else pwd.getpwuid(number)
    except (KeyError, OverflowError):
        return given, number
    return entry.pw_name, entry.pw_uid


def load(path: str, args: Namespace, at: dt.datetime | None = None, *, remember: bool = False) -> Policy:
    """The policy in a file. Raises as `loading.load` does."""
    from chopmark.engine.policing import loading

    signers = text(setting(args.policy_store, "verify", "policy_store"), "policy_store")
    return loading.load(path, at or clock.now(), signers=signers, remember=remember)


def adopt(args: Namespace, policy: Policy) -> None:
    """Verify as the policy says, where the command line does not."""
    if args.store is None and policy.main.stores:
        args.store = list(policy.main.stores)
    if args.revocation is None and policy.main.revocation:
        args.revocation = policy.main.revocation


def status_of(decision: Decision) -> int:
    """0 allowed (or let through), 1 denied, 3 undecided."""
    if decision.effect != "deny":
        return 0
    return 1 if decision.certain else 3


def worst(statuses: list[int]) -> int:
    """Denied is worse than undecided."""
    return max(statuses, key=(0, 3, 1).index, default=0)


def show(decision: Decision) -> str:
    """A decision in a line or two: the word, by which rule, and why."""
    import sys

    outcome = {"allow": Outcome.OK, "deny": Outcome.NO, "audit": Outcome.UNKNOWN}[decision.effect]
    word = output.paint(f"{decision.effect:<9}", outcome, colour=output.coloured(sys.stdout))
    reason = decision.reason
    rule = f" by {output.clean(decision.rule.shown)}" if decision.rule else ""
    detail = f" [{output.clean(decision.detail)}]" if decision.detail else ""
    body = output.filled(f"{reason.code}{rule}: {reason.sentence}{detail}").removeprefix(output.INDENT)
    return f" {word} {body}"


def as_dict(decision: Decision, policy: Policy) -> dict[str, Any]:
    """A decision for JSON."""
    return {
        "effect": str(decision.effect),
        "code": decision.reason.code,
        "certain": decision.certain,
        "rule": decision.place or None,
        "rule_name": (decision.rule.label or None) if decision.rule else None,
        "detail": decision.detail,
        "unmet": [name for name, _ in decision.unmet],
        "policy": policy.main.name,
        "policy_version": policy.main.version,
    }
