"""Answers from facts: what holds for everybody, what is remembered, what softens a denial, what is told."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.agent import deciding, events, opening, processes, question, uses, world
from chopmark.agent.settings import Settings, Sources
from chopmark.core import limits
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy.deciding import Effect
from chopmark.policy.facts import FileFacts, SealFacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GOOD, OTHER = "11" * 32, "22" * 32
SIGNED = SealFacts(
    "detached",
    Status.TRUSTED,
    key="aa" * 32,
    authorities=(Authority("CN=Root", "cc" * 32, "dd" * 32),),
    store="corp",
    signed_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
)
ALLOW = f'[[rule]]\naction = "allow"\ndigest = "{GOOD}"\n'
HOUR = dt.timedelta(hours=1)


class Told(events.Stream):
    """What was told, made at once."""

    def __init__(self) -> None:
        super().__init__([])
        self.all: list[tuple[dict[str, Any], events.Notice | None]] = []

    def add(self, event: Callable[[], tuple[dict[str, Any], events.Notice | None]]) -> None:
        self.all.append(event())


class Maker:
    """Deciders by policies, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "policy.toml"
        self.told = Told()
        self.outdated: list[FileFacts] = []

    def opened(self, rules: str, mode: str = "enforce", **sources: Any) -> world.World:  # noqa: ANN401
        self._file.write_text(f'chopmark-policy = 1\nname = "test"\nversion = 1\nmode = "{mode}"\n{rules}')
        return opening.opened(Sources(str(self._file), **sources))

    def __call__(
        self,
        rules: str = ALLOW,
        mode: str = "enforce",
        failing_open: bool | None = None,  # noqa: FBT001 - as in Settings
        **sources: Any,  # noqa: ANN401
    ) -> deciding.Decider:
        found = self.opened(rules, mode, **sources)
        settings = Settings((), lambda: found, failing_open=failing_open)
        return deciding.Decider(found, settings, self.told, self.outdated.append)


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return Maker(tmp_path)


def asked(
    use: str = uses.EXEC, key: tuple[int, int] = (1, 1), path: str = "/tool", thread: int = os.getppid()
) -> question.Asked:
    return question.Asked(-1, key, use, thread, processes.Program("/bin/sh"), path, 0.0)


def facts(sha256: str = GOOD, **more: Any) -> FileFacts:  # noqa: ANN401
    return FileFacts("", sha256, "elf", **more)


def in_a(span: dt.timedelta) -> str:
    return (dt.datetime.now(dt.UTC) + span).strftime("%Y-%m-%dT%H:%M:%SZ")


SIGNED_ALLOWED = '[[rule]]\naction = "allow"\nstore = "corp"\n'


@pytest.mark.parametrize(
    ("rules", "everybody"),
    [
        (ALLOW, True),
        (ALLOW + '[[rule]]\naction = "deny"\nuser = "nobody"\n', False),
        (ALLOW + '[[rule]]\naction = "deny"\npath = "/elsewhere/**"\n', False),
        (ALLOW + f"expires = {in_a(HOUR)}\n", False),
        (ALLOW + 'use = "exec"\n', False),
        (ALLOW + 'use = ["exec", "script"]\n', False),
        (ALLOW + 'use = ["exec", "script", "library"]\n', True),
        (ALLOW + '[[rule]]\naction = "deny"\nuse = "library"\n', False),
        (ALLOW + f'[[rule]]\naction = "deny"\nuse = "library"\nuser = "nobody"\ndigest = "{GOOD}"\n', False),
        (ALLOW + f'[[rule]]\naction = "allow"\nuse = "library"\nexpires = {in_a(HOUR)}\n', False),
        (SIGNED_ALLOWED, True),
        (SIGNED_ALLOWED + 'require = { max-age = "36500d" }\n', False),
    ],
)
def test_what_holds_for_everybody(make: Maker, tmp_path: Path, rules: str, everybody: bool) -> None:  # noqa: FBT001
    state = tmp_path.stat()
    question = asked(key=(state.st_dev, state.st_ino), path=str(tmp_path))
    answer = make(rules).decide(facts(status=Status.TRUSTED, seals=(SIGNED,)), question)
    assert (answer.allow, answer.everybody) == (True, everybody)


def test_what_is_only_let_through_holds_for_nobody_else(make: Maker) -> None:
    answer = make(ALLOW, "audit").decide(facts(OTHER), asked())
    assert (answer.allow, answer.everybody, answer.decision.effect) == (True, False, Effect.AUDIT)
    denied = make(ALLOW).decide(facts(OTHER), asked())
    assert (denied.allow, denied.everybody, denied.decision.effect) == (False, False, Effect.DENY)


def test_what_a_catalog_has_at_another_place_is_asked_about_each_time(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decider = make(SIGNED_ALLOWED)
    places: list[str] = []

    def at(_: world.World, facts: FileFacts, path: str) -> FileFacts:
        places.append(path)
        return facts._replace(path=path, status=Status.REJECTED if path.endswith("b") else Status.TRUSTED)

    monkeypatch.setattr(world.World, "is_placed", lambda _, facts: facts.sha256 == GOOD)
    monkeypatch.setattr(world.World, "at", at)
    file, answers = facts(status=Status.TRUSTED, seals=(SIGNED,)), []
    for name in ("a", "b"):
        (tmp_path / name).touch()
        state = (tmp_path / name).stat()
        answers.append(decider.decide(file, asked(key=(state.st_dev, state.st_ino), path=str(tmp_path / name))))
    assert [(each.allow, each.everybody) for each in answers] == [(True, False), (False, False)]
    decider.decide(file, asked(path=str(tmp_path / "b")))
    assert places == [str(tmp_path / "a"), str(tmp_path / "b"), ""]  # the last one is not the file's


def test_news_of_a_version_is_heard_before_anything_is_left_to_the_kernel(make: Maker) -> None:
    decider = make(
        '[[rule]]\naction = "allow"\nproduct = "tool"\nca = "' + "cc" * 32 + '"\nrequire = { no-rollback = true }\n'
    )
    file = facts(status=Status.TRUSTED, seals=(SIGNED,), release=Release("tool", "2"))
    first = decider.decide(file, asked())
    assert (first.allow, first.everybody) == (True, False)
    decider.told(asked(), first, file)
    assert [each.release and each.release.version for each in make.outdated] == ["2"]
    again = decider.decide(file, asked())
    assert (again.allow, again.everybody) == (True, True)
    decider.told(asked(), again, file)
    assert len(make.outdated) == 1
    old = decider.decide(file._replace(sha256=OTHER, release=Release("tool", "1")), asked())
    assert not old.allow
    unknown = decider.decide(facts(OTHER), asked())
    assert unknown.decision.reason.code == "policy.nothing"  # a file that names no release is no mistake of ours


def test_each_use_is_decided_by_itself(make: Maker) -> None:
    decider = make(ALLOW + 'use = "exec"\n')
    assert [decider.decide(facts(), asked(use)).allow for use in (uses.EXEC, uses.SCRIPT, uses.LIBRARY)] == [
        True,
        False,
        False,
    ]


def test_a_path_counts_where_it_is_the_files(make: Maker, tmp_path: Path) -> None:
    file = tmp_path / "tool"
    file.write_bytes(b"x")
    state = file.stat()
    key = (state.st_dev, state.st_ino)
    (tmp_path / "link").symlink_to(file)
    decider = make(ALLOW + f'path = "{tmp_path}/*"\n')

    def allows(path: Path, key: tuple[int, int]) -> bool:
        return decider.decide(facts(), asked(key=key, path=str(path))).allow

    assert allows(file, key)
    assert not allows(file, (key[0], key[1] + 1))
    assert not allows(file, (key[0] + 1, key[1]))
    assert not allows(tmp_path / "link", key)
    assert not allows(tmp_path / "missing", key)
    assert not allows(tmp_path / "with\0zero", key)


@pytest.mark.parametrize(("by_path", "other"), [(True, False), (False, True)])
def test_rulings_are_remembered_by_place_only_where_it_matters(
    make: Maker,
    tmp_path: Path,
    by_path: bool,  # noqa: FBT001
    other: bool,  # noqa: FBT001
) -> None:
    answers = []
    decider = make(ALLOW + f'path = "{tmp_path}/a"\n' if by_path else ALLOW)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        state = (tmp_path / name).stat()
        answers.append(
            decider.decide(facts(), asked(key=(state.st_dev, state.st_ino), path=str(tmp_path / name))).allow
        )
    assert answers == [True, other]


def ruled_on(decider: deciding.Decider, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that the policy is asked about from now on, by digest."""
    compiled = decider._compiled  # noqa: SLF001 - what is asked
    counted: list[str] = []
    ruling = type(compiled).rule_on

    def rule_on(self: Any, file: FileFacts, kind: str, at: dt.datetime) -> Any:  # noqa: ANN401
        counted.append(file.sha256)
        return ruling(self, file, kind, at)

    monkeypatch.setattr(type(compiled), "rule_on", rule_on)
    return counted


def test_rulings_are_remembered_for_these_facts_and_a_moment(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    decider = make(SIGNED_ALLOWED)
    counted = ruled_on(decider, monkeypatch)
    trusted = facts(status=Status.TRUSTED, seals=(SIGNED,))
    assert decider.decide(trusted, asked()).allow
    assert decider.decide(trusted, asked()).allow
    assert len(counted) == 1
    assert not decider.decide(facts(), asked()).allow  # the same content, which nobody vouches for any more
    assert len(counted) == 2
    monkeypatch.setattr(limits, "GUARD_RULINGS_MAX", 3)
    for number in range(10):
        decider.decide(facts(f"{number:064x}"), asked())
        assert len(decider._says) <= 3  # noqa: SLF001
    monkeypatch.setattr(limits, "GUARD_RULING_SECONDS", -1.0)
    before = len(counted)
    decider._last.clear()  # noqa: SLF001 - what was said of one like it
    for _ in range(2):
        decider.decide(facts(OTHER), asked())
    assert len(counted) == before + 2


def test_what_is_said_of_one_is_said_of_all_that_differ_in_nothing_that_a_rule_names(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    decider = make(SIGNED_ALLOWED + f'[[rule]]\naction = "deny"\ndigest = ["{OTHER}"]\n')
    counted = ruled_on(decider, monkeypatch)
    trusted = facts("a" * 64, status=Status.TRUSTED, seals=(SIGNED,))
    first = decider.decide(trusted, asked())
    alike = decider.decide(trusted._replace(sha256="b" * 64), asked())
    assert (first.allow, alike.allow, len(counted)) == (True, True, 1)
    assert alike.decision.decision.file.sha256 == "b" * 64
    assert alike.decision.decision._replace(file=None) == first.decision.decision._replace(file=None)
    assert not decider.decide(trusted._replace(sha256=OTHER), asked()).allow  # which a rule names
    assert decider.decide(trusted._replace(sha256="c" * 64), asked()).allow
    assert counted == ["a" * 64, OTHER]
    for other in ({"seals": ()}, {"status": Status.REJECTED}, {"blocked": "a list"}, {"newest": "2"}):
        assert not decider.decide(trusted._replace(sha256="d" * 64, **other), asked()).allow or "newest" in other
    assert len(counted) == 2 + 4
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 2 * limits.GUARD_RULING_SECONDS)
    assert decider.decide(trusted._replace(sha256="e" * 64), asked()).allow
    assert len(counted) == 2 + 5


def test_another_policy_counts_at_once(make: Maker, tmp_path: Path) -> None:
    file = tmp_path / "spared"
    file.write_bytes(b"x")
    key = (file.stat().st_dev, file.stat().st_ino)
    decider = make(ALLOW, spared=(str(tmp_path / "missing"), str(file)))
    assert decider.decide(facts(), asked()).allow
    spared = decider.decide(facts(OTHER), asked(key=key))
    assert (spared.allow, spared.decision.reason.code, spared.decision.effect) == (True, "guard.spared", Effect.AUDIT)
    assert not spared.everybody
    decider.renew(make.opened(""))
    assert not decider.decide(facts(), asked()).allow
    assert not decider.decide(facts(OTHER), asked(key=key)).allow


@pytest.mark.parametrize("mode", ["enforce", "audit", "learning"])
@pytest.mark.parametrize("failing_open", [None, True, False])
@pytest.mark.parametrize("why", ["written", "failed", "late"])
def test_answers_without_facts(make: Maker, mode: str, failing_open: bool | None, why: str) -> None:  # noqa: FBT001
    """What is being written to is a matter of the mode; what went wrong one of the settings, and then of the mode."""
    decider = make(ALLOW, mode, failing_open)
    answer = decider.without_facts(asked(), why, "detail")
    opens = mode != "enforce" if failing_open is None else failing_open
    allowed = mode != "enforce" if why == "written" else opens
    assert (decider.failing_open, answer.allow, answer.everybody) == (opens, allowed, False)
    assert answer.decision == deciding.Given(
        deciding._WHY[why],  # noqa: SLF001
        Effect.AUDIT if allowed else Effect.DENY,
        detail="detail",
    )


def test_what_is_never_blocked_is_not_without_facts_either(make: Maker, tmp_path: Path) -> None:
    key = (tmp_path.stat().st_dev, tmp_path.stat().st_ino)
    decider = make(ALLOW, spared=(str(tmp_path),))
    answer = decider.without_facts(asked(key=key), "failed", "detail")
    assert (answer.allow, answer.decision.reason.code, answer.decision.detail) == (True, "guard.spared", "detail")


def test_while_the_glass_is_broken_nothing_is_denied(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    decider = make()
    assert (decider.mode, decider.glass) == ("enforce", None)
    decider.break_glass(60.0, os.geteuid(), "fire")
    answer = decider.decide(facts(OTHER), asked())
    assert (answer.allow, answer.everybody) == (True, False)
    assert (answer.decision.reason.code, answer.decision.effect) == ("guard.glass", Effect.AUDIT)
    glass = decider.glass
    assert glass is not None
    assert glass.until - glass.since == dt.timedelta(minutes=1)
    assert (decider.mode, glass.shown["uid"], glass.shown["why"]) == ("audit", os.geteuid(), "fire")
    assert decider.failing_open is False  # a matter of the policy
    decider.break_glass(120.0, 7, "still")
    again = decider.glass
    assert again is not None
    assert (again.since, again.uid, again.why) == (glass.since, 7, "still")
    with monkeypatch.context() as later:
        now = time.monotonic()
        later.setattr(time, "monotonic", lambda: now + 119)
        assert decider.decide(facts(OTHER), asked()).allow
        later.setattr(time, "monotonic", lambda: now + 121)
        assert not decider.decide(facts(OTHER), asked()).allow
    decider.break_glass(0.0)
    assert (decider.mode, decider.glass) == ("enforce", None)
    assert not decider.decide(facts(OTHER), asked()).allow


def test_how_long_facts_hold(make: Maker) -> None:
    decider = make()
    trusted, unsigned = facts(status=Status.TRUSTED), facts()
    assert limits.GUARD_UNTRUSTED_SECONDS < limits.GUARD_VERDICT_SECONDS
    assert decider.keeps(trusted, for_all=False) == limits.GUARD_VERDICT_SECONDS
    assert decider.keeps(unsigned, for_all=True) == limits.GUARD_VERDICT_SECONDS
    assert decider.keeps(unsigned, for_all=False) == limits.GUARD_UNTRUSTED_SECONDS


def test_who_uses_a_file_is_asked_each_time(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    decider = make(ALLOW + f"user = {os.geteuid()}\n")
    status = processes.Status(os.geteuid(), 0, 1, os.getpid())
    for who, allowed in ((status, True), (status._replace(user=os.geteuid() + 1), False), (None, False)):
        monkeypatch.setattr(processes, "status", lambda _, who=who: who)
        answer = decider.decide(facts(), asked())
        assert (answer.allow, answer.everybody) == (allowed, False)


def test_a_program_counts_by_its_path_where_it_lies(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    own = processes.program(os.getpid())
    decider = make(ALLOW + f'program = "{own.path}"\n')
    assert decider.decide(facts(), asked(thread=os.getpid())).allow
    monkeypatch.setattr(processes, "program", lambda _: processes.Program("/bin/sh"))
    decider = make(ALLOW + 'program = "/bin/sh"\n')
    assert not decider.decide(facts(), asked(thread=os.getpid())).allow  # another file, mounted there for it alone


def test_what_is_allowed_is_not_told_and_what_is_not_is(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "terminal", lambda _: "/dev/pts/7")
    decider = make(ALLOW, "learning")
    question = asked(path="/a\nb")
    for sha256 in (GOOD, OTHER):
        decider.told(question, decider.decide(facts(sha256), question), facts(sha256))
    [(event, notice)] = make.told.all
    assert (event["kind"], event["reason"], event["path"]) == ("audit", "policy.nothing", "/a\nb")
    assert (event["program"], event["thread"], event["file"]["sha256"]) == ("/bin/sh", os.getppid(), OTHER)
    assert notice is None  # nobody was kept from anything
    decider = make("")
    denied = decider.decide(facts(), question)
    decider.told(question, denied, facts())
    event, notice = make.told.all[-1]
    assert (event["kind"], event["decision"]["effect"]) == ("deny", "deny")
    assert notice is not None
    assert notice.terminal == "/dev/pts/7"
    assert "/a?b" in notice.text
    decider.told(question, decider.without_facts(question, "failed", "no luck"), None)
    event, _ = make.told.all[-1]
    assert (event["kind"], event["reason"], event["detail"]) == ("deny", "guard.failed", "no luck")
    decider.break_glass(60.0)
    decider.told(question, decider.decide(facts(), question), facts())
    event, _ = make.told.all[-1]
    assert (event["kind"], event["reason"], event["decision"]["effect"]) == ("audit", "guard.glass", "audit")


def test_users_have_names_from_the_first_answer_on(
    make: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = tmp_path / "passwd"
    accounts.write_text("somebody:x:4242:4242::/:\n")
    monkeypatch.setattr(deciding, "_ACCOUNTS", str(accounts))
    monkeypatch.setattr(processes, "status", lambda _: processes.Status(4242, 0, 1, 1))
    try:
        assert make(ALLOW + 'user = "somebody"\n').decide(facts(), asked()).allow
    finally:
        monkeypatch.undo()
        deciding.know_users()


def test_the_rule_that_denies_is_named(make: Maker) -> None:
    decider = make(f'[[rule]]\naction = "deny"\ndigest = "{GOOD}"\ncomment = "known to be bad"\n')
    assert "policy.toml:" in decider.why(decider.decide(facts(), asked()))
    assert "policy.toml:" not in decider.why(decider.decide(facts(OTHER), asked()))
