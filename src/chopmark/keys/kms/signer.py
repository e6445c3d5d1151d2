"""A key in a cloud as a Signer: what is the same for all of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from chopmark.core import digest, limits
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import public_keys
from chopmark.keys.errors import UnusableKeyError

if TYPE_CHECKING:
    from collections.abc import Callable


class Facts(NamedTuple):
    """What a service says about a key: its public half (DER), and by algorithm the digests that it signs.

    Algorithms are those of `Signer.algorithm`; an RSA key may have two. Kinds without a digest have all of them.
    """

    public_key: bytes
    ways: dict[str, tuple[str, ...]]


class Service(Protocol):
    """One key of one cloud."""

    name: str

    def facts(self) -> Facts:
        """What there is to know; called once, before anything is signed. Raises UnavailableError, UnusableKeyError."""

    def sign(self, algorithm: str, name: str, data: bytes, hashed: bytes) -> bytes:
        """A signature over `data`, whose digest by `name` is `hashed`; ECDSA in DER. Raises as `facts` does."""


class KmsSigner:
    """A key in a cloud as a Signer (core.contracts). `digests` are those that it signs."""

    certificates: tuple[bytes, ...] = ()

    def __init__(self, service: Service, padding: str = "") -> None:
        """Ask for the public key. Raises UsageError, UnusableKeyError, UnavailableError."""
        self._service = service
        self._turn = threading.Lock()  # what speaks HTTP is not for several threads at once
        found = service.facts()
        self.public_key = found.public_key
        try:
            kind = public_keys.kind(found.public_key)
            bits = public_keys.size(found.public_key)
        except MalformedError as error:
            message = f"{service.name}: {error}"
            raise UnusableKeyError(message) from None
        if padding not in ("", "pkcs1", "pss"):
            message = f"unknown padding {padding!r}: pkcs1 or pss"
            raise UsageError(message)
        if padding and kind != "rsa":
            message = "only RSA keys have a padding"
            raise UsageError(message)
        if kind == "rsa" and bits < limits.RSA_BITS_MIN:
            message = f"{service.name}: RSA with {bits} bits; signatures need at least {limits.RSA_BITS_MIN}"
            raise UnusableKeyError(message)
        wanted = {"pss": ("rsa-pss",), "pkcs1": ("rsa",)}.get(padding, (kind, "rsa-pss"))
        self.algorithm = next((each for each in wanted if found.ways.get(each)), "")
        if not self.algorithm:
            can = ", ".join(sorted(found.ways)) or "nothing that chopmark makes"
            message = f"{service.name}: this key does not sign with {wanted[0]} (it does {can})"
            raise UnusableKeyError(message)
        self.digests = found.ways[self.algorithm]

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The signature over `data`, ECDSA in DER; only its digest leaves this machine where the service takes one.

        Raises RefusedError for a digest that the key does not sign, UnusableKeyError when the service declines,
        UnavailableError when it is out of reach.
        """
        if digest_algorithm not in digest.SIGNING_ALGORITHMS or digest_algorithm not in self.digests:
            message = f"{self._service.name}: this key signs {', '.join(self.digests)}, not {digest_algorithm}"
            raise RefusedError(message)
        with self._turn:
            return self._service.sign(self.algorithm, digest_algorithm, data, digest.of(data, digest_algorithm))


class Token(NamedTuple):
    """What a request shows, and the time (seconds of `time.monotonic`) until when it is good."""

    value: str
    until: float


class Tokens:
    """Access tokens, fetched when they are needed and again shortly before they end."""

    def __init__(self, fetch: Callable[[], Token], now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = now
        self._token = Token("", 0.0)

    def __call__(self) -> str:
        """One that is good for a while. Raises what fetching raises."""
        if self._now() > self._token.until - limits.KMS_TOKEN_SPARE:
            self._token = self._fetch()
        return self._token.value
