"""Decisions beside the naive oracle, and the laws that hold for all of them."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import reasons
from chopmark.policy import rules as about
from chopmark.policy.deciding import Effect, Mode
from chopmark.policy.facts import FileFacts, Process, SealFacts
from tests.support import policies, policy_oracle
from tests.support.policies import ANYBODY, DIGESTS, FILE, HEX, NOW, SIGNED, UNSIGNED, compiled

if TYPE_CHECKING:
    from chopmark.policy.deciding import Decision

_WORD = {
    reasons.ALLOWED: policy_oracle.ALLOWED,
    reasons.UNDECIDED: policy_oracle.UNDECIDED,
    **dict.fromkeys((reasons.DENIED, reasons.BLOCKED, reasons.UNMET, reasons.NOTHING), policy_oracle.DENIED),
}


def decide(rules: list[dict[str, Any]], file: FileFacts, kind: str = "exec", process: Process = ANYBODY) -> Decision:
    return compiled(rules).decide(file, kind, process, NOW)


@settings(max_examples=250)
@given(st.lists(policies.rules(), max_size=6), policies.files(), st.sampled_from(policies.KINDS), policies.PROCESSES)
def test_decisions_are_those_of_the_oracle(
    rules: list[dict[str, Any]], file: FileFacts, kind: str, process: Process
) -> None:
    decision = compiled(rules).decide(file, kind, process, NOW)
    assert _WORD[decision.reason] == policy_oracle.decide(rules, file, kind, process, NOW)
    assert decision.allowed is (decision.effect is Effect.ALLOW)


@settings(max_examples=40)
@given(
    st.lists(policies.rules(), max_size=5).flatmap(lambda rules: st.tuples(st.just(rules), st.permutations(rules))),
    policies.files(),
    policies.PROCESSES,
)
def test_the_order_of_rules_means_nothing(
    both: tuple[list[dict[str, Any]], list[dict[str, Any]]], file: FileFacts, process: Process
) -> None:
    one, other = (compiled(rules).decide(file, "exec", process, NOW) for rules in both)
    assert (one.effect, one.certain) == (other.effect, other.certain)


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.rules("deny"), policies.files(), policies.PROCESSES)
def test_one_more_denial_never_allows_more(
    rules: list[dict[str, Any]], denial: dict[str, Any], file: FileFacts, process: Process
) -> None:
    before = compiled(rules).decide(file, "exec", process, NOW)
    for more in ([denial, *rules], [*rules, denial]):
        after = compiled(more).decide(file, "exec", process, NOW)
        assert before.allowed or not after.allowed


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.files(), st.sampled_from(list(Mode)), policies.PROCESSES)
def test_every_mode_decides_and_only_softens(
    rules: list[dict[str, Any]], file: FileFacts, mode: Mode, process: Process
) -> None:
    strict = compiled(rules).decide(file, "exec", process, NOW)
    decision = compiled(rules, mode).decide(file, "exec", process, NOW)
    assert decision.reason is strict.reason
    assert decision.rule == strict.rule
    if strict.allowed:
        assert decision.effect is Effect.ALLOW
    elif mode is Mode.AUDIT:
        assert decision.effect is Effect.AUDIT
    elif mode is Mode.LEARNING:
        said = strict.reason in (reasons.DENIED, reasons.BLOCKED)
        assert decision.effect is (Effect.DENY if said else Effect.AUDIT)
    else:
        assert decision.effect is Effect.DENY


@pytest.mark.parametrize(
    ("mode", "denied", "blocked", "nothing"),
    [
        (Mode.ENFORCE, Effect.DENY, Effect.DENY, Effect.DENY),
        (Mode.LEARNING, Effect.DENY, Effect.DENY, Effect.AUDIT),
        (Mode.AUDIT, Effect.AUDIT, Effect.AUDIT, Effect.AUDIT),
    ],
)
def test_what_becomes_of_what_is_not_allowed(mode: Mode, denied: Effect, blocked: Effect, nothing: Effect) -> None:
    denying = [{"action": "deny", "digest": FILE.sha256}]

    def effect(rules: list[dict[str, Any]], file: FileFacts) -> Effect:
        return compiled(rules, mode).decide(file, "exec", ANYBODY, NOW).effect

    assert effect(denying, FILE) is denied
    assert effect([], FILE._replace(blocked="listed")) is blocked
    assert effect([], FILE) is nothing


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.files(), policies.PROCESSES, policies.PROCESSES)
def test_what_is_settled_holds_for_everybody(
    rules: list[dict[str, Any]], file: FileFacts, one: Process, other: Process
) -> None:
    policy = compiled(rules)
    ruling = policy.rule_on(file, "exec", NOW)
    assert ruling.decide(one) == policy.decide(file, "exec", one, NOW)
    if ruling.settled is not None:
        assert ruling.decide(one) == ruling.decide(other) == ruling.settled


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.files(), st.floats(0, 1))
def test_a_ruling_holds_until_it_says(rules: list[dict[str, Any]], file: FileFacts, part: float) -> None:
    policy = compiled(rules)
    ruling = policy.rule_on(file, "exec", NOW)
    span = (ruling.until - NOW) if ruling.until else dt.timedelta(days=1000)
    later = NOW + span * part
    if ruling.until is None or later < ruling.until:
        again = policy.rule_on(file, "exec", later)
        assert again.decide(ANYBODY).reason is ruling.decide(ANYBODY).reason


@settings(max_examples=40)
@given(st.lists(policies.rules(), max_size=5), policies.files(), st.sampled_from(policies.PATHS))
def test_only_rules_about_places_look_at_the_path(rules: list[dict[str, Any]], file: FileFacts, elsewhere: str) -> None:
    policy = compiled(rules)
    ruling = policy.rule_on(file, "exec", NOW)
    moved = policy.rule_on(file._replace(path=elsewhere), "exec", NOW)
    if not ruling.by_place:
        assert moved.decide(ANYBODY).reason is ruling.decide(ANYBODY).reason


# Single cases


def test_a_more_particular_rule_binds_to_what_it_demands() -> None:
    by_root = {"action": "allow", "ca": DIGESTS[4]}
    newer = {"action": "allow", "product": "tool.EXE", "require": {"min-version": "1.6"}}
    assert decide([by_root], FILE).allowed
    decision = decide([by_root, newer], FILE)
    assert (decision.reason, decision.unmet) == (reasons.UNMET, (("min-version", False),))
    assert decision.rule is not None
    assert decision.rule.require.version == "1.6"
    assert decide([by_root, newer], FILE._replace(release=Release("Tool.exe", "1.6.0.0"))).allowed


RANKS: list[dict[str, Any]] = [
    {"use": "exec"},
    {"path": "/opt/**"},
    {"ca": DIGESTS[4]},
    {"signer": DIGESTS[0]},
    {"product": "tool.exe"},
    {"digest": DIGESTS[2]},
]


def test_of_two_rules_the_more_particular_one_binds() -> None:
    for wide, narrow in itertools.pairwise([{"action": "allow", **each} for each in RANKS]):
        stamped = {"require": {"timestamp": True}}
        for rules in ([{**wide, **stamped}, narrow], [narrow, {**wide, **stamped}]):
            decision = decide(rules, FILE)
            assert decision.allowed
            assert decision.rule is not None
            assert not decision.rule.require.timestamp
            assert decide([wide, {**narrow, **stamped}], FILE).reason is reasons.UNMET


def test_how_particular_a_rule_is_follows_from_what_it_names() -> None:
    ranks = [compiled([{"action": "deny", **each}]).rules[0].rank for each in RANKS]
    ranks.insert(3, compiled([{"action": "deny", "store": "corp"}]).rules[0].rank)
    assert ranks == [*list(about.Rank)[:3], about.Rank.CA, *list(about.Rank)[3:]]
    assert compiled([{"action": "deny", "catalog": "/etc/*"}]).rules[0].rank is about.Rank.SIGNER
    assert compiled([{"action": "deny", "signer": {"root": DIGESTS[4], "eku": "1.2"}}]).rules[0].rank is about.Rank.CA
    identity = {"oidc": {"issuer": policies.ISSUER, "subject": "repo:a"}}
    for narrow in ({"certificate": DIGESTS[1]}, {"root": DIGESTS[4], "subject": "CN=A"}, identity):
        assert compiled([{"action": "deny", "signer": narrow}]).rules[0].rank is about.Rank.SIGNER


def test_places_that_anybody_may_write_to_are_never_allowed() -> None:
    rule = {"action": "allow", "path": "/opt/**"}
    assert decide([rule], UNSIGNED).allowed
    assert decide([rule], UNSIGNED._replace(writable=True)).reason is reasons.NOTHING
    assert decide([rule], UNSIGNED._replace(writable=None)).reason is reasons.UNDECIDED
    assert decide([{**rule, "digest": DIGESTS[2]}], UNSIGNED._replace(writable=True)).allowed


def test_what_is_known_to_be_bad_is_not_allowed_for_lying_somewhere() -> None:
    rule = {"action": "allow", "path": "/opt/**"}
    assert decide([rule], FILE._replace(status=Status.REJECTED)).reason is reasons.NOTHING
    assert decide([rule], FILE._replace(status=Status.UNDECIDED)).reason is reasons.UNDECIDED
    assert decide([{**rule, "status": "rejected"}], FILE._replace(status=Status.REJECTED)).allowed


def test_a_denial_by_signer_does_not_need_a_trusted_signature() -> None:
    rules = [{"action": "allow", "digest": DIGESTS[2]}, {"action": "deny", "signer": DIGESTS[0]}]
    for status in Status:
        seal = SIGNED._replace(status=status)
        assert decide(rules, FILE._replace(status=status, seals=(seal,))).reason is reasons.DENIED


def test_a_blocklist_is_above_every_rule() -> None:
    decision = decide([{"action": "allow", "digest": DIGESTS[2]}], FILE._replace(blocked="drivers: x"))
    assert (decision.effect, decision.reason, decision.detail) == (Effect.DENY, reasons.BLOCKED, "drivers: x")


def test_distinct_signers_are_people_not_signatures() -> None:
    rule = [{"action": "allow", "ca": DIGESTS[4], "require": {"signers": 2}}]
    other = SIGNED._replace(subject="CN=B", key=HEX[3])
    same_key, same_name = SIGNED._replace(subject="CN=C"), SIGNED._replace(key=HEX[5])
    assert decide(rule, FILE._replace(seals=(SIGNED, other))).allowed
    for second in (SIGNED, same_key, same_name):
        assert decide(rule, FILE._replace(seals=(SIGNED, second))).unmet == (("signers", False),)
    linked = (SIGNED, same_name, SIGNED._replace(subject="CN=D", key=HEX[5]))
    assert decide(rule, FILE._replace(seals=linked)).unmet == (("signers", False),)


def test_one_name_under_one_root_or_under_none_is_one_signer() -> None:
    renewed = SIGNED._replace(key=HEX[2])
    elsewhere = renewed._replace(authorities=(Authority("CN=R", HEX[3], HEX[5]),))
    alone = SIGNED._replace(authorities=())
    assert about.distinct([SIGNED, renewed]) == 1
    assert about.distinct([SIGNED, elsewhere]) == 2
    assert about.distinct([alone, alone._replace(key=HEX[2])]) == 1
    assert about.distinct([alone, alone._replace(key=HEX[2], subject="CN=B")]) == 2


@pytest.mark.parametrize(
    ("answers", "every", "some"),
    [([], True, False), ([True, None], None, True), ([None, True], None, True), ([False, None], False, None),
     ([None, False], False, None), ([True, False, None], False, True), ([False, False], False, False)],
)  # fmt: skip
def test_answers_together(answers: list[bool | None], every: object, some: object) -> None:
    assert about.every(answers) is every
    assert about.some(answers) is some


def test_keys_of_one_openpgp_holder_are_one_signer() -> None:
    rule = [{"action": "allow", "store": "corp", "require": {"signers": 2}}]
    one = SealFacts("openpgp", Status.TRUSTED, "openpgp", "Ada", HEX[0], store="corp", claims=(("key", "AA"),))
    subkey, other = one._replace(key=HEX[1]), one._replace(key=HEX[1], claims=(("key", "BB"),))
    assert not decide(rule, FILE._replace(seals=(one, subkey))).allowed
    assert decide(rule, FILE._replace(seals=(one, other))).allowed


def test_a_key_rule_is_not_satisfied_by_an_identity_nor_the_other_way_round() -> None:
    identity = SIGNED._replace(kind="oidc", subject="repo:x", claims=(("issuer", policies.ISSUER),))
    by_identity = {"action": "allow", "signer": {"oidc": {"issuer": policies.ISSUER, "subject": "repo:*"}}}
    assert not decide([{"action": "allow", "signer": DIGESTS[0]}], FILE._replace(seals=(identity,))).allowed
    assert decide([by_identity], FILE._replace(seals=(identity,))).allowed
    certificate = identity._replace(kind="x509")
    assert not decide([by_identity], FILE._replace(seals=(certificate,))).allowed


@pytest.mark.parametrize(
    "rule", [{"signer": {"key": DIGESTS[0], "root": DIGESTS[4]}}, {"signer": DIGESTS[0], "ca": DIGESTS[4]}]
)
def test_a_root_that_nobody_found_is_not_the_one_that_is_wanted(rule: dict[str, object]) -> None:
    rules = [{"action": "allow", **rule}]
    assert decide(rules, FILE).allowed
    assert decide(rules, FILE._replace(seals=(SIGNED._replace(authorities=()),))).reason is reasons.NOTHING


@pytest.mark.parametrize(
    ("status", "seal", "reason"),
    [
        (Status.TRUSTED, Status.TRUSTED, reasons.ALLOWED),
        (Status.UNDECIDED, Status.TRUSTED, reasons.UNDECIDED),
        (Status.UNDECIDED, Status.UNDECIDED, reasons.UNDECIDED),
        (Status.UNDECIDED, Status.REJECTED, reasons.NOTHING),
        (Status.REJECTED, Status.TRUSTED, reasons.NOTHING),
        (Status.REJECTED, Status.REJECTED, reasons.NOTHING),
        (Status.UNSIGNED, Status.UNDECIDED, reasons.NOTHING),
        (Status.TRUSTED, Status.REJECTED, reasons.NOTHING),
    ],
)
def test_a_signer_counts_if_the_signature_and_the_whole_file_are_trusted(
    status: Status, seal: Status, reason: object
) -> None:
    file = FILE._replace(status=status, seals=(SIGNED._replace(status=seal),))
    assert decide([{"action": "allow", "ca": DIGESTS[4]}], file).reason is reason


def test_authorities_are_named_by_key_or_certificate() -> None:
    for digest in (DIGESTS[4], DIGESTS[5]):
        assert decide([{"action": "allow", "ca": digest}], FILE).allowed
        assert decide([{"action": "allow", "signer": {"root": digest}}], FILE).allowed
    assert not decide([{"action": "allow", "ca": DIGESTS[0]}], FILE).allowed


def test_a_rule_that_may_bind_to_more_leaves_it_open() -> None:
    by_root = {"action": "allow", "ca": DIGESTS[4]}
    newer = {"action": "allow", "product": "tool.exe", "require": {"min-version": "1.6"}}
    unreadable = FILE._replace(release=None, release_readable=False)
    decision = decide([by_root, newer], unreadable)
    assert (decision.effect, decision.reason, decision.certain) == (Effect.DENY, reasons.UNDECIDED, False)
    assert decide([by_root, {"action": "allow", "product": "tool.exe"}], unreadable).allowed
    assert decide([by_root, {**newer, "use": "module"}], unreadable).allowed
    by_key = {"action": "allow", "signer": DIGESTS[0], "user": "ada", "require": {"timestamp": True}}
    assert decide([by_root, by_key], FILE, process=Process(7)).reason is reasons.UNDECIDED
    assert decide([by_root, by_key], FILE, process=Process(7, "eve")).allowed


def test_a_denial_that_may_be_about_it_leaves_it_open() -> None:
    rules = [{"action": "allow", "ca": DIGESTS[4]}, {"action": "deny", "product": "tool.exe", "below": "2.0"}]
    assert decide(rules, FILE).reason is reasons.DENIED
    assert decide(rules, FILE._replace(release=Release("Tool.exe", "none"))).reason is reasons.UNDECIDED
    assert decide(rules, FILE._replace(release=None, release_readable=False)).reason is reasons.UNDECIDED
    assert decide(rules, FILE._replace(release=None)).allowed


@pytest.mark.parametrize(("seconds", "reason"), [(0, reasons.ALLOWED), (1, reasons.UNMET)])
def test_a_time_stamp_gets_too_old(seconds: int, reason: object) -> None:
    rule = [{"action": "allow", "ca": DIGESTS[4], "require": {"max-age": "90d"}}]
    stamped = SIGNED._replace(signed_at=NOW - dt.timedelta(days=90, seconds=seconds))
    assert decide(rule, FILE._replace(seals=(stamped,))).reason is reason


def test_a_rejected_signature_meets_no_requirement() -> None:
    stamped = SIGNED._replace(status=Status.REJECTED, signed_at=NOW)
    rule = [{"action": "allow", "ca": DIGESTS[4], "require": {"timestamp": True}}]
    assert decide(rule, FILE._replace(seals=(SIGNED, stamped))).unmet == (("timestamp", False),)


def test_an_older_version_than_was_seen_is_refused() -> None:
    rule = [{"action": "allow", "ca": DIGESTS[4], "require": {"no-rollback": True}}]
    assert decide(rule, FILE).allowed
    assert decide(rule, FILE._replace(newest="1.5")).allowed
    assert decide(rule, FILE._replace(newest="1.5.1")).unmet == (("no-rollback", False),)
    assert decide(rule, FILE._replace(release=None)).unmet == (("no-rollback", False),)
    assert decide(rule, FILE._replace(release=None, release_readable=False)).reason is reasons.UNDECIDED


@pytest.mark.parametrize(
    ("revocation", "reason"),
    [("good", reasons.ALLOWED), ("unchecked", reasons.UNDECIDED), ("nobody", reasons.UNMET)],
)
def test_revocation_has_to_have_been_asked_about(revocation: str, reason: object) -> None:
    rule = [{"action": "allow", "ca": DIGESTS[4], "require": {"revocation": "require"}}]
    assert decide(rule, FILE._replace(seals=(SIGNED._replace(revocation=revocation),))).reason is reason


def test_who_uses_it_is_asked_each_time() -> None:
    policy = compiled([{"action": "allow", "ca": DIGESTS[4], "user": ["ada", 0]}])
    ruling = policy.rule_on(FILE, "exec", NOW)
    assert ruling.settled is None
    assert ruling.decide(ANYBODY).allowed
    assert ruling.decide(Process(0, "root")).allowed
    assert ruling.decide(Process(5, "eve")).reason is reasons.NOTHING
    assert ruling.decide(Process(5)).reason is reasons.UNDECIDED
    assert policy.rule_on(UNSIGNED, "exec", NOW).settled is not None


def test_what_is_not_known_matters_only_if_it_could_bind_to_more() -> None:
    unreadable = FILE._replace(release=None, release_readable=False)
    newer = {"action": "allow", "product": "tool.exe", "require": {"min-version": "1.6"}}
    by_content = {"action": "allow", "digest": DIGESTS[2]}  # more particular than a product
    assert decide([by_content, newer], unreadable).allowed


def test_a_rule_that_could_allow_it_does_not_leave_open_what_a_more_particular_one_refuses() -> None:
    unreadable = FILE._replace(release=None, release_readable=False)
    strict = {"action": "allow", "digest": DIGESTS[2], "require": {"timestamp": True}}
    decision = decide([strict, {"action": "allow", "product": "tool.exe"}], unreadable)
    assert (decision.reason, decision.certain) == (reasons.UNMET, True)
    wide = {"action": "allow", "ca": DIGESTS[4], "require": {"timestamp": True}}
    assert decide([wide, {"action": "allow", "product": "tool.exe"}], unreadable).reason is reasons.UNDECIDED


def test_rules_about_places_make_every_ruling_one_about_a_place() -> None:
    """Or the kernel would allow a file under a name at which it is denied."""
    anywhere = {"action": "allow", "ca": DIGESTS[4]}
    elsewhere = {"action": "deny", "path": "/tmp/**"}
    for rules in ([anywhere, elsewhere], [elsewhere, anywhere], [{**anywhere, "path": "/opt/*"}, anywhere]):
        ruling = compiled(rules).rule_on(FILE, "exec", NOW)
        assert ruling.decide(ANYBODY).allowed
        assert ruling.by_place
    assert not compiled([anywhere]).rule_on(FILE, "exec", NOW).by_place
    assert decide([anywhere, elsewhere], FILE._replace(path="/tmp/tool")).reason is reasons.DENIED


def test_a_file_of_which_nobody_knows_where_it_lies_is_not_allowed_by_rules_about_places() -> None:
    anywhere, there = {"action": "allow", "ca": DIGESTS[4]}, {"action": "allow", "path": "/opt/**"}
    nowhere = FILE._replace(path="", writable=False)
    assert decide([anywhere], nowhere).allowed
    assert decide([there], nowhere).reason is reasons.UNDECIDED
    assert decide([anywhere, {"action": "deny", "path": "/tmp/*"}], nowhere).reason is reasons.UNDECIDED
    assert decide([anywhere, {"action": "deny", "path": "/tmp/tool"}], nowhere).detail == "where it lies"
    assert decide([anywhere, {"action": "deny", "path": "/tmp/tool", "format": "script"}], nowhere).allowed
    assert decide([there], nowhere._replace(status=Status.REJECTED)).reason is reasons.NOTHING


def test_a_ruling_does_not_end_before_it_began() -> None:
    rule = {"action": "allow", "ca": DIGESTS[4], "require": {"max-age": "1d"}}
    old = FILE._replace(seals=(SIGNED._replace(signed_at=NOW - dt.timedelta(days=3)),))
    assert compiled([rule]).rule_on(old, "exec", NOW).until is None
    both = FILE._replace(seals=(*old.seals, SIGNED._replace(signed_at=NOW)))
    assert compiled([rule]).rule_on(both, "exec", NOW).until == NOW + dt.timedelta(days=1)


def test_what_is_blocked_is_blocked_for_everybody() -> None:
    rule = {"action": "allow", "ca": DIGESTS[4], "user": "ada"}
    ruling = compiled([rule]).rule_on(FILE._replace(blocked="listed"), "exec", NOW)
    assert ruling.settled is not None
    assert ruling.settled.reason is reasons.BLOCKED


UNREADABLE = FILE._replace(release=None, release_readable=False)
BY_PRODUCT = {"action": "allow", "product": "tool.exe"}


@pytest.mark.parametrize(
    ("rule", "file", "detail"),
    [
        (BY_PRODUCT, UNREADABLE, "its version could not be read"),
        ({**BY_PRODUCT, "below": "2"}, FILE._replace(release=Release("Tool.exe", "none")),
         "its version is 'none', which cannot be compared"),
        ({"action": "allow", "ca": DIGESTS[4]}, FILE._replace(status=Status.UNDECIDED),
         "the verdict on its signatures is undecided"),
        (BY_PRODUCT, UNREADABLE._replace(sha256=""), "the file could not be read"),
    ],
)  # fmt: skip
def test_what_is_not_known_is_said(rule: dict[str, Any], file: FileFacts, detail: str) -> None:
    decision = decide([rule], file)
    assert (decision.reason, decision.detail) == (reasons.UNDECIDED, detail)


def test_that_nobody_knows_who_uses_it_is_said() -> None:
    rule = {"action": "allow", "ca": DIGESTS[4], "user": "ada"}
    assert decide([rule], FILE, process=Process(5)).detail == "who uses it"


def test_many_rules_leave_few_to_look_at() -> None:
    rules = [{"action": "allow", "digest": f"sha256:{number:064x}"} for number in range(400)]
    rules += [{"action": "allow", "path": f"/srv/{number}/**"} for number in range(400)]
    rules += [{"action": "allow", "signer": DIGESTS[1], "path": f"/srv/{number}/*"} for number in range(400)]
    policy = compiled([*rules, {"action": "allow", "ca": DIGESTS[4]}])
    assert len(list(policy.candidates_for(FILE))) == 1
    there = FILE._replace(path="/srv/7/tool", seals=(SIGNED._replace(key=HEX[1]),))
    assert len(list(policy.candidates_for(there))) == 3
