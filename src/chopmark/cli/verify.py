"""Check the signatures of files: trusted, unsigned, undecided or rejected, and why.

Every path is reported; the exit status is that of the worst. Without --store, files are trusted through the
`corp` store, if there is one, and Microsoft's list.

    $ chopmark verify setup.exe install.sh
    $ chopmark verify dist/* --store corp --policy policy.toml --json
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING

from chopmark.cli import output, policy_use
from chopmark.cli.settings import jobs_wanted, setting, switch, text, words
from chopmark.core import clock, places
from chopmark.core.counting import counted
from chopmark.core.errors import UsageError
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status
from chopmark.engine import batch, check, identify

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence

    from chopmark.core.contracts import Fetcher
    from chopmark.core.verdict import Verdict
    from chopmark.trust.blocklists.blocklist import Blocklist
    from chopmark.trust.context import Context
    from chopmark.trust.crl.origins import CrlSource
    from chopmark.trust.evidence import Collector, Evidence
    from chopmark.trust.log.keys import Trusted


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file to check (FILE.p7s beside it is found)")
    parser.add_argument("--signature", metavar="F", help="the file's signature, where it lies elsewhere (one PATH)")
    add_trust_arguments(parser)
    parser.add_argument(
        "--catalogs", action="append", metavar="F|DIR", help="trust files that a signed catalog lists; may be repeated"
    )
    parser.add_argument(
        "--apt",
        metavar="DIR",
        help="trust packages that a repository's signed release leads to: apt's lists, or a mirror",
    )
    parser.add_argument(
        "--apt-keyring", action="append", metavar="F", help="its keys (default: as this host's sources say)"
    )
    parser.add_argument("--format", metavar="NAME", default="", help="take the file for this format")
    parser.add_argument("--policy", metavar="F", help="decide by this policy; 0 is allowed then, 1 denied, 3 undecided")
    policy_use.add_signers(parser)
    policy_use.add_use(parser, whole=False)
    parser.add_argument(
        "--remember", action="store_true", help="refuse older versions of allowed products from now on (no-rollback)"
    )
    parser.add_argument("-j", "--jobs", metavar="N", help="processes (default: one per processor)")
    parser.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing; the exit status is the answer")
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    shape.add_argument("--sarif", action="store_true", help="one SARIF 2.1.0 log")


def add_trust_arguments(parser: ArgumentParser) -> None:
    """The options that say whom to trust, when, and with which revocation data."""
    parser.add_argument(
        "--store",
        action="append",
        metavar="NAME|F",
        help="whom to trust: corp, microsoft, system, another store's name, or a PEM file or folder; may be repeated",
    )
    parser.add_argument("--at", metavar="TIME", help="judge as of this time instead of now (ISO 8601)")
    parser.add_argument(
        "--revocation",
        choices=("require", "prefer", "off"),
        help="what to do without revocation data: undecided, go on and say so (default), or do not ask",
    )
    parser.add_argument(
        "--crl", action="append", metavar="F", help="a CRL (DER or PEM), or a folder of *.crl; may be repeated"
    )
    parser.add_argument(
        "--ocsp", action="append", metavar="F", help="an OCSP answer (DER or PEM), or a folder of *.ors; repeatable"
    )
    parser.add_argument(
        "--evidence",
        metavar="DIR",
        help="folder of certificates, CRLs and OCSP answers to use besides (none is trusted)",
    )
    parser.add_argument(
        "--collect", metavar="DIR", help="put everything that the answer rests on there, for --evidence"
    )
    parser.add_argument(
        "--blocklist", action="append", metavar="F", help="refuse what this list names, besides those added; repeatable"
    )
    parser.add_argument("--offline", action="store_true", default=None, help="fetch nothing from the network")
    parser.add_argument(
        "--log-key",
        action="append",
        metavar="KEY|F",
        help="the signature must be in this log: its key, or a file of keys; FILE.tlog-proof shows it",
    )
    parser.add_argument("--witness", action="append", metavar="KEY|F", help="and this witness must have seen the log")


def run(args: Namespace) -> int:
    """Verify and print; the exit status of the worst verdict."""
    output.prepare()
    identify.known(args.format)
    if args.signature and (len(args.paths) != 1 or args.policy):
        raise UsageError("--signature goes with one PATH, and without --policy")
    if args.policy:
        from chopmark.cli import verify_policy  # hardly anybody has one

        return verify_policy.run(args)
    if args.use or args.remember or args.policy_store:
        raise UsageError("--use, --remember and --policy-store go with --policy")
    # One process collects, so that a folder that cannot be written ends the run in one clear line.
    jobs = 1 if args.collect else batch.jobs_for(len(args.paths), jobs_wanted(args.jobs, "verify"))
    statuses: list[Status] = []
    verdicts: list[Verdict] = []
    with ExitStack() as connections:
        context = context_for(args, connections)
        add_catalogs(args, context)
        work = partial(_judged, context=context, args=args)
        judged = batch.run_groups(args.paths, work, jobs)
        for status, text_, verdict in output.progress(judged, len(args.paths), "verifying"):
            statuses.append(Status(status))
            if text_:
                print(text_)
            if verdict:
                verdicts.append(verdict)
    if args.sarif:
        print_sarif(verdicts)
    elif len(args.paths) > 1 and not (args.quiet or args.json):
        print(output.show_summary({status: statuses.count(status) for status in Status}))
    tell_collected(context, args)
    return EXIT_STATUS[max(statuses, key=SEVERITY.index)]


_Judged = tuple[str, str, "Verdict | None"]
"""What comes back from the process that looked at a file: the word, and what to print or to collect."""


def _judged(paths: Sequence[str], context: Context, args: Namespace) -> Iterator[_Judged]:
    verdicts: Iterator[Verdict]
    if args.signature:
        verdicts = (check.check_with(path, args.signature, context, args.format) for path in paths)
    else:
        verdicts = check.check_paths(paths, context, args.format)
    return (_rendered(verdict, args) for verdict in verdicts)


def _rendered(verdict: Verdict, args: Namespace) -> _Judged:
    """Render a verdict where it was made: there every reason that it gives has been loaded."""
    if args.sarif:
        return verdict.status.value, "", verdict
    if args.json:
        import json  # only for this shape

        from chopmark.engine import report

        return verdict.status.value, json.dumps(report.as_dict(verdict)), None
    return verdict.status.value, "" if args.quiet else output.show_verdict(verdict, verbose=args.verbose), None


def stores_of(args: Namespace) -> list[str]:
    """The trust stores that options and settings name; those with "?" behind them may be missing."""
    return words(setting(args.store, "verify", "store", default=["corp?", "microsoft"]))


def context_for(args: Namespace, connections: ExitStack) -> Context:
    """Whom to trust, when and with which revocation data, from the options and settings."""
    from chopmark.trust import context
    from chopmark.trust.crl import origins
    from chopmark.trust.ocsp import source
    from chopmark.trust.stores import store  # wrong options are told before this is loaded

    offline = switch(setting(args.offline, "verify", "offline"), "offline")
    fetcher = None if offline else _fetcher(connections)
    names = stores_of(args)
    crls = origins.CrlSource(args.crl or (), fetcher=fetcher)
    return context.Context(
        store=store.load(names),
        at=clock.parse(args.at) if args.at else clock.now(),
        revocation=text(setting(args.revocation, "verify", "revocation", default="prefer"), "revocation"),
        crls=crls,
        fetcher=fetcher,
        besides=context.Besides(
            _evidence(args.evidence, crls),
            _collector(args.collect),
            _blocklists(words(setting(args.blocklist, "verify", "blocklist", default=[]))),
            source.OcspSource(args.ocsp or (), fetcher=fetcher),
            _logs(args),
        ),
    )


def _fetcher(connections: ExitStack) -> Fetcher:
    from chopmark.net import http  # only who goes online

    return connections.enter_context(closing(http.HttpFetcher()))


def add_catalogs(args: Namespace, context: Context) -> None:
    """Catalogs, and a repository, that vouch for files; judged once. Raises UsageError and InputError."""
    if args.catalogs:
        from chopmark.engine.catalog import consulting  # hardly anybody has one

        context.vouchers = consulting.load(args.catalogs, context)
    if getattr(args, "apt_keyring", None) and not args.apt:
        raise UsageError("--apt-keyring goes with --apt: which repository is signed with these keys?")
    if getattr(args, "apt", None):
        from chopmark.cli import apt_part  # likewise

        context.vouchers += (apt_part.voucher(args.apt, args.apt_keyring, context.at),)


def _blocklists(files: Sequence[str]) -> tuple[Blocklist, ...]:
    try:
        os.stat(places.blocklists())
    except FileNotFoundError:
        if not files:
            return ()
    except OSError:
        pass  # it is there and cannot be read, which the lists say
    from chopmark.trust.blocklists import blocklist  # hardly anybody has one

    return blocklist.load(files)


def _evidence(folder: str | None, crls: CrlSource) -> Evidence | None:
    if not folder:
        return None
    from chopmark.trust import evidence  # only for this option

    return evidence.read(folder, crls)


def _collector(folder: str | None) -> Collector | None:
    if not folder:
        return None
    from chopmark.trust import evidence  # likewise

    return evidence.Collector(folder)


def tell_collected(context: Context, args: Namespace) -> None:
    """Where the evidence is, if some was collected."""
    if context.collector is not None and not args.quiet:
        print(_collected(context.collector, context.at), file=sys.stderr)


def _collected(collector: Collector, at: dt.datetime) -> str:
    """Where it is, and the options that give the same answer again: whole, to be copied."""
    import shlex  # hardly anybody collects

    what = f"chopmark: {counted(collector.count, 'file')} of evidence in {output.clean(collector.folder)}"
    again = f"--offline --evidence {output.clean(shlex.quote(collector.folder))} --at {clock.show(at)}"
    return f"{what}; the same again, also later:\n{output.INDENT}{again}"


def _logs(args: Namespace) -> Trusted | None:
    keys = words(setting(args.log_key, "verify", "log_key", default=[]))
    witnesses = words(setting(args.witness, "verify", "witness", default=[]))
    if not keys and not witnesses:
        return None
    if not keys:
        message = "--witness goes with --log-key: which log has the witness seen?"
        raise UsageError(message)
    from chopmark.trust.log import keys as log_keys  # only who asks about logs

    return log_keys.trusted(keys, witnesses)


def print_sarif(verdicts: Sequence[Verdict]) -> None:
    """One log for all verdicts."""
    import json  # only for this shape

    from chopmark.cli import sarif

    json.dump(sarif.log(verdicts), sys.stdout, indent=2)
    print()
