"""A certificate believed or not: its path and, when that is good, its standing with those who can revoke it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.finding import Finding, Outcome
from chopmark.core.named import NamedTuple
from chopmark.envelopes import x509
from chopmark.trust import revocation
from chopmark.trust.paths import path
from chopmark.trust.stores.anchors import purpose_oid

if TYPE_CHECKING:
    from chopmark.trust.context import Context
    from chopmark.trust.moment import Moment


class Carried(NamedTuple):
    """What came along with a signature: DER certificates, CRLs and OCSP answers."""

    certificates: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    answers: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(map(len, (*self.certificates, *self.crls, *self.answers)))


class Belief(NamedTuple):
    """The path, whether it is good, and every finding about it and its revocation."""

    path: path.Path
    findings: tuple[Finding, ...]

    @property
    def against(self) -> list[Finding]:
        """What speaks against it."""
        return [finding for finding in self.findings if finding.outcome is Outcome.NO]


def believe(leaf: x509.Certificate, carried: Carried, purpose: str, moment: Moment, context: Context) -> Belief:
    """Judge a certificate for a purpose at a moment; what was found once is remembered for the time it holds."""
    if len(leaf.raw) + carried.size > limits.JUDGED_SIZE_KEPT_MAX:
        return _believe(leaf, carried, purpose, moment, context)
    key = (leaf.raw, carried, purpose)
    above = (leaf.issuer, leaf.extensions.get(x509.AUTHORITY_KEY_ID), carried, purpose)
    return context.remembered(key, moment, lambda: _believe(leaf, carried, purpose, moment, context, above))


def _believe(
    leaf: x509.Certificate, carried: Carried, purpose: str, moment: Moment, context: Context, above: object = None
) -> Belief:
    """Likewise. `above` is what signers have in common that the same authorities may be good for; None for nothing."""
    known = context.way(above) if above is not None else None
    material = path.Material(context.store, carried.certificates, context.issuers, context.demands, known)
    asked: dict[tuple[x509.Certificate, ...], list[Finding]] = {}

    def settles(way: path.Path) -> bool:
        """Ask about revocation; another way can help when an authority is concerned, but not the signer itself."""
        # Only now: whoever is not trusted must not make us fetch from addresses of their choice.
        found = revocation.check(
            way.certificates,
            moment,
            context,
            carried.crls,
            certificates=carried.certificates,
            answers=carried.answers,
            stamp=purpose == "time-stamping",
        )
        asked[way.certificates] = found
        if context.collector is not None:
            context.collector.certificates(way.certificates)
        problems = [each.subject for each in found if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        if not problems and above is not None:
            context.keep_way(above, way)
        return not problems or leaf.subject_text in problems

    way = path.find(leaf, purpose_oid(purpose), moment, material, settles)
    if context.collector is not None:
        context.collector.certificates(way.certificates)
    blocked: list[Finding] = []
    if context.blocklists:
        from chopmark.trust.blocklists import blocklist  # hardly anybody has one

        blocked = blocklist.certificate_findings(context.blocklists, way.certificates)
    return Belief(way, (*way.findings, *blocked, *asked.get(way.certificates, ())))
