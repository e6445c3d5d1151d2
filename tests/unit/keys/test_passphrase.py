"""Where passphrases come from, and where they do not."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest

from chopmark import keys
from chopmark.core.errors import UsageError
from chopmark.keys import passphrase
from chopmark.keys.errors import PassphraseError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def test_from_a_descriptor_comes_the_first_line_alone(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"first\r\nsecond\n")
    source = keys.secret(f"fd:{reading}")
    assert source("key") == b"first"
    assert source("key") == b"first"
    assert keys.secret(f"fd:{reading}")("key") == b"second"


def test_without_a_newline_the_end_is_the_end(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, "pässword ".encode())
    os.close(writing)
    assert keys.secret(f"fd:{reading}")("key") == "pässword ".encode()


def test_descriptors_that_give_nothing(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.close(writing)
    with pytest.raises(PassphraseError):
        keys.secret(f"fd:{reading}")("key")
    with pytest.raises(PassphraseError, match="fd:999"):
        keys.secret("fd:999")("key")


def test_an_endless_line_is_refused(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.write(writing, b"x" * 10_000)
    with pytest.raises(PassphraseError):
        keys.secret(f"fd:{reading}")("key")


def test_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNING_PASSPHRASE", "open")
    source = keys.secret("env:SIGNING_PASSPHRASE")
    assert source("key") == b"open"
    monkeypatch.delenv("SIGNING_PASSPHRASE")
    with pytest.raises(PassphraseError, match="SIGNING_PASSPHRASE"):
        source("key")


@pytest.mark.parametrize("literal", ["hunter2", "", "pass:hunter2", "env:", "fd:x", "env:hunter 2", "file:hunter2"])
def test_a_literal_is_refused_and_not_repeated(literal: str) -> None:
    with pytest.raises(UsageError, match="never goes on the command line") as caught:
        keys.secret(literal)
    assert "hunter" not in str(caught.value)


def test_nobody_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert keys.secret(None)("key") is None
    real = os.open

    def no_terminal(path: str, flags: int, mode: int = 0o777) -> int:
        if path == "/dev/tty":
            raise OSError(6, "No such device or address")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", no_terminal)
    with pytest.raises(PassphraseError, match="no terminal"):
        keys.secret("prompt")("key")


def test_a_new_passphrase_is_asked_for_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([b"open", b"open", b"open", b"shut", b"", b""])
    monkeypatch.setattr(passphrase, "_prompt", lambda _: next(answers))
    assert keys.new_secret("prompt")("key") == b"open"
    with pytest.raises(PassphraseError, match="differ"):
        keys.new_secret("prompt")("key")
    with pytest.raises(PassphraseError, match="empty"):
        keys.new_secret("prompt")("key")


def test_a_new_passphrase_from_elsewhere_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEW_PASSPHRASE", "open")
    assert keys.new_secret("env:NEW_PASSPHRASE")("key") == b"open"
    monkeypatch.setenv("NEW_PASSPHRASE", "")
    with pytest.raises(PassphraseError, match="empty"):
        keys.new_secret("env:NEW_PASSPHRASE")("key")


def test_no_source_at_all() -> None:
    assert keys.nothing("key") is None
