"""`awskms:///KEY-ID`, `awskms:///alias/NAME`, `awskms:///ARN`: a key of AWS KMS, as cosign and others name it.

Parameters: `region`, `profile`, `credentials=metadata`, and `padding` as for `file:`. A host after `//` is another
endpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.core.contracts import Signer, Web
    from chopmark.keys.uri import KeyUri


def open_far_key(uri: KeyUri, web: Web) -> Signer:
    """Open a key of AWS KMS. Raises UsageError (UnusableKeyError), UnavailableError."""
    from chopmark.keys.kms import aws

    return aws.open_key(uri, web)
