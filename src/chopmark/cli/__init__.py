"""The command line: one file per verb, and nothing imported before it is needed."""

from __future__ import annotations

import errno
import gc
import os
import sys
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator

VERBS = {
    "sign": "sign files, or finish a signature made elsewhere",
    "verify": "check signatures: trusted, unsigned, undecided or rejected, and why",
    "inspect": "show what is in a file's signatures, with no judgement",
    "strip": "take the signatures out",
    "key": "make and show signing keys",
    "ca": "run a certificate authority: init, issue, revoke, crl, list",
    "tsa": "run a time-stamp authority",
    "ocsp": "answer and ask whether certificates were revoked",
    "log": "keep and check transparency logs",
    "git": "check and make signatures of commits, tags and pushes",
    "services": "list what starts by itself, and check that all of it is signed",
    "apt": "follow signed releases to packages and installed files",
    "catalog": "list the files of a tree or host, sign the list, compare with it",
    "secureboot": "make and sign the lists of Secure Boot; judge boot loaders",
    "fsverity": "digests of fs-verity: compute, measure, enable",
    "dmverity": "volumes of dm-verity: make, show and check trees of digests",
    "policy": "say which code may be used, check and try what was said, explain it",
    "store": "show and change the trust stores",
    "evidence": "show certificates, lists and answers at hand, and their age",
    "blocklist": "say what is never to be trusted: certificates, keys, files, drivers",
    "guard": "keep code that the policy does not allow from running",
    "demo": "the whole story on real files: sign, attack, revoke, verify",
}


def entry() -> NoReturn:
    """The process `chopmark`: run one command and leave at once.

    A short-lived process neither profits from collecting garbage while it loads nor from taking itself apart at the
    end; both together take as long as starting Python. Work on many files turns collection on again (engine.batch).
    """
    gc.disable()
    _have_streams()
    try:
        status = _status()
        sys.stdout.flush()
    except KeyboardInterrupt:  # before the command itself could notice
        status = _fail("interrupted", 130)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        status = _unwritten(error)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def _have_streams() -> None:
    """Who closed a standard stream wants nothing of it; no file that we open may get its number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            os.dup2(nothing := os.open(os.devnull, os.O_RDWR), number)
            if nothing != number:
                os.close(nothing)
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8"))  # noqa: SIM115 - for as long as we live


def _status() -> int:
    try:
        return main()
    except SystemExit as stop:  # argparse has told, or helped
        return stop.code if isinstance(stop.code, int) else 0


_UNWRITABLE = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What goes wrong with the place that the answer is written to."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status (0 trusted, 1 rejected, 2 usage, 3 undecided, 4 the tool failed)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        if arguments[0:1] == ["help"] and arguments[1:]:
            return main([*arguments[1:], "--help"])
        if len(arguments) > 1 and arguments[1] in VERBS:
            return main([arguments[1], "--help"])
        print(_overview(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] in ("-V", "--version"):
        from chopmark import __version__  # only this answer needs it

        print(f"chopmark {__version__}")
        return 0
    if arguments[0] not in VERBS:
        from chopmark.core.meaning import meant  # only this answer needs it

        what, known = ("option", ("--help", "--version")) if arguments[0].startswith("-") else ("command", VERBS)
        return _fail(f"no such {what}: {arguments[0]!r}{meant(arguments[0], known)}; chopmark --help lists them", 2)
    return _run(arguments[0], arguments[1:])


def _overview() -> str:
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items())
    return f"""usage: chopmark COMMAND [ARGUMENT ...]

Signs what you ship, checks what you get, and lets nothing else run.

commands:
{verbs}

  chopmark COMMAND --help tells more; --version says which this is.

exit status: 0 trusted, 1 rejected or unsigned, 2 usage, 3 undecided, 4 failure"""


def _run(verb: str, arguments: list[str]) -> int:
    with _uninterrupted():
        from chopmark.cli.parsing import Parser  # with argparse, without which --help answers
        from chopmark.core.errors import ChopmarkError

        module = import_module(f"chopmark.cli.{verb}")
    parser = Parser(prog=f"chopmark {verb}", description=module.__doc__)
    module.add_arguments(parser)
    try:
        status: int = module.run(parser.parse_args(arguments))
        sys.stdout.flush()
    except ChopmarkError as error:
        return _fail(str(error), error.exit_status)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:  # noqa: BLE001 - nobody else is there to say it in a line
        if isinstance(error.__cause__, KeyboardInterrupt):  # what it becomes where a class is made
            return _interrupted()
        return _unwritten(error) if isinstance(error, OSError) and error.errno in _UNWRITABLE else _untold(error)
    return status


def _untold(error: Exception) -> int:
    """Nobody had a word for it. Where it is about a file, it is less likely a mistake of ours than one of its place."""
    if os.environ.get("CHOPMARK_TRACEBACK"):
        raise error
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return _fail(f"{os.fsdecode(error.filename)}: {error.strerror}", 4)
    return _internal(error)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Have an interrupt wait until the end.

    Raised while modules are loaded, it is lost where nobody can catch it, or becomes a RuntimeError (see
    object.__set_name__).
    """
    import signal

    came: list[int] = []
    # Whoever ignores interrupts, or answers them otherwise, goes on doing so; and other threads never hear of them.
    waits = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with suppress(ValueError):
        if waits:
            signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        with suppress(ValueError):
            if waits:
                signal.signal(signal.SIGINT, signal.default_int_handler)
    if came:
        raise KeyboardInterrupt


def _interrupted() -> int:
    if sys.stderr.isatty():
        print(file=sys.stderr)  # the line on which ^C was typed, or a prompt was waiting, ends here
    return _fail("interrupted", 130)


def _unwritten(error: OSError) -> int:
    """Whoever read our output has gone, or there is no room for it; what was not read is not a verdict."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 4 if error.errno == errno.EPIPE else _fail(f"no answer written: {os.strerror(error.errno or 0)}", 4)


def _internal(error: Exception) -> int:
    what = " ".join(str(error).split())[:300]
    return _fail(f"internal error: {type(error).__name__}: {what} (CHOPMARK_TRACEBACK=1 shows where)", 4)


def _fail(message: str, status: int) -> int:
    from chopmark.cli import output  # what is quoted may come from anywhere

    with suppress(OSError):
        output.prepare()
        print("chopmark:", output.one_line(message), file=sys.stderr)
    return status
