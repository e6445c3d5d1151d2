"""`tpm2:handle=0x81010001` or `tpm2:file=key.pem`: a private key in a TPM 2.0.

The first is persistent in the TPM, the second a TSS2 PRIVATE KEY file that only the TPM that made it can load.
Parameters: `tcti` (`device:/dev/tpmrm0`, `swtpm:path=SOCKET`, `swtpm:port=2321`), else CHOPMARK_TCTI, else the kernel's
device; and `padding` as for `file:`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chopmark.keys import Listed
    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.tpm2.signer import TpmSigner
    from chopmark.keys.uri import KeyUri


def open_key(uri: KeyUri, passphrase: Passphrase) -> TpmSigner:
    """Open a key in a TPM. Raises UsageError (UnusableKeyError, PassphraseError), InputError, UnavailableError."""
    from chopmark.keys.tpm2 import signer

    return signer.open_key(uri, passphrase)


def make_key(uri: KeyUri, kind: str, existing: Passphrase, chosen: Passphrase) -> TpmSigner:  # noqa: ARG001 - contract
    """Make a key in the TPM, in a file or under a handle; `chosen` answers its auth value, None for an empty one.

    Raises UsageError, UnavailableError.
    """
    from chopmark.keys.tpm2 import making

    return making.make_key(uri, kind, chosen)


def list_keys(uri: KeyUri, passphrase: Passphrase) -> list[Listed]:  # noqa: ARG001 - public halves need none
    """The persistent keys of the TPM. Raises UsageError, UnavailableError."""
    from chopmark.keys.tpm2 import making

    return making.list_keys(uri)
