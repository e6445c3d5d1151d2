"""Strings and numbers as SSH writes them (RFC 4251 clause 5)."""

from __future__ import annotations

from chopmark.core.errors import MalformedError


class Reader:
    """Fields of a message, one after the other. Raises MalformedError past its end, and for what is not canonical."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        """So many octets."""
        end = self.place + count
        if end > len(self._data):
            raise MalformedError("it ends too early")
        taken, self.place = self._data[self.place : end], end
        return taken

    def number(self) -> int:
        """A uint32."""
        return int.from_bytes(self.take(4), "big")

    def long(self) -> int:
        """A uint64."""
        return int.from_bytes(self.take(8), "big")

    def string(self) -> bytes:
        """A string: its length, then itself."""
        return self.take(self.number())

    def text(self) -> str:
        """A string of ASCII, for a name that is looked up."""
        return self.string().decode("ascii", "replace")

    def mpint(self) -> int:
        """A number that is not negative, in its shortest form."""
        octets = self.string()
        if octets[:1] > b"\x7f" or (octets[:1] == b"\x00" and octets[1:2] <= b"\x7f"):
            raise MalformedError("a number that is negative, or longer than it need be")
        return int.from_bytes(octets, "big")

    def left(self) -> bool:
        """Whether there is more."""
        return self.place < len(self._data)

    def done(self) -> None:
        """Refuse what is left over."""
        if self.left():
            raise MalformedError("it goes on after its end")


def string(data: bytes) -> bytes:
    """A string as it is written."""
    return len(data).to_bytes(4, "big") + data


def mpint(number: int) -> bytes:
    """A number that is not negative, as it is written."""
    return string(number.to_bytes(number.bit_length() // 8 + 1, "big") if number else b"")
