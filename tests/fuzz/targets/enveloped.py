"""Signatures inside files of every format, mutated as DER, half of them signed again; asn1crypto reads them too.

The first byte says which file it is, and whether what was changed is signed: then it is only by what the signature says
that it can be refused. Who is trusted has signed just this file, as others read the signature.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast

from asn1crypto import cms as oracle
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chopmark.core.verdict import Status
from chopmark.engine import check, identify, inspect, report
from chopmark.envelopes import der
from chopmark.envelopes.cms import oids
from tests.contract import laws
from tests.fuzz.enveloped import Enveloped
from tests.fuzz.repairs import cms as repairs
from tests.support import der_trees, pki, probing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from random import Random

BARE = ("kmod", "fsverity", "dmverity")
_AUTHENTICODE = ("pe", "powershell")
_FORMATS = (*_AUTHENTICODE, *BARE, "script", "elf", "catalog", "unit", "detached")
_WIDE = ("utf-16-le", "utf-16-be")
FILES = [*map(Enveloped.of, _FORMATS), *(Enveloped.of("powershell", encoding=each) for each in _WIDE)]
STAMPED = [Enveloped.of(name, stamped=True) for name in _FORMATS if name not in BARE]
SIGNED_AGAIN = 0x80
_KEY = cast("ec.EllipticCurvePublicKey", pki.world().signer.certificate.public_key())

with tempfile.TemporaryDirectory() as folder:
    COURTS = {bare: laws.court(Path(folder), acquainted=bare) for bare in (False, True)}
    """By whether a signature carries no certificates; those that do are judged by what they carry."""


def _message(file: Enveloped) -> bytes:
    """What is signed: the file without its signature, or what stands for it."""
    format_ = identify.formats()[file.format]
    artifact = file.state.artifact()
    [seal] = format_.extract(artifact)
    [payload] = format_.digest(artifact, [seal.claims[0].recipe])
    return format_.content(artifact, payload, laws.OPTIONS).message or payload.value


MESSAGES = [_message(file) for file in FILES]
"""For bare signatures the bytes that are signed, for the others their digest."""


def seeds() -> Iterable[bytes]:
    """Every file's signature, as it is and with a time stamp."""
    for number, file in enumerate(FILES):
        yield bytes([number]) + file.signature
        yield bytes([number | SIGNED_AGAIN]) + file.signature
    for file in STAMPED:
        yield bytes([_FORMATS.index(file.format)]) + file.signature


def mutate(data: bytes, random: Random, donors: Sequence[bytes]) -> bytes | None:
    """The signature along its structure; sometimes it becomes another file's."""
    made = der_trees.mutate(data[1:], random, [each[1:] for each in donors])
    head = data[:1] if random.random() < 0.95 else bytes([random.randrange(256)])
    return None if made is None else head + made


def run(data: bytes) -> None:
    """Verify, inspect and strip a file with this signature."""
    if not data:
        return
    number = (data[0] & ~SIGNED_AGAIN) % len(FILES)
    file, message, signature = FILES[number], MESSAGES[number], data[1:]
    if data[0] & SIGNED_AGAIN:
        signature = repairs.signed_again(signature, pki.world().signer, message)
    state = file.with_signature(signature)
    artifact = state.artifact()
    verdict = check.check(artifact, COURTS[file.format in BARE], state.asked)
    assert json.dumps(report.as_dict(verdict))
    if verdict.status is Status.TRUSTED:
        assert signs(signature, file.format, message), "trusted"
    probing.clearly(lambda: inspect.inspect(state.artifact(), state.asked))
    probing.clearly(lambda: _stripped(state))


def _stripped(state: laws.State) -> None:
    artifact = state.artifact()
    identify.identify(artifact, state.asked).strip(artifact).render(artifact)


def signs(signature: bytes, format_name: str, message: bytes) -> bool:
    """Whether a signer in there has signed this, as asn1crypto and cryptography read it."""
    if format_name in _AUTHENTICODE:
        content = repairs.content_of(signature)
        if not content.endswith(der.octet_string(message)):
            return False
        message = hashlib.sha256(content).digest()
    signed = oracle.ContentInfo.load(signature)["content"]
    kind = signed["encap_content_info"]["content_type"].dotted
    return any(_holds(info, kind, message, bare=format_name in BARE) for info in signed["signer_infos"])


def _holds(info: oracle.SignerInfo, kind: str, message: bytes, *, bare: bool) -> bool:
    if info["digest_algorithm"]["algorithm"].native != "sha256":
        return False
    attributes = info["signed_attrs"]
    covered = message
    if not bare:
        said = [(each["type"].dotted, [value.contents for value in each["values"]]) for each in attributes]
        wanted = [(oids.CONTENT_TYPE, [oracle.ContentType(kind).contents]), (oids.MESSAGE_DIGEST, [message])]
        if [each for each in said if each[0] in (oids.CONTENT_TYPE, oids.MESSAGE_DIGEST)] != wanted:
            return False
        covered = attributes.untag().dump()
    elif len(attributes):
        return False
    try:
        _KEY.verify(info["signature"].native, covered, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
