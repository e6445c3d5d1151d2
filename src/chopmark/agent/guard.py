"""The worker's whole life: protect, answer, notice what changes, end."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from chopmark.agent import (
    ahead,
    control,
    judging,
    kept,
    loop,
    memory,
    preparing,
    processes,
    protecting,
    question,
    releasing,
    running,
    uses,
    watching,
)
from chopmark.agent.deciding import Decider
from chopmark.agent.examining import Examination
from chopmark.core import clock, limits
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.core.verdict import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.bpf.behind import Behind
    from chopmark.agent.events import Stream
    from chopmark.agent.fanotify import Group
    from chopmark.agent.holder import Line
    from chopmark.agent.mounts import Mount
    from chopmark.agent.settings import Settings
    from chopmark.policy.facts import FileFacts


class Guard:
    """One worker. Everything that takes long is made before the first file system is protected."""

    def __init__(self, settings: Settings, group: Group, stream: Stream) -> None:
        """Raises ChopmarkError where the policy, the trust stores or the catalogs are no good."""
        self.settings = settings
        self.stream = stream
        self.group = group
        self.began = clock.show(clock.now())
        before = watching.states(settings.files)
        world = settings.load()
        before = {**watching.states(world.files), **before}  # now: what changes until we watch is a change as well
        preparing.preload()
        self.memory = memory.Memory(
            os.path.join(settings.state, "verdicts.db") if settings.state else "", self._trouble
        )
        self.examination = Examination(world, self.memory)
        self.decider = Decider(world, settings, stream, self._outdated)
        room = preparing.descriptors()
        self.releasing = releasing.Releasing(self._changed_under, room.released)
        self.kept = kept.Kept(group, room.kept, self.releasing.release)
        self.behind = self._behind()
        self.protection = protecting.Protection(group, settings, stream, self._came, self._gone)
        self.loop = loop.Loop(
            group,
            self.kept,
            self.decider,
            self.behind,
            room.asked,
            has_descriptors=lambda: self.releasing.has_room,
            is_leased=self.protection.is_leased,
        )
        self.ahead = self._ahead() if settings.ahead else None
        self.watch = watching.Watch(self, before)

    def _ahead(self) -> ahead.Ahead:
        return ahead.Ahead(self._look_ahead, self.loop.pending, self.protection.__contains__)

    def _behind(self) -> Behind | None:
        """The kernel's programs, where they are wanted."""
        if not self.settings.kernel:
            return None
        from chopmark.agent.bpf import behind

        return behind.Behind(self.settings.kernel, self._trouble, strict=self.settings.rules.strict)

    # --- life

    def run(self, line: Line) -> int:
        """Protect and answer until SIGTERM; the exit status."""
        signal.signal(signal.SIGTERM, lambda *_: self.stop())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, lambda *_: self.watch.reload())
        sys.setswitchinterval(limits.GUARD_SWITCH_SECONDS)
        preparing.hurry()
        threading.excepthook = lambda ended: self._die(ended.exc_value)  # whoever it was, somebody would wait for ever
        self.memory.start()
        self.stream.start()
        self.releasing.start()
        server = control.serve(self) if self.settings.control else None
        listening = self.loop.attend(lambda: self.examination, limits.GUARD_JUDGES)
        gc.collect()
        gc.freeze()
        answering = [
            threading.Thread(target=work, name="answering", daemon=True) for work in (*listening, self.loop.run)
        ]
        for each in answering:
            each.start()
        if self.ahead is not None:
            self.ahead.start()
        self.loop.know_own()
        try:
            self.protection.begin()
            self.tell_kernel()
            self.stream.say("started", detail=f"{self.decider.mode}: {', '.join(self.protection.places)}")
            line.alive(failing_open=self.decider.failing_open)
            line.ready()
            self._warm_all()
            self.watch.run(line)
        except UsageError:
            self._end(answering)
            raise
        except BaseException as error:
            self._die(error)
            raise
        if server is not None:
            server.close()
        if line.alive(failing_open=self.decider.failing_open):
            self._end(answering)
        else:
            self._leave(answering)
        return 0

    @staticmethod
    def _die(error: BaseException | None) -> None:
        """End at once and release nothing: the holder lets nobody pass, and starts another worker."""
        os.write(2, f"chopmark: the guard's worker ends: {type(error).__name__}: {error}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)

    def stop(self) -> None:
        """End soon."""
        self.watch.stop()

    def _leave(self, answering: list[threading.Thread]) -> NoReturn:
        """End without a holder: it was killed, and its manager ends the rest of us to begin anew. Release nothing.

        Everybody waits for the next guard, while somebody holds the group; the kernel answers nobody by itself.
        """
        self.write_versions()
        self.stream.say("stopped", detail="the holder is gone: everybody waits for the next guard")
        self.stream.end()
        self.stream.join(limits.GUARD_STOP_SECONDS)
        self.memory.close()
        self._stop_answering(answering)
        self.group.heed_all()
        os._exit(0)  # what else would be done opens files

    def _stop_answering(self, answering: list[threading.Thread]) -> None:
        threading.excepthook = threading.__excepthook__  # from now on others have what they used closed under them
        self.loop.running = False
        self.loop.wake()
        until = time.monotonic() + limits.GUARD_STOP_SECONDS
        for each in answering:  # which may wait for somebody else: that is no reason not to end
            each.join(max(0.0, until - time.monotonic()))

    def _end(self, answering: list[threading.Thread]) -> None:
        if self.behind is not None:
            self.behind.protect((), enforce=False)
        self.protection.end()
        if self.ahead is not None:
            self.ahead.end()
        self._stop_answering(answering)
        self.loop.close()
        self.releasing.end()
        self.write_versions()
        self.stream.say("stopped", detail="nothing is protected any more")
        self.stream.end()
        self.stream.join(limits.GUARD_STOP_SECONDS)
        self.memory.close()

    # --- what is protected

    def tell_kernel(self) -> None:
        """Have its programs protect what we protect, and deny only while we do."""
        if self.behind is not None:
            devices = [each.device for each in self.protection.mounts if each.leased]
            self.behind.protect(devices, enforce=self.decider.mode == "enforce")

    def _came(self, mount: Mount) -> None:
        if self.ahead is not None and mount.leased:  # else nothing is kept of what was looked at
            self.ahead.protect(mount)

    def _gone(self, device: int) -> None:
        self.loop.order(lambda: self.loop.pending.let_go(device))

    def let_go(self, folder: str) -> None:
        """Protect the file system of a folder no more, so that it can be unmounted. Raises UsageError."""
        mount = self.protection.let_go(folder)
        if self.ahead is not None:
            self.ahead.release(mount)
        done = threading.Event()
        self.loop.order(lambda: (self.loop.pending.let_go(mount.device), done.set()))  # type: ignore[func-returns-value,arg-type]
        done.wait(limits.GUARD_STOP_SECONDS)
        self.releasing.abandon(mount.device)
        self.stream.say("released", detail=mount.place)

    def _look_ahead(self, task: judging.Task, done: Callable[[], None]) -> None:
        self.loop.order(lambda: self.loop.pending.look_ahead(task, done))

    def _warm_all(self) -> None:
        for folder in self.settings.warm:
            try:
                self.warm(folder)
            except UsageError as error:
                self._trouble(str(error))

    def warm(self, folder: str) -> None:
        """Look at all files below a folder in good time. Raises UsageError."""
        self.protection.of(folder)
        if self.ahead is None:
            raise UsageError("this guard looks at nothing ahead (--no-ahead)")
        try:
            self.ahead.warm(folder)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}") from None

    # --- what changes

    def reload(self) -> None:
        """Take over the world as it is now; when it is no good, the old one stays. Raises nothing."""
        try:
            world = self.settings.load()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the new one, the old one still protects
            self.stream.say("reload-failed", detail=str(error) or type(error).__name__)
            return
        before = self.examination.world.versions
        forgotten = self.examination.renew(world)
        done = threading.Event()

        def take_over() -> None:
            if world.versions is not None and before is not None:
                world.versions.take_over(before)
            self.decider.renew(world)
            self.loop.pending.renewed()
            self.kept.sweep(lambda facts: facts.status is Status.TRUSTED and not forgotten.touched(facts))
            for _, file in self.kept.each():  # the rest is asked about again, and answered from what is known
                self.kept.heed(file)
            if self.behind is not None:
                self.behind.renew()
            done.set()

        self.loop.order(take_over)
        done.wait(limits.GUARD_ANSWER_SECONDS)
        self.stream.say("reloaded", detail=f"{forgotten.verdicts} verdicts dropped")
        self.look_at_running()

    def _outdated(self, newer: FileFacts) -> None:
        """Have older files of a product asked about again. In the loop's own thread."""
        for _, file in self.kept.each():
            release = file.facts.release
            if release is not None and newer.release is not None and release.product == newer.release.product:
                self.kept.heed(file)

    def know_interpreters(self) -> None:
        """Read those that were installed since, and take the files that are kept for what they are."""
        if not self.settings.scripts or not self.loop.interpreters.learn():
            return

        def meet() -> None:
            for key, file in self.kept.each():
                path = judging.path_of(file.descriptor)
                self.loop.interpreters.met(key, file.descriptor, path, file.facts.sha256)

        self.loop.order(meet)

    def write_versions(self) -> None:
        """Write down which versions ran."""
        versions = self.examination.world.versions
        if versions is None:
            return
        try:
            versions.write()
        except ChopmarkError as error:
            self._trouble(f"versions that ran are not remembered: {error}")

    def look_at_running(self) -> None:
        """Judge what runs by what is allowed now; report, or end, processes whose files are denied."""
        running.look(self.protection.devices, self._judge_running, self.stream)

    def _judge_running(self, code: running.Running) -> None:
        facts = self.examination.examine(code.descriptor, code.path)
        by = processes.program(code.process)
        use = uses.EXEC if by.path == code.path else uses.LIBRARY
        asked = question.Asked(-1, code.key, use, code.process, by, code.path, time.monotonic())
        answer = self.decider.decide(facts, asked)
        if answer.allow:
            return
        ended = self.settings.kill and self.decider.mode == "enforce"
        if ended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(code.process, signal.SIGKILL)
        self.stream.say(
            "running-denied",
            process=code.process,
            program=by.path,
            detail=code.path,
            action="killed" if ended else "reported",
            reason=self.decider.why(answer),
        )

    def _changed_under(self, key: tuple[int, int], using: list[int]) -> None:
        """A writer could not be held back any longer, and these still use the file."""
        self.stream.say("changed-in-use", processes=using, detail=f"inode {key[1]} of device {key[0]}")
        if self.settings.kill and self.decider.mode == "enforce":
            for process in using:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)

    def _trouble(self, what: str) -> None:
        self.stream.say("trouble", detail=what)

    def watched(self) -> tuple[str, ...]:
        """The files and folders that the world was made of."""
        return self.examination.world.files

    def answers(self) -> bool:
        """Whether the answering thread still does what it is told, and others what it cannot do itself."""
        done = threading.Event()
        self.loop.order(done.set)
        return done.wait(limits.GUARD_ASKING_SECONDS) and not (self.loop.is_stuck or self.releasing.is_stuck)

    def break_glass(self, seconds: float, why: str, uid: int) -> None:
        """Deny nothing for so long (0: deny again). Raises UsageError."""
        if not 0 <= seconds <= limits.GUARD_GLASS_SECONDS_MAX:
            raise UsageError(f"the glass stays broken for {limits.GUARD_GLASS_SECONDS_MAX:.0f} seconds at most")
        self.loop.order(lambda: self.decider.break_glass(seconds, uid, why))
        self.stream.say("glass-broken" if seconds else "glass-mended", seconds=seconds, uid=uid, detail=why)

    def facts(self) -> dict[str, Any]:
        """What `guard status` shows."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "mode": self.decider.mode,
            "glass": None if (glass := self.decider.glass) is None else glass.shown,
            "policy": self.decider.policy_shown,
            "since": self.began,
            "protected": [each._asdict() for each in self.protection.mounts],
            "unleased": [each.place for each in self.protection.mounts if not each.leased],
            "kept": len(self.kept),
            "ignored": self.kept.ignored,
            "contents": len(self.memory),
            "memory_kib": usage.ru_maxrss,
            "audited": self.decider.audited,
            "events_alike": self.stream.alike.left_out,
            "events_lost": self.stream.lost,
            "events_unwritten": self.stream.unwritten,
            **self.loop.answers.counters.as_dict(),
        }
