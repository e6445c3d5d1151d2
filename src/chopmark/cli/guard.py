"""Keep code that a policy does not allow from running on this host.

`guard run --policy F --mount DIR` protects the file systems of folders, until it
is stopped, and prints `guard ready` once it does. Programs are judged when they
are executed, scripts when an interpreter opens them. `guard doctor` tells what
the host leaves open, `guard status`, `top` and `events` what a guard is doing.

    $ chopmark guard run --policy policy.toml --mount /srv
    $ chopmark guard doctor /srv
    $ chopmark guard python --policy policy.toml job.py
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from chopmark.cli import guard_bpf, guard_launch, guard_run, output
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

_MARKS = {"ok": "ok", "no": "OPEN", "unknown": "?", "info": "-"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    guard_run.add_arguments(actions)
    guard_launch.add_arguments(actions)
    guard_bpf.add_arguments(actions)
    for name, help_ in (
        ("status", "what a running guard protects, and what it did"),
        ("top", "the same, again and again"),
        ("metrics", "the same for Prometheus"),
        ("events", "the last events"),
        ("reload", "have it read policy, stores and catalogs anew (it also notices by itself)"),
    ):
        action = actions.add_parser(name, help=help_)
        _add_control(action)
        if name in ("status", "events"):
            action.add_argument("--json", action="store_true", help="JSON objects, a line each")
        if name == "events":
            action.add_argument("-f", "--follow", action="store_true", help="go on with those that come")
        if name == "top":
            action.add_argument(
                "-n", "--count", type=int, default=0, metavar="N", help="look N times (default: for ever)"
            )
    release = actions.add_parser("release", help="protect a file system no more, so that it can be unmounted")
    release.add_argument("folder", metavar="DIR", help="a folder on it")
    _add_control(release)
    warm = actions.add_parser("warm", help="have it look at all files below a folder before anybody uses them")
    warm.add_argument("folder", metavar="DIR", help="a folder on a protected file system")
    _add_control(warm)
    glass = actions.add_parser("break-glass", help="deny nothing for a while; everything is told")
    glass.add_argument("--minutes", type=float, required=True, metavar="N", help="for how long; 0 denies again")
    glass.add_argument("--why", required=True, metavar="TEXT", help="the reason, for the record")
    _add_control(glass)
    doctor = actions.add_parser("doctor", help="what this host leaves open, and the setting that closes it")
    doctor.add_argument("folders", nargs="*", metavar="DIR", help="folders to be protected")
    doctor.add_argument("--json", action="store_true", help="one JSON object per finding, a line each")


def _add_control(parser: ArgumentParser) -> None:
    parser.add_argument("--control", metavar="F", help=f"the guard's socket (default {guard_run.control_path()})")


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    actions: dict[str, Callable[[Namespace], int]] = {
        "run": guard_run.run,
        "hold": guard_run.hold,
        "unit": guard_run.unit,
        "exec": guard_launch.execute,
        "python": guard_launch.python,
        "bpf": guard_bpf.run,
        "doctor": _doctor,
        "status": _status,
        "top": _top,
        "metrics": _metrics,
        "events": _events,
        "reload": _reload,
        "release": _release,
        "warm": _warm,
        "break-glass": _break_glass,
    }
    return actions[args.action](args)


def _ask(args: Namespace, what: str, **more: object) -> dict[str, Any]:
    from chopmark.agent import control

    return control.ask(args.control or guard_run.control_path(), what, **more)


def _status(args: Namespace) -> int:
    facts = _ask(args, "status")
    if args.json:
        _json(facts)
    else:
        print("\n".join(_shown(facts)))
    return 0


def _shown(facts: dict[str, Any]) -> list[str]:
    rows = [("mode", facts["mode"]), ("policy", output.clean(facts["policy"])), ("since", facts["since"])]
    glass = facts["glass"]
    if glass is not None:
        who = output.clean(glass["user"]) or glass["uid"]
        rows.append(("GLASS", f"broken since {glass['since']} by {who}, until {glass['until']}; nothing is denied"))
        rows.append(("", output.clean(glass["why"])))
    for mount in facts["protected"]:
        loose = "  (no leases: judged each time)" if mount["place"] in facts["unleased"] else ""
        rows.append(("protects", f"{output.clean(mount['place'])}  {mount['kind']}{loose}"))
    lost = f"{facts['events_lost']} dropped, {facts['events_unwritten']} not written"
    rows += [
        ("allowed", f"{facts['allowed']}, and {facts['passed']} opens that no policy is about"),
        ("denied", f"{facts['denied']}; {facts['audited']} more were only told of"),
        ("looked at", f"{facts['looked']} files, {facts['ahead']} ahead; {facts['known']} answers from memory"),
        ("kept", f"{facts['kept']} files leased, {facts['ignored']} of them allowed by the kernel itself"),
        ("trouble", f"{facts['written']} being written, {facts['failed']} failed, {facts['late']} late"),
        ("events", f"{facts['events_alike']} alike and told of together, {lost}"),
        ("memory", f"{facts['memory_kib'] // 1024} MiB at most, {facts['contents']} contents known"),
    ]
    return [_row(name, value) for name, value in rows]


def _row(name: str, value: str) -> str:
    return output.filled(value, " " * 11, f"{name:<11}")


def _top(args: Namespace) -> int:
    import time

    looks = 0
    before: dict[str, Any] | None = None
    while True:
        facts = _ask(args, "status")
        lines = _shown(facts)
        if before is not None:
            rates = {name: facts[name] - before[name] for name in ("allowed", "denied", "looked", "known", "passed")}
            lines.append(_row("a second", ", ".join(f"{count} {name}" for name, count in rates.items())))
        # At once, so that it does not flicker; elsewhere an empty line parts the looks.
        print(("\x1b[H\x1b[2J" if sys.stdout.isatty() else "\n" if looks else "") + "\n".join(lines), flush=True)
        before = facts
        looks += 1
        if args.count and looks >= args.count:
            return 0
        time.sleep(1)


def _metrics(args: Namespace) -> int:
    print(_ask(args, "metrics")["text"], end="")
    return 0


def _events(args: Namespace) -> int:
    from chopmark.agent import control, telling

    path = args.control or guard_run.control_path()
    for event in control.follow(path) if args.follow else control.ask(path, "events")["events"]:
        if args.json:
            _json(event)
        else:
            print(output.clean(f"{event['at']}  {telling.summary(event)}"), flush=True)
    return 0


def _reload(args: Namespace) -> int:
    _ask(args, "reload")
    return 0


def _release(args: Namespace) -> int:
    _ask(args, "release", folder=os.path.abspath(args.folder))
    return 0


def _warm(args: Namespace) -> int:
    _ask(args, "warm", folder=os.path.abspath(args.folder))
    return 0


def _break_glass(args: Namespace) -> int:
    if not args.why.strip():
        message = "say why"
        raise UsageError(message)
    _ask(args, "break-glass", seconds=args.minutes * 60, why=args.why)
    broken = f"broken for {args.minutes:g} min; nothing is denied" if args.minutes else "whole again"
    print(_row("GLASS", f"{broken}; guard status tells more"))
    return 0


def _doctor(args: Namespace) -> int:
    from chopmark.agent import doctor
    from chopmark.core.finding import Outcome

    worst = 0
    for symptom in doctor.examine(args.folders):
        if symptom.outcome is Outcome.NO:
            worst = 1
        elif symptom.outcome is Outcome.UNKNOWN and not worst:
            worst = 3
        if args.json:
            _json({**symptom._asdict(), "outcome": str(symptom.outcome)})
            continue
        print(output.filled(f"{symptom.name}: {symptom.found}", "      ", f"{_MARKS[str(symptom.outcome)]:5} "))
        if symptom.remedy and symptom.outcome is not Outcome.OK:
            print(output.filled(symptom.remedy, "         ", "      -> "))
    return worst


def _json(value: dict[str, Any]) -> None:
    import json

    print(json.dumps(value), flush=True)
