"""Public keys in files: one as `ssh-keygen` writes it (`id.pub`), or a list of allowed signers (ssh-keygen(1))."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.signer import PublicKey, Terms
from chopmark.envelopes import algorithms
from chopmark.envelopes.ssh import keys
from chopmark.envelopes.ssh.sshsig import KIND

if TYPE_CHECKING:
    from collections.abc import Iterator

_KIND = re.compile(r"(?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+")
_OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?(?:,|$)')
_TIME = re.compile(r"([0-9]{8})([0-9]{4}(?:[0-9]{2})?)?(Z?)")
_BLANK = " \t\r"
"""What stands between words for ssh-keygen. Only a line feed ends a line: Unicode's other ends of lines are text."""


def public_keys(data: bytes) -> list[PublicKey] | None:
    """The keys in a file with public keys or allowed signers; None when the bytes are no such file.

    Certificates are no keys to trust and are refused. Raises MalformedError with the number of the line.
    """
    if len(data) > limits.STORE_FILE_MAX or b"\0" in data or not _resembling(data):
        return None
    found = []
    for number, line in _lines(data):
        try:
            found.append(_key(line))
        except MalformedError as error:
            raise MalformedError(f"line {number}: {error}") from None
    return found or None


def _resembling(data: bytes) -> bool:
    """Whether the first line that says something has a kind of key among its first three words."""
    for _, line in _lines(data):
        return any(_KIND.fullmatch(word) for word in _words(line)[:3])
    return False


def _lines(data: bytes) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        text = line.strip(_BLANK)
        if text and not text.startswith("#"):
            yield number, text


def _words(line: str) -> list[str]:
    """Separated by blanks, except inside quotes."""
    return re.findall(rf'(?:[^{_BLANK}"]|"[^"]*")+', line)


def _key(line: str) -> PublicKey:
    words = _words(line)
    place = next((at for at, word in enumerate(words[:3]) if _KIND.fullmatch(word)), None)
    if place is None or len(words) < place + 2:
        raise MalformedError("no public key")
    try:
        key = keys.read(base64.b64decode(words[place + 1], validate=True))
    except (binascii.Error, ValueError):
        raise MalformedError("not base64") from None
    except algorithms.UnsupportedError as error:
        raise MalformedError(str(error)) from None
    if key.kind != words[place] or key.certificate is not None:
        raise MalformedError(f"the key is not a plain {words[place]}")
    name = words[0].strip('"') if place else " ".join(words[place + 2 :])
    terms = _terms(words[1]) if place == 2 else Terms()
    terms = terms._replace(principals=tuple(name.split(",")) if place else ())
    return PublicKey(KIND, key.blob, key.blob, f"{name or key.kind} ({key.shown})", terms)


def _terms(text: str) -> Terms:
    """The options of a line, each once; an unknown one is refused, because it may have been meant to limit trust."""
    terms, at = Terms(), 0
    seen: set[str] = set()
    while at < len(text):
        match = _OPTION.match(text, at)
        if match is None or match.end() == at:
            raise MalformedError(f"options that cannot be read: {text[at : at + 64]!r}")
        at = match.end()
        name, value = match[1], match[2]
        if name in seen:
            raise MalformedError(f"the option {name!r} twice")
        seen.add(name)
        if name == "cert-authority" and value is None:
            terms = terms._replace(authority=True)
        elif name == "namespaces" and value:
            terms = terms._replace(namespaces=tuple(value.split(",")))
        elif name == "valid-after" and value:
            terms = terms._replace(valid_after=_time(value))
        elif name == "valid-before" and value:
            terms = terms._replace(valid_before=_time(value))
        else:
            raise MalformedError(f"an unknown option {name!r}")
    return terms


def _time(text: str) -> dt.datetime:
    """YYYYMMDD, or with HHMM or HHMMSS; in UTC with a Z, else in local time, as ssh-keygen has it."""
    match = _TIME.fullmatch(text)
    if match is None:
        raise MalformedError(f"not a time: {text!r}")
    try:
        moment = dt.datetime.strptime(match[1] + (match[2] or "0000").ljust(6, "0"), "%Y%m%d%H%M%S")  # noqa: DTZ007
    except ValueError:
        raise MalformedError(f"not a time: {text!r}") from None
    return moment.replace(tzinfo=dt.UTC) if match[3] else moment.astimezone(dt.UTC)
