"""One Authenticode signature as the contract of core wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.envelopes import cms, der
from chopmark.envelopes.authenticode import indirect, oids, reasons

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.seal import Payload

ALLOWED_UNSIGNED = frozenset({oids.NESTED_SIGNATURE})
"""What may stand among unsigned attributes beside time stamps; nested signatures are envelopes of their own here."""


class AuthenticodeEnvelope:
    """One signature, outermost or nested: parsed, not verified.

    `where` and `depth` tell a person and the engine which one it is; `data_type`, `digest_algorithm`, `digest`,
    `page_hashes` and `sip` are what it says about the file; `description` and `url` what the signer says about the
    program.
    """

    scheme = "authenticode"

    def __init__(self, signed: cms.SignedData, where: str, depth: int) -> None:
        """Read what a SignedData says. Raises DerError when it is not Authenticode, UnsupportedError for its digest."""
        if signed.content_type != oids.SPC_INDIRECT_DATA:
            raise der.DerError(f"the content is not SpcIndirectDataContent but {signed.content_type}")
        if signed.content_der is None or signed.content_raw is None:
            raise der.DerError("SpcIndirectDataContent is missing")
        if not signed.signers:
            raise der.DerError("nobody signed it")
        self.signed = signed
        self.signer = signed.signers[0]
        self.where = where
        self.depth = depth
        self.indirect = indirect.read(signed.content_der)
        self._findings: list[Finding] = []
        if signed.content_raw[0] == der.OCTET_STRING:
            self._findings.append(reasons.WRAPPED.found())
        self.description, self.url = self._publisher_text()

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the signer says about the program, for people."""
        return tuple((name, text) for name, text in (("description", self.description), ("url", self.url)) if text)

    @property
    def raw(self) -> bytes:
        """The ContentInfo as found."""
        return self.signed.raw

    @property
    def data_type(self) -> str:
        """The kind of file, as a dotted identifier."""
        return self.indirect.data_type

    @property
    def digest_algorithm(self) -> str:
        """How the file is digested."""
        return self.indirect.digest_algorithm

    @property
    def digest(self) -> bytes:
        """What the digest of the file shall be."""
        return self.indirect.digest

    @property
    def page_hashes(self) -> indirect.PageHashes | None:
        """What the digests of the pages shall be, if it says so."""
        return self.indirect.page_hashes

    @property
    def sip(self) -> str:
        """The GUID of the handler for this kind of file; empty for PE images."""
        return self.indirect.sip

    @property
    def nested(self) -> tuple[der.Node, ...]:
        """The values of the nested-signature attribute."""
        return self.signer.unsigned_attributes.get(oids.NESTED_SIGNATURE, ())

    def note(self, findings: Iterable[Finding]) -> None:
        """Add findings about this signature that came up while others in it were read."""
        self._findings.extend(findings)

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the claims of the seal compare them
        """Verify the signature and its time stamps; that the file has the digest in it is the claim of the seal."""
        proof = cms.check(self.signed, self.signer, allowed_unsigned=ALLOWED_UNSIGNED)
        findings = self._structure()
        weakest = digests.weakest((proof.digest_algorithm, self.digest_algorithm))
        return proof._replace(digest_algorithm=weakest, findings=(*proof.findings, *findings, *self._findings))

    def _structure(self) -> list[Finding]:
        findings = []
        if len(self.signed.signers) != 1:
            findings.append(reasons.SIGNERS.found(str(len(self.signed.signers))))
        if self.signer.digest_algorithm != self.digest_algorithm:
            detail = f"{self.digest_algorithm} and {self.signer.digest_algorithm}"
            findings.append(reasons.DIGESTS_DIFFER.found(detail))
        return findings or [reasons.SOUND.found(self.digest_algorithm)]

    def _publisher_text(self) -> tuple[str, str]:
        node = self.signer.single(oids.SPC_SP_OPUS_INFO)
        if node is None:
            return "", ""
        try:
            return indirect.opus_info(node)
        except der.DerError as error:
            self._findings.append(reasons.PUBLISHER_TEXT.found(str(error)))
            return "", ""
