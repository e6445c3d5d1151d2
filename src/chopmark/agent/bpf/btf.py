"""The running kernel's types (Documentation/bpf/btf.rst): which functions there are, and where fields lie.

Only what is asked for is read: names are looked for in the strings first, then one pass over the types finds the ids.
"""

from __future__ import annotations

import os
import struct

from chopmark.core import limits
from chopmark.core.errors import MalformedError, UnavailableError
from chopmark.core.named import NamedTuple

VMLINUX = "/sys/kernel/btf/vmlinux"

_HEADER = struct.Struct("=HBBIIIII")
_MAGIC = 0xEB9F
_TYPE = struct.Struct("=III")
_MEMBER = struct.Struct("=III")
_PARAMETER = struct.Struct("=II")

_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FUNC, _FUNC_PROTO, _ENUM64 = 1, 2, 3, 4, 5, 6, 12, 13, 19
_TRANSPARENT = frozenset({8, 9, 10, 11, 18})
"""Typedefs, volatile, const, restrict and type tags: the type behind them is meant."""
_EXTRA = {1: 4, 3: 12, 14: 4, 17: 4}
"""Octets behind a type: INT, ARRAY, VAR, DECL_TAG; all others have so many for each of theirs:"""
_EACH = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}
_LAST_KIND = 19
_POINTER = 8


class Field(NamedTuple):
    """Where a field lies in a structure, and how long it is; in octets."""

    offset: int
    size: int


class Types:
    """The types in a BTF blob of this machine's byte order.

    Raises MalformedError for anything that breaks its rules, here and in every method.
    """

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise MalformedError("BTF: shorter than its header")
        magic, version, _, header, type_off, type_len, str_off, str_len = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise MalformedError("BTF: not version 1 in this machine's byte order")
        if header < _HEADER.size or header + max(type_off + type_len, str_off + str_len) > len(data):
            raise MalformedError("BTF: its parts are longer than it is")
        self._types = data[header + type_off : header + type_off + type_len]
        self._strings = data[header + str_off : header + str_off + str_len]
        if not self._strings or self._strings[0] or self._strings[-1]:
            raise MalformedError("BTF: its strings have no end")
        self._at = self._scan()

    def _scan(self) -> list[int]:
        """Where each type stands; number 0 is void."""
        at, found, end = 0, [0], len(self._types)
        unpack, extra, each = _TYPE.unpack_from, _EXTRA, _EACH
        while at < end:
            if at + 12 > end:
                raise MalformedError("BTF: a type is cut off")
            found.append(at)
            info = unpack(self._types, at)[1]
            kind = info >> 24 & 0x7F
            if not 0 < kind <= _LAST_KIND:
                raise MalformedError(f"BTF: kind {kind} is not known")
            at += 12 + extra.get(kind, 0) + each.get(kind, 0) * (info & 0xFFFFFF)
            if len(found) > limits.GUARD_BTF_TYPES_MAX:
                raise MalformedError(f"BTF: more than {limits.GUARD_BTF_TYPES_MAX} types")
        if at != end:
            raise MalformedError("BTF: a type is cut off")
        return found

    def _type(self, number: int) -> tuple[int, int, int, int, int]:
        """Name, kind, how many members, size or type, and where what belongs to it begins."""
        if not 0 < number < len(self._at):
            raise MalformedError(f"BTF: there is no type {number}")
        at = self._at[number]
        name, info, size = _TYPE.unpack_from(self._types, at)
        return name, info >> 24 & 0x7F, info & 0xFFFFFF, size, at + 12

    def _name(self, offset: int) -> str:
        if offset >= len(self._strings):
            raise MalformedError("BTF: a name lies behind the strings")
        return self._strings[offset : self._strings.index(0, offset)].decode("ascii", "replace")

    def _named(self, name: str, *kinds: int) -> int:
        """The first type of this name and kind; 0: none."""
        wanted, at, needle = set[int](), -1, b"\0" + name.encode() + b"\0"
        while (at := self._strings.find(needle, at + 1)) >= 0:
            wanted.add(at + 1)
        if not wanted:
            return 0
        unpack, types = _TYPE.unpack_from, self._types
        for number, place in enumerate(self._at[1:], 1):
            found, info, _ = unpack(types, place)
            if found in wanted and info >> 24 & 0x7F in kinds:
                return number
        return 0

    def _plain(self, number: int) -> int:
        """The type itself, without typedefs and the like."""
        for _ in range(limits.GUARD_BTF_DEPTH_MAX):
            if number == 0:
                return 0
            _, kind, _, size, _ = self._type(number)
            if kind not in _TRANSPARENT:
                return number
            number = size
        raise MalformedError("BTF: types are nested too deeply")

    def function(self, name: str) -> int:
        """The id of a function; 0 where this kernel has none."""
        return self._named(name, _FUNC)

    def parameters(self, name: str) -> tuple[str, ...]:
        """Of each parameter of a function what structure it points to ("": none); () where there is no function."""
        number = self.function(name)
        if not number:
            return ()
        _, kind, count, _, at = self._type(self._plain(self._type(number)[3]))
        if kind != _FUNC_PROTO:
            raise MalformedError(f"BTF: {name} is no function")
        return tuple(
            self._pointee(_PARAMETER.unpack_from(self._types, at + each * _PARAMETER.size)[1]) for each in range(count)
        )

    def _pointee(self, number: int) -> str:
        number = self._plain(number)
        if not number:
            return ""
        _, kind, _, target, _ = self._type(number)
        target = self._plain(target) if kind == _PTR else 0
        if not target:
            return ""
        name, kind, _, _, _ = self._type(target)
        return self._name(name) if kind == _STRUCT else ""

    def field(self, path: str) -> Field:
        """A field, as "structure.member.member". Raises UnavailableError where this kernel has none such."""
        first, *members = path.split(".")
        number, offset = self._named(first, _STRUCT), 0
        for member in members:
            found = self._member(number, member, limits.GUARD_BTF_DEPTH_MAX) if number else None
            if found is None:
                raise UnavailableError(f"this kernel has no {path}")
            offset, number = offset + found[0], self._plain(found[1])
        return Field(offset, self._size(number))

    def _member(self, number: int, wanted: str, depth: int) -> tuple[int, int] | None:
        """Offset and type of a member, those of members without a name included."""
        if not depth:
            raise MalformedError("BTF: types are nested too deeply")
        _, kind, count, _, at = self._type(number)
        if kind not in (_STRUCT, _UNION):
            return None
        bits = _TYPE.unpack_from(self._types, at - 12)[1] >> 31
        for each in range(count):
            name, target, offset = _MEMBER.unpack_from(self._types, at + each * _MEMBER.size)
            width, offset = (offset >> 24, offset & 0xFFFFFF) if bits else (0, offset)
            if name:
                if self._name(name) != wanted:
                    continue
                if width or offset % 8:
                    raise MalformedError(f"BTF: {wanted} is a bit field")
                return offset // 8, target
            inner = self._plain(target)
            found = self._member(inner, wanted, depth - 1) if inner else None
            if found is not None:
                return offset // 8 + found[0], found[1]
        return None

    def _size(self, number: int) -> int:
        if not number:
            return 0
        _, kind, _, size, _ = self._type(number)
        if kind == _PTR:
            return _POINTER
        return size if kind in (_INT, _STRUCT, _UNION, _ENUM, _ENUM64) else 0


def of_kernel(path: str = VMLINUX) -> Types:
    """The running kernel's. Raises UnavailableError where it does not say, MalformedError."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > limits.GUARD_BTF_MAX:
                raise MalformedError(f"{path}: larger than {limits.GUARD_BTF_MAX} octets")
            return Types(file.read())
    except OSError as error:
        raise UnavailableError(f"{path}: {error.strerror} (a kernel with CONFIG_DEBUG_INFO_BTF has it)") from None


def pairs(first: str, second: str) -> bytes:
    """A blob for our own maps: type 1 is a 32 bit int, type 3 a structure of two u64 of these names.

    Storage that hangs on inodes and tasks needs its types declared (kernel/bpf/bpf_local_storage.c).
    """
    strings, (pair, one, two) = _strings("pair", first, second)
    members = _MEMBER.pack(one, 2, 0) + _MEMBER.pack(two, 2, 64)
    return _blob(strings, _TYPE.pack(pair, _STRUCT << 24 | 2, 16) + members)


def octets(count: int) -> bytes:
    """The same with type 3 an array of u64 of so many octets."""
    strings, _ = _strings()
    return _blob(strings, _TYPE.pack(0, _ARRAY << 24, 0) + struct.pack("=III", 2, 1, count // 8))


def _strings(*names: str) -> tuple[bytes, list[int]]:
    strings, offsets = b"\0int\0u64\0", list[int]()
    for name in names:
        offsets.append(len(strings))
        strings += name.encode() + b"\0"
    return strings, offsets


def _blob(strings: bytes, types: bytes) -> bytes:
    ints = b"".join(_TYPE.pack(name, _INT << 24, size) + struct.pack("=I", bits)
                    for name, size, bits in ((1, 4, 1 << 24 | 32), (5, 8, 64)))  # fmt: skip
    types = ints + types
    return _HEADER.pack(_MAGIC, 1, 0, _HEADER.size, 0, len(types), len(types), len(strings)) + types + strings
