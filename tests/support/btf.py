"""A kernel's types as the guard's programs need them, made up: BTF blobs for tests (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct

INT, PTR, ARRAY, STRUCT, UNION, TYPEDEF, CONST, FUNC, FUNC_PROTO = 1, 2, 3, 4, 5, 8, 10, 12, 13
KERNEL_FUNCTIONS = (
    "bpf_get_fsverity_digest",
    "bpf_get_file_xattr",
    "bpf_lookup_user_key",
    "bpf_verify_pkcs7_signature",
    "bpf_key_put",
)


class Blob:
    """Types one after the other; each method gives the number of the one it added."""

    def __init__(self) -> None:
        self.types = b""
        self.strings = b"\0"
        self.count = 0

    def name(self, text: str) -> int:
        if not text:
            return 0
        at = len(self.strings)
        self.strings += text.encode() + b"\0"
        return at

    def add(self, name: str, kind: int, size: int = 0, *, count: int = 0, flag: bool = False, rest: bytes = b"") -> int:
        self.types += struct.pack("=III", self.name(name), flag << 31 | kind << 24 | count, size) + rest
        self.count += 1
        return self.count

    def integer(self, name: str, size: int) -> int:
        return self.add(name, INT, size, rest=struct.pack("=I", size * 8))

    def pointer(self, target: int) -> int:
        return self.add("", PTR, target)

    def structure(self, name: str, *members: tuple[str, int, int], kind: int = STRUCT) -> int:
        """Members are name, type and offset in octets."""
        rest = b"".join(struct.pack("=III", self.name(each), kind_, offset * 8) for each, kind_, offset in members)
        return self.add(name, kind, 64, count=len(members), rest=rest)

    def function(self, name: str, *parameters: int) -> int:
        rest = b"".join(struct.pack("=II", 0, each) for each in parameters)
        return self.add(name, FUNC, self.add("", FUNC_PROTO, 0, count=len(parameters), rest=rest))

    def data(self) -> bytes:
        head = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return head + self.types + self.strings


def kernel(*, with_verity: bool = True, idmap: bool = True) -> bytes:
    """All that programs ask about. `idmap`: inode_setattr has one more parameter, as in newer kernels."""
    blob = Blob()
    u32, u64 = blob.integer("unsigned int", 4), blob.integer("unsigned long", 8)
    atomic = blob.add("atomic_t", TYPEDEF, blob.structure("", ("counter", u32, 0)))
    super_block = blob.structure("super_block", ("s_dev", blob.add("dev_t", TYPEDEF, u32), 16))
    inode = blob.structure(
        "inode", ("i_sb", blob.pointer(super_block), 8), ("i_ino", u64, 16), ("i_writecount", atomic, 24)
    )
    inner = blob.structure("", ("f_mode", u32, 4), kind=UNION)
    file = blob.structure("file", ("", inner, 0), ("f_inode", blob.pointer(inode), 8))
    pointer = blob.pointer(file)
    binprm = blob.pointer(blob.structure("linux_binprm", ("file", pointer, 8)))
    dentry = blob.pointer(blob.structure("dentry", ("d_inode", blob.pointer(inode), 8)))
    attributes = blob.pointer(blob.structure("iattr", ("ia_valid", u32, 4)))
    memory = blob.structure("mm_struct", ("exe_file", pointer, 8))
    blob.structure("task_struct", ("mm", blob.pointer(memory), 8))
    flags = blob.structure("", ("vm_flags", blob.add("", CONST, u64), 0), kind=UNION)
    area = blob.pointer(blob.structure("vm_area_struct", ("", flags, 8), ("vm_file", pointer, 16)))
    mapping = (blob.pointer(blob.structure("mnt_idmap")),) if idmap else ()
    blob.function("bpf_lsm_file_open", blob.pointer(blob.add("", CONST, file)))
    blob.function("bpf_lsm_inode_setattr", *mapping, dentry, attributes)
    blob.function("bpf_lsm_file_mprotect", area, u64, u64)
    blob.function("bpf_lsm_bprm_creds_for_exec", binprm)
    blob.function("bpf_lsm_bprm_check_security", binprm)
    blob.function("bpf_lsm_mmap_file", pointer, u64, u64, u64)
    for name in KERNEL_FUNCTIONS if with_verity else ():
        blob.function(name)
    return blob.data()
