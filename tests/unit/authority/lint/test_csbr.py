"""The linter: for each rule a certificate or CRL that keeps it and one that breaks it, made by another program."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509 as other
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from hypothesis import given
from hypothesis import strategies as st

from chopmark.authority.issuing import profiles
from chopmark.authority.lint import batch, linter, reasons
from chopmark.authority.lint.csbr import lists
from chopmark.authority.lint.csbr.case import Kind, kind_of
from chopmark.core.finding import Outcome
from chopmark.envelopes import algorithms, der, public_keys, x509
from tests.support import pki
from tests.unit.authority.lint.test_lint import crl_at, issuer_at

if TYPE_CHECKING:
    from collections.abc import Sequence

SINCE = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
Oid = other.ObjectIdentifier
OV, EV, TS = (Oid(each) for each in (profiles.POLICY_OV, profiles.POLICY_EV, profiles.POLICY_TIME_STAMPING))


def subject(*more: tuple[str, str], without: str = "") -> other.Name:
    kinds = {"C": "2.5.4.6", "L": "2.5.4.7", "O": "2.5.4.10", "CN": "2.5.4.3"}
    base = {"C": "GB", "L": "Leeds", "O": "Example Ltd", "CN": "Example Ltd"}
    parts = [(kinds[kind], value) for kind, value in base.items() if kind not in without.split()]
    return other.Name([other.NameAttribute(Oid(oid), value, _validate=False) for oid, value in [*parts, *more]])


def eku(*purposes: Oid, critical: bool = False) -> pki.Extension:
    return pki.Extension(other.ExtendedKeyUsage(list(purposes)), critical)


def policy(*oids: Oid, critical: bool = False, url: str = "") -> pki.Extension:
    qualifiers: list[Any] | None = [url] if url else None
    return pki.Extension(
        other.CertificatePolicies([other.PolicyInformation(oid, qualifiers) for oid in oids]), critical
    )


def constraints(*, ca: bool, length: int | None = None, critical: bool = True) -> pki.Extension:
    return pki.Extension(other.BasicConstraints(ca=ca, path_length=length), critical)


def raw_extension(oid: str, value: bytes, *, critical: bool = False) -> pki.Extension:
    return pki.Extension(other.UnrecognizedExtension(Oid(oid), value), critical)


USAGE = pki.Extension(pki.key_usage("digital_signature"), critical=True)
CA_USAGE = pki.Extension(pki.key_usage("key_cert_sign", "crl_sign"), critical=True)
PLACES = {"crl": crl_at("http://x/y.crl"), "issuer": issuer_at("http://x/y.cer")}
KINDS: dict[str, dict[str, pki.Extension]] = {
    "code": {"usage": USAGE, "purpose": eku(Eku.CODE_SIGNING), "policy": policy(OV), **PLACES},
    "time": {"usage": USAGE, "purpose": eku(Eku.TIME_STAMPING, critical=True), "policy": policy(TS), **PLACES},
    "sub": {
        "usage": CA_USAGE,
        "basic": constraints(ca=True, length=0),
        "purpose": eku(Eku.CODE_SIGNING),
        "policy": policy(OV, EV),
        **PLACES,
    },
    "root": {"usage": CA_USAGE, "basic": constraints(ca=True)},
    "ocsp": {"usage": USAGE, "purpose": eku(Eku.OCSP_SIGNING), "nocheck": pki.Extension(other.OCSPNoCheck())},
}
DAYS = {"code": 365, "time": 3650, "sub": 3650, "root": 7300, "ocsp": 30}


def issuer(purpose: Oid = Eku.CODE_SIGNING, until: dt.datetime = dt.datetime(2040, 1, 1, tzinfo=dt.UTC)) -> pki.Entity:
    return pki.authority("Issuing", issuer=pki.authority("Root"), kind="p384", more=[eku(purpose)], until=until)


def made(
    kind: str,
    *,
    by: pki.Entity | None = None,
    name: other.Name | None = None,
    key: str = "p256",
    since: dt.datetime = SINCE,
    days: int = 0,
    serial: int | None = None,
    digest: str = "sha256",
    **changed: pki.Extension | None,
) -> pki.Entity:
    extensions = [each for each in (KINDS[kind] | changed).values() if each]
    above = None if kind == "root" else by or issuer(Eku.TIME_STAMPING if kind == "time" else Eku.CODE_SIGNING)
    return pki.issue(
        subject() if name is None else name,
        pki.key(key, "linted"),
        above,
        extensions,
        since=since,
        until=since + dt.timedelta(days=days or DAYS[kind], seconds=-1),
        serial=serial,
        digest=digest,
    )


def against(entity: pki.Entity | bytes, above: pki.Entity | None = None) -> dict[str, Outcome]:
    """The codes of whatever is not as it should be."""
    raw = entity if isinstance(entity, bytes) else entity.der
    found = linter.certificate(raw, x509.certificate(above.der) if above else None)
    return {each.code: each.outcome for each in found if each.outcome is not Outcome.OK}


@pytest.mark.parametrize("kind", KINDS)
def test_good_ones(kind: str) -> None:
    above = None if kind == "root" else issuer(Eku.TIME_STAMPING if kind == "time" else Eku.CODE_SIGNING)
    good = made(kind, by=above, key="rsa4096" if kind == "root" else "p256")
    assert against(good, above) == {}
    ran = {each.code for each in linter.certificate(good.der, x509.certificate(above.der) if above else None)}
    assert {"lint.der", "lint.serial", "lint.key_identifiers"} < ran


EV_NAME = [("2.5.4.15", "Private Organization"), ("2.5.4.5", "1234"), ("1.3.6.1.4.1.311.60.2.1.3", "GB")]


def ev(*parts: tuple[str, str]) -> dict[str, Any]:
    return {"name": subject(*parts), "policy": policy(EV)}


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("code", {"serial": 2**62}, "lint.serial_length"),
    ("code", {"days": 461}, "lint.validity"),
    ("time", {"days": 4200}, "lint.validity"),
    ("code", {"key": "rsa2048"}, "lint.key_size"),
    ("code", {"key": "ed25519"}, "lint.key_size"),
    ("sub", {"key": "rsa3072"}, "lint.key_size"),
    ("root", {"key": "rsa3072"}, "lint.key_size"),
    ("code", {"usage": None}, "lint.key_usage"),
    ("code", {"usage": pki.Extension(pki.key_usage("digital_signature"))}, "lint.key_usage"),
    ("code", {"usage": pki.Extension(pki.key_usage("content_commitment"), critical=True)}, "lint.key_usage"),
    (
        "code",
        {"usage": pki.Extension(pki.key_usage("digital_signature", "key_cert_sign"), critical=True)},
        "lint.key_usage",
    ),
    (
        "code",
        {"usage": pki.Extension(pki.key_usage("digital_signature", "content_commitment"), critical=True)},
        "lint.key_usage_more",
    ),
    ("sub", {"usage": pki.Extension(pki.key_usage("key_cert_sign"), critical=True)}, "lint.key_usage"),
    ("root", {"usage": pki.Extension(pki.key_usage("key_cert_sign", "crl_sign"))}, "lint.key_usage"),
    ("code", {"purpose": eku(Eku.CODE_SIGNING, Eku.SERVER_AUTH)}, "lint.purpose"),
    ("code", {"purpose": eku(Eku.CODE_SIGNING, Eku.ANY_EXTENDED_KEY_USAGE)}, "lint.purpose"),
    ("code", {"purpose": eku(Eku.CODE_SIGNING, Eku.TIME_STAMPING)}, "lint.purpose"),
    ("time", {"purpose": eku(Eku.TIME_STAMPING)}, "lint.purpose"),
    ("time", {"purpose": eku(Eku.TIME_STAMPING, Eku.EMAIL_PROTECTION, critical=True)}, "lint.purpose"),
    ("root", {"purpose": eku(Eku.CODE_SIGNING)}, "lint.purpose"),
    ("sub", {"purpose": None}, "lint.purpose"),
    ("sub", {"purpose": eku(Eku.CODE_SIGNING, Eku.TIME_STAMPING)}, "lint.purpose"),
    ("sub", {"purpose": eku(Eku.CODE_SIGNING, Eku.EMAIL_PROTECTION)}, "lint.purpose"),
    ("sub", {"purpose": eku(Eku.CODE_SIGNING, Eku.SERVER_AUTH)}, "lint.purpose"),
    ("ocsp", {"purpose": eku(Eku.OCSP_SIGNING, Eku.ANY_EXTENDED_KEY_USAGE)}, "lint.purpose"),
    ("code", {"purpose": eku(Eku.CODE_SIGNING, Oid("1.2.3"))}, "lint.purpose_more"),
    ("sub", {"purpose": None, "basic": constraints(ca=True)}, "lint.purpose_more"),
    ("code", {"policy": None}, "lint.policy"),
    ("code", {"policy": policy(OV, OV)}, "lint.policy"),
    ("code", {"policy": policy(OV, url="ldap://x")}, "lint.policy"),
    ("code", {"policy": policy(Oid("1.2.3"))}, "lint.policy_reserved"),
    ("sub", {"policy": policy(Oid("1.2.3"))}, "lint.policy_reserved"),
    ("sub", {"purpose": eku(Eku.TIME_STAMPING), "days": 2000}, "lint.policy_reserved"),
    ("code", {"policy": policy(OV, critical=True)}, "lint.criticality"),
    ("sub", {"purpose": eku(Eku.CODE_SIGNING, critical=True)}, "lint.criticality"),
    ("sub", {"purpose": eku(Eku.TIME_STAMPING), "policy": policy(TS)}, "lint.time_ca_life"),
    ("code", {"crl": None}, "lint.crl_place"),
    ("code", {"crl": crl_at("https://x/y.crl")}, "lint.crl_place"),
    ("code", {"crl": crl_at("http://x/y.crl")._replace(critical=True)}, "lint.crl_place"),
    ("code", {"issuer": None}, "lint.issuer_place"),
    ("code", {"issuer": issuer_at("ldap://x/y")}, "lint.issuer_place"),
    (
        "code",
        {
            "issuer": pki.Extension(
                other.AuthorityInformationAccess(
                    [
                        other.AccessDescription(
                            Oid(x509.ACCESS_CA_ISSUERS), other.UniformResourceIdentifier("http://x/")
                        ),
                        other.AccessDescription(Oid(x509.ACCESS_OCSP), other.UniformResourceIdentifier("https://x/")),
                    ]
                )
            )
        },
        "lint.ocsp_place",
    ),
    ("code", {"basic": pki.Extension(other.BasicConstraints(ca=False, path_length=None))}, ""),
    ("sub", {"basic": constraints(ca=True, length=0, critical=False)}, "lint.basic_constraints"),
    ("root", {"basic": constraints(ca=True, length=2)}, "lint.root_plain"),
    ("root", {"policy": policy(OV)}, "lint.root_plain"),
    ("ocsp", {"nocheck": None}, "lint.nocheck"),
    ("code", {"more": raw_extension("1.2.3.4", b"\x05\x00")}, "lint.extensions_more"),
    ("code", {"more": raw_extension("1.2.3.4", b"\x05\x00", critical=True)}, "lint.extensions"),
    ("code", {"more": raw_extension(x509.SUBJECT_ALT_NAME, b"\x04\x00")}, "lint.extensions"),
    ("code", {"name": subject(without="O")}, "lint.name_complete"),
    ("code", {"name": subject(without="L")}, "lint.name_complete"),
    ("code", {"name": subject(without="C")}, "lint.name_complete"),
    ("code", ev(), "lint.name_complete"),
    ("code", ev(*EV_NAME), ""),
    ("code", ev(("2.5.4.15", "Start-up"), *EV_NAME[1:]), "lint.name_category"),
    ("code", ev(*EV_NAME, ("1.3.6.1.4.1.311.60.2.1.1", "Leeds")), "lint.jurisdiction"),
    ("time", {"name": other.Name([])}, "lint.name_complete"),
    ("code", {"name": subject(("0.9.2342.19200300.100.1.25", "example"))}, "lint.name_allowed"),
    ("code", {"name": subject(("2.5.4.6", "ZZ"), without="C")}, "lint.country"),
    ("code", {"name": subject(("2.5.4.11", "x" * 65))}, "lint.name"),
    ("code", {"name": subject(("2.5.4.11", "-"))}, "lint.name"),
    ("code", {"name": subject(("2.5.4.11", "a\u202eb"))}, "lint.name"),
    ("sub", {"name": other.Name([])}, "lint.name"),
]


@pytest.mark.parametrize(("kind", "change", "code"), BROKEN)
def test_broken_ones(kind: str, change: dict[str, Any], code: str) -> None:
    found = against(made(kind, **change))
    assert code in found if code else found == {}


def test_what_needs_the_issuer() -> None:
    above = issuer()
    leaf = made("code", by=above)
    assert against(leaf, above) == {}
    stranger = pki.authority("Stranger", kind="p384", more=[eku(Eku.CODE_SIGNING)])
    assert {"lint.name_chained", "lint.key_identifiers", "lint.signed_by"} <= set(against(leaf, stranger))
    short = issuer(until=SINCE + dt.timedelta(days=30))
    assert against(made("code", by=short), short) == {"lint.validity_nested": Outcome.INFO}
    other_purpose = issuer(Eku.TIME_STAMPING)
    assert "lint.purpose" in against(made("code", by=other_purpose), other_purpose)


def rebuilt(raw: bytes, **fields: bytes) -> bytes:
    """The certificate with fields of its TBSCertificate exchanged, unsigned again."""
    outer = der.parse(raw).children()
    names = ("version", "serial", "algorithm", "issuer", "validity", "subject", "key", "extensions")
    parts = dict(zip(names, (node.raw for node in outer[0].children()), strict=True)) | fields
    return der.sequence(der.sequence(*parts.values()), fields.get("algorithm", outer[1].raw), outer[2].raw)


class TestEncodings:
    RAW = made("code").der

    def test_der(self) -> None:
        for bad in (
            rebuilt(self.RAW, extensions=self.extensions(written_false=True)),
            rebuilt(self.RAW, extensions=self.extensions(usage=bytes.fromhex("03020080"))),
            rebuilt(self.RAW, subject=self.name(der.PRINTABLE_STRING, b"a_b")),
            rebuilt(self.RAW, serial=bytes.fromhex("020a00000102030405060708")),
        ):
            assert "lint.der" in against(bad)

    def extensions(self, *, written_false: bool = False, usage: bytes = b"") -> bytes:
        block = der.parse(self.RAW).children()[0].children()[-1].only_child()
        parts = []
        for node in block.children():
            oid, *rest = node.children()
            if written_false and oid.oid() == x509.EXTENDED_KEY_USAGE:
                parts.append(der.sequence(oid.raw, der.boolean(False), rest[-1].raw))  # noqa: FBT003 - the value itself
            elif usage and oid.oid() == x509.KEY_USAGE:
                parts.append(der.sequence(oid.raw, rest[0].raw, der.octet_string(usage)))
            else:
                parts.append(node.raw)
        return der.explicit(3, der.sequence(*parts))

    def name(self, tag: int, text: bytes) -> bytes:
        step = der.sequence(der.oid("2.5.4.3"), der.encode(tag, text))
        return der.sequence(der.set_of([step]))

    def test_string_types(self) -> None:
        assert "lint.name" in against(rebuilt(self.RAW, subject=self.name(der.BMP_STRING, "abc".encode("utf-16-be"))))
        assert "lint.name" in against(rebuilt(self.RAW, subject=self.name(der.UTF8_STRING, b"x" * 65)))

    def test_serials(self) -> None:
        for serial in (der.integer(0), der.integer(-5), der.encode(der.INTEGER, b"\x01" * 21)):
            assert against(rebuilt(self.RAW, serial=serial))["lint.serial"] is Outcome.NO

    def test_times(self) -> None:
        def validity(*parts: bytes) -> bytes:
            return rebuilt(self.RAW, validity=der.sequence(*parts))

        since = der.time(SINCE)
        for bad in (
            validity(since, der.time(SINCE - dt.timedelta(seconds=1))),
            validity(since, der.encode(der.GENERALIZED_TIME, b"20270101000000Z")),
            validity(der.encode(der.GENERALIZED_TIME, b"20260101000000.5Z"), der.time(SINCE)),
        ):
            assert "lint.times" in against(bad)
        assert "lint.times" not in against(validity(since, der.encode(der.GENERALIZED_TIME, b"20500101000000Z")))

    def test_versions_and_unique_identifiers(self) -> None:
        assert "lint.version" in against(rebuilt(self.RAW, version=der.explicit(0, der.integer(1))))
        key = der.parse(self.RAW).children()[0].children()[6].raw
        assert "lint.version" in against(rebuilt(self.RAW, key=key + der.implicit(1, b"\x00\x01")))

    def test_algorithm_parameters(self) -> None:
        oid = der.oid("1.2.840.10045.4.3.2")
        assert "lint.algorithm_parameters" in against(rebuilt(self.RAW, algorithm=der.sequence(oid, der.null())))
        rsa = der.sequence(der.oid("1.2.840.113549.1.1.11"))
        assert "lint.algorithm_parameters" in against(rebuilt(self.RAW, algorithm=rsa))
        differing = der.parse(self.RAW).children()
        outer = der.sequence(differing[0].raw, der.sequence(der.oid("1.2.840.10045.4.3.3")), differing[2].raw)
        assert "lint.algorithm_parameters" in against(outer)

    def test_keys(self) -> None:
        from tests.support import rsa_numbers
        from tests.unit.authority.lint.test_weak_keys import public

        weak = public(rsa_numbers.honest(2**3071 + 1) * 751)
        assert "lint.key_quality" in against(rebuilt(self.RAW, key=weak))
        small = public(rsa_numbers.honest(2**3071 + 1), 3)
        found = against(rebuilt(self.RAW, key=small))
        assert found["lint.exponent"] is Outcome.INFO

    def test_what_cannot_be_read(self) -> None:
        for bad in (b"", b"0", self.RAW[:-1], self.RAW + b"\0"):
            assert against(bad) == {"lint.unreadable": Outcome.NO}
        unknown = der.sequence(der.oid("1.2.3"))
        assert against(rebuilt(self.RAW, algorithm=unknown))["lint.signature"] is Outcome.UNKNOWN

    @given(st.data())
    def test_any_change_is_a_finding_or_none(self, data: st.DataObject) -> None:
        place = data.draw(st.integers(0, len(self.RAW) - 1))
        bad = bytearray(self.RAW)
        bad[place] ^= 1 << data.draw(st.integers(0, 7))
        assert linter.certificate(bytes(bad))


class TestDates:
    """Each certificate is judged by the rules of the time when it was issued."""

    @pytest.mark.parametrize(
        ("since", "change", "code", "broken"),
        [
            (dt.datetime(2026, 2, 28, tzinfo=dt.UTC), {"days": 1185}, "lint.validity", False),
            (dt.datetime(2026, 3, 1, tzinfo=dt.UTC), {"days": 461}, "lint.validity", True),
            (dt.datetime(2026, 2, 28, tzinfo=dt.UTC), {"days": 1190}, "lint.validity", True),
            (dt.datetime(2021, 5, 31, tzinfo=dt.UTC), {"key": "rsa2048"}, "lint.key_size", False),
            (dt.datetime(2021, 6, 1, tzinfo=dt.UTC), {"key": "rsa2048"}, "lint.key_size", True),
            (dt.datetime(2021, 6, 1, tzinfo=dt.UTC), {"crl": None}, "lint.crl_place", False),
            (dt.datetime(2022, 6, 29, tzinfo=dt.UTC), {"crl": None}, "lint.crl_place", True),
            (dt.datetime(2019, 8, 12, tzinfo=dt.UTC), {"policy": None}, "lint.policy", False),
            (dt.datetime(2019, 8, 13, tzinfo=dt.UTC), {"policy": None}, "lint.policy", True),
        ],
    )
    def test_of_signers(self, since: dt.datetime, change: dict[str, Any], code: str, *, broken: bool) -> None:
        assert (code in against(made("code", since=since, **change))) is broken

    @pytest.mark.parametrize(
        ("kind", "since", "broken"),
        [
            ("time", dt.datetime(2022, 4, 30, tzinfo=dt.UTC), False),
            ("time", SINCE, True),
            ("code", dt.datetime(2021, 5, 31, tzinfo=dt.UTC), False),
            ("code", dt.datetime(2021, 6, 1, tzinfo=dt.UTC), True),
            ("root", SINCE, False),
        ],
    )
    def test_sha1(self, kind: str, since: dt.datetime, *, broken: bool) -> None:
        sha1 = der.sequence(der.oid("1.2.840.113549.1.1.5"), der.null())
        found = against(rebuilt(made(kind, since=since).der, algorithm=sha1))
        assert ("lint.signature" in found) is broken

    def test_what_is_not_bound_says_so(self) -> None:
        old = against(made("code", since=dt.datetime(2018, 1, 1, tzinfo=dt.UTC), policy=None, crl=None))
        assert old == {"lint.in_force": Outcome.INFO}
        assert against(made("code", purpose=None))["lint.in_force"] is Outcome.INFO
        assert kind_of(x509.certificate(made("code", purpose=None).der)) is Kind.OTHER


def entry(
    serial: int = 7, days: int = 2, reason: other.ReasonFlags | None = None, since: dt.datetime | None = None
) -> pki.Revoked:
    return pki.Revoked(serial, pki.NOW - dt.timedelta(days=days), reason, since)


def list_of(
    entries: Sequence[pki.Revoked] = (),
    *,
    days: int = 6,
    by: pki.Entity | None = None,
    more: Sequence[pki.Extension] = (),
) -> bytes:
    since = pki.NOW - dt.timedelta(days=1)
    signer = by or issuer()
    key = pki.Extension(other.AuthorityKeyIdentifier.from_issuer_public_key(signer.private_key.public_key()))
    return pki.crl(signer, entries, since=since, until=since + dt.timedelta(days=days), more=[key, *more])


def list_faults(raw: bytes, above: pki.Entity | None = None) -> set[str]:
    found = lists.lint(raw, x509.certificate((above or issuer()).der))
    return {each.code for each in found if each.outcome is not Outcome.OK}


class TestLists:
    def test_good_ones(self) -> None:
        assert list_faults(list_of()) == set()
        assert list_faults(list_of([entry(), entry(9, 3, other.ReasonFlags.key_compromise)])) == set()
        assert list_faults(list_of(days=10)) == set()
        stamping = issuer(Eku.TIME_STAMPING)
        assert list_faults(list_of(days=300, by=stamping), stamping) == set()

    @pytest.mark.parametrize(
        ("raw", "code"),
        [
            (list_of(days=11), "lint.crl_period"),
            (list_of([entry(9, 3, other.ReasonFlags.certificate_hold)]), "lint.crl_hold"),
            (list_of([entry(9, 3, None, pki.NOW - dt.timedelta(days=9))]), "lint.crl_invalidity"),
            (list_of([entry(9, 3, other.ReasonFlags.remove_from_crl)]), "lint.crl_entries"),
            (list_of([entry(9), entry(9)]), "lint.crl_entries"),
            (list_of([entry(9, 0)]), "lint.crl_entries"),
            (pki.crl(issuer()), "lint.crl_fields"),
            (list_of(more=[raw_extension("1.2.3", b"\x05\x00", critical=True)]), "lint.crl_scope"),
            (
                list_of(more=[pki.Extension(other.DeltaCRLIndicator(1))]),
                "lint.crl_scope",
            ),
            (list_of(by=pki.authority("Other")), "lint.name_chained"),
            (list_of(by=pki.authority("Other")), "lint.signed_by"),
            (list_of()[:-1], "lint.unreadable"),
            (b"", "lint.unreadable"),
        ],
    )
    def test_broken_ones(self, raw: bytes, code: str) -> None:
        assert code in list_faults(raw)

    def test_long_periods(self) -> None:
        stamping = issuer(Eku.TIME_STAMPING)
        assert list_faults(list_of(days=366, by=stamping), stamping) == {"lint.crl_period"}

    def test_what_time_stamping_may(self) -> None:
        stamping = issuer(Eku.TIME_STAMPING)
        raw = list_of([entry(9, 3, None, pki.NOW - dt.timedelta(days=9))], by=stamping)
        assert list_faults(raw, stamping) == set()

    @given(st.binary(max_size=300))
    def test_any_bytes(self, raw: bytes) -> None:
        assert lists.lint(raw)


def test_every_rule_has_one_that_breaks_it() -> None:
    """Nobody adds a rule without a certificate here that breaks it."""
    tested = {code for _, _, code in BROKEN if code}
    tested |= {
        "lint.der",
        "lint.version",
        "lint.serial",
        "lint.times",
        "lint.algorithm_parameters",
        "lint.key_quality",
        "lint.exponent",
        "lint.key_identifiers",
        "lint.name_chained",
        "lint.validity_nested",
        "lint.signed_by",
        "lint.signature",
    }
    assert {rule.reason.code for rule in linter.RULES} == tested
    assert all(rule.reason.cites for rule in linter.RULES)


class TestFiles:
    def test_issuers_are_found_among_what_is_given(self) -> None:
        above = issuer()
        leaf = made("code", by=above)
        both = batch.lint_all(batch.Material([leaf.der, above.der], [list_of(by=above)]))
        codes = [{each.code for each in linted.findings} for linted in both]
        assert "lint.signed_by" in codes[0]
        assert "lint.signed_by" in codes[2]
        assert "lint.signed_by" not in codes[1]  # its own issuer is not here

    def test_the_longest_lived_of_several(self) -> None:
        """A cross-certificate ends sooner than the root that it is for: the path can go by either."""
        root = pki.authority("Root")
        short = pki.authority("Root", until=SINCE + dt.timedelta(days=10))
        issuing = pki.authority("Issuing", issuer=root, kind="p384", more=[eku(Eku.CODE_SIGNING)])
        found = batch.lint_all(batch.Material([issuing.der], []), [short.der, root.der])
        assert "lint.validity_nested" not in {each.code for each in found[0].findings if each.outcome is not Outcome.OK}


def test_unsupported_is_unknown_not_good() -> None:
    dsa = der.sequence(der.sequence(der.oid("1.2.840.10040.4.1")), der.bit_string(b"\x02\x01\x05"))
    with pytest.raises(algorithms.UnsupportedError):
        public_keys.load(dsa)
    raw = rebuilt(TestEncodings.RAW, key=dsa)
    assert against(raw)["lint.key_quality"] is Outcome.UNKNOWN
    assert reasons.KEY_QUALITY.code == "lint.key_quality"
