"""Show the whole story on real files: sign, attack, revoke, verify.

A CA, a time-stamp authority and all files are made in a temporary folder, which is removed at the end. The exit status
is 1 if any verdict differs from what it must be.

    $ chopmark demo --keep show
"""

from __future__ import annotations

import os
import tempfile
from itertools import groupby
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.core.errors import UsageError
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from chopmark.demo.show import Shown

_COLOURS = {Status.TRUSTED: "green", Status.UNSIGNED: "yellow", Status.UNDECIDED: "yellow", Status.REJECTED: "red"}


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--keep", metavar="DIR", help="work in this (new) folder and leave the files there")


def run(args: Namespace) -> int:
    """Play, print a table for each group of cases as it is done, and a count; 1 if a verdict differs."""
    from rich.console import Console  # only the demo draws tables

    from chopmark.demo import show

    output.prepare()
    console = Console(width=output.width(), highlight=False, markup=False)
    with tempfile.TemporaryDirectory(prefix="chopmark-demo-") as temporary:
        folder = _new(args.keep) if args.keep else temporary
        shown: list[Shown] = []
        for group, scenes in groupby(_watched(console, show.play(folder)), key=lambda scene: scene.case.group):
            found = list(scenes)
            _print(console, _table(group, found))
            shown += found
    wrong = sum(not scene.right for scene in shown)
    print(f"{len(shown)} cases: {len(shown) - wrong} as expected, {wrong} not")
    if args.keep:
        root = os.path.join(args.keep, "root.pem")
        print(f"The files stay in {output.clean(args.keep)}; verify them with --store {output.clean(root)}")
    return 1 if wrong else 0


def _new(folder: str) -> str:
    try:
        os.makedirs(folder)
    except OSError as error:
        message = f"{folder}: the folder must be new, and it cannot be made ({os.strerror(error.errno or 0)})"
        raise UsageError(message) from None
    return folder


def _watched(console: Console, scenes: Iterable[Shown]) -> Iterable[Shown]:
    """The scenes; on a terminal, with a word on what is going on while one waits."""
    if not console.is_terminal:
        yield from scenes
        return
    with console.status("making a certificate authority") as status:
        for number, scene in enumerate(scenes, 1):
            status.update(f"case {number}: {scene.case.title}")
            yield scene


def _print(console: Console, table: Table) -> None:
    """Print it; without the spaces that fill lines where no terminal needs them."""
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as drawn:
        console.print(table)
    print("\n".join(line.rstrip() for line in drawn.get().splitlines()), flush=True)


def _table(group: str, scenes: Iterable[Shown]) -> Table:
    """A group of cases; every table has the same widths, so that they read as one."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, expand=True, pad_edge=False, header_style="bold")
    table.add_column("", width=3)
    table.add_column("expected", width=9)
    table.add_column("said", width=9)
    table.add_column(group, ratio=1)
    for scene in scenes:
        table.add_row(
            Text("ok", "green") if scene.right else Text("NOT", "bold red"),
            _word(scene.case.expected),
            _word(scene.verdict.status),
            Text.assemble(scene.case.title, "\n", (output.clean(scene.why), "dim")),
        )
    table.add_row()
    return table


def _word(status: Status) -> Text:
    from rich.text import Text

    return Text(str(status), _COLOURS[status])
