"""Every real PE file of the corpus: read, verified, compared with what others found (docs/reference/corpus.md).

What is compared are facts that need no trust: how many signatures there are, who signed, with which digests, when they
were time-stamped, and whether digest and signature hold. Peers' trust in roots is not repeated here.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.finding import Outcome
from chopmark.envelopes import authenticode, x509
from chopmark.formats.pe import FORMAT
from tests.interop import corpus
from tests.support import probing
from tests.unit.formats.pe import signing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chopmark.core.finding import Finding
    from chopmark.core.seal import Seal

pytestmark = pytest.mark.interop


def files(*kinds: corpus.Kind) -> Iterator[tuple[str, Path, dict[str, Any]]]:
    """Name, path and recorded facts of every PE file of some kinds."""
    for kind in kinds:
        for package, member, path in corpus.members(kind):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            yield f"{package.name}: {member.path}", path, corpus.facts().get(digest, {})


class Judged:
    """What chopmark says about one file."""

    def __init__(self, path: Path) -> None:
        with Artifact.open(path) as artifact:
            self.certainty = FORMAT.detect(artifact.head(), artifact.name)
            self.seals: list[Seal] = list(FORMAT.extract(artifact))
            recipes = list(dict.fromkeys(claim.recipe for seal in self.seals for claim in seal.claims))
            values = {payload.recipe: payload.value for payload in FORMAT.digest(artifact, recipes)}
        self.matches = [[values[claim.recipe] == claim.expected for claim in seal.claims] for seal in self.seals]
        self.proofs = [seal.envelope.check([]) for seal in self.seals]

    @property
    def against(self) -> list[Finding]:
        everything = [each for seal in self.seals for each in seal.findings]
        everything += [each for proof in self.proofs for each in proof.findings]
        everything += [each for proof in self.proofs for stamp in proof.stamps for each in stamp.proof.findings]
        return [finding for finding in everything if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]


@cache
def judged(path: Path) -> Judged:
    return Judged(path)


def check_against_facts(name: str, path: Path, facts: dict[str, Any]) -> list[str]:
    """Every difference between chopmark's answers and the recorded ones."""
    found = judged(path)
    wrong = [] if found.certainty == 9 else [f"detected with {found.certainty}"]
    wrong += [f"{finding.code}: {finding.detail}" for finding in found.against]
    wrong += ["digest mismatch"] if not all(all(each) for each in found.matches) else []
    recorded = facts["signatures"]
    if len(found.seals) != len(recorded):
        return [*wrong, f"{len(found.seals)} signatures, recorded {len(recorded)}"]
    for seal, proof, fact in zip(found.seals, found.proofs, recorded, strict=True):
        envelope = seal.envelope
        assert isinstance(envelope, authenticode.AuthenticodeEnvelope)
        certificate = x509.certificate(proof.certificates[0])
        stamp = proof.stamps[0] if proof.stamps else None
        kinds = {"rfc3161": "rfc3161", "authenticode": "legacy"}
        answers = {
            "signer": certificate.common_name,
            "digest": envelope.signer.digest_algorithm,
            "timestamp": kinds[stamp.kind] if stamp else "none",
            "timestamp_time": f"{stamp.time:%Y-%m-%dT%H:%M:%SZ}" if stamp else None,
            "page_hashes": envelope.page_hashes.algorithm if envelope.page_hashes else "none",
        }
        wrong += [
            f"{seal.where}: {key} is {answer!r}, recorded {fact.get(key)!r}"
            for key, answer in answers.items()
            if (fact.get(key) or None) != (answer or None)
        ]
    return [f"{name}: {each}" for each in wrong]


def test_real_signed_files_say_what_was_recorded() -> None:
    differences = [
        each
        for name, path, facts in files("signed-pe", "signed-pe-large", "efi")
        if facts
        for each in check_against_facts(name, path, facts)
    ]
    assert differences == []


def test_real_unsigned_files_have_no_seals() -> None:
    for name, path, _ in files("unsigned-pe"):
        assert judged(path).seals == [], name
        assert judged(path).certainty == 9, name


def test_there_were_enough_of_them() -> None:
    seals = [seal for _, path, _ in files("signed-pe", "signed-pe-large") for seal in judged(path).seals]
    assert len(seals) > 180
    assert any(len(seal.claims) == 2 for seal in seals), "none with page hashes"
    assert any(seal.nested for seal in seals), "none nested"


def test_real_files_can_be_signed_anew_and_beside() -> None:
    for name, path, _ in list(files("signed-pe", "efi", "unsigned-pe"))[::7]:
        for options in (SealOptions(), SealOptions("sha384", append=True)):
            with Artifact.open(path) as artifact:
                before = len(judged(path).seals)
                data = probing.signed(FORMAT, artifact, options).render(artifact)
            expected = before + 1 if options.append and before else 1
            assert signing.against(data) == set(), name
            assert len(list(FORMAT.extract(signing.artifact(data)))) == expected, name
