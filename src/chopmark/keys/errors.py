"""What can be wrong with a key."""

from __future__ import annotations

from chopmark.core.errors import UsageError


class UnusableKeyError(UsageError):
    """There is something, but not a private key that chopmark signs with."""


class PassphraseError(UnusableKeyError):
    """The passphrase is wrong, or there is nowhere to get it from."""
