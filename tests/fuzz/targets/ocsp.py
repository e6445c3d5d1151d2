"""OCSP: requests to the responder, and responses from anybody."""

from collections.abc import Iterable

from chopmark.authority.ocsp import http
from chopmark.envelopes import ocsp, x509
from chopmark.envelopes.ocsp import writing
from chopmark.trust.ocsp.answer import Answer
from tests.support import der_trees, pki, probing

WORLD = pki.world()
CERTIFICATE, ISSUER = x509.certificate(WORLD.signer.der), x509.certificate(WORLD.issuing.der)


def seeds() -> Iterable[bytes]:
    identity = ocsp.for_certificate(CERTIFICATE, ISSUER)
    request = ocsp.request([identity, identity], b"nonce")
    yield request
    yield ocsp.request_path(request).encode()
    more = [ocsp.archive_cutoff(pki.SINCE), ocsp.invalidity_date(pki.SINCE)]
    singles = [
        writing.single(identity.encoded(), status, pki.NOW, pki.UNTIL, more)
        for status in (*writing.UNREVOKED.values(), writing.revoked(pki.NOW, 1))
    ]
    data = writing.response_data(x509.subject_key_identifier(ISSUER.spki), pki.NOW, singles, b"nonce")
    algorithm = CERTIFICATE.signature_algorithm_raw
    yield writing.response(data, algorithm, WORLD.issuing.sign(data, "sha256"), [ISSUER.raw])
    yield writing.failure(ocsp.TRY_LATER)


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: ocsp.read_request(data))
    probing.clearly(lambda: examine(ocsp.read_response(data)))
    probing.clearly(lambda: Answer(data).says(CERTIFICATE, ISSUER, pki.NOW))
    asked = http.in_path(data.decode("latin-1"))
    assert isinstance(asked, bytes) or asked.status in (400, 414)


def examine(response: ocsp.Response) -> None:
    probing.look_at(response)
    for single in response.basic.singles if response.basic else ():
        probing.look_at(single)
