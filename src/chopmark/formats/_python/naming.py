"""Names of wheels and sdists (binary and source distribution formats of PyPA, once PEP 427 and PEP 625)."""

from __future__ import annotations

import re

from chopmark.core import limits, versions
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple

WHEEL, SDIST = ".whl", ".tar.gz"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?").fullmatch
"""Names and normalization of PyPA (once PEP 508)."""
_BUILD = re.compile(r"[0-9][A-Za-z0-9_.]*").fullmatch
_TAG = re.compile(r"[A-Za-z0-9_]+(?:[.][A-Za-z0-9_]+)*").fullmatch
_SEPARATORS = re.compile(r"[-_.]+")


class Named(NamedTuple):
    """What a file name says: the project, its version, and for a wheel the tags of the systems it is for."""

    project: str
    version: str
    tags: frozenset[str] = frozenset()


def wheel(path: str) -> Named | None:
    """What the name of a wheel says; None where it is none that an installer takes."""
    stem = _stem(path, WHEEL)
    parts = stem.split("-") if stem else []
    if len(parts) not in (5, 6) or not _NAME(parts[0]) or not all(map(_TAG, parts[-3:])):
        return None
    if len(parts) == 6 and not _BUILD(parts[2]):
        return None
    version = parts[1].replace("_", "-")
    return Named(parts[0], version, expanded(*parts[-3:])) if order_of(version) else None


def sdist(path: str) -> Named | None:
    """What the name of an sdist says; None where it is that of no sdist. Older ones have hyphens in their names."""
    project, _, version = (_stem(path, SDIST) or "").rpartition("-")
    return Named(project, version) if _NAME(project) and order_of(version) else None


def stem(path: str) -> str:
    """The name of an sdist without its suffix: what the folder in it is called."""
    return _stem(path, SDIST) or ""


def expanded(pythons: str, abis: str, platforms: str) -> frozenset[str]:
    """Each tag of a compressed set (platform compatibility tags of PyPA)."""
    return frozenset(
        f"{python}-{abi}-{platform}".lower()
        for python in pythons.split(".")
        for abi in abis.split(".")
        for platform in platforms.split(".")
    )


def normal(project: str) -> str:
    """The name by which a project is compared with others (once PEP 503)."""
    return _SEPARATORS.sub("-", project).lower()


def order_of(version: str) -> object:
    """What a version is compared by; None for what is none (version specifiers of PyPA, once PEP 440)."""
    try:
        return versions.key(versions.PYTHON, version)
    except MalformedError:
        return None


def same(named: Named, project: str, version: str) -> bool:
    """Whether a project and a version are those that a file name says, however they are spelt."""
    return normal(project) == normal(named.project) and order_of(version) == order_of(named.version)


def _stem(path: str, suffix: str) -> str | None:
    name = path.rpartition("/")[2]
    return name.removesuffix(suffix) if name.endswith(suffix) and len(name) <= limits.TAR_NAME_MAX else None
