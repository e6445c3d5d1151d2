"""Every event is an entry of the log, in the same transaction."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.authority.log import entry, journal
from chopmark.authority.register.configuration import DATABASE
from chopmark.authority.register.database import Database
from chopmark.core import limits
from chopmark.core.errors import ChopmarkError, RefusedError
from chopmark.envelopes import x509
from tests.unit.authority.conftest import NOW, order

if TYPE_CHECKING:
    from typing import Any

    from chopmark.authority.ca import Authority


def logged(authority: Authority) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(Path(authority.folder) / DATABASE)) as connection:
        rows = connection.execute("SELECT number, entry FROM log_entries ORDER BY number").fetchall()
    assert [number for number, _ in rows] == list(range(len(rows)))
    return [json.loads(raw) for _, raw in rows]


def test_founding_is_logged(authority: Authority) -> None:
    found = logged(authority)
    assert [event["action"] for event in found] == ["found"] * 3 + ["crl"] * 3
    assert [event["issuer"] for event in found] == ["root", "code-signing", "time-stamping"] * 2


def test_what_is_done_is_logged(authority: Authority) -> None:
    before = len(logged(authority))
    issued = authority.issue(order("internal"))
    authority.revoke(issued.serial, "certificateHold")
    authority.release(issued.serial)
    authority.publish("code-signing")
    issue, revoke, release, crl = logged(authority)[before:]
    assert issue == {
        "type": "chopmark.event.v1",
        "action": "issue",
        "at": "2026-11-22T12:00:00Z",
        "issuer": "code-signing",
        "serial": issued.serial,
        "detail": x509.certificate(issued.certificate).subject_text,
        "certificate_sha256": x509.certificate(issued.certificate).sha256,
    }
    assert (revoke["action"], revoke["serial"]) == ("revoke", issued.serial)
    assert (release["action"], release["serial"]) == ("release", issued.serial)
    assert (crl["action"], crl["issuer"], crl["number"], crl["entries"]) == ("crl", "code-signing", 2, 0)


def test_no_entry_without_its_event(tmp_path: Path) -> None:
    database = Database(str(tmp_path / "register.sqlite3"))
    database.create()

    def entered() -> None:
        with database.writing() as connection:
            journal.record(connection, NOW, "approve", detail="x" * limits.LOG_ENTRY_MAX)

    with pytest.raises(RefusedError):
        entered()
    with database.writing() as connection:
        assert journal.record(connection, NOW, "approve", detail="all of it") == 0
        assert journal.record(connection, NOW, "approve", detail="that too", by="Alice") == 1
    database.close()
    with closing(sqlite3.connect(tmp_path / "register.sqlite3")) as plain:
        assert plain.execute("SELECT count(*) FROM events").fetchone() == (2,)


def test_entries_are_canonical() -> None:
    raw = entry.encode("issue", NOW, {"z": "é", "a": 1, "empty": ""})
    assert raw == '{"a":1,"action":"issue","at":"2026-11-22T12:00:00Z","type":"chopmark.event.v1","z":"é"}'.encode()


def test_what_an_entry_says_of_itself_cannot_be_given() -> None:
    assert json.loads(entry.encode("issue", NOW, {"type": "other", "action": "none"}))["action"] == "issue"


@pytest.mark.parametrize("value", [2**60, "\ud800"])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(ChopmarkError):
        entry.encode("issue", NOW, {"value": value})
