"""The fuzz target that goes through the commands: each of them has its turn, and false trust is a find."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fuzz import run
from tests.fuzz.targets import certified
from tests.support import certifying, pki

if TYPE_CHECKING:
    from argparse import Namespace
    from types import ModuleType


def test_every_command_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def command(verb: ModuleType, arguments: Namespace) -> tuple[int, str]:
        asked.append(verb)
        return plain(verb, arguments)

    plain = certified.command
    monkeypatch.setattr(certified, "command", command)
    turns: dict[int, bytes] = {}
    for number in range(100):
        made = pki.leaf(pki.world().issuing, f"Turn {number}").der
        turns.setdefault(sum(made) % certified.TURNS, made)
        if len(turns) == certified.TURNS:
            break
    for made in turns.values():
        certified.run(made)
    assert {verb.__name__.rpartition(".")[2] for verb in asked} == {"verify", "inspect", "ca", "store"}


def test_false_trust_is_a_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certifying, "faults", lambda _: ["expired"])
    with pytest.raises(AssertionError, match="trusted"):
        certified.run(pki.world().signer.der)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_target_says_how_much_is_mutated_along_its_structure(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "by_bytes", lambda *_: b"by bytes")

    def mutate(*_: object) -> bytes:
        return b"by structure"

    mutated = run.mutator(mutate, [], share)
    made = {mutated(b"", 100, seed) for seed in range(20)}
    assert made == {b"by structure" if share else b"by bytes"}
