"""Pushes: their certificates, and what a server lets in (git-receive-pack(1), githooks(5))."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Verdict
from chopmark.engine import check
from chopmark.engine.git import judging, revisions
from chopmark.formats.git import parsing, reasons, sealing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.formats.git.database.repository import Repository
    from chopmark.formats.git.parsing import Parsed, Update
    from chopmark.trust.context import Context

_TAGS = "refs/tags/"


class Wish(NamedTuple):
    """What a server wants signed: the push itself, every new commit, every new tag.

    `slop` is by how many seconds the nonce may be older than this very push (HTTP; receive.certNonceSlop). `pushees`
    are the addresses of this repository, as those who push have them: git compares none, and whoever runs another
    server can ask for a signature with the nonce of this one.
    """

    push: bool = True
    commits: bool = False
    tags: bool = False
    slop: int = 0
    pushees: tuple[str, ...] = ()


def judge_certificate(
    data: bytes, context: Context, nonce: str | None, name: str = "push certificate", pushees: Sequence[str] = ()
) -> Verdict:
    """Judge a push certificate that was kept; `nonce` is what it must answer, None when nobody knows."""
    artifact = Artifact.from_bytes(data, name)
    verdict = check.check(artifact, context, judging.FORMAT)
    try:
        parsed = _certificate(artifact)
    except BrokenError as error:
        return verdict._replace(findings=(*verdict.findings, error.reason.found(error.detail)))
    found = reasons.PUSH_NONCE_UNASKED.found() if nonce is None else _nonce(parsed, nonce)
    return verdict._replace(findings=(*verdict.findings, found, _addressed(parsed, pushees)))


def receive(
    repository: Repository,
    updates: Sequence[Update],
    environment: Mapping[str, str],
    context: Context,
    wish: Wish,
) -> Iterator[Verdict]:
    """Judge what a push brings, in a hook of receive-pack: to be let in, all must be trusted. Raises UsageError."""
    if wish.push:
        yield _push(repository, updates, environment, context, wish)
    for update in updates:
        if wish.tags and update.ref.startswith(_TAGS) and _exists(update.new):
            named = revisions.Named(update.ref, update.new, update.ref)
            yield judging.judge(repository, named, context, tag=True)
    if wish.commits:
        yield from _commits(repository, updates, context)


def updates_from(lines: Sequence[str]) -> list[Update]:
    """The lines that a pre-receive hook reads. Raises UsageError."""
    found = []
    for line in lines:
        words = line.rstrip("\n").split(" ", 2)
        if len(words) != len(parsing.Update._fields):
            raise UsageError("expected lines of: OLD NEW REF, as git gives them to a pre-receive hook")
        found.append(parsing.Update(*words))
    if len(found) > limits.GIT_UPDATES_MAX:
        raise UsageError(f"a push of {len(found)} refs; {limits.GIT_UPDATES_MAX} are the limit")
    return found


def _push(
    repository: Repository,
    updates: Sequence[Update],
    environment: Mapping[str, str],
    context: Context,
    wish: Wish,
) -> Verdict:
    name = environment.get("GIT_PUSH_CERT", "")
    if not name:
        return Verdict("push", judging.FORMAT, (), (reasons.PUSH_UNSIGNED.found(),))
    try:
        artifact = Artifact.from_bytes(repository.read(name).data, "push")
        parsed = _certificate(artifact)
        listed = set(sealing.updates(parsed))
    except BrokenError as error:
        return Verdict("push", judging.FORMAT, (), (error.reason.found(error.detail),))
    verdict = check.check(artifact, context, judging.FORMAT)
    asked = set(updates)
    refs = reasons.PUSH_REFS.found() if asked == listed else reasons.PUSH_REFS_WRONG.found(_difference(asked, listed))
    nonce, pushee = _answered(parsed, environment, wish.slop), _addressed(parsed, wish.pushees)
    return verdict._replace(findings=(*verdict.findings, refs, nonce, pushee))


def _answered(parsed: Parsed, environment: Mapping[str, str], slop: int) -> Finding:
    """receive-pack made the nonce, and says whether it is its own and how old; the answer is read here."""
    status = environment.get("GIT_PUSH_CERT_NONCE_STATUS", "none")
    late = environment.get("GIT_PUSH_CERT_NONCE_SLOP", "")
    if status == "SLOP" and late.isdigit() and int(late) <= slop:
        status = "OK"
    if status != "OK":
        return reasons.PUSH_NONCE_WRONG.found(status)
    return _nonce(parsed, environment.get("GIT_PUSH_CERT_NONCE", ""))


def _nonce(parsed: Parsed, nonce: str) -> Finding:
    given = b"".join(parsed.values(b"nonce"))
    fits = bool(nonce) and hmac.compare_digest(given, nonce.encode("utf-8", "surrogateescape"))
    return reasons.PUSH_NONCE.found() if fits else reasons.PUSH_NONCE_WRONG.found()


def _addressed(parsed: Parsed, pushees: Sequence[str]) -> Finding:
    """To which repository whoever signed meant to push."""
    given = b"".join(parsed.values(b"pushee"))
    shown = ascii(given.decode("utf-8", "replace")[:200])[1:-1] or "it names none"
    if not pushees:
        return reasons.PUSHEE_UNASKED.found(shown)
    fits = given in [each.encode("utf-8", "surrogateescape") for each in pushees]
    return (reasons.PUSHEE if fits else reasons.PUSHEE_WRONG).found(shown)


def _difference(asked: set[Update], listed: set[Update]) -> str:
    return ", ".join(sorted({update.ref for update in asked ^ listed}))[:500]


def _certificate(artifact: Artifact) -> Parsed:
    head = artifact.head()
    if parsing.kind_of(head) != parsing.PUSH:
        raise BrokenError(reasons.FORM, "not a push certificate")
    try:
        return sealing.opened(artifact)
    except BrokenError:
        raise
    except MalformedError as error:
        raise BrokenError(reasons.FORM, str(error)) from None


def _commits(repository: Repository, updates: Sequence[Update], context: Context) -> Iterator[Verdict]:
    """Every commit that no ref had before. Tags are followed to what they name."""
    wanted = []
    for update in updates:
        if not _exists(update.new):
            continue
        try:
            wanted.append(revisions.commit_of(repository, update.new))
        except UsageError:  # a tag of a tree, or an object that is broken
            yield judging.judge(repository, revisions.Named(update.ref, update.new), context)
    had = tuple(name for name in dict.fromkeys(repository.refs().values()) if _leads(repository, name))
    found, against = revisions.walk(repository, revisions.Range(tuple(wanted), had))
    for named in revisions.names(found):
        yield judging.judge(repository, named, context, closely=False)
    if against:
        yield Verdict("history", judging.FORMAT, (), tuple(against))


def _leads(repository: Repository, name: str) -> bool:
    try:
        return bool(revisions.commit_of(repository, name))
    except UsageError:
        return False


def _exists(name: str) -> bool:
    return bool(name.strip("0"))
