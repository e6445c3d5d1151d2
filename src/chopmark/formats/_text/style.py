"""How a kind of text writes a signature block."""

from __future__ import annotations

from chopmark.core.named import NamedTuple


class Style(NamedTuple):
    """How one kind of text writes its block: what opens and closes a comment line, and the two marker lines."""

    opening: str
    closing: str
    begin: str
    end: str

    def line(self, text: str) -> str:
        """A comment line, without its line ending."""
        return self.opening + text + self.closing

    @property
    def begin_line(self) -> str:
        """The line that opens the block."""
        return self.line(self.begin)

    @property
    def end_line(self) -> str:
        """The line that closes it."""
        return self.line(self.end)
