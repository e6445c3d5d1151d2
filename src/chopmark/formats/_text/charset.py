"""Encodings that a text declares for itself: in some of them ASCII is not ASCII, and a comment not a comment.

The certificates in a signature are not signed. Whoever adds one chooses base64 text in the block; in UTF-7 some of that
is a line break and code. So a block may stand only where ASCII means itself, whatever comes before it.
"""

from __future__ import annotations

import re

_ASCII_MEANS_ITSELF = re.compile(
    r"utf-?8(-sig|-unix|-dos|-mac)?|(us-)?ascii|latin-?\d+|(iso-)?latin-?\d+(-unix|-dos)?|iso-?8859-?\d+(-e|-i)?"
    r"|(windows|cp)-?(125\d|437|720|737|775|85\d|86\d|874|932|936|949|950)|koi8-?[rut]|mac-?(roman|cyrillic|latin2)"
    r"|euc-?(jp|kr|cn|tw)|gbk|gb2312|gb18030|big5(-?hkscs)?|s(hift)?-?jis"
)


def keeps_ascii(encoding: str) -> bool:
    """Whether every ASCII character in this encoding is that character, wherever it stands."""
    return _ASCII_MEANS_ITSELF.fullmatch(encoding.lower().replace("_", "-")) is not None
