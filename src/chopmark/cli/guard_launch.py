"""`chopmark guard exec` and `guard python`: starting interpreters so that what they run was asked about."""

from __future__ import annotations

import os
from argparse import REMAINDER
from typing import TYPE_CHECKING, Any

from chopmark.core.errors import ChopmarkError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable


_EXEC = """Run a program, or an interpreter with a script, that was asked about; what is denied is not started.

    $ chopmark guard exec --policy policy.toml --script job.sh sh
    $ chopmark guard exec --policy policy.toml ./tool --option
"""


def add_arguments(actions: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the commands."""
    execute_ = actions.add_parser(
        "exec", help="run a program, or an interpreter with a script, that was asked about", description=_EXEC
    )
    execute_.add_argument(
        "--script", metavar="F", help="have PROGRAM run this script, by a descriptor that nobody can exchange"
    )
    _add_policy(execute_, "decide about the script, else the program, by this policy, with or without a guard")
    execute_.add_argument("program", metavar="PROGRAM", help="what to start")
    execute_.add_argument(
        "arguments", nargs=REMAINDER, metavar="ARG", help="its arguments (the script's, with --script)"
    )
    python_ = actions.add_parser("python", help="run a Python script whose imports are asked about as well")
    _add_policy(python_, "decide by this policy as well, with or without a guard")
    python_.add_argument("arguments", nargs=REMAINDER, metavar="SCRIPT|-m NAME", help="and its arguments")


def _add_policy(parser: Any, what: str) -> None:  # noqa: ANN401 - likewise
    parser.add_argument("--policy", metavar="F", help=what)
    parser.add_argument(
        "--catalogs", action="append", metavar="F|DIR", help="catalogs that vouch for files; repeatable"
    )


def execute(args: Namespace) -> int:
    """Become the program."""
    from chopmark.agent import launching

    try:
        if args.script:
            launching.execute(args.program, args.script, args.arguments, _check(args))
        launching.start(args.program, args.arguments, _check(args))
    except OSError as error:
        message = f"{args.script or args.program}: {error.strerror}"
        raise UsageError(message) from None
    return 0


def python(args: Namespace) -> int:
    """Be the interpreter."""
    import traceback  # now: later it would be asked about

    from chopmark.agent import launching

    check = _check(args)
    try:
        launching.python(args.arguments, check)
    except (ChopmarkError, SystemExit, KeyboardInterrupt):
        raise
    except BaseException:  # noqa: BLE001 - the script's own, shown as Python shows it
        traceback.print_exc()
        return 1
    return 0


def _check(args: Namespace) -> Callable[[int, str], str] | None:
    """What decides by a policy, in this process."""
    if not args.policy:
        if args.catalogs:
            message = "--catalogs goes with --policy"
            raise UsageError(message)
        return None
    from chopmark.agent import opening, preparing, settings, uses
    from chopmark.agent.examining import Examination
    from chopmark.agent.memory import Memory
    from chopmark.core import clock
    from chopmark.policy.deciding import Effect

    world = opening.opened(settings.Sources(policy=args.policy, catalogs=tuple(args.catalogs or ())))
    preparing.preload()  # what is imported later would ask about itself
    examination = Examination(world, Memory("", lambda _: None))

    def check(descriptor: int, path: str) -> str:
        facts = world.at(examination.examine(descriptor, path), os.path.realpath(path))
        kind = uses.EXEC if uses.is_native(descriptor) else uses.SCRIPT
        decision = world.policy.compiled.rule_on(facts, kind, clock.now()).decide()
        return decision.reason.sentence if decision.effect is Effect.DENY else ""

    return check
