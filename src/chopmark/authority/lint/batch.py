"""Files of certificates and CRLs held against the rules, each with the one above it where that is among them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.authority.lint import linter, reasons
from chopmark.authority.lint.csbr import lists
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, x509

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.finding import Finding

_PEM = b"-----BEGIN "


class Linted(NamedTuple):
    """What was found in one certificate or CRL: which it is, whose, its digest, and every finding."""

    kind: str
    subject: str
    sha256: str
    findings: tuple[Finding, ...]

    @property
    def outcome(self) -> Outcome:
        """The worst of them: no, then unknown, then ok; what only should be otherwise does not count."""
        found = {finding.outcome for finding in self.findings}
        return next((worst for worst in (Outcome.NO, Outcome.UNKNOWN) if worst in found), Outcome.OK)


class Material(NamedTuple):
    """DER of what is in a file, in order: certificates, then CRLs."""

    certificates: list[bytes]
    lists: list[bytes]


def material(data: bytes) -> Material:
    """What is in a file: PEM or DER, certificates, a PKCS #7 bag of them, CRLs. Raises MalformedError."""
    if _PEM in data:
        blocks = pem.blocks(data)
        lists_ = [block.der for block in blocks if block.label in pem.CRL]
        if lists_ and not any(block.label not in pem.CRL for block in blocks):
            return Material([], lists_)
        return Material(pem.certificates(data), lists_)
    try:
        lists.issuer_name(data)
    except MalformedError:
        return Material(pem.certificates(data), [])
    return Material([], [data])


def lint_all(given: Material, above: Iterable[bytes] = ()) -> list[Linted]:
    """Hold everything against its rules; `above` are further certificates that may be an issuer's."""
    issuers = [*_readable(given.certificates), *_readable(above)]
    found = [_certificate(raw, issuers) for raw in given.certificates]
    return found + [_list(raw, issuers) for raw in given.lists]


def _readable(certificates: Iterable[bytes]) -> list[x509.Certificate]:
    read = []
    for raw in certificates:
        try:
            read.append(x509.Certificate(raw))
        except MalformedError:
            continue  # said where it is linted itself
    return read


def _certificate(raw: bytes, issuers: Sequence[x509.Certificate]) -> Linted:
    try:
        own = x509.Certificate(raw)
        issuer = _issuer(own.issuer, own.authority_key_id, issuers)
        subject = own.subject_text
    except MalformedError as error:
        return Linted("certificate", "", hashlib.sha256(raw).hexdigest(), (reasons.UNREADABLE.found(str(error)),))
    return Linted("certificate", subject, own.sha256, tuple(linter.certificate(raw, issuer)))


def _list(raw: bytes, issuers: Sequence[x509.Certificate]) -> Linted:
    try:
        name = lists.issuer_name(raw)
        subject, issuer = x509.name_text(name), _issuer(name, None, issuers)
    except MalformedError:
        subject, issuer = "", None
    return Linted("crl", subject, hashlib.sha256(raw).hexdigest(), tuple(lists.lint(raw, issuer)))


def _issuer(name: bytes, key_id: bytes | None, issuers: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """The certificate with this subject, as names are compared, and this key if it is known: the longest-lived one."""
    key = x509.name_key(name)
    fitting = [each for each in issuers if key_id in (None, each.subject_key_id) and x509.name_key(each.subject) == key]
    return max(fitting, key=lambda each: each.not_after, default=None)
