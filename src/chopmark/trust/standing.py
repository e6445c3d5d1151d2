"""What revocation lists say about one certificate (RFC 5280 clause 6.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chopmark.core.errors import MalformedError
from chopmark.envelopes import x509
from chopmark.trust import revocation_list

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator, Sequence

    from chopmark.trust.context import Context
    from chopmark.trust.revocation_list import Crl, Entry

_OTHER_ISSUER = b"\xa2"
"""The tag of cRLIssuer: distribution points without this byte leave lists to the certificate's own issuer."""


class Standing(NamedTuple):
    """What is known about one certificate: the entry that revokes it; else why nothing is known; else it is good.

    `as_of` is from when the data is that says so, `until` when newer data is due.
    """

    entry: Entry | None
    problem: str
    as_of: dt.datetime | None = None
    until: dt.datetime | None = None


class Inquiry:
    """All that can be asked about the certificates of one trusted path.

    `lists` and `certificates` (DER) came with the signature; `pending` are certificates whose standing hangs on this
    one's, so that nobody vouches for themselves.
    """

    def __init__(
        self,
        context: Context,
        path: Sequence[x509.Certificate],
        lists: Sequence[Crl] = (),
        certificates: Sequence[bytes] = (),
        pending: frozenset[bytes] = frozenset(),
    ) -> None:
        self.context = context
        self.path = path
        self.lists = lists
        self.certificates = certificates
        self.pending = pending

    def standing(self, certificate: x509.Certificate, issuer: x509.Certificate) -> Standing:
        """What lists say about a certificate: those at hand first, published ones only when these do not do.

        Among the lists that are about this certificate the newest decides, among those about some reasons alone the
        newest of each kind. Whom a list names is revoked even when the list has ended since; that it does not name
        somebody counts only while it holds.
        """
        try:
            issuers = _issuers(certificate)
        except MalformedError as error:
            return Standing(None, f"its distribution points cannot be read: {error}")
        tally = _Tally()
        deltas = [crl for crl in (*self._near(issuers), *self.lists) if crl.is_delta and crl.issuer_key in issuers]
        for crl, problem in self._candidates(certificate, issuers):
            if problem:
                tally.problems.append(problem)
            if crl is None:
                continue
            try:
                covered = crl.coverage(certificate)
                if tally.has_newer(crl, covered):
                    continue
                doubt = self.check_signature(crl, certificate, issuer)
                entry, source = self._look_up(crl, certificate, issuer, deltas)
            except MalformedError as error:
                tally.problems.append(str(error))
                continue
            if doubt and entry is None:
                tally.problems.append(doubt)
                continue
            ended = crl.missing(certificate, self.context.at)
            said = Standing(entry, "" if entry else ended, source.this_update, source.next_update)
            if tally.add(crl, covered, said, ended):
                break
        return tally.result

    def check_signature(self, crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate) -> str:
        """Check that somebody signed a list who may (clause 6.3.3 (f) and (g)). Raises MalformedError.

        What comes back is why the silence of the list does not count, though its entries do; empty when it does.
        """
        problem = "another issuer signed it"
        if crl.issuer_key == x509.name_key(issuer.subject):
            try:
                crl.check_signature(issuer)
            except revocation_list.UnusableError as error:
                problem = str(error)
            else:
                self._collect(crl)
                return ""
        from chopmark.trust import crl_signers  # hardly anybody but the issuer signs lists

        doubt = crl_signers.vouch(crl, certificate, self, problem)
        self._collect(crl)
        return doubt

    def _collect(self, crl: Crl) -> None:
        if self.context.collector is not None:
            self.context.collector.list(crl)

    def _look_up(
        self, crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate, deltas: Sequence[Crl]
    ) -> tuple[Entry | None, Crl]:
        """The entry for a certificate in a list together with the newest delta that fits it, and which said so."""
        entry = crl.find(certificate)
        if not deltas:
            return entry, crl
        from chopmark.trust import crl_delta

        for delta in crl_delta.fitting(crl, deltas):
            try:
                delta.coverage(certificate)
                doubt = self.check_signature(delta, certificate, issuer)
                change = delta.find(certificate)
            except MalformedError:
                continue  # the complete list stands by itself
            fresh = not (doubt or delta.missing(certificate, self.context.at))
            return crl_delta.applied(entry, change, fresh=fresh), delta if fresh else crl
        return entry, crl

    def _near(self, issuers: Sequence[object]) -> list[Crl]:
        return [
            *(crl for issuer in issuers for crl in self.context.crls.by_issuer(issuer)),
            *(crl for crl in self.context.store_crls if crl.issuer_key in issuers),
        ]

    def _candidates(self, certificate: x509.Certificate, issuers: Sequence[object]) -> Iterator[tuple[Crl | None, str]]:
        """Complete lists: the newest at hand first, then published ones, with what went wrong there.

        What came with the signature comes last, because whoever made it may have chosen an old list.
        """
        for crl in _complete(self._near(issuers)):
            yield crl, ""
        try:
            for published, problem in self.context.crls.published(certificate, self.context.at):
                if published is None:
                    yield None, problem
                elif published.is_delta:
                    yield None, "the published CRL is a delta CRL, which is nothing without its base"
                elif published.issuer_key not in issuers:
                    yield None, problem or "the published CRL is another issuer's"
                else:
                    yield published, problem
        except MalformedError as error:
            yield None, str(error)
        for crl in _complete([each for each in self.lists if each.issuer_key in issuers]):
            yield crl, ""


class _Tally:
    """What the lists looked at so far say together."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._best: Standing | None = None
        self._newest: dict[bytes, dt.datetime] = {}
        self._silent: frozenset[int] = frozenset()
        self._since: dt.datetime | None = None
        self._until: dt.datetime | None = None

    def has_newer(self, crl: Crl, covered: frozenset[int]) -> bool:
        """Whether a list adds nothing, because one as new is counted already."""
        newest = self._newest.get(_kind(crl, covered))
        return newest is not None and crl.this_update <= newest

    def add(self, crl: Crl, covered: frozenset[int], found: Standing, ended: str) -> bool:
        """Count a list; True when that settles it. Only a hold can end: for anything else an old list will do."""
        self._newest[_kind(crl, covered)] = crl.this_update
        if found.entry is not None:
            self._best = found
            return not ended or found.entry.reason != revocation_list.CERTIFICATE_HOLD
        named = self._best is not None and self._best.entry is not None and self._best.as_of is not None
        if named and self._best is not None and self._best.as_of is not None and crl.this_update <= self._best.as_of:
            return False  # what is silent and older takes nothing back
        if covered >= revocation_list.ALL_REASONS:
            self._best = found
            return not ended
        if ended:
            self.problems.append(ended)
            return False
        self._silent |= covered
        self._since = min(self._since or crl.this_update, crl.this_update)
        self._until = min(self._until, crl.next_update) if self._until and crl.next_update else crl.next_update
        if self._silent >= revocation_list.ALL_REASONS:
            self._best = Standing(None, "", self._since, self._until)
            return True
        return False

    @property
    def result(self) -> Standing:
        """What is known in the end."""
        if self._best is not None:
            problem = self._best.problem
            return self._best._replace(problem="; ".join(dict.fromkeys((problem, *self.problems))) if problem else "")
        if self._silent:
            self.problems.append("the CRL is about some reasons alone")
        return Standing(None, "; ".join(dict.fromkeys(self.problems)) or "there is no CRL")


def read(raws: Sequence[bytes]) -> list[Crl]:
    """Lists that came with a signature; what cannot be read is as if it were not there."""
    found = []
    for raw in raws:
        try:
            found.append(revocation_list.Crl(raw))
        except MalformedError:
            continue
    return found


def _kind(crl: Crl, covered: frozenset[int]) -> bytes:
    """Lists of one kind replace each other: all about every reason, and those about some with the same scope."""
    return b"" if covered >= revocation_list.ALL_REASONS else crl.issuer + crl.partition


def _complete(lists: Sequence[Crl]) -> list[Crl]:
    return sorted((crl for crl in lists if not crl.is_delta), key=lambda each: each.this_update, reverse=True)


def _issuers(certificate: x509.Certificate) -> list[object]:
    """By whom lists about a certificate may be issued, as x509.name_key."""
    own: list[object] = [x509.name_key(certificate.issuer)]
    extension = certificate.extensions.get(x509.CRL_DISTRIBUTION_POINTS)
    if extension is None or _OTHER_ISSUER not in extension.value:
        return own
    from chopmark.trust import crl_scope  # nearly all authorities issue their own lists

    return list(dict.fromkeys(own + crl_scope.other_issuers(certificate)))
