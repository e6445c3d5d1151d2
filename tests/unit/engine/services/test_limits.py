"""What exceeds a limit is told, and the rest is still looked at."""

import datetime as dt
from collections.abc import Iterable
from pathlib import Path

import pytest

from chopmark.core import limits
from chopmark.engine.services import gathering, judging, reasons
from chopmark.engine.services.host import Host
from chopmark.engine.services.units import paths
from chopmark.engine.services.units.tree import Tree
from chopmark.trust import context as contexts
from chopmark.trust.stores import store
from tests.support.image import Image

CONTEXT = contexts.Context(store.Store(()), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), contexts.OFF)


def told(image: Image) -> list[tuple[str, str]]:
    with image.root() as root:
        host = Host(root)
        list(gathering.entries(host))
        return [(each.code, each.subject) for each in host.findings]


def test_names_in_a_folder(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_NAMES_MAX", 2)
    for name in "abc":
        image.program(f"/etc/cron.daily/{name}")
    assert told(image) == [(reasons.UNREADABLE.code, "/etc/cron.daily")]


def test_units(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_UNITS_MAX", 2)
    for name in "abcd":
        image.unit(f"{name}.service")
    with image.root() as root:
        tree = Tree(root, paths.system())
        assert len(tree.unit_names()) == 3
        assert [each.code for each in tree.findings] == [reasons.UNREADABLE.code]


def test_users(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_USERS_MAX", 1)
    image.write("/etc/passwd", "a:x:1:1::/home/a:\nb:x:2:2::/home/b:\n")
    image.write("/home/a/.profile")
    image.write("/home/b/.profile")
    assert told(image) == [(reasons.UNREADABLE.code, "/etc/passwd")]


def test_included_files(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_INCLUDES_MAX", 3)
    image.write("/etc/ld.so.conf", "include /etc/l/*.conf\n")
    for number in range(5):
        image.write(f"/etc/l/{number}.conf", f"include /etc/l/{number + 1}.conf\n")
    assert told(image) == [(reasons.UNREADABLE.code, "/etc/ld.so.conf")]


def test_programs_of_a_definition(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_STARTS_MAX", 3)
    image.write("/etc/crontab", "@daily root a; b; c; d; e\n")
    entry = image.entry("cron")
    assert len(entry.starts) == 3
    assert {each.code for each in entry.findings} == {reasons.OPAQUE.code}


def test_aliases_of_aliases(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_ALIASES_MAX", 3)
    image.unit("a0.service")
    for number in range(1, 6):
        image.link(f"/etc/systemd/system/a{number}.service", f"a{number - 1}.service")
    with image.root() as root:
        tree = Tree(root, paths.system())
        assert tree.made("a2.service") is not None
        assert tree.made("a5.service") is None
        assert {each.code for each in tree.findings} == {reasons.UNIT_ALIAS.code}


def test_a_huge_table_is_told(image: Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SERVICE_FILE_MAX", 10)
    image.write("/etc/crontab", "@daily root /bin/x\n")
    assert [each.code for each in image.entry("cron").findings] == [reasons.UNREADABLE.code]


def passed(items: Iterable[judging.Seen], _: int) -> Iterable[judging.Seen]:
    return items


def judged(image: Image, change: Path, text: str) -> judging.Judged:
    """The one unit, with a file that is another after the unit was read and before it is judged."""
    with image.root() as root:
        host = Host(root)
        entries = [each for each in gathering.entries(host) if each.kind == "unit"]
        change.write_text(text, "utf-8")
        [found] = judging.Inspection(host, entries, CONTEXT, 1).judged(passed)
        return found


def test_what_changes_between_reading_and_judging_is_told(image: Image) -> None:
    image.unit("a.service", "[Service]\nExecStart=/bin/evil\n")
    found = judged(image, image.path("/usr/lib/systemd/system/a.service"), "[Service]\nExecStart=/bin/good\n")
    assert reasons.CHANGING.code in {each.code for each in found.findings}
    image.write("/etc/systemd/system/a.service.seal", "chopmark unit 1\nscope system\nunit a.service\n"
                f"file {'0' * 64} /usr/lib/systemd/system/a.service\nend 1\n")  # fmt: skip
    found = judged(image, image.path("/usr/lib/systemd/system/a.service"), "[Service]\nExecStart=/bin/other\n")
    assert {reasons.CHANGING.code, reasons.SEAL_CHANGED.code, reasons.SEAL_UNTRUSTED.code} <= {
        each.code for each in found.findings
    }
