"""Public keys that are trusted as they are: read from files of a store, found by what signatures name them by."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core import clock, discovery
from chopmark.core.errors import MalformedError, UsageError
from chopmark.trust import reasons

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.proof import Proof
    from chopmark.core.signer import PublicKey

    Reader = Callable[[bytes], list[PublicKey] | None]

SUFFIXES = (".pub",)
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

    def keys(self, kind: str, identifier: bytes) -> Sequence[PublicKey]:
        """The keys of a kind with this identifier."""
        return [each.key for each in self._known.get((kind, identifier), ())]


def read(data: bytes) -> list[PublicKey] | None:
    """The public keys in a file, whatever kind they are of; None when it is a file of none of these kinds.

    Every envelope that is checked with bare keys offers `public_keys`. Raises MalformedError.
    """
    readers: dict[str, Reader] = discovery.exported("chopmark.envelopes", "public_keys")
    for reader in readers.values():
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


def judge(proof: Proof, ring: Keyring) -> list[Finding]:
    """Whom to believe about a proof by a bare key: the keys of the ring, and nobody else."""
    signer = proof.signer
    if signer is None or not signer.fingerprint:
        return []  # the envelope has said that it knows no such key
    for each in ring.every():
        if each.key.fingerprint == signer.fingerprint:
            age = f", as of {clock.show(each.as_of)}" if each.as_of else ""
            return [reasons.KEY_TRUSTED.found(f"{each.key.name}, store {each.store}{age}", subject=signer.subject)]
    return [reasons.KEY_UNTRUSTED.found(subject=signer.subject)]
