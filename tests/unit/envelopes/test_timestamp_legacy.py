"""Authenticode's time stamps from before RFC 3161: request, answer, and asking one authority after another."""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from asn1crypto import cms as oracle
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.errors import MalformedError, UnavailableError, UsageError
from chopmark.core.finding import Outcome
from chopmark.envelopes import cms, der, timestamp
from chopmark.envelopes.cms import oids
from tests.unit.envelopes import material
from tests.unit.envelopes.material import Loose, codes, prove
from tests.unit.envelopes.test_signatures import bare_signature
from tests.unit.envelopes.test_timestamp import SIGNATURE, countersignature, countersigned

if TYPE_CHECKING:
    from collections.abc import Sequence

TSA = material.chain("p256", material.TIME_STAMPING, "tsa")


def answer(signature: bytes = SIGNATURE, kind: str = "p256", certificates: Sequence[bytes] = ()) -> bytes:
    chain = certificates or material.chain(kind, material.TIME_STAMPING, "tsa")
    made = timestamp.make_countersignature(signature, material.NOON, material.KeySigner(kind, "tsa"), chain)
    return timestamp.legacy_response(made)


def test_the_request_is_as_microsoft_describes_it() -> None:
    raw = base64.b64decode(timestamp.legacy_request(b"\x01\x02"), validate=True)
    content = "3011" + "06092a864886f70d010701" + "a004" + "04020102"  # ContentInfo: data, [0], OCTET STRING
    assert raw.hex() == "301f" + "060a2b060104018237030201" + content  # 1.3.6.1.4.1.311.3.2.1
    assert timestamp.read_legacy_request(timestamp.legacy_request(b"\x01\x02")) == b"\x01\x02"


def test_requests_come_in_lines_and_with_what_c_programs_leave() -> None:
    plain = timestamp.legacy_request(SIGNATURE)
    for sent in (base64.encodebytes(base64.b64decode(plain)), plain + b"\r\n\0", plain[:5] + b"\n" + plain[5:]):
        assert timestamp.read_legacy_request(sent) == SIGNATURE


def request(*parts: bytes) -> bytes:
    return base64.b64encode(der.sequence(*parts))


KIND = der.oid("1.3.6.1.4.1.311.3.2.1")
DATA = der.sequence(der.oid(oids.DATA), der.explicit(0, der.octet_string(b"x")))


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"*",
        base64.b64encode(b"nonsense"),
        request(der.oid("1.2.3"), DATA),
        request(KIND),
        request(KIND, DATA, der.null()),
        request(KIND, der.sequence(der.oid(oids.SIGNED_DATA), der.explicit(0, der.octet_string(b"x")))),
        request(KIND, der.sequence(der.oid(oids.DATA))),
        request(KIND, der.sequence(der.oid(oids.DATA), der.explicit(0, der.octet_string(b"")))),
        timestamp.legacy_request(bytes(limits.LEGACY_SIGNATURE_MAX + 1)),
        bytes(limits.TIMESTAMP_RESPONSE_MAX + 1),
    ],
)
def test_no_requests(sent: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamp.read_legacy_request(sent)


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    for sent in (data, base64.b64encode(data)):
        with suppress(MalformedError):
            timestamp.read_legacy_request(sent)
        with suppress(MalformedError):
            timestamp.countersignature(sent, SIGNATURE)


@pytest.mark.parametrize("kind", material.KINDS)
def test_the_answer_is_a_signature_over_the_signature(kind: str) -> None:
    raw = base64.b64decode(answer(kind=kind), validate=True)
    theirs = oracle.ContentInfo.load(raw, strict=True)["content"]
    assert theirs["version"].native == "v1"
    assert theirs["encap_content_info"]["content_type"].native == "data"
    assert theirs["encap_content_info"]["content"].native == SIGNATURE
    [signer] = theirs["signer_infos"]
    attributes = {each["type"].native: each["values"][0].native for each in signer["signed_attrs"]}
    assert attributes["signing_time"] == material.NOON
    found = timestamp.countersignature(answer(kind=kind), SIGNATURE)
    assert timestamp.check_countersignature(der.parse(found.value), SIGNATURE, found.certificates).proof.intact


@pytest.mark.parametrize(
    "response",
    [
        b"",
        base64.b64encode(b"nonsense"),
        answer(b"another signature"),
        base64.b64encode(Loose(certificates=[]).encoded()),
        base64.b64encode(material.token(SIGNATURE, "p256")),
    ],
    ids=["empty", "nonsense", "another's", "no certificate", "rfc 3161"],
)
def test_no_answers(response: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamp.countersignature(response, SIGNATURE)


@pytest.mark.parametrize("own", [None, []], ids=["with certificates", "without"])
def test_it_gets_into_a_signature_with_its_certificates(own: list[bytes] | None) -> None:
    signed = Loose(certificates=own).encoded()
    signature = cms.read(signed).signers[0].signature
    found = timestamp.countersignature(answer(signature), signature)
    whole = cms.add_certificates(signed, (*found.certificates, *((own is not None and material.chain("p256")) or ())))
    whole = cms.add_unsigned(whole, timestamp.COUNTERSIGNATURE_ATTRIBUTE, found.value)
    assert cms.add_certificates(whole, found.certificates) == whole
    assert set(cms.read(whole).certificates) == {*material.chain("p256"), *found.certificates}
    assert cms.read(whole).ordered
    proof = prove(whole)
    assert proof.intact, proof.findings
    [stamp] = proof.stamps
    assert (stamp.kind, stamp.time) == ("authenticode", material.NOON)


class TestBareDigest:
    """VeriSign and Symantec signed the digest without naming its algorithm: believed in old time stamps alone."""

    def stamped(self, digest: str = "sha1") -> Loose:
        loose = countersignature(SIGNATURE, "rsa", digest)
        assert loose.attributes is not None
        key = material.private_key("rsa", "tsa")
        assert isinstance(key, rsa.RSAPrivateKey)
        loose.signature = bare_signature(key, digests.of(der.encode(der.SET, *sorted(loose.attributes)), digest))
        return loose

    @pytest.mark.parametrize("digest", ["sha1", "sha256"])
    def test_it_is_believed(self, digest: str) -> None:
        proof = prove(countersigned(self.stamped(digest)))
        assert proof.intact
        [stamp] = proof.stamps
        assert "timestamp.bare_digest" in codes(stamp.proof, Outcome.INFO)
        assert stamp.proof.digest_algorithm == digest

    def test_one_bit_more_is_not(self) -> None:
        loose = self.stamped()
        assert loose.signature is not None
        loose.signature = loose.signature[:-1] + bytes((loose.signature[-1] ^ 1,))
        [stamp] = prove(countersigned(loose)).stamps
        assert codes(stamp.proof) == {"cms.signature_invalid"}

    def test_no_other_signature_may_be_so(self) -> None:
        loose = Loose(kind="rsa", digest="sha1")
        assert loose.attributes is not None
        key = material.private_key("rsa")
        assert isinstance(key, rsa.RSAPrivateKey)
        loose.signature = bare_signature(key, digests.of(der.encode(der.SET, *sorted(loose.attributes)), "sha1"))
        assert "cms.signature_invalid" in codes(prove(loose.encoded()))


class Network:
    """A Fetcher that answers as the name in the URL says, and remembers who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = 0

    def get(self, url: str, limit: int) -> bytes:
        """Nothing is ever fetched."""
        raise NotImplementedError

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
        """Answer a request."""
        assert content_type == timestamp.LEGACY_TYPE
        assert limit > 0
        name = url.removeprefix("http://").partition(".")[0]
        self.asked.append(name)
        signature = timestamp.read_legacy_request(body)
        if name == "down" or (name == "shaky" and self.asked.count(name) <= self.down):
            raise UnavailableError(f"{url}: no route")
        if name == "junk":
            return b"<html>"
        if name == "other":
            return answer(b"another signature")
        if name == "tampered":
            raw = bytearray(base64.b64decode(answer(signature)))
            raw[-1] ^= 1
            return base64.b64encode(raw)
        if name == "server":
            made = timestamp.make_countersignature(
                signature, material.NOON, material.KeySigner("p256"), material.chain("p256")
            )
            return timestamp.legacy_response(made)
        return answer(signature)


class TestAsking:
    def ask(self, network: Network, *names: str, pauses: list[float] | None = None) -> timestamp.HttpCountersigner:
        urls = [f"http://{name}.example" for name in names]
        waited = pauses if pauses is not None else []
        return timestamp.HttpCountersigner(network, urls, pause=waited.append)

    def test_one_authority_after_another(self) -> None:
        network = Network()
        names = ("down", "junk", "other", "tampered", "server", "good", "never")
        found = self.ask(network, *names).countersign(SIGNATURE)
        assert timestamp.check_countersignature(der.parse(found.value), SIGNATURE, found.certificates).proof.intact
        assert network.asked == list(names[:6])

    def test_who_does_not_answer_is_asked_again_and_who_answers_wrongly_is_not(self) -> None:
        network, pauses = Network(), list[float]()
        network.down = 1
        self.ask(network, "shaky", "junk", pauses=pauses).countersign(SIGNATURE)
        assert network.asked == ["shaky", "junk", "shaky"]
        assert pauses == [limits.TIMESTAMP_PAUSE]

    def test_not_for_ever(self) -> None:
        network = Network()
        with pytest.raises(UnavailableError, match=r"down\.example: no route.*junk\.example: not in base64"):
            self.ask(network, "down", "junk").countersign(SIGNATURE)
        assert network.asked.count("down") == limits.TIMESTAMP_ROUNDS
        assert network.asked.count("junk") == 1

    def test_who_failed_comes_last_from_then_on(self) -> None:
        network = Network()
        asking = self.ask(network, "down", "good")
        asking.countersign(SIGNATURE)
        asking.countersign(SIGNATURE)
        assert network.asked == ["down", "good", "good"]

    def test_nobody_to_ask(self) -> None:
        with pytest.raises(UsageError):
            self.ask(Network())
