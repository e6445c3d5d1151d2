"""What rules stand for on a host: the certificates of signers, and files at hand.

A policy names keys, roots and stores; kernels and Windows are given certificates. A policy names files by SHA-256;
others know them by fs-verity or Authenticode digests, which only the file itself tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.finding import Outcome
from chopmark.core.verdict import Status
from chopmark.policy.facts import GOOD, UNCHECKED, SealFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.envelopes.x509 import Certificate
    from chopmark.trust.context import Context

PURPOSE = "code-signing"


class Identity(NamedTuple):
    """A signer's certificate, and what rules look at in a signature that leads to it.

    `problem` says why the policy's stores do not believe it (empty: they do); `path` is the way to what they believe,
    the signer's own first.
    """

    certificate: Certificate
    seal: SealFacts
    path: tuple[Certificate, ...]
    problem: str = ""

    @property
    def believed(self) -> bool:
        """Whether a signature that leads to it is trusted."""
        return not self.problem


class Material(NamedTuple):
    """Everything at hand."""

    identities: tuple[Identity, ...] = ()


def identities(certificates: Iterable[bytes], context: Context) -> tuple[Identity, ...]:
    """Judge the certificates of signers as of now; CAs among them only help to find ways. Raises MalformedError."""
    from chopmark.envelopes import x509

    read = [x509.certificate(raw) for raw in dict.fromkeys(certificates)]
    carried = tuple(each.raw for each in read)
    found = [_judged(each, carried, context) for each in read if not _is_authority(each)]
    return tuple(sorted(found, key=lambda each: each.certificate.sha256))


def _judged(certificate: Certificate, carried: Sequence[bytes], context: Context) -> Identity:
    from chopmark.trust.belief import Carried, believe
    from chopmark.trust.moment import Moment

    belief = believe(certificate, Carried(tuple(carried), ()), PURPOSE, Moment(context.at), context)
    against = [each for each in belief.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    path = belief.path
    problem = "" if path.trusted and not against else against[0].code if against else "path.untrusted"
    asked = {each.code for each in belief.findings if each.code.startswith("revocation.")}
    seal = SealFacts(
        scheme="x509",
        status=Status.UNDECIDED if problem else Status.TRUSTED,
        kind="x509",
        subject=certificate.subject_text,
        key=certificate.key_sha256,
        certificate=certificate.sha256,
        authorities=tuple(each.as_authority for each in path.certificates[1:]),
        purposes=certificate.extended_key_usage or (),
        store=path.anchor.store if path.anchor else "",
        revocation=GOOD if asked == {"revocation.good"} else UNCHECKED,
    )
    return Identity(certificate, seal, path.certificates, problem)


def _is_authority(certificate: Certificate) -> bool:
    constraints = certificate.basic_constraints
    return constraints is not None and constraints.ca
