"""What all OCSP answers about one certificate come to, together with what lists say.

Whoever says revoked is believed, however old it is; only a hold can be ended, by whatever is newer and counts. An old
revocation settles nothing all the same, because its date may have been moved back since. That a certificate is good
counts when the answer is fresh. A fresh `unknown` by the issuer's own responder about a certificate
that has not expired outweighs the silence of a list, which does not know either what was never issued.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.named import NamedTuple
from chopmark.trust.crl.entry import CERTIFICATE_HOLD, Entry
from chopmark.trust.ocsp import reasons
from chopmark.trust.ocsp.reasons import Doubt

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from chopmark.envelopes import x509
    from chopmark.trust.ocsp.answer import Answer, Said, Signer
    from chopmark.trust.standing import Inquiry, Standing


class _Word(NamedTuple):
    """Something that counts: an entry, or None for good; from when and until when; an answer's, or else a list's.

    `fresh` says that nothing newer is to be expected.
    """

    entry: Entry | None
    as_of: dt.datetime | None
    until: dt.datetime | None
    is_answer: bool = True
    fresh: bool = True

    @property
    def final(self) -> bool:
        return self.entry is not None and self.entry.reason != CERTIFICATE_HOLD


class Answers:
    """The answers about one certificate of an inquiry, asked for step by step."""

    def __init__(self, inquiry: Inquiry, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        self._inquiry = inquiry
        self._certificate = certificate
        self._issuer = issuer
        self._words: list[_Word] = []
        self._unknown: Said | None = None
        self.doubts: list[Doubt] = []

    def near(self) -> bool:
        """Ask the answers in files; whether that settles it."""
        held = self._inquiry.context.ocsp
        return self._add(held.about(self._certificate) if held is not None else ())

    def published(self) -> bool:
        """Ask responders, one by one, until one settles it."""
        held = self._inquiry.context.ocsp
        if held is None:
            return False
        try:
            for answer, doubt in held.published(self._certificate, self._issuer, self._inquiry.context.at):
                if doubt is not None:
                    self.doubts.append(doubt)
                if answer is not None and self._add([answer]):
                    return True
        except MalformedError as error:
            self.doubts.append(Doubt(reasons.UNAVAILABLE, f"the certificate's addresses cannot be read: {error}"))
        return False

    def carried(self) -> bool:
        """Ask the answers that came with the signature, or lie in evidence."""
        return self._add(self._affordable())

    def _affordable(self) -> Iterator[Answer]:
        serial = self._certificate.serial_octets
        for answer in self._inquiry.answers:
            if serial in answer.serials:
                if not self._inquiry.budget.spend_carried():
                    self.doubts.append(Doubt(reasons.TOO_MANY, f"{limits.REVOCATION_CARRIED_MAX} are the limit"))
                    return
                yield answer

    @property
    def settled(self) -> bool:
        """Whether nothing more need be asked: it is revoked for good, or good, as far as can be known now."""
        if any(word.final and word.fresh for word in self._words):
            return True
        return self._unknown is None and any(word.entry is None for word in self._words)

    def _add(self, answers: Iterable[Answer]) -> bool:
        for answer in answers:
            try:
                self._weigh(answer)
            except BrokenError as error:
                self.doubts.append(Doubt(error.reason, error.detail))
        return self.settled

    def _weigh(self, answer: Answer) -> None:
        inquiry = self._inquiry
        said = answer.says(self._certificate, self._issuer, inquiry.context.at, certificates=inquiry.certificates)
        doubts = [*said.doubts, *self._responder_doubts(answer.signer(self._issuer))]
        if inquiry.context.collector is not None:
            inquiry.context.collector.answer(answer.raw)
        if said.entry is not None:
            self._words.append(_Word(said.entry, said.as_of, said.until, fresh=not doubts))
            return
        self.doubts += doubts
        if said.unknown:
            self.doubts.append(Doubt(reasons.NOT_KNOWN))
            if not doubts and (self._unknown is None or said.as_of > self._unknown.as_of):
                self._unknown = said
        elif not doubts:
            self._words.append(_Word(None, said.as_of, said.until))

    def _responder_doubts(self, signer: Signer) -> Iterator[Doubt]:
        """Ask whether a responder was itself revoked, where its issuer wants that to be asked (clause 4.2.2.2.1).

        Where the certificate names no place to ask and nothing at hand says anything of it, its issuer has left that
        out on purpose. Raises BrokenError when it was.
        """
        certificate = signer.certificate
        if signer.delegated and self._hangs_on(certificate.spki):
            yield Doubt(reasons.RESPONDER_UNCHECKED, "its own standing hangs on what it says")
            return
        if signer.exempt:
            return
        standing = self._inquiry.below(self._certificate).standing(certificate, self._issuer)
        if standing.entry is not None:
            raise BrokenError(reasons.RESPONDER_REVOKED, certificate.subject_text)
        if standing.problem and (standing.unknown or _names_a_place(certificate)):
            yield Doubt(reasons.RESPONDER_UNCHECKED, standing.problem)

    def _hangs_on(self, spki: bytes) -> bool:
        """Whether a key would vouch for itself, also by another certificate: a renewed one, or the twin of ECDSA."""
        from chopmark.envelopes import x509

        hanging = (self._certificate, *map(x509.certificate, self._inquiry.pending))
        return any(each.spki == spki for each in hanging)

    def combined(self, listed: Standing) -> Standing:
        """What lists and answers say together."""
        words = list(self._words)
        if not listed.problem:
            words.append(_Word(listed.entry, listed.as_of, listed.until, is_answer=False))
        remarks = tuple(dict.fromkeys((*self.doubts, *listed.remarks)))
        final = [word for word in words if word.final]
        if final:
            return _standing(min(final, key=_effective), listed, remarks)
        goods, holds = ([word for word in words if (word.entry is None) is good] for good in (True, False))
        good, hold = (max(each, key=_newness, default=None) for each in (goods, holds))
        if hold is not None and (good is None or _newness(good) <= _newness(hold)):
            return _standing(hold, listed, remarks)
        if self._is_unknown(goods):
            problem = "; ".join(doubt.text for doubt in dict.fromkeys(self.doubts))
            return listed._replace(entry=None, problem=problem, unknown=True, remarks=remarks)
        if good is not None:
            return _standing(good, listed, remarks)
        problems = [listed.problem, *(doubt.text for doubt in dict.fromkeys(self.doubts))]
        return listed._replace(problem="; ".join(problems), remarks=remarks)

    def _is_unknown(self, goods: list[_Word]) -> bool:
        """Whether a responder that should know the certificate does not; an expired one may have been forgotten."""
        if self._unknown is None or self._certificate.not_after < self._inquiry.context.at:
            return False
        as_of = self._unknown.as_of
        return not any(word.is_answer and word.as_of is not None and word.as_of > as_of for word in goods)


def _effective(word: _Word) -> dt.datetime:
    assert word.entry is not None  # noqa: S101 - only those with an entry are compared
    return word.entry.effective


def _newness(word: _Word) -> float:
    return word.as_of.timestamp() if word.as_of is not None else 0.0


def _standing(word: _Word, listed: Standing, remarks: tuple[Doubt, ...]) -> Standing:
    return listed._replace(
        entry=word.entry, problem="", as_of=word.as_of, until=word.until, by_answer=word.is_answer, remarks=remarks
    )


def _names_a_place(certificate: x509.Certificate) -> bool:
    from chopmark.envelopes import x509

    try:
        return bool(certificate.crl_urls or certificate.access_urls(x509.ACCESS_OCSP))
    except MalformedError:
        return True
