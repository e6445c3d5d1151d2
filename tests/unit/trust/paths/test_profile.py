"""The certificate profile: each rule broken alone is refused as such below a root; real roots pass as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.envelopes import der, x509
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path, profile
from chopmark.trust.stores import store
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, Cert, Extension, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEY = pki.key("p256", "profile")
ROOT = make(name("Root"), pki.key("p256", "root"), extensions=ca_extensions())
EMPTY = der.sequence()
DIGITAL = Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True)


def usage(bits: bytes) -> Extension:
    return Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, bits), critical=True)


def alternative(*names: bytes, critical: bool = False) -> Extension:
    return Extension(x509.SUBJECT_ALT_NAME, der.sequence(*names), critical)


def access(*descriptions: bytes) -> Extension:
    return Extension(x509.AUTHORITY_INFORMATION_ACCESS, der.sequence(*descriptions))


def constraints(*parts: bytes) -> Extension:
    return Extension(x509.BASIC_CONSTRAINTS, der.sequence(*parts), critical=True)


def described(name: bytes) -> bytes:
    return der.sequence(der.oid(x509.ACCESS_CA_ISSUERS), name)


def points(*each: bytes) -> Extension:
    return Extension(x509.CRL_DISTRIBUTION_POINTS, der.sequence(*each))


def leaf(*extensions: Extension, subject: bytes | None = None, **parts: object) -> Cert:
    own = [each for each in (DIGITAL, purposes(CODE)) if each.oid not in {more.oid for more in extensions}]
    subject = name("Leaf") if subject is None else subject
    return make(subject, KEY, ROOT, extensions=[*own, *extensions], **parts)  # type: ignore[arg-type]


def found(folder: Path, way: Sequence[Cert]) -> path.Path:
    trusted = material.trusting(folder, way[-1])
    return path.find(way[0].view, CODE, Moment(pki.NOW), path.Material(trusted, [each.raw for each in way[1:]]))


URI = der.implicit(6, b"http://example.com/ca")
TREE = der.sequence(der.explicit(0, der.sequence(der.implicit(2, b"example.com"))))
GOOD: dict[str, Cert] = {
    "plain": leaf(),
    "identifiers": leaf(
        Extension(x509.SUBJECT_KEY_ID, der.octet_string(b"me")),
        Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, b"them"))),
        access(described(URI), described(der.explicit(4, name("Somewhere")))),
    ),
    "20 octets of serial number": leaf(serial=b"\x00" + b"\xff" * 20),
    "serial number 0": leaf(serial=b"\x00"),
    "no subject but critical names": leaf(
        alternative(der.implicit(1, b"me@example.com"), critical=True), subject=EMPTY
    ),
    "every form of name": leaf(
        alternative(
            der.explicit(0, der.oid("1.3.6.1.4.1.311.20.2.3"), der.explicit(0, der.utf8("me@corp"))),
            der.implicit(1, b'"me too"@example.com'),
            der.implicit(2, b"*.example.com"),
            der.explicit(4, name("Somebody")),
            URI,
            der.implicit(7, b"\x7f\x00\x00\x01"),
            der.implicit(8, b"\x2a\x03"),
        )
    ),
    "no authority, said so": leaf(constraints()),
    "points of all kinds": leaf(
        points(
            der.sequence(der.explicit(0, der.explicit(0, URI)), der.implicit(1, b"\x01\x06")),
            der.sequence(der.explicit(0, der.explicit(1, der.sequence(der.oid("2.5.4.3"), der.utf8("x"))))),
            der.sequence(der.explicit(2, der.explicit(4, name("Lists")))),
        )
    ),
    "policies and what qualifies them": leaf(
        Extension(
            x509.CERTIFICATE_POLICIES,
            der.sequence(der.sequence(der.oid("1.2.3"), der.sequence(der.sequence(der.oid("1.2.4"), der.null())))),
        )
    ),
}
BROKEN: dict[str, tuple[Cert, str]] = {
    "critical subject key": (leaf(Extension(x509.SUBJECT_KEY_ID, der.octet_string(b"me"), critical=True)), "4.2.1.2"),
    "critical authority key": (leaf(Extension(x509.AUTHORITY_KEY_ID, der.sequence(), critical=True)), "4.2.1.1"),
    "critical access": (leaf(access(described(URI))._replace(critical=True)), "4.2.2.1"),
    "version 4": (leaf(version=4), "4.1.2.1"),
    "constrains names": (leaf(Extension(x509.NAME_CONSTRAINTS, TREE, critical=True)), "4.2.1.10"),
    "signs certificates": (leaf(usage(b"\x02\x84")), "4.2.1.9"),
    "limits paths": (leaf(constraints(der.integer(0))), "4.2.1.9"),
    "21 octets of serial number": (leaf(serial=b"\x7f" * 21), "4.1.2.2"),
    "no subject": (leaf(subject=EMPTY), "4.1.2.6"),
    "no subject, other names not critical": (leaf(alternative(URI), subject=EMPTY), "4.2.1.6"),
    "no alternative names": (leaf(alternative()), "4.2.1.6"),
    "a host with an underscore": (leaf(alternative(der.implicit(2, b"a_b.example.com"))), "4.2.1.6"),
    "an address of three bytes": (leaf(alternative(der.implicit(7, b"\x7f\x00\x00"))), "4.2.1.6"),
    "a mailbox without a host": (leaf(alternative(der.implicit(1, b"me"))), "4.2.1.6"),
    "no access": (leaf(access()), "4.2.2.1"),
    "no names of its issuer": (leaf(Extension(x509.ISSUER_ALT_NAME, der.sequence(), critical=True)), "4.2.1.7"),
    "no points": (leaf(points()), "4.2.1.13"),
    "a point that leads nowhere": (leaf(points(der.sequence(der.implicit(1, b"\x01\x06")))), "4.2.1.13"),
    "a point with no name": (leaf(points(der.sequence(der.explicit(0, der.explicit(0))))), "4.2.1.13"),
    "a point with no issuer": (leaf(points(der.sequence(der.explicit(2)))), "4.2.1.13"),
    "no points of changes": (leaf(Extension(x509.FRESHEST_CRL, der.sequence())), "4.2.1.13"),
}


@pytest.mark.parametrize("certificate", GOOD.values(), ids=GOOD)
def test_what_the_profile_allows_is_trusted(tmp_path: Path, certificate: Cert) -> None:
    result = found(tmp_path, [certificate, ROOT])
    assert codes(result.findings) == set()
    assert result.trusted


@pytest.mark.parametrize(("certificate", "clause"), BROKEN.values(), ids=BROKEN)
def test_what_the_profile_forbids_is_refused(tmp_path: Path, certificate: Cert, clause: str) -> None:
    result = found(tmp_path, [certificate, ROOT])
    assert codes(result.findings) == {"path.profile"}
    (finding,) = (each for each in result.findings if each.code == "path.profile")
    assert f"(clause {clause})" in finding.detail


@pytest.mark.parametrize(
    "extension",
    [
        alternative(der.encode(0x89, b"x")),
        alternative(der.encode(0x84, b"x")),
        alternative(der.explicit(0, der.oid("1.2.3"))),
        access(der.sequence(der.oid(x509.ACCESS_CA_ISSUERS))),
        access(described(der.encode(0x8F, b"x"))),
        access(der.utf8("x")),
        Extension(x509.ISSUER_ALT_NAME, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True),
        Extension(x509.ISSUER_ALT_NAME, der.sequence(der.encode(0x89, b"x"))),
        Extension(x509.INHIBIT_ANY_POLICY, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True),
        Extension(x509.POLICY_CONSTRAINTS, der.sequence(der.explicit(0, der.integer(0))), critical=True),
        Extension(x509.POLICY_MAPPINGS, der.sequence(der.oid("1.2.3"))),
        Extension(x509.CERTIFICATE_POLICIES, der.sequence(der.sequence(der.oid("1.2.3"), der.null()))),
        Extension(
            x509.CERTIFICATE_POLICIES, der.sequence(der.sequence(der.oid("1.2.3"), der.sequence(der.oid("1.2.4"))))
        ),
        points(der.utf8("x")),
        points(der.sequence(der.explicit(0, URI))),
        points(der.sequence(der.explicit(0, der.explicit(0, der.encode(0x89, b"x"))))),
        points(der.sequence(der.explicit(0, der.explicit(0, URI)), der.implicit(1, b"\x01\x07"))),
        points(der.sequence(der.explicit(0, der.explicit(0, URI)), der.null())),
        Extension(x509.CRL_DISTRIBUTION_POINTS, bytes(32)),
        Extension(x509.CRL_DISTRIBUTION_POINTS, b""),
        Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(9, b"them"))),
    ],
)
def test_extensions_that_cannot_be_read_are_malformed(tmp_path: Path, extension: Extension) -> None:
    assert codes(found(tmp_path, [leaf(extension), ROOT]).findings) == {"path.malformed"}


def test_an_extended_key_usage_that_names_nothing_is_refused_for_any_purpose(tmp_path: Path) -> None:
    nothing = leaf(Extension(x509.EXTENDED_KEY_USAGE, der.sequence()))
    trusted = material.trusting(tmp_path, ROOT)
    assert codes(path.find(nothing.view, "", Moment(pki.NOW), path.Material(trusted, ())).findings) == {"path.profile"}


def test_an_authority_needs_a_name(tmp_path: Path) -> None:
    above = make(EMPTY, pki.key("p256", "nameless"), extensions=ca_extensions())
    below = make(name("Leaf"), KEY, above, extensions=[DIGITAL, purposes(CODE)])
    assert codes(found(tmp_path, [below, above]).findings) == {"path.profile"}


@pytest.mark.parametrize("length", [-1, 0])
def test_an_authority_limits_paths_by_a_number_and_only_if_it_signs_certificates(tmp_path: Path, length: int) -> None:
    extensions = ca_extensions(length) if length < 0 else ca_extensions(length, usage=b"\x01\x02")
    above = make(name("Above"), pki.key("p256", "above"), ROOT, extensions=extensions)
    below = make(name("Leaf"), KEY, above, extensions=[DIGITAL, purposes(CODE)])
    wanted = {"path.profile", "path.too_long" if length < 0 else "path.key_usage"}
    assert codes(found(tmp_path, [below, above, ROOT]).findings) == wanted


def test_a_root_is_taken_as_it_is(tmp_path: Path) -> None:
    loose = [ca_extensions()[0]._replace(critical=False), alternative(der.implicit(2, b"a_b"))]
    root = make(name("Loose"), pki.key("p256", "root"), extensions=loose, serial=b"\x7f" * 24)
    below = make(name("Leaf"), KEY, root, extensions=[DIGITAL, purposes(CODE)])
    assert found(tmp_path, [below, root]).trusted


def test_every_root_of_microsofts_list_passes_as_one() -> None:
    roots = [anchor.certificate for anchor in store.load(["microsoft"]).sources[0].every()]
    assert len(roots) > 100
    assert [each.subject_text for each in roots if profile.check(each, is_leaf=False, is_anchor=True)] == []
