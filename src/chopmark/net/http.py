"""Fetching over HTTP, with a bound on everything: total time, size, redirects, and the schemes that may be spoken."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from chopmark.core import limits
from chopmark.core.contracts import HttpAnswer
from chopmark.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200
_HEADERS = {"User-Agent": "chopmark", "Accept": "*/*", "Accept-Encoding": "identity"}


class HttpFetcher:
    """A core.contracts.Fetcher and Web over httpx, which is imported with the first request.

    What failed once is not asked again by the same fetcher, and nothing any more after HTTP_LOST_MAX seconds of
    failures: a thousand files may name the same dead list, or as many lists behind the same dead line. Proxies are
    those of the environment (HTTP_PROXY and so on). Not for several threads at once; a forked process opens its own
    connections.
    """

    def __init__(self, timeout: float = limits.HTTP_TIMEOUT) -> None:
        """`timeout` is seconds for a whole request, redirects and body included."""
        self._timeout = timeout
        self._clients: dict[tuple[str, bool], httpx.Client] = {}
        self._owner = os.getpid()
        self._failed: dict[str, str] = {}
        self._lost = 0.0

    def get(self, url: str, limit: int = limits.HTTP_BODY_MAX) -> bytes:
        """The body of a GET, at most `limit` bytes. Raises UnavailableError."""
        if url in self._failed:
            raise UnavailableError(self._failed[url])
        if self._lost > limits.HTTP_LOST_MAX:
            raise UnavailableError(f"{url}: not fetched, because too much time was lost with other addresses")
        begin = time.monotonic()
        try:
            return self._fetch("GET", url, limit)
        except UnavailableError as error:
            self._failed[url] = str(error)
            self._lost += time.monotonic() - begin
            raise

    def post(self, url: str, body: bytes, content_type: str, limit: int = limits.HTTP_BODY_MAX) -> bytes:
        """The body of the answer to a POST, at most `limit` bytes; redirects are refused. Raises UnavailableError."""
        return self._fetch("POST", url, limit, content=body, headers={"Content-Type": content_type})

    def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        limit: int = limits.HTTP_BODY_MAX,
        timeout: float = limits.HTTP_TIMEOUT,
        direct: bool = False,
    ) -> HttpAnswer:
        """The answer to one request, whatever its status (core.contracts.Web). Raises UnavailableError."""
        with (
            self._attempt(url, timeout) as deadline,
            self._client(_scheme(url), direct=direct).stream(
                method, url, timeout=_left(url, deadline), content=body, headers=dict(headers)
            ) as response,
        ):
            return HttpAnswer(response.status_code, dict(response.headers), _body(response, url, limit, deadline))

    def prepare(self, url: str, *, direct: bool = False) -> None:
        """Load now what the first request would load: httpx, and the roots for TLS. Raises UnavailableError."""
        self._client(_scheme(url), direct=direct)

    def close(self) -> None:
        """Close kept connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def _fetch(self, method: str, url: str, limit: int, **request: Any) -> bytes:  # noqa: ANN401 - passed on to httpx
        from urllib.parse import urljoin

        with self._attempt(url, self._timeout) as deadline:
            for _ in range(limits.HTTP_REDIRECTS_MAX + 1):
                client = self._client(_scheme(url))
                with client.stream(method, url, timeout=_left(url, deadline), **request) as response:
                    if response.status_code == _OK:
                        return _body(response, url, limit, deadline)
                    if method != "GET" or response.status_code not in _REDIRECTS:
                        raise UnavailableError(f"{url}: the server answered {response.status_code}")
                    url = urljoin(url, response.headers.get("Location", ""))
        raise UnavailableError(f"{url}: more than {limits.HTTP_REDIRECTS_MAX} redirects")

    @contextmanager
    def _attempt(self, url: str, timeout: float) -> Iterator[float]:
        """One try with an end, and whatever goes wrong in it as an UnavailableError; the deadline."""
        import threading  # with the first request, like httpx: most checks fetch nothing

        import httpx

        if self._owner != os.getpid():  # the connections belong to the process that this one was forked from
            self._clients, self._owner = {}, os.getpid()
        # Reads have a timeout each, which a server that sends a header byte now and then would never meet: at the
        # deadline the connection is closed under whoever waits for it.
        watchdog = threading.Timer(timeout, self.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            yield time.monotonic() + timeout
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RuntimeError, ValueError, OSError) as error:
            raise UnavailableError(f"{url}: {_plain(error)}") from None
        finally:
            watchdog.cancel()

    def _client(self, scheme: str, *, direct: bool = False) -> httpx.Client:
        """One client for each scheme: loading the roots for TLS takes longer than fetching a list without."""
        client = self._clients.get((scheme, direct))
        if client is None:
            import httpx

            verify = scheme != "http"
            client = httpx.Client(headers=_HEADERS, follow_redirects=False, verify=verify, trust_env=not direct)
            self._clients[scheme, direct] = client
        return client


def _plain(error: Exception) -> str:
    """What went wrong, without the numbers that only programs know by heart."""
    text = str(error) or type(error).__name__
    return text.partition("] ")[2] or text if text.startswith("[Errno ") else text


def _scheme(url: str) -> str:
    """The scheme, which must be http or https: no redirect leads to a file. Raises UnavailableError, ValueError."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnavailableError(f"{url}: not an http or https address")
    return parts.scheme


def _left(url: str, deadline: float) -> float:
    """Seconds until the deadline. Raises UnavailableError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise UnavailableError(f"{url}: no answer in time")
    return left


def _body(response: httpx.Response, url: str, limit: int, deadline: float) -> bytes:
    """Read until the end, the limit or the deadline, whichever comes first: only the end is an answer.

    Bodies are asked for as they are, and a compressed one is refused: nobody's small answer shall become a large one.
    """
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnavailableError(f"{url}: the answer is compressed, which was not asked for")
    pieces = []
    size = 0
    for piece in response.iter_raw(limits.READ_CHUNK // 16):
        size += len(piece)
        if size > limit:
            raise UnavailableError(f"{url}: the answer is longer than {limit} bytes")
        _left(url, deadline)
        pieces.append(piece)
    return b"".join(pieces)
