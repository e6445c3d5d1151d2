"""A host of rpm's: which of its files are proven by signed records, and what of the rest is told."""

from __future__ import annotations

import datetime as dt
import os
import struct
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.engine.catalog import importing, making
from chopmark.engine.catalog.importing import DATABASE, NOWHERE
from chopmark.formats.catalog import listing, sealing
from chopmark.formats.rpm import tags
from chopmark.supply import keyrings
from chopmark.supply.rpm.database import Database
from chopmark.supply.rpm.provenance import RpmPackages
from chopmark.trust.context import OFF, Context
from chopmark.trust.stores.store import Store
from tests.support import bare_keys, rpms
from tests.support.rpms import File

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.finding import Finding
    from chopmark.formats.rpm.header import Value

FILES = [
    File("/bin/hard", b"tool", mode=0o100755, inode=7),
    File("/bin/tool", b"tool", mode=0o100755, inode=7),
    File("/etc/tool.conf", b"default", flags=rpms.CONFIG),
    File("/usr/lib/link", mode=rpms.LINK, target="../bin/tool"),
    File("/usr/share/tool", mode=rpms.FOLDER),
    File("/var/lib/state", flags=rpms.GHOST),
]
PROVEN = ["etc/tool.conf", "usr/bin/hard", "usr/bin/tool", "usr/lib/link"]
TOOL = rpms.signed(rpms.rpm(FILES, epoch=1))


@pytest.fixture
def host(tmp_path: Path) -> rpms.Host:
    host = rpms.Host(tmp_path / "host")
    (host.root / "usr/bin").mkdir(parents=True)
    (host.root / "bin").symlink_to("usr/bin")
    host.install(FILES, TOOL)
    host.write("/usr/bin/own", b"made here")
    return host


def made(
    host: rpms.Host, *accepted: bytes, at: dt.datetime = rpms.NOW, jobs: int = 1
) -> tuple[dict[str, str], list[Finding]]:
    """The origins of files that are listed, and what was said."""
    folder = host.root.parent / "copy"
    folder.mkdir(exist_ok=True)
    context = Context(Store((), (), keyrings.keys_in([bare_keys.public("rpm")])), at, OFF)
    found = importing.Provenance(importing.TRUSTED | set(accepted))
    importing.gather(RpmPackages(Database(str(host.root), str(folder)), str(host.root), context), found, jobs)
    target = f"{host.root}.catalog"
    making.make(making.Wish(str(host.root), target, provenance=found), 1)
    with Artifact.open(target) as artifact:
        listed = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        origins = {path.decode(): listed.origin.decode() for path, line in listed.rows() if line[:1] != b"d"}
    return origins, importing.summary(found)


def said(findings: list[Finding]) -> set[tuple[str, str]]:
    """All but the summary at the end."""
    summary = ("catalog.unproven", "catalog.proven", "catalog.accepted", "catalog.nothing_proven")
    return {(each.code, each.subject) for each in findings if each.code not in summary}


@pytest.mark.parametrize("jobs", [1, 2])
def test_files_of_signed_records_are_listed(host: rpms.Host, jobs: int) -> None:
    other = [File("/opt/other", b"other")]
    host.install(other, rpms.signed(rpms.rpm(other, name="other")))
    origins, findings = made(host, jobs=jobs)
    assert sorted(origins) == sorted([*PROVEN, "opt/other"])
    assert origins["usr/bin/tool"] == "release/tool.noarch/1:1.0-1"
    assert origins["opt/other"] == "release/other.noarch/1.0-1"
    assert said(findings) == set()


def test_what_nothing_proves_is_left_out_or_accepted_for_what_it_is(host: rpms.Host) -> None:
    other = [File("/opt/other", b"other")]
    host.install(other, rpms.rpm(other, name="other"))
    origins, findings = made(host)
    assert sorted(origins) == PROVEN
    assert said(findings) == {("rpm_host.not_proven", "other.noarch")}
    origins, _ = made(host, DATABASE, NOWHERE)
    assert origins["opt/other"] == "database/other.noarch/1.0-1"
    assert origins["usr/bin/own"] == "none"


def test_altered_files_are_named_and_left_out(host: rpms.Host) -> None:
    (host.root / "bin/hard").unlink()
    host.write("/usr/bin/hard", b"evil", 0o755)
    host.write("/etc/tool.conf", b"mine")
    (host.root / "usr/lib/link").unlink()
    (host.root / "usr/lib/link").symlink_to("/tmp/evil")
    origins, findings = made(host)
    assert sorted(origins) == ["usr/bin/tool"]
    assert said(findings) == {
        ("catalog.altered", "usr/bin/hard"),
        ("catalog.altered", "usr/lib/link"),
        ("catalog.altered_setting", "etc/tool.conf"),
    }


def test_a_changed_record_proves_nothing(host: rpms.Host) -> None:
    """Somebody who changes a file puts its new digest into the database, too."""
    evil = [File("/opt/other", b"evil")]
    real, other = (rpms.rpm(each, name="other") for each in ([File("/opt/other", b"good")], evil))
    signature = rpms.signature_of(rpms.signed(real))
    host.install(evil, other, signature)
    origins, findings = made(host, DATABASE)
    assert origins["opt/other"] == "database/other.noarch/1.0-1"
    assert said(findings) == {("rpm_host.record_changed", "other.noarch")}


def test_what_stands_outside_of_the_signed_region_does_not_count(host: rpms.Host) -> None:
    """rpm itself lets such tags replace those inside."""
    evil = rpms.file_values([File("/usr/bin/evil", b"made here")])
    host.write("/usr/bin/evil", b"made here")
    other = [File("/opt/other", b"other")]
    host.install(other, rpms.signed(rpms.rpm(other, name="other")), *evil)
    origins, findings = made(host)
    assert sorted(origins) == sorted([*PROVEN, "opt/other"])
    assert said(findings) == set()


@pytest.mark.parametrize(
    ("algorithm", "proven"), [("md5", False), ("sha1", False), ("sha512", True), ("sha3_256", True)]
)
def test_other_digests_are_compared_with_the_file_itself(host: rpms.Host, algorithm: str, *, proven: bool) -> None:
    other = [File("/opt/gone", b"gone"), File("/opt/other", b"other"), File("/opt/third", b"third")]
    host.install(other, rpms.signed(rpms.rpm(other, name="other", algorithm=algorithm)))
    host.write("/opt/third", b"evil")
    (host.root / "opt/gone").unlink()
    origins, findings = made(host, *(() if proven else (DATABASE,)))
    assert origins["opt/other"] == f"{'release' if proven else 'database'}/other.noarch/1.0-1"
    assert "opt/third" not in origins
    weak = set() if proven else {("rpm_host.weak_files", "other.noarch")}
    assert said(findings) == {("catalog.altered", "opt/third"), *weak}


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o775, 0o757])
def test_more_rights_than_the_package_gives_are_told(host: rpms.Host, mode: int) -> None:
    (host.root / "usr/bin/tool").chmod(mode)
    origins, findings = made(host)
    assert sorted(origins) == [path for path in PROVEN if path != "usr/bin/tool"]
    assert said(findings) == {("rpm_host.privileged", "usr/bin/tool"), ("catalog.altered", "usr/bin/tool")}


def test_fewer_rights_than_the_package_gives_are_nobodys_gain(host: rpms.Host) -> None:
    (host.root / "usr/bin/tool").chmod(0o500)
    origins, findings = made(host)
    assert sorted(origins) == sorted(PROVEN)
    assert said(findings) == set()


def test_rights_that_the_package_gives_are_fine(host: rpms.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    other = [
        File("/opt/raw", b"raw", mode=0o100755, capabilities="cap_net_raw=ep"),
        File("/opt/set", b"set", mode=0o104755),
    ]
    host.install(other, rpms.signed(rpms.rpm(other, name="other")))
    raw = bytes.fromhex("0100000200200000000000000000000000000000")
    monkeypatch.setattr(os, "getxattr", lambda path, *_, **__: raw if path.endswith(b"raw") else b"")
    origins, findings = made(host)
    assert {"opt/raw", "opt/set"} <= origins.keys()
    assert said(findings) == set()
    monkeypatch.setattr(os, "getxattr", lambda path, *_, **__: raw if path.endswith(b"tool") else b"")
    origins, findings = made(host)
    assert "usr/bin/tool" not in origins
    assert ("rpm_host.privileged", "usr/bin/tool") in said(findings)


@pytest.mark.parametrize(
    ("blob", "code"),
    [(b"", "rpm_host.record_broken"), (b"\0" * 100, "rpm_host.record_broken"),
     (rpms.stored(TOOL)[:-1], "rpm_host.record_broken")],
    ids=range(3),
)  # fmt: skip
def test_broken_records_are_told(host: rpms.Host, blob: bytes, code: str) -> None:
    host.record(blob)
    origins, findings = made(host)
    assert sorted(origins) == PROVEN
    assert said(findings) == {(code, "2")}


@pytest.mark.parametrize(
    "value",
    [
        rpms.numbers(tags.FILE_DIGEST_ALGORITHM, [77]),
        rpms.numbers(tags.FILE_MODES, [1, 2], tags.INT16),
        rpms.texts(tags.BASE_NAMES, ["../../x"]),
        rpms.text(tags.ARCHITECTURE, "x86_64"),
    ],
    ids=["algorithm", "modes", "path", "fine"],
)
def test_lists_of_files_that_cannot_be_are_told(host: rpms.Host, value: Value) -> None:
    said_ = {**rpms.values([File("/opt/other", b"other")], b"x", name="other"), value.tag: value}
    host.record(rpms.stored(rpms.packed(said_.values(), b"x")))
    _, findings = made(host)
    expected = "not_proven" if value.tag == tags.ARCHITECTURE else "record_broken"
    assert {code for code, _ in said(findings)} == {f"rpm_host.{expected}"}


def test_keys_that_were_imported_are_no_packages(host: rpms.Host) -> None:
    host.record(rpms.stored(rpms.rpm(name="gpg-pubkey")))
    name, other = (struct.pack(">II", tag, tags.STRING) for tag in (tags.NAME, tags.NAME - 1))
    host.record(rpms.stored(rpms.rpm()).replace(name, other))
    assert said(made(host)[1]) == set()


def test_a_record_that_vanishes_is_told(host: rpms.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPM_HEADER_MAX", 100)  # what is larger, SQLite refuses to hand out
    _, findings = made(host)
    assert said(findings) == {("rpm_host.unreadable", "1")}


def test_the_time_of_the_check_counts(host: rpms.Host) -> None:
    early = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    origins, findings = made(host, at=early)
    assert origins == {}
    assert said(findings) == {("rpm_host.not_proven", "tool.noarch")}


def test_files_that_cannot_be_read_are_left_to_the_walk(host: rpms.Host) -> None:
    other = [File("/opt/other", b"other")]
    host.install(other, rpms.signed(rpms.rpm(other, name="other", algorithm="sha512")))
    (host.root / "opt/other").unlink()
    os.mkfifo(host.root / "opt/other")
    origins, _ = made(host)
    assert sorted(origins) == PROVEN
