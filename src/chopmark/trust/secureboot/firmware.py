"""Whether firmware starts an image (UEFI 2.10 clause 32.5.3.3), step by step as EDK II's DxeImageVerificationLib.

dbx comes first, for every signature: one that is forbidden forbids the image. Then one signature that db trusts is
enough, or the image's digest in db. Validity and purposes of certificates do not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core import digest as digests
from chopmark.core.errors import MalformedError
from chopmark.trust.secureboot import chains, reasons
from chopmark.trust.secureboot.image import Examined, Image, examine, is_for_code
from chopmark.trust.secureboot.state import x509_entries

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence

    from chopmark.core.finding import Finding
    from chopmark.envelopes import x509
    from chopmark.trust.secureboot.state import Databases, Entries


def judge(image: Image, known: Databases, at: dt.datetime) -> list[Finding]:
    """Every finding; the image starts when none of them says no. `at` is held against validity, which only is told."""
    findings = circumstances(known)
    if image.broken:
        return [*findings, reasons.TABLE.found(image.broken)]
    examined = examine(image)
    against = _forbidden(image, known.dbx, examined, known)
    findings += against
    if not any(each.outcome == "no" for each in against):
        findings.append(reasons.NOT_FORBIDDEN.found(f"entries in dbx: {len(known.dbx)}"))
    return findings + _allowed(image, known, examined, at)


def circumstances(known: Databases) -> list[Finding]:
    """What there is to say about the databases themselves."""
    findings = []
    if known.enforcing is False:
        findings.append(reasons.STATE_OFF.found())
    if not known.dbx_known:
        findings.append(reasons.DBX_MISSING.found())
    for name in ("db", "dbx", "mok", "mokx"):
        found: Entries = getattr(known, name)
        unread = sum(1 for each in found if each.kind.name == "x509") - len(x509_entries(found))
        if unread:
            reason = reasons.FORBIDDEN_UNREADABLE if name in ("dbx", "mokx") else reasons.UNREADABLE
            findings.append(reason.found(f"{name}: {unread}"))
    return findings


def _forbidden(image: Image, dbx: Entries, examined: Sequence[Examined], known: Databases) -> list[Finding]:
    findings = forbidden_digests(image, dbx)
    revoking = x509_entries(dbx)
    allowing = x509_entries(known.db)
    for each in examined:
        if each.proof is None:
            continue
        if path := chains.path_to(each.proof, revoking):
            findings.append(reasons.FORBIDDEN_CERTIFICATE.found(f"{each.signature.where}: {path[-1].subject_text}"))
        path = chains.path_to(each.proof, allowing) or (each.proof.signer,)
        findings += _revoked(each, path, known)
    return findings


def forbidden_digests(image: Image, dbx: Entries) -> list[Finding]:
    """A finding for each digest of the image in dbx; unsigned images are looked for by all of them."""
    used = {each.algorithm for each in image.signatures} or set(image.digests)
    named = {(each.kind.digest, each.digest) for each in dbx if each.digest and not each.kind.revokes_tbs}
    found = []
    for algorithm, value in image.digests.items():
        if (algorithm, value) in named:
            reason = reasons.FORBIDDEN_DIGEST if algorithm in used else reasons.FORBIDDEN_OTHER_DIGEST
            found.append(reason.found(f"{algorithm} {value.hex()}"))
    return found


def _revoked(each: Examined, path: Iterable[x509.Certificate], known: Databases) -> list[Finding]:
    """What dbx says of certificates by the digest of their TBSCertificate, and time stamps against it."""
    entries = [entry for entry in known.dbx if entry.kind.revokes_tbs]
    findings = []
    for certificate in path if entries else ():
        digest = {name: digests.of(certificate.tbs, name) for name in {entry.kind.digest for entry in entries}}
        for entry in entries:
            if entry.digest != digest[entry.kind.digest]:
                continue
            detail = f"{each.signature.where}: {certificate.subject_text}"
            try:
                since = entry.revoked_at
            except MalformedError:
                since = None
            if since is not None and _stamped_before(each, since, known.dbt):
                findings.append(reasons.STAMPED_BEFORE.found(f"{detail}, {clock.show(since)}"))
            else:
                findings.append(reasons.REVOKED_CERTIFICATE.found(detail))
    return findings


def _stamped_before(each: Examined, since: dt.datetime, dbt: Entries) -> bool:
    """Whether an RFC 3161 time stamp, by somebody whom dbt knows, shows that a signature is older than `since`."""
    anchors = x509_entries(dbt)
    if not anchors:
        return False
    from chopmark.envelopes.timestamp import attached  # hardly any firmware has a dbt

    [signer] = each.signature.signed.signers
    for stamp in attached.check_all(signer, each.signature.signed.certificates)[0]:
        if stamp.kind != "rfc3161" or not stamp.proof.intact or stamp.time >= since:
            continue
        own, *others = chains.certificates(stamp.proof.certificates)
        if chains.path_to(chains.Signed(own, tuple(others)), anchors):
            return True
    return False


def _allowed(image: Image, known: Databases, examined: Sequence[Examined], at: dt.datetime) -> list[Finding]:
    allowing = x509_entries(known.db)
    good, doubtful, bad = [], [], []
    for each in examined:
        if each.proof is None:
            bad.append((reasons.DIGEST_MISMATCH if each.is_other else reasons.SIGNATURE_WRONG).found(each.problem))
        elif not (path := chains.path_to(each.proof, allowing)):
            bad.append(reasons.UNTRUSTED.found(f"{each.signature.where}: by {each.proof.signer.subject_text}"))
        elif each.doubt:
            doubtful.append(reasons.ALGORITHM.found(each.doubt))
        else:
            shown = f"{each.signature.where}: {path[0].subject_text}, through {path[-1].subject_text}"
            good += [reasons.CERTIFICATE.found(shown), *overlooked(path, at)]
    bad += [reasons.SIGNATURE_WRONG.found(each) for each in image.unread]
    good += [reasons.DIGEST.found(detail) for detail in named_digests(image, known.db)]
    if good:
        return [*good, *(reasons.PASSED_OVER.found(f"{each.code}: {each.detail}") for each in (*doubtful, *bad))]
    if doubtful:
        return [*doubtful, *(reasons.PASSED_OVER.found(f"{each.code}: {each.detail}") for each in bad)]
    return bad or [reasons.UNSIGNED.found()]


def named_digests(image: Image, entries: Entries) -> list[str]:
    """The digests of the image that a database names, for people."""
    named = {(each.kind.digest, each.digest) for each in entries if each.digest and not each.kind.revokes_tbs}
    return [f"{name} {value.hex()}" for name, value in image.digests.items() if (name, value) in named]


def overlooked(path: chains.Path, at: dt.datetime) -> list[Finding]:
    """What firmware does not look at in certificates that it goes by, and others do."""
    findings = []
    for each in path[: limits.PATH_LENGTH_MAX]:
        if not each.not_before <= at <= each.last_moment:
            shown = f"{each.subject_text}, {clock.show(each.not_before)} to {clock.show(each.not_after)}"
            findings.append(reasons.NOT_VALID.found(shown))
    if not is_for_code(path[0]):
        findings.append(reasons.PURPOSE.found(path[0].subject_text))
    return findings
