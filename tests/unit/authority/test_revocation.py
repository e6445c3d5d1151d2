"""Revoking: what may be entered, what may be changed, and what may not."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from chopmark.authority import revocation
from chopmark.authority.crl import encoding
from chopmark.authority.register.records import Record, Revocation
from chopmark.core.errors import RefusedError, UsageError
from tests.unit.authority.conftest import NOW, Clock, order

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority

DAY = dt.timedelta(days=1)
ISSUED = NOW - 100 * DAY
COMPROMISE, HOLD = encoding.REASONS["keyCompromise"], encoding.HOLD


def record(
    profile: str = "internal",
    *,
    revoked: dt.datetime | None = None,
    reason: int | None = None,
    invalidity: dt.datetime | None = None,
) -> Record:
    return Record(
        id=1,
        issuer="code-signing",
        serial="40ff",
        profile=profile,
        subject="CN=Example Ltd",
        key_sha256="00",
        not_before=ISSUED,
        not_after=NOW + 100 * DAY,
        issued=ISSUED,
        certificate=b"certificate",
        revoked=revoked,
        recorded=revoked,
        reason=reason,
        invalidity=invalidity,
    )


def public(of: Record) -> bool:
    return of.profile != "internal"


@pytest.mark.parametrize(
    ("before", "reason", "at", "invalidity", "after"),
    [
        (record(), 0, None, None, Revocation(NOW, 0)),
        (record(), COMPROMISE, NOW - DAY, None, Revocation(NOW - DAY, COMPROMISE)),
        (record(), COMPROMISE, ISSUED, None, Revocation(ISSUED, COMPROMISE)),
        (record(), COMPROMISE, None, NOW - DAY, Revocation(NOW, COMPROMISE, NOW - DAY)),
        (record(), COMPROMISE, NOW, ISSUED - DAY, Revocation(NOW, COMPROMISE, ISSUED - DAY)),
        (record(), HOLD, None, None, Revocation(NOW, HOLD)),
        # Under the CSBR both dates are one.
        (record("code-signing"), COMPROMISE, None, NOW - DAY, Revocation(NOW - DAY, COMPROMISE, NOW - DAY)),
        (record("code-signing"), COMPROMISE, NOW - DAY, NOW - DAY, Revocation(NOW - DAY, COMPROMISE, NOW - DAY)),
        (record("authority"), encoding.REASONS["cACompromise"], None, None, Revocation(NOW, 2)),
        # Once revoked, the date stays or moves back.
        (record(revoked=NOW - DAY, reason=0), COMPROMISE, None, None, Revocation(NOW - DAY, COMPROMISE)),
        (record(revoked=NOW - DAY, reason=0), 0, NOW - 2 * DAY, None, Revocation(NOW - 2 * DAY, 0)),
        (
            record(revoked=NOW - DAY, reason=0, invalidity=NOW - 3 * DAY),
            COMPROMISE,
            None,
            None,
            Revocation(NOW - DAY, COMPROMISE, NOW - 3 * DAY),
        ),
        # A suspension that becomes final began when it began.
        (record(revoked=NOW - DAY, reason=HOLD), COMPROMISE, None, None, Revocation(NOW - DAY, COMPROMISE)),
        (record(revoked=NOW - DAY, reason=HOLD), COMPROMISE, NOW, None, Revocation(NOW, COMPROMISE)),
    ],
)
def test_what_is_entered(
    before: Record, reason: int, at: dt.datetime | None, invalidity: dt.datetime | None, after: Revocation
) -> None:
    assert revocation.decide(before, reason, now=NOW, at=at, invalidity=invalidity, public=public(before)) == after


@pytest.mark.parametrize(
    ("before", "reason", "at", "invalidity", "said"),
    [
        (record(), 0, NOW + DAY, None, "future"),
        (record(), 0, None, NOW + DAY, "future"),
        (record(), 0, ISSUED - DAY, None, "first day"),
        (record(), 0, NOW - 2 * DAY, NOW - DAY, "too late"),
        (record(), encoding.REASONS["cACompromise"], None, None, "keyCompromise"),
        (record("code-signing"), HOLD, None, None, "4.9.13"),
        (record("time-stamping"), HOLD, None, None, "4.9.13"),
        (record("authority"), HOLD, None, None, "4.9.13"),
        (record("code-signing"), COMPROMISE, NOW, NOW - DAY, "7.2.2"),
        (record(revoked=NOW - DAY, reason=0), 0, NOW, None, "moved back"),
        (record(revoked=NOW - DAY, reason=0), HOLD, None, None, "suspension"),
        (record(revoked=NOW - DAY, reason=HOLD), HOLD, None, None, "suspension"),
    ],
)
def test_what_is_refused(
    before: Record, reason: int, at: dt.datetime | None, invalidity: dt.datetime | None, said: str
) -> None:
    with pytest.raises(RefusedError, match=said):
        revocation.decide(before, reason, now=NOW, at=at, invalidity=invalidity, public=public(before))


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("keyCompromise", 1),
        ("keycompromise", 1),
        ("key-compromise", 1),
        ("CESSATION_OF_OPERATION", 5),
        ("superseded", 4),
    ],
)
def test_reasons_by_name(name: str, number: int) -> None:
    assert encoding.reason_number(name) == number


@pytest.mark.parametrize("name", ["", "removeFromCRL", "aACompromise", "1", "because"])
def test_reasons_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="keyCompromise"):
        encoding.reason_number(name)


def test_a_life(authority: Authority, clock: Clock) -> None:
    serial = authority.issue(order("internal")).serial
    assert authority.register.find(serial).status(clock.now) == "valid"
    clock.advance(days=10)
    assert authority.revoke(serial, "certificateHold").status(clock.now) == "suspended"
    assert authority.release(serial[:8]).status(clock.now) == "valid"
    with pytest.raises(RefusedError, match="not suspended"):
        authority.release(serial)
    authority.revoke(serial, "certificateHold")
    clock.advance(days=10)
    final = authority.revoke(serial, "keyCompromise")
    assert final.status(clock.now) == "revoked"
    assert final.revoked == clock.now - dt.timedelta(days=10)
    with pytest.raises(RefusedError):
        authority.release(serial)
    clock.advance(days=1000)
    assert authority.register.find(serial).status(clock.now) == "revoked"
    actions = [event.action for event in authority.register.history(serial)]
    assert actions == ["issue", "revoke", "release", "revoke", "revoke"]


def test_two_who_change_the_same(authority: Authority) -> None:
    before = authority.register.find(authority.issue(order("internal")).serial)
    authority.revoke(before.serial, "superseded")
    with pytest.raises(RefusedError, match="somebody else"):
        authority.register.revoke(before, Revocation(NOW, COMPROMISE), NOW)


def test_a_ca_below_the_root_can_be_revoked(authority: Authority) -> None:
    [signing, _] = authority.register.search(NOW, profile="authority")
    authority.revoke(signing.serial, "cACompromise")
    assert authority.publish("root").entries == 1
    assert authority.publish("code-signing").entries == 0
