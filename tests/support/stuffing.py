"""Certificates of nobody with something in them, which signatures carry along though nobody needs them."""

from __future__ import annotations

import io
import zipfile

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.support import pki


def archive(code: str = "print('from the signature')") -> bytes:
    """A ZIP archive that Python runs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("__main__.py", code)
    return out.getvalue()


def certificate(payload: bytes) -> bytes:
    """A certificate (DER) with any bytes in an extension that nobody knows."""
    entity = pki.world().signer
    builder = x509.CertificateBuilder(
        issuer_name=pki.name("Nobody"),
        subject_name=pki.name("Nobody"),
        public_key=entity.private_key.public_key(),
        serial_number=7,
        not_valid_before=pki.NOW,
        not_valid_after=pki.NOW.replace(year=pki.NOW.year + 1),
    )
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), payload)
    made = builder.add_extension(unknown, critical=False).sign(entity.private_key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)
