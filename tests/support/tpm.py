"""A TPM 2.0 that knows a dozen commands, over a socket: it has one key, and room for three objects and sessions.

It counts what is loaded, proves auth values by HMAC as a TPM does, and gives `faults` (response codes, or whole
responses) before anything else. tests/interop/test_tpm2.py has a real one.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.support import pki
from tests.support.clouds import HASHES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMES = {0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
ROOM = 3
AUTH_FAIL = 0x98E
"""TPM_RC_AUTH_FAIL of the first session."""


class Refusal(Exception):  # noqa: N818 - a response code
    def __init__(self, code: int) -> None:
        super().__init__(hex(code))
        self.code = code


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(2, "big") + data


def public_area(key: ec.EllipticCurvePrivateKey, attributes: int = 0x40072, scheme: bytes = b"\0\x10") -> bytes:
    """TPMT_PUBLIC of a P-256 key."""
    point = key.public_key().public_numbers()
    head = b"\0\x23\0\x0b" + attributes.to_bytes(4, "big") + b"\0\0" + b"\0\x10" + scheme + b"\0\3\0\x10"
    return head + sized(point.x.to_bytes(32, "big")) + sized(point.y.to_bytes(32, "big"))


@dataclass
class Tpm:
    auth: bytes = b""
    attributes: int = 0x40072
    scheme: bytes = b"\0\x10"
    faults: list[int | bytes] = field(default_factory=list)
    commands: list[int] = field(default_factory=list)
    loaded: set[int] = field(default_factory=set)
    persistent: set[int] = field(default_factory=set)
    sessions: dict[int, bytes] = field(default_factory=dict)
    wrong: int = 0
    boots: int = 0
    most: int = 0

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        key = pki.key("p256", "tpm")
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key

    @property
    def public(self) -> bytes:
        return public_area(self.key, self.attributes, self.scheme)

    @property
    def name(self) -> bytes:
        return b"\0\x0b" + hashlib.sha256(self.public).digest()

    def __call__(self, command: bytes) -> bytes:
        assert int.from_bytes(command[2:6], "big") == len(command)
        tag, code = int.from_bytes(command[:2], "big"), int.from_bytes(command[6:10], "big")
        self.commands.append(code)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, bytes):
                return fault
            if fault:
                return b"\x80\x01" + (10).to_bytes(4, "big") + fault.to_bytes(4, "big")
        try:
            body = _COMMANDS[code](self, command[10:])
        except Refusal as refusal:
            return b"\x80\x01" + (10).to_bytes(4, "big") + refusal.code.to_bytes(4, "big")
        self.most = max(self.most, len(self.loaded))
        return tag.to_bytes(2, "big") + (10 + len(body)).to_bytes(4, "big") + bytes(4) + body

    def restart(self) -> None:
        self.boots += 1
        self.loaded.clear()
        self.sessions.clear()

    def load(self) -> bytes:
        if len(self.loaded) == ROOM:
            raise Refusal(0x902)
        handle = next(number for number in range(0x80000000, 0x80000009) if number not in self.loaded)
        self.loaded.add(handle)
        return handle.to_bytes(4, "big")

    def read_public(self, rest: bytes) -> bytes:
        self.known(rest)
        return sized(self.public) + sized(self.name) + sized(b"")

    def known(self, rest: bytes) -> None:
        if int.from_bytes(rest[:4], "big") not in self.loaded | self.persistent:
            raise Refusal(0x18B)

    def create_primary(self, rest: bytes) -> bytes:
        assert rest[:4] == bytes.fromhex("40000001")
        return self.load() + answer(sized(self.public))

    def create(self, rest: bytes) -> bytes:
        self.known(rest)
        return answer(sized(b"private") + sized(self.public))

    def load_key(self, rest: bytes) -> bytes:
        self.known(rest)
        if b"private" not in rest:
            raise Refusal(0x1DF)
        return self.load() + answer(sized(self.name))

    def save(self, rest: bytes) -> bytes:
        self.known(rest)
        return b"context %d" % self.boots

    def restore(self, rest: bytes) -> bytes:
        if rest != b"context %d" % self.boots:
            raise Refusal(0x1DF)
        return self.load()

    def flush(self, rest: bytes) -> bytes:
        handle = int.from_bytes(rest[:4], "big")
        if self.sessions.pop(handle, None) is None:
            if handle not in self.loaded:
                raise Refusal(0x1CB)
            self.loaded.discard(handle)
        return b""

    def evict(self, rest: bytes) -> bytes:
        self.persistent.add(int.from_bytes(rest[-4:], "big"))
        return answer(b"")

    def start_session(self, rest: bytes) -> bytes:
        if len(self.sessions) == ROOM:
            raise Refusal(0x903)
        nonce = hashlib.sha256(rest).digest()
        self.sessions[0x02000000 + len(self.sessions)] = nonce
        return max(self.sessions).to_bytes(4, "big") + sized(nonce)

    def capability(self, rest: bytes) -> bytes:
        assert rest[:4] == bytes.fromhex("00000001")
        handles = b"".join(handle.to_bytes(4, "big") for handle in sorted(self.persistent))
        return b"\0" + rest[:4] + len(self.persistent).to_bytes(4, "big") + handles

    def sign(self, rest: bytes) -> bytes:
        self.known(rest)
        size = int.from_bytes(rest[4:8], "big")
        area, parameters = rest[8 : 8 + size], rest[8 + size :]
        session, nonce, attributes, proof = _authorisation(area)
        theirs = self.sessions.get(session)
        if session == 0x40000009:
            if proof != self.auth:
                self.wrong += 1
                raise Refusal(AUTH_FAIL)
        else:
            assert theirs is not None
            hashed = hashlib.sha256(bytes.fromhex("0000015D") + self.name + parameters).digest()
            if proof != hmac.digest(self.auth, hashed + nonce + theirs + attributes, "sha256"):
                self.wrong += 1
                raise Refusal(AUTH_FAIL)
        length = int.from_bytes(parameters[:2], "big")
        digest, scheme = parameters[2 : 2 + length], parameters[2 + length : 6 + length]
        assert scheme[:2] == b"\0\x18"
        kind = NAMES[int.from_bytes(scheme[2:], "big")]
        made = utils.decode_dss_signature(self.key.sign(digest, ec.ECDSA(utils.Prehashed(HASHES[kind]))))
        signature = scheme + b"".join(sized(number.to_bytes(32, "big")) for number in made)
        if theirs is None:
            return answer(signature)
        del self.sessions[session]
        mine = hashlib.sha256(theirs).digest()
        hashed = hashlib.sha256(bytes(4) + bytes.fromhex("0000015D") + signature).digest()
        shown = hmac.digest(self.auth, hashed + mine + nonce + attributes, "sha256")
        return len(signature).to_bytes(4, "big") + signature + sized(mine) + attributes + sized(shown)


def answer(parameters: bytes) -> bytes:
    """A result under a password session."""
    return len(parameters).to_bytes(4, "big") + parameters + sized(b"") + b"\1" + sized(b"")


def _authorisation(area: bytes) -> tuple[int, bytes, bytes, bytes]:
    session, area = int.from_bytes(area[:4], "big"), area[4:]
    size = int.from_bytes(area[:2], "big")
    nonce, area = area[2 : 2 + size], area[2 + size :]
    return session, nonce, area[:1], area[3:]


_COMMANDS: dict[int, Callable[[Tpm, bytes], bytes]] = {
    0x120: Tpm.evict,
    0x131: Tpm.create_primary,
    0x153: Tpm.create,
    0x157: Tpm.load_key,
    0x15D: Tpm.sign,
    0x161: Tpm.restore,
    0x162: Tpm.save,
    0x165: Tpm.flush,
    0x173: Tpm.read_public,
    0x176: Tpm.start_session,
    0x17A: Tpm.capability,
}


@contextlib.contextmanager
def serving(path: Path, tpm: Callable[[bytes], bytes]) -> Iterator[str]:
    """Serve at a socket, one connection after the other as swtpm does; the way to it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=_serve, args=(listener, tpm), daemon=True)
        thread.start()
        yield f"swtpm:path={path}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def _serve(listener: socket.socket, tpm: Callable[[bytes], bytes]) -> None:
    with contextlib.suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(10)
                while head := connection.recv(10):
                    rest = (
                        connection.recv(int.from_bytes(head[2:6], "big") - len(head) or 1) if len(head) == 10 else b""
                    )
                    said = tpm(head + rest)
                    if not said:
                        break
                    connection.sendall(said)
