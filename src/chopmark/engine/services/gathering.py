"""Everything on a host that starts by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.core import discovery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.engine.services.entry import Entry
    from chopmark.engine.services.host import Host

SOURCES = "chopmark.engine.services.sources"


def entries(host: Host) -> Iterator[Entry]:
    """The entries of all sources; what is not about one of them is in `host.findings` when all are taken."""
    sources: dict[str, Any] = discovery.offered(SOURCES, "entries")
    for name in sorted(sources):
        yield from sources[name](host)
