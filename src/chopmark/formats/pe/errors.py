"""The one error of this format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from chopmark.core.reasons import Reason


class BrokenError(MalformedError):
    """A PE file that cannot be looked at any further; `reason` says which rule it breaks."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason.sentence} ({detail})")
        self.reason = reason
        self.detail = detail
