"""A host of dpkg's: which of its files are proven to come from a signed release, and what of the rest is told."""

from __future__ import annotations

import errno
import hashlib
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.errors import InputError, UsageError
from chopmark.engine.catalog import importing, making, seeing
from chopmark.engine.catalog.importing import DATABASE, GENERATED, NOWHERE, PACKAGE
from chopmark.formats.catalog import listing, sealing
from chopmark.supply.dpkg import installed, opening
from chopmark.supply.dpkg.database import Database
from tests.support import debs
from tests.support.debs import NOW, File

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.core.finding import Finding

FILES = {"bin/tool": b"tool", "usr/share/doc/tool/copyright": b"free", "usr/lib/diverted": b"diverted"}
SETTINGS = {"etc/tool.conf": b"default = 1\n"}
TOOL = debs.deb(
    [
        File("./", kind=tarfile.DIRTYPE),
        *(File(f"./{path}", data) for path, data in {**FILES, **SETTINGS}.items()),
        File("./bin/also", kind=tarfile.SYMTYPE, target="tool"),
        File("./bin/hard", kind=tarfile.LNKTYPE, target="./bin/tool"),
    ],
    settings=list(SETTINGS),
)
LOCAL = debs.deb([File("./usr/bin/local", b"local")], "local", "1")
PATH = "var/cache/apt/archives/tool_1%3a2.0-1_amd64.deb"


@pytest.fixture
def host(tmp_path: Path) -> debs.Host:
    host = debs.Host(tmp_path / "host")
    host.configure()
    (host.root / "usr/bin").mkdir(parents=True)
    (host.root / "bin").symlink_to("usr/bin")
    host.write("var/lib/dpkg/diversions", "/usr/lib/diverted\n/usr/lib/diverted.tool\nother\n/x\n/x.mine\ntool\n")
    host.installed("tool", FILES, settings=SETTINGS)
    host.write(
        "var/lib/dpkg/info/tool.list",
        (host.root / "var/lib/dpkg/info/tool.list").read_text() + "/bin/also\n/bin/hard\n",
    )
    (host.root / "usr/lib/diverted").rename(host.root / "usr/lib/diverted.tool")
    (host.root / "usr/bin/also").symlink_to("tool")
    os.link(host.root / "usr/bin/tool", host.root / "usr/bin/hard")
    host.installed("local", {"usr/bin/local": b"local"}, version="1")
    host.installed("gone", {"usr/bin/gone": b"gone"}, version="3")
    host.write("usr/bin/own", b"made here")
    host.write("etc/alternatives/README", b"text")
    (host.root / "etc/alternatives/editor").symlink_to("/usr/bin/tool")
    (host.root / "usr/bin/editor").symlink_to("/etc/alternatives/editor")
    host.write(
        "var/lib/dpkg/alternatives/editor",
        "auto\n/usr/bin/editor\neditor.1\n/usr/share/man/editor.1\n\n/usr/bin/tool\n50\n\n/usr/bin/local\n10\n/m.1\n\n",
    )
    host.write(PATH, TOOL)
    host.write("var/cache/apt/archives/local_1_amd64.deb", LOCAL)
    debs.lists(host.root / "var/lib/apt/lists", {"tool_1:2.0-1_amd64": TOOL})
    return host


def opened(host: debs.Host, **wishes: object) -> opening.Opened:
    return opening.opened(opening.Wish(str(host.root), NOW, **wishes))  # type: ignore[arg-type]


def made(host: debs.Host, *accepted: bytes, **wishes: object) -> tuple[dict[str, str], list[Finding]]:
    """The origins of files that are listed, and what was said."""
    provenance = importing.Provenance(importing.TRUSTED | set(accepted))
    importing.gather(opened(host, **wishes).packages, provenance, 1)
    target = f"{host.root}.catalog"
    making.make(making.Wish(str(host.root), target, provenance=provenance), 1)
    with Artifact.open(target) as artifact:
        found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        origins = {path.decode(): found.origin.decode() for path, line in found.rows() if line[:1] != b"d"}
    return origins, importing.summary(provenance)


def said(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(each.code, each.subject) for each in findings if not each.code.startswith(("catalog.un", "catalog.pr"))}


PROVEN = ["etc/tool.conf", "usr/bin/also", "usr/bin/hard", "usr/bin/tool", "usr/lib/diverted.tool",
          "usr/share/doc/tool/copyright"]  # fmt: skip


def test_files_of_packages_that_a_release_leads_to_are_listed(host: debs.Host) -> None:
    origins, findings = made(host)
    assert sorted(origins) == PROVEN
    assert set(origins.values()) == {"release/tool:amd64/1:2.0-1"}
    assert said(findings) == {("dpkg.no_release", "local:amd64"), ("dpkg.not_at_hand", "gone:amd64")}


def test_what_is_known_otherwise_is_listed_where_it_is_accepted(host: debs.Host) -> None:
    origins, _ = made(host, PACKAGE, DATABASE, GENERATED, NOWHERE)
    assert origins["usr/bin/local"] == "package/local:amd64/1"
    assert origins["usr/bin/gone"] == "database/gone:amd64/3"
    assert origins["usr/bin/editor"] == "generated/update-alternatives"
    assert origins["etc/alternatives/editor"] == "generated/update-alternatives"
    assert origins["usr/bin/own"] == "none"


def test_altered_files_are_named_and_left_out(host: debs.Host) -> None:
    (host.root / "usr/bin/hard").unlink()
    host.write("usr/bin/tool", b"evil")
    host.write("usr/bin/hard", b"tool")
    host.write("etc/tool.conf", b"mine = 1\n")
    host.write("usr/bin/gone", b"evil")
    (host.root / "usr/bin/also").unlink()
    (host.root / "usr/bin/also").symlink_to("/tmp/evil")
    origins, findings = made(host, DATABASE)
    assert sorted(origins) == ["usr/bin/hard", "usr/lib/diverted.tool", "usr/share/doc/tool/copyright"]
    assert said(findings) >= {
        ("catalog.altered", "usr/bin/tool"),
        ("catalog.altered", "usr/bin/also"),
        ("catalog.altered", "usr/bin/gone"),
        ("catalog.altered_setting", "etc/tool.conf"),
    }


def test_files_with_more_rights_than_their_package_gives_are_named_and_left_out(host: debs.Host) -> None:
    """Debian's packages here have 0755; a program that is suddenly root's own (T1548.001) has the right content."""
    (host.root / "usr/bin/tool").chmod(0o4755)
    (host.root / "usr/lib/diverted.tool").chmod(0o757)
    (host.root / "usr/share/doc/tool/copyright").chmod(0o444)
    origins, findings = made(host)
    assert sorted(origins) == ["etc/tool.conf", "usr/bin/also", "usr/share/doc/tool/copyright"]
    assert {subject for code, subject in said(findings) if code == "dpkg.rights"} == {
        "usr/bin/tool", "usr/bin/hard", "usr/lib/diverted.tool",
    }  # fmt: skip


def test_an_override_of_the_host_explains_rights_and_is_told(host: debs.Host) -> None:
    (host.root / "usr/bin/tool").chmod(0o4755)
    host.write("var/lib/dpkg/statoverride", "root root 4755 /bin/tool\nroot root 2755 /bin/hard\nnonsense\nr r x /y\n")
    origins, findings = made(host)
    assert "usr/bin/tool" in origins
    assert "usr/bin/hard" not in origins
    assert {("dpkg.rights_unproven", "usr/bin/tool"), ("dpkg.rights", "usr/bin/hard")} <= said(findings)


def test_capabilities_that_no_package_gives_are_told(host: debs.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content is the package's; with capabilities, an interpreter makes whoever runs it root."""
    real = os.getxattr

    def getxattr(path: bytes, name: str, *, follow_symlinks: bool = True) -> bytes:
        if os.fsencode(path).endswith(b"usr/bin/tool") and name == "security.capability":
            return b"\1"
        return real(path, name, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "getxattr", getxattr)
    origins, findings = made(host)
    assert "usr/bin/tool" in origins
    assert [subject for code, subject in said(findings) if code == "dpkg.rights_unproven"] == ["usr/bin/tool"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_files_that_somebody_else_owns_are_named(host: debs.Host) -> None:
    os.chown(host.root / "usr/share/doc/tool/copyright", 12345, 0)
    os.chown(host.root / "usr/lib/diverted.tool", 0, 12345)  # it is nobody's gain where the group may do nothing
    origins, findings = made(host)
    assert ("dpkg.rights", "usr/share/doc/tool/copyright") in said(findings)
    assert "usr/share/doc/tool/copyright" not in origins
    assert "usr/lib/diverted.tool" in origins


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_a_group_that_a_script_gave_is_told_and_no_more(host: debs.Host) -> None:
    """Debian's ssh-agent and crontab get theirs from the scripts of their packages."""
    os.chown(host.root / "usr/lib/diverted.tool", 0, 12345)
    (host.root / "usr/lib/diverted.tool").chmod(0o2755)
    (host.root / "usr/share/doc/tool/copyright").chmod(0o2755)
    origins, findings = made(host)
    assert {("dpkg.rights_unproven", "usr/lib/diverted.tool"), ("dpkg.rights", "usr/share/doc/tool/copyright")} <= said(
        findings
    )
    assert "usr/lib/diverted.tool" in origins


def test_records_that_were_changed_with_the_file_prove_nothing(host: debs.Host) -> None:
    """Whoever changes a program can change dpkg's sum of it, but not the package that the release names."""
    host.write("usr/bin/tool", b"evil")
    digest = hashlib.md5(b"evil", usedforsecurity=False).hexdigest()
    host.write("var/lib/dpkg/info/tool.md5sums", f"{digest}  bin/tool\n")
    _, findings = made(host)
    assert ("catalog.altered", "usr/bin/tool") in said(findings)


@pytest.mark.parametrize("change", ["package", "index", "release", "key", "suite", "name", "broken"])
def test_a_broken_chain_proves_nothing(host: debs.Host, change: str) -> None:
    lists = host.root / "var/lib/apt/lists"
    evil = debs.deb([File("./bin/tool", b"evil")])
    if change == "package":
        host.write(PATH, evil)
    elif change == "index":
        path = lists / f"{debs.PREFIX}{debs.INDEX.replace('/', '_')}"
        path.write_bytes(path.read_bytes() + b"\n")
    elif change == "release":
        path = lists / f"{debs.PREFIX}InRelease"
        path.write_bytes(path.read_bytes().replace(b"Example", b"Exomple"))
    elif change == "key":
        host.write("etc/apt/sources.list.d/example.sources", "")
    elif change == "suite":
        debs.lists(lists, {"tool_1:2.0-1_amd64": TOOL}, NOW, Suite="other", Codename="other")
    elif change == "name":
        host.write(PATH, debs.deb([File("./bin/tool", b"tool")], version="1:1.0-1"))
    else:
        host.write(PATH, debs.deb([File("./bin/tool", b"tool"), File("../x", b"x")]))
    origins, findings = made(host)
    assert origins == {}
    assert ("catalog.nothing_proven", "") in said(findings)
    expected = {"name": "dpkg.other", "broken": "dpkg.broken"}.get(change, "dpkg.no_release")
    assert (expected, "tool:amd64") in said(findings)


def test_an_expired_release_still_proves_where_files_come_from(host: debs.Host) -> None:
    debs.lists(
        host.root / "var/lib/apt/lists",
        {"tool_1:2.0-1_amd64": TOOL},
        NOW,
        **{"Valid-Until": "Tue, 30 Jun 2026 12:00:00 UTC"},
    )
    assert sorted(made(host)[0]) == PROVEN


def test_files_that_another_package_has_taken_over_are_not_its_own(host: debs.Host) -> None:
    path = host.root / "var/lib/dpkg/info/tool.list"
    path.write_text(path.read_text().replace("/usr/share/doc/tool/copyright\n", ""))
    assert sorted(made(host)[0]) == PROVEN[:-1]


def test_packages_and_lists_may_lie_elsewhere(host: debs.Host, tmp_path: Path) -> None:
    (host.root / PATH).rename(tmp_path / "tool_2.0-1_amd64.deb")
    assert made(host)[0] == {}
    assert sorted(made(host, folders=[str(tmp_path)])[0]) == PROVEN
    lists = debs.lists(tmp_path / "lists", {})
    assert made(host, folders=[str(tmp_path)], lists=str(lists), keyrings=[debs.keyring()])[0] == {}


def test_a_link_loop_on_the_way_is_no_hang(host: debs.Host) -> None:
    (host.root / "bin").unlink()
    (host.root / "bin").symlink_to("bin")
    assert "usr/bin/tool" not in made(host)[0]


def test_links_do_not_lead_out_of_an_image(host: debs.Host) -> None:
    (host.root / "bin").unlink()
    (host.root / "bin").symlink_to("../../../../usr/bin")
    assert "usr/bin/tool" in made(host)[0]


@pytest.mark.parametrize(
    "status",
    [
        "Package: x\nStatus: install ok installed\nVersion: 1\n",
        "Package: ../../etc\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
        "Package: -x\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n",
        "nonsense",
    ],
)
def test_records_that_are_none_are_refused(host: debs.Host, status: str) -> None:
    host.write("var/lib/dpkg/status", status)
    with pytest.raises(UsageError):
        Database(str(host.root))


def test_packages_that_were_removed_are_none(host: debs.Host) -> None:
    host.write("var/lib/dpkg/status", "Package: x\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: all\n")
    assert Database(str(host.root)).packages == {}


def test_without_records_there_is_no_host(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        Database(str(tmp_path))


def test_a_package_without_its_list_is_told(host: debs.Host) -> None:
    (host.root / "var/lib/dpkg/info/tool.list").unlink()
    origins, findings = made(host)
    assert origins == {}
    assert ("dpkg.unreadable", "tool:amd64") in said(findings)


def test_packages_of_two_architectures_share_files(host: debs.Host) -> None:
    other = debs.deb([File("./usr/share/doc/tool/copyright", b"free")], architecture="i386")
    host.installed("tool:i386", {"usr/share/doc/tool/copyright": b"free"}, architecture="i386")
    status = host.root / "var/lib/dpkg/status"
    status.write_text(status.read_text().replace("Package: tool:i386", "Package: tool"))
    host.write("var/cache/apt/archives/tool_1%3a2.0-1_i386.deb", other)
    both = {"tool_1:2.0-1_amd64": TOOL, "tool_1:2.0-1_i386": other}
    debs.lists(host.root / "var/lib/apt/lists", both)
    assert sorted(made(host)[0]) == PROVEN


# Installed files, without a catalog


def compared(host: debs.Host) -> tuple[dict[str, int], list[Finding]]:
    counts = installed.Counts()
    findings: list[Finding] = []
    for told in installed.compare(opened(host).packages, str(host.root), 1):
        counts.add(told)
        findings += told.findings
    return counts.facts(), findings


def test_installed_files_are_held_against_their_packages(host: debs.Host) -> None:
    facts, _ = compared(host)
    assert facts == {"packages": 4, "proven": 6, "known": 4, "altered": 0, "absent": 2}
    host.write("usr/bin/local", b"evil")
    (host.root / "usr/share/doc/tool/copyright").unlink()
    (host.root / "etc/tool.conf").unlink()
    (host.root / "etc/tool.conf").mkdir()
    facts, findings = compared(host)
    assert facts["proven"] == 4
    assert facts["absent"] == 3
    assert {("catalog.altered", "usr/bin/local"), ("catalog.altered_setting", "etc/tool.conf")} <= said(findings)


def test_files_that_cannot_be_read_are_told(host: debs.Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: int) -> tuple[bytes, int]:
        raise OSError(errno.EIO, "the medium")

    monkeypatch.setattr(seeing, "hashed", failing)
    assert ("dpkg.unreadable_file", "usr/bin/local") in said(compared(host)[1])


# Fetching


def test_packages_are_fetched_with_apt_get(host: debs.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What apt-get is asked is written down by a program in its place; one that it does not have holds up no other."""
    program = tmp_path / "bin/apt-get"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\necho "$@" >> "$LOG"\ncase "$*" in *gone*) echo \'E: no such package\' >&2; exit 100;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    (host.root / PATH).unlink()
    missing = opened(host).packages.missing()
    [finding] = opening.fetch(missing, str(tmp_path))
    assert (finding.code, finding.subject, finding.detail) == ("dpkg.not_fetched", "gone:amd64", "E: no such package")
    asked = [line.split(" download ")[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert asked == ["tool:amd64=1:2.0-1 gone:amd64=3", "tool:amd64=1:2.0-1", "gone:amd64=3"]
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError):
        opening.fetch(missing, str(tmp_path))
