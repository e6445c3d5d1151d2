"""Signed updates of variables, judged as firmware judges them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from chopmark.core.errors import BrokenError
from chopmark.core.finding import Outcome
from chopmark.envelopes import der, x509
from chopmark.envelopes.efi import lists, moment, update, variables
from chopmark.trust.secureboot import state, updating
from tests.support import firmware, pki

VECTORS = Path(__file__).parents[3] / "vectors" / "efi"


def known(*holders: pki.Entity) -> tuple[x509.Certificate, ...]:
    return tuple(x509.certificate(each.der) for each in holders)


BY_KEK = updating.Expected("db", append=False, signers=known(firmware.KEK), current=firmware.TIME - dt.timedelta(1))


def against(found: update.Update, expected: updating.Expected = BY_KEK) -> set[str]:
    return {each.code for each in updating.judge(found, expected) if each.outcome in (Outcome.NO, Outcome.UNKNOWN)}


def test_an_update_by_who_may_is_taken() -> None:
    assert against(firmware.signed()) == set()
    said = {each.code for each in updating.judge(firmware.signed(), BY_KEK)}
    assert {"secureboot.update_signed", "secureboot.update_new"} < said
    assert against(firmware.signed(content_info=True)) == set()
    assert against(firmware.signed(append=True), BY_KEK._replace(append=True)) == set()


def test_nobody_else_may() -> None:
    assert against(firmware.signed(by=firmware.STRANGER)) == {"secureboot.update_untrusted"}
    assert against(firmware.signed(), BY_KEK._replace(signers=None)) == {"secureboot.update_signer_unasked"}


def test_a_leaf_below_a_key_that_may_is_taken() -> None:
    root = pki.authority("Example KEK Root", kind="rsa3072")
    signer = pki.leaf(root, "Example KEK Leaf", kind="rsa2048")
    found = firmware.signed(by=signer)
    assert against(found, BY_KEK._replace(signers=known(root))) == set()
    assert against(found, BY_KEK._replace(signers=known(signer))) == set()
    no_authority = pki.leaf(None, "Example KEK Root", kind="rsa3072")
    assert against(found, BY_KEK._replace(signers=known(no_authority))) == {"secureboot.update_untrusted"}


@pytest.mark.parametrize("strange", [der.sequence(der.integer(1)), der.explicit(0, der.integer(1))])
def test_certificates_that_cannot_be_read_spoil_it(strange: bytes) -> None:
    """EDK II reads the signature with OpenSSL, which takes all of it or nothing."""
    found = firmware.signed()
    parts = [each.raw for each in der.parse(found.signature).children()]
    parts[3] = der.explicit(0, *sorted((firmware.KEK.der, strange)))
    assert against(found._replace(signature=der.sequence(*parts))) == {"efi.form_wrong"}


@pytest.mark.parametrize(("variable", "append"), [("dbx", False), ("db", True), ("PK", False)])
def test_an_update_is_for_one_variable_and_one_way_alone(variable: str, append: bool) -> None:  # noqa: FBT001
    found = updating.judge(firmware.signed(), BY_KEK._replace(variable=variable, append=append))
    assert {each.code for each in found} >= {"secureboot.update_other", "secureboot.update_meant"}
    [meant] = [each.detail for each in found if each.code == "secureboot.update_meant"]
    assert meant == "db, replacing"


@pytest.mark.parametrize("place", [0, 60, 1000, -1])
def test_a_changed_update_is_refused(place: int) -> None:
    data = bytearray(update.write(firmware.signed()))
    data[place] ^= 1
    try:
        found = update.read(bytes(data))
    except BrokenError:
        return
    assert against(found)


def test_what_is_not_newer_may_have_been_replayed() -> None:
    for current in (firmware.TIME, firmware.TIME + dt.timedelta(seconds=1)):
        assert against(firmware.signed(), BY_KEK._replace(current=current)) == {"secureboot.update_old"}
        appending = BY_KEK._replace(current=current, append=True)
        assert against(firmware.signed(append=True), appending) == set()
    codes = {each.code for each in updating.judge(firmware.signed(), BY_KEK._replace(current=None))}
    assert "secureboot.update_age_unknown" in codes


def test_the_platform_key_is_one_certificate_or_none() -> None:
    expected = BY_KEK._replace(variable="PK", signers=known(firmware.PK))
    for value, codes in (
        (firmware.written(firmware.PK), set()),
        (b"", set()),
        (firmware.written(firmware.PK, firmware.KEK), {"secureboot.update_payload"}),
        (lists.write([lists.digest_entry("sha256", bytes(32))]), {"secureboot.update_payload"}),
    ):
        assert against(firmware.signed("PK", value, firmware.PK), expected) == codes


def test_values_that_firmware_does_not_know_are_refused() -> None:
    unknown = lists.Entry(lists.Kind("", b"\x07" * 16, None), firmware.OWNER, b"abc")
    for value in (b"text", lists.write([unknown])):
        assert against(firmware.signed(value=value)) == {"secureboot.update_payload"}


def test_the_form_is_that_of_the_specification() -> None:
    found = firmware.signed()
    zoned = found._replace(time_raw=found.time_raw[:12] + b"\x3c\0" + found.time_raw[14:])
    assert "efi.form_wrong" in against(zoned)
    assert "efi.form_wrong" in against(found._replace(signature=der.sequence(der.integer(1))))


def test_microsofts_updates_of_dbx_are_taken() -> None:
    kek = state.certificates(str(VECTORS / "microsoft-kek-2011.pem"))
    expected = updating.Expected("dbx", append=True, signers=tuple(kek), current=firmware.TIME)
    for name, count in (("amd64", 443), ("arm64", 26)):
        found = update.read((VECTORS / f"microsoft-dbx-{name}.auth").read_bytes())
        assert against(found, expected) == set()
        assert len(lists.read(found.payload)) == count
        assert against(found, expected._replace(append=False)) == {"secureboot.update_other", "secureboot.update_old"}
        assert against(found._replace(payload=found.payload[:-48]), expected)


def test_a_content_inside_of_the_signature_leaves_it_open() -> None:
    """Some updates that computer makers published have it; the specification does not want it."""
    found = firmware.signed()
    message = found.message("db", variables.vendor("db"), variables.ATTRIBUTES)
    data = der.sequence(der.oid("1.2.840.113549.1.7.1"))
    inside = der.sequence(der.oid("1.2.840.113549.1.7.1"), der.explicit(0, der.octet_string(message)))
    parts = [each.raw for each in der.parse(found.signature).children()]
    assert parts[2] == data
    with_content = found._replace(signature=der.sequence(*parts[:2], inside, *parts[3:]))
    assert against(with_content) == {"efi.form_content"}


def test_a_signature_that_not_all_firmware_knows_leaves_it_open() -> None:
    """Made with SHA-512, which is in the specification since UEFI 2.9 alone."""
    from chopmark.envelopes.module.building import BareDraft

    value, time = firmware.written(firmware.DB), moment.encode(firmware.TIME)
    message = update.message("db", variables.vendor("db"), variables.ATTRIBUTES, time, value)
    draft = BareDraft(message, "sha512", x509.certificate(firmware.KEK.der), firmware.KEK.certificates)
    signature = draft.finish(firmware.KEK.sign(message, "sha512"))
    assert against(update.Update(time, signature, value)) == {"secureboot.algorithm"}


def test_a_variable_that_takes_no_updates_is_refused() -> None:
    with pytest.raises(BrokenError):
        updating.judge(firmware.signed(), BY_KEK._replace(variable="SecureBoot"))
