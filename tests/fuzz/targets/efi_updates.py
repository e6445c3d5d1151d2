"""Signed updates of Secure Boot's variables: their signature mutated as DER and signed again, their time and value too.

An input is which update it is (`_Case`), its time, the length of its value, the value, and the PKCS #7. Whoever may
change a variable has signed just this value and time for it, as asn1crypto and cryptography read the signature.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import struct
import uuid
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, cast

from asn1crypto import cms as oracle
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from chopmark.core.contracts import Content
from chopmark.core.digest import of
from chopmark.core.errors import MalformedError
from chopmark.core.finding import against
from chopmark.core.seal import DATA
from chopmark.envelopes import cms, x509
from chopmark.envelopes.cms import oids
from chopmark.envelopes.efi import update, variables
from chopmark.envelopes.efi.update import Update
from chopmark.trust.secureboot import reasons, updating
from chopmark.trust.secureboot.updating import Expected
from tests.fuzz import fields
from tests.fuzz.repairs import cms as repairs
from tests.support import der_trees, firmware, pki, probing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

SIGNER = pki.leaf(None, "Example KEK", kind="rsa1024")
"""Its key is too short for anything but speed."""
_KEY = cast("rsa.RSAPublicKey", SIGNER.certificate.public_key())
_SIGNERS = (x509.certificate(SIGNER.der),)
_CASES = list(product(("db", "dbx", "KEK", "PK"), (False, True)))
"""Variables, and whether the value is added."""
SIGNED_AGAIN = 0x80
_NO_ZONE = 0x07FF
_CURRENT = firmware.TIME - dt.timedelta(days=1)
_VALUES = (
    b"\0",
    b"\1",
    b"\xff",
    b"\xff\x07",
    b"\x0c",
    b"\x1f",
    b"\x3b",
    b"\x3c",
    b"\xa0\5",
    b"\x60\xfa",
    b"\xe8\3",
)
_TIME = ((0, 2), (2, 1), (3, 1), (4, 1), (5, 1), (6, 1), (7, 1), (8, 4), (12, 2), (14, 1), (15, 1))
_LIST = ((0, 16), (16, 4), (20, 4), (24, 4), (28, 16), (44, 4))
_OF_TIME, _OF_VALUE = fields.Mutator(lambda _: _TIME, _VALUES), fields.Mutator(lambda _: _LIST, _VALUES)


class Input(NamedTuple):
    """An input, taken apart."""

    head: int
    time: bytes
    value: bytes
    signature: bytes

    @classmethod
    def read(cls, data: bytes) -> Input:
        """The four parts, as far as there are bytes."""
        size = int.from_bytes(data[17:19], "big")
        return cls(data[0] if data else 0, data[1:17].ljust(16, b"\0"), data[19 : 19 + size], data[19 + size :])

    def write(self) -> bytes:
        """The bytes of the fuzzer."""
        return bytes([self.head]) + self.time + len(self.value).to_bytes(2, "big") + self.value + self.signature

    @property
    def expected(self) -> Expected:
        """What is to be changed."""
        variable, append = _CASES[self.head % len(_CASES)]
        return Expected(variable, append, _SIGNERS, _CURRENT)

    @property
    def message(self) -> bytes:
        """What is to be signed (UEFI 2.10 clause 8.2.2), written down once more."""
        variable, append = _CASES[self.head % len(_CASES)]
        vendor = uuid.UUID(variables.SIGNED[variable]).bytes_le
        attributes = 0x67 if append else 0x27
        return variable.encode("utf-16-le") + vendor + struct.pack("<I", attributes) + self.time + self.value

    def update(self) -> Update:
        """The update as its file gives it, signed again where the head says so. Raises BrokenError."""
        found = Update(self.time, self.signature, self.value)
        if self.head & SIGNED_AGAIN:
            found = found._replace(signature=self._signed_again(found))
        return update.read(update.write(found))

    def _signed_again(self, found: Update) -> bytes:
        try:
            whole = found.content_info
        except MalformedError:
            return self.signature
        made = repairs.signed_again(whole, SIGNER, self.message)
        return made if whole == self.signature else made[len(whole) - len(self.signature) :]


def seeds() -> Iterable[bytes]:
    """An update for each variable, a few with attributes that are signed, and one without a value."""
    for number, (variable, append) in enumerate(_CASES):
        made = firmware.signed(variable, firmware.written(firmware.DB), SIGNER, append=append, content_info=append)
        for head in (number, number | SIGNED_AGAIN):
            yield Input(head, made.time_raw, made.payload, made.signature).write()
    emptied = firmware.signed("db", b"", SIGNER)
    bare = Input(0, emptied.time_raw, b"", emptied.signature)
    yield bare.write()
    for head in (0, SIGNED_AGAIN):
        yield bare._replace(head=head, signature=with_attributes(bare.message)).write()


def with_attributes(message: bytes) -> bytes:
    """A signature as sbvarsign makes them, over attributes."""
    content = Content(DATA, "sha256", of(message, "sha256"))
    draft = cms.draft(content, SIGNER, (SIGNER.der,), signing_time=pki.NOW)
    return draft.finish(SIGNER.sign(draft.to_be_signed, "sha256"))


def mutate(data: bytes, random: Random, donors: Sequence[bytes]) -> bytes | None:
    """The signature along its structure, the time and the value by fields."""
    found, kind = Input.read(data), random.random()
    if random.random() < 0.1:
        found = found._replace(head=random.randrange(256))
    if kind < 0.15:
        return found._replace(time=_OF_TIME.by_fields(found.time, random)).write()
    if kind < 0.3:
        return found._replace(value=_OF_VALUE.by_fields(found.value, random)).write()
    made = der_trees.mutate(found.signature, random, [Input.read(each).signature for each in donors])
    return None if made is None else found._replace(signature=made).write()


def run(data: bytes) -> None:
    """Judge it as an update of the variable, and as one that nobody asked about."""
    found = Input.read(data)
    probing.clearly(lambda: judged(found))


def judged(found: Input) -> bool:
    """Whether nothing speaks against the update. Raises BrokenError for what is none."""
    made, expected = found.update(), found.expected
    updating.judge(made, expected._replace(signers=None))
    findings = updating.judge(made, expected)
    codes = {each.code for each in findings}
    if reasons.UPDATE_SIGNED.code in codes:
        assert holds(made.content_info, found.message), "signed"
    if reasons.UPDATE_NEW.code in codes and not expected.append:
        assert moment_of(found.time) > _CURRENT, "new"
    return not against(findings)


def moment_of(octets: bytes) -> dt.datetime:
    """EFI_TIME (clause 8.3), as a calendar has it."""
    year, month, day, hour, minute, second, _, nanosecond, zone, _, _ = struct.unpack("<HBBBBBBIhBB", octets)
    local = dt.datetime(year, month, day, hour, minute, second, nanosecond // 1000, tzinfo=dt.UTC)
    return local - dt.timedelta(minutes=0 if zone == _NO_ZONE else zone)


def holds(content_info: bytes, message: bytes) -> bool:
    """Whether the one signer has signed this, as asn1crypto and cryptography read it."""
    [info] = oracle.ContentInfo.load(content_info)["content"]["signer_infos"]
    if info["digest_algorithm"]["algorithm"].native != "sha256":
        return False
    attributes = info["signed_attrs"]
    if len(attributes):
        said = [value.contents for each in attributes if each["type"].dotted == oids.MESSAGE_DIGEST
                for value in each["values"]]  # fmt: skip
        if said != [hashlib.sha256(message).digest()]:
            return False
        message = attributes.untag().dump()
    try:
        _KEY.verify(info["signature"].native, message, padding.PKCS1v15(), hashes.SHA256())
    except InvalidSignature:
        return False
    return True
