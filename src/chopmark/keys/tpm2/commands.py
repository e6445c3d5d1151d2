"""The commands of TPM 2.0 that making and using signing keys needs (TPM 2.0 Library, part 3)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError, UnavailableError
from chopmark.core.named import NamedTuple
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.tpm2.wire import NULL, Reader, sized, u16, u32

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.keys.tpm2.transport import Channel

OWNER, ENDORSEMENT, PLATFORM, NULL_HIERARCHY = 0x40000001, 0x4000000B, 0x4000000C, 0x40000007
HIERARCHIES = frozenset({OWNER, ENDORSEMENT, PLATFORM, NULL_HIERARCHY})
PERSISTENT_FIRST, PERSISTENT_LAST = 0x81000000, 0x81FFFFFF

_NO_SESSIONS, _SESSIONS = 0x8001, 0x8002
_PASSWORD_SESSION = 0x40000009
_SHA256 = 0x000B
_HASHCHECK_NONE = u16(0x8024) + u32(NULL_HIERARCHY) + sized(b"")
_EVICT, _CREATE_PRIMARY, _CREATE, _LOAD, _SIGN = 0x120, 0x131, 0x153, 0x157, 0x15D
_CONTEXT_LOAD, _CONTEXT_SAVE, _FLUSH, _READ_PUBLIC = 0x161, 0x162, 0x165, 0x173
_START_SESSION, _GET_CAPABILITY = 0x176, 0x17A
_RETRY = frozenset({0x908, 0x90A, 0x922})
"""TPM_RC_YIELDED, TPM_RC_TESTING and TPM_RC_RETRY: ask again."""
_AUTH = frozenset({0x08E, 0x0A2})
"""TPM_RC_AUTH_FAIL, which counts towards the lockout, and TPM_RC_BAD_AUTH."""
_LOCKOUT = 0x921
INITIALIZE, FAILURE, OBJECT_MEMORY, SESSION_MEMORY = 0x100, 0x101, 0x902, 0x903
HANDLE = 0x08B
_NAMES = {
    0x082: "an attribute that does not fit",
    0x083: "a digest that it does not have",
    0x084: "a value that it does not take",
    0x085: "the hierarchy is disabled",
    0x087: "a key size that it does not have",
    0x08B: "the handle is not there",
    0x092: "a scheme that the key or the TPM does not have",
    0x095: "a size that it does not take",
    0x09C: "the key is not for signing",
    0x09F: "the key was made by another TPM, below another parent, or before this TPM was cleared",
    0x0A6: "a curve that it does not have",
    INITIALIZE: "it was not started",
    FAILURE: "it is failing",
    0x14C: "the handle is taken",
    OBJECT_MEMORY: "it has no room for another object",
    SESSION_MEMORY: "it has no room for another session",
}


class TpmError(ChopmarkError):
    """A TPM said no; `code` is the TPM_RC without the number of the handle, session or parameter."""

    exit_status = 3

    def __init__(self, code: int) -> None:
        super().__init__(f"the TPM declined: {_NAMES.get(code, 'TPM_RC')} ({code:#05x})")
        self.code = code

    @property
    def wrong_auth(self) -> bool:
        """Whether it is about the auth value."""
        return self.code in _AUTH


class Created(NamedTuple):
    """A key that a parent made: TPM2B_PRIVATE and TPMT_PUBLIC, without their lengths."""

    private: bytes
    public: bytes


class Tpm:
    """Commands over an open channel. Every method raises UnavailableError, TpmError, MalformedError."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def read_public(self, handle: int) -> tuple[bytes, bytes]:
        """TPMT_PUBLIC and name of an object."""
        reader = self._call(_READ_PUBLIC, u32(handle))
        return reader.sized(), reader.sized()

    @contextmanager
    def primary(self, hierarchy: int, public: bytes) -> Iterator[int]:
        """The handle of a primary key made from the seed of a hierarchy, which is flushed at the end."""
        sensitive = sized(sized(b"") + sized(b""))
        parameters = sensitive + sized(public) + sized(b"") + u32(0)
        handle = self._call(_CREATE_PRIMARY, u32(hierarchy), parameters, auth=b"", gives_handle=True).number(4)
        with self._flushed(handle):
            yield handle

    def create(self, parent: int, public: bytes, auth: bytes) -> Created:
        """A new key below a parent; it is not loaded."""
        parameters = sized(sized(auth) + sized(b"")) + sized(public) + sized(b"") + u32(0)
        reader = self._call(_CREATE, u32(parent), parameters, auth=b"")
        return Created(reader.sized(), reader.sized())

    @contextmanager
    def loaded(self, parent: int, key: Created) -> Iterator[int]:
        """The handle of a key that is loaded below its parent, and flushed at the end."""
        reader = self._call(_LOAD, u32(parent), sized(key.private) + sized(key.public), auth=b"", gives_handle=True)
        with self._flushed(handle := reader.number(4)):
            yield handle

    def save(self, handle: int) -> bytes:
        """A context of a loaded object, which only this TPM can load again, until it is restarted."""
        return self._call(_CONTEXT_SAVE, u32(handle)).rest()

    @contextmanager
    def restored(self, context: bytes) -> Iterator[int]:
        """The handle of an object whose context was saved; flushed at the end."""
        with self._flushed(handle := self._call(_CONTEXT_LOAD, context, gives_handle=True).number(4)):
            yield handle

    def persist(self, handle: int, persistent: int) -> None:
        """Keep a loaded key in the TPM under a handle of 0x81000000 and up."""
        self._call(_EVICT, u32(OWNER) + u32(handle), u32(persistent), auth=b"")

    def sign(self, handle: int, name: bytes, digest: bytes, scheme: tuple[int, int], auth: bytes) -> bytes:
        """The TPMT_SIGNATURE over a digest, under a scheme and its hash.

        An auth value is proved with an HMAC session, so that it does not cross the wires to the chip.
        """
        parameters = sized(digest) + u16(scheme[0]) + u16(scheme[1]) + _HASHCHECK_NONE
        if not auth:
            return self._call(_SIGN, u32(handle), parameters, auth=b"").rest()
        return self._proved(_SIGN, handle, name, parameters, auth)

    def persistent_handles(self) -> list[int]:
        """The handles of all persistent objects."""
        found: list[int] = []
        first = PERSISTENT_FIRST
        while len(found) < limits.TPM_HANDLES_MAX:
            reader = self._call(_GET_CAPABILITY, b"", u32(1) + u32(first) + u32(64))
            more = reader.number(1)
            reader.number(4)
            handles = [reader.number(4) for _ in range(min(reader.number(4), 64))]
            found += handles
            if not more or not handles or not first <= handles[-1] < PERSISTENT_LAST:
                break
            first = handles[-1] + 1
        return found

    def _proved(self, code: int, handle: int, name: bytes, parameters: bytes, auth: bytes) -> bytes:
        """A command with one handle, authorised by HMAC (part 1, 19.6), in a session that ends with it."""
        mine = secrets.token_bytes(32)
        unsalted = u32(NULL_HIERARCHY) + u32(NULL_HIERARCHY)
        how = sized(mine) + sized(b"") + b"\0" + u16(NULL) + u16(_SHA256)
        reader = self._call(_START_SESSION, unsalted, how, gives_handle=True)
        session, theirs = reader.number(4), reader.sized()
        ended = False
        try:
            nonce, attributes = secrets.token_bytes(32), b"\0"  # which says that the session ends
            hashed = hashlib.sha256(u32(code) + name + parameters).digest()
            proof = hmac.digest(auth, hashed + nonce + theirs + attributes, "sha256")
            area = u32(session) + sized(nonce) + attributes + sized(proof)
            body = self._transmit(_SESSIONS, code, u32(handle) + u32(len(area)) + area + parameters)
            ended = True
        finally:
            if not ended:
                self._flush(session)
        answer = Reader(body)
        result = answer.take(answer.number(4))
        theirs, attributes, proof = answer.sized(), answer.take(1), answer.sized()
        hashed = hashlib.sha256(u32(0) + u32(code) + result).digest()
        if not hmac.compare_digest(proof, hmac.digest(auth, hashed + theirs + nonce + attributes, "sha256")):
            message = "the TPM's response is not authentic: it does not know the key's auth value"
            raise MalformedError(message)
        return result

    def _call(
        self,
        code: int,
        handles: bytes,
        parameters: bytes = b"",
        *,
        auth: bytes | None = None,
        gives_handle: bool = False,
    ) -> Reader:
        """A command, its first handle authorised by a password where `auth` is given; a reader of its result.

        `auth` is empty wherever it is used: what is secret is proved instead. A handle comes in front of the result.
        """
        if auth is None:
            return Reader(self._transmit(_NO_SESSIONS, code, handles + parameters))
        area = u32(_PASSWORD_SESSION) + sized(b"") + b"\1" + sized(auth)
        answer = Reader(self._transmit(_SESSIONS, code, handles + u32(len(area)) + area + parameters))
        handle = answer.take(4) if gives_handle else b""
        return Reader(handle + answer.take(answer.number(4)))

    def _transmit(self, tag: int, code: int, body: bytes) -> bytes:
        """Send a command, again where the TPM asks for it; what comes after the header. Raises TpmError."""
        command = u16(tag) + u32(10 + len(body)) + u32(code) + body
        deadline = time.monotonic() + limits.TPM_SECONDS
        while True:
            answer = self._channel.exchange(command)
            reader = Reader(answer)
            reader.take(2)
            if reader.number(4) != len(answer):
                message = "a TPM response of another length than it says"
                raise MalformedError(message)
            returned = reader.number(4)
            if returned == 0:
                return reader.rest()
            if returned not in _RETRY or time.monotonic() > deadline:
                raise TpmError(_plain(returned))
            time.sleep(0.02)

    @contextmanager
    def _flushed(self, handle: int) -> Iterator[None]:
        try:
            yield
        finally:
            self._flush(handle)

    def _flush(self, handle: int) -> None:
        """Take an object or a session out of the TPM, which has room for three."""
        with suppress(TpmError, UnavailableError):  # gone already, or the TPM itself is
            self._call(_FLUSH, b"", u32(handle))


def _plain(code: int) -> int:
    """A response code without what it belongs to: the number of a handle, session or parameter (part 2, 6.6.2)."""
    return code & 0x0BF if code & 0x080 else code & 0xFFF


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Whatever a TPM answers as an error that says of which key."""
    try:
        yield
    except TpmError as error:
        if error.wrong_auth:
            message = f"{name}: wrong auth value; it was tried once and is not tried again, for TPMs lock themselves"
            raise PassphraseError(message) from None
        if error.code == _LOCKOUT:
            message = f"{name}: the TPM is locked after too many wrong auth values; it unlocks itself with time"
            raise PassphraseError(message) from None
        kind = (
            UnavailableError if error.code in (INITIALIZE, FAILURE, OBJECT_MEMORY, SESSION_MEMORY) else UnusableKeyError
        )
        message = f"{name}: {error}"
        raise kind(message) from None
    except MalformedError as error:
        message = f"{name}: {error}"
        raise UnavailableError(message) from None
