"""The reader of a kernel's types: what it finds, and what it refuses."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.agent.bpf import btf, verity
from chopmark.agent.bpf.btf import Field, Types
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError, UnavailableError
from tests.support import btf as made

BLOB = made.kernel()
TYPES = Types(BLOB)


def test_fields_lie_where_they_lie() -> None:
    assert TYPES.field("linux_binprm.file") == Field(8, 8)
    assert TYPES.field("file.f_mode") == Field(4, 4)  # in a union without a name
    assert TYPES.field("inode.i_writecount.counter") == Field(24, 4)
    assert TYPES.field("super_block.s_dev") == Field(16, 4)  # by a typedef
    assert TYPES.field("vm_area_struct.vm_flags") == Field(8, 8)


@pytest.mark.parametrize("path", ["inode.no", "nothing.file", "file.f_inode.no", "inode.i_ino.deeper", "i_sb.x", ""])
def test_fields_that_are_not_there(path: str) -> None:
    if path:
        with pytest.raises(UnavailableError):
            TYPES.field(path)


def test_functions_and_what_they_take() -> None:
    assert TYPES.function("bpf_lsm_file_open")
    assert not TYPES.function("bpf_lsm_file")
    assert not TYPES.function("file")  # a structure
    assert TYPES.parameters("bpf_lsm_inode_setattr") == ("mnt_idmap", "dentry", "iattr")
    assert TYPES.parameters("bpf_lsm_file_open") == ("file",)  # const
    assert TYPES.parameters("bpf_lsm_mmap_file") == ("file", "", "", "")
    assert TYPES.parameters("no_such_function") == ()


def test_kernels_with_and_without_functions_for_fs_verity() -> None:
    assert verity.there(TYPES)
    assert not verity.there(Types(made.kernel(with_verity=False)))


def test_every_truncation_is_refused() -> None:
    for length in range(len(BLOB)):
        with pytest.raises(MalformedError):
            Types(BLOB[:length])


@pytest.mark.parametrize(
    "change",
    [
        (0, b"\xeb\x9f"),  # another byte order
        (2, b"\2"),
        (4, struct.pack("=I", 8)),
        (4, struct.pack("=I", 1 << 31)),
        (12, struct.pack("=I", 1 << 31)),
        (16, struct.pack("=I", 1 << 31)),
        (28, struct.pack("=I", 31 << 24)),  # a kind that nobody knows
        (28, struct.pack("=I", 0)),
        (12, struct.pack("=I", 14)),
    ],
)
def test_broken_headers_are_refused(change: tuple[int, bytes]) -> None:
    at, new = change
    with pytest.raises(MalformedError):
        Types(BLOB[:at] + new + BLOB[at + len(new) :])


def test_types_that_name_themselves_are_refused() -> None:
    blob = made.Blob()
    blob.structure("loop", ("member", 2, 0))
    blob.add("itself", made.TYPEDEF, 2)
    with pytest.raises(MalformedError):
        Types(blob.data()).field("loop.member.more")
    blob = made.Blob()
    blob.structure("deep", ("", 1, 0))
    with pytest.raises(MalformedError):
        Types(blob.data()).field("deep.member")


def test_members_of_types_that_are_not_there_are_refused() -> None:
    blob = made.Blob()
    blob.structure("one", ("member", 77, 0))
    with pytest.raises(MalformedError):
        Types(blob.data()).field("one.member")
    blob = made.Blob()
    blob.add("one", made.STRUCT, 8, count=1, rest=struct.pack("=III", 1 << 20, 0, 0))
    with pytest.raises(MalformedError):
        Types(blob.data()).field("one.member")


def test_bit_fields_are_refused() -> None:
    blob = made.Blob()
    number = blob.integer("int", 4)
    rest = struct.pack("=III", blob.name("bits"), number, 3 << 24 | 8)
    blob.add("one", made.STRUCT, 4, count=1, flag=True, rest=rest)
    with pytest.raises(MalformedError):
        Types(blob.data()).field("one.bits")


def test_more_types_than_any_kernel_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_BTF_TYPES_MAX", 5)
    with pytest.raises(MalformedError):
        Types(BLOB)


def test_a_kernel_that_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnavailableError):
        btf.of_kernel(str(tmp_path / "vmlinux"))
    (tmp_path / "vmlinux").write_bytes(BLOB)
    assert btf.of_kernel(str(tmp_path / "vmlinux")).function("bpf_lsm_file_open")
    monkeypatch.setattr(limits, "GUARD_BTF_MAX", 5)
    with pytest.raises(MalformedError):
        btf.of_kernel(str(tmp_path / "vmlinux"))


@pytest.mark.skipif(not Path(btf.VMLINUX).exists(), reason="this kernel does not say what its types are")
def test_this_machines_kernel() -> None:
    types = btf.of_kernel()
    assert types.field("linux_binprm.file").size == 8
    assert types.field("inode.i_writecount.counter").size == 4


def test_what_we_tell_the_kernel_is_read_back() -> None:
    types = Types(btf.pairs("count", "mark"))
    assert (types.field("pair.count"), types.field("pair.mark")) == (Field(0, 8), Field(8, 8))
    Types(btf.octets(4096))


@given(st.binary(max_size=200) | st.builds(lambda at, new: BLOB[:at] + new + BLOB[at + 1 :],
                                           st.integers(0, len(BLOB)), st.binary(max_size=2)))  # fmt: skip
def test_no_blob_does_harm(blob: bytes) -> None:
    with contextlib.suppress(ChopmarkError):
        types = Types(blob)
        types.parameters("bpf_lsm_inode_setattr")
        types.field("inode.i_writecount.counter")
        types.field("file.f_mode")
