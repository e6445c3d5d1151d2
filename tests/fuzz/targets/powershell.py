"""The format powershell: anything may stand in such a file, also in UTF-16, where changed bytes make no changed text.

There the bytes are taken for a text in UTF-8. Whose file is trusted has signed just the text before the block, as the
bytes of the file are read here, and nothing stands behind it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.core.verdict import Status
from chopmark.engine import check, identify
from tests.contract import laws
from tests.fuzz import formats
from tests.support import probing

if TYPE_CHECKING:
    from collections.abc import Iterable

_FORMAT = identify.formats()["powershell"]
_MARK, _ORDERS = "\ufeff", ("utf-16-le", "utf-16-be")
_BEGIN, _END = "\r\n# SIG # Begin signature block\r\n", "# SIG # End signature block"
_TEXTS = ("Get-Date\r\nexit 0", "# \u00e4\u20ac\U0001f511\nWrite-Output '\u2019'\n")
_own_seeds, _own = formats.target("powershell")
SIGNED = [
    laws.signed(laws.State("sample.ps1", (_MARK + text).encode(_ORDERS[0]))).data.decode(_ORDERS[0]) for text in _TEXTS
]

with tempfile.TemporaryDirectory() as folder:
    COURT = laws.court(Path(folder))


def seeds() -> Iterable[bytes]:
    """Those of the format, and texts that are signed in UTF-16."""
    yield from _own_seeds()
    yield from (text.removeprefix(_MARK).encode() for text in SIGNED)


def run(data: bytes) -> None:
    """As bytes, and as a text in one order."""
    _own(data)
    order = _ORDERS[len(data) % 2]
    raw = f"{_MARK}{data.decode('utf-8', 'replace')}".encode(order)
    artifact = Artifact.from_bytes(raw, "sample.ps1")
    if check.check(artifact, COURT).status is Status.TRUSTED:
        assert holds(raw, order), "trusted"
    probing.clearly(lambda: _FORMAT.strip(artifact).render(artifact))


def holds(raw: bytes, order: str) -> bool:
    """Whether a signed text stands there, and behind its block at most the end of a line."""
    text, _, block = raw.decode(order).partition(_BEGIN)
    return text in [_MARK + each for each in _TEXTS] and block.partition(_END)[2] in ("", "\n", "\r\n")
