"""The peer that everybody has."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def openssl(*arguments: str | Path, fails: bool = False) -> bytes:
    """What openssl prints; it must succeed, or fail when that is expected."""
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, check=False)
    assert (result.returncode != 0) is fails, result.stderr.decode()
    return result.stdout
