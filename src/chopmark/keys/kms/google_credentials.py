"""Where access tokens of Google come from: a service account, gcloud's own login, and when asked for the instance."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from chopmark.core import limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import InputError, UsageError
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms.calling import Caller, Fault, Request, text
from chopmark.keys.kms.signer import Token

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import Web

_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
_JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_WELL_KNOWN = "~/.config/gcloud/application_default_credentials.json"
_LIFETIME = 3600
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_HINT = "GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or ?credentials=metadata"


def source(said: str, web: Web, now: Callable[[], dt.datetime], ticks: Callable[[], float]) -> Callable[[], Token]:
    """What fetches a token. Raises UsageError for a source that is not known."""
    if said not in ("", "metadata"):
        message = "gcpkms: credentials=metadata takes those of the instance; without it, environment and files"
        raise UsageError(message)
    return _Fetch(web, now, ticks, metadata=bool(said)).fetch


class _Fetch:
    def __init__(self, web: Web, now: Callable[[], dt.datetime], ticks: Callable[[], float], *, metadata: bool) -> None:
        self._caller = Caller(web, "Google's token service", _fault)
        self._now = now
        self._ticks = ticks
        self._metadata = metadata

    def fetch(self) -> Token:
        if self._metadata:
            return self._instance()
        if token := os.environ.get("CLOUDSDK_AUTH_ACCESS_TOKEN", ""):
            return Token(token, float("inf"))
        account = _account()
        kind = account.get("type")
        if kind == "service_account":
            return self._service_account(account)
        if kind == "authorized_user":
            return self._user(account)
        message = f"gcpkms: credentials of the kind {str(kind)[:40]!r}; service_account and authorized_user are read"
        raise UnusableKeyError(message)

    def _instance(self) -> Token:
        host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
        url = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/token"
        return self._token(Request("GET", url, {"Metadata-Flavor": "Google"}, direct=True))

    def _service_account(self, account: Mapping[str, Any]) -> Token:
        """A JWT signed with the account's key (RFC 7523), for a token."""
        where = "the service account's file"
        url = str(account.get("token_uri") or _TOKEN_URL)
        since = int(self._now().timestamp())
        claims = {
            "iss": text(account, "client_email", where),
            "scope": _SCOPE,
            "aud": url,
            "iat": since,
            "exp": since + _LIFETIME,
        }
        header = {"alg": "RS256", "typ": "JWT", "kid": str(account.get("private_key_id", ""))}
        signed = b".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        assertion = signed + b"." + _encoded(_rs256(text(account, "private_key", where), signed))
        self._caller.secrets[:] = [assertion.decode()]
        body = urlencode({"grant_type": _JWT_GRANT, "assertion": assertion.decode()}).encode()
        return self._token(Request("POST", url, _FORM, body))

    def _user(self, account: Mapping[str, Any]) -> Token:
        where = "gcloud's credentials file"
        names = ("client_id", "client_secret", "refresh_token")
        asked = {name: text(account, name, where) for name in names}
        self._caller.secrets[:] = [asked["client_secret"], asked["refresh_token"]]
        body = urlencode({"grant_type": "refresh_token", **asked}).encode()
        return self._token(Request("POST", _TOKEN_URL, _FORM, body))

    def _token(self, request: Request) -> Token:
        found = self._caller.json(lambda: request)
        seconds = found.get("expires_in")
        lifetime = float(seconds) if isinstance(seconds, int) and 0 < seconds <= 24 * _LIFETIME else 0.0
        return Token(text(found, "access_token", "Google's token service"), self._ticks() + lifetime)


def _fault(found: Mapping[str, Any]) -> Fault:
    return Fault(str(found.get("error") or ""), str(found.get("error_description") or ""))


def _account() -> dict[str, Any]:
    path = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS") or os.path.expanduser(_WELL_KNOWN)
    try:
        found = json.loads(read_small(path, limits.KEY_FILE_MAX))
    except InputError:
        message = f"gcpkms: no credentials ({_HINT})"
        raise UnusableKeyError(message) from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        message = f"{path}: not a file of Google credentials"
        raise UsageError(message)
    return found


def _rs256(private_key: str, data: bytes) -> bytes:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    from chopmark.keys.software import SoftwareSigner

    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        message = "gcpkms: the service account's private key is not an RSA key"
        raise UnusableKeyError(message)
    return SoftwareSigner(key).sign(data, "sha256")


def _encoded(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
