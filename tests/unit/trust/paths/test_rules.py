"""The rules a path must obey: the smallest change that breaks each is refused for that reason and no other."""

from __future__ import annotations

import datetime as dt
import itertools
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders
from cryptography.x509.oid import ExtendedKeyUsageOID as Usage
from cryptography.x509.oid import ObjectIdentifier

from chopmark.core import limits
from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path, rules
from chopmark.trust.stores import anchors
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, TIME, Cert, Extension, codes, make, name, purposes

if TYPE_CHECKING:
    from pathlib import Path

KEY = pki.key("p256", "rules")
ROOT = make(name("Root"), pki.key("p256", "root"), extensions=material.ca_extensions())
ISSUING = make(name("Issuing"), pki.key("p256", "issuing"), ROOT, extensions=material.ca_extensions(0))
LEAF_USAGE = Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True)
LEAF = make(name("Leaf"), KEY, ISSUING, extensions=[LEAF_USAGE, purposes(CODE)])


def found(folder: Path, way: list[Cert], oid: str = CODE, moment: Moment | None = None) -> path.Path:
    """The path from the first certificate, with the others carried along, and the last one trusted."""
    store = material.trusting(folder, way[-1])
    carried = [each.raw for each in way[1:]]
    return path.find(way[0].view, oid, moment or Moment(pki.NOW), path.Material(store, carried))


def leaf(*extensions: Extension, issuer: Cert = ISSUING, **parts: object) -> Cert:
    return make(name("Leaf"), KEY, issuer, extensions=extensions, **parts)  # type: ignore[arg-type]


def issuing(*extensions: Extension, issuer: Cert = ROOT, **parts: object) -> list[Cert]:
    """A leaf below an issuing authority with these extensions, and the root."""
    above = make(name("Issuing"), pki.key("p256", "issuing"), issuer, extensions=extensions, **parts)  # type: ignore[arg-type]
    return [leaf(LEAF_USAGE, purposes(CODE), issuer=above), above, issuer]


def test_the_plain_path_is_trusted(tmp_path: Path) -> None:
    result = found(tmp_path, [LEAF, ISSUING, ROOT])
    assert result.trusted
    assert [each.raw for each in result.certificates] == [LEAF.raw, ISSUING.raw, ROOT.raw]
    assert codes(result.findings, "ok") == {"path.trusted", "path.valid", "path.fitting"}


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "ed25519", "rsa2048", "rsa3072"])
def test_every_kind_of_key_can_be_anywhere_on_the_path(tmp_path: Path, kind: str) -> None:
    root = pki.authority("Any Root", kind=kind)
    middle = pki.authority("Any Issuing", issuer=root, kind=kind)
    signer = pki.leaf(middle, kind=kind)
    store = material.trusting(tmp_path, root)
    assert path.find(material.read(signer), CODE, Moment(pki.NOW), path.Material(store, signer.issuers)).trusted


# Validity


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (pki.SINCE, None),
        (pki.SINCE - dt.timedelta(seconds=1), "path.not_yet_valid"),
        (pki.UNTIL, None),
        (pki.UNTIL + dt.timedelta(seconds=1), "path.expired"),
    ],
)
def test_validity_includes_both_ends(tmp_path: Path, at: dt.datetime, code: str | None) -> None:
    result = found(tmp_path, [LEAF, ISSUING, ROOT], moment=Moment(at))
    assert codes(result.findings) == ({code} if code else set())


def test_an_expired_authority_spoils_the_path(tmp_path: Path) -> None:
    way = issuing(*material.ca_extensions(), until=pki.NOW - dt.timedelta(days=1))
    assert codes(found(tmp_path, way).findings) == {"path.expired"}


def test_an_expired_root_spoils_the_path(tmp_path: Path) -> None:
    root = make(
        name("Old"), pki.key("p256", "root"), extensions=material.ca_extensions(), until=pki.NOW - dt.timedelta(1)
    )
    way = issuing(*material.ca_extensions(), issuer=root)
    assert codes(found(tmp_path, way).findings) == {"path.expired"}


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        (pki.NOW, pki.NOW, None),
        (pki.NOW + dt.timedelta(seconds=1), pki.UNTIL, "path.not_yet_valid"),
        (pki.SINCE, pki.NOW - dt.timedelta(seconds=1), "path.expired"),
    ],
)
def test_the_time_of_each_on_the_path_counts(
    tmp_path: Path, since: dt.datetime, until: dt.datetime, code: str | None
) -> None:
    always = pki.SINCE, pki.UNTIL
    for times in set(itertools.permutations([(since, until), always, always])):
        issuer, way = None, list[Cert]()
        for number, (begin, end) in enumerate(times):
            extensions = material.ca_extensions() if number < 2 else [LEAF_USAGE, purposes(CODE)]
            subject, key = name(f"at {number}"), pki.key("p256", f"at {number}")
            issuer = make(subject, key, issuer, extensions=extensions, since=begin, until=end)
            way.insert(0, issuer)
        assert codes(found(tmp_path, way).findings) == ({code} if code else set()), times


# Authorities


def test_an_issuer_without_basic_constraints_is_no_authority(tmp_path: Path) -> None:
    assert codes(found(tmp_path, issuing(material.ca_extensions()[1])).findings) == {"path.not_a_ca"}


def test_an_issuer_that_says_it_is_no_authority_is_none(tmp_path: Path) -> None:
    assert codes(found(tmp_path, issuing(*material.ca_extensions(ca=False))).findings) == {"path.not_a_ca"}


def test_an_old_root_without_extensions_is_an_authority_because_the_store_says_so(tmp_path: Path) -> None:
    root = make(name("Old"), pki.key("p256", "root"), version=1)
    assert found(tmp_path, issuing(*material.ca_extensions(), issuer=root)).trusted


def test_an_old_intermediate_without_extensions_is_no_authority(tmp_path: Path) -> None:
    assert codes(found(tmp_path, issuing(version=1)).findings) == {"path.not_a_ca"}


def test_extensions_in_an_old_version_are_malformed(tmp_path: Path) -> None:
    assert codes(found(tmp_path, issuing(*material.ca_extensions(), version=2)).findings) == {"path.malformed"}


def test_an_authority_must_be_allowed_to_sign_certificates(tmp_path: Path) -> None:
    way = issuing(*material.ca_extensions(usage=b"\x01\x02"))  # CRLs alone
    assert codes(found(tmp_path, way).findings) == {"path.key_usage"}


def test_an_authority_without_key_usage_may_sign_certificates(tmp_path: Path) -> None:
    assert found(tmp_path, issuing(material.ca_extensions()[0])).trusted


@pytest.mark.parametrize("usage", [(), (LEAF_USAGE,)])
def test_a_signer_makes_no_signers(tmp_path: Path, usage: tuple[Extension, ...]) -> None:
    """The oldest trick: whoever has any certificate for code signing issues another one with it."""
    signer = leaf(*usage, purposes(CODE), issuer=ROOT)
    below = make(name("Microsoft"), pki.key("p256", "below"), signer, extensions=[LEAF_USAGE, purposes(CODE)])
    assert "path.not_a_ca" in codes(found(tmp_path, [below, signer, ROOT]).findings)
    assert found(tmp_path, [signer, ROOT]).trusted


@pytest.mark.parametrize(
    ("extensions", "at", "usable"),
    [
        (material.ca_extensions(), pki.NOW, True),
        (material.ca_extensions()[:1], pki.NOW, True),
        (material.ca_extensions(usage=b"\x01\x02"), pki.NOW, False),
        (material.ca_extensions(ca=False), pki.NOW, False),
        ((), pki.NOW, False),
        ([Extension(x509.BASIC_CONSTRAINTS, b"junk")], pki.NOW, False),
        (material.ca_extensions(), pki.SINCE, True),
        (material.ca_extensions(), pki.SINCE - dt.timedelta(seconds=1), False),
        (material.ca_extensions(), pki.UNTIL, True),
        (material.ca_extensions(), pki.UNTIL + dt.timedelta(seconds=1), False),
    ],
)
def test_who_is_tried_first_as_an_issuer(extensions: list[Extension], at: dt.datetime, *, usable: bool) -> None:
    certificate = make(name("Issuing"), pki.key("p256", "issuing"), ROOT, extensions=extensions)
    assert rules.usable_issuer(certificate.view, Moment(at)) is usable


@pytest.mark.parametrize(("allowed", "code"), [(2, None), (1, None), (0, "path.too_long")])
def test_path_length_counts_authorities_below(tmp_path: Path, allowed: int, code: str | None) -> None:
    root = make(name("Limited"), pki.key("p256", "root"), extensions=material.ca_extensions(allowed))
    way = issuing(*material.ca_extensions(), issuer=root)
    assert codes(found(tmp_path, way).findings) == ({code} if code else set())


def test_path_length_does_not_count_what_an_authority_issued_to_itself(tmp_path: Path) -> None:
    root = make(name("Limited"), pki.key("p256", "root"), extensions=material.ca_extensions(0))
    renewed = make(name("Limited"), pki.key("p256", "renewed"), root, extensions=material.ca_extensions(0))
    signer = leaf(LEAF_USAGE, purposes(CODE), issuer=renewed)
    assert found(tmp_path, [signer, renewed, root]).trusted


# The signer


def test_an_authority_does_not_sign_files(tmp_path: Path) -> None:
    signer = leaf(*material.ca_extensions(usage=b"\x01\x86"), purposes(CODE))
    assert codes(
        found(
            tmp_path, [signer, make(ISSUING.name, ISSUING.key, ROOT, extensions=material.ca_extensions()), ROOT]
        ).findings
    ) == {"path.signer_is_ca"}


def test_an_authority_that_is_itself_trusted_may_sign_files(tmp_path: Path) -> None:
    signer = make(name("Owner"), KEY, extensions=[*material.ca_extensions(usage=b"\x01\x86"), purposes(CODE)])
    assert found(tmp_path, [signer]).trusted


def test_a_signer_may_say_that_it_is_no_authority(tmp_path: Path) -> None:
    assert found(tmp_path, [leaf(material.ca_extensions(ca=False)[0], purposes(CODE)), ISSUING, ROOT]).trusted


def test_an_authority_is_a_signer_where_no_purpose_is_asked_for(tmp_path: Path) -> None:
    signer = leaf(*material.ca_extensions(usage=b"\x01\x86"), issuer=ROOT)
    assert found(tmp_path, [signer, ROOT], "").trusted


@pytest.mark.parametrize(
    ("extensions", "code"),
    [
        ((), None),
        ((Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x01\x02")),), None),
        ((LEAF_USAGE,), "path.key_usage"),
        (material.ca_extensions(), None),
        ((purposes(TIME),), None),
    ],
)
def test_who_may_sign_revocation_lists(tmp_path: Path, extensions: tuple[Extension, ...], code: str | None) -> None:
    """Whoever's key usage does not forbid it; what it is for beside that does not matter, above neither."""
    above = make(ISSUING.name, ISSUING.key, ROOT, extensions=[*material.ca_extensions(), purposes(TIME)])
    result = found(tmp_path, [leaf(*extensions, issuer=above), above, ROOT], rules.CRL_SIGNING)
    assert codes(result.findings) == ({code} if code else set())


@pytest.mark.parametrize(
    ("usage", "oid", "code"),
    [
        (b"\x07\x80", CODE, None),
        (b"\x06\xc0", CODE, None),
        (b"\x06\x40", CODE, "path.key_usage"),
        (b"\x05\x20", CODE, "path.key_usage"),
        (b"\x06\x40", TIME, None),
        (b"\x05\x20", TIME, "path.key_usage"),
    ],
)
def test_the_signers_key_must_be_for_signatures(tmp_path: Path, usage: bytes, oid: str, code: str | None) -> None:
    signer = leaf(Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, usage)), purposes(oid, critical=True))
    assert codes(found(tmp_path, [signer, ISSUING, ROOT], oid).findings) == ({code} if code else set())


def test_a_signer_without_key_usage_may_sign(tmp_path: Path) -> None:
    assert found(tmp_path, [leaf(purposes(CODE)), ISSUING, ROOT]).trusted


# Purposes


@pytest.mark.parametrize(
    ("oids", "wanted", "code"),
    [
        ((CODE,), CODE, None),
        ((x509.EKU_ANY,), CODE, "path.purpose"),
        ((x509.EKU_ANY, CODE), CODE, None),
        (("1.3.6.1.5.5.7.3.1",), CODE, "path.purpose"),
        ((TIME,), CODE, "path.purpose"),
        ((), CODE, "path.purpose"),
        ((CODE,), "", None),
        ((), "", None),
        ((TIME,), TIME, None),
        ((TIME, CODE), TIME, "path.purpose"),
        ((x509.EKU_ANY,), TIME, "path.purpose"),
        (("1.2.3.4",), "1.2.3.4", None),
    ],
)
def test_the_signers_certificate_must_name_the_purpose(
    tmp_path: Path, oids: tuple[str, ...], wanted: str, code: str | None
) -> None:
    extensions = [LEAF_USAGE, *([purposes(*oids, critical=True)] if oids else [])]
    assert codes(found(tmp_path, [leaf(*extensions), ISSUING, ROOT], wanted).findings) == ({code} if code else set())


@pytest.mark.parametrize("wanted", sorted(anchors.KERNEL_SIDE))
@pytest.mark.parametrize(
    ("oids", "below", "above"),
    [
        ((), None, None),
        ((x509.EKU_ANY,), None, None),
        ((CODE,), None, None),
        ((TIME,), "path.purpose", "path.purpose_above"),
        (("1.3.6.1.5.5.7.3.1", "1.2.3"), "path.purpose", "path.purpose_above"),
    ],
)
def test_keys_for_modules_and_firmware_need_name_no_purpose(
    tmp_path: Path, wanted: str, oids: tuple[str, ...], below: str | None, above: str | None
) -> None:
    named = [purposes(*oids)] if oids else []
    assert codes(found(tmp_path, [leaf(*named), ISSUING, ROOT], wanted).findings) == ({below} if below else set())
    way = issuing(*material.ca_extensions(), *named)
    assert codes(found(tmp_path, way, wanted).findings) == ({above} if above else set())
    assert found(tmp_path, [leaf(purposes(wanted)), ISSUING, ROOT], wanted).trusted


def test_time_stamping_that_is_not_critical_is_only_reported(tmp_path: Path) -> None:
    result = found(tmp_path, [leaf(LEAF_USAGE, purposes(TIME)), ISSUING, ROOT], TIME)
    assert result.trusted
    assert codes(result.findings, "info") == {"path.purpose_not_critical"}


@pytest.mark.parametrize(
    ("oids", "code"),
    [((CODE,), None), ((x509.EKU_ANY,), None), ((CODE, TIME), None), ((TIME,), "path.purpose_above")],
)
def test_an_authority_can_be_limited_to_purposes(tmp_path: Path, oids: tuple[str, ...], code: str | None) -> None:
    way = issuing(*material.ca_extensions(), purposes(*oids))
    assert codes(found(tmp_path, way).findings) == ({code} if code else set())


def test_a_root_can_be_limited_to_purposes_by_its_own_certificate(tmp_path: Path) -> None:
    root = make(
        name("Web"), pki.key("p256", "root"), extensions=[*material.ca_extensions(), purposes("1.3.6.1.5.5.7.3.1")]
    )
    way = issuing(*material.ca_extensions(), issuer=root)
    assert codes(found(tmp_path, way).findings) == {"path.purpose_above"}


@pytest.mark.parametrize(
    ("oid", "code"), [(CODE, None), ("1.3.6.1.4.1.311.10.12.1", None), (TIME, "path.purpose_above")]
)
def test_microsofts_application_policies_limit_like_extended_key_usage(
    tmp_path: Path, oid: str, code: str | None
) -> None:
    policies = Extension(rules.APPLICATION_POLICIES, der.sequence(der.sequence(der.oid(oid))), critical=True)
    way = issuing(*material.ca_extensions(), policies)
    assert codes(found(tmp_path, way).findings) == ({code} if code else set())


@pytest.mark.parametrize(("oid", "code"), [(CODE, None), (TIME, "path.purpose")])
def test_application_policies_of_the_signer_must_name_the_purpose(tmp_path: Path, oid: str, code: str | None) -> None:
    policies = Extension(rules.APPLICATION_POLICIES, der.sequence(der.sequence(der.oid(oid))))
    signer = [leaf(purposes(CODE), policies), ISSUING, ROOT]
    assert codes(found(tmp_path, signer).findings) == ({code} if code else set())
    for way in (signer, issuing(*material.ca_extensions(), policies)):
        assert found(tmp_path, way, "").trusted, "nobody asked for a purpose"


@pytest.mark.parametrize("text", ["code-signing", "time-stamping", "any", "1.3.6.1.4.1.311.10.3.6"])
def test_purposes_have_names_or_identifiers(text: str) -> None:
    oid = anchors.purpose_oid(text)
    assert anchors.purpose_name(oid) == (text if text != "any" else "")


# Extensions


def test_an_unknown_critical_extension_is_refused_wherever_it_is(tmp_path: Path) -> None:
    unknown = Extension("1.2.3.4.5", der.null(), critical=True)
    assert codes(found(tmp_path, [leaf(purposes(CODE), unknown), ISSUING, ROOT]).findings) == {
        "path.critical_extension"
    }
    assert codes(found(tmp_path, issuing(*material.ca_extensions(), unknown)).findings) == {"path.critical_extension"}


@pytest.mark.parametrize(
    ("bits", "oid", "good"),
    [
        (b"\x00\xf7", CODE, True),
        (b"\x00\x01", CODE, True),
        (b"\x00\xf6", CODE, False),
        (b"\x04\x10", CODE, False),
        (b"\x00\x01", "", False),
    ],
)
def test_netscapes_certificate_type_is_evaluated_for_code_signing(
    tmp_path: Path, bits: bytes, oid: str, *, good: bool
) -> None:
    """It is critical in Debian's Secure Boot CA, and says there: Object Signing CA."""
    kind = Extension(rules.NETSCAPE_CERT_TYPE, der.encode(der.BIT_STRING, bits), critical=True)
    result = found(tmp_path, issuing(*material.ca_extensions(), kind), oid)
    assert result.trusted is good
    assert codes(result.findings) == (set() if good else {"path.critical_extension"})
    signer = leaf(LEAF_USAGE, purposes(CODE), kind)
    assert found(tmp_path, [signer, ISSUING, ROOT], oid).trusted is (oid == CODE and bool(bits[1] & 0x10))


def test_an_unknown_extension_that_is_not_critical_does_not_matter(tmp_path: Path) -> None:
    unknown = Extension("1.2.3.4.5", b"\xff not even DER")
    kind = Extension(rules.NETSCAPE_CERT_TYPE, der.encode(der.BIT_STRING, b"\x00\xff"), critical=True)
    for more in ((unknown,), (unknown, kind)):
        assert found(tmp_path, [leaf(purposes(CODE), *more), ISSUING, ROOT]).trusted


LARGE = Extension("1.2.3.4.5", der.octet_string(bytes(limits.CERTIFICATE_KEPT_MAX)))
"""More than is worth remembering of one certificate."""


def test_large_certificates_are_held_to_the_same_rules(tmp_path: Path) -> None:
    above = issuing(*material.ca_extensions(), LARGE)
    assert found(tmp_path, above).trusted
    assert found(tmp_path, [leaf(purposes(CODE), LARGE), ISSUING, ROOT]).trusted
    assert codes(found(tmp_path, [leaf(purposes(TIME), LARGE), ISSUING, ROOT]).findings) == {"path.purpose"}
    assert codes(found(tmp_path, issuing(LARGE)).findings) == {"path.not_a_ca"}
    forged = Cert(ISSUING.raw, pki.key("p256", "thief"), ISSUING.name)
    assert codes(found(tmp_path, [leaf(purposes(CODE), LARGE, issuer=forged), ISSUING, ROOT]).findings) == {
        "path.bad_signature"
    }


@pytest.mark.parametrize("critical", [False, True])
def test_a_demand_for_a_policy_that_the_signer_does_not_have_is_refused(tmp_path: Path, *, critical: bool) -> None:
    demand = Extension(x509.POLICY_CONSTRAINTS, der.sequence(der.implicit(0, b"\x00")), critical)
    assert codes(found(tmp_path, issuing(*material.ca_extensions(), demand)).findings) == {"path.policy"}


def test_a_ban_on_mapping_policies_can_change_nothing(tmp_path: Path) -> None:
    ban = Extension(x509.POLICY_CONSTRAINTS, der.sequence(der.implicit(1, b"\x00")), critical=True)
    assert found(tmp_path, issuing(*material.ca_extensions(), ban)).trusted


def test_any_policy_must_not_be_mapped(tmp_path: Path) -> None:
    pair = der.sequence(der.oid("1.2.3"), der.oid("2.5.29.32.0"))
    mapping = Extension(x509.POLICY_MAPPINGS, der.sequence(pair))
    assert codes(found(tmp_path, issuing(*material.ca_extensions(), mapping)).findings) == {"path.malformed"}


@pytest.mark.parametrize(
    "oid", [x509.KEY_USAGE, x509.EXTENDED_KEY_USAGE, x509.BASIC_CONSTRAINTS, x509.POLICY_CONSTRAINTS]
)
def test_an_extension_that_cannot_be_read_is_refused(tmp_path: Path, oid: str) -> None:
    junk = Extension(oid, b"\x30\x05junk")
    extensions = [each for each in (*material.ca_extensions(), junk) if each is junk or each.oid != oid]
    assert "path.malformed" in codes(found(tmp_path, issuing(*extensions)).findings)


def test_the_signature_algorithm_must_be_the_same_inside_and_outside(tmp_path: Path) -> None:
    way = issuing(*material.ca_extensions(), inner_digest="sha1")
    assert codes(found(tmp_path, way).findings) == {"path.malformed"}


# Algorithms

BEFORE = limits.SHA1_SUNSET - dt.timedelta(seconds=1)


def rsa_way(digest: str, *, root_digest: str = "sha256", bits: int = 2048) -> list[Cert]:
    """A path with the digest under the issuing authority's certificate, valid for a long time."""
    make_old = partial(make, since=material.day("2000-01-01"))
    root = make_old(name("Old"), pki.key("rsa2048"), extensions=material.ca_extensions(), digest=root_digest)
    above = make_old(name("Mid"), pki.key(f"rsa{bits}"), root, extensions=material.ca_extensions(), digest=digest)
    return [make_old(name("Leaf"), KEY, above, extensions=[purposes(CODE)]), above, root]


@pytest.mark.parametrize(
    ("digest", "at", "proven", "code", "outcome"),
    [
        ("sha1", BEFORE, True, "path.dated_algorithm", "info"),
        ("sha1", BEFORE, False, "path.weak_algorithm", "no"),
        ("sha1", limits.SHA1_SUNSET, True, "path.weak_algorithm", "no"),
        ("sha1", pki.NOW, False, "path.weak_algorithm", "no"),
        ("md5", BEFORE, True, "path.weak_algorithm", "no"),
        ("md5", material.day("2001-01-01"), True, "path.weak_algorithm", "no"),
    ],
)
def test_weak_digests_count_by_proven_time(
    tmp_path: Path, digest: str, at: dt.datetime, *, proven: bool, code: str, outcome: str
) -> None:
    result = found(tmp_path, rsa_way(digest), moment=Moment(at, proven=proven))
    assert code in codes(result.findings, outcome)
    assert result.trusted == (outcome == "info")


def test_the_digest_under_a_roots_own_signature_does_not_matter(tmp_path: Path) -> None:
    assert found(tmp_path, rsa_way("sha256", root_digest="md5")).trusted


@pytest.mark.parametrize(
    ("at", "proven", "code", "outcome"),
    [
        (limits.RSA_1024_SUNSET - dt.timedelta(seconds=1), True, "path.dated_key", "info"),
        (limits.RSA_1024_SUNSET, True, "path.weak_key", "no"),
        (limits.RSA_1024_SUNSET - dt.timedelta(seconds=1), False, "path.weak_key", "no"),
    ],
)
def test_short_keys_count_by_proven_time(
    tmp_path: Path, at: dt.datetime, *, proven: bool, code: str, outcome: str
) -> None:
    result = found(tmp_path, rsa_way("sha256", bits=1024), moment=Moment(at, proven=proven))
    assert code in codes(result.findings, outcome)
    assert result.trusted == (outcome == "info")


def test_a_key_that_was_always_too_short_stays_so(tmp_path: Path) -> None:
    """Of 512 bits, at a time that is proven, and in a root of the store, too."""
    numbers = der.sequence(der.integer((1 << 511) | 1), der.integer(65537))
    short = der.sequence(der.sequence(der.oid("1.2.840.113549.1.1.1"), der.null()), der.bit_string(numbers))
    long_ago = limits.RSA_1024_SUNSET - dt.timedelta(days=1)
    signer = leaf(purposes(CODE), key_info=short, since=material.day("2000-01-01"))
    path_of_old = [signer, ISSUING, ROOT]
    result = found(tmp_path, path_of_old, moment=Moment(long_ago, proven=True))
    assert "path.weak_key" in codes(result.findings)
    root = make(name("Short"), pki.key("rsa1024"), extensions=material.ca_extensions()[:1], key_info=short)
    assert codes(
        rules.examine((root.view,), anchors.Anchor(root.view, anchors.UNCONSTRAINED, "test"), "", Moment(pki.NOW))
    ) == {"path.weak_key"}


def test_a_signers_key_of_an_unknown_kind_leaves_the_question_open(tmp_path: Path) -> None:
    strange = der.sequence(der.sequence(der.oid("2.16.840.1.101.3.4.3.18")), der.bit_string(b"\0" * 32))
    result = found(tmp_path, [leaf(purposes(CODE), key_info=strange), ISSUING, ROOT])
    assert codes(result.findings) == codes(result.findings, "unknown") == {"path.unsupported"}


def test_a_short_key_of_a_root_is_the_stores_decision(tmp_path: Path) -> None:
    root = make(name("Short"), pki.key("rsa1024"), extensions=material.ca_extensions())
    result = found(tmp_path, issuing(*material.ca_extensions(), issuer=root))
    assert result.trusted
    assert codes(result.findings, "info") == {"path.dated_key"}


def test_a_key_with_its_own_curve_is_forbidden(tmp_path: Path) -> None:
    signer = leaf(purposes(CODE), key_info=material.own_curve(KEY))
    assert codes(found(tmp_path, [signer, ISSUING, ROOT]).findings) == {"path.weak_key"}
    above = issuing(*material.ca_extensions(), key_info=material.own_curve(ISSUING.key))
    assert codes(found(tmp_path, above).findings) == {"path.weak_key"}
    forged = make(ROOT.name, KEY, extensions=material.ca_extensions(), key_info=material.own_curve(KEY))
    below = make(name("Microsoft"), KEY, forged, extensions=[purposes(CODE)])
    store = material.trusting(tmp_path, ROOT)
    assert not path.find(below.view, CODE, Moment(pki.NOW), path.Material(store, [forged.raw])).trusted


# Name constraints, as far as a whole path is concerned (the comparisons are in test_names)


def constrained(permitted: bytes = b"", excluded: bytes = b"") -> Extension:
    trees = (der.explicit(0, permitted) if permitted else b"") + (der.explicit(1, excluded) if excluded else b"")
    return Extension(x509.NAME_CONSTRAINTS, der.sequence(trees), critical=True)


def subtree(distinguished: bytes) -> bytes:
    return der.sequence(der.explicit(4, distinguished))


PREFIX = der.sequence(der.parse(name("x")).children()[0].raw)
OTHER = der.sequence(der.parse(name("x", "Somebody Else")).children()[0].raw)


@pytest.mark.parametrize(
    ("extension", "code"),
    [
        (constrained(permitted=subtree(PREFIX)), None),
        (constrained(permitted=subtree(OTHER)), "path.name_constraint"),
        (constrained(permitted=subtree(OTHER) + subtree(PREFIX)), None),
        (constrained(excluded=subtree(PREFIX)), "path.name_constraint"),
        (constrained(excluded=subtree(OTHER)), None),
        (constrained(permitted=subtree(PREFIX), excluded=subtree(LEAF.name)), "path.name_constraint"),
        (Extension(x509.NAME_CONSTRAINTS, der.sequence(), critical=True), "path.malformed"),
        (constrained(permitted=der.sequence(der.explicit(4, PREFIX), der.implicit(0, b"\x01"))), "path.malformed"),
    ],
)
def test_names_below_an_authority_must_obey_it(tmp_path: Path, extension: Extension, code: str | None) -> None:
    way = issuing(*material.ca_extensions(), extension)
    assert codes(found(tmp_path, way).findings) == ({code} if code else set())


def test_a_roots_name_constraints_hold_too(tmp_path: Path) -> None:
    extensions = [*material.ca_extensions(), constrained(permitted=subtree(OTHER))]
    root = make(name("Bound"), pki.key("p256", "root"), extensions=extensions)
    assert codes(found(tmp_path, issuing(*material.ca_extensions(), issuer=root)).findings) == {"path.name_constraint"}


def test_name_constraints_hold_for_authorities_between_but_for_what_one_issued_to_itself(tmp_path: Path) -> None:
    """A signer's own certificate is never left out (RFC 5280 clause 6.1.3 (b) and (c))."""
    extensions = [*material.ca_extensions(), constrained(permitted=subtree(OTHER))]
    root = make(name("Bound"), pki.key("p256", "root"), extensions=extensions)
    for between, code in ((name("Bound"), set()), (name("Middle"), {"path.name_constraint"})):
        middle = make(between, pki.key("p256", "between"), root, extensions=material.ca_extensions())
        signer = make(name("Leaf", "Somebody Else"), KEY, middle, extensions=[purposes(CODE)])
        assert codes(found(tmp_path, [signer, middle, root]).findings) == code
    alike = make(name("Bound"), KEY, root, extensions=[purposes(CODE)])
    assert codes(found(tmp_path, [alike, root]).findings) == {"path.name_constraint"}


def test_names_and_constraints_have_a_budget(tmp_path: Path) -> None:
    trees = b"".join(subtree(name(f"n{number}")) for number in range(200))
    host = der.implicit(2, b"a.example")
    names = Extension(x509.SUBJECT_ALT_NAME, der.sequence(*[der.explicit(4, OTHER)] * 200, host))
    above = make(ISSUING.name, ISSUING.key, ROOT, extensions=[*material.ca_extensions(), constrained(excluded=trees)])
    signer = leaf(purposes(CODE), names, issuer=above)
    assert codes(found(tmp_path, [signer, above, ROOT]).findings) == {"path.budget"}


def test_everything_wrong_with_a_path_is_reported(tmp_path: Path) -> None:
    signer = leaf(Extension("1.2.3.4", der.null(), critical=True), until=pki.NOW - dt.timedelta(days=1))
    assert codes(found(tmp_path, [signer, ISSUING, ROOT]).findings) == {
        "path.expired",
        "path.purpose",
        "path.critical_extension",
    }


def test_certificates_of_cryptographys_builder_pass(tmp_path: Path) -> None:
    world = pki.world()
    more = (
        pki.Extension(
            builders.CertificatePolicies([builders.PolicyInformation(ObjectIdentifier("2.23.140.1.4.1"), None)])
        ),
        pki.Extension(builders.InhibitAnyPolicy(0), critical=True),
    )
    middle = pki.authority("Policies", issuer=world.root, more=more)
    signer = pki.leaf(middle, "By policy", purposes=[Usage.CODE_SIGNING], more=more[:1])
    store = material.trusting(tmp_path, world.root)
    assert path.find(material.read(signer), CODE, Moment(pki.NOW), path.Material(store, signer.issuers)).trusted
