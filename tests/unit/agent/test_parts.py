"""The guard's parts by themselves: what changes touch, what is remembered, who uses what."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.agent import (
    alike,
    deciding,
    doctor,
    events,
    guard,
    memory,
    metrics,
    mounts,
    opening,
    processes,
    records,
    sinks,
    telling,
    uses,
    world,
)
from chopmark.agent.question import Asked
from chopmark.agent.settings import Settings, Sources
from chopmark.agent.world import Inputs
from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.core.finding import Outcome
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.engine.catalog.contents import Contents, Listed
from chopmark.policy import state
from chopmark.policy.facts import FileFacts, SealFacts
from tests.support.patience import PATIENCE, eventually

SEAL = SealFacts(
    scheme="authenticode",
    status=Status.TRUSTED,
    kind="x509",
    subject="CN=Signer",
    key="aa" * 32,
    certificate="bb" * 32,
    claims=(("issuer", "CN=CA"),),
    authorities=(Authority("CN=CA", "cc" * 32, "dd" * 32), Authority("CN=Root", "ee" * 32, "ff" * 32)),
    purposes=("1.3.6.1.5.5.7.3.3",),
    store="corp",
    signed_at=dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
)
TRUSTED = FileFacts("/x", "11" * 32, "pe", Status.TRUSTED, (SEAL,), Release("tool", "1.2"))
UNSIGNED = FileFacts("/y", "22" * 32, "script", Status.UNSIGNED)


def test_facts_survive_being_written_down() -> None:
    for each in (TRUSTED, UNSIGNED, TRUSTED._replace(release_readable=False, release=None, blocked="b", logged=False)):
        assert records.decoded(records.encoded(each), records.sealed(each.seals)[1]) == each._replace(path="")


@given(st.text() | st.from_regex(r"\{.*\}"), st.text() | st.from_regex(r"\[.*\]"))
def test_what_is_no_record_is_no_facts(text: str, seals: str) -> None:
    found = records.decoded(text, seals)
    assert found is None or isinstance(found, FileFacts)


def listed(*contents: bytes, by: str = "a") -> Listed:
    return Listed("c", by, Contents((b"%d" % number, each) for number, each in enumerate(contents)))


def test_what_facts_are_known_by() -> None:
    alone = records.key("ab", "pe", [])
    assert alone == "ab/pe"
    assert len({alone, records.key("ab", "script", []), records.key("ab", "pe", [(".p7s", "1")]),
                records.key("ab", "pe", [(".p7s", "2")]), records.key("ab", "pe", [(".asc", "1")])}) == 5  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "trusted", "unsigned"),
    [
        (Inputs(), Inputs(frozenset({"ee" * 32})), False, True),
        (Inputs(frozenset({"ee" * 32})), Inputs(), True, False),
        (Inputs(frozenset({"00" * 32})), Inputs(), False, False),
        (Inputs(lists=(("CN=CA", "1"),)), Inputs(lists=(("CN=CA", "2"),)), True, False),
        (Inputs(), Inputs(lists=(("CN=Root", "1"),)), True, False),
        (Inputs(), Inputs(lists=(("CN=Other", "1"),)), False, False),
        (Inputs(), Inputs(catalogs=(listed(b"\x22" * 32),)), False, True),
        (Inputs(catalogs=(listed(b"\x11" * 32),)), Inputs(), True, False),
        (Inputs(catalogs=(listed(b"\x11" * 32),)), Inputs(catalogs=(listed(b"\x11" * 32, by="b"),)), True, False),
        (Inputs(catalogs=(listed(b"\x11" * 32),)), Inputs(catalogs=(listed(b"\x11" * 32, b"\x22" * 32),)), False, True),
        (Inputs(rest="a"), Inputs(rest="b"), True, True),
    ],
)
def test_a_change_touches_what_depends_on_it_and_nothing_else(
    old: Inputs,
    new: Inputs,
    trusted: bool,  # noqa: FBT001
    unsigned: bool,  # noqa: FBT001
) -> None:
    touched = world.touched(old, new)
    assert touched is not None
    assert (touched(TRUSTED), touched(UNSIGNED)) == (trusted, unsigned)
    since = world.since(world.written(old), new)
    assert since is not None
    by_catalog = TRUSTED._replace(seals=(SEAL._replace(catalog="c"),)) if old.catalogs else TRUSTED
    assert since(by_catalog) or not trusted  # from what was written at least as much is dropped
    assert since(UNSIGNED) or not unsigned


def test_no_change_touches_nothing() -> None:
    inputs = Inputs(frozenset({"1"}), (("CN=CA", "1"),), (listed(b"1" * 32),), "x")
    assert world.touched(inputs, inputs) is None
    assert world.since(world.written(inputs), inputs) is None


def test_what_is_remembered_of_versions_is_part_of_the_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    file = tmp_path / "policy.toml"
    head = 'chopmark-policy = 1\nname = "p"\nversion = 1\n[[rule]]\naction = "allow"\nproduct = "tool"\n'
    file.write_text(head)
    assert opening.opened(Sources(str(file))).versions is None
    file.write_text(head + "require = { no-rollback = true }\n")
    before = opening.opened(Sources(str(file)))
    with state.opened(write=True) as known:
        known.saw_file(TRUSTED)
    after = opening.opened(Sources(str(file)))
    assert after.versions is not None
    assert world.touched(before.inputs, after.inputs) is None  # it is asked about with each decision
    assert after.at(TRUSTED._replace(release=Release("tool", "1.0")), "/x").newest == "1.2"
    assert state.path() in after.files


@pytest.mark.parametrize("error", [UsageError("no"), OSError("no"), ZeroDivisionError("no")])
def test_a_world_that_cannot_be_read_for_any_reason_leaves_the_old_one(error: Exception) -> None:
    said: list[str] = []

    class Said(events.Stream):
        def say(self, kind: str, **facts: object) -> None:
            said.append(f"{kind}: {facts['detail']}")

    def load() -> world.World:
        raise error

    worker = guard.Guard.__new__(guard.Guard)  # which has nothing but what a failed reload may use
    worker.settings, worker.stream = Settings((), load), Said([])
    worker.reload()
    assert said == ["reload-failed: no"]


def test_memory_forgets_what_is_touched_and_what_is_old(tmp_path: Path) -> None:
    said: list[str] = []
    known = memory.Memory(str(tmp_path / "state" / "verdicts.db"), said.append)
    known.start()
    known.put("a", TRUSTED, time.time() + 60)
    known.put("b", UNSIGNED, time.time() + 60)
    known.put("c", UNSIGNED, time.time() - 1)
    assert (known.get("a"), known.get("c"), known.get("d")) == (TRUSTED, None, None)
    known.close()
    again = memory.Memory(str(tmp_path / "state" / "verdicts.db"), said.append)
    again.start()
    assert again.get("a") == TRUSTED._replace(path="")
    assert again.forget(lambda facts: facts.status is Status.UNSIGNED) == 1  # the old one is not even kept
    again.close()
    last = memory.Memory(str(tmp_path / "state" / "verdicts.db"), said.append)
    assert (last.get("a") is not None, last.get("b")) == (True, None)
    last.close()
    assert said == []


def test_memory_does_not_believe_what_was_found_out_before_the_clock_was_set_back(tmp_path: Path) -> None:
    known = memory.Memory(str(tmp_path / "verdicts.db"), print)
    known.put("a", TRUSTED, time.time() + limits.GUARD_VERDICT_SECONDS)
    known.put("b", TRUSTED, time.time() + limits.GUARD_VERDICT_SECONDS + 3600)
    assert (known.get("a"), known.get("b")) == (TRUSTED, None)
    known.close()


def test_what_seals_are_shared_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_SEALS_MAX", 3)
    known = memory.Memory("", print)
    for number in range(10):
        seals = (SEAL._replace(subject=str(number)),)
        assert known.put(str(number), TRUSTED._replace(seals=seals), time.time() + 60).seals == seals
        assert len(known._seals) <= 3  # noqa: SLF001
    known.close()


def test_what_facts_depend_on_is_kept_with_them(tmp_path: Path) -> None:
    path = str(tmp_path / "verdicts.db")
    known = memory.Memory(path, print)
    known.start()
    known.depend({"anchors": "1", "rest": "2"})
    known.close()
    again = memory.Memory(path, print)
    assert again.inputs() == {"anchors": "1", "rest": "2"}
    again.close()


def test_what_sqlite_cannot_write_down_keeps_nothing_else_from_it(tmp_path: Path) -> None:
    """Inode numbers of overlays use the highest bit; a mistake in one thing is a complaint."""
    path, said = tmp_path / "verdicts.db", list[str]()
    known = memory.Memory(str(path), said.append)
    known.start()
    known.seen(1, 1 << 63, "a", "/overlay")
    known.depend({"anchors": "\udcff"})
    eventually(lambda: bool(said))
    known.put("b", UNSIGNED, time.time() + 60)
    known.close()
    assert len(said) == 1
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT key FROM verdict").fetchall() == [("b",)]
    again = memory.Memory(str(path), said.append)
    again.start()
    again.seen(1, 1 << 63, "a", "/overlay")
    again.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT path, inode FROM file").fetchall() == [("/overlay", -(1 << 63))]


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "GUARD_KNOWN_MAX", 3)
    known = memory.Memory(str(tmp_path / "verdicts.db"), print)
    known.start()
    for number in range(10):
        known.put(str(number), UNSIGNED, time.time() + 60)
    assert len(known) == 3
    known.close()
    again = memory.Memory(str(tmp_path / "verdicts.db"), print)
    assert again.get("0") is not None  # it is in the database
    again.close()


@pytest.mark.parametrize(
    ("name", "kind"),
    [("sh", "shell"), ("dash", "shell"), ("bash", "shell"), ("zsh-5.9", "shell"), ("busybox", "shell"),
     ("python3.11", "language"), ("perl5.36.0", "language"), ("node", "language"), ("ld-linux-x86-64.so.2", "loader"),
     ("cat", ""), ("sshd", ""), ("pythonic", ""), ("", "")],
)  # fmt: skip
def test_interpreters_by_name(name: str, kind: str) -> None:
    assert uses.interpreter(name, uses.Rules()) == kind


def test_more_interpreters_can_be_named() -> None:
    assert uses.interpreter("acme", uses.Rules(interpreters=frozenset({"acme"}))) == "shell"


def test_what_is_mounted_where(tmp_path: Path) -> None:
    there = mounts.mounted()
    assert mounts.of("/proc/self", there) is not None
    proc = mounts.of("/proc/self", there)
    assert proc is not None
    assert (proc.kind, proc.has_files) == ("proc", False)
    own = mounts.of(str(tmp_path), there)
    assert own is not None
    assert own.device == tmp_path.stat().st_dev
    assert own not in mounts.below([str(tmp_path)], there)  # what a folder is on is not below it
    assert proc in mounts.below(["/"], there)


def test_mount_points_with_spaces_are_read() -> None:
    line = "36 35 98:0 / /mnt/a\\040b rw shared:1 - ext3 /dev/root rw\n"
    assert mounts._mount(line) == mounts.Mount("/mnt/a b", os.makedev(98, 0), "ext3")  # noqa: SLF001
    assert mounts._mount("nonsense\n") is None  # noqa: SLF001
    found = mounts._mount(line.replace(" rw ", " rw,noexec,nodev "))  # noqa: SLF001
    assert found is not None
    assert found.noexec
    assert mounts._mount(line.replace("/dev/root rw", "/dev/root noexec")) == mounts._mount(line)  # noqa: SLF001


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("ext4", False), ("xfs", False), ("tmpfs", False), ("overlay", False), ("btrfs", True), ("nfs4", True),
     ("fuse.sshfs", True), ("fuseblk", True), ("9p", True), ("proc", True)],
)  # fmt: skip
def test_which_file_systems_can_be_protected(kind: str, refused: bool) -> None:  # noqa: FBT001
    mount = mounts.Mount("/x", 1, kind)
    assert bool(mount.refused) is refused
    assert mount.leased is (kind in ("ext4", "xfs", "tmpfs", "btrfs", "proc"))


def test_processes_tell_about_themselves() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", __file__], stdin=subprocess.PIPE) as process:
        state = Path(__file__).stat()
        while not processes.names(process.pid, state.st_dev, state.st_ino):
            time.sleep(0.01)
        status = processes.status(process.pid)
        assert status is not None
        assert (status.user, status.parent, status.process) == (os.geteuid(), os.getpid(), process.pid)
        assert processes.program(process.pid).name.startswith("python")
        loaded = set(processes.code(process.pid))
        interpreter = Path(sys.executable).resolve().stat()
        assert loaded & set(processes.users(loaded, frozenset()))
        assert processes.names(process.pid, interpreter.st_dev, interpreter.st_ino) is False
        process.communicate(b"\n")
    assert processes.status(process.pid) is None
    assert processes.program(process.pid) == processes.NOBODY


def test_a_mistake_in_one_event_keeps_no_other_from_being_told() -> None:
    passed: list[str] = []

    def write(event: dict[str, Any]) -> None:
        passed.append(event["kind"])
        raise ZeroDivisionError

    sink: Any = SimpleNamespace(start=lambda _: None, write=write, close=lambda: None, unwritten=0)
    stream = events.Stream([sink])
    stream.add(lambda: ({"kind": str(1 // 0)}, None))
    stream.say("test")
    stream.start()
    stream.end()
    stream.join(10)
    assert not stream.is_alive()
    assert (passed, stream.unwritten) == (["trouble", "test"], 3)
    assert [each["kind"] for each in stream.recent] == passed


def test_events_beyond_the_limit_are_counted_and_dropped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(limits, "GUARD_EVENTS_WAITING_MAX", 5)
    stream = events.Stream([sinks.Lines(str(tmp_path / "events"))])
    for number in range(8):
        stream.say("test", detail=str(number))
    assert stream.lost == 3
    stream.start()
    stream.end()
    stream.join(PATIENCE)
    told = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert [each["detail"] for each in told if each["kind"] == "test"] == ["0", "1", "2", "3", "4"]
    [lost] = [each for each in told if each["kind"] == "events-lost"]
    assert (lost["times"], telling.severity(lost)) == (3, telling.WARNING)
    assert telling.summary(lost) == "events-lost: 3, too many waited"


def test_how_many_were_alike_is_said_while_nothing_else_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "GUARD_ALIKE_MAX", 1)
    monkeypatch.setattr(limits, "GUARD_ALIKE_SECONDS", 0.2)
    stream = events.Stream([])
    stream.start()
    stream.say("first")
    eventually(lambda: stream.told["first"] == 1)
    use = alike.Alike((1, 2), "/x", "exec", "/bin/sh", 0, "deny", "policy.nothing")
    assert [stream.alike.tells(use) for _ in range(3)] == [True, False, False]
    stream.say("deny")
    eventually(lambda: stream.told["repeated"] == 1)
    assert [each["times"] for each in stream.recent if each["kind"] == "repeated"] == [2]
    assert (stream.alike.left_out, len(stream.alike)) == (2, 0)
    stream.end()
    stream.join(PATIENCE)


def test_journald_and_syslog_get_datagrams(tmp_path: Path) -> None:
    event = {"at": "2026-01-01T00:00:00Z", "kind": "deny", "use": "exec", "path": "/a\nb]", "program": "/bin/sh",
             "thread": 1, "reason": "policy.nothing", "decision": {"rule": "p.toml:3"}}  # fmt: skip
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "socket"))
        with contextlib.closing(sinks.Journal(str(tmp_path / "socket"))) as to_journal:
            to_journal.write(event)
        journal = listening.recv(65536)
        with contextlib.closing(sinks.Syslog(str(tmp_path / "socket"))) as to_syslog:
            to_syslog.write(event)
        syslog = listening.recv(65536)
    assert b"PRIORITY=4\n" in journal
    assert b"CHOPMARK_PATH\n" + (5).to_bytes(8, "little") + b"/a\nb]\n" in journal
    assert syslog.startswith(b"<84>1 2026-01-01T00:00:00Z - chopmark-guard ")
    assert b'path="/a b\\]"' in syslog
    assert b'decision.rule="p.toml:3"' in syslog
    assert b"CHOPMARK_DECISION_RULE=p.toml:3\n" in journal


def test_a_journal_that_is_restarted_gets_the_next_event(tmp_path: Path) -> None:
    address = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as first:
        first.bind(str(address))
        journal = sinks.Journal(str(address))
    with contextlib.closing(journal):
        with pytest.raises(OSError, match="refused"):
            journal.write({"kind": "test"})
        address.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as second:
            second.bind(str(address))
            journal.write({"kind": "test"})
            assert b"CHOPMARK_KIND=test\n" in second.recv(65536)


@pytest.mark.parametrize(("kind", "severity"), [("deny", 4), ("glass-broken", 4), ("trouble", 3), ("started", 6)])
def test_how_much_an_event_matters(kind: str, severity: int) -> None:
    assert telling.severity({"kind": kind}) == severity


def test_breaking_the_glass_is_told_in_one_sentence() -> None:
    event = {"kind": "glass-broken", "detail": "the disk is on fire", "seconds": 60.0, "uid": 0}
    assert telling.summary(event) == "glass-broken: the disk is on fire (nothing is denied for 60 s, user 0)"


@pytest.mark.parametrize("name", ["/no/such/folder/events", "/"])
def test_events_need_a_place(name: str) -> None:
    with pytest.raises(UsageError):
        sinks.sink(name)


def test_metrics_are_prometheus_text() -> None:
    names = ("passed", "allowed", "denied", "audited", "known", "looked", "ahead", "written", "failed", "late",
             "broken", "events_alike", "events_lost", "events_unwritten", "kept", "ignored", "contents")  # fmt: skip
    text = metrics.text({**dict.fromkeys(names, 2), "mode": "enforce"})
    assert "# TYPE chopmark_guard_denied_total counter\nchopmark_guard_denied_total 2\n" in text
    assert text.endswith("chopmark_guard_enforcing 1\n")


def test_the_doctor_reads_the_settings_of_a_host(tmp_path: Path) -> None:
    for name, value in (("vm/memfd_noexec", "2"), ("user/max_user_namespaces", "0"), ("fs/lease-break-time", "10")):
        file = tmp_path / "proc/sys" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    found = {symptom.name: symptom for symptom in doctor.examine([], str(tmp_path))}
    assert found["programs in memory (memfd_create)"].outcome is Outcome.OK
    assert found["file systems in user namespaces"].outcome is Outcome.OK
    assert found["how long a writer can be held back"].outcome is Outcome.NO
    assert found["files of a tmpfs, by io_uring"].outcome is Outcome.INFO
    assert found["code injected by ptrace(2)"].outcome is Outcome.UNKNOWN
    assert all(symptom.remedy for symptom in found.values() if symptom.outcome is Outcome.NO)


def test_the_doctor_says_line_by_line_what_is_open(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "chopmark", "guard", "doctor", str(tmp_path / "missing")]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert all(line.startswith(("ok    ", "OPEN  ", "?     ", "-     ", "      ")) for line in lines)
    [folder] = [at for at, line in enumerate(lines) if line.startswith("OPEN  /")]
    assert "no such folder" in " ".join(" ".join(lines[folder : folder + 3]).split())
    assert all(len(line) <= 80 for line in lines if "/" not in line)


@pytest.mark.parametrize(
    ("device", "helper", "namespaces", "outcome"),
    [
        (None, 0o4755, "1000", Outcome.OK),
        (0o666, None, "1000", Outcome.NO),
        (0o666, None, "0", Outcome.OK),
        (0o600, None, "1000", Outcome.OK),
        (0o600, 0o4755, "0", Outcome.NO),
        (0o600, 0o755, "0", Outcome.OK),
    ],
)
def test_the_doctor_asks_who_may_mount_fuse(
    tmp_path: Path, device: int | None, helper: int | None, namespaces: str, outcome: Outcome
) -> None:
    for name, mode in (
        ("dev/fuse", device),
        ("usr/bin/fusermount3", helper),
        ("proc/sys/user/max_user_namespaces", 0o644),
    ):
        if mode is not None:
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(namespaces)
            file.chmod(mode)
    [symptom] = [each for each in doctor.examine([], str(tmp_path)) if each.name == "files that FUSE reads into"]
    assert symptom.outcome is outcome
    assert bool(symptom.remedy) == (outcome is Outcome.NO)


PYTHON = "from chopmark.agent import launching\nimport sys\n"


def launched(tmp_path: Path, *words: str, check: str = "None") -> subprocess.CompletedProcess[str]:
    code = f"{PYTHON}launching.python(sys.argv[1:], {check})"
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)


def test_python_runs_scripts_and_modules_and_asks_about_imports(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import sys, good\nprint('main', __name__, sys.argv[1:])\n")
    (tmp_path / "good.py").write_text("print('good')\n")
    (tmp_path / "bad.py").write_text("import evil\n")
    (tmp_path / "evil.py").write_text("print('evil')\n")
    check = "lambda fd, path: 'no' if 'evil' in path else ''"
    assert launched(tmp_path, "main.py", "x", check=check).stdout == "good\nmain __main__ ['x']\n"
    assert launched(tmp_path, "-m", "main", check=check).stdout == "good\nmain __main__ []\n"
    denied = launched(tmp_path, "bad.py", check=check)
    assert (denied.stdout, denied.returncode) == ("", 1)
    assert "PermissionError" in denied.stderr


def test_python_does_not_believe_bytecode_that_nobody_vouches_for(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import thing\n")
    (tmp_path / "thing.py").write_text("print('evil')\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", tmp_path], check=True)
    stamp = (tmp_path / "thing.py").stat()
    (tmp_path / "thing.py").write_text("print('good')\n")
    os.utime(tmp_path / "thing.py", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    check = "lambda fd, path: 'no' if path.endswith('.pyc') else ''"
    assert launched(tmp_path, "main.py").stdout == "evil\n"  # as Python does by itself
    assert launched(tmp_path, "main.py", check=check).stdout == "good\n"


def test_what_a_check_itself_imports_is_not_asked_about(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("print('main')\n")
    (tmp_path / "tool.py").write_text("")
    check = "lambda fd, path: '' if __import__('tool') else 'no'"
    assert launched(tmp_path, "main.py", check=check).stdout == "main\n"


@pytest.mark.parametrize("words", [[], ["-"], ["-c", "print(1)"], ["-m"], ["-i"]])
def test_python_takes_code_from_files_alone(tmp_path: Path, words: list[str]) -> None:
    done = launched(tmp_path, *words)
    assert done.returncode == 1
    assert "UsageError" in done.stderr


def test_a_guarded_program_runs_with_a_script_that_cannot_be_exchanged(tmp_path: Path) -> None:
    (tmp_path / "script").write_text("echo $1 $0\n")
    command = [sys.executable, "-m", "chopmark", "guard", "exec", "--script", str(tmp_path / "script"), "sh", "one"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("one /proc/self/fd/")


def test_what_is_forgotten_is_not_known_again_from_a_database_that_cannot_be_written(tmp_path: Path) -> None:
    path = str(tmp_path / "verdicts.db")
    first = memory.Memory(path, print)
    first.start()
    first.put("a", TRUSTED, time.time() + 60)
    first.close()
    said: list[str] = []
    known = memory.Memory(path, said.append)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holding:
        assert known.get("a") is not None
        holding.execute("BEGIN IMMEDIATE")
        known.start()
        assert known.forget(lambda _: True) == 1
        known.depend({"rest": "new"})
        known.close()
        assert known.get("a") is None
        assert said != []
        assert holding.execute("SELECT count(*) FROM input").fetchone() == (0,)  # nor does it say so after a restart


def test_what_waits_to_be_written_is_known_and_can_be_forgotten(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(limits, "GUARD_KNOWN_MAX", 1)
    known = memory.Memory(str(tmp_path / "verdicts.db"), print)  # which nobody writes yet
    for key in "abc":
        known.put(key, TRUSTED, time.time() + 60)
    assert [known.get(key) is not None for key in "abcd"] == [True, True, True, False]
    assert known.forget(lambda _: True) == 3
    assert [known.get(key) for key in "abc"] == [None, None, None]


def test_seals_of_many_files_are_kept_once(tmp_path: Path) -> None:
    path = str(tmp_path / "verdicts.db")
    known = memory.Memory(path, print)
    known.start()
    for number in range(600):
        same = TRUSTED._replace(sha256=f"{number:064x}", seals=(SEAL._replace(subject=str(SEAL.subject)),))
        assert known.put(str(number), same, time.time() + 60).seals is known.put("x", TRUSTED, time.time() + 60).seals
    known.close()
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("SELECT count(*) FROM seals").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM verdict").fetchone() == (601,)
    again = memory.Memory(path, print)
    assert again.get("599") == TRUSTED._replace(path="", sha256=f"{599:064x}")
    assert again.forget(lambda facts: facts.sha256 == f"{0:064x}") == 1
    again.close()


@pytest.fixture
def versions_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    file = tmp_path / "policy.toml"
    file.write_text(
        'chopmark-policy = 1\nname = "p"\nversion = 1\nmode = "enforce"\n[[rule]]\naction = "allow"\nproduct = "tool"\n'
        'signer = { root = "' + "ee" * 32 + '" }\nrequire = { no-rollback = true }\n'
    )
    return file


def test_a_newer_version_that_runs_ends_the_older_ones(versions_home: Path) -> None:
    sources = Sources(str(versions_home))
    outdated: list[FileFacts] = []
    opened = opening.opened(sources)
    decider = deciding.Decider(opened, Settings((), lambda: opened), events.Stream([]), outdated.append)

    def asked(version: str) -> bool:
        facts = TRUSTED._replace(path="", release=Release("tool", version), sha256=version.replace(".", "") * 32)
        by = processes.Program("/bin/sh")
        asked = Asked(-1, (1, int(version[-1])), uses.EXEC, os.getpid(), by, "/tool", 0.0)
        answer = decider.decide(facts, asked)
        decider.told(asked, answer, facts)
        return answer.allow

    assert [asked("1.2"), asked("1.1"), asked("1.3"), asked("1.2")] == [True, False, True, False]
    assert [each.release and each.release.version for each in outdated] == ["1.2", "1.3"]
    assert opened.versions is not None
    opened.versions.write()
    with state.opened(write=False) as known:
        assert known.newest(Release("tool", "1"), [SEAL.root]) == "1.3"
    again = opening.opened(sources)
    decider.renew(again)
    assert [asked("1.2"), asked("1.3")] == [False, True]


@pytest.mark.parametrize(
    ("why", "glass", "allowed", "expected"),
    [
        ("failed", False, False, "guard.failed"),
        ("late", False, False, "guard.late"),
        ("written", False, False, "guard.written"),
        ("failed", True, True, "guard.glass"),
    ],
)
def test_what_could_not_be_found_out(
    versions_home: Path,
    why: str,
    glass: bool,  # noqa: FBT001 - a table
    allowed: bool,  # noqa: FBT001
    expected: str,
) -> None:
    opened = opening.opened(Sources(str(versions_home)))
    decider = deciding.Decider(opened, Settings((), lambda: opened), events.Stream([]), lambda _: None)
    decider.break_glass(60.0 if glass else 0.0)
    asked = Asked(-1, (1, 1), uses.EXEC, os.getpid(), processes.Program("/bin/sh"), "/tool", 0.0)
    answer = decider.without_facts(asked, why, "no such luck")
    assert answer.allow is allowed
    assert answer.decision.reason.code == expected


def test_versions_that_are_not_written_yet_outlive_a_reload(versions_home: Path) -> None:
    before = opening.opened(Sources(str(versions_home))).versions
    after = opening.opened(Sources(str(versions_home))).versions
    assert before is not None
    assert after is not None
    assert before.saw(TRUSTED)
    assert not before.saw(TRUSTED)
    assert not before.saw(UNSIGNED)
    after.take_over(before)
    assert after.newest_of(TRUSTED._replace(release=Release("tool", "1"))) == "1.2"
    after.write()
    assert after.unwritten() == []
    assert opening.opened(Sources(str(versions_home))).versions is not None


def test_limits_on_descriptors_are_kept_to() -> None:
    code = (
        "import resource\n"
        "from chopmark.agent import preparing\n"
        "from chopmark.core import limits\n"
        "limits.GUARD_WORKING_DESCRIPTORS = 100\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))\n"
        "resource.setrlimit = lambda *_: None\n"  # it is not ours to raise
        "print(*preparing.descriptors())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "100 100 150\n"
