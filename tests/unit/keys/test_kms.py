"""Keys in clouds: three protocols against simulators that check them, credentials, retries, and what is never said."""

from __future__ import annotations

import contextlib
import datetime as dt
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark import keys
from chopmark.cli import main
from chopmark.core import limits
from chopmark.core.contracts import HttpAnswer
from chopmark.core.errors import ChopmarkError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, signatures
from chopmark.keys import uri as uris
from chopmark.keys.errors import UnusableKeyError
from chopmark.keys.kms import aws, azure, azure_credentials, calling, crc32c, google, google_credentials, sigv4
from chopmark.keys.kms.signer import Token
from chopmark.net.http import HttpFetcher
from tests.support import clouds, pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.keys.kms.signer import KmsSigner

DATA = b"what is signed"
VARIABLES = (
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "CLOUDSDK_AUTH_ACCESS_TOKEN",
    "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDKMS",
    "GCE_METADATA_HOST",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "IDENTITY_ENDPOINT",
    "IDENTITY_HEADER",
)


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials but those of the test, and pauses that take no time."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(limits, "KMS_PAUSE", 0.001)


@pytest.fixture
def web() -> Iterator[HttpFetcher]:
    with contextlib.closing(HttpFetcher()) as fetcher:
        yield fetcher


def parsed(text: str) -> uris.KeyUri:
    schemes = {"awskms", "gcpkms", "azurekms"}
    return uris.parse(text, schemes.__contains__)


def holds(signer: KmsSigner, digest: str, key: pki.Key) -> None:
    """A signature over the data that verifies by the key of the cloud, and not over other data."""
    assert signer.public_key == clouds.spki(key)
    signature = signer.sign(DATA, digest)
    algorithm = algorithms.signature_algorithm(der.parse(algorithms.signature_identifier(signer, digest)))
    signatures.verify(signer.public_key, algorithm, signature, DATA)
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(signer.public_key, algorithm, signature, DATA + b"!")


# AWS


class AwsDesk:
    def __init__(self, cloud: clouds.Aws, host: str, web: HttpFetcher) -> None:
        self.cloud, self.host, self.web = cloud, host, web

    def open(self, name: str = clouds.ARN, *parameters: str) -> KmsSigner:
        said = "?" + "&".join(parameters) if parameters else ""
        return aws.open_key(parsed(f"awskms://{self.host}/{name}{said}"), self.web, now=lambda: pki.NOW)


@pytest.fixture
def at_aws(monkeypatch: pytest.MonkeyPatch, web: HttpFetcher) -> Iterator[Callable[..., AwsDesk]]:
    with contextlib.ExitStack() as stack:

        def at(kind: str = "p256", token: str = "") -> AwsDesk:
            cloud = clouds.Aws(kind, token=token)
            monkeypatch.setenv("AWS_ACCESS_KEY_ID", clouds.ACCESS)
            monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", clouds.SECRET)
            if token:
                monkeypatch.setenv("AWS_SESSION_TOKEN", token)
            return AwsDesk(cloud, stack.enter_context(clouds.serving(cloud)), web)

        yield at


AWS_DIGESTS = {"p256": ["sha256"], "p384": ["sha384"], "p521": ["sha512"]}


@pytest.mark.parametrize("kind", ["rsa3072", "p256", "p384", "p521", "ed25519", "ml-dsa-65"])
def test_every_kind_of_aws(kind: str, at_aws: Callable[..., AwsDesk]) -> None:
    desk = at_aws(kind, token=clouds.SESSION)
    signer = desk.open()
    able = AWS_DIGESTS.get(kind, ["sha256", "sha384", "sha512"])
    assert sorted(signer.digests) == able
    for digest in able:
        holds(signer, digest, desk.cloud.key)
    for digest in {"sha256", "sha384", "sha512", "sha1"} - set(able):
        with pytest.raises(RefusedError, match=able[0]):
            signer.sign(DATA, digest)
    if kind == "rsa3072":
        pss = desk.open(clouds.ARN, "padding=pss")
        assert pss.algorithm == "rsa-pss"
        holds(pss, "sha384", desk.cloud.key)
    else:
        with pytest.raises(UsageError, match="padding"):
            desk.open(clouds.ARN, "padding=pss")
    sent = b"".join(asked.body for asked in desk.cloud.requests)
    assert (b"d2hhdCBpcyBzaWduZWQ=" in sent) == (kind == "ed25519"), "but for Ed25519 only a digest leaves"


def test_an_alias_is_followed_once(at_aws: Callable[..., AwsDesk]) -> None:
    desk = at_aws()
    signer = desk.open("alias/release", "region=eu-west-1")
    signer.sign(DATA, "sha256")
    assert [asked.json["KeyId"] for asked in desk.cloud.requests] == ["alias/release", clouds.ARN]
    desk.cloud.bend = lambda found: found.update(KeyId=clouds.ARN[:-1] + "1")
    with pytest.raises(UnavailableError, match="another key"):
        signer.sign(DATA, "sha256")


def test_credentials_of_the_shared_files(
    at_aws: Callable[..., AwsDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = at_aws()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(UnusableKeyError, match="AWS_ACCESS_KEY_ID"):
        desk.open()
    (tmp_path / ".aws").mkdir()
    held = f"aws_access_key_id = {clouds.ACCESS}\naws_secret_access_key = {clouds.SECRET}\n"
    (tmp_path / ".aws/credentials").write_text(f"[other]\n{held}")
    (tmp_path / ".aws/config").write_text("[profile other]\nregion = eu-west-1\n")
    with pytest.raises(UnusableKeyError, match="no credentials"):
        desk.open()
    with pytest.raises(UsageError, match="region"):
        desk.open("alias/release")
    holds(desk.open("alias/release", "profile=other"), "sha256", desk.cloud.key)
    (tmp_path / ".aws/credentials").write_text(f"{clouds.SECRET}\n[other]\n")
    with pytest.raises(UsageError, match="not a file of AWS profiles") as refused:
        desk.open("alias/release", "profile=other")
    assert clouds.SECRET not in str(refused.value)


@pytest.mark.parametrize("container", [True, False])
def test_credentials_of_container_and_instance_are_taken_when_asked_and_renewed(
    container: bool,  # noqa: FBT001 - a parameter of the test
    at_aws: Callable[..., AwsDesk],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = at_aws(token=clouds.SESSION)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"):
        monkeypatch.delenv(f"AWS_{name}")
    seen: list[str] = []
    held = {"AccessKeyId": clouds.ACCESS, "SecretAccessKey": clouds.SECRET, "Token": clouds.SESSION,
            "Expiration": (pki.NOW + dt.timedelta(seconds=60)).isoformat().replace("+00:00", "Z")}  # fmt: skip

    def metadata(asked: clouds.Asked) -> clouds.Answer:
        seen.append(f"{asked.method} {asked.path}")
        if asked.path == "/latest/api/token":
            assert asked.method == "PUT"
            return 200, {}, b"visit"
        if container:
            assert asked.headers["authorization"] == "mine"
        else:
            assert asked.headers["x-aws-ec2-metadata-token"] == "visit"
        if asked.path.endswith("/security-credentials/"):
            return 200, {}, b"role"
        return clouds.said(200, held)

    with clouds.serving(metadata) as host:
        if container:
            monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"http://{host}/keys")
            monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "mine")
        else:
            monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://{host}")
        with pytest.raises(UnusableKeyError):
            desk.open()
        assert not seen, "nobody asked for them"
        signer = desk.open(clouds.ARN, "credentials=metadata")
        before = len(seen)
        holds(signer, "sha256", desk.cloud.key)
        assert len(seen) > before, "they end within two minutes"
        held["Expiration"] = (pki.NOW + dt.timedelta(hours=1)).isoformat()
        signer.sign(DATA, "sha256")
        before = len(seen)
        signer.sign(DATA, "sha256")
        assert len(seen) == before
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere.example/keys")
    with pytest.raises(UsageError, match="away"):
        desk.open(clouds.ARN, "credentials=metadata")


@pytest.mark.parametrize(
    ("method", "query", "headers", "body", "signature"),
    [
        ("GET", "", {}, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "", {}, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "?Param2=value2&Param1=value1", {}, b"",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", "?Param1=value1", {}, b"", "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"),
        ("POST", "", {"Content-Type": "application/x-www-form-urlencoded"}, b"Param1=value1",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"),
    ],
)  # fmt: skip
def test_the_published_signatures_of_aws(
    method: str, query: str, headers: dict[str, str], body: bytes, signature: str
) -> None:
    sent = sigv4.signed(
        method,
        f"https://example.amazonaws.com/{query}",
        headers,
        body,
        credentials=sigv4.Credentials(clouds.ACCESS, clouds.SECRET),
        scope=sigv4.Scope("us-east-1", "service"),
        at=dt.datetime(2015, 8, 30, 12, 36, tzinfo=dt.UTC),
    )
    assert sent["Authorization"].endswith(f"Signature={signature}")
    assert sent["X-Amz-Date"] == "20150830T123600Z"


def test_a_wrong_secret_is_told_without_any(at_aws: Callable[..., AwsDesk], monkeypatch: pytest.MonkeyPatch) -> None:
    desk = at_aws(token=clouds.SESSION)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "other" + clouds.SECRET)
    with pytest.raises(UnusableKeyError, match="SignatureDoesNotMatch") as refused:
        desk.open()
    assert clouds.SESSION not in str(refused.value)
    echo = clouds.said(
        400, {"__type": "AccessDeniedException", "message": f"{clouds.SESSION} and other{clouds.SECRET}"}
    )
    desk.cloud.faults = [echo]
    with pytest.raises(UnusableKeyError, match=r"\.\.\. and \.\.\.") as refused:
        desk.open()
    assert clouds.SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("awskms:key", "ARN"),
        ("awskms:///", "ARN"),
        ("awskms:///a b", "ARN"),
        ("awskms:///arn:aws:s3:eu-west-1:1:key/x", "ARN"),
        ("awskms:///alias/x?region=../x", "region"),
        ("awskms:///alias/x", "region"),
        ("awskms:///alias/x?pin=1", "no parameter"),
        (f"awskms:///{clouds.ARN}?credentials=env", "credentials=metadata"),
        (f"awskms:///{clouds.ARN}?padding=oaep", "no credentials|padding"),
    ],
)
def test_what_names_no_key_of_aws(text: str, told: str, web: HttpFetcher) -> None:
    with pytest.raises(UsageError, match=told):
        aws.open_key(parsed(text), web)


# Google


class GoogleDesk:
    def __init__(self, cloud: clouds.Google, web: HttpFetcher) -> None:
        self.cloud, self.web = cloud, web
        self.ticks = 0.0

    def open(self, version: str = "/cryptoKeyVersions/1", *parameters: str) -> KmsSigner:
        said = "&".join((f"endpoint=http://{self.cloud.host}", *parameters))
        key = parsed(f"gcpkms://{clouds.PROJECT_KEY}{version}?{said}")
        return google.open_key(key, self.web, now=lambda: pki.NOW, ticks=lambda: self.ticks)


@pytest.fixture
def at_google(monkeypatch: pytest.MonkeyPatch, web: HttpFetcher, tmp_path: Path) -> Iterator[Callable[..., GoogleDesk]]:
    with contextlib.ExitStack() as stack:

        def at(kind: str = "p256", algorithm: str = "EC_SIGN_P256_SHA256") -> GoogleDesk:
            cloud = clouds.Google(kind, algorithm=algorithm)
            cloud.host = stack.enter_context(clouds.serving(cloud))
            (tmp_path / "account.json").write_text(json.dumps(cloud.account_file()))
            monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
            return GoogleDesk(cloud, web)

        yield at


@pytest.mark.parametrize(
    ("kind", "algorithm", "digests"),
    [
        ("rsa3072", "RSA_SIGN_PKCS1_3072_SHA256", ("sha256",)),
        ("rsa4096", "RSA_SIGN_PKCS1_4096_SHA512", ("sha512",)),
        ("rsa3072", "RSA_SIGN_PSS_3072_SHA256", ("sha256",)),
        ("p256", "EC_SIGN_P256_SHA256", ("sha256",)),
        ("p384", "EC_SIGN_P384_SHA384", ("sha384",)),
        ("ed25519", "EC_SIGN_ED25519", ("sha256", "sha384", "sha512")),
    ],
)
def test_every_kind_of_google(
    kind: str, algorithm: str, digests: tuple[str, ...], at_google: Callable[..., GoogleDesk]
) -> None:
    desk = at_google(kind, algorithm)
    signer = desk.open()
    assert signer.digests == digests
    assert (signer.algorithm == "rsa-pss") == ("PSS" in algorithm)
    for digest in digests:
        holds(signer, digest, desk.cloud.key)
    assert algorithms.usual_digest(signer) == ("sha512" if kind == "ed25519" else digests[0])
    if "PKCS1" in algorithm:
        with pytest.raises(UnusableKeyError, match="rsa-pss"):
            desk.open("/versions/1", "padding=pss")


@pytest.mark.parametrize("algorithm", ["RSA_DECRYPT_OAEP_3072_SHA256", "PQ_SIGN_HASH_SLH_DSA", "HMAC_SHA256"])
def test_other_algorithms_of_google_are_refused(algorithm: str, at_google: Callable[..., GoogleDesk]) -> None:
    with pytest.raises(UnusableKeyError, match="does not sign"):
        at_google("rsa3072", algorithm).open()


def test_the_only_enabled_version_is_taken(at_google: Callable[..., GoogleDesk]) -> None:
    desk = at_google()
    holds(desk.open(""), "sha256", desk.cloud.key)
    for versions, told in (((1, 2), "enabled: 1, 2"), ((), "none")):
        desk.cloud.versions = versions
        with pytest.raises(UnusableKeyError, match=told):
            desk.open("")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"pemCrc32c": "1"}, "damaged"),
        ({"pemCrc32c": None}, "damaged"),
        ({"name": "projects/other"}, "another key"),
        ({"pem": "-----BEGIN PUBLIC KEY-----"}, "damaged"),
        ({"pem": 1}, "no pem"),
    ],
)
def test_a_public_key_that_was_damaged(change: dict[str, Any], told: str, at_google: Callable[..., GoogleDesk]) -> None:
    desk = at_google()
    desk.cloud.bend = lambda found: found.update(change) if "pem" in found else None
    with pytest.raises(UnavailableError, match=told):
        desk.open()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"signatureCrc32c": "1"}, "damaged"),
        ({"verifiedDigestCrc32c": False}, "did not get"),
        ({"verifiedDigestCrc32c": "true"}, "did not get"),
        ({"name": f"{clouds.PROJECT_KEY}/cryptoKeyVersions/2"}, "another key"),
        ({"signature": "!"}, "not base64"),
        ({"signature": ""}, "no signature"),
    ],
)
def test_a_signature_that_was_damaged(change: dict[str, Any], told: str, at_google: Callable[..., GoogleDesk]) -> None:
    desk = at_google()
    signer = desk.open()
    desk.cloud.bend = lambda found: found.update(change)
    with pytest.raises(UnavailableError, match=told):
        signer.sign(DATA, "sha256")


def test_tokens_of_google_are_renewed_and_other_sources_taken(
    at_google: Callable[..., GoogleDesk], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = at_google()
    signer = desk.open()
    signer.sign(DATA, "sha256")
    assert desk.cloud.tokens == 1
    desk.ticks = 3600 - limits.KMS_TOKEN_SPARE + 1
    signer.sign(DATA, "sha256")
    assert desk.cloud.tokens == 2
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "token-1")
    desk.open()
    assert desk.cloud.tokens == 2
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "expired")
    with pytest.raises(UnusableKeyError, match="not allowed") as refused:
        desk.open()
    assert "expired" not in str(refused.value)
    monkeypatch.delenv("CLOUDSDK_AUTH_ACCESS_TOKEN")
    user = {"type": "authorized_user", "client_id": "me", "client_secret": "hush", "refresh_token": "refresh"}
    (tmp_path / "account.json").write_text(json.dumps(user))
    monkeypatch.setattr(google_credentials, "_TOKEN_URL", f"http://{desk.cloud.host}/token")
    desk.open()
    assert desk.cloud.tokens == 3
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(UnusableKeyError, match="GOOGLE_APPLICATION_CREDENTIALS"):
        desk.open()
    monkeypatch.setenv("GCE_METADATA_HOST", desk.cloud.host)
    desk.open("/versions/1", "credentials=metadata")
    assert desk.cloud.tokens == 3


@pytest.mark.parametrize(
    ("account", "error", "told"),
    [
        ("{", UsageError, "not a file"),
        ("[]", UsageError, "not a file"),
        ('{"type": "external_account"}', UsageError, "external_account"),
        ('{"type": "service_account"}', UnavailableError, "client_email"),
        ('{"type": "service_account", "client_email": "x", "private_key": "hush"}', UsageError, "not an RSA key"),
        ('{"type": "authorized_user", "client_id": 1}', UnavailableError, "client_id"),
    ],
)
def test_accounts_that_are_none(
    account: str, error: type[Exception], told: str, at_google: Callable[..., GoogleDesk], tmp_path: Path
) -> None:
    desk = at_google()
    (tmp_path / "account.json").write_text(account)
    with pytest.raises(error, match=told) as refused:
        desk.open()
    assert "hush" not in str(refused.value)


def test_a_token_server_that_is_not_secure_gets_no_assertion(
    at_google: Callable[..., GoogleDesk], tmp_path: Path
) -> None:
    desk = at_google()
    account = {**desk.cloud.account_file(), "token_uri": "http://tokens.example/"}
    (tmp_path / "account.json").write_text(json.dumps(account))
    with pytest.raises(UsageError, match="https only"):
        desk.open()
    desk.cloud.now += 7200
    (tmp_path / "account.json").write_text(json.dumps(desk.cloud.account_file()))
    with pytest.raises(UnusableKeyError, match="invalid_grant"):
        desk.open()


@pytest.mark.parametrize(
    "text", ["gcpkms:key", "gcpkms://projects/p", "gcpkms://projects/p/locations/l/keyRings/r/cryptoKeys/k/x"]
)
def test_what_names_no_key_of_google(text: str, web: HttpFetcher) -> None:
    with pytest.raises(UsageError, match="cryptoKeyVersions"):
        google.open_key(parsed(text), web)


@given(st.binary(max_size=80))
def test_the_checksum_is_that_of_the_polynomial(data: bytes) -> None:
    assert str(crc32c.checksum(data)) == clouds.crc32c(data)
    assert crc32c.checksum(b"123456789") == 0xE3069283  # the check value of the catalogues


# Azure


class AzureDesk:
    def __init__(self, cloud: clouds.Azure, web: HttpFetcher) -> None:
        self.cloud, self.web = cloud, web

    def open(self, version: str = "", *parameters: str) -> KmsSigner:
        said = "?" + "&".join(parameters) if parameters else ""
        key = parsed(f"azurekms://{self.cloud.host}/release{version}{said}")
        return azure.open_key(key, self.web, ticks=lambda: 0.0)


@pytest.fixture
def at_azure(monkeypatch: pytest.MonkeyPatch, web: HttpFetcher) -> Iterator[Callable[..., AzureDesk]]:
    with contextlib.ExitStack() as stack:

        def at(kind: str = "p256") -> AzureDesk:
            cloud = clouds.Azure(kind)
            cloud.host = stack.enter_context(clouds.serving(cloud))
            said = {"TENANT_ID": "tenant", "CLIENT_ID": "client", "CLIENT_SECRET": "hush"}
            for name, value in {**said, "AUTHORITY_HOST": f"http://{cloud.host}/"}.items():
                monkeypatch.setenv(f"AZURE_{name}", value)
            return AzureDesk(cloud, web)

        yield at


@pytest.mark.parametrize("kind", ["rsa3072", "p256", "p384", "p521"])
def test_every_kind_of_azure(kind: str, at_azure: Callable[..., AzureDesk]) -> None:
    desk = at_azure(kind)
    able = AWS_DIGESTS.get(kind, ["sha256", "sha384", "sha512"])
    for version in ("", f"/{clouds.VERSION}"):
        signer = desk.open(version)
        assert list(signer.digests) == able
        for digest in able:
            holds(signer, digest, desk.cloud.key)
    if kind == "rsa3072":
        holds(desk.open("", "padding=pss"), "sha256", desk.cloud.key)
    assert desk.cloud.requests[-1].path.endswith(f"/{clouds.VERSION}/sign"), "the version is kept"


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"attributes": {"enabled": False}}, UsageError, "disabled"),
        ({"key": None}, UnavailableError, "no key"),
        ({"kid": "http://elsewhere.example/keys/release/" + clouds.VERSION}, UnavailableError, "another key"),
        ({"kid": 7}, UnavailableError, "no kid"),
        ({"key_ops": ["decrypt"]}, UsageError, "may not sign"),
        ({"crv": "P-256K"}, UsageError, "P-256K"),
        ({"kty": "oct"}, UsageError, "P-521 sign"),
        ({"x": "AAAA"}, UsageError, "not a point"),
        ({"x": "A" * 1000}, UsageError, "not a point"),
        ({"x": "*"}, UnavailableError, "not base64"),
    ],
)
def test_a_key_of_azure_that_is_none(
    change: dict[str, Any], error: type[Exception], told: str, at_azure: Callable[..., AzureDesk]
) -> None:
    desk = at_azure()

    def bend(found: dict[str, Any]) -> None:
        if "key" in found:
            (found if set(change) & {"attributes", "key"} else found["key"]).update(change)
            if change.get("kty"):
                found["key"].pop("crv")

    desk.cloud.bend = bend
    with pytest.raises(error, match=told):
        desk.open()


def test_a_signature_of_azure_that_is_none(at_azure: Callable[..., AzureDesk]) -> None:
    desk = at_azure()
    signer = desk.open()
    for change, told in (({"value": "AAAA"}, "3 bytes"), ({"kid": "x"}, "another key"), ({"value": 1}, "no value")):
        desk.cloud.bend = lambda found, change=change: found.update(change)  # type: ignore[misc]
        with pytest.raises(UnavailableError, match=told):
            signer.sign(DATA, "sha256")


def test_credentials_of_azure(
    at_azure: Callable[..., AzureDesk], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    desk = at_azure()
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "a wrong one")
    with pytest.raises(UnusableKeyError, match="invalid_client") as refused:
        desk.open()
    assert "a wrong one" not in str(refused.value)
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    with pytest.raises(UnusableKeyError, match="AZURE_FEDERATED_TOKEN_FILE"):
        desk.open()
    (tmp_path / "token").write_text("federated\n")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    desk.open()
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://{desk.cloud.host}/identity")
    monkeypatch.setenv("IDENTITY_HEADER", "mine")
    desk.open("", "credentials=metadata")
    assert desk.cloud.requests[-2].path == "/identity"
    with pytest.raises(UsageError, match="credentials=metadata"):
        desk.open("", "credentials=cli")
    monkeypatch.setattr(azure_credentials, "_INSTANCE", f"http://{desk.cloud.host}/identity")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "http://login.example")
    with pytest.raises(UsageError, match="https only"):
        desk.open()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("azurekms:key", "VAULT"),
        ("azurekms://mint.vault.azure.net", "VAULT"),
        ("azurekms://vault.example.org/key", "no vault"),
        ("azurekms://vault.azure.net.example.org/key", "no vault"),
        ("azurekms://mint/key/1", "VAULT"),
        ("azurekms://mint/key", "no credentials"),
        ("azurekms://mint.managedhsm.azure.net/key", "no credentials"),
    ],
)
def test_what_names_no_key_of_azure(text: str, told: str, web: HttpFetcher) -> None:
    with pytest.raises(UsageError, match=told):
        azure.open_key(parsed(text), web)


# What is the same for all


def test_throttling_and_failures_that_pass_are_tried_again(at_aws: Callable[..., AwsDesk]) -> None:
    desk = at_aws()
    throttled = clouds.said(400, {"__type": "ThrottlingException", "message": "Rate exceeded"})
    desk.cloud.faults = [throttled, clouds.said(503, {}), (500, {}, b"<html>"), clouds.said(429, {}, Retry_After="0")]
    holds(desk.open(), "sha256", desk.cloud.key)
    assert len(desk.cloud.requests) == 6
    desk.cloud.faults = [throttled] * 10
    with pytest.raises(UnavailableError, match=r"Rate exceeded.*5 attempts"):
        desk.open()
    assert len(desk.cloud.faults) == 5


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
def test_a_refusal_is_told_at_once(status: int, at_aws: Callable[..., AwsDesk]) -> None:
    desk = at_aws()
    words = "no\x1b[2J way " + "x" * 1000
    desk.cloud.faults = [clouds.said(status, {"__type": "a#Denied", "message": words}, Location="http://else.example/")]
    with pytest.raises(UnusableKeyError, match="Denied") as refused:
        desk.open()
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 400
    assert len(desk.cloud.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [(200, {}, b""), (200, {}, b"[]"), (200, {}, b"[" * 100_000), (200, {}, b"x" * (limits.KMS_ANSWER_MAX + 1)),
     (200, {}, b'{"KeyId": 1}'), (200, {}, b'{"KeyId": "k", "PublicKey": "!"}'), (200, {}, b"\xff")],
)  # fmt: skip
def test_answers_that_are_none(answer: clouds.Answer, at_aws: Callable[..., AwsDesk]) -> None:
    desk = at_aws()
    desk.cloud.faults = [answer] * limits.KMS_ATTEMPTS
    with pytest.raises(UnavailableError) as refused:
        desk.open()
    assert str(refused.value).isprintable()


def test_nobody_there(web: HttpFetcher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", clouds.ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", clouds.SECRET)
    with pytest.raises(UnavailableError, match="5 attempts"):
        aws.open_key(parsed(f"awskms://127.0.0.1:1/{clouds.ARN}"), web)


@pytest.mark.parametrize(
    "url", ["http://kms.example/", "ftp://127.0.0.1/", "https://me:secret@kms.example/", "https://", "https://[", ""]
)
def test_secrets_go_only_where_nobody_listens(url: str) -> None:
    with pytest.raises(UsageError):
        calling.secure(url)


class _Says:
    """A web that always says the same."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def exchange(self, method: str, url: str, **_: object) -> HttpAnswer:
        assert method
        assert url
        return HttpAnswer(200, {}, self._answer)

    def close(self) -> None:
        """Nothing is open."""


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.text(max_size=8)
    | st.sampled_from([clouds.ARN, "P-256", "RSA"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "key",
                    "kid",
                    "kty",
                    "n",
                    "e",
                    "crv",
                    "x",
                    "y",
                    "pem",
                    "name",
                    "KeyId",
                    "PublicKey",
                    "algorithm",
                    "pemCrc32c",
                    "SigningAlgorithms",
                    "key_ops",
                    "attributes",
                    "cryptoKeyVersions",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(VALUES)
def test_any_json_is_read_or_refused(value: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "CLOUDSDK_AUTH_ACCESS_TOKEN"):
            patch.setenv(name, "x")
        patch.setattr(azure_credentials, "source", lambda *_: lambda: Token("x", 1e9))
        says = _Says(json.dumps(value).encode())
        for scheme, key in (
            (aws, f"awskms:///{clouds.ARN}"),
            (google, f"gcpkms://{clouds.PROJECT_KEY}/versions/1"),
            (google, f"gcpkms://{clouds.PROJECT_KEY}"),
            (azure, "azurekms://mint/release"),
        ):
            with contextlib.suppress(ChopmarkError):
                scheme.open_key(parsed(key), says)


# From the command line


def test_files_are_signed_in_two_processes(
    at_aws: Callable[..., AwsDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    desk = at_aws("p384")
    key = f"awskms://{desk.host}/{clouds.ARN}"
    issuing = pki.world().issuing
    signer = pki.issue(
        pki.name("Cloud Signer"),
        desk.cloud.key,
        issuing,
        [
            pki.Extension(pki.key_usage("digital_signature"), critical=True),
            pki.Extension(ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
        ],
    )
    (tmp_path / "chain.pem").write_bytes(signer.pem + issuing.pem)
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    files = [tmp_path / f"{number}.sh" for number in range(8)]
    for number, path in enumerate(files):
        path.write_bytes(b"#!/bin/sh\necho %d\n" % number)
    assert main(["key", "show", key]) == 0
    assert "P-384" in capsys.readouterr().out
    sign = ["sign", "-j", "2", "--key", key, "--cert", str(tmp_path / "chain.pem"), *map(str, files)]
    assert main(sign) == 0, capsys.readouterr().err
    assert main(["verify", "--store", str(tmp_path / "root.pem"), "--revocation", "off", *map(str, files)]) == 0
    desk.cloud.faults = [clouds.said(400, {"__type": "DisabledException", "message": "is disabled"})] * 20
    assert main(sign) == 2
    assert "DisabledException" in capsys.readouterr().err


def test_keys_alone_do_not_reach_for_the_network() -> None:
    with pytest.raises(UsageError, match="network"):
        keys.open_key(f"awskms:///{clouds.ARN}")
