"""Whether shim starts an image: what it carries and what the machine's owner enrolled, beside db and dbx; and SBAT.

shim, shim.c: verify_buffer_authenticode, check_denylist, check_allowlist; sbat.c: verify_sbat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import BrokenError, MalformedError
from chopmark.envelopes import x509
from chopmark.trust.secureboot import chains, firmware, reasons, sbat
from chopmark.trust.secureboot.image import Examined, Image, examine
from chopmark.trust.secureboot.state import x509_entries

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.trust.secureboot.state import Databases


def judge(image: Image, known: Databases, at: dt.datetime) -> list[Finding]:
    """Every finding; shim starts the image when none of them says no."""
    findings = firmware.circumstances(known)
    if image.broken:
        return [*findings, reasons.TABLE.found(image.broken)]
    forbidden = (*known.vendorx, *known.dbx, *known.mokx)
    revoked = firmware.forbidden_digests(image, forbidden)
    if revoked:
        return [*findings, *(reasons.SHIM_FORBIDDEN.found(each.detail) for each in revoked)]
    allowed = (*known.db, *known.mok, *known.vendor)
    named = firmware.named_digests(image, allowed)
    if named:
        findings += [reasons.SHIM_TRUSTED.found(detail) for detail in named]
    else:
        findings += _signed(image, x509_entries(allowed), x509_entries(forbidden), at)
    return findings + generations(image, known)


def _signed(
    image: Image, allowing: Sequence[x509.Certificate], revoking: Sequence[x509.Certificate], at: dt.datetime
) -> list[Finding]:
    """One signature that is good is enough; one that is forbidden does not count, and forbids nothing."""
    bad: list[Finding] = [reasons.SIGNATURE_WRONG.found(each) for each in image.unread]
    good: list[Finding] = []
    doubtful: list[Finding] = []
    for each in examine(image):
        if each.proof is None:
            bad.append((reasons.DIGEST_MISMATCH if each.is_other else reasons.SIGNATURE_WRONG).found(each.problem))
        elif path := chains.path_to(each.proof, revoking):
            bad.append(reasons.SHIM_FORBIDDEN.found(f"{each.signature.where}: {path[-1].subject_text}"))
        else:
            path, refused = _path(each, allowing)
            if not path:
                bad.append(refused)
            elif each.doubt:
                doubtful.append(reasons.ALGORITHM.found(each.doubt))
            else:
                shown = f"{each.signature.where}: {path[0].subject_text}, through {path[-1].subject_text}"
                good += [reasons.SHIM_TRUSTED.found(shown), *firmware.overlooked(path, at)]
    if good or doubtful:
        over = [*(doubtful if good else ()), *bad]
        return [*(good or doubtful), *(reasons.PASSED_OVER.found(f"{each.code}: {each.detail}") for each in over)]
    return bad or [reasons.SHIM_UNTRUSTED.found("the image is not signed")]


def _path(each: Examined, allowing: Sequence[x509.Certificate]) -> tuple[chains.Path, Finding]:
    assert each.proof is not None  # noqa: S101 - whoever asks has looked
    path = chains.path_to(each.proof, [each for each in allowing if not _is_for_modules(each)])
    shown = f"{each.signature.where}: by {each.proof.signer.subject_text}"
    only = not path and chains.path_to(each.proof, allowing)
    return path, (reasons.SHIM_MODULES_ONLY if only else reasons.SHIM_UNTRUSTED).found(shown)


def _is_for_modules(certificate: x509.Certificate) -> bool:
    try:
        return x509.EKU_MODULE_SIGNING in (certificate.extended_key_usage or ())
    except MalformedError:
        return True


def generations(image: Image, known: Databases) -> list[Finding]:
    """What SBAT says of an image; of shim itself, too, which looks at its own section first."""
    if not image.sbat:
        return [(reasons.SBAT_ABSENT if image.is_kernel else reasons.SBAT_MISSING).found()]
    try:
        if len(image.sbat) > 1:
            return [reasons.SBAT_BROKEN.found(f"{len(image.sbat)} sections")]
        rows = sbat.section(image.sbat[0])
        if known.level is None:
            return [reasons.SBAT_UNKNOWN.found(_shown(rows))]
        wanted = sbat.level(known.level)
    except BrokenError as error:
        return [reasons.SBAT_BROKEN.found(error.detail)]
    old = sbat.revoked(rows, wanted)
    return [reasons.SBAT_REVOKED.found(each) for each in old] or [reasons.SBAT.found(_shown(rows))]


def _shown(rows: list[sbat.Row]) -> str:
    return ", ".join(f"{row.component} {row.generation}" for row in rows[:16])
