"""A revocation list of a million entries: verified and looked up, then looked up again, also in a new process.

Beside `openssl crl` (which only verifies and prints), cryptography's CRL object and asn1crypto, each in a process of
its own. The promises: four seconds and 300 MiB the first time, a millisecond for each look-up afterwards.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import statistics
import subprocess
from typing import TYPE_CHECKING

from bench.measure import BIN, PYTHON, Row, process
from chopmark.envelopes import der, x509
from tests.support import pki

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES = 1_000_000
FIRST_SECONDS, FIRST_MIB, NEXT_SECONDS = 4.0, 300.0, 0.001
_SECONDS = 300
"""After this a peer is given up."""


def run(folder: Path, rounds: int) -> list[Row]:
    """Eight rows at most: one for each promise, and one beside each peer."""
    world = pki.world()
    large, issuer, signer = folder / "large.crl", folder / "issuer.cer", folder / "signer.cer"
    large.write_bytes(made(ENTRIES, x509.certificate(world.signer.der).serial_octets))
    issuer.write_bytes(world.issuing.der)
    signer.write_bytes(world.signer.der)
    arguments = [str(large), str(issuer), str(signer)]
    home = folder / "home"
    first, later = [], []
    for _ in range(min(rounds, 3)):
        shutil.rmtree(home, ignore_errors=True)
        first.append(looked_up("chopmark", *arguments, str(folder / "cache"), home=home))
        later += [looked_up("chopmark", *arguments, str(folder / "cache"), home=home) for _ in range(3)]
        shutil.rmtree(folder / "cache")
    time = {name: statistics.median(each[name] for each in first) for name in ("first", "next", "peak_mib")}
    new = {name: statistics.median(each[name] for each in later) for name in ("first", "next", "peak_mib")}
    note = f"{large.stat().st_size / 1e6:.0f} MB; peak {time['peak_mib']:.0f} MiB, {new['peak_mib']:.0f} later"
    if time["peak_mib"] > FIRST_MIB:
        raise SystemExit(f"{time['peak_mib']:.0f} MiB at the peak; {FIRST_MIB:.0f} were promised")
    rows = [
        promised("list of 1,000,000: verified, looked up", time["first"], FIRST_SECONDS, note),
        promised("the next look-up", time["next"], NEXT_SECONDS),
        promised("opened and looked up in a new process", new["first"], 4 * NEXT_SECONDS, "the file's blocks at hand"),
        promised("the next look-up there", new["next"], NEXT_SECONDS),
    ]
    for peer in ("cryptography", "asn1crypto"):
        other = looked_up(peer, *arguments, home=home)
        rows.append(
            Row(
                f"{peer}: verified, looked up",
                other["first"],
                "chopmark, first time",
                time["first"],
                other["first"] / time["first"],
                note=f"peak {other['peak_mib']:.0f} MiB, each look-up {other['next']:.3f} s",
            )
        )
    ca = folder / "issuer.pem"
    ca.write_bytes(world.issuing.pem)
    command = ["openssl", "crl", "-inform", "DER", "-in", str(large), "-CAfile", str(ca), "-verify", "-noout"]
    openssl = statistics.median(process(command, expect=(0, 1)) for _ in range(min(rounds, 3)))
    rows.append(Row("openssl crl -verify", openssl, "chopmark, first time", time["first"], openssl / time["first"]))
    return rows


def promised(what: str, seconds: float, promise: float, note: str = "") -> Row:
    """A row about a time that was promised."""
    return Row(what, seconds, "promised", promise, seconds / promise, "<= 1", note)


def looked_up(which: str, *arguments: str, home: Path) -> dict[str, float]:
    """What peers/crl_lookup.py measures in a process of its own."""
    script = BIN.parent.parent / "bench" / "peers" / "crl_lookup.py"
    environment = {"PATH": "/usr/bin:/bin", "CHOPMARK_HOME": str(home)}
    done = subprocess.run(
        [PYTHON, str(script), which, *arguments], capture_output=True, env=environment, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise SystemExit(f"{which}: {done.stderr.decode(errors='replace')[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def made(count: int, named: bytes) -> bytes:
    """A list of the test world's issuing CA, with this serial number in the middle, as raw DER."""
    issuing = pki.world().issuing
    day = der.time(pki.SINCE)
    reason = der.sequence(der.sequence(der.oid(x509.CRL_REASON), der.octet_string(der.encode(der.ENUMERATED, b"\x01"))))

    def entry(serial: bytes) -> bytes:
        return der.sequence(der.encode(der.INTEGER, serial), day, reason)

    entries = [entry(b"\x01" + hashlib.sha256(number.to_bytes(4, "big")).digest()[:15]) for number in range(count)]
    entries[count // 2] = entry(named)
    algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    listed = der.sequence(*entries)
    tbs = der.sequence(
        der.integer(1),
        algorithm,
        issuing.certificate.subject.public_bytes(),
        der.time(pki.NOW),
        der.time(pki.UNTIL),
        listed,
    )
    return der.sequence(tbs, algorithm, der.bit_string(issuing.sign(tbs, "sha256")))
