"""Wheels: held to RECORD, to their name, and to what installers expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.versions import Release
from chopmark.formats._zip import archive
from chopmark.formats.wheel import FORMAT, record
from tests.support import wheels
from tests.support.wheels import FILES, FOLDER, METADATA, NAME, WHEEL, Member

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.core.finding import Finding


def examined(data: bytes, name: str = NAME) -> list[Finding]:
    found: list[Finding] = []
    try:
        for each in FORMAT.examine(Artifact.from_bytes(data, name)):
            found.append(each)  # noqa: PERF402 - up to where it breaks
    except BrokenError as error:
        found.append(error.reason.found(error.detail))
    return found


def against(data: bytes, name: str = NAME) -> list[str]:
    return [each.code for each in examined(data, name) if each.outcome is Outcome.NO]


def told(data: bytes, name: str = NAME) -> set[str]:
    return {each.code for each in examined(data, name) if each.outcome is Outcome.INFO}


def but(changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """FILES with some of them changed, added or left out."""
    files: dict[str, bytes | None] = {**FILES, **changes}
    return {name: data for name, data in files.items() if data is not None}


def test_a_sound_wheel_passes_every_check() -> None:
    found = examined(wheels.wheel())
    assert [each.code for each in found] == ["zip.read", "python.named", "wheel.record_holds"]
    assert {each.outcome for each in found} == {Outcome.OK}
    assert FORMAT.release(Artifact.from_bytes(wheels.wheel(), "x.whl")) == Release("sample", "1.0", "python")


def test_what_was_changed_added_or_taken_away_is_named() -> None:
    files = but({"a.py": b"a", "b.py": b"b"})
    changed = wheels.wheel({**files, "a.py": b"A"}, files)
    assert against(changed) == ["wheel.record_changed"]
    assert examined(changed)[-1].subject == "'a.py'"
    assert against(wheels.wheel({**files, "c.py": b"c"}, files)) == ["wheel.record_unlisted"]
    assert against(wheels.wheel(FILES, files)) == ["wheel.record_missing"] * 2
    assert against(wheels.wheel({**FILES, "B.py": b"b"}, but({"b.py": b"b"}))) == [
        "wheel.record_unlisted", "wheel.record_missing",
    ]  # fmt: skip


def test_a_wrong_size_counts_and_a_missing_one_does_not() -> None:
    listed = wheels.record(FILES)
    assert against(wheels.wheel(listed=listed.replace(b",15\n", b",16\n", 1))) == ["wheel.record_changed"]
    assert against(wheels.wheel(listed=listed.replace(b",15\n", b",\n", 1))) == []


def test_many_wrong_files_are_named_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PYTHON_NAMED_MAX", 3)
    many = {f"m{number}.py": b"" for number in range(9)}
    found = examined(wheels.wheel({**FILES, **many}, FILES))
    assert [each.code for each in found].count("wheel.record_unlisted") == 4


@pytest.mark.parametrize(
    ("listed", "code"),
    [
        (wheels.record(FILES).replace(b"sha256=", b"md5="), "wheel.record_weak"),
        (wheels.record({}) + b"".join(name.encode() + b",,\n" for name in FILES), "wheel.record_weak"),
        (
            wheels.record({}) + b"".join(wheels.row(n, d, "sha1").encode() for n, d in FILES.items()),
            "wheel.record_weak",
        ),
        (wheels.record(FILES) + b"sample.py,,\n", "wheel.record_form"),
        (wheels.record(FILES) + wheels.row("sample.py", FILES["sample.py"]).encode(), "wheel.record_form"),
        (wheels.record(FILES) + b"x\n", "wheel.record_form"),
        (wheels.record(FILES) + b"x,y,z,z\n", "wheel.record_form"),
        (wheels.record(FILES) + b'"x\n', "wheel.record_form"),
        (wheels.record(FILES) + b"x,sha256=AAAA,1\n", "wheel.record_form"),
        (wheels.record(FILES) + b"x,sha256,1\n", "wheel.record_form"),
        (wheels.record(FILES) + b"x,sha256=A===,1\n", "wheel.record_form"),
        (wheels.record(FILES) + b"x,,-1\n", "wheel.record_form"),
        (wheels.record(FILES) + b"x,,01\n", "wheel.record_form"),
        (wheels.record(FILES) + b"\xff,,\n", "wheel.record_form"),
        (wheels.record(FILES) + b"a\0,,\n", "wheel.record_form"),
    ],
)
def test_a_record_that_proves_nothing_or_says_two_things(listed: bytes, code: str) -> None:
    found = against(wheels.wheel(listed=listed))
    assert found
    assert set(found) == {code}


@pytest.mark.parametrize("algorithm", ["sha384", "sha512", "sha3_256", "blake2b"])
def test_stronger_digests_will_do(algorithm: str) -> None:
    listed = "".join(wheels.row(name, data, algorithm) for name, data in FILES.items()) + f"{FOLDER}RECORD,,\r\n"
    assert against(wheels.wheel(listed=listed.encode())) == []


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_a_record_with_lines_that_only_some_see_is_refused(character: str) -> None:
    """pip takes `/etc/victim` for a file of the project, and deletes it with the project."""
    row = wheels.row(f"a{character}/etc/victim", b"x")
    assert len(row.splitlines()) == 2
    with pytest.raises(BrokenError) as told:
        record.read(wheels.record(FILES) + row.encode())
    assert told.value.reason.code == "wheel.record_form"


def test_no_record_at_all() -> None:
    assert against(wheels.zipped(wheels.members(FILES))) == ["wheel.record_form"]


def test_old_signatures_inside_are_told_and_listed_nowhere() -> None:
    files = {**FILES, f"{FOLDER}RECORD.jws": b"{}", f"{FOLDER}RECORD.p7s": b"0"}
    assert against(wheels.wheel(files, FILES)) == []
    assert told(wheels.wheel(files, FILES)) == {"wheel.record_signed"}
    assert against(wheels.wheel({**FILES, "RECORD.jws": b""}, FILES)) == ["wheel.record_unlisted"]


def test_folders_need_not_be_listed() -> None:
    plain = wheels.members({**FILES, f"{FOLDER}RECORD": wheels.record(FILES)})
    assert against(wheels.zipped([*plain, Member(b"empty/", method=0, mode=0o040755)])) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sample-1.1-py3-none-any.whl", "python.name_differs"),
        ("other-1.0-py3-none-any.whl", "python.name_differs"),
        ("sample.whl", "python.file_name"),
    ],
)
def test_a_wheel_under_another_name(name: str, code: str) -> None:
    assert code in against(wheels.wheel(), name)


def test_spelling_of_names_and_versions_does_not_matter() -> None:
    assert against(wheels.wheel(), "/srv/SAMPLE-1.0.0-py3-none-any.whl") == []


def test_tags_that_differ_are_told() -> None:
    assert told(wheels.wheel(), "sample-1.0-py2-none-any.whl") == {"wheel.tags"}


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({f"{FOLDER}METADATA": None}, "wheel.dist_info"),
        ({f"{FOLDER}WHEEL": None}, "wheel.dist_info"),
        ({"other-1.0.dist-info/METADATA": METADATA}, "wheel.dist_info"),
        ({f"{FOLDER}METADATA": METADATA + b"Name: other\n"}, "python.metadata"),
        ({f"{FOLDER}METADATA": METADATA.replace(b"1.0", b"1.1")}, "python.name_differs"),
        ({f"{FOLDER}WHEEL": WHEEL.replace(b"1.0", b"2.0")}, "wheel.version"),
        ({f"{FOLDER}WHEEL": b"Generator: x\n"}, "python.metadata"),
        ({"other-1.0.data/purelib/x.py": b""}, "wheel.data_folder"),
        ({"sample-1.0.data/elsewhere/x.py": b""}, "wheel.data_folder"),
        ({"sample-1.0.data/x.py": b""}, "wheel.data_folder"),
    ],
)
def test_what_installers_expect(files: dict[str, bytes | None], code: str) -> None:
    assert code in against(wheels.wheel(but(files)))


def test_no_folder_of_metadata_or_one_of_another_project() -> None:
    assert against(wheels.zipped(wheels.members({"a.py": b""}))) == ["wheel.dist_info"]
    renamed = {name.replace("sample-1.0.dist", "other-1.0.dist"): data for name, data in FILES.items()}
    assert against(wheels.wheel(renamed, folder="other-1.0.dist-info/")) == ["wheel.dist_info"]


def test_what_is_no_folder_of_data_may_be_called_so() -> None:
    assert (
        against(wheels.wheel(but({"a.data": b"", "b.dist-info": b"", "sample-1.0.data/scripts/run": b"#!python"})))
        == []
    )


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.pth": b"import os; os.system('true')\n"}, True),
        ({"a.pth": b"# nothing\n\nimport\tos\n"}, True),
        ({"sitecustomize.py": b""}, True),
        ({"sample-1.0.data/purelib/a.pth": b"import os"}, True),
        ({"a.pth": b"\xef\xbb\xbfimport os\n"}, True),  # a mark that Python passes over since 3.12
        ({"a.pth": b"# x\x0cimport os\n"}, True),  # lines end so since 3.13
        ({"a.pth": "# x\u2028import os\n".encode()}, True),
        ({"a.pth": b"\xff\nimport os\n"}, True),
        ({"a.start": b"sample:begin\n"}, True),  # since 3.15
        ({"sitecustomize/__init__.py": b""}, True),
        ({"usercustomize.abi3.so": b"\x7fELF"}, True),
        ({"sample-1.0.data/data/lib/python3.11/site-packages/a.pth": b"import os"}, True),
        ({"sample-1.0.data/data/lib/python3/dist-packages/sitecustomize.py": b""}, True),
        ({"sample-1.0.data/data/pyvenv.cfg": b""}, True),
        ({"sample-1.0.data/scripts/python": b"#!/bin/sh"}, True),
        ({"sample-1.0.data/data/bin/python3.11": b""}, True),
        ({"sample-1.0.data/data/Scripts/pythonw.exe": b""}, True),
        ({f"{FOLDER}entry_points.txt": b"[ console_scripts ]\n# x\n../python3 = a:b\n"}, True),
        ({f"{FOLDER}entry_points.txt": b"[x]\npython = a:b\n[gui_scripts]\npython-x = a:b\n"}, False),
        ({"pyvenv.cfg": b"", "bin/python": b"", "sample-1.0.data/headers/sitecustomize.py": b""}, False),
        ({"a.pth": b"/srv/code\n#import os\n"}, False),
        ({"sub/sitecustomize.py": b"", "sub/a.start": b""}, False),
        ({"sample-1.0.data/data/sitecustomize.py": b"", "sample-1.0.data/scripts/a.start": b"#!"}, False),
        ({"sub/a.pth": b"import os\n"}, False),
        ({"sample-1.0.data/data/a.pth": b"import os\n"}, False),
    ],
)
def test_code_that_runs_at_every_start_is_told(files: dict[str, bytes | None], expected: bool) -> None:  # noqa: FBT001
    assert ("python.start_up" in told(wheels.wheel(but(files)))) is expected


@pytest.mark.parametrize(
    ("files", "codes"),
    [
        (["a.py", "sample-1.0.data/purelib/a.py"], ["wheel.collides"]),
        (["sample-1.0.data/platlib/a.py", "sample-1.0.data/purelib/a.py"], ["wheel.collides"]),
        (["a.py", "sample-1.0.data/data/lib/python3.11/site-packages/a.py"], ["wheel.collides"]),
        ([f"sample-1.0.data/purelib/{FOLDER}RECORD"], ["wheel.collides"]),
        (["sample-1.0.data/scripts/run", "sample-1.0.data/data/bin/run"], ["wheel.collides"]),
        (["a.py", "sample-1.0.data/data/a.py", "sample-1.0.data/headers/a.py", "sample-1.0.data/scripts/a.py"], []),
    ],
)
def test_two_files_for_one_place_are_refused(files: list[str], codes: list[str]) -> None:
    assert against(wheels.wheel(but(dict.fromkeys(files, b"x = 1\n")))) == codes


def test_names_that_some_systems_take_for_one_are_told() -> None:
    assert told(wheels.wheel(but({"A.py": b"", "a.py": b""}))) == {"zip.alike"}


def test_what_is_in_it_is_shown() -> None:
    data = wheels.wheel(but({"x.so": b"\x7fELF", "a.pth": b"import os"}))
    beside = {".publish.attestation": b"{}"}
    facts = dict(FORMAT.facts(Artifact.from_bytes(data, NAME, beside)))
    assert facts["name"] == "sample"
    assert facts["native code"] == "1 file"
    assert facts["at start-up"] == "a.pth"
    assert ".publish.attestation" in facts["beside it"]
    assert "beside it" not in dict(FORMAT.facts(Artifact.from_bytes(data, NAME, {})))


@pytest.mark.parametrize(("limit", "code"), [
    ("PYTHON_METADATA_MAX", "zip.data"), ("PYTHON_RECORD_MAX", "zip.data"), ("ZIP_ENTRIES_MAX", "zip.directory"),
])  # fmt: skip
def test_limits(limit: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, limit, 3)
    assert against(wheels.wheel()) == [code]


@given(st.integers(0, 900), st.binary(min_size=1, max_size=4))
def test_no_change_passes_unnoticed_or_crashes(place: int, piece: bytes) -> None:
    """Every byte is bound by something, but for times and attributes of members, which RECORD does not list."""
    data = wheels.wheel()
    changed = data[:place] + piece + data[place + len(piece) :]
    try:
        found = against(changed)
    except MalformedError:
        return
    if not found:
        assert content(changed) == content(data)


def content(data: bytes) -> dict[str, bytes]:
    found = archive.read(BytesView(data))
    return {name: b"".join(found.content(member)) for name, member in found.members.items()}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_none(data: bytes) -> None:
    try:
        rows = record.read(data)
    except BrokenError:
        return
    assert all(len(row.digest) == record.ALGORITHMS.get(row.algorithm, 0) for row in rows.values())
