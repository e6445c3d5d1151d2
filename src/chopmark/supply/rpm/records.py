"""What every form of rpm's database answers: the numbers of its records, and each record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    import struct
    from collections.abc import Sequence

    from chopmark.core.artifact import View


class DatabaseError(MalformedError):
    """A database, or a record in it, that cannot be read as what rpm writes."""


class Records(Protocol):
    """An open database."""

    @property
    def numbers(self) -> Sequence[object]:
        """The numbers of all records, as they stand there."""

    def record(self, number: int) -> bytes:
        """The header with this number. Raises DatabaseError."""


def unpacked(form: struct.Struct, view: View, offset: int) -> tuple[int, ...]:
    """The fields that stand at an offset. Raises DatabaseError where the file ends before."""
    data = view.read(offset, form.size)
    if len(data) != form.size:
        raise DatabaseError(f"the file ends before byte {offset + form.size}")
    return form.unpack(data)
