"""The law about errors that every fuzz target is asked about."""

from __future__ import annotations

from contextlib import suppress

import pytest

from chopmark.core.errors import ChopmarkError, MalformedError
from tests.fuzz import errors


class ProudError(MalformedError):
    """Says what it quotes as it is."""

    def __str__(self) -> str:
        return str(self.args[0])


def proud(data: bytes) -> None:
    """Nobody sees the error."""
    with suppress(ChopmarkError):
        raise ProudError(data.decode())


def legible(data: bytes) -> None:
    with suppress(ChopmarkError):
        raise MalformedError(data.decode())


@pytest.mark.parametrize("said", ["\x1b[2J", "one\ntwo", ""])
def test_an_error_that_cannot_be_shown_is_a_find(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChopmarkError, "__init__", ChopmarkError.__init__)
    law = errors.legible(proud)
    law(b"plain")
    with pytest.raises(AssertionError, match="ProudError"):
        law(said.encode())
    law(b"plain again")


def test_what_errors_quote_is_made_legible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChopmarkError, "__init__", ChopmarkError.__init__)
    errors.legible(legible)(b"one\ntwo\x1b")
