"""Volumes of dm-verity: make the tree of digests, show its superblock, hold volume and tree against a signed root hash.

`dmverity format DATA TREE` writes the tree as veritysetup does and prints the root hash; with --root-hash-file it goes
into a file, which `chopmark sign` signs as the kernel and systemd want it (FILE.roothash.p7s). `dmverity verify DATA`
looks for the others under the names that systemd gives them: DATA without .raw, and .verity, .roothash, .roothash.p7s.

    $ chopmark dmverity format app.raw app.verity --root-hash-file app.roothash
    $ chopmark dmverity verify app.raw
"""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, verify
from chopmark.core import limits
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.verdict import EXIT_STATUS, Verdict, worst_of

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator
    from typing import BinaryIO


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    make = actions.add_parser("format", help="make the tree of digests of a volume")
    make.add_argument("data", metavar="DATA", help="the image of the volume")
    make.add_argument("tree", metavar="TREE", help="where the tree goes (usually NAME.verity)")
    make.add_argument("--hash", metavar="NAME", default="sha256", help="sha256 (default), sha384, sha512")
    make.add_argument("--data-block-size", metavar="N", type=int, default=4096, help="bytes, default 4096")
    make.add_argument("--hash-block-size", metavar="N", type=int, default=4096, help="bytes, default 4096")
    make.add_argument("--salt", metavar="HEX", help="default: 32 random bytes; - for none")
    make.add_argument("--uuid", metavar="UUID", help="default: a random one")
    make.add_argument("--root-hash-file", metavar="F", help="write the root hash there (usually NAME.roothash)")
    make.add_argument("--json", action="store_true", help="one JSON object")
    check = actions.add_parser("verify", help="hold volume and tree against the root hash, and that against its signer")
    check.add_argument("data", metavar="DATA", help="the image of the volume")
    check.add_argument("tree", metavar="TREE", nargs="?", help="the file with the tree (default: NAME.verity)")
    known = check.add_mutually_exclusive_group()
    known.add_argument(
        "--root-hash", metavar="HEX", help="the root hash, known from elsewhere; no signature is asked for"
    )
    known.add_argument("--root-hash-file", metavar="F", help="the signed root hash (default: NAME.roothash)")
    check.add_argument("--hash-offset", metavar="N", type=int, default=0, help="where in TREE the superblock stands")
    verify.add_trust_arguments(check)
    check.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    check.add_argument("--json", action="store_true", help="one JSON object")
    show = actions.add_parser("dump", help="show the superblock of a tree, with no judgement")
    show.add_argument("tree", metavar="TREE", help="the file with the tree")
    show.add_argument("--hash-offset", metavar="N", type=int, default=0, help="where the superblock stands")
    show.add_argument("--json", action="store_true", help="one JSON object")


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    return {"format": _format, "verify": _verify, "dump": _dump}[args.action](args)


def _format(args: Namespace) -> int:
    from chopmark.formats._verity import superblock
    from chopmark.formats.dmverity import volume

    if args.hash not in ("sha256", "sha384", "sha512"):
        message = f"new trees use sha256, sha384 or sha512, not {args.hash[:32]}"
        raise UsageError(message)
    with Artifact.open(args.data) as artifact, tempfile.TemporaryFile() as spool:
        if not args.data_block_size > 0 or artifact.view.size % args.data_block_size or not artifact.view.size:
            message = f"{args.data}: {artifact.view.size} bytes are not whole blocks of {args.data_block_size} bytes"
            raise UsageError(message)
        wanted = superblock.Volume(
            args.hash,
            args.data_block_size,
            args.hash_block_size,
            artifact.view.size // args.data_block_size,
            _salt(args.salt),
            _uuid(args.uuid),
        ).checked()
        root = volume.make(artifact.view, wanted, lambda place, block: _put(spool, place, block))
        if artifact.view.changed():
            message = f"{args.data}: it changed while it was being read; nothing was written"
            raise UsageError(message)
        _put(spool, 0, wanted.packed())
        spool.truncate(max(wanted.end(0), spool.seek(0, os.SEEK_END)))
        patches.write_file(args.tree, _read(spool))
    if args.root_hash_file:
        patches.write_file(args.root_hash_file, root.hex().encode())
    _say(args, {"tree": args.tree, "root_hash": root.hex(), **_facts(wanted)})
    return 0


def _put(spool: BinaryIO, place: int, block: bytes) -> None:
    try:
        os.pwrite(spool.fileno(), block, place)
    except OSError as error:
        message = f"the tree could not be kept while it was made ({os.strerror(error.errno or 0)})"
        raise patches.WriteError(message) from error


def _read(spool: BinaryIO) -> Iterator[bytes]:
    spool.seek(0)
    while piece := spool.read(limits.READ_CHUNK):
        yield piece


def _salt(given: str | None) -> bytes:
    if given is None:
        return os.urandom(32)
    try:
        return b"" if given == "-" else bytes.fromhex(given)
    except ValueError:
        message = f"--salt {given[:64]}: not hexadecimal"
        raise UsageError(message) from None


def _uuid(given: str | None) -> bytes:
    try:
        return (uuid.UUID(given) if given else uuid.uuid4()).bytes
    except ValueError:
        message = f"--uuid {given}: none"
        raise UsageError(message) from None


def _verify(args: Namespace) -> int:
    from chopmark.engine import volume

    stem = args.data.removesuffix(".raw")
    tree = args.tree or f"{stem}.verity"
    if args.hash_offset < 0:
        message = "--hash-offset: a number of bytes"
        raise UsageError(message)
    if args.root_hash:
        return _verify_given(args, tree)
    with ExitStack() as stack:
        context = verify.context_for(args, stack)
        file = args.root_hash_file or f"{stem}.roothash"
        verdict = volume.check_signed(args.data, tree, args.hash_offset, file, context)
    _tell(verdict, args)
    return EXIT_STATUS[verdict.status]


def _verify_given(args: Namespace, tree: str) -> int:
    """By a root hash that whoever asks vouches for."""
    from chopmark.engine import volume
    from chopmark.formats.dmverity import reasons

    try:
        root_hash = bytes.fromhex(args.root_hash)
    except ValueError:
        message = f"--root-hash {args.root_hash[:64]}: not hexadecimal"
        raise UsageError(message) from None
    found = [*volume.check_given(args.data, tree, args.hash_offset, root_hash), reasons.GIVEN.found()]
    status = worst_of(found)
    if args.json:
        from chopmark.engine import report

        facts = report.as_dict(Verdict(args.data, "dmverity", (), tuple(found)))
        print(_as_json({**facts, "status": str(status)}))
        return EXIT_STATUS[status]
    print(f"{status:<10} {output.clean(args.data)}")
    for finding in found:
        if args.verbose or finding.outcome in ("no", "unknown"):
            print(output.show_finding(finding))
    return EXIT_STATUS[status]


def _tell(verdict: Verdict, args: Namespace) -> None:
    if args.json:
        from chopmark.engine import report

        print(_as_json(report.as_dict(verdict)))
    else:
        print(output.show_verdict(verdict, verbose=args.verbose))


def _dump(args: Namespace) -> int:
    from chopmark.formats._verity import superblock

    with Artifact.open(args.tree) as artifact:
        try:
            found = superblock.read(artifact.view.read(args.hash_offset, superblock.SIZE))
        except MalformedError as error:
            raise MalformedError(f"{args.tree}: {error} (--hash-offset says where it begins)") from None
    _say(args, {"tree": args.tree, **_facts(found)})
    return 0


def _facts(found: Any) -> dict[str, Any]:  # noqa: ANN401 - superblock.Volume, loaded when needed
    return {
        "uuid": str(uuid.UUID(bytes=found.uuid)),
        "digest_algorithm": found.algorithm,
        "data_block_size": found.data_block_size,
        "hash_block_size": found.hash_block_size,
        "data_blocks": found.data_blocks,
        "salt": found.salt.hex(),
    }


def _say(args: Namespace, facts: dict[str, Any]) -> None:
    if args.json:
        print(_as_json(facts))
        return
    for name, value in facts.items():
        label = "algorithm" if name == "digest_algorithm" else name.replace("_", " ")  # so that digests fit a line
        print(output.clean(f"{label:<15} {value}"))


def _as_json(facts: dict[str, Any]) -> str:
    import json  # only for this shape

    return json.dumps(facts)
