"""Versions in order beside dpkg and rpm themselves."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess

import pytest

from chopmark.core import versions
from chopmark.core.errors import MalformedError

pytestmark = pytest.mark.interop
_PARTS = ["0", "1", "01", "9", "10", "a", "b", "rc", "git", ".", "-", "~", "+", "^", "_", "1.0"]


def texts(count: int, seed: int) -> list[str]:
    """Versions out of few parts, so that many are nearly the same."""
    chosen = random.Random(seed)  # noqa: S311 - the same in every run
    found = {"1" + "".join(chosen.choices(_PARTS, k=chosen.randint(0, 5))) for _ in range(count)}
    return sorted(found | {f"{epoch}:{text}" for epoch, text in zip(itertools.cycle("012"), sorted(found)[:10])})


def readable(scheme: str, candidates: list[str]) -> list[str]:
    found = []
    for text in candidates:
        try:
            versions.key(scheme, text)
        except MalformedError:
            continue
        found.append(text)
    return found


def test_debians_versions_are_in_dpkgs_order() -> None:
    found = readable("debian", texts(90, 7))
    assert len(found) > 30
    script = (
        'while read -r a b; do if dpkg --compare-versions "$a" lt "$b"; then echo -1; elif dpkg --compare-versions \
        "$a" eq "$b"; then echo 0; else echo 1; fi; done'
    )
    pairs = list(itertools.combinations(found, 2))[:600]
    given = "".join(f"{one} {other}\n" for one, other in pairs)
    done = subprocess.run(["bash", "-c", script], input=given, capture_output=True, text=True, check=True)
    assert not [line for line in done.stderr.splitlines() if "bad syntax" in line]
    theirs = list(map(int, done.stdout.split()))
    assert theirs == [versions.compare("debian", one, other) for one, other in pairs]


def test_rpms_versions_are_in_rpms_order() -> None:
    assert shutil.which("rpm"), "tools/peers.sh installs it"
    found = [text for text in readable("rpm", texts(60, 8)) if "-" not in text and ":" not in text]
    pairs = list(itertools.combinations(found, 2))[:1500]
    table = ", ".join(f'{{"{one}", "{other}"}}' for one, other in pairs)
    script = f'for _, p in ipairs({{{table}}}) do print(rpm.vercmp(p[1], p[2]), "\\n") end'
    done = subprocess.run(["rpm", "--eval", f"%{{lua: {script}}}"], capture_output=True, text=True, check=True)
    theirs = list(map(int, done.stdout.split()))
    assert theirs == [versions.compare("rpm", one, other) for one, other in pairs]
