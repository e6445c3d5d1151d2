"""Time stamps: requests, responses, tokens, TSTInfo, countersignatures."""

from collections.abc import Iterable

from chopmark.core.digest import of
from chopmark.envelopes import cms, der, timestamp
from tests.support import der_trees, pki, probing

STAMPED = b"a signature value"
REQUEST = timestamp.request(of(STAMPED, "sha256"), "sha256", nonce=1234567890)


def sample() -> bytes:
    tsa = pki.world().tsa
    info = timestamp.TstInfo(
        "1.2.3.4", "sha256", of(STAMPED, "sha256"), 7, pki.NOW, accuracy=1.5, ordering=True, nonce=1234567890
    )
    return timestamp.make_token(info, tsa, tsa.certificates)


def seeds() -> Iterable[bytes]:
    token = sample()
    yield token
    yield REQUEST
    yield timestamp.response(token)
    yield timestamp.response(None, timestamp.REJECTION, failure="badAlg", text="no")
    content = cms.read(token).content
    assert content
    yield content
    tsa = pki.world().tsa
    yield timestamp.legacy_request(STAMPED)
    yield timestamp.legacy_response(timestamp.make_countersignature(STAMPED, pki.NOW, tsa, tsa.certificates))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: timestamp.read_request(data))
    probing.clearly(lambda: timestamp.token(data, REQUEST))
    probing.clearly(lambda: timestamp.token(timestamp.response(sample()), data))
    probing.clearly(lambda: timestamp.read_info(data))
    probing.clearly(lambda: probing.look_at(timestamp.check(data, STAMPED)))
    probing.clearly(lambda: timestamp.read_legacy_request(data))
    probing.clearly(lambda: timestamp.countersignature(data, STAMPED))
    certificates = pki.world().tsa.certificates
    probing.clearly(lambda: timestamp.check_countersignature(der.parse(data), STAMPED, certificates))
