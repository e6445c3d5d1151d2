"""Deciding by a policy of 10,000 rules, beside the one system call that asks what a file is (fstat)."""

from __future__ import annotations

import datetime as dt
import os
import time
from typing import TYPE_CHECKING

from bench.measure import Row, row, side_by_side
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import language
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import FileFacts, Process, SealFacts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COUNT = 10_000
DECISIONS = 20_000
FSTAT = f"{DECISIONS:,} fstat"
NEW = f"{DECISIONS:,} decisions by {COUNT:,} rules"
FEW = "the same by 10 rules"
KEPT = "the same from a ruling that was kept"
ASKED = "the same, with a rule about users"
_AT = dt.datetime(2026, 11, 26, tzinfo=dt.UTC)
_PROCESS = Process(1000, "ada", "/usr/bin/dash", "/usr/sbin/sshd")


def run(folder: Path, rounds: int) -> list[Row]:
    """Four rows within one process; the note says how long it takes to read the policy."""
    text = _text(COUNT)
    began = time.perf_counter()
    many = Compiled(language.parse(text, "many.toml").rules, Mode.ENFORCE)
    took = time.perf_counter() - began
    few = Compiled(language.parse(_text(10), "few.toml").rules, Mode.ENFORCE)
    assert many.decide(_file(7), "exec", _PROCESS, _AT).allowed
    assert few.decide(_file(7), "exec", _PROCESS, _AT).allowed
    with (folder / "file").open("wb") as file:
        descriptor = file.fileno()
        taken = side_by_side(
            {
                FSTAT: lambda: _timed(lambda _: os.fstat(descriptor)),
                NEW: lambda: _timed(lambda number: many.decide(_FILES[number % 100], "exec", _PROCESS, _AT)),
                FEW: lambda: _timed(lambda number: few.decide(_FILES[number % 100], "exec", _PROCESS, _AT)),
                KEPT: lambda: _timed(many.rule_on(_file(7), "exec", _AT).decide, _PROCESS),
                ASKED: lambda: _timed(many.rule_on(_file(8), "exec", _AT).decide, _PROCESS),
            },
            rounds,
        )
    each = ", ".join(f"{name} {1e6 * min(several) / DECISIONS:.2f} us" for name, several in taken.items())
    note = f"each: {each}; the policy ({len(text) // 1000} KB) is read in {took:.2f} s"
    return [
        row(taken, NEW, FEW, bound="<= 3", note=note),
        row(taken, NEW, FSTAT),
        row(taken, KEPT, FSTAT),
        row(taken, ASKED, FSTAT),
    ]


def _timed(once: Callable[..., object], argument: object = None) -> float:
    began = time.perf_counter()
    for number in range(DECISIONS):
        once(number if argument is None else argument)
    return time.perf_counter() - began


def _file(number: int) -> FileFacts:
    seal = SealFacts(
        "cms", Status.TRUSTED, "x509", f"CN=Signer {number}", f"{number:064x}", f"{number + 1:064x}",
        authorities=(Authority("CN=Issuing", "c" * 64, "d" * 64), Authority("CN=Root", "a" * 64, "b" * 64)),
        purposes=("1.3.6.1.5.5.7.3.3",), store="corp", signed_at=_AT - dt.timedelta(days=3),
    )  # fmt: skip
    release = Release(f"tool-{number}.exe", "2.5.0.1")
    return FileFacts(f"/opt/vendor/{number}/bin/tool", f"{number:064x}", "pe", Status.TRUSTED, (seal,), release)


_FILES = [_file(number) for number in range(100)]


def _text(count: int) -> bytes:
    """A fifth each: digests, products with versions, signers, paths, denials; every tenth is about a user as well."""
    lines = ["chopmark-policy = 1", 'name = "bench"', "version = 1"]
    for number in range(count):
        lines += ["", "[[rule]]", f'comment = "number {number}"', 'owner = "ops@example.test"']
        lines += [
            ('action = "allow"', f'digest = "sha256:{number + 10**6:064x}"'),
            ('action = "allow"', f'product = "tool-{number % 100}.exe"', f'store = "other-{number}"'),
            ('action = "allow"', f'signer = {{ key = "sha256:{number:064x}", eku = "code-signing" }}'),
            ('action = "allow"', f'path = "/srv/{number}/**"'),
            ('action = "deny"', f'product = "old-{number}.exe"', 'below = "2.0"'),
        ][number % 5]
    for number in range(9):
        user = ['user = "ada"'] if number == 8 else []
        lines += ["", "[[rule]]", 'action = "allow"', f'signer = "sha256:{number:064x}"', *user]
    return "\n".join([*lines, ""]).encode()
