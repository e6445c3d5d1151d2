"""`chopmark-git` as git's gpg.ssh.program: the answers of ssh-keygen -Y."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import UsageError
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.envelopes.ssh.keys import Key


def run(args: Namespace) -> int:
    """Do what git asks ssh-keygen for. Raises UsageError for what is not done here."""
    if args.how == "sign":
        return _sign(args)
    if args.revoked:
        message = "lists of revoked SSH keys (gpg.ssh.revocationFile) are not read; take the key out of the store"
        raise UsageError(message)
    if not args.signature or (args.how != "check-novalidate" and not args.file):
        message = f"-Y {args.how} needs -s, and -f with the allowed signers"
        raise UsageError(message)
    return {"find-principals": _find, "verify": _verify, "check-novalidate": _look}[args.how](args)


def _sign(args: Namespace) -> int:
    from chopmark.cli import git_program
    from chopmark.core.patch import write_file
    from chopmark.engine.git import signing

    if args.agent or len(args.rest) != 1 or not args.file:
        message = "set user.signingKey to a key URI or to the path of a key; for one in an agent, ssh-agent:..."
        raise UsageError(message)
    [target] = args.rest
    with ExitStack() as connections:
        request = git_program.signing_request(_uri(args.file), connections, ssh=True)
        write_file(target + ".sig", signing.signature(read_small(target, limits.GIT_OBJECT_MAX), request), 0o600)
    return 0


def _uri(key: str) -> str:
    """What git has for a key: a URI, or a path as ssh-keygen takes it, of either half."""
    if not os.path.exists(key):
        return key
    private = key.removesuffix(".pub")
    return f"ssh:{private}" if os.path.exists(private) else f"ssh:{key}"


def _key(args: Namespace) -> Key:
    from chopmark.envelopes import ssh

    return ssh.read(read_small(args.signature, limits.SSH_SIGNATURE_MAX)).key


def _find(args: Namespace) -> int:
    """Whose key it is, by the list; whether it may sign is said later."""
    from chopmark.cli import output

    found = _principals(args)
    for name in found:
        print(output.one_line(name))
    return 0 if found else 1


def _verify(args: Namespace) -> int:
    from chopmark.cli import output
    from chopmark.core import clock
    from chopmark.engine.git import judging
    from chopmark.trust import context
    from chopmark.trust.stores import store

    if args.principal not in _principals(args):
        print("Could not verify signature.")
        return 1
    judge = context.Context(store.load([args.file]), clock.now(), context.OFF)
    signature = read_small(args.signature, limits.SSH_SIGNATURE_MAX)
    verdict = judging.judge_detached(sys.stdin.buffer.read(limits.GIT_OBJECT_MAX + 1), signature, judge)
    if verdict.status is not Status.TRUSTED:
        print("Could not verify signature.")
        print(output.show_verdict(verdict), file=sys.stderr)
        return 1
    print(f'Good "git" signature for {output.one_line(args.principal)} with {_shown(_key(args))}')
    return 0


def _principals(args: Namespace) -> list[str]:
    from chopmark.envelopes import ssh

    key = _key(args)
    wanted = {key.blob} if key.certificate is None else {key.blob, key.certificate.authority}
    known = ssh.public_keys(read_small(args.file, limits.STORE_FILE_MAX)) or []
    return list(dict.fromkeys(name for each in known if each.raw in wanted for name in each.terms.principals))


def _look(args: Namespace) -> int:
    """Whether it is the key's own, whoever has that; git says itself that this is not enough."""
    from chopmark.engine.git import judging

    signature = read_small(args.signature, limits.SSH_SIGNATURE_MAX)
    if not judging.intact(sys.stdin.buffer.read(limits.GIT_OBJECT_MAX + 1), signature):
        print("Could not verify signature.")
        return 1
    print(f'Good "git" signature with {_shown(_key(args))}')
    return 0


def _shown(key: Key) -> str:
    kind = key.kind.removeprefix("sk-").removeprefix("ssh-").partition("-")[0].partition("@")[0].upper()
    return f"{kind} key {key.shown}"
