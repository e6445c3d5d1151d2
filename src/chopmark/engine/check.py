"""Checking one artifact: where formats, envelopes and trust meet."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import limits, reasons
from chopmark.core.artifact import Artifact, UnreadableError, read_small
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.finding import against
from chopmark.core.named import NamedTuple
from chopmark.core.proof import Proof
from chopmark.core.verdict import SealVerdict, Status, Verdict
from chopmark.engine import abreast, elsewhere, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from chopmark.core.contracts import Format, KeySource
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload, Recipe, Seal
    from chopmark.engine.blocking import Blocking
    from chopmark.envelopes.x509 import Certificate
    from chopmark.trust.context import Context

    _Stages = Generator[int, None, Verdict]


_CLAIMED = Proof._fields.index("claimed_time")


def check_path(path: str, context: Context, format_name: str = "") -> Verdict:
    """Judge the file at `path`. What cannot be opened or read becomes a finding, never an exception."""
    return abreast.alone(_of_path(path, context, format_name))


def check_paths(paths: Iterable[str], context: Context, format_name: str = "") -> Iterator[Verdict]:
    """`check_path` for many files, in their order; small ones are taken through the stages together."""
    return abreast.run(_of_path(path, context, format_name) for path in paths)


def _of_path(path: str, context: Context, format_name: str) -> _Stages:
    try:
        with Artifact.open(path) as artifact:
            yield artifact.view.size
            verdict = yield from _stages(artifact, context, format_name)
            if verdict.seals or verdict.status is not Status.UNSIGNED:
                return verdict
            return verdict._replace(findings=(*verdict.findings, *elsewhere.told_by_name(path)))
    except UnreadableError as error:
        return Verdict(path, "", (), (error.reason.found(error.detail),))


def check_with(path: str, signature: str, context: Context, format_name: str = "") -> Verdict:
    """`check_path` of a file by one signature that lies elsewhere, and no other. Raises InputError about that."""
    data = read_small(signature, limits.ENVELOPE_MAX)
    try:
        with Artifact.open(path) as artifact:
            format_, suffix = identify.of_signature(artifact, signature, data, format_name)
            artifact.have_beside(identify.suffixes_beside(), suffix, data)
            return check_as(artifact, format_, context, alone=True)
    except identify.AmbiguousError as error:
        return Verdict(path, "", (), (reasons.FORMAT_AMBIGUOUS.found(str(error)),))
    except UnreadableError as error:
        return Verdict(path, "", (), (error.reason.found(error.detail),))


def check(artifact: Artifact, context: Context, format_name: str = "") -> Verdict:
    """Judge an open artifact: every seal in it by itself, and what the format says of the whole.

    Raises UnreadableError when the artifact cannot be read, UsageError for an unknown format name; nothing else.
    """
    return abreast.alone(_stages(artifact, context, format_name))


def _stages(artifact: Artifact, context: Context, format_name: str) -> _Stages:
    try:
        format_ = identify.identify(artifact, format_name)
    except identify.AmbiguousError as error:
        return Verdict(artifact.name, "", (), (reasons.FORMAT_AMBIGUOUS.found(str(error)),))
    yield 0
    return (yield from _stages_as(artifact, format_, context, alone=bool(format_name)))


def check_as(
    artifact: Artifact, format_: Format, context: Context, own: Own | None = None, *, alone: bool = False
) -> Verdict:
    """`check`, where it is known which format it is. `own`, `alone`: as `seals_of`. Raises UnreadableError."""
    return abreast.alone(_stages_as(artifact, format_, context, own, alone=alone))


def _stages_as(
    artifact: Artifact, format_: Format, context: Context, own: Own | None = None, *, alone: bool
) -> _Stages:
    findings = [reasons.FORMAT_DETECTED.found(format_.title)]
    blocked = _blocked(artifact, format_, context)
    through, said = _vouched(artifact, context)
    seals: list[SealVerdict] = []
    try:
        found, broken = seals_of(artifact, format_, own, alone=alone)
        yield 0
        computed = payloads_of(artifact, found)
        yield 0
        for owned, payloads in zip(found, computed, strict=True):
            seals.append(judge_seal(owned.seal, payloads, context, blocked))
        findings += broken
        if not broken and not found and not through:
            findings += [reasons.SEAL_NONE.found(), *elsewhere.told(artifact.head())]
    except MalformedError as error:
        findings.append(_malformed(error))
    yield 0
    findings += examined(artifact)
    if blocked is not None:
        from chopmark.engine import blocking

        findings += blocked.findings
        if not blocking.named((*findings, *(each for seal in seals for each in seal.findings))):
            findings.append(blocking.clear(blocked))
    if context.logs and seals:
        from chopmark.engine import logged  # only who asks about logs

        findings += logged.findings(artifact, seals, context.logs)
    seals += through
    findings += said
    if artifact.view.changed():
        findings.append(reasons.INPUT_CHANGED.found())
    return Verdict(artifact.name, format_.name, tuple(seals), tuple(findings))


def _blocked(artifact: Artifact, format_: Format, context: Context) -> Blocking | None:
    if not context.blocklists:
        return None
    from chopmark.engine import blocking  # hardly anybody has a list

    return blocking.examine(artifact, format_, context.blocklists, context.at)


def _vouched(artifact: Artifact, context: Context) -> tuple[list[SealVerdict], list[Finding]]:
    """What signed lists of files say of this one: through the trusted ones that list it, else through the others."""
    if not context.vouchers:
        return [], []
    from chopmark.engine.catalog import consulting  # hardly anybody has one

    return consulting.consult(artifact, context.vouchers)


class Owned(NamedTuple):
    """A seal and the format that found it, which knows how to compute what it covers."""

    format: Format
    seal: Seal


class Own(NamedTuple):
    """The seals that a format finds, and what broke the search, if something did."""

    found: list[Owned]
    broken: list[Finding]


def seals_of(artifact: Artifact, format_: Format, own: Own | None = None, *, alone: bool = False) -> Own:
    """The seals of an artifact, its own and those beside it; `own` are those of `own_seals`, where they are known.

    When there are none in it, all formats that keep their signatures beside the file are asked; unless `alone`, which
    says that somebody asked for this format by name and found its own beside the file.
    """
    found, broken = own or own_seals(artifact, format_)
    own_beside = identify.keeps_beside(format_)
    if (own_beside and not alone) or not (own_beside or found or broken):
        for other in identify.beside(artifact, format_):
            more, wrong = own_seals(artifact, other)
            found += more
            broken += wrong
    return Own(found, broken)


def own_seals(artifact: Artifact, format_: Format) -> Own:
    """What a format itself finds. Raises UnreadableError."""
    found: list[Owned] = []
    try:
        for seal in format_.extract(artifact):
            found.append(Owned(format_, seal))  # noqa: PERF401 - what came before the break still counts
    except MalformedError as error:
        return Own(found, [_malformed(error)])
    return Own(found, [])


def examined(artifact: Artifact) -> list[Finding]:
    """What an artifact comes to when it is held to what it says of itself (core.contracts.Examines).

    By every format with a claim to it, however weak, whose ever its signatures are: it may be used as any of them.
    """
    findings: list[Finding] = []
    for format_ in identify.claiming(artifact):
        try:
            for finding in format_.examine(artifact):
                findings.append(finding)  # noqa: PERF402 - what came before the break still counts
        except MalformedError as error:
            findings.append(_malformed(error))
    return findings


def _malformed(error: MalformedError) -> Finding:
    """The rule that was broken, if the format says which."""
    if isinstance(error, BrokenError):
        return error.reason.found(error.detail)
    return reasons.FORMAT_MALFORMED.found(str(error))


def payloads_of(artifact: Artifact, found: Sequence[Owned]) -> list[list[Payload]]:
    """What every claim of every seal comes to; a format is given all its recipes at once, each only once."""
    if len(found) == 1:
        [(format_, seal)] = found  # the usual case, whose claims differ
        return [list(format_.digest(artifact, [claim.recipe for claim in seal.claims]) if seal.claims else ())]
    computed: dict[tuple[str, Recipe], Payload] = {}
    for format_ in dict.fromkeys(owned.format for owned in found):
        own = (owned.seal for owned in found if owned.format is format_)
        recipes = list(dict.fromkeys(claim.recipe for seal in own for claim in seal.claims))
        payloads = format_.digest(artifact, recipes) if recipes else ()
        computed |= zip([(format_.name, recipe) for recipe in recipes], payloads, strict=True)
    return [[computed[owned.format.name, claim.recipe] for claim in owned.seal.claims] for owned in found]


def judge_seal(
    seal: Seal, payloads: Sequence[Payload], context: Context, blocked: Blocking | None = None
) -> SealVerdict:
    """One seal: placement, content, signature, and then whom to believe."""
    own = (*seal.findings, *content_findings(seal, payloads))
    proof = proof_of(seal, payloads, context.store)
    if blocked is not None or proof.stamps or proof.signer is None:
        return _believed(seal, own, proof, context, blocked)
    # Without a stamp, signatures by one signer differ in what is signed, which `own` says matches or does not, and in
    # the time that the signer claims, which nobody believes.
    said = (seal.where, seal.envelope.scheme, seal.nested, seal.purpose, own, *proof[:_CLAIMED], *proof[_CLAIMED + 1 :])
    judged = context.judged(proof.signer.fingerprint, said)
    if judged is None:
        judged = _believed(seal, own, proof, context, None)
        if sum(map(len, (*proof.certificates, *proof.crls, *proof.answers))) <= limits.JUDGED_SIZE_KEPT_MAX:
            context.keep_judged(proof.signer.fingerprint, said, judged)
    return judged


def _believed(
    seal: Seal, own: tuple[Finding, ...], proof: Proof, context: Context, blocked: Blocking | None
) -> SealVerdict:
    from chopmark.trust import judge  # unsigned files need no trust

    judgement = judge.judge(proof, seal.purpose, context)
    refused = blocked.signers(seal, judgement.path) if blocked is not None else []
    return SealVerdict(
        where=seal.where,
        scheme=seal.envelope.scheme,
        intact=proof.intact and not against(own),
        digest_algorithm=proof.digest_algorithm,
        signer=judgement.identity or proof.signer,
        signed_at=judgement.signed_at,
        nested=seal.nested,
        findings=(*own, *proof.findings, *judgement.findings, *refused),
        authorities=tuple(each.as_authority for each in judgement.path[1:]),
        purposes=_purposes(judgement.path),
        store=judgement.store,
    )


def _purposes(path: Sequence[Certificate]) -> tuple[str, ...]:
    try:
        return (path[0].extended_key_usage or ()) if path else ()
    except MalformedError:
        return ()  # the path says so


def proof_of(seal: Seal, payloads: Sequence[Payload], keys: KeySource | None = None) -> Proof:
    """What the envelope itself can say, with what is known where it carries no key or certificate."""
    with_keys: Callable[[Sequence[Payload], KeySource], Proof] | None = getattr(seal.envelope, "check_with", None)
    return with_keys(payloads, keys) if with_keys and keys else seal.envelope.check(payloads)


def content_findings(seal: Seal, payloads: Sequence[Payload]) -> list[Finding]:
    """Compare what was claimed with what is; the envelope itself answers for claims that expect nothing."""
    findings = []
    for (what, recipe, expected), payload in zip(seal.claims, payloads, strict=True):
        if expected is not None:
            findings.append(_compared(what, recipe.algorithm, same=payload.value == expected))
    return findings


@lru_cache(maxsize=1024)
def _compared(what: str, algorithm: str, *, same: bool) -> Finding:
    """One for all files of which it is true."""
    reason = reasons.DIGEST_MATCH if same else reasons.DIGEST_MISMATCH
    return reason.found(f"{what}, {algorithm}", subject=what)
