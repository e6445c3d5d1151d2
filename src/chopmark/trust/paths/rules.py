"""What a certificate path must be (RFC 5280 clause 6.1, CA/Browser code-signing requirements), rule by rule."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import clock, digest, limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der, public_keys, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import names, profile, reasons
from chopmark.trust.stores import anchors
from chopmark.trust.stores import reasons as store_reasons

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.trust.paths.policies import Demands
    from chopmark.trust.stores.anchors import Anchor

APPLICATION_POLICIES = "1.3.6.1.4.1.311.21.10"
"""Microsoft's form of extended key usage, marked critical in some of its certificates."""
NETSCAPE_CERT_TYPE = "2.16.840.1.113730.1.1"
"""What came before extended key usage; critical in Debian's Secure Boot CA. Bits by position."""
_OBJECT_SIGNING, _OBJECT_SIGNING_CA = 3, 7
_ANY_APPLICATION = "1.3.6.1.4.1.311.10.12.1"
_POLICY_RULES = frozenset({x509.POLICY_MAPPINGS, x509.POLICY_CONSTRAINTS})
_OF_OTHERS = _POLICY_RULES | {x509.NAME_CONSTRAINTS}
"""Extensions of an authority that can speak against who is below it."""
_WITH_EXTENSIONS = 3
"""The version of certificates that has extensions."""

_NEVER = Moment(limits.SHA1_SUNSET)
"""Not proven, so that nothing dated passes; whoever asks for that gets the same answer each time."""
CRL_SIGNING = "crl-signing"
"""In place of an extended key usage: to sign revocation lists, which is a matter of key usage alone."""

EVALUATED = frozenset(
    {
        x509.SUBJECT_KEY_ID,
        x509.KEY_USAGE,
        x509.SUBJECT_ALT_NAME,
        x509.ISSUER_ALT_NAME,
        x509.BASIC_CONSTRAINTS,
        x509.NAME_CONSTRAINTS,
        x509.CRL_DISTRIBUTION_POINTS,
        x509.CERTIFICATE_POLICIES,
        x509.POLICY_MAPPINGS,
        x509.AUTHORITY_KEY_ID,
        x509.POLICY_CONSTRAINTS,
        x509.EXTENDED_KEY_USAGE,
        x509.INHIBIT_ANY_POLICY,
        x509.AUTHORITY_INFORMATION_ACCESS,
        APPLICATION_POLICIES,
    }
)
"""Extensions that may be critical, because they are evaluated or can change nothing here."""


def examine(
    path: Sequence[x509.Certificate], anchor: Anchor, oid: str, moment: Moment, demands: Demands | None = None
) -> list[Finding]:
    """Everything about a path whose signatures and names chain: the signer's certificate first, the anchor's last.

    `oid` is the extended key usage that it must be for (empty: any; or CRL_SIGNING), `demands` are about policies.
    What passes is reported together, what does not is reported one by one; problems have the outcome no or unknown.
    """
    problems: list[Finding] = []
    above = _above(path, oid)
    # All times at once: that narrows the moment to the same window as one by one.
    sound = above is not None and above.valid(path[0], moment)
    for position, certificate in enumerate(path[:1] if sound else path):
        try:
            if not sound:
                problems += _validity(certificate, moment)
            problems += _each(path, position, oid, moment)
        except MalformedError as error:
            problems.append(reasons.PATH_MALFORMED.found(str(error), subject=certificate.subject_text))
    if not sound:
        problems += _lengths(path[1:])
    if above is None or not above.plain or anchor.constraints is not anchors.UNCONSTRAINED:
        problems += _names(path, anchor)
    if above is None or not above.plain or demands is not None or not _POLICY_RULES.isdisjoint(path[0].extensions):
        problems += _policies(path, demands)
    if anchor.constraints is not anchors.UNCONSTRAINED:
        problems += anchor.constraints.check(path[0], "" if oid == CRL_SIGNING else oid, moment)
    return _reported(problems, len(path))


def _reported(problems: list[Finding], length: int) -> list[Finding]:
    """What passed, together, and the problems."""
    valid = reasons.PATH_VALID.found(f"{length} certificates")
    if not problems:
        return [valid, reasons.PATH_FITTING.found()]
    against = {finding.code for finding in problems}
    passed = []
    if against.isdisjoint({reasons.PATH_EXPIRED.code, reasons.PATH_NOT_YET_VALID.code}):
        passed.append(valid)
    if all(finding.outcome == "info" for finding in problems):
        passed.append(reasons.PATH_FITTING.found())
    return passed + problems


def usable_issuer(certificate: x509.Certificate, moment: Moment) -> bool:
    """Whether a certificate could be an issuer at all, judged by itself: for trying the promising ones first."""
    try:
        constraints, usage = certificate.basic_constraints, certificate.key_usage
    except MalformedError:
        return False
    return (
        constraints is not None
        and constraints.ca
        and (usage is None or x509.KEY_CERT_SIGN in usage)
        and moment.reached(certificate.not_before)
        and not moment.after(certificate.last_moment)
    )


def _each(path: Sequence[x509.Certificate], position: int, oid: str, moment: Moment) -> list[Finding]:
    """The rules about one certificate of the path, but for its validity."""
    certificate = path[position]
    is_leaf, is_anchor = position == 0, position == len(path) - 1
    small = len(certificate.raw) <= limits.CERTIFICATE_KEPT_MAX
    if small and not is_leaf and _sound_authority(certificate, oid, is_anchor):
        return []
    found = [] if is_anchor else _digest(certificate, moment)
    found += _key(certificate, moment, is_anchor=is_anchor)
    if not (small and is_leaf and _faultless(certificate, oid, is_anchor=is_anchor)):
        found += _timeless(certificate, oid, is_leaf=is_leaf, is_anchor=is_anchor)
    return found


class _Above(NamedTuple):
    """Those above a signer on a way, if only time can speak against them: when all are valid.

    They are `plain` when they say nothing about names and policies of others.
    """

    since: dt.datetime
    until: dt.datetime
    plain: bool

    def valid(self, leaf: x509.Certificate, moment: Moment) -> bool:
        """Whether they are at a moment, and the signer's certificate is."""
        return moment.reached(max(self.since, leaf.not_before)) and not moment.after(min(self.until, leaf.last_moment))


def _above(path: Sequence[x509.Certificate], oid: str) -> _Above | None:
    """What is known of those above a signer, for all who are below them; None where each has to be looked at."""
    above = tuple(path[1:])
    for each in above:
        if len(each.raw) > limits.CERTIFICATE_KEPT_MAX:
            return None
    return _sound_above(above, oid) if above else None


@lru_cache(maxsize=1024)
def _sound_above(above: tuple[x509.Certificate, ...], oid: str) -> _Above | None:
    try:
        for each in above:
            if not _sound_authority(each, oid, each is above[-1]):
                return None
    except MalformedError:
        return None
    if _lengths(above):
        return None
    since, until, plain = above[0].not_before, above[0].last_moment, True
    for each in above:
        since, until = max(since, each.not_before), min(until, each.last_moment)
        plain = plain and _OF_OTHERS.isdisjoint(each.extensions)
    return _Above(since, until, plain)


@lru_cache(maxsize=1024)
def _sound_authority(certificate: x509.Certificate, oid: str, is_anchor: bool) -> bool:  # noqa: FBT001 - part of a key
    """Whether nothing but its validity can speak against an authority, whatever the moment: they are on many paths."""
    found = [] if is_anchor else _digest(certificate, _NEVER)
    found += _key(certificate, _NEVER, is_anchor=is_anchor)
    return not found and not _timeless(certificate, oid, is_leaf=False, is_anchor=is_anchor)


_faultless_kept: dict[object, bool] = {}


def _faultless(certificate: x509.Certificate, oid: str, *, is_anchor: bool) -> bool:
    """Whether nothing but time can speak against a signer's certificate.

    That is known from all that differ in nothing that these rules look at. Those of one authority mostly do not, since
    it is not looked at whose key and name it is, as long as there is a name.
    """
    alike = certificate.alike, profile.seen(certificate), oid, is_anchor
    known = _faultless_kept.get(alike)
    if known is None:
        known = not _timeless(certificate, oid, is_leaf=True, is_anchor=is_anchor)
        if len(_faultless_kept) >= limits.JUDGEMENTS_KEPT_MAX:
            _faultless_kept.clear()
        _faultless_kept[alike] = known
    return known


def _timeless(certificate: x509.Certificate, oid: str, *, is_leaf: bool, is_anchor: bool) -> list[Finding]:
    """Those that come out the same at any time."""
    found = profile.check(certificate, is_leaf=is_leaf, is_anchor=is_anchor)
    if not certificate.critical <= EVALUATED:
        found += _critical(certificate, oid, is_leaf=is_leaf)
    if not is_leaf:
        found += _authority(certificate, "" if oid == CRL_SIGNING else oid, is_anchor=is_anchor)
    elif oid == CRL_SIGNING:
        found += _list_signer(certificate)
    else:
        found += _leaf(certificate, oid, is_anchor=is_anchor)
    if certificate.version < _WITH_EXTENSIONS and certificate.extensions:
        found.append(
            reasons.PATH_MALFORMED.found(
                "extensions in a certificate of an older version", subject=certificate.subject_text
            )
        )
    return found


def _validity(certificate: x509.Certificate, moment: Moment) -> list[Finding]:
    if moment.before(certificate.not_before):
        return [
            reasons.PATH_NOT_YET_VALID.found(
                f"valid from {clock.show(certificate.not_before)}", subject=certificate.subject_text
            )
        ]
    if moment.after(certificate.last_moment):
        return [
            reasons.PATH_EXPIRED.found(
                f"valid until {clock.show(certificate.not_after)}", subject=certificate.subject_text
            )
        ]
    return []


def _digest(certificate: x509.Certificate, moment: Moment) -> list[Finding]:
    """The digest under the issuer's signature; nobody needs the one under a root's own."""
    name = certificate.signature_algorithm.digest
    if name is None:
        return []
    strength = digest.ALGORITHMS[name].strength
    if strength is digest.Strength.STRONG:
        return []
    dated = strength is digest.Strength.DATED and moment.surely_before(limits.SHA1_SUNSET)
    reason = reasons.PATH_DATED_DIGEST if dated else reasons.PATH_WEAK_DIGEST
    return [reason.found(name, subject=certificate.subject_text)]


def _key(certificate: x509.Certificate, moment: Moment, *, is_anchor: bool) -> list[Finding]:
    """The length of a key, and DSA. A short key of a root is for its store to judge, which can end its trust in it."""
    try:
        kind, size = public_keys.require_usable(certificate.spki)
    except public_keys.ForbiddenKeyError as error:
        return [reasons.PATH_WEAK_KEY.found(str(error), subject=certificate.subject_text)]
    except algorithms.UnsupportedError as error:
        return [reasons.PATH_UNSUPPORTED.found(str(error), subject=certificate.subject_text)]
    is_dsa = kind == public_keys.DSA
    if not is_dsa and (kind != "rsa" or size >= limits.RSA_BITS_MIN):
        return []
    sunset = limits.RSA_1024_SUNSET if size < limits.RSA_BITS_MIN else limits.DSA_SUNSET
    vouched = is_anchor and not is_dsa
    dated = size >= limits.RSA_BITS_DATED and (vouched or moment.surely_before(sunset))
    reason = reasons.PATH_DATED_KEY if dated else reasons.PATH_WEAK_KEY
    return [reason.found(f"{'DSA' if is_dsa else 'RSA'} of {size} bits", subject=certificate.subject_text)]


def _critical(certificate: x509.Certificate, purpose: str, *, is_leaf: bool) -> list[Finding]:
    unknown = [
        oid
        for oid, each in certificate.extensions.items()
        if each.critical
        and oid not in EVALUATED
        and not (oid == NETSCAPE_CERT_TYPE and _signs_objects(each.value, purpose, is_leaf=is_leaf))
    ]
    return [reasons.PATH_CRITICAL.found(oid, subject=certificate.subject_text) for oid in unknown]


def _signs_objects(value: bytes, purpose: str, *, is_leaf: bool) -> bool:
    """Whether Netscape's certificate type permits code signing, which is all that it is evaluated for."""
    needed = _OBJECT_SIGNING if is_leaf else _OBJECT_SIGNING_CA
    return x509.EKU_CODE_SIGNING in anchors.saying(purpose) and needed in der.parse(value).bits()


def _leaf(certificate: x509.Certificate, oid: str, *, is_anchor: bool) -> list[Finding]:
    """The signer's own certificate: no authority (where a purpose is asked for), a key for signatures, and for this."""
    found = []
    constraints = certificate.basic_constraints
    if constraints is not None and constraints.ca and not is_anchor and oid:
        found.append(reasons.PATH_SIGNER_IS_CA.found(subject=certificate.subject_text))
    usage = certificate.key_usage
    wanted = {x509.DIGITAL_SIGNATURE}
    if oid == x509.EKU_TIME_STAMPING:  # RFC 5280 clause 4.2.1.12
        wanted.add(x509.NON_REPUDIATION)
    if usage is not None and usage.isdisjoint(wanted):
        found.append(
            reasons.PATH_KEY_USAGE.found("its key is not for digital signatures", subject=certificate.subject_text)
        )
    purposes = certificate.extended_key_usage
    if oid and not _serves(purposes, oid):
        shown = ", ".join(purposes) if purposes else "none named"
        found.append(reasons.PATH_PURPOSE.found(f"for {shown}", subject=certificate.subject_text))
    elif oid == x509.EKU_TIME_STAMPING and purposes is not None:
        found += _sole(certificate, purposes)
    application = _application_purposes(certificate)
    if oid and application is not None and application.isdisjoint({*anchors.saying(oid), _ANY_APPLICATION}):
        found.append(
            reasons.PATH_PURPOSE.found("its application policies do not name it", subject=certificate.subject_text)
        )
    return found


def _serves(purposes: Sequence[str] | None, oid: str) -> bool:
    """Whether a signer's extended key usage names a purpose; most keys for modules and firmware have none at all."""
    if oid in anchors.KERNEL_SIDE:
        return purposes is None or not {*anchors.saying(oid), x509.EKU_ANY}.isdisjoint(purposes)
    return purposes is not None and oid in purposes


def _list_signer(certificate: x509.Certificate) -> list[Finding]:
    """Who signs revocation lists: anybody whose key usage does not forbid it (clause 6.3.3 (f))."""
    usage = certificate.key_usage
    if usage is None or x509.CRL_SIGN in usage:
        return []
    return [reasons.PATH_KEY_USAGE.found("its key is not for revocation lists", subject=certificate.subject_text)]


def _sole(certificate: x509.Certificate, purposes: Sequence[str]) -> list[Finding]:
    """Time-stamping must be the only purpose (RFC 3161 clause 2.3).

    It must be critical, too; that it is not in many of Microsoft's endangers nobody who, as here, reads the extension.
    """
    if len(purposes) > 1:
        detail = f"for {', '.join(purposes)}; time-stamping must be its only purpose"
        return [reasons.PATH_PURPOSE.found(detail, subject=certificate.subject_text)]
    if not certificate.extensions[x509.EXTENDED_KEY_USAGE].critical:
        return [reasons.PATH_PURPOSE_NOT_CRITICAL.found(subject=certificate.subject_text)]
    return []


def _authority(certificate: x509.Certificate, oid: str, *, is_anchor: bool) -> list[Finding]:
    """Those above: authorities, with a key for certificates, and for this purpose if they are limited to some.

    An anchor of the old kind, without basic constraints, was made one by whoever put it into the store.
    """
    found = []
    constraints = certificate.basic_constraints
    if (constraints is None and not is_anchor) or (constraints is not None and not constraints.ca):
        found.append(reasons.PATH_NOT_CA.found(subject=certificate.subject_text))
    usage = certificate.key_usage
    if usage is not None and x509.KEY_CERT_SIGN not in usage:
        found.append(reasons.PATH_KEY_USAGE.found("its key is not for certificates", subject=certificate.subject_text))
    purposes = certificate.extended_key_usage
    if oid and purposes is not None and x509.EKU_ANY not in purposes and anchors.saying(oid).isdisjoint(purposes):
        found.append(reasons.PATH_PURPOSE_ABOVE.found(f"for {', '.join(purposes)}", subject=certificate.subject_text))
    application = _application_purposes(certificate)
    if oid and application is not None and application.isdisjoint({*anchors.saying(oid), _ANY_APPLICATION}):
        found.append(
            reasons.PATH_PURPOSE_ABOVE.found(
                "its application policies do not name it", subject=certificate.subject_text
            )
        )
    return found


def _application_purposes(certificate: x509.Certificate) -> frozenset[str] | None:
    """Microsoft's application policies, in the form of certificate policies."""
    extension = certificate.extensions.get(APPLICATION_POLICIES)
    if extension is None:
        return None
    policies = der.parse(extension.value).expect(der.SEQUENCE).children()
    return frozenset(policy.fields().take().oid() for policy in policies)


def _lengths(above: Sequence[x509.Certificate]) -> list[Finding]:
    """How many authorities each allows below itself; self-issued ones do not count (clause 6.1.4 (l) and (m))."""
    found = []
    below = 0
    for certificate in above:
        try:
            constraints = certificate.basic_constraints
        except MalformedError:
            continue  # already reported
        if constraints is not None and constraints.path_length is not None and below > constraints.path_length:
            detail = f"{below} below it, {constraints.path_length} allowed"
            found.append(reasons.PATH_TOO_LONG.found(detail, subject=certificate.subject_text))
        below += not certificate.self_issued
    return found


def _names(path: Sequence[x509.Certificate], anchor: Anchor) -> list[Finding]:
    """Name constraints of every authority, its anchor's too, on all below it (clause 6.1.3 (b) and (c)).

    The store's own come first (RFC 5937 clause 3.2).
    """
    if anchor.constraints.name_limits is None and not any(x509.NAME_CONSTRAINTS in each.extensions for each in path):
        return []
    budget = names.Budget()
    known: dict[int, list[names.General]] = {}
    for level in range(len(path), 0, -1):
        position = min(level, len(path) - 1)
        above = path[position]
        reason = store_reasons.STORE_NAME if level == len(path) else reasons.PATH_NAME
        try:
            constraints = anchor.constraints.name_limits if level == len(path) else names.subtrees(above)
            if constraints is None:
                continue
            for lower in range(position - 1, -1, -1):
                below = path[lower]
                if lower and below.self_issued:
                    continue
                if lower not in known:
                    known[lower] = names.names_of(below)
                detail = names.violation(known[lower], constraints, budget)
                if detail:
                    return [reason.found(detail, subject=below.subject_text)]
        except MalformedError as error:
            return [reasons.PATH_MALFORMED.found(f"name constraints: {error}", subject=above.subject_text)]
        except names.TooManyError as error:
            return [reasons.PATH_BUDGET.found(str(error), subject=above.subject_text)]
    return []


def _policies(path: Sequence[x509.Certificate], demands: Demands | None) -> list[Finding]:
    """Certificate policies, where somebody demands one (clause 6.1.5 (g)) or maps some."""
    if demands is None and all(_POLICY_RULES.isdisjoint(each.extensions) for each in path):
        return []  # nothing can fail: every path is valid under any policy or none
    from chopmark.trust.paths import policies  # few paths need it

    try:
        detail = policies.problem(path, demands or policies.NO_DEMANDS)
    except MalformedError as error:
        return [reasons.PATH_MALFORMED.found(f"policies: {error}", subject=path[0].subject_text)]
    return [reasons.PATH_POLICY.found(detail, subject=path[0].subject_text)] if detail else []
