"""What an authority serves, by path."""

from __future__ import annotations

import os
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.core.errors import ChopmarkError, MalformedError
from chopmark.envelopes import timestamp
from chopmark.server.http import Reply, Request, file_handler, refusal

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority
    from chopmark.authority.tsa import Rolling, TimeStampAuthority
    from chopmark.server.http import Handler

CRL_TYPE = "application/pkix-crl"
CERTIFICATE_TYPE = "application/pkix-cert"


def published(authority: Authority) -> dict[str, Handler]:
    """CRLs and CA certificates, at the paths that its certificates name (RFC 5280 clauses 4.2.1.13 and 4.2.2.1)."""
    routes: dict[str, Handler] = {}
    for issuer in authority.issuers():
        routes[f"/crl/{issuer.name}.crl"] = file_handler(authority.crl_path(issuer.name), CRL_TYPE)
        for each in authority.published(issuer.name):
            routes[f"/crl/{os.path.basename(each.path)}"] = file_handler(each.path, CRL_TYPE)
        routes[f"/aia/{issuer.name}.cer"] = file_handler(authority.certificate_path(issuer.name), CERTIFICATE_TYPE)
    return routes


def time_stamps(authority: TimeStampAuthority | Rolling) -> dict[str, Handler]:
    """The time-stamp authority at / and /tsa (RFC 3161 clause 3.4)."""

    def handle(request: Request) -> Reply:
        if request.method != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "time-stamp requests come by POST", ("Allow", "POST"))
        if request.content_type != timestamp.QUERY_TYPE:
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {timestamp.QUERY_TYPE}")
        return Reply(authority.respond(request.body), timestamp.REPLY_TYPE, headers=(("Cache-Control", "no-store"),))

    return {"/": handle, "/tsa": handle}


def countersignatures(authority: TimeStampAuthority | Rolling) -> dict[str, Handler]:
    """Authenticode's time stamps from before RFC 3161, at /authenticode, for those who still ask for them."""

    def handle(request: Request) -> Reply:
        if request.method != "POST":
            return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "time-stamp requests come by POST", ("Allow", "POST"))
        if request.content_type != timestamp.LEGACY_TYPE:
            return refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the content type must be {timestamp.LEGACY_TYPE}")
        try:
            body = authority.respond_legacy(request.body)
        except MalformedError as error:
            return refusal(HTTPStatus.BAD_REQUEST, str(error))
        except ChopmarkError as error:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, str(error))
        return Reply(body, timestamp.LEGACY_TYPE, headers=(("Cache-Control", "no-store"),))

    return {"/authenticode": handle}
