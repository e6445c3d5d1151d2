# ruff: noqa: PTH120 - names are bytes or given to programs here
"""Catalogs against sha256sum, find and openssl cms."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark import cli
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.formats.catalog import FORMAT, listing, sealing
from tests.support import pki
from tests.support.integrity import examine

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.interop


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A signed catalog of this installation's own Python library."""
    for name, data in (
        ("root.pem", pki.world().root.pem),
        ("signer.pem", pki.world().signer.pem),
        ("chain.pem", pki.world().issuing.pem),
        ("signer.key", pki.world().signer.private_pem()),
    ):
        (tmp_path / name).write_bytes(data)
        (tmp_path / name).chmod(0o600)
    key = ["--key", str(tmp_path / "signer.key"), "--cert", str(tmp_path / "signer.pem")]
    target = tmp_path / "python.catalog"
    tree = os.path.dirname(os.__file__)
    assert cli.main(["catalog", "create", tree, "-o", str(target), *key, "--cert", str(tmp_path / "chain.pem")]) == 0
    return target


def apart(catalog: Path) -> tuple[Path, Path]:
    """As the specification says: sed takes the list and the block apart."""
    script = "sed '/^-----BEGIN CMS-----$/,$d' \"$1\" > list; sed -n '/^-----BEGIN CMS-----$/,$p' \"$1\" > block.pem"
    subprocess.run(["sh", "-c", script, "sh", catalog.name], cwd=catalog.parent, check=True)
    return catalog.parent / "list", catalog.parent / "block.pem"


def openssl(folder: Path) -> int:
    verify = ("-verify", "-binary", "-inform", "PEM", "-in", "block.pem", "-content", "list")
    command = ["openssl", "cms", *verify, "-CAfile", "root.pem", "-purpose", "any", "-out", os.devnull]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_digests_are_those_of_sha256sum_and_facts_those_of_find(catalog: Path) -> None:
    tree = os.path.dirname(os.__file__)
    sums = subprocess.run(
        ["sh", "-c", 'cd "$1" && find . -type f -print0 | xargs -0 sha256sum -z', "sh", tree],
        check=True,
        capture_output=True,
    ).stdout
    theirs = {line[68:]: line[:64] for line in sums.split(b"\0") if line}
    printed = subprocess.run(["find", tree, "-printf", r"%y %m %U %G %P\0"], check=True, capture_output=True).stdout
    facts = {line.split(b" ", 4)[4]: line.split(b" ", 4)[:4] for line in printed.split(b"\0") if line}
    with Artifact.open(catalog) as artifact:
        found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        ours = [listing.entry(line) for _, line in found.rows()]
    assert {entry.path: entry.content for entry in ours if entry.kind == b"f"} == theirs
    assert {entry.path: [entry.kind, b"%o" % int(entry.mode, 8), entry.uid, entry.gid] for entry in ours} == facts


def test_openssl_accepts_our_signature_and_refuses_a_changed_list(catalog: Path) -> None:
    content, _ = apart(catalog)
    assert openssl(catalog.parent) == 0
    data = bytearray(content.read_bytes())
    data[len(data) // 2] ^= 1
    content.write_bytes(data)
    assert openssl(catalog.parent) != 0


def test_we_accept_the_signature_of_openssl(catalog: Path) -> None:
    apart(catalog)
    key = ("-signer", "signer.pem", "-inkey", "signer.key", "-certfile", "chain.pem", "-md", "sha256")
    sign = ["openssl", "cms", "-sign", "-binary", "-outform", "DER", *key, "-in", "list", "-out", "theirs"]
    subprocess.run(sign, cwd=catalog.parent, check=True, capture_output=True)
    unsigned = Artifact.from_bytes((catalog.parent / "list").read_bytes(), "list")
    patch = FORMAT.embed(unsigned, (catalog.parent / "theirs").read_bytes(), SealOptions())
    [answer] = examine(FORMAT, Artifact.from_bytes(patch.render(unsigned), "list"))
    assert answer.intact
