"""A key of this user's alone, with which what is kept on disk is sealed against whoever else can write there."""

from __future__ import annotations

import hmac
import os
import stat

from chopmark.core import places

_SIZE = 32


def path(name: str) -> str:
    """Where the key of a name lies."""
    return os.path.join(places.data(), f"{name}.key")


def key(name: str, *, make: bool) -> bytes | None:
    """The key of a name, made if need be; None when there is none that is this user's alone. Raises WriteError."""
    where = path(name)
    known = _read(where)
    if known is None and make:
        from chopmark.core.patch import write_file

        os.makedirs(places.data(), exist_ok=True)
        if os.path.lexists(where) and os.lstat(where).st_uid != os.geteuid():
            return None
        write_file(where, os.urandom(_SIZE), 0o600)
        known = _read(where)
    return known


def seal(secret: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104)."""
    return hmac.digest(secret, data, "sha256")


def holds(secret: bytes, data: bytes, found: bytes) -> bool:
    """Whether this is the seal of these bytes."""
    return hmac.compare_digest(seal(secret, data), found)


def _read(where: str) -> bytes | None:
    try:
        descriptor = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & 0o077:
            return None
        data = os.read(descriptor, _SIZE + 1)
    finally:
        os.close(descriptor)
    return data if len(data) == _SIZE else None
