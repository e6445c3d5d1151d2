"""The digests of fs-verity, and what the kernel does with them: compute, measure, enable.

`fsverity digest` computes the digest that the kernel would know a file by; `measure` asks the kernel for the digest of
a file on which fs-verity is enabled; `enable` turns it on, for good, with a signature if there is one. Signing is
`chopmark sign --format fsverity`, which writes FILE.fsv_sig.

    $ chopmark fsverity digest app.bin
    $ chopmark fsverity enable app.bin --signature app.bin.fsv_sig
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import limits
from chopmark.core.artifact import Artifact, FileView, read_small
from chopmark.core.errors import ChopmarkError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.formats._verity.fsverity import Parameters


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    digest = actions.add_parser("digest", help="compute the digest of files")
    _add_parameters(digest)
    measure = actions.add_parser("measure", help="ask the kernel, where fs-verity is enabled")
    enable = actions.add_parser("enable", help="make files read-only for good, checked by the kernel")
    _add_parameters(enable)
    enable.add_argument(
        "--signature", metavar="F", help="the built-in signature (default: FILE.fsv_sig if it is there)"
    )
    enable.add_argument("--unsigned", action="store_true", help="without a signature, even if there is one")
    for action in (digest, measure, enable):
        action.add_argument("files", nargs="+", metavar="FILE", help="the file")
        action.add_argument("--json", action="store_true", help="one JSON object per file, a line each")


def _add_parameters(parser: ArgumentParser) -> None:
    parser.add_argument("--hash", metavar="NAME", default="sha256", help="sha256 (default) or sha512")
    parser.add_argument("--block-size", metavar="N", type=int, default=4096, help="bytes, default 4096")
    parser.add_argument("--salt", metavar="HEX", default="", help="default: none")


def run(args: Namespace) -> int:
    """Do what was asked for every file; the worst exit status."""
    output.prepare()
    if args.action == "enable" and args.signature and (len(args.files) != 1 or args.unsigned):
        message = "--signature goes with one FILE, and not with --unsigned"
        raise UsageError(message)
    work = {"digest": _digest, "measure": _measure, "enable": _enable}[args.action]
    worst = 0
    for path in args.files:
        try:
            said = work(path, args)
        except ChopmarkError as error:
            output.complain(error, path)
            worst = max(worst, error.exit_status)
        else:
            print(said)
    return worst


def parameters(args: Namespace) -> Parameters:
    """How the tree is to be made. Raises UsageError."""
    from chopmark.formats._verity import fsverity

    try:
        salt = bytes.fromhex(args.salt)
    except ValueError:
        message = f"--salt {args.salt[:64]}: not hexadecimal"
        raise UsageError(message) from None
    return fsverity.Parameters(args.hash, args.block_size, salt).checked()


def _digest(path: str, args: Namespace) -> str:
    from chopmark.formats._verity import fsverity

    wanted = parameters(args)
    with Artifact.open(path) as artifact:
        [digest] = fsverity.digests(artifact.view, [wanted])
    return _shown(path, wanted.algorithm, digest, args)


def _measure(path: str, args: Namespace) -> str:
    from chopmark.formats._verity import kernel

    with Artifact.open(path) as artifact:
        measured = kernel.measure(_descriptor(artifact))
    if measured is None:
        message = f"{path}: fs-verity is not enabled on it, or unknown to its file system (fsverity enable turns it on)"
        raise kernel.NotMeasuredError(message)
    return _shown(path, measured.algorithm, measured.digest, args)


def _enable(path: str, args: Namespace) -> str:
    from chopmark.formats._verity import kernel
    from chopmark.formats.fsverity.sealing import SUFFIX

    wanted = parameters(args)
    with Artifact.open(path) as artifact:
        built_in = read_small(args.signature, limits.FS_VERITY_SIGNATURE_MAX) if args.signature else b""
        if not args.signature and not args.unsigned:
            built_in = artifact.companion(SUFFIX, limits.FS_VERITY_SIGNATURE_MAX) or b""
        try:
            kernel.enable(_descriptor(artifact), wanted, built_in)
        except kernel.NotEnabledError as error:
            message = f"{path}: fs-verity was not enabled: {error}"
            raise kernel.NotEnabledError(message) from error
        measured = kernel.measure(_descriptor(artifact))
    if measured is None:
        message = f"{path}: the kernel does not measure what it has enabled"
        raise kernel.NotEnabledError(message)
    return _shown(path, measured.algorithm, measured.digest, args, signed=bool(built_in))


def _descriptor(artifact: Artifact) -> int:
    if not isinstance(artifact.view, FileView):
        message = f"{artifact.name}: no file"
        raise UsageError(message)
    return artifact.view.descriptor


def _shown(path: str, algorithm: str, digest: bytes, args: Namespace, *, signed: bool | None = None) -> str:
    """As fsverity(1) prints it, so that the same scripts can read it."""
    if not args.json:
        return f"{algorithm}:{digest.hex()} {output.clean(os.fspath(path))}"
    import json  # only for this shape

    facts = {"path": path, "digest_algorithm": algorithm, "digest": digest.hex()}
    return json.dumps(facts if signed is None else {**facts, "signed": signed})
