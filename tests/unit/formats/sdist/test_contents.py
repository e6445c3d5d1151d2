"""Source distributions: in one folder, with no link out of it, and what their name says."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.versions import Release
from chopmark.engine import identify
from chopmark.formats.sdist import FORMAT
from tests.support import wheels
from tests.support.wheels import METADATA, PKG_INFO, PROJECT, Entry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding

NAME = "sample-1.0.tar.gz"


def examined(data: bytes, name: str = NAME) -> list[Finding]:
    found: list[Finding] = []
    try:
        for each in FORMAT.examine(Artifact.from_bytes(data, name)):
            found.append(each)  # noqa: PERF402 - up to where it breaks
    except BrokenError as error:
        found.append(error.reason.found(error.detail))
    return found


def against(entries: Sequence[Entry]) -> list[str]:
    return [each.code for each in examined(wheels.sdist(entries)) if each.outcome is Outcome.NO]


def told(entries: Sequence[Entry], name: str = NAME) -> list[str]:
    return [each.code for each in examined(wheels.sdist(entries), name) if each.outcome is Outcome.INFO]


def detected(data: bytes, name: str = NAME) -> str:
    return identify.identify(Artifact.from_bytes(data, name)).name


def test_a_sound_one_passes_every_check() -> None:
    found = examined(wheels.sdist())
    assert [each.code for each in found] == ["tar.read", "python.named"]
    assert {each.outcome for each in found} == {Outcome.OK}
    artifact = Artifact.from_bytes(wheels.sdist(), NAME)
    assert FORMAT.release(artifact) == Release("sample", "1.0", "python")
    assert dict(FORMAT.facts(artifact))["version"] == "1.0"


def test_it_is_known_by_its_name_and_its_folder() -> None:
    assert detected(wheels.sdist()) == "sdist"
    assert detected(wheels.sdist([Entry("./sample-1.0/PKG-INFO", METADATA)])) == "sdist"
    assert detected(wheels.sdist([Entry("sample-1.0/" + "\u00e9" * 200, b"x")])) == "sdist"
    gnu = gzip.compress(wheels.tarred([Entry("sample-1.0/" + "x" * 200, b"x")], tarfile.GNU_FORMAT))
    assert detected(gnu) == "sdist"
    git = gzip.compress(wheels.tarred([PKG_INFO], headers={"comment": "0" * 40}))
    assert detected(git) == "sdist"
    for name in ("sample-1.1.tar.gz", "sample.tar.gz", "sample-1.0.tgz", "sample-1.0.zip"):
        assert detected(wheels.sdist(), name) == "detached"
    for data in (gzip.compress(b"x"), gzip.compress(b""), b"\x1f\x8b\x08", wheels.tarred([PKG_INFO])):
        assert detected(data) == "detached"


def test_an_archive_of_something_else_is_not_held_to_the_rules_of_python() -> None:
    entries = [Entry("sample-1.0/Makefile", b""), Entry("sample-1.0/l", kind=tarfile.SYMTYPE, target="/dev/null")]
    assert against(entries) == []
    assert told(entries) == ["sdist.other"]
    assert against([*entries, PROJECT]) == ["sdist.link"]


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (Entry("other/x", b""), "sdist.top"),
        (Entry("sample-1.0x", b""), "sdist.top"),
        (Entry("sample-1.0/../x", b""), "tar.path"),
        (Entry("/etc/passwd", b""), "tar.path"),
        (Entry("sample-1.0/l", kind=tarfile.SYMTYPE, target="/etc/passwd"), "sdist.link"),
        (Entry("sample-1.0/l", kind=tarfile.SYMTYPE, target="../x"), "sdist.link"),
        (Entry("sample-1.0/a/l", kind=tarfile.SYMTYPE, target="../../sample-1.0x"), "sdist.link"),
        (Entry("sample-1.0/l", kind=tarfile.LNKTYPE, target="sample-1.0/none"), "tar.link"),
        (Entry("sample-1.0/l", kind=tarfile.LNKTYPE, target="/etc/shadow"), "tar.path"),
        (Entry("sample-1.0/p", kind=tarfile.FIFOTYPE), "sdist.special"),
        (Entry("sample-1.0/d", kind=tarfile.CHRTYPE), "tar.device"),
        (Entry("sample-1.0/PKG-INFO", METADATA), "tar.duplicate"),
        (Entry("./sample-1.0/PKG-INFO", METADATA), "tar.duplicate"),
    ],
)
def test_what_must_not_be_in_one(entry: Entry, code: str) -> None:
    assert against([PKG_INFO, PROJECT, entry]) == [code]


def test_links_inside_are_harmless() -> None:
    links = [
        Entry("sample-1.0/a/l", kind=tarfile.SYMTYPE, target="../PKG-INFO"),
        Entry("sample-1.0/h", kind=tarfile.LNKTYPE, target="sample-1.0/PKG-INFO"),
    ]
    assert against([PKG_INFO, *links]) == []


def linked(**links: str) -> list[Entry]:
    """Links in the folder, by their names with two underscores for a slash."""
    return [
        Entry(f"sample-1.0/{name.replace('__', '/')}", kind=tarfile.SYMTYPE, target=target)
        for name, target in links.items()
    ]


@pytest.mark.parametrize(
    ("links", "codes"),
    [
        ({"d__e__up": "../..", "l": "d/e/up/PKG-INFO"}, []),
        # As text it stays inside; through the other link it ends beside the folder, whichever comes first.
        ({"d__e__up": "../..", "l": "d/e/up/../../x"}, ["sdist.link"]),
        ({"d__e__up": "../..", "l": "d/e/up/../x"}, ["sdist.link"]),
        ({"a": "d/e/up/../x", "d__e__up": "../.."}, ["sdist.link"]),
        ({"d__up": "/", "l": "d/up/etc/passwd"}, ["sdist.link", "sdist.link"]),
        ({"a": "b", "b": "a"}, ["sdist.link", "sdist.link"]),
        ({"a": "../sample-1.0/PKG-INFO"}, []),
    ],
)
def test_links_are_followed_through_links(links: dict[str, str], codes: list[str]) -> None:
    assert against([PKG_INFO, PROJECT, *linked(**links)]) == codes


def test_links_are_followed_only_so_far(monkeypatch: pytest.MonkeyPatch) -> None:
    chain = [PKG_INFO, *linked(a="b", b="c", c="PKG-INFO")]
    assert against(chain) == []
    monkeypatch.setattr(limits, "SDIST_LINK_STEPS_MAX", 6)
    assert against(chain) == []
    monkeypatch.setattr(limits, "SDIST_LINK_STEPS_MAX", 5)
    assert against(chain) == ["tar.link"]
    monkeypatch.undo()
    monkeypatch.setattr(limits, "SDIST_LINKS_FOLLOWED_MAX", 2)
    assert against(chain) == []
    monkeypatch.setattr(limits, "SDIST_LINKS_FOLLOWED_MAX", 1)
    assert against(chain) == ["sdist.link"]


def test_what_it_says_of_itself_is_compared_with_its_name() -> None:
    assert against([Entry("sample-1.0/PKG-INFO", METADATA.replace(b"1.0", b"1.1"))]) == ["python.name_differs"]
    assert against([Entry("sample-1.0/PKG-INFO", b"Name: sample\n")]) == ["python.metadata"]
    assert told([PROJECT]) == ["sdist.unnamed"]
    assert FORMAT.release(Artifact.from_bytes(wheels.sdist([PROJECT]), NAME)) is None


def test_a_link_in_place_of_the_metadata_is_none() -> None:
    assert told([PROJECT, Entry("sample-1.0/PKG-INFO", kind=tarfile.SYMTYPE, target="pyproject.toml")]) == [
        "sdist.unnamed"
    ]


@pytest.mark.parametrize(
    "data",
    [
        wheels.sdist() + b"x",
        wheels.sdist() + b"\0" * 512,
        wheels.sdist() + gzip.compress(wheels.tarred([Entry("sample-1.0/setup.py", b"evil")])),
        wheels.sdist()[:-1],
        gzip.compress(wheels.tarred([PKG_INFO]) + b"x"),
        gzip.compress(wheels.tarred([PKG_INFO]) + wheels.tarred([Entry("sample-1.0/setup.py", b"evil")])),
        gzip.compress(wheels.tarred([PKG_INFO])[:1024]),
    ],
)
def test_nothing_stands_behind_the_end(data: bytes) -> None:
    with pytest.raises(MalformedError):
        list(FORMAT.examine(Artifact.from_bytes(data, NAME)))


def test_bombs_are_left_early(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = wheels.sdist([PKG_INFO, Entry("sample-1.0/zeros", b"\0" * 3_000_000)])
    assert against([PKG_INFO]) == []
    monkeypatch.setattr(limits, "UNPACKED_ANYWAY", 1_000_000)
    assert [each.code for each in examined(bomb)] == ["format.unpacked_too_large"]
    monkeypatch.setattr(limits, "UNPACKED_RATIO_MAX", 100_000)
    assert [each.code for each in examined(bomb)] == ["tar.read", "python.named"]


def test_files_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SDIST_ENTRIES_MAX", 2)
    assert against([PKG_INFO, PROJECT]) == []
    assert against([PKG_INFO, PROJECT, Entry("sample-1.0/x")]) == ["tar.form"]


def test_many_links_are_named_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PYTHON_NAMED_MAX", 3)
    links = [Entry(f"sample-1.0/{number}", kind=tarfile.SYMTYPE, target="/") for number in range(9)]
    assert against([PKG_INFO, *links]) == ["sdist.link"] * 3


@given(st.integers(0, 3000), st.binary(min_size=1, max_size=9))
def test_no_damage_crashes_it(place: int, piece: bytes) -> None:
    plain = wheels.tarred([PKG_INFO, PROJECT, Entry("sample-1.0/l", kind=tarfile.SYMTYPE, target="a")])
    changed = gzip.compress(plain[:place] + piece + plain[place + len(piece) :], compresslevel=1)
    assert io.BytesIO(changed).read(2) == b"\x1f\x8b"
    assert examined(changed)
