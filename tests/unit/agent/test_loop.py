"""The loop's decisions without a kernel: what is looked at, kept, answered, and looked at again."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.agent import (
    deciding,
    events,
    fanotify,
    judging,
    kept,
    leases,
    loop,
    opening,
    processes,
    question,
    telling,
    uses,
)
from chopmark.agent.settings import Settings, Sources
from chopmark.core import limits
from chopmark.policy.facts import FileFacts
from tests.support.guarding import policy
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Answers(fanotify.Group):
    """What was answered."""

    def __init__(self, descriptor: int = -1) -> None:
        super().__init__(descriptor)
        self.answered: list[bool] = []

    def answer(self, descriptor: int, *, allow: bool) -> None:
        assert descriptor > 0
        self.answered.append(allow)

    def ignore(self, descriptor: int, mask: int) -> None:
        """Nothing is marked here."""

    def heed(self, descriptor: int, mask: int) -> None:
        """Likewise."""


class Questions(Answers):
    """As if the kernel asked."""

    def __init__(self) -> None:
        reading, self._writing = os.pipe2(os.O_NONBLOCK)
        super().__init__(reading)
        self._events: deque[fanotify.Event] = deque()

    def ask(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        self._events.append(fanotify.Event(descriptor, fanotify.OPEN_EXEC_PERM, os.getppid()))
        os.write(self._writing, b"?")

    def read(self, most: int = 256) -> list[fanotify.Event]:
        with contextlib.suppress(BlockingIOError):
            return [self._events.popleft() for _ in os.read(self.descriptor, most)]
        return []


class Examiner:
    """Allows what is in a file but for `b"n"`, and takes its time with `b"slow"`."""

    def __init__(self) -> None:
        self.goes_on = threading.Event()

    def examine(self, descriptor: int, path: str) -> FileFacts:
        content = os.pread(descriptor, 100, 0)
        if content == b"slow":
            assert self.goes_on.wait(PATIENCE)
        return ALLOWED._replace(path=path, sha256=hashlib.sha256(content).hexdigest())


def test_who_asks_while_a_file_is_looked_at_is_answered(tmp_path: Path) -> None:
    group, examiner = Questions(), Examiner()
    answers, files = answering(tmp_path, group)
    threads = [threading.Thread(target=each) for each in (*answers.attend(lambda: examiner, 2), answers.run)]
    for each in threads:
        each.start()
    group.ask(tmp_path / "slow", b"slow")
    eventually(lambda: not answers.pending.is_idle)
    for number in range(3):
        group.ask(tmp_path / f"good{number}", b"x")
    group.ask(tmp_path / "evil", b"n")
    eventually(lambda: len(group.answered) == 4)
    assert sorted(group.answered) == [False, True, True, True]
    assert not answers.pending.is_idle
    examiner.goes_on.set()
    eventually(lambda: len(group.answered) == 5)
    assert not group.answered[-1]
    group.ask(tmp_path / "good3", b"x")  # of whom leads again
    eventually(lambda: len(group.answered) == 6)
    answers.running = False
    answers.wake()
    for each in threads:
        each.join(PATIENCE)
        assert not each.is_alive()
    assert len(files) == 6
    answers.close()


@pytest.fixture
def asked(tmp_path: Path) -> question.Asked:
    """Somebody executes a file."""
    (tmp_path / "file").write_bytes(b"x")
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    by = processes.Program("/bin/sh")
    return question.Asked(descriptor, (1, 1), uses.EXEC, os.getpid(), by, "/x", time.monotonic())


def answering(tmp_path: Path, group: fanotify.Group, *, has_room: bool = True) -> tuple[loop.Loop, kept.Kept]:
    (tmp_path / "policy.toml").write_text(policy([b"x"]))
    opened = opening.opened(Sources(str(tmp_path / "policy.toml")))
    decider = deciding.Decider(opened, Settings((), lambda: opened), events.Stream([]))
    leases.block()
    files = kept.Kept(group, 32, lambda _, descriptor: os.close(descriptor))
    return loop.Loop(group, files, decider, has_descriptors=lambda: has_room), files


ALLOWED = FileFacts("/x", hashlib.sha256(b"x").hexdigest())


@pytest.mark.parametrize("has_room", [False, True])
def test_files_are_not_looked_at_for_which_there_is_no_descriptor(
    tmp_path: Path,
    asked: question.Asked,
    has_room: bool,  # noqa: FBT001
) -> None:
    group = Answers()
    answers, _ = answering(tmp_path, group, has_room=has_room)
    answers.pending.wait(asked)
    assert answers.pending.is_idle is not has_room
    assert answers.answers.counters.failed == (0 if has_room else 1)
    answers.close()
    assert group.answered == [False]  # at once, or because nobody answers any more


def test_what_is_found_out_while_the_world_changes_is_found_out_again(tmp_path: Path, asked: question.Asked) -> None:
    group = Answers()
    answers, _ = answering(tmp_path, group)
    task = answers.pending.wait(asked)
    answers.pending.renewed()
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED))
    assert group.answered == []
    assert answers._crew.take() == task  # noqa: SLF001 - likewise
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED._replace(sha256="00" * 32)))
    assert group.answered == [False]
    answers.close()


def test_terminals_are_looked_for_now_and_then_and_events_made_each_time(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_NOTICES_MAX", 2)
    monkeypatch.setattr(processes, "terminal", lambda _: "/dev/pts/1")
    (tmp_path / "policy.toml").write_text(policy())
    opened = opening.opened(Sources(str(tmp_path / "policy.toml")))
    stream = events.Stream([])
    made: list[tuple[str, bool]] = []

    def add(event: Callable[[], tuple[dict[str, Any], events.Notice | None]]) -> None:
        said, notice = event()
        made.append((said["kind"], notice is not None))

    monkeypatch.setattr(stream, "add", add)
    decider = deciding.Decider(opened, Settings((), lambda: opened), stream)
    for _ in range(4):
        decider.told(asked, decider.decide(ALLOWED, asked), ALLOWED)
    assert made == [("deny", True)] * 2 + [("deny", False)] * 2
    os.close(asked.descriptor)


def test_who_asks_is_looked_up_for_each_event_and_their_parent_now_and_then(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.toml").write_text(policy())
    opened = opening.opened(Sources(str(tmp_path / "policy.toml")))
    stream = events.Stream([])
    decider = deciding.Decider(opened, Settings((), lambda: opened), stream)
    users: list[int] = []
    parents: list[int] = []

    def status(_: int) -> processes.Status:
        users.append(len(users))
        return processes.Status(users[-1], 0, 1 + len(users) // 4, 1)

    def executable(thread: int) -> str:
        parents.append(thread)
        return "/bin/parent"

    monkeypatch.setattr(processes, "status", status)
    monkeypatch.setattr(processes, "executable", executable)
    monkeypatch.setattr(limits, "GUARD_PARENT_SECONDS", 60.0)
    for _ in range(5):
        decider.told(asked, decider.decide(ALLOWED, asked), ALLOWED)
    assert parents == [1, 2]
    monkeypatch.setattr(limits, "GUARD_PARENTS_MAX", 2)
    monkeypatch.setattr(limits, "GUARD_PARENT_SECONDS", 0.0)
    for _ in range(4):
        decider.told(asked, decider.decide(ALLOWED, asked), ALLOWED)
    assert parents == [1, 2, 3, 3]
    assert len(decider._parents) == 1  # noqa: SLF001 - the bound
    stream.start()
    stream.end()
    stream.join(PATIENCE)
    assert [each["process"]["uid"] for each in stream.recent] == [*range(9)]
    os.close(asked.descriptor)


def test_what_is_tried_again_and_again_is_counted_and_told_of_once(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_ALIKE_MAX", 3)
    monkeypatch.setattr(limits, "GUARD_ALIKE_KINDS_MAX", 2)
    (tmp_path / "policy.toml").write_text(policy(mode="audit"))
    opened = opening.opened(Sources(str(tmp_path / "policy.toml")))
    stream = events.Stream([])
    decider = deciding.Decider(opened, Settings((), lambda: opened), stream)
    other = asked._replace(by=processes.Program("/bin/other"))
    third = other._replace(use=uses.SCRIPT)  # for which there is no room: told of each time
    for each in (*[asked] * 7, *[other] * 2, *[third] * 5, other, asked, other):
        decider.told(each, decider.decide(ALLOWED, each), ALLOWED)
    assert (stream.alike.left_out, decider.audited, stream.lost) == (6, 17, 0)
    stream.start()
    stream.end()
    stream.join(PATIENCE)
    told = [(each["program"], each["use"]) for each in stream.recent if each["kind"] == "audit"]
    by = asked.by.path
    assert told == [*[(by, "exec")] * 3, *[("/bin/other", "exec")] * 2, *[("/bin/other", "script")] * 5,
                    ("/bin/other", "exec")]  # fmt: skip
    repeated = [each for each in stream.recent if each["kind"] == "repeated"]
    assert [(each["program"], each["times"]) for each in repeated] == [(by, 5), ("/bin/other", 1)]
    assert {(each["path"], each["owner"], each["effect"], each["reason"]) for each in repeated} == {
        (asked.path, os.geteuid(), "audit", "policy.nothing")
    }
    assert telling.summary(repeated[0]) == f"audit exec of {asked.path} by {by}, 5 times more: policy.nothing"
    os.close(asked.descriptor)


def test_nothing_is_looked_up_for_an_event_that_no_room_is_for(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GUARD_EVENTS_WAITING_MAX", 1)
    (tmp_path / "policy.toml").write_text(policy())
    opened = opening.opened(Sources(str(tmp_path / "policy.toml")))
    stream = events.Stream([])
    decider = deciding.Decider(opened, Settings((), lambda: opened), stream)
    nobody = asked._replace(by=processes.NOBODY)
    decider.told(nobody, decider.decide(ALLOWED, nobody), ALLOWED)
    monkeypatch.setattr(processes, "program", lambda _: pytest.fail("looked up"))
    for _ in range(2):
        decider.told(nobody, decider.decide(ALLOWED, nobody), ALLOWED)
    assert stream.lost == 2
    monkeypatch.undo()
    stream.start()
    stream.end()
    stream.join(PATIENCE)
    told = [each["program"] for each in stream.recent if each["kind"] == "deny"]
    assert told == [processes.executable(asked.thread)]
    os.close(asked.descriptor)


def test_a_writer_who_comes_while_it_is_decided_is_heard_of(tmp_path: Path, asked: question.Asked) -> None:
    group = Answers()
    answers, files = answering(tmp_path, group)
    answers.pending.wait(asked)
    assert leases.take(asked.descriptor)
    examined = judging.Looked(asked.key, asked.descriptor, ALLOWED, leased=True)
    with pytest.raises(BlockingIOError):
        os.open(tmp_path / "file", os.O_WRONLY | os.O_NONBLOCK)
    answers.pending.looked(examined)
    assert (len(files), group.answered, answers.answers.counters.written) == (0, [False], 1)
    answers.close()


def test_names_of_users_are_those_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "passwd"
    monkeypatch.setattr(deciding, "_ACCOUNTS", str(path))
    path.write_text("root:x:0:0\nalice:x:1000:1000::/:\nother:x:1000:1000::/:\nbad:x\n+::\n")
    deciding.know_users()
    assert [deciding.user_name(each) for each in (0, 1000, 7)] == ["root", "alice", ""]
    path.unlink()
    deciding.know_users()
    assert deciding.user_name(1000) == "alice"
    path.write_text("bob:x:1000:1000::/:\n")
    assert deciding.user_name(1000) == "alice"  # nobody opens a file for an answer
    deciding.know_users()
    assert [deciding.user_name(each) for each in (0, 1000)] == ["", "bob"]
    monkeypatch.undo()
    deciding.know_users()


@pytest.mark.parametrize("gone", [False, True])
def test_no_file_is_kept_on_a_file_system_that_is_let_go_meanwhile(
    tmp_path: Path,
    asked: question.Asked,
    gone: bool,  # noqa: FBT001
) -> None:
    group = Answers()
    answers, files = answering(tmp_path, group)
    answers.pending.wait(asked)
    if gone:
        answers.pending.let_go(asked.key[0])
    assert leases.take(asked.descriptor)
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED, leased=True))
    assert (len(files), group.answered) == (0 if gone else 1, [True])
    answers.close()


@pytest.mark.parametrize("has_lease", [True, False])
def test_what_is_written_to_while_it_is_looked_at_is_not_what_was_found_out(
    tmp_path: Path,
    asked: question.Asked,
    monkeypatch: pytest.MonkeyPatch,
    has_lease: bool,  # noqa: FBT001
) -> None:
    group = Answers()
    answers, files = answering(tmp_path, group)
    answers.pending.wait(asked)
    monkeypatch.setattr(leases, "held", lambda _: False)  # as if a writer had come
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED, leased=has_lease))
    assert (len(files), group.answered, answers.answers.counters.written) == (0, [not has_lease], int(has_lease))
    answers.close()


@pytest.mark.parametrize("is_leased", [False, True])
def test_nothing_is_kept_where_leases_do_not_tell(
    tmp_path: Path,
    asked: question.Asked,
    monkeypatch: pytest.MonkeyPatch,
    is_leased: bool,  # noqa: FBT001
) -> None:
    """Files are asked unless the file system is known to be of a kind where they do."""
    group = Answers()
    answers, files = answering(tmp_path, group)
    answers.pending._is_leased = {asked.key[0]: is_leased}.__getitem__  # noqa: SLF001 - what the guard knows of devices
    answers.pending.wait(asked)
    assert leases.take(asked.descriptor)
    monkeypatch.setattr(leases, "tells", lambda _: False)
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED, leased=True))
    assert (len(files), group.answered) == (int(is_leased), [True])
    answers.close()


@pytest.mark.parametrize("then", [b"n", b"x"])
def test_only_a_file_that_somebody_was_let_into_is_held_until_nobody_uses_it(
    tmp_path: Path,
    asked: question.Asked,
    then: bytes,
) -> None:
    """Who is denied something again and again makes nobody look for those who run it."""
    group = Answers()
    answers, files = answering(tmp_path, group)
    released: list[kept.Key] = []
    files._release = lambda key, _: released.append(key)  # noqa: SLF001 - whom leases are left to
    answers.pending.wait(asked)
    assert leases.take(asked.descriptor)
    state = os.fstat(asked.descriptor)
    key, denied = (state.st_dev, state.st_ino), ALLOWED._replace(sha256=hashlib.sha256(b"n").hexdigest())
    answers.pending._waiting[key] = answers.pending._waiting.pop(asked.key)  # noqa: SLF001 - likewise
    answers.pending.looked(judging.Looked(key, asked.descriptor, denied, leased=True))
    file = files.get(key)
    assert file is not None
    assert (file.used, group.answered) == (False, [False])
    file.facts = denied._replace(sha256=hashlib.sha256(then).hexdigest())
    again = os.open(tmp_path / "file", os.O_RDONLY)
    answers._hearing.event(fanotify.Event(again, fanotify.OPEN_EXEC_PERM, os.getppid()))  # noqa: SLF001 - likewise
    assert group.answered == [False, then == b"x"]
    files.drop(key)
    assert released == ([key] if then == b"x" else [])
    with contextlib.nullcontext() if released else pytest.raises(OSError, match="Bad file"):
        os.close(asked.descriptor)
    answers.close()


def test_whoever_waited_too_long_and_was_let_in_counts_as_a_user(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = Answers()
    answers, files = answering(tmp_path, group)
    monkeypatch.setattr(deciding.Decider, "failing_open", True)
    monkeypatch.setattr(limits, "GUARD_ANSWER_SECONDS", -1.0)
    late = asked._replace(descriptor=os.dup(asked.descriptor))
    answers.pending.wait(asked)
    answers._overdue()  # noqa: SLF001 - what `run` does
    answers.pending.wait(late)
    assert leases.take(asked.descriptor)
    denied = ALLOWED._replace(sha256=hashlib.sha256(b"n").hexdigest())
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, denied, leased=True))
    file = files.get(asked.key)
    assert file is not None
    assert (file.used, group.answered) == (True, [True, False])
    answers.close()


def test_when_breaks_were_lost_leases_are_looked_at(
    tmp_path: Path, asked: question.Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, files = answering(tmp_path, Answers())
    answers.pending.wait(asked)
    assert leases.take(asked.descriptor)
    answers.pending.looked(judging.Looked(asked.key, asked.descriptor, ALLOWED, leased=True))
    assert len(files) == 1
    monkeypatch.setattr(leases.Breaks, "read", lambda _: iter([None]))
    answers._broken()  # noqa: SLF001 - what `run` does
    assert len(files) == 1
    monkeypatch.setattr(leases, "held", lambda _: False)
    answers._broken()  # noqa: SLF001 - likewise
    assert len(files) == 0
    answers.close()


def test_the_files_asked_about_least_recently_are_given_up_several_at_once(tmp_path: Path) -> None:
    released: list[kept.Key] = []

    def release(key: kept.Key, descriptor: int) -> None:
        released.append(key)
        os.close(descriptor)

    leases.block()
    files = kept.Kept(Answers(), 32, release)
    for number in range(33):
        (tmp_path / str(number)).write_bytes(b"x")
        descriptor = os.open(tmp_path / str(number), os.O_RDONLY)
        assert leases.take(descriptor)
        files.ignore(files.keep((1, number), descriptor, ALLOWED, time.monotonic() + 60))
        assert files.get((1, 0)) is not None  # asked about all the time
        assert files.has_room is (number < 29)
    assert (len(files), released) == (31, [(1, 1), (1, 2)])
    assert files.ignored == 31
    assert files.sweep(lambda _: False) == 31
