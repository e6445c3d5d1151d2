"""The index: every rule that may be about a file is found, and few of the others are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import language
from chopmark.policy.index import Index
from chopmark.policy.rules import DENY, Conditions, Place, Rule, SignerCondition
from tests.support import policies, policy_oracle
from tests.support.policies import DIGESTS, FILE, HEX, SIGNED

if TYPE_CHECKING:
    from chopmark.policy.facts import FileFacts, SealFacts

IDENTITY = SIGNED._replace(
    kind="oidc", subject="repo:a", claims=(("issuer", policies.ISSUER), ("workflow", "release"), ("ref", "main"))
)


def index(*rules: dict[str, Any]) -> Index:
    return Index(language.parse(policy_oracle.written([{"action": "deny", **rule} for rule in rules]), "p.toml").rules)


def numbers(held: Index, file: FileFacts) -> list[int]:
    return sorted(rule.number for rule in held.about(file))


def sealed(seal: SealFacts) -> FileFacts:
    return FILE._replace(seals=(seal,))


def oidc(**claims: object) -> dict[str, Any]:
    return {"signer": {"oidc": {"issuer": policies.ISSUER, **claims}}}


@pytest.mark.parametrize(
    ("rule", "fitting", "other"),
    [
        ({"digest": DIGESTS[2]}, FILE, FILE._replace(sha256=HEX[0])),
        ({"digest": [DIGESTS[1], DIGESTS[2]]}, FILE, FILE._replace(sha256=HEX[0])),
        ({"product": "TOOL.exe"}, FILE, FILE._replace(release=Release("other", "1"))),
        ({"product": "tool.exe"}, FILE, FILE._replace(release=None)),
        ({"product": "tool.exe"}, FILE._replace(release=None, release_readable=False), FILE._replace(release=None)),
        ({"format": "pe"}, FILE, FILE._replace(format="script")),
        ({"status": "trusted"}, FILE, FILE._replace(status=Status.UNSIGNED)),
        ({"ca": DIGESTS[4]}, FILE, sealed(SIGNED._replace(authorities=()))),
        ({"ca": DIGESTS[5]}, FILE, FILE._replace(seals=())),
        ({"store": "corp"}, sealed(SIGNED._replace(store="corp")), FILE),
        ({"catalog": "/etc/*"}, sealed(SIGNED._replace(catalog="/etc/x")), FILE),
        ({"signer": DIGESTS[0]}, FILE, sealed(SIGNED._replace(key=HEX[1]))),
        ({"signer": {"certificate": DIGESTS[1]}}, FILE, sealed(SIGNED._replace(certificate=""))),
        ({"signer": {"root": DIGESTS[4]}}, FILE, sealed(SIGNED._replace(authorities=()))),
        ({"signer": {"root": DIGESTS[4], "subject": "CN=A"}}, FILE, sealed(SIGNED._replace(subject="CN=B"))),
        (oidc(subject="repo:a"), sealed(IDENTITY), sealed(IDENTITY._replace(subject="repo:b"))),
        (oidc(subject=["repo:b", "repo:a"]), sealed(IDENTITY), sealed(IDENTITY._replace(subject="repo:c"))),
        (oidc(subject=["repo:b", "repo:*"]), sealed(IDENTITY), sealed(IDENTITY._replace(claims=()))),
        (oidc(subject="repo:*"), sealed(IDENTITY), sealed(IDENTITY._replace(claims=()))),
        (oidc(subject="repo:*", ref="main"), sealed(IDENTITY), sealed(IDENTITY._replace(claims=IDENTITY.claims[:2]))),
        ({"path": "/opt/tool"}, FILE, FILE._replace(path="/opt/tools")),
        ({"path": "/opt/**"}, FILE._replace(path="/opt/a/b/c"), FILE._replace(path="/optional/a")),
        ({"path": "/opt/a*/**"}, FILE._replace(path="/opt/ab/c"), FILE._replace(path="/usr/ab/c")),
        ({"path": "/opt/**"}, FILE._replace(path=""), FILE._replace(path="/opt")),
        ({"path": "/opt/tool"}, FILE._replace(path=""), FILE._replace(path="/opt")),
    ],
)
def test_a_rule_is_looked_at_for_files_that_have_what_it_names(
    rule: dict[str, Any], fitting: FileFacts, other: FileFacts
) -> None:
    held = index(rule)
    assert (numbers(held, fitting), numbers(held, other)) == ([0], [])
    assert numbers(held, FILE._replace(sha256="")) == [0], "of what nobody could read anything may be true"


def test_what_is_not_known_of_a_file_concerns_rules_about_that_alone() -> None:
    held = index({"digest": DIGESTS[0]}, {"product": "tool", "format": "pe"}, {"path": "/srv/*"}, {"path": "/srv/x"})
    assert numbers(held, FILE._replace(release=None, release_readable=False)) == [1]
    assert numbers(held, FILE._replace(path="")) == [2, 3]


@pytest.mark.parametrize("rule", [{}, {"path": ["/opt/*", "/**"]}, {"user": "ada"}, {"use": "exec"}])
def test_a_rule_that_names_nothing_of_the_kind_is_always_looked_at(rule: dict[str, Any]) -> None:
    held = index(rule)
    assert numbers(held, FILE) == numbers(held, FILE._replace(path="/x")) == [0]
    assert held.by_place is ("path" in rule)


def test_one_of_several_names_is_enough() -> None:
    held = index({"signer": [{"key": DIGESTS[1]}, {"root": DIGESTS[4]}]}, {"path": ["/srv/*", "/opt/*"]})
    assert numbers(held, FILE) == [0, 1]
    assert numbers(held, FILE._replace(path="/usr/x", seals=())) == []
    assert held.by_place


def test_where_one_of_several_names_nothing_the_rule_is_always_looked_at() -> None:
    """The language has no such signers; a file that fits one would not have what the others name."""
    named, anybody = SignerCondition(keys=frozenset({HEX[1]})), SignerCondition(purposes=("1.2.3",))
    rule = Rule(0, Place("p.toml", 1), DENY, Conditions(signers=(named, anybody)))
    assert numbers(Index([rule]), FILE) == [0]


def test_a_rule_is_entered_under_what_the_fewest_others_name() -> None:
    """However its conditions are ordered: the common one would have it looked at for every file of a signer."""
    common = {"signer": DIGESTS[0]}
    held = index(*({**common, "path": f"/srv/{number}/*"} for number in range(20)), {"digest": DIGESTS[:2], **common})
    assert numbers(held, FILE._replace(path="/srv/7/x")) == [7]
    assert numbers(held, FILE) == []
    assert numbers(held, FILE._replace(sha256=HEX[0])) == [20]


def test_a_file_has_a_rule_but_once() -> None:
    held = index({"signer": DIGESTS[:2]}, {})
    twice = FILE._replace(seals=(SIGNED, SIGNED._replace(key=HEX[1])))
    assert [rule.number for rule in held.about(twice)].count(0) == 1


@pytest.mark.parametrize(
    ("rule", "wider"),
    [
        ({"path": "/opt/a/tool"}, [{"path": "/opt/**"}, {"path": "/opt/a/*"}, {}]),
        ({"path": "/opt/a/b/*"}, [{"path": "/opt/**"}, {"path": "/opt/a/**"}]),
        ({"digest": DIGESTS[0], "signer": DIGESTS[1]}, [{"digest": DIGESTS[:3]}, {"signer": DIGESTS[:2]}]),
    ],
)
def test_rules_that_may_be_about_as_much_are_found(rule: dict[str, Any], wider: list[dict[str, Any]]) -> None:
    elsewhere = {"path": "/srv/**"}
    rules = language.parse(
        policy_oracle.written([{"action": "deny", **each} for each in (rule, *wider, elsewhere)]), "p.toml"
    ).rules
    found = [each.number for each in Index(rules).alike(rules[0])]
    assert sorted(found) == list(range(len(wider) + 1))
