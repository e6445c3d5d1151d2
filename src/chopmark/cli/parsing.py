"""How command lines are read: whole words, and what is wrong with them is said in a line."""

from __future__ import annotations

import os
import sys
from argparse import Action, ArgumentParser, HelpFormatter, _SubParsersAction
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from chopmark.core.meaning import meant

if TYPE_CHECKING:
    from collections.abc import Sequence


EXAMPLE = "    $ "
"""How the examples in a verb's docstring begin."""


def need(args: Any, option: str, *others: str, called: str = "") -> None:  # noqa: ANN401 - a Namespace
    """Raises UsageError for options that say nothing without another one: whoever gave them meant something."""
    from chopmark.core.errors import UsageError

    given = [other for other in others if getattr(args, other.replace("-", "_"))]
    if given and not getattr(args, option.replace("-", "_")):
        raise UsageError(f"--{' and --'.join(given)} {'go' if given[1:] else 'goes'} with --{called or option}")


def width() -> int:
    """Columns of help: the terminal's less two, at most 98; 78 when there is none."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns) - 2
    try:
        return min(os.get_terminal_size().columns, 100) - 2
    except OSError:
        return 78


class _Formatter(HelpFormatter):
    """Fills the paragraphs of a docstring and leaves its examples as they are; names are not broken at hyphens."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        from textwrap import fill  # only for those who want help

        parts = text.rstrip().split("\n\n")
        return "\n\n".join(
            part if part.startswith(EXAMPLE) else fill(" ".join(part.split()), width, initial_indent=indent)
            for part in parts
        )

    def _split_lines(self, text: str, width: int) -> list[str]:
        from textwrap import wrap  # likewise

        return wrap(" ".join(text.split()), width, break_on_hyphens=False)


class _Commands(_SubParsersAction):  # type: ignore[type-arg]
    """Commands below a command: what the list says of one, its own help says as well; `shown` are those in the list."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(*arguments, **settings)
        self.shown: list[str] = []

    def add_parser(self, name: str, **settings: Any) -> Any:  # noqa: ANN401 - argparse's own
        said = settings.get("help")
        if said:
            settings.setdefault("description", f"{said[:1].upper()}{said[1:]}.")
            self.shown.append(name)
        return super().add_parser(name, **settings)


class Parser(ArgumentParser):
    """Takes no option that is cut short: in a script it would become another one's, or nobody's, with the next version.

    The parsers of commands below are of this class as well (add_subparsers).
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - argparse's own
        # With a width of its own argparse does not import shutil (and with it three compression libraries) to ask.
        super().__init__(formatter_class=partial(_Formatter, width=width()), allow_abbrev=False, **settings)
        self.register("action", "parsers", _Commands)

    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,  # noqa: ANN401 - argparse's own
    ) -> tuple[Any, list[str]]:
        """As argparse does it, but what is not known is an error here, where it is known what could have been meant."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            what = "option" if word.startswith("-") else "argument"
            options = [each for each in self._option_string_actions if each.startswith("--")]
            hint = meant(word, options) if word.startswith("--") else ""
            # argparse has filled the arguments that may be missing when it comes to an option (before Python 3.13).
            if what == "argument" and any(action.nargs in ("?", "*") for action in self._get_positional_actions()):
                hint = " (arguments stand together, before the options or behind them)"
            self.error(f"no such {what}: {unknown[0]}{hint}")
        return found, []

    def _check_value(self, action: Action, value: Any) -> None:  # noqa: ANN401 - argparse's own
        """Of the commands below only those that people use are worth naming, and only the nearest."""
        if isinstance(action.choices, dict) and value not in action.choices:
            self.error(f"no such command: {value!r}{meant(value, action.choices)}")
        super()._check_value(action, value)

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401 - argparse's own
        """Help that cannot be written is no success; argparse would pass over it."""
        (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Exit status 2."""
        from chopmark.cli import output  # what is quoted may come from anywhere

        output.prepare()
        below = next((each for each in self._actions if isinstance(each, _Commands)), None)
        if below is not None and message.endswith(f"required: {below.metavar}"):
            message = f"which {below.metavar}? {', '.join(below.shown)}"
        self.exit(2, f"{self.prog}: {output.one_line(message)}; {self.prog} --help tells more\n")
