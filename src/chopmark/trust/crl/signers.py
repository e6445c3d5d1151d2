"""Who else may sign a revocation list (RFC 5280 clause 6.3.3 (f)): other keys of the issuer, issuers of indirect lists.

The signer's certificate has to lead to the very anchor that the path in question leads to, be for signing lists, and
not be revoked itself. It counts only when the issuer of the certificate in question, or somebody above it on the path,
certified it: a stranger below the same root may give out any name, that of an issuer of indirect lists as well.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import x509
from chopmark.trust.crl.entry import UnusableError
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path, rules

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.trust.crl.revocation_list import Crl
    from chopmark.trust.standing import Inquiry


def vouch(crl: Crl, certificate: x509.Certificate, issuer: x509.Certificate, inquiry: Inquiry, problem: str) -> str:
    """Find somebody who signed a list about a certificate and may; why its silence does not count all the same, or "".

    Raises UnusableError (with `problem` if nobody else comes into question).
    """
    if len(inquiry.pending) >= limits.CRL_SIGNER_DEPTH_MAX:
        raise UnusableError(f"{problem}; too many signers of lists hang on each other")
    found = problem
    for tried, signer in enumerate(_candidates(crl, issuer, inquiry)):
        if tried >= limits.CRL_SIGNERS_MAX:
            break
        try:
            crl.check_signature(signer)
            return _doubt(crl, signer, certificate, issuer, inquiry)
        except MalformedError as error:
            found = str(error)
    raise UnusableError(found)


def _candidates(crl: Crl, issuer: x509.Certificate, inquiry: Inquiry) -> Iterator[x509.Certificate]:
    """Others with the name of the list's issuer: those on the path, then the store's, then what came along.

    What came along was chosen by somebody else, and must not keep others from being tried.
    """
    known = [*inquiry.path, *inquiry.context.store.intermediates(crl.issuer)]
    for raw in inquiry.certificates:
        try:
            known.append(x509.certificate(raw))
        except MalformedError:
            continue
    seen = {issuer.raw}
    for each in known:
        if each.raw in seen:
            continue
        seen.add(each.raw)
        try:
            fits = each.subject_key == crl.issuer_key and _signs_lists(each)
        except MalformedError:
            continue
        if fits:
            yield each


def _signs_lists(certificate: x509.Certificate) -> bool:
    usage = certificate.key_usage
    return usage is None or x509.CRL_SIGN in usage


def _doubt(
    crl: Crl, signer: x509.Certificate, certificate: x509.Certificate, issuer: x509.Certificate, inquiry: Inquiry
) -> str:
    """Judge the signer's certificate. Raises UnusableError when it does not count."""
    anchor = inquiry.path[-1]
    if signer.raw == anchor.raw:
        return ""
    context = inquiry.context
    pending = inquiry.pending | {certificate.raw}
    if signer.raw == certificate.raw and crl.issuer_key != certificate.issuer_key:
        return ""  # its issuer chose this list for this very certificate (cRLIssuer); nobody else can speak about it
    if signer.raw in pending:
        return "its signer's own standing hangs on it"
    above = _above(issuer, inquiry.path)
    if not any(_certified(signer, each) for each in above):
        raise UnusableError("neither the issuer nor somebody above it certified its signer")
    inquiry.budget.spend_signer()
    material = path.Material(context.store, [each.raw for each in above], context.issuers)
    way = path.find(signer, rules.CRL_SIGNING, Moment(context.at), material)
    if not way.trusted or way.certificates[-1].raw != anchor.raw:
        raise UnusableError(f"its signer ({signer.subject_text}) is not trusted under the same root")
    if context.collector is not None:
        context.collector.certificates(way.certificates)
    below = inquiry.below(certificate, way.certificates)
    for each, authority in pairwise(way.certificates):
        standing = below.standing(each, authority)
        if standing.entry is not None:
            raise UnusableError(f"a certificate of its signer was revoked ({each.subject_text})")
        if standing.problem:
            return f"its signer's own standing is not known: {standing.problem}"
    return ""


def _above(issuer: x509.Certificate, path: Sequence[x509.Certificate]) -> Sequence[x509.Certificate]:
    """An issuer and those above it: whom it certified may not speak about it, nor about its equals."""
    places = [place for place, each in enumerate(path) if each.raw == issuer.raw]
    return path[places[0] :] if places else (issuer,)


def _certified(signer: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority signed a certificate; asked before a way is looked for, which costs more."""
    try:
        if authority.subject_key == signer.issuer_key:
            signer.verify_signed_by(authority.spki)
            return True
    except MalformedError:
        pass
    return False
