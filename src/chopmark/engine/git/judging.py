"""Judging objects of a repository: the signature as everywhere, and what the repository says about the object."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.verdict import Verdict
from chopmark.engine import check
from chopmark.engine.git import revisions
from chopmark.formats.git import parsing, reasons, sealing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding
    from chopmark.core.seal import Payload, Seal
    from chopmark.engine.git.revisions import Named
    from chopmark.formats.git.database.objects import Stored
    from chopmark.formats.git.database.repository import Repository
    from chopmark.trust.context import Context

FORMAT = "git"
_SIGNABLE = ("commit", "tag")
_TAGS = "refs/tags/"
_MODULES = b".gitmodules"


def judge(
    repository: Repository, named: Named, context: Context, *, closely: bool = True, tag: bool = False
) -> Verdict:
    """Judge a commit or a tag; what is wrong with the repository is a finding.

    `closely` looks at a commit's tree, too; with `tag` a tag is wanted, and a mere name for a commit is none.
    """
    try:
        stored = repository.read(named.id)
        if stored.kind not in _SIGNABLE:
            raise BrokenError(reasons.OBJECT_KIND, f"{stored.kind} {named.id}")
        if tag and stored.kind == "commit":
            raise BrokenError(reasons.TAG_LIGHT, named.id)
    except BrokenError as error:
        return Verdict(named.given, FORMAT, (), (error.reason.found(error.detail),))
    verdict = check.check(Artifact.from_bytes(stored.data, named.given), context, FORMAT)
    findings = [reasons.OBJECT_ID.found(f"{stored.kind} {named.id}")]
    if named.id in repository.replaced:
        findings.append(reasons.REPLACED.found(named.id))
    if repository.replaces_contents:
        findings.append(reasons.REPLACED.found("files or folders"))
    try:
        if stored.kind == "tag":
            findings += _tag(repository, stored, named)
        elif closely:
            findings += _tree(repository, stored)
    except BrokenError as error:
        findings.append(error.reason.found(error.detail))
    return verdict._replace(findings=tuple(dict.fromkeys((*verdict.findings, *findings))))


def judge_tag(repository: Repository, name: str, context: Context) -> Verdict:
    """Judge the tag of a name, which must be a tag object that says this name of itself. Raises UsageError."""
    named = revisions.resolve(repository, name if name.startswith("refs/") else _TAGS + name)._replace(given=name)
    return judge(repository, named, context, tag=True)


def intact(message: bytes, signature: bytes) -> bool:
    """Whether a signature that git took out is its key's own, whoever has that. Raises MalformedError."""
    seals = sealing.detached(message, signature)
    proofs = [check.proof_of(seal, _payloads(seal)) for seal in seals]
    return all(proof.intact for proof in proofs)


def judge_detached(message: bytes, signature: bytes, context: Context, name: str = "object") -> Verdict:
    """Judge an object and the signature that git took out of it; git may have left out more than that."""
    try:
        seals = sealing.detached(message, signature)
    except BrokenError as error:
        return Verdict(name, FORMAT, (), (error.reason.found(error.detail),))
    except MalformedError as error:
        return Verdict(name, FORMAT, (), (reasons.FORM.found(str(error)),))
    judged = [check.judge_seal(seal, _payloads(seal), context) for seal in seals]
    return Verdict(name, FORMAT, tuple(judged), ())


def _payloads(seal: Seal) -> list[Payload]:
    """What a seal over bytes in memory covers."""
    return hash_ranges(BytesView(b""), [claim.recipe for claim in seal.claims])


def _tag(repository: Repository, stored: Stored, named: Named) -> Iterator[Finding]:
    """A tag must be the one that its ref says, and about what it says, in whose place git shows nothing else."""
    tag = parsing.parse(stored.data, parsing.TAG)
    name = tag.values(b"tag")[0].decode("utf-8", "surrogateescape")
    if named.ref and named.ref != _TAGS + name:
        yield reasons.TAG_NAME.found(f"{named.ref} has the tag {name}")
    id_ = tag.values(b"object")[0].decode()
    target = repository.read(id_)
    kind = tag.values(b"type")[0].decode()
    if target.kind != kind:
        yield reasons.TAG_TARGET.found(f"a {target.kind}, not a {kind}")
    for _ in range(limits.NESTED_MAX):
        if id_ in repository.replaced:
            yield reasons.REPLACED.found(id_)
        if target.kind != "tag":
            return
        id_ = parsing.parse(target.data, parsing.TAG).values(b"object")[0].decode()
        target = repository.read(id_)


def _tree(repository: Repository, stored: Stored) -> Iterator[Finding]:
    """Whether there are submodules: git looks for them by the file .gitmodules at the top."""
    commit = parsing.parse(stored.data, parsing.COMMIT)
    tree = repository.read(commit.values(b"tree")[0].decode())
    if tree.kind != "tree":
        raise BrokenError(reasons.OBJECT_KIND, f"{tree.kind} instead of a tree")
    if _MODULES in _names(tree.data, repository.width):
        yield reasons.SUBMODULES.found()


def _names(data: bytes, width: int) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = data.find(b"\0", at)
        space = data.find(b" ", at, max(end, 0))
        if space < 0 or end + 1 + width > len(data):
            raise BrokenError(reasons.OBJECT_BROKEN, "a tree that is none")
        yield data[space + 1 : end]
        at = end + 1 + width
