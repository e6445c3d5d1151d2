"""What those who look after the server ask for: whether it lives, whether it is ready, and its metrics."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING

from chopmark.server import metrics
from chopmark.server.files import only_get
from chopmark.server.health import problems, warnings
from chopmark.server.message import Reply, Request, Route

if TYPE_CHECKING:
    from chopmark.server.board import Board
    from chopmark.server.message import Handler

_NO_STORE = (("Cache-Control", "no-store"),)
_JSON = "application/json"
_INDEX = b"/health/live\n/health/ready\n/metrics\n"


def routes(board: Board) -> dict[str, Handler]:
    """`/health/live` answers when requests are answered at all, `/health/ready` when the answers are good.

    `/` says which there are.
    """

    def live(request: Request) -> Reply:
        return only_get(request) or Reply(b'{"status": "live"}\n', _JSON, headers=_NO_STORE)

    def ready(request: Request) -> Reply:
        found = problems(board)
        body = (
            json.dumps(
                {"status": "not ready" if found else "ready", "problems": found, "warnings": warnings(board)}
            ).encode()
            + b"\n"
        )
        status = HTTPStatus.SERVICE_UNAVAILABLE if found else HTTPStatus.OK
        return only_get(request) or Reply(body, _JSON, status, _NO_STORE)

    def measured(request: Request) -> Reply:
        return only_get(request) or Reply(metrics.render(board).encode(), metrics.CONTENT_TYPE, headers=_NO_STORE)

    def index(request: Request) -> Reply:
        return only_get(request) or Reply(_INDEX, headers=_NO_STORE)

    return {
        "/": Route(index, index, "index"),
        "/health/live": Route(live, live, "health"),
        "/health/ready": Route(ready, ready, "health"),
        "/metrics": Route(measured, measured, "metrics"),
    }
