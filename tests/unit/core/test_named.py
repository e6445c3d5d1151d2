"""chopmark.core.named: the tuples are those that typing makes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import typing
from typing import Any

import pytest

from chopmark.core.named import NamedTuple


class Ours(NamedTuple):
    """A place."""

    line: int
    column: int = 1
    file: str = ""

    @property
    def shown(self) -> str:
        return f"{self.file}:{self.line}"

    @classmethod
    def first(cls) -> Ours:
        return cls(1)


class Typings(typing.NamedTuple):
    """A place."""

    line: int
    column: int = 1
    file: str = ""


KINDS = (Ours, Typings)


@pytest.mark.parametrize("kind", KINDS)
def test_what_named_tuples_do(kind: type[Ours]) -> None:
    one = kind(3, file="a")
    assert (one.line, one.column, one.file) == one == (3, 1, "a")
    assert one._replace(column=7) == kind(3, 7, "a")
    assert type(one._replace(column=7)) is kind
    assert one._asdict() == {"line": 3, "column": 1, "file": "a"}
    assert kind._make([4, 5, "b"]) == kind(4, 5, "b")
    assert kind._fields == ("line", "column", "file") == kind.__match_args__
    assert kind._field_defaults == {"column": 1, "file": ""}
    assert repr(one) == f"{kind.__name__}(line=3, column=1, file='a')"
    assert kind.__doc__ == "A place."
    assert hash(one) == hash((3, 1, "a"))
    assert isinstance(one, tuple)
    assert not hasattr(one, "__dict__")
    match one:
        case kind(line, _, file=name):
            assert (line, name) == (3, "a")


@pytest.mark.parametrize("kind", KINDS)
def test_copies_are_equal_and_of_the_same_class(kind: type[Ours]) -> None:
    one = kind(3, file="a")
    for other in (pickle.loads(pickle.dumps(one)), copy.copy(one), copy.deepcopy(one)):  # noqa: S301 - just made
        assert other == one
        assert type(other) is kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("given", "named"), [((), {}), ((1, 2, "", 4), {}), ((1,), {"line": 1}), ((1,), {"other": 1})], ids=str
)
def test_wrong_arguments_are_refused(kind: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:  # noqa: ANN401
    with pytest.raises(TypeError):
        kind(*given, **named)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_field_is_refused(kind: Any) -> None:  # noqa: ANN401
    one = kind(1)
    with pytest.raises((TypeError, ValueError)):
        one._replace(other=1)
    with pytest.raises(TypeError):
        kind._make([1, 2])
    with pytest.raises(AttributeError):
        one.line = 2
    with pytest.raises(AttributeError):
        one.other = 2


def test_what_a_class_adds_stays() -> None:
    assert Ours.first() == (1, 1, "")
    assert Ours(3, file="a").shown == "a:3"


def test_no_named_tuple_of_typing_is_made_on_the_way_to_a_verdict() -> None:
    """Each would take ten times as long to make as one of ours."""
    program = (
        "import typing\n"
        "def made(*_): raise SystemExit('made by typing')\n"
        "typing.NamedTupleMeta.__new__ = made\n"
        "import chopmark.cli.verify, chopmark.engine.identify, chopmark.trust.judge, chopmark.trust.stores.store\n"
        "chopmark.engine.identify.formats()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
