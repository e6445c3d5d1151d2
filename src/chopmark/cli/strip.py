"""Take every signature out of files; what a format cannot restore, its documentation says.

A file without signatures stays as it is. A signature that is a file of its own (FILE.p7s) is removed.

    $ chopmark strip setup.exe -o unsigned.exe
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.engine import identify, sign

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="file to strip")
    parser.add_argument("--format", metavar="NAME", default="", help="take the file for this format")
    parser.add_argument("-o", "--output", metavar="F", help="write there and leave FILE as it is (one FILE)")


def run(args: Namespace) -> int:
    """Strip every file; the worst exit status. A file without signatures stays as it is."""
    output.prepare()
    identify.known(args.format)
    if args.output and len(args.files) != 1:
        message = "--output goes with one FILE"
        raise UsageError(message)
    worst = 0
    for path in args.files:
        try:
            print(_strip(path, args.format, args.output))
        except ChopmarkError as error:
            output.complain(error, path)
            worst = max(worst, error.exit_status)
    return worst


def _strip(path: str, format_name: str, target: str | None) -> str:
    with Artifact.open(path) as artifact:
        stripped = sign.stripped(artifact, format_name)
        if not stripped:
            return f"unsigned   {output.clean(path)}"
        beside = [patch.companion for patch in stripped if patch.pieces is None and not patch.attribute]
        if target and beside:
            message = f"{path} has nothing to strip itself: its signature is in {path}{beside[0]}"
            raise UsageError(message)
        lines = []
        for patch in stripped:
            written = patches.apply(patch, artifact, target)
            removed = patch.pieces is None and not patch.attribute
            lines.append(f"{'removed' if removed else 'stripped':<10} {output.clean(written)}")
        return "\n".join(lines)
