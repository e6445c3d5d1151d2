"""What a TPM answers and what a TSS2 PRIVATE KEY file holds."""

from collections.abc import Iterable

from chopmark.envelopes import der
from chopmark.keys.tpm2 import commands, keyfile, wire
from tests.support import der_trees, probing


class Answering:
    """A channel whose other end says what the fuzzer wants, once with the length put right."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def exchange(self, command: bytes) -> bytes:
        assert len(command) == int.from_bytes(command[2:6], "big")
        return b"\x80\x01" + (10 + len(self._data)).to_bytes(4, "big") + bytes(4) + self._data


def seeds() -> Iterable[bytes]:
    yield wire.signing_key("p256", protected=True)
    yield wire.signing_key("rsa-2048", protected=False)
    yield wire.storage_key(use_rsa=True)
    point = (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296).to_bytes(32, "big")
    yield wire.signing_key("p256", protected=True)[:-4] + wire.sized(point) + wire.sized(point)
    public = wire.sized(wire.storage_key(use_rsa=False))
    yield public + wire.sized(bytes(34)) + wire.sized(bytes(34))
    key = keyfile.KeyFile(commands.Created(b"private", b"public"), commands.OWNER, empty_auth=True, rsa_parent=True)
    yield der.sequence(der.oid("2.23.133.10.1.3"), der.integer(commands.OWNER), der.octet_string(wire.sized(b"public")))
    yield key.encoded()
    yield wire.u16(wire.ECDSA) + wire.u16(0x000B) + wire.sized(b"r" * 32) + wire.sized(b"s" * 32)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: wire.public(data))
    probing.clearly(lambda: wire.signature(data, wire.ECDSA, 0x000B))
    probing.clearly(lambda: keyfile.read(data))
    tpm = commands.Tpm(Answering(data))  # type: ignore[arg-type]
    probing.clearly(lambda: tpm.read_public(0x81000000))
    probing.clearly(tpm.persistent_handles)
    for auth in (b"", b"secret"):
        probing.clearly(lambda auth=auth: tpm.sign(1, b"name", bytes(32), (wire.ECDSA, 0x000B), auth))  # type: ignore[misc]
    probing.clearly(lambda: tpm.create(1, wire.signing_key("p256", protected=False), b""))
