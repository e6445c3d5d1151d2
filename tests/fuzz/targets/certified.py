"""Odd certificates that their authority did sign, all the way through the commands: only answers, and no false trust.

The input is a signer's certificate, perhaps with the authority's behind it. Both are signed again by those above them,
so that what is odd about them is looked at, and a file is signed with the signer's key. The command lines are parsed
once: four times as many certificates are seen in the same time.
"""

import contextlib
import copy
import functools
import io
import json
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from unittest import mock

from chopmark.cli import ca, inspect, store, verify
from chopmark.cli.parsing import Parser
from chopmark.core.errors import ChopmarkError
from tests.support import certifying, der_trees, pki, probing

_MEMORY = Path("/dev/shm")
_FOLDER = tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
"""Where opening a file for writing costs nothing, if there is such a place."""
_HOME = Path(_FOLDER.name)
_FILE, _CERTIFICATE, _ROOT = (_HOME / name for name in ("file", "certificate.der", "root.pem"))
_CONTENT = b"content"
_FILE.write_bytes(_CONTENT)
_ROOT.write_bytes(pki.world().root.pem)
_ENVIRONMENT = {"CHOPMARK_HOME": _FOLDER.name, "CHOPMARK_TRACEBACK": "1"}


def _parsed(verb: ModuleType, *arguments: str) -> Namespace:
    """What the command says to its verb."""
    parser = Parser(prog=verb.__name__)
    verb.add_arguments(parser)
    return parser.parse_args(arguments)


_TRUSTING = ("--json", "--offline", "-j1", "--store", str(_ROOT), "--at", pki.NOW.isoformat())
_VERIFY = verify, _parsed(verify, *_TRUSTING, str(_FILE))
_INSPECT = inspect, _parsed(inspect, str(_FILE))
_LINT = ca, _parsed(ca, "lint", "-v", str(_CERTIFICATE))
_SHOW = store, _parsed(store, "show", str(_CERTIFICATE))
_IN_TURN = ((_INSPECT, (0, 1)), (_SHOW, (0, 2)))
"""What shows the same facts, one for each input, and how it may end."""


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
    with mock.patch.dict(os.environ, _ENVIRONMENT):
        _ask(chain)


def _ask(chain: Sequence[bytes]) -> None:
    status, said = command(*_VERIFY)
    assert status in (0, 1, 3), said
    assert (json.loads(said)["status"] == "trusted") == (status == 0)
    if status == 0:
        assert not certifying.faults(chain), "trusted"
    assert command(*_LINT)[0] in (0, 1, 2, 3)
    command_, statuses = _IN_TURN[sum(chain[0]) % len(_IN_TURN)]
    assert command(*command_)[0] in statuses


@functools.cache
def signers() -> list[pki.Entity]:
    """Those whose certificates are among the seeds."""
    return [pki.world().signer, certifying.elaborate(), *(pki.leaf(None, kind=kind) for kind in ("ed25519", "p384"))]


def signer_of(certificate: bytes) -> pki.Entity:
    """Whose key is in a certificate, or else somebody."""
    return next((each for each in signers() if each.public_key in certificate), signers()[0])


def command(verb: ModuleType, arguments: Namespace) -> tuple[int, str]:
    """What a verb ends with, and says."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        try:
            status: int = verb.run(copy.deepcopy(arguments))
        except ChopmarkError as error:
            status = error.exit_status
    said.flush()
    return status, said.buffer.getvalue().decode()
