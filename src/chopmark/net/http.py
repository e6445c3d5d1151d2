"""Fetching over HTTP, with a bound on everything: total time, size, redirects, and the schemes that may be spoken."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from chopmark.core import limits
from chopmark.core.errors import UnavailableError

if TYPE_CHECKING:
    import httpx

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_OK = 200


class HttpFetcher:
    """A core.contracts.Fetcher over httpx, which is imported with the first request.

    What failed once is not asked again by the same fetcher: a thousand files may name the same dead list. Proxies are
    those of the environment (HTTP_PROXY and so on). Not for several threads at once.
    """

    def __init__(self, timeout: float = limits.HTTP_TIMEOUT) -> None:
        """`timeout` is seconds for a whole request, redirects and body included."""
        self._timeout = timeout
        self._client: httpx.Client | None = None
        self._failed: dict[str, str] = {}

    def get(self, url: str, limit: int = limits.HTTP_BODY_MAX) -> bytes:
        """The body of a GET, at most `limit` bytes. Raises UnavailableError."""
        if url in self._failed:
            raise UnavailableError(self._failed[url])
        try:
            return self._fetch("GET", url, limit)
        except UnavailableError as error:
            self._failed[url] = str(error)
            raise

    def post(self, url: str, body: bytes, content_type: str, limit: int = limits.HTTP_BODY_MAX) -> bytes:
        """The body of the answer to a POST, at most `limit` bytes; redirects are refused. Raises UnavailableError."""
        return self._fetch("POST", url, limit, content=body, headers={"Content-Type": content_type})

    def close(self) -> None:
        """Close kept connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _fetch(self, method: str, url: str, limit: int, **request: Any) -> bytes:  # noqa: ANN401 - passed on to httpx
        import httpx

        deadline = time.monotonic() + self._timeout
        # Reads have a timeout each, which a server that sends a header byte now and then would never meet: at the
        # deadline the connection is closed under whoever waits for it.
        watchdog = threading.Timer(self._timeout, self.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            for _ in range(limits.HTTP_REDIRECTS_MAX + 1):
                _require_http(url)
                with self._opened(httpx).stream(method, url, timeout=self._timeout, **request) as response:
                    if response.status_code == _OK:
                        return _body(response, url, limit, deadline)
                    if method != "GET" or response.status_code not in _REDIRECTS:
                        raise UnavailableError(f"{url}: the server answered {response.status_code}")
                    url = urljoin(url, response.headers.get("Location", ""))
                if time.monotonic() > deadline:
                    raise UnavailableError(f"{url}: no answer within {self._timeout:g} seconds")
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, RuntimeError, ValueError, OSError) as error:
            raise UnavailableError(f"{url}: {str(error) or type(error).__name__}") from None
        finally:
            watchdog.cancel()
        raise UnavailableError(f"{url}: more than {limits.HTTP_REDIRECTS_MAX} redirects")

    def _opened(self, httpx: Any) -> httpx.Client:  # noqa: ANN401 - the module, imported late
        client = self._client
        if client is None:
            client = httpx.Client(headers={"User-Agent": "chopmark", "Accept": "*/*"}, follow_redirects=False)
            self._client = client
        return client


class Offline:
    """A Fetcher that fetches nothing."""

    def get(self, url: str, limit: int = 0) -> bytes:  # noqa: ARG002 - the contract's shape
        """Raises UnavailableError."""
        raise UnavailableError(f"{url}: not fetched, because the network is off")

    def post(self, url: str, body: bytes, content_type: str, limit: int = 0) -> bytes:  # noqa: ARG002 - likewise
        """Raises UnavailableError."""
        raise UnavailableError(f"{url}: not asked, because the network is off")


def _require_http(url: str) -> None:
    """A redirect must not lead to a file or to another protocol."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnavailableError(f"{url}: not an http or https address")


def _body(response: httpx.Response, url: str, limit: int, deadline: float) -> bytes:
    """Read until the end, the limit or the deadline, whichever comes first: only the end is an answer.

    What is counted is what comes out of decompression, so a small answer cannot become a large one.
    """
    pieces = []
    size = 0
    for piece in response.iter_bytes(limits.READ_CHUNK // 16):
        size += len(piece)
        if size > limit:
            raise UnavailableError(f"{url}: the answer is longer than {limit} bytes")
        if time.monotonic() > deadline:
            raise UnavailableError(f"{url}: no whole answer in time")
        pieces.append(piece)
    return b"".join(pieces)
