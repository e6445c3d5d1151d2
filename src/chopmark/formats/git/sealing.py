"""The seals of an object, and how one gets in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core import reasons as common
from chopmark.core.artifact import UnreadableError
from chopmark.core.contracts import Content
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.finding import Outcome
from chopmark.core.patch import Patch
from chopmark.core.seal import DATA, Claim, Range, Recipe, Seal
from chopmark.formats.git import parsing, reasons, signatures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload
    from chopmark.formats.git.parsing import Parsed, Update
    from chopmark.formats.git.signatures import Signed

_UTF8 = (b"utf-8", b"utf8")


def seals(artifact: Artifact) -> Iterator[Seal]:
    """The object's own signature first; then those of merged tags, which never vouch for the commit."""
    if not parsing.kind_of(artifact.head()):
        return
    parsed = opened(artifact)
    if parsed.others:
        raise BrokenError(reasons.TWICE, f"{parsed.others + 1}")
    findings = tuple(_about(parsed))
    merged = list(_merged(parsed))
    unsigned = tuple(found for found in merged if not isinstance(found, Seal))
    if parsed.signature:
        many = signatures.read(parsed.signature)
        for number, signed in enumerate(many, 1):
            where = f"signature of the {parsed.kind}" + (f" {number}" if len(many) > 1 else "")
            yield _seal(where, signed, parsed.covered, (*findings, *unsigned))
    for found in merged:
        if isinstance(found, Seal):
            alone = () if parsed.signature else (*findings, reasons.MERGED_ONLY.found())
            yield found._replace(findings=(*found.findings, *alone))


def detached(message: bytes, signature: bytes) -> list[Seal]:
    """The seals of an object whose signature git has taken out, to have it checked. Raises BrokenError."""
    parsed = parsing.parse(message, parsing.kind_of(message)) if parsing.kind_of(message) else None
    findings = tuple(_about(parsed)) if parsed else (reasons.FORM.found("not a commit, tag or push certificate"),)
    return [_seal("signature", signed, (message,), findings) for signed in signatures.read(signature)]


def opened(artifact: Artifact) -> Parsed:
    """The object taken apart. Raises BrokenError, UnreadableError when it is too large."""
    size = artifact.view.size
    if size > limits.GIT_OBJECT_MAX:
        raise UnreadableError(artifact.name, common.INPUT_TOO_LARGE, f"{size} bytes")
    data = artifact.view.read(0, size)
    return parsing.parse(data, parsing.kind_of(data))


def recipe(artifact: Artifact, algorithm: str) -> Recipe:
    """All but the signature. Raises RefusedError for what is no object of git's."""
    return Recipe(algorithm, _signable(artifact).covered)


def content(artifact: Artifact, payload: Payload) -> Content:
    """What is signed, in memory, because some keys sign all of it."""
    message = _signable(artifact).message
    return Content(DATA, payload.recipe.algorithm, payload.value, message=message)


def embed(artifact: Artifact, envelope: bytes, *, append: bool) -> Patch:
    """The signature where git puts it: in a header of a commit, at the end of anything else."""
    parsed = _signable(artifact)
    if append and parsed.signature:
        message = f"{artifact.name}: it is signed already, and git looks at one signature only"
        raise RefusedError(message)
    try:
        signatures.read(envelope)
    except MalformedError as error:
        message = f"no signature that git knows: {error}"
        raise RefusedError(message) from None
    if parsed.kind == parsing.COMMIT:
        envelope = parsing.HEADERS[parsed.hash] + b" " + envelope.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"
    return _around(artifact, parsed, envelope)


def strip(artifact: Artifact) -> Patch:
    """The object as it was signed."""
    return _around(artifact, _signable(artifact), b"")


def _around(artifact: Artifact, parsed: Parsed, piece: bytes) -> Patch:
    end = parsed.place.offset + parsed.place.length
    pieces = (Range(0, parsed.place.offset), piece, Range(end, artifact.view.size - end))
    return Patch(tuple(each for each in pieces if not isinstance(each, Range) or each.length))


def _signable(artifact: Artifact) -> Parsed:
    if not parsing.kind_of(artifact.head()):
        message = f"{artifact.name}: not a commit, tag or push certificate of git"
        raise RefusedError(message)
    parsed = opened(artifact)
    wrong = [found for found in _about(parsed) if found.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    if wrong:
        message = f"{artifact.name}: it would not verify ({wrong[0].code})"
        raise RefusedError(message)
    return parsed


def updates(parsed: Parsed) -> list[Update]:
    """What a push certificate is about. Raises BrokenError."""
    return parsing.updates(parsed.raw, parsed.body, parsed.place.offset)


def _seal(where: str, signed: Signed, covered: tuple[Range | bytes, ...], findings: tuple[Finding, ...]) -> Seal:
    ranges = tuple(part for part in (signed.before, *covered, signed.behind) if part)
    claim = Claim("object", Recipe(signed.digest_algorithm, ranges), signed.expected)
    return Seal(where, signed.envelope, (claim,), findings=(*findings, *signed.findings))


def _about(parsed: Parsed) -> Iterator[Finding]:
    """What the way in which the object is put together says."""
    wrong = list(_against(parsed))
    yield from wrong or [reasons.PLACED.found(parsed.kind)]
    for value in parsed.values(b"encoding"):
        if value.lower() not in _UTF8:
            yield reasons.ENCODING.found(value.decode("latin-1")[:64])
    claimed = parsed.values(b"committer") or parsed.values(b"tagger") or parsed.values(b"pusher")
    if claimed:
        yield reasons.CLAIM.found(claimed[0].decode("utf-8", "replace"))
    if parsed.hash == "sha1":
        yield reasons.SHA1.found()


def _against(parsed: Parsed) -> Iterator[Finding]:
    if parsed.others:
        yield reasons.TWICE.found(f"{parsed.others + 1}")
    own = parsing.HEADERS[parsed.hash] if parsed.kind == parsing.COMMIT else b""
    for header in parsed.headers:
        if header.name.startswith(b"gpgsig") and header.name != own:
            known = header.name in parsing.HEADERS.values()
            yield (reasons.OTHER_HASH if known else reasons.SMUGGLED).found(header.name.decode()[:64])
    if b"\0" in parsed.raw:
        yield reasons.NUL.found("in the message")


def _merged(commit: Parsed) -> Iterator[Seal | Finding]:
    """The tags that a commit merged: the signatures of each, or what is wrong where there is none."""
    values = commit.values(b"mergetag")
    if len(values) > limits.GIT_MERGED_MAX:
        raise BrokenError(reasons.FORM, f"{len(values)} merged tags")
    for value in values if commit.kind == parsing.COMMIT else ():
        data = value + b"\n"
        tag = parsing.parse(data, parsing.TAG)
        name = tag.values(b"tag")[0].decode("utf-8", "replace")
        if not tag.signature:
            yield reasons.MERGED_UNSIGNED.found(name)
            continue
        findings = list(_about(tag))
        if tag.values(b"type") != [b"commit"] or tag.values(b"object")[0].decode() not in commit.parents[1:]:
            findings.append(reasons.MERGED_PARENT.found(name))
        for signed in signatures.read(tag.signature):
            found = _seal(f"merged tag {name}", signed, (tag.message,), tuple(findings))
            yield found._replace(nested=1)
