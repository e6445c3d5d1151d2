"""What becomes of a question: who is never asked about, what is judged, who is let through, and what is counted."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from chopmark.agent import fanotify, judging, kept, leases, loop, processes, question, uses
from chopmark.core import limits
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.agent.kept import Key
    from chopmark.agent.question import Asked

OTHER, THIRD = os.getppid(), 1
OPEN, EXEC = fanotify.OPEN_PERM, fanotify.OPEN_EXEC_PERM


class Facts(NamedTuple):
    """What was found out: what is decided, and by what the content would be known again."""

    word: str
    sha256: str = ""


GOOD, GOOD_FOR_SOME, EVIL, BROKEN = map(Facts, ("good", "good for some", "evil", "broken"))
UNTELLABLE = Facts("untellable")


class Group(fanotify.Group):
    """What was answered, and which files are to be ignored."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.answered: list[bool] = []
        self.asking: list[fanotify.Event] = []
        self.ignored: list[int] = []

    def answer(self, descriptor: int, *, allow: bool) -> None:
        os.fstat(descriptor)
        self.answered.append(allow)

    def read(self, most: int = 256) -> list[fanotify.Event]:
        assert most > 1
        found, self.asking = self.asking, []
        return found

    def ignore(self, descriptor: int, mask: int) -> None:
        assert mask == OPEN | EXEC
        self.ignored.append(descriptor)

    def heed(self, descriptor: int, mask: int) -> None:
        """Nothing is marked here."""


class Bench:
    """Facts are what is decided; who fails, and who waits for too long, is let in as `failing_open` says."""

    def __init__(self) -> None:
        self.rules = uses.Rules()
        self.failing_open = False
        self.told_of: list[tuple[question.Asked, bool, str]] = []
        self.unopened_for: list[int | None] = []

    def decide(self, facts: Facts, asked: question.Asked) -> question.Answer:
        if facts == BROKEN:
            raise ZeroDivisionError(asked.path)
        return question.Answer(facts in (GOOD, GOOD_FOR_SOME, UNTELLABLE), everybody=facts != GOOD_FOR_SOME)

    def without_facts(self, _: question.Asked, why: str, detail: str) -> question.Answer:
        return question.Answer(self.failing_open, decision=f"{why}: {detail}")

    def keeps(self, facts: Facts, *, for_all: bool) -> float:
        assert for_all is (facts == GOOD)
        return 60.0

    def unopened(self, error: OSError) -> None:
        self.unopened_for.append(error.errno)

    def told(self, asked: question.Asked, answer: question.Answer, facts: Facts | None) -> None:
        os.fstat(asked.descriptor)  # who asks still waits
        if facts == UNTELLABLE:
            raise ZeroDivisionError(asked.path)
        self.told_of.append((asked, answer.allow, answer.decision or ""))


class Second:
    """The kernel's programs."""

    def __init__(self) -> None:
        self.let_through: list[tuple[int, int | None, bool]] = []

    def writes(self, descriptor: int) -> int:
        os.fstat(descriptor)
        return 7

    def let(self, asked: question.Asked, writes: int | None, *, everybody: bool) -> None:
        self.let_through.append((asked.thread, writes, everybody))


class Desk(NamedTuple):
    """A loop that nobody runs, and everybody around it."""

    loop: loop.Loop
    group: Group
    bench: Bench
    second: Second
    files: kept.Kept
    folder: Path

    def ask(
        self, name: str = "file", mask: int = EXEC, thread: int = OTHER, content: bytes = b"x"
    ) -> judging.Task | None:
        """Ask about a file; the task if it has to be looked at."""
        task = self.hear(name, mask, thread, content)
        assert not isinstance(task, question.Asked)
        return task

    def hear(
        self, name: str = "file", mask: int = EXEC, thread: int = OTHER, content: bytes = b"x"
    ) -> judging.Task | Asked | None:
        """The same where it may have to be found out who asks."""
        path = self.folder / name
        if not path.exists():
            path.write_bytes(content)
        event = fanotify.Event(os.open(path, os.O_RDONLY), mask, thread)
        return self.loop._hearing.event(event)  # noqa: SLF001 - what is heard from the kernel

    def looked(self, task: judging.Task, facts: Facts | None, **more: Any) -> None:  # noqa: ANN401 - of the looked
        self.loop.pending.looked(judging.Looked(task.key, task.descriptor, facts, **more))

    def keep(self, facts: Facts, name: str = "file") -> None:
        """Have a file looked at and kept for somebody who asked."""
        task = self.ask(name, thread=THIRD)
        assert task is not None
        if not leases.take(task.descriptor):
            pytest.skip("no leases on this file system")
        self.looked(task, facts, leased=True)
        self.group.answered.clear()
        self.second.let_through.clear()

    @property
    def counted(self) -> dict[str, int]:
        return {name: count for name, count in self.loop.answers.counters.as_dict().items() if count}


def opened() -> set[str]:
    """The descriptors of this process, but for the one that looks."""
    return {each.name for each in Path("/proc/self/fd").iterdir() if os.path.lexists(each)}


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    programs = {OTHER: "/bin/sh", THIRD: "/usr/bin/cat"}
    monkeypatch.setattr(processes, "executable", lambda thread: programs.get(thread, ""))
    monkeypatch.setattr(processes, "access", lambda _: os.O_RDONLY)
    before = opened()
    leases.block()
    group, bench, second = Group(), Bench(), Second()
    files = kept.Kept(group, 32, lambda _, descriptor: os.close(descriptor))
    made = loop.Loop(group, files, bench, second)
    yield Desk(made, group, bench, second, files, tmp_path)
    made.close()
    assert opened() <= before, "every descriptor is closed"


def test_our_own_threads_are_never_judged(desk: Desk) -> None:
    desk.loop.know_own()
    assert desk.ask(thread=os.getpid()) is None
    assert (desk.group.answered, desk.counted, desk.bench.told_of) == ([True], {"passed": 1}, [])


def test_who_is_no_interpreter_may_open_anything(desk: Desk) -> None:
    for name, content in (("script.sh", b"#!/bin/sh"), ("program", b"\x7fELF")):
        assert desk.ask(name, OPEN, THIRD, content) is None
    assert desk.ask("program", OPEN, OTHER) is None, "a shell loads no libraries of itself"
    assert desk.group.answered == [True] * 3
    desk.bench.rules = uses.Rules(strict=True)
    assert desk.ask("script.sh", OPEN, THIRD) is None
    task = desk.ask("program", OPEN, THIRD)
    assert task is not None
    desk.looked(task, EVIL)
    assert desk.group.answered == [True] * 4 + [False]
    [(asked, _, _)] = desk.bench.told_of
    assert (asked.use, asked.by.path, asked.path) == (uses.LIBRARY, "/usr/bin/cat", str(desk.folder / "program"))


def test_what_an_interpreter_opens_is_judged_as_what_it_is(desk: Desk) -> None:
    task = desk.ask("script", OPEN)
    assert task is not None
    desk.looked(task, GOOD)
    [(asked, allowed, _)] = desk.bench.told_of
    assert (asked.use, asked.by, allowed) == (uses.SCRIPT, processes.Program("/bin/sh"), True)
    assert asked.key == (task.key) == ((state := (desk.folder / "script").stat()).st_dev, state.st_ino)


def test_what_is_a_script_where_it_is_named_waits_for_that_and_not_for_ever(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "executable", lambda _: "/usr/bin/python3")
    tasks = []
    for named in (False, True):
        monkeypatch.setattr(processes, "names", lambda *_, named=named: named)
        asked = desk.hear(f"{named}", OPEN)
        assert isinstance(asked, question.Asked)
        tasks.append(desk.loop._go_on(desk.loop._find_out(asked)))  # noqa: SLF001 - what a thread of the crew does
    nothing, script = tasks
    assert nothing is None
    assert script is not None
    desk.looked(script, EVIL)
    assert desk.group.answered == [True, False]
    assert [each.use for each, _, _ in desk.bench.told_of] == [uses.SCRIPT]
    late = desk.hear("late", OPEN)
    assert isinstance(late, question.Asked)
    desk.loop._overdue()  # noqa: SLF001 - the next look
    assert desk.group.answered == [True, False]
    monkeypatch.setattr(limits, "GUARD_NAMING_SECONDS", 0.0)
    desk.loop._overdue()  # noqa: SLF001 - likewise
    task = desk.loop._crew.take()  # noqa: SLF001 - for whoever looks
    assert isinstance(task, judging.Task)
    assert desk.loop._go_on(desk.loop._find_out(late)) is None  # noqa: SLF001 - by now it has named it
    desk.looked(task, EVIL)
    assert desk.group.answered == [True, False, False]
    assert isinstance(desk.hear("open", OPEN), question.Asked)  # when the loop ends


def test_the_second_event_of_an_execution_passes_where_the_first_was_allowed(desk: Desk) -> None:
    """But for once, for this file, and while it is still known that nobody has written to it."""
    desk.keep(GOOD_FOR_SOME)
    desk.bench.told_of.clear()
    for thread in (THIRD, OTHER):
        assert desk.ask(thread=thread) is None
        assert desk.ask(mask=OPEN, thread=thread) is None
    assert [asked.use for asked, _, _ in desk.bench.told_of] == [uses.EXEC] * 2
    assert desk.ask(mask=OPEN) is None
    assert [asked.use for asked, _, _ in desk.bench.told_of] == [uses.EXEC] * 2 + [uses.SCRIPT]
    assert desk.ask() is None
    other = desk.ask("other", OPEN)
    assert other is not None
    desk.looked(other, EVIL)
    assert desk.group.answered == [True] * 6 + [False]
    assert (desk.counted["passed"], desk.counted["known"]) == (2, 4)


def test_where_a_writer_may_have_come_between_the_two_it_is_judged_again(desk: Desk) -> None:
    task = desk.ask(thread=THIRD)
    assert task is not None
    desk.looked(task, GOOD)
    task = desk.ask(mask=OPEN, thread=THIRD)
    assert task is not None
    desk.looked(task, EVIL)
    assert [asked.use for asked, _, _ in desk.bench.told_of] == [uses.EXEC] * 2
    assert desk.group.answered == [True, False]


def test_the_second_event_of_an_execution_that_was_denied_is_judged_as_what_it_is(desk: Desk) -> None:
    task = desk.ask("first", thread=OTHER)
    assert task is not None
    desk.looked(task, EVIL)
    task = desk.ask("first", OPEN, OTHER)
    assert task is not None
    desk.looked(task, EVIL)
    assert [asked.use for asked, _, _ in desk.bench.told_of] == [uses.EXEC, uses.SCRIPT]
    assert desk.group.answered == [False, False]


def test_of_no_more_threads_that_execute_is_anything_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_EXECUTING_MAX", 2)
    desk.keep(GOOD)
    for thread in (11, 12, 13):
        assert desk.ask(thread=thread) is None
    assert [*desk.loop.answers.executing] == [12, 13]


def test_a_file_that_is_kept_is_answered_at_once(desk: Desk) -> None:
    desk.keep(EVIL)
    assert desk.ask() is None
    assert (desk.group.answered, desk.group.ignored, desk.second.let_through) == ([False], [], [])
    assert desk.counted == {"denied": 2, "known": 1, "looked": 1}


@pytest.mark.parametrize(("facts", "everybody"), [(GOOD, True), (GOOD_FOR_SOME, False)])
def test_the_kernel_is_told_of_what_everybody_may_use(desk: Desk, facts: Facts, *, everybody: bool) -> None:
    desk.keep(facts)
    assert len(desk.group.ignored) == everybody
    for file in dict(desk.files.each()).values():
        assert file.writes == 7
        file.ignored = False
    desk.group.ignored.clear()
    assert desk.ask() is None
    assert (desk.group.answered, len(desk.group.ignored)) == ([True], everybody)
    assert desk.second.let_through == [(OTHER, 7, everybody)]


def test_who_asks_while_a_file_is_looked_at_waits_for_it(desk: Desk) -> None:
    task = desk.ask()
    assert task is not None
    assert desk.ask(thread=THIRD) is None
    assert (desk.group.answered, desk.loop.pending.is_idle) == ([], False)
    desk.looked(task, GOOD)
    assert (desk.group.answered, desk.loop.pending.is_idle) == ([True, True], True)
    assert desk.second.let_through == [(OTHER, None, False), (THIRD, None, False)], "what is not kept is asked again"
    assert desk.counted == {"allowed": 2, "looked": 1}


@pytest.mark.parametrize("failing_open", [False, True])
def test_who_waits_for_too_long_is_answered_without_an_answer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, failing_open: bool
) -> None:
    desk.bench.failing_open = failing_open
    desk.loop._overdue()  # noqa: SLF001 - what `run` does
    task = desk.ask()
    assert task is not None
    assert desk.ask(thread=THIRD) is None
    desk.loop._overdue()  # noqa: SLF001 - likewise
    assert desk.group.answered == []
    monkeypatch.setattr(limits, "GUARD_ANSWER_SECONDS", -1.0)
    desk.loop._overdue()  # noqa: SLF001 - likewise
    assert desk.group.answered == [failing_open] * 2
    assert {detail for _, _, detail in desk.bench.told_of} == {"late: "}
    desk.loop._overdue()  # noqa: SLF001 - likewise
    desk.looked(task, EVIL)
    assert len(desk.group.answered) == 2
    assert desk.counted == {("allowed" if failing_open else "denied"): 2, "late": 2, "looked": 1}


def test_a_mistake_in_a_decision_ends_nobody(desk: Desk) -> None:
    task = desk.ask()
    assert task is not None
    desk.looked(task, BROKEN)
    [(asked, allowed, detail)] = desk.bench.told_of
    assert (allowed, detail) == (False, f"failed: ZeroDivisionError: {asked.path}")
    assert desk.counted == {"denied": 1, "failed": 1, "looked": 1}


@pytest.mark.parametrize("failing_open", [False, True])
def test_what_nobody_can_be_told_of_is_a_failure_and_answered(desk: Desk, *, failing_open: bool) -> None:
    desk.bench.failing_open = failing_open
    for number in range(2):
        task = desk.ask(f"{number}")
        assert task is not None
        desk.looked(task, UNTELLABLE)
    assert desk.group.answered == [failing_open] * 2
    assert desk.counted == {("allowed" if failing_open else "denied"): 2, "failed": 2, "looked": 2}


def test_nobody_waits_where_descriptors_come_to_an_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are answered from what is known, or not at all; else the next question of anybody could not be heard."""
    desk.keep(GOOD_FOR_SOME)
    task = desk.ask("other")
    assert task is not None
    last = os.dup(task.descriptor)
    os.close(last)
    for part in (desk.loop.pending, desk.loop._hearing):  # noqa: SLF001 - which were told at the beginning
        part._descriptors = last  # noqa: SLF001 - likewise
    monkeypatch.setattr(processes, "executable", lambda _: "/usr/bin/python3")
    for name, mask in (("file", EXEC), ("other", EXEC), ("third", EXEC), ("fourth", OPEN)):
        assert desk.hear(name, mask, THIRD if name == "fourth" else OTHER) is None
    assert desk.group.answered == [True, False, False, False]
    assert [use.use for use, _, _ in desk.bench.told_of[-2:]] == [uses.EXEC, uses.SCRIPT]
    assert {detail for _, _, detail in desk.bench.told_of[-3:]} == {"failed: too many wait for an answer"}
    desk.looked(task, EVIL)
    assert desk.counted["failed"] == 3


def test_what_the_kernel_could_not_ask_about_ends_nobody(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without a driver, or no descriptor for it: that one was denied, and the next can be asked about."""
    reading = fanotify.Group(os.open(desk.folder, os.O_RDONLY))

    def unread(number: int) -> Any:  # noqa: ANN401 - as os.read
        return lambda *_: (_ for _ in ()).throw(OSError(number, "no"))

    monkeypatch.setattr(desk.group, "read", reading.read)
    with monkeypatch.context() as patch:
        for number in (6, 24):  # ENXIO, EMFILE
            patch.setattr(os, "read", unread(number))
            assert desk.loop._hear() is None  # noqa: SLF001 - who leads
        for number in (9, 22):  # EBADF, EINVAL: then nobody can be heard any more
            patch.setattr(os, "read", unread(number))
            with pytest.raises(OSError, match="no"):
                desk.loop._hear()  # noqa: SLF001 - likewise
    os.close(reading.descriptor)
    assert (desk.counted, desk.bench.unopened_for) == ({"failed": 2}, [6, 24])


def test_a_thread_that_joins_while_we_are_counted_is_ours(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    joins = threading.Thread(target=desk.loop._join, args=(THIRD,))  # noqa: SLF001 - what a thread of the crew does

    def counted(_: str) -> list[str]:
        joins.start()
        joins.join(0.05)
        return [str(os.getpid())]

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", counted)
        desk.loop.know_own()
    joins.join(10)
    assert desk.loop._hearing.own == {os.getpid(), THIRD}  # noqa: SLF001 - whom it lets through


@pytest.mark.parametrize("why", ["failed", "written"])
def test_of_what_nothing_could_be_found_out_nobody_is_let_in(desk: Desk, why: str) -> None:
    task = desk.ask()
    assert task is not None
    desk.looked(task, None, written=why == "written", error="no idea")
    assert desk.bench.told_of[0][1:] == (False, f"{why}: no idea")
    assert desk.counted == {"denied": 1, why: 1, "looked": 1}


def test_what_cannot_even_be_looked_at_is_answered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def path_of(_: int) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(judging, "path_of", path_of)
    assert desk.ask() is None
    assert desk.bench.told_of[0][1:] == (False, "failed: [Errno 5] Input/output error")
    assert desk.counted == {"denied": 1, "failed": 1}


def test_at_the_end_who_waits_is_answered(desk: Desk) -> None:
    assert desk.ask() is not None
    assert desk.ask(thread=THIRD) is None
    desk.bench.failing_open = True
    second = loop.Loop(desk.group, desk.files, desk.bench)
    second.close()
    assert desk.group.answered == []


def test_nobody_of_those_who_ask_at_once_is_forgotten(desk: Desk) -> None:
    desk.keep(GOOD)
    for name in ("a", "b", "file", "c"):
        path = desk.folder / name
        if name != "file":
            path.write_bytes(b"x")
        desk.group.asking.append(fanotify.Event(os.open(path, os.O_RDONLY), EXEC, OTHER))
    last = desk.loop._hear()  # noqa: SLF001 - who leads looks at that one
    for name, task in (("a", desk.loop._crew.take()), ("b", desk.loop._crew.take()), ("c", last)):  # noqa: SLF001
        assert isinstance(task, judging.Task)
        assert task.path == str(desk.folder / name)
        desk.looked(task, EVIL)
    assert desk.group.answered == [True, False, False, False]


def test_who_stands_in_sees_to_orders_writers_and_those_who_wait(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_TICK_SECONDS", 0.01)
    desk.keep(GOOD)
    [(_, file)] = desk.files.each()
    wanted = file.descriptor
    task = desk.ask("other")
    assert task is not None
    monkeypatch.setattr(limits, "GUARD_ANSWER_SECONDS", -1.0)
    reading, writing = os.pipe()

    class Breaks(leases.Breaks):
        """A lease is wanted back whenever something is written."""

        def __init__(self) -> None:
            self.descriptor = reading

        def read(self) -> Iterator[int | None]:
            os.read(reading, 1)
            yield wanted

    desk.loop._breaks.close()  # noqa: SLF001 - signals would come to others as well
    desk.loop._breaks = Breaks()  # noqa: SLF001 - likewise
    ordered = threading.Event()
    thread = threading.Thread(target=desk.loop.run)
    thread.start()
    try:
        eventually(lambda: desk.group.answered == [False])
        desk.loop.order(ordered.set)
        assert ordered.wait(PATIENCE)
        os.write(writing, b"x")
        eventually(lambda: len(desk.files) == 0)
    finally:
        desk.loop.running = False
        desk.loop.wake()
        thread.join(PATIENCE)
        os.close(writing)
    assert not thread.is_alive()
    desk.looked(task, EVIL)
    assert (desk.counted["broken"], desk.counted["late"]) == (1, 1)
    assert len(desk.loop.attend(lambda: pytest.fail("nothing is looked at"), 3)) == 3


# Ahead of anybody who asks


def ahead(desk: Desk, name: str = "file") -> tuple[judging.Task, list[bool]]:
    done: list[bool] = []
    path = desk.folder / name
    if not path.exists():  # it may be leased by now
        path.write_bytes(b"x")
    descriptor, state = os.open(path, os.O_RDONLY), path.stat()
    key: Key = (state.st_dev, state.st_ino)
    task = judging.Task(key, descriptor, str(path))
    desk.loop.pending.look_ahead(task, lambda: done.append(True))
    return task, done


@pytest.mark.parametrize(("facts", "is_kept"), [(GOOD, True), (GOOD_FOR_SOME, False), (EVIL, False), (BROKEN, False)])
def test_what_everybody_may_use_is_kept_before_anybody_asks(desk: Desk, facts: Facts, *, is_kept: bool) -> None:
    task, done = ahead(desk)
    assert (done, desk.loop._crew.take()) == ([], task)  # noqa: SLF001 - for whoever looks
    if not leases.take(task.descriptor):
        pytest.skip("no leases on this file system")
    desk.looked(task, facts, leased=True)
    assert (len(desk.files), len(desk.group.ignored), done) == (is_kept, is_kept, [True])
    assert desk.second.let_through == ([(0, 7, True)] if is_kept else [])
    assert (desk.group.answered, desk.bench.told_of, desk.counted.get("ahead", 0)) == ([], [], is_kept)


def test_nobody_looks_ahead_at_what_is_known_or_being_looked_at(desk: Desk) -> None:
    task, _ = ahead(desk)
    _, done = ahead(desk)
    assert done == [True]
    if not leases.take(task.descriptor):
        pytest.skip("no leases on this file system")
    desk.looked(task, GOOD, leased=True)
    assert ahead(desk)[1] == [True]


@pytest.mark.parametrize("missing", ["room", "descriptors"])
def test_nobody_looks_ahead_where_others_would_have_to_go(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    assert desk.loop.pending.has_room
    if missing == "room":
        monkeypatch.setattr(kept.Kept, "has_room", False)
    else:
        desk.loop.pending._has_descriptors = lambda: False  # noqa: SLF001 - what the guard says
    assert desk.loop.pending.has_room is (missing != "room")
    assert ahead(desk)[1] == [True]
    assert desk.loop.pending.is_idle


@pytest.mark.parametrize(("facts", "used"), [(GOOD, True), (GOOD_FOR_SOME, True), (EVIL, False)])
def test_what_is_let_go_is_not_kept(desk: Desk, facts: Facts, *, used: bool) -> None:
    desk.keep(facts)
    [((device, _), file)] = desk.files.each()
    assert file.used is used, "somebody may have been let in"
    desk.loop.pending.let_go(device + 1)
    assert len(desk.files) == 1
    desk.loop.pending.let_go(device)
    assert len(desk.files) == 0


def test_a_failure_ahead_of_anybody_is_not_counted(desk: Desk) -> None:
    task, done = ahead(desk)
    desk.looked(task, None, error="no idea")
    assert (done, desk.counted) == ([True], {"looked": 1})


def test_what_was_let_go_meanwhile_is_nobodys(desk: Desk) -> None:
    task = desk.ask()
    assert task is not None
    desk.looked(task, EVIL)
    desk.looked(task, GOOD)
    assert (desk.group.answered, desk.counted["looked"]) == ([False], 1)
    assert desk.bench.told_of[0][0].since <= time.monotonic()
