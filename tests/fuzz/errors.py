"""The law about errors, asked in every target: whatever they quote, they are one line that a terminal shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.core.errors import ChopmarkError


def legible(run: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """A target's `run` that fails where an error was made that cannot be shown, also one that nobody saw."""
    from chopmark.core import errors

    faults: list[str] = []

    def made(error: ChopmarkError, *arguments: object) -> None:
        Exception.__init__(error, *arguments)
        said = str(error)
        if not said or not said.isprintable():
            faults.append(f"{type(error).__name__}: {said!r}")

    def asked(data: bytes) -> None:
        faults.clear()
        run(data)
        assert not faults, faults[0]

    errors.ChopmarkError.__init__ = made  # type: ignore[method-assign, assignment]
    return asked
