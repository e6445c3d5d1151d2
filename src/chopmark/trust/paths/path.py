"""Finding a way from a signer's certificate to a trust anchor (RFC 4158, RFC 5280 clause 6).

Depth first with backtracking: the promising issuers are tried before the others, every whole way is judged by all
rules, and the first one without a problem wins. Names and key identifiers only say what to try; what counts are
signatures. The search has a budget, so that nobody can make it long. When no way is good, the one that came furthest
says why.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.errors import MalformedError
from chopmark.core.finding import AGAINST, Finding
from chopmark.core.lazy import lazy
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, dsa, public_keys, signatures, x509
from chopmark.trust.paths import reasons, rules

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.trust.moment import Moment
    from chopmark.trust.paths.issuers import IssuerSource
    from chopmark.trust.paths.policies import Demands
    from chopmark.trust.stores.anchors import Anchor
    from chopmark.trust.stores.store import Store

# How far a way came; of two that failed, the one that came further says why.
_NO_ISSUER, _UNTRUSTED, _UNAVAILABLE, _BROKEN, _WHOLE, _UNSETTLED = range(6)


class Path(NamedTuple):
    """A way and what was found about it: the signer's certificate first, the anchor's last when there is an anchor."""

    certificates: tuple[x509.Certificate, ...]
    anchor: Anchor | None
    findings: tuple[Finding, ...]

    @property
    def trusted(self) -> bool:
        """Whether it leads to an anchor and nothing speaks against it."""
        return self.anchor is not None and not _problems(self.findings)


class Material(NamedTuple):
    """What ways are made of: whom to trust, the certificates that came along, and where others can be fetched.

    `demands` are the certificate policies that the relying party wants, if any. `known` is a way that was good for
    another signer, from the same material: what is above that one is tried first.
    """

    store: Store
    carried: Sequence[bytes]
    issuers: IssuerSource | None = None
    demands: Demands | None = None
    known: Path | None = None


def _anything(way: Path) -> bool:  # noqa: ARG001 - the shape of what settles a way
    return True


def find(
    leaf: x509.Certificate,
    oid: str,
    moment: Moment,
    material: Material,
    settles: Callable[[Path], bool] = _anything,
) -> Path:
    """The best way from `leaf` to an anchor for the purpose `oid` (dotted; empty: any) at a moment.

    A way that obeys all rules is the answer if `settles` says so; otherwise others are tried, and it is the answer if
    none of them is better. Never raises for what certificates contain: a way that is not good has findings that say
    why.
    """
    if not _readable(leaf):
        return Path((leaf,), None, (reasons.PATH_MALFORMED.found("one of its names or identifiers cannot be read"),))
    return _Search(leaf, oid, moment, material, settles).run()


class _Search:
    """One search, with what it may still spend."""

    _ways_left = limits.PATHS_TRIED_MAX
    _checks_left = limits.SIGNATURE_CHECKS_MAX
    _fetches_left = limits.ISSUER_FETCHES_MAX
    _best: tuple[int, int] = (-1, 0)
    _best_path: Path | None = None
    _good: Path | None = None
    _exhausted = ""

    def __init__(
        self, leaf: x509.Certificate, oid: str, moment: Moment, material: Material, settles: Callable[[Path], bool]
    ) -> None:
        self._leaf = leaf
        self._settles = settles
        self._oid = oid
        self._moment = moment
        self._store, self._given, self._issuers, self._demands, self._known = material
        self._unavailable: dict[bytes, str] = {}

    def run(self) -> Path:
        """Search until a way is good, all have been tried, or the budget is spent."""
        if self._known is not None:
            self._retrace(self._known)
        if not self._finished:
            self._extend([self._leaf])
        if self._good is not None:
            return self._good
        best = self._best_path or Path((self._leaf,), None, ())
        if not self._exhausted or self._best[0] == _UNSETTLED:
            return best
        # What was not looked at could have been good: nothing found so far is a reason to refuse.
        so_far = ", ".join(dict.fromkeys(finding.code for finding in _problems(best.findings)))
        detail = f"{self._exhausted} looked at" + (f"; so far {so_far}" if so_far else "")
        finding = reasons.PATH_BUDGET.found(detail, subject=self._leaf.subject_text)
        return Path(best.certificates, None, (finding,))

    @lazy
    def _carried(self) -> list[x509.Certificate]:
        return [each for each in _read(self._given) if each.raw != self._leaf.raw]

    @property
    def _finished(self) -> bool:
        return self._good is not None or bool(self._exhausted)

    def _retrace(self, known: Path) -> None:
        """Try a way that was good for somebody else: everything about it is judged again, but it is not looked for."""
        leaf, above = self._leaf, known.certificates[1:]
        if not above or known.anchor is None or self._store.anchor(leaf) is not None:
            return
        if not _on_way(leaf, above) and self._check(leaf, above[0]) is None:
            self._judge((leaf, *above), known.anchor)

    def _extend(self, way: list[x509.Certificate]) -> None:
        """Try everything that can lead on from the last certificate of a way."""
        top = way[-1]
        anchor = self._store.anchor(top)
        if anchor is not None:
            self._judge(way, anchor)
        led_on = anchor is not None
        refusal: Finding | None = None
        candidates = self._candidates(top, way)
        # Asking for another candidate may cost much: only while one is needed.
        while not self._finished and (pair := next(candidates, None)) is not None:
            candidate, trusted = pair
            problem = self._check(top, candidate)
            if problem is not None:
                if _may_be_issuer(top, candidate):
                    refusal = refusal or problem
                continue
            led_on = True
            longer = [*way, candidate]
            if trusted is not None:
                self._judge(longer, trusted)
            elif len(longer) < limits.PATH_LENGTH_MAX:
                self._extend(longer)
            else:
                self._fail(_BROKEN, longer, reasons.PATH_TOO_LONG.found(f"{limits.PATH_LENGTH_MAX} are the limit"))
        if not led_on and not self._finished:
            self._dead_end(way, refusal)

    def _candidates(
        self, top: x509.Certificate, way: Sequence[x509.Certificate]
    ) -> Iterator[tuple[x509.Certificate, Anchor | None]]:
        """Who may have issued `top`, anchors with what makes them one.

        Nobody comes twice, and nobody who is on the way already. What costs more comes later: reading a whole store,
        then the network.
        """
        tried = set()
        for anchor in self._store.issuers(top):
            tried.add(anchor.certificate.raw)
            if not _on_way(anchor.certificate, way):
                yield anchor.certificate, anchor
        name = top.issuer_key
        near = [each for each in self._carried if each.subject_key == name]
        near += [each for each in self._store.intermediates(top.issuer) if _readable(each)]
        for each in self._sorted(top, near):
            if each.raw not in tried and not _on_way(each, way):
                tried.add(each.raw)
                yield each, None
        if top.self_issued:
            return
        for anchor in self._store.issuers_by_meaning(top):
            if anchor.certificate.raw not in tried and not _on_way(anchor.certificate, way):
                tried.add(anchor.certificate.raw)
                yield anchor.certificate, anchor
        for each in self._sorted(top, self._fetch(top)):
            if each.raw not in tried and not _on_way(each, way):
                tried.add(each.raw)
                yield each, None

    def _sorted(self, top: x509.Certificate, found: Iterable[x509.Certificate]) -> list[x509.Certificate]:
        """The promising ones first: by key identifier, then those that may issue at this time, then the newest."""
        several = list(found)
        if not several[1:]:  # mostly; then nothing need be known about it yet
            return several
        return sorted(
            several,
            key=lambda each: (
                top.authority_key_id is None or each.subject_key_id != top.authority_key_id,
                not rules.usable_issuer(each, self._moment),
                -each.not_before.toordinal(),
            ),
        )

    def _fetch(self, top: x509.Certificate) -> list[x509.Certificate]:
        """The issuers of `top` from where it says they are published."""
        try:
            urls = top.access_urls(x509.ACCESS_CA_ISSUERS)
        except MalformedError:
            return []
        if not urls:
            return []
        if self._issuers is None or self._fetches_left <= 0:
            self._unavailable[top.raw] = "nothing is fetched" if self._issuers is None else "too many to fetch"
            return []
        self._fetches_left -= 1
        raws, problem = self._issuers.fetch(urls)
        if problem:
            self._unavailable[top.raw] = problem
        name = top.issuer_key
        return [each for each in _read(raws) if each.subject_key == name]

    def _check(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Finding | None:
        """What is wrong with the issuer's signature on a certificate; nothing yet if the key is not complete."""
        if issuer.inherits_key:
            return None  # by a key above; _complete looks at it once that is known
        self._checks_left -= 1
        if self._checks_left < 0:
            self._exhausted = f"{limits.SIGNATURE_CHECKS_MAX} signatures"
            return reasons.PATH_BUDGET.found(self._exhausted)
        if len(certificate.raw) + len(issuer.spki) > limits.CERTIFICATE_KEPT_MAX:
            return _signature_problem(certificate, issuer.spki)
        signed = certificate.raw, issuer.spki
        if signed not in _known_problems:
            if len(_known_problems) >= limits.JUDGEMENTS_KEPT_MAX:
                _known_problems.clear()
            _known_problems[signed] = _signature_problem(certificate, issuer.spki)
        return _known_problems[signed]

    def _complete(self, way: Sequence[x509.Certificate]) -> tuple[Sequence[x509.Certificate], Finding | None]:
        """Fill in parameters of DSA keys from the keys above (clause 6.1.4 (e) and (f)), and check what had to wait."""
        for each in way:
            if each.inherits_key:
                break
        else:
            return way, None  # hardly anybody's key is of DSA
        whole = list(way)
        for position in range(len(way) - 2, -1, -1):
            each, above = whole[position], whole[position + 1]
            if each.inherits_key:
                whole[position] = each.with_key(dsa.completed(each.spki, above.spki))
            if way[position + 1].inherits_key and (problem := self._check(each, above)) is not None:
                return whole, problem
        return whole, None

    def _judge(self, found: Sequence[x509.Certificate], anchor: Anchor) -> None:
        """Apply all rules to a whole way."""
        way, problem = self._complete(found)
        if problem is not None:
            self._fail(_BROKEN, way, problem)
            return
        findings = rules.examine(way, anchor, self._oid, self._moment, self._demands)
        problems = _problems(findings)
        if not problems:
            trusted = reasons.PATH_TRUSTED.found(_shown(way, anchor), subject=way[0].subject_text)
            good = Path(tuple(way), anchor, (trusted, *findings))
            if self._settles(good):
                self._good = good
            else:
                self._note((_UNSETTLED, 0), good)
            return
        self._note((_WHOLE, -len(problems)), Path(tuple(way), anchor, tuple(findings)))

    def _dead_end(self, way: Sequence[x509.Certificate], refusal: Finding | None) -> None:
        top = way[-1]
        if top.self_issued:
            detail = f"{top.subject_text}, SHA-256 {top.sha256}"
            self._fail(_UNTRUSTED, way, reasons.PATH_UNTRUSTED_ROOT.found(detail, subject=top.subject_text))
        elif refusal is not None:
            self._fail(_BROKEN, way, refusal)
        elif top.raw in self._unavailable:
            detail = f"{top.issuer_text}: {self._unavailable[top.raw]}"
            self._fail(_UNAVAILABLE, way, reasons.PATH_ISSUER_UNAVAILABLE.found(detail, subject=top.subject_text))
        else:
            self._fail(_NO_ISSUER, way, reasons.PATH_ISSUER_UNKNOWN.found(top.issuer_text, subject=top.subject_text))

    def _fail(self, rank: int, way: Sequence[x509.Certificate], finding: Finding) -> None:
        self._note((rank, 0), Path(tuple(way), None, (finding,)))

    def _note(self, rank: tuple[int, int], path: Path) -> None:
        """Keep the best way so far, and count."""
        if rank > self._best:
            self._best, self._best_path = rank, path
        self._ways_left -= 1
        if self._ways_left <= 0:
            self._exhausted = f"{limits.PATHS_TRIED_MAX} ways"


def _signature_problem(certificate: x509.Certificate, issuer_spki: bytes) -> Finding | None:
    """What is wrong with a certificate's signature by a key; None when it is good."""
    try:
        certificate.verify_signed_by(issuer_spki)
    except signatures.BadSignatureError:
        reason, detail = reasons.PATH_BAD_SIGNATURE, f"issuer {certificate.issuer_text}"
    except public_keys.ForbiddenKeyError as error:
        reason, detail = reasons.PATH_WEAK_KEY, str(error)
    except algorithms.UnsupportedError as error:
        reason, detail = reasons.PATH_UNSUPPORTED, str(error)
    except MalformedError as error:
        reason, detail = reasons.PATH_MALFORMED, str(error)
    else:
        return None
    return reason.found(detail, subject=certificate.subject_text)


_known_problems: dict[tuple[bytes, bytes], Finding | None] = {}
"""Of certificates (DER) by keys: many files share a signer's certificates."""


def _problems(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.outcome in AGAINST]


def _readable(certificate: x509.Certificate) -> bool:
    """Whether everything that the search itself looks at can be read."""
    try:
        certificate.subject_key, certificate.issuer_key  # noqa: B018 - read, and kept
        certificate.subject_key_id, certificate.authority_key_id  # noqa: B018
    except MalformedError:
        return False
    return True


def _read(raws: Iterable[bytes]) -> list[x509.Certificate]:
    """Certificates that can be read; the others cannot be on any way."""
    found = []
    for raw in dict.fromkeys(raws):
        try:
            certificate = x509.certificate(raw)
        except MalformedError:
            continue
        if _readable(certificate):
            found.append(certificate)
    return found


def _on_way(certificate: x509.Certificate, way: Sequence[x509.Certificate]) -> bool:
    """Whether the same key under the same name is on the way already (RFC 4158 clause 5.2)."""
    spki = certificate.spki
    for each in way:  # noqa: SIM110 - a generator costs more than there is to look at
        if each.spki == spki and each.subject_key == certificate.subject_key:
            return True
    return False


def _may_be_issuer(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the key identifiers leave it open that one issued the other.

    If not, a signature that fails says nothing.
    """
    wanted, offered = certificate.authority_key_id, issuer.subject_key_id
    return wanted is None or offered is None or wanted == offered


def _shown(way: Sequence[x509.Certificate], anchor: Anchor) -> str:
    names = " < ".join([certificate.common_name for certificate in reversed(way)])
    return f"{names}; store {anchor.store}{_age(anchor.as_of)}"


@lru_cache(maxsize=64)
def _age(when: dt.datetime | None) -> str:
    return f" of {clock.show(when)}" if when else ""
