"""What one OCSP answer says about one certificate, and whether that counts (RFC 6960 clauses 3.2 and 4.2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

from chopmark.core import clock, digest, limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, public_keys, signatures, x509
from chopmark.envelopes.ocsp import certid, reading
from chopmark.trust.crl.entry import CERTIFICATE_HOLD, Entry
from chopmark.trust.ocsp import reasons
from chopmark.trust.ocsp.reasons import Doubt

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence


_RESPONDER_EXTENSIONS = frozenset(
    {
        x509.SUBJECT_KEY_ID,
        x509.AUTHORITY_KEY_ID,
        x509.KEY_USAGE,
        x509.EXTENDED_KEY_USAGE,
        x509.BASIC_CONSTRAINTS,
        x509.SUBJECT_ALT_NAME,
        x509.CERTIFICATE_POLICIES,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.AUTHORITY_INFORMATION_ACCESS,
        x509.OCSP_NO_CHECK,
    }
)
"""What may be critical in a responder's certificate, because it is evaluated or can change nothing."""


class Said(NamedTuple):
    """What an answer says: `entry` revokes; else `unknown` to the responder; else good.

    `doubts` are why it does not count that it does not revoke (also not as the end of a hold).
    """

    as_of: dt.datetime
    until: dt.datetime | None
    entry: Entry | None
    unknown: bool
    doubts: tuple[Doubt, ...]


class Signer(NamedTuple):
    """Who signed: the certificate of the issuer itself, or of a responder that the issuer has `delegated` to."""

    certificate: x509.Certificate
    delegated: bool

    @property
    def exempt(self) -> bool:
        """Whether nobody need ask if its certificate was revoked: id-pkix-ocsp-nocheck (clause 4.2.2.2.1)."""
        return not self.delegated or x509.OCSP_NO_CHECK in self.certificate.extensions


class Answer:
    """One OCSP response; parsed at once, its signature checked when it is asked about a certificate."""

    def __init__(self, raw: bytes) -> None:
        """Read a DER OCSPResponse. Raises BrokenError: it is none, or it says why there is no answer."""
        self.raw = raw
        try:
            response = reading.read_response(raw)
        except MalformedError as error:
            raise BrokenError(reasons.MALFORMED, str(error)) from None
        if response.basic is None:
            later = response.status == reading.TRY_LATER
            raise BrokenError(reasons.TRY_LATER if later else reasons.REFUSED, response.status_text)
        self.basic = response.basic
        self._signers: dict[bytes, Signer | BrokenError] = {}

    @property
    def serials(self) -> frozenset[bytes]:
        """The serial numbers that it is about, as octets."""
        return frozenset(single.cert_id.serial for single in self.basic.singles)

    def signer(self, issuer: x509.Certificate, certificates: Sequence[bytes] = ()) -> Signer:
        """Who signed it for an issuer, and may (clause 4.2.2.2). Raises BrokenError.

        `certificates` (DER) are tried besides those in the answer.
        """
        found = self._signers.get(issuer.raw)
        if found is None or (isinstance(found, BrokenError) and certificates):
            try:
                found = self._find_signer(issuer, certificates)
            except BrokenError as error:
                found = error
            except MalformedError as error:
                found = BrokenError(reasons.MALFORMED, str(error))
            self._signers[issuer.raw] = found
        if isinstance(found, BrokenError):
            raise found
        return found

    def says(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        at: dt.datetime,
        *,
        certificates: Sequence[bytes] = (),
        nonce: bytes | None = None,
        undated: dt.timedelta = limits.OCSP_UNDATED_MAX,
    ) -> Said:
        """What it says about a certificate at a time. Raises BrokenError when it says nothing that counts.

        `nonce` is the one that was sent; `undated` how old an answer may be that does not say how long it counts.
        Whom it revokes is revoked however old it is; that it does not counts only while it is fresh.
        """
        try:
            return self._says(certificate, issuer, at, undated, (certificates, nonce))
        except BrokenError:
            raise
        except MalformedError as error:  # whatever in it is looked at only now
            raise BrokenError(reasons.MALFORMED, str(error)) from None

    def _says(
        self,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        at: dt.datetime,
        undated: dt.timedelta,
        given: tuple[Sequence[bytes], bytes | None],
    ) -> Said:
        certificates, nonce = given
        singles = self._about(certificate, issuer)
        if nonce is not None and self.basic.nonce != nonce:
            raise BrokenError(reasons.NONCE, "there is none" if self.basic.nonce is None else "")
        signer = self.signer(issuer, certificates)
        for found in (self.basic.unknown_critical, *(each.unknown_critical for each in singles)):
            if found:
                raise BrokenError(reasons.CRITICAL, found)
        worst = max(singles, key=_badness)
        doubts = (*self._signer_doubts(signer, at), *self._time_doubts(worst, certificate, at, undated))
        unknown = worst.status == reading.UNKNOWN
        return Said(worst.this_update, worst.next_update, _entry(worst), unknown, doubts)

    def _about(self, certificate: x509.Certificate, issuer: x509.Certificate) -> list[reading.Single]:
        """What stands in it about this very certificate. Raises BrokenError."""
        ids = {
            algorithm: certid.for_certificate(certificate, issuer, algorithm)
            for algorithm in {single.cert_id.algorithm for single in self.basic.singles}.intersection(certid.DIGESTS)
        }
        found = [single for single in self.basic.singles if ids.get(single.cert_id.algorithm) == single.cert_id]
        if not found:
            raise BrokenError(reasons.OTHER, "" if self.basic.singles else "it is about nobody")
        return found

    def _find_signer(self, issuer: x509.Certificate, certificates: Sequence[bytes]) -> Signer:
        problem = BrokenError(reasons.SIGNER, "its certificate is not there")
        for signer in self._candidates(issuer, certificates):
            try:
                if signer.delegated:
                    _require_delegated(signer.certificate, issuer)
                self._require_signed(signer.certificate)
            except BrokenError as error:
                problem = error
                continue
            except MalformedError as error:  # nobody signed which certificates come along: another one may do
                problem = BrokenError(reasons.SIGNER, str(error))
                continue
            return signer
        raise problem

    def _candidates(self, issuer: x509.Certificate, certificates: Sequence[bytes]) -> Iterator[Signer]:
        """Those whom the responder's identifier fits: the issuer first."""
        if self._is_named(issuer):
            yield Signer(issuer, delegated=False)
        tried = 0
        for raw in dict.fromkeys((*self.basic.certificates, *certificates)):
            if tried >= limits.OCSP_SIGNERS_MAX:
                return
            try:
                certificate = x509.certificate(raw)
                if certificate.spki == issuer.spki or not self._is_named(certificate):
                    continue
            except MalformedError:
                continue
            tried += 1
            yield Signer(certificate, delegated=True)

    def _is_named(self, certificate: x509.Certificate) -> bool:
        """Whether this may be who answers, by name or by the digest of the key (clause 4.2.2.3)."""
        if self.basic.responder_key:
            return x509.subject_key_identifier(certificate.spki) == self.basic.responder_key
        return certificate.subject_key == x509.name_key(self.basic.responder_name)

    def _require_signed(self, signer: x509.Certificate) -> None:
        """Raises BrokenError."""
        try:
            algorithm = algorithms.signature_algorithm(der.parse(self.basic.algorithm))
            _require_strong(algorithm.digest, self.basic.produced_at)
            _require_long(signer.spki, self.basic.produced_at)
            signatures.verify(signer.spki, algorithm, self.basic.signature, self.basic.tbs)
        except BrokenError:
            raise
        except MalformedError as error:
            raise BrokenError(reasons.SIGNATURE, str(error)) from None

    def _signer_doubts(self, signer: Signer, at: dt.datetime) -> Iterator[Doubt]:
        """Why it would not be signed so now: when that was is only said by who signed it.

        Raises BrokenError when it was not even valid then.
        """
        certificate, produced = signer.certificate, self.basic.produced_at
        if not _is_valid(certificate, produced):
            raise BrokenError(reasons.RESPONDER_ENDED, f"it answered {clock.show(produced)}")
        if signer.delegated and not _is_valid(certificate, at):
            yield Doubt(reasons.RESPONDER_ENDED, f"valid until {clock.show(certificate.not_after)}")
        try:
            _require_strong(algorithms.signature_algorithm(der.parse(self.basic.algorithm)).digest, at)
            _require_long(certificate.spki, at)
            if signer.delegated:
                _require_strong(certificate.signature_algorithm.digest, at)
        except BrokenError as error:
            yield Doubt(error.reason, error.detail)

    def _time_doubts(
        self, single: reading.Single, certificate: x509.Certificate, at: dt.datetime, undated: dt.timedelta
    ) -> Iterator[Doubt]:
        """Why this is not said of this time (clause 3.2 (4) and (5))."""
        this_update, next_update = single.this_update, single.next_update
        if this_update - at > limits.CLOCK_SKEW:
            yield Doubt(reasons.FUTURE, clock.show(this_update))
        if this_update - self.basic.produced_at > limits.CLOCK_SKEW:
            yield Doubt(reasons.FUTURE, f"of {clock.show(this_update)}, signed {clock.show(self.basic.produced_at)}")
        if next_update is not None:
            if next_update < this_update:
                raise der.DerError("an OCSP answer that ends before it begins")
            if next_update < at:
                yield Doubt(reasons.STALE, clock.show(next_update))
        elif at - this_update > undated:
            yield Doubt(reasons.UNDATED, f"of {clock.show(this_update)}")
        if certificate.not_after < this_update:
            cutoff = single.archive_cutoff
            if cutoff is None or cutoff > certificate.not_after:
                yield Doubt(reasons.ARCHIVE, f"it knows back to {clock.show(cutoff)}" if cutoff else "")


def _is_valid(certificate: x509.Certificate, when: dt.datetime) -> bool:
    """Whether a certificate is valid at a time; clocks of others may be ahead, and dates as early as there are any."""
    return certificate.not_before - when <= limits.CLOCK_SKEW and when <= certificate.not_after


def _badness(single: reading.Single) -> tuple[int, float]:
    """Of several answers about one certificate in one response the worst counts.

    Of several revocations for good the earliest is the worst, of other answers the newest. Raises DerError.
    """
    entry = _entry(single)
    if entry is None:
        return int(single.status == reading.UNKNOWN), single.this_update.timestamp()
    if entry.reason == CERTIFICATE_HOLD:
        return 2, single.this_update.timestamp()
    return 3, -entry.effective.timestamp()


def _require_delegated(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """A responder's certificate: issued by the issuer itself, for this, valid in itself (clause 4.2.2.2).

    Raises BrokenError, MalformedError. Its times are looked at with the answer's.
    """
    shown = certificate.subject_text
    purposes, usage = certificate.extended_key_usage or (), certificate.key_usage
    if x509.EKU_OCSP_SIGNING not in purposes:
        raise BrokenError(reasons.SIGNER, f"{shown} is not for signing OCSP answers")
    if usage is not None and usage.isdisjoint({x509.DIGITAL_SIGNATURE, x509.NON_REPUDIATION}):
        raise BrokenError(reasons.SIGNER, f"the key of {shown} is not for signatures")
    strange = [oid for oid, each in certificate.extensions.items() if each.critical]
    if not _RESPONDER_EXTENSIONS.issuperset(strange):
        raise BrokenError(reasons.SIGNER, f"{shown} has a critical extension that is not evaluated")
    if certificate.issuer_key != issuer.subject_key:
        raise BrokenError(reasons.SIGNER, f"{shown} was certified by {certificate.issuer_text}")
    _require_strong(certificate.signature_algorithm.digest, certificate.not_before)
    certificate.verify_signed_by(issuer.spki)


def _require_strong(name: str | None, when: dt.datetime) -> None:
    strength = digest.ALGORITHMS[name].strength if name is not None else digest.Strength.STRONG
    late = when >= limits.SHA1_SUNSET
    if strength is digest.Strength.BROKEN or (strength is digest.Strength.DATED and late):
        raise BrokenError(reasons.WEAK, f"signed over {name}")


def _require_long(spki: bytes, when: dt.datetime) -> None:
    key = public_keys.load(spki)
    least = limits.RSA_BITS_MIN if when >= limits.RSA_1024_SUNSET else limits.RSA_BITS_DATED
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < least:
        raise BrokenError(reasons.WEAK, f"RSA of {key.key_size} bits")


def _entry(single: reading.Single) -> Entry | None:
    """A revocation, in the words of a list; an answer may have its invalidity date too (clause 4.4.5)."""
    if single.revoked is None:
        return None
    return Entry(single.revoked, single.reason, single.invalid_since)
