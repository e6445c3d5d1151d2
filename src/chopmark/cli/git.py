"""Check and make signatures of git: commits, tags, pushes. No git is needed to check them.

`git verify` judges commits and tags of a repository by the same stores as `chopmark verify`; `A..B` stands for every
commit between. `git receive` is a hook for servers that lets signed pushes in and nothing else. To have git itself
sign and verify with chopmark, set its gpg.program to `chopmark-git` (docs/how-to/sign-in-git.md).

    $ chopmark git verify origin/main..HEAD --store team
    $ chopmark git sign HEAD --key release.key --cert release.pem
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from chopmark.cli import output, sign, verify
from chopmark.core.artifact import read_small
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Iterator

    from chopmark.core.verdict import Verdict
    from chopmark.formats.git.database.repository import Repository
    from chopmark.trust.context import Context


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    check = actions.add_parser("verify", help="check commits and tags")
    check.add_argument("revisions", nargs="*", default=["HEAD"], metavar="REV", help="a commit or tag, or a range A..B")
    _add_common(check)
    tag = actions.add_parser("verify-tag", help="check tags, and that they are what their refs say")
    tag.add_argument("names", nargs="+", metavar="TAG", help="the name of a tag")
    _add_common(tag)
    push = actions.add_parser("verify-push", help="check a push certificate that was kept")
    push.add_argument("certificate", metavar="F|REV", help="a file, or the blob of a repository (the id in full)")
    push.add_argument("--nonce", help="what the push had to answer")
    _add_pushee(push)
    _add_common(push)
    receive = actions.add_parser("receive", help="let signed pushes in: as pre-receive hook, or update hook")
    receive.add_argument("update", nargs="*", metavar="REF OLD NEW", help="as git gives them to an update hook")
    receive.add_argument("--commits", action="store_true", help="every new commit must be signed, too")
    receive.add_argument("--tags", action="store_true", help="every new tag must be signed, too")
    receive.add_argument("--no-certificate", action="store_true", help="the push itself need not be signed")
    receive.add_argument("--nonce-slop", type=int, default=0, metavar="SECONDS", help="how much older its nonce may be")
    _add_pushee(receive)
    _add_common(receive)
    make = actions.add_parser("sign", help="sign a commit or tag anew; prints the id of the new object")
    make.add_argument("revision", metavar="REV", help="a commit or tag")
    make.add_argument("-C", dest="repository", default=".", metavar="DIR", help="the repository (default: here)")
    sign.add_key_arguments(make)
    make.add_argument("--timestamp", action="append", metavar="URL", help="RFC 3161 authority, for X.509; repeatable")
    make.add_argument("--ssh", action="store_true", help="an SSH signature, of whatever kind the key is")
    make.set_defaults(timestamp_legacy=None)
    make.add_argument("--signing-time", metavar="TIME", help="the time to claim (ISO 8601; default now)")


def _add_pushee(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--pushee", action="append", default=[], metavar="URL", help="an address of the repository, as those who push"
        " have it; repeatable: a push signed for any other is refused",
    )  # fmt: skip


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("-C", dest="repository", default=".", metavar="DIR", help="the repository (default: here)")
    verify.add_trust_arguments(parser)
    parser.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status is the answer")
    parser.add_argument("--json", action="store_true", help="one JSON object per commit, tag or push, a line each")


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    if args.action == "sign":
        return _sign(args)
    judges = {"verify": _verify, "verify-tag": _verify_tag, "verify-push": _verify_push, "receive": _receive}
    with ExitStack() as connections:
        return _show(judges[args.action](args, verify.context_for(args, connections)), args)


def _repository(args: Namespace) -> Repository:
    from chopmark.formats.git.database import repository

    # Where receive-pack runs a hook, new objects are in its quarantine, and the environment says where.
    hook = os.environ if args.action == "receive" else {}
    return repository.discover(args.repository, hook)


def _verify(args: Namespace, context: Context) -> Iterator[Verdict]:
    from chopmark.core.verdict import Verdict as Judged
    from chopmark.engine.git import judging, revisions

    repository = _repository(args)
    single, wanted = revisions.parse(repository, args.revisions)
    for named in single:
        yield judging.judge(repository, named, context)
    if wanted is not None:
        found, against = revisions.walk(repository, wanted)
        named_commits = list(revisions.names(found))
        for named in output.progress(named_commits, len(named_commits), "verifying"):
            yield judging.judge(repository, named, context, closely=False)
        if against:
            yield Judged("history", judging.FORMAT, (), tuple(against))


def _verify_tag(args: Namespace, context: Context) -> Iterator[Verdict]:
    from chopmark.engine.git import judging

    repository = _repository(args)
    for name in args.names:
        yield judging.judge_tag(repository, name, context)


def _verify_push(args: Namespace, context: Context) -> Iterator[Verdict]:
    from chopmark.core import limits
    from chopmark.engine.git import pushing, revisions

    if os.path.exists(args.certificate):
        data = read_small(args.certificate, limits.GIT_OBJECT_MAX)
    else:
        repository = _repository(args)
        data = repository.read(revisions.resolve(repository, args.certificate).id).data
    yield pushing.judge_certificate(data, context, args.nonce, args.certificate, args.pushee)


def _receive(args: Namespace, context: Context) -> Iterator[Verdict]:
    from chopmark.core.errors import UsageError
    from chopmark.engine.git import pushing

    wish = pushing.Wish(not args.no_certificate, args.commits, args.tags, args.nonce_slop, tuple(args.pushee))
    if not (wish.push or wish.commits or wish.tags):
        message = "--no-certificate alone lets everything in; --commits and --tags say what must be signed"
        raise UsageError(message)
    if args.update and wish.push:
        message = "git tells an update hook nothing of the certificate; be a pre-receive hook, or give --no-certificate"
        raise UsageError(message)
    if args.update:
        if len(args.update) != 3:  # noqa: PLR2004 - REF OLD NEW
            message = "an update hook is given: REF OLD NEW"
            raise UsageError(message)
        ref, old, new = args.update
        lines = [f"{old} {new} {ref}"]
    else:
        lines = sys.stdin.readlines()
    updates = pushing.updates_from(lines)
    yield from pushing.receive(_repository(args), updates, os.environ, context, wish)


def _show(verdicts: Iterable[Verdict], args: Namespace) -> int:
    """Print each as it comes; the exit status of the worst. Nothing to judge is nothing wrong."""
    statuses: list[Status] = []
    for verdict in verdicts:
        statuses.append(verdict.status)
        if args.json:
            import json  # only for this shape

            from chopmark.engine import report

            print(json.dumps(report.as_dict(verdict)))
        elif not args.quiet:
            print(output.show_verdict(verdict, verbose=args.verbose))
    if not (args.quiet or args.json) and len(statuses) != 1:
        counts = {status: statuses.count(status) for status in Status}
        print(output.show_summary(counts, "object"))
    return EXIT_STATUS[max(statuses, key=SEVERITY.index, default=Status.TRUSTED)]


def _sign(args: Namespace) -> int:
    from chopmark.cli import git_request
    from chopmark.engine.git import revisions, signing

    repository = _repository(args)
    named = revisions.resolve(repository, args.revision)
    with ExitStack() as connections:
        print(signing.sign_object(repository, named.id, git_request.request_for(args, connections, ssh=args.ssh)))
    return 0
