"""A kernel in miniature: runs the guard's BPF programs over memory that is made up, one instruction at a time.

The verifier and the real hooks are asked in tests/vm; here every order in which two programs can meet can be tried.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_MASK = (1 << 64) - 1
_SIZES = {0x00: 4, 0x08: 2, 0x18: 8}
_LOOKUP, _NOW, _THREAD, _STORAGE, _TASK_STORAGE, _TASK, _VIEW = 1, 5, 14, 145, 156, 158, 197


class Memory:
    """Addresses with something behind them; reading from null gives zero, as loads that may fault do in the kernel."""

    def __init__(self) -> None:
        self._regions: dict[int, bytearray] = {}
        self._next = 0x1000

    def make(self, size: int) -> int:
        """So many zeros; their address."""
        address = self._next
        self._regions[address] = bytearray(size)
        self._next += 0x10000
        return address

    def _find(self, address: int, size: int) -> tuple[bytearray, int]:
        base = address & ~0xFFFF | 0x1000
        region = self._regions[base]
        assert 0 <= address - base <= len(region) - size, f"out of bounds: {address:#x}"
        return region, address - base

    def read(self, address: int, size: int = 8) -> int:
        if address < 0x1000:
            return 0
        region, at = self._find(address, size)
        return int.from_bytes(region[at : at + size], "little")

    def write(self, address: int, value: int, size: int = 8) -> None:
        region, at = self._find(address, size)
        region[at : at + size] = (value & (1 << size * 8) - 1).to_bytes(size, "little")

    def octets(self, address: int, size: int) -> bytes:
        region, at = self._find(address, size)
        return bytes(region[at : at + size])

    def fill(self, address: int, data: bytes) -> None:
        region, at = self._find(address, len(data))
        region[at : at + len(data)] = data


class Kernel:
    """Maps by their numbers, a thread, a clock, functions by theirs."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.arrays: dict[int, int] = {}
        self.tables: dict[int, dict[bytes, int]] = {}
        self.stores: dict[int, dict[int, int]] = {}
        self.key_sizes: dict[int, int] = {}
        self.value_sizes: dict[int, int] = {}
        self.full: set[int] = set()
        """Stores in which nothing can be made."""
        self.thread, self.now, self.task = 7, 1_000, 0
        self.functions: dict[int, Callable[[list[int]], int]] = {}

    def array(self, number: int, size: int) -> int:
        self.arrays[number] = self.memory.make(size)
        return self.arrays[number]

    def table(self, number: int, key: int, value: int) -> None:
        self.tables[number], self.key_sizes[number], self.value_sizes[number] = {}, key, value

    def store(self, number: int, value: int) -> None:
        self.stores[number], self.value_sizes[number] = {}, value

    def put(self, number: int, key: bytes, value: bytes) -> None:
        self.tables[number].setdefault(key, self.memory.make(self.value_sizes[number]))
        self.memory.fill(self.tables[number][key], value)

    def hang(self, number: int, on: int, value: bytes) -> None:
        address = self.memory.make(self.value_sizes[number])
        self.memory.fill(address, value)
        self.stores[number][on] = address

    def call(self, helper: int, r: list[int]) -> int:
        if helper == _LOOKUP:
            return self.tables[r[1]].get(self.memory.octets(r[2], self.key_sizes[r[1]]), 0)
        if helper in (_STORAGE, _TASK_STORAGE):
            if r[2] not in self.stores[r[1]] and r[4] and r[1] not in self.full:
                self.stores[r[1]][r[2]] = self.memory.make(self.value_sizes[r[1]])
            return self.stores[r[1]].get(r[2], 0)
        if helper == _VIEW:
            self.memory.write(r[4], r[1])
            self.memory.write(r[4] + 8, r[2])
            return 0
        return {_NOW: self.now, _THREAD: 99 << 32 | self.thread, _TASK: self.task}[helper]

    def run(self, code: bytes, *arguments: int) -> int:
        """All of a program; what it answers, signed."""
        running = self.start(code, *arguments)
        while True:
            try:
                next(running)
            except StopIteration as stop:
                answer: int = stop.value
                return answer

    def start(self, code: bytes, *arguments: int) -> Generator[None, None, int]:
        """Instruction by instruction; StopIteration has the answer."""
        r = [0] * 11
        r[10] = self.memory.make(512) + 512
        r[1] = self.memory.make(8 * len(arguments))
        for number, each in enumerate(arguments):
            self.memory.write(r[1] + 8 * number, each)
        at = 0
        while True:
            yield
            operation, registers, offset, value = struct.unpack_from("<BBhi", code, at * 8)
            target, source, at = registers & 15, registers >> 4, at + 1
            if operation == 0x95:
                return _signed(r[0])
            if operation == 0x18:
                second = struct.unpack_from("<i", code, at * 8 + 4)[0]
                r[target] = self.arrays[value] + second if source == 2 else value
                at += 1
            elif operation == 0x85:
                r[0] = (self.functions[value](r) if source == 2 else self.call(value, r)) & _MASK
                r[1:6] = [0xBAD] * 5  # a call leaves nothing in them
            elif operation & 7 in (5, 6):
                if _JUMPS[operation](r[target], r[source], value):
                    at += offset
            else:
                self._step(operation, r, target, source, offset, value)

    def _step(self, operation: int, r: list[int], target: int, source: int, offset: int, value: int) -> None:
        kind, size = operation & 7, _SIZES.get(operation & 0x18, 0)
        if operation == 0xDB:
            old = self.memory.read(r[target] + offset)
            new = old | r[source] if value == 0x41 else old + r[source]
            self.memory.write(r[target] + offset, new)
            r[source] = old
        elif kind == 1:
            r[target] = self.memory.read(r[source] + offset, size)
        elif kind == 2:
            self.memory.write(r[target] + offset, value, size)
        elif kind == 3:
            self.memory.write(r[target] + offset, r[source], size)
        else:
            r[target] = _OPERATIONS[operation](r[target], r[source], value) & _MASK


def _signed(value: int, bits: int = 64) -> int:
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> bits - 1 else value


_OPERATIONS: dict[int, Callable[[int, int, int], int]] = {
    0xBF: lambda _, source, __: source,
    0xBC: lambda _, source, __: source & 0xFFFFFFFF,
    0xB7: lambda _, __, value: value,
    0x07: lambda target, _, value: target + value,
    0x1F: lambda target, source, _: target - source,
    0x5F: lambda target, source, _: target & source,
}
_JUMPS: dict[int, Callable[[int, int, int], bool]] = {
    0x05: lambda _, __, ___: True,
    0x15: lambda left, _, value: left == value & _MASK,
    0x55: lambda left, _, value: left != value & _MASK,
    0x45: lambda left, _, value: bool(left & value & _MASK),
    0x25: lambda left, _, value: left > value & _MASK,
    0xC5: lambda left, _, value: _signed(left) < value,
    0xC6: lambda left, _, value: _signed(left, 32) < value,
    0x66: lambda left, _, value: _signed(left, 32) > value,
    0x1D: lambda left, right, _: left == right,
    0x5D: lambda left, right, _: left != right,
}
