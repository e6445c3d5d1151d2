"""Public keys that are trusted as they are: read from files of a store, found by what signatures name them by."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import clock, discovery, limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.lazy import lazy
from chopmark.core.named import NamedTuple
from chopmark.trust.stores import reasons

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.signer import PublicKey, Terms

    Reader = Callable[[bytes], list[PublicKey] | None]

SUFFIXES = (".pub", ".allowed_signers", ".asc", ".gpg", ".pgp")
"""What files with public keys are called in the folder of a store."""


class KnownKey(NamedTuple):
    """A key, the store it is in, and from when that is."""

    key: PublicKey
    store: str
    as_of: dt.datetime | None


class Keyring:
    """Keys by kind and identifier; a KeySource (core.contracts)."""

    def __init__(self, known: Iterable[KnownKey] = ()) -> None:
        self._known: dict[tuple[str, bytes], list[KnownKey]] = {}
        for each in known:
            self._known.setdefault((each.key.kind, each.key.identifier), []).append(each)

    def __len__(self) -> int:
        """How many keys there are."""
        return sum(map(len, self._known.values()))

    def every(self) -> list[KnownKey]:
        """All keys."""
        return [each for several in self._known.values() for each in several]

    def concerned(self, signer: str, authority: str) -> Sequence[KnownKey]:
        """Whose word counts about a signer: their own key, and those who vouch for others. The revoked ones first."""
        found = self._by_fingerprint.get((False, signer), [])
        if authority:
            found = [*found, *self._by_fingerprint.get((True, authority), ())]
        return sorted(found, key=lambda known: not known.key.terms.revoked) if found[1:] else found

    @lazy
    def _by_fingerprint(self) -> dict[tuple[bool, str], list[KnownKey]]:
        found: dict[tuple[bool, str], list[KnownKey]] = {}
        for each in self.every():
            found.setdefault((each.key.terms.authority, each.key.fingerprint), []).append(each)
        return found

    def keys(self, kind: str, identifier: bytes) -> Sequence[PublicKey]:
        """The keys of a kind with this identifier."""
        return [each.key for each in self._known.get((kind, identifier), ())]

    def certificates(self, issuer: bytes, serial: bytes, key_id: bytes) -> Sequence[bytes]:  # noqa: ARG002 - the contract
        """None: here are bare keys alone; a store has both."""
        return ()


def read(data: bytes) -> list[PublicKey] | None:
    """The public keys in a file, whatever kind they are of; None when it is a file of none of these kinds.

    Every envelope that is checked with bare keys offers `public_keys` in its module `bare_keys`. Raises
    MalformedError.
    """
    readers: Iterator[Reader] = discovery.one_by_one("chopmark.envelopes", "bare_keys", "public_keys")
    for reader in readers:
        found = reader(data)
        if found is not None:
            return found
    return None


def load(path: str, data: bytes, store: str, as_of: dt.datetime | None) -> list[KnownKey] | None:
    """The keys in a file of a store; None when there are none in it. Raises UsageError for a broken one."""
    try:
        found = read(data)
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None
    return None if found is None else [KnownKey(key, store, as_of) for key in found]


class Judged(NamedTuple):
    """What was found about a signer, and the store that trusts them; empty for none."""

    findings: list[Finding]
    store: str = ""


def judge(proof: Proof, ring: Keyring, at: dt.datetime) -> Judged:
    """Whom to believe about a proof by a bare key, at a time: the keys of the ring, and whom those vouch for."""
    signer = proof.signer
    if signer is None or not signer.fingerprint:
        return Judged([])  # the envelope has said that it knows no such key
    claims = dict(signer.claims)
    against: list[Finding] = []
    for each in ring.concerned(signer.fingerprint, claims.get("authority", "")):
        key = each.key
        own = _by_itself(key, claims, at)
        if own is not None:
            against.append(own._replace(subject=signer.subject))
            if own.code == reasons.KEY_REVOKED.code:
                return Judged(against[-1:])  # an older copy elsewhere does not know of it
            continue
        why_not = _why_not(key.terms, claims, at)
        if not why_not:
            age = _age(each.as_of) if each.as_of else ""
            said = reasons.KEY_TRUSTED.found(f"{key.name}, store {each.store}{age}", subject=signer.subject)
            return Judged([said], each.store)
        against.append(reasons.KEY_TERMS.found(f"{key.name}: {why_not}", subject=signer.subject))
    return Judged(against[:1] or [reasons.KEY_UNTRUSTED.found(subject=signer.subject)])


@lru_cache(maxsize=1024)
def _age(as_of: dt.datetime) -> str:
    return f", as of {clock.show(as_of)}"


def _by_itself(key: PublicKey, claims: Mapping[str, str], at: dt.datetime) -> Finding | None:
    """What the key, or the signature, says against itself at a time; that of the check, as there is none better.

    When a signature says that it was made is its maker's word, so an end or a revocation counts for older ones too.
    """
    terms = key.terms
    if terms.revoked and (terms.revoked_at is None or at >= terms.revoked_at):
        return reasons.KEY_REVOKED.found(f"{key.name}: {terms.revoked}")
    if terms.barred:
        return reasons.KEY_BARRED.found(f"{key.name}: {terms.barred}")
    if terms.weak:
        return reasons.KEY_WEAK.found(f"{key.name}: {terms.weak}")
    if terms.expires is not None and at >= terms.expires:
        return reasons.KEY_EXPIRED.found(f"{key.name}: {clock.show(terms.expires)}")
    return _by_signature(terms, claims, at)


def _by_signature(terms: Terms, claims: Mapping[str, str], at: dt.datetime) -> Finding | None:
    """What a signature says of its own time, held against the key and the time of the check."""
    made, expires = claims.get("made"), claims.get("expires")
    moment = clock.parse(made) if made else None
    if moment is not None and moment - at > limits.CLOCK_SKEW:
        return reasons.KEY_EARLY.found(f"made {made}")
    if moment is not None and terms.valid_after is not None and moment < terms.valid_after:
        return reasons.KEY_EARLY.found(f"made {made}, the key {clock.show(terms.valid_after)}")
    if expires and at >= clock.parse(expires):
        return reasons.KEY_SIGNATURE_EXPIRED.found(expires)
    return None


def _why_not(terms: Terms, claims: Mapping[str, str], at: dt.datetime) -> str:
    """Why these terms do not cover a signature with such claims; empty when they do."""
    if terms.namespaces and not _is_listed(claims.get("namespace", ""), terms.namespaces):
        return f"only for {', '.join(terms.namespaces)}"
    since, until = terms.valid_after, terms.valid_before
    if terms.authority:
        held = claims["principals"].split(",")
        if not any(_is_listed(name, terms.principals) for name in held if name):
            return f"vouches only for {', '.join(terms.principals)}"
        begins, ends = clock.parse(claims["valid_after"]), clock.parse(claims["valid_before"])
        since, until = max(since or begins, begins), min(until or ends, ends)
    if since is not None and at < since:
        return f"only from {clock.show(since)} on"
    if until is not None and at >= until:
        return f"only before {clock.show(until)}"
    return ""


def _is_listed(name: str, patterns: Sequence[str]) -> bool:
    """Whether a list of patterns has a name: one matches, and none that begins with `!` (ssh_config(5), PATTERNS)."""
    taken_out = any(_matches(name, each[1:]) for each in patterns if each.startswith("!"))
    return not taken_out and any(_matches(name, each) for each in patterns if not each.startswith("!"))


def _matches(name: str, pattern: str) -> bool:
    """`*` stands for any characters, `?` for one, and a bracket for itself."""
    from fnmatch import fnmatchcase  # only lists of signers of SSH have patterns

    return fnmatchcase(name, pattern.replace("[", "[[]"))
