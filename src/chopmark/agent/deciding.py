"""From facts to an answer: what the policy says, what the mode makes of it, and whether it holds for everybody."""

from __future__ import annotations

import collections
import datetime as dt
import os
import time
from typing import TYPE_CHECKING, Any

from chopmark.agent import alike, nearby, processes, reasons, uses
from chopmark.agent.events import Notice
from chopmark.agent.question import Answer
from chopmark.core import clock, limits
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy import events
from chopmark.policy import reasons as policy_reasons
from chopmark.policy.deciding import Effect, Mode
from chopmark.policy.facts import NOBODY_KNOWN, FileFacts, Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.agent.events import Stream
    from chopmark.agent.question import Asked
    from chopmark.agent.settings import Settings
    from chopmark.agent.world import World
    from chopmark.core.reasons import Reason
    from chopmark.policy.deciding import Decision, Ruling

_USES = (uses.EXEC, uses.SCRIPT, uses.LIBRARY)
_NAMELESS = FileFacts._fields.index("format")
"""From here on facts have nothing that names one file: path and digest come first."""
_WHY = {"written": reasons.WRITTEN, "failed": reasons.FAILED, "late": reasons.LATE}


class Given(NamedTuple):
    """Why an answer is what it is: the policy's decision, or a reason of the guard's own."""

    reason: Reason
    effect: Effect
    decision: Decision | None = None
    detail: str = ""


class Glass(NamedTuple):
    """Broken: nothing is denied. By whom and why, at what time; `ends` is in seconds of time.monotonic()."""

    since: dt.datetime
    until: dt.datetime
    uid: int
    why: str
    ends: float

    @property
    def shown(self) -> dict[str, Any]:
        """As `guard status` tells it."""
        since, until = clock.show(self.since), clock.show(self.until)
        return {"since": since, "until": until, "uid": self.uid, "user": user_name(self.uid), "why": self.why}


class Decider:
    """A Bench (question)."""

    def __init__(
        self, world: World, settings: Settings, stream: Stream, outdated: Callable[[FileFacts], None] = lambda _: None
    ) -> None:
        """`outdated` is told of the first file of a newer version, before anybody may run it."""
        self._settings = settings
        self._stream = stream
        self._outdated = outdated
        self._spared: frozenset[tuple[int, int]] = frozenset()
        self._glass: Glass | None = None
        self._noticed: collections.deque[float] = collections.deque(maxlen=limits.GUARD_NOTICES_MAX)
        self._parents: dict[int, tuple[str, float]] = {}
        self._unopened = -limits.GUARD_NOTICE_SECONDS
        self.audited = 0
        self._says: dict[tuple[str, str, str], tuple[FileFacts, Ruling, float]] = {}
        self._last: dict[str, tuple[Ruling, float]] = {}
        know_users()
        self.renew(world)

    def renew(self, world: World) -> None:
        """Decide by another policy from now on."""
        self._world = world
        main = world.policy.main
        self._compiled = world.policy.compiled
        self._other_uses = _USES if self._compiled.by_use else ()  # which the kernel's cache does not tell apart
        self.policy_shown = f"{main.name} version {main.version} ({main.file})"
        self._says.clear()
        self._last.clear()
        self._spared = frozenset(_files(world.spared))

    @property
    def mode(self) -> str:
        """audit, enforce or learning; while the glass is broken, audit."""
        return str(Mode.AUDIT if self.glass is not None else self._compiled.mode)

    @property
    def rules(self) -> uses.Rules:
        """How much is judged."""
        return self._settings.rules

    @property
    def glass(self) -> Glass | None:
        """Who broke it, while it is broken. For any thread."""
        held = self._glass
        return held if held is not None and time.monotonic() < held.ends else None

    @property
    def failing_open(self) -> bool:
        """What becomes of questions that cannot be answered: as the settings say, else allowed unless enforcing."""
        asked_for = self._settings.failing_open
        return self._compiled.mode is not Mode.ENFORCE if asked_for is None else asked_for

    def break_glass(self, seconds: float, uid: int = 0, why: str = "") -> None:
        """Deny nothing for so long (0: deny again), but tell everything; broken again, it has been since the first."""
        now, held = clock.now(), self.glass
        since = now if held is None else held.since
        self._glass = Glass(since, now + dt.timedelta(seconds=seconds), uid, why, time.monotonic() + seconds)

    def decide(self, facts: FileFacts, asked: Asked) -> Answer:
        """The answer, from facts."""
        is_placed = self._world.is_placed(facts)
        path = asked.path
        if (is_placed or self._compiled.by_place) and not _lies(path, asked.key, f"/proc/self/fd/{asked.descriptor}"):
            path = ""
        ruling = self._said(facts, asked.use, path, is_placed=is_placed)
        decision = ruling.settled or ruling.decide(_process_of(asked, processes.status(asked.thread)))
        if decision.effect is not Effect.DENY:
            versions = self._world.versions
            everybody = (
                not is_placed
                and not ruling.by_place
                and _for_all(ruling)
                and not (versions is not None and versions.is_news(facts))  # which told() must hear of
                and all(_for_all(self._said(facts, use, path, is_placed=False)) for use in self._other_uses)
            )
            return Answer(allow=True, everybody=everybody, decision=Given(decision.reason, decision.effect, decision))
        is_unread = facts.status is Status.UNDECIDED and not facts.seals and decision.reason is policy_reasons.NOTHING
        given = Given(reasons.UNREAD if is_unread else decision.reason, Effect.DENY, decision)
        return self._softened(asked, given)

    def _said(self, facts: FileFacts, use: str, path: str, *, is_placed: bool) -> Ruling:
        """What the policy says, remembered for a moment; where place or use make no difference, for all of them.

        `is_placed`: by what catalogs say, the place makes one.
        """
        by_place = is_placed or self._compiled.by_place
        key = (facts.sha256, use if self._compiled.by_use else "", path if by_place else "")
        held = self._says.get(key)
        if held is not None and held[2] > time.monotonic() and held[0] == facts:
            return held[1]
        ruling, until = self._ruled(self._world.at(facts, path), use, named=by_place)
        if len(self._says) >= limits.GUARD_RULINGS_MAX:
            self._says.clear()
        self._says[key] = (facts, ruling, until)
        return ruling

    def _ruled(self, file: FileFacts, use: str, *, named: bool) -> tuple[Ruling, float]:
        """What the policy says, and until when it counts.

        Files of one signer differ in their digests alone. Where no rule names these, and none the place (`named`), it
        says the same of the next as of the last one.
        """
        named = named or not file.sha256 or file.sha256 in self._compiled.digests
        last = None if named else self._last.get(use)
        if last is not None and last[1] > time.monotonic() and last[0].file[_NAMELESS:] == file[_NAMELESS:]:
            return last[0].of(file), last[1]
        ruled = self._compiled.rule_on(file, use, clock.now()), time.monotonic() + limits.GUARD_RULING_SECONDS
        if not named:
            self._last[use] = ruled
        return ruled

    def without_facts(self, asked: Asked, why: str, detail: str) -> Answer:
        """Who writes while others run is denied; for what went wrong the settings say."""
        denies = self._compiled.mode is Mode.ENFORCE if why == "written" else not self.failing_open
        given = Given(_WHY[why], Effect.DENY if denies else Effect.AUDIT, detail=detail)
        return self._softened(asked, given) if denies else Answer(allow=True, decision=given)

    def _softened(self, asked: Asked, given: Given) -> Answer:
        """A denial, unless the file is never blocked or the glass is broken."""
        if asked.key in self._spared:
            return Answer(allow=True, decision=given._replace(reason=reasons.SPARED, effect=Effect.AUDIT))
        if self.glass is not None:
            return Answer(allow=True, decision=given._replace(reason=reasons.GLASS, effect=Effect.AUDIT))
        return Answer(allow=False, decision=given)

    def keeps(self, facts: FileFacts, *, for_all: bool) -> float:
        """Facts hold longer where a signature, which may come at any moment, would change nothing."""
        is_settled = for_all or facts.status is Status.TRUSTED
        return limits.GUARD_VERDICT_SECONDS if is_settled else limits.GUARD_UNTRUSTED_SECONDS

    def told(self, asked: Asked, answer: Answer, facts: FileFacts | None) -> None:
        """Have it told, unless it was simply allowed."""
        given: Given = answer.decision
        if given.effect is Effect.ALLOW:
            versions = self._world.versions
            if versions is not None and given.decision is not None and versions.saw(given.decision.file):
                self._says.clear()
                self._last.clear()
                self._outdated(given.decision.file)
            return
        self.audited += given.effect is Effect.AUDIT
        if not self._stream.has_room():
            return
        if asked.by is processes.NOBODY:
            asked = asked._replace(by=processes.program(asked.thread))
        if not self._stream.alike.tells(alike.of(asked, str(given.effect), given.reason.code)):
            return
        terminal = processes.terminal(asked.thread) if given.effect is Effect.DENY and self._may_notice() else ""
        at, policy = clock.now(), self.policy_shown
        process = _process_of(asked, processes.status(asked.thread), asked.by.path, self._parent)
        self._stream.add(lambda: (event(at, asked, given, facts, process, policy), _notice(asked, given, terminal)))

    def unopened(self, error: OSError) -> None:
        """Have it told, once in a while: who it was and which file, nobody knows."""
        now = time.monotonic()
        if now >= self._unopened + limits.GUARD_NOTICE_SECONDS:
            self._unopened = now
            self._stream.say("trouble", detail=f"what could not be opened for the guard was denied: {error.strerror}")

    def _parent(self, process: int) -> str:
        """What the parent of whoever asks runs, for an event; no answer rests on what it ran a moment ago."""
        now = time.monotonic()
        path, until = self._parents.get(process, ("", 0.0))
        if now >= until:
            if len(self._parents) >= limits.GUARD_PARENTS_MAX:
                self._parents.clear()
            path = _known(process)
            self._parents[process] = path, now + limits.GUARD_PARENT_SECONDS
        return path

    def _may_notice(self) -> bool:
        """Whether to find out on which terminal somebody is, which takes as long as all the rest of a denial."""
        now = time.monotonic()
        if len(self._noticed) == limits.GUARD_NOTICES_MAX and now - self._noticed[0] < limits.GUARD_NOTICE_SECONDS:
            return False
        self._noticed.append(now)
        return True

    def why(self, answer: Answer) -> str:
        """For people: the reason, and the rule."""
        given: Given = answer.decision
        rule = given.decision.rule.shown if given.decision is not None and given.decision.rule is not None else ""
        return f"{given.reason.sentence}{f' ({rule})' if rule else ''}"


def _for_all(ruling: Ruling) -> bool:
    """Whether the policy allows it to everybody, for as long as it does not change."""
    return ruling.settled is not None and ruling.settled.effect is Effect.ALLOW and ruling.until is None


_users: dict[int, str] = {}
_ACCOUNTS = "/etc/passwd"
_accounts: list[tuple[int, int]] = []


def know_users() -> None:
    """Read the names of users, when they have changed; from the local file alone, for services may wait for us.

    Nobody may do so who answers, or who keeps others from it: on a protected file system that opens a file.
    """
    try:
        state = os.stat(_ACCOUNTS)
        if _accounts == [(state.st_ino, state.st_mtime_ns)]:
            return
        with open(_ACCOUNTS, encoding="utf-8", errors="replace", newline="\n") as file:
            words = [line.split(":", 3) for line in file]
    except OSError:
        return
    _accounts[:] = [(state.st_ino, state.st_mtime_ns)]
    found = {int(each[2]): each[0] for each in reversed(words) if len(each) > 3 and each[2].isdigit()}  # noqa: PLR2004
    _users.update(found)
    for gone in _users.keys() - found.keys():
        del _users[gone]


def user_name(uid: int) -> str:
    """As it was when they were read; empty for nobody."""
    return _users.get(uid, "")


def _files(paths: tuple[str, ...]) -> list[tuple[int, int]]:
    found = []
    for path in paths:
        try:
            state = os.stat(path)
        except OSError:
            continue
        found.append((state.st_dev, state.st_ino))
    return found


def event(
    at: dt.datetime,
    asked: Asked,
    given: Given,
    facts: FileFacts | None,
    process: Process,
    policy: str,
) -> dict[str, Any]:
    """One event: what `policy simulate` and `policy learn` read (policy.events), and who waited for the answer."""
    if given.decision is not None:
        decided = events.of(given.decision, asked.use, process, at, policy)
        decided = decided._replace(effect=str(given.effect), code=given.reason.code)
    else:
        file = (facts or FileFacts("/", ""))._replace(path=asked.path or "/")
        decided = events.Event(at, asked.use, file, process, str(given.effect), given.reason.code, "", policy)
    made = {
        "kind": str(given.effect),
        **events.as_dict(decided),
        "path": asked.path,
        "program": asked.by.path,
        "reason": given.reason.code,
        "thread": asked.thread,
    }
    detail = given.detail or (given.decision.detail if given.decision is not None else "")
    return {**made, "detail": detail} if detail else made


def _process_of(
    asked: Asked, status: processes.Status | None, path: str = "", of_parent: Callable[[int], str] | None = None
) -> Process:
    """Who asks; programs are known by their paths where these are theirs for us as well.

    `path` is that of the program, where it was read, and `of_parent` who says what the parent runs.
    """
    if status is None:
        return NOBODY_KNOWN
    user = user_name(status.user) or str(status.user)
    return Process(status.user, user, _known(asked.thread, path), (of_parent or _known)(status.parent))


def _known(thread: int, path: str = "") -> str:
    """The path of what a thread's process runs, where that is its path for us; `path` is it, where it was read."""
    path = path or processes.executable(thread)
    return path if _lies(path, processes.file(thread), f"/proc/{thread}/exe") else ""


def _lies(path: str, key: tuple[int, int], link: str) -> bool:
    """Whether a path is that of a file in our own view.

    Whoever has mounts of their own (unshare(1), with a user namespace anybody) can put a file under any name: where
    the place matters, and the file does not lie there for us as well, nobody knows where it lies.
    """
    return bool(path) and nearby.lies(path, key, link)


def _notice(asked: Asked, given: Given, terminal: str) -> Notice | None:
    if not terminal:
        return None
    name = "".join(each if each.isprintable() else "?" for each in asked.path)
    return Notice(terminal, f"chopmark: {name} was not allowed: {given.reason.sentence}")
