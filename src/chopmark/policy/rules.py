"""Rules: what they are about, what they demand, and how particular they are.

Every question has three answers: yes, no, and None where what would have to be known is not.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from chopmark.core import versions
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy.facts import GOOD, UNCHECKED

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

    from chopmark.policy.facts import FileFacts, Process, SealFacts
    from chopmark.policy.glob import Pattern

ALLOW, DENY = "allow", "deny"
Answer = bool | None
Unmet = tuple[str, Answer]


class Rank(IntEnum):
    """How particular a rule is: by the most particular thing that it names."""

    ANYTHING = 0
    PATH = 1
    CA = 2
    SIGNER = 3
    PRODUCT = 4
    DIGEST = 5


class Place(NamedTuple):
    """Where a rule stands."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class SignerCondition(NamedTuple):
    """Who signed: all that is given must hold of one signer.

    `keys`, `certificates` and `roots` are SHA-256 in hex, of which one must fit (a root by key or certificate);
    `purposes` are extended key usages that the certificate must all have; `subjects` are names as they are shown,
    of which one must be the signer's; `claims` are facts about an OIDC identity, the issuer among them.
    """

    keys: frozenset[str] = frozenset()
    certificates: frozenset[str] = frozenset()
    roots: frozenset[str] = frozenset()
    purposes: tuple[str, ...] = ()
    subjects: frozenset[str] = frozenset()
    claims: tuple[tuple[str, tuple[Pattern, ...]], ...] = ()

    @property
    def rank(self) -> Rank:
        """A root, with purposes or not, is a CA; everything else names a signer."""
        named = self.keys or self.certificates or self.subjects or self.claims
        return Rank.SIGNER if named else Rank.CA

    def matches(self, seal: SealFacts) -> bool:
        """Whether it is about the signer of a seal."""
        if self.keys and (seal.kind == _OIDC or seal.key not in self.keys):
            return False
        if self.certificates and seal.certificate not in self.certificates:
            return False
        if self.subjects and seal.subject not in self.subjects:
            return False
        if self.roots and not self._rooted(seal):
            return False
        if any(purpose not in seal.purposes for purpose in self.purposes):
            return False
        return not self.claims or self._claimed(seal)

    def _rooted(self, seal: SealFacts) -> bool:
        if not seal.authorities:
            return False
        _, key, certificate = seal.authorities[-1]
        return key in self.roots or certificate in self.roots

    def _claimed(self, seal: SealFacts) -> bool:
        """Identities and certificates are not mixed up: a certificate with such a name in it is no identity."""
        if seal.kind != _OIDC:
            return False
        held = {**dict(seal.claims), "subject": seal.subject}
        return all(any(each.matches(held.get(name, "")) for each in patterns) for name, patterns in self.claims)


_OIDC = "oidc"
_SOUND: dict[Status, Answer] = {
    Status.TRUSTED: True, Status.UNSIGNED: True, Status.UNDECIDED: None, Status.REJECTED: False
}  # fmt: skip
"""What a rule about places thinks of verdicts: what is known to be bad is not allowed for lying somewhere."""


class Conditions(NamedTuple):
    """What a rule is about: one value of each kind that is given must fit. All of this is about the file.

    Product names are casefolded; `versions` and `below` are about the release of a product. `signers`, `authorities`,
    `stores` and `catalogs` must fit one and the same seal.
    """

    digests: frozenset[str] = frozenset()
    products: frozenset[str] = frozenset()
    versions: tuple[str, ...] = ()
    below: str = ""
    signers: tuple[SignerCondition, ...] = ()
    authorities: frozenset[str] = frozenset()
    stores: frozenset[str] = frozenset()
    catalogs: tuple[Pattern, ...] = ()
    paths: tuple[Pattern, ...] = ()
    formats: frozenset[str] = frozenset()
    statuses: frozenset[Status] = frozenset()
    kinds: frozenset[str] = frozenset()

    @property
    def about_seals(self) -> bool:
        """Whether somebody must have signed."""
        return bool(self.signers or self.authorities or self.stores or self.catalogs)


class Users(NamedTuple):
    """Who uses the file: conditions on a process, whose answers cannot be kept."""

    names: frozenset[str] = frozenset()
    uids: frozenset[int] = frozenset()
    programs: tuple[Pattern, ...] = ()
    parents: tuple[Pattern, ...] = ()

    def match(self, process: Process) -> Answer:
        """Whether it is this process."""
        answers = []
        if self.names or self.uids:
            answers.append(self._user(process))
        if self.programs:
            answers.append(_fits(self.programs, process.program))
        if self.parents:
            answers.append(_fits(self.parents, process.parent))
        return every(answers)

    def _user(self, process: Process) -> Answer:
        if process.uid in self.uids or (process.user and process.user in self.names):
            return True
        known = (not self.uids or process.uid is not None) and (not self.names or bool(process.user))
        return False if known else None


class Requirements(NamedTuple):
    """What a file that an allowing rule is about must bring besides; what is not given is not demanded.

    `signers` is a number of distinct signers, `age` how long ago a trusted time may have been.
    """

    timestamp: bool = False
    log: bool = False
    signers: int = 0
    age: dt.timedelta | None = None
    version: str = ""
    no_rollback: bool = False
    revocation: bool = False


NO_USERS, NO_REQUIREMENTS = Users(), Requirements()


class Rule(NamedTuple):
    """One rule. `number` counts them over all files of a policy; `label` is the name that its author gave it."""

    number: int
    place: Place
    action: str
    conditions: Conditions
    users: Users = NO_USERS
    require: Requirements = NO_REQUIREMENTS
    label: str = ""
    comment: str = ""
    owner: str = ""
    expires: dt.datetime | None = None

    @property
    def rank(self) -> Rank:
        """By the most particular thing that it names."""
        about = self.conditions
        if about.digests:
            return Rank.DIGEST
        if about.products:
            return Rank.PRODUCT
        if about.catalogs or any(each.rank is Rank.SIGNER for each in about.signers):
            return Rank.SIGNER
        if about.about_seals:
            return Rank.CA
        return Rank.PATH if about.paths else Rank.ANYTHING

    @property
    def shown(self) -> str:
        """Where it stands, and its name."""
        return f"{self.place} ({self.label})" if self.label else str(self.place)

    def active(self, at: dt.datetime) -> bool:
        """Whether it has not expired."""
        return self.expires is None or at < self.expires

    def match(self, file: FileFacts, kind: str) -> Answer:
        """Whether it is about this file, used in this way; who uses it is asked separately."""
        about = self.conditions
        placed = _fits(about.paths, file.path) if about.paths else True
        if (about.kinds and kind not in about.kinds) or placed is False:
            return False
        if not file.sha256:
            return None  # nobody could read it
        if about.digests and file.sha256 not in about.digests:
            return False
        if about.formats and file.format not in about.formats:
            return False
        if self.action == DENY:
            return every((placed, self._denied(file)))
        return every((placed, self._trusted(file), self.released(file)))

    def _denied(self, file: FileFacts) -> Answer:
        """A rule that denies looks at every seal, believed or not."""
        about = self.conditions
        if about.statuses and file.status not in about.statuses:
            return False
        if about.about_seals and not any(map(self.concerns, file.seals)):
            return False
        return self.released(file)

    def _trusted(self, file: FileFacts) -> Answer:
        """A rule that allows believes a signer if the file is trusted, and a place if it is not known to be bad."""
        about, status = self.conditions, file.status
        if about.about_seals or (about.products and not about.digests):
            if status is Status.TRUSTED:
                return bool(self.signed_by(file))
            possible = any(self.concerns(seal) for seal in file.seals if seal.status is not Status.REJECTED)
            return None if status is Status.UNDECIDED and possible else False
        if about.statuses or about.digests:
            sound: Answer = not about.statuses or status in about.statuses
        else:
            sound = _SOUND[status]
        if about.paths and self.rank is Rank.PATH:
            return every((sound, None if file.writable is None else not file.writable))
        return sound

    def released(self, file: FileFacts) -> Answer:
        """Whether it is about the release that the file says it is."""
        about = self.conditions
        if not about.products:
            return True
        release = file.release
        if release is None:
            return False if file.release_readable else None
        if release.product.casefold() not in about.products:
            return False
        answers: list[Answer] = []
        if about.versions:
            answers.append(some(_compared(release, each, "=") for each in about.versions))
        if about.below:
            answers.append(_compared(release, about.below, "<"))
        return every(answers)

    def concerns(self, seal: SealFacts) -> bool:
        """Whether the conditions about signers hold of one seal, believed or not."""
        about = self.conditions
        if about.signers and not any(each.matches(seal) for each in about.signers):
            return False
        if about.authorities and not any(
            each.key_sha256 in about.authorities or each.certificate_sha256 in about.authorities
            for each in seal.authorities
        ):
            return False
        if about.stores and seal.store not in about.stores:
            return False
        return not about.catalogs or (bool(seal.catalog) and _any(about.catalogs, seal.catalog))

    def signed_by(self, file: FileFacts) -> list[SealFacts]:
        """The trusted seals that it is about."""
        return [seal for seal in file.seals if seal.status is Status.TRUSTED and self.concerns(seal)]

    def unmet(self, file: FileFacts, at: dt.datetime) -> list[Unmet]:
        """The requirements that do not hold (False), or of which nobody knows (None)."""
        if self.require == NO_REQUIREMENTS:
            return []
        found = [*self._unmet_by_seals(file, at)]
        if self.require.log and file.logged is not True:
            found.append(("log", file.logged))
        if self.require.version:
            found.append(("min-version", self._version(file, self.require.version)))
        if self.require.no_rollback:
            known = file.newest or (file.release.version if file.release else "")
            found.append(("no-rollback", self._version(file, known)))
        return [(name, answer) for name, answer in found if answer is not True]

    def _unmet_by_seals(self, file: FileFacts, at: dt.datetime) -> Iterable[Unmet]:
        """Requirements that the same signers must meet: each is asked of those that met the ones before."""
        wanted = self.require
        seals = self.signed_by(file)
        if wanted.timestamp or wanted.age is not None:
            seals = [seal for seal in seals if seal.signed_at is not None]
            yield "timestamp", bool(seals)
        if wanted.age is not None:
            seals = [seal for seal in seals if seal.signed_at is not None and at - seal.signed_at <= wanted.age]
            yield "max-age", bool(seals)
        if wanted.revocation:
            unknown = any(seal.revocation == UNCHECKED for seal in seals)
            seals = [seal for seal in seals if seal.revocation == GOOD]
            yield "revocation", True if seals else None if unknown else False
        if wanted.signers:
            yield "signers", distinct(seals) >= wanted.signers

    @staticmethod
    def _version(file: FileFacts, least: str) -> Answer:
        if file.release is None:
            return False if file.release_readable else None
        return _compared(file.release, least, ">=")


def every(answers: Iterable[Answer]) -> Answer:
    """No if one says no, else unknown if one is unknown, else yes."""
    found: Answer = True
    for answer in answers:
        if answer is False:
            return False
        if answer is None:
            found = None
    return found


def some(answers: Iterable[Answer]) -> Answer:
    """Yes if one says yes, else unknown if one is unknown, else no."""
    found: Answer = False
    for answer in answers:
        if answer:
            return True
        if answer is None:
            found = None
    return found


def distinct(seals: Iterable[SealFacts]) -> int:
    """How many different signers there are: who shares a key, or a name under the same root, is the same."""
    groups: list[set[tuple[str, ...]]] = []
    for seal in seals:
        marks = _marks(seal)
        same = [group for group in groups if not group.isdisjoint(marks)]
        groups = [group for group in groups if group not in same]
        groups.append(marks.union(*same))
    return len(groups)


def _marks(seal: SealFacts) -> set[tuple[str, ...]]:
    """What a signer is told apart by: the key; the holder of several keys (OpenPGP); name and root, or issuer."""
    claims = dict(seal.claims)
    marks: set[tuple[str, ...]] = {("key", seal.key)} if seal.kind != _OIDC else set()  # unknown ones may be the same
    if seal.kind == "openpgp" and claims.get("key"):
        marks.add(("holder", claims["key"]))
    if seal.kind == "x509":
        marks.add(("name", seal.subject, seal.root if seal.authorities else ""))
    if seal.kind == _OIDC:
        marks.add(("identity", claims.get("issuer", ""), seal.subject))
    return marks


def _any(patterns: Iterable[Pattern], text: str) -> bool:
    return any(each.matches(text) for each in patterns)


def _fits(patterns: Iterable[Pattern], text: str) -> Answer:
    return _any(patterns, text) if text else None


def _compared(release: versions.Release, other: str, relation: str) -> Answer:
    """None where one of the two is no version in the release's own numbering."""
    try:
        order = versions.compare(release.scheme, release.version, other)
    except (MalformedError, KeyError):
        return None
    return {"=": order == 0, "<": order < 0, ">=": order >= 0}[relation]
