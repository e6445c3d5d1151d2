"""Every limit, named once. Sizes in bytes, times in seconds, the rest counts.

A limit protects the verifier from the artifact: what exceeds one is refused with a finding, never attempted.
"""

from __future__ import annotations

KIB = 1024
MIB = 1024 * KIB

# Reading
READ_CHUNK = MIB
"""One read; memory stays a small multiple of this however large the artifact is."""
DETECT_HEAD = 4 * KIB
"""What a format sees of a file when it is asked whether this is its own."""

# Envelopes
ENVELOPE_MAX = 16 * MIB
"""One signature envelope. The largest real ones (page hashes of a 500 MB image) stay under this."""
DER_DEPTH_MAX = 32
CERTIFICATES_MAX = 64
"""Certificates carried by one envelope."""
SIGNERS_MAX = 16
NESTED_MAX = 8
"""Nested signatures in one envelope, over all levels."""
UNSIGNED_ATTRIBUTES_MAX = 64 * KIB
"""Unauthenticated attributes other than time stamps and nested signatures."""
RSA_BITS_MAX = 16384
RSA_BITS_MIN = 2048

# Text formats
SCRIPT_MAX = 64 * MIB
"""A script or PowerShell file: read whole, so bounded."""

# Paths
PATH_LENGTH_MAX = 10
PATHS_TRIED_MAX = 64
SIGNATURE_CHECKS_MAX = 128

# Revocation
CRL_MAX = 128 * MIB

# Network
HTTP_TIMEOUT = 10.0
HTTP_REDIRECTS_MAX = 3
HTTP_BODY_MAX = 32 * MIB
