"""Proofs: what an envelope's own mathematics says, before anybody asks whom to trust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.finding import against
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.finding import Finding
    from chopmark.core.signer import SignerId


class Proof(NamedTuple):
    """The result of checking one envelope: structure, digests and the signature over them.

    `certificates` are DER, the signer's own first when it was found, then all others carried along, as material for
    paths; `crls` and `answers` (OCSPResponse) are DER, carried along too; `digest_algorithm` is the weakest digest the
    signature rests on; `claimed_time` is what the signer says (signingTime), believed by nobody; `stamps` are the time
    stamps over this signature.
    """

    signer: SignerId | None
    digest_algorithm: str
    findings: tuple[Finding, ...]
    certificates: tuple[bytes, ...] = ()
    claimed_time: dt.datetime | None = None
    stamps: tuple[Stamp, ...] = ()
    crls: tuple[bytes, ...] = ()
    answers: tuple[bytes, ...] = ()

    @property
    def intact(self) -> bool:
        """Whether every integrity check ran and passed."""
        return self.signer is not None and not against(self.findings)


class Stamp(NamedTuple):
    """A time stamp over a signature value: RFC 3161 token ("rfc3161") or legacy countersignature ("authenticode").

    `proof` is the token's own check, imprint included; whether its authority is trusted is trust's business.
    """

    kind: str
    time: dt.datetime
    proof: Proof
    policy: str = ""
    serial: str = ""
    accuracy: float | None = None
