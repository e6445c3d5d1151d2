"""Requests, responses and the client: asn1crypto reads them, and an answer must be to the question that was asked."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from asn1crypto import tsp as oracle
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, timestamp
from tests.unit.envelopes import material

STAMPED = b"a signature value"
DIGEST = hashlib.sha256(STAMPED).digest()
TSA = material.chain("p256", material.TIME_STAMPING, "tsa")


def answer(
    request: bytes, *, certificates: bool = True, chain: tuple[bytes, ...] = TSA, **changes: material.Value
) -> bytes:
    """A token for a request, with fields changed."""
    asked = timestamp.read_request(request)
    info = timestamp.TstInfo(
        asked.policy or material.POLICY, asked.algorithm, asked.digest, 5, material.NOON, nonce=asked.nonce
    )
    info = info._replace(**changes)
    signer = material.KeySigner("p256", "tsa")
    return timestamp.make_token(info, signer, chain, include_certificates=certificates)


@pytest.mark.parametrize(
    ("nonce", "policy", "certificates"), [(5, None, True), (2**63, "1.2.3", False), (None, None, True)]
)
def test_asn1crypto_reads_the_request(nonce: int | None, policy: str | None, certificates: bool) -> None:  # noqa: FBT001
    raw = timestamp.request(DIGEST, "sha256", nonce=nonce, policy=policy, certificates=certificates)
    theirs = oracle.TimeStampReq.load(raw, strict=True)
    assert theirs["version"].native == "v1"
    assert theirs["message_imprint"]["hash_algorithm"]["algorithm"].native == "sha256"
    assert theirs["message_imprint"]["hashed_message"].native == DIGEST
    assert theirs["req_policy"].native == policy
    assert theirs["nonce"].native == nonce
    assert theirs["cert_req"].native is certificates
    read = timestamp.read_request(raw)
    assert (read.algorithm, read.digest) == ("sha256", DIGEST)
    assert (read.nonce, read.policy, read.wants_certificates) == (nonce, policy, certificates)
    assert read.extensions == {}


def test_extensions_of_a_request_are_read() -> None:
    plain = der.parse(timestamp.request(DIGEST, "sha256", nonce=1)).value
    extension = der.sequence(der.oid("1.2.3.4"), der.boolean(True), der.octet_string(b"x"))  # noqa: FBT003
    read = timestamp.read_request(der.sequence(plain, der.explicit(0, extension)))
    assert read.extensions["1.2.3.4"] == (True, b"x")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        der.sequence(),
        timestamp.request(DIGEST, "sha256", nonce=1) + b"\x00",
        timestamp.request(DIGEST[:-1], "sha256", nonce=1),
        timestamp.request(DIGEST, "sha256", nonce=1).replace(b"\x02\x01\x01", b"\x02\x01\x02", 1),
        der.sequence(der.parse(timestamp.request(DIGEST, "sha256", nonce=1)).value, der.null()),
    ],
)
def test_what_is_no_request_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        timestamp.read_request(raw)


def test_an_unknown_digest_is_unsupported() -> None:
    raw = timestamp.request(DIGEST, "sha256", nonce=1)
    odd = raw.replace(der.oid(algorithms.OID_BY_DIGEST["sha256"]), der.oid("2.16.840.1.101.3.4.2.77"))
    with pytest.raises(algorithms.UnsupportedError):
        timestamp.read_request(odd)


def test_the_answer_to_a_request_is_taken() -> None:
    for certificates in (True, False):
        request = timestamp.request(DIGEST, "sha256", nonce=77, policy="1.2.3", certificates=certificates)
        token = answer(request, certificates=certificates)
        for status in (timestamp.GRANTED, timestamp.GRANTED_WITH_MODS):
            response = timestamp.response(token, status)
            assert timestamp.token(response, request) == token
            theirs = oracle.TimeStampResp.load(response, strict=True)
            assert theirs["status"]["status"].native in ("granted", "granted_with_mods")
            assert theirs["time_stamp_token"].dump() == token


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": 78},
        {"nonce": None},
        {"digest": bytes(32)},
        {"algorithm": "sha512", "digest": hashlib.sha512(STAMPED).digest()},
        {"policy": "1.2.4"},
        {"certificates": False},
    ],
)
def test_the_answer_to_another_request_is_refused(changes: dict[str, material.Value]) -> None:
    request = timestamp.request(DIGEST, "sha256", nonce=77, policy="1.2.3")
    certificates = bool(changes.pop("certificates", True))
    with pytest.raises(MalformedError):
        timestamp.token(timestamp.response(answer(request, certificates=certificates, **changes)), request)


def test_a_token_that_is_none_is_refused() -> None:
    request = timestamp.request(DIGEST, "sha256", nonce=77)
    for token in (material.signed("p256"), der.sequence()):
        with pytest.raises(MalformedError):
            timestamp.token(timestamp.response(token), request)
    with pytest.raises(MalformedError):
        timestamp.token(timestamp.response(answer(request)) + b"\x00", request)


@pytest.mark.parametrize("failure", sorted(timestamp.FAILURES))
def test_a_refusal_says_why(failure: str) -> None:
    response = timestamp.response(None, timestamp.REJECTION, failure=failure, text="not today")
    # The oracle knows no response without a token.
    theirs = oracle.PKIStatusInfo.load(der.parse(response).only_child().raw, strict=True)
    assert theirs["status"].native == "rejection"
    assert theirs["status_string"].native == ["not today"]
    (named,) = theirs["fail_info"].native
    assert named.replace("extensions", "extension").replace("_", "") == failure.lower()
    with pytest.raises(UnavailableError, match=rf"(?s)not today.*{failure}"):
        timestamp.token(response, timestamp.request(DIGEST, "sha256", nonce=1))


def test_a_status_and_a_token_go_together() -> None:
    with pytest.raises(RefusedError):
        timestamp.response(None, timestamp.GRANTED)
    with pytest.raises(RefusedError):
        timestamp.response(der.sequence(), timestamp.REJECTION)


@given(st.binary(max_size=100))
def test_random_answers_raise_nothing_but_chopmark_errors(raw: bytes) -> None:
    request = timestamp.request(DIGEST, "sha256", nonce=1)
    for response in (raw, der.sequence(raw), der.sequence(der.sequence(der.integer(2), raw))):
        with pytest.raises(ChopmarkError):
            timestamp.token(response, request)


class Authority:
    """A Fetcher that answers by URL, without a network."""

    def __init__(self, *, digest_flip: bool = False) -> None:
        self.asked: list[str] = []
        self._flip = digest_flip

    def get(self, url: str, limit: int) -> bytes:
        """Nothing is ever fetched."""
        raise NotImplementedError

    def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
        """Answer a request as the name in the URL says."""
        assert content_type == timestamp.QUERY_TYPE
        assert limit > 0
        self.asked.append(url)
        if "down" in url:
            raise UnavailableError("no route")
        if "junk" in url:
            return b"<html>"
        if "declines" in url:
            return timestamp.response(None, timestamp.REJECTION, failure="badAlg")
        if "microsoft" in url:
            return timestamp.response(answer(body, chain=material.lax_authority()))
        if "server" in url:  # a token whose signer is none for time-stamping
            asked = timestamp.read_request(body)
            info = timestamp.TstInfo("1.2.3", asked.algorithm, asked.digest, 5, material.NOON, nonce=asked.nonce)
            return timestamp.response(timestamp.make_token(info, material.KeySigner("p256"), material.chain("p256")))
        return timestamp.response(answer(body))


def test_the_client_asks_one_authority_after_another() -> None:
    authority = Authority()
    urls = [f"http://{name}.example" for name in ("down", "junk", "declines", "server", "good", "never")]
    token = timestamp.HttpStamper(authority, urls).stamp(STAMPED, "sha384")
    assert timestamp.check(token, STAMPED).proof.intact
    assert timestamp.check(token, STAMPED).proof.digest_algorithm == "sha256"
    assert authority.asked == urls[:5]


def test_the_client_asks_for_its_policy() -> None:
    token = timestamp.HttpStamper(Authority(), ["http://good.example"], policy="1.2.3.9").stamp(STAMPED, "sha256")
    assert timestamp.check(token, STAMPED).policy == "1.2.3.9"


def test_the_client_names_every_failure() -> None:
    stamper = timestamp.HttpStamper(
        Authority(), ["http://down.example", "http://server.example"], pause=list[float]().append
    )
    with pytest.raises(UnavailableError, match=r"down\.example: no route.*server\.example.*timestamp\.purpose_wrong"):
        stamper.stamp(STAMPED, "sha256")


def test_the_client_takes_microsofts_tokens_unless_told_not_to() -> None:
    urls = ["http://microsoft.example"]
    token = timestamp.HttpStamper(Authority(), urls).stamp(STAMPED, "sha256")
    assert timestamp.check(token, STAMPED, critical_purpose=False).proof.intact
    with pytest.raises(UnavailableError, match=r"timestamp\.purpose_not_critical"):
        timestamp.HttpStamper(Authority(), urls, critical_purpose=True).stamp(STAMPED, "sha256")


def test_the_client_does_not_take_a_time_outside_of_the_authoritys_certificate() -> None:
    class Late(Authority):
        def post(self, url: str, body: bytes, content_type: str, limit: int) -> bytes:
            super().post(url, body, content_type, limit)
            asked = timestamp.read_request(body)
            late = material.NOON + dt.timedelta(days=36500)
            info = timestamp.TstInfo("1.2.3", asked.algorithm, asked.digest, 5, late, nonce=asked.nonce)
            return timestamp.response(timestamp.make_token(info, material.KeySigner("p256", "tsa"), TSA))

    with pytest.raises(UnavailableError, match="not valid at the time"):
        timestamp.HttpStamper(Late(), ["http://good.example"]).stamp(STAMPED, "sha256")


def test_the_client_asks_again() -> None:
    pauses: list[float] = []
    authority = Authority()
    with pytest.raises(UnavailableError):
        timestamp.HttpStamper(authority, ["http://down.example"], pause=pauses.append).stamp(STAMPED, "sha256")
    assert len(authority.asked) == limits.TIMESTAMP_ROUNDS
    assert pauses == [limits.TIMESTAMP_PAUSE] * (limits.TIMESTAMP_ROUNDS - 1)


def test_the_client_needs_an_authority() -> None:
    with pytest.raises(UsageError):
        timestamp.HttpStamper(Authority(), [])
