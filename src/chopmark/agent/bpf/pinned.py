"""The kernel's share of a guard: loaded and attached here, kept by name in a BPF file system so that it outlives us."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import struct
import sys
from typing import TYPE_CHECKING

from chopmark.agent.bpf import btf, kernel, programs, verity
from chopmark.core import limits
from chopmark.core.closing import Closing
from chopmark.core.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = "/sys/fs/bpf/chopmark"

_PAIR = struct.Struct("=QQ")
_PASS_KEY = struct.Struct("=I4sQ")
_PASS = struct.Struct("=QQQ")
_U32 = struct.Struct("=I")
_U64 = struct.Struct("=Q")
_FIRST = _U32.pack(0)
_MINOR_BITS = 20
_TYPES = (1, 3)
"""Of keys and values of storage on inodes and tasks, in btf.pairs and btf.octets."""


class Pinned(Closing):
    """Maps of programs that are attached. Every method raises OSError."""

    def __init__(self, maps: programs.Maps, verity_maps: verity.Maps | None) -> None:
        self.maps = maps
        self._verity = verity_maps

    def close(self) -> None:
        """Close the descriptors; what is pinned stays."""
        for descriptor in (*self.maps, *(self._verity or ())):
            os.close(descriptor)

    # --- what is protected

    def protect(self, device: int, flags: int) -> None:
        """Judge what is used from the file system on a device (as in st_dev), with ENFORCE, STRICT, SIGNED."""
        kernel.update(self.maps.protected, _device(device), _U32.pack(flags))

    def release(self, device: int) -> None:
        """Judge it no more."""
        kernel.delete(self.maps.protected, _device(device))

    def flags(self, device: int) -> int | None:
        """How a file system is protected; None: not at all."""
        found = kernel.lookup(self.maps.protected, _device(device), _U32.size)
        return None if found is None else int(_U32.unpack(found)[0])

    def protected(self) -> dict[int, int]:
        """The flags of every protected file system, by device."""
        found = {}
        for key in kernel.keys(self.maps.protected, _U32.size, limits.GUARD_BPF_DEVICES_MAX):
            number = int(_U32.unpack(key)[0])
            device = os.makedev(number >> _MINOR_BITS, number & (1 << _MINOR_BITS) - 1)
            flags = self.flags(device)
            if flags is not None:
                found[device] = flags
        return found

    # --- verdicts

    def writes(self, descriptor: int) -> int:
        """How often somebody began to write to an open file since its inode came into memory.

        Read it before the file is looked at, and make sure afterwards that nobody has it open for writing (a lease is
        granted then only): what was found out belongs to this count.
        """
        found = kernel.lookup(self.maps.writes, _U32.pack(descriptor), _PAIR.size)
        return 0 if found is None else int(_PAIR.unpack(found)[0])

    def allow(self, descriptor: int, writes: int) -> None:
        """Let everybody use an open file until somebody writes to it, its inode leaves memory, or the epoch changes."""
        kernel.update(self.maps.verdicts, _U32.pack(descriptor), _PAIR.pack(writes, self.epoch))

    def let(self, thread: int, descriptor: int, writes: int, until: int) -> None:
        """Let one thread use an open file until a time (of time.monotonic_ns)."""
        state = os.fstat(descriptor)
        key = _PASS_KEY.pack(thread, _device(state.st_dev), state.st_ino)
        kernel.update(self.maps.passes, key, _PASS.pack(writes, self.epoch, until))

    def forget(self, descriptor: int) -> None:
        """Know nothing of an open file any more."""
        kernel.delete(self.maps.verdicts, _U32.pack(descriptor))

    def knows(self, descriptor: int) -> bool:
        """Whether a verdict about an open file holds now."""
        found = kernel.lookup(self.maps.verdicts, _U32.pack(descriptor), _PAIR.size)
        return found is not None and _PAIR.unpack(found) == (self.writes(descriptor), self.epoch)

    @property
    def epoch(self) -> int:
        """Which policy verdicts are by, as a number."""
        return int(_U64.unpack(kernel.lookup(self.maps.epoch, _FIRST, _U64.size) or bytes(8))[0])

    def renew(self) -> None:
        """Drop every verdict at once: another policy is in force."""
        kernel.update(self.maps.epoch, _FIRST, _U64.pack(self.epoch + 1))

    @property
    def proves(self) -> bool:
        """Whether this kernel lets files with fs-verity prove themselves."""
        return self._verity is not None

    def list_digest(self, digest: bytes) -> None:
        """Allow whatever file has this fs-verity digest (struct fsverity_digest), until the epoch changes."""
        kernel.update(self._proofs.digests, digest.ljust(verity.DIGEST, b"\0"), _U64.pack(self.epoch))

    def trust_keyring(self, serial: int) -> None:
        """Take signatures by the certificates in a keyring of the kernel; what others proved is void."""
        kernel.update(self._proofs.keyring, _FIRST, struct.pack("=i", serial))
        self.renew()

    @property
    def keyring(self) -> int:
        """The serial number of the keyring that signatures are checked with; 0: none."""
        found = kernel.lookup(self._proofs.keyring, _FIRST, _U32.size) or bytes(_U32.size)
        return int(struct.unpack("=i", found)[0])

    @property
    def _proofs(self) -> verity.Maps:
        if self._verity is None:
            raise UnavailableError("this kernel cannot tell a BPF program about fs-verity (Linux 6.8 can)")
        return self._verity

    def counts(self) -> dict[str, int]:
        """What the programs counted since they were loaded, by name."""
        size = _U64.size * len(programs.COUNTS)
        found = kernel.lookup(self.maps.counts, _FIRST, size) or bytes(size)
        return dict(zip(programs.COUNTS, struct.unpack(f"={len(programs.COUNTS)}Q", found), strict=True))


def _device(device: int) -> bytes:
    """As the kernel numbers devices within itself (MKDEV)."""
    return _U32.pack(os.major(device) << _MINOR_BITS | os.minor(device))


def load(types: btf.Types, place: str = PLACE) -> None:
    """Attach the programs and pin everything in a new folder. Nothing is protected yet.

    Raises UnavailableError where the kernel does not allow it, UsageError where something is pinned there already.
    """
    if sys.byteorder != "little":
        raise UnavailableError("BPF programs are made for little-endian machines only")
    try:
        os.mkdir(place, 0o700)
    except FileExistsError:
        raise UsageError(f"{place}: there already (chopmark guard bpf unload)") from None
    except OSError as error:
        raise UnavailableError(f"{place}: {error.strerror} (mount -t bpf bpf /sys/fs/bpf)") from None
    with contextlib.ExitStack() as undo:
        undo.callback(unload, place)
        try:
            _fill(types, place)
        except OSError as error:
            raise UnavailableError(f"{place}: {error.strerror}") from None
        undo.pop_all()


def _fill(types: btf.Types, place: str) -> None:
    with contextlib.ExitStack() as closing:

        def kept(descriptor: int) -> int:
            closing.callback(os.close, descriptor)
            return descriptor

        maps = _maps(kept)
        proofs = _verity_maps(kept) if verity.there(types) else None
        for name, descriptor in (maps._asdict() | (proofs._asdict() if proofs else {})).items():
            kernel.pin(descriptor, os.path.join(place, name))
        proof = verity.Proof(types, proofs) if proofs else None
        loaded = []
        for program in programs.Programs(types, maps, proof).each():
            hook = types.function(f"bpf_lsm_{program.hook}")
            loaded.append((program.hook, kept(kernel.load(program.hook, program.code, hook, sleeps=program.sleeps))))
        for name, descriptor in loaded:  # only once the verifier has taken all of them
            kernel.pin(kept(kernel.attach(descriptor)), os.path.join(place, f"link-{name}"))


def _maps(kept: Callable[[int], int]) -> programs.Maps:
    blob = kept(kernel.load_types(btf.pairs("count", "mark")))

    def storage(name: str) -> int:
        return kept(
            kernel.make_map(
                name,
                kernel.Kind.INODE_STORAGE,
                _U32.size,
                _PAIR.size,
                0,
                flags=kernel.NO_PREALLOC,
                types=(blob, *_TYPES),
            )
        )

    def array(name: str, size: int) -> int:
        return kept(kernel.make_map(name, kernel.Kind.ARRAY, _U32.size, size, 1))

    maps = programs.Maps(
        protected=kept(
            kernel.make_map("protected", kernel.Kind.HASH, _U32.size, _U32.size, limits.GUARD_BPF_DEVICES_MAX)
        ),
        writes=storage("writes"),
        verdicts=storage("verdicts"),
        passes=kept(
            kernel.make_map("passes", kernel.Kind.LRU_HASH, _PASS_KEY.size, _PASS.size, limits.GUARD_BPF_PASSES_MAX)
        ),
        epoch=array("epoch", _U64.size),
        counts=array("counts", _U64.size * len(programs.COUNTS)),
    )
    kernel.update(maps.epoch, _FIRST, _U64.pack(1))
    kernel.freeze(maps.writes)  # from now on the programs alone count
    return maps


def _verity_maps(kept: Callable[[int], int]) -> verity.Maps:
    name = verity.ATTRIBUTE.encode() + b"\0"
    blob = kept(kernel.load_types(btf.octets(verity.BUFFER)))
    maps = verity.Maps(
        digests=kept(
            kernel.make_map(
                "digests",
                kernel.Kind.HASH,
                verity.DIGEST,
                _U64.size,
                limits.GUARD_BPF_DIGESTS_MAX,
                flags=kernel.NO_PREALLOC,
            )
        ),
        buffers=kept(
            kernel.make_map(
                "buffers",
                kernel.Kind.TASK_STORAGE,
                _U32.size,
                verity.BUFFER,
                0,
                flags=kernel.NO_PREALLOC,
                types=(blob, *_TYPES),
            )
        ),
        keyring=kept(kernel.make_map("keyring", kernel.Kind.ARRAY, _U32.size, _U32.size, 1)),
        attribute=kept(
            kernel.make_map(
                "attribute", kernel.Kind.ARRAY, _U32.size, len(name), 1, flags=kernel.READ_ONLY_FOR_PROGRAMS
            )
        ),
    )
    kernel.update(maps.attribute, _FIRST, name)
    kernel.freeze(maps.attribute)  # the verifier takes a name only from where nobody can change it
    kernel.freeze(maps.buffers)
    return maps


def open_pinned(place: str = PLACE) -> Pinned:
    """What another process has loaded. Raises UnavailableError."""
    with contextlib.ExitStack() as undo:

        def opened(names: tuple[str, ...]) -> list[int]:
            found = []
            for name in names:
                found.append(kernel.pinned(os.path.join(place, name)))
                undo.callback(os.close, found[-1])
            return found

        try:
            maps = programs.Maps(*opened(programs.Maps._fields))
            with_verity = os.path.exists(os.path.join(place, "digests"))
            proofs = verity.Maps(*opened(verity.Maps._fields)) if with_verity else None
        except OSError as error:
            why = "nothing is loaded" if error.errno == errno.ENOENT else error.strerror
            raise UnavailableError(f"{place}: {why}") from None
        undo.pop_all()
    return Pinned(maps, proofs)


def attached(place: str = PLACE) -> list[str]:
    """The hooks at which programs of ours are pinned."""
    try:
        return sorted(name.removeprefix("link-") for name in os.listdir(place) if name.startswith("link-"))
    except OSError:
        return []


def unload(place: str = PLACE) -> None:
    """Detach the programs and forget everything. Raises UsageError where nothing is loaded."""
    try:
        with contextlib.suppress(UnavailableError), open_pinned(place) as held:
            for device in held.protected():
                held.release(device)  # at once; the kernel takes its time to detach
        shutil.rmtree(place)
    except FileNotFoundError:
        raise UsageError(f"{place}: nothing is loaded") from None
    except OSError as error:
        raise UnavailableError(f"{place}: {error.strerror}") from None
