"""The register: finding and searching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from chopmark.authority.register import records, schema
from chopmark.core.errors import UsageError
from tests.unit.authority.conftest import NOW, SUBJECT, Clock, order, spki

if TYPE_CHECKING:
    import datetime as dt

    from chopmark.authority.ca import Authority


def test_found_by_number_in_every_writing(authority: Authority) -> None:
    serial = authority.issue(order()).serial
    pairs = ":".join(serial[start : start + 2] for start in range(0, len(serial), 2))
    for text in (
        serial,
        serial.upper(),
        f"0x{serial}",
        pairs,
        f" {serial[:16]} {serial[16:]}",
        serial[:6],
        serial[:13],
    ):
        assert authority.register.find(text).serial == serial


@pytest.mark.parametrize("text", ["", "xyz", "123", "ffffffffffff", "%", "4_" * 8, "0x", "a" * 41])
def test_what_is_not_found(text: str, authority: Authority) -> None:
    authority.issue(order())
    with pytest.raises(UsageError):
        authority.register.find(text)


def test_an_ambiguous_beginning(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = iter([0x40AABBCC << 96 | 1, 0x40AABBCC << 96 | 2])
    monkeypatch.setattr("chopmark.authority.issuing.certificates.new_serial", lambda: next(numbers))
    first, _ = authority.issue(order()), authority.issue(order())
    with pytest.raises(UsageError, match="more than one"):
        authority.register.find("40aabbcc")
    assert authority.register.find(first.serial).serial == first.serial


def test_search(authority: Authority, clock: Clock) -> None:
    valid = authority.issue(order()).serial
    revoked = authority.issue(order()).serial
    authority.revoke(revoked)
    suspended = authority.issue(order("internal", (("CN", "100% Sünde_"),))).serial
    authority.revoke(suspended, "certificateHold")
    day = clock.now.replace(hour=0)
    expired = authority.issue(
        order("internal", not_before=day.replace(year=2020), not_after=day.replace(year=2021))
    ).serial
    future = authority.issue(order("internal", not_before=day.replace(year=2030), days=3)).serial
    issuer = authority.issuer("code-signing")
    draft_of = authority.register.find(valid).certificate
    assert draft_of is not None
    from chopmark.authority.issuing.certificates import Draft
    from chopmark.envelopes import x509

    known = x509.certificate(draft_of)
    unsigned = Draft(7 << 120, known.issuer, known.subject, known.spki, known.not_before, known.not_after, ())
    authority.register.reserve(issuer, unsigned.unsigned(authority.signer(issuer)), "code-signing", NOW)

    def found(**wanted: str) -> list[str]:
        return [record.serial for record in authority.register.search(NOW, **wanted)]

    by_status = {status: found(status=status, issuer="code-signing") for status in records.STATUSES}
    assert by_status == {
        "valid": [valid],
        "revoked": [revoked],
        "suspended": [suspended],
        "expired": [expired],
        "future": [future],
        "unfinished": [records.serial_text(7 << 120)],
    }
    for status, serials in by_status.items():
        assert {authority.register.find(serial).status(NOW) for serial in serials} == {status}
    assert found(profile="internal") == [suspended, expired, future]
    assert found(subject="100% s") == [suspended]
    assert found(subject="%") == [suspended]
    assert found(subject="EXAMPLE LTD", status="revoked") == [revoked]
    assert len(found(issuer="root")) == 2
    with pytest.raises(UsageError, match="unfinished"):
        found(status="lost")


def test_a_certificate_once_entered_is_not_replaced(authority: Authority) -> None:
    issued = authority.issue(order())
    record = authority.register.find(issued.serial)
    from chopmark.envelopes import x509

    stranger = x509.certificate(authority.issue(order(key=spki(label="another"))).certificate)
    authority.register.complete(record.id, authority.issuer("code-signing"), stranger, NOW)
    assert authority.register.find(issued.serial).certificate == issued.certificate


def test_serials_are_texts_of_whole_octets() -> None:
    assert [records.serial_text(number) for number in (1, 0x10, 0x123, 1 << 127)] == [
        "01",
        "10",
        "0123",
        "80" + "00" * 15,
    ]


def test_times_need_a_zone() -> None:
    naive: dt.datetime = NOW.replace(tzinfo=None)
    statement = update(schema.crls).values(this_update=naive)
    from sqlalchemy import create_engine
    from sqlalchemy.exc import StatementError

    engine = create_engine("sqlite://")
    schema.metadata.create_all(engine)
    with engine.connect() as connection, pytest.raises(StatementError, match="zone"):
        connection.execute(statement)
    engine.dispose()


def test_facts(authority: Authority) -> None:
    assert authority.register.setting("name") == "Example Ltd"
    assert authority.register.setting("url") == "http://pki.example.com/"
    assert authority.register.setting("nothing") == ""
    assert dict(SUBJECT)["O"] == authority.register.setting("name")
