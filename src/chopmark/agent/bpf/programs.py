"""What the kernel runs at its LSM hooks: one question to the maps, in code that docs/adr/0180 explains.

For every inode of a protected file system two stores hang on it and vanish with it. `writes` belongs to these programs:
how often somebody began to write, and whether the file is in use as code. `verdicts` belongs to the guard: at which of
those counts it looked, under which epoch of the policy. A verdict holds while both are the same and nobody writes.

SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from chopmark.agent.bpf.assembler import STACK, Code, If, Size
from chopmark.core.errors import UnavailableError
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.agent.bpf.btf import Types
    from chopmark.agent.bpf.verity import Proof

ENFORCE, STRICT = 1, 2
"""Of a protected file system: deny and not only count; libraries too. verity.SIGNED is the next one."""
COUNTS = ("allowed", "denied", "written", "writers", "refused", "proven")
"""Uses allowed, denied, denied because of a writer; writers seen, refused; files that proved themselves."""

_LOOKUP, _NOW, _THREAD, _STORAGE, _TASK = 1, 5, 14, 145, 158
"""Numbers of helpers (include/uapi/linux/bpf.h)."""
_CREATE = 1
_WORD = 8
_FMODE_WRITE, _ATTR_SIZE, _PROT_EXEC, _VM_EXEC = 0x2, 0x8, 0x4, 0x4
_FIELDS = {
    "bprm_file": "linux_binprm.file",
    "file_inode": "file.f_inode",
    "file_mode": "file.f_mode",
    "inode_super": "inode.i_sb",
    "inode_number": "inode.i_ino",
    "inode_writers": "inode.i_writecount.counter",
    "super_device": "super_block.s_dev",
    "dentry_inode": "dentry.d_inode",
    "attributes": "iattr.ia_valid",
    "task_memory": "task_struct.mm",
    "memory_program": "mm_struct.exe_file",
    "area_file": "vm_area_struct.vm_file",
    "area_flags": "vm_area_struct.vm_flags",
}
_DEVICE, _TIME, _EPOCH, _PASS = -4, -16, -40, -64
"""On the stack; verity.py uses what is between, and the place of _PASS."""
CONTEXT, INODE, FLAGS, WRITES = 6, 7, 8, 9
"""Registers: the file or whatever the hook is about, its inode, the file system's flags, the count of writers."""


class Maps(NamedTuple):
    """Descriptors: `protected` has flags by device, `passes` what threads may use, `epoch`, `counts` one element."""

    protected: int
    writes: int
    verdicts: int
    passes: int
    epoch: int
    counts: int


class Program(NamedTuple):
    """One program: the hook it is for, its code, and whether it may sleep."""

    hook: str
    code: bytes
    sleeps: bool = False


class Programs:
    """All of them for one kernel. Raises UnavailableError where it lacks a field or hook, MalformedError."""

    def __init__(self, types: Types, maps: Maps, proof: Proof | None = None) -> None:
        self._types, self._maps, self._proof = types, maps, proof
        self._at = {name: types.field(path).offset for name, path in _FIELDS.items()}

    def each(self) -> Iterator[Program]:
        """In the order in which they are to be attached: those that see writers before those that see uses."""
        sleeps = self._proof is not None
        yield Program("file_open", self._opened())
        yield Program("inode_setattr", self._resized())
        yield Program("file_mprotect", self._made_code())
        yield Program("bprm_creds_for_exec", self._executed("bprm_creds_for_exec"), sleeps)
        yield Program("bprm_check_security", self._executed("bprm_check_security"), sleeps)
        yield Program("mmap_file", self._mapped(), sleeps)

    # --- who writes

    def _opened(self) -> bytes:
        """file_open: one that opens for writing is counted, after the kernel has counted it in i_writecount."""
        code = self._begin("file_open", "file")
        code.load(1, CONTEXT, self._at["file_mode"], Size.WORD)
        self._only_if(code, 1, _FMODE_WRITE)
        code.load(INODE, CONTEXT, self._at["file_inode"])
        return self._counted(code)

    def _resized(self) -> bytes:
        """inode_setattr: truncate(2) is a writer without a file that it opens."""
        code = self._begin("inode_setattr", "dentry")
        code.load(1, 1, _WORD * self._argument("inode_setattr", "iattr"))
        code.load(1, 1, self._at["attributes"], Size.WORD)
        self._only_if(code, 1, _ATTR_SIZE)
        code.load(INODE, CONTEXT, self._at["dentry_inode"])
        code.jump_if(INODE, If.EQUAL, 0, "pass")
        return self._counted(code)

    def _counted(self, code: Code) -> bytes:
        self._only_protected(code)
        self._count(code, "writers")
        self._storage(code, self._maps.writes, create=True)
        code.jump_if(0, If.EQUAL, 0, "no-room")
        code.put(1, 1)
        code.fetch_add(0, 0, 1)  # and only then the look whether it is in use: _held does it the other way round
        code.load(1, 0, _WORD)
        code.jump_if(1, If.EQUAL, 0, "pass")
        self._only_if(code, FLAGS, ENFORCE)
        code.jump("in-use")
        return self._end(code)

    # --- who uses

    def _executed(self, hook: str) -> bytes:
        """The file of an execve(2), a question by AT_EXECVE_CHECK, and (the second hook) each interpreter."""
        code = self._begin(hook, "linux_binprm")
        code.load(CONTEXT, CONTEXT, self._at["bprm_file"])
        code.load(INODE, CONTEXT, self._at["file_inode"])
        self._only_protected(code)
        self._judged(code)
        code.label("known")
        code.load(1, INODE, self._at["inode_writers"], Size.WORD)
        code.jump_if(1, If.NOT_EQUAL, 0, "allow")  # below 0: the kernel lets nobody write to what is executed
        self._held(code)
        return self._end(code)

    def _mapped(self) -> bytes:
        """mmap_file: a library, or the loader. Its writers are kept away from then on, as those of programs are."""
        code = self._begin("mmap_file", "file")
        code.jump_if(CONTEXT, If.EQUAL, 0, "pass")
        code.load(1, 1, 2 * _WORD)
        self._only_if(code, 1, _PROT_EXEC)
        code.load(INODE, CONTEXT, self._at["file_inode"])
        self._only_protected(code)
        self._only_if(code, FLAGS, STRICT)
        self._judged(code)
        code.label("known")
        self._unless_own_program(code)
        self._held(code)
        return self._end(code)

    def _made_code(self) -> bytes:
        """file_mprotect: what was not mapped as code does not become code."""
        code = self._begin("file_mprotect", "vm_area_struct")
        code.load(1, 1, 2 * _WORD)
        self._only_if(code, 1, _PROT_EXEC)
        code.load(1, CONTEXT, self._at["area_flags"])
        code.jump_if(1, If.ANY_BIT, _VM_EXEC, "pass")
        code.load(1, CONTEXT, self._at["area_file"])
        code.jump_if(1, If.EQUAL, 0, "pass")
        code.load(INODE, 1, self._at["file_inode"])
        code.jump_if(INODE, If.EQUAL, 0, "pass")
        self._only_protected(code)
        self._only_if(code, FLAGS, STRICT)
        code.jump("deny")
        return self._end(code)

    def _judged(self, code: Code) -> None:
        """Jump to `known`, go on behind at `proven`, or deny."""
        self._storage(code, self._maps.writes)
        code.put(WRITES, 0)
        code.jump_if(0, If.EQUAL, 0, "never-written")
        code.load(WRITES, 0, 0)
        code.label("never-written")
        code.load(1, INODE, self._at["inode_writers"], Size.WORD)
        code.jump_if(1, If.SIGNED_GREATER_WORD, 0, "written")
        self._storage(code, self._maps.verdicts)
        code.jump_if(0, If.EQUAL, 0, "no-verdict")
        code.load(1, 0, 0)
        code.jump_if_differ(1, WRITES, "no-verdict")
        code.load(1, 0, _WORD)
        self._if_current(code, 1, "known")
        code.label("no-verdict")
        self._if_passed(code)
        code.label("no-pass")
        if self._proof is None:
            code.jump("deny")
            return
        code.map_value(1, self._maps.epoch)  # before the proof: what changes meanwhile makes it void
        code.load(1, 1, 0)
        code.store(STACK, _EPOCH, 1)
        self._proof(code, CONTEXT, FLAGS, _EPOCH)
        code.jump("deny")
        code.label("proven")
        self._count(code, "proven")
        self._storage(code, self._maps.verdicts, create=True)
        code.jump_if(0, If.EQUAL, 0, "allow")
        code.store(0, 0, WRITES)
        code.load(1, STACK, _EPOCH)
        code.store(0, _WORD, 1)
        code.jump("allow")

    def _if_passed(self, code: Code) -> None:
        """Jump to `known` if the guard has let this very thread use the file, a moment ago."""
        code.call(_NOW)
        code.store(STACK, _TIME, 0)
        code.call(_THREAD)
        code.store(STACK, _PASS, 0, Size.WORD)
        code.load(1, STACK, _DEVICE, Size.WORD)
        code.store(STACK, _PASS + 4, 1, Size.WORD)
        code.load(1, INODE, self._at["inode_number"])
        code.store(STACK, _PASS + _WORD, 1)
        self._lookup(code, self._maps.passes, _PASS)
        code.jump_if(0, If.EQUAL, 0, "no-pass")
        code.load(1, 0, 0)
        code.jump_if_differ(1, WRITES, "no-pass")
        code.load(1, 0, 2 * _WORD)
        code.load(2, STACK, _TIME)
        code.subtract(1, 2)
        code.jump_if(1, If.SIGNED_LESS, 0, "no-pass")
        code.load(1, 0, _WORD)
        self._if_current(code, 1, "known")

    def _unless_own_program(self, code: Code) -> None:
        """A program is unwritable for as long as a process has it; the kernel does not protect libraries like that."""
        code.load(1, INODE, self._at["inode_writers"], Size.WORD)
        code.jump_if(1, If.EQUAL, 0, "hold")
        code.call(_TASK)
        for name in ("task_memory", "memory_program", "file_inode"):
            code.load(0, 0, self._at[name])
            code.jump_if(0, If.EQUAL, 0, "hold")
        code.jump_if_same(0, INODE, "allow")
        code.label("hold")

    def _held(self, code: Code) -> None:
        """Say that the file is in use, and only then look again for writers: they do it the other way round."""
        self._storage(code, self._maps.writes, create=True)
        code.jump_if(0, If.EQUAL, 0, "written")
        code.put(1, 1)
        code.fetch_or(0, _WORD, 1)
        code.load(1, 0, 0)
        code.jump_if_differ(1, WRITES, "written")
        code.load(1, INODE, self._at["inode_writers"], Size.WORD)
        code.jump_if(1, If.SIGNED_GREATER_WORD, 0, "written")
        code.jump("allow")

    # --- pieces

    def _argument(self, hook: str, structure: str) -> int:
        """Which argument of a hook points to such a structure: kernels differ."""
        parameters = self._types.parameters(f"bpf_lsm_{hook}")
        if structure not in parameters:
            raise UnavailableError(f"this kernel has no hook {hook} with a {structure}")
        return parameters.index(structure)

    def _begin(self, hook: str, structure: str) -> Code:
        """Register 1 has the arguments, CONTEXT the one that points to `structure`."""
        code = Code()
        code.load(CONTEXT, 1, _WORD * self._argument(hook, structure))
        return code

    @staticmethod
    def _only_if(code: Code, register: int, bit: int) -> None:
        """Go on if a bit is set; else there is nothing to judge."""
        code.put(2, bit)
        code.keep_same_bits(2, register)
        code.jump_if(2, If.EQUAL, 0, "pass")

    def _only_protected(self, code: Code) -> None:
        """FLAGS become those of INODE's file system."""
        code.load(1, INODE, self._at["inode_super"])
        code.load(1, 1, self._at["super_device"], Size.WORD)
        code.store(STACK, _DEVICE, 1, Size.WORD)
        self._lookup(code, self._maps.protected, _DEVICE)
        code.jump_if(0, If.EQUAL, 0, "pass")
        code.load(FLAGS, 0, 0, Size.WORD)

    @staticmethod
    def _lookup(code: Code, descriptor: int, key: int) -> None:
        """By the key at a place on the stack; register 0 is where it stands, or 0."""
        code.map(1, descriptor)
        code.move(2, STACK)
        code.add(2, key)
        code.call(_LOOKUP)

    @staticmethod
    def _storage(code: Code, descriptor: int, *, create: bool = False) -> None:
        """What hangs on INODE; register 0 is where it stands, or 0."""
        code.map(1, descriptor)
        code.move(2, INODE)
        code.put(3, 0)
        code.put(4, _CREATE if create else 0)
        code.call(_STORAGE)

    def _if_current(self, code: Code, register: int, label: str) -> None:
        """Jump if a register has the epoch of the policy that is in force."""
        code.map_value(2, self._maps.epoch)
        code.load(2, 2, 0)
        code.jump_if_same(register, 2, label)

    def _count(self, code: Code, what: str) -> None:
        code.map_value(1, self._maps.counts, _WORD * COUNTS.index(what))
        code.put(2, 1)
        code.fetch_add(1, 0, 2)

    def _end(self, code: Code) -> bytes:
        """The answers that the code before jumps to."""
        for label, count in (("deny", "denied"), ("written", "written")):
            if code.wants(label):
                code.label(label)
                self._count(code, count)
                self._only_if(code, FLAGS, ENFORCE)
                code.jump("refuse")
        for label, count, answer in (
            ("allow", "allowed", 0),
            ("in-use", "refused", -errno.ETXTBSY),
            ("refuse", "", -errno.EPERM),
            ("no-room", "", -errno.ENOMEM),
            ("pass", "", 0),
        ):
            if code.wants(label):
                code.label(label)
                if count:
                    self._count(code, count)
                code.put(0, answer)
                code.end()
        return code.assembled()
