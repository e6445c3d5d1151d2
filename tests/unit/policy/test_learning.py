"""Proposals: few, by signers first, sufficient for what was seen, and nothing bad in them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core.verdict import Status
from chopmark.policy import language, learning, writing
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import NOBODY_KNOWN, FileFacts
from tests.support import policies
from tests.support.policies import FILE, HEX, NOW, SIGNED, UNSIGNED

if TYPE_CHECKING:
    import pytest


def proposed(files: list[FileFacts]) -> tuple[Compiled, str, learning.Proposal]:
    proposal = learning.propose(files)
    text = writing.render("learned", "enforce", proposal.drafts)
    return Compiled(language.parse(text.encode(), "p.toml").rules, Mode.ENFORCE), text, proposal


@settings(max_examples=40)
@given(st.lists(policies.files(), max_size=6))
def test_a_proposal_allows_what_was_seen_and_nothing_bad(files: list[FileFacts]) -> None:
    policy, _, proposal = proposed(files)
    refused = dict(proposal.refused)
    for file in files:
        decision = policy.decide(file, "exec", NOBODY_KNOWN, NOW)
        bad = not file.sha256 or file.blocked or file.status in (Status.REJECTED, Status.UNDECIDED)
        if bad:
            assert file.path in refused
        elif sum(each.sha256 == file.sha256 for each in files) == 1:
            assert decision.allowed
    assert len(policy.rules) <= len(files)


def test_signers_come_before_digests_and_few_before_many() -> None:
    other = SIGNED._replace(subject="CN=B", key=HEX[3])
    both = FILE._replace(sha256="1" * 64, seals=(other, SIGNED))
    files = [FILE, FILE._replace(sha256="2" * 64), both, UNSIGNED._replace(sha256="3" * 64, path="/srv/x")]
    policy, text, _ = proposed(files)
    assert [rule.rank.name for rule in policy.rules] == ["SIGNER", "DIGEST"]
    assert policy.rules[0].conditions.signers[0].subjects == {"CN=A"}
    assert "# 3 files: /opt/tool" in text
    newer = SIGNED._replace(key=HEX[3], certificate=HEX[3])
    assert policy.decide(FILE._replace(sha256="9" * 64, seals=(newer,)), "exec", NOBODY_KNOWN, NOW).allowed
    assert not policy.decide(UNSIGNED._replace(sha256="9" * 64), "exec", NOBODY_KNOWN, NOW).allowed


def test_a_proposal_has_places_for_thousands_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chopmark.core.limits.POLICY_VALUES_MAX", 10)
    policy, _, _ = proposed([UNSIGNED._replace(sha256=f"{number:064x}") for number in range(25)])
    assert [len(rule.conditions.digests) for rule in policy.rules] == [10, 10, 5]


@given(st.text(max_size=30))
def test_every_text_can_be_written(text: str) -> None:
    sound = text.encode("utf-8", "replace").decode()
    assert tomllib.loads(f"a = {writing.quoted(text)}") == {"a": sound}
    drafts = [writing.Draft((("action", '"allow"'), ("comment", writing.quoted(text + "x"))), (text,))]
    [rule] = language.parse(writing.render("n", "audit", drafts, remarks=[text]).encode(), "p.toml").rules
    assert rule.comment == sound + "x"


def test_the_plain_default() -> None:
    text = writing.plain("default", ["corp"], ["/etc/*.catalog"])
    policy = Compiled(language.parse(text.encode(), "p.toml").rules, Mode.ENFORCE)
    by_corp = FILE._replace(seals=(SIGNED._replace(store="corp"),))
    assert policy.decide(by_corp, "exec", NOBODY_KNOWN, NOW).allowed
    listed = FILE._replace(seals=(SIGNED._replace(catalog="/etc/host.catalog"),))
    assert policy.decide(listed, "exec", NOBODY_KNOWN, NOW).allowed
    for file in (FILE, UNSIGNED, by_corp._replace(status=Status.REJECTED)):
        assert not policy.decide(file, "exec", NOBODY_KNOWN, NOW).allowed
