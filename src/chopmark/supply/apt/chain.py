"""From a signed release to packages: who signed, is it the newest, are the lists its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.artifact import Artifact, read_small
from chopmark.core.contracts import Vouched
from chopmark.core.errors import BrokenError, ChopmarkError, InputError, MalformedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.core.patch import WriteError
from chopmark.core.verdict import SEVERITY, SealVerdict, Status, worst_of
from chopmark.engine import check
from chopmark.envelopes.openpgp import reasons as openpgp_reasons
from chopmark.envelopes.openpgp import text
from chopmark.supply.apt import index, places, reasons, release, sources
from chopmark.trust.context import OFF, Context
from chopmark.trust.stores.store import Store

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from chopmark.core.finding import Finding
    from chopmark.core.verdict import Verdict
    from chopmark.supply.apt.index import Listing
    from chopmark.supply.apt.memory import Memory
    from chopmark.supply.apt.places import Place
    from chopmark.supply.apt.release import Release
    from chopmark.trust.stores.keyring import Keyring

SCHEME = "apt"
STALE = frozenset({reasons.EXPIRED.code})
"""What is against using a release today, and not against where its packages come from."""


class Judged(NamedTuple):
    """A release that was looked at: `signed` are the seals that hold, `release` is None where nothing is believed."""

    path: str
    release: Release | None
    signed: tuple[SealVerdict, ...]
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of the findings."""
        return worst_of(self.findings)

    @property
    def proves(self) -> bool:
        """Whether it shows where packages come from, fresh or not."""
        return worst_of(finding for finding in self.findings if finding.code not in STALE) is Status.TRUSTED


class Repository:
    """All releases of a folder, and the packages that they lead to; as a Voucher, what says where a .deb is from."""

    def __init__(self, judged: Sequence[Judged], packages: dict[bytes, Listing]) -> None:
        """`packages` are by SHA-256."""
        self.judged = tuple(judged)
        self.packages = packages

    @property
    def status(self) -> Status:
        """The worst of all releases; undecided where there is none."""
        return max((each.status for each in self.judged), key=SEVERITY.index, default=Status.UNDECIDED)

    def listing(self, digest: bytes) -> tuple[Listing, Judged] | None:
        """The package with this SHA-256, and the release that leads to it."""
        found = self.packages.get(digest)
        return (found, self.judged[found.release]) if found is not None else None

    def vouch(self, name: str, digest: bytes) -> Vouched:  # noqa: ARG002 - the contract
        """A seal that stands for the release's own, if a list of it names this content."""
        found = self.listing(digest)
        if found is None:
            return Vouched()
        listing, judged = found
        named = b" ".join((listing.package, listing.version, listing.architecture)).decode("utf-8", "replace")
        signer = judged.signed[0].signer if judged.signed else None
        against = tuple(finding for finding in judged.findings if finding.outcome is not Outcome.INFO)
        where = f"{judged.release.name if judged.release else judged.path}: {named}"
        findings = (reasons.PACKAGE.found(named), *against)
        return Vouched(
            SealVerdict(
                where=where,
                scheme=SCHEME,
                intact=True,
                digest_algorithm="sha256",
                signer=signer,
                signed_at=None,
                nested=0,
                findings=findings,
            )
        )

    def holds(self, path: bytes, digest: bytes) -> bool:  # noqa: ARG002 - the contract
        """Never: a repository says what is in packages, not what stands where."""
        return False


def keys_by_source(root: str) -> Callable[[Place], Keyring]:
    """The keys that the sources of a host or image name for each of their repositories."""
    configured = sources.configured(root)
    return lambda place: sources.keys_for(place.prefix, configured, root)


def load(folder: str, keys: Callable[[Place], Keyring], at: dt.datetime, memory: Memory | None = None) -> Repository:
    """Judge every release in a folder, and read its lists. Raises InputError, UsageError.

    With a memory, older releases than those seen before are refused, and newer ones noted.
    """
    judged: list[Judged] = []
    packages: dict[bytes, Listing] = {}
    for place in places.find(folder):
        one, found = _judge(place, keys, at, memory, len(judged))
        judged.append(one)
        packages |= {digest: each for digest, each in found.items() if digest not in packages}
    if not judged:
        judged.append(Judged(folder, None, (), (reasons.NO_RELEASE.found(folder),)))
    return Repository(judged, packages)


def _judge(
    place: Place, keys: Callable[[Place], Keyring], at: dt.datetime, memory: Memory | None, number: int
) -> tuple[Judged, dict[bytes, Listing]]:
    try:
        data = read_small(place.path, limits.RELEASE_MAX)
        signature = read_small(place.signature, limits.OPENPGP_SIGNATURES_SIZE_MAX) if place.signature else b""
    except InputError as error:
        return Judged(place.path, None, (), (reasons.RELEASE_UNREADABLE.found(str(error)),)), {}
    try:
        ring = keys(place)
    except (InputError, UsageError) as error:
        return Judged(place.path, None, (), (reasons.KEYRING.found(str(error)),)), {}
    if not len(ring):
        return Judged(place.path, None, (), (reasons.KEYRING.found(),)), {}
    verdict = _verdict(place.path, data, signature, Context(Store((), (), ring), at, OFF))
    signed, finding = _signed(verdict)
    if not signed:
        return Judged(place.path, None, (), (finding,)), {}
    try:
        found = release.parse(data if signature else text.clear(data).original)
    except BrokenError as error:
        return Judged(place.path, None, signed, (finding, error.reason.found(error.detail))), {}
    findings = [finding, *_dated(found, at, memory), *_of_suite(found, place)]
    packages, about = index.load(place, found, number)
    findings += about
    if memory is not None and worst_of(findings) is Status.TRUSTED:
        try:
            memory.note(found.name, found.date)
        except WriteError as error:
            findings.append(reasons.NOT_REMEMBERED.found(str(error)))
    return Judged(place.path, found, signed, tuple(findings)), packages


def _verdict(path: str, data: bytes, signature: bytes, context: Context) -> Verdict:
    if signature:
        return check.check(Artifact.from_bytes(data, path, {".gpg": signature}), context, "openpgp")
    return check.check(Artifact.from_bytes(data, path), context, "clearsigned")


def _signed(verdict: Verdict) -> tuple[tuple[SealVerdict, ...], Finding]:
    """The seals that hold. One suffices, as for apt; but none may be wrong by a key that is known."""
    trusted = tuple(seal for seal in verdict.seals if seal.status is Status.TRUSTED)
    codes = {finding.code for seal in verdict.seals for finding in seal.findings if finding.outcome is Outcome.NO}
    against = [finding for finding in verdict.findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)]
    if trusted and openpgp_reasons.SIGNATURE_WRONG.code not in codes and not against:
        who = trusted[0].signer
        return trusted, reasons.RELEASE.found(who.subject if who else "")
    if verdict.status is Status.UNDECIDED and not against:
        return (), reasons.RELEASE_UNDECIDED.found(", ".join(sorted({_who(seal) for seal in verdict.seals})))
    return (), reasons.RELEASE_UNTRUSTED.found(", ".join(sorted({*codes, *(each.code for each in against)})))


def _who(seal: SealVerdict) -> str:
    return seal.signer.subject if seal.signer else ""


def _dated(found: Release, at: dt.datetime, memory: Memory | None) -> list[Finding]:
    findings = []
    if found.date - at > limits.APT_FUTURE:
        findings.append(reasons.FUTURE.found(clock.show(found.date)))
    if found.valid_until is not None and at >= found.valid_until:
        findings.append(reasons.EXPIRED.found(clock.show(found.valid_until)))
    newest = memory.newest(found.name) if memory is not None else None
    if newest is not None and found.date < newest:
        findings.append(reasons.ROLLBACK.found(f"{clock.show(found.date)}, before {clock.show(newest)}"))
    if not findings:
        findings.append(reasons.FRESH.found(clock.show(found.date)))
    if found.valid_until is None:
        findings.append(reasons.NO_END.found())
    return findings


def _of_suite(found: Release, place: Place) -> list[Finding]:
    if not place.suite:
        return []
    names = {found.suite, found.codename, *(each.replace("/", "_") for each in (found.suite, found.codename))}
    return [] if place.suite in names else [reasons.SUITE.found(f"{found.suite or found.codename}, not {place.suite}")]


def package_findings(repository: Repository, artifact: Artifact, digest: bytes) -> list[Finding]:
    """What the lists say of an open package with this SHA-256. Raises nothing for a bad package."""
    from chopmark.formats.deb import contents  # the archive is opened only here

    found = repository.listing(digest)
    if found is None:
        return [reasons.PACKAGE_UNLISTED.found(digest.hex())]
    listing, judged = found
    if listing.size != artifact.view.size:
        return [reasons.PACKAGE_SIZE.found(f"{artifact.view.size} bytes, not {listing.size}")]
    try:
        said = contents.control(artifact.view)
    except BrokenError as error:
        return [error.reason.found(error.detail)]
    except (MalformedError, ChopmarkError) as error:
        return [reasons.FORM.found(str(error))]
    named = (listing.package, listing.version, listing.architecture)
    if (said.package, said.version, said.architecture) != named:
        return [reasons.PACKAGE_NAME.found(b" ".join(named).decode("utf-8", "replace"))]
    return [reasons.PACKAGE.found(b" ".join(named).decode("utf-8", "replace")), *judged.findings]
