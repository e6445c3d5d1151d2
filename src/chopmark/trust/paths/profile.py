"""The certificate profile of RFC 5280 clause 4, as far as a verifier can hold an authority to it.

Path validation (clause 6.1) does not look at these rules. They are those that no authority for code signing breaks and
that other strict verifiers enforce; what real certificates break is left alone (decision 50). A root of the store is
taken as it is: whoever put it there knows it, and many old ones are far from the profile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.envelopes import der, x509
from chopmark.trust.paths import names, reasons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.finding import Finding

_NEVER_CRITICAL = {
    x509.AUTHORITY_KEY_ID: "4.2.1.1",
    x509.SUBJECT_KEY_ID: "4.2.1.2",
    x509.AUTHORITY_INFORMATION_ACCESS: "4.2.2.1",
}
_ABOUT_POLICIES = frozenset(
    {x509.CERTIFICATE_POLICIES, x509.POLICY_MAPPINGS, x509.POLICY_CONSTRAINTS, x509.INHIBIT_ANY_POLICY}
)
_POINTS = frozenset({x509.CRL_DISTRIBUTION_POINTS, x509.FRESHEST_CRL})
_FULL_NAME, _RELATIVE_NAME = der.context(0), der.context(1)
_SERIAL_OCTETS_MAX = 20
_VERSIONS = (1, 2, 3)
_EMPTY = b"\x30\x00"


def check(certificate: x509.Certificate, *, is_leaf: bool, is_anchor: bool) -> list[Finding]:
    """A finding for each rule that a certificate of a path breaks. Raises DerError for extensions that are not DER."""
    broken = _always(certificate)
    if not is_anchor:
        broken += _below_a_root(certificate, is_leaf=is_leaf)
    return [
        reasons.PATH_PROFILE.found(f"{rule} (clause {clause})", subject=certificate.subject_text)
        for rule, clause in broken
    ]


def seen(certificate: x509.Certificate) -> tuple[int, bool, bool, bool]:
    """All that these rules look at in a certificate beside its extensions."""
    serial_too_long = _serial_too_long(certificate)
    return certificate.version, serial_too_long, certificate.subject == _EMPTY, certificate.issuer == _EMPTY


def _serial_too_long(certificate: x509.Certificate) -> bool:
    octets = certificate.serial_octets
    return len(octets) > _SERIAL_OCTETS_MAX and len(octets.lstrip(b"\0")) > _SERIAL_OCTETS_MAX


def _always(certificate: x509.Certificate) -> list[tuple[str, str]]:
    """What holds for roots, too: each as the rule and the clause that has it."""
    broken = []
    if certificate.version not in _VERSIONS:
        broken.append((f"version {certificate.version} of certificates is not known", "4.1.2.1"))
    critical = certificate.critical
    if not critical.isdisjoint(_NEVER_CRITICAL):
        broken += [
            (f"extension {oid} must not be critical", clause)
            for oid, clause in _NEVER_CRITICAL.items()
            if oid in critical
        ]
    constraints = certificate.basic_constraints
    if constraints is not None and constraints.ca and certificate.subject == _EMPTY:
        broken.append(("an authority must have a name", "4.1.2.6"))
    if certificate.issuer == _EMPTY:
        broken.append(("the issuer must have a name", "4.1.2.4"))
    return broken


def _below_a_root(certificate: x509.Certificate, *, is_leaf: bool) -> list[tuple[str, str]]:
    broken = []
    extensions, constraints, usage = certificate.extensions, certificate.basic_constraints, certificate.key_usage
    authority = constraints is not None and constraints.ca
    if not authority and x509.NAME_CONSTRAINTS in extensions:
        broken.append(("only an authority constrains names", "4.2.1.10"))
    if is_leaf and usage is not None and x509.KEY_CERT_SIGN in usage and not authority:
        broken.append(("only an authority's key is for certificates", "4.2.1.9"))
    if constraints is not None and constraints.path_length is not None:
        broken += _path_length(
            constraints.path_length, signs=authority and (usage is None or x509.KEY_CERT_SIGN in usage)
        )
    if _serial_too_long(certificate):
        broken.append((f"a serial number has {_SERIAL_OCTETS_MAX} octets at most", "4.1.2.2"))
    if certificate.extended_key_usage == ():
        broken.append(("an extended key usage must name some", "4.2.1.12"))
    if not _ABOUT_POLICIES.isdisjoint(extensions):
        from chopmark.trust.paths import policies  # which rarely are looked at otherwise

        policies.readable(certificate)
    broken += _alternative_names(certificate)
    if x509.ISSUER_ALT_NAME in extensions and not names.alternative_names(extensions[x509.ISSUER_ALT_NAME]):
        broken.append(("alternative names must be some", "4.2.1.7"))
    for oid in _POINTS & extensions.keys():
        broken += [(problem, "4.2.1.13") for problem in _points(extensions[oid])]
    if x509.AUTHORITY_INFORMATION_ACCESS in extensions:
        broken += _access(extensions[x509.AUTHORITY_INFORMATION_ACCESS])
    return broken


def _path_length(length: int, *, signs: bool) -> Iterator[tuple[str, str]]:
    if length < 0:
        yield "a path length must not be negative", "4.2.1.9"
    if not signs:
        yield "only who signs certificates limits paths", "4.2.1.9"


def _alternative_names(certificate: x509.Certificate) -> list[tuple[str, str]]:
    extension = certificate.extensions.get(x509.SUBJECT_ALT_NAME)
    unnamed = certificate.subject == _EMPTY
    if extension is None:
        return [("a certificate must name its subject", "4.1.2.6")] if unnamed else []
    broken = []
    if unnamed and not extension.critical:
        broken.append(("alternative names of a subject that has no other must be critical", "4.2.1.6"))
    found = names.alternative_names(extension)
    if not found:
        broken.append(("alternative names must be some", "4.2.1.6"))
    return broken + [(problem, "4.2.1.6") for name in found if (problem := names.fault(name))]


def _points(extension: x509.Extension) -> Iterator[str]:
    """Distribution points, which lead to what may revoke the certificate."""
    points = der.parse(extension.value).expect(der.SEQUENCE).children()
    if not points:
        yield "distribution points must be some"
    for point in points:
        fields = point.fields()
        name = fields.optional(der.context(0))
        reasons_ = fields.optional(der.context(1, constructed=False))
        issuers = fields.optional(der.context(2))
        fields.done()
        if name is None and issuers is None:
            yield "a distribution point must have a name, or say who issues its list"
        if reasons_ is not None:
            der.parse(reasons_.retagged(der.BIT_STRING)).bits()
        inside = name.only_child() if name is not None else None
        if inside is not None and inside.tag not in (_FULL_NAME, _RELATIVE_NAME):
            raise der.DerError("a distribution point with a name of an unknown kind")
        full = inside if inside is not None and inside.tag == _FULL_NAME else None
        for named in (full, issuers):
            if named is not None and not [names.general(node) for node in named.children()]:
                yield "a distribution point must not name nothing"


def _access(extension: x509.Extension) -> Iterator[tuple[str, str]]:
    descriptions = der.parse(extension.value).expect(der.SEQUENCE).children()
    if not descriptions:
        yield "authority information access must say something", "4.2.2.1"
    for description in descriptions:
        fields = description.fields()
        fields.take().oid()
        names.general(fields.take())
        fields.done()
