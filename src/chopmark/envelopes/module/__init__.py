"""Signatures of kernel modules: CMS over the content itself, without signed attributes and without certificates.

Everywhere else signed attributes are required (ADR 0041); the kernel refuses them in modules. What is read and made
here is therefore a scheme of its own, and nothing but kernel modules is checked by it (ADR 0100).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes.module.envelope import Certificates, ModuleEnvelope

if TYPE_CHECKING:
    from chopmark.envelopes.module.building import BareDraft, draft, resume

__all__ = ["BareDraft", "Certificates", "ModuleEnvelope", "draft", "envelope_in", "resume"]


def envelope_in(raw: bytes) -> ModuleEnvelope:
    """The signature in DER. Raises BrokenError, DerError or UnsupportedError (all MalformedError)."""
    from chopmark.core.errors import BrokenError
    from chopmark.envelopes import cms
    from chopmark.envelopes.module import reasons

    signed = cms.read(raw)
    if len(signed.signers) != 1:
        raise BrokenError(reasons.SIGNERS, f"{len(signed.signers)}")
    return ModuleEnvelope(signed)


def __getattr__(name: str) -> object:
    """What only signers need is loaded when it is asked for."""
    if name not in __all__:
        raise AttributeError(name)
    from chopmark.envelopes.module import building

    return getattr(building, name)
