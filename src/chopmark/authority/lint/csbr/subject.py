"""Rules for the names in a certificate: X.520's types and bounds, and who the requirements want to be named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import reasons
from chopmark.authority.lint.csbr.case import AUTHORITIES, BOUND, Case, Kind, Rule
from chopmark.authority.lint.csbr.policies import policies
from chopmark.envelopes import der, names

if TYPE_CHECKING:
    from collections.abc import Iterator

BUSINESS_CATEGORIES = ("Private Organization", "Government Entity", "Business Entity", "Non-Commercial Entity")
_BY_OID = {attribute.oid: (kind, attribute) for kind, attribute in names.ATTRIBUTES.items()}
_DIRECTORY_STRINGS = (der.UTF8_STRING, der.PRINTABLE_STRING)
_COUNTRIES = frozenset(
    re.findall(
        "[A-Z]{2}",
        "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT "
        "BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH "
        "ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT "
        "HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS "
        "LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI "
        "NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG "
        "SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG "
        "UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW XX",
    )
)
"""ISO 3166-1 alpha-2, and XX where there is none (CSBR 7.1.4.2.3 f)."""


def _name(subject: Case) -> str:
    certificate = subject.certificate
    if subject.own:
        return "; ".join(names.faults(names.parts(certificate.subject)))
    found = [*_faults(certificate.subject)]
    if not der.parse(certificate.subject).children() and subject.kind in AUTHORITIES:
        found.append("a CA without a name (RFC 5280 clause 4.1.2.6)")
    return "; ".join(found[:5])


def _faults(raw: bytes) -> Iterator[str]:
    """What breaks X.520 in somebody else's name; order and repetition are their business."""
    for relative in der.parse(raw).expect(der.SEQUENCE).children():
        pairs = relative.expect(der.SET).children()
        if not pairs:
            yield "an empty step in a name"
        for pair in pairs:
            fields = pair.fields()
            oid = fields.take().oid()
            value = fields.take()
            fields.done()
            kind, attribute = _BY_OID.get(oid, ("", None))
            if attribute is None:
                continue
            text = value.text()
            types = _DIRECTORY_STRINGS if attribute.encoding == der.UTF8_STRING else (attribute.encoding,)
            if value.tag not in types:
                yield f"{kind}: a string of type {value.tag:#04x}"
            if len(text) > attribute.longest:
                yield f"{kind}: {len(text)} characters, at most {attribute.longest}"
            if not text.strip(" .-_"):
                yield f"{kind}: says nothing"
            elif not text.isprintable():
                yield f"{kind}: characters that nobody sees"


def _country(subject: Case) -> str | None:
    given = [value for kind, value in names.parts(subject.certificate.subject) if kind in ("C", "jurisdictionC")]
    wrong = [value for value in given if value not in _COUNTRIES]
    return f"{', '.join(map(repr, wrong))} is no country" if wrong else "" if given else None


def _ev(subject: Case) -> bool:
    return profiles.POLICY_EV in policies(subject.certificate)


def _complete(subject: Case) -> str:
    parts = {kind for kind, _ in names.parts(subject.certificate.subject)}
    required = ["CN", "O", "C"]
    if _ev(subject):
        required += ["businessCategory", "serialNumber", "jurisdictionC"]
    missing = [kind for kind in required if kind not in parts]
    if not parts & {"L", "ST"}:
        missing.append("L or ST")
    return f"the subject lacks {', '.join(missing)}" if missing else ""


def _named(subject: Case) -> str:
    return "" if der.parse(subject.certificate.subject).children() else "the subject is empty"


def _category(subject: Case) -> str | None:
    value = dict(names.parts(subject.certificate.subject)).get("businessCategory")
    if value is None or not _ev(subject):
        return None
    good = value in BUSINESS_CATEGORIES
    return "" if good else f"businessCategory {value!r} is none of {', '.join(BUSINESS_CATEGORIES)}"


def _allowed(subject: Case) -> str:
    parts = dict(names.parts(subject.certificate.subject))
    return "there is a domain component" if "DC" in parts else ""


def _jurisdiction(subject: Case) -> str | None:
    parts = dict(names.parts(subject.certificate.subject))
    if "jurisdictionL" not in parts:
        return None
    return "" if "jurisdictionST" in parts else "a locality without its state or province"


RULES = (
    Rule(reasons.NAME, _name),
    Rule(reasons.COUNTRY, _country, BOUND, csbr=True),
    Rule(reasons.NAME_COMPLETE, _complete, frozenset((Kind.CODE,)), csbr=True),
    Rule(reasons.NAME_COMPLETE, _named, frozenset((Kind.TIME,)), csbr=True),
    Rule(reasons.NAME_CATEGORY, _category, frozenset((Kind.CODE,)), csbr=True),
    Rule(reasons.NAME_ALLOWED, _allowed, frozenset((Kind.CODE,)), csbr=True),
    Rule(reasons.JURISDICTION, _jurisdiction, frozenset((Kind.CODE,)), csbr=True),
)
