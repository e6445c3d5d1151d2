"""From a verdict to what rules look at."""

from __future__ import annotations

import os
import stat
from functools import cache
from typing import TYPE_CHECKING

from chopmark.core import reasons as common
from chopmark.core.artifact import UnreadableError
from chopmark.core.contracts import Versioned
from chopmark.core.digest import whole
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.engine import identify
from chopmark.policy.facts import (
    EXEC,
    GOOD,
    LIBRARY,
    MODULE,
    NOBODY,
    PACKAGE,
    SCRIPT,
    SERVICE,
    UNCHECKED,
    FileFacts,
    SealFacts,
)
from chopmark.trust import reasons
from chopmark.trust.blocklists import reasons as blocklist_reasons
from chopmark.trust.log import reasons as log_reasons

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.verdict import SealVerdict, Status, Verdict
    from chopmark.core.versions import Release
    from chopmark.policy.state import State

_BLOCKING = frozenset(
    each.code
    for each in (
        blocklist_reasons.BLOCKED_CERTIFICATE,
        blocklist_reasons.BLOCKED_KEY,
        blocklist_reasons.BLOCKED_FILE,
        blocklist_reasons.BLOCKED_RULE,
    )
)
_ASKED = frozenset(each.code for each in (reasons.REVOCATION_GOOD, reasons.REVOCATION_LATER))


def of_file(artifact: Artifact, verdict: Verdict, state: State | None = None, root: str = "/") -> FileFacts:
    """What is known of an open artifact; `root` is what stands for / when it belongs to a tree elsewhere.

    `state` is what is remembered of versions. Raises UnreadableError.
    """
    content = of_content(artifact, verdict)
    real = os.path.realpath(artifact.name)
    return content._replace(
        path=below(real, root), writable=writable(real, root), newest=state.newest_of(content) if state else ""
    )


def of_content(artifact: Artifact, verdict: Verdict) -> FileFacts:
    """What is known of an artifact wherever it lies: without a path, and without what is remembered of others.

    Raises UnreadableError.
    """
    release, readable = _release(artifact, verdict.format)
    status, seals, blocked, logged = _said(verdict)
    sha256 = whole(artifact.view, "sha256").hex()
    if artifact.view.changed():  # then the digest may be that of other bytes than were verified
        raise UnreadableError(artifact.name, common.INPUT_CHANGED)
    return FileFacts(
        path="",
        sha256=sha256,
        format=verdict.format,
        status=status,
        seals=seals,
        release=release,
        release_readable=readable,
        blocked=blocked,
        logged=logged,
    )


class _Said(NamedTuple):
    """What follows from a verdict alone."""

    status: Status
    seals: tuple[SealFacts, ...]
    blocked: str
    logged: bool | None


_last: list[tuple[tuple[object, ...], _Said]] = []


def _said(verdict: Verdict) -> _Said:
    """For file after file the same: those of one signer, or one catalog, differ only in their digests."""
    about = (verdict.format, verdict.seals, verdict.findings)
    for known, found in _last:
        if known == about:
            return found
    seals = tuple([_of_catalog(seal) if seal.catalog else of_seal(seal) for seal in verdict.seals])
    found = _Said(verdict.status, seals, _blocked(verdict), _logged(verdict.findings))
    _last[:] = [(about, found)]
    return found


def unreadable(path: str, verdict: Verdict, root: str = "/") -> FileFacts:
    """What is known of a file that could not be read: where it lies."""
    return FileFacts(below(os.path.realpath(path), root), "", status=verdict.status, release_readable=False)


_last_of_catalog: list[tuple[SealVerdict, SealFacts]] = []


def _of_catalog(seal: SealVerdict) -> SealFacts:
    """The same, for a seal that many files have: that of a catalog which is asked about contents."""
    for known, found in _last_of_catalog:
        if known is seal:
            return found
    found = of_seal(seal)
    _last_of_catalog[:] = [(seal, found)]
    return found


def of_seal(seal: SealVerdict) -> SealFacts:
    """A seal, as rules look at it."""
    signer = seal.signer
    claims = signer.claims if signer else ()
    return SealFacts(
        scheme=seal.scheme,
        status=seal.status,
        kind=signer.kind if signer else "",
        subject=signer.subject if signer else "",
        key=signer.fingerprint if signer else "",
        certificate=dict(claims).get("certificate_sha256", ""),
        claims=claims,
        authorities=seal.authorities,
        purposes=seal.purposes,
        store=seal.store,
        catalog=seal.catalog,
        signed_at=seal.signed_at,
        revocation=_revocation(seal.findings),
    )


def kind_of(artifact: Artifact, format_: str) -> str:
    """How a file is used, as far as it shows: a name of policy.facts.KINDS, empty for what is no code."""
    name = os.path.basename(artifact.name).lower()
    head = artifact.view.read(0, 18)
    shown = (
        (MODULE, format_ == "kmod"),
        (SCRIPT, format_ in ("powershell", "script") or head.startswith(b"#!")),
        (LIBRARY, name.endswith((".so", ".dll")) or ".so." in name),
        (EXEC, head.startswith((b"\x7fELF", b"MZ"))),
        (SERVICE, name.endswith((".service", ".socket", ".timer"))),
        (PACKAGE, format_ == "sdist" or name.endswith((".deb", ".rpm", ".msi", ".apk", ".whl"))),
    )
    return next((kind for kind, is_so in shown if is_so), "")


def below(real: str, root: str) -> str:
    """A path as it is in the tree that stands for /."""
    root = root.rstrip("/")
    return real[len(root) :] or "/" if root and (real + "/").startswith(root + "/") else real


def writable(real: str, root: str = "/") -> bool:
    """Whether anybody but the administrator may change the file at a path, or put another there.

    The file and each folder above it must belong to root, and let neither its group (but root's own) nor others write;
    access control lists show in the group's permissions (acl(5)). A sticky folder counts as writable.
    """
    top = root.rstrip("/")
    while True:
        try:
            state = os.lstat(real)
        except OSError:
            return True
        shared = stat.S_IWOTH | (stat.S_IWGRP if state.st_gid or _has_list(real) else 0)
        if state.st_uid or state.st_mode & shared:
            return True
        if real in (top or "/", "/"):
            return False
        real = os.path.dirname(real)


def _has_list(path: str) -> bool:
    """Whether there is an access control list: then the group's permissions are those of somebody else."""
    try:
        return "system.posix_acl_access" in os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False


def _release(artifact: Artifact, format_: str) -> tuple[Release | None, bool]:
    found = _versioned(format_)
    if found is None:
        return None, True
    try:
        return found.release(artifact), True
    except MalformedError:
        return None, False


@cache
def _versioned(format_: str) -> Versioned | None:
    """The format of this name, if its files say which release they are; finding that out takes a while."""
    found: object = identify.formats().get(format_)
    return found if isinstance(found, Versioned) else None


def _blocked(verdict: Verdict) -> str:
    blocking = [each for each in verdict.findings if each.code in _BLOCKING]
    for seal in verdict.seals:
        blocking += [each for each in seal.findings if each.code in _BLOCKING]
    return "; ".join(each.detail or each.code for each in blocking)


def _logged(findings: Iterable[Finding]) -> bool | None:
    said = [each for each in findings if each.code.startswith("log.")]
    if not said or log_reasons.PROOF_UNCHECKED.code in {each.code for each in said}:
        return None
    holds = any(each.code == log_reasons.PROOF_HOLDS.code for each in said)
    return holds and not any(each.outcome in (Outcome.NO, Outcome.UNKNOWN) for each in said)


def _revocation(findings: Iterable[Finding]) -> str:
    codes = {each.code for each in findings if each.code.startswith("revocation.")}
    if codes and codes <= _ASKED:
        return GOOD
    return NOBODY if codes == {reasons.REVOCATION_NOBODY.code} or not codes else UNCHECKED
