"""AWS Key Management Service: GetPublicKey and Sign, over its JSON protocol."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from typing import TYPE_CHECKING, Any

from chopmark.core import clock, digest
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.envelopes import public_keys
from chopmark.keys.kms import aws_credentials, sigv4
from chopmark.keys.kms.calling import Caller, Fault, Request, octets, text
from chopmark.keys.kms.signer import Facts, KmsSigner

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import Web
    from chopmark.keys.uri import KeyUri

_ARN = re.compile(r"arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:(key|alias)/[A-Za-z0-9/_-]+")
_NAME = re.compile(r"(?:alias/)?[A-Za-z0-9/_-]{1,256}")
_REGION = re.compile(r"[a-z]{2,3}(?:-[a-z]+)+-\d{1,2}")
_FAMILIES = {"RSASSA_PKCS1_V1_5_": "rsa", "RSASSA_PSS_": "rsa-pss", "ECDSA_": "ec"}
_WHOLE = ("ED25519_SHA_512", "ML_DSA_SHAKE_256")
"""Those that take no digest."""
_THROTTLED = frozenset(
    {
        "ThrottlingException",
        "LimitExceededException",
        "KMSInternalException",
        "DependencyTimeoutException",
        "KeyUnavailableException",
        "RequestLimitExceeded",
    }
)
_RAW_MAX = 4096


def open_key(uri: KeyUri, web: Web, *, now: Callable[[], dt.datetime] = clock.now) -> KmsSigner:
    """The key of an `awskms:` URI. Raises UsageError (UnusableKeyError), UnavailableError."""
    uri.only("region", "profile", "credentials", "padding")
    return KmsSigner(AwsKey(uri, web, now=now), uri.parameters.get("padding", ""))


class AwsKey:
    """One key of AWS KMS as a kms.signer.Service."""

    def __init__(self, uri: KeyUri, web: Web, *, now: Callable[[], dt.datetime]) -> None:
        host, slash, self._key = uri.path.removeprefix("//").partition("/")
        arn = _ARN.fullmatch(self._key)
        if not uri.path.startswith("//") or not slash or not (arn or _NAME.fullmatch(self._key)):
            message = "awskms:///KEY-ID, awskms:///alias/NAME or awskms:///ARN says which key"
            raise UsageError(message)
        self.name = f"awskms:///{self._key}"
        profile = uri.parameters.get("profile") or os.environ.get("AWS_PROFILE", "") or "default"
        region = (
            (arn[1] if arn else "")
            or uri.parameters.get("region", "")
            or os.environ.get("AWS_REGION", "")
            or os.environ.get("AWS_DEFAULT_REGION", "")
            or aws_credentials.region(profile)
        )
        if not _REGION.fullmatch(region):
            message = f"{self.name}: say the region (?region=eu-west-1, or AWS_REGION)"
            raise UsageError(message)
        self._scope = sigv4.Scope(region, "kms")
        self._endpoint = _endpoint(host, region)
        self._now = now
        self._caller = Caller(web, self.name, fault)
        self._credentials = aws_credentials.Source(
            profile, web, now, metadata=_metadata(uri.parameters.get("credentials", ""))
        )

    def facts(self) -> Facts:
        """What GetPublicKey says. From then on the key is called by the ARN it answered: an alias may be moved."""
        found = self._call("GetPublicKey", {"KeyId": self._key})
        self._key = text(found, "KeyId", self.name)
        self._public_key = public_key = octets(found, "PublicKey", self.name)
        listed = found.get("SigningAlgorithms")
        ways: dict[str, list[str]] = {}
        for way in listed if isinstance(listed, list) else []:
            self._note(str(way), public_key, ways)
        return Facts(public_key, {kind: tuple(names) for kind, names in ways.items()})

    @staticmethod
    def _note(way: str, public_key: bytes, ways: dict[str, list[str]]) -> None:
        for prefix, kind in _FAMILIES.items():
            name = way.removeprefix(prefix).replace("SHA_", "sha")
            if way.startswith(prefix) and name in digest.SIGNING_ALGORITHMS:
                ways.setdefault(kind, []).append(name)
        if way in _WHOLE:
            ways[public_keys.kind(public_key)] = list(digest.SIGNING_ALGORITHMS)

    def sign(self, algorithm: str, name: str, data: bytes, hashed: bytes) -> bytes:
        """What Sign answers. Ed25519 wants the data itself, ML-DSA its digest with that of the public key."""
        message, kind, way = hashed, "DIGEST", ""
        if algorithm == "ed25519":
            message, kind, way = data, "RAW", "ED25519_SHA_512"
            if len(data) > _RAW_MAX:
                said = f"{self.name}: AWS signs at most {_RAW_MAX} bytes with Ed25519, not {len(data)}"
                raise UsageError(said)
        elif algorithm.startswith("ml-dsa"):
            message, kind, way = representative(self._public_key, data), "EXTERNAL_MU", "ML_DSA_SHAKE_256"
        else:
            prefix = next(prefix for prefix, family in _FAMILIES.items() if family == algorithm)
            way = prefix + name.replace("sha", "SHA_")
        asked = {"KeyId": self._key, "MessageType": kind, "SigningAlgorithm": way}
        found = self._call("Sign", {**asked, "Message": base64.b64encode(message).decode()})
        if (found.get("KeyId"), found.get("SigningAlgorithm")) != (self._key, way):
            said = f"{self.name}: the answer is about another key, or another algorithm"
            raise UnavailableError(said)
        return octets(found, "Signature", self.name)

    def _call(self, operation: str, asked: Mapping[str, str]) -> dict[str, Any]:
        body = json.dumps(asked).encode()
        plain = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"TrentService.{operation}"}

        def prepare() -> Request:
            credentials = self._credentials()
            self._caller.secrets[:] = [credentials.secret_key, credentials.token]
            headers = sigv4.signed(
                "POST", self._endpoint, plain, body, credentials=credentials, scope=self._scope, at=self._now()
            )
            return Request("POST", self._endpoint, headers, body)

        return self._caller.json(prepare)


def fault(found: Mapping[str, Any]) -> Fault:
    """What AWS says went wrong."""
    code = str(found.get("__type", "")).rpartition("#")[2]
    # It explains a wrong signature by repeating all that was signed, the session token among it.
    words = "" if code == "SignatureDoesNotMatchException" else str(found.get("message") or found.get("Message") or "")
    return Fault(code, words, code in _THROTTLED)


def _metadata(said: str) -> bool:
    if said not in ("", "metadata"):
        message = (
            "awskms: credentials=metadata takes those of the container or instance; without it, environment and files"
        )
        raise UsageError(message)
    return bool(said)


def _endpoint(host: str, region: str) -> str:
    if host:
        plain = host.partition(":")[0] in ("127.0.0.1", "localhost")
        return f"{'http' if plain else 'https'}://{host}/"
    if named := os.environ.get("AWS_ENDPOINT_URL_KMS") or os.environ.get("AWS_ENDPOINT_URL"):
        return named.rstrip("/") + "/"
    return f"https://kms.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def representative(public_key: bytes, data: bytes) -> bytes:
    """The message representative of ML-DSA with an empty context (FIPS 204 algorithm 7): 64 bytes."""
    bare: bytes = public_keys.load(public_key).public_bytes_raw()
    return hashlib.shake_256(hashlib.shake_256(bare).digest(64) + b"\0\0" + data).digest(64)
