"""Key services of three clouds on loopback HTTP, which check what the real ones check, by an own reading of them.

They hold a key of the test world. `faults` are answers that are given first, one for each request.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mldsa, padding, rsa, utils

from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Asked:
    """A request as it came in."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def form(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(self.body.decode()))


def said(status: int, answer: object, **headers: str) -> Answer:
    return status, headers, json.dumps(answer).encode()


@contextlib.contextmanager
def serving(answer: Callable[[Asked], Answer]) -> Iterator[str]:
    """Serve until the end; host and port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.partition("?")
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, sent = answer(Asked(self.command, path, query, headers, body))
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815 - names of the library's

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}


def signed(key: pki.Key, hashed: bytes, name: str, *, pss: bool = False) -> bytes:
    """A signature over a digest."""
    if isinstance(key, rsa.RSAPrivateKey):
        scheme = padding.PSS(padding.MGF1(HASHES[name]), len(hashed)) if pss else padding.PKCS1v15()
        return key.sign(hashed, scheme, utils.Prehashed(HASHES[name]))
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.sign(hashed, ec.ECDSA(utils.Prehashed(HASHES[name])))


def spki(key: pki.Key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass
class Cloud:
    """What the three have in common."""

    kind: str
    faults: list[Answer | Callable[[Asked], Answer]] = field(default_factory=list)
    requests: list[Asked] = field(default_factory=list)
    bend: Callable[[dict[str, Any]], object] = lambda _: None
    """Changes an answer before it is sent."""

    @property
    def key(self) -> pki.Key:
        return pki.key(self.kind, "cloud")

    def __call__(self, asked: Asked) -> Answer:
        self.requests.append(asked)
        if self.faults:
            fault = self.faults.pop(0)
            return fault if isinstance(fault, tuple) else fault(asked)
        return self.answer(asked)

    def answer(self, asked: Asked) -> Answer:
        raise NotImplementedError

    def good(self, found: dict[str, Any]) -> Answer:
        self.bend(found)
        return said(200, found)


# AWS


ACCESS, SECRET, SESSION = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session+token=="
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@dataclass
class Aws(Cloud):
    """KMS: the signature of each request is computed again from what came in."""

    token: str = ""
    region: str = "eu-west-1"

    def answer(self, asked: Asked) -> Answer:
        if wrong := self.wrongly_signed(asked):
            return said(400, {"__type": "SignatureDoesNotMatchException", "message": wrong})
        assert asked.headers["content-type"] == "application/x-amz-json-1.1"
        operation = asked.headers["x-amz-target"]
        wanted = asked.json
        if wanted["KeyId"] not in (ARN, "alias/release", ARN.rpartition("/")[2]):
            return said(400, {"__type": "NotFoundException", "message": f"Key '{wanted['KeyId']}' does not exist"})
        if operation == "TrentService.GetPublicKey":
            ways = self.ways()
            public = base64.b64encode(spki(self.key)).decode()
            return self.good({"KeyId": ARN, "PublicKey": public, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ways})
        assert operation == "TrentService.Sign"
        if wanted["SigningAlgorithm"] not in self.ways():
            return said(400, {"__type": "InvalidKeyUsageException", "message": "the algorithm is not the key's"})
        signature = self.sign(wanted["SigningAlgorithm"], wanted["MessageType"], base64.b64decode(wanted["Message"]))
        made = base64.b64encode(signature).decode()
        return self.good({"KeyId": ARN, "Signature": made, "SigningAlgorithm": wanted["SigningAlgorithm"]})

    def ways(self) -> list[str]:
        if self.kind.startswith("rsa"):
            families = ("RSASSA_PKCS1_V1_5", "RSASSA_PSS")
            return [f"{family}_SHA_{bits}" for family in families for bits in (256, 384, 512)]
        fixed = {
            "p256": "ECDSA_SHA_256",
            "p384": "ECDSA_SHA_384",
            "p521": "ECDSA_SHA_512",
            "ed25519": "ED25519_SHA_512",
        }
        return [fixed.get(self.kind, "ML_DSA_SHAKE_256")]

    def sign(self, way: str, message_type: str, message: bytes) -> bytes:
        key = self.key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            assert message_type == "RAW"
            return key.sign(message)
        if isinstance(key, mldsa.MLDSA65PrivateKey):
            assert message_type == "EXTERNAL_MU"
            return key.sign_mu(message)
        assert message_type == "DIGEST"
        name = "sha" + way.rpartition("_")[2]
        assert len(message) == HASHES[name].digest_size
        return signed(key, message, name, pss="PSS" in way)

    def wrongly_signed(self, asked: Asked) -> str:
        """Why the request is not signed as it must be; empty when it is."""
        scheme, _, rest = asked.headers.get("authorization", "").partition(" ")
        parts = dict(part.strip().split("=", 1) for part in rest.split(",") if "=" in part)
        if scheme != "AWS4-HMAC-SHA256" or set(parts) != {"Credential", "SignedHeaders", "Signature"}:
            return "no signature"
        access, day, region, service, end = parts["Credential"].split("/")
        names = parts["SignedHeaders"].split(";")
        stamp = asked.headers["x-amz-date"]
        if (access, day, region, service, end) != (ACCESS, stamp[:8], self.region, "kms", "aws4_request"):
            return f"the scope {parts['Credential']}"
        must = {"host", "x-amz-date", "x-amz-target", "content-type"} | (
            {"x-amz-security-token"} if self.token else set()
        )
        if (
            not must <= set(names)
            or names != sorted(names)
            or asked.headers.get("x-amz-security-token", "") != self.token
        ):
            return "headers that are not signed"
        lines = [
            asked.method,
            asked.path,
            asked.query,
            *(f"{name}:{asked.headers[name].strip()}" for name in names),
            "",
        ]
        canonical = "\n".join([*lines, ";".join(names), hashlib.sha256(asked.body).hexdigest()])
        text = "\n".join(
            [scheme, stamp, f"{day}/{region}/{service}/{end}", hashlib.sha256(canonical.encode()).hexdigest()]
        )
        derived = b"AWS4" + SECRET.encode()
        for part in (day, region, service, end, text):
            derived = hmac.new(derived, part.encode(), hashlib.sha256).digest()
        if derived.hex() != parts["Signature"]:
            return f"The Canonical String for this request should have been '{canonical}'"
        return ""


# Google


PROJECT_KEY = "projects/mint/locations/global/keyRings/ring/cryptoKeys/release"


def crc32c(data: bytes) -> str:
    """Bit by bit, as the polynomial has it."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 * (value & 1))
    return str(value ^ 0xFFFFFFFF)


@dataclass
class Google(Cloud):
    """KMS and the token server: the JWT's signature, audience and times are checked, and every checksum."""

    algorithm: str = ""
    versions: tuple[int, ...] = (1,)
    now: float = pki.NOW.timestamp()
    host: str = ""
    tokens: int = 0

    @property
    def account(self) -> rsa.RSAPrivateKey:
        key = pki.key("rsa2048")
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def account_file(self) -> dict[str, str]:
        private = self.account.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "client_email": "robot@mint.example",
            "private_key": private.decode(),
            "private_key_id": "1",
            "token_uri": f"http://{self.host}/token",
        }

    def answer(self, asked: Asked) -> Answer:  # noqa: PLR0911 - one for each thing that can be asked
        if asked.path == "/token":
            return self.token(asked.form)
        if asked.path.startswith("/computeMetadata/"):
            assert asked.headers["metadata-flavor"] == "Google"
            return self.good({"access_token": "token-0", "expires_in": 3600, "token_type": "Bearer"})
        if asked.headers.get("authorization") not in {f"Bearer token-{number}" for number in range(self.tokens + 1)}:
            return said(401, {"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "invalid credentials"}})
        name = asked.path.removeprefix("/v1/")
        if name == f"{PROJECT_KEY}/cryptoKeyVersions":
            listed = [{"name": f"{name}/{number}", "state": "ENABLED"} for number in self.versions]
            assert "filter=state%3DENABLED" in asked.query
            return self.good({"cryptoKeyVersions": listed} if listed else {})
        version = f"{PROJECT_KEY}/cryptoKeyVersions/1"
        if name == f"{version}/publicKey":
            pem = self.key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            found = {"pem": pem.decode(), "algorithm": self.algorithm, "pemCrc32c": crc32c(pem), "name": version}
            return self.good(found)
        if name == f"{version}:asymmetricSign":
            return self.sign(asked.json, version)
        return said(404, {"error": {"code": 404, "status": "NOT_FOUND", "message": f"{name} not found."}})

    def token(self, form: dict[str, str]) -> Answer:
        if form["grant_type"] == "refresh_token":
            assert form["refresh_token"] == "refresh"
        else:
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            head, body, signature = form["assertion"].split(".")
            header, claims = (json.loads(_unpadded(part)) for part in (head, body))
            try:
                self.account.public_key().verify(
                    _unpadded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
                )
            except InvalidSignature:
                return said(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
            assert header["alg"] == "RS256"
            assert claims["iss"] == "robot@mint.example"
            assert claims["aud"] == f"http://{self.host}/token"
            if not claims["iat"] - 60 <= self.now < claims["exp"] <= claims["iat"] + 3600:
                return said(400, {"error": "invalid_grant", "error_description": "Token must be short-lived"})
        self.tokens += 1
        return self.good({"access_token": f"token-{self.tokens}", "expires_in": 3600, "token_type": "Bearer"})

    def sign(self, wanted: dict[str, Any], version: str) -> Answer:
        key = self.key
        if "data" in wanted:
            data = base64.b64decode(wanted["data"])
            checked = {"verifiedDataCrc32c": wanted["dataCrc32c"] == crc32c(data)}
            assert isinstance(key, ed25519.Ed25519PrivateKey)
            signature = key.sign(data)
        else:
            [(name, value)] = wanted["digest"].items()
            digest = base64.b64decode(value)
            if not self.algorithm.endswith(name.upper()):
                return said(400, {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "wrong digest"}})
            checked = {"verifiedDigestCrc32c": wanted["digestCrc32c"] == crc32c(digest)}
            signature = signed(key, digest, name, pss="PSS" in self.algorithm)
        made = {
            "signature": base64.b64encode(signature).decode(),
            "signatureCrc32c": crc32c(signature),
            "name": version,
        }
        return self.good({**made, **checked})


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


# Azure


VERSION = "0123456789abcdef0123456789abcdef"


@dataclass
class Azure(Cloud):
    """A vault, and the token endpoint of a tenant; signatures as JWS has them."""

    host: str = ""

    @property
    def kid(self) -> str:
        return f"http://{self.host}/keys/release/{VERSION}"

    def answer(self, asked: Asked) -> Answer:  # noqa: PLR0911 - one for each thing that can be asked
        if asked.path == "/tenant/oauth2/v2.0/token":
            form = asked.form
            proof = form.get("client_secret") or form.get("client_assertion")
            if (form["grant_type"], form["client_id"], form["scope"]) != (
                "client_credentials",
                "client",
                "https://vault.azure.net/.default",
            ) or proof not in ("hush", "federated"):
                return said(401, {"error": "invalid_client", "error_description": f"AADSTS7000215: {proof} is wrong"})
            return self.good({"access_token": "token", "expires_in": 3599, "token_type": "Bearer"})
        if asked.path == "/identity":
            assert asked.headers["x-identity-header"] == "mine"
            assert "resource=https%3A%2F%2Fvault.azure.net" in asked.query
            return self.good({"access_token": "token", "expires_in": "3599", "token_type": "Bearer"})
        if asked.headers.get("authorization") != "Bearer token":
            return said(401, {"error": {"code": "Unauthorized", "message": "[BearerReadAccessTokenFailed]"}})
        assert asked.query == "api-version=7.4"
        if asked.path in ("/keys/release", f"/keys/release/{VERSION}"):
            return self.good(
                {"key": {"kid": self.kid, "key_ops": ["sign", "verify"], **self.jwk()}, "attributes": {"enabled": True}}
            )
        if asked.path == f"/keys/release/{VERSION}/sign":
            return self.sign(asked.json)
        return said(404, {"error": {"code": "KeyNotFound", "message": "A key with (name/id) was not found"}})

    def jwk(self) -> dict[str, str]:
        public = self.key.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            return {"kty": "RSA-HSM", "n": _number(numbers.n, 1), "e": _number(numbers.e, 1)}
        assert isinstance(public, ec.EllipticCurvePublicKey)
        point = public.public_numbers()
        width = (public.curve.key_size + 7) // 8
        return {
            "kty": "EC",
            "crv": f"P-{public.curve.key_size}",
            "x": _number(point.x, width),
            "y": _number(point.y, width),
        }

    def sign(self, wanted: dict[str, str]) -> Answer:
        family, name = wanted["alg"][:2], "sha" + wanted["alg"][2:]
        digest = _unpadded(wanted["value"])
        assert "=" not in wanted["value"]
        key = self.key
        made = signed(key, digest, name, pss=family == "PS")
        if isinstance(key, ec.EllipticCurvePrivateKey):
            width = (key.curve.key_size + 7) // 8
            made = b"".join(number.to_bytes(width, "big") for number in utils.decode_dss_signature(made))
        value = base64.urlsafe_b64encode(made).rstrip(b"=").decode()
        return self.good({"kid": self.kid, "value": value})


def _number(number: int, width: int) -> str:
    octets = number.to_bytes(max(width, (number.bit_length() + 7) // 8), "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
