"""A signature of OpenPGP's, checked with keys that are known by their identifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core import reasons as common
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes.openpgp import armor, keys, packets, reasons, signatures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.core.signer import PublicKey
    from chopmark.envelopes.openpgp.signatures import Signature

DETACHED = (signatures.BINARY, signatures.TEXT)
CLEAR = (signatures.TEXT,)


class OpenPgpEnvelope:
    """One signature: parsed, not verified. Its one claim comes to the digest that it is over."""

    scheme = "openpgp"

    def __init__(self, signature: Signature, kinds: tuple[int, ...] = DETACHED, *, headed: bool = False) -> None:
        """`kinds` are the types of signature that may stand here; `headed` says that its armour has headers."""
        self.signature = signature
        self._kinds = kinds
        self._headed = headed

    @property
    def raw(self) -> bytes:
        """The packet's body as found."""
        return self.signature.raw

    @property
    def digest_algorithm(self) -> str:
        """The digest that is signed."""
        return self.signature.digest_algorithm

    @property
    def over_text(self) -> bool:
        """Whether it covers a text, whatever its line ends."""
        return self.signature.kind == signatures.TEXT

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the signature says of itself, for people."""
        signature = self.signature
        found = [("key", self._name), ("made", clock.show(signature.created))]
        if signature.expires:
            found.append(("expires", clock.show(signature.expires)))
        return tuple(found)

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the contract
        """Nothing can be said without the key, except what is wrong anyway."""
        return self._proof(SignerId("openpgp", self._name, ""), common.KEY_UNKNOWN.found(self._name))

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify with each key of this identifier; who signed is known once one fits."""
        known = keys.keys(_kind(self.signature), self.signature.issuer)
        if not known:
            return self.check(payloads)
        against = None
        for key in known:
            try:
                if self.signature.holds(key.raw, payloads[0].value):
                    return self._proof(self._signer(key), reasons.SIGNATURE.found())
            except MalformedError as error:
                against = reasons.UNSUPPORTED.found(str(error))
        return self._proof(self._signer(known[0]), against or reasons.SIGNATURE_WRONG.found(self._name))

    @property
    def _name(self) -> str:
        return f"key {keys.shown(self.signature.issuer)}" if self.signature.issuer else "a key that is not named"

    def _signer(self, key: PublicKey) -> SignerId:
        made, expires = self.signature.created, self.signature.expires
        claims: tuple[tuple[str, str], ...] = (("key", key.holder), ("made", clock.show(made)))
        if expires is not None:
            claims += (("expires", clock.show(expires)),)
        return SignerId("openpgp", key.name, key.fingerprint, claims)

    def _proof(self, signer: SignerId, finding: Finding) -> Proof:
        findings = (finding, *self._strict())
        return Proof(signer, self.digest_algorithm, findings, claimed_time=self.signature.created)

    def _strict(self) -> list[Finding]:
        """What is wrong, or to be known, whoever signed."""
        signature, found = self.signature, []
        if signature.kind not in self._kinds:
            found.append(reasons.TYPE.found(f"type 0x{signature.kind:02X}"))
        if signature.version == signatures.V3:
            found.append(reasons.VERSION_3.found())
        if unknown := signature.not_understood:
            found.append(reasons.CRITICAL.found(", ".join(f"subpacket {kind}" for kind in unknown)))
        for kind, critical, body in signature.hashed:
            if kind == signatures.NOTATION and critical:
                found.append(reasons.CRITICAL.found("a notation"))
            if kind == signatures.RECIPIENT:
                found.append(reasons.RECIPIENT.found(keys.shown(body[1:])))
        if stray := signature.stray:
            found.append(reasons.UNSIGNED.found(", ".join(f"subpacket {kind}" for kind in stray)))
        if self._headed:
            found.append(reasons.HEADERS.found())
        if self.over_text and self._kinds == DETACHED:
            found.append(reasons.TEXT.found())
        return found


def _kind(signature: Signature) -> str:
    return keys.KINDS[signature.version]


def envelopes_in(data: bytes, kinds: tuple[int, ...] = DETACHED) -> list[OpenPgpEnvelope]:
    """Every signature in a file, armoured or not. Raises BrokenError (a MalformedError) for anything else in it."""
    if len(data) > limits.OPENPGP_SIGNATURES_SIZE_MAX:
        raise BrokenError(reasons.FORM, f"{len(data)} bytes")
    headed = False
    try:
        if data.startswith(b"-----BEGIN"):
            data, headed = armor.unwrap(data, armor.SIGNATURE)
        found = list(packets.read(data))
    except MalformedError as error:
        raise BrokenError(reasons.FORM, str(error)) from None
    if not 0 < len(found) <= limits.OPENPGP_SIGNATURES_MAX:
        raise BrokenError(reasons.FORM, f"{len(found)} signatures")
    strange = [packet.tag for packet in found if packet.tag != packets.SIGNATURE]
    if strange:
        raise BrokenError(reasons.FORM, f"a packet of the kind {strange[0]} among signatures")
    return [OpenPgpEnvelope(signatures.read(packet.body), kinds, headed=headed) for packet in found]


def envelope_in(data: bytes) -> OpenPgpEnvelope:
    """The first signature in a file, as one that was just made has it. Raises BrokenError."""
    return envelopes_in(data)[0]
