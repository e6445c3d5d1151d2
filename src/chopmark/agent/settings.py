"""How to guard, and by what; light, because the process that only holds the group knows no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.agent import uses
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.world import World


class Sources(NamedTuple):
    """Where a world comes from. Empty `stores`, `revocation` and `mode` leave it to the policy."""

    policy: str
    catalogs: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    crls: tuple[str, ...] = ()
    blocklists: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    revocation: str = ""
    mode: str = ""
    signers: str = ""


class Settings(NamedTuple):
    """How to guard.

    `folders` say which file systems, each with its device as it was when somebody asked for it; `load` gives the world
    as it is now (raises ChopmarkError), from `files` among others; `rules` how much is judged, `scripts` whether opens
    are judged at all and not only executions; `failing_open` what becomes of questions that could not be answered
    (None: as the mode says); `ahead` whether files are looked at before anybody uses them, and `warm` below which
    folders those that are there; `kill` whether processes are ended whose files are no longer allowed; `state` is a
    folder for the database (empty: none), `control` the path of a socket (empty: none), `kernel` the folder in which
    verdicts in the kernel are pinned (empty: it holds none).
    """

    folders: tuple[tuple[str, int], ...]
    load: Callable[[], World]
    files: tuple[str, ...] = ()
    rules: uses.Rules = uses.Rules()
    scripts: bool = True
    failing_open: bool | None = None
    kill: bool = False
    new_mounts: bool = True
    ahead: bool = True
    warm: tuple[str, ...] = ()
    state: str = ""
    control: str = ""
    kernel: str = ""
