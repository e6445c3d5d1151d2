"""Instructions of BPF (RFC 9669), by label and name; the host needs no compiler for programs as small as ours."""

from __future__ import annotations

import struct
from enum import IntEnum

from chopmark.core.errors import UnavailableError, UsageError
from chopmark.core.named import NamedTuple

_INSTRUCTION = struct.Struct("<BBhi")
STACK = 10
"""The register that points behind the stack."""
_MAP_FD, _MAP_VALUE = 1, 2
_KERNEL_FUNCTION = 2
_REACH = 0x7FFF


class Size(IntEnum):
    """How much a load or store moves."""

    WORD = 0x00
    HALF = 0x08
    DOUBLE = 0x18


class If(IntEnum):
    """Comparisons: of two 64 bit values, and (..._WORD) of signed 32 bit ones."""

    EQUAL = 0x15
    NOT_EQUAL = 0x55
    ANY_BIT = 0x45
    SIGNED_LESS = 0xC5
    SIGNED_GREATER_WORD = 0x66
    SIGNED_LESS_WORD = 0xC6
    GREATER = 0x25


class _Line(NamedTuple):
    code: int
    target: int = 0
    source: int = 0
    offset: int | str = 0
    value: int = 0


class Code:
    """A program that grows instruction by instruction. Registers are numbers, 0 to 10."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """Where jumps to `name` go. Raises UsageError for a second one of a name."""
        if name in self._labels:
            raise UsageError(f"BPF: two labels {name}")
        self._labels[name] = len(self._lines)

    def move(self, target: int, source: int) -> None:
        """Copy a register."""
        self._lines.append(_Line(0xBF, target, source))

    def move_word(self, target: int, source: int) -> None:
        """Copy the lower half of a register; the upper one becomes zero."""
        self._lines.append(_Line(0xBC, target, source))

    def put(self, target: int, value: int) -> None:
        """Set a register to a small number, the sign extended."""
        self._lines.append(_Line(0xB7, target, value=value))

    def add(self, target: int, value: int) -> None:
        """Add a small number."""
        self._lines.append(_Line(0x07, target, value=value))

    def subtract(self, target: int, source: int) -> None:
        """Subtract a register."""
        self._lines.append(_Line(0x1F, target, source))

    def keep_same_bits(self, target: int, source: int) -> None:
        """And with a register."""
        self._lines.append(_Line(0x5F, target, source))

    def load(self, target: int, source: int, offset: int, size: Size = Size.DOUBLE) -> None:
        """From memory."""
        self._lines.append(_Line(0x61 | size, target, source, offset))

    def store(self, target: int, offset: int, source: int, size: Size = Size.DOUBLE) -> None:
        """To memory."""
        self._lines.append(_Line(0x63 | size, target, source, offset))

    def store_value(self, target: int, offset: int, value: int, size: Size = Size.DOUBLE) -> None:
        """A small number to memory."""
        self._lines.append(_Line(0x62 | size, target, 0, offset, value))

    def fetch_add(self, target: int, offset: int, source: int) -> None:
        """Add in memory, at once for all processors and with a full barrier; `source` becomes what was there."""
        self._lines.append(_Line(0xDB, target, source, offset, 0x01))

    def fetch_or(self, target: int, offset: int, source: int) -> None:
        """The same with or."""
        self._lines.append(_Line(0xDB, target, source, offset, 0x41))

    def jump(self, label: str) -> None:
        """Go on elsewhere."""
        self._lines.append(_Line(0x05, offset=label))

    def jump_if(self, register: int, comparison: If, value: int, label: str) -> None:
        """Go on elsewhere if a register compares so with a number."""
        self._lines.append(_Line(comparison, register, 0, label, value))

    def jump_if_same(self, register: int, other: int, label: str) -> None:
        """Go on elsewhere if two registers are equal."""
        self._lines.append(_Line(0x1D, register, other, label))

    def jump_if_differ(self, register: int, other: int, label: str) -> None:
        """Go on elsewhere if two registers are not equal."""
        self._lines.append(_Line(0x5D, register, other, label))

    def call(self, helper: int) -> None:
        """One of the kernel's numbered helpers."""
        self._lines.append(_Line(0x85, value=helper))

    def call_kernel(self, function: int) -> None:
        """A function of the kernel, by the id of its type."""
        self._lines.append(_Line(0x85, source=_KERNEL_FUNCTION, value=function))

    def map(self, target: int, descriptor: int) -> None:
        """The map behind a descriptor."""
        self._wide(target, _MAP_FD, descriptor, 0)

    def map_value(self, target: int, descriptor: int, offset: int = 0) -> None:
        """What is in the first element of an array map."""
        self._wide(target, _MAP_VALUE, descriptor, offset)

    def _wide(self, target: int, kind: int, first: int, second: int) -> None:
        self._lines.append(_Line(0x18, target, kind, value=first))
        self._lines.append(_Line(0x00, value=second))

    def wants(self, label: str) -> bool:
        """Whether anything so far jumps there: the kernel refuses code that is never reached."""
        return any(line.offset == label for line in self._lines)

    def end(self) -> None:
        """Give register 0 back."""
        self._lines.append(_Line(0x95))

    def assembled(self) -> bytes:
        """The program for the kernel. Raises UsageError for a jump to nowhere, UnavailableError for a field too far."""
        return b"".join(
            _INSTRUCTION.pack(line.code, line.source << 4 | line.target, self._offset(number, line.offset), line.value)
            for number, line in enumerate(self._lines)
        )

    def _offset(self, number: int, offset: int | str) -> int:
        if isinstance(offset, int):
            if not -_REACH <= offset <= _REACH:
                raise UnavailableError(f"BPF: a field at {offset}, further than a program can reach")
            return offset
        if offset not in self._labels:
            raise UsageError(f"BPF: no label {offset}")
        distance = self._labels[offset] - number - 1
        if not 0 <= distance <= _REACH:  # programs of ours go forward only
            raise UsageError(f"BPF: a jump to {offset} over {distance} instructions")
        return distance
