"""Where things are kept, and how time is read and written."""

from __future__ import annotations

import datetime as dt

import pytest

from chopmark.core import clock, places
from chopmark.core.errors import (
    ChopmarkError,
    InputError,
    MalformedError,
    RefusedError,
    UnavailableError,
    UsageError,
)


def test_one_folder_can_hold_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", "/srv/chopmark")
    assert (places.data(), places.cache(), places.config()) == (
        "/srv/chopmark/data",
        "/srv/chopmark/cache",
        "/srv/chopmark/config",
    )


def test_else_the_xdg_folders_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CHOPMARK_HOME", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/anna")
    assert places.data() == "/data/chopmark"
    assert places.cache() == "/home/anna/.cache/chopmark"
    assert places.config() == "/home/anna/.config/chopmark"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-07-01", dt.datetime(2026, 7, 1, tzinfo=dt.UTC)),
        ("2026-07-01T12:00:00", dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)),
        ("2026-07-01T12:00:00Z", dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)),
        ("2026-07-01T14:00:00+02:00", dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)),
    ],
)
def test_times_are_read_as_utc(text: str, moment: dt.datetime) -> None:
    assert clock.parse(text) == moment
    assert clock.parse(text).tzinfo is dt.UTC
    assert clock.parse(clock.show(moment)) == moment
    assert not clock.show(moment).endswith("000Z")  # no more digits than say something


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "1.7.2026", "2026-07-01T25:00", "\0", "9" * 5000])
def test_what_is_no_time_is_said_to_be_none(text: str) -> None:
    with pytest.raises(UsageError):
        clock.parse(text)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_times_at_the_ends_of_the_calendar_are_no_crash(text: str) -> None:
    with pytest.raises(UsageError):
        clock.parse(text)


def test_now_is_in_whole_seconds() -> None:
    assert clock.now().microsecond == 0
    assert clock.now().tzinfo is dt.UTC


def test_exit_statuses_are_those_of_the_design() -> None:
    statuses = {
        ChopmarkError: 4,
        UsageError: 2,
        InputError: 2,
        MalformedError: 1,
        RefusedError: 1,
        UnavailableError: 3,
    }
    assert {error: error.exit_status for error in statuses} == statuses
