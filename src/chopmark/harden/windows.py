"""What AppLocker and App Control have in common: signers with products and versions, and digests of images.

Whoever signed may be bound to a product, and to versions up to one or from one on; a denial wins. Rules come down to
certificates at hand. What else a policy knows is not known there: a rule that needs it is left to the list of files,
about which the policy itself decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import versions
from chopmark.core.counting import counted
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.harden import listing, reasons
from chopmark.harden.conditions import allows, apart, concerns_kind, demanding, lasting, named, used
from chopmark.harden.contract import Degree, partly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.reasons import Reason
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.listing import Listing
    from chopmark.harden.material import Identity
    from chopmark.policy.rules import Rule

_SAID = frozenset(
    {
        *("signer.key", "signer.certificate", "signer.root", "signer.eku", "signer.subject", "ca", "store"),
        *("product", "version", "below", "require.min-version", "status", "expires"),
    }
)
"""What rules by signer can be about; rules about anything else come down to files."""
_PARTS, _LARGEST = 4, 65535
LOWEST, HIGHEST = "0.0.0.0", ".".join([str(_LARGEST)] * _PARTS)  # noqa: S104 - a version, and no address


class Signed(NamedTuple):
    """What somebody signed: of a product (empty: any), in versions from `lowest` to `highest`."""

    identity: Identity
    product: str
    lowest: str
    highest: str
    rule: Rule


class Denied(NamedTuple):
    """What nobody, or (None: whoever) somebody, may have signed: products and versions, or an image."""

    identity: Identity | None
    product: str
    lowest: str
    highest: str
    image: bytes
    rule: Rule


class Plan(NamedTuple):
    """What is exported for some uses: signers, denials, files, and what became of each rule."""

    signed: tuple[Signed, ...]
    denied: tuple[Denied, ...]
    listing: Listing
    findings: tuple[Finding, ...]


def four(version: str) -> str | None:
    """A version as Windows writes it; None for what it cannot."""
    try:
        numbers = versions.key(versions.DOTTED, version)
    except MalformedError:
        return None
    if len(numbers) > _PARTS or max(numbers) > _LARGEST:
        return None
    return ".".join(map(str, (*numbers, *[0] * (_PARTS - len(numbers)))))


def before(version: str) -> str | None:
    """The last version before one; None where there is none, or it cannot be written."""
    written = four(version)
    if written is None:
        return None
    number = 0
    for part in written.split("."):
        number = number * (_LARGEST + 1) + int(part)
    if not number:
        return None
    number -= 1
    parts: list[str] = []
    for _ in range(_PARTS):
        number, lowest = divmod(number, _LARGEST + 1)
        parts.insert(0, str(lowest))
    return ".".join(parts)


class Planner:
    """Rules one after the other, for uses that the target decides about in the same way.

    `usable` says why the target does not know a signer (empty: it does).
    """

    def __init__(
        self,
        request: Request,
        table: Mapping[str, Capability],
        kinds: Sequence[str],
        usable: Callable[[Identity], str],
        *,
        signers: bool,
    ) -> None:
        self._request = request
        self._table = table
        self._kinds = kinds
        self._listing = listing.listed(request, kinds)
        believed = [each for each in request.material.identities if each.believed] if signers else []
        self._identities = [each for each in believed if not usable(each)]
        self._images = {each.file.sha256: each.image for each in request.material.files}
        self._signed: list[Signed] = []
        self._denied: list[Denied] = []
        self._said: dict[int, Finding] = {}

    def plan(self) -> Plan:
        """Do it."""
        plain = listing.findings(self._request, self._listing, self._kinds, digests=False)
        for rule, finding in zip(self._request.rules, plain, strict=True):
            self._said[rule.number] = finding
        counting = [rule for rule in self._request.rules if self._counts(rule)]
        for rule in counting:
            if allows(rule):
                self._allow(rule)
        for rule in counting:
            if not allows(rule) or demanding(rule):
                self._restrict(rule)
        findings = tuple(self._said[rule.number] for rule in self._request.rules)
        return Plan(tuple(self._signed), tuple(self._denied), self._listing, findings)

    def _counts(self, rule: Rule) -> bool:
        return (
            rule.active(self._request.at)
            and not named(rule, self._request.left_out)
            and any(concerns_kind(rule, kind) for kind in self._kinds)
        )

    def _tell(self, rule: Rule, reason: Reason, detail: str) -> None:
        text = f"{rule.label}: {detail}" if rule.label else detail
        self._said[rule.number] = reason.found(text, subject=str(rule.place))

    def _allow(self, rule: Rule) -> None:
        """Signers that a rule allows, if it is about nothing else than the target knows."""
        names = {name for name in used(rule) if not name.startswith("use.")}
        if not names <= _SAID or not lasting(rule, self._request) or self._request.policy.main.revocation == "require":
            return
        if not all(concerns_kind(rule, kind) for kind in self._kinds):
            return
        if rule.conditions.statuses and Status.TRUSTED not in rule.conditions.statuses:
            return
        ranges = list(_ranges(rule))
        found = [each for each in self._identities if rule.concerns(each.seal)]
        if found and ranges:
            self._signed += [
                Signed(each, product, *bounds, rule)
                for each in found
                for product in sorted(rule.conditions.products) or [""]
                for bounds in ranges
            ]
            self._tell(rule, reasons.NARROWED, f"{counted(len(found), 'signer')} at hand")

    def _restrict(self, rule: Rule) -> None:
        """Deny what a rule denies, or binds to what cannot be asked about, of all that signers are allowed."""
        hit = [each for each in self._signed if self._hits(rule, each)]
        if not hit:
            return
        about = rule.conditions
        sealed = about.about_seals and not about.catalogs
        out: list[Identity] = []
        if sealed:
            out = sorted({each.identity for each in hit}, key=lambda each: each.certificate.sha256)
        whose: list[Identity | None] = [*out] or [None]
        images = [self._images.get(digest) for digest in sorted(about.digests)]
        exact = not allows(rule) and all(self._table[name].deny is Degree.EXACT for name in used(rule))
        if about.digests and None not in images:
            self._denied += [Denied(None, "", LOWEST, HIGHEST, image, rule) for image in images if image]
        elif about.products and (ranges := list(_denied_ranges(rule))):
            self._denied += [
                Denied(each, product, *bounds, b"", rule)
                for each in whose
                for product in sorted(about.products)
                for bounds in ranges
            ]
        elif out:
            self._signed = [each for each in self._signed if each.identity not in out]
            exact = exact and not (about.products or about.digests)
        else:
            self._tell(rule, reasons.WIDER, "it is about nothing that the target knows, or about files not at hand")
            return
        if not allows(rule):
            self._tell(rule, reasons.EXACT if exact else reasons.NARROWED, "denied")

    def _hits(self, rule: Rule, each: Signed) -> bool:
        about = rule.conditions
        if apart(rule, each.rule) or (
            about.about_seals and not about.catalogs and not rule.concerns(each.identity.seal)
        ):
            return False
        return not allows(rule) or each.rule.rank < rule.rank


def _ranges(rule: Rule) -> Iterator[tuple[str, str]]:
    """The versions that a rule allows, as ranges; none where they cannot be written."""
    about = rule.conditions
    least = four(rule.require.version) if rule.require.version else LOWEST
    last = before(about.below) if about.below else HIGHEST
    if least is None or last is None:
        return
    for bounds in [(four(each), four(each)) for each in about.versions] or [(LOWEST, HIGHEST)]:
        low, high = bounds
        if low is None or high is None:
            continue
        lowest, highest = max(low, least, key=_order), min(high, last, key=_order)
        if _order(lowest) <= _order(highest):
            yield lowest, highest


def _denied_ranges(rule: Rule) -> Iterator[tuple[str, str]]:
    """The versions that have to be denied: those that a denial is about, or that do not meet what is demanded."""
    about = rule.conditions
    only_version = allows(rule) and {name for name in used(rule) if name.startswith("require.")} == {
        "require.min-version"
    }
    if only_version and not (about.versions or about.below):
        last = before(rule.require.version)
        yield LOWEST, HIGHEST if last is None and four(rule.require.version) is None else last or LOWEST
        return
    exactly = [four(each) for each in about.versions]
    if exactly and None not in exactly:
        yield from ((each, each) for each in exactly if each)
        return
    last = before(about.below) if about.below else None
    yield LOWEST, last or HIGHEST


def _order(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def capabilities(governed: Sequence[str], signer: str, **more: Capability) -> dict[str, Capability]:
    """Signers, products and versions as they are; everything else through the files at hand."""
    by_signer = partly(Degree.NARROWER, Degree.EXACT, signer)
    resource = partly(Degree.EXACT, Degree.EXACT, "the original file name in the version resource of a signed file")
    table = listing.capabilities(governed, **more)
    table |= dict.fromkeys(
        ("signer.key", "signer.certificate", "signer.root", "signer.eku", "signer.subject", "ca", "store"), by_signer
    )
    table |= {"product": resource, "version": resource, "below": resource, "require.min-version": resource}
    table["digest"] = partly(Degree.NARROWER, Degree.EXACT, "files at hand, by the digest of their image")
    return table


def merged(plans: Sequence[Plan]) -> list[Finding]:
    """One finding for each rule, of several plans: the same in all, or what is true of them together."""
    return [_together(found) for found in zip(*(plan.findings for plan in plans), strict=True)]


def _together(found: Sequence[Finding]) -> Finding:
    wider = [each for each in found if each.code == reasons.WIDER.code]
    if wider:
        return wider[0]
    busy = [each for each in found if each.code != reasons.IDLE.code]
    if not busy:
        return found[0]
    if len({each.code for each in busy}) == 1:
        return busy[0]
    narrowed = [each for each in busy if each.code == reasons.NARROWED.code]
    return (narrowed or [reasons.NARROWED.found(busy[0].detail, subject=busy[0].subject)])[0]
