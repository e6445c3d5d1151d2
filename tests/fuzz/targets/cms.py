"""CMS SignedData: read strictly and leniently, checked, added to."""

from collections.abc import Iterable

from chopmark.core.artifact import BytesView
from chopmark.core.contracts import Content
from chopmark.core.digest import hash_ranges, of
from chopmark.core.seal import Range, Recipe
from chopmark.envelopes import cms, der, timestamp
from tests.support import der_trees, pki, probing

DATA = "1.2.840.113549.1.7.1"
PAYLOADS = hash_ranges(BytesView(b"content"), [Recipe(name, (Range(0, 7),)) for name in ("sha256", "sha1", "sha512")])


def sample(kind: str = "p256", body: bytes | None = None) -> bytes:
    """A signature over b"content", or over a body that it carries."""
    algorithm = "sha512" if kind == "ed25519" else "sha256"
    signer = pki.world(kind).signer
    content = Content(DATA, algorithm, of(body or b"content", algorithm), body)
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    return draft.finish(signer.sign(draft.to_be_signed, algorithm))


def seeds() -> Iterable[bytes]:
    yield sample()
    yield sample("ed25519")
    yield sample("rsa1024", b"carried along")
    plain = sample()
    yield cms.add_unsigned(plain, timestamp.RFC3161_ATTRIBUTE, der.sequence(der.integer(1)))
    # an indefinite length around it, as BER allows
    node = der.parse(plain)
    yield bytes((node.tag, 0x80)) + node.value + b"\0\0"


mutate = der_trees.mutate


def run(data: bytes) -> None:
    for allow_ber in (False, True):
        probing.clearly(lambda allow_ber=allow_ber: examine(cms.read(data, allow_ber=allow_ber)))  # type: ignore[misc]
    probing.clearly(lambda: cms.add_unsigned(data, timestamp.RFC3161_ATTRIBUTE, der.null()))
    content = Content(DATA, "sha256", of(b"content", "sha256"))
    probing.clearly(lambda: cms.resume(content, data, pki.world().signer.certificates))


def examine(signed: cms.SignedData) -> None:
    probing.look_at(signed)
    for signer in signed.signers:
        probing.look_at(signer)
        cms.check(signed, signer)
        probing.look_at(cms.CmsEnvelope(signed, signer).check(PAYLOADS))
