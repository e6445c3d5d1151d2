"""`chopmark policy simulate`, `diff` and `learn`: what a policy would do, and which one a host needs."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, policy_use, settings, verify
from chopmark.core import clock
from chopmark.core.counting import counted
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.comparing import Simulated
    from chopmark.policy.events import Event
    from chopmark.policy.facts import FileFacts
    from chopmark.policy.rules import Rule
    from chopmark.policy.writing import Draft

_SHOWN = 5
"""Rules of which people are told where they stand."""


def add_to(actions: Any) -> None:  # noqa: ANN401 - argparse keeps this class to itself
    """Declare the commands."""
    simulate = actions.add_parser(
        "simulate", help="what a policy would decide about recorded events, and a host's files"
    )
    simulate.add_argument("--policy", required=True, metavar="F", help="the policy")
    _add_corpus(simulate)
    simulate.add_argument("--all", action="store_true", help="tell what stays the same, too")
    simulate.add_argument("--json", action="store_true", help="one JSON object per event, a line each")
    simulate.set_defaults(do=_simulate)
    diff = actions.add_parser("diff", help="how two policies differ: their rules, and what they decide")
    diff.add_argument("policies", nargs=2, metavar="POLICY", help="the old one and the new one")
    _add_corpus(diff)
    diff.add_argument("--json", action="store_true", help="one JSON object per difference, a line each")
    diff.set_defaults(do=_diff)
    learn = actions.add_parser(
        "learn", help="propose a policy for recorded events, or the files of a golden host or image"
    )
    learn.add_argument("-o", "--output", metavar="F", default="", help="the proposal (default: standard output)")
    learn.add_argument("--name", metavar="NAME", default="learned", help="its name (default: learned)")
    learn.add_argument("--owner", metavar="TEXT", default="chopmark policy learn", help="who answers for the rules")
    learn.add_argument("--force", action="store_true", help="replace a file that is there")
    _add_corpus(learn)
    learn.set_defaults(do=_learn)


def _add_corpus(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--events", action="append", default=[], metavar="F", help="events (JSON lines); may be repeated"
    )
    parser.add_argument(
        "--root", action="append", default=[], metavar="DIR", help="a host's files, or an image's; / is this"
    )
    policy_use.add_signers(parser)
    verify.add_trust_arguments(parser)
    parser.add_argument("--catalogs", action="append", metavar="F|DIR", help="catalogs that count; may be repeated")
    parser.add_argument("-j", "--jobs", metavar="N", help="processes (default: one per processor)")


def _corpus(args: Namespace, connections: ExitStack) -> Iterator[Event]:
    """Recorded events, then the code in trees."""
    yield from chain.from_iterable(map(_events, args.events))
    if not args.root:
        return
    from chopmark.engine import batch
    from chopmark.engine.policing import judging
    from chopmark.policy import state

    context = verify.context_for(args, connections)
    verify.add_catalogs(args, context)
    with state.opened(write=False) as known:
        for root in args.root:
            real = os.path.realpath(root)
            paths = judging.files_below(real)
            jobs = batch.jobs_for(len(paths), settings.jobs_wanted(args.jobs, "verify"))
            work = partial(judging.event, context=context, root=real, state=known)
            for event in output.progress(batch.run(paths, work, jobs), len(paths), "judging"):
                if event is not None:
                    yield event


def _events(path: str) -> Iterator[Event]:
    """Raises UsageError where a file is none of events: it is not what is judged."""
    from chopmark.core.errors import MalformedError
    from chopmark.policy import events

    try:
        yield from events.read(path)
    except MalformedError as error:
        raise UsageError(f"no events that can be used: {error}") from None


def _required(args: Namespace) -> None:
    if not (args.events or args.root):
        raise UsageError("nothing to look at: --events F (what a guard recorded) or --root DIR (files)")


def _simulate(args: Namespace) -> int:
    from chopmark.policy import comparing

    _required(args)
    policy = policy_use.load(args.policy, args)
    policy_use.adopt(args, policy)
    counts: dict[str, int] = {}
    used: set[str] = set()
    changed = 0
    with ExitStack() as connections:
        for each in comparing.simulate(policy.compiled, _corpus(args, connections)):
            counts[each.decision.effect] = counts.get(each.decision.effect, 0) + 1
            used.add(each.decision.place)
            changed += each.changed
            if args.json:
                _print_json(each, policy)
            elif args.all or each.changed or (not each.before and not each.decision.allowed):
                _tell(each)
    if not args.json:
        total = ", ".join(f"{count} {effect}" for effect, count in sorted(counts.items()))
        print(f"{counted(sum(counts.values()), 'use')}: {total or 'none'}; {changed} otherwise than recorded")
        unused = [rule for rule in policy.rules if str(rule.place) not in used]
        if unused:
            shown = ", ".join(str(rule.place) for rule in unused[:_SHOWN]) + (", ..." if len(unused) > _SHOWN else "")
            print(output.filled(f"{counted(len(unused), 'rule')} decided nothing: {output.clean(shown)}", ""))
    return 1 if changed else 0


def _tell(each: Simulated) -> None:
    word = f"{each.before} -> {each.decision.effect}" if each.changed else each.decision.effect
    print(f"{word:<10} {output.clean(each.event.file.path)} ({each.event.kind})")
    print(output.filled(_why(each.decision)))


def _why(decision: Any) -> str:  # noqa: ANN401 - policy.deciding.Decision, loaded when needed
    rule = f" by {output.clean(decision.rule.shown)}" if decision.rule else ""
    detail = f" [{output.clean(decision.detail)}]" if decision.detail else ""
    return f"{decision.reason.code}{rule}{detail}"


def _print_json(each: Simulated, policy: Policy) -> None:
    import json

    facts = {
        "path": each.event.file.path,
        "sha256": each.event.file.sha256,
        "use": each.event.kind,
        "at": clock.show(each.event.at),
        "before": each.before or None,
        "changed": each.changed,
        "decision": policy_use.as_dict(each.decision, policy),
    }
    print(json.dumps(facts))


def _diff(args: Namespace) -> int:
    from chopmark.policy import comparing

    old, new = (policy_use.load(path, args) for path in args.policies)
    policy_use.adopt(args, new)
    gone, come = comparing.changes(old.rules, new.rules)
    found = [f"{key}: {before} -> {after}" for key, before, after in _heads(old, new) if before != after]
    for line in found:
        _say(args, {"change": "setting", "detail": line}, line)
    for word, rules in (("gone", gone), ("new", come)):
        for rule in rules:
            _say(args, {"change": word, "rule": str(rule.place), "action": rule.action}, f"{word:<10} {_shown(rule)}")
    effects = 0
    with ExitStack() as connections:
        for before, after in comparing.compare(old.compiled, new.compiled, _corpus(args, connections)):
            if after.changed:
                effects += 1
                _tell_change(args, before, after, new)
    if not args.json:
        said = f"{counted(len(gone), 'rule')} gone, {len(come)} new"
        print(said + (f"; {effects} uses decided otherwise" if args.events or args.root else ""))
    return 1 if found or gone or come or effects else 0


def _tell_change(args: Namespace, before: Any, after: Simulated, new: Policy) -> None:  # noqa: ANN401 - as above
    if args.json:
        _print_json(after, new)
        return
    _tell(after)
    print(output.filled(f"before: {_why(before)}"))


def _heads(old: Policy, new: Policy) -> Iterator[tuple[str, str, str]]:
    for key in ("mode", "revocation", "stores"):
        yield key, _shown_setting(old, key), _shown_setting(new, key)


def _shown_setting(policy: Policy, key: str) -> str:
    value = getattr(policy.main, key)
    return ", ".join(value) if isinstance(value, tuple) else str(value) or "-"


def _say(args: Namespace, facts: dict[str, str], line: str) -> None:
    if args.json:
        import json

        print(json.dumps(facts))
    else:
        print(output.filled(output.clean(line), first=""))


def _shown(rule: Rule) -> str:
    return f"{rule.action} by {rule.rank.name.lower()}, {rule.shown}" + (f": {rule.comment}" if rule.comment else "")


def _learn(args: Namespace) -> int:
    from chopmark.policy import learning, writing

    _required(args)
    if args.output and os.path.lexists(args.output) and not args.force:
        raise UsageError(f"{args.output} is there already; --force replaces it")
    decided: dict[str, int] = {}
    with ExitStack() as connections:
        proposal = learning.propose(_wanted(_corpus(args, connections), decided), args.owner)
    refused = [f"not proposed: {path}: {why}" for path, why in proposal.refused]
    passed = _passed_over(decided)
    text = writing.render(
        args.name,
        "learning",
        proposal.drafts,
        stores=_believed(args, proposal.drafts),
        remarks=["Proposed; look at every rule.", *passed, *refused],
    )
    if not args.output:
        sys.stdout.write(text)
        for line in passed if not proposal.drafts else ():
            print(output.filled(line, first="chopmark: "), file=sys.stderr)
        return 0
    from chopmark.core.patch import write_file
    from chopmark.policy import language

    language.parse(text.encode(), args.output)
    write_file(args.output, text.encode())
    rules = len(proposal.drafts)
    print(f"written    {output.clean(args.output)}: {counted(rules, 'rule')}, for you to look at")
    for line in passed:
        print(output.filled(line))
    if refused:
        print(output.filled(f"not proposed: {counted(len(refused), 'file')}; the policy says which"))
    return 0


def _believed(args: Namespace, drafts: Sequence[Draft]) -> Sequence[str]:
    """The stores that files were verified with: rules about signers hold for nobody where a policy names none."""
    from chopmark.trust.stores import store

    by_digest = all("digest" in dict(draft.keys) for draft in drafts)
    return args.store or (() if by_digest else store.there(verify.stores_of(args)))


def _wanted(events: Iterable[Event], decided: dict[str, int]) -> Iterator[FileFacts]:
    """What was let through only because of the mode, and what nothing was decided about; the rest is counted."""
    for event in events:
        if event.effect in ("", "audit"):
            yield event.file
        else:
            decided[event.effect] = decided.get(event.effect, 0) + 1


def _passed_over(decided: dict[str, int]) -> list[str]:
    """Why there are no rules for uses that somebody decided about."""
    allowed, denied = decided.get("allow", 0), decided.get("deny", 0)
    found = [f"passed over: {counted(allowed, 'use')} that a rule allows already"] if allowed else []
    if denied:
        found.append(
            f"passed over: {counted(denied, 'use')} that a guard denied, since what was denied is not proposed; "
            "policy explain --events tells why, and a guard in mode learning or audit records what is needed"
        )
    return found
