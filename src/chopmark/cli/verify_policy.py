"""`chopmark verify --policy`: verdicts, and then decisions, whose worst is the exit status."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from chopmark.cli import output, policy_use, settings, verify
from chopmark.core import clock
from chopmark.core.counting import counted
from chopmark.core.named import NamedTuple
from chopmark.engine import batch
from chopmark.engine.policing import judging
from chopmark.policy import state

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.core.verdict import Verdict
    from chopmark.engine.policing.judging import Use
    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.facts import FileFacts
    from chopmark.trust.context import Context


class _Decided(NamedTuple):
    """What comes back from the process that looked at a file: the status, what to print, collect or remember."""

    status: int
    effect: str
    text: str
    verdict: Verdict | None
    allowed: FileFacts | None


def run(args: Namespace) -> int:
    """Verify, decide and print; the exit status of the worst decision."""
    # What it says counts as of the time of the check, but whether its own signature does is a question of today.
    policy = policy_use.load(args.policy, args, clock.now(), remember=True)
    policy_use.adopt(args, policy)
    jobs = 1 if args.collect else batch.jobs_for(len(args.paths), settings.jobs_wanted(args.jobs, "verify"))
    decided: list[_Decided] = []
    with ExitStack() as connections:
        context = verify.context_for(args, connections)
        verify.add_catalogs(args, context)
        known = connections.enter_context(state.opened(write=False))
        work = partial(_decide, args=args, policy=policy, context=context, known=known, use=policy_use.use_of(args))
        for each in output.progress(batch.run(args.paths, work, jobs), len(args.paths), "verifying"):
            decided.append(each)
            if each.text:
                print(each.text)
    if args.sarif:
        verify.print_sarif([each.verdict for each in decided if each.verdict is not None])
    elif len(decided) > 1 and not (args.quiet or args.json):
        print(_summary(decided))
    if args.remember:
        _remember([each.allowed for each in decided if each.allowed is not None])
    verify.tell_collected(context, args)
    return policy_use.worst([each.status for each in decided])


def _decide(path: str, args: Namespace, policy: Policy, context: Context, known: state.State, use: Use) -> _Decided:
    judged = judging.judge(path, context, known, format_name=args.format)
    decision = judging.decide(judged, policy.compiled, use, context)
    status = policy_use.status_of(decision)
    text, verdict = "", None
    if args.sarif:
        said = decision.reason.found(f"{decision.place}: {decision.detail}".strip(": "))
        verdict = judged.verdict._replace(findings=(*judged.verdict.findings, said))
    elif args.json:
        import json  # only for this shape

        from chopmark.engine import report

        facts = report.as_dict(judged.verdict)
        text = json.dumps({**facts, "decision": policy_use.as_dict(decision, policy)})
    elif not args.quiet:
        text = f"{output.show_verdict(judged.verdict, verbose=args.verbose)}\n{policy_use.show(decision)}"
    return _Decided(status, str(decision.effect), text, verdict, decision.file if decision.allowed else None)


def _summary(decided: list[_Decided]) -> str:
    counts = {word: sum(each.effect == word for each in decided) for word in ("allow", "deny", "audit")}
    words = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{counted(len(decided), 'file')}: {words}"


def _remember(allowed: list[FileFacts]) -> None:
    with state.opened(write=True) as known:
        for file in allowed:
            known.saw_file(file)
