"""The version resource: read from a real image, and never more than an error when it is broken."""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.artifact import Artifact, View
from chopmark.core.contracts import Describes
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import MalformedError
from chopmark.formats.pe import FORMAT, describing, image, version
from tests.support import drivers
from tests.support.desk import SAMPLES

REAL = drivers.launcher()
RESOURCES = REAL.find("VS_VERSION_INFO".encode("utf-16-le"))


def view(data: bytes) -> View:
    return Artifact.from_bytes(data, "driver.sys").view


def test_names_and_version_are_read() -> None:
    strings, number = version.read(view(REAL))
    assert strings["OriginalFilename"] == "w64.exe"
    assert strings["InternalName"] == "w64.exe"
    assert number == (1, 1, 0, 14)


def test_an_image_without_resources_has_none() -> None:
    assert version.read(view(SAMPLES["pe"].read_bytes())) == ({}, None)


def test_a_driver_is_known_by_its_subsystem() -> None:
    for data, kernel in ((REAL, False), (drivers.driver(), True)):
        with Artifact.from_bytes(data) as artifact:
            described = describing.describe(artifact)
            assert described.kernel is kernel
            assert described.readable
            assert described.version == (1, 1, 0, 14)


def test_lists_know_an_image_by_what_a_signature_covers() -> None:
    assert isinstance(FORMAT, Describes)
    with Artifact.from_bytes(REAL) as artifact:
        described = FORMAT.describe(artifact)
        from chopmark.core.contracts import SealOptions

        own = FORMAT.recipe(artifact, SealOptions())
        [signed] = FORMAT.digest(artifact, [own])
        assert signed.value in {payload.value for payload in hash_ranges(artifact.view, described.recipes)}
        assert {recipe.algorithm for recipe in described.recipes} == {"sha1", "sha256", "sha384", "sha512"}


def test_the_first_page_is_that_of_page_hashes() -> None:
    from chopmark.formats.pe import pages

    data = SAMPLES["pe"].read_bytes()
    with Artifact.from_bytes(data) as artifact:
        described = describing.describe(artifact)
        table = pages.Pages(artifact.view, image.read(artifact.view), "sha256")
        table.feed(0, data)
        first = table.table()[4:36]
        assert first in {payload.value for payload in hash_ranges(artifact.view, described.recipes)}


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (-6, struct.pack("<H", 5)),
        (-6, struct.pack("<H", 0xFFFF)),
        (0, "XS_VERSION_INFO".encode("utf-16-le")),
        (34, struct.pack("<I", 0)),
    ],
)
def test_a_broken_resource_is_an_error_in_a_line(offset: int, value: bytes) -> None:
    at = RESOURCES + offset
    broken = REAL[:at] + value + REAL[at + len(value) :]
    with pytest.raises(MalformedError):
        version.read(view(broken))
    with Artifact.from_bytes(broken) as artifact:
        assert not describing.describe(artifact).readable


@given(st.lists(st.tuples(st.integers(-400, 1500), st.integers(0, 255)), min_size=1, max_size=8))
@settings(max_examples=150)
def test_no_change_does_anything_but_refuse(changes: list[tuple[int, int]]) -> None:
    data = bytearray(REAL)
    for position, value in changes:
        data[RESOURCES + position] = value
    try:
        strings, _ = version.read(view(bytes(data)))
    except MalformedError:
        return
    assert all(isinstance(text, str) for text in strings.values())


@given(st.integers(0, len(REAL)))
@settings(max_examples=60)
def test_no_truncation_does_anything_but_refuse(size: int) -> None:
    try:
        version.read(view(REAL[:size]))
    except MalformedError:
        return


@given(st.binary(max_size=300))
def test_no_resource_does_anything_but_refuse(data: bytes) -> None:
    for raw in (data, struct.pack("<HHH", 300, 52, 0) + "VS_VERSION_INFO\0".encode("utf-16-le") + data):
        with contextlib.suppress(MalformedError):
            strings, _ = version._parsed(raw)  # noqa: SLF001 - without an image around it
            assert all(isinstance(text, str) for text in strings.values())
