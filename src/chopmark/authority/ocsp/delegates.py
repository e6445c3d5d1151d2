"""Who signs OCSP answers: a responder of its own for each CA, short-lived and replaced before it ends.

A CA's own key is needed for a new certificate and for nothing else (CSBR 4.9.9). The one before keeps answering until
the new one is old enough to be valid on clocks that are slow, and its answers count until they end.
"""

from __future__ import annotations

import datetime as dt
import os
import threading
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority.issuing import certificates, profiles
from chopmark.authority.lint import linter
from chopmark.authority.register.records import serial_text
from chopmark.core import clock as clocks
from chopmark.core.errors import ChopmarkError, InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, names, ocsp, pem, public_keys, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.authority.ca import Authority
    from chopmark.authority.register.records import Issuer
    from chopmark.core.contracts import Signer

FOLDER = "ocsp"
"""In the authority's folder: one file for each responder, its key and its certificate together."""
SUFFIX = ".pem"
KINDS = ("p256", "p384", "p521", "rsa-3072", "rsa-4096", *profiles.ML_DSA_KEYS)

DAYS = 30
DAYS_OF_ROOT = 180
"""A root's key is hard to come by: its responder lives as long as its CRL."""
SETTLING = dt.timedelta(hours=1)
"""A new responder lets an older one answer for so long."""
_LEFT = 3
"""It is replaced when less than a third of its life is left."""
_KEPT = dt.timedelta(days=30)
"""A file stays for so long after its certificate has ended: a clock that ran ahead must not take keys away."""
_AGAIN = dt.timedelta(minutes=10)
"""Between attempts to make a new one, and looks at whether somebody else did."""


class Delegate(NamedTuple):
    """A responder that may answer for a CA: its certificate, its key, and what its answers are signed with."""

    issuer: int
    certificate: x509.Certificate
    signer: Signer
    digest: str
    algorithm: bytes
    key_hash: bytes

    @property
    def serial(self) -> str:
        """The serial number, as the register has it."""
        return serial_text(self.certificate.serial)

    def usable(self, now: dt.datetime) -> bool:
        """Whether it may sign."""
        return self.certificate.not_before <= now < self.certificate.not_after

    def due(self, now: dt.datetime) -> bool:
        """Whether it is time for the next one."""
        life = self.certificate.not_after - self.certificate.not_before
        return now >= self.certificate.not_after - life / _LEFT

    def sign(self, singles: Sequence[bytes], now: dt.datetime, nonce: bytes | None = None) -> tuple[bytes, bytes]:
        """ResponseData in DER about certificates of its CA, and the signature over it."""
        data = ocsp.response_data(self.key_hash, now, singles, nonce)
        return data, certificates.verified(self.signer, data, self.digest)

    def response(self, data: bytes, signature: bytes) -> bytes:
        """The whole OCSPResponse."""
        return ocsp.response(data, self.algorithm, signature, (self.certificate.raw,))


class Delegates:
    """The responders of an authority. Several threads may use it at once; several processes, one folder.

    `problem` says why there is no new one although it is time, empty when all is well.
    """

    def __init__(self, authority: Authority, passphrase: keys.Passphrase = keys.nothing) -> None:
        """`passphrase` is asked for responders' keys that are protected, and protects those that follow them."""
        self._authority = authority
        self._passphrase = passphrase
        self._folder = os.path.join(os.path.abspath(authority.folder), FOLDER)
        self._lock = threading.Lock()
        self._opened: dict[str, Delegate] = {}
        self._by_issuer: dict[int, list[Delegate]] = {}
        self._look_again: dt.datetime | None = None
        self.problem = ""

    def current(self, issuer: Issuer, now: dt.datetime) -> Delegate | None:
        """Who answers for a CA now; None when nobody may. Replaces whom it is time to replace."""
        if self._look_again is None or now >= self._look_again:
            self._keep_up(now)
        usable = [each for each in self._by_issuer.get(issuer.id, ()) if each.usable(now)]
        settled = [each for each in usable if now >= each.certificate.not_before + SETTLING]
        return next(iter(settled or usable), None)

    def of_serial(self, issuer: int, serial: str, now: dt.datetime) -> Delegate | None:
        """The responder of a CA (its number) with this serial number, for answers that it signed before."""
        if self._look_again is None or now >= self._look_again:
            self._keep_up(now)
        return next((each for each in self._by_issuer.get(issuer, ()) if each.serial == serial), None)

    def look_again(self) -> None:
        """Somebody was revoked: look at all of them before the next answer."""
        self._look_again = None

    def all(self) -> list[Delegate]:
        """Everybody who is there, by CA, the newest first."""
        return [each for held in self._by_issuer.values() for each in held]

    def create(
        self, issuer: Issuer, kind: str = KINDS[0], *, days: int | None = None, secret: bytes | None = None
    ) -> Delegate:
        """Make a responder for a CA: its key, and the certificate that the CA issues for it.

        The key is encrypted with `secret` if that is given. Raises UsageError, and what issuing raises.
        """
        if kind not in KINDS:
            message = f"a responder's key is one of {', '.join(KINDS)}, not {kind!r}"
            raise UsageError(message)
        if kind in profiles.CSBR_UNKNOWN and public_keys.kind(issuer.certificate.spki) not in profiles.CSBR_UNKNOWN:
            message = (
                f"a responder of the {issuer.name} CA cannot have a key of {kind}, which the CA has none of itself"
            )
            raise UsageError(f"{message} (CSBR 6.1.5)")
        key = generate.new(kind)
        signer = SoftwareSigner(key)
        days = days or (DAYS_OF_ROOT if issuer.role == profiles.ROOT else DAYS)
        certificate = _issue(self._authority, issuer, signer.public_key, days)
        held = generate.encode(key, secret) + pem.encode("CERTIFICATE", certificate.raw)
        os.makedirs(self._folder, 0o700, exist_ok=True)
        path = os.path.join(self._folder, f"{issuer.name}.{serial_text(certificate.serial)}{SUFFIX}")
        generate.store(path, held)
        self._look_again = None
        return _delegate(issuer.id, certificate, signer)

    def _keep_up(self, now: dt.datetime) -> None:
        """Look at the folder, and replace who is due. One thread does it; the others go on with what there is."""
        if not self._lock.acquire(blocking=self._look_again is None):
            return
        if self._look_again is not None and now < self._look_again:  # somebody else did it meanwhile
            self._lock.release()
            return
        try:
            self.problem = ""
            self._read(now)
            for issuer in self._authority.issuers():
                newest = next(iter(self._by_issuer.get(issuer.id, ())), None)
                if newest is not None and newest.due(now):
                    self._replace(issuer, newest)
                    self._read(now)
        except ChopmarkError as error:
            self.problem = str(error)
        finally:
            self._look_again = now + _AGAIN
            self._lock.release()

    def _replace(self, issuer: Issuer, old: Delegate) -> None:
        secret = self._passphrase(f"the {issuer.name} CA's OCSP responder") if self._protected(issuer, old) else None
        life = old.certificate.not_after - old.certificate.not_before + dt.timedelta(seconds=1)
        try:
            self.create(issuer, _kind(old.certificate.spki), days=life.days, secret=secret)
        except (ChopmarkError, OSError) as error:
            self.problem = f"no new OCSP responder for the {issuer.name} CA: {error}"

    def _protected(self, issuer: Issuer, old: Delegate) -> bool:
        with open(os.path.join(self._folder, f"{issuer.name}.{old.serial}{SUFFIX}"), "rb") as file:
            return b"ENCRYPTED PRIVATE KEY" in file.read()

    def _read(self, now: dt.datetime) -> None:
        """Open whoever is new in the folder; pass over who has ended or was revoked, and delete them in the end."""
        issuers = {issuer.name: issuer for issuer in self._authority.issuers()}
        found: dict[int, list[Delegate]] = {}
        for name in self._names():
            issuer = issuers.get(name.removesuffix(SUFFIX).rpartition(".")[0])
            if issuer is None:
                continue
            try:
                delegate = self._opened.get(name) or self._open(name, issuer)
                revoked = self._authority.register.find(delegate.serial).revoked
            except (ChopmarkError, OSError) as error:
                self.problem = f"{name}: {error}"
                continue
            self._opened[name] = delegate
            if now < delegate.certificate.not_after and revoked is None:
                found.setdefault(issuer.id, []).append(delegate)
            elif now >= delegate.certificate.not_after + _KEPT:
                del self._opened[name]
                os.unlink(os.path.join(self._folder, name))
        for held in found.values():
            held.sort(key=lambda each: each.certificate.not_before, reverse=True)
        self._by_issuer = found

    def _names(self) -> Iterator[str]:
        try:
            yield from sorted(name for name in os.listdir(self._folder) if name.endswith(SUFFIX))
        except FileNotFoundError:
            return

    def _open(self, name: str, issuer: Issuer) -> Delegate:
        signer = keys.open_key(os.path.join(self._folder, name), self._passphrase)
        if not signer.certificates:
            message = "there is no certificate of the key in it"
            raise InputError(message)
        certificate = x509.certificate(signer.certificates[0])
        try:
            certificate.verify_signed_by(issuer.certificate.spki)
        except MalformedError as error:
            message = f"the {issuer.name} CA did not issue it: {error}"
            raise InputError(message) from None
        return _delegate(issuer.id, certificate, signer)


def _delegate(issuer: int, certificate: x509.Certificate, signer: Signer) -> Delegate:
    digest = certificates.digest_for(signer.public_key)
    algorithm = algorithms.signature_identifier(signer, digest)
    key_hash = x509.subject_key_identifier(signer.public_key)
    return Delegate(issuer, certificate, signer, digest, algorithm, key_hash)


def _kind(spki: bytes) -> str:
    kind, size = public_keys.kind(spki), public_keys.size(spki)
    return {"rsa": f"rsa-{size}", "ec": f"p{size}"}.get(kind, kind)


def _issue(authority: Authority, issuer: Issuer, spki: bytes, days: int) -> x509.Certificate:
    """A responder's certificate: in the register like any other, before anybody has it."""
    profile = profiles.named(profiles.OCSP_RESPONDER)
    now = authority.clock().replace(microsecond=0)
    until = min(profiles.last_second(now, days=days), issuer.certificate.not_after)
    name = authority.register.setting("name")
    subject = names.ordered([("O", name), ("CN", f"{name} OCSP {clocks.show(now)[:10]}")])
    draft = certificates.Draft(
        certificates.new_serial(),
        issuer.certificate.subject,
        names.encode(subject),
        spki,
        now,
        until,
        certificates.responder_extensions(spki, issuer.certificate.subject_key_id or b""),
    )
    signer = authority.signer(issuer)
    unsigned = draft.unsigned(signer)
    linter.require(linter.leaf(unsigned, issuer.certificate, profile, now))
    row = authority.register.reserve(issuer, unsigned, profile.name, now)
    certificate = x509.Certificate(draft.sign(signer))
    authority.register.complete(row, issuer, certificate, now)
    return certificate
