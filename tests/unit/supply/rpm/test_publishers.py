"""Records of packages that Red Hat, SUSE and Microsoft signed, in each form of database (records/SOURCES.md)."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from chopmark.engine.catalog.importing import DATABASE, RELEASE, Looked
from chopmark.formats.rpm import header, tags
from chopmark.supply import keyrings
from chopmark.supply.rpm.database import Database
from chopmark.supply.rpm.provenance import RpmPackages
from chopmark.trust.context import OFF, Context
from chopmark.trust.stores.store import Store
from tests.support import rpm_databases

RECORDS = Path(__file__).parent / "records"
ENDED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""By then SUSE's key has."""
NAMES = ("redhat-libuuid", "suse-libbz2", "microsoft-popt")
TIMES = {"suse": dt.datetime(2022, 6, 1, tzinfo=dt.UTC), "redhat": ENDED, "microsoft": ENDED}
PACKAGES = {"redhat": b"libuuid.x86_64", "suse": b"libbz2-1.x86_64", "microsoft": b"popt.x86_64"}


def looked(tmp_path: Path, record: bytes, form: str, publisher: str, at: dt.datetime | None = None) -> Looked:
    """What a host with this record comes to, for somebody with the key of a publisher."""
    rpm_databases.write(tmp_path / "host/var/lib/rpm", {5: record}, form)
    (tmp_path / "copy").mkdir(exist_ok=True)
    keys = keyrings.keys_in([str(RECORDS / f"{publisher}.asc")])
    database = Database(str(tmp_path / "host"), str(tmp_path / "copy"))
    packages = RpmPackages(database, str(tmp_path / "host"), Context(Store((), (), keys), at or TIMES[publisher], OFF))
    assert packages.names() == ["5"]
    return packages.look("5")


def codes(found: Looked) -> set[str]:
    return {finding.code for finding in found.findings}


@pytest.mark.parametrize("form", rpm_databases.FORMS)
@pytest.mark.parametrize("name", NAMES)
def test_their_own_key_proves_them(name: str, form: str, tmp_path: Path) -> None:
    record, publisher = (RECORDS / f"{name}.record").read_bytes(), name.partition("-")[0]
    found = looked(tmp_path, record, form, publisher)
    assert (found.package, codes(found)) == (PACKAGES[publisher], set())
    assert {file.how for file in found.files} == {RELEASE}


@pytest.mark.parametrize("name", NAMES)
def test_no_other_key_does(name: str, tmp_path: Path) -> None:
    record, publisher = (RECORDS / f"{name}.record").read_bytes(), name.partition("-")[0]
    for other in sorted(set(PACKAGES) - {publisher}):
        found = looked(tmp_path, record, rpm_databases.NDB, other)
        assert codes(found) == {"rpm_host.not_proven"}
        assert {file.how for file in found.files} == {DATABASE}


@pytest.mark.parametrize("name", NAMES)
def test_what_was_changed_is_told(name: str, tmp_path: Path) -> None:
    record, publisher = (RECORDS / f"{name}.record").read_bytes(), name.partition("-")[0]
    inside, _ = header.stored(record)
    source = inside.string(tags.SOURCE_RPM)
    assert source
    assert record.count(source) == 1
    for place in range(record.index(source), record.index(source) + len(source)):
        bad = record[:place] + bytes([record[place] ^ 1]) + record[place + 1 :]
        assert codes(looked(tmp_path, bad, rpm_databases.NDB, publisher)) == {"rpm_host.record_changed"}


def test_a_key_that_has_ended_proves_nothing(tmp_path: Path) -> None:
    record = (RECORDS / "suse-libbz2.record").read_bytes()
    assert codes(looked(tmp_path, record, rpm_databases.SQLITE, "suse", ENDED)) == {"rpm_host.not_proven"}
