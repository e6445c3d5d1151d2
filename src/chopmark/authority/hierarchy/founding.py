"""Founding an authority: a root, a CA for code signing and one for time stamps, with keys, register and first CRLs."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from chopmark import keys
from chopmark.authority import appearing
from chopmark.authority.ca import FOLDER_KEY, KEYS, PUBLIC, Authority
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import members
from chopmark.authority.hierarchy.changing import KINDS
from chopmark.authority.issuing import profiles
from chopmark.authority.log import keeping
from chopmark.authority.register.configuration import Configuration
from chopmark.authority.register.database import Database, DatabaseError, postgresql_url
from chopmark.authority.register.records import AUTHORITY_PROFILE, Issuer, Record, serial_text
from chopmark.authority.register.register import Register
from chopmark.core import clock as clocks
from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.envelopes import x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

_FOUNDED = tuple(profile for profile in profiles.AUTHORITIES.values() if profile.founded)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a new authority is to be.

    `name` is the organisation, from which the CAs take theirs; `url` the HTTP address under which `crl/` and `aia/`
    will be served, as every certificate says; `kind` the keys, one of KINDS; `not_before` backdates everything, for
    tests; `rounds` is as in `keys.generate.encode`; `database` the URL of an empty database for the register, which is
    a file in the folder otherwise; `shards` how many lists code-signing certificates are spread over (0: one); `deltas`
    whether there are delta lists.
    """

    name: str
    url: str
    kind: str = "rsa-4096"
    country: str = ""
    not_before: dt.datetime | None = None
    rounds: int = 0
    database: str = ""
    shards: int = 0
    deltas: bool = False

    def base(self) -> str:
        """The URL with a slash at its end. Raises UsageError for one that cannot stand in a certificate."""
        parts = urlsplit(self.url)
        plain = self.url.isascii() and self.url.isprintable() and " " not in self.url
        if parts.scheme != "http" or not parts.hostname or parts.query or parts.fragment or not plain:
            message = f"not an address for CRLs and CA certificates: {self.url!r} (http://HOST/..., and http alone:"
            raise UsageError(f"{message} whoever checks a certificate cannot check that of a server first)")
        return self.url.rstrip("/") + "/"

    def subject(self, profile: profiles.AuthorityProfile) -> bytes:
        """The Name of one of its CAs. Raises UsageError for what cannot stand in a certificate."""
        return members.subject(self.name, profile.title, self.country)

    def lists(self, role: str) -> Wanted:
        """What the first publication of a CA is."""
        if role == profiles.ROOT:
            return Wanted()
        return Wanted(shards=self.shards if role == profiles.CODE_SIGNING else 0, deltas=self.deltas)

    def check(self) -> None:
        """Raise UsageError for what no authority can be made of."""
        self.base()
        for profile in _FOUNDED:
            self.subject(profile)
        if not 0 <= self.shards <= limits.CRL_SHARDS_MAX:
            message = f"certificates can be spread over at most {limits.CRL_SHARDS_MAX} lists, not {self.shards}"
            raise UsageError(message)
        if self.kind not in KINDS:
            message = f"a CA's key is one of {', '.join(KINDS)}, not {self.kind!r}"
            raise UsageError(message)
        if self.database:
            postgresql_url(self.database)


def found(
    folder: str,
    setup: Setup,
    passphrase: keys.Passphrase = keys.nothing,
    root_passphrase: keys.Passphrase | None = None,
    *,
    clock: Callable[[], dt.datetime] = clocks.now,
) -> Authority:
    """Make an authority in a folder that does not exist or is empty; it appears there whole or not at all.

    The keys are encrypted with what `passphrase` answers, not at all when it answers None; the root's with
    `root_passphrase` where that is given. Raises UsageError, RefusedError, DatabaseError.
    """
    setup.check()
    folder = appearing.new(folder, "a new authority needs a new folder (--ca DIR)")
    configuration = Configuration(setup.database)
    with appearing.prepared(folder) as temporary, _register(configuration.place(temporary)) as database:
        for name, mode in ((KEYS, 0o700), (f"{PUBLIC}/crl", 0o755), (f"{PUBLIC}/aia", 0o755)):
            os.makedirs(os.path.join(temporary, name), mode)
        configuration.write(temporary)
        _build(temporary, database, setup, passphrase, root_passphrase or passphrase, clock)
        appearing.appear(temporary, folder)
    return Authority.open(folder, passphrase, clock=clock)


@contextlib.contextmanager
def _register(place: str) -> Iterator[Database]:
    """A new database, which is left empty again when nothing comes of it."""
    database = Database(place)
    database.create()
    try:
        yield database
    except BaseException:
        with contextlib.suppress(DatabaseError):
            database.drop()
        raise
    finally:
        database.close()


def _build(
    folder: str,
    database: Database,
    setup: Setup,
    passphrase: keys.Passphrase,
    root_passphrase: keys.Passphrase,
    clock: Callable[[], dt.datetime],
) -> None:
    made: list[Issuer] = []
    signers: dict[str, SoftwareSigner] = {}
    for role in (profile.role for profile in _FOUNDED):
        secret = (root_passphrase if role == profiles.ROOT else passphrase)(f"the {role} CA's new key")
        key = generate.new(setup.kind)
        generate.store(os.path.join(folder, KEYS, f"{role}.pem"), generate.encode(key, secret, rounds=setup.rounds))
        signers[role] = SoftwareSigner(key)
        made.append(_member(setup, role, signers, made, clock().replace(microsecond=0)))
    facts = {"name": setup.name, "url": setup.base()}
    now = clock().replace(microsecond=0)
    below = [_record(member, made[0].name) for member in made[1:]]
    made = Register(database).found(facts, made, below, now)
    with _Founder(folder, database, signers, made, clock) as authority:
        for member in made:
            authority.publish_certificate(member)
            authority.publish(member.name, setup.lists(member.role))
        log_key = generate.new("ed25519")
        secret = passphrase("the log's new key")
        path = os.path.join(folder, KEYS, keeping.KEY_FILE)
        generate.store(path, generate.encode(log_key, secret, rounds=setup.rounds))
        uri = f"{keeping.FOLDER_KEY}{keeping.KEY_FILE}"
        authority.log.begin(keeping.origin(setup.base()), uri, SoftwareSigner(log_key))


class _Founder(Authority):
    """An authority whose keys are still in hand."""

    def __init__(
        self,
        folder: str,
        database: Database,
        signers: dict[str, SoftwareSigner],
        members: list[Issuer],
        clock: Callable[[], dt.datetime],
    ) -> None:
        super().__init__(folder, database, keys.nothing, clock)
        self._signers = {member.id: signers[member.role] for member in members}


def _member(
    setup: Setup, role: str, signers: dict[str, SoftwareSigner], known: list[Issuer], now: dt.datetime
) -> Issuer:
    """A CA's certificate: the root signs itself and the others."""
    profile = profiles.AUTHORITIES[role]
    issuer = known[0] if known else None
    signer, above = signers[role], signers[issuer.role if issuer else role]
    since = (setup.not_before or now).replace(microsecond=0)
    draft = members.member(profile, setup.subject(profile), signer.public_key, issuer, above, since)
    certificate = x509.Certificate(draft.sign(above))
    return Issuer(len(known) + 1, role, role, certificate, f"{FOLDER_KEY}{role}.pem", members.place(setup.base(), role))


def _record(member: Issuer, issuer: str) -> Record:
    certificate = member.certificate
    return Record(
        id=0,
        issuer=issuer,
        serial=serial_text(certificate.serial),
        profile=AUTHORITY_PROFILE,
        subject=certificate.subject_text,
        key_sha256=certificate.key_sha256,
        not_before=certificate.not_before,
        not_after=certificate.not_after,
        issued=certificate.not_before,
        certificate=certificate.raw,
        revoked=None,
        recorded=None,
        reason=None,
        invalidity=None,
    )
