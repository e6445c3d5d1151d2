"""Random chains judged by chopmark and by three others, with every difference explained.

Whoever judges a chain (`chains.py`) is asked for code signing, at the same time, with the same root. Where two verdicts
differ, one of the chain's mutations has to be in `differences.py`, which says who is of another opinion, and why.

Run as a program it takes as many as one likes: `python tests/interop/differential.py --count 5000 --seed 7`.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cryptography import x509 as rust
from cryptography.x509 import verification

from chopmark.core.errors import UsageError
from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from chopmark.trust.stores import store
from tests.interop import chains
from tests.interop.differences import explained
from tests.unit.trust.material import CODE, pem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.chains import Chain

OURS, OPENSSL, RUST, PYHANKO = "chopmark", "openssl", "cryptography", "pyhanko"
PEERS = (OPENSSL, RUST, PYHANKO)


class Judges:
    """All four, with a folder for what they read from files."""

    def __init__(self, folder: Path, runner: asyncio.Runner) -> None:
        self._folder = folder
        self._runner = runner

    def verdicts(self, found: Chain) -> dict[str, bool]:
        """Who trusts a chain."""
        return {
            OURS: self._ours(found),
            OPENSSL: self._openssl(found),
            RUST: _rust(found),
            PYHANKO: self._pyhanko(found),
        }

    def _ours(self, found: Chain) -> bool:
        anchor = self._folder / "root.pem"
        anchor.write_bytes(b"# chopmark: trust=anchor\n" + pem(found.root))
        trusted = _loaded(anchor)
        leaf = _read(found.leaf)
        if trusted is None or leaf is None:
            return False
        return path.find(leaf, CODE, Moment(chains.NOW), path.Material(trusted, found.others)).trusted

    def _openssl(self, found: Chain) -> bool:
        (self._folder / "ca.pem").write_bytes(pem(found.root))
        (self._folder / "leaf.pem").write_bytes(pem(found.leaf))
        (self._folder / "others.pem").write_bytes(b"".join(map(pem, found.others)))
        others = ("-untrusted", self._folder / "others.pem") if found.others else ()
        command = (
            *("openssl", "verify", "-no-CApath", "-no-CAstore", "-x509_strict", "-policy_check"),
            *("-attime", f"{chains.NOW.timestamp():.0f}", "-CAfile", self._folder / "ca.pem"),
            *(*others, self._folder / "leaf.pem"),
        )
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        return done.returncode == 0 and done.stdout.strip().endswith(": OK")

    def _pyhanko(self, found: Chain) -> bool:
        from asn1crypto import x509 as asn1
        from pyhanko_certvalidator import CertificateValidator, ValidationContext

        try:
            here = ValidationContext(
                trust_roots=[asn1.Certificate.load(found.root)],
                other_certs=[asn1.Certificate.load(raw) for raw in found.others],
                moment=chains.NOW,
                revocation_mode="soft-fail",
                allow_fetching=False,
            )
            validator = CertificateValidator(asn1.Certificate.load(found.leaf), validation_context=here)
            self._runner.run(validator.async_validate_usage({"digital_signature"}, {"code_signing"}))
        except Exception:  # noqa: BLE001 - whatever it is: much else than its own errors comes out
            return False
        return True


def _loaded(anchor: Path) -> store.Store | None:
    try:
        return store.load([str(anchor)])
    except UsageError:
        return None


def _read(raw: bytes) -> x509.Certificate | None:
    try:
        return x509.certificate(raw)
    except der.DerError:
        return None


def _signs_code(*given: object) -> None:
    usage = given[-1]
    if not (isinstance(usage, rust.ExtendedKeyUsage) and rust.ObjectIdentifier(CODE) in usage):
        raise ValueError


def _rust(found: Chain) -> bool:
    signers = verification.ExtensionPolicy.permit_all().require_present(
        rust.ExtendedKeyUsage, verification.Criticality.AGNOSTIC, _signs_code
    )
    try:
        verifier = (
            verification.PolicyBuilder()
            .store(verification.Store([rust.load_der_x509_certificate(found.root)]))
            .time(chains.NOW)
            .extension_policies(ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(), ee_policy=signers)
            .build_client_verifier()
        )
        others = [rust.load_der_x509_certificate(raw) for raw in found.others]
        verifier.verify(rust.load_der_x509_certificate(found.leaf), others)
    except Exception:  # noqa: BLE001 - it has many for what it cannot read
        return False
    return True


def differences(verdicts: dict[str, bool]) -> Iterator[tuple[str, str]]:
    """Who is of another opinion than chopmark about a chain, and how: "accepts" or "refuses"."""
    for peer in PEERS:
        if verdicts[peer] != verdicts[OURS]:
            yield peer, "accepts" if verdicts[peer] else "refuses"


def main() -> int:
    """Judge many chains and print which mutations make whom differ; 1 when a difference is not explained."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    seen: Counter[tuple[str, str, str, bool]] = Counter()
    agreed = 0
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        judges = Judges(Path(folder), runner)
        for seed in range(options.seed, options.seed + options.count):
            found = chains.chain(seed)
            different = list(differences(judges.verdicts(found)))
            agreed += not different
            for peer, how in different:
                good = explained(peer, how, found.mutations)
                seen[peer, how, " + ".join(found.mutations) or "sound", bool(good)] += 1
    for (peer, how, mutations, known), count in sorted(seen.items()):
        sys.stdout.write(f"{'' if known else 'NOT EXPLAINED '}{peer} {how} {count} x: {mutations}\n")
    open_ones = sum(count for (*_, good), count in seen.items() if not good)
    sys.stdout.write(f"{options.count} chains: all four agree about {agreed}; {open_ones} differences not explained\n")
    return 1 if open_ones else 0


if __name__ == "__main__":
    sys.exit(main())
