"""The catalogue of reasons, over the whole package: whoever adds a check adds one that can be shown to a person."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import chopmark
from chopmark.core.finding import Outcome
from chopmark.core.reasons import CATALOG, Reason

# What would let the verifier look away. A remedy changes the artifact or what surrounds it, never what is asked of it.
WEAKENING = re.compile(
    r"\b(disabl\w*|ignor\w*|allow\w*|skip\w*|exempt\w*|bypass\w*|suppress\w*|whitelist\w*|except(?:ion)?s?|"
    r"turn\w* off|switch\w* off|lower\w*|relax\w*|weaken\w*|permit\w*|tolerat\w*|override\w*|force\w*|"
    r"--revocation|--no-|--allow|--policy|trust it anyway|accept\w*)\b",
    re.IGNORECASE,
)


def modules() -> list[str]:
    return [
        info.name
        for info in pkgutil.walk_packages(chopmark.__path__, "chopmark.")
        if not info.name.endswith(("__main__", "migrations.env"))  # these two act when they are imported
    ]


def catalogue() -> dict[str, Reason]:
    for module in modules():
        importlib.import_module(module)
    return {code: reason for code, reason in CATALOG.items() if not code.startswith("test.")}  # other tests' own


REASONS = catalogue()


def shown_to_a_person(text: str) -> bool:
    """Whole sentences of printable characters in one line."""
    begins = text[0].isupper() or text[0].isdigit() or text[0] in "\"'`"
    return begins and text.endswith(".") and text == " ".join(text.split()) and text.isprintable()


# Each of these looks at all reasons in one test: as a test each, they cost ten times as much as what they do.


def test_a_reason_can_be_shown_to_a_person() -> None:
    assert REASONS
    assert [code for code, reason in REASONS.items() if reason.code != code] == []
    assert [code for code in REASONS if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*){1,2}", code)] == []
    assert [code for code, reason in REASONS.items() if not reason.sentence] == []
    texts = [(code, text) for code, reason in REASONS.items() for text in (reason.sentence, reason.remedy) if text]
    assert [(code, text) for code, text in texts if not shown_to_a_person(text)] == []
    assert [code for code, reason in REASONS.items() if reason.cites != reason.cites.strip()] == []


def test_no_remedy_weakens_the_policy() -> None:
    assert [(code, reason.remedy) for code, reason in REASONS.items() if WEAKENING.search(reason.remedy)] == []


def test_whoever_is_refused_is_told_what_to_do() -> None:
    refused = [reason for reason in REASONS.values() if reason.outcome is Outcome.NO]
    assert [reason.code for reason in refused if not reason.remedy] == []


def test_techniques_are_those_of_attack() -> None:
    techniques = [(code, each) for code, reason in REASONS.items() for each in reason.techniques]
    assert [pair for pair in techniques if not re.fullmatch(r"T1\d{3}(\.\d{3})?", pair[1])] == []
    assert len(set(techniques)) == len(techniques)


def test_sentences_of_one_area_differ() -> None:
    sentences = [(code.partition(".")[0], reason.sentence) for code, reason in REASONS.items()]
    assert sorted(sentences) == sorted(set(sentences))


def test_a_code_is_declared_once() -> None:
    with pytest.raises(ValueError, match=r"input\.missing"):
        Reason("input.missing", Outcome.NO, "Again.")


def test_a_finding_says_what_was_found() -> None:
    reason = REASONS["digest.mismatch"]
    finding = reason.found("image, sha256", subject="image")
    assert (finding.code, finding.outcome, finding.subject) == (reason.code, Outcome.NO, "image")
    assert finding.detail == "image, sha256"
    assert finding.cites == reason.cites
    assert reason.found(outcome=Outcome.INFO).outcome is Outcome.INFO


def test_reasons_are_declared_in_modules_of_that_name() -> None:
    """So that whoever looks for a code knows where to look, and documentation can import them all."""
    root = Path(chopmark.__path__[0])
    for path in root.rglob("*.py"):
        if path.name == "reasons.py":
            continue
        calls = [node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        named = [node for node in calls if isinstance(node.func, ast.Name) and node.func.id == "Reason"]
        assert not named, f"{path.relative_to(root)} declares a reason"
