"""Signing one artifact: digest, key, envelope, time stamp, embed; at once or in two steps."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol

from chopmark.core import clock, limits
from chopmark.core import digest as digests
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.core.reasons import CATALOG
from chopmark.engine import abreast, check, elsewhere, identify
from chopmark.engine.preview import patched
from chopmark.envelopes import cms, module, pem, timestamp, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Generator, Sequence

    from chopmark.core.contracts import Content, Countersigner, Format, Signer, Stamper
    from chopmark.core.patch import Patch

_STAMP_ATTRIBUTES = {"authenticode": timestamp.MICROSOFT_ATTRIBUTE, "cms": timestamp.RFC3161_ATTRIBUTE}
_TWO_STEPS = "cannot be signed in two steps"
_PARTICULAR = {
    name: usual for name, usual in SealOptions._field_defaults.items() if name not in ("digest_algorithm", "append")
}
"""The options that only some formats heed, and what they are when nobody asks."""


class SignRequest(NamedTuple):
    """How to sign: who, with which certificates (DER, the signer's first), what options, when, stamped by whom.

    `signing_time` goes into the signature as the signer's own word and is what the certificate's validity is held
    against; `countersigner` stamps as Authenticode did before RFC 3161, and goes with nothing else; `format_name`
    overrides detection.
    """

    signer: Signer
    certificates: tuple[bytes, ...]
    signing_time: dt.datetime
    options: SealOptions = SealOptions()
    stamper: Stamper | None = None
    format_name: str = ""
    countersigner: Countersigner | None = None


class Signed(NamedTuple):
    """What signing came to: the format, the envelope that was put in, and the patch that puts it there."""

    format: Format
    envelope: bytes
    patch: Patch
    prepared: Artifact


def preflight(request: SignRequest) -> x509.Certificate:
    """Refuse what would not verify: no certificate, another key's, out of its validity, not for code signing."""
    if not request.certificates:
        kinds = identify.formats().items()
        bare = ", ".join(name for name, each in kinds if identify.keeps_beside(each) and not _is_certified(each))
        message = (
            "no certificate: give --cert, or a key that brings its own (PKCS #12); "
            f"a key alone is enough for --format {bare}"
        )
        raise UsageError(message)
    certificate = x509.certificate(request.certificates[0])
    if certificate.spki != request.signer.public_key:
        message = f"the certificate {certificate.subject_text} belongs to another key (chopmark key show says which)"
        raise RefusedError(message)
    if not certificate.not_before <= request.signing_time <= certificate.not_after:
        since, until, at = map(clock.show, (certificate.not_before, certificate.not_after, request.signing_time))
        message = f"the certificate {certificate.subject_text} is valid from {since} to {until}, not at {at}"
        raise RefusedError(message)
    purposes = certificate.extended_key_usage
    if purposes is not None and x509.EKU_CODE_SIGNING not in purposes:
        message = f"the certificate {certificate.subject_text} is not for code signing"
        raise RefusedError(message)
    if request.options.digest_algorithm not in digests.SIGNING_ALGORITHMS:
        message = f"new signatures use {', '.join(digests.SIGNING_ALGORITHMS)}"
        raise UsageError(message)
    return certificate


def certified(format_name: str) -> bool:
    """Whether the format of this name (empty: whatever is detected) is signed with certificates, not with bare keys."""
    format_ = identify.known(format_name)
    return format_ is None or _is_certified(format_)


def takes_bare_key(path: str) -> bool:
    """Whether the file shows a format that is signed with a key alone; not of what cannot be looked at."""
    try:
        with Artifact.open(path) as artifact:
            return not _is_certified(identify.identify(artifact))
    except ChopmarkError:
        return False  # whoever signs it says what is wrong


def _is_certified(format_: Format) -> bool:
    return bool(getattr(format_, "certified", True))


class Draft(Protocol):
    """A signature that lacks nothing but what the key makes over `to_be_signed`."""

    to_be_signed: bytes
    digest_algorithm: str

    def finish(self, signature: bytes) -> bytes:
        """The envelope (DER). Raises RefusedError when the signature is not the signer's."""


def draft(artifact: Artifact, request: SignRequest) -> tuple[Format, Artifact, Draft]:
    """The first half: everything up to the bytes that the key signs (`draft.to_be_signed`).

    Raises UsageError for a format that is not signed in two steps.
    """
    _require_certified(identify.identify(artifact, request.format_name), _TWO_STEPS)
    format_, prepared, content = abreast.alone(_content(artifact, request))
    return format_, prepared, _drafted(format_, content, request)


def _drafted(format_: Format, content: Content, request: SignRequest) -> Draft:
    drafting = _drafting(format_.envelope)
    made: Draft = drafting.draft(content, request.signer, request.certificates, signing_time=request.signing_time)
    return made


def preload(path: str, request: SignRequest) -> None:
    """Load what it takes to sign files like this one, before processes are forked that all need it."""
    try:
        with Artifact.open(path) as artifact:
            if artifact.view.size <= limits.READ_WHOLE_MAX:
                draft(artifact, request)
    except ChopmarkError:
        return  # whoever signs it says what is wrong


def sign(artifact: Artifact, request: SignRequest) -> Signed:
    """Sign an artifact; nothing is written. Raises what the format, key or time-stamp authority raises."""
    return abreast.alone(stages(artifact, request))


def stages(artifact: Artifact, request: SignRequest) -> Generator[int, None, Signed]:
    """`sign`, stopping after each stage (engine.abreast)."""
    format_, prepared, content = yield from _content(artifact, request)
    if not _is_certified(format_):
        return _sealed(format_, prepared, content, request)
    made = _drafted(format_, content, request)
    yield 0
    signature = request.signer.sign(made.to_be_signed, made.digest_algorithm)
    yield 0
    envelope = made.finish(signature)
    yield 0
    return _embedded(format_, prepared, request, envelope, signature)


def side_by_side(request: SignRequest) -> bool:
    """Whether several files may be under way together: nobody is waited for, so what was begun is soon written."""
    waits = request.stamper or request.countersigner or not getattr(request.signer, "at_hand", False)
    return not waits


def attach(artifact: Artifact, request: SignRequest, to_be_signed: bytes, signature: bytes) -> Signed:
    """The second half, elsewhere's signature in hand: it must be over `to_be_signed`, and that over this artifact."""
    _require_certified(identify.identify(artifact, request.format_name), _TWO_STEPS)
    format_, prepared, content = abreast.alone(_content(artifact, request))
    made: Draft = _drafting(format_.envelope).resume(content, to_be_signed, request.certificates)
    return _embedded(format_, prepared, request, made.finish(signature), signature)


def complete(given: bytes) -> bytes | None:
    """The DER of a complete CMS / PKCS #7 signature (PEM or DER); None when the bytes are something else."""
    try:
        raw = pem.cms(given)
        cms.read(raw, allow_ber=True)
    except MalformedError:
        return None
    return raw


def attach_envelope(
    artifact: Artifact,
    envelope: bytes,
    options: SealOptions,
    format_name: str = "",
    certificates: Sequence[bytes] = (),
) -> Signed:
    """Put a complete envelope (made before, or elsewhere) into the artifact it was made for.

    `certificates` (DER) are looked at where it does not carry the signer's. Raises RefusedError when it was made for
    another, or its signature does not hold.
    """
    format_ = identify.identify(artifact, format_name)
    _require_certified(format_, "takes no CMS signature")
    _heeding(format_, options)
    prepared = _prepared(format_, artifact, options)
    signed = Signed(format_, envelope, format_.embed(prepared, envelope, options), prepared)
    _must_hold(signed, certificates)
    return signed


@cache
def _drafting(envelope: str) -> Any:  # noqa: ANN401 - a module
    """What makes drafts of an envelope: its own module, or that of all CMS."""
    own = import_module(f"chopmark.envelopes.{envelope}")
    return own if "draft" in own.__all__ else cms


def _require_certified(format_: Format, otherwise: str) -> None:
    if not _is_certified(format_):
        message = f"{format_.name} {otherwise}"
        raise UsageError(message)


def _sealed(format_: Format, prepared: Artifact, content: Content, request: SignRequest) -> Signed:
    """Sign with a bare key: the envelope knows what that takes."""
    seal: Callable[..., bytes] = import_module(f"chopmark.envelopes.{format_.envelope}").seal
    envelope = seal(content, request.signer, request.signing_time, request.options)
    return Signed(format_, envelope, format_.embed(prepared, envelope, request.options), prepared)


def _must_hold(signed: Signed, certificates: Sequence[bytes]) -> None:
    """Check the integrity of every signature in what would be written."""
    preview = patched(signed.prepared, signed.patch)
    owned, against = check.seals_of(preview, signed.format, alone=True)
    for (_, seal), payloads in zip(owned, check.payloads_of(preview, owned), strict=True):
        proof = check.proof_of(seal, payloads, module.Certificates(certificates))
        found = (*seal.findings, *check.content_findings(seal, payloads), *proof.findings)
        against += [finding for finding in found if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    if against:
        reason = CATALOG[against[0].code]
        message = f"{preview.name}: not attached: {reason.sentence} [{reason.code}]"
        raise RefusedError(message)


def write(
    artifact: Artifact,
    signed: Signed,
    target: str | None = None,
    *,
    settled: bool = True,
    group: patches.Group | None = None,
) -> str:
    """Apply the patch of a signature atomically; the path written (`settled` and `group` as in patch.apply)."""
    if artifact.view.changed():
        message = f"{artifact.name}: it changed while it was being signed; nothing was written"
        raise RefusedError(message)
    return patches.apply(signed.patch, signed.prepared, target, settled=settled, group=group)


def stripped(artifact: Artifact, format_name: str = "") -> list[Patch]:
    """The patches that take every signature out, one for each file that they are in; empty when there is none."""
    format_ = identify.identify(artifact, format_name)
    found = [format_] if any(True for _ in format_.extract(artifact)) else []
    if not format_name and (hasattr(format_, "companion") or not found):
        found += identify.beside(artifact, format_)
    return [patch for each in found for patch in _strips(each, artifact)]


def _strips(format_: Format, artifact: Artifact) -> Sequence[Patch]:
    """One patch, or several of a format that keeps signatures in several places."""
    several: Callable[[Artifact], Sequence[Patch]] | None = getattr(format_, "strips", None)
    return several(artifact) if several else [format_.strip(artifact)]


def _prepared(format_: Format, artifact: Artifact, options: SealOptions) -> Artifact:
    """As a format that Prepares wants it; asking the protocol itself would take longer than reading the headers."""
    prepare: Callable[[Artifact, SealOptions], Artifact] | None = getattr(format_, "prepare", None)
    return prepare(artifact, options) if prepare else artifact


def _heeding(format_: Format, options: SealOptions) -> Format:
    """The format, if it can do all that is asked of it: what it would pass over in silence is refused."""
    for name, usual in _PARTICULAR.items():
        if getattr(options, name) != usual and name not in format_.options:
            message = f"--{name.replace('_', '-')} means nothing here ({format_.title})"
            raise UsageError(message)
    return format_


def _content(artifact: Artifact, request: SignRequest) -> Generator[int, None, tuple[Format, Artifact, Content]]:
    options = request.options
    format_ = _heeding(identify.identify(artifact, request.format_name), options)
    if not request.format_name:
        _require_no_signature(artifact)
        _require_fitting(artifact, format_, request)
    if request.stamper and format_.envelope not in _STAMP_ATTRIBUTES:
        message = f"{artifact.name}: its signature has no place for a time stamp ({format_.title})"
        raise UsageError(message)
    if request.countersigner and format_.envelope != "authenticode":
        message = f"{artifact.name}: the old time stamps are for Authenticode alone ({format_.title})"
        raise UsageError(message)
    prepared = _prepared(format_, artifact, options)
    recipe = format_.recipe(prepared, options)
    yield 0
    [payload] = format_.digest(prepared, [recipe])
    yield 0
    return format_, prepared, format_.content(prepared, payload, options)


def _require_fitting(artifact: Artifact, format_: Format, request: SignRequest) -> None:
    """A key alone for what is signed so, a certificate for everything else. Raises UsageError."""
    if _is_certified(format_):
        if not request.certificates:
            preflight(request)
    elif request.certificates:
        message = (
            f"{artifact.name}: it is signed with a key alone, without a certificate ({format_.title}); "
            "--format detached signs it beside"
        )
        raise UsageError(message)


def _require_no_signature(artifact: Artifact) -> None:
    """Who signs all files of a folder again would get signatures of signatures. Raises RefusedError."""
    of = elsewhere.signed_by(artifact.name)
    if of:
        message = f"{artifact.name}: it is called like a signature of {of}; --format says that it is to be signed"
        raise RefusedError(message)


def _require_sound(token: bytes, signature: bytes, envelope: str) -> None:
    """A token that our own verification would refuse must not get into a file."""
    stamp = timestamp.check(token, signature, critical_purpose=envelope != "authenticode")
    if not stamp.proof.intact:
        wrong = [finding.code for finding in stamp.proof.findings if finding.outcome in ("no", "unknown")]
        message = f"the time-stamp authority's token is not sound ({', '.join(wrong) or 'nobody signed it'})"
        raise RefusedError(message)


def _embedded(format_: Format, prepared: Artifact, request: SignRequest, envelope: bytes, signature: bytes) -> Signed:
    if request.stamper:
        token = request.stamper.stamp(signature, request.options.digest_algorithm)
        _require_sound(token, signature, format_.envelope)
        envelope = cms.add_unsigned(envelope, _STAMP_ATTRIBUTES[format_.envelope], token)
    if request.countersigner:
        found = request.countersigner.countersign(signature)
        envelope = cms.add_certificates(envelope, found.certificates)
        envelope = cms.add_unsigned(envelope, timestamp.COUNTERSIGNATURE_ATTRIBUTE, found.value)
    return Signed(format_, envelope, format_.embed(prepared, envelope, request.options), prepared)
