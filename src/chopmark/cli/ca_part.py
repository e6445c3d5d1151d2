"""What the files that make up `chopmark ca` share: how each declares its commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    Command = Callable[[Namespace], int]


class Actions:
    """The subcommands of `chopmark ca`, to which each part adds its own; `do` of the arguments carries one out."""

    def __init__(
        self,
        parsers: Any,  # noqa: ANN401 - argparse keeps this class to itself
        add_folder: Callable[[ArgumentParser], None],
    ) -> None:
        self._parsers = parsers
        self._add_folder = add_folder

    def add_parser(self, name: str, *, help: str) -> ArgumentParser:  # noqa: A002 - argparse's own name
        """A subcommand that needs no authority."""
        parser: ArgumentParser = self._parsers.add_parser(name, help=help)
        return parser

    def with_folder(self, name: str, what: str, do: Command) -> ArgumentParser:
        """A subcommand about the authority in a folder."""
        parser = self.add_parser(name, help=what)
        parser.set_defaults(do=do)
        self._add_folder(parser)
        return parser

    def with_key(self, name: str, what: str, do: Command) -> ArgumentParser:
        """A subcommand that needs a key of the authority, too."""
        parser = self.with_folder(name, what, do)
        parser.add_argument("--passphrase", metavar="SRC", help="of the CA's key")
        return parser
