"""Texts as signatures cover them: line ends as CRLF (RFC 9580 clause 5.2.1.2), and in the open (clause 7)."""

from __future__ import annotations

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.openpgp import armor, reasons

BEGIN = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SPACE = b" \t\r"
NO_SIGNATURE = armor.begin(armor.SIGNATURE) + b"\n-----END " + armor.SIGNATURE + b"-----\n"
"""A frame without anything in it."""
_HASH = b"Hash: "
_NAMES = {b"MD5", b"SHA1", b"SHA224", b"SHA256", b"SHA384", b"SHA512", b"SHA3-256", b"SHA3-512", b"RIPEMD160"}


def canonical(data: bytes) -> bytes:
    """A text with its line ends as they are signed."""
    return b"\r\n".join(line.rstrip(b"\r") for line in data.split(b"\n"))


class Clear(NamedTuple):
    """A text signed in the open, taken apart.

    `text` is what it says, line by line without line ends; `hashes` are the digests that its head announces; `loose`
    says that there is white space at the end of lines, which is not signed; `signature` is the block behind it.
    """

    text: list[bytes]
    hashes: frozenset[str]
    loose: bool
    signature: bytes

    @property
    def signed(self) -> bytes:
        """What signatures cover: no white space at the end of lines, CRLF between them."""
        return b"\r\n".join(line.rstrip(_SPACE) for line in self.text)

    @property
    def original(self) -> bytes:
        """The text without its signature."""
        return b"".join(line + b"\n" for line in self.text) if self.text != [b""] else b""


def clear(data: bytes) -> Clear:
    """Take a text signed in the open apart. Raises BrokenError for what is not signed, before, behind or between."""
    lines = data.split(b"\n")
    if lines[0].rstrip(b"\r") != BEGIN:
        raise BrokenError(reasons.OUTSIDE, "before the signed text")
    place, hashes = _head(lines)
    text = []
    for at in range(place, len(lines)):
        line = lines[at]
        if line.startswith(b"- "):
            text.append(line[2:])
        elif not line.startswith(b"-"):
            text.append(line)
        elif line.rstrip(b"\r") == armor.begin(armor.SIGNATURE):
            break
        else:
            raise BrokenError(reasons.FORM, f"line {at + 1} begins with a dash that is not escaped")
    else:
        raise BrokenError(reasons.FORM, "a signed text without a signature")
    signature = b"\n".join(lines[at:])
    end = b"-----END " + armor.SIGNATURE + b"-----"
    if signature.partition(end)[2] not in (b"\n", b"\r\n"):
        raise BrokenError(reasons.OUTSIDE, "behind the signature")
    plain = [line.removesuffix(b"\r") for line in text] or [b""]
    return Clear(plain, hashes, any(line != line.rstrip(_SPACE) for line in plain), signature)


def _head(lines: list[bytes]) -> tuple[int, frozenset[str]]:
    """Where the text begins. Nothing but the names of digests may stand in the head (clause 7)."""
    names: list[bytes] = []
    for place, line in enumerate(lines[1:], 1):
        bare = line.removesuffix(b"\r")
        if not bare:
            return place + 1, frozenset(name.decode().lower().replace("-", "_") for name in names)
        if not bare.startswith(_HASH):
            raise BrokenError(reasons.OUTSIDE, "in the head of the signed text")
        found = bare.removeprefix(_HASH).split(b",")
        if not _NAMES.issuperset(name.strip(b" ") for name in found):
            raise BrokenError(reasons.FORM, "a head that names an unknown digest")
        names += [name.strip(b" ") for name in found]
    raise BrokenError(reasons.FORM, "a signed text that ends in its head")


def framed(data: bytes, algorithm: str, signature: bytes) -> bytes:
    """A text with its signature behind it, dashes escaped, and the word From, which mail would change."""
    name = next(each for each in _NAMES if each.decode().lower().replace("-", "_") == algorithm)
    lines = data.removesuffix(b"\n").split(b"\n")
    escaped = [b"- " + line if line.startswith((b"-", b"From ")) else line for line in lines]
    return b"\n".join((BEGIN, _HASH + name, b"", *escaped, signature))
