"""The signature of a kernel module, checked with certificates that are known by issuer and serial number, or by key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes import public_keys, signatures, x509
from chopmark.envelopes.cms import checking, oids
from chopmark.envelopes.cms import reasons as cms_reasons
from chopmark.envelopes.module import reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.core.signer import PublicKey
    from chopmark.envelopes.cms import SignedData


class Certificates:
    """A KeySource (core.contracts) of some certificates at hand (DER), such as a signer's own."""

    def __init__(self, certificates: Iterable[bytes]) -> None:
        self._known = [x509.certificate(raw) for raw in certificates]

    def keys(self, kind: str, identifier: bytes) -> Sequence[PublicKey]:  # noqa: ARG002 - the contract
        """No bare keys."""
        return ()

    def certificates(self, issuer: bytes, serial: bytes, key_id: bytes) -> Sequence[bytes]:
        """Those with this issuer and serial number, or this key identifier."""
        if issuer:
            return [each.raw for each in self._known if (each.issuer, each.serial_octets) == (issuer, serial)]
        return [each.raw for each in self._known if key_id in (each.subject_key_id, each.short_key_id)]


class ModuleEnvelope:
    """One SignedData of one signer: parsed, not verified. Its one claim is the digest of the module."""

    scheme = "module"

    def __init__(self, signed: SignedData) -> None:
        self.signed = signed
        [self.signer] = signed.signers

    @property
    def raw(self) -> bytes:
        """The ContentInfo as found."""
        return self.signed.raw

    @property
    def digest_algorithm(self) -> str:
        """Of the content."""
        return self.signer.digest_algorithm

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Whom the signature names, for people."""
        signer = self.signer
        if not signer.issuer:
            return (("key identifier", signer.key_id.hex()),)
        return (("issuer", _text(signer.issuer)), ("serial", signer.serial_octets.hex()))

    def check(self, payloads: Sequence[Payload]) -> Proof:
        """What can be said without the certificates of a store."""
        return self.check_with(payloads, Certificates(()))

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify with the certificate that the signature names; never raises for what it finds."""
        findings = self._form()
        known = keys.certificates(self.signer.issuer, self.signer.serial_octets, self.signer.key_id)
        candidates = self._named((*known, *self.signed.certificates), findings)
        if not candidates:
            name = "; ".join(f"{what} {value}" for what, value in self.facts)
            findings.append(reasons.SIGNER_UNKNOWN.found(name))
            return self._proof(SignerId("x509", name, ""), findings)
        own, about = self._tried(candidates, payloads[0].value)
        findings += [reasons.SIGNER_FOUND.found(own.subject_text), about]
        others = tuple(raw for raw in self.signed.certificates if raw != own.raw)
        return self._proof(own.signer_id, findings, (own.raw, *others))

    def _proof(self, signer: SignerId, findings: list[Finding], certificates: tuple[bytes, ...] = ()) -> Proof:
        return Proof(signer, self.digest_algorithm, tuple(findings), certificates)

    def _form(self) -> list[Finding]:
        """Whether it is what the kernel takes, with nothing beside it that nobody signed."""
        signed, signer = self.signed, self.signer
        found = checking.structure(signed, signer)
        if signer.version != (1 if signer.issuer else 3):
            found.append(cms_reasons.VERSION_WRONG.found(f"signerInfo version {signer.version}"))
        if signer.attributes_raw:
            found.append(reasons.ATTRIBUTES.found())
        if signed.content_raw is not None or signed.content_type != oids.DATA:
            found.append(reasons.CONTENT.found(signed.content_type))
        loaded = [f"attribute {oid}" for oid in signer.unsigned_attributes]
        if signed.crls or signed.answers or signed.others:
            loaded.append("revocation data, or certificates of another kind")
        found += [reasons.LOADED.found(what) for what in loaded]
        if problem := self._algorithm_problem():
            found.append(reasons.ALGORITHM.found(problem))
        if not any(finding.outcome in ("no", "unknown") for finding in found):
            found.append(reasons.FORM.found())
        if signed.certificates:
            found.append(reasons.CERTIFICATES.found(str(len(signed.certificates))))
        return found

    def _algorithm_problem(self) -> str:
        """The kernel knows rsaEncryption, and ECDSA with the digest that the signer names."""
        try:
            kind, digest, *_ = self.signer.signature_algorithm
        except MalformedError as error:
            return str(error)
        known = {("rsa", None), ("ecdsa", self.digest_algorithm)}
        return "" if (kind, digest) in known else f"{kind} with {digest or self.digest_algorithm}"

    def _named(self, raws: Iterable[bytes], findings: list[Finding]) -> list[x509.Certificate]:
        """The certificates that the signature names, each once; several may have the same key identifier."""
        named = []
        for raw in dict.fromkeys(raws):
            try:
                candidate = x509.certificate(raw)
                if checking.is_named(self.signer, candidate):
                    _ = candidate.signer_id  # its names are read here, because they may be malformed
                    named.append(candidate)
            except MalformedError as error:
                findings.append(cms_reasons.CERTIFICATE_UNREADABLE.found(str(error)))
        return named

    def _tried(self, candidates: list[x509.Certificate], digest: bytes) -> tuple[x509.Certificate, Finding]:
        """The first certificate whose key made the signature; if none did, the first, and why not."""
        signer, name = self.signer, self.digest_algorithm
        against: list[Finding] = []
        for each in candidates:
            try:
                algorithm = signer.signature_algorithm
                signatures.verify(each.spki, algorithm, signer.signature, digest, name, digested=True)
            except signatures.BadSignatureError:
                against.append(reasons.SIGNATURE_WRONG.found(each.subject_text))
            except public_keys.ForbiddenKeyError as error:
                against.append(cms_reasons.KEY_FORBIDDEN.found(str(error)))
            except MalformedError as error:
                against.append(cms_reasons.SIGNATURE_UNSUPPORTED.found(str(error)))
            else:
                return each, reasons.SIGNATURE.found(f"{algorithm.kind} with {name}")
        return candidates[0], against[0]


def _text(name: bytes) -> str:
    try:
        return x509.name_text(name)
    except MalformedError:
        return name.hex()
