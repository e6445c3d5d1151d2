"""A signature of minisign or signify, checked with keys that are known by their number."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

from chopmark.core import reasons as common
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes import algorithms, signatures
from chopmark.envelopes.minisign import reasons
from chopmark.envelopes.minisign.reading import KIND, Signature, key_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.contracts import KeySource
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.core.signer import PublicKey

_ED25519 = algorithms.SignatureAlgorithm("ed25519", None)
_DIGEST = 64
_TEXT = re.compile(rb"[\t\n\r -~]*").fullmatch
_TIMESTAMP = re.compile(rb"(?:^|\t| )timestamp:([0-9]{1,11})(?:\t| |$)")


class MinisignEnvelope:
    """One signature file: parsed, not verified. Its one claim is over the digest, or over the file itself."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.scheme = "minisign" if signature.comment is not None else "signify"

    @property
    def raw(self) -> bytes:
        """The file as found."""
        return self.signature.raw

    @property
    def digest_algorithm(self) -> str:
        """What the signature rests on: BLAKE2b before signing, or Ed25519's own SHA-512."""
        return "blake2b" if self.signature.prehashed else "sha512"

    @property
    def over_digest(self) -> bool:
        """Whether the digest of the content is signed, instead of the content itself."""
        return self.signature.prehashed

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What the signer says, for people."""
        comment = self.signature.comment
        signed = (("comment", comment.decode("utf-8", "replace")),) if comment is not None else ()
        return (("key number", key_number(self.signature.number)), *signed)

    def check(self, payloads: Sequence[Payload]) -> Proof:  # noqa: ARG002 - the contract
        """Nothing can be said without the key."""
        return self._proof(SignerId("key", self._name, ""), (common.KEY_UNKNOWN.found(self._name),))

    def check_with(self, payloads: Sequence[Payload], keys: KeySource) -> Proof:
        """Verify with each key of this number; who signed is known once one fits."""
        known = keys.keys(KIND, self.signature.number)
        if not known:
            return self.check(payloads)
        message = payloads[0].value
        for key in known:
            if _verified(key, self.signature.signature, message):
                findings = [reasons.SIGNATURE.found(), *self._comment(key)]
                if not self.signature.prehashed and is_like_digest(message):
                    findings.append(reasons.DIGEST_LIKE.found())
                return self._proof(_signer(key, self._name), tuple(findings))
        return self._proof(_signer(known[0], self._name), (reasons.SIGNATURE_WRONG.found(self._name),))

    @property
    def _name(self) -> str:
        return f"key {key_number(self.signature.number)}"

    def _comment(self, key: PublicKey) -> list[Finding]:
        comment, made = self.signature.comment, self.signature.comment_signature
        if comment is None or made is None:
            return []
        held = _verified(key, made, self.signature.signature + comment)
        return [reasons.COMMENT.found() if held else reasons.COMMENT_WRONG.found()]

    def _proof(self, signer: SignerId, findings: tuple[Finding, ...]) -> Proof:
        return Proof(signer, self.digest_algorithm, findings, claimed_time=self._claimed_time())

    def _claimed_time(self) -> dt.datetime | None:
        """What minisign writes into the trusted comment unless the signer says something else."""
        found = _TIMESTAMP.search(self.signature.comment or b"")
        return dt.datetime.fromtimestamp(int(found[1]), dt.UTC) if found else None


def is_like_digest(message: bytes) -> bool:
    """Whether a message has the length of a digest (BLAKE2b-512), and is no text.

    The two letters that say whether a digest is signed, or the file itself, are covered by nothing.
    """
    return len(message) == _DIGEST and not _TEXT(message)


def _signer(key: PublicKey, name: str) -> SignerId:
    return SignerId("key", name, key.fingerprint)


def _verified(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        signatures.verify(key.raw, _ED25519, signature, message)
    except (signatures.BadSignatureError, algorithms.UnsupportedError):
        return False
    return True
