"""A keyring of the kernel with the certificates that it is to check signatures with (keyctl(2), add_key(2))."""

from __future__ import annotations

import ctypes
import os
import platform

from chopmark.core.errors import RefusedError, UnavailableError

_NUMBERS = {"x86_64": (248, 250), "aarch64": (217, 219), "riscv64": (217, 219)}
_USER_KEYRING = -4
_SETPERM, _RESTRICT = 5, 29
_POSSESSOR_AND_OWNER = 0x0B0B0000
"""View, read and search: what hangs in it from now on stays as it is."""
_libc = ctypes.CDLL(None, use_errno=True)


def _call(which: int, *arguments: int | bytes | None) -> int:
    numbers = _NUMBERS.get(platform.machine())
    if numbers is None:
        raise UnavailableError(f"no system calls for keys are known on {platform.machine()}")
    given = [ctypes.c_long(each) if isinstance(each, int) else ctypes.c_char_p(each) for each in arguments]
    result: int = _libc.syscall(ctypes.c_long(numbers[which]), *given)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def make(certificates: list[bytes]) -> int:
    """A new keyring with these certificates (DER), to which nothing can be added; its serial number.

    It hangs on the user's keyring, which lives as long as the user has processes. Raises UnavailableError,
    RefusedError for a certificate that the kernel does not take.
    """
    try:
        keyring = _call(0, b"keyring", b"chopmark guard", None, 0, _USER_KEYRING)
    except OSError as error:
        raise UnavailableError(f"the kernel makes no keyring: {error.strerror}") from None
    try:
        for certificate in certificates:
            _call(0, b"asymmetric", b"", certificate, len(certificate), keyring)
        _call(1, _RESTRICT, keyring, None, None)
        _call(1, _SETPERM, keyring, _POSSESSOR_AND_OWNER)
    except OSError as error:
        raise RefusedError(f"the kernel does not take a certificate: {error.strerror}") from None
    return keyring
