"""Odd certificates that their authority did sign, all the way through the commands: only answers, and no false trust.

The input is a signer's certificate, perhaps with the authority's behind it. Both are signed again by those above them,
so that what is odd about them is looked at, and a file is signed with the signer's key. What `verify` does to judge it
is asked about each, in memory; the commands themselves, whose lines are parsed once, about one in three, in turn.
"""

import contextlib
import functools
import io
import json
import os
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from chopmark.cli import ca, inspect, output, store, verify
from chopmark.cli.parsing import Parser
from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError
from chopmark.core.verdict import EXIT_STATUS, Status
from chopmark.engine import check, report
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.ocsp import source
from chopmark.trust.stores import store as stores
from tests.support import certifying, der_trees, pki, probing

_MEMORY = Path("/dev/shm")
_FOLDER = tempfile.TemporaryDirectory(dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)
"""Where opening a file for writing costs nothing, if there is such a place."""
_HOME = Path(_FOLDER.name)
_FILE, _CERTIFICATE, _ROOT = (_HOME / name for name in ("file", "certificate.der", "root.pem"))
_CONTENT = b"content"
_FILE.write_bytes(_CONTENT)
_ROOT.write_bytes(pki.world().root.pem)
_STORE = stores.load([str(_ROOT)])
_VARIABLE = "CHOPMARK_HOME"
STRUCTURED = 0.9
"""Certificates that are changed by bytes are mostly none: the targets x509 and trust have those."""


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
TURNS = 12
"""Of so many inputs each of the commands sees one, `ca lint` two."""


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
    signature = certifying.sealed(_CONTENT, chain, signer_of(chain[0]))
    verdict = check.check(Artifact.from_bytes(_CONTENT, _FILE.name, {".p7s": signature}), court())
    told = json.dumps(report.as_dict(verdict))
    if verdict.status is Status.TRUSTED:
        assert not certifying.faults(chain), "trusted"
    turn = sum(chain[0]) % TURNS
    if turn == 0:
        _FILE.with_suffix(".p7s").write_bytes(signature)
        status, said = command(*_VERIFY)
        assert status == EXIT_STATUS[verdict.status]
        assert json.loads(said) == {**json.loads(told), "path": str(_FILE)}
    elif turn == 1:
        _FILE.with_suffix(".p7s").write_bytes(signature)
        assert command(*_INSPECT)[0] in (0, 1)
    elif turn < 4:
        _CERTIFICATE.write_bytes(chain[0])
        assert command(*_LINT)[0] in (0, 1, 2, 3)
    elif turn == 4:
        _CERTIFICATE.write_bytes(chain[0])
        assert command(*_SHOW)[0] in (0, 2)
    elif turn == 5:
        lines = output.show_verdict(verdict, verbose=True).splitlines()
        assert all(line.isprintable() for line in lines)


def court() -> contexts.Context:
    """Whom the command believes, and when; a new one, for it remembers whom it has judged."""
    besides = contexts.Besides(ocsp=source.OcspSource((), cache=_FOLDER.name))
    return contexts.Context(_STORE, pki.NOW, contexts.PREFER, origins.CrlSource(cache=_FOLDER.name), besides=besides)


@functools.cache
def signers() -> list[pki.Entity]:
    """Those whose certificates are among the seeds."""
    return [pki.world().signer, certifying.elaborate(), *(pki.leaf(None, kind=kind) for kind in ("ed25519", "p384"))]


def signer_of(certificate: bytes) -> pki.Entity:
    """Whose key is in a certificate, or else somebody."""
    return next((each for each in signers() if each.public_key in certificate), signers()[0])


def command(verb: ModuleType, arguments: Namespace) -> tuple[int, str]:
    """What a verb ends with, and says, at home in the folder."""
    said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="")
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = _FOLDER.name
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
            status: int = verb.run(Namespace(**vars(arguments)))
    except ChopmarkError as error:
        status = error.exit_status
    finally:
        del os.environ[_VARIABLE]
        if before is not None:
            os.environ[_VARIABLE] = before
    said.flush()
    return status, said.buffer.getvalue().decode()
