"""The one error of the text formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from chopmark.core.reasons import Reason


class BrokenError(MalformedError):
    """A text whose signature cannot be looked at any further; `reason` says which rule it breaks."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason.sentence + (f" ({detail})" if detail else ""))
        self.reason = reason
        self.detail = detail
