"""Everything that verdicts and decisions depend on, and which verdicts a change of it touches."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple, Protocol

from chopmark.core.verdict import Status
from chopmark.envelopes import x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.facts import FileFacts
    from chopmark.policy.state import State
    from chopmark.trust.context import Context


class Lister(Protocol):
    """A catalog: its name, and the contents that it vouches for."""

    name: str

    def digests(self) -> frozenset[bytes]:
        """SHA-256 of every file in it."""


class Inputs(NamedTuple):
    """What verdicts depend on.

    `anchors` are the keys (SHA-256, in hex) of anchors and bare keys, `lists` the digest of all CRLs of each issuer, by
    its name; `catalogs` the contents that each vouches for, by the digest of the catalog; `rest` what touches all.
    """

    anchors: frozenset[str] = frozenset()
    lists: tuple[tuple[str, str], ...] = ()
    catalogs: tuple[tuple[str, frozenset[bytes]], ...] = ()
    rest: str = ""


class World(NamedTuple):
    """One state of it.

    `context` makes the circumstances of a check at a time; `policy` is what decides; `files` (and folders) are what to
    look at for changes; `spared` are paths of files that are never blocked; `versions` what is remembered of products
    (None where no rule asks).
    """

    policy: Policy
    context: Callable[[dt.datetime], Context]
    inputs: Inputs
    files: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    versions: State | None = None


def touched(old: Inputs, new: Inputs) -> Callable[[FileFacts], bool] | None:
    """Which verdicts are no longer known when one becomes the other; None: not one."""
    if old == new:
        return None
    if old.rest != new.rest:
        return lambda _: True
    gone, come = old.anchors - new.anchors, new.anchors - old.anchors
    before, after = dict(old.lists), dict(new.lists)
    issuers = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    contents = _listed(old) ^ _listed(new)

    def is_touched(facts: FileFacts) -> bool:
        if come and facts.status is not Status.TRUSTED:  # somebody who is trusted now may have signed it
            return True
        if contents and bytes.fromhex(facts.sha256) in contents:
            return True
        return any(
            seal.root in gone or seal.key in gone or any(each.subject in issuers for each in seal.authorities)
            for seal in facts.seals
        )

    return is_touched


def _listed(inputs: Inputs) -> frozenset[bytes]:
    return frozenset().union(*(contents for _, contents in inputs.catalogs))


def inputs_of(context: Context, rest: str) -> Inputs:
    """What the verdicts of a context depend on; `rest` says what else does (modes, blocklists)."""
    anchors = {each.certificate.key_sha256 for source in context.store.sources for each in source.every()}
    bare = {each.key.fingerprint for each in context.store.keyring.every()}
    lists: dict[str, list[bytes]] = {}
    for crl in context.store_crls:
        lists.setdefault(x509.name_text(crl.issuer), []).append(hashlib.sha256(crl.raw).digest())
    digests = {name: hashlib.sha256(b"".join(sorted(each))).hexdigest() for name, each in lists.items()}
    catalogs = tuple((each.name, each.digests()) for each in context.vouchers)  # type: ignore[attr-defined]
    return Inputs(frozenset(anchors | bare), tuple(sorted(digests.items())), catalogs, rest)


def written(inputs: Inputs) -> dict[str, str]:
    """Inputs as they are kept with the verdicts: of catalogs and lists only a digest."""
    return {
        "anchors": " ".join(sorted(inputs.anchors)),
        "rest": inputs.rest,
        **{f"list {name}": value for name, value in inputs.lists},
        **{f"catalog {name}": _fingerprint(contents) for name, contents in inputs.catalogs},
    }


def _fingerprint(contents: frozenset[bytes]) -> str:
    return hashlib.sha256(b"".join(sorted(contents))).hexdigest()


def since(old: dict[str, str], new: Inputs) -> Callable[[FileFacts], bool] | None:
    """`touched`, from what was written; of a catalog that was another one nobody knows what it listed."""
    catalogs = {name.removeprefix("catalog "): value for name, value in old.items() if name.startswith("catalog ")}
    now = {name: _fingerprint(contents) for name, contents in new.catalogs}
    lists = tuple(
        sorted((name.removeprefix("list "), value) for name, value in old.items() if name.startswith("list "))
    )
    before = Inputs(frozenset(old.get("anchors", "").split()), lists, new.catalogs, old.get("rest", ""))
    is_touched = touched(before, new)
    if catalogs == now:
        return is_touched
    return lambda facts: (
        any(seal.catalog for seal in facts.seals)
        or (is_touched is not None and is_touched(facts))
        or (facts.status is not Status.TRUSTED)
    )
