"""Payloads held against headers: every difference is named, and nothing is unpacked beyond what packages hold."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import BytesView
from chopmark.core.errors import BrokenError, MalformedError
from chopmark.formats.rpm import contents, cpio, files, package, tags
from tests.support import rpms
from tests.support.rpms import File

FILES = [
    File("/etc/tool.conf", b"x", flags=rpms.CONFIG),
    File("/usr/bin", mode=rpms.FOLDER),
    File("/usr/bin/one", b"content", inode=5),
    File("/usr/bin/two", b"content", inode=5),
    File("/usr/lib/empty"),
    File("/usr/lib/link", mode=rpms.LINK, target="../bin/one"),
    File("/var/lib/state", flags=rpms.GHOST),
]


def compared(data: bytes) -> contents.Compared:
    view = BytesView(data)
    return contents.compare(view, package.read(view))


def with_payload(files: list[File], payload: list[File], *, stripped: bool = False) -> bytes:
    """A header of some files before a payload of others."""
    packed = gzip.compress(rpms.cpio(payload, stripped=stripped), mtime=0)
    return rpms.packed(rpms.values(files, packed).values(), packed)


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        compared(data)
    return told.value.reason.code


@pytest.mark.parametrize("how", rpms.PACK)
@pytest.mark.parametrize("stripped", [False, True])
def test_files_are_as_the_header_says(how: str, *, stripped: bool) -> None:
    assert compared(rpms.rpm(FILES, how=how, stripped=stripped)) == contents.Compared(len(FILES), ())


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha384", "sha512", "sha3_256"])
def test_files_have_digests_of_many_kinds(algorithm: str) -> None:
    assert compared(rpms.rpm(FILES, algorithm=algorithm)).differing == ()


@pytest.mark.parametrize(
    ("number", "other"),
    [
        (0, File("/etc/tool.conf", b"y")),
        (0, File("/etc/tool.conf", b"xx")),
        (0, File("/etc/tool.conf", b"x", mode=0o104755)),
        (1, File("/usr/bin", mode=rpms.LINK, target="/tmp")),
        (3, File("/usr/bin/two", b"CONTENT", inode=5)),
        (4, File("/usr/lib/empty", b"not")),
        (5, File("/usr/lib/link", mode=rpms.LINK, target="../bin/tw0")),
    ],
)
def test_files_that_are_others_are_named(number: int, other: File) -> None:
    changed = [*FILES[:number], other, *FILES[number + 1 :]]
    assert compared(with_payload(FILES, changed)).differing == (other.path[1:],)


def test_missing_and_further_files_are_named() -> None:
    assert compared(with_payload(FILES, FILES[1:])).differing == ("etc/tool.conf",)
    assert compared(with_payload(FILES, [*FILES, File("/usr/bin/evil", b"x")])).differing == ("usr/bin/evil",)
    assert compared(with_payload(FILES, [*FILES, FILES[0]])).differing == ("etc/tool.conf",)
    assert compared(with_payload(FILES, [*FILES[:-1], File("/var/lib/state", b"x")])).differing == ("var/lib/state",)
    assert refused(with_payload(FILES, [*FILES, File("/x", b"x")], stripped=True)) == "rpm.payload_form"


PLAIN = rpms.cpio(FILES[:1])


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        PLAIN[:-1],
        PLAIN[:50],
        PLAIN + b"x",
        PLAIN[: PLAIN.index(b"TRAILER") - 110],
        b"070707" + PLAIN[6:],
        b"070701zz" + PLAIN[8:],
        PLAIN[:94] + b"00000000" + PLAIN[102:],
        PLAIN.replace(b"./etc/tool.conf\0", b"./etc/tool.con\0f"),
        PLAIN.replace(b"x\0\0\0", b"x\0\0y"),
        b"07070Xffffffff\0\0",
        b"07070X0000000\0\0\0",
    ],
    ids=range(12),
)
def test_archives_that_rpm_does_not_write(payload: bytes) -> None:
    packed = gzip.compress(payload)
    assert refused(rpms.packed(rpms.values(FILES[:1], packed).values(), packed)) == "rpm.payload_form"


def test_damaged_and_unknown_compression() -> None:
    good = rpms.rpm(FILES)
    with pytest.raises(MalformedError):
        compared(good[:-3])
    said = rpms.values(FILES, b"x", packed="lzip")
    assert refused(rpms.packed(said.values(), b"x")) == "format.compression_unsupported"
    said = {**rpms.values(FILES, b"x"), tags.PAYLOAD_FORMAT: rpms.text(tags.PAYLOAD_FORMAT, "ustar")}
    assert refused(rpms.packed(said.values(), b"x")) == "format.compression_unsupported"


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    good = rpms.rpm(FILES)
    monkeypatch.setattr(limits, "RPM_PAYLOAD_MAX", 100)
    assert refused(good) == "format.unpacked_too_large"
    monkeypatch.undo()
    monkeypatch.setattr(limits, "RPM_FILES_MAX", len(FILES) - 1)
    assert refused(good) == "rpm.file_list"
    monkeypatch.setattr(limits, "RPM_FILES_MAX", len(FILES) - 2)
    with pytest.raises(BrokenError):
        list(cpio.items([rpms.cpio(FILES)], "sha256", lambda _: 0))
    monkeypatch.undo()
    monkeypatch.setattr(limits, "TAR_NAME_MAX", 5)
    assert refused(good) == "rpm.payload_form"
    monkeypatch.undo()
    monkeypatch.setattr(limits, "RPM_LINK_MAX", 4)
    assert compared(good).differing == ("usr/lib/link",)


# The list of files in the header


def listed(**changes: object) -> list[files.Listed]:
    said = rpms.values(FILES, b"x")
    for tag, value in changes.items():
        number = getattr(tags, tag)
        if value is None:
            said.pop(number)
        else:
            said[number] = value  # type: ignore[assignment]
    front = rpms.lead(kind=int(tags.SOURCE_RPM not in said))
    return files.listed(package.read(BytesView(rpms.packed(said.values(), b"x", front=front))).header)


def test_what_files_must_be() -> None:
    found = listed()
    assert [each.path.decode() for each in found] == [each.path[1:] for each in FILES]
    assert [each.is_file for each in found] == [True, False, True, True, True, False, True]
    assert [each.is_link for each in found] == [False] * 5 + [True, False]
    assert [each.is_ghost for each in found] == [False] * 6 + [True]
    assert (found[0].flags & files.CONFIG, found[5].target, found[2].links) == (1, b"../bin/one", found[3].links)
    assert len({each.links for each in listed(FILE_DEVICES=None, FILE_INODES=None)}) == len(FILES)
    whole = rpms.texts(tags.OLD_FILE_NAMES, [each.path for each in FILES])
    old = listed(OLD_FILE_NAMES=whole, BASE_NAMES=None, DIRECTORIES=None, DIRECTORY_INDEXES=None)
    assert [each.path for each in old] == [each.path for each in found]
    source = rpms.texts(tags.DIRECTORIES, [""] * 5), rpms.texts(tags.BASE_NAMES, list("abcdefg"))
    assert len(listed(DIRECTORIES=source[0], BASE_NAMES=source[1], SOURCE_RPM=None)) == len(FILES)
    large = rpms.numbers(tags.LONG_FILE_SIZES, [1 << 40] * 7, tags.INT64)
    assert listed(LONG_FILE_SIZES=large)[0].size == 1 << 40


@pytest.mark.parametrize(
    "changes",
    [
        {"FILE_MODES": rpms.numbers(tags.FILE_MODES, [1] * 6, tags.INT16)},
        {"FILE_SIZES": None},
        {"FILE_INODES": None},
        {"FILE_DIGESTS": rpms.texts(tags.FILE_DIGESTS, ["0" * 63] * 7)},
        {"FILE_DIGESTS": rpms.texts(tags.FILE_DIGESTS, ["x" * 64] * 7)},
        {"FILE_DIGEST_ALGORITHM": rpms.numbers(tags.FILE_DIGEST_ALGORITHM, [3])},
        {"FILE_DIGEST_ALGORITHM": None},
        {"DIRECTORY_INDEXES": rpms.numbers(tags.DIRECTORY_INDEXES, [99] * 7)},
        {"DIRECTORY_INDEXES": None},
        {"BASE_NAMES": rpms.texts(tags.BASE_NAMES, ["a"] * 7)},
        {"BASE_NAMES": rpms.texts(tags.BASE_NAMES, ["..", *"abcdef"])},
        {"BASE_NAMES": rpms.texts(tags.BASE_NAMES, ["a/../b", *"abcdef"])},
        {"BASE_NAMES": rpms.texts(tags.BASE_NAMES, ["a//b", *"abcdef"])},
        {"OLD_FILE_NAMES": rpms.texts(tags.OLD_FILE_NAMES, list("abcdefg"))},
        {"DIRECTORIES": rpms.texts(tags.DIRECTORIES, ["/etc/", "usr/", "/usr/bin/", "/usr/lib/", "/var/lib/"])},
    ],
    ids=range(15),
)
def test_lists_that_contradict_themselves(changes: dict[str, object]) -> None:
    with pytest.raises(BrokenError) as told:
        listed(**changes)
    assert told.value.reason.code == "rpm.file_list"


@given(st.binary(max_size=300))
def test_any_archive_is_read_or_refused(data: bytes) -> None:
    try:
        found = list(cpio.items([data], "sha256", lambda number: number % 7))
    except BrokenError:
        return
    assert sum(each.size for each in found) <= len(data)
