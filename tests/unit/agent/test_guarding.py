"""What a guard protects, lets go of and does about what runs, without a kernel that asks."""

from __future__ import annotations

import os
import resource
import signal
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.agent import (
    events,
    fanotify,
    guard,
    kept,
    mounts,
    opening,
    preparing,
    processes,
    protecting,
    question,
    running,
    uses,
)
from chopmark.agent.bpf import behind
from chopmark.agent.settings import Settings, Sources
from chopmark.core import limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy.facts import FileFacts
from tests.support.guarding import policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chopmark.agent.world import World

FACTS = FileFacts("/x", "a" * 64, status=Status.TRUSTED)


class Group(fanotify.Group):
    """File systems, of which some cannot be marked."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.marked: list[tuple[str, int, int]] = []
        self.wrong: set[int] = set()

    def protect(self, folder: str, device: int, mask: int) -> None:
        if device in self.wrong:
            raise OSError(95, "Operation not supported")
        if (folder, device, mask) not in self.marked:  # to mark it again changes nothing
            self.marked.append((folder, device, mask))

    def release(self, folder: str, device: int, mask: int) -> None:
        self.marked.remove((folder, device, mask))


class Desk:
    """A guard whose loop does at once what it is told, and that knows three things of the world."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:  # noqa: ANN401 - of Settings
        self.said: list[tuple[str, dict[str, Any]]] = []
        self.done: list[str] = []
        self.there: list[mounts.Mount] = []
        self.allowed, self.mode = False, "enforce"
        self.facts: FileFacts | Exception = FACTS
        self.group = Group()
        self.guard = made = guard.Guard.__new__(guard.Guard)
        note = partial(partial, self.note)
        settings_ = Settings(load=self.load, **{"folders": (), **settings})
        stream: Any = SimpleNamespace(say=lambda kind, **more: self.said.append((kind, more)))
        parts: dict[str, Any] = {
            "settings": settings_,
            "group": self.group,
            "stream": stream,
            "protection": protecting.Protection(self.group, settings_, stream, made._came, made._gone),  # noqa: SLF001
            "ahead": SimpleNamespace(protect=note("ahead"), release=note("not ahead"), warm=note("warm")),
            "behind": None,
            "loop": SimpleNamespace(
                order=lambda work: work(),
                pending=SimpleNamespace(let_go=note("let go"), renewed=note("renewed"), look_ahead=note("look ahead")),
                is_stuck=False,
            ),
            "releasing": SimpleNamespace(abandon=note("abandon"), is_stuck=False),
            "decider": SimpleNamespace(
                decide=self.decide, why=lambda _: "policy.denied", renew=note("decide by"), mode="enforce"
            ),
            "examination": SimpleNamespace(
                examine=self.examine, renew=self.renew, world=SimpleNamespace(versions=None)
            ),
            "kept": SimpleNamespace(sweep=self.sweep, each=lambda: self.kept, heed=note("heed")),
        }
        self.kept: list[tuple[int, Any]] = []
        for name, value in parts.items():
            setattr(made, name, value)
        monkeypatch.setattr(mounts, "mounted", lambda: self.there)
        monkeypatch.setattr(os, "kill", lambda process, number: self.done.append(f"kill {process} {number}"))

    def note(self, name: str, *given: object, **_: object) -> None:
        self.done.append(" ".join([name, *map(str, given)]))

    def load(self) -> World:
        if isinstance(self.facts, Exception):
            raise self.facts
        return SimpleNamespace(versions=None)  # type: ignore[return-value]

    def renew(self, _: World) -> Any:  # noqa: ANN401 - what was forgotten
        return SimpleNamespace(verdicts=1, touched=lambda facts: facts.path == "/touched")

    def sweep(self, keep: Callable[[FileFacts], bool]) -> None:
        kinds = {
            "good": FACTS,
            "bad": FACTS._replace(status=Status.REJECTED),
            "touched": FACTS._replace(path="/touched"),
        }
        self.done.append(f"keep {[name for name, facts in kinds.items() if keep(facts)]}")

    def decide(self, facts: FileFacts, asked: question.Asked) -> question.Answer:
        assert facts is FACTS
        self.done.append(f"{asked.use} by {asked.by.path}")
        return question.Answer(self.allowed)

    def examine(self, descriptor: int, path: str) -> FileFacts:
        assert os.path.samestat(os.fstat(descriptor), Path(path).stat())
        if isinstance(self.facts, Exception):
            raise self.facts
        return self.facts

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.said]


def mount(place: Path | str, device: int, kind: str = "ext4") -> mounts.Mount:
    return mounts.Mount(str(place), device, kind)


def test_what_is_mounted_elsewhere_meanwhile_is_not_protected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [(str(tmp_path), 5), (str(tmp_path), 6), (str(tmp_path), 5), ("/nowhere", 7)]
    desk = Desk(monkeypatch, folders=folders)
    desk.there = [mount(tmp_path, 5)]
    desk.guard.protection.begin()
    assert desk.group.marked == [(str(tmp_path), 5, kept.MASK)]
    assert set(desk.done) == {f"ahead {desk.there[0]}"}
    assert (desk.guard.protection.places, desk.kinds) == ([str(tmp_path)], ["trouble", "trouble"])


def test_without_scripts_only_executions_are_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),), scripts=False)
    desk.there = [mount(tmp_path, 5, "overlay")]
    desk.guard.protection.begin()
    assert desk.group.marked == [(str(tmp_path), 5, fanotify.OPEN_EXEC_PERM)]
    assert desk.done == [], "where nothing is kept, nothing is looked at ahead"


def test_what_cannot_be_protected_is_no_guard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),))
    desk.there, desk.group.wrong = [mount(tmp_path, 5)], {5}
    with pytest.raises(UsageError):
        desk.guard.protection.begin()
    assert desk.guard.protection.places == []


@pytest.mark.parametrize("new_mounts", [False, True])
def test_file_systems_that_come_and_go_below(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, new_mounts: bool
) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),), new_mounts=new_mounts)
    below = [mount(tmp_path / name, device, kind) for name, device, kind in
             (("a", 6, "tmpfs"), ("b", 7, "nfs"), ("c", 8, "proc"), ("d", 9, "ext4"))]  # fmt: skip
    desk.there, desk.group.wrong = [mount(tmp_path, 5), *below, mount("/elsewhere", 10)], {9}
    desk.guard.protection.begin()
    assert [device for _, device, _ in desk.group.marked] == ([5, 6] if new_mounts else [5])
    assert desk.kinds == (["protected", "trouble"] if new_mounts else [])
    desk.said.clear()
    desk.group.wrong.clear()
    desk.there = [mount(tmp_path, 5), below[3]]
    desk.guard.protection.look()
    assert desk.guard.protection.places == [str(tmp_path), *([below[3].place] if new_mounts else [])]
    assert desk.kinds == (["unmounted", "protected"] if new_mounts else [])
    assert [each for each in desk.done if each.startswith("let go")] == (["let go 6"] if new_mounts else [])
    desk.there = []
    desk.guard.protection.look()
    assert desk.guard.protection.places == []


def test_what_is_let_go_stays_so_while_it_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),))
    desk.there = [mount(tmp_path, 5)]
    desk.guard.protection.begin()
    desk.done.clear()
    desk.guard.let_go(str(tmp_path))
    assert [each.split(" Mount")[0] for each in desk.done] == ["not ahead", "let go 5", "abandon 5"]
    assert (desk.group.marked, desk.guard.protection.places, desk.kinds) == ([], [], ["released"])
    for _ in range(2):
        desk.guard.protection.look()
        assert desk.guard.protection.places == []
    for there in (desk.there, []):
        desk.there = there
        with pytest.raises(UsageError):
            desk.guard.let_go(str(tmp_path))
    desk.guard.protection.look()
    desk.there = [mount(tmp_path, 5)]
    desk.guard.protection.look()
    assert desk.guard.protection.places == [str(tmp_path)], "mounted again, it is another one"


def test_files_are_looked_at_ahead_where_that_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),), warm=(str(tmp_path), "/nowhere"))
    desk.there = [mount(tmp_path, 5)]
    for folder in (str(tmp_path), "/nowhere"):
        with pytest.raises(UsageError):
            desk.guard.warm(folder)
    desk.guard.protection.begin()
    desk.guard._warm_all()  # noqa: SLF001 - likewise
    assert [each for each in desk.done if not each.startswith("ahead")] == [f"warm {tmp_path}"]
    assert desk.kinds == ["trouble"]
    monkeypatch.setattr(desk.guard.ahead, "warm", lambda folder: Path(folder, "gone").stat())
    with pytest.raises(UsageError):
        desk.guard.warm(str(tmp_path))
    desk.guard.ahead = None
    with pytest.raises(UsageError):
        desk.guard.warm(str(tmp_path))
    desk.guard._look_ahead("task", "done")  # type: ignore[arg-type]  # noqa: SLF001 - what is ahead asks for
    assert desk.done[-1] == "look ahead task done"


class Behind:
    """The kernel's programs: what they protect, and whether they deny."""

    def __init__(self) -> None:
        self.told: list[tuple[list[int], bool]] = []

    def protect(self, devices: Sequence[int], *, enforce: bool) -> None:
        self.told.append((list(devices), enforce))


@pytest.mark.parametrize("mode", ["enforce", "audit", "learning"])
def test_the_kernel_denies_where_leases_tell_and_denials_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    desk, behind = Desk(monkeypatch, folders=((str(tmp_path), 5),)), Behind()
    desk.guard.tell_kernel()
    desk.guard.behind, desk.guard.decider.mode = behind, mode  # type: ignore[assignment,misc]
    desk.there = [mount(tmp_path, 5), mount(tmp_path / "a", 6, "overlay")]
    desk.guard.protection.begin()
    desk.guard.tell_kernel()
    assert behind.told == [([5], mode == "enforce")]


@pytest.mark.parametrize("is_there", [False, True])
def test_at_the_end_everything_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool) -> None:
    """What was unmounted meanwhile is no trouble."""
    desk, behind = Desk(monkeypatch, folders=((str(tmp_path), 5),)), Behind()
    desk.there = [mount(tmp_path, 5)]
    desk.guard.protection.begin()
    desk.done.clear()
    if not is_there:
        monkeypatch.setattr(desk.group, "release", lambda *_: Path("/nowhere").stat())
    desk.guard.behind = behind  # type: ignore[assignment]
    parts: dict[str, object] = {
        "loop": "wake close",
        "releasing": "end",
        "memory": "close",
        "stream": "say end join",
        "ahead": "end",
    }
    for name, calls in parts.items():
        noted = {each: partial(desk.note, f"{name}.{each}") for each in str(calls).split()}
        setattr(desk.guard, name, SimpleNamespace(running=True, **noted))
    desk.guard._end([SimpleNamespace(join=partial(desk.note, "answering.join"))])  # type: ignore[list-item]  # noqa: SLF001
    assert behind.told == [([], False)]
    assert desk.group.marked == ([] if is_there else [(str(tmp_path), 5, kept.MASK)])
    assert not desk.guard.loop.running
    assert [each.split()[0] for each in desk.done] == [
        "ahead.end", "loop.wake", "answering.join", "loop.close", "releasing.end",
        "stream.say", "stream.end", "stream.join", "memory.close",
    ]  # fmt: skip


def test_what_is_let_go_while_mounts_are_looked_at_stays_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, folders=((str(tmp_path), 5),))
    desk.there = [mount(tmp_path, 5)]
    desk.guard.protection.begin()
    lets_go = threading.Thread(target=desk.guard.let_go, args=(str(tmp_path),))
    protect = desk.group.protect

    def meanwhile(*given: Any) -> None:  # noqa: ANN401 - as of the group
        lets_go.start()
        lets_go.join(0.05)
        protect(*given)

    monkeypatch.setattr(desk.group, "protect", meanwhile)
    desk.guard.protection.look()
    lets_go.join(10)
    assert (desk.group.marked, desk.guard.protection.places) == ([], [])


# What runs


def judged(desk: Desk, path: Path, by: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done about process 77, which has mapped a file as code."""
    path.write_bytes(b"x")
    monkeypatch.setattr(processes, "program", lambda _: processes.Program(by))
    descriptor = os.open(path, os.O_RDONLY)
    desk.guard._judge_running(running.Running(77, str(path), (1, 2), descriptor))  # noqa: SLF001 - for who looks
    os.close(descriptor)
    return desk.done


@pytest.mark.parametrize(
    ("kill", "mode", "ended"), [(True, "enforce", True), (True, "audit", False), (False, "enforce", False)]
)
def test_what_runs_and_is_denied_is_told_and_ended_where_that_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, *, kill: bool, ended: bool
) -> None:
    desk = Desk(monkeypatch, kill=kill)
    desk.guard.decider.mode = mode  # type: ignore[misc]
    file = tmp_path / "file"
    assert judged(desk, file, str(file), monkeypatch) == [
        f"{uses.EXEC} by {file}",
        *([f"kill 77 {signal.SIGKILL:d}"] if ended else []),
    ]
    [(kind, said)] = desk.said
    assert (kind, said["process"], said["action"]) == ("running-denied", 77, "killed" if ended else "reported")


def test_what_runs_and_is_allowed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch, kill=True)
    desk.allowed = True
    assert judged(desk, tmp_path / "file", "/bin/other", monkeypatch) == [f"{uses.LIBRARY} by /bin/other"]
    assert desk.said == []


@pytest.mark.parametrize(("kill", "mode"), [(True, "enforce"), (True, "audit"), (False, "enforce")])
def test_who_still_uses_what_a_writer_got_is_ended_where_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, mode: str, *, kill: bool
) -> None:
    desk = Desk(monkeypatch, kill=kill)
    desk.guard.decider.mode = mode  # type: ignore[misc]
    desk.guard._changed_under((1, 2), [77, 78])  # noqa: SLF001 - whom leases are left to
    ended = [f"kill {process} {signal.SIGKILL:d}" for process in (77, 78)]
    assert (desk.kinds, desk.done) == (["changed-in-use"], ended if kill and mode == "enforce" else [])


# What changes


def test_another_world_drops_what_it_touches_and_what_was_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    desk.kept = [(1, "file")]
    monkeypatch.setattr(running, "look", lambda *_: desk.done.append("look at what runs"))
    desk.guard.reload()
    renewed, *rest = desk.done
    assert renewed.startswith("decide by")
    assert rest == ["renewed", "keep ['good']", "heed file", "look at what runs"]
    assert desk.kinds == ["reloaded"]


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("asked", [False, True])
def test_what_was_seen_of_versions_outlives_another_world(
    monkeypatch: pytest.MonkeyPatch, *, remembered: bool, asked: bool
) -> None:
    """Where the old one and the new one ask; and the kernel's programs are told that it is another one."""
    desk = Desk(monkeypatch)
    versions = SimpleNamespace(take_over=partial(desk.note, "take over"))
    desk.guard.examination.world = SimpleNamespace(versions="old" if remembered else None)  # type: ignore[misc,assignment]
    desk.guard.settings = desk.guard.settings._replace(
        load=lambda: SimpleNamespace(versions=versions if asked else None)  # type: ignore[arg-type,return-value]
    )
    desk.guard.behind = SimpleNamespace(renew=partial(desk.note, "kernel"))  # type: ignore[assignment]
    monkeypatch.setattr(running, "look", lambda *_: None)
    desk.guard.reload()
    assert ("take over old" in desk.done) is (remembered and asked)
    assert desk.done[-1] == "kernel"


@pytest.mark.parametrize("error", [MalformedError("no policy"), ZeroDivisionError()])
def test_a_world_that_is_no_good_changes_nothing(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    desk = Desk(monkeypatch)
    desk.facts = error
    desk.guard.reload()
    assert (desk.done, desk.kinds) == ([], ["reload-failed"])
    assert desk.said[0][1]["detail"] in ("no policy", "ZeroDivisionError")


def test_a_newer_release_has_older_ones_of_its_product_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    releases = {"old": Release("tool", "1"), "other": Release("x", "1"), "none": None}
    desk.kept = [(0, SimpleNamespace(facts=FACTS._replace(release=each), name=name)) for name, each in releases.items()]
    desk.guard._outdated(FACTS._replace(release=Release("tool", "2")))  # noqa: SLF001 - what a decision leads to
    assert len(desk.done) == 1
    assert "name='old'" in desk.done[0]
    desk.guard._outdated(FACTS)  # noqa: SLF001 - likewise
    assert len(desk.done) == 1


@pytest.mark.parametrize(("seconds", "kind"), [(60.0, "glass-broken"), (0.0, "glass-mended")])
def test_the_glass_is_broken_for_some_time(monkeypatch: pytest.MonkeyPatch, seconds: float, kind: str) -> None:
    desk = Desk(monkeypatch)
    broken: list[tuple[float, int, str]] = []
    desk.guard.decider.break_glass = lambda *given: broken.append(given)  # type: ignore[method-assign]
    desk.guard.break_glass(seconds, "why", 7)
    assert (broken, desk.said) == ([(seconds, 7, "why")], [(kind, {"seconds": seconds, "uid": 7, "detail": "why"})])
    desk.guard.break_glass(limits.GUARD_GLASS_SECONDS_MAX, "why", 7)
    for wrong in (-0.1, limits.GUARD_GLASS_SECONDS_MAX + 0.1, float("nan")):
        with pytest.raises(UsageError):
            desk.guard.break_glass(wrong, "why", 7)
    assert len(broken) == 2


def test_who_does_what_it_is_told_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(monkeypatch)
    assert desk.guard.answers()
    desk.guard.loop.is_stuck = True  # type: ignore[misc]
    assert not desk.guard.answers()
    desk.guard.loop.is_stuck = False  # type: ignore[misc]
    desk.guard.releasing.is_stuck = True  # type: ignore[misc]
    assert not desk.guard.answers()
    desk.guard.releasing.is_stuck = False  # type: ignore[misc]
    monkeypatch.setattr(limits, "GUARD_ASKING_SECONDS", 0.01)
    desk.guard.loop.order = lambda work: None  # type: ignore[method-assign]  # noqa: ARG005
    assert not desk.guard.answers()


@pytest.mark.parametrize("soft", [256, 4096, 10**6])
def test_there_are_never_more_files_than_descriptors(monkeypatch: pytest.MonkeyPatch, soft: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    room = preparing.descriptors()
    assert room.kept + room.released <= max(32, soft - limits.GUARD_WORKING_DESCRIPTORS)
    assert 16 <= room.kept <= limits.GUARD_KEPT_MAX
    assert 0 < room.released <= limits.GUARD_RELEASED_MAX
    most = min(soft, limits.GUARD_DESCRIPTORS_MAX)
    assert room.kept + room.released < room.asked == most - min(limits.GUARD_SPARE_DESCRIPTORS, most // 2)


@pytest.mark.parametrize("strict", [False, True])
def test_a_worker_is_made_of_what_its_settings_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, strict: bool
) -> None:
    """All of it, and everything loaded, before anything is protected."""
    made: list[object] = []
    monkeypatch.setattr(preparing, "preload", lambda: made.append("everything"))
    monkeypatch.setattr(behind, "Behind", lambda place, _, *, strict: made.append((place, strict)))
    monkeypatch.setattr(preparing, "descriptors", lambda: preparing.Room(32, 0, 1024))  # for one file there is none
    (tmp_path / "policy.toml").write_text(policy())
    sources = Sources(str(tmp_path / "policy.toml"))
    rules = uses.Rules(strict=strict)
    plain = Settings((), partial(opening.opened, sources), rules=rules, ahead=False)
    worker = guard.Guard(plain, Group(), events.Stream([]))
    assert (made, worker.behind, worker.ahead) == (["everything"], None, None)
    assert worker.facts()["policy"].startswith("test version 1")
    (tmp_path / "file").write_bytes(b"x")
    event = fanotify.Event(os.open(tmp_path / "file", os.O_RDONLY), fanotify.OPEN_EXEC_PERM, os.getppid())
    monkeypatch.setattr(Group, "answer", lambda *_, allow: made.append(allow), raising=False)
    assert worker.loop._hearing.event(event) is None  # noqa: SLF001 - which has no room for it
    worker.loop.close()
    full = plain._replace(ahead=True, state=str(tmp_path), kernel="/sys/fs/bpf/x")
    worker = guard.Guard(full, Group(), events.Stream([]))
    assert made == ["everything", False, "everything", ("/sys/fs/bpf/x", strict)]
    assert worker.ahead is not None
    worker.memory.close()
    assert (tmp_path / "verdicts.db").exists()
