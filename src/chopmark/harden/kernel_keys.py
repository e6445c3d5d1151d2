"""What IMA and IPE have in common: what a ring of keys cannot express, and the certificates that go into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.harden import reasons
from chopmark.harden.contract import Capability, Degree, File, everywhere, exact, partly, unable
from chopmark.harden.naming import slug
from chopmark.policy.facts import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.finding import Finding
    from chopmark.harden.material import Identity

KEYS = "keys"
_BY_CERTIFICATE = "through the certificates at hand, of which each key goes into the ring"
_NEVER = "the kernel asks for a key, and for nothing else about the signature"
_FILE = "the kernel does not know it"


def capabilities(ring: str, governed: Iterable[str], **more: Capability) -> dict[str, Capability]:
    """What follows from knowing nothing but a ring of keys; `more` has what else a language can say."""
    narrower = partly(Degree.NARROWER, Degree.EXACT, _BY_CERTIFICATE)
    inside = set(governed)
    uses = {
        f"use_{kind.replace('-', '_')}": exact("asked at its own hook")
        if kind in inside
        else unable("the kernel does not decide about it")
        for kind in KINDS
    }
    table = everywhere(
        signer_key=narrower,
        signer_certificate=narrower,
        signer_root=narrower,
        signer_eku=narrower,
        signer_subject=narrower,
        ca=narrower,
        store=narrower,
        status=partly(Degree.NARROWER, Degree.EXACT, "only what is signed runs"),
        precedence=partly(Degree.NARROWER, Degree.NARROWER, "whoever is bound to more is left out of the ring"),
        validity=unable("a key counts as long as it is in the ring"),
        revocation=unable("a key is revoked by a ring without it"),
        blocklist=unable("only keys that are not in the ring"),
        mode_learning=unable("there is no such mode"),
        rest=unable(_NEVER),
        **uses,
    )
    for name in ("digest", "product", "version", "below", "path", "format", "catalog", "user", "program", "parent"):
        table[name] = unable(_FILE)
    table["expires"] = partly(Degree.NOT, Degree.NARROWER, f"{ring} has no dates: say --until when it is exported anew")
    return table | {name.replace("_", "."): each for name, each in more.items()}


def key_files(identities: Iterable[Identity]) -> list[File]:
    """Certificates (DER), named after the signer and the key."""
    found = {
        f"{KEYS}/{slug(each.certificate.common_name)[:40]}-{each.certificate.key_sha256[:16]}.der": each.certificate.raw
        for each in sorted(identities, key=lambda each: each.certificate.sha256, reverse=True)
    }
    return [File(path, data) for path, data in sorted(found.items())]


def signer_findings(all_: Iterable[Identity], taken: frozenset[Identity], why: str) -> Iterator[Finding]:
    """A finding for each certificate at hand."""
    for each in all_:
        subject = each.seal.subject
        if each in taken:
            yield reasons.SIGNER_TAKEN.found(f"key sha256:{each.seal.key}", subject=subject)
        else:
            yield reasons.SIGNER_OUT.found(each.problem or why, subject=subject)
