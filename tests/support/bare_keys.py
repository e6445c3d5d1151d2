"""The test keys of formats that are signed without certificates: tests/vectors/<format>/laws.toml names them."""

from __future__ import annotations

import functools
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark import keys

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer

VECTORS = Path(__file__).parent.parent / "vectors"


def _named(name: str, what: str) -> str:
    named: str = tomllib.loads((VECTORS / name / "laws.toml").read_text("utf-8"))["signer"][what]
    return named


def public(name: str) -> str:
    """The path of the public key."""
    return str(VECTORS / name / _named(name, "public"))


@functools.cache
def signer(name: str) -> Signer:
    """The private key, opened from a copy that nobody else may read."""
    scheme, _, file = _named(name, "key").partition(":")
    with tempfile.NamedTemporaryFile() as copy:
        copy.write((VECTORS / name / file).read_bytes())
        copy.flush()
        return keys.open_key(f"{scheme}:{copy.name}")
