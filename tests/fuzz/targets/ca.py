"""What an authority reads from others: plans, approvals, profiles, transcripts, certificates and CRLs to be linted."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from chopmark.authority.backup.archive import Reader
from chopmark.authority.ceremony import approval, plan, transcript
from chopmark.authority.issuing import custom_profiles
from chopmark.authority.lint import batch, linter
from chopmark.authority.lint.csbr import lists
from chopmark.envelopes import x509
from tests.support import der_trees, pki, probing

ALICE = pki.leaf(None, "alice")
APPROVERS = {"alice": x509.certificate(ALICE.der)}
PLAN = b"""ceremony = 1
title = "x"
authority = "%s"
expires = 2026-12-24T00:00:00Z
[[step]]
do = "roll"
ca = "root"
""" % (b"0" * 64)


def seeds() -> Iterable[bytes]:
    yield PLAN
    yield approval.approve(PLAN, ALICE, (ALICE.der,), pki.NOW)
    yield b'[x]\nbased-on = "internal"\npurposes = ["codeSigning"]\ndays = 3\n'
    yield b'{"transcript": 1, "plan": "", "approvals": [], "steps": []}'
    world = pki.world()
    yield from (world.root.der, world.issuing.der, world.signer.der, world.tsa.der, pki.crl(world.issuing))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: plan.parse(data))
    probing.clearly(lambda: approval.check(PLAN, data, APPROVERS))
    probing.clearly(lambda: transcript.faults(data, None))
    probing.clearly(lambda: batch.lint_all(batch.material(data)))
    linter.certificate(data)
    lists.lint(data)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(data)
        probing.clearly(lambda: custom_profiles.read(str(path)))
        probing.clearly(lambda: Reader(str(path)).close())
