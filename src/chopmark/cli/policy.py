"""Write, check and try policies: which code may be used, by whom, and why.

A policy is a TOML file (docs/reference/policy.md). `chopmark verify FILE --policy F` decides about files by it;
the exit status is then 0 for what is allowed, 1 for what is denied, 3 for what could not be decided. Policies are
signed as any file: chopmark sign F --format detached.

    $ chopmark policy check policy.toml
    $ chopmark policy explain setup.exe --policy policy.toml
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from chopmark.cli import output, policy_explain, policy_export, policy_try
from chopmark.core import clock
from chopmark.core.counting import counted
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from chopmark.core.finding import Finding


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    init = actions.add_parser("init", help="write the plain default: what a store vouches for is allowed, nothing else")
    init.add_argument("-o", "--output", metavar="F", default="policy.toml", help="the policy (default policy.toml)")
    init.add_argument("--store", action="append", metavar="NAME", help="whom to trust (default: corp); may be repeated")
    init.add_argument(
        "--catalog", action="append", default=[], metavar="PATTERN", help="and these catalogs, by path, whoever signed"
    )
    init.add_argument("--name", metavar="NAME", default="default", help="the policy's name (default: default)")
    init.add_argument("--force", action="store_true", help="replace a file that is there")
    init.set_defaults(do=_init)
    check = actions.add_parser("check", help="find mistakes, and rules that cannot be meant so")
    check.add_argument("policy", metavar="POLICY", help="the policy")
    check.add_argument("-v", "--verbose", action="store_true", help="remarks, too")
    check.add_argument("--json", action="store_true", help="one JSON object per finding, a line each")
    check.set_defaults(do=_check)
    show = actions.add_parser("show", help="what is in a policy, and what is remembered of its versions")
    show.add_argument("policy", metavar="POLICY", help="the policy")
    show.set_defaults(do=_show)
    policy_explain.add_to(actions)
    policy_try.add_to(actions)
    policy_export.add_to(actions)
    reset = actions.add_parser("reset", help="forget which versions of policies and products were in use here")
    reset.add_argument("--yes", action="store_true", help="older ones will count again")
    reset.set_defaults(do=_reset)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    status: int = args.do(args)
    return status


def _init(args: Namespace) -> int:
    from chopmark.core.patch import write_file
    from chopmark.policy import language, writing
    from chopmark.trust.stores import store

    if os.path.lexists(args.output) and not args.force:
        raise UsageError(f"{args.output} is there already; --force replaces it")
    stores = args.store or ["corp"]
    store.load(stores)  # a policy that rests on nothing would deny everything
    data = writing.plain(args.name, stores, args.catalog).encode()
    language.parse(data, args.output)
    write_file(args.output, data)
    print(f"written    {output.clean(args.output)}")
    print(output.filled(f"what {', '.join(map(output.clean, stores))} vouches for is allowed, the rest denied"))
    return 0


def _check(args: Namespace) -> int:
    from chopmark.engine.policing import loading
    from chopmark.policy import checking
    from chopmark.policy.source import PolicyError

    try:
        policy = loading.read(args.policy)
    except PolicyError as error:
        _tell_problems(error, json=args.json)
        return 1
    main = policy.main
    missing = checking.absent({*main.stores, *(name for rule in policy.rules for name in rule.conditions.stores)})
    found = checking.check_stores(main, missing)
    missing = {name: why for name, why in missing.items() if name not in main.stores}
    found += checking.check(policy.rules, clock.now(), main.stores, main.revocation, missing)
    against = [finding for finding in found if finding.outcome in ("no", "unknown")]
    for finding in found:
        if args.json:
            _print_json(finding)
        elif args.verbose or finding in against:
            print(output.show_finding(finding))
    if not args.json:
        print(f"{output.clean(args.policy)}: {counted(len(policy.rules), 'rule')}; {_summary(against)}")
    return 1 if any(finding.outcome == "no" for finding in found) else 3 if against else 0


def _summary(against: Sequence[Finding]) -> str:
    wrong = sum(finding.outcome == "no" for finding in against)
    words = [f"{counted(wrong, 'thing')} cannot be meant so"] if wrong else []
    words += [f"{counted(len(against) - wrong, 'thing')} could not be checked here"] if wrong < len(against) else []
    return ", ".join(words) or "nothing speaks against them"


def _tell_problems(error: object, *, json: bool) -> None:
    problems = getattr(error, "problems", ())
    for problem in problems:
        if json:
            _print({"code": "policy.malformed", "outcome": "no", "subject": str(problem.place), "detail": problem.text})
        else:
            print(output.one_line(str(problem)))
    if not json:
        print(f"chopmark: {counted(len(problems), 'mistake')}", file=sys.stderr)


def _print_json(finding: Finding) -> None:
    _print(
        {
            "code": finding.code,
            "outcome": str(finding.outcome),
            "subject": finding.subject,
            "detail": finding.detail,
        }
    )


def _print(facts: dict[str, str]) -> None:
    import json

    print(json.dumps(facts))


def _show(args: Namespace) -> int:
    from chopmark.engine.policing import loading
    from chopmark.policy import state

    policy = loading.read(args.policy)
    with state.opened(write=False) as known:
        for each in policy.files:
            seen = known.policies.get(each.name)
            remembered = f"; version {seen.version} was in use here" if seen else ""
            print(f"{output.clean(each.file)}: {each.name}, version {each.version}{remembered}")
            print(output.filled(f"{counted(len(each.rules), 'rule')}, SHA-256 {each.sha256}"))
    main = policy.main
    stores = f", verifies with {', '.join(map(output.clean, main.stores))}" if main.stores else ""
    print(f"mode {main.mode}{stores}")
    for rule in policy.rules:
        until = f" until {clock.show(rule.expires)}" if rule.expires else ""
        why = f": {output.clean(rule.comment)}" if rule.comment else ""
        print(output.filled(f"{rule.action} by {rule.rank.name.lower()}, {rule.shown}{until}{why}", "  ", ""))
    return 0


def _reset(args: Namespace) -> int:
    from chopmark.policy import state

    if not args.yes:
        raise UsageError("older policies and products will count again: --yes says that this is meant")
    state.reset()
    print("forgotten  which versions of policies and products were in use here")
    return 0
