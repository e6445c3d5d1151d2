"""The world from files: policy, stores, revocation lists, catalogs, blocklists."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chopmark.agent.versions import Versions
from chopmark.agent.world import World, inputs_of
from chopmark.core import clock, places
from chopmark.engine.catalog import consulting
from chopmark.engine.policing import loading
from chopmark.policy import state
from chopmark.policy.deciding import Mode
from chopmark.trust.blocklists import blocklist
from chopmark.trust.context import PREFER, Besides, Context
from chopmark.trust.crl import origins
from chopmark.trust.stores import store

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from chopmark.agent.settings import Sources


def opened(sources: Sources) -> World:
    """Read everything anew; nothing is fetched from the network, now or later. Raises ChopmarkError."""
    now = clock.now()
    policy = loading.load(
        sources.policy, now, signers=sources.signers, remember=True, mode=Mode(sources.mode) if sources.mode else None
    )
    names = sources.stores or policy.main.stores
    trusted = store.load(names) if names else store.Store(())  # a policy of digests believes nobody
    lists = origins.CrlSource(sources.crls)
    besides = Besides(blocklists=blocklist.load(sources.blocklists) if _has_blocklists(sources) else ())
    revocation = sources.revocation or policy.main.revocation or PREFER

    def circumstances(at: dt.datetime) -> Context:
        found = Context(trusted, at, revocation, lists, besides=besides)
        found.vouchers = vouchers
        return found

    vouchers: tuple[consulting.ByContent, ...] = ()
    first = circumstances(now)
    catalogs = consulting.load(sources.catalogs, first)
    vouchers = tuple(map(consulting.ByContent, catalogs))
    versions = _versions(policy)
    more = revocation, [each.shown for each in besides.blocklists]
    rest = hashlib.sha256(repr(more).encode()).hexdigest()
    files = tuple(_files(sources, names, policy))
    return World(policy, circumstances, inputs_of(first, catalogs, rest), files, sources.spared, versions, catalogs)


def _versions(policy: loading.Policy) -> Versions | None:
    """What is remembered of products, where a rule asks. Raises StateError."""
    return Versions() if any(rule.require.no_rollback for rule in policy.rules) else None


def _has_blocklists(sources: Sources) -> bool:
    return bool(sources.blocklists) or os.path.isdir(places.blocklists())


def _files(sources: Sources, names: tuple[str, ...], policy: loading.Policy) -> Iterator[str]:
    """What to look at for changes."""
    for file in policy.files:
        yield file.file
    yield from sources.catalogs
    yield from sources.crls
    yield from sources.blocklists
    yield places.blocklists()
    if any(rule.require.no_rollback for rule in policy.rules):
        yield state.path()
    for name in names:
        where = name.rstrip("?")
        yield where if os.path.exists(where) else store.folder(where)
