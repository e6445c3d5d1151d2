"""What revocation lists say about one certificate (RFC 5280 clause 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.trust import reasons
from chopmark.trust.crl import at_hand, signing
from chopmark.trust.crl.entry import ALL_REASONS, CERTIFICATE_HOLD, UnusableError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.envelopes import x509
    from chopmark.trust.context import Context
    from chopmark.trust.crl.entry import Entry
    from chopmark.trust.crl.revocation_list import Crl
    from chopmark.trust.ocsp.answer import Answer
    from chopmark.trust.ocsp.reasons import Doubt


class Standing(NamedTuple):
    """What is known about one certificate: the entry that revokes it; else why nothing is known; else it is good.

    `as_of` is from when the data is that says so, `until` when newer data is due, `by_answer` whether it is an OCSP
    answer. With `unknown` the issuer's own responder does not know the certificate. `remarks` are why answers did not
    count.
    """

    entry: Entry | None
    problem: str
    as_of: dt.datetime | None = None
    until: dt.datetime | None = None
    by_answer: bool = False
    unknown: bool = False
    remarks: tuple[Doubt, ...] = ()


class Budget:
    """How much may still be looked at for one signature, whatever hangs on what: all of it was chosen by somebody else.

    `carried` are lists and answers that came along and are about the certificate in question, `signers` those for whose
    certificate a path has to be found because they sign lists in place of the issuer.
    """

    def __init__(self) -> None:
        self._carried = limits.REVOCATION_CARRIED_MAX
        self._signers = limits.CRL_SEARCHES_MAX

    def spend_carried(self) -> bool:
        """Whether one more may be looked at."""
        self._carried -= 1
        return self._carried >= 0

    def spend_signer(self) -> None:
        """Raise UnusableError when there were too many."""
        self._signers -= 1
        if self._signers < 0:
            raise UnusableError(f"more than {limits.CRL_SEARCHES_MAX} signers of lists were looked at")


class Inquiry:
    """All that can be asked about the certificates of one trusted path.

    `lists`, `answers` and `certificates` (DER) came with the signature; `pending` are certificates whose standing hangs
    on this one's, so that nobody vouches for themselves; an inquiry that hangs on another shares its `budget`.
    """

    def __init__(
        self,
        context: Context,
        path: Sequence[x509.Certificate],
        lists: Sequence[Crl] = (),
        certificates: Sequence[bytes] = (),
        pending: frozenset[bytes] = frozenset(),
        answers: Sequence[Answer] = (),
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget or Budget()
        self.context = context
        self.path = path
        self.lists = lists
        self.certificates = certificates
        self.pending = pending
        self.answers = answers
        self._vouched: dict[tuple[Crl, bytes, bytes], tuple[str, str | None]] = {}

    def below(self, certificate: x509.Certificate, path: Sequence[x509.Certificate] | None = None) -> Inquiry:
        """The same for somebody on whom the standing of a certificate hangs, on this path or another."""
        pending = self.pending | {certificate.raw}
        way = path or self.path
        return Inquiry(self.context, way, self.lists, self.certificates, pending, self.answers, self.budget)

    def standing(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Standing:
        """What lists and OCSP answers say about a certificate.

        What is at hand comes first, then what is published, at last what came with the signature, because whoever made
        it may have chosen what is old; nothing more is asked once it is revoked for good or good. Of what is published
        a responder's answer is asked for first, until its list is the shorter way.
        """
        if certificate.raw in self.pending:
            return Standing(None, "its standing hangs on itself")
        answerable = self._may_be_answered(certificate)
        if not (answerable or self.lists or self.context.collector):
            silent = at_hand.silent(certificate, issuer, self.context)
            if silent is not None:  # as nearly all are
                return Standing(None, "", silent.this_update, silent.next_update)
        lists = _Lists(self, certificate, issuer)
        if not answerable:
            for step in (lists.near, lists.published, lists.carried):
                if step():
                    break
            return lists.result
        from chopmark.trust.ocsp import asking

        answers = asking.Answers(self, certificate, issuer)
        held = self.context.ocsp
        published = [answers.published, lists.published]
        if held is not None and held.prefers_lists(issuer):
            published.reverse()
        for step in (answers.near, lists.near, *published, answers.carried, lists.carried):
            if step():
                break
        return answers.combined(lists.result)

    def _may_be_answered(self, certificate: x509.Certificate) -> bool:
        """Whether there can be an OCSP answer at all; about a signer of answers or lists not beyond a certain depth."""
        if len(self.pending) >= limits.CRL_SIGNER_DEPTH_MAX:
            return False
        held = self.context.ocsp
        return bool(self.answers) or (held is not None and held.concerns(certificate))

    def check_signature(self, crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
        """Check that somebody signed a list who may (clause 6.3.3 (f) and (g)). Raises MalformedError.

        What comes back is why the silence of the list does not count, though its entries do; empty when it does.
        """
        problem = "another issuer signed it"
        if crl.issuer_key == issuer.subject_key:
            try:
                crl.check_signature(issuer)
            except UnusableError as error:
                problem = str(error)
            else:
                self._collect(crl)
                return "" if issuer.raw == self.path[-1].raw else signing.weakness(issuer, self.context.at)
        asked = crl, certificate.raw, issuer.raw
        if asked not in self._vouched:
            self._vouched[asked] = self._vouch(crl, certificate, issuer, problem)
        doubt, refusal = self._vouched[asked]
        if refusal is not None:
            raise UnusableError(refusal)
        self._collect(crl)
        return doubt

    def _vouch(
        self, crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate, problem: str
    ) -> tuple[str, str | None]:
        """Whether somebody else may have signed a list: why its silence does not count, and why all of it does not."""
        from chopmark.trust.crl import signers  # hardly anybody but the issuer signs lists

        try:
            return signers.vouch(crl, certificate, issuer, self, problem), None
        except UnusableError as error:
            return "", str(error)

    def _collect(self, crl: Crl) -> None:
        if self.context.collector is not None:
            self.context.collector.list(crl)

    def look_up(
        self, crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate, deltas: Sequence[Crl]
    ) -> tuple[Entry | None, Crl]:
        """The entry for a certificate in a list together with the newest delta that fits it, and which said so."""
        entry = crl.find(certificate)
        if not deltas:
            return entry, crl
        from chopmark.trust.crl import combining

        for delta in combining.fitting(crl, deltas):
            try:
                delta.coverage(certificate)
                doubt = self.check_signature(delta, certificate, issuer)
                change = delta.find(certificate)
            except MalformedError:
                continue  # the complete list stands by itself
            fresh = not (doubt or delta.missing(certificate, self.context.at))
            return combining.applied(entry, change, fresh=fresh), delta if fresh else crl
        return entry, crl


class _Lists:
    """The lists about one certificate of an inquiry, asked step by step; each step says whether that settles it.

    Among the lists that are about this certificate the newest decides, among those about some reasons alone the newest
    of each kind. Whom a list names is revoked even when the list has ended since; that it does not name somebody counts
    only while it holds.
    """

    _problem = ""

    def __init__(self, inquiry: Inquiry, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        self._inquiry = inquiry
        self._certificate = certificate
        self._issuer = issuer
        self._tally = _Tally()
        self._remarks: list[Doubt] = []
        try:
            self._issuers, self._near, self._deltas = at_hand.near(certificate, inquiry.context)
        except MalformedError as error:
            self._issuers, self._near, self._deltas = at_hand.NOBODY
            self._problem = f"its distribution points cannot be read: {error}"
        self._came: list[Crl] = []
        if inquiry.lists:
            self._came = [crl for crl in inquiry.lists if crl.issuer_key in self._issuers]
            if came := [crl for crl in self._came if crl.is_delta]:
                self._deltas = [*self._deltas, *came[: limits.REVOCATION_CARRIED_MAX]]

    def near(self) -> bool:
        """Ask the lists in files and in the store, the newest first."""
        return self._weigh([(crl, "") for crl in self._near]) if self._near else False

    def published(self) -> bool:
        """Ask the lists at the addresses that the certificate names."""
        return self._weigh(self._fetched(), published=True) if not self._problem else False

    def carried(self) -> bool:
        """Ask the lists in the evidence, then those that came with the signature: these crowd no others out."""
        evidence = self._inquiry.context.evidence
        held = frozenset(evidence.lists if evidence is not None else ())
        groups = [crl for crl in self._came if crl in held], [crl for crl in self._came if crl not in held]
        return any(self._weigh(self._affordable(at_hand.complete(group))) for group in groups)

    def _affordable(self, lists: Sequence[Crl]) -> Iterator[tuple[Crl | None, str]]:
        for crl in lists:
            if not self._inquiry.budget.spend_carried():
                yield None, f"more than {limits.REVOCATION_CARRIED_MAX} lists and answers came along"
                return
            yield crl, ""

    @property
    def result(self) -> Standing:
        """What they say together."""
        if self._problem:
            return Standing(None, self._problem)
        result = self._tally.result
        return result._replace(remarks=tuple(dict.fromkeys(self._remarks))) if self._remarks else result

    def _fetched(self) -> Iterator[tuple[Crl | None, str]]:
        context = self._inquiry.context
        try:
            for published, problem in context.crls.published(self._certificate, context.at, self._is_it):
                if published is None:
                    yield None, problem
                elif published.is_delta:
                    yield None, "the published CRL is a delta CRL, which is nothing without its base"
                elif published.issuer_key not in self._issuers:
                    yield None, problem or "the published CRL is another issuer's"
                else:
                    yield published, problem
        except MalformedError as error:
            yield None, str(error)

    def _is_it(self, crl: Crl) -> bool:
        """Whether a fetched list is one that was looked for."""
        return not crl.is_delta and crl.issuer_key in self._issuers and self._counts(crl)

    def _counts(self, crl: Crl) -> bool:
        try:
            crl.coverage(self._certificate)
            self._inquiry.check_signature(crl, self._certificate, self._issuer)
        except MalformedError:
            return False
        return True

    def _weigh(self, candidates: Iterable[tuple[Crl | None, str]], *, published: bool = False) -> bool:
        """Count lists, with what went wrong when they were fetched, until one settles it."""
        inquiry, certificate, tally = self._inquiry, self._certificate, self._tally
        for crl, problem in candidates:
            if problem:
                tally.problems.append(problem)
            if crl is None:
                continue
            try:
                covered = crl.coverage(certificate)
                if tally.has_newer(crl, covered):
                    continue
                doubt = inquiry.check_signature(crl, certificate, self._issuer)
                deltas = self._with_freshest(crl) if published and not doubt else self._deltas
                entry, source = inquiry.look_up(crl, certificate, self._issuer, deltas)
            except MalformedError as error:
                tally.problems.append(str(error))
                continue
            ended = crl.missing(certificate, inquiry.context.at)
            if entry is None and (doubt or ended):
                tally.problems.append(doubt or ended)
                continue
            if tally.add(crl, covered, entry, source, in_force=not ended):
                return True
        return False

    def _with_freshest(self, crl: Crl) -> Sequence[Crl]:
        """The deltas at hand, and for a list that was fetched the one that is published beside it.

        Not where the list has an entry that no delta takes back. Without its delta a list counts by itself, as its
        issuer promised, and that is remarked.
        """
        from chopmark.trust.crl import freshest  # hardly any authority publishes deltas

        entry = crl.find(self._certificate)
        final = entry is not None and entry.reason != CERTIFICATE_HOLD
        if final or not freshest.named(self._certificate, crl):
            return self._deltas
        delta, problem = freshest.fetch(self._certificate, crl, self._inquiry.context, self._counts)
        if delta is not None:
            try:
                delta.coverage(self._certificate)
                self._inquiry.check_signature(delta, self._certificate, self._issuer)
            except MalformedError as error:
                delta, problem = None, str(error)
        if problem:
            from chopmark.trust.ocsp.reasons import Doubt

            self._remarks.append(Doubt(reasons.REVOCATION_DELTA, problem))
        return [*self._deltas, delta] if delta is not None else self._deltas


class _Tally:
    """What the lists looked at so far say together: revoked by one, or good when about each reason one is silent.

    Reasons are counted one by one (RFC 5280 clause 6.3.3 (d), (e) and (l)). So a hold in a list that has ended stands
    until a newer one that is about holds is silent: what is about other reasons does not end it, nor what is older.
    """

    _revoked: Standing | None = None
    _hold: Standing | None = None
    _held: dt.datetime | None = None

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._newest: dict[bytes, dt.datetime] = {}
        self._silent: dict[int, Crl] = {}

    def has_newer(self, crl: Crl, covered: frozenset[int]) -> bool:
        """Whether a list adds nothing, because one as new is counted already."""
        if not self._newest:
            return False
        newest = self._newest.get(_kind(crl, covered))
        return newest is not None and crl.this_update <= newest

    def add(self, crl: Crl, covered: frozenset[int], entry: Entry | None, source: Crl, *, in_force: bool) -> bool:
        """Count a list that names the certificate, or is silent and in force; True when that settles it.

        `source` is the list, or the newest delta with it. Only a hold can end: for anything else an old list will do.
        """
        self._newest[_kind(crl, covered)] = crl.this_update
        as_of = source.this_update
        if entry is not None:
            named = Standing(entry, "", as_of, source.next_update)
            if in_force or entry.reason != CERTIFICATE_HOLD:
                self._revoked = named
                return True
            if self._held is None or as_of > self._held:
                self._hold, self._held = named, as_of
            return False
        for reason in covered:
            if reason not in self._silent or as_of > self._silent[reason].this_update:
                self._silent[reason] = source
        return self._whole and not self._on_hold

    @property
    def _whole(self) -> bool:
        return ALL_REASONS.issubset(self._silent)

    @property
    def _on_hold(self) -> bool:
        silent = self._silent.get(CERTIFICATE_HOLD)
        return self._held is not None and (silent is None or silent.this_update <= self._held)

    @property
    def result(self) -> Standing:
        """What is known in the end."""
        named = self._revoked or (self._hold if self._on_hold else None)
        if named is not None:
            return named
        lists = self._silent.values()
        if self._whole:
            until = min(filter(None, (each.next_update for each in lists)))
            return Standing(None, "", min(each.this_update for each in lists), until)
        partial = ["the CRL is about some reasons alone"] if lists else []
        return Standing(None, "; ".join(dict.fromkeys((*self.problems, *partial))) or "there is no CRL")


def read(raws: Sequence[bytes]) -> list[Crl]:
    """Lists that came with a signature; what cannot be read is as if it were not there."""
    from chopmark.trust.crl.revocation_list import Crl  # few signatures bring one

    found = []
    for raw in raws:
        try:
            found.append(Crl(raw))
        except MalformedError:
            continue
    return found


def _kind(crl: Crl, covered: frozenset[int]) -> bytes:
    """Lists of one kind replace each other: all about every reason, and those about some with the same scope."""
    return b"" if covered >= ALL_REASONS else crl.issuer + crl.partition
