"""How wheels and sdists are named, and what they say of themselves."""

from __future__ import annotations

import email
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core.errors import BrokenError
from chopmark.core.versions import Release
from chopmark.formats._python import metadata, naming
from chopmark.formats._python.naming import Named


def test_names_of_wheels() -> None:
    assert naming.wheel("/x-y/Foo_bar-1.0-py2.py3-none-any.whl") == Named(
        "Foo_bar", "1.0", frozenset({"py2-none-any", "py3-none-any"})
    )
    named = naming.wheel("a.b-2!1.0rc1.post2+cpu.1-7b-cp311-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    assert named is not None
    assert named[:2] == ("a.b", "2!1.0rc1.post2+cpu.1")
    assert len(named.tags) == 2


@pytest.mark.parametrize(
    "name",
    [
        *("x.whl", "a-1.0.whl", "a-1.0-py3-none.whl", "a-1.0-x-py3-none-any.whl", "a-1.0-1-2-py3-none-any.whl", ".whl"),
        *("a-one-py3-none-any.whl", "-1.0-py3-none-any.whl", "a_-1.0-py3-none-any.whl", "a-1.0-py3-none-any.WHL"),
        *("a-1.0-py3-none-a/b.whl", "a-1.0-py3..py2-none-any.whl", "a-1.0-py3-none-any.zip"),
        "\u00e9-1.0-py3-none-any.whl",
    ],
)  # fmt: skip
def test_what_no_installer_takes_for_a_wheel(name: str) -> None:
    assert naming.wheel(name) is None


@pytest.mark.parametrize(("name", "expected"), [
    ("python-dateutil-2.9.0.post0.tar.gz", ("python-dateutil", "2.9.0.post0")),
    ("/srv/six-1.16.0.tar.gz", ("six", "1.16.0")),
    ("six-1.16.0.zip", None), ("six.tar.gz", None), ("six-x.tar.gz", None), (".tar.gz", None), ("-1.tar.gz", None),
])  # fmt: skip
def test_names_of_sdists(name: str, expected: tuple[str, str] | None) -> None:
    assert naming.sdist(name) == (Named(*expected) if expected else None)


def test_projects_and_versions_are_compared_as_pip_does() -> None:
    named = Named("Zope.Interface", "1.0.0")
    assert naming.same(named, "zope-interface", "1.0")
    assert naming.same(named, "zope__interface", "v1")
    assert not naming.same(named, "zopeinterface", "1.0")
    assert not naming.same(named, "zope.interface", "1.0.1")
    assert not naming.same(named, "zope.interface", "one")


def test_fields_end_where_python_ends_them() -> None:
    said = metadata.read(b"Name: a\r\nSummary: b\r\n  c\nno field\nVersion: 1\n\nName: other\n")
    assert said.only("name") == "a"
    assert said.all("Summary") == ("b\n  c",)
    assert said.all("Version") == ()


@pytest.mark.parametrize(
    "data",
    [b"", b"Version: 1\n", b"Name: a\nName: a\nVersion: 1\n", b"Name:\nVersion: 1\n", b" Name: a\nVersion: 1\n",
     b"\nName: a\nVersion: 1\n", b"Name: \xff\nVersion: 1\n", b"Name: a\rName: b\nVersion: 1\n",
     b"Name: a\x0bName: b\nVersion: 1\n", b"Name: a\xe2\x80\xa8Name: b\nVersion: 1\n"],
)  # fmt: skip
def test_metadata_that_does_not_say_who_it_is(data: bytes) -> None:
    with pytest.raises(BrokenError) as told:
        metadata.release(metadata.read(data))
    assert told.value.reason.code == "python.metadata"


def test_a_release_is_numbered_as_python_does() -> None:
    assert metadata.release(metadata.read(b"Name: A_b\nVersion: 1.0\n")) == Release("a-b", "1.0", "python")
    assert metadata.release(metadata.read(b"Name: a\nVersion: 2004d\n")) is None


_LINES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["Name", "Version", "X"]), st.text(string.ascii_letters + " \t:", max_size=9)).map(
            lambda pair: f"{pair[0]}: {pair[1]}"
        ),
        st.text(string.ascii_letters + " \t:-", max_size=12),
    )
)


@given(_LINES, st.sampled_from(["\n", "\r\n"]))
def test_fields_are_those_that_pythons_own_parser_finds(lines: list[str], ending: str) -> None:
    text = f"X: first{ending}" + ending.join(lines) + ending
    said, theirs = metadata.read(text.encode()), email.message_from_bytes(text.encode())
    for name in ("Name", "Version"):
        assert [" ".join(value.split()) for value in said.all(name)] == [
            " ".join(value.split()) for value in theirs.get_all(name, [])
        ]
