"""Signing what git gives to its signing programs, with a key of any kind: OpenPGP, X.509 with a certificate, or SSH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import RefusedError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.contracts import Content, SealOptions, Signer, Stamper

__all__ = ["LABEL", "NAMESPACE", "certified", "seal"]

NAMESPACE = "git"
"""What SSH signatures of git's are for (ssh-keygen -Y sign -n git)."""
LABEL = "SIGNED MESSAGE"
"""Of the armour around CMS, as gpgsm writes it and git knows it."""


def seal(content: Content, signer: Signer, signing_time: dt.datetime, options: SealOptions) -> bytes:
    """An armoured signature over `content.message`. Raises RefusedError for a key that fits no kind of signature."""
    message = content.message
    if message is None:
        raise RefusedError("git's signatures are made over the object itself")
    if getattr(signer, "openpgp", None) is not None:
        from chopmark.envelopes.openpgp.making import seal as openpgp_seal

        return openpgp_seal(content._replace(digest=message), signer, signing_time, options)
    from chopmark.core import digest
    from chopmark.envelopes.ssh import making, sshsig

    algorithm = content.digest_algorithm if content.digest_algorithm in sshsig.DIGESTS else "sha512"
    over = content._replace(digest_algorithm=algorithm, digest=digest.of(message, algorithm))
    return making.seal(over, signer, signing_time, options, namespace=NAMESPACE)


def certified(
    content: Content,
    signer: Signer,
    certificates: Sequence[bytes],
    signing_time: dt.datetime,
    stamper: Stamper | None = None,
) -> bytes:
    """A detached CMS signature in gpgsm's armour, time-stamped if there is somebody who does it.

    Raises RefusedError where certificate, key, digest or the stamp do not go together, UnavailableError for no stamp.
    """
    from chopmark.envelopes import cms, pem, timestamp

    made = cms.draft(content, signer, certificates, signing_time=signing_time)
    signature = signer.sign(made.to_be_signed, made.digest_algorithm)
    raw = made.finish(signature)
    if stamper is not None:
        token = stamper.stamp(signature, content.digest_algorithm)
        if not timestamp.check(token, signature).proof.intact:
            raise RefusedError("the time-stamp authority's token is not sound")
        raw = cms.add_unsigned(raw, timestamp.RFC3161_ATTRIBUTE, token)
    return pem.encode(LABEL, raw)
