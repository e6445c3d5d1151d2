"""Google Cloud KMS: getPublicKey and asymmetricSign of its REST protocol, with the checksums that it recommends."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from typing import TYPE_CHECKING, Any

from chopmark.core import clock, digest
from chopmark.core.errors import MalformedError, UnavailableError, UsageError
from chopmark.envelopes import pem, public_keys
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms import google_credentials
from chopmark.keys.kms.calling import Caller, Fault, Request, octets, text
from chopmark.keys.kms.crc32c import checksum
from chopmark.keys.kms.signer import Facts, KmsSigner, Tokens

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import Web
    from chopmark.keys.uri import KeyUri

_PART = r"[A-Za-z0-9_.:-]{1,128}"
_KEY = re.compile(
    rf"//(projects/{_PART}/locations/{_PART}/keyRings/{_PART}/cryptoKeys/{_PART})"
    r"(?:/(?:cryptoKeyVersions|versions)/(\d{1,10}))?"
)
_VERSIONS_MAX = 100
_ALGORITHM = re.compile(r"(RSA_SIGN_PKCS1|RSA_SIGN_PSS|EC_SIGN)_[A-Z0-9]+_SHA(256|384|512)")
_KINDS = {"RSA_SIGN_PKCS1": "rsa", "RSA_SIGN_PSS": "rsa-pss", "EC_SIGN": "ec"}


def open_key(
    uri: KeyUri, web: Web, *, now: Callable[[], dt.datetime] = clock.now, ticks: Callable[[], float] = time.monotonic
) -> KmsSigner:
    """The key of a `gcpkms:` URI. Raises UsageError (UnusableKeyError), UnavailableError."""
    uri.only("endpoint", "credentials", "padding")
    return KmsSigner(GoogleKey(uri, web, now=now, ticks=ticks), uri.parameters.get("padding", ""))


class GoogleKey:
    """One version of one key of Google Cloud KMS as a kms.signer.Service."""

    def __init__(self, uri: KeyUri, web: Web, *, now: Callable[[], dt.datetime], ticks: Callable[[], float]) -> None:
        match = _KEY.fullmatch(uri.path)
        if match is None:
            message = (
                "gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K, "
                "and /cryptoKeyVersions/N behind it, says which key"
            )
            raise UsageError(message)
        self._key, version = match.groups()
        self._version = f"{self._key}/cryptoKeyVersions/{version}" if version else ""
        self.name = f"gcpkms://{self._version or self._key}"
        self._endpoint = (
            uri.parameters.get("endpoint")
            or os.environ.get("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS")
            or "https://cloudkms.googleapis.com"
        ).rstrip("/") + "/v1/"
        self._caller = Caller(web, self.name, fault)
        fetch = google_credentials.source(uri.parameters.get("credentials", ""), web, now, ticks)
        self._token = Tokens(fetch, ticks)

    def facts(self) -> Facts:
        """What getPublicKey says: a version signs in one way alone."""
        self._version = self._version or self._only_version()
        found = self._call("GET", f"{self._version}/publicKey")
        written = text(found, "pem", self.name).encode()
        self._undamaged(written, found.get("pemCrc32c"), "public key")
        self._about(found)
        try:
            public_key = pem.single(written, "PUBLIC KEY")
            kind = public_keys.kind(public_key)
        except MalformedError as error:
            message = f"{self.name}: {error}"
            raise UnusableKeyError(message) from None
        algorithm = text(found, "algorithm", self.name)
        if match := _ALGORITHM.fullmatch(algorithm):
            return Facts(public_key, {_KINDS[match[1]]: (f"sha{match[2]}",)})
        whole = algorithm == "EC_SIGN_ED25519" and kind == "ed25519"
        return Facts(public_key, {kind: digest.SIGNING_ALGORITHMS} if whole else {})

    def sign(self, algorithm: str, name: str, data: bytes, hashed: bytes) -> bytes:
        """What asymmetricSign answers, once it says that it got what was sent, and that arrives as it was sent."""
        if algorithm == "ed25519":
            sent, asked, verified = data, {"data": base64.b64encode(data).decode()}, "verifiedDataCrc32c"
            body: dict[str, Any] = {**asked, "dataCrc32c": str(checksum(data))}
        else:
            sent, verified = hashed, "verifiedDigestCrc32c"
            body = {"digest": {name: base64.b64encode(sent).decode()}, "digestCrc32c": str(checksum(sent))}
        found = self._call("POST", f"{self._version}:asymmetricSign", body)
        self._about(found)
        if found.get(verified) is not True:
            message = f"{self.name}: the service did not get what was sent"
            raise UnavailableError(message)
        signature = octets(found, "signature", self.name)
        self._undamaged(signature, found.get("signatureCrc32c"), "signature")
        return signature

    def _only_version(self) -> str:
        """The one version that is enabled; which one is meant cannot be said where there are several."""
        path = f"{self._key}/cryptoKeyVersions?filter=state%3DENABLED&pageSize={_VERSIONS_MAX}"
        listed = self._call("GET", path).get("cryptoKeyVersions")
        names = (
            [str(each.get("name", "")) for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        )
        if len(names) != 1 or not names[0].startswith(f"{self._key}/cryptoKeyVersions/"):
            there = ", ".join(name.rpartition("/")[2] for name in names)[:200] or "none"
            message = f"{self.name}: say which version: /cryptoKeyVersions/N (enabled: {there})"
            raise UnusableKeyError(message)
        return names[0]

    def _about(self, found: Mapping[str, Any]) -> None:
        if found.get("name") != self._version:
            message = f"{self.name}: the answer is about another key"
            raise UnavailableError(message)

    def _undamaged(self, data: bytes, said: object, what: str) -> None:
        if str(said) != str(checksum(data)):
            message = f"{self.name}: the {what} was damaged on its way (CRC32C)"
            raise UnavailableError(message)

    def _call(self, method: str, path: str, asked: Mapping[str, Any] | None = None) -> dict[str, Any]:
        body = json.dumps(asked).encode() if asked is not None else b""

        def prepare() -> Request:
            token = self._token()
            self._caller.secrets[:] = [token]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            return Request(method, self._endpoint + path, headers, body)

        return self._caller.json(prepare)


def fault(found: Mapping[str, Any]) -> Fault:
    """What Google says went wrong."""
    error = found.get("error")
    if not isinstance(error, dict):  # as token servers say it
        return Fault(str(error or ""), str(found.get("error_description") or ""))
    code = str(error.get("status", ""))
    return Fault(code, str(error.get("message", "")), code in ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "ABORTED"))
