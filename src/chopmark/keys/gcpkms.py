"""`gcpkms://projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/N`: a key of Google Cloud KMS.

The version may be left out where only one is enabled. Parameters: `credentials=metadata`, `endpoint`, and `padding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer, Web
    from chopmark.keys.uri import KeyUri


def open_far_key(uri: KeyUri, web: Web) -> Signer:
    """Open a key of Google Cloud KMS. Raises UsageError (UnusableKeyError), UnavailableError."""
    from chopmark.keys.kms import google

    return google.open_key(uri, web)
