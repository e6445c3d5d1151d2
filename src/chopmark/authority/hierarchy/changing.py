"""Changing who is whose CA: new CAs, new keys for old ones, CAs that certify each other, ours or somebody else's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chopmark import keys
from chopmark.authority.ca import FOLDER_KEY, KEYS, PUBLIC
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import members
from chopmark.authority.issuing import certificates, profiles
from chopmark.authority.issuing.certificates import Crossing
from chopmark.authority.register.lineage import Cross
from chopmark.authority.register.records import AUTHORITY_PROFILE, Issuer
from chopmark.core import patch
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.engine import keyring
from chopmark.envelopes import names, pkcs10, public_keys, x509
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.ca import Authority
    from chopmark.core.contracts import Signer

KINDS = ("rsa-4096", "p256", "p384", "p521", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
"""The keys that a CA may have (CSBR 6.1.5.1)."""

_NAME = re.compile(r"[a-z0-9](?:-?[a-z0-9]){0,39}")
_GENERATION = re.compile(r"(.*)-([1-9][0-9]*)")
_CROSS_MONTHS = 120


@dataclass(frozen=True, slots=True)
class NewKey:
    """The key that a new CA gets: made here (`kind`, encrypted with what `passphrase` answers), or one at a `uri`."""

    kind: str = "p384"
    uri: str = ""
    passphrase: keys.Passphrase = keys.nothing
    rounds: int = 0


class Grown(NamedTuple):
    """A new CA, and the names of the certificates by which old and new certify each other."""

    issuer: Issuer
    crosses: tuple[str, ...] = ()


class Hierarchy:
    """What changes the CAs of an authority. Every method raises IssueRefusedError, UsageError, RefusedError."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._register = authority.register

    def add(self, role: str, key: NewKey, *, name: str = "", title: str = "", parent: str = "") -> Grown:
        """A new CA: a root of its own, or one below `parent` (the newest root).

        `name` is what it is called here and in addresses, by default its role and a number; `title` stands in its
        common name behind the organisation's, by default that of its role.
        """
        self._authority.require_ceremony("a new CA")
        profile = self._profile(role)
        name = self._free_name(name or role)
        above = None if role == profiles.ROOT else self._root(parent)
        title = title or _title(profile.title, name, role)
        return Grown(self._make(profile, name, title, key, above, "add"))

    def roll(self, name: str, key: NewKey) -> Grown:
        """The next generation of a CA: a new key, certificate, name and addresses. The old one stays as it is.

        A root and its successor certify each other (RFC 4210 clause 4.4: old with new, new with old).
        """
        self._authority.require_ceremony("a roll-over")
        old = self._authority.issuer(name)
        if old.retired:
            message = f"the CA {name} is retired: roll over the one that took its place"
            raise UsageError(message)
        profile = self._profile(old.role)
        new = self._free_name(name)
        above = None if old.role == profiles.ROOT else self._root("")
        title = _next_title(old.certificate.common_name, self._register.setting("name"), new)
        if above is None and not key.uri:
            _require_crossing(old, key.kind)
        made = self._make(profile, new, title, key, above, "roll")
        if above is not None:
            return Grown(made)
        return Grown(made, (self.cross(new, by=name), self.cross(name, by=new)))

    def cross(self, name: str, by: str) -> str:
        """Certify the key of one of our CAs with another of ours; the name of the file that it is published under.

        It lasts as long as both: from when the key was made, so that what was signed before is covered too.
        """
        self._authority.require_ceremony("a cross-certificate")
        subject, issuer = self._authority.issuer(name), self._authority.issuer(by)
        self._may_certify(issuer)
        if subject.id == issuer.id:
            message = f"the CA {name} certifies itself already"
            raise UsageError(message)
        certificate = subject.certificate
        purposes = certificate.extended_key_usage or ()
        granted = Crossing(purposes, _policies(subject), None if subject.role == profiles.ROOT else 0)
        certified = members.Certified(
            certificate.subject,
            certificate.spki,
            certificate.subject_key_id or b"",
            certificate.not_before,
            certificate.not_after,
            granted,
            ours=True,
        )
        made = self._certified(certified, issuer)
        return self._publish_cross(subject, f"{name}-by-{by}", made, by)

    def certify(self, subject: Foreign, by: str, granted: Crossing, months: int = _CROSS_MONTHS) -> bytes:
        """Certify somebody else's CA, for what is granted; its certificate."""
        self._authority.require_ceremony("a certificate for a foreign CA")
        issuer = self._authority.issuer(by)
        self._may_certify(issuer)
        if not granted.purposes:
            message = "a foreign CA is certified for purposes that are named: give at least one"
            raise UsageError(message)
        if subject.spki in {each.certificate.spki for each in self._authority.issuers()}:
            message = "this is the key of a CA of our own"
            raise RefusedError(message)
        now = self._authority.clock().replace(microsecond=0)
        until = profiles.last_second(now, months=months)
        certified = members.Certified(
            subject.name, subject.spki, subject.key_id, now, min(until, subject.until or until), granted, ours=False
        )
        return self._certified(certified, issuer).raw

    def request(self, name: str) -> bytes:
        """A certification request for one of our CAs, for somebody else's to certify."""
        issuer = self._authority.issuer(name)
        signer = self._authority.signer(issuer)
        return pkcs10.build(issuer.certificate.subject, signer, certificates.digest_for(signer.public_key))

    def accept(self, name: str, raw: bytes, issuer: x509.Certificate) -> str:
        """Take a certificate that somebody else's CA made for one of ours, and publish it; its name."""
        self._authority.require_ceremony("a cross-certificate")
        subject = self._authority.issuer(name)
        given = x509.certificate(raw)
        own = subject.certificate
        faults = {
            "it is for another key": given.spki != own.spki,
            "it is for another name": given.subject != own.subject,
            "it has another key identifier": given.subject_key_id != own.subject_key_id,
            "it is for no CA": given.basic_constraints is None or not given.basic_constraints.ca,
            "it is from the CA itself": given.issuer == own.subject,
            "it does not come from the issuer given": given.issuer != issuer.subject,
        }
        if wrong := [text for text, broken in faults.items() if broken]:
            message = f"not a certificate for the CA {name}: {'; '.join(wrong)}"
            raise RefusedError(message)
        given.verify_signed_by(issuer.spki)
        by = re.sub("[^a-z0-9]+", "-", issuer.common_name.casefold()).strip("-")[:40] or "other"
        return self._publish_cross(subject, f"{name}-by-{by}", given, issuer.subject_text)

    def retire(self, name: str) -> Issuer:
        """End issuing with a CA; its CRLs go on until everything that it has issued has ended."""
        self._authority.require_ceremony("the end of a CA")
        issuer = self._authority.issuer(name)
        self._authority.lineage.retire(issuer, self._authority.clock().replace(microsecond=0))
        return self._authority.issuer(name)

    # Parts

    def _profile(self, role: str) -> profiles.AuthorityProfile:
        if role not in profiles.AUTHORITIES:
            message = f"unknown role {role!r}: one of {', '.join(profiles.AUTHORITIES)}"
            raise UsageError(message)
        return profiles.AUTHORITIES[role]

    def _root(self, name: str) -> Issuer:
        root = self._authority.issuer(name) if name else self._authority.active(profiles.ROOT)
        self._may_certify(root)
        if root.role != profiles.ROOT:
            message = f"the CA {name} is no root: its path length allows no CA below it"
            raise UsageError(message)
        return root

    def _may_certify(self, issuer: Issuer) -> None:
        if issuer.retired:
            message = f"the CA {issuer.name} is retired: it issues nothing any more"
            raise RefusedError(message)
        if issuer.role != profiles.ROOT:
            message = f"the CA {issuer.name} is no root: its path length allows no CA below it"
            raise RefusedError(message)

    def _free_name(self, wanted: str) -> str:
        """The name itself, or with the next number behind it."""
        taken = {issuer.name for issuer in self._authority.issuers()}
        if wanted not in taken:
            if not _NAME.fullmatch(wanted):
                message = f"not a name for a CA: {wanted!r} (small letters, digits and single hyphens, at most 40)"
                raise UsageError(message)
            return wanted
        match = _GENERATION.fullmatch(wanted)
        base, number = (match[1], int(match[2])) if match else (wanted, 1)
        while f"{base}-{number}" in taken or number == 1:
            number += 1
        return f"{base}-{number}"

    def _make(
        self,
        profile: profiles.AuthorityProfile,
        name: str,
        title: str,
        key: NewKey,
        parent: Issuer | None,
        action: str,
    ) -> Issuer:
        authority = self._authority
        now = authority.clock().replace(microsecond=0)
        organisation = self._register.setting("name")
        country = dict(names.parts(authority.issuers()[0].certificate.subject)).get("C", "")
        subject = members.subject(organisation, title, country)
        above = authority.signer(parent) if parent else None
        signer, uri = self._new_key(name, key)
        by = above or signer
        draft = members.member(profile, subject, signer.public_key, parent, by, now)
        row = self._register.reserve(parent, draft.unsigned(by), AUTHORITY_PROFILE, now) if parent else None
        certificate = x509.Certificate(draft.sign(by))
        place = members.place(self._register.setting("url"), name)
        made = authority.lineage.enter(Issuer(0, name, profile.role, certificate, uri, place), row, now, action)
        authority.adopt(made, signer)
        authority.publish_certificate(made)
        authority.publish(name, self._lists_like_before(profile.role, made))
        return made

    def _lists_like_before(self, role: str, made: Issuer) -> Wanted:
        """Shards and deltas as the CA had that the new one follows; a root, and the first of its kind, has none."""
        former = [each for each in self._authority.issuers() if each.role == role and each.name != made.name]
        if role == profiles.ROOT or not former:
            return Wanted()
        return Wanted(shards=former[-1].shards, deltas=former[-1].deltas)

    def _new_key(self, name: str, key: NewKey) -> tuple[Signer, str]:
        """The key, which is on disk before anything is signed with it, and how the register names it."""
        if key.uri:
            signer = keyring.open_key(key.uri, key.passphrase)
            if signer.public_key in {issuer.certificate.spki for issuer in self._authority.issuers()}:
                message = f"{key.uri}: this key has a CA already"
                raise RefusedError(message)
            return signer, key.uri
        if key.kind not in KINDS:
            message = f"a CA's key is one of {', '.join(KINDS)}, not {key.kind!r}"
            raise UsageError(message)
        private = generate.new(key.kind)
        made = SoftwareSigner(private)
        # With its fingerprint in its name, so that what an interrupted attempt left behind is in nobody's way.
        file = f"{name}.{x509.subject_key_identifier(made.public_key).hex()[:8]}.pem"
        secret = key.passphrase(f"the new key of the CA {name}")
        path = os.path.join(self._authority.folder, KEYS, file)
        generate.store(path, generate.encode(private, secret, rounds=key.rounds))
        return made, f"{FOLDER_KEY}{file}"

    def _certified(self, certified: members.Certified, issuer: Issuer) -> x509.Certificate:
        now = self._authority.clock().replace(microsecond=0)
        signer = self._authority.signer(issuer)
        draft = members.cross(certified, issuer, signer)
        row = self._register.reserve(issuer, draft.unsigned(signer), AUTHORITY_PROFILE, now)
        certificate = x509.Certificate(draft.sign(signer))
        self._register.complete(row, issuer, certificate, now)
        return certificate

    def _publish_cross(self, subject: Issuer, name: str, certificate: x509.Certificate, by: str) -> str:
        now = self._authority.clock().replace(microsecond=0)
        taken = {cross.name for cross in self._authority.lineage.crosses()}
        number = 2
        free = name
        while free in taken:
            free, number = f"{name}-{number}", number + 1
        self._authority.lineage.crossed(Cross(subject.id, free, certificate), by, now)
        patch.write_file(os.path.join(self._authority.folder, PUBLIC, "aia", f"{free}.cer"), certificate.raw)
        return free


class Foreign(NamedTuple):
    """Somebody else's CA: its name (DER), key and key identifier, and when its own certificate ends, if it has one."""

    name: bytes
    spki: bytes
    key_id: bytes
    until: dt.datetime | None = None


def foreign(raw: bytes, *, request: bool) -> Foreign:
    """Read a foreign CA from its certification request, which must be signed by its key, or from its certificate.

    Raises MalformedError; RefusedError for a certificate that is no CA's.
    """
    if request:
        asked = pkcs10.CertificationRequest(raw)
        asked.verify()
        return Foreign(asked.subject, asked.spki, x509.subject_key_identifier(asked.spki))
    given = x509.certificate(raw)
    constraints = given.basic_constraints
    if constraints is None or not constraints.ca:
        message = f"{given.subject_text} is no CA"
        raise RefusedError(message)
    key_id = given.subject_key_id or x509.subject_key_identifier(given.spki)
    return Foreign(given.subject, given.spki, key_id, given.not_after)


def crossing(
    purposes: list[str], policies: list[str], path_length: int | None, permitted: list[str], excluded: list[str]
) -> Crossing:
    """What is granted, from words: purposes by name or identifier, names as `dn:O=Example,C=DE`, `dns:example.com`.

    Raises UsageError.
    """
    return Crossing(
        tuple(profiles.purpose(each) for each in purposes),
        tuple(profiles.identifier(each) for each in policies),
        path_length,
        tuple(_general_name(each) for each in permitted),
        tuple(_general_name(each) for each in excluded),
    )


def _general_name(text: str) -> bytes:
    from chopmark.authority.issuing import extensions

    kind, _, value = text.partition(":")
    numbers = {"email": 1, "dns": 2, "uri": 6}
    if kind == "dn" and value:
        return extensions.directory_name(names.encode(names.ordered(names.parse(value))))
    if kind in numbers and value and value.isascii() and value.isprintable():
        return extensions.text_name(numbers[kind], value)
    message = f"not a name to permit or exclude: {text!r} (dn:O=Example, dns:example.com, email:example.com, uri:...)"
    raise UsageError(message)


def _policies(subject: Issuer) -> tuple[str, ...]:
    """Any policy for a root, below which there are all: without one, none would be valid (RFC 5280 clause 6.1)."""
    return (profiles.POLICY_ANY,) if subject.role == profiles.ROOT else profiles.AUTHORITIES[subject.role].policies


def _title(title: str, name: str, role: str) -> str:
    """A title that no other CA has: the number of its name, or the name itself."""
    if name == role:
        return title
    match = _GENERATION.fullmatch(name)
    return f"{title} G{match[2]}" if match and match[1] == role else f"{title} {name}"


def _next_title(common_name: str, organisation: str, name: str) -> str:
    """The common name of a CA without the organisation's and its generation, with the new one."""
    title = re.sub(r" G[0-9]+$", "", common_name.removeprefix(f"{organisation} "))
    match = _GENERATION.fullmatch(name)
    return f"{title} G{match[2]}" if match else title


def _require_crossing(root: Issuer, kind: str) -> None:
    """A root certifies its successor, so that must have a key that the root may certify. Raises UsageError."""
    if kind in profiles.CSBR_UNKNOWN and public_keys.kind(root.certificate.spki) not in profiles.CSBR_UNKNOWN:
        message = f"the {root.name} CA cannot certify a root with a key of {kind} (CSBR 6.1.5): make one of its own"
        raise UsageError(f"{message} with `chopmark ca add root --type {kind}`")
