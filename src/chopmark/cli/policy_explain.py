"""`chopmark policy explain` and `test`: why files are decided about as they are, and whether cases come out right."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, policy_use, verify
from chopmark.core import clock
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.cases import Case
    from chopmark.policy.deciding import Decision
    from chopmark.policy.events import Event
    from chopmark.policy.explaining import Explanation
    from chopmark.trust.context import Context


def add_to(actions: Any) -> None:  # noqa: ANN401 - argparse keeps this class to itself
    """Declare the commands."""
    explain = actions.add_parser("explain", help="which rule decides about files, and what they would have to bring")
    explain.add_argument("paths", nargs="+", metavar="FILE", help="the file")
    explain.add_argument("--policy", required=True, metavar="F", help="the policy")
    policy_use.add_signers(explain)
    policy_use.add_use(explain)
    explain.add_argument(
        "--events", action="append", default=[], metavar="F",
        help="explain the last uses of FILE that a guard recorded there, from what it found out; repeatable",
    )  # fmt: skip
    verify.add_trust_arguments(explain)
    explain.add_argument("--catalogs", action="append", metavar="F|DIR", help="catalogs that count; may be repeated")
    explain.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    explain.set_defaults(do=_explain)
    test = actions.add_parser("test", help="whether the cases in a file come out as they say")
    test.add_argument("cases", metavar="CASES", help="the cases (TOML)")
    test.add_argument("--policy", required=True, metavar="F", help="the policy")
    policy_use.add_signers(test)
    verify.add_trust_arguments(test)
    test.add_argument("--catalogs", action="append", metavar="F|DIR", help="catalogs that count; may be repeated")
    test.add_argument("-v", "--verbose", action="store_true", help="the cases that came out right, too")
    test.set_defaults(do=_test)


def _context(args: Namespace, policy: Policy, connections: ExitStack) -> Context:
    policy_use.adopt(args, policy)
    context = verify.context_for(args, connections)
    verify.add_catalogs(args, context)
    return context


def _explain(args: Namespace) -> int:
    from chopmark.engine.policing import judging
    from chopmark.policy import explaining, state

    policy, use = policy_use.load(args.policy, args), policy_use.use_of(args)
    if args.events:
        return _explain_recorded(args, policy, use.kind)
    statuses = []
    with ExitStack() as connections, state.opened(write=False) as known:
        context = _context(args, policy, connections)
        for path in args.paths:
            judged = judging.judge(path, context, known)
            decision = judging.decide(judged, policy.compiled, use, context)
            kind = use.kind or judged.kind or "exec"
            said = explaining.explain(decision, policy.rules, kind, use.process, context.at)
            statuses.append(policy_use.status_of(decision))
            if args.json:
                _print_json(path, kind, said, policy)
            else:
                print(output.show_verdict(judged.verdict))
                print("\n".join(_lines(said, kind)))
                if not decision.file.sha256:
                    print(output.filled("-> where a guard denies it, ask what that found out: --events F"))
    return policy_use.worst(statuses)


def _explain_recorded(args: Namespace, policy: Policy, kind: str) -> int:
    """What a guard denies chopmark cannot read either, being a script that reads scripts: events have the facts."""
    import os

    from chopmark.policy import events, explaining

    wanted = {os.path.realpath(path): path for path in args.paths}
    last: dict[tuple[str, str], Event] = {}
    for event in (event for name in args.events for event in events.read(name)):
        if event.file.path in wanted and kind in ("", event.kind):
            last[event.file.path, event.kind] = event
    statuses = []
    for place, path in wanted.items():
        uses = [event for (where, _), event in last.items() if where == place]
        if not uses:
            raise UsageError(f"{path}: no use of it is recorded there")
        for event in uses:
            decision = policy.compiled.decide(event.file, event.kind, event.process, event.at)
            said = explaining.explain(decision, policy.rules, event.kind, event.process, event.at)
            statuses.append(policy_use.status_of(decision))
            if args.json:
                _print_json(path, event.kind, said, policy)
            else:
                print(f"{event.file.status:<10} {output.clean(path)}, as of {clock.show(event.at)}")
                print("\n".join(_lines(said, event.kind)))
    return policy_use.worst(statuses)


def _lines(said: Explanation, kind: str) -> list[str]:
    decision = said.decision
    digest = decision.file.sha256
    lines = [policy_use.show(decision), output.filled(f"used as {kind}{', with this SHA-256:' if digest else ''}")]
    lines += [output.filled(digest)] if digest else []
    rule = decision.rule
    if rule is not None:
        answers = f"{output.clean(rule.owner)} answers for the rule" if rule.owner else ""
        about = ": ".join(part for part in (answers, output.clean(rule.comment)) if part)
        lines += [output.filled(about)] if about else []
    if said.missing:
        lines.append(output.filled(f"-> it would have to bring {'; '.join(map(output.clean, said.missing))}"))
    elif not decision.allowed and not said.near and decision.reason.remedy:
        lines.append(output.filled(f"-> {decision.reason.remedy}"))
    for near in said.near:
        bring = "; ".join(map(output.clean, near.missing))
        lines.append(output.filled(f"-> {output.clean(near.rule.shown)} would allow it with {bring}"))
    return lines


def _print_json(path: str, kind: str, said: Explanation, policy: Policy) -> None:
    import json

    from chopmark.policy import events

    facts = {
        "path": path,
        "use": kind,
        "file": events.file_as_dict(said.decision.file),
        "decision": policy_use.as_dict(said.decision, policy),
        "missing": list(said.missing),
        "near": [{"rule": str(near.rule.place), "missing": list(near.missing)} for near in said.near],
    }
    print(json.dumps(facts))


def _test(args: Namespace) -> int:
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.policy import cases

    policy = policy_use.load(args.policy, args)
    found = cases.parse(read_small(args.cases, limits.POLICY_MAX), args.cases)
    wrong = 0
    with ExitStack() as connections:
        context = _context(args, policy, connections) if any(case.path for case in found) else None
        for case in found:
            decision = _decided(case, policy, context)
            came = "allow" if decision.allowed else "deny" if decision.certain else "undecided"
            label = decision.rule.label if decision.rule else ""
            good = came == case.expect and case.rule in ("", label)
            wrong += not good
            if args.verbose or not good:
                rule = f" by {decision.rule.shown}" if decision.rule else ""
                line = f"{case.place}: {case.name}: {came}{rule} ({decision.reason.code})"
                expected = "" if good else f"; expected {case.expect}{f' by {case.rule}' if case.rule else ''}"
                print(output.filled(output.clean(line + expected), first="right      " if good else "wrong      "))
    print(f"{len(found)} cases, {wrong} wrong" if wrong else f"{len(found)} cases, all as expected")
    return 1 if wrong else 0


def _decided(case: Case, policy: Policy, context: Context | None) -> Decision:
    from chopmark.engine.policing import judging
    from chopmark.policy.facts import EXEC

    at = case.at or (context.at if context is not None else clock.now())
    if case.facts is not None or context is None:
        assert case.facts is not None  # noqa: S101 - a case has one or the other
        return policy.compiled.decide(case.facts, case.kind or EXEC, case.process, at)
    judged = judging.judge(case.path, context)
    return policy.compiled.decide(judged.file, case.kind or judged.kind or EXEC, case.process, at)
