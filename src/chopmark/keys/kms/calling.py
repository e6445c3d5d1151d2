"""Calling a service over HTTPS: again after a failure that passes, bounded, and one clear error in the end."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.keys.errors import UnusableKeyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chopmark.core.contracts import HttpAnswer, Web

_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404
_DENIED = frozenset({401, 403})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SAID_MAX = 200


class Request(NamedTuple):
    """One request as it is sent; made anew for each attempt, because some are signed with the time."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    direct: bool = False


class Fault(NamedTuple):
    """What a service says went wrong: its code, its words, and whether trying again may help."""

    code: str
    text: str
    passing: bool = False


class Caller:
    """Makes requests to one service. `secrets` never appear in an error, whatever the service repeats."""

    def __init__(
        self,
        web: Web,
        name: str,
        fault: Callable[[Mapping[str, Any]], Fault],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`name` is for people, `fault` reads an error from a JSON body."""
        self._web = web
        self._name = name
        self._fault = fault
        self._sleep = sleep
        self.secrets: list[str] = []

    def json(self, prepare: Callable[[], Request]) -> dict[str, Any]:
        """The JSON object of the answer.

        Raises UnavailableError when the service does not answer, or not as it should; UnusableKeyError when it says no.
        """
        answer = self.answer(prepare)
        found = _object(answer.body)
        if found is None:
            message = f"{self._name}: the answer is not a JSON object"
            raise UnavailableError(message)
        return found

    def answer(self, prepare: Callable[[], Request]) -> HttpAnswer:
        """A good answer; as `json` otherwise."""
        deadline = time.monotonic() + limits.KMS_SECONDS
        for attempt in range(limits.KMS_ATTEMPTS):
            left = deadline - time.monotonic()
            try:
                return self._attempt(prepare(), min(limits.HTTP_TIMEOUT, max(left, 0.1)))
            except _PassingError as error:
                pause = error.pause or random.uniform(0.5, 1.0) * limits.KMS_PAUSE * 2**attempt  # noqa: S311 - a pause
                if attempt == limits.KMS_ATTEMPTS - 1 or time.monotonic() + pause > deadline:
                    message = f"{self._name}: {error} ({attempt + 1} attempts)"
                    raise UnavailableError(message) from None
                self._sleep(pause)
        raise AssertionError

    def _attempt(self, request: Request, timeout: float) -> HttpAnswer:
        url = secure(request.url, direct=request.direct)
        try:
            answer = self._web.exchange(
                request.method,
                url,
                headers=request.headers,
                body=request.body,
                limit=limits.KMS_ANSWER_MAX,
                timeout=timeout,
                direct=request.direct,
            )
        except UnavailableError as error:
            raise _PassingError(self._clean(str(error))) from None
        if answer.status == _OK:
            return answer
        fault = self._fault(_object(answer.body) or {})
        said = self._clean(f"{fault.code}: {fault.text}" if fault.text else fault.code) or "no reason given"
        if answer.status in _PASSING or fault.passing:
            raise _PassingError(f"{answer.status}, {said}", _pause(answer))
        if answer.status in _DENIED:
            message = f"{self._name}: not allowed ({answer.status}, {said})"
        elif answer.status == _NOT_FOUND:
            message = f"{self._name}: there is no such key ({said})"
        else:
            message = f"{self._name}: declined ({answer.status}, {said})"
        raise UnusableKeyError(message)

    def _clean(self, text: str) -> str:
        """Words of a service in one line, not too many, and without what only it and we should know."""
        for secret in filter(None, self.secrets):
            text = text.replace(secret, "...")
        line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
        return line if len(line) <= _SAID_MAX else line[:_SAID_MAX] + "..."


class _PassingError(Exception):
    """A failure after which it may be tried again, after so many seconds where the service said how many."""

    def __init__(self, text: str, pause: float = 0.0) -> None:
        super().__init__(text)
        self.pause = pause


def _pause(answer: HttpAnswer) -> float:
    """Retry-After in seconds, where it is sensible."""
    said = answer.headers.get("retry-after", "")
    return min(float(said), limits.KMS_SECONDS) if said.isascii() and said.isdigit() and len(said) < 6 else 0.0  # noqa: PLR2004 - digits


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def secure(url: str, *, direct: bool = False) -> str:
    """The URL, if nobody on the way can listen: https, or this very machine. Raises UsageError.

    `direct` ones are those of an instance's own metadata service, which speaks plain HTTP on a link of its own.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if (
        not host
        or parts.username
        or not (parts.scheme == "https" or (parts.scheme == "http" and (host in _LOOPBACK or direct)))
    ):
        message = f"not an address that secrets are sent to: {url!r} (https only)"
        raise UsageError(message)
    return url


def text(found: Mapping[str, Any], name: str, where: str) -> str:
    """A member of an answer that must be text. Raises UnavailableError."""
    value = found.get(name)
    if not isinstance(value, str) or not value:
        message = f"{where}: the answer has no {name}"
        raise UnavailableError(message)
    return value


def octets(found: Mapping[str, Any], name: str, where: str, *, url: bool = False) -> bytes:
    """A member of an answer that must be base64 (base64url without padding for `url`). Raises UnavailableError."""
    import base64
    import binascii

    value = text(found, name, where)
    if url:
        value = value.replace("-", "+").replace("_", "/") + "=" * (-len(value) % 4)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        message = f"{where}: the answer's {name} is not base64"
        raise UnavailableError(message) from None
