"""A kernel's types: what it says of itself must not mislead who reads it."""

from collections.abc import Iterable
from contextlib import suppress

from chopmark.agent.bpf.btf import Types, octets, pairs
from chopmark.agent.bpf.programs import Maps, Programs
from chopmark.core.errors import ChopmarkError
from tests.support import btf


def seeds() -> Iterable[bytes]:
    yield btf.kernel()
    yield btf.kernel(with_verity=False, idmap=False)
    yield pairs("count", "mark")
    yield octets(64)


def run(data: bytes) -> None:
    with suppress(ChopmarkError):
        types = Types(data)
        for program in Programs(types, Maps(1, 2, 3, 4, 5, 6)).each():
            assert len(program.code) % 8 == 0
