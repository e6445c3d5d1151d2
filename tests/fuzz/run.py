"""Fuzz every parser for a while: `python tests/fuzz/run.py --seconds 20 [TARGET...]`.

A target is a module in tests/fuzz/targets with `seeds()`, which yields inputs to start from, and `run(data)`, which
raises when it found a bug; a ChopmarkError is the right answer to bad input, and not raised; that each of them can be
shown is asked for all (tests/fuzz/errors.py). One that knows what its
inputs are made of has `mutate` (DER: tests/support/der_trees.py; fields at known places: tests/fuzz/fields.py) for
every second of them; the others are mutated by bytes. Each target runs in a process of its own with limits on memory
and on the processor's time, so that a machine that is busy, or sleeps for a while, fails nobody. What broke one is kept
in build/fuzz/TARGET-... and printed, and
`python tests/fuzz/run.py --repeat TARGET FILE` shows the traceback.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import importlib
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
FINDINGS = PROJECT / "build" / "fuzz"
RSS_LIMIT = 1024
"""MiB that a target may use, the fuzzer and its corpus included."""
HANG = 10
"""Seconds by the clock after which libFuzzer gives up on one input."""
SLOW = 4
"""Seconds of processor time, untraced, that make it a find; a host that paused in between is none."""
CONFIRMING = 60
"""Such seconds that asking about one input again may take, the seeds included."""
START_UP = 120
"""Seconds of processor time beyond the time asked for after which a target counts as hung."""
WAIT = 600
"""Seconds by the clock beyond it: only what waits for something takes so long."""
INPUT_MAX = 16 * 1024
SHOWN_LINES = 12
"""The last ones of what a target said when it failed."""
SHOWN_INPUT = 6000
"""Characters of an input that are printed; of a longer one, nothing."""
UNTRACED = {"certified": ["chopmark.cli", "chopmark.envelopes.cms", "chopmark.envelopes.der"]}
"""What a target's inputs are not chosen by, since others are for that: tracing takes more than half of the time."""
STRUCTURED = 0.5
"""How many of the inputs are mutated along their structure, where a target can and does not say so itself."""


def names() -> list[str]:
    """Every target, by name."""
    return sorted(path.stem for path in (HERE / "targets").glob("*.py") if not path.stem.startswith("_"))


def fuzz(name: str, seconds: int) -> tuple[bool, str]:
    """Run one target in a process of its own: whether it passed, and what to say about it."""
    FINDINGS.mkdir(parents=True, exist_ok=True)
    before = set(FINDINGS.iterdir())
    with tempfile.TemporaryDirectory() as corpus:
        done = script("--worker", name, "--seconds", str(seconds), "--corpus", corpus, limit=seconds + WAIT)
    if done is None:
        return False, f"hung: it did not end within {seconds + WAIT} s"
    said = done.stdout + done.stderr
    executed = re.search(r"number_of_executed_units:\s*(\d+)", said)
    count = int(executed[1]) if executed else 0
    if done.returncode == 0 and count:
        memory = re.search(r"peak_rss_mb:\s*(\d+)", said)
        return True, f"{count:9,} executions, {int(memory[1]) if memory else 0:4} MiB"
    kept = sorted(path for path in FINDINGS.glob(f"{name}-*") if path not in before)
    reason = next((line for line in said.splitlines() if "ERROR: libFuzzer" in line), "").partition("libFuzzer: ")[2]
    if reason.startswith("timeout") and kept and not any(confirmed(name, path) for path in kept):
        return True, f"{count:9,} executions, and the host paused"
    error = [line for line in said.splitlines() if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line)]
    (FINDINGS / f"{name}.log").write_text(said)
    what = f"{reason or f'ended with {done.returncode}'} after {count:,} executions"
    told = "; ".join([what, *error[-1:], *(f"see {path.relative_to(PROJECT)}" for path in kept)])
    traceback = [line for line in said.splitlines() if line.startswith(("  File", "    "))][-SHOWN_LINES:]
    return False, "\n".join([told, *traceback, *(packed(path) for path in kept)])


def script(*arguments: str, limit: int) -> subprocess.CompletedProcess[str] | None:
    """This file in a process of its own; None when it did not end."""
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return None


def confirmed(name: str, path: Path) -> bool:
    """Whether an input that libFuzzer gave up on takes as long again when it is alone, by the time of the processor."""
    done = script("--confirm", name, str(path), limit=WAIT)
    return done is None or done.returncode != 0


def slow(run: Callable[[bytes], None], data: bytes, seconds: float = SLOW) -> bool:
    """Whether it takes so much of the processor's time, and not only of the clock's."""
    started = time.process_time()
    run(data)
    return time.process_time() - started > seconds


def bound(seconds: int) -> None:
    """End this process after so many seconds of the processor's."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def packed(path: Path) -> str:
    """An input, for whoever has nothing but the log: `base64 -d | gunzip` gives it back."""
    text = base64.b64encode(gzip.compress(path.read_bytes(), mtime=0)).decode()
    return f"{path.name}, gzip: {text if len(text) <= SHOWN_INPUT else 'too long to be shown'}"


def work(name: str, seconds: int, corpus: Path) -> None:
    """In the process of its own: instrument the package, write the seeds, and hand over to libFuzzer."""
    import atheris

    bound(seconds + START_UP)
    with atheris.instrument_imports(include=["chopmark"], exclude=UNTRACED.get(name, [])):
        target, run = loaded(name)
        seeds = list(target.seeds())
        for seed in seeds:
            (corpus / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
            run(seed)  # also imports what is imported only when it is needed
    options = {
        "max_total_time": seconds,
        "rss_limit_mb": RSS_LIMIT,
        "timeout": HANG,
        "max_len": INPUT_MAX,
        "len_control": 0,
        "artifact_prefix": f"{FINDINGS}/{name}-",
        "print_final_stats": 1,
        "verbosity": 0,
    }
    words = [sys.argv[0], str(corpus), *(f"-{key}={value}" for key, value in options.items())]
    share = getattr(target, "STRUCTURED", STRUCTURED)
    along = {"custom_mutator": mutator(target.mutate, seeds, share)} if hasattr(target, "mutate") else {}
    atheris.Setup(words, run, **along)
    atheris.Fuzz()


def loaded(name: str) -> tuple[ModuleType, Callable[[bytes], None]]:
    """A target, and its `run` with the laws that hold everywhere."""
    from tests.fuzz import errors

    target = importlib.import_module(f"tests.fuzz.targets.{name}")
    return target, errors.legible(target.run)


def mutator(
    mutate: Callable[[bytes, random.Random, Sequence[bytes]], bytes | None], seeds: Sequence[bytes], share: float
) -> Callable[[bytes, int, int], bytes]:
    """A target's own way to mutate inputs, in turn with libFuzzer's, which has those that are not what it reads."""

    def mutated(data: bytes, longest: int, seed: int) -> bytes:
        chance = random.Random(seed)
        made = mutate(data, chance, seeds) if chance.random() < share else None
        return made if made is not None and len(made) <= longest else by_bytes(data, longest)

    return mutated


def by_bytes(data: bytes, longest: int) -> bytes:
    """LibFuzzer's own way."""
    import atheris

    made: bytes = atheris.Mutate(data, longest)
    return made


def main() -> int:
    """Run every target, or those named; 1 when one failed."""
    parser = argparse.ArgumentParser(
        allow_abbrev=False, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"one of {', '.join(names())} (default: all)")
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="targets at the same time")
    parser.add_argument("--repeat", nargs=2, metavar=("TARGET", "FILE"), help="run one input and show what happens")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--confirm", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--corpus", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if unknown := set(arguments.targets) - set(names()):
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    sys.path[:0] = [str(PROJECT), str(PROJECT / "src")]
    if arguments.worker:
        work(arguments.worker, arguments.seconds, arguments.corpus)
        return 0
    if arguments.repeat:
        name, path = arguments.repeat
        loaded(name)[1](Path(path).read_bytes())
        return 0
    if arguments.confirm:
        name, path = arguments.confirm
        bound(CONFIRMING)
        target, run = loaded(name)
        for seed in target.seeds():  # what is imported only when it is needed is no part of the time
            run(seed)
        return int(slow(run, Path(path).read_bytes()))
    failed = 0
    chosen = arguments.targets or names()

    def timed(name: str) -> tuple[str, bool, str, float]:
        started = time.monotonic()
        return name, *fuzz(name, arguments.seconds), time.monotonic() - started

    with ThreadPoolExecutor(arguments.jobs) as pool:  # each waits for a process of its own
        for name, passed, said, seconds in pool.map(timed, chosen):
            failed += not passed
            print(f"{name:14} {'passed' if passed else 'FAILED'} {seconds:5.0f} s  {said}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONFAULTHANDLER", "1")
    sys.exit(main())
