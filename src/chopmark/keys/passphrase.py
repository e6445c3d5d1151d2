"""Passphrases: from a prompt, a file descriptor or the environment, never from the command line."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable

from chopmark.core.errors import UsageError
from chopmark.keys.errors import PassphraseError

Passphrase = Callable[[str], bytes | None]
"""Asked with a few words on what it is for ("key.pem"); answers the passphrase, or None when there is none."""

SOURCES = "prompt, fd:N or env:NAME"
UNSAID = f"say where its passphrase comes from (--passphrase {SOURCES}; --key-passphrase beside a CA's)"
"""What is told of a key that wants a passphrase when no source is known."""
_LENGTH_MAX = 4096


def nothing(what: str) -> bytes | None:  # noqa: ARG001 - the shape of every source
    """A source for keys that need no passphrase."""
    return None


def secret(spec: str | None) -> Passphrase:
    """The source that a specification names: `prompt`, `fd:N` (its first line), `env:NAME`.

    None prompts when a person is there, and otherwise has no passphrase. Anything else is refused without being
    repeated: it may be the passphrase itself. Raises UsageError, and PassphraseError once asked.
    """
    if spec is None:
        return _prompt_if_interactive
    if spec == "prompt":
        return _prompt
    if match := re.fullmatch(r"fd:(\d{1,5})", spec):
        return _Descriptor(int(match[1]))
    if match := re.fullmatch(r"env:([A-Za-z_][A-Za-z0-9_]*)", spec):
        return _Variable(match[1])
    message = f"a passphrase never goes on the command line, where others can read it: say {SOURCES}"
    raise UsageError(message)


def new_secret(spec: str | None) -> Passphrase:
    """Like `secret`, for a passphrase that is being chosen: a prompt asks twice, and empty is refused."""
    source = secret(spec)

    def chosen(what: str) -> bytes | None:
        passphrase = source(what)
        if (
            source in (_prompt, _prompt_if_interactive)
            and passphrase is not None
            and _prompt(f"{what}, again") != passphrase
        ):
            message = "the two passphrases differ"
            raise PassphraseError(message)
        if passphrase == b"":
            message = "an empty passphrase protects nothing"
            raise PassphraseError(message)
        return passphrase

    return chosen


def _prompt(what: str) -> bytes:
    from getpass import getpass

    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        message = f"{what}: there is no terminal to ask for the passphrase at: say fd:N or env:NAME"
        raise PassphraseError(message) from None
    try:
        return os.fsencode(getpass(f"Passphrase for {what}: "))
    except EOFError:
        message = f"{what}: no passphrase was entered"
        raise PassphraseError(message) from None


def _prompt_if_interactive(what: str) -> bytes | None:
    return _prompt(what) if sys.stdin and sys.stdin.isatty() else None


class _Descriptor:
    """The first line of an open file descriptor, read once however often it is asked for."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._line: bytes | None = None

    def __call__(self, what: str) -> bytes:
        if self._line is None:
            self._line = self._read(what)
        return self._line

    def _read(self, what: str) -> bytes:
        line = b""
        try:
            # Byte by byte: what follows the line may be meant for somebody else.
            while len(line) <= _LENGTH_MAX and not line.endswith(b"\n"):
                octet = os.read(self._number, 1)
                if not octet:
                    break
                line += octet
        except OSError as error:
            message = f"{what}: the passphrase cannot be read from fd:{self._number} ({os.strerror(error.errno or 0)})"
            raise PassphraseError(message) from None
        if not line or len(line) > _LENGTH_MAX:
            message = f"{what}: there is no passphrase in fd:{self._number}, or it is endless"
            raise PassphraseError(message)
        return line.removesuffix(b"\n").removesuffix(b"\r")


class _Variable:
    """An environment variable."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, what: str) -> bytes:
        value = os.environb.get(self._name.encode())
        if value is None:
            message = f"{what}: the environment has no {self._name} to take the passphrase from"
            raise PassphraseError(message)
        return value
