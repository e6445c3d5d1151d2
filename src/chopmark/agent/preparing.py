"""What a worker has to have before it protects anything: descriptors, a priority, and every module."""

from __future__ import annotations

import contextlib
import os
import resource
from importlib import import_module
from pkgutil import walk_packages

from chopmark.core import limits
from chopmark.core.named import NamedTuple


class Room(NamedTuple):
    """For how many files there are descriptors: those that are kept, and those whose lease is being given back.

    And from which number on a question may not keep its descriptor: the work itself needs the rest.
    """

    kept: int
    released: int
    asked: int


def descriptors() -> Room:
    """As many as there may be, less what the work itself needs; the limit is raised where that is allowed."""
    wanted = limits.GUARD_KEPT_MAX + limits.GUARD_RELEASED_MAX + limits.GUARD_WORKING_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in (max(wanted, hard), hard):  # more than the hard limit needs CAP_SYS_RESOURCE
        if soft < wanted:
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, most), most))
            soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = max(32, soft - limits.GUARD_WORKING_DESCRIPTORS)
    keeping = min(limits.GUARD_KEPT_MAX, free // 2)
    # Each is the lowest number that is free. Where a worker ends, questions under higher ones would not be answered.
    most = min(soft, limits.GUARD_DESCRIPTORS_MAX)
    asked = max(most - limits.GUARD_SPARE_DESCRIPTORS, most // 2)
    return Room(keeping, min(limits.GUARD_RELEASED_MAX, free - keeping), asked)


def hurry() -> None:
    """Come before ordinary processes: somebody waits for whatever we do. Threads that are started later inherit it."""
    with contextlib.suppress(OSError):  # without CAP_SYS_NICE, as everybody else
        if os.getpriority(os.PRIO_PROCESS, 0) > limits.GUARD_NICE:
            os.setpriority(os.PRIO_PROCESS, 0, limits.GUARD_NICE)


def preload() -> None:
    """Load every module that judging may need: an import while somebody waits would open files."""
    for room in ("core", "envelopes", "formats", "trust", "policy", "engine"):
        package = import_module(f"chopmark.{room}")
        for found in walk_packages(package.__path__, f"chopmark.{room}."):
            with contextlib.suppress(ImportError):  # what an extra would bring
                import_module(found.name)
