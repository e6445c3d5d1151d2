"""Who signs: keys made anew in each run, and certificates. Firmware and kernel are asked about each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support import pki

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path


class Identity(NamedTuple):
    """A key and its certificate, as files."""

    entity: pki.Entity
    key: Path
    certificate: Path
    """PEM."""
    der: Path

    @property
    def options(self) -> tuple[str | Path, ...]:
        """What the command line needs to sign as this one."""
        return ("--key", self.key, "--cert", self.certificate)


def _rsa() -> pki.Key:
    # Not the key of tests.support.pki, which is the same for everybody: a stranger has to be one.
    return rsa.generate_private_key(65537, 2048)


def authority(folder: Path, name: str) -> Identity:
    """A self-signed CA."""
    extensions = (
        pki.Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        pki.Extension(pki.key_usage("key_cert_sign", "crl_sign", "digital_signature"), critical=True),
    )
    return _kept(folder, name, pki.issue(pki.name(f"Example {name}"), _rsa(), None, extensions))


def signer(
    folder: Path,
    name: str,
    issuer: Identity | None = None,
    *,
    private_key: pki.Key | None = None,
    until: dt.datetime = pki.UNTIL,
) -> Identity:
    """A signer below `issuer`, or self-signed."""
    extensions = (
        pki.Extension(pki.key_usage("digital_signature"), critical=True),
        pki.Extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])),
    )
    above = issuer.entity if issuer else None
    made = pki.issue(pki.name(f"Example {name}"), private_key or _rsa(), above, extensions, until=until)
    return _kept(folder, name, made)


def _kept(folder: Path, name: str, entity: pki.Entity) -> Identity:
    folder.mkdir(exist_ok=True)
    stem = folder / name.lower().replace(" ", "-")
    made = Identity(entity, stem.with_suffix(".key"), stem.with_suffix(".pem"), stem.with_suffix(".der"))
    made.key.touch(0o600)
    made.key.write_bytes(entity.private_pem())
    made.certificate.write_bytes(entity.pem)
    made.der.write_bytes(entity.der)
    return made
