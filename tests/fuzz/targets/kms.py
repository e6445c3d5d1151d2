"""What the key services of clouds answer: any bytes, to each of the three."""

import os
from collections.abc import Iterable
from unittest import mock

from chopmark.core.contracts import HttpAnswer
from chopmark.keys import uri as uris
from chopmark.keys.kms import aws, azure, google
from tests.support import clouds, probing

SCHEMES = {"awskms", "gcpkms", "azurekms"}
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "CLOUDSDK_AUTH_ACCESS_TOKEN": "x",
    "AZURE_TENANT_ID": "x",
    "AZURE_CLIENT_ID": "x",
    "AZURE_CLIENT_SECRET": "x",
}


class Says:
    """A web that always says the same, but for Azure's token."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def exchange(self, method: str, url: str, **_: object) -> HttpAnswer:
        assert method
        return HttpAnswer(200, {}, b'{"access_token": "x", "expires_in": 9}' if "/oauth2/" in url else self._answer)

    def close(self) -> None:
        """Nothing is open."""


def seeds() -> Iterable[bytes]:
    signs = (b'{"KeyId": "%s", "PublicKey": "AAAA", "SigningAlgorithms": ["ECDSA_SHA_256"]}' % clouds.ARN.encode(),)
    yield from signs
    yield (
        b'{"key": {"kid": "https://mint.vault.azure.net/keys/k/%s", "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}'
        % (clouds.VERSION.encode())
    )
    yield b'{"pem": "", "pemCrc32c": "0", "algorithm": "EC_SIGN_P256_SHA256", "name": "x"}'
    yield b'{"cryptoKeyVersions": [{"name": "x"}]}'


def run(data: bytes) -> None:
    with mock.patch.dict(os.environ, _ENVIRONMENT):
        _run(data)


def _run(data: bytes) -> None:
    says = Says(data)

    def parsed(text: str) -> uris.KeyUri:
        return uris.parse(text, SCHEMES.__contains__)

    probing.clearly(lambda: aws.open_key(parsed(f"awskms:///{clouds.ARN}"), says))
    probing.clearly(lambda: google.open_key(parsed(f"gcpkms://{clouds.PROJECT_KEY}"), says))
    probing.clearly(lambda: google.open_key(parsed(f"gcpkms://{clouds.PROJECT_KEY}/versions/1"), says))
    probing.clearly(lambda: azure.open_key(parsed("azurekms://mint/k"), says))
    probing.clearly(lambda: parsed(data.decode("latin-1")))
