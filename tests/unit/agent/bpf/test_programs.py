"""The kernel's programs, over made-up memory: what they answer, and every order in which user and writer can meet."""

from __future__ import annotations

import errno
import itertools
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest

from chopmark.agent.bpf import verity
from chopmark.agent.bpf.btf import Types
from chopmark.agent.bpf.programs import COUNTS, ENFORCE, STRICT, Maps, Programs
from chopmark.core.errors import UnavailableError
from tests.support import bpf, btf

if TYPE_CHECKING:
    from collections.abc import Generator

MAPS = Maps(protected=1, writes=2, verdicts=3, passes=4, epoch=5, counts=6)
VERITY = verity.Maps(digests=11, buffers=12, keyring=13, attribute=14)
DEVICE = 8 << 20 | 1
READ, EXEC = 1, 4
DENIED, BUSY, NO_ROOM = -errno.EPERM, -errno.ETXTBSY, -errno.ENOMEM
PLAIN = Types(btf.kernel(with_verity=False))
FULL = Types(btf.kernel())


@lru_cache
def _code(types: Types) -> dict[str, bytes]:
    proof = verity.Proof(types, VERITY) if types is FULL else None
    return {each.hook: each.code for each in Programs(types, MAPS, proof).each()}


class Host(bpf.Kernel):
    """One protected file system with one file, that nobody has judged."""

    def __init__(self, flags: int = ENFORCE | STRICT, types: Types = PLAIN) -> None:
        super().__init__()
        self.table(MAPS.protected, 4, 4)
        self.table(MAPS.passes, 16, 24)
        self.store(MAPS.writes, 16)
        self.store(MAPS.verdicts, 16)
        self.memory.write(self.array(MAPS.epoch, 8), 1)
        self.array(MAPS.counts, 8 * len(COUNTS))
        self.code = _code(types)
        self.put(MAPS.protected, struct.pack("<I", DEVICE), struct.pack("<I", flags))
        self.super, self.inode, self.file = (self.memory.make(64) for _ in range(3))
        self.memory.write(self.super + 16, DEVICE, 4)
        self.memory.write(self.inode + 8, self.super)
        self.memory.write(self.inode + 16, 1234)
        self.memory.write(self.file + 8, self.inode)
        self.task = self.memory.make(64)
        self.bprm, self.dentry, self.attributes, self.area = (self.memory.make(64) for _ in range(4))
        self.memory.write(self.bprm + 8, self.file)
        self.memory.write(self.dentry + 8, self.inode)
        self.memory.write(self.area + 16, self.file)

    def writers(self, change: int) -> None:
        self.memory.write(self.inode + 24, self.memory.read(self.inode + 24, 4) + change, 4)

    def allow(self, writes: int = 0, epoch: int = 1) -> None:
        self.hang(MAPS.verdicts, self.inode, struct.pack("<QQ", writes, epoch))

    def execute(self, hook: str = "bprm_creds_for_exec") -> int:
        """As execve(2) does it: nobody can write meanwhile."""
        if self.memory.read(self.inode + 24, 4):
            return BUSY
        self.writers(-1)
        answer = self.run(self.code[hook], self.bprm)
        self.writers(1)
        return answer

    def open(self, mode: int) -> int:
        self.memory.write(self.file + 4, mode, 4)
        if mode & 2:
            self.writers(1)
        return self.run(self.code["file_open"], self.file)

    def write_once(self) -> int:
        answer = self.open(3)
        self.writers(-1)
        return answer

    def map(self, protection: int = READ | EXEC) -> int:
        return self.run(self.code["mmap_file"], self.file, protection, protection, 2)

    def resize(self, valid: int = 8, *, idmap: bool = True) -> int:
        self.memory.write(self.attributes + 4, valid, 4)
        return self.run(self.code["inode_setattr"], *([0] if idmap else []), self.dentry, self.attributes)

    def protect(self, protection: int, flags: int = 0) -> int:
        self.memory.write(self.area + 8, flags)
        return self.run(self.code["file_mprotect"], self.area, protection, protection)

    def count(self, name: str) -> int:
        return self.memory.read(self.arrays[MAPS.counts] + 8 * COUNTS.index(name))


@pytest.fixture
def host() -> Host:
    return Host()


def test_what_nobody_judged_does_not_run(host: Host) -> None:
    assert host.execute() == host.execute("bprm_check_security") == host.map() == DENIED
    assert host.count("denied") == 3


def test_what_was_allowed_runs(host: Host) -> None:
    host.allow()
    assert host.execute() == host.execute("bprm_check_security") == host.map() == 0
    assert host.count("allowed") == 3


def test_other_file_systems_are_left_alone(host: Host) -> None:
    host.memory.write(host.super + 16, DEVICE + 1, 4)
    assert host.execute() == host.map() == host.open(3) == host.protect(EXEC) == host.resize() == 0
    assert not any(host.count(name) for name in COUNTS)


def test_in_audit_mode_it_counts_only() -> None:
    host = Host(STRICT)
    assert host.execute() == host.map() == host.protect(EXEC) == 0
    assert host.count("denied") == 3


def test_a_verdict_ends_with_the_first_writer(host: Host) -> None:
    host.allow()
    assert host.write_once() == 0
    assert host.execute() == DENIED
    host.allow(writes=1)
    assert host.execute() == 0


def test_a_verdict_ends_with_its_epoch(host: Host) -> None:
    host.allow()
    host.memory.write(host.arrays[MAPS.epoch], 2)
    assert host.execute() == DENIED


def test_readers_are_no_writers(host: Host) -> None:
    host.allow()
    assert host.open(1) == 0
    assert host.execute() == 0


def test_one_who_judged_before_a_writer_came_is_not_believed(host: Host) -> None:
    host.write_once()
    host.allow(writes=0)
    assert host.execute() == host.map() == DENIED


def test_while_somebody_writes_nothing_is_known(host: Host) -> None:
    host.open(3)
    host.allow(writes=1)
    assert host.map() == DENIED
    assert host.count("written") == 1


@pytest.mark.parametrize("idmap", [False, True])
def test_truncating_is_writing(*, idmap: bool) -> None:
    host = Host(types=Types(btf.kernel(with_verity=False, idmap=idmap)))
    host.allow()
    assert host.resize(valid=1, idmap=idmap) == 0
    assert host.execute() == 0
    assert host.resize(idmap=idmap) == 0
    assert host.execute() == DENIED


def test_what_is_mapped_as_code_is_not_written_to(host: Host) -> None:
    host.allow()
    assert host.map() == 0
    assert host.open(3) == host.resize() == BUSY
    assert host.count("refused") == 2


def test_what_was_denied_does_not_keep_writers_away(host: Host) -> None:
    assert host.map() == DENIED
    assert host.open(3) == 0


def test_programs_of_a_process_need_no_protection_of_ours(host: Host) -> None:
    memory = host.memory.make(64)
    host.memory.write(host.task + 8, memory)
    host.memory.write(memory + 8, host.file)
    host.allow()
    host.writers(-1)  # it is being executed
    assert host.map() == 0
    host.writers(1)
    assert host.write_once() == 0


def test_where_the_kernel_lets_others_write_to_programs_we_do_not(host: Host) -> None:
    host.allow()
    assert host.run(host.code["bprm_creds_for_exec"], host.bprm) == 0  # i_writecount is 0: Linux 6.11, 6.12
    assert host.open(3) == BUSY


def test_mapping_without_execution_and_anonymous_memory_are_nobodys_business(host: Host) -> None:
    assert host.map(READ) == 0
    assert host.run(host.code["mmap_file"], 0, EXEC, EXEC, 0x22) == 0


def test_data_does_not_become_code(host: Host) -> None:
    host.allow()
    assert host.protect(EXEC) == DENIED
    assert host.protect(READ) == 0
    assert host.protect(EXEC, flags=4) == 0  # it was code before
    host.memory.write(host.area + 16, 0)
    assert host.protect(EXEC) == 0  # no file


def test_without_strict_libraries_are_not_judged() -> None:
    host = Host(ENFORCE)
    assert host.map() == host.protect(EXEC) == 0
    assert host.execute() == DENIED


def test_a_pass_is_for_one_thread_one_file_one_content_one_epoch_and_a_while(host: Host) -> None:
    def let(
        thread: int = 7,
        inode: int = 1234,
        device: int = DEVICE,
        writes: int = 0,
        epoch: int = 1,
        until: int = 1_000,
    ) -> int:
        host.tables[MAPS.passes].clear()
        key = struct.pack("<IIQ", thread, device, inode)
        host.put(MAPS.passes, key, struct.pack("<QQQ", writes, epoch, until))
        return host.execute()

    assert let() == 0
    assert let(thread=8) == let(inode=1) == let(device=1) == let(writes=1) == let(epoch=2) == let(until=999) == DENIED


def test_without_room_nobody_writes_and_nothing_is_mapped(host: Host) -> None:
    host.full.add(MAPS.writes)
    host.allow()
    assert host.map() == DENIED
    assert host.open(3) == NO_ROOM


def _together(host: Host, first: int, second: int) -> tuple[int, int]:
    """Somebody maps and somebody opens for writing: so many steps of the one, so many of the other, and both rests."""

    def opening() -> Generator[None, None, int]:
        yield
        host.writers(1)
        return (yield from host.start(host.code["file_open"], host.file))

    host.memory.write(host.file + 4, 3, 4)
    mapping = host.start(host.code["mmap_file"], host.file, EXEC, EXEC, 2)
    answers: dict[str, int] = {}

    def step(name: str, running: Generator[None, None, int], count: int | None) -> None:
        for _ in itertools.repeat(None) if count is None else range(count):
            try:
                next(running)
            except StopIteration as stop:
                answers.setdefault(name, stop.value)
                return

    writing = opening()
    step("map", mapping, first)
    step("open", writing, second)
    step("map", mapping, None)
    step("open", writing, None)
    return answers["map"], answers["open"]


def test_in_no_order_do_a_user_and_a_writer_both_get_the_file() -> None:
    length = len(Host().code["mmap_file"]) // 8, len(Host().code["file_open"]) // 8 + 1
    seen = set()
    for first, second in itertools.product(range(length[0]), range(length[1])):
        host = Host()
        host.allow()
        seen.add(_together(host, first, second))
    assert (0, 0) not in seen
    assert {(0, BUSY), (DENIED, 0)} <= seen


# --- what proves itself


class Sealed(Host):
    """The file has fs-verity, and a signature; `asked` is what the kernel verified."""

    def __init__(self, flags: int = ENFORCE | STRICT | verity.SIGNED) -> None:
        super().__init__(flags, FULL)
        self.table(VERITY.digests, verity.DIGEST, 8)
        self.store(VERITY.buffers, verity.BUFFER)
        self.memory.write(self.array(VERITY.keyring, 4), 77, 4)
        self.array(VERITY.attribute, 14)
        self.digest: bytes | None = struct.pack("<HH", 1, 32) + b"d" * 32
        self.signature: bytes | None = b"signature"
        self.keyring = True
        self.verdict = 0
        self.asked: list[tuple[bytes, bytes]] = []
        self.references = 0
        numbers = [FULL.function(name) for name in verity.FUNCTIONS]
        self.functions = dict(
            zip(numbers, (self._digest, self._attribute, self._key, self._verify, self._release), strict=True)
        )

    def _view(self, address: int) -> tuple[int, int]:
        return self.memory.read(address), self.memory.read(address + 8)

    def _digest(self, r: list[int]) -> int:
        assert r[1] == self.file
        if self.digest is None:
            return -errno.ENODATA
        self.memory.fill(self._view(r[2])[0], self.digest)
        return 0

    def _attribute(self, r: list[int]) -> int:
        assert (r[1], r[2]) == (self.file, self.arrays[VERITY.attribute])
        address, room = self._view(r[3])
        if self.signature is None or len(self.signature) > room:
            return -errno.ENODATA if self.signature is None else -errno.ERANGE
        self.memory.fill(address, self.signature)
        return len(self.signature)

    def _key(self, r: list[int]) -> int:
        assert r[1] == 77
        self.references += self.keyring
        return 0xBEEF if self.keyring else 0

    def _verify(self, r: list[int]) -> int:
        (data, length), (signature, size) = self._view(r[1]), self._view(r[2])
        self.asked.append((self.memory.octets(data, length), self.memory.octets(signature, size)))
        return self.verdict

    def _release(self, r: list[int]) -> int:
        assert r[1] == 0xBEEF
        self.references -= 1
        return 0


def test_the_kernel_is_asked_about_what_chopmark_signs() -> None:
    host = Sealed()
    assert host.digest is not None
    assert host.execute() == 0
    assert host.asked == [(b"FSVerity" + host.digest, b"signature")]
    assert host.count("proven") == 1
    assert host.references == 0


def test_a_proof_is_kept_until_the_epoch_changes() -> None:
    host = Sealed()
    assert host.execute() == host.execute() == 0
    assert len(host.asked) == 1
    host.memory.write(host.arrays[MAPS.epoch], 2)
    host.verdict = -errno.ENOKEY
    assert host.execute() == DENIED


def test_longer_digests_are_signed_whole_and_leave_nothing_behind() -> None:
    host = Sealed()
    host.digest = struct.pack("<HH", 2, 64) + b"e" * 64
    assert host.execute() == 0
    assert host.asked[0][0] == b"FSVerity" + host.digest
    host = Sealed(ENFORCE)
    host.digest = struct.pack("<HH", 2, 64) + b"e" * 64
    host.execute()
    host.digest = struct.pack("<HH", 1, 32) + b"d" * 32
    host.put(VERITY.digests, host.digest.ljust(verity.DIGEST, b"\0"), struct.pack("<Q", 1))
    assert host.execute() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"digest": None},
        {"digest": struct.pack("<HH", 1, 65) + b"d" * 64},
        {"signature": None},
        {"signature": b""},
        {"signature": b"s" * 4097},
        {"keyring": False},
        {"verdict": -errno.EKEYREJECTED},
        {"verdict": 1 << 31},
    ],
    ids="-".join,
)
def test_what_does_not_prove_itself_is_denied(change: dict[str, object]) -> None:
    host = Sealed()
    vars(host).update(change)
    assert host.execute() == host.map() == DENIED
    assert host.count("proven") == host.references == 0


def test_signatures_count_where_they_were_asked_for_only() -> None:
    assert Sealed(ENFORCE).execute() == DENIED


def test_listed_digests_are_allowed_under_their_epoch() -> None:
    host = Sealed(ENFORCE)
    assert host.digest is not None
    key = host.digest.ljust(verity.DIGEST, b"\0")
    host.put(VERITY.digests, key, struct.pack("<Q", 2))
    assert host.execute() == DENIED
    host.put(VERITY.digests, key, struct.pack("<Q", 1))
    assert host.execute() == 0
    assert not host.asked


def test_a_task_without_room_proves_nothing() -> None:
    host = Sealed()
    host.full.add(VERITY.buffers)
    assert host.execute() == DENIED


def test_kernels_without_a_hook_are_told_apart() -> None:
    blob = btf.kernel().replace(b"bpf_lsm_mmap_file", b"bpf_lsm_mmap_phil")
    with pytest.raises(UnavailableError):
        list(Programs(Types(blob), MAPS).each())
