"""Keep and check transparency logs (C2SP tlog-tiles).

They tell what was signed, issued and revoked, in an order that nobody can
change afterwards.

LOG is the folder of a log (`log init`), of an authority (`ca init`), or what is
served of either, also as a URL. Without LOG it is the authority's folder:
CHOPMARK_CA, or `ca` among chopmark's data. A passphrase never stands on the
command line: SRC is prompt, fd:N (a line of an open file descriptor) or env:NAME.

    $ chopmark log init releases --origin log.example.com/releases
    $ chopmark log append setup.exe --log releases --proofs
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from chopmark.cli import log_read, output
from chopmark.cli.key import add_new_passphrase, new_passphrase
from chopmark.cli.log_read import place
from chopmark.core.counting import counted
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark import keys
    from chopmark.authority.logbook import Event
    from chopmark.envelopes.tlog.proof import Proof

_NO_LOG = "the log's folder (default: the authority's)"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    init = actions.add_parser("init", help="begin a log, in a folder of its own or an authority's")
    init.add_argument("log", metavar="LOG", help="folder: a new one, or that of an authority")
    init.add_argument("--origin", metavar="NAME", help="its name: where it is served, without the scheme")
    init.add_argument("--key", metavar="URI", help="an Ed25519 key there is (default: a new one in the folder)")
    add_new_passphrase(init)
    append = actions.add_parser("append", help="log files by their digests")
    append.add_argument("files", nargs="+", metavar="FILE", help="file whose SHA-256 is logged")
    append.add_argument("--log", metavar="LOG", help=_NO_LOG)
    append.add_argument("--detail", default="", metavar="TEXT", help="a few words that everybody may read")
    append.add_argument("--proofs", action="store_true", help="write FILE.tlog-proof for each")
    prove = actions.add_parser("prove", help="write the proof that an entry is in the log")
    prove.add_argument("entry", metavar="NUMBER|FILE|SERIAL", help="its number, a file that was signed, a certificate")
    prove.add_argument("--log", metavar="LOG", help=_NO_LOG)
    prove.add_argument("-o", "--output", metavar="F", help="file to write (default: standard output)")
    checkpoint = actions.add_parser("checkpoint", help="bring everything under a signed checkpoint, and print it")
    checkpoint.add_argument("log", nargs="?", metavar="LOG", help=_NO_LOG)
    for action in (append, checkpoint):
        action.add_argument("--passphrase", metavar="SRC", help="of the log's key")
    log_read.add_arguments(actions)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    actions = {"init": _init, "append": _append, "prove": _prove, "checkpoint": _checkpoint}
    return actions[args.action](args) if args.action in actions else log_read.run(args)


def _init(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.log import folder, keeping
    from chopmark.authority.register import configuration
    from chopmark.core import folders
    from chopmark.keys import generate

    within = configuration.exists(args.log)
    if not within and not args.origin:
        message = "a log of its own needs a name: --origin example.com/log"
        raise UsageError(message)
    path = os.path.join(args.log, *(("keys",) if within else ()), keeping.KEY_FILE)
    with folders.made(os.path.dirname(path), 0o777 if args.key else 0o700):
        uri, secret = args.key, None
        if not uri:
            secret = new_passphrase("the log's key", args)
            generate.store(path, generate.encode(generate.new("ed25519"), secret))
            uri = f"{keeping.FOLDER_KEY}{keeping.KEY_FILE}"
        source = (lambda _: secret) if secret else keys.secret(args.passphrase)
        try:
            if within:
                key, size = _begin_within(args, uri, source)
            else:
                key, size = str(folder.FolderLog.make(args.log, args.origin, uri, source).key), 0
        except BaseException:
            if not args.key:
                os.unlink(path)  # nothing was signed with it
            raise
    print(f"made       {output.clean(args.log)}")
    print(f"           {counted(size, 'entry', 'entries')}")
    print(f"key        {output.clean(key)}")
    return 0


def _begin_within(args: Namespace, uri: str, source: keys.Passphrase) -> tuple[str, int]:
    from chopmark import keys
    from chopmark.authority.ca import Authority
    from chopmark.authority.log import keeping

    with Authority.open(args.log) as authority:
        origin = args.origin or keeping.origin(authority.register.setting("url"))
        signer = keys.open_key(keeping.located(args.log, uri), source)
        signed = authority.log.begin(origin, uri, signer)
        return str(authority.log.log().key), signed.checkpoint.size


def _append(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority import logbook
    from chopmark.core import patch
    from chopmark.engine.logged import SUFFIX

    events = [_file_event(path, args.detail) for path in args.files]
    with logbook.opened(place(args.log), keys.secret(args.passphrase)) as book:
        numbers = book.record(events)
        for path, number in zip(args.files, numbers, strict=True):
            print(f"logged     {output.clean(path)}")
            print(f"           entry {number} of {output.clean(book.log.origin)}")
            if args.proofs:
                patch.write_file(path + SUFFIX, book.log.prove(number).encode())
                print(f"proof      {output.clean(path + SUFFIX)}")
    return 0


def _file_event(path: str, detail: str) -> Event:
    from chopmark.authority.logbook import Event
    from chopmark.core.artifact import Artifact
    from chopmark.engine import logged

    with Artifact.open(path) as artifact:
        return Event("file", detail, {"file_sha256": logged.sha256(artifact)})


def _prove(args: Namespace) -> int:
    from chopmark.authority import logbook
    from chopmark.core import patch

    with logbook.opened(place(args.log)) as book:
        if args.entry.isascii() and args.entry.isdigit() and not os.path.exists(args.entry):
            proof: Proof = book.log.prove(int(args.entry[:20]))
        else:
            proof = book.log.prove(log_read.number_of(book.log, args.entry))
    if args.output:
        patch.write_file(args.output, proof.encode())
        print(f"proof      {output.clean(args.output)}", file=sys.stderr)
    else:
        print(proof.encode().decode(), end="")
    return 0


def _checkpoint(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority import logbook

    with logbook.opened(place(args.log), keys.secret(args.passphrase)) as book:
        print(book.settle().note.encode().decode(), end="")
    return 0
