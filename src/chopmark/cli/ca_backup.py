"""`chopmark ca backup`, `restore` and `adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core.counting import counted
from chopmark.core.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.cli.ca_part import Actions


_SINCE = (
    "What was done since is not in it. Certificates issued since are unknown: `chopmark ca adopt` enters those that "
    "turn up, and what newer CRLs say. Serial numbers are random, and CRL numbers go on far ahead: none is used twice."
)
_ENDED = (
    "The log {} ended with this: tell those who follow it. `chopmark log init --origin NAME` begins another one, of "
    "another name, with the same entries."
)


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    backup = actions.with_folder("backup", "write everything into one file, while work goes on", _backup)
    backup.add_argument("out", metavar="OUT", help="the file to write")
    backup.add_argument("--key", metavar="URI", help="sign it with this key")
    backup.add_argument("--cert", metavar="F", help="the certificate of that key")
    backup.add_argument("--key-passphrase", metavar="SRC", help="of that key")
    restore = actions.with_folder("restore", "make the authority of a backup, in a new folder", _restore)
    restore.add_argument("backup", metavar="BACKUP", help="a file that `ca backup` wrote")
    restore.add_argument("--database", metavar="URL", help="PostgreSQL, or `file` (default: as it was)")
    restore.add_argument("--sha256", default="", metavar="HEX", help="what `ca backup` said of it")
    restore.add_argument("--signer", metavar="F", help="the certificate whose signature it must have")
    log = restore.add_mutually_exclusive_group(required=True)
    log.add_argument("--checkpoint", metavar="F", help="the newest one that the log published, from who has it")
    log.add_argument("--nothing-later", action="store_true", help="none was published after this backup was made")
    log.add_argument("--end-log", action="store_true", help="it published more than the backup has, and ends")
    adopt = actions.with_folder("adopt", "enter certificates that a restored register lacks", _adopt)
    adopt.add_argument("files", nargs="+", metavar="FILE", help="certificates that its CAs issued, or their CRLs")


def _backup(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.backup.making import backup
    from chopmark.cli.ca import opened, read
    from chopmark.engine import keyring
    from chopmark.envelopes import pem

    signer = keyring.open_key(args.key, keys.secret(args.key_passphrase)) if args.key else None
    certificates = signer.certificates if signer else ()
    if args.cert:
        certificates = tuple(pem.certificates(read(args.cert)))
    with opened(args) as authority:
        made = backup(authority, args.out, signer, certificates)
    print(f"backed up  {output.clean(made.path)}")
    print(output.filled(f"{_held(made.certificates, made.log_entries)}, {counted(made.files, 'file')}"))
    print(f"           {made.sha256}")
    return 0


def _held(certificates: int, log_entries: int) -> str:
    return f"{counted(certificates, 'certificate')}, {counted(log_entries, 'log entry', 'log entries')}"


def _restore(args: Namespace) -> int:
    from chopmark.authority.backup import continuing
    from chopmark.authority.backup.restoring import restore
    from chopmark.cli.ca import folder, read
    from chopmark.core import limits
    from chopmark.core.artifact import read_small
    from chopmark.envelopes import pem, x509

    signer = x509.certificate(pem.certificates(read(args.signer))[0]) if args.signer else None
    place = "" if args.database == "file" else args.database
    later = continuing.Later(read_small(args.checkpoint, limits.NOTE_MAX) if args.checkpoint else b"", args.end_log)
    if args.checkpoint and not later.newest:
        message = f"{args.checkpoint}: empty, not a checkpoint"
        raise UsageError(message)
    made = restore(args.backup, folder(args), later=later, database=place, sha256=args.sha256, signer=signer)
    print(f"restored   {output.clean(made.folder)}")
    print(output.filled(_held(made.certificates, made.log_entries)))
    print(f"           as of {made.made}; the last event was {made.last_event}")
    print(output.filled(_SINCE))
    if made.log_ended:
        print(output.filled(output.clean(_ENDED.format(made.log_ended))))
    return 0


def _adopt(args: Namespace) -> int:
    from chopmark.authority.backup import adoption
    from chopmark.authority.lint import batch
    from chopmark.cli.ca import opened
    from chopmark.core import limits
    from chopmark.core.artifact import read_small

    with opened(args) as authority:
        for path in args.files:
            try:
                given = batch.material(read_small(path, limits.LINT_FILE_MAX))
            except MalformedError as error:
                message = f"{path}: {error}"
                raise UsageError(message) from None
            for adopted in adoption.adopt(authority, given.certificates, given.lists):
                print(f"{adopted.done:<10} {adopted.serial}")
                print(output.filled(output.clean(adopted.detail)))
    return 0
