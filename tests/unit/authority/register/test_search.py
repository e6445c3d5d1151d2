"""Searching the register, renewing what is in it, and what is due."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chopmark.authority import renewal
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.lint.linter import IssueRefusedError
from chopmark.authority.register.search import Query
from chopmark.core.errors import RefusedError, UsageError
from chopmark.envelopes import x509
from tests.unit.authority.conftest import NOW, order, spki

if TYPE_CHECKING:
    from chopmark.authority.ca import Authority
    from tests.unit.authority.conftest import Clock

DAY = dt.timedelta(days=1)


class TestSearch:
    def test_everything_that_is_given_has_to_fit(self, authority: Authority, clock: Clock) -> None:
        first = authority.issue(order())
        clock.advance(days=10)
        second = authority.issue(order("internal", (("CN", "100% Żółw_x"),), spki("ed25519"), days=5))
        authority.revoke(first.serial, at=NOW)

        def found(**wanted: object) -> list[str]:
            query = Query(**wanted)  # type: ignore[arg-type]
            records = authority.finder.search(query, clock())
            assert authority.finder.count(query, clock()) == len(records)
            return [each.serial for each in records if each.profile != "authority"]

        both = [first.serial, second.serial]
        assert found() == both
        assert found(subject="example") == both[:1]
        assert found(subject="100%") == both[1:]
        assert found(subject="ŻÓŁW_") == both[1:] or found(subject="Żółw_") == both[1:]
        assert found(subject="_") == both[1:]
        assert found(serial=first.serial) == both[:1]
        assert found(serial="0x" + first.serial[:5].upper()) == both[:1]
        assert found(serial=first.serial[:4] + ":" + first.serial[4:8]) == both[:1]
        assert found(key_sha256=x509.certificate(second.certificate).key_sha256) == both[1:]
        assert found(profile="internal") == both[1:]
        assert found(status="revoked") == both[:1]
        assert found(status="valid", issuer="code-signing") == both[1:]
        assert found(issuer="root") == []
        assert found(issued=(NOW + DAY, None)) == both[1:]
        assert found(issued=(None, NOW + DAY)) == both[:1]
        assert found(ends=(None, NOW + 20 * DAY)) == both[1:]
        assert found(ends=(NOW + 20 * DAY, None), profile="code-signing") == both[:1]
        assert found(profile="internal", status="revoked") == []

    def test_pages(self, authority: Authority) -> None:
        serials = [authority.issue(order()).serial for _ in range(7)]
        query = Query(profile="code-signing", limit=3)
        pages = []
        while page := authority.finder.search(query, NOW):
            pages.append([each.serial for each in page])
            query = replace(query, after=page[-1].id)
        assert pages == [serials[:3], serials[3:6], serials[6:]]
        for limit in (0, -1, 100_001):
            with pytest.raises(UsageError, match="page"):
                authority.finder.search(replace(query, limit=limit), NOW)

    @given(st.text(max_size=20))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_any_text(self, authority: Authority, text: str) -> None:
        for field in ("subject", "serial", "key_sha256", "profile", "issuer"):
            try:
                authority.finder.search(Query(**{field: text}), NOW)  # type: ignore[arg-type]
            except UsageError:
                continue


class TestRenewal:
    def test_linked_to_the_one_before(self, authority: Authority, clock: Clock) -> None:
        first = authority.issue(order())
        old = authority.register.find(first.serial)
        clock.advance(days=300)
        second = renewal.renew(authority, old)
        record = authority.register.find(second.serial)
        assert (record.predecessor, record.subject, record.profile) == (old.id, old.subject, old.profile)
        assert record.key_sha256 == old.key_sha256
        assert record.not_before == clock()
        successor = authority.finder.successor(old)
        assert successor
        assert successor.serial == second.serial
        third = renewal.renew(authority, record, spki("p384"), days=10)
        assert x509.certificate(third.certificate).spki == spki("p384")

    def test_what_is_not_renewed(self, authority: Authority) -> None:
        first = authority.issue(order())
        authority.revoke(first.serial, "superseded")
        old = authority.register.find(first.serial)
        with pytest.raises(RefusedError, match="revoked"):
            renewal.renew(authority, old)
        assert renewal.renew(authority, old, spki("p384")).serial
        authority.revoke(first.serial, "keyCompromise")
        old = authority.register.find(first.serial)
        with pytest.raises(RefusedError, match="compromised"):
            renewal.renew(authority, old)
        with pytest.raises(RefusedError, match="compromised"):
            renewal.renew(authority, old, spki())
        ca = authority.register.find(authority.issuer("code-signing").certificate.serial_octets.hex())
        with pytest.raises(RefusedError, match="rolled over"):
            renewal.renew(authority, ca)

    def test_todays_rules(self, authority: Authority) -> None:
        first = authority.issue(order())
        with pytest.raises(IssueRefusedError):
            renewal.renew(authority, authority.register.find(first.serial), spki("rsa2048"))


class TestDue:
    def test_certificates(self, authority: Authority, clock: Clock) -> None:
        first = authority.issue(order(days=20))
        authority.issue(order(days=90))
        assert [(each.kind, each.name) for each in renewal.due(authority, 30 * DAY)] == [("certificate", first.serial)]
        assert renewal.due(authority, 10 * DAY) == []
        second = renewal.renew(authority, authority.register.find(first.serial))
        assert renewal.due(authority, 30 * DAY) == []
        authority.revoke(second.serial)
        assert [each.name for each in renewal.due(authority, 30 * DAY)] == [first.serial]
        clock.advance(days=1)

    def test_cas_and_crls(self, authority: Authority, clock: Clock) -> None:
        clock.advance(days=8)
        assert {(each.kind, each.name) for each in renewal.due(authority, DAY)} == {
            ("CRL", "code-signing"),
            ("CRL", "time-stamping"),
        }
        authority.publish("code-signing")
        authority.publish("time-stamping")
        assert renewal.due(authority, DAY) == []
        clock.now = authority.issuer("code-signing").certificate.not_after - 10 * DAY
        kinds = {(each.kind, each.name) for each in renewal.due(authority, 30 * DAY)}
        assert ("CA", "code-signing") in kinds
        Hierarchy(authority).roll("code-signing", NewKey("p256"))
        kinds = {(each.kind, each.name) for each in renewal.due(authority, 30 * DAY)}
        assert ("CA", "code-signing") not in kinds
