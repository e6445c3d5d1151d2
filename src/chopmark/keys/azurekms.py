"""`azurekms://VAULT.vault.azure.net/KEY/VERSION`: a key of Azure Key Vault or a Managed HSM.

The version may be left out: it is the newest when the key is opened. Parameters: `credentials=metadata` and `padding`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer, Web
    from chopmark.keys.uri import KeyUri


def open_far_key(uri: KeyUri, web: Web) -> Signer:
    """Open a key of Azure Key Vault. Raises UsageError (UnusableKeyError), UnavailableError."""
    from chopmark.keys.kms import azure

    return azure.open_key(uri, web)
