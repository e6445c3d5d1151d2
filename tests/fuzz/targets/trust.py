"""Judging: certificates and revocation lists as a signature carries them along. Whatever they hold is a finding."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509 as oracle

from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes import der, x509
from chopmark.trust import context, judge
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import der_trees, pki, probing

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "root.pem"
    path.write_bytes(pki.world().root.pem)
    COURTS = [
        context.Context(store.load([str(path)]), pki.NOW, mode, origins.CrlSource(cache=folder))
        for mode in context.MODES
    ]
    """One for each way of asking about revocation."""
STRANGER = SignerId("x509", "", "")


def seeds() -> Iterable[bytes]:
    world = pki.world()
    yield world.signer.der + world.issuing.der + pki.crl(world.issuing) + pki.crl(world.root)
    revoked = pki.Revoked(world.signer.certificate.serial_number, pki.NOW, oracle.ReasonFlags.superseded)
    yield world.signer.der + world.issuing.der + pki.crl(world.issuing, [revoked])
    names = oracle.NameConstraints([oracle.DirectoryName(pki.name("x"))], [oracle.DNSName("example.org")])
    policies = oracle.CertificatePolicies(
        [oracle.PolicyInformation(oracle.ObjectIdentifier("2.23.140.1.4.1"), ["https://example.org/"])]
    )
    constrained = pki.authority(
        "Constrained",
        issuer=world.root,
        more=(
            pki.Extension(names, critical=True),
            pki.Extension(policies),
            pki.Extension(oracle.PolicyConstraints(1, 1)),
        ),
    )
    alternative = oracle.SubjectAlternativeName([oracle.DNSName("a.example.org"), oracle.RFC822Name("a@example.org")])
    yield pki.leaf(constrained, more=(pki.Extension(alternative), pki.Extension(policies))).der + constrained.der


mutate = der_trees.mutate


def run(data: bytes) -> None:
    """DER values one behind the other: first the signer's certificate, then others, revocation lists among them."""
    values = probing.values(data, 8)
    lists = tuple(value for value in values if b"\x55\x1d\x14" in value)
    certificates = tuple(value for value in values if value not in lists)
    try:
        signer = x509.Certificate(certificates[0]).signer_id
    except (IndexError, der.DerError):
        signer = STRANGER
    proof = Proof(signer, "sha256", (), certificates, crls=lists)
    for court in COURTS:
        judgement = judge.judge(proof, "code-signing", court)
        assert judgement.findings
        probing.look_at(judgement)
