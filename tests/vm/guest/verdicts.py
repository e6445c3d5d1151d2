"""In the guest, under its kernel: verdicts in the kernel, what ends them and what does not. A line for each answer."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import mmap
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.agent.bpf import btf, pinned, support
from chopmark.cli import main as chopmark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path("/mnt")
POLICY = "/opt/policy.toml"
CERTIFICATE = "/opt/signer.pem"
_libc = ctypes.CDLL(None, use_errno=True)
_EXECVEAT, _AT_EXECVE_CHECK, _AT_EMPTY_PATH = 322, 0x10000, 0x1000
_MS_BIND = 4096
_RACES = 100
_REPETITIONS = 60


def say(name: str, answer: object) -> None:
    sys.stdout.write(f"bpf: {name} {answer}\n")
    sys.stdout.flush()


def word(error: OSError) -> str:
    return errno.errorcode[error.errno or 0]


def tried(action: Callable[[], object]) -> str:
    try:
        action()
    except OSError as error:
        return word(error)
    return "ok"


def run(path: Path | str) -> str:
    try:
        return str(subprocess.run([str(path)], check=False).returncode)
    except OSError as error:
        return word(error)


def asked(path: Path) -> str:
    """AT_EXECVE_CHECK."""
    descriptor = os.open(path, os.O_RDONLY)
    none = (ctypes.c_char_p * 2)(b"asked", None)
    failed = _libc.syscall(_EXECVEAT, descriptor, b"", none, none, _AT_EXECVE_CHECK | _AT_EMPTY_PATH)
    number = ctypes.get_errno()
    os.close(descriptor)
    return errno.errorcode[number] if failed else "ok"


def mapped(path: Path, protection: int = mmap.PROT_READ | mmap.PROT_EXEC) -> str:
    with path.open("rb") as file:
        return tried(lambda: mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, protection).close())


def out_of_memory() -> None:
    """Have the kernel forget the inodes that nobody uses, and what hangs on them."""
    os.sync()
    for _ in range(5):  # what was used lately is passed over the first time
        Path("/proc/sys/vm/drop_caches").write_text("3")


def guard(*words: str) -> int:
    return chopmark(["guard", "bpf", *words])


def allow(*names: str) -> int:
    return guard("allow", "--policy", POLICY, *(str(HERE / name) for name in names))


@contextlib.contextmanager
def written(name: str) -> Iterator[None]:
    """Allowed and seen to run before, then changed in the block; afterwards it is asked again, with the old content."""
    path = HERE / name
    content = path.read_bytes()
    say(f"{name}-allow", allow(name))
    before = run(path)
    yield
    say(f"{name}-before-and-after", f"{before} {run(path)}")
    path.write_bytes(content)
    allow(name)
    say(f"{name}-again", run(path))


def basics() -> None:
    say("known-unjudged", run(HERE / "known"))
    say("allow", allow("known"))
    say("known", run(HERE / "known"))
    say("unknown", run(HERE / "unknown"))
    say("allow-unknown", allow("unknown"))
    say("unknown-judged", run(HERE / "unknown"))
    say("asked-known", asked(HERE / "known"))
    say("asked-unknown", asked(HERE / "unknown"))
    os.link(HERE / "known", HERE / "link")
    say("hard-link", run(HERE / "link"))
    _libc.mount(b"/mnt", b"/opt/bind", None, _MS_BIND, None)
    say("other-mount", f"{run('/opt/bind/known')} {run('/opt/bind/unknown')}")
    say("elsewhere", run("/opt/unknown"))


def interpreters() -> None:
    say("allow-script", allow("script", "script-of-unknown"))
    say("script-interpreter-unjudged", run(HERE / "script"))
    say("allow-interpreter", allow("interpreter"))
    say("script", run(HERE / "script"))
    say("script-of-unknown", run(HERE / "script-of-unknown"))
    say("unknown-script", run(HERE / "unknown-script"))


def writers() -> None:
    with written("by-write") as _, (HERE / "by-write").open("r+b") as file:
        file.write(b"\x7f")
    with written("by-mapping"):
        with (HERE / "by-mapping").open("r+b") as file:
            mapping = mmap.mmap(file.fileno(), 0)
        mapping[0] = 0x7F
        say("mapping-stays-executed", run(HERE / "by-mapping"))
        say("mapping-stays-allow", allow("by-mapping"))
        mapping.close()
    with written("by-truncate"):
        os.truncate(HERE / "by-truncate", 133)
    with written("by-open"):
        os.close(os.open(HERE / "by-open", os.O_WRONLY))
    with written("by-rename"):
        (HERE / "new").write_bytes((HERE / "by-rename").read_bytes())
        (HERE / "new").chmod(0o755)
        (HERE / "new").replace(HERE / "by-rename")


def libraries() -> None:
    say("library-unjudged", mapped(HERE / "library"))
    say("allow-library", allow("library"))
    say("library", mapped(HERE / "library"))
    say("library-as-data", mapped(HERE / "unknown", mmap.PROT_READ))
    say("library-writer", tried(lambda: os.open(HERE / "library", os.O_WRONLY)))
    say("library-truncated", tried(lambda: os.truncate(HERE / "library", 0)))
    with (HERE / "known").open("rb") as file:
        mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
        address = ctypes.addressof(ctypes.c_char.from_buffer(mapping))
        failed = _libc.mprotect(ctypes.c_void_p(address), 4096, mmap.PROT_READ | mmap.PROT_EXEC)
        say("data-made-code", errno.errorcode[ctypes.get_errno()] if failed else "ok")


def killed_guard() -> None:
    """Somebody gives verdicts and is killed."""
    code = (
        f"import sys, time; sys.path[:0] = {sys.path[:3]}\n"
        f"from chopmark.cli import main\n"
        f"main({['guard', 'bpf', 'allow', '--policy', POLICY, str(HERE / 'outlives')]})\n"
        "print('given', flush=True); time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-I", "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    while b"given" not in child.stdout.readline():
        pass
    child.send_signal(signal.SIGKILL)
    child.wait()
    say("guard-killed", f"{run(HERE / 'outlives')} {run(HERE / 'unknown')}")


def race() -> None:
    """Somebody writes other code into a file again and again, while it is judged and executed."""
    path, good, bad = HERE / "race", (HERE / "race").read_bytes(), Path("/opt/unknown").read_bytes()
    bad = bad[: len(good)]
    ending = threading.Event()

    def write() -> None:
        while not ending.is_set():
            for content, pause in ((bad, 0.001), (good, 0.01)):
                with contextlib.suppress(OSError), path.open("r+b") as file:
                    file.write(content)
                time.sleep(pause)

    from chopmark.agent import leases

    leases.block()
    writer = threading.Thread(target=write)
    writer.start()
    seen = dict[str, int]()
    with pinned.open_pinned() as held:
        while seen.get("42", 0) < _RACES and sum(seen.values()) < 20 * _RACES:
            with path.open("rb", buffering=0) as file, contextlib.suppress(OSError):
                count = held.writes(file.fileno())
                leases.take(file.fileno())
                leases.give_back(file.fileno())
                if file.read() == good:
                    held.allow(file.fileno(), count)
            answer = run(path)
            seen[answer] = seen.get(answer, 0) + 1
    ending.set()
    writer.join()
    say("race", " ".join(sorted(set(seen) - {"ETXTBSY"})))
    say("race-counts", seen)


def ends() -> None:
    with pinned.open_pinned() as held:
        held.renew()
    say("another-policy", run(HERE / "known"))
    allow("known", "evicted")
    say("known-again", f"{run(HERE / 'known')} {run(HERE / 'evicted')}")
    out_of_memory()
    say("out-of-memory-and-back", run(HERE / "evicted"))
    say("audit", guard("load", "--audit", "--mount", str(HERE)))
    say("audited", run(HERE / "unknown"))
    say("enforce", guard("load", "--mount", str(HERE)))
    say("enforced", run(HERE / "unknown"))


def proofs() -> None:
    """What fs-verity proves, with no verdict at all."""
    names = ("signed", "changed", "stranger", "unsigned", "another-files")
    before = [run(HERE / name) for name in names]
    say("unsealed", " ".join(before))
    say("signatures", guard("load", "--mount", str(HERE), "--strict", "--signed-by", CERTIFICATE))
    if "signatures" not in support.of_host().found:
        return
    for name in names:
        if name == "unsigned":
            (HERE / f"{name}.fsv_sig").write_bytes(b"no signature")
        say(f"seal-{name}", guard("seal", str(HERE / name)))
        say(f"sealed-{name}", run(HERE / name))
    say("sealed-asked", f"{asked(HERE / 'signed')} {asked(HERE / 'stranger')}")
    say("sealed-mapped", f"{mapped(HERE / 'signed')} {mapped(HERE / 'stranger')}")
    say("sealed-writer", tried(lambda: os.open(HERE / "signed", os.O_WRONLY)))
    out_of_memory()
    say("sealed-and-out-of-memory", run(HERE / "signed"))
    os.removexattr(HERE / "signed", "user.chopmark")
    out_of_memory()
    say("signature-removed", run(HERE / "signed"))
    say("list", allow("unsigned"))
    out_of_memory()
    say("listed-and-out-of-memory", run(HERE / "unsigned"))


def behind_a_guard() -> None:
    """What a guard lets through the kernel lets through; nothing else does, also when nobody guards any more."""
    command = [sys.executable, "-m", "chopmark", "guard", "run", "--policy", POLICY, "--mount", str(HERE), "--bpf"]
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path[:3])}
    guard_ = subprocess.Popen(
        [*command, "--state", "none", "--control", "none"],
        stdout=subprocess.PIPE,
        env=environment,
        start_new_session=True,
    )
    assert guard_.stdout is not None
    try:
        say("guard", guard_.stdout.readline().decode().strip())
        say("guarded-known", f"{run(HERE / 'guarded')} {run(HERE / 'guarded')}")
        say("guarded-for-a-while", f"{run(HERE / 'for-a-while')} {run(HERE / 'for-a-while')}")
        say("guarded-unknown", run(HERE / "unknown"))
        (HERE / "by-write").write_bytes((HERE / "by-write").read_bytes() + b"more")
        say("guarded-written", run(HERE / "by-write"))
    finally:
        os.killpg(guard_.pid, signal.SIGKILL)
        guard_.wait()
    time.sleep(1)
    say("unguarded-known", run(HERE / "guarded"))
    say("unguarded-for-a-while", run(HERE / "for-a-while"))
    say("unguarded-unknown", run(HERE / "unknown"))


def speed() -> None:
    """Executions of a known file with and without the map, in turn: the shortest of many, in a guest's microseconds."""
    device = HERE.stat().st_dev
    allow("known")
    shortest = {False: 1e9, True: 1e9}
    with pinned.open_pinned() as held:
        for _ in range(_REPETITIONS):
            for protected in (False, True):
                held.protect(device, 1) if protected else held.release(device)
                began = time.perf_counter()
                for _ in range(10):
                    os.waitpid(os.posix_spawn(HERE / "known", ["known"], {}), 0)
                shortest[protected] = min(shortest[protected], time.perf_counter() - began)
    say("speed", f"{shortest[False] * 1e5:.0f} us without, {shortest[True] * 1e5:.0f} us with")


def main(_: list[str]) -> None:
    os.environ["CHOPMARK_HOME"] = "/tmp/chopmark"
    say("doctor", support.of_host().outcome)
    began = time.perf_counter()
    say("load", guard("load", "--mount", str(HERE), "--strict"))
    say("load-took", f"{time.perf_counter() - began:.1f} s")
    say("load-twice", tried(lambda: None) if _again() else "loaded twice")
    for part in (basics, interpreters, writers, libraries, killed_guard, race, ends, behind_a_guard, proofs, speed):
        part()
    guard("status")
    say("unload", guard("unload"))
    say("unloaded", run(HERE / "unknown"))


def _again() -> bool:
    try:
        pinned.load(btf.of_kernel())
    except Exception as error:  # noqa: BLE001 - which one is the answer
        return type(error).__name__ == "UsageError"
    return False
