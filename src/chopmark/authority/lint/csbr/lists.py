"""Rules for CRLs: RFC 5280 clause 5, CSBR 4.9.7, 4.9.13, 7.1.3.2 and 7.2.

A list of any length is walked once, without keeping more of an entry than its number.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.csbr.case import at
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import algorithms, der, signatures, x509

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason

_FRESHEST = "2.5.29.46"
_NARROWING = (x509.DELTA_CRL_INDICATOR, x509.ISSUING_DISTRIBUTION_POINT)
_UNDERSTOOD = (*_NARROWING, x509.CRL_NUMBER, x509.AUTHORITY_KEY_ID, x509.AUTHORITY_INFORMATION_ACCESS, _FRESHEST)
_ENTRY_EXTENSIONS = (x509.CRL_REASON, x509.INVALIDITY_DATE, x509.CERTIFICATE_ISSUER)
_REASONS = frozenset(range(1, 11)) - {7}
_HOLD, _REMOVE = 6, 8
_NO_HOLD_SINCE = at(2023, 9, 15)
_EQUAL_SINCE = at(2022, 7, 1)
_CODE_DAYS, _MONTHS = 10, 12
_SERIAL_OCTETS_MAX = 20
_NUMBER_OCTETS_MAX = 20
_DIGESTS = ("sha1", "sha256", "sha384", "sha512")
"""SHA-1 is still allowed in a CRL (7.1.3.2.1)."""
_FAULTS_TOLD = 3


class _List:
    """The frame of a CRL, strictly. Raises DerError."""

    def __init__(self, raw: bytes) -> None:
        outer = der.parse(raw).fields()
        tbs = outer.take(der.SEQUENCE)
        self.algorithm = outer.take(der.SEQUENCE)
        self.signature = outer.take().bit_string()
        outer.done()
        self.tbs = tbs.raw
        fields = tbs.fields()
        version = fields.optional(der.INTEGER)
        self.version = version.integer() + 1 if version else 1
        self.inner = fields.take(der.SEQUENCE)
        self.issuer = fields.take(der.SEQUENCE).raw
        self.this_update = fields.take().time()
        following = fields.optional(der.UTC_TIME, der.GENERALIZED_TIME)
        self.next_update = following.time() if following else None
        self.entries = fields.optional(der.SEQUENCE)
        block = fields.optional(der.context(0))
        fields.done()
        self.extensions = x509.extensions(block.only_child()) if block else {}

    @property
    def delta(self) -> bool:
        return x509.DELTA_CRL_INDICATOR in self.extensions


def lint(raw: bytes, issuer: x509.Certificate | None = None) -> list[Finding]:
    """Every rule for a CRL made by anybody; `issuer` is the certificate of who signed it, when it is at hand."""
    try:
        crl = _List(raw)
        return [*_frame(crl), *_period(crl, issuer), *_entries(crl, issuer), *_signer(crl, issuer)]
    except algorithms.UnsupportedError as error:
        return [reasons.SIGNATURE.found(str(error), outcome=Outcome.UNKNOWN)]
    except MalformedError as error:
        return [reasons.UNREADABLE.found(str(error))]


def _answer(reason: Reason, *faults: str) -> Finding:
    told = "; ".join(fault for fault in faults if fault)
    return reason.found(told, outcome=Outcome.NO if told else Outcome.OK)


def _frame(crl: _List) -> Iterator[Finding]:
    number = crl.extensions.get(x509.CRL_NUMBER)
    key = crl.extensions.get(x509.AUTHORITY_KEY_ID)
    numbered = number is not None and der.parse(number.value).integer() >= 0
    yield _answer(
        reasons.CRL_FIELDS,
        f"version {crl.version}" if crl.version != 2 else "",  # noqa: PLR2004 - version 2
        "no next update" if crl.next_update is None else "",
        "" if numbered else "no number, or a negative one",
        "the number is critical, or of more than 20 octets" if number and _bad_number(number) else "",
        "the issuer's key identifier is missing, or critical" if key is None or key.critical else "",
        "an empty list is written out" if crl.entries is not None and not crl.entries.value else "",
    )
    unknown = [oid for oid, each in crl.extensions.items() if each.critical and oid not in _UNDERSTOOD]
    plain = [oid for oid in _NARROWING if oid in crl.extensions and not crl.extensions[oid].critical]
    yield _answer(
        reasons.CRL_SCOPE,
        f"critical and unknown: {', '.join(unknown)}" if unknown else "",
        f"not critical: {', '.join(plain)}" if plain else "",
    )
    algorithm = algorithms.signature_algorithm(crl.algorithm)
    strong = algorithm.kind in ("rsa", "rsa-pss", "ecdsa") and algorithm.digest in _DIGESTS
    weak = algorithm.digest == "sha1" and algorithm.kind != "rsa"
    bad = "" if strong and not weak else f"signed with {algorithms.shown(algorithm)}"
    yield _answer(reasons.SIGNATURE, bad)
    differs = crl.algorithm.raw != crl.inner.raw
    yield _answer(reasons.ALGORITHM_PARAMETERS, "the algorithm inside differs from the one outside" if differs else "")


def _bad_number(extension: x509.Extension) -> bool:
    return extension.critical or len(der.parse(extension.value).value) > _NUMBER_OCTETS_MAX


def _period(crl: _List, issuer: x509.Certificate | None) -> Iterator[Finding]:
    """Both ends count, so that a list of ten days ends a second early or, as is usual, is taken for ten days."""
    if crl.next_update is None:
        return
    if crl.next_update <= crl.this_update:
        yield _answer(reasons.CRL_PERIOD, "the next update is not after this one")
        return
    code = issuer is not None and x509.EKU_CODE_SIGNING in (issuer.extended_key_usage or ())
    latest = (
        crl.this_update + dt.timedelta(days=_CODE_DAYS) if code else profiles.months_after(crl.this_update, _MONTHS)
    )
    told = f"it is good until {crl.next_update:%Y-%m-%d}, more than {'10 days' if code else '12 months'}"
    yield _answer(reasons.CRL_PERIOD, told if crl.next_update > latest else "")


def _entries(crl: _List, issuer: x509.Certificate | None) -> Iterator[Finding]:
    seen: set[bytes] = set()
    wrong: dict[Reason, list[str]] = {reasons.CRL_ENTRIES: [], reasons.CRL_HOLD: [], reasons.CRL_INVALIDITY: []}
    signs_code = issuer is None or x509.EKU_TIME_STAMPING not in (issuer.extended_key_usage or ())
    holds = crl.this_update >= _NO_HOLD_SINCE
    equal = crl.this_update >= _EQUAL_SINCE and signs_code
    indirect = False
    for node in crl.entries.each() if crl.entries is not None else ():
        fields = node.fields()
        number = fields.take(der.INTEGER)
        revoked = fields.take().time()
        block = fields.optional(der.SEQUENCE)
        fields.done()
        extensions = x509.extensions(block) if block else {}
        indirect = indirect or x509.CERTIFICATE_ISSUER in extensions
        serial = number.value
        fault = _entry_fault(crl, number, revoked, extensions, known=serial in seen and not indirect)
        seen.add(serial)
        reason = _reason(extensions)
        for rule, broken in (
            (reasons.CRL_ENTRIES, fault),
            (reasons.CRL_HOLD, "suspended" if reason == _HOLD and holds else ""),
            (reasons.CRL_INVALIDITY, "another date" if equal and _differs(extensions, revoked) else ""),
        ):
            if broken:
                wrong[rule].append(f"{serial.hex()}: {broken}")
    for rule, faults in wrong.items():
        more = f"and {len(faults) - _FAULTS_TOLD} more" if len(faults) > _FAULTS_TOLD else ""
        yield _answer(rule, *faults[:_FAULTS_TOLD], more)


def _entry_fault(
    crl: _List, number: der.Node, revoked: dt.datetime, extensions: dict[str, x509.Extension], *, known: bool
) -> str:
    if number.integer() <= 0 or len(number.value) > _SERIAL_OCTETS_MAX:
        return "not a serial number"
    if known:
        return "listed twice"
    if revoked > crl.this_update:
        return "revoked after this update"
    unknown = [oid for oid, each in extensions.items() if each.critical and oid not in _ENTRY_EXTENSIONS]
    if unknown:
        return f"critical and unknown: {', '.join(unknown)}"
    return _reason_fault(extensions, delta=crl.delta) if x509.CRL_REASON in extensions else ""


def _reason_fault(extensions: dict[str, x509.Extension], *, delta: bool) -> str:
    reason = _reason(extensions)
    if reason not in _REASONS:
        return f"the reason {reason}, which is to be left out" if reason == 0 else f"the reason {reason}"
    return "removeFromCRL outside of a delta CRL" if reason == _REMOVE and not delta else ""


def _reason(extensions: dict[str, x509.Extension]) -> int:
    extension = extensions.get(x509.CRL_REASON)
    return der.parse(extension.value).expect(der.ENUMERATED).integer() if extension else 0


def _differs(extensions: dict[str, x509.Extension], revoked: dt.datetime) -> bool:
    extension = extensions.get(x509.INVALIDITY_DATE)
    return extension is not None and der.parse(extension.value).expect(der.GENERALIZED_TIME).time() != revoked


def _signer(crl: _List, issuer: x509.Certificate | None) -> Iterator[Finding]:
    if issuer is None:
        return
    fault = "" if crl.issuer == issuer.subject else "the issuer's name is not the CA's"
    yield _answer(reasons.NAME_CHAINED, fault)
    try:
        signatures.verify(issuer.spki, algorithms.signature_algorithm(crl.algorithm), crl.signature, crl.tbs)
    except signatures.BadSignatureError as error:
        yield _answer(reasons.SIGNED_BY, str(error))
    else:
        yield _answer(reasons.SIGNED_BY)


def issuer_name(raw: bytes) -> bytes:
    """Who issued a CRL (the DER of a Name). Raises DerError."""
    return _List(raw).issuer
