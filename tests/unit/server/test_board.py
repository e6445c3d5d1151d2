"""Numbers that processes share, metrics made of them, and what health makes of what is known."""

from __future__ import annotations

import os
import re
import time

import pytest

from chopmark.core import limits
from chopmark.server import admin, metrics
from chopmark.server.board import BUCKETS, ROUTES, STATUSES, TALLIES, Board
from chopmark.server.health import problems
from chopmark.server.message import Request, Route


def used(board: Board, number: int) -> None:
    board.row(number).put("pid", 1)


def test_rows_are_added_up_over_processes() -> None:
    board = Board(3)
    for number in (0, 2):
        used(board, number)
        if not (child := os.fork()):
            row = board.row(number)
            row.request("ocsp", 200, 0.002, 700)
            row.request("ocsp", 200, 20.0, 700)
            row.tally(("ocsp", "revoked"))
            row.add("errors")
            os._exit(0)
        os.waitpid(child, 0)
    assert board.total("requests", "ocsp", "200") == 4
    assert board.total("octets", "ocsp") == 2800
    assert board.total("seconds", "ocsp", "0.0025") == 2
    assert board.total("seconds", "ocsp", "+Inf") == 2
    assert board.total("tally", "ocsp", "revoked") == 2
    assert board.total("errors") == 2


def test_what_nobody_has_named_is_not_counted() -> None:
    board = Board(1)
    used(board, 0)
    board.row(0).request("ocsp", 299, 1.0, 1)
    board.row(0).request("nothing", 200, 1.0, 1)
    board.row(0).tally(("ocsp", "nothing"))
    assert sum(board.total("requests", route, str(status)) for route in ROUTES for status in STATUSES) == 0


@pytest.mark.parametrize("edge", BUCKETS)
def test_a_bucket_holds_what_is_as_long_as_it_says(edge: float) -> None:
    board = Board(1)
    used(board, 0)
    board.row(0).request("crl", 200, edge, 1)
    assert board.total("seconds", "crl", str(edge)) == 1


def test_facts() -> None:
    board = Board(1)
    assert board.read() == {}
    for facts in ({"at": 1, "problems": ["a"] * 1000}, {"at": 2}):
        board.write(facts)
        assert board.read() == facts
    board.write({"at": 3, "problems": ["a" * limits.SERVER_FACTS_MAX]})
    assert board.read() == {"at": 2}


def test_a_writer_that_was_killed_while_it_wrote_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board(1)
    board.write({"at": 1})
    with monkeypatch.context() as patch:
        patch.setattr("chopmark.server.board.json.dumps", lambda _: _Broken())
        with pytest.raises(TypeError):
            board.write({})
    board.write({"at": 2})
    assert board.read() == {"at": 2}


class _Broken:
    """Bytes that cannot be put anywhere."""

    def encode(self) -> list[int]:
        return [1]


def test_metrics_are_well_formed() -> None:
    board = Board(2)
    used(board, 0)
    board.row(0).request("ocsp", 200, 0.002, 700)
    board.row(0).request("crl", 404, 0.0002, 20)
    odd = 'a "name"\\ with\nlines'
    numbers = {
        "crl_this_update": [({"issuer": odd}, time.time() - 5)],
        "database_up": [({}, 1)],
        "log_size": [({}, 2.5)],
    }
    board.write({"at": time.time(), "numbers": numbers})
    text = metrics.render(board)
    assert text.endswith("\n")
    sample = re.compile(r'[a-z_]+(?:\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? -?[0-9.e+-]+')
    families = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            assert line.split()[2] not in families
            families.add(line.split()[2])
        elif not line.startswith("#"):
            assert sample.fullmatch(line), line
            name = line.partition("{")[0].partition(" ")[0]
            assert name in families or re.sub("_(bucket|sum|count)$", "", name) in families
    assert 'chopmark_http_requests_total{route="crl",status="404"} 1' in text.splitlines()
    assert 'chopmark_http_request_seconds_bucket{route="ocsp",le="0.0025"} 1' in text.splitlines()
    assert 'chopmark_http_request_seconds_bucket{route="ocsp",le="0.001"} 0' in text.splitlines()
    assert "chopmark_ready 1" in text.splitlines()
    assert r'issuer="a \"name\"\\ with\nlines"' in text
    assert set(metrics.COUNTED) == set(TALLIES)


@pytest.mark.parametrize(
    ("facts", "ready"),
    [
        ({}, False),
        ({"at": -1.0}, True),
        ({"at": -limits.SERVER_FACTS_OLD_SECONDS - 5}, False),
        ({"at": limits.SERVER_FACTS_OLD_SECONDS + 5}, False),
        ({"at": -1.0, "problems": ["a list ended"]}, False),
        ({"at": -1.0, "warnings": ["a list will end"]}, True),
    ],
)
def test_when_it_is_ready(facts: dict[str, float], ready: bool) -> None:  # noqa: FBT001 - a parametrised fact
    board = Board(1)
    if facts:
        board.write({**facts, "at": time.time() + facts["at"]})
    assert (problems(board) == []) is ready
    route = admin.routes(board)["/health/ready"]
    reply = route(Request("GET", "/health/ready"))
    assert reply.status == (200 if ready else 503)
    assert isinstance(route, Route)
    assert admin.routes(board)["/health/live"](Request("GET", "")).status == 200


def test_those_who_look_only_get() -> None:
    routes = admin.routes(Board(1))
    for route in routes.values():
        assert route(Request("POST", "")).status == 405
    assert {*routes["/"](Request("GET", "/")).body.decode().split(), "/"} == set(routes)
