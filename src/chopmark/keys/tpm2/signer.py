"""Keys in a TPM as signers: between two signatures nothing of them is in the TPM, and nobody is kept out."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import utils

from chopmark.core import digest, limits
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, public_keys
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.pin_gate import PinGate
from chopmark.keys.software import own_first
from chopmark.keys.tpm2 import keyfile, transport, wire
from chopmark.keys.tpm2.commands import HIERARCHIES, PERSISTENT_FIRST, PERSISTENT_LAST, Tpm, TpmError, explained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.tpm2.keyfile import KeyFile
    from chopmark.keys.uri import KeyUri

_PADDINGS = {"": 0, "pkcs1": wire.RSASSA, "pss": wire.RSAPSS}


class Place(NamedTuple):
    """Where a key is: under a persistent handle, or in a file (`path`); and the way to its TPM."""

    handle: int
    path: str
    way: str

    @property
    def name(self) -> str:
        """For people."""
        return self.path or f"tpm2:handle={self.handle:#010x}"


def place(uri: KeyUri) -> Place:
    """What a `tpm2:` URI says. Raises UsageError, UnavailableError where there is no TPM."""
    uri.only("tcti", "padding")
    name, _, value = uri.path.partition("=")
    handle = 0
    if name == "handle" and re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}", value):
        handle = int(value, 16)
    if (name == "file" and value) or PERSISTENT_FIRST <= handle <= PERSISTENT_LAST:
        return Place(handle, "" if handle else value, transport.chosen(uri.parameters.get("tcti")))
    message = "tpm2: handle=0x81000000 (to 0x81FFFFFF) or file=PATH says which key"
    raise UsageError(message)


def open_key(uri: KeyUri, passphrase: Passphrase) -> TpmSigner:
    """Open a key in a TPM; see the package."""
    where = place(uri)
    padding = uri.parameters.get("padding", "")
    if padding not in _PADDINGS:
        message = f"unknown padding {padding!r}: pkcs1 or pss"
        raise UsageError(message)
    if not where.path:
        return TpmSigner(where, padding, passphrase)
    file, certificates = read_file(where.path)
    return TpmSigner(where, padding, passphrase, file, certificates)


def read_file(path: str) -> tuple[KeyFile, list[bytes]]:
    """The key in a TSS2 PRIVATE KEY file and the certificates beside it. Raises InputError, UnusableKeyError."""
    from chopmark.keys import file as files

    try:
        found = pem.blocks(files.read(path).data)
        held = [block.der for block in found if block.label == keyfile.LABEL]
        if len(held) != 1:
            message = f"{path}: {len(held) or 'no'} {keyfile.LABEL} in it"
            raise UnusableKeyError(message)
        return keyfile.read(held[0]), [block.der for block in found if block.label in pem.CERTIFICATE]
    except MalformedError as error:
        message = f"{path}: {error}"
        raise UnusableKeyError(message) from None


class TpmSigner:
    """A private key in a TPM as a Signer (core.contracts).

    Each signature opens the TPM, brings the key in, signs, and takes it out again: a TPM has room for three keys, and
    whoever is killed half-way leaves none behind. Bringing in is loading a context that was saved once, which needs
    neither the parent key nor its auth value. `digests` are those that the key is bound to, or all.
    """

    def __init__(
        self,
        where: Place,
        padding: str,
        passphrase: Passphrase,
        file: KeyFile | None = None,
        certificates: list[bytes] | None = None,
    ) -> None:
        """Find the key, and load it once to see that it is this TPM's. Raises UsageError, UnavailableError."""
        self._where = where
        self._file = file
        self._passphrase = passphrase
        self._auth: bytes | None = b"" if file and file.empty_auth else None
        self._gate = PinGate()
        self._turn = threading.Lock()
        self._context = b""
        with self._tpm() as tpm, self._key(tpm) as handle:
            raw, self._name = tpm.read_public(handle)
            if file and file.key.public != raw:
                message = "the file's public and private parts are not the same key"
                raise MalformedError(message)
            public = wire.public(raw)
        self._scheme = _scheme(public, padding, where.name)
        self.public_key = public.spki
        self.algorithm = {wire.RSAPSS: "rsa-pss", wire.RSASSA: "rsa", wire.ECDSA: "ec"}[self._scheme]
        self.digests = (public.hash,) if public.hash else digest.SIGNING_ALGORITHMS
        try:
            self.certificates = own_first(certificates or (), self.public_key)
        except MalformedError as error:
            message = f"{where.name}: a certificate beside the key is malformed ({error})"
            raise UnusableKeyError(message) from None

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:
        """The signature over `data`, ECDSA in DER.

        Raises RefusedError for a digest that the key does not sign, PassphraseError for a wrong auth value,
        UnavailableError when the TPM is gone.
        """
        if digest_algorithm not in digest.SIGNING_ALGORITHMS or digest_algorithm not in self.digests:
            message = f"{self._where.name}: this key signs {', '.join(self.digests)}, not {digest_algorithm}"
            raise RefusedError(message)
        hashed, kind = digest.of(data, digest_algorithm), wire.HASH_IDS[digest_algorithm]
        # Processes forked from here take turns before they open the TPM: a simulator serves whoever came first to the
        # end, and one that waited for its turn with the way open would keep out the one whose turn it is.
        with self._turn, self._gate.locked():
            auth = self._asked()
            with self._tpm() as tpm, self._key(tpm) as handle:
                raw = self._signed(tpm, handle, hashed, kind, auth)
        with explained(self._where.name):
            parts = wire.signature(raw, self._scheme, kind)
        if self._scheme != wire.ECDSA:
            return parts[0]
        return utils.encode_dss_signature(*(int.from_bytes(part, "big") for part in parts))

    def _signed(self, tpm: Tpm, handle: int, hashed: bytes, kind: int, auth: bytes) -> bytes:
        try:
            return tpm.sign(handle, self._name, hashed, (self._scheme, kind), auth)
        except TpmError as error:
            if error.wrong_auth:
                self._gate.refuse()
                if self._file and self._file.empty_auth:
                    message = f"{self._where.name}: the file says that the key's auth value is empty, and it is not"
                    raise PassphraseError(message) from None
            raise

    def _asked(self) -> bytes:
        """The auth value, asked for once: None from its source means an empty one. One that was refused stays so."""
        if self._gate.refused:
            message = f"{self._where.name}: its auth value was refused before and is not tried again"
            raise PassphraseError(message)
        if self._auth is None:
            self._auth = auth_value(self._passphrase(f"{self._where.name} (its auth value)"), self._where.name)
        return self._auth

    @contextmanager
    def _tpm(self) -> Iterator[Tpm]:
        with explained(self._where.name), transport.Channel(self._where.way) as channel:
            yield Tpm(channel)

    @contextmanager
    def _key(self, tpm: Tpm) -> Iterator[int]:
        """The handle of the key in the TPM, for a while."""
        if self._file is None:
            yield self._where.handle
            return
        if self._context:
            try:
                restored = tpm.restored(self._context)
                handle = restored.__enter__()
            except TpmError:  # it was restarted since
                self._context = b""
            else:
                try:
                    yield handle
                finally:
                    restored.__exit__(None, None, None)
                return
        with self._parent(tpm) as parent, tpm.loaded(parent, self._file.key) as handle:
            self._context = tpm.save(handle)
            yield handle

    @contextmanager
    def _parent(self, tpm: Tpm) -> Iterator[int]:
        file = self._file
        if file is None or file.parent not in HIERARCHIES:
            yield file.parent if file else 0
            return
        with tpm.primary(file.parent, wire.storage_key(use_rsa=file.rsa_parent)) as handle:
            yield handle


def auth_value(secret: bytes | None, name: str) -> bytes:
    """What a TPM takes for an auth value: at most as long as a SHA-256 digest, and without zeros at its end."""
    value = (secret or b"").rstrip(b"\0")
    if len(value) > limits.TPM_AUTH_MAX:
        message = f"{name}: an auth value has at most {limits.TPM_AUTH_MAX} bytes"
        raise PassphraseError(message)
    return value


def _scheme(public: wire.Public, padding: str, name: str) -> int:
    """The signature scheme of a key. Raises UnusableKeyError for keys that are not for signing what is made here."""
    if not public.attributes & wire.SIGN:
        message = f"{name}: the key is not for signing"
        raise UnusableKeyError(message)
    if public.attributes & wire.RESTRICTED:
        message = f"{name}: a restricted key, which signs only what the TPM itself has made a digest of"
        raise UnusableKeyError(message)
    if not public.attributes & wire.USER_WITH_AUTH:
        message = f"{name}: a key that needs a policy, which chopmark does not evaluate"
        raise UnusableKeyError(message)
    if padding and public.kind != wire.RSA:
        message = "only RSA keys have a padding"
        raise UsageError(message)
    if public.hash and public.hash not in digest.SIGNING_ALGORITHMS:
        message = f"{name}: a key that is bound to the digest {public.hash}"
        raise UnusableKeyError(message)
    if public.kind == wire.RSA:
        size = public_keys.size(public.spki)
        if size < limits.RSA_BITS_MIN:
            message = f"{name}: an RSA key of {size} bits; signatures need at least {limits.RSA_BITS_MIN}"
            raise UnusableKeyError(message)
        wanted = _PADDINGS[padding] or (public.scheme if public.scheme != wire.NULL else wire.RSASSA)
    else:
        wanted = wire.ECDSA
    if public.scheme not in (wire.NULL, wanted) or wanted not in (wire.RSASSA, wire.RSAPSS, wire.ECDSA):
        message = f"{name}: the key is bound to another signature scheme ({public.scheme:#06x})"
        raise UnusableKeyError(message)
    return wanted
