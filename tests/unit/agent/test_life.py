"""A guard that is killed, stopped, reloaded, starved and asked, while others run what it protects."""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.agent import events, fanotify, mounts, protecting
from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.policy import events as policy_events
from tests.support.guarding import CHOPMARK, STATUS_AT, Guarded, Mounted, opened, place, policy, program, ran, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")

GOOD, OTHER, EVIL = program(0), program(3), program(7)


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        place(folder / "good", GOOD)
        place(folder / "other", OTHER)
        place(folder / "evil", EVIL)
        yield folder


def test_a_worker_that_is_killed_is_replaced_and_nothing_slips_through(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program() as guard:
        assert ran(str(where / "good")) == "0"
        worker = 0
        for times in range(2, 5):
            [worker] = guard.workers()
            os.kill(worker, signal.SIGKILL)
            assert ran(str(where / "evil")) == "denied"
            eventually(lambda times=times: guard.said().count("guard ready") == times)  # type: ignore[misc]
            assert guard.workers() not in ([], [worker])
        eventually(lambda: ran(str(where / "good")) == "0")
        assert ran(str(where / "evil")) == "denied"


def test_ignore_marks_do_not_outlive_the_leases_of_a_dead_worker(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        assert ran(str(where / "good")) == "0"
        assert guard.status()["ignored"] == 1
        [worker] = guard.workers()
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: guard.said().count("guard ready") == 2)
        assert guard.status()["ignored"] == 0
        with (where / "good").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[STATUS_AT] = 7  # which the kernel does not tell those who mark files
        assert ran(str(where / "good")) == "denied"


def test_a_holder_that_is_killed_is_replaced(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program() as guard:
        [worker] = guard.workers()
        guard.running.kill()
        guard.running.wait()
        assert ran(str(where / "evil")) == "denied"
        eventually(lambda: bool(guard.events("holder-replaced")))
        os.kill(worker, signal.SIGKILL)  # the new holder begins anew, with the group that it held
        assert ran(str(where / "evil")) == "denied"
        eventually(lambda: len(guard.events("started")) == 2)
        assert ran(str(where / "good")) == "0"
        replacement = guard.events("holder-replaced")[-1]["process"]
        os.kill(replacement, signal.SIGTERM)
        eventually(lambda: bool(guard.events("stopped")))
        assert ran(str(where / "evil")) == "7"


@pytest.mark.parametrize(
    ("mode", "options", "becomes"),
    [
        ("enforce", [], "denied"),
        ("enforce", ["--on-failure", "allow"], "7"),
        ("audit", [], "7"),
        ("audit", ["--on-failure", "deny"], "denied"),
    ],
)
def test_what_becomes_of_those_to_whom_a_worker_that_dies_owes_an_answer(
    where: Path, tmp_path: Path, mode: str, options: list[str], becomes: str
) -> None:
    """Its question was read, so that nobody else will ever see it: the holder answers."""
    path = place(where / "large", EVIL)
    os.truncate(path, 1 << 40)  # nothing but holes, which take longer to look at than any machine pauses
    with Guarded(where, tmp_path / "home", policy([GOOD], mode), *options).as_program() as guard:
        for number in range(16):  # so that descriptors have larger numbers than those of a guard that has just begun
            ran(place(where / f"copy{number}", GOOD))
        [worker] = guard.workers()
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(ran(path)), daemon=True)
        asking.start()
        eventually(lambda: path in opened(worker))
        os.kill(worker, signal.SIGKILL)
        asking.join(PATIENCE)
        assert answers == [becomes]
        assert guard.stop() == 0  # while the next worker is being made


def test_it_ends_when_it_is_told_to_and_protects_no_more(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program() as guard:
        assert ran(str(where / "evil")) == "denied"
        assert guard.stop() == 0
        assert ran(str(where / "evil")) == "7"
        assert [event["kind"] for event in guard.events()] == ["started", "deny", "stopped"]
        assert not Path(guard.socket).exists()


def test_a_new_policy_counts_at_once_for_what_was_allowed_before(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD, OTHER])) as guard:
        assert (ran(str(where / "good")), ran(str(where / "other"))) == ("0", "3")
        guard.change_policy(policy([GOOD], version=2))
        eventually(lambda: bool(guard.events("reloaded")))
        assert (ran(str(where / "good")), ran(str(where / "other"))) == ("0", "denied")


def test_a_policy_that_nobody_signs_may_be_changed_under_its_version(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        assert ran(str(where / "other")) == "denied"
        guard.change_policy(policy([GOOD, OTHER]))
        eventually(lambda: bool(guard.events("reloaded")))
        assert ran(str(where / "other")) == "3"


@pytest.mark.parametrize("wrong", ["not = [", policy([EVIL], version=1)], ids=["broken", "rolled back"])
def test_a_policy_that_is_no_good_leaves_the_old_one(where: Path, tmp_path: Path, wrong: str) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD], version=2)) as guard:
        guard.change_policy(wrong)
        eventually(lambda: bool(guard.events("reload-failed")))
        assert (ran(str(where / "good")), ran(str(where / "evil"))) == ("0", "denied")


def test_it_does_not_begin_with_a_policy_that_is_no_good(where: Path, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("name = 1")
    done = subprocess.run(
        [*CHOPMARK, "guard", "run", "--policy", file, "--mount", where, "--control", "none", "--state", "none"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert str(file) in done.stderr
    assert ran(str(where / "evil")) == "7"


@pytest.mark.parametrize("kill", [False, True])
def test_what_runs_is_judged_again(where: Path, tmp_path: Path, kill: bool) -> None:  # noqa: FBT001
    sleeper = Path("/bin/sleep").read_bytes()
    path = place(where / "sleeper", sleeper)
    options = ["--kill"] if kill else []
    with Guarded(where, tmp_path / "home", policy([GOOD, sleeper]), *options) as guard:
        process = subprocess.Popen([path, "60"])
        try:
            guard.change_policy(policy([GOOD], version=2))
            eventually(lambda: bool(guard.events("running-denied")))
            [event] = guard.events("running-denied")
            assert event["process"] == process.pid
            assert event["action"] == ("killed" if kill else "reported")
            if kill:
                assert process.wait(PATIENCE) == -signal.SIGKILL
            else:
                assert process.poll() is None
        finally:
            process.kill()
            process.wait()


def test_in_audit_mode_everything_runs_and_is_told(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD], mode="audit")) as guard:
        assert ran(str(where / "evil")) == "7"
        eventually(lambda: bool(guard.events("audit")))
        [event] = guard.events("audit")
        assert (guard.status()["audited"], guard.status()["denied"]) == (1, 0)
        assert (event["path"], event["use"], event["process"]["uid"]) == (str(where / "evil"), "exec", 0)
        assert event["reason"] == "policy.nothing"
        [told] = policy_events.read(str(tmp_path / "home" / "events.jsonl"))  # what policy simulate and learn read
        assert (told.file.path, told.kind, told.effect) == (str(where / "evil"), "exec", "audit")
        assert told.process.user == "root"


def test_what_is_never_blocked_is_told(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD]), "--never-block", str(where / "other")) as guard:
        assert (ran(str(where / "other")), ran(str(where / "evil"))) == ("3", "denied")
        eventually(lambda: bool(guard.events("audit")))
        assert guard.events("audit")[0]["reason"] == "guard.spared"


@pytest.mark.parametrize("trouble", ["corrupt", "locked", "full", "read-only"])
def test_the_database_is_only_a_cache(where: Path, tmp_path: Path, trouble: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    database = state / "verdicts.db"
    with contextlib.ExitStack() as stack:
        if trouble == "corrupt":
            database.write_bytes(b"SQLite format 3\0" + os.urandom(4000))
        elif trouble == "locked":
            holding = sqlite3.connect(database, isolation_level=None)
            stack.callback(holding.close)
            holding.execute("CREATE TABLE t (x)")
            holding.execute("BEGIN EXCLUSIVE")
        else:
            size = "size=4k" if trouble == "full" else "ro"
            subprocess.run(["mount", "-t", "tmpfs", "-o", size, "chopmark-test", state], check=True)
            stack.callback(lambda: subprocess.run(["umount", "-l", state], check=True))
        with Guarded(where, tmp_path / "home", policy([GOOD]), "--state", str(state)) as guard:
            assert (ran(str(where / "good")), ran(str(where / "evil"))) == ("0", "denied")
            eventually(lambda: bool(guard.events("trouble")))
            assert guard.stop() == 0


def test_whoever_there_is_no_descriptor_for_is_denied_and_others_are_heard(where: Path) -> None:
    code = (
        "import os, resource, subprocess, sys\n"
        "from chopmark.agent import fanotify\n"
        "where, group = sys.argv[1], fanotify.Group()\n"
        "group.protect(where, os.stat(where).st_dev, fanotify.OPEN_PERM)\n"
        "opening = [subprocess.Popen(['cat', f'{where}/good'], stdout=subprocess.DEVNULL) for _ in range(2)]\n"
        "soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "full = os.dup(0)\n"
        "answers = []\n"
        "while len(answers) < 2:\n"
        "    resource.setrlimit(resource.RLIMIT_NOFILE, (soft if answers else full, hard))\n"
        "    try:\n"
        "        for event in group.read(1):\n"
        "            group.answer(event.descriptor, allow=True)\n"
        "            answers.append('allowed')\n"
        "    except fanotify.UnopenedError:\n"
        "        answers.append('unopened')\n"
        "print(*answers, *sorted(each.wait() for each in opening))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, where], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "unopened allowed 0 1\n"


def test_a_worker_of_which_a_thread_ends_by_mistake_is_replaced(where: Path, tmp_path: Path) -> None:
    """Leases would be given back by nobody any more, and whoever waits for such a thread would do so for ever."""
    mistake: Any = "no number"
    with Guarded(where, tmp_path / "home", policy([GOOD])).bounded(GUARD_HOLD_SECONDS=mistake) as guard:
        [worker] = guard.workers()
        assert ran(str(where / "good")) == "0"
        place(where / "good", GOOD)
        eventually(lambda: guard.workers() not in ([], [worker]))
        assert ran(str(where / "evil")) == "denied"
        assert "the guard's worker ends: TypeError" in guard.said()


def test_what_is_known_outlives_the_process(where: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    verdicts = []
    for _ in range(2):
        with Guarded(where, tmp_path / "home", policy([GOOD]), "--state", str(state)) as guard:
            assert ran(str(where / "good")) == "0"
            assert guard.stop() == 0
        with contextlib.closing(sqlite3.connect(state / "verdicts.db")) as database:
            verdicts += database.execute("SELECT count(*) FROM verdict").fetchone()
            assert database.execute("SELECT path FROM file").fetchall() == [(str(where / "good"),)]
    assert verdicts[0] == 1  # the second guard forgets it when it is older than GUARD_UNTRUSTED_SECONDS
    assert (state / "verdicts.db").stat().st_mode & 0o777 == 0o600


def test_events_go_on_when_the_disk_is_full(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD]), "--events", "/dev/full") as guard:
        assert ran(str(where / "evil")) == "denied"
        eventually(lambda: guard.status()["events_unwritten"] > 0)
        assert ran(str(where / "evil")) == "denied"


def test_what_was_written_is_known_before_anybody_runs_it(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        good, evil = place(where / "written", GOOD), place(where / "unknown", EVIL)
        place(where / "data", GOOD[:100], 0o644)
        eventually(lambda: guard.status()["ahead"] == 1)
        asked = guard.status()["allowed"]
        assert [ran(good) for _ in range(3)] == ["0", "0", "0"]
        assert guard.status()["allowed"] == asked  # the kernel answered by itself
        assert ran(evil) == "denied"
        with Path(good).open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
            mapped[STATUS_AT] = 7
        assert ran(good) == "denied"


def test_it_can_be_told_to_look_at_nothing_ahead(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD]), "--no-ahead") as guard:
        assert ran(place(where / "written", GOOD)) == "0"
        assert guard.status()["ahead"] == 0
        with pytest.raises(UsageError):
            guard.ask("warm", folder=str(where))


def test_a_folder_can_be_looked_at_before_anybody_uses_it(where: Path, tmp_path: Path) -> None:
    (where / "below").mkdir()
    data = place(where / "below" / "data.txt", b"data", 0o644)
    (where / "link").symlink_to("/etc/passwd")
    os.mkfifo(where / "fifo")
    outside = where / "below" / "outside"
    outside.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "chopmark-test", outside], check=True)
    place(outside / "good", GOOD)
    deep = where
    for _ in range(limits.GUARD_AHEAD_DEPTH_MAX + 1):
        deep /= "x"
        deep.mkdir()
    place(deep / "good", GOOD)
    with Guarded(where, tmp_path / "home", policy([GOOD, b"data"]), "--strict", "--no-new-mounts") as guard:
        assert guard.command("warm", where).returncode == 0
        eventually(lambda: guard.status()["ahead"] == 2)
        asked = guard.status()["allowed"]
        assert Path(data).read_bytes() == b"data"  # by an interpreter, which would be asked about
        assert guard.status()["allowed"] == asked
        assert (ran(str(where / "good")), ran(str(where / "evil"))) == ("0", "denied")
        with pytest.raises(UsageError):
            guard.ask("warm", folder="/proc")
        with pytest.raises(UsageError):
            guard.ask("warm", folder=str(where / "good"))
        guard.ask("warm", folder=str(deep))
        eventually(lambda: guard.status()["ahead"] == 3)
    subprocess.run(["umount", outside], check=True)


def test_what_a_guard_opens_itself_while_it_looks_at_a_file_is_answered(where: Path, tmp_path: Path) -> None:
    """Signatures beside a file lie where it lies, and who leads cannot answer itself."""
    place(where / "good.minisig", b"no signature", 0o644)
    with Guarded(where, tmp_path / "home", policy([GOOD]), "--no-ahead") as guard:
        passed, workers = guard.status()["passed"], guard.workers()
        assert ran(str(where / "good")) == "0"
        assert guard.status()["passed"] > passed
        assert (len(workers), guard.workers()) == (1, workers), "nobody was taken for hung"


def test_what_lies_there_is_looked_at_when_a_guard_begins(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD]), "--warm", str(where), "--warm", "/proc") as guard:
        eventually(lambda: guard.status()["ahead"] == 1)
        asked = guard.status()["allowed"]
        assert ran(str(where / "good")) == "0"
        assert guard.status()["allowed"] == asked  # the kernel answered by itself
        assert ran(str(where / "evil")) == "denied"
        eventually(lambda: any("/proc: is not protected" in each["detail"] for each in guard.events("trouble")))


def test_what_waits_to_be_looked_at_keeps_no_file_system_busy(where: Path, tmp_path: Path) -> None:
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        for number in range(700):  # more than are taken at once; the rest waits in the kernel
            place(where / f"waiting{number % 350}", GOOD + b"%d" % number)
        guard.ask("release", folder=str(where))
        subprocess.run(["umount", where], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "chopmark-test", where], check=True)


def test_file_systems_that_come_and_go(where: Path, tmp_path: Path) -> None:
    inner = where / "inner"
    inner.mkdir()
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        subprocess.run(["mount", "-t", "tmpfs", "chopmark-test", inner], check=True)
        try:
            place(inner / "evil", EVIL)
            place(inner / "good", GOOD)
            eventually(lambda: bool(guard.events("protected")))
            assert (ran(str(inner / "good")), ran(str(inner / "evil"))) == ("0", "denied")
        finally:
            subprocess.run(["umount", "-l", inner], check=True)
        eventually(lambda: bool(guard.events("unmounted")))
        assert ran(str(where / "evil")) == "denied"


def test_a_file_system_that_gets_the_number_of_another_is_protected(where: Path, tmp_path: Path) -> None:
    """The kernel gives a number that is free to the next one, and nobody looks between the two."""
    inner = where / "inner"
    inner.mkdir()
    mount = ["mount", "-t", "tmpfs", "chopmark-test", str(inner)]
    subprocess.run(mount, check=True)
    with Guarded(where, tmp_path / "home", policy([GOOD])).bounded(GUARD_MOUNTS_SECONDS=2.0) as guard:
        try:
            for _ in range(10):
                eventually(lambda: str(inner) in [each["place"] for each in guard.status()["protected"]])
                device = inner.stat().st_dev
                subprocess.run(["umount", inner], check=True)
                subprocess.run(mount, check=True)
                if inner.stat().st_dev == device:
                    break
            else:
                pytest.skip("somebody else mounts all the time")
            evil, good = place(inner / "evil", EVIL), place(inner / "good", GOOD)
            eventually(lambda: ran(evil) == "denied")
            assert ran(good) == "0"
        finally:
            subprocess.run(["umount", "-l", inner], check=True)


@pytest.mark.parametrize(("places", "marked"), [(["/srv/y"], ["/srv/y"]), (["/run/y", "/srv/z"], ["/srv/z"]),
                                                (["/run/y"], [])])  # fmt: skip
def test_what_has_the_number_of_another_is_of_a_kind_of_its_own(
    monkeypatch: pytest.MonkeyPatch, places: list[str], marked: list[str]
) -> None:
    """What leases tell there is another matter too; what lies elsewhere stays what it was."""
    asked: list[tuple[str, int]] = []
    group: Any = SimpleNamespace(protect=lambda place, device, _: asked.append((place, device)))
    there = [mounts.Mount("/srv", 40, "ext4"), mounts.Mount("/srv/x", 44, "tmpfs")]
    monkeypatch.setattr(mounts, "mounted", lambda: there)
    settings: Any = SimpleNamespace(folders=(("/srv", 40),), new_mounts=True, scripts=True)
    protection = protecting.Protection(group, settings, events.Stream([]), lambda _: None, lambda _: None)
    protection.look()
    asked.clear()
    there[1:] = [mounts.Mount(each, 44, "overlay") for each in places]
    protection.look()
    assert [(place, device) for place, device in asked if device == 44] == [(each, 44) for each in marked]
    assert protection.is_leased(44) is not bool(marked)
    assert not protection.is_leased(45)


def test_a_file_system_that_is_released_can_be_unmounted(where: Path, tmp_path: Path) -> None:
    inner = where / "inner"
    inner.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "chopmark-test", inner], check=True)
    place(inner / "good", GOOD)
    try:
        with Guarded(where, tmp_path / "home", policy([GOOD]), "--mount", str(inner)) as guard:
            assert ran(str(inner / "good")) == "0"
            assert guard.command("release", inner).returncode == 0
            eventually(lambda: subprocess.run(["umount", inner], check=False, capture_output=True).returncode == 0)
            assert ran(str(where / "evil")) == "denied"
            with pytest.raises(UsageError):
                guard.ask("release", folder="/proc")
    finally:
        subprocess.run(["umount", "-l", inner], check=False, capture_output=True)


def test_what_is_mounted_elsewhere_meanwhile_is_not_protected(where: Path) -> None:
    """Below a mount that is gone lies the root of the machine, often, and asking about that would stop it."""
    group = fanotify.Group()
    try:
        for change in (group.protect, group.release):
            with pytest.raises(OSError, match="something else is mounted") as caught:
                change(str(where), where.stat().st_dev + 1, fanotify.OPEN_EXEC_PERM)
            assert caught.value.errno == errno.ESTALE
        assert ran(str(where / "evil")) == "7"
    finally:
        group.close()


def test_in_a_storm_of_denials_others_are_answered_and_all_are_counted(where: Path, tmp_path: Path) -> None:
    """Of four processes that try again and again, each time as a new one or as itself; twice in another mode."""
    code = (
        "import os, sys\nfor number in range(500):\n"
        " try: (os.execv if number % 2 else lambda *of: os.posix_spawn(*of, {}))(sys.argv[1], ['x'])\n"
        " except PermissionError: pass"
    )
    data = place(where / "data", b"x", 0o644)
    with Guarded(where, tmp_path / "home", policy([GOOD])) as guard:
        storm = [subprocess.Popen([sys.executable, "-S", "-c", code, where / "evil"]) for _ in range(4)]
        for answered in itertools.count():
            new = place(where / f"new{answered}", GOOD)
            assert (ran(new), Path(data).read_bytes()) == ("0", b"x")
            if all(each.poll() is not None for each in storm):
                break
        assert [each.wait() for each in storm] == [0] * 4

        def told() -> int:
            return len(guard.events("deny")) + sum(int(each["times"]) for each in guard.events("repeated"))

        eventually(lambda: told() == 2000)
        status = guard.status()
        assert (status["denied"], status["events_lost"]) == (2000, 0)
        assert len(guard.events("deny")) + status["events_alike"] == 2000
        assert status["memory_kib"] < 100 * 1024
        assert {each["path"] for each in guard.events("repeated")} == {str(where / "evil")}
        assert f"{status['events_alike']} alike" in " ".join(guard.command("status").stdout.split())


def test_what_no_room_was_for_in_a_storm_is_said(where: Path, tmp_path: Path) -> None:
    """Each file is another one, so that nothing is alike."""
    code = (
        "import os, sys\nfor number in range(300):\n"
        " try: os.execv(sys.argv[1] + str(number), ['x'])\n except PermissionError: pass"
    )
    for number in range(300):
        os.link(where / "evil", where / f"evil{number}")
    full = {"GUARD_EVENTS_WAITING_MAX": 10, "GUARD_EVENTS_GATHER_SECONDS": 1.0}  # nobody takes ten at once so often
    with Guarded(where, tmp_path / "home", policy([GOOD])).bounded(**full) as guard:
        subprocess.run([sys.executable, "-S", "-c", code, where / "evil"], check=True)
        assert ran(str(where / "good")) == "0"
        status = guard.status()
        assert status["denied"] == 300
        eventually(lambda: sum(each["times"] for each in guard.events("events-lost")) == status["events_lost"] > 0)
        assert len(guard.events("deny")) + status["events_lost"] == 300


def test_the_unit_runs_what_was_asked_for(where: Path, tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(policy([GOOD]))
    (where / "jobs").mkdir()
    command = [*CHOPMARK, "guard", "unit", "--policy", str(file), "--mount", str(where / "jobs"), "--strict"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    [start] = [line for line in done.stdout.splitlines() if line.startswith("ExecStart=")]
    assert start.endswith(f"guard run --policy {file} --mount {where}/jobs --strict --events journal")
    assert "Type=notify" in done.stdout
    assert f"mounted on {where} is protected" in done.stderr  # a folder alone cannot be
