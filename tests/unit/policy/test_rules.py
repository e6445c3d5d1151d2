"""Rules by themselves: each condition alone decides, yes, no, or unknown where what it asks about is.

The index finds rules by some of their conditions, so that whole policies are a blunt instrument to test these with.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import language
from chopmark.policy.facts import GOOD, NOBODY, UNCHECKED, FileFacts, Process
from chopmark.policy.rules import distinct
from tests.support import policies, policy_oracle
from tests.support.policies import DIGESTS, FILE, HEX, NOW, SIGNED, UNSIGNED

if TYPE_CHECKING:
    from chopmark.policy.facts import SealFacts
    from chopmark.policy.rules import Rule

ROOT, MIDDLE = Authority("CN=R", HEX[4], HEX[5]), Authority("CN=M", HEX[2], HEX[3])
FULL = SIGNED._replace(
    authorities=(MIDDLE, ROOT), purposes=("1.2.3", "1.2.4"), store="corp", catalog="/etc/x.catalog", signed_at=NOW
)
IDENTITY = FULL._replace(kind="oidc", subject="repo:a", claims=(("issuer", policies.ISSUER), ("ref", "main")))
UNREADABLE = FILE._replace(release=None, release_readable=False)


def rule(action: str = "allow", **table: Any) -> Rule:  # noqa: ANN401 - whatever TOML can hold
    return language.parse(policy_oracle.written([{"action": action, **table}]), "p.toml").rules[0]


def oidc(**claims: object) -> dict[str, Any]:
    return {"oidc": {"issuer": policies.ISSUER, **claims}}


@pytest.mark.parametrize(
    ("signer", "seal", "expected"),
    [
        ({"key": DIGESTS[0]}, FULL, True),
        ({"key": DIGESTS[:2]}, FULL, True),
        ({"key": DIGESTS[1]}, FULL, False),
        ({"key": DIGESTS[0]}, IDENTITY, False),
        ({"certificate": DIGESTS[1]}, FULL, True),
        ({"certificate": DIGESTS[0]}, FULL, False),
        ({"key": DIGESTS[0], "certificate": DIGESTS[0]}, FULL, False),
        ({"key": DIGESTS[0], "subject": "CN=A"}, FULL, True),
        ({"key": DIGESTS[0], "subject": "CN=B"}, FULL, False),
        ({"key": DIGESTS[0], "root": DIGESTS[4]}, FULL, True),
        ({"root": DIGESTS[5]}, FULL, True),
        ({"root": DIGESTS[2:4]}, FULL, False),
        ({"root": DIGESTS[4]}, FULL._replace(authorities=()), False),
        ({"key": DIGESTS[0], "eku": ["1.2.3", "1.2.4"]}, FULL, True),
        ({"key": DIGESTS[0], "eku": ["1.2.3", "1.2.5"]}, FULL, False),
        (oidc(subject="repo:a"), IDENTITY, True),
        (oidc(subject=["repo:b", "repo:*"], ref="main"), IDENTITY, True),
        (oidc(subject="repo:b"), IDENTITY, False),
        (oidc(subject="repo:*", ref="next"), IDENTITY, False),
        (oidc(subject="repo:*", workflow="x"), IDENTITY, False),
        (oidc(subject="repo:a"), IDENTITY._replace(kind="x509"), False),
        (oidc(subject="repo:a"), IDENTITY._replace(claims=(("issuer", "https://other"), ("subject", "repo:a"))), False),
        (oidc(subject="repo:b"), IDENTITY._replace(claims=(*IDENTITY.claims, ("subject", "repo:b"))), False),
    ],
)
def test_everything_that_is_said_of_a_signer_must_hold(
    signer: dict[str, Any], seal: SealFacts, *, expected: bool
) -> None:
    [condition] = rule(signer=signer).conditions.signers
    assert condition.matches(seal) is expected


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"signer": DIGESTS[:2]}, True),
        ({"signer": [DIGESTS[1], {"certificate": DIGESTS[1]}]}, True),
        ({"signer": [DIGESTS[1], {"certificate": DIGESTS[0]}]}, False),
        ({"ca": DIGESTS[2]}, True),
        ({"ca": DIGESTS[5]}, True),
        ({"ca": DIGESTS[:2]}, False),
        ({"store": ["else", "corp"]}, True),
        ({"store": "else"}, False),
        ({"catalog": ["/var/*", "/etc/*"]}, True),
        ({"catalog": "/var/*"}, False),
        ({"signer": DIGESTS[0], "ca": DIGESTS[4], "store": "corp", "catalog": "/etc/*"}, True),
        ({"signer": DIGESTS[0], "ca": DIGESTS[0]}, False),
        ({"signer": DIGESTS[0], "store": "else"}, False),
        ({"signer": DIGESTS[0], "catalog": "/var/*"}, False),
        ({"signer": DIGESTS[1], "store": "corp"}, False),
    ],
)
def test_conditions_about_signers_must_hold_of_one_seal(table: dict[str, Any], *, expected: bool) -> None:
    found = rule(**table)
    assert found.concerns(FULL) is expected
    assert found.conditions.about_seals
    file = FILE._replace(seals=(SIGNED._replace(key=HEX[5], certificate="", authorities=()), FULL))
    assert found.match(file, "exec") is expected
    assert found.signed_by(file) == ([FULL] if expected else [])
    assert rule("deny", **table).match(file._replace(status=Status.REJECTED), "exec") is expected


def test_the_file_itself_is_in_no_catalog() -> None:
    assert not rule(catalog="**").concerns(FULL._replace(catalog=""))


@pytest.mark.parametrize(
    ("table", "process", "expected"),
    [
        ({"user": "ada"}, Process(1000, "ada"), True),
        ({"user": ["ada", 7]}, Process(7, "eve"), True),
        ({"user": ["ada", 7]}, Process(8, "eve"), False),
        ({"user": ["ada", 7]}, Process(8), None),
        ({"user": ["ada", 7]}, Process(None, "eve"), None),
        ({"user": "ada"}, Process(8), None),
        ({"user": "ada"}, Process(None, "eve"), False),
        ({"user": 7}, Process(8), False),
        ({"user": 7}, Process(None, "eve"), None),
        ({"program": "/usr/bin/*"}, Process(program="/usr/bin/sh"), True),
        ({"program": "/usr/bin/*"}, Process(program="/opt/sh", parent="/usr/bin/sh"), False),
        ({"program": "/usr/bin/*"}, Process(parent="/usr/bin/sh"), None),
        ({"parent": ["/sbin/x", "/usr/**"]}, Process(parent="/usr/sbin/sshd"), True),
        ({"parent": "/usr/**"}, Process(program="/usr/bin/sh", parent="/opt/x"), False),
        ({"parent": "/usr/**"}, Process(program="/usr/bin/sh"), None),
        ({"user": "ada", "program": "/usr/**", "parent": "/usr/**"}, Process(1, "ada", "/usr/x", "/usr/y"), True),
        ({"user": "ada", "program": "/usr/**"}, Process(1, "", "/opt/x"), False),
        ({"user": "ada", "program": "/usr/**"}, Process(1, "ada"), None),
        ({}, Process(), True),
    ],
)
def test_who_uses_it(table: dict[str, Any], process: Process, expected: bool | None) -> None:  # noqa: FBT001
    assert rule(**table).users.match(process) is expected


@pytest.mark.parametrize(
    ("table", "file", "allow", "deny"),
    [
        ({"digest": DIGESTS[2]}, UNSIGNED, True, True),
        ({"digest": DIGESTS[0]}, UNSIGNED, False, False),
        ({"digest": DIGESTS[2]}, UNSIGNED._replace(sha256=""), None, None),
        ({"digest": DIGESTS[2]}, FILE._replace(status=Status.REJECTED), True, True),
        ({"digest": DIGESTS[2], "status": "rejected"}, FILE, False, False),
        ({"digest": DIGESTS[2], "status": ["trusted", "rejected"]}, FILE, True, True),
        ({"format": "pe"}, FILE, True, True),
        ({"format": "script"}, FILE, False, False),
        ({"format": "pe"}, FILE._replace(status=Status.UNDECIDED), None, True),
        ({"format": "pe"}, FILE._replace(status=Status.REJECTED), False, True),
        ({"format": "pe", "status": "rejected"}, FILE._replace(status=Status.REJECTED), True, True),
        ({"use": ["exec", "library"]}, UNSIGNED, True, True),
        ({"use": "script"}, UNSIGNED, False, False),
        ({"use": "script"}, UNSIGNED._replace(sha256=""), False, False),
        ({"path": "/opt/*"}, UNSIGNED, True, True),
        ({"path": "/usr/*"}, UNSIGNED, False, False),
        ({"path": "/opt/*"}, UNSIGNED._replace(path=""), None, None),
        ({"path": "/opt/*"}, UNSIGNED._replace(writable=True), False, True),
        ({"path": "/opt/*"}, UNSIGNED._replace(writable=None), None, True),
        ({"path": "/opt/*", "status": "unsigned"}, UNSIGNED._replace(writable=True), False, True),
        ({"path": "/opt/*", "signer": DIGESTS[0]}, FILE._replace(writable=True), True, True),
        ({"path": "/opt/*", "digest": DIGESTS[2]}, UNSIGNED._replace(writable=None), True, True),
        ({"path": "/opt/*"}, UNSIGNED._replace(sha256=""), None, None),
        ({"path": "/usr/*"}, UNSIGNED._replace(sha256=""), False, False),
        ({"product": "TOOL.exe"}, FILE, True, True),
        ({"product": "other"}, FILE, False, False),
        ({"product": "tool.exe"}, UNSIGNED, False, True),
        ({"product": "tool.exe"}, UNREADABLE, None, None),
        ({"product": "tool.exe"}, FILE._replace(release=None), False, False),
        ({"product": "tool.exe", "version": ["1.4", "1.5"]}, FILE, True, True),
        ({"product": "tool.exe", "version": "1.4"}, FILE, False, False),
        ({"product": "tool.exe", "version": "1.5"}, FILE._replace(release=Release("tool.exe", "x")), None, None),
        (
            {"product": "tool.exe", "version": "1.5"},
            FILE._replace(release=Release("tool.exe", "1.5", "odd")),
            None,
            None,
        ),
        ({"product": "tool.exe", "below": "1.5"}, FILE, False, False),
        ({"product": "tool.exe", "below": "1.5.1"}, FILE, True, True),
        ({"product": "tool.exe", "below": "2"}, FILE._replace(release=Release("tool.exe", "x")), None, None),
        ({"product": "tool.exe", "version": "1.5", "below": "1.2"}, FILE, False, False),
        ({"product": "tool.exe", "digest": DIGESTS[2]}, UNSIGNED, True, True),
        ({"signer": DIGESTS[0]}, FILE._replace(seals=()), False, False),
    ],
)
def test_what_a_rule_is_about(table: dict[str, Any], file: FileFacts, allow: bool | None, deny: bool | None) -> None:  # noqa: FBT001
    assert (rule("allow", **table).match(file, "exec"), rule("deny", **table).match(file, "exec")) == (allow, deny)


DAY = dt.timedelta(days=1)
OLD, NEW = FULL._replace(signed_at=NOW - DAY * 2), FULL._replace(key=HEX[1], subject="CN=B")
FRESH: dict[str, Any] = {"signer": DIGESTS[:2]}


@pytest.mark.parametrize(
    ("require", "change", "unmet"),
    [
        ({"log": True}, {"logged": True}, []),
        ({"log": True}, {"logged": False}, [("log", False)]),
        ({"log": True}, {"logged": None}, [("log", None)]),
        ({"min-version": "1.5"}, {}, []),
        ({"min-version": "1.5.0.1"}, {}, [("min-version", False)]),
        ({"min-version": "1.5"}, {"release": None}, [("min-version", False)]),
        ({"min-version": "1.5"}, {"release": None, "release_readable": False}, [("min-version", None)]),
        ({"min-version": "1.5"}, {"release": Release("tool.exe", "x")}, [("min-version", None)]),
        ({"no-rollback": True}, {"newest": "1.5"}, []),
        ({"no-rollback": True}, {"newest": "1.6"}, [("no-rollback", False)]),
        ({"no-rollback": True}, {}, []),
        ({"timestamp": True}, {"seals": (FULL,)}, []),
        ({"timestamp": True}, {"seals": (FULL._replace(signed_at=None),)}, [("timestamp", False)]),
        ({"max-age": "2d"}, {"seals": (OLD,)}, []),
        ({"max-age": "1d"}, {"seals": (OLD,)}, [("max-age", False)]),
        ({"max-age": "1d"}, {"seals": ()}, [("timestamp", False), ("max-age", False)]),
        ({"revocation": "require"}, {"seals": (FULL._replace(revocation=GOOD),)}, []),
        ({"revocation": "require"}, {"seals": (FULL._replace(revocation=UNCHECKED),)}, [("revocation", None)]),
        ({"revocation": "require"}, {"seals": (FULL._replace(revocation=NOBODY),)}, [("revocation", False)]),
        ({"revocation": "require"}, {"seals": (FULL, FULL._replace(revocation=NOBODY))}, [("revocation", None)]),
        ({"signers": 2}, {"seals": (FULL, NEW)}, []),
        ({"signers": 2}, {"seals": (FULL, NEW._replace(status=Status.UNDECIDED))}, [("signers", False)]),
        ({"signers": 2}, {"seals": (FULL, NEW._replace(key=HEX[2]))}, [("signers", False)]),
        ({"signers": 2, "max-age": "1d"}, {"seals": (OLD, NEW)}, [("signers", False)]),
        ({"signers": 2, "timestamp": True}, {"seals": (FULL, NEW._replace(signed_at=None))}, [("signers", False)]),
        ({"signers": 1, "revocation": "require"}, {"seals": (FULL,)}, [("revocation", None), ("signers", False)]),
    ],
)
def test_what_a_file_does_not_bring(
    require: dict[str, Any], change: dict[str, Any], unmet: list[tuple[str, bool | None]]
) -> None:
    assert rule(**FRESH, require=require).unmet(FILE._replace(**change), NOW) == unmet


PGP = FULL._replace(kind="openpgp", authorities=(), claims=(("key", "AA"),))


@pytest.mark.parametrize(
    ("one", "other", "signers"),
    [
        (FULL, FULL._replace(subject="CN=B"), 1),
        (FULL, FULL._replace(key=HEX[1]), 1),
        (FULL, FULL._replace(key=HEX[1], subject="CN=B"), 2),
        (FULL, FULL._replace(key=HEX[1], subject="CN=B", claims=(("key", "AA"),)), 2),
        (IDENTITY, IDENTITY._replace(key=HEX[1]), 1),
        (IDENTITY, IDENTITY._replace(subject="repo:b"), 2),
        (IDENTITY, IDENTITY._replace(claims=(("issuer", "https://other"),)), 2),
        (PGP, PGP._replace(key=HEX[1]), 1),
        (PGP, PGP._replace(key=HEX[1], claims=(("key", "BB"),)), 2),
        (PGP._replace(claims=()), PGP._replace(claims=(), key=HEX[1]), 2),
        (PGP, PGP._replace(kind="ssh", key=HEX[1]), 2),
        (FULL._replace(kind="ssh"), FULL._replace(kind="ssh", key=HEX[1]), 2),
        (FULL._replace(kind="ssh", key=""), FULL._replace(kind="ssh", key="", subject="CN=B"), 1),
        (FULL, IDENTITY, 2),
    ],
)
def test_signers_that_may_be_the_same_count_once(one: SealFacts, other: SealFacts, signers: int) -> None:
    assert distinct([one, other]) == distinct([other, one]) == signers


def test_a_rule_ends_when_it_says() -> None:
    ending = rule(**FRESH, expires=NOW)
    assert (ending.active(NOW - dt.timedelta(seconds=1)), ending.active(NOW)) == (True, False)
    assert rule(**FRESH).active(NOW)


def test_rules_are_called_by_where_they_stand_and_by_their_name() -> None:
    assert rule(**FRESH).shown == str(rule(**FRESH).place) == f"p.toml:{rule().place.line}"
    assert rule(**FRESH, name="corp").shown == f"{rule().place} (corp)"
