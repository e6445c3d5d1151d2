"""The certificate authority: issues, revokes, publishes CRLs, answers what it has issued."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from chopmark import keys
from chopmark.authority import revocation
from chopmark.authority.ceremony.rules import Ceremonies
from chopmark.authority.crl import encoding
from chopmark.authority.crl.publisher import Publisher, Wanted
from chopmark.authority.issuing import certificates, custom_profiles, profiles
from chopmark.authority.lint import linter, reasons, weak_keys
from chopmark.authority.log.keeping import Keeper, Remembered
from chopmark.authority.register import configuration
from chopmark.authority.register.database import Database
from chopmark.authority.register.lineage import Lineage
from chopmark.authority.register.records import AUTHORITY_PROFILE, RETENTION_MONTHS, Issuer, Record, serial_text
from chopmark.authority.register.register import Register
from chopmark.authority.register.search import Finder
from chopmark.authority.register.status import Statuses
from chopmark.core import clock as clocks
from chopmark.core import patch
from chopmark.core.closing import Closing
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.engine import keyring
from chopmark.envelopes import names, public_keys, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy.engine import Connection

    from chopmark.authority.crl.publisher import Due, ListFile, Published
    from chopmark.core.contracts import Signer
    from chopmark.core.finding import Finding

KEYS = "keys"
PUBLIC = "public"
BLOCKED_KEYS = "blocked-keys"
"""A folder with lists of keys for which nothing is issued (weak_keys.Blocklist)."""
FOLDER_KEY = "folder:"
"""In front of the name of a key file in the authority's own folder, where other keys have a URI."""


@dataclass(frozen=True, slots=True)
class Order:
    """What certificate is wanted: under which profile, for whom (attributes as `names.parse` gives them), which key.

    `days` is the validity from now on, the profile's own when None. `not_before` and `not_after` fix it instead, under
    internal profiles alone. `issuer` names the CA, by default the newest for this profile; `predecessor` is the
    register's number of the certificate that is renewed.
    """

    profile: str
    subject: Sequence[tuple[str, str]]
    spki: bytes
    days: int | None = None
    not_before: dt.datetime | None = None
    not_after: dt.datetime | None = None
    issuer: str = ""
    predecessor: int | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate in DER, those above it without the root, and the rules that were checked.

    The chain also has the certificates by which an older root vouches for a newer one.
    """

    certificate: bytes
    chain: tuple[bytes, ...]
    serial: str
    findings: tuple[Finding, ...]


class Authority(Closing):
    """A CA in a folder: a database, its keys, and what it publishes. Made by `founding.found`, opened by `open`.

    Several processes may use one folder at the same time. Raises DatabaseError (a ChopmarkError) when the database
    fails, and what the keys raise.
    """

    def __init__(
        self, folder: str, database: Database, passphrase: keys.Passphrase, clock: Callable[[], dt.datetime]
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.register = Register(database)
        self.lineage = Lineage(database)
        self.finder = Finder(database)
        self.ceremonies = Ceremonies(database)
        self.profiles = custom_profiles.load(folder)
        self._database = database
        self._passphrase = Remembered(passphrase)
        self.log = Keeper(folder, database, self._passphrase, clock)
        self._signers: dict[int, Signer] = {}
        self._publisher = Publisher(os.path.join(folder, PUBLIC, "crl"), database, self.register, clock)
        self._approved = False

    @classmethod
    def open(
        cls,
        folder: str,
        passphrase: keys.Passphrase = keys.nothing,
        *,
        clock: Callable[[], dt.datetime] = clocks.now,
    ) -> Self:
        """Open the authority in a folder; its keys are opened when they are needed. Raises UsageError without one."""
        database = Database(configuration.require(folder).place(folder))
        try:
            database.require_current()
        except BaseException:
            database.close()
            raise
        return cls(folder, database, passphrase, clock)

    def issuers(self) -> list[Issuer]:
        """Its CAs, the root first."""
        return self.register.issuers()

    def issuer(self, name: str) -> Issuer:
        """The CA of this name. Raises UsageError."""
        found = {issuer.name: issuer for issuer in self.issuers()}
        if name not in found:
            message = f"the authority has no CA {name!r}: one of {', '.join(found)}"
            raise UsageError(message)
        return found[name]

    def active(self, role: str) -> Issuer:
        """The newest CA of this role that is not retired. Raises UsageError."""
        found = [issuer for issuer in self.issuers() if issuer.role == role and not issuer.retired]
        if not found:
            message = f"the authority has no {role} CA that issues: `chopmark ca add {role}` makes one"
            raise UsageError(message)
        return found[-1]

    @property
    def root(self) -> bytes:
        """The newest root certificate in DER."""
        return self.active(profiles.ROOT).certificate.raw

    def chain(self, name: str) -> tuple[bytes, ...]:
        """The certificates from a CA up to its root, without the root, in DER; then those of others for these CAs."""
        # By name and key: two CAs of one authority may have the same key, and a chain must come to its end.
        named = {(issuer.certificate.subject, issuer.certificate.subject_key_id): issuer for issuer in self.issuers()}
        path = [self.issuer(name)]
        while path[-1].role != profiles.ROOT:
            path.append(named[path[-1].certificate.issuer, path[-1].certificate.authority_key_id])
        numbers = {issuer.id for issuer in path}
        crosses = [cross.certificate.raw for cross in self.lineage.crosses() if cross.issuer in numbers]
        return (*(issuer.certificate.raw for issuer in path[:-1]), *crosses)

    def profile(self, name: str) -> profiles.Profile:
        """A profile of chopmark or of this authority's own file. Raises UsageError."""
        if name not in self.profiles:
            message = f"unknown profile {name!r}: one of {', '.join(self.profiles)}"
            raise UsageError(message)
        return self.profiles[name]

    def public(self, profile: str) -> bool:
        """Whether the CSBR hold for certificates of a profile; for CAs, and where a profile is gone, they do."""
        return profile not in self.profiles or self.profiles[profile].public

    # Issuing

    def issue(self, order: Order) -> Issued:
        """Issue a certificate.

        Its serial number is in the register before it is signed, and the certificate itself before it is returned: no
        crash loses one that somebody has. Raises IssueRefusedError with what was checked when it would break a rule.
        """
        profile = self.profile(order.profile)
        issuer = self._issuer_for(profile, order.issuer)
        now = self.clock().replace(microsecond=0)
        draft = self._draft(order, profile, issuer, now)
        signer = self.signer(issuer)
        unsigned = draft.unsigned(signer)
        findings = linter.require(
            (*linter.leaf(unsigned, issuer.certificate, profile, now), *self._key_findings(unsigned))
        )
        row = self.register.reserve(issuer, unsigned, profile.name, now, order.predecessor)
        certificate = x509.Certificate(draft.sign(signer))
        self.register.complete(row, issuer, certificate, now)
        findings = (*findings, self.log.follow())
        return Issued(certificate.raw, self.chain(issuer.name), serial_text(draft.serial), findings)

    def _issuer_for(self, profile: profiles.Profile, name: str) -> Issuer:
        if not profile.issuer:
            message = f"certificates under the profile {profile.name} are not ordered: the authority makes its own"
            raise UsageError(message)
        if not name:
            return self.active(profile.issuer)
        issuer = self.issuer(name)
        if issuer.role != profile.issuer or issuer.retired:
            why = "is retired" if issuer.retired else f"is for {issuer.role}"
            message = f"the CA {name} {why}; the profile {profile.name} wants one for {profile.issuer}"
            raise UsageError(message)
        return issuer

    def _draft(self, order: Order, profile: profiles.Profile, issuer: Issuer, now: dt.datetime) -> certificates.Draft:
        not_before, not_after = _validity(order, profile, issuer, now)
        subject = names.ordered(order.subject)
        if wrong := names.faults(subject):
            raise linter.IssueRefusedError([reasons.NAME.found("; ".join(wrong))])
        try:
            public_keys.load(order.spki)
        except MalformedError as error:
            raise linter.IssueRefusedError([reasons.KEY_SIZE.found(str(error))]) from None
        key_id = issuer.certificate.subject_key_id or b""
        serial = certificates.new_serial()
        return certificates.Draft(
            serial,
            issuer.certificate.subject,
            names.encode(subject),
            order.spki,
            not_before,
            not_after,
            certificates.leaf_extensions(profile, order.spki, key_id, issuer.place_of(serial)),
        )

    def _key_findings(self, certificate: x509.Certificate) -> list[Finding]:
        key_sha256 = certificate.key_sha256
        listed = certificate.spki in weak_keys.Blocklist(os.path.join(self.folder, BLOCKED_KEYS))
        own = key_sha256 in {issuer.certificate.key_sha256 for issuer in self.issuers()}
        known = self.register.compromised(key_sha256)
        return [
            reasons.KEY_OF_AUTHORITY.found("the key is the authority's own" if own else "", outcome=_outcome(own)),
            reasons.KEY_COMPROMISED.found(
                "the key was revoked as compromised; a new certificate needs a new key" if known else "",
                outcome=_outcome(known),
            ),
            reasons.KEY_BLOCKED.found("the key is among the blocked ones" if listed else "", outcome=_outcome(listed)),
        ]

    def signer(self, issuer: Issuer) -> Signer:
        """The private key of a CA, opened once. Raises RefusedError when it is not the certificate's."""
        if issuer.id not in self._signers:
            uri = issuer.key
            if uri.startswith(FOLDER_KEY):
                uri = os.path.join(os.path.abspath(self.folder), KEYS, uri.removeprefix(FOLDER_KEY))
            signer = keyring.open_key(uri, self._passphrase)
            if signer.public_key != issuer.certificate.spki:
                message = f"{uri}: this is not the key of {issuer.certificate.subject_text}"
                raise RefusedError(message)
            self._signers[issuer.id] = signer
        return self._signers[issuer.id]

    def adopt(self, issuer: Issuer, signer: Signer) -> None:
        """Keep the key of a CA that has just been made, so that nobody is asked for its passphrase again."""
        self._signers[issuer.id] = signer

    # Revoking

    def revoke(
        self,
        serial: str,
        reason: str = "unspecified",
        *,
        at: dt.datetime | None = None,
        invalidity: dt.datetime | None = None,
    ) -> Record:
        """Revoke a certificate, or change its revocation; the record as it is then.

        It is on the next CRL that is published. Raises UsageError or RefusedError (see `revocation.decide`).
        """
        record = self.register.find(serial)
        if record.profile == AUTHORITY_PROFILE:
            self.require_ceremony("the revocation of a CA")
        now = self.clock().replace(microsecond=0)
        change = revocation.decide(
            record,
            encoding.reason_number(reason),
            now=now,
            at=at,
            invalidity=invalidity,
            public=self.public(record.profile),
        )
        self.register.revoke(record, change, now)
        self.log.follow()
        return self.register.find(record.serial)

    def release(self, serial: str) -> Record:
        """End a suspension. Raises RefusedError when it is not suspended."""
        record = self.register.find(serial)
        if record.reason != encoding.HOLD:
            message = f"{record.serial}: it is not suspended, and nothing else can be undone"
            raise RefusedError(message)
        self.register.release(record, self.clock().replace(microsecond=0))
        self.log.follow()
        return self.register.find(record.serial)

    # Publishing

    def crl_path(self, name: str) -> str:
        """Where a CA's CRL is published, in DER."""
        return os.path.join(self.folder, PUBLIC, "crl", f"{name}.crl")

    def certificate_path(self, name: str) -> str:
        """Where a CA's certificate is published, in DER."""
        return os.path.join(self.folder, PUBLIC, "aia", f"{name}.cer")

    def publishing(self) -> list[str]:
        """The CAs below a root whose CRLs are wanted: a retired one's until its last certificate is forgotten."""
        return [issuer.name for issuer in self._publishing() if issuer.role != profiles.ROOT]

    def _publishing(self) -> list[Issuer]:
        now = self.clock()
        return [issuer for issuer in self.issuers() if self._wanted(issuer, now)]

    def _wanted(self, issuer: Issuer, now: dt.datetime) -> bool:
        if issuer.retired is None:
            return True
        ends = self.lineage.ends(issuer)
        return ends is not None and profiles.months_after(ends, RETENTION_MONTHS) >= now

    def publish(self, name: str, wanted: Wanted | None = None, *, days: int | None = None) -> Published:
        """Sign a CA's lists as of now and put them in their places, atomically (see `crl.publisher`).

        Its certificate is put beside them where it is missing, as when a process was killed that made the CA. Numbers
        only grow, whatever happens: one that was reserved is never used again. Raises UsageError for a period that is
        not allowed (CSBR 4.9.7).
        """
        issuer = self.issuer(name)
        if not os.path.exists(self.certificate_path(name)):
            self.publish_certificate(issuer)
        published = self._publisher.publish(issuer, self.signer(issuer), wanted or Wanted(days=days))
        return replace(published, logged=self.log.follow())

    def publish_certificate(self, issuer: Issuer) -> None:
        """Put a CA's certificate in its place, atomically. Raises WriteError."""
        patch.write_file(self.certificate_path(issuer.name), issuer.certificate.raw)

    def published(self, name: str) -> tuple[ListFile, ...]:
        """The lists of a CA that are published now."""
        return self._publisher.current(self.issuer(name))

    def due(self, now: dt.datetime) -> list[Due]:
        """What has to be published at this time, of all CAs whose lists are wanted."""
        found = (self._publisher.due(issuer, now) for issuer in self._publishing())
        return [due for due in found if due is not None]

    # Answering

    def statuses(self) -> Statuses:
        """What the register says, for a responder; whoever asked for it closes it."""
        return Statuses(self._database)

    # Ceremonies

    def require_ceremony(self, what: str) -> None:
        """Refuse what this authority does in ceremonies alone, outside of one. Raises RefusedError."""
        if not self._approved and self.ceremonies.rules().required:
            message = f"{what} takes a ceremony here: `chopmark ca ceremony`; nothing was done"
            raise RefusedError(message)

    @contextlib.contextmanager
    def approved(self) -> Iterator[None]:
        """While an approved plan is carried out."""
        self._approved = True
        try:
            yield
        finally:
            self._approved = False

    # Life

    def reading(self) -> AbstractContextManager[Connection]:
        """The whole register as it is at one moment."""
        return self._database.reading()

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _outcome(bad: bool) -> Outcome:  # noqa: FBT001 - the one fact that it turns into a word
    return Outcome.NO if bad else Outcome.OK


def _validity(
    order: Order, profile: profiles.Profile, issuer: Issuer, now: dt.datetime
) -> tuple[dt.datetime, dt.datetime]:
    if (order.not_before or order.not_after) and profile.public:
        message = (
            f"the times of a certificate are fixed under the profile {profile.name}: use an internal one for tests"
        )
        raise UsageError(message)
    since = (order.not_before or now).replace(microsecond=0)
    if order.not_after:
        return since, order.not_after.replace(microsecond=0)
    if order.days is not None:
        if not 0 < order.days <= 366 * 100:
            message = f"a certificate cannot be valid for {order.days} days"
            raise UsageError(message)
        return since, profiles.last_second(since, days=order.days)
    # Nobody has asked for a certain time: as long as is usual, and no longer than the CA lives.
    return since, min(profiles.last_second(since, days=profile.days), issuer.certificate.not_after)
