"""The signature of an object, of whichever kind it is: OpenPGP, SSH, or CMS in the armour that git knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError
from chopmark.core.named import NamedTuple
from chopmark.core.seal import DATA
from chopmark.envelopes import gitsig, openpgp, pem, ssh
from chopmark.envelopes.openpgp import signatures
from chopmark.formats.git import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.seal import Envelope

_BEGIN = b"-----BEGIN "
_REKOR = frozenset({"1.3.6.1.4.1.57264.3.1"})
"""gitsign's entry of a transparency log, which nobody looks at here."""


class Signed(NamedTuple):
    """One signature: what is hashed before and behind the object, by which algorithm, and what must come out.

    `expected` is None where the envelope itself compares it.
    """

    envelope: Envelope
    digest_algorithm: str
    before: bytes = b""
    behind: bytes = b""
    expected: bytes | None = None
    findings: tuple[Finding, ...] = ()


def read(data: bytes) -> list[Signed]:
    """The signatures in the armour of one. Raises BrokenError (a MalformedError) for anything else."""
    if data.startswith(_BEGIN + b"SSH SIGNATURE-----"):
        envelope = ssh.SshEnvelope(ssh.read(data), gitsig.NAMESPACE)
        return [Signed(envelope, envelope.digest_algorithm)]
    if data.startswith(_BEGIN + b"PGP SIGNATURE-----"):
        return list(_openpgp(data))
    if data.startswith(_BEGIN + gitsig.LABEL.encode() + b"-----"):
        return list(_cms(data))
    raise BrokenError(reasons.MESSAGE, repr(data[:40].partition(b"\n")[0]))


def _openpgp(data: bytes) -> Iterator[Signed]:
    findings: tuple[Finding, ...] = ()
    if data.endswith(b"-----\n\n"):  # as GitHub writes it
        data, findings = data[:-1], (reasons.LOOSE.found(),)
    for envelope in openpgp.envelopes_in(data, (signatures.BINARY,)):
        signature = envelope.signature
        yield Signed(envelope, envelope.digest_algorithm, signature.salt, signature.trailer, findings=findings)


def _cms(data: bytes) -> Iterator[Signed]:
    from chopmark.envelopes import cms
    from chopmark.formats._text.detached_signer import DetachedSigner

    signed = cms.read(pem.only(data, gitsig.LABEL).der, allow_ber=True)
    if not signed.signers:
        raise BrokenError(reasons.FORM, "a CMS signature by nobody")
    findings: tuple[Finding, ...] = ()
    if signed.content_raw is not None or signed.content_type != DATA:
        findings = (reasons.CONTENT.found(signed.content_type),)
    for signer in signed.signers:
        envelope = DetachedSigner(signed, signer, allowed_unsigned=_REKOR)
        yield Signed(envelope, envelope.digest_algorithm, expected=envelope.expected, findings=findings)
