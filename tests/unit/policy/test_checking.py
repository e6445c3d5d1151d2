"""What is said about policies: true of every file, and not of good rules."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.verdict import Status
from chopmark.policy import checking, language, reasons
from chopmark.policy.covering import covers, surely_before
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import FileFacts, Process
from tests.support import policies, policy_oracle
from tests.support.policies import ANYBODY, DIGESTS, NOW, compiled

OWNED = {"owner": "ada", "comment": "because"}
BY_CA = {"action": "allow", "ca": DIGESTS[4], **OWNED}


def said(rules: list[dict[str, Any]], stores: tuple[str, ...] = (), revocation: str = "") -> list[tuple[str, int]]:
    """Codes and the numbers of the rules that they are about."""
    found = language.parse(policy_oracle.written(rules), "p.toml").rules
    numbers = {str(rule.place): rule.number for rule in found}
    findings = checking.check(found, NOW, stores, revocation)
    return [(finding.code.removeprefix("policy."), numbers.get(finding.subject, -1)) for finding in findings]


def test_good_rules_have_nothing_said_against_them() -> None:
    rules: list[dict[str, Any]] = [
        BY_CA,
        {"action": "allow", "digest": DIGESTS[0], **OWNED},
        {"action": "allow", "product": "Tool", "ca": DIGESTS[4], "require": {"min-version": "2.0"}, **OWNED},
        {"action": "deny", "product": "Tool", "version": ["2.1", "2.2"], **OWNED},
        {"action": "allow", "path": "/usr/lib/vendor/**", "user": 0, **OWNED},
        {"action": "allow", "signer": {"oidc": {"issuer": policies.ISSUER, "subject": "repo:mint/*:*"}}, **OWNED},
    ]
    assert said(rules) == [("sound", -1)]
    assert said([]) == [("sound", -1)]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ({"expires": NOW}, "expired"),
        ({"expires": NOW + dt.timedelta(days=3)}, "expiring"),
        ({"owner": "x", "comment": ""}, "unowned"),
        ({"format": "ple"}, "unreachable"),
        ({"store": "else"}, "unreachable"),
        ({"require": {"revocation": "require"}}, "unreachable"),
        ({"product": "x", "below": "2", "require": {"min-version": "2"}}, "unreachable"),
        ({"product": "x", "below": "2", "require": {"min-version": "3"}}, "unreachable"),
        ({"product": "x", "version": "1", "require": {"min-version": "3"}}, "unreachable"),
        ({"product": "x", "version": ["2", "3"], "below": "2"}, "unreachable"),
        ({"signer": DIGESTS[:1], "require": {"signers": 2}}, "unreachable"),
    ],
)
def test_rules_that_no_file_fits_and_such(rule: dict[str, Any], code: str) -> None:
    if not rule.get("comment", "x"):
        rule = {key: value for key, value in rule.items() if key != "comment"}
        assert (code, 0) in said([{"action": "allow", "ca": DIGESTS[4], **rule}])
        return
    assert (code, 0) in said([{**BY_CA, **rule}], ("corp",), "off")


def test_whom_a_denial_by_certificate_misses() -> None:
    signers = [{"certificate": DIGESTS[0]}, {"certificate": DIGESTS[1], "key": DIGESTS[2]}, {"key": DIGESTS[3]}]
    denials = [{"action": "deny", "signer": each, **OWNED} for each in signers]
    assert said(denials) == [("evadable", 0), ("evadable", 1)]
    assert said([{"action": "allow", "signer": signers[0], **OWNED}]) == [("sound", -1)]


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"user": "ada"},
        {"format": "pe"},
        {"path": "/**"},
        {"path": "/home/*/bin/*"},
        {"path": "/tmp/x/**"},
        {"path": "/dev/shm/tool"},
        {"path": "/opt/**", "status": ["unsigned", "rejected"]},
        {"store": "microsoft"},
        {"product": "tool"},
        {"signer": {"oidc": {"issuer": policies.ISSUER, "subject": "**"}}},
    ],
)
def test_wide_rules(rule: dict[str, Any]) -> None:
    assert ("wide", 0) in said([{"action": "allow", **rule, **OWNED}], ("microsoft",))
    assert ("wide", 0) not in said([{"action": "deny", **rule, **OWNED}], ("microsoft",))


def test_narrow_uses_of_wide_stores_are_not_wide() -> None:
    rule = {"action": "allow", "store": "microsoft", "signer": {"root": DIGESTS[0], "subject": "CN=A"}, **OWNED}
    assert said([rule], ("microsoft",)) == [("sound", -1)]


def test_contradictions_and_shadows() -> None:
    deny = {**BY_CA, "action": "deny"}
    assert said([BY_CA, deny]) == [("contradictory", 0)]
    assert said([{**BY_CA, "format": "pe"}, deny]) == [("shadowed", 0)]
    assert said([deny, {**deny, "format": "pe"}]) == [("shadowed", 1)]
    assert said([BY_CA, BY_CA]) == [("shadowed", 1)]
    assert said([{**BY_CA, "ca": DIGESTS[3:5]}, BY_CA]) == [("shadowed", 1)]
    below = {"action": "allow", "path": "/opt/a/**", **OWNED}
    assert said([below, {**below, "path": "/opt/a/b/*"}]) == [("shadowed", 1)]
    assert said([below, {**below, "path": "/opt/a/b/tool", "require": {"log": True}}]) == [("shadowed", 1)]
    assert said([{**below, "require": {"log": True}}, {**below, "path": "/opt/a/x"}]) == [("sound", -1)]
    assert said([below, {**below, "digest": DIGESTS[0]}]) == [("sound", -1)]


@settings(max_examples=60)
@given(st.lists(policies.rules(), min_size=1, max_size=4), policies.files(), policies.PROCESSES)
def test_rules_that_are_said_to_change_nothing_change_nothing(
    rules: list[dict[str, Any]], file: FileFacts, process: Process
) -> None:
    parsed = language.parse(policy_oracle.written(rules), "p.toml").rules
    needless = {reasons.SHADOWED.code, reasons.CONTRADICTORY.code}
    whole = Compiled(parsed, Mode.ENFORCE)
    for finding in checking.check(parsed, NOW):
        if finding.code in needless:
            rest = Compiled([rule for rule in parsed if str(rule.place) != finding.subject], Mode.ENFORCE)
            assert rest.decide(file, "exec", process, NOW).effect == whole.decide(file, "exec", process, NOW).effect, (
                finding
            )


@settings(max_examples=100)
@given(policies.rules("deny"), policies.rules("deny"), policies.files(), policies.PROCESSES)
def test_a_rule_that_covers_another_is_about_all_that_it_is_about(
    one: dict[str, Any], other: dict[str, Any], file: FileFacts, process: Process
) -> None:
    first, second = language.parse(policy_oracle.written([one, other]), "p.toml").rules
    assert covers(first, first)
    if covers(first, second):
        alone = [Compiled([rule], Mode.ENFORCE).decide(file, "exec", process, NOW).reason for rule in (second, first)]
        assert alone[0] is not reasons.DENIED or alone[1] is reasons.DENIED


def test_a_policy_of_many_rules_is_checked_in_a_moment() -> None:
    rules = [{"action": "allow", "digest": f"sha256:{number:064x}", **OWNED} for number in range(500)]
    rules += [{"action": "allow", "path": f"/srv/{number}/**", **OWNED} for number in range(500)]
    assert said([*rules, {"action": "allow", "path": "/srv/7/bin/*", **OWNED}]) == [("shadowed", 1000)]


def test_a_rule_that_ends_sooner_or_means_only_safe_places_covers_no_other() -> None:
    longer, shorter = BY_CA, {**BY_CA, "expires": NOW + dt.timedelta(days=100)}
    assert said([shorter, longer]) == [("shadowed", 0)]
    assert said([shorter, {**shorter, "expires": NOW + dt.timedelta(days=200)}]) == [("shadowed", 0)]
    path, digest = language.parse(
        policy_oracle.written(
            [{"action": "allow", "path": "/opt/**"}, {"action": "allow", "path": "/opt/x", "digest": DIGESTS[0]}]
        ),
        "p.toml",
    ).rules
    assert not covers(path._replace(conditions=path.conditions._replace(statuses=frozenset(Status))), digest)


def test_what_would_take_too_long_to_compare_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [{"action": "deny", "user": number, **OWNED} for number in range(6)]
    assert said(rules) == [("sound", -1)]
    monkeypatch.setattr(limits, "POLICY_COMPARISONS_MAX", 12)
    assert said(rules) == [("uncompared", 2)]


def test_versions_that_no_numbering_puts_in_order() -> None:
    assert surely_before("1.0", "2.0")
    assert not surely_before("2.0", "1.0")
    assert not surely_before("1.0.0-rc1", "1.0.0")  # before it for semver, behind it for Debian
    assert not surely_before("one", "two three")


def test_the_denied_stay_denied_for_everybody() -> None:
    assert (
        compiled([BY_CA, {**BY_CA, "action": "deny"}]).decide(FileFacts("/x", ""), "exec", ANYBODY, NOW).effect
        == "deny"
    )
