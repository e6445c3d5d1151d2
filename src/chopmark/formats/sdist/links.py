"""Where symbolic links of a source distribution lead, through other links of it (PEP 721, the `data` filter)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.formats._tar import reasons

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def leading_out(links: Mapping[bytes, bytes], top: bytes) -> Iterator[bytes]:
    """The paths of links that end outside of a folder. Raises BrokenError where following them takes too long."""
    steps = [limits.SDIST_LINK_STEPS_MAX]
    for path in links:
        if _end(path, links, steps)[:1] != [top]:
            yield path


def _end(path: bytes, links: Mapping[bytes, bytes], steps: list[int]) -> list[bytes]:
    """The names on the way to where a link ends; none for above the archive, and for one that leads in a circle."""
    found = path.split(b"/")[:-1]
    waiting = deque(links[path].split(b"/"))
    if links[path].startswith(b"/"):
        return []
    followed = 0
    while waiting:
        steps[0] -= 1
        if steps[0] < 0:
            raise BrokenError(reasons.LINK, "links that take too long to follow")
        name = waiting.popleft()
        if name == b"..":
            if not found:
                return []
            found.pop()
        elif name not in (b"", b"."):
            found.append(name)
            target = links.get(b"/".join(found))
            if target is not None:
                followed += 1
                if target.startswith(b"/") or followed > limits.SDIST_LINKS_FOLLOWED_MAX:
                    return []
                found.pop()
                waiting.extendleft(reversed(target.split(b"/")))
    return found
