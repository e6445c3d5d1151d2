"""Explanations: what the file would have to bring, and never what the policy would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import explaining
from chopmark.policy.facts import FileFacts
from tests.support import policies
from tests.support.policies import ANYBODY, DIGESTS, FILE, NOW, SIGNED, UNSIGNED, compiled


def explain(rules: list[dict[str, Any]], file: FileFacts) -> explaining.Explanation:
    policy = compiled(rules)
    decision = policy.decide(file, "exec", ANYBODY, NOW)
    return explaining.explain(decision, policy.rules, "exec", ANYBODY, NOW)


BY_CA = {"action": "allow", "ca": DIGESTS[4]}


def test_what_is_allowed_needs_nothing() -> None:
    assert explain([BY_CA], FILE)[1:] == ((), ())


@pytest.mark.parametrize(
    ("require", "word"),
    [
        ({"timestamp": True}, "time stamp"),
        ({"log": True}, "log"),
        ({"signers": 2}, "2 distinct signers"),
        ({"min-version": "9.9"}, "9.9"),
        ({"revocation": "require"}, "revocation"),
    ],
)
def test_requirements_that_are_not_met(require: dict[str, Any], word: str) -> None:
    said = explain([{**BY_CA, "require": require}], FILE._replace(seals=(SIGNED._replace(revocation="nobody"),)))
    assert any(word in each for each in said.missing)


def test_rules_that_nearly_allow_it_the_nearest_first() -> None:
    rules = [
        {"action": "allow", "ca": DIGESTS[4], "product": "Tool.exe", "below": "1.0"},
        {"action": "allow", "digest": DIGESTS[0]},
        {"action": "allow", "ca": DIGESTS[4], "format": "script"},
        {"action": "allow", "ca": DIGESTS[4], "path": "/opt/**"},
        {"action": "allow", "product": "other"},
    ]
    said = explain(rules, UNSIGNED)
    assert [(near.rule.number, len(near.missing)) for near in said.near] == [(3, 1), (0, 2)]


def test_a_denial_is_not_argued_with() -> None:
    said = explain([BY_CA, {"action": "deny", "format": "pe"}], FILE)
    assert (said.missing, said.near) == ((), ())
    assert explain([BY_CA], FILE._replace(blocked="x")).near == ()
    assert explain([BY_CA], FileFacts("/x", "")).near == ()


def test_a_bad_signature_where_none_is_needed() -> None:
    said = explain([{"action": "allow", "path": "/opt/**"}], FILE._replace(status=Status.REJECTED))
    assert [near.missing for near in said.near] == [("a signature that is good, or none",)]


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.files())
def test_every_file_can_be_explained(rules: list[dict[str, Any]], file: FileFacts) -> None:
    said = explain(rules, file)
    assert said.decision.allowed is False or (said.missing, said.near) == ((), ())
    assert len(said.near) <= explaining.NEAR_MAX
    assert all(near.missing and near.rule.action == "allow" for near in said.near)


def test_what_is_said_to_be_missing_is_enough() -> None:
    rules = [{"action": "allow", "ca": DIGESTS[4], "product": "Tool.exe", "require": {"min-version": "2.0"}}]
    assert explain(rules, FILE).missing == ("version 2.0 or later",)
    assert compiled(rules).decide(FILE._replace(release=Release("Tool.exe", "2.0")), "exec", ANYBODY, NOW).allowed
