"""The conditions of a rule, from its table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chopmark.core.verdict import Status
from chopmark.policy.facts import KINDS
from chopmark.policy.rules import Conditions, SignerCondition, Users
from chopmark.trust.stores.anchors import PURPOSES

if TYPE_CHECKING:
    from chopmark.policy.glob import Pattern
    from chopmark.policy.reading import Reader

_OID = re.compile(r"[0-2](\.[0-9]{1,20}){1,20}")
_UID_MAX = 2**32 - 2
_SHORT = re.compile(r"sha256:", re.IGNORECASE)


def of_file(reader: Reader) -> Conditions:
    """What a rule says about the file."""
    signers = tuple(each for each in (_signer(reader, value) for value in reader.values("signer")) if each)
    found = Conditions(
        digests=reader.digests("digest"),
        products=frozenset(text.casefold() for text in reader.texts("product")),
        versions=reader.versions("version"),
        below=reader.version("below"),
        signers=signers,
        authorities=reader.digests("ca"),
        stores=frozenset(reader.texts("store")),
        catalogs=reader.patterns("catalog"),
        paths=reader.patterns("path", absolute=True),
        formats=frozenset(reader.texts("format")),
        statuses=frozenset(map(Status, reader.choices("status", tuple(Status)))),
        kinds=reader.choices("use", KINDS),
    )
    if (found.versions or found.below) and not found.products:
        reader.complain("version" if found.versions else "below", "a version is that of a product, which is not named")
    return found


def of_process(reader: Reader) -> Users:
    """What a rule says about who uses the file."""
    names, uids = set(), set()
    for value in reader.values("user"):
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _UID_MAX:
            uids.add(value)
        elif isinstance(value, str) and value.strip():
            names.add(value)
        else:
            reader.complain("user", f"a name, or a number from 0 to {_UID_MAX}, not {value!r:.60}")
    return Users(
        frozenset(names),
        frozenset(uids),
        reader.patterns("program", absolute=True),
        reader.patterns("parent", absolute=True),
    )


def _signer(reader: Reader, value: Any) -> SignerCondition | None:  # noqa: ANN401 - whatever TOML can hold
    if isinstance(value, str) and _SHORT.match(value):
        value = {"key": value}
    inner = reader.inner("signer", value)
    if inner is None:
        return None
    found = SignerCondition(
        keys=inner.digests("key"),
        certificates=inner.digests("certificate"),
        roots=inner.digests("root"),
        purposes=tuple(_purpose(inner, text) for text in inner.texts("eku")),
        subjects=frozenset(inner.texts("subject")),
        claims=_claims(inner),
    )
    inner.finish()
    if not (found.keys or found.certificates or found.roots or found.claims):
        inner.complain("subject", "a name alone is nobody: a key, certificate, root or OIDC identity is needed")
    if found.claims and (found.keys or found.certificates or found.roots or found.subjects or found.purposes):
        inner.complain("oidc", "an OIDC identity is not a key or certificate: write a signer of its own for each")
    return found


def _purpose(reader: Reader, text: str) -> str:
    if PURPOSES.get(text):
        return PURPOSES[text]
    if not _OID.fullmatch(text):
        known = ", ".join(name for name, oid in PURPOSES.items() if oid)
        reader.complain("eku", f"{known} or a dotted object identifier, not {text[:60]!r}")
    return text


def _claims(reader: Reader) -> tuple[tuple[str, tuple[Pattern, ...]], ...]:
    """An identity: the issuer exactly, and at least one claim more; patterns are about all of a claim."""
    inner = reader.table("oidc")
    if inner is None:
        return ()
    issuer = inner.patterns("issuer")
    if not issuer or not all(each.exact for each in issuer):
        inner.complain("issuer", "the issuer is needed, without wildcards: anybody can run another one")
    rest = [(name, inner.patterns(name)) for name in inner.names()]
    if not rest:
        inner.complain("subject", "an issuer vouches for everybody who asks it: a claim more is needed")
    return (("issuer", issuer), *rest)
