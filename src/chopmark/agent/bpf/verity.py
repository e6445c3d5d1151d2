"""What no verdict is about, but fs-verity: the kernel knows its digest, and can check our signature over it by itself.

Nobody can write to such a file any more (Documentation/filesystems/fsverity.rst), so that its digest says what will
run. It is allowed when the guard has put the digest on a list, or when an extended attribute holds a PKCS#7 signature
by a certificate in our keyring over what FS_IOC_ENABLE_VERITY takes: "FSVerity", le16 algorithm, le16 size, digest.

SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only OR BSD-2-Clause
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.agent.bpf.assembler import STACK, Code, If, Size
from chopmark.core import limits
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent.bpf.btf import Types

ATTRIBUTE = "user.chopmark"
"""The extended attribute that a signature stands in."""
SIGNED = 4
"""Of a protected file system: signatures in ATTRIBUTE count."""
DIGEST = 68
"""struct fsverity_digest with room for the longest: le16 algorithm, le16 size, 64 octets."""
_HEAD = 8
_AT_SIGNATURE = 80
BUFFER = _AT_SIGNATURE + limits.GUARD_BPF_SIGNATURE_MAX
"""What a task needs while it is judged."""
FUNCTIONS = (
    "bpf_get_fsverity_digest",
    "bpf_get_file_xattr",
    "bpf_lookup_user_key",
    "bpf_verify_pkcs7_signature",
    "bpf_key_put",
)
"""Of the kernel; all of them since Linux 6.8."""

_LOOKUP, _TASK_STORAGE, _TASK, _VIEW = 1, 156, 158, 197
_CREATE = 1
_BUFFER, _KEY, _RESULT = -24, -32, -48
_DIGEST_VIEW, _SIGNATURE_VIEW, _SIGNED_VIEW = -64, -80, -96
"""On the stack, beside what programs.py uses (-4, -16, -40); a view (struct bpf_dynptr) has 16 octets."""


class Maps(NamedTuple):
    """Descriptors: `digests` allowed under an epoch, `buffers` by task, one `keyring`, the `attribute`'s name."""

    digests: int
    buffers: int
    keyring: int
    attribute: int


def there(types: Types) -> bool:
    """Whether this kernel has what it takes."""
    return all(types.function(name) for name in FUNCTIONS)


class Proof:
    """Code that jumps to `proven` when a file proves itself, and goes on else. It may sleep."""

    def __init__(self, types: Types, maps: Maps) -> None:
        self._functions = {name: types.function(name) for name in FUNCTIONS}
        self._maps = maps

    def __call__(self, code: Code, file: int, flags: int, epoch: int) -> None:
        """Add it. `file` and `flags` are registers; at `epoch` on the stack stands the policy's."""
        code.call(_TASK)
        code.move(2, 0)
        code.map(1, self._maps.buffers)
        code.put(3, 0)
        code.put(4, _CREATE)
        code.call(_TASK_STORAGE)
        code.jump_if(0, If.EQUAL, 0, "unproven")
        code.store(STACK, _BUFFER, 0)
        self._digest(code, file)
        self._listed(code, epoch)
        code.put(1, SIGNED)
        code.keep_same_bits(1, flags)
        code.jump_if(1, If.EQUAL, 0, "unproven")
        self._signature(code, file)
        self._verified(code)
        code.label("unproven")

    def _digest(self, code: Code, file: int) -> None:
        for at in range(0, _HEAD, 4):
            code.store_value(0, at, int.from_bytes(b"FSVerity"[at : at + 4], "little"), Size.WORD)
        for at in range(_HEAD, _AT_SIGNATURE, 8):
            code.store_value(0, at, 0)  # what an earlier, longer digest left
        self._view(code, _HEAD, DIGEST, _DIGEST_VIEW)
        code.move(1, file)
        self._point(code, 2, _DIGEST_VIEW)
        code.call_kernel(self._functions["bpf_get_fsverity_digest"])
        code.jump_if(0, If.SIGNED_LESS_WORD, 0, "unproven")

    def _listed(self, code: Code, epoch: int) -> None:
        code.map(1, self._maps.digests)
        code.load(2, STACK, _BUFFER)
        code.add(2, _HEAD)
        code.call(_LOOKUP)
        code.jump_if(0, If.EQUAL, 0, "unlisted")
        code.load(1, 0, 0)
        code.load(2, STACK, epoch)
        code.jump_if_same(1, 2, "proven")
        code.label("unlisted")

    def _signature(self, code: Code, file: int) -> None:
        self._view(code, _AT_SIGNATURE, limits.GUARD_BPF_SIGNATURE_MAX, _SIGNATURE_VIEW)
        code.move(1, file)
        code.map_value(2, self._maps.attribute)
        self._point(code, 3, _SIGNATURE_VIEW)
        code.call_kernel(self._functions["bpf_get_file_xattr"])
        code.jump_if(0, If.SIGNED_LESS_WORD, 1, "unproven")
        code.move_word(2, 0)
        code.jump_if(2, If.GREATER, limits.GUARD_BPF_SIGNATURE_MAX, "unproven")
        self._view(code, _AT_SIGNATURE, None, _SIGNATURE_VIEW)

    def _verified(self, code: Code) -> None:
        code.load(1, STACK, _BUFFER)
        code.load(2, 1, _HEAD + 2, Size.HALF)
        code.jump_if(2, If.GREATER, DIGEST - 4, "unproven")
        code.add(2, _HEAD + 4)
        self._view(code, 0, None, _SIGNED_VIEW)
        code.map_value(1, self._maps.keyring)
        code.load(1, 1, 0, Size.WORD)
        code.put(2, 0)
        code.call_kernel(self._functions["bpf_lookup_user_key"])
        code.jump_if(0, If.EQUAL, 0, "unproven")
        code.store(STACK, _KEY, 0)
        self._point(code, 1, _SIGNED_VIEW)
        self._point(code, 2, _SIGNATURE_VIEW)
        code.move(3, 0)
        code.call_kernel(self._functions["bpf_verify_pkcs7_signature"])
        code.store(STACK, _RESULT, 0)
        code.load(1, STACK, _KEY)
        code.call_kernel(self._functions["bpf_key_put"])
        code.load(0, STACK, _RESULT, Size.WORD)
        code.jump_if(0, If.EQUAL, 0, "proven")

    @staticmethod
    def _point(code: Code, register: int, offset: int) -> None:
        code.move(register, STACK)
        code.add(register, offset)

    def _view(self, code: Code, at: int, size: int | None, view: int) -> None:
        """A view of the buffer, of `size` octets (None: as many as register 2 says)."""
        code.load(1, STACK, _BUFFER)
        if at:
            code.add(1, at)
        if size is not None:
            code.put(2, size)
        code.put(3, 0)
        self._point(code, 4, view)
        code.call(_VIEW)
