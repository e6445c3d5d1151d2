"""Files at hand: which of them a target is told by their content, and which rules keep them back."""

from __future__ import annotations

import datetime as dt
import json
import plistlib
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core.verdict import Status
from chopmark.harden import fapolicyd, ipe, listing, reasons, santa
from chopmark.harden.contract import Export, WiderError
from chopmark.harden.material import Material
from tests.support.hardening import SEALS, files_at_hand, request
from tests.support.policies import DIGESTS, FILE, HEX, NOW, UNSIGNED

if TYPE_CHECKING:
    from chopmark.harden.contract import Exporter, Request

CORP = {"action": "allow", "store": "corp"}
SIGNED = FILE._replace(seals=(SEALS[0],), sha256=HEX[0])
PLAIN = UNSIGNED._replace(path="/opt/plain", sha256=HEX[1])


def asked(*rules: dict[str, Any], files: Any = (SIGNED, PLAIN), **more: Any) -> Request:  # noqa: ANN401
    return request(list(rules), **{"material": Material(files=files_at_hand(*files)), **more})


def contents(made: Request, kind: str = "exec") -> list[str]:
    return listing.listed(made, [kind]).contents([kind])


def test_what_the_policy_allows_is_listed() -> None:
    assert contents(asked(CORP)) == [HEX[0]]
    assert contents(asked({"action": "allow", "digest": DIGESTS[1]})) == [HEX[1]]
    assert contents(asked({"action": "allow", "format": "pe"})) == [HEX[0], HEX[1]]
    assert contents(asked(CORP, files=(SIGNED._replace(blocked="listed"),))) == []
    assert contents(asked(CORP, files=(SIGNED._replace(status=Status.UNDECIDED),))) == []


@pytest.mark.parametrize("somewhere", [{"path": "/opt/**"}, {"user": "ada"}, {"program": "/usr/bin/sh"}])
def test_what_is_allowed_somewhere_is_not_allowed_everywhere(somewhere: dict[str, Any]) -> None:
    assert contents(asked({**CORP, **somewhere})) == []
    assert contents(asked(CORP, {**CORP, **somewhere})) == [HEX[0]]


@pytest.mark.parametrize("somewhere", [{"path": "/home/**"}, {"user": "eve"}, {"parent": "/usr/sbin/sshd"}])
def test_what_is_denied_somewhere_is_denied_everywhere(somewhere: dict[str, Any]) -> None:
    denial = {"action": "deny", "store": "corp", **somewhere}
    assert contents(asked(CORP, denial)) == []
    assert contents(asked(CORP, {**denial, "store": "else"})) == [HEX[0]]
    assert contents(asked(CORP, {**denial, "use": "script"})) == [HEX[0]]


def test_what_is_bound_to_more_somewhere_is_bound_everywhere() -> None:
    bound = {"action": "allow", "signer": DIGESTS[0], "path": "/home/**", "require": {"timestamp": True}}
    assert contents(asked(CORP, bound)) == []
    del bound["path"]
    assert contents(asked(CORP, bound)) == []
    stamped = SIGNED._replace(seals=(SEALS[0]._replace(signed_at=NOW),))
    assert contents(asked(CORP, bound, files=(stamped,))) == [HEX[0]]


def test_what_holds_for_a_while_needs_somebody_who_exports_anew() -> None:
    stamped = SIGNED._replace(seals=(SEALS[0]._replace(signed_at=NOW),))
    young = {**CORP, "require": {"max-age": "30d"}}
    assert contents(asked(young, files=(stamped,))) == []
    assert contents(asked(young, files=(stamped,), until=NOW + dt.timedelta(days=30))) == [HEX[0]]
    assert contents(asked(young, files=(stamped,), until=NOW + dt.timedelta(days=31))) == []
    ends = {**CORP, "expires": NOW + dt.timedelta(days=7)}
    assert contents(asked(ends)) == []
    assert contents(asked(ends, until=NOW + dt.timedelta(days=7))) == [HEX[0]]
    gone = {"action": "deny", "store": "corp", "expires": NOW + dt.timedelta(days=7)}
    assert contents(asked(CORP, gone)) == []


def test_a_digest_needs_no_file_unless_something_else_could_be_about_it() -> None:
    rule = {"action": "allow", "digest": [DIGESTS[2], DIGESTS[3]]}
    assert contents(asked(rule, files=())) == [HEX[2], HEX[3]]
    assert contents(asked(rule, {"action": "deny", "digest": DIGESTS[3]}, files=())) == [HEX[2]]
    assert contents(asked(rule, {"action": "deny", "product": "tool"}, files=())) == []
    assert contents(asked(rule, {"action": "deny", "product": "tool", "use": "module"}, files=())) == [HEX[2], HEX[3]]
    for more in ({"format": "pe"}, {"path": "/opt/*"}, {"user": 0}, {"require": {"log": True}}, {"store": "corp"}):
        assert contents(asked({**rule, **more}, files=())) == []
    ends = {**rule, "expires": NOW + dt.timedelta(days=7)}
    assert contents(asked(ends, files=())) == []
    assert contents(asked(ends, files=(), until=NOW + dt.timedelta(days=1))) == [HEX[2], HEX[3]]


def codes(made: Export | WiderError) -> dict[str, str]:
    return {each.subject: each.code for each in made.findings if each.subject.startswith("p.toml:")}


def test_every_rule_is_told() -> None:
    rules = (
        CORP,
        {"action": "allow", "digest": DIGESTS[4]},
        {"action": "allow", "signer": DIGESTS[5]},
        {"action": "deny", "digest": DIGESTS[3]},
        {"action": "deny", "store": "corp", "use": "script"},
        {"action": "allow", "store": "corp", "expires": NOW},
    )
    made = santa.BACKEND.export(asked(*rules))
    assert list(codes(made).values()) == [
        each.code
        for each in (
            *(reasons.NARROWED, reasons.EXACT, reasons.DROPPED, reasons.EXACT, reasons.IDLE),
            reasons.EXPIRED,
        )
    ]
    made = santa.BACKEND.export(asked(*rules, left_out=frozenset({"p.toml:18"})))
    assert codes(made)["p.toml:18"] == reasons.LEFT_OUT.code


@pytest.mark.parametrize("backend", [santa.BACKEND, fapolicyd.BACKEND, ipe.BACKEND])
def test_nothing_to_list_refuses_the_export(backend: Exporter) -> None:
    with pytest.raises(WiderError) as caught:
        backend.export(asked(CORP, files=(PLAIN,)))
    assert reasons.EMPTY.code in {each.code for each in caught.value.findings}
    assert "rule" not in str(caught.value)  # none is wider


def test_without_files_it_is_said_how_to_have_some() -> None:
    rule = {"action": "allow", "digest": DIGESTS[4]}
    for files, said in (((), "--root"), ((PLAIN,), "wherever")):
        made = santa.BACKEND.export(asked(CORP, rule, files=files))
        assert said in next(each.detail for each in made.findings if each.code == reasons.DROPPED.code)


def test_santa_is_told_of_contents_alone() -> None:
    made = santa.BACKEND.export(asked(CORP))
    files = {each.path: each.data for each in made.files}
    [rule] = json.loads(files["rules.json"])["rules"]
    assert (rule["identifier"], rule["policy"], rule["rule_type"]) == (HEX[0], "ALLOWLIST", "BINARY")
    assert "/opt/tool" in rule["custom_msg"]
    assert json.loads(files["preflight.json"]) == {"client_mode": "LOCKDOWN"}
    assert plistlib.loads(files["configuration.plist"])["ClientMode"] == 2
    made = santa.BACKEND.export(asked(CORP, mode="audit"))
    files = {each.path: each.data for each in made.files}
    assert json.loads(files["preflight.json"]) == {"client_mode": "MONITOR"}
    assert plistlib.loads(files["configuration.plist"])["ClientMode"] == 1


def test_fapolicyd_compares_contents_whatever_its_settings() -> None:
    spaced = SIGNED._replace(path="/opt/two words", sha256=HEX[2])
    made = fapolicyd.BACKEND.export(asked(CORP, files=(SIGNED, spaced), uses=frozenset({"exec"})))
    files = {each.path: each.data.decode() for each in made.files}
    rules = files["rules.d/10-chopmark.rules"].splitlines()[1:]
    assert rules == [
        "deny_syslog perm=any all : ftype=application/x-bad-elf",
        f"allow perm=execute all : sha256hash={HEX[0]}",
        f"allow perm=execute all : sha256hash={HEX[2]}",
        "deny_syslog perm=execute all : all",
        "allow perm=open all : all",
    ]
    assert files["trust.d/chopmark"].splitlines()[1:] == [f"/opt/tool 1000 {HEX[0]}"]
    assert files["fapolicyd.conf"].splitlines()[1:] == ["permissive = 0", "trust = file", "integrity = sha256"]
    made = fapolicyd.BACKEND.export(asked(CORP, mode="audit"))
    assert b"permissive = 1" in made.files[2].data


def test_ipe_is_told_of_files_that_no_ring_could_say() -> None:
    rules = ({"action": "allow", "digest": DIGESTS[1]}, {"action": "deny", "path": "/home/**", "store": "corp"})
    made = ipe.BACKEND.export(asked(*rules))
    text = made.files[0].data.decode()
    assert f"op=EXECUTE fsverity_digest=sha256:{(b'v' * 32).hex()} action=ALLOW" in text
    assert "fsverity_signature" not in text
    assert list(codes(made).values()) == [reasons.NARROWED.code, reasons.IDLE.code]
