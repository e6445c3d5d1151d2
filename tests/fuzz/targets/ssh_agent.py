"""What an ssh agent answers: lists of keys, public keys, signatures."""

from collections.abc import Iterable

from chopmark.keys import ssh_wire
from tests.support import probing


def seeds() -> Iterable[bytes]:
    key = ssh_wire.string(b"ssh-ed25519") + ssh_wire.string(bytes(range(32)))
    curve = ssh_wire.string(b"ecdsa-sha2-nistp256") + ssh_wire.string(b"nistp256") + ssh_wire.string(b"\4" + bytes(64))
    rsa = ssh_wire.string(b"ssh-rsa") + ssh_wire.string(b"\1\0\1") + ssh_wire.string(b"\0" + b"\xff" * 256)
    yield from (key, curve, rsa)
    yield (1).to_bytes(4, "big") + ssh_wire.string(key) + ssh_wire.string(b"comment")
    pair = ssh_wire.string(b"\1") + ssh_wire.string(b"\2")
    yield ssh_wire.string(ssh_wire.string(b"ecdsa-sha2-nistp256") + ssh_wire.string(pair))


def run(data: bytes) -> None:
    probing.clearly(lambda: ssh_wire.identities(data))
    probing.clearly(lambda: ssh_wire.spki(data))
    for algorithm in (b"ecdsa-sha2-nistp256", b"ssh-ed25519", b"rsa-sha2-256"):
        probing.clearly(lambda algorithm=algorithm: ssh_wire.signature(data, algorithm))  # type: ignore[misc]
