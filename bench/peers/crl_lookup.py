"""One look-up in a large revocation list: `crl_lookup.py chopmark|asn1crypto|cryptography LIST ISSUER SIGNER [CACHE]`.

Checks the signature, looks the signer up, and looks somebody else up a thousand times. Prints seconds and peak memory
as JSON; `first` is everything from opening the file to the first answer, `next` one look-up after that.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


MODULES = {
    "chopmark": ("chopmark.trust.crl.origins", "chopmark.core.patch"),
    "asn1crypto": ("asn1crypto.crl", "cryptography.hazmat.primitives.asymmetric.ec"),
    "cryptography": ("cryptography.x509",),
}
"""Loaded before the clock runs."""


def chopmark(path: str, issuer: bytes, signer: bytes, cache: str) -> Callable[[], object]:
    """The list with its index, in the cache if it is there."""
    from chopmark.envelopes import x509
    from chopmark.trust.crl import origins

    leaf = x509.certificate(signer)
    [found] = origins.CrlSource([path], cache=cache).by_issuer(x509.name_key(leaf.issuer))
    found.check_signature(x509.certificate(issuer))
    assert found.find(leaf) is not None
    other = x509.certificate(issuer)
    return lambda: found.find(other)


def asn1crypto(path: str, issuer: bytes, signer: bytes, _: str) -> Callable[[], object]:
    """Every entry is decoded until the number is found."""
    from asn1crypto import crl, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    found = crl.CertificateList.load(Path(path).read_bytes())
    key: Any = serialization.load_der_public_key(x509.Certificate.load(issuer).public_key.dump())
    key.verify(found["signature"].native, found["tbs_cert_list"].dump(), ec.ECDSA(hashes.SHA256()))
    entries = found["tbs_cert_list"]["revoked_certificates"]

    def named(serial: int) -> bool:
        return any(entry["user_certificate"].native == serial for entry in entries)

    assert named(x509.Certificate.load(signer).serial_number)
    return lambda: named(1)


def cryptography(path: str, issuer: bytes, signer: bytes, _: str) -> Callable[[], object]:
    """Its own CRL object, which walks the entries."""
    from cryptography import x509

    found = x509.load_der_x509_crl(Path(path).read_bytes())
    assert found.is_signature_valid(x509.load_der_x509_certificate(issuer).public_key())  # type: ignore[arg-type]
    assert found.get_revoked_certificate_by_serial_number(x509.load_der_x509_certificate(signer).serial_number)
    return lambda: found.get_revoked_certificate_by_serial_number(1)


def peak() -> float:
    """MiB at most so far; what getrusage says begins with the process that started this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024


def main() -> None:
    """Measure one of the three."""
    which, path, issuer, signer, *cache = sys.argv[1:]
    read = {"chopmark": chopmark, "asn1crypto": asn1crypto, "cryptography": cryptography}[which]
    for module in MODULES[which]:
        importlib.import_module(module)
    began = time.perf_counter()
    again = read(path, Path(issuer).read_bytes(), Path(signer).read_bytes(), *(cache or [""]))
    first = time.perf_counter() - began
    count = 1000 if which == "chopmark" else 1
    began = time.perf_counter()
    for _ in range(count):
        again()
    following = (time.perf_counter() - began) / count
    json.dump({"first": first, "next": following, "peak_mib": peak()}, sys.stdout)


if __name__ == "__main__":
    main()
