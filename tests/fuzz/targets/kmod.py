"""The format kmod: trailer, ELF, compression, and CMS without attributes."""

from tests.fuzz import fields
from tests.fuzz.formats import target

_MAGIC, _TRAILER, _HEADER = 28, 12, 64


def _fields(data: bytes) -> list[tuple[int, int]]:
    """Of struct module_signature, of ELF's header, and the last bytes of signature and mark."""
    end = len(data) - _MAGIC - _TRAILER
    if end < _HEADER:
        return [(0, len(data))]
    trailer = [(end, 1), (end + 1, 1), (end + 2, 1), (end + 3, 1), (end + 4, 1), (end + 5, 3), (end + 8, 4)]
    header = [(at, 1) for at in range(4, 9)] + [(at, 2) for at in (16, 18, 52, 54, 56, 58, 60, 62)]
    wide = [(20, 4), (24, 8), (32, 8), (40, 8)]
    return [*trailer, *header, *wide, (end - 8, 8), (end + _TRAILER, 8), (len(data) - 8, 8)]


seeds, run = target("kmod")
_VALUES = (b"\0", b"\1", b"\2", b"\3", b"\x40", b"\xff", b"\0\0\0\0", b"\0\0\1\0", b"\x7f\xff\xff\xff")
mutate = fields.Mutator(_fields, _VALUES)
