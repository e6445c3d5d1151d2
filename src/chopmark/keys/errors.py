"""What can be wrong with a key."""

from __future__ import annotations

from cryptography.exceptions import InternalError, UnsupportedAlgorithm

from chopmark.core.errors import UsageError

UNREADABLE = (ValueError, TypeError, UnsupportedAlgorithm, InternalError)
"""What cryptography says of private keys that it cannot read; the last where it is OpenSSL that finds them odd."""


class UnusableKeyError(UsageError):
    """There is something, but not a private key that chopmark signs with."""


class PassphraseError(UnusableKeyError):
    """The passphrase is wrong, or there is nowhere to get it from."""
