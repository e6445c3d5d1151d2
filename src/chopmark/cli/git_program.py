"""`chopmark-git`: what git runs to sign and to verify (gpg.program, gpg.x509.program, gpg.ssh.program).

git speaks to it as to gpg, gpgsm or ssh-keygen, and expects their answers. The key is `user.signingKey`: a key URI, or
CHOPMARK_KEY and the settings of `chopmark sign`. Whom to trust is in the settings of `chopmark verify`; as
gpg.ssh.program, in git's own gpg.ssh.allowedSignersFile.
"""

from __future__ import annotations

import gc
import os
import sys
from argparse import Namespace
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NoReturn

from chopmark.cli.parsing import Parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.verdict import Verdict
    from chopmark.engine.sign import SignRequest

_STATUS = "[GNUPG:] "


def entry() -> NoReturn:
    """The process; as `chopmark` itself (cli.entry)."""
    gc.disable()
    try:
        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = 130
    with suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str]) -> int:
    """Answer git; 0 for a signature that was made, or is trusted."""
    from chopmark.cli import output
    from chopmark.core.errors import ChopmarkError

    output.prepare()
    try:
        args = _parsed(arguments)
        if args.how is not None:
            from chopmark.cli import git_ssh

            return git_ssh.run(args)
        return _verify(args) if args.verify else _sign(args)
    except ChopmarkError as error:
        output.complain(error)
        return error.exit_status


def _parsed(arguments: Sequence[str]) -> Namespace:
    parser = Parser(prog="chopmark-git", description=__doc__)
    gpg = parser.add_argument_group("as gpg and gpgsm")
    gpg.add_argument("--status-fd", type=int, help="where to say how it went, in words for programs")
    gpg.add_argument("--keyid-format", help="is not heeded")
    gpg.add_argument("--verify", metavar="F", help="the signature; what is signed comes on standard input")
    gpg.add_argument("-b", action="store_true", help="a detached signature, as always")
    gpg.add_argument("-s", dest="signature", help="sign; as ssh-keygen: the signature")
    gpg.add_argument("-a", action="store_true", help="in armour, as always")
    gpg.add_argument("-u", dest="key", help="the key")
    ssh = parser.add_argument_group("as ssh-keygen")
    ssh.add_argument("-Y", dest="how", choices=("sign", "verify", "find-principals", "check-novalidate"))
    ssh.add_argument("-n", dest="namespace", help="what the signature is for: git")
    ssh.add_argument("-f", dest="file", help="the key to sign with; the allowed signers to verify with")
    ssh.add_argument("-I", dest="principal", help="who shall have signed")
    ssh.add_argument("-r", dest="revoked", help="revoked keys, which are not read: use the store")
    ssh.add_argument("-U", dest="agent", action="store_true", help="the key is in the agent")
    ssh.add_argument("-O", dest="option", action="append", help="is not heeded: the time of git's is not proven")
    parser.add_argument("rest", nargs="*")
    return parser.parse_args(_spread(arguments))


def _spread(arguments: Sequence[str]) -> list[str]:
    """`-bsau KEY`, as git calls gpg: -s has no value there, and has one for ssh-keygen."""
    found = []
    for word in arguments:
        if word.startswith("-") and not word.startswith("--") and word.endswith("u") and set(word[1:]) <= set("bsau"):
            found.append("-u")
        else:
            found.append(word)
    return found


def _sign(args: Namespace) -> int:
    from chopmark.core.errors import UsageError
    from chopmark.engine.git import signing

    if args.key is None:
        message = "git calls this program; run `chopmark git --help` for people"
        raise UsageError(message)
    with ExitStack() as connections:
        request = signing_request(args.key, connections)
        made = signing.signature(sys.stdin.buffer.read(), request)
    sys.stdout.buffer.write(made)
    sys.stdout.buffer.flush()
    seconds = int(request.signing_time.timestamp())
    _say(args.status_fd, f"SIG_CREATED D 0 0 00 {seconds} {_key_of(request.signer.public_key)}")
    return 0


def signing_request(key: str, connections: ExitStack, *, ssh: bool = False) -> SignRequest:
    """How to sign with what git has for a key: a URI, a path, or (where nothing is set) the committer's name."""
    from chopmark.cli import git_request

    named = None if key.endswith(">") else key
    options = Namespace(key=named, cert=None, passphrase=None, timestamp=None, timestamp_legacy=None, signing_time=None)
    return git_request.request_for(options, connections, ssh=ssh)


def _verify(args: Namespace) -> int:
    from chopmark.cli import output, verify
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.core.verdict import EXIT_STATUS
    from chopmark.engine.git import judging

    parser = Parser()
    verify.add_trust_arguments(parser)
    signature = read_small(args.verify, limits.ENVELOPE_MAX)
    message = sys.stdin.buffer.read(limits.GIT_OBJECT_MAX + 1)
    with ExitStack() as connections:
        verdict = judging.judge_detached(message, signature, verify.context_for(parser.parse_args([]), connections))
    for line in status_lines(verdict):
        _say(args.status_fd, line)
    print(output.show_verdict(verdict), file=sys.stderr)
    return EXIT_STATUS[verdict.status]


def status_lines(verdict: Verdict) -> list[str]:
    """A verdict in gpg's words (doc/DETAILS). Only what is trusted is called good: git by itself takes more for it."""
    from chopmark.cli import output
    from chopmark.core.verdict import Status

    seal = next((each for each in verdict.seals if each.status is verdict.status), None) or next(
        iter(verdict.seals), None
    )
    signer = seal.signer if seal else None
    key = (signer.fingerprint if signer else "").upper() or "0" * 16
    who = output.one_line(signer.subject) if signer else "nobody"
    if verdict.status is Status.TRUSTED and seal is not None:
        seconds = int(seal.signed_at.timestamp()) if seal.signed_at else 0
        day = seal.signed_at.date().isoformat() if seal.signed_at else "1970-01-01"
        valid = f"VALIDSIG {key} {day} {seconds} 0 4 0 0 0 00 {key}"
        return ["NEWSIG", f"GOODSIG {key[-16:]} {who}", valid, "TRUST_FULLY 0 shell"]
    if verdict.status is Status.REJECTED and seal is not None and not seal.intact:
        return ["NEWSIG", f"BADSIG {key[-16:]} {who}"]
    return ["NEWSIG", f"ERRSIG {key[-16:]} 0 0 00 0 9"]


def _key_of(public_key: bytes) -> str:
    from chopmark.core.digest import of

    return of(public_key, "sha256").hex().upper()


def _say(descriptor: int | None, line: str) -> None:
    """A status line where git reads it; it looks for one behind a line break."""
    if descriptor is None:
        return
    sys.stdout.flush()
    sys.stderr.flush()
    with suppress(OSError):
        os.write(descriptor, f"\n{_STATUS}{line}\n".encode("utf-8", "backslashreplace"))
