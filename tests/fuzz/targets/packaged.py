"""Signatures of OpenPGP's in packages of dpkg and rpm, mutated along their structure, half of them signed again.

The first byte says in which package the packet lies, and whether it is signed again: then it is only by what it says
that it can be refused. Whose package is trusted has signed just this one, and no other is trusted through it.
"""

from __future__ import annotations

import binascii
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.verdict import Status
from chopmark.engine import check, identify, inspect, report
from chopmark.envelopes.openpgp import armor, packets, signatures
from chopmark.formats.deb import ar
from chopmark.formats.deb import package as deb_package
from chopmark.formats.rpm import header, package, tags
from chopmark.formats.rpm import signatures as rpm_signatures
from chopmark.formats.rpm.header import Value
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.fuzz import openpgp_trees
from tests.fuzz.formats import VECTORS
from tests.fuzz.repairs import openpgp as made
from tests.support import debs, pki, probing, rpms

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence
    from random import Random

SIGNED_AGAIN = 0x80
RING = made.ring(made.Said())


def court(at: dt.datetime) -> contexts.Context:
    """Whom to believe: the test keys, at a time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "ring.pgp")
        path.write_bytes(armor.wrap(RING, armor.PUBLIC_KEY))
        return contexts.Context(store.load([str(path)]), at, contexts.OFF, origins.CrlSource(cache=folder))


COURT = court(pki.NOW)


class Packaged(NamedTuple):
    """A package without a signature: where one goes, by a tag of rpm's, and what it is over."""

    name: str
    data: bytes
    content: bytes
    tag: int = 0

    @classmethod
    def deb(cls, content: bytes) -> Packaged:
        """A package of dpkg's, whose three members are signed."""
        data = debs.deb([debs.File("./a", content)], packed="")
        parts = deb_package.read(BytesView(data)).parts
        return cls("x.deb", data, b"".join(data[part.offset : part.offset + part.size] for part in parts))

    @classmethod
    def rpm(cls, data: bytes, tag: int) -> Packaged:
        """A package of rpm's, whose header is signed, or with its payload."""
        found = package.read(BytesView(data))
        end = len(data) if tag in rpm_signatures.BOTH else found.payload
        return cls("x.rpm", data, data[found.start : end], tag)

    def with_signature(self, body: bytes) -> bytes:
        """The package with this packet."""
        packet = packets.write(packets.SIGNATURE, body)
        if not self.tag:
            return self.data + ar.written("_gpgorigin", packet)
        found = package.read(BytesView(self.data))
        octets = packet
        if self.tag == tags.OPENPGP:
            octets = binascii.b2a_base64(packet, newline=False) + b"\0"
        one = Value(self.tag, *((tags.STRINGS, 1) if self.tag == tags.OPENPGP else (tags.BINARY, len(octets))), octets)
        kept = [each for each in header.values(found.signatures) if each.tag not in rpm_signatures.EVERY]
        written = header.written(tags.SIGNATURES, sorted([*kept, one], key=lambda each: each.tag))
        front, payload = self.data[: package.LEAD], self.data[found.payload :]
        return rpms.assembled(written, self.data[found.start : found.payload], payload, front)


def packages(content: bytes) -> list[Packaged]:
    """One of each kind with a file that holds this; the one of version 6 is what it is."""
    plain = rpms.rpm([rpms.File("/usr/a", content)], how="")
    newest = (VECTORS / "rpm" / "more-v6.rpm").read_bytes()
    return [
        Packaged.deb(content),
        *(Packaged.rpm(plain, tag) for tag in (tags.DSA, tags.RSA, tags.GPG)),
        Packaged.rpm(newest, tags.OPENPGP),
    ]


PACKAGES, OTHERS = packages(b"content"), packages(b"another")


def seeds() -> Iterable[bytes]:
    """For each package a signature by the key and by its subkey, as it is and to be made anew."""
    for number, each in enumerate(PACKAGES):
        for by_subkey in (False, True):
            [packet] = packets.read(made.signed(each.content, made.Said(), by_subkey=by_subkey))
            yield bytes([number]) + packet.body
            yield bytes([number | SIGNED_AGAIN]) + packet.body
    said = made.Said()._replace(
        document=made.created(9) + made.subpacket(signatures.EXPIRES, packets.number(1 << 28, 4))
    )
    [packet] = packets.read(made.signed(PACKAGES[0].content, said, by_subkey=True))
    yield bytes([SIGNED_AGAIN]) + packet.body


def mutate(data: bytes, random: Random, donors: Sequence[bytes]) -> bytes | None:
    """The packet along its structure; sometimes it becomes another package's."""
    body = openpgp_trees.mutate(data[1:], random, [each[1:] for each in donors])
    head = data[:1] if random.random() < 0.95 else bytes([random.randrange(256)])
    return None if body is None else head + body


def placed(data: bytes) -> tuple[int, bytes]:
    """Which package, and the packet that goes there."""
    number = (data[0] & ~SIGNED_AGAIN) % len(PACKAGES)
    body = data[1:]
    return number, openpgp_trees.signed_again(body, PACKAGES[number].content) if data[0] & SIGNED_AGAIN else body


def run(data: bytes) -> None:
    """Verify, inspect and strip a package with this signature."""
    if not data:
        return
    number, body = placed(data)
    if trusted(PACKAGES[number], body):
        assert openpgp_trees.holds(body, PACKAGES[number].content), "trusted"
        if OTHERS[number].content != PACKAGES[number].content:
            assert not trusted(OTHERS[number], body), "another"
    artifact = Artifact.from_bytes(PACKAGES[number].with_signature(body), PACKAGES[number].name)
    probing.clearly(lambda: inspect.inspect(artifact))
    probing.clearly(lambda: identify.identify(artifact).strip(artifact).render(artifact))


def trusted(each: Packaged, body: bytes, by: contexts.Context = COURT) -> bool:
    """What verify says of the package with this signature."""
    verdict = check.check(Artifact.from_bytes(each.with_signature(body), each.name), by)
    assert json.dumps(report.as_dict(verdict))
    return verdict.status is Status.TRUSTED
