"""Odd certificates that their authority did sign, all the way through the commands: only answers, and no false trust.

The input is a signer's certificate, perhaps with the authority's behind it. Both are signed again by those above them,
so that what is odd about them is looked at, and a file is signed with the signer's key.
"""

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from unittest import mock

from chopmark import cli
from tests.support import certifying, der_trees, pki, probing

_FOLDER = tempfile.TemporaryDirectory()
_HOME = Path(_FOLDER.name)
_FILE, _CERTIFICATE, _ROOT = (_HOME / name for name in ("file", "certificate.der", "root.pem"))
_CONTENT = b"content"
_FILE.write_bytes(_CONTENT)
_ROOT.write_bytes(pki.world().root.pem)
_ENVIRONMENT = {"CHOPMARK_HOME": _FOLDER.name, "CHOPMARK_TRACEBACK": "1"}
_VERIFY = ("verify", "--json", "--offline", "-j1", "--store", str(_ROOT), "--at", pki.NOW.isoformat(), str(_FILE))


def seeds() -> Iterable[bytes]:
    world = pki.world()
    yield world.signer.der
    yield world.signer.der + world.issuing.der
    yield certifying.elaborate().der
    yield certifying.elaborate().der + certifying.constrained().der
    yield from (pki.leaf(world.issuing, kind=kind).der for kind in ("rsa2048", "ed25519", "p384"))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    chain = certifying.chain(probing.values(data, 2))
    if len(chain) < 2:
        return
    _FILE.with_suffix(".p7s").write_bytes(certifying.sealed(_CONTENT, chain, signer_of(chain[0])))
    _CERTIFICATE.write_bytes(chain[0])
    status, said = command(*_VERIFY)
    assert status in (0, 1, 3), said
    assert (json.loads(said)["status"] == "trusted") == (status == 0)
    if status == 0:
        assert not certifying.faults(chain), "trusted"
    assert command("inspect", str(_FILE))[0] in (0, 1)
    assert command("ca", "lint", "-v", str(_CERTIFICATE))[0] in (0, 1, 2, 3)
    assert command("store", "show", str(_CERTIFICATE))[0] in (0, 2)


def signer_of(certificate: bytes) -> pki.Entity:
    """Whose key is in a certificate, or else somebody."""
    known = [pki.world().signer, certifying.elaborate(), *(pki.leaf(None, kind=kind) for kind in ("ed25519", "p384"))]
    return next((each for each in known if each.public_key in certificate), known[0])


def command(*arguments: str) -> tuple[int, str]:
    """What a command line ends with, and says."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with (
        mock.patch.dict(os.environ, _ENVIRONMENT),
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        status = cli.main(list(arguments))
    said.flush()
    return status, said.buffer.getvalue().decode()
