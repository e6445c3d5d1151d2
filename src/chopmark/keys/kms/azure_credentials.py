"""Where access tokens of Azure come from: a client's secret or federated token, and when asked for the machine's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import UsageError
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms.calling import Caller, Fault, Request, text
from chopmark.keys.kms.signer import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import Web

_AUTHORITY = "https://login.microsoftonline.com"
_INSTANCE = "http://169.254.169.254/metadata/identity/oauth2/token"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_DAY = 86400.0
_HINT = (
    "AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_FEDERATED_TOKEN_FILE, or ?credentials=metadata"
)


def source(said: str, web: Web, resource: str, ticks: Callable[[], float]) -> Callable[[], Token]:
    """What fetches a token for a resource. Raises UsageError for a source that is not known."""
    if said not in ("", "metadata"):
        message = "azurekms: credentials=metadata takes the managed identity; without it, the environment"
        raise UsageError(message)
    caller = Caller(web, "Azure's token service", _fault)

    def fetch() -> Token:
        request = _managed(resource) if said else _client(resource)
        caller.secrets[:] = [
            value for name, value in os.environ.items() if name in ("AZURE_CLIENT_SECRET", "IDENTITY_HEADER")
        ]
        found = caller.json(lambda: request)
        return Token(text(found, "access_token", "Azure's token service"), ticks() + _lifetime(found))

    return fetch


def _client(resource: str) -> Request:
    """The client-credentials grant (RFC 6749 clause 4.4)."""
    tenant, client, secret, federated = (
        os.environ.get(f"AZURE_{name}", "")
        for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "FEDERATED_TOKEN_FILE")
    )
    asked = {"grant_type": "client_credentials", "client_id": client, "scope": f"{resource}/.default"}
    if secret:
        asked["client_secret"] = secret
    elif federated:
        assertion = read_small(federated, limits.KEY_FILE_MAX).decode("utf-8", "replace").strip()
        asked |= {"client_assertion_type": _ASSERTION, "client_assertion": assertion}
    if not tenant or not client or not (secret or federated):
        message = f"azurekms: no credentials ({_HINT})"
        raise UnusableKeyError(message)
    authority = (os.environ.get("AZURE_AUTHORITY_HOST") or _AUTHORITY).rstrip("/")
    url = f"{authority}/{quote(tenant, safe='')}/oauth2/v2.0/token"
    return Request("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, urlencode(asked).encode())


def _managed(resource: str) -> Request:
    """The identity of a virtual machine, or of an App Service where it says where."""
    asked = {"resource": resource}
    if client := os.environ.get("AZURE_CLIENT_ID", ""):
        asked["client_id"] = client
    if endpoint := os.environ.get("IDENTITY_ENDPOINT", ""):
        headers = {"X-IDENTITY-HEADER": os.environ.get("IDENTITY_HEADER", "")}
        return Request("GET", f"{endpoint}?{urlencode({'api-version': '2019-08-01', **asked})}", headers, direct=True)
    url = f"{_INSTANCE}?{urlencode({'api-version': '2018-02-01', **asked})}"
    return Request("GET", url, {"Metadata": "true"}, direct=True)


def _lifetime(found: Mapping[str, Any]) -> float:
    """Seconds; some say it as text."""
    said = str(found.get("expires_in", ""))
    return min(float(said), _DAY) if said.isascii() and said.isdigit() and len(said) < 9 else 0.0  # noqa: PLR2004 - digits


def _fault(found: Mapping[str, Any]) -> Fault:
    return Fault(str(found.get("error") or ""), str(found.get("error_description") or ""))
