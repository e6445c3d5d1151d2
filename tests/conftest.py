"""What holds for every test: nobody's own settings are read, only interoperability tests reach beyond loopback, and
what hangs is shown."""

import faulthandler
import gc
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from chopmark.agent import leases
from tests.support import preloaded

# A deadline measures the machine, not the parser; hangs are caught by the watchdog and by tests of their own.
settings.register_profile("chopmark", settings.get_profile(settings.get_current_profile_name()), deadline=None)
settings.load_profile("chopmark")


class LoopbackOnly:
    """An audit hook that refuses connections of this process to other hosts while it is armed."""

    armed = False

    def __call__(self, event: str, args: tuple[object, ...]) -> None:
        """Look at one audit event; raise RuntimeError for a connection that leaves the machine."""
        if self.armed and event == "socket.connect":
            connecting, address = args
            if isinstance(connecting, socket.socket) and connecting.family in {socket.AF_INET, socket.AF_INET6}:
                self.refuse_beyond_loopback(address)

    @staticmethod
    def refuse_beyond_loopback(address: object) -> None:
        """Raise unless the host part of the address is loopback."""
        host = str(address[0]) if isinstance(address, tuple) else str(address)
        if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
            message = f"a test without the interop marker tried to reach {host}"
            raise RuntimeError(message)


guard = LoopbackOnly()
sys.addaudithook(guard)


class Watchdog:
    """Shows where all threads are when a test takes too long; armed anew now and then, because that starts a thread.

    pytest's own faulthandler_timeout does so for each test, and waits for the thread of the one before to end.
    """

    seconds = 120.0
    renewed_after = 10.0

    def __init__(self) -> None:
        self._armed = -self.renewed_after
        self._errors = 2

    def keep_errors(self) -> None:
        """While pytest does not capture it: where to write."""
        self._errors = os.dup(2)

    def begin(self) -> None:
        """A test begins: from now on it has `seconds`, or up to `renewed_after` fewer."""
        now = time.monotonic()
        if now - self._armed >= self.renewed_after:
            faulthandler.dump_traceback_later(self.seconds, file=self._errors)
            self._armed = now

    def end(self) -> None:
        """No test runs any more."""
        faulthandler.cancel_dump_traceback_later()


watchdog = Watchdog()


def pytest_configure() -> None:
    """Before anything runs."""
    watchdog.keep_errors()
    for number in (leases.BREAK, signal.SIGIO):
        # Of a lease that is wanted back a thread may hear when the test that had it is over: it would end all of us.
        signal.signal(number, lambda *_: None)


def pytest_collection_finish() -> None:
    """What has been made until now stays until the end: no collection of garbage looks at it again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """No test runs any more."""
    watchdog.end()
    preloaded.end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Arm the guard, except for tests that need real peers."""
    watchdog.begin()
    guard.armed = item.get_closest_marker("interop") is None


def pytest_runtest_teardown() -> None:
    """Disarm it, so that pytest itself stays free."""
    guard.armed = False


@pytest.fixture(scope="session", autouse=True)
def clean_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Point HOME and the XDG folders to an empty place; drop CHOPMARK_* and colour settings, for children too."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("CHOPMARK_")]:
            patch.delenv(name)
        for name in ("FORCE_COLOR", "NO_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("HOME", str(home))
        for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
            patch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
        yield home
