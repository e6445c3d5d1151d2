"""TOML of others: whatever is no such thing is one kind of error."""

from __future__ import annotations

import pytest

from chopmark.core import toml


def test_tables_are_read() -> None:
    assert toml.loads(b'a = "\xc3\xa4"\n[t]\nn = [9223372036854775807, {m = -9223372036854775808}]\nb = true\n') == {
        "a": "\u00e4",
        "t": {"n": [2**63 - 1, {"m": -(2**63)}], "b": True},
    }


@pytest.mark.parametrize(
    "data",
    [
        b"a",
        b"a = '\xff'",
        b"a = 9223372036854775808",
        b"a = -9223372036854775809",
        b"a = " + b"1" * 5000,
        b"[t]\na = [{b = 0x" + b"f" * 5000 + b"}]",
        b"a = " + b"[" * 100_000,
    ],
)
def test_what_is_none_is_one_kind_of_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        toml.loads(data)


@pytest.mark.parametrize("number", [b"1" * 5000, b"0x" + b"f" * 5000, b"9223372036854775808"])
def test_a_huge_number_is_called_that(number: bytes) -> None:
    with pytest.raises(ValueError, match="64 bits"):
        toml.loads(b"a = " + number)
