"""Whether firmware starts an image: dbx first, then one good signature or the digest."""

from __future__ import annotations

import datetime as dt
import hashlib
import struct

import pytest
from cryptography import x509 as builders
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.finding import Outcome
from chopmark.engine import secureboot
from chopmark.envelopes import cms, der, timestamp, x509
from chopmark.envelopes.efi import lists
from chopmark.formats.pe import image as images
from chopmark.trust.secureboot import state
from tests.support import firmware, pki
from tests.unit.formats.pe import signing
from tests.vectors.pe import make

PLAIN = firmware.image()
SIGNED = firmware.sealed(PLAIN, firmware.DB)
ROOT = pki.authority("Example Boot CA", kind="rsa3072")
BELOW = pki.leaf(ROOT, "Example Boot Signer", kind="rsa2048")
TSA = pki.stamper(pki.authority("Example Time CA"), kind="rsa2048")


def databases(*db: pki.Entity, dbx: tuple[lists.Entry, ...] = (), dbt: tuple[pki.Entity, ...] = ()) -> state.Databases:
    return state.Databases(
        db=tuple(firmware.entries(*db)), dbx=dbx, dbt=tuple(firmware.entries(*dbt)), dbx_known=True, enforcing=True
    )


def found(data: bytes, known: state.Databases, at: dt.datetime = pki.NOW) -> dict[str, set[str]]:
    """The codes of findings by outcome."""
    codes: dict[str, set[str]] = {str(outcome): set() for outcome in Outcome}
    for each in secureboot.started_by_firmware(Artifact.from_bytes(data, "image.efi"), known, at):
        codes[str(each.outcome)].add(each.code.removeprefix("secureboot."))
    return codes


def starts(data: bytes, known: state.Databases) -> bool:
    codes = found(data, known)
    return not codes["no"] and not codes["unknown"] and not codes["ok"].isdisjoint({"certificate", "digest"})


def digest(data: bytes, algorithm: str = "sha256") -> lists.Entry:
    value = secureboot.digests(Artifact.from_bytes(data, ""), (algorithm,))[algorithm]
    return lists.digest_entry(algorithm, value)


def tbs(holder: pki.Entity, since: dt.datetime | None = None, algorithm: str = "sha256") -> lists.Entry:
    value = hashlib.new(algorithm, x509.certificate(holder.der).tbs).digest()
    return lists.revocation_entry(algorithm, value, since)


# What is allowed


def test_a_signature_that_leads_to_a_certificate_in_db_is_enough() -> None:
    assert starts(SIGNED, databases(firmware.DB))
    below = firmware.sealed(PLAIN, BELOW)
    assert starts(below, databases(ROOT))
    assert starts(below, databases(BELOW)), "a certificate in the middle of a path is an anchor, too"
    assert found(SIGNED, databases(ROOT))["no"] == {"untrusted"}
    assert found(SIGNED, databases())["no"] == {"untrusted"}


def test_who_is_no_authority_issues_nothing() -> None:
    impostor = pki.issue(pki.name("Example Boot CA"), pki.key("rsa3072"), None, ())
    assert ROOT.certificate.subject == impostor.certificate.subject
    assert found(firmware.sealed(PLAIN, BELOW), databases(impostor))["no"] == {"untrusted"}


def test_one_good_signature_of_several_is_enough() -> None:
    for order in ((firmware.DB, BELOW), (BELOW, firmware.DB)):
        both = firmware.sealed(PLAIN, *order)
        assert starts(both, databases(firmware.DB))
        assert "passed_over" in found(both, databases(firmware.DB))["info"]
    assert found(firmware.sealed(PLAIN, firmware.DB, BELOW), databases(firmware.KEK))["no"] == {"untrusted"}


def test_a_digest_in_db_is_enough() -> None:
    for data in (PLAIN, SIGNED):
        for algorithm in ("sha256", "sha384", "sha512"):
            assert starts(data, databases()._replace(db=(digest(data, algorithm),)))
    assert found(PLAIN, databases(firmware.DB))["no"] == {"unsigned"}


def test_validity_and_purpose_do_not_count_and_are_told() -> None:
    late = pki.UNTIL + dt.timedelta(days=1)
    codes = found(SIGNED, databases(firmware.DB), late)
    assert codes["no"] == set()
    assert codes["info"] == {"not_valid"}
    tls = pki.leaf(ROOT, "Example TLS", kind="rsa2048", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chopmark.engine.sign.preflight", lambda _: None)
        data = firmware.sealed(PLAIN, tls)
    codes = found(data, databases(ROOT))
    assert codes["no"] == set()
    assert codes["info"] == {"purpose"}


def test_keys_that_not_all_firmware_knows_leave_it_open() -> None:
    elliptic = firmware.sealed(PLAIN, pki.world().signer)
    known = databases(pki.world().root)
    assert found(elliptic, known)["unknown"] == {"algorithm"}
    both = firmware.sealed(PLAIN, pki.world().signer, firmware.DB)
    assert starts(both, databases(pki.world().root, firmware.DB))
    assert starts(firmware.sealed(PLAIN, firmware.DB, digest="sha512"), databases(firmware.DB))


# What is forbidden


def test_a_digest_in_dbx_forbids_signed_and_unsigned_images() -> None:
    for data in (PLAIN, SIGNED):
        codes = found(data, databases(firmware.DB, dbx=(digest(data),)))
        assert "forbidden_digest" in codes["no"]
    allowed_and_forbidden = databases(dbx=(digest(PLAIN),))._replace(db=(digest(PLAIN),))
    assert found(PLAIN, allowed_and_forbidden)["no"] == {"forbidden_digest"}


def test_a_digest_that_no_signature_uses_forbids_it_as_well() -> None:
    codes = found(SIGNED, databases(firmware.DB, dbx=(digest(SIGNED, "sha384"),)))
    assert codes["no"] == {"forbidden_other_digest"}


def test_a_certificate_in_dbx_forbids_all_that_leads_to_it() -> None:
    for revoked in (BELOW, ROOT):
        known = databases(ROOT, firmware.DB, dbx=tuple(firmware.entries(revoked)))
        assert found(firmware.sealed(PLAIN, BELOW), known)["no"] == {"forbidden_certificate"}
        both = firmware.sealed(PLAIN, firmware.DB, BELOW)
        assert found(both, known)["no"] == {"forbidden_certificate"}, "one that is forbidden forbids the image"


@pytest.mark.parametrize("algorithm", ["sha256", "sha384", "sha512"])
def test_a_certificate_is_revoked_by_what_was_signed_in_it(algorithm: str) -> None:
    data = firmware.sealed(PLAIN, BELOW)
    for revoked in (BELOW, ROOT):
        assert found(data, databases(ROOT, dbx=(tbs(revoked, None, algorithm),)))["no"] == {"revoked_certificate"}
    assert starts(data, databases(ROOT, dbx=(tbs(firmware.DB),)))


def test_a_trusted_time_stamp_from_before_saves_a_signature() -> None:
    before, after = (pki.NOW + dt.timedelta(days=days) for days in (1, -1))
    stamped = firmware.sealed(PLAIN, BELOW, stamper=firmware.Clock(TSA, pki.NOW))
    for since, dbt, expected in (
        (before, (TSA,), set()),
        (before, (), {"revoked_certificate"}),
        (before, (firmware.KEK,), {"revoked_certificate"}),
        (after, (TSA,), {"revoked_certificate"}),
        (pki.NOW, (TSA,), {"revoked_certificate"}),
        (None, (TSA,), {"revoked_certificate"}),
    ):
        known = databases(ROOT, dbx=(tbs(BELOW, since),), dbt=dbt)
        assert found(stamped, known)["no"] == expected, (since, len(dbt))
    assert "stamped_before" in found(stamped, databases(ROOT, dbx=(tbs(BELOW, before),), dbt=(TSA,)))["ok"]
    assert found(firmware.sealed(PLAIN, BELOW), databases(ROOT, dbx=(tbs(BELOW, before),), dbt=(TSA,)))["no"]


def test_a_time_of_revocation_that_is_none_revokes_always() -> None:
    entry = tbs(BELOW)
    broken = entry._replace(data=entry.data[:-16] + b"\xff" * 16)
    assert found(firmware.sealed(PLAIN, BELOW), databases(ROOT, dbx=(broken,)))["no"] == {"revoked_certificate"}


# What was changed


def test_changed_images_do_not_start() -> None:
    code = SIGNED.index(make.RETURN_ZERO)
    changed = SIGNED[:code] + make.RETURN_ONE[:3] + SIGNED[code + 3 :]
    assert found(changed, databases(firmware.DB))["no"] == {"digest_mismatch"}
    assert found(SIGNED[:-40] + b"\0" + SIGNED[-39:], databases(firmware.DB))["no"] == {"signature_wrong"}
    assert found(SIGNED + b"12345678", databases(firmware.DB))["no"] == {"digest_mismatch"}


def test_a_signature_that_cannot_be_read_does_not_count() -> None:
    table = images.read(Artifact.from_bytes(SIGNED, "").view).table
    broken = SIGNED[: table.offset + 8] + b"\x30\x03\x02\x01\x07" + SIGNED[table.offset + 13 :]
    assert found(broken, databases(firmware.DB))["no"] == {"signature_wrong"}
    named = databases(firmware.DB)._replace(db=(digest(SIGNED),))
    assert starts(broken, named)


def test_what_cannot_be_read_does_not_start() -> None:
    program = make.Pe(subsystem=make.CONSOLE).build()
    for data in (b"", b"MZ", program, SIGNED[:-1], SIGNED[:100], SIGNED[:0x300]):
        codes = found(data, databases(firmware.DB))
        assert codes["no"] == {"table"}, len(data)
        assert not codes["ok"]


@pytest.mark.parametrize("end", range(0, len(SIGNED), 97))
def test_no_truncated_image_starts(end: int) -> None:
    assert not starts(SIGNED[:end], databases(firmware.DB))


def test_firmware_digests_section_by_section() -> None:
    """With a gap in front of its sections, what firmware digests is not what everybody else does."""
    loose = make.Pe(subsystem=make.EFI_APPLICATION, gap=b"nobody digests this".ljust(0x200)).build()
    here = Artifact.from_bytes(loose, "")
    whole = hashlib.sha256(b"".join(loose[o : o + n] for o, n in images.read(here.view).covered())).digest()
    assert secureboot.digests(here, ("sha256",))["sha256"] != whole
    assert secureboot.digests(Artifact.from_bytes(PLAIN, ""), ("sha256",))["sha256"] != whole
    outside = make.Pe(
        subsystem=make.EFI_APPLICATION, sections=(make.Section(b".text", make.RETURN_ZERO, raw_size=0x10000),)
    ).build()
    assert found(outside, databases(firmware.DB))["no"] == {"table"}
    twice = make.Section(b".text", make.RETURN_ZERO, raw_offset=0x200)
    overlapping = make.Pe(subsystem=make.EFI_APPLICATION, sections=(twice,) * 60).build()
    assert found(overlapping, databases(firmware.DB))["no"]


# What there is to say about the databases


def test_switched_off_firmware_and_a_missing_dbx_are_told() -> None:
    known = databases(firmware.DB)._replace(enforcing=False, dbx_known=False)
    assert found(SIGNED, known)["info"] == {"state_off", "dbx_missing"}


def test_entries_that_are_no_certificates_are_passed_over_and_told() -> None:
    known = databases(firmware.DB)
    known = known._replace(db=(lists.certificate_entry(b"no certificate"), *known.db))
    assert starts(SIGNED, known)
    assert found(SIGNED, known)["info"] == {"unreadable"}
    known = databases(firmware.DB)._replace(dbx=(lists.certificate_entry(b"no certificate"),))
    codes = found(SIGNED, known)["unknown"]
    assert {f"secureboot.{code}" for code in codes} == {"secureboot.forbidden_unreadable"}


@pytest.mark.parametrize("fill", [bytes(20), b"more"])
def test_what_fills_up_an_entry_behind_a_certificate_does_not_matter(fill: bytes) -> None:
    """OpenSSL, which firmware asks, reads the certificate and passes over what is behind: so it forbids, too."""
    padded = [lists.certificate_entry(each.data + fill) for each in databases(firmware.DB).db]
    assert starts(SIGNED, databases(firmware.DB)._replace(db=tuple(padded)))
    assert not starts(SIGNED, databases(firmware.DB)._replace(dbx=tuple(padded)))


# The table, as firmware walks it


def table(*parts: tuple[int, bytes], size: int | None = None) -> bytes:
    """The signed image with another table: (type, content) of each entry."""
    made = b""
    for kind, content in parts:
        made += struct.pack("<IHH", 8 + len(content), 0x0200, kind) + content
        made += bytes(-len(made) % 8)
    return signing.with_table(SIGNED, made, size=size)


PKCS7 = signing.table_of(SIGNED)[8:]
GUID = bytes.fromhex("9dd2af4adf68ee498aa9347d375665a7")


def test_what_firmware_passes_over_in_the_table_is_passed_over() -> None:
    known = databases(firmware.DB)
    for data in (
        table((1, b"X.509"), (2, PKCS7)),
        table((2, PKCS7), (0x0EF1, bytes(16) + b"something else")),
        table((0x0EF1, GUID + PKCS7)),
        table((2, PKCS7 + b"padding that nobody signed")),
    ):
        assert starts(data, known)
    assert found(table((1, b"X.509"), (2, PKCS7)), known)["info"] == {"passed_over"}
    assert found(table((1, b"X.509")), known)["no"] == {"signature_wrong"}


def test_a_table_that_firmware_does_not_get_through_stops_it() -> None:
    good = signing.table_of(SIGNED)
    for made in (
        good + struct.pack("<IHH", 7, 0x0200, 1),
        good + struct.pack("<IHH", 4096, 0x0200, 1),
        good + struct.pack("<IHH", 8, 0x0200, 2),
        good + struct.pack("<IHH", 24, 0x0200, 0x0EF1) + GUID,
        good + bytes(4),
        good * 20,
    ):
        assert found(signing.with_table(SIGNED, made), databases(firmware.DB))["no"] == {"table"}


# What the search for a bug has missed otherwise


def test_what_is_forbidden_is_not_called_allowed_as_well() -> None:
    assert "not_forbidden" in found(SIGNED, databases(firmware.DB))["ok"]
    assert "not_forbidden" not in found(SIGNED, databases(firmware.DB, dbx=(digest(SIGNED),)))["ok"]


def test_another_digest_in_the_content_is_not_what_was_signed() -> None:
    """The image and the digest in the signature were changed alike; the signed attributes are still those of before."""
    code = SIGNED.index(make.RETURN_ZERO)
    changed = SIGNED[:code] + make.RETURN_ONE[:3] + SIGNED[code + 3 :]
    claimed, wanted = digest(SIGNED).data, digest(changed).data
    assert changed.count(claimed) == 1
    assert found(changed.replace(claimed, wanted), databases(firmware.DB))["no"] == {"signature_wrong"}


def test_a_name_makes_nobody_an_issuer() -> None:
    same_name = pki.authority("Example Boot CA", kind="rsa4096")
    assert found(firmware.sealed(PLAIN, BELOW), databases(same_name))["no"] == {"untrusted"}
    assert starts(firmware.sealed(PLAIN, BELOW), databases(same_name, ROOT))


def test_an_authority_whose_key_is_not_for_certificates_issues_nothing() -> None:
    profile = (
        pki.Extension(builders.BasicConstraints(ca=True, path_length=None), critical=True),
        pki.Extension(pki.key_usage("digital_signature"), critical=True),
    )
    root = pki.issue(pki.name("Example Odd CA"), pki.key("rsa3072"), None, profile)
    below = pki.leaf(root, "Example Below", kind="rsa2048")
    assert found(firmware.sealed(PLAIN, below), databases(root))["no"] == {"untrusted"}


def test_a_time_stamp_over_another_signature_saves_nothing() -> None:
    token = firmware.Clock(TSA, pki.NOW).stamp(b"another signature", "sha256")
    bare = firmware.sealed(PLAIN, BELOW)
    node = der.prefix(signing.table_of(bare), 8)
    stamped = signing.embedded(PLAIN, cms.add_unsigned(node.raw, timestamp.MICROSOFT_ATTRIBUTE, token))
    known = databases(ROOT, dbx=(tbs(BELOW, pki.NOW + dt.timedelta(days=1)),), dbt=(TSA,))
    assert found(stamped, known)["no"] == {"revoked_certificate"}


def test_a_signature_of_several_signers_does_not_count() -> None:
    ours, theirs = (der.prefix(signing.table_of(firmware.sealed(PLAIN, each)), 8).raw for each in (firmware.DB, BELOW))
    oid, signed = der.parse(ours).children()
    fields = [each.raw for each in signed.only_child().children()]
    other = der.parse(theirs).children()[1].only_child().children()
    certificates = der.explicit(0, firmware.DB.der, BELOW.der)
    infos = der.set_of([each.raw for node in (der.parse(fields[-1]), other[-1]) for each in node.children()])
    both = der.sequence(oid.raw, der.explicit(0, der.sequence(*fields[:3], certificates, infos)))
    assert found(table((2, both)), databases(firmware.DB, ROOT))["no"] == {"signature_wrong"}


def test_the_search_for_a_way_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any number of certificates may have the issuer's name."""
    known = databases(
        pki.authority("Example Boot CA", kind="p256"), pki.authority("Example Boot CA", kind="p384"), ROOT
    )
    data = firmware.sealed(PLAIN, BELOW)
    assert starts(data, known)
    monkeypatch.setattr(limits, "BOOT_PATHS_MAX", 2)
    assert found(data, known)["no"] == {"untrusted"}
