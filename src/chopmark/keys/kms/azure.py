"""Azure Key Vault and Managed HSM: their REST protocol, whose signatures are those of JWS (RFC 7518)."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chopmark.core import digest, limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms import azure_credentials
from chopmark.keys.kms.calling import Caller, Fault, Request, octets, text
from chopmark.keys.kms.signer import Facts, KmsSigner, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import Web
    from chopmark.keys.uri import KeyUri

_KEY = re.compile(r"//([A-Za-z0-9.:-]{1,255})/([A-Za-z0-9-]{1,127})(?:/([0-9a-fA-F]{32}))?")
_API = "api-version=7.4"
_CLOUDS = {
    ".vault.azure.net": "https://vault.azure.net",
    ".managedhsm.azure.net": "https://managedhsm.azure.net",
    ".vault.azure.cn": "https://vault.azure.cn",
    ".vault.usgovcloudapi.net": "https://vault.usgovcloudapi.net",
}
"""Hosts of vaults by their suffix, and what a token for them is asked for."""
_CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "sha256"),
    "P-384": (ec.SECP384R1(), "sha384"),
    "P-521": (ec.SECP521R1(), "sha512"),
}
_PREFIXES = {"rsa": "RS", "rsa-pss": "PS", "ec": "ES"}


def open_key(uri: KeyUri, web: Web, *, ticks: Callable[[], float] = time.monotonic) -> KmsSigner:
    """The key of an `azurekms:` URI. Raises UsageError (UnusableKeyError), UnavailableError."""
    uri.only("credentials", "padding")
    return KmsSigner(AzureKey(uri, web, ticks=ticks), uri.parameters.get("padding", ""))


class AzureKey:
    """One version of one key of a vault as a kms.signer.Service."""

    def __init__(self, uri: KeyUri, web: Web, *, ticks: Callable[[], float]) -> None:
        match = _KEY.fullmatch(uri.path)
        if match is None:
            message = "azurekms://VAULT.vault.azure.net/KEY, and /VERSION behind it, says which key"
            raise UsageError(message)
        host, key, version = match.groups()
        host = host if "." in host or ":" in host or host == "localhost" else f"{host}.vault.azure.net"
        self.name = f"azurekms://{host}/{key}"
        base, resource = _vault(host)
        self._kid = f"{base}/keys/{key}" + (f"/{version}" if version else "")
        self._versioned = bool(version)
        self._caller = Caller(web, self.name, fault)
        self._token = Tokens(
            azure_credentials.source(uri.parameters.get("credentials", ""), web, resource, ticks), ticks
        )
        self._width = 0

    def facts(self) -> Facts:
        """The public key. From then on the version that was answered is called: a newer one is another key."""
        answer = self._call("GET", "")
        found = answer.get("key")
        attributes = answer.get("attributes")
        if not isinstance(found, dict):
            message = f"{self.name}: the answer has no key"
            raise UnavailableError(message)
        if isinstance(attributes, dict) and attributes.get("enabled") is False:
            message = f"{self.name}: the key is disabled"
            raise UnusableKeyError(message)
        operations = found.get("key_ops")
        if isinstance(operations, list) and "sign" not in operations:
            message = f"{self.name}: the key may not sign"
            raise UnusableKeyError(message)
        kid = text(found, "kid", self.name)
        tail = "" if self._versioned else "/[0-9a-fA-F]{32}"
        if not re.fullmatch(re.escape(self._kid) + tail, kid, re.IGNORECASE):
            message = f"{self.name}: the answer is about another key"
            raise UnavailableError(message)
        self._kid = kid
        return self._rsa(found) if str(found.get("kty", "")).startswith("RSA") else self._ec(found)

    def _rsa(self, found: Mapping[str, Any]) -> Facts:
        modulus, exponent = (int.from_bytes(octets(found, name, self.name, url=True), "big") for name in "ne")
        if modulus.bit_length() > limits.RSA_BITS_MAX:
            message = f"{self.name}: an RSA key of {modulus.bit_length()} bits"
            raise UnusableKeyError(message)
        try:
            key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
        except (ValueError, OverflowError):
            message = f"{self.name}: the answer's key is not one"
            raise UnusableKeyError(message) from None
        return Facts(_spki(key), dict.fromkeys(("rsa", "rsa-pss"), digest.SIGNING_ALGORITHMS))

    def _ec(self, found: Mapping[str, Any]) -> Facts:
        curve, name = _CURVES.get(str(found.get("crv")), (None, ""))
        if curve is None:
            kind = f"{found.get('kty')} {found.get('crv', '')}"[:40].strip()
            message = f"{self.name}: a key of the kind {kind!r}; RSA, P-256, P-384 and P-521 sign here"
            raise UnusableKeyError(message)
        x, y = (int.from_bytes(octets(found, part, self.name, url=True), "big") for part in "xy")
        try:
            key = ec.EllipticCurvePublicNumbers(x, y, curve).public_key()
        except (ValueError, OverflowError):
            message = f"{self.name}: the answer's key is not a point of its curve"
            raise UnusableKeyError(message) from None
        self._width = (curve.key_size + 7) // 8
        return Facts(_spki(key), {"ec": (name,)})

    def sign(self, algorithm: str, name: str, data: bytes, hashed: bytes) -> bytes:  # noqa: ARG002 - the digest goes
        """What sign answers: for ECDSA r and s, each as long as the order (RFC 7518 clause 3.4), made DER here."""
        value = base64.urlsafe_b64encode(hashed).rstrip(b"=").decode()
        found = self._call("POST", "/sign", {"alg": _PREFIXES[algorithm] + name.removeprefix("sha"), "value": value})
        if found.get("kid") != self._kid:
            message = f"{self.name}: the answer is about another key"
            raise UnavailableError(message)
        signature = octets(found, "value", self.name, url=True)
        if algorithm != "ec":
            return signature
        if len(signature) != 2 * self._width:
            message = f"{self.name}: an ECDSA signature of {len(signature)} bytes, not {2 * self._width}"
            raise UnavailableError(message)
        first, second = signature[: self._width], signature[self._width :]
        return utils.encode_dss_signature(int.from_bytes(first, "big"), int.from_bytes(second, "big"))

    def _call(self, method: str, operation: str, asked: Mapping[str, str] | None = None) -> dict[str, Any]:
        body = json.dumps(asked).encode() if asked else b""
        url = f"{self._kid}{operation}?{_API}"

        def prepare() -> Request:
            token = self._token()
            self._caller.secrets[:] = [token]
            return Request(method, url, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, body)

        return self._caller.json(prepare)


def _spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _vault(host: str) -> tuple[str, str]:
    """The address of a vault, and what a token for it is asked for: tokens go to vaults of Azure and nowhere else."""
    if urlsplit(f"//{host}").hostname in ("127.0.0.1", "localhost"):
        return f"http://{host}", _CLOUDS[".vault.azure.net"]
    for suffix, resource in _CLOUDS.items():
        if host.endswith(suffix):
            return f"https://{host}", resource
    message = f"azurekms: {host} is no vault ({', '.join('VAULT' + suffix for suffix in _CLOUDS)})"
    raise UsageError(message)


def fault(found: Mapping[str, Any]) -> Fault:
    """What Azure says went wrong."""
    error = found.get("error")
    if not isinstance(error, dict):
        return Fault(str(error or ""), str(found.get("error_description") or ""))
    return Fault(str(error.get("code", "")), str(error.get("message", "")))
