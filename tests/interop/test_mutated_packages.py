"""Signatures in packages, mutated and signed again: those that are trusted, gpgv and rpmkeys accept."""

from __future__ import annotations

import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest

from chopmark.core import clock
from chopmark.envelopes.openpgp import armor, packets
from chopmark.formats.rpm import tags
from tests.fuzz import openpgp_trees
from tests.fuzz.repairs import openpgp as made
from tests.fuzz.targets import packaged
from tests.interop import test_openpgp_subpackets as gnupg

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fuzz.targets.packaged import Packaged

pytestmark = pytest.mark.interop

COUNT = 250
SEEDS = list(packaged.seeds())


def trusted(*, of_rpm: bool) -> Iterator[tuple[Packaged, bytes]]:
    """Packages, and odd signatures with which they are trusted, now: gpgv asks for the host's time."""
    now = packaged.court(clock.now())
    for number in range(COUNT):
        chance = Random(number)  # noqa: S311 - inputs, not keys
        data = packaged.mutate(chance.choice(SEEDS), chance, SEEDS)
        if data is None or data in SEEDS:
            continue
        which, body = packaged.placed(bytes([data[0] | packaged.SIGNED_AGAIN]) + data[1:])
        package = packaged.PACKAGES[which]
        if bool(package.tag) is of_rpm and packaged.trusted(package, body, now) and not of_two(body):
            yield package, body


def said(body: bytes) -> list[bytes]:
    """All statements of a packet, with their lengths."""
    parts = openpgp_trees.read(body)
    assert parts is not None
    return [*parts.hashed, *parts.unhashed]


def of_two(body: bytes) -> bool:
    """Whether both keys are named: the peers try one alone, and need not begin with the fingerprint as we do."""
    return all(any(key.fingerprint[-8:] in each for each in said(body)) for key in (made.PRIMARY, made.SUBKEY))


def critical(body: bytes) -> bool:
    """Whether something is critical, also what RFC 9580 has: rpm 4.18 refuses all of that."""
    return any(each[5 if each[0] == _LONG else 1] & 0x80 for each in said(body))


_LONG = 0xFF
"""Begins a length of four octets."""


def test_what_is_trusted_in_a_deb_is_good_for_gnupg(tmp_path: Path) -> None:
    """Debsigs and debsig-verify have gpg and gpgv do it, over the three members."""
    agreed = 0
    for package, body in trusted(of_rpm=False):
        signature = packets.write(packets.SIGNATURE, body)
        said = gnupg.theirs(tmp_path, packaged.RING, signature, package.content)
        assert said in ("GOODSIG", "timid"), body.hex()
        agreed += said == "GOODSIG"
    assert agreed > 5


def test_what_is_trusted_in_a_package_rpm_accepts(tmp_path: Path) -> None:
    """But for packages of version 6, whose signatures rpm 4.18 does not know."""
    (tmp_path / "ring.asc").write_bytes(armor.wrap(packaged.RING, armor.PUBLIC_KEY))
    database = ("--dbpath", tmp_path / "db")
    subprocess.run(("rpmkeys", *database, "--import", tmp_path / "ring.asc"), check=True, capture_output=True)
    command = ("rpmkeys", *database, "--define", "_pkgverify_level all", "-Kv", tmp_path / "x.rpm")
    agreed = 0
    for package, body in trusted(of_rpm=True):
        if package.tag == tags.OPENPGP or critical(body):
            continue
        (tmp_path / "x.rpm").write_bytes(package.with_signature(body))
        done = subprocess.run(command, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout.decode() + body.hex()
        agreed += 1
    assert agreed > 20
