"""Under which circumstances to judge: whom to trust, when, and with which revocation data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.trust.paths.issuers import IssuerSource

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from chopmark.core.contracts import Fetcher, Voucher
    from chopmark.core.verdict import SealVerdict
    from chopmark.trust.blocklists.blocklist import Blocklist
    from chopmark.trust.crl.origins import CrlSource
    from chopmark.trust.evidence import Collector, Evidence
    from chopmark.trust.log.keys import Trusted
    from chopmark.trust.moment import Moment
    from chopmark.trust.ocsp.source import OcspSource
    from chopmark.trust.paths.path import Path
    from chopmark.trust.paths.policies import Demands
    from chopmark.trust.stores.store import Store

Answer = TypeVar("Answer")

REQUIRE, PREFER, OFF = "require", "prefer", "off"
MODES = (REQUIRE, PREFER, OFF)


class Besides(NamedTuple):
    """What else may count: evidence that nobody trusts, a collector of what is used, lists of what is never trusted.

    `ocsp` is where OCSP answers come from; None for nowhere but the signature and the evidence. `logs` are those that a
    signature must be in; None when nobody asks.
    """

    evidence: Evidence | None = None
    collector: Collector | None = None
    blocklists: tuple[Blocklist, ...] = ()
    ocsp: OcspSource | None = None
    logs: Trusted | None = None


class Context:
    """The circumstances of a check, the same for all files of one call.

    `at` is the time of the check, with a zone; `revocation` is one of MODES; `fetcher` fetches missing issuers;
    `demands` are the certificate policies wanted. Answers are remembered with the window of time they hold in, so that
    many files by one signer are judged once. Raises UsageError for an unknown mode, a time without a zone, and a CRL in
    a store's folder that cannot be read.
    """

    def __init__(
        self,
        store: Store,
        at: dt.datetime,
        revocation: str = PREFER,
        crls: CrlSource | None = None,
        fetcher: Fetcher | None = None,
        demands: Demands | None = None,
        besides: Besides | None = None,
    ) -> None:
        if revocation not in MODES:
            raise UsageError(f"revocation is {', '.join(MODES)}, not {revocation!r}")
        if at.tzinfo is None:
            raise UsageError("the time of a check needs a time zone")
        if crls is None:
            from chopmark.trust.crl.origins import CrlSource  # who has no lists may still have a store with some

            crls = CrlSource()
        self.evidence, self.collector, self.blocklists, self.ocsp, self.logs = besides or Besides()
        self.store = store if self.evidence is None else store.with_source(self.evidence)
        self.at = at
        self.revocation = revocation
        self.demands = demands
        self.crls = crls
        self.store_crls = tuple(crl for path in store.crl_files for crl in crls.read_file(path))
        self.issuers = IssuerSource(fetcher)
        self.vouchers: tuple[Voucher, ...] = ()
        """Lists of files, signed and judged themselves, through which others are trusted."""
        self._remembered: dict[object, list[tuple[Moment, Any]]] = {}
        self._count = 0
        self._ways: dict[object, Path] = {}
        self._settled: dict[object, Any] = {}
        self._judged: dict[str, tuple[tuple[object, ...], SealVerdict]] = {}

    def remembered(self, key: object, moment: Moment, answer: Callable[[], Answer]) -> Answer:
        """The answer for `key`, from an earlier moment if no comparison with time would have come out differently.

        `answer` must depend on nothing but what is in `key`, this context, and comparisons that it makes with `moment`.
        """
        known = self._remembered.setdefault(key, [])
        for earlier, value in known:
            if _holds(earlier, moment):
                found: Answer = value
                return found
        given = answer()
        self._count += 1
        if self._count > limits.JUDGEMENTS_KEPT_MAX:
            self._remembered.clear()
            self._count = 1
            known = self._remembered.setdefault(key, [])
        known.append((moment, given))
        return given

    def settled(self, key: object, answer: Callable[[], Answer]) -> Answer:
        """The answer for `key`, which must depend on nothing but what is in `key` and this context: not on a moment."""
        known: Answer | None = self._settled.get(key)
        if known is None:
            known = answer()
            _make_room(self._settled)
            self._settled[key] = known
        return known

    def judged(self, signer: str, said: tuple[object, ...]) -> SealVerdict | None:
        """What the last signature by a signer (a fingerprint) came to, if the very same was `said` of it.

        It is compared and not looked up: to find out its hash would take as long as to judge it.
        """
        known = self._judged.get(signer)
        return known[1] if known is not None and known[0] == said else None

    def keep_judged(self, signer: str, said: tuple[object, ...], judged: SealVerdict) -> None:
        """Keep it, where it depends on nothing but what is in `said` and this context."""
        _make_room(self._judged)
        self._judged[signer] = said, judged

    def way(self, key: object) -> Path | None:
        """The way that was good for somebody with this `key`: what leads from a signer's issuer on to an anchor."""
        return self._ways.get(key)

    def keep_way(self, key: object, way: Path) -> None:
        """Keep a way that was good, to try it first for the next signer with this `key`."""
        if self._ways.get(key) is not way:
            _make_room(self._ways)
            self._ways[key] = way


def _make_room(kept: dict[Any, Any]) -> None:
    if len(kept) >= limits.JUDGEMENTS_KEPT_MAX:
        kept.clear()


def _holds(earlier: Moment, moment: Moment) -> bool:
    return (
        earlier.proven == moment.proven
        and earlier.accuracy == moment.accuracy
        and (earlier.since is None or moment.at >= earlier.since)
        and (earlier.until is None or moment.at < earlier.until)
    )
