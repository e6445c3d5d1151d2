"""What firmware says of a signed update of a variable (UEFI 2.10 clauses 8.2.2 and 32.3; EDK II, AuthVariableLib)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock
from chopmark.core.counting import counted
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes.efi import lists, moment, variables
from chopmark.envelopes.efi import reasons as efi
from chopmark.trust.secureboot import chains, reasons

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.core.finding import Finding
    from chopmark.envelopes import x509
    from chopmark.envelopes.cms import SignedData
    from chopmark.envelopes.efi.update import Update

_DIGEST = "sha256"
_LONG = b"\x30\x82"
"""EDK II looks for the digest algorithm at a fixed place, which needs a length in two octets."""


class Expected(NamedTuple):
    """Which variable is to be changed, whether the value is added to it, by whom, and from when its value is.

    `signers` are the certificates that may; None when nobody asked for them. `current` is the time of the variable, if
    it is known.
    """

    variable: str
    append: bool
    signers: tuple[x509.Certificate, ...] | None
    current: dt.datetime | None = None


def judge(update: Update, expected: Expected) -> list[Finding]:
    """Every finding about an update. Raises BrokenError for a variable that takes none."""
    vendor = variables.vendor(expected.variable)
    findings = [*_form(update), *_payload(update, expected), _age(update, expected)]
    attributes = _attributes(append=expected.append)
    try:
        signed = update.signed_data()
        signature = chains.holds(signed, update.message(expected.variable, vendor, attributes))
    except MalformedError as error:
        findings.append(reasons.UPDATE_OTHER.found(f"{_shown(expected.variable, append=expected.append)}: {error}"))
        return findings + _meant(update)
    findings += _algorithms(signed)
    if expected.signers is None:
        return [*findings, reasons.UPDATE_SIGNER_UNASKED.found(signature.signer.subject_text)]
    path = chains.path_to(signature, expected.signers)
    if path:
        findings.append(reasons.UPDATE_SIGNED.found(f"{path[0].subject_text}, through {path[-1].subject_text}"))
    else:
        findings.append(reasons.UPDATE_UNTRUSTED.found(signature.signer.subject_text))
    return findings


def _attributes(*, append: bool) -> int:
    return variables.ATTRIBUTES | (variables.APPEND if append else 0)


def _shown(variable: str, *, append: bool) -> str:
    return f"{variable}, {'appending' if append else 'replacing'}"


def _form(update: Update) -> list[Finding]:
    wrong = []
    if not moment.is_plain(update.time_raw):
        wrong.append("the time has more in it than whole seconds in UTC")
    if not update.signature.startswith(_LONG):
        wrong.append("the signature is shorter, or longer, than any that EDK II reads")
    try:
        signed = update.signed_data()
    except MalformedError as error:
        return [efi.FORM_WRONG.found(str(error))]
    if len(signed.signers) != 1 or signed.version != 1:
        wrong.append("the signature is not one of PKCS #7 by one signer")
    unread = len(signed.certificates) + signed.others - len(chains.certificates(signed.certificates))
    if unread:  # OpenSSL reads all or nothing
        wrong.append(f"{counted(unread, 'certificate')} in the signature cannot be read")
    findings = [efi.FORM_WRONG.found(what) for what in wrong]
    if signed.content is not None:
        findings.append(efi.FORM_CONTENT.found(f"{len(signed.content)} bytes"))
    return findings or [efi.FORM.found()]


def _algorithms(signed: SignedData) -> list[Finding]:
    [signer] = signed.signers
    found = signer.signature_algorithm
    if signer.digest_algorithm == _DIGEST and found.kind == "rsa" and signed.digest_algorithms == (_DIGEST,):
        return []
    return [reasons.ALGORITHM.found(f"{found.kind} with {signer.digest_algorithm}")]


def _payload(update: Update, expected: Expected) -> list[Finding]:
    try:
        entries = lists.read(update.payload)
    except MalformedError as error:
        return [reasons.UPDATE_PAYLOAD.found(str(error))]
    if expected.variable == "PK" and update.payload and [each.kind.name for each in entries] != ["x509"]:
        return [reasons.UPDATE_PAYLOAD.found("PK holds one certificate")]
    return [reasons.UPDATE_PAYLOAD.found(f"entries of type {each.kind.name}") for each in entries if _unknown(each)]


def _unknown(entry: lists.Entry) -> bool:
    return entry.kind.name not in lists.BY_NAME


def _age(update: Update, expected: Expected) -> Finding:
    made = clock.show(update.time) if update.time else "no time"
    if expected.current is None:
        return reasons.UPDATE_AGE_UNKNOWN.found(made)
    detail = f"{made}, and the variable is of {clock.show(expected.current)}"
    if expected.append or (update.time is not None and update.time > expected.current):
        return reasons.UPDATE_NEW.found(detail)
    return reasons.UPDATE_OLD.found(detail)


def _meant(update: Update) -> list[Finding]:
    """What it was made for, if that is anything known."""
    for variable in variables.SIGNED:
        for append in (False, True):
            if fits(update, variable, append=append):
                return [reasons.UPDATE_MEANT.found(_shown(variable, append=append))]
    return []


def fits(update: Update, variable: str, *, append: bool) -> bool:
    """Whether the signature is one for this variable, whoever made it."""
    message = update.message(variable, variables.vendor(variable), _attributes(append=append))
    try:
        chains.holds(update.signed_data(), message)
    except MalformedError:
        return False
    return True
