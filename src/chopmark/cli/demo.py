"""Show the whole story on real files: sign, attack, revoke, verify.

A CA, a time-stamp authority and all files are made in a temporary folder, which
is removed at the end. The exit status is 1 if any verdict differs from what it
must be.
"""

from __future__ import annotations

import os
import sys
import tempfile
import textwrap
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.demo.show import Shown


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--keep", metavar="DIR", help="work in this (new) folder and leave the files there")


def run(args: Namespace) -> int:
    """Play and print the table; 1 if a verdict differs."""
    from chopmark.demo import show

    output.prepare()
    with tempfile.TemporaryDirectory(prefix="chopmark-demo-") as temporary:
        folder = args.keep or temporary
        if args.keep:
            os.makedirs(folder)
        print(f"{'':3} {'expected':<10} {'said':<10} case, and why\n")
        shown = []
        for scene in show.play(folder):
            shown.append(scene)
            print(_line(scene), flush=True)
    wrong = [scene for scene in shown if not scene.right]
    print(f"\n{len(shown)} cases: {len(shown) - len(wrong)} as expected, {len(wrong)} not")
    if args.keep:
        print(f"the files are in {folder}; root.pem is the store to verify them with")
    return 1 if wrong else 0


def _line(scene: Shown) -> str:
    colour = output.coloured(sys.stdout)
    mark = "ok " if scene.right else "BAD"
    expected = output.paint(f"{scene.case.expected:<10}", scene.case.expected, colour=colour)
    said = output.paint(f"{scene.verdict.status:<10}", scene.verdict.status, colour=colour)
    mark = output.paint(mark, Status.TRUSTED if scene.right else Status.REJECTED, colour=colour)
    why = textwrap.fill(output.clean(scene.why), output.width(), initial_indent=" " * 26, subsequent_indent=" " * 26)
    return f"{mark} {expected} {said} {scene.case.title}\n{why}"
