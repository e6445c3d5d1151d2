"""Trust anchors: certificates that somebody decided to believe, and how far."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import clock
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust.stores import reasons

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.finding import Finding
    from chopmark.trust.moment import Moment
    from chopmark.trust.paths.names import Subtrees

PURPOSES = {
    "code-signing": x509.EKU_CODE_SIGNING,
    "time-stamping": x509.EKU_TIME_STAMPING,
    "module-signing": x509.EKU_MODULE_SIGNING,
    "secure-boot": x509.EKU_SECURE_BOOT,
    "any": "",
}
"""What a certificate can be asked to be for, and the extended key usage that says so."""

KERNEL_SIDE = frozenset({x509.EKU_MODULE_SIGNING, x509.EKU_SECURE_BOOT})
"""Kernel modules and images for firmware: code signing permits both, and a signer who names no purpose at all does."""


def purpose_oid(purpose: str) -> str:
    """The dotted identifier of a purpose by name, or itself; empty for any. Raises UsageError."""
    if purpose in PURPOSES:
        return PURPOSES[purpose]
    if re.fullmatch(r"[0-2](\.[0-9]{1,20}){1,20}", purpose):
        return purpose
    known = ", ".join(PURPOSES)
    message = f"unknown purpose {purpose!r} (known: {known}, or a dotted object identifier)"
    raise UsageError(message)


@lru_cache(maxsize=64)
def saying(oid: str) -> frozenset[str]:
    """The extended key usages that permit a purpose: code signing includes those of KERNEL_SIDE."""
    return frozenset({oid, x509.EKU_CODE_SIGNING} if oid in KERNEL_SIDE else {oid})


def purpose_name(oid: str) -> str:
    """The name of a purpose for people; the identifier itself where there is none."""
    return next((name for name, known in PURPOSES.items() if known == oid and known), oid)


class Constraints(NamedTuple):
    """How far an anchor is trusted.

    `purposes` are extended key usages (None: all), `refused_purposes` never hold. A signature counts only if it was
    time-stamped strictly before `disallowed_after`. A signer's certificate counts only if it was issued before
    `issued_before`, where that is for its purpose: `issued_before_purposes` (None: for all). Names below it lie within
    `permitted_names`, where there are some of their form, and outside of `excluded_names` (see name_limits). With
    `identities` it vouches for identities of OpenID Connect (see trust.identities) and for nobody else.
    """

    purposes: frozenset[str] | None = None
    refused_purposes: frozenset[str] = frozenset()
    disallowed_after: dt.datetime | None = None
    issued_before: dt.datetime | None = None
    issued_before_purposes: frozenset[str] | None = None
    permitted_names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()
    identities: bool = False

    @property
    def name_limits(self) -> Subtrees | None:
        """The trees of `permitted_names` and `excluded_names`, if there are any. Raises UsageError."""
        if not self.permitted_names and not self.excluded_names:
            return None
        from chopmark.trust.paths import name_limits  # hardly any store has such limits

        return name_limits.subtrees(self.permitted_names, self.excluded_names)

    def check(self, leaf: x509.Certificate, oid: str, moment: Moment) -> list[Finding]:
        """What speaks against a path that ends here, for the purpose `oid` (empty: any) at that moment."""
        findings = []
        permitting = saying(oid)
        if oid and (
            not permitting.isdisjoint(self.refused_purposes)
            or (self.purposes is not None and permitting.isdisjoint(self.purposes))
        ):
            findings.append(reasons.STORE_PURPOSE.found(purpose_name(oid)))
        if self.disallowed_after is not None and not (
            moment.surely_before(self.disallowed_after) or (not moment.proven and moment.before(self.disallowed_after))
        ):
            findings.append(reasons.STORE_DISALLOWED.found(f"since {clock.show(self.disallowed_after)}"))
        of_purposes = self.issued_before_purposes
        concerned = of_purposes is None or not oid or not permitting.isdisjoint(of_purposes)
        if self.issued_before is not None and concerned and leaf.not_before >= self.issued_before:
            findings.append(
                reasons.STORE_ISSUED_LATE.found(
                    f"issued {clock.show(leaf.not_before)}, trusted when before {clock.show(self.issued_before)}"
                )
            )
        return findings


UNCONSTRAINED = Constraints()


class Anchor(NamedTuple):
    """A certificate that a store trusts: under which constraints, by which store, and from when that store is."""

    certificate: x509.Certificate
    constraints: Constraints
    store: str
    label: str = ""
    as_of: dt.datetime | None = None
