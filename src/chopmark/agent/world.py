"""Everything that verdicts and decisions depend on, and which verdicts a change of it touches."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.engine.policing.facts import writable
from chopmark.envelopes import x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from chopmark.agent.versions import Versions
    from chopmark.engine.catalog.consulting import Catalog
    from chopmark.engine.catalog.contents import Listed
    from chopmark.engine.policing.loading import Policy
    from chopmark.policy.facts import FileFacts
    from chopmark.trust.context import Context


class Inputs(NamedTuple):
    """What verdicts depend on.

    `anchors` are the keys (SHA-256, in hex) of anchors and bare keys, `lists` the digest of all CRLs of each issuer, by
    its name; `catalogs` what each of them lists; `rest` what touches all.
    """

    anchors: frozenset[str] = frozenset()
    lists: tuple[tuple[str, str], ...] = ()
    catalogs: tuple[Listed, ...] = ()
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
    versions: Versions | None = None
    catalogs: tuple[Catalog, ...] = ()

    def is_placed(self, facts: FileFacts) -> bool:
        """Whether the same content may be something else at another path, whatever the policy says of paths.

        A trusted catalog may list another content there; what any trusted one lists is good wherever it lies.
        """
        for seal in facts.seals:
            if seal.catalog and seal.status is Status.TRUSTED:
                return False
        return any(each.has_places for each in self.catalogs)

    def at(self, facts: FileFacts, path: str) -> FileFacts:
        """What is known of a content, as the file at an absolute path, now."""
        status = facts.status
        if self.is_placed(facts):
            place, digest = os.fsencode(path), bytes.fromhex(facts.sha256)
            if any(each.instead(place, digest) for each in self.catalogs):
                status = Status.REJECTED
        return facts._replace(
            path=path,
            status=status,
            writable=writable(path) if self.policy.compiled.by_place else None,
            newest=self.versions.newest_of(facts) if self.versions is not None else "",
        )


def touched(old: Inputs, new: Inputs) -> Callable[[FileFacts], bool] | None:
    """Which verdicts are no longer known when one becomes the other; None: not one."""
    if old.rest != new.rest:
        return lambda _: True
    gone, come = old.anchors - new.anchors, new.anchors - old.anchors
    before, after = dict(old.lists), dict(new.lists)
    issuers = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    is_listed = _listed_otherwise(old.catalogs, new.catalogs)
    if not (gone or come or issuers or is_listed):
        return None

    def is_touched(facts: FileFacts) -> bool:
        if come and facts.status is not Status.TRUSTED:  # somebody who is trusted now may have signed it
            return True
        if is_listed is not None and is_listed(bytes.fromhex(facts.sha256)):
            return True
        return any(
            seal.root in gone or seal.key in gone or any(each.subject in issuers for each in seal.authorities)
            for seal in facts.seals
        )

    return is_touched


def _listed_otherwise(old: Sequence[Listed], new: Sequence[Listed]) -> Callable[[bytes], bool] | None:
    """Whether a content is in one of the catalogs and not in the other, or in the name of somebody else."""
    by_name = [{each.name: each for each in catalogs} for catalogs in (old, new)]
    pairs = [tuple(each.get(name) for each in by_name) for name in by_name[0].keys() | by_name[1].keys()]
    differing = [(one, other) for one, other in pairs if _shown(one) != _shown(other)]
    if not differing:
        return None

    def is_listed(digest: bytes) -> bool:
        for one, other in differing:
            before, after = (each is not None and digest in each.contents for each in (one, other))
            same = one is not None and other is not None and one.signer == other.signer
            if before != after or (before and not same):
                return True
        return False

    return is_listed


def _shown(listed: Listed | None) -> str:
    return "" if listed is None else f"{listed.signer} {listed.contents.fingerprint}"


def inputs_of(context: Context, catalogs: Sequence[Catalog], rest: str) -> Inputs:
    """What the verdicts of a context depend on; `rest` says what else does (modes, blocklists)."""
    anchors = {each.certificate.key_sha256 for source in context.store.sources for each in source.every()}
    bare = {each.key.fingerprint for each in context.store.keyring.every()}
    lists: dict[str, list[bytes]] = {}
    for crl in context.store_crls:
        lists.setdefault(x509.name_text(crl.issuer), []).append(hashlib.sha256(crl.raw).digest())
    digests = {name: hashlib.sha256(b"".join(sorted(each))).hexdigest() for name, each in lists.items()}
    listed = tuple(each.listed for each in catalogs)
    return Inputs(frozenset(anchors | bare), tuple(sorted(digests.items())), listed, rest)


def written(inputs: Inputs) -> dict[str, str]:
    """Inputs as they are kept with the verdicts: of catalogs and lists only a digest."""
    return {
        "anchors": " ".join(sorted(inputs.anchors)),
        "rest": inputs.rest,
        **{f"list {name}": value for name, value in inputs.lists},
        **{f"catalog {each.name}": _shown(each) for each in inputs.catalogs},
    }


def since(old: dict[str, str], new: Inputs) -> Callable[[FileFacts], bool] | None:
    """`touched`, from what was written; of a catalog that was another one nobody knows what it listed."""
    catalogs = {name.removeprefix("catalog "): value for name, value in old.items() if name.startswith("catalog ")}
    now = {each.name: _shown(each) for each in new.catalogs}
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
