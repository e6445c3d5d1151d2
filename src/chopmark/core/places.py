"""Where chopmark keeps things: the XDG folders, or all under CHOPMARK_HOME."""

from __future__ import annotations

import os


def _place(variable: str, default: str, kind: str) -> str:
    home = os.environ.get("CHOPMARK_HOME")
    if home:
        return os.path.join(home, kind)
    base = os.environ.get(variable) or os.path.join(os.path.expanduser("~"), default)
    return os.path.join(base, "chopmark")


def data() -> str:
    """What must not be lost: stores, the CA."""
    return _place("XDG_DATA_HOME", ".local/share", "data")


def blocklists() -> str:
    """Lists of what is never trusted, which count in every verification."""
    return os.path.join(config(), "blocklists")


def cache() -> str:
    """What can be fetched again: CRLs, issuer certificates."""
    return _place("XDG_CACHE_HOME", ".cache", "cache")


def config() -> str:
    """Settings."""
    return _place("XDG_CONFIG_HOME", ".config", "config")
