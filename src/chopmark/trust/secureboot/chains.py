"""Whether a PKCS #7 signature leads to one of some certificates, as firmware asks: without time, purpose or revocation.

EDK II gives OpenSSL each certificate of db as the only trust anchor, any one in the middle of a chain too
(X509_V_FLAG_PARTIAL_CHAIN), and has it ignore validity (X509_V_FLAG_NO_CHECK_TIME) and purposes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import signatures, x509
from chopmark.envelopes.cms import checking

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.envelopes.cms import SignedData, SignerInfo

Path = tuple[x509.Certificate, ...]


class Signed(NamedTuple):
    """A signature whose mathematics holds: the signer's certificate, and all that came along."""

    signer: x509.Certificate
    carried: tuple[x509.Certificate, ...]


def holds(signed: SignedData, content: bytes) -> Signed:
    """The signer of `content`, who must be one. Raises MalformedError (UnsupportedError for an unknown algorithm)."""
    if len(signed.signers) != 1:
        raise MalformedError(f"{len(signed.signers)} signers")
    [signer] = signed.signers
    carried = certificates(signed.certificates)
    own = next((each for each in carried if checking.is_named(signer, each)), None)
    if own is None:
        unread = len(signed.certificates) - len(carried)
        also = f", and {unread} cannot be read" if unread else ""
        raise MalformedError(f"the signer's certificate does not travel along{also}")
    signatures.verify(
        own.spki, signer.signature_algorithm, signer.signature, _covered(signer, content), signer.digest_algorithm
    )
    return Signed(own, tuple(carried))


def _covered(signer: SignerInfo, content: bytes) -> bytes:
    """What the signature is over: the signed attributes with the content's digest in them, else the content itself."""
    if not signer.attributes_raw:
        return content
    if signer.message_digest != digests.of(content, signer.digest_algorithm):
        raise MalformedError("the content is not the one that was signed")
    return signer.signed_attributes_der


def certificates(raws: Iterable[bytes]) -> list[x509.Certificate]:
    """Those that can be read, their names included."""
    found = []
    for raw in raws:
        try:
            each = x509.certificate(raw)
            _ = each.subject_text, each.issuer_text
        except MalformedError:
            continue
        found.append(each)
    return found


def path_to(signed: Signed, anchors: Sequence[x509.Certificate]) -> Path:
    """The way from the signer to one of `anchors`, which may be the signer; empty when there is none."""
    wanted = {each.raw for each in anchors}
    issuers = [*anchors, *signed.carried]
    tried = 0
    pending: list[Path] = [(signed.signer,)]
    while pending:
        path = pending.pop(0)
        if path[-1].raw in wanted:
            return path
        if len(path) > limits.PATH_LENGTH_MAX:
            continue
        for issuer in issuers:
            if issuer.subject != path[-1].issuer or issuer in path:
                continue
            tried += 1
            if tried > limits.BOOT_PATHS_MAX:
                return ()
            if _issued(path[-1], issuer):
                pending.append((*path, issuer))
    return ()


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        constraints, usage = issuer.basic_constraints, issuer.key_usage
        if (constraints is None and issuer.version > 1) or (constraints is not None and not constraints.ca):
            return False
        if usage is not None and x509.KEY_CERT_SIGN not in usage:
            return False
        certificate.verify_signed_by(issuer.spki)
    except MalformedError:
        return False
    return True
