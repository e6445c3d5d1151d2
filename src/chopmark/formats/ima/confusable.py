"""Files that are what signatures of another kind are over: nothing that is signed says which kind it is.

A signature over a file whose content is the struct that names an fs-verity digest, or the metadata of a file, is one of
the other kind for whoever changes the first octet of its header (Linux, security/integrity/integrity.h, evm_crypto.c).
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.envelopes import ima
from chopmark.formats._verity import fsverity
from chopmark.formats.ima import metadata

if TYPE_CHECKING:
    from chopmark.core.artifact import View


def kind(view: View) -> str:
    """What else the content of a file is; empty for nothing."""
    head = view.read(0, 2)
    names = {ima.NUMBERS[name]: digests.ALGORITHMS[name].size for name in fsverity.ALGORITHMS}
    if head[:1] == bytes([ima.VERITY]) and view.size == len(head) + names.get(head[1], -1):
        return "what names an fs-verity digest"
    size = metadata.INODE.size
    if view.size <= size or head[0] not in _BEGINNINGS:
        return ""
    inode, generation, _, _, mode = metadata.INODE.unpack(view.read(view.size - size, size))
    padding = any(view.read(view.size - 2, 2))
    return "the metadata of a file" if stat.S_ISREG(mode) and not (inode or generation or padding) else ""


_BEGINNINGS = (1, 3, 4, 6)
"""How security.ima begins, without which there is no portable signature of metadata."""
