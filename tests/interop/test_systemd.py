"""The guard's unit under a real systemd: Type=notify, the descriptor store, the watchdog, and what starts again."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import guarding, systemd_room
from tests.support.guarding import Mounted, place, policy, program, ran
from tests.support.patience import PATIENCE, eventually
from tests.support.systemd_room import Room

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(
        bool(systemd_room.why_not() or guarding.why_not()),
        reason=systemd_room.why_not() or guarding.why_not() or "both are there",
    ),
]

UNIT = "chopmark-guard.service"
CHOPMARK = Path(sys.executable).parent / "chopmark"
GOOD, EVIL = program(0), program(7)


class Service:
    """The unit that `guard unit` prints, started."""

    def __init__(self, room: Room, where: Path, home: Path) -> None:
        self.room = room
        self.good, self.evil = place(where / "good", GOOD), place(where / "evil", EVIL)
        self.policy = home / "policy.toml"
        self.policy.write_text(policy([GOOD]))
        command: list[str | Path] = [
            CHOPMARK,
            "guard",
            "unit",
            "--policy",
            self.policy,
            "--mount",
            where,
            "--events",
            home / "events",
        ]
        unit = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert "WatchdogSec=30\n" in unit
        (room.units / UNIT).write_text(unit)
        (room.units / f"{UNIT}.d").mkdir()
        self._home = home
        self.watched_for(300)
        room.systemctl("start", UNIT)

    def watched_for(self, seconds: int) -> None:
        """For how long it may be silent once it is started anew: not long where that is tested, and else for ever."""
        changed = f"[Service]\nWatchdogSec={seconds}\nEnvironment=CHOPMARK_HOME={self._home / 'chopmark'}\n"
        (self.room.units / f"{UNIT}.d" / "test.conf").write_text(changed)
        self.room.systemctl("daemon-reload")

    def never_open(self, while_: Callable[[], None]) -> None:
        """Try what is not allowed again and again, until something is over; nothing of it ran."""
        over = threading.Event()
        answers: set[str] = set()

        def tries() -> None:
            while not over.is_set():
                answers.add(ran(self.evil))

        trying = [threading.Thread(target=tries) for _ in range(2)]
        for each in trying:
            each.start()
        try:
            while_()
        finally:
            over.set()
            for each in trying:
                each.join(2 * PATIENCE)
        assert answers == {"denied"}

    def starts_again(self, after: Callable[[], None]) -> None:
        """What happens makes systemd start the guard anew."""
        before = self.room.main(UNIT)
        after()
        eventually(lambda: self.room.main(UNIT) not in (0, before))
        eventually(lambda: self.room.shows(UNIT, "ActiveState") == "active")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("systemd")
    with Mounted(folder) as where, Room(folder) as room:
        yield Service(room, where, folder)


def test_it_is_active_once_it_protects_and_the_manager_holds_the_group(service: Service) -> None:
    room = service.room
    assert [ran(service.good), ran(service.evil)] == ["0", "denied"]
    assert room.shows(UNIT, "ActiveState") == "active"
    assert room.shows(UNIT, "StatusText") == "guarding"
    assert room.shows(UNIT, "NFileDescriptorStore") == "1"


def test_a_reload_reads_the_policy_again(service: Service) -> None:
    more = program(3)
    path = place(Path(service.good).with_name("more"), more)
    assert ran(path) == "denied"
    service.policy.write_text(policy([GOOD, more], version=2))
    service.room.systemctl("reload", UNIT)
    eventually(lambda: ran(path) == "3")


def test_killed_as_a_whole_it_is_started_again_and_nothing_runs_meanwhile(service: Service) -> None:
    kill = ["kill", "--signal=KILL", UNIT]
    service.never_open(lambda: service.starts_again(lambda: service.room.systemctl(*kill)))
    assert ran(service.good) == "0"


def test_neither_does_anything_when_the_holder_alone_is_killed(service: Service) -> None:
    """systemd then ends the worker in good order, which must not release anything."""
    service.never_open(lambda: service.starts_again(lambda: service.room.kill(UNIT, signal.SIGKILL)))
    assert ran(service.good) == "0"


def test_a_holder_that_gives_no_signs_of_life_is_replaced(service: Service) -> None:
    service.watched_for(4)
    service.room.systemctl("restart", UNIT)
    service.never_open(lambda: service.starts_again(lambda: service.room.kill(UNIT, signal.SIGSTOP)))
    service.watched_for(300)
    service.room.systemctl("restart", UNIT)
    assert service.room.shows(UNIT, "NFileDescriptorStore") == "1"


def test_what_is_stopped_protects_nothing(service: Service) -> None:
    service.room.systemctl("stop", UNIT)
    assert ran(service.evil) == "7"
    service.room.systemctl("start", UNIT)
    assert ran(service.evil) == "denied"
    assert ran(service.good) == "0"
