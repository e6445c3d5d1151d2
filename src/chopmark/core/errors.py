"""The errors that may reach a person; each knows its exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from chopmark.core import legible

if TYPE_CHECKING:
    from chopmark.core.reasons import Reason


class ChopmarkError(Exception):
    """Something went wrong in a way that can be said in one line, which a terminal shows as it is.

    `exit_status` is what the command line answers when this error ends it (4: the tool itself failed).
    """

    exit_status: ClassVar[int] = 4

    def __str__(self) -> str:
        """What it quotes may come from anywhere."""
        return legible.line(super().__str__())


class UsageError(ChopmarkError):
    """The call cannot be carried out as it was asked: a wrong option, a missing file, a key that is not there."""

    exit_status = 2


class InputError(ChopmarkError):
    """An artifact could not be opened or read: missing, a directory, a FIFO, unreadable, changed meanwhile."""

    exit_status = 2


class WriteError(ChopmarkError):
    """A file could not be written; whatever was there before is still there."""


class MisplacedError(WriteError):
    """There can be no file of that name: its folder is missing, or something that is no file has it."""

    exit_status = 2


class MalformedError(ChopmarkError):
    """Bytes that break the rules of the format they claim to be; never a reason to crash, always one to refuse."""

    exit_status = 1


class BrokenError(MalformedError):
    """A rule of a format is broken in such a way that nothing more can be looked at; `reason` says which rule."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason.sentence.removesuffix('.')} ({detail})" if detail else reason.sentence)
        self.reason = reason
        self.detail = detail


class RefusedError(ChopmarkError):
    """chopmark declines to do it: the result would not verify, or would break what it touches."""

    exit_status = 1


class UnavailableError(ChopmarkError):
    """Something needed is out of reach just now: a server, a token, a store."""

    exit_status = 3
