"""What a judgement about an image for firmware needs to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust.secureboot import chains

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.envelopes.cms import SignedData


class Signature(NamedTuple):
    """One entry of the certificate table: what it says the digest is, the content it is over, the signature."""

    where: str
    algorithm: str
    claimed: bytes
    content: bytes
    signed: SignedData


class Image(NamedTuple):
    """An image: its digests by algorithm as firmware computes them, its signatures, and what could not be read.

    `broken` says why the image or its table cannot be read to the end; `unread` are signatures that cannot.
    `sbat` are the contents of all .sbat sections; `is_shim` says whether it carries certificates as shim does,
    `is_kernel` whether it is a Linux kernel, which boot loaders start.
    """

    digests: Mapping[str, bytes]
    signatures: tuple[Signature, ...] = ()
    unread: tuple[str, ...] = ()
    broken: str = ""
    sbat: tuple[bytes, ...] = ()
    is_shim: bool = False
    is_kernel: bool = False


class Examined(NamedTuple):
    """A signature that is over the image and holds (`proof`), or why it is not (`problem`, `is_other`: other image)."""

    signature: Signature
    proof: chains.Signed | None
    problem: str = ""
    is_other: bool = False

    @property
    def doubt(self) -> str:
        """Why not all firmware knows this kind of signature; empty when it does."""
        signature, [signer] = self.signature, self.signature.signed.signers
        kind = signer.signature_algorithm.kind
        if kind != "rsa":
            return f"{signature.where}: {kind}"
        if self.signature.algorithm not in _USUAL or signer.digest_algorithm not in _USUAL:
            return f"{signature.where}: {signature.algorithm} and {signer.digest_algorithm}"
        return ""


_USUAL = ("sha256", "sha384", "sha512")


def examine(image: Image) -> list[Examined]:
    """Every signature by itself: whether it is for this image, and whether its mathematics holds."""
    found = []
    for each in image.signatures:
        if each.claimed != image.digests.get(each.algorithm):
            found.append(Examined(each, None, f"{each.where}: {each.algorithm}", is_other=True))
            continue
        try:
            found.append(Examined(each, chains.holds(each.signed, each.content)))
        except MalformedError as error:
            found.append(Examined(each, None, f"{each.where}: {error}"))
    return found


def is_for_code(certificate: x509.Certificate) -> bool:
    """Whether a certificate names code signing, or no purposes at all."""
    try:
        purposes = certificate.extended_key_usage
    except MalformedError:
        return False
    return purposes is None or not {x509.EKU_CODE_SIGNING, x509.EKU_ANY}.isdisjoint(purposes)
