"""What an authority serves over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.hierarchy import founding
from chopmark.authority.tsa import tsa
from chopmark.envelopes import timestamp
from chopmark.server import routes
from chopmark.server.message import Reply, Request, find
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.server.message import Routes

TSA = routes.time_stamps(tsa.TimeStampAuthority(pki.world().tsa, pki.world().tsa.certificates, clock=lambda: pki.NOW))


def answer(served: Routes, path: str, method: str = "GET") -> Reply:
    found = find(served, path)
    assert found is not None
    return found(Request(method, path))


@pytest.mark.parametrize("path", ["/", "/tsa"])
def test_a_time_stamp(path: str) -> None:
    request = timestamp.request(bytes(32), "sha256", nonce=5)
    reply = TSA[path](Request("POST", path, timestamp.QUERY_TYPE, request))
    assert (reply.status, reply.content_type) == (200, timestamp.REPLY_TYPE)
    assert timestamp.token(reply.body, request)


def test_a_refusal_is_an_answer() -> None:
    reply = TSA["/"](Request("POST", "/", timestamp.QUERY_TYPE, b"nonsense"))
    assert (reply.status, reply.content_type) == (200, timestamp.REPLY_TYPE)


def test_other_methods_and_types() -> None:
    assert TSA["/"](Request("GET", "/")).status == 405
    assert TSA["/"](Request("POST", "/", "application/ocsp-request", b"")).status == 415


def test_what_certificates_name_is_served(tmp_path: Path) -> None:
    setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256")
    with founding.found(str(tmp_path / "ca"), setup) as authority:
        served = routes.published(authority.folder)
        base = "http://pki.example.com"
        for issuer in authority.issuers():
            path = issuer.place.certificate_url.removeprefix(base)
            reply = answer(served, path)
            assert (reply.status, reply.content_type) == (200, "application/pkix-cert")
            assert reply.body == issuer.certificate.raw
            path = issuer.place.crl_url.removeprefix(base)
            assert answer(served, path).content_type == "application/pkix-crl"
            published = authority.publish(issuer.name)
            assert answer(served, path).body == published.raw


def test_countersignatures() -> None:
    served = routes.countersignatures(
        tsa.TimeStampAuthority(pki.world().tsa, pki.world().tsa.certificates, clock=lambda: pki.NOW)
    )["/authenticode"]
    asked = timestamp.legacy_request(b"a signature value")
    reply = served(Request("POST", "/authenticode", timestamp.LEGACY_TYPE, asked))
    assert (reply.status, reply.content_type) == (200, timestamp.LEGACY_TYPE)
    assert timestamp.countersignature(reply.body, b"a signature value")
    assert served(Request("GET", "/authenticode")).status == 405
    assert served(Request("POST", "/authenticode", timestamp.QUERY_TYPE, asked)).status == 415
    assert served(Request("POST", "/authenticode", timestamp.LEGACY_TYPE, b"nonsense")).status == 400


def test_no_countersignature_at_the_wrong_time() -> None:
    late = pki.UNTIL + dt.timedelta(days=1)
    authority = tsa.TimeStampAuthority(pki.world().tsa, pki.world().tsa.certificates, clock=lambda: late)
    request = Request("POST", "/authenticode", timestamp.LEGACY_TYPE, timestamp.legacy_request(b"x"))
    assert routes.countersignatures(authority)["/authenticode"](request).status == 503
