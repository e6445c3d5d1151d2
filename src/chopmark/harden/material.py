"""What rules stand for on a host: the certificates of signers, and files at hand.

A policy names keys, roots and stores; kernels and Windows are given certificates. A policy names files by SHA-256;
others know them by fs-verity or Authenticode digests, which only the file itself tells.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy.facts import EXEC, GOOD, UNCHECKED, SealFacts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.envelopes.x509 import Certificate
    from chopmark.policy.facts import FileFacts
    from chopmark.policy.state import State
    from chopmark.trust.context import Context

PURPOSE = "code-signing"
_PE = "pe"


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


class AtHand(NamedTuple):
    """A file: what rules look at, its size in bytes, how it is used as far as it shows, and other digests of it.

    `image` is the SHA-256 by which Windows knows it (that of Authenticode for a PE image), `verity` the fs-verity
    digest with the usual parameters (SHA-256, blocks of 4096 bytes, no salt).
    """

    file: FileFacts
    size: int
    kind: str
    image: bytes
    verity: bytes


class Material(NamedTuple):
    """Everything at hand."""

    identities: tuple[Identity, ...] = ()
    files: tuple[AtHand, ...] = ()


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


def at_hand(path: str, context: Context, root: str, state: State | None) -> AtHand | None:
    """A file of a tree that stands for /; None for what cannot be read, or is no code. Raises UsageError."""
    from chopmark.core.artifact import Artifact, UnreadableError
    from chopmark.engine import check
    from chopmark.engine.policing import facts
    from chopmark.formats._verity import fsverity

    try:
        with Artifact.open(path) as artifact:
            verdict = check.check(artifact, context)
            kind = facts.kind_of(artifact, verdict.format) or (EXEC if os.access(path, os.X_OK) else "")
            if not (kind and verdict.format):
                return None
            [verity] = fsverity.digests(artifact.view, [fsverity.Parameters()])
            file = facts.of_file(artifact, verdict, state, root)
            return AtHand(file, artifact.view.size, kind, _image(artifact, file), verity)
    except (UnreadableError, MalformedError):
        return None


def _image(artifact: Artifact, file: FileFacts) -> bytes:
    """For a PE image what a signature would be over, as signing does not change it. Raises MalformedError."""
    from chopmark.core.contracts import SealOptions
    from chopmark.engine import identify

    if file.format != _PE:
        return bytes.fromhex(file.sha256)
    pe = identify.formats()[_PE]
    [payload] = pe.digest(artifact, [pe.recipe(artifact, SealOptions())])
    return payload.value


def _is_authority(certificate: Certificate) -> bool:
    constraints = certificate.basic_constraints
    return constraints is not None and constraints.ca
