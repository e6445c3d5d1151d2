"""Ceremonies: nothing is done without enough approvals, by those who may, of exactly this plan, once, in time."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.authority.ceremony import approval, plan, rules, running, transcript
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.core.errors import ChopmarkError, RefusedError, UsageError
from chopmark.envelopes import x509
from tests.support import pki
from tests.unit.authority.conftest import NOW, order

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.authority.ca import Authority
    from chopmark.authority.ceremony.approval import Approval
    from tests.unit.authority.conftest import Clock

PEOPLE = {name: pki.leaf(None, name) for name in ("alice", "bob", "carol")}
STRANGER = pki.leaf(None, "mallory")


def rules_for(threshold: int = 2, *, required: bool = True) -> rules.Rules:
    return rules.from_values(threshold, {name: each.pem.decode() for name, each in PEOPLE.items()}, required=required)


@pytest.fixture
def strict(authority: Authority) -> Authority:
    """An authority whose CAs are changed in ceremonies alone: two of three approve."""
    authority.ceremonies.set_rules(rules_for(), NOW)
    return authority


def written(authority: Authority, *steps: str, expires: str = "2026-12-24T00:00:00Z") -> bytes:
    head = f'ceremony = 1\ntitle = "Test"\nauthority = "{authority.issuers()[0].certificate.sha256}"\n'
    return (head + f"expires = {expires}\n" + "".join(f"[[step]]\n{step}\n" for step in steps)).encode()


ROLL = 'do = "roll"\nca = "root"\ntype = "p256"'


def approvals(raw: bytes, *names: str) -> list[Approval]:
    known = {name: x509.certificate(each.der) for name, each in PEOPLE.items()}
    return [approval.check(raw, approval.approve(raw, PEOPLE[each], (PEOPLE[each].der,), NOW), known) for each in names]


def test_a_template_that_nobody_filled_in_is_no_plan(authority: Authority) -> None:
    raw = written(authority, ROLL)
    for field in (b'"Test"', b'"root"'):
        with pytest.raises(UsageError):
            plan.parse(raw.replace(field, b'""'))


def key(kind: str) -> NewKey:
    return NewKey(kind)


class TestRun:
    def test_two_of_three(self, strict: Authority) -> None:
        raw = written(strict, ROLL, 'do = "retire"\nca = "root"')
        given_plan = plan.parse(raw)
        told = running.run(given_plan, approvals(raw, "alice", "carol"), strict, key)
        assert [issuer.name for issuer in strict.issuers()] == ["root", "code-signing", "time-stamping", "root-2"]
        assert strict.issuer("root").retired == NOW
        assert [each["name"] for each in told["approvals"]] == ["alice", "carol"]
        [roll, retire] = told["steps"]
        assert roll["results"][0] == {
            "what": "CA root-2",
            "sha256": strict.issuer("root-2").certificate.sha256,
        }
        assert len(roll["results"]) == 3
        assert retire["do"] == "retire"
        with open(running.path_of(strict, given_plan), "rb") as file:  # noqa: PTH123
            on_disk = file.read()
        assert json.loads(on_disk) == told
        assert transcript.faults(on_disk, strict) == []
        with strict.reading() as connection:
            from chopmark.authority.register.schema import events

            done = [row.action for row in connection.execute(events.select().order_by(events.c.id))]
        assert done[-6:] == ["approve", "approve", "roll", "cross", "issue", "cross"] or "ceremony" in done
        assert done.count("approve") == 2
        assert done[-1] == "ceremony"

    def test_too_few(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        for few in ((), ("alice",), ("alice", "alice")):
            with pytest.raises(RefusedError, match="of 2 approvals"):
                running.run(plan.parse(raw), approvals(raw, *few), strict, key)
        assert len(strict.issuers()) == 3
        assert strict.ceremonies.begun(plan.parse(raw).sha256) is None

    def test_once(self, strict: Authority) -> None:
        raw = written(strict, 'do = "add"\nrole = "platform"\ntype = "p256"')
        running.run(plan.parse(raw), approvals(raw, "alice", "bob"), strict, key)
        with pytest.raises(RefusedError, match="begun before"):
            running.run(plan.parse(raw), approvals(raw, "alice", "bob"), strict, key)
        assert len(strict.issuers()) == 4

    def test_expired(self, strict: Authority, clock: Clock) -> None:
        raw = written(strict, ROLL)
        clock.now = dt.datetime(2026, 12, 24, tzinfo=dt.UTC)
        with pytest.raises(RefusedError, match="expired"):
            running.run(plan.parse(raw), approvals(raw, "alice", "bob"), strict, key)

    def test_another_authority(self, strict: Authority) -> None:
        raw = written(strict, ROLL).replace(strict.issuers()[0].certificate.sha256.encode(), b"0" * 64)
        with pytest.raises(UsageError, match="another authority"):
            running.run(plan.parse(raw), approvals(raw, "alice", "bob"), strict, key)

    def test_nobody_may_approve_yet(self, authority: Authority) -> None:
        raw = written(authority, ROLL)
        with pytest.raises(UsageError, match="nobody may approve"):
            running.run(plan.parse(raw), [], authority, key)

    def test_a_step_that_fails(self, strict: Authority) -> None:
        raw = written(strict, 'do = "add"\nrole = "platform"\ntype = "p256"', 'do = "retire"\nca = "nobody"', ROLL)
        given_plan = plan.parse(raw)
        with pytest.raises(UsageError, match="nobody"):
            running.run(given_plan, approvals(raw, "alice", "bob"), strict, key)
        with open(running.path_of(strict, given_plan), "rb") as file:  # noqa: PTH123
            on_disk = file.read()
        told = json.loads(on_disk)
        assert [step["do"] for step in told["steps"]] == ["add"]
        assert "nobody" in told["failed"]
        assert transcript.faults(on_disk, strict) == []
        with pytest.raises(RefusedError, match="ceremony"):
            Hierarchy(strict).add("root", NewKey("p256"))

    def test_revoking_a_ca(self, strict: Authority) -> None:
        serial = strict.issuer("code-signing").certificate.serial_octets.hex()
        raw = written(
            strict, f'do = "revoke"\nserial = "{serial}"\nreason = "cACompromise"\ndate = 2026-11-22T13:00:00+01:00'
        )
        running.run(plan.parse(raw), approvals(raw, "bob", "carol"), strict, key)
        record = strict.register.find(serial)
        assert (record.status(NOW), record.revoked) == ("revoked", NOW)

    def test_changing_the_rules(self, strict: Authority) -> None:
        pem = PEOPLE["alice"].pem.decode()
        raw = written(strict, f'do = "rules"\nthreshold = 1\n[step.approvers]\nalice = """\n{pem}"""')
        running.run(plan.parse(raw), approvals(raw, "bob", "carol"), strict, key)
        found = strict.ceremonies.rules()
        assert (found.threshold, list(found.approvers), found.required) == (1, ["alice"], False)


class TestRequired:
    def test_nothing_goes_without(self, strict: Authority) -> None:
        change = Hierarchy(strict)
        root = strict.issuer("root")
        for attempt in (
            lambda: change.add("platform", NewKey("p256")),
            lambda: change.roll("code-signing", NewKey("p256")),
            lambda: change.cross("code-signing", "root"),
            lambda: change.retire("code-signing"),
            lambda: change.accept("root", root.certificate.raw, root.certificate),
            lambda: strict.revoke(strict.issuer("code-signing").certificate.serial_octets.hex()),
        ):
            with pytest.raises(RefusedError, match="takes a ceremony"):
                attempt()
        strict.revoke(strict.issue(order()).serial)  # everyday work goes on

    def test_without_it_people_may(self, authority: Authority) -> None:
        authority.ceremonies.set_rules(rules_for(required=False), NOW)
        assert Hierarchy(authority).retire("code-signing").retired


class TestFound:
    def test_an_authority(self, tmp_path: Path) -> None:
        people = "".join(f'{name} = """\n{each.pem.decode()}"""\n' for name, each in PEOPLE.items())
        raw = (
            'ceremony = 1\ntitle = "New"\nexpires = 2026-12-24T00:00:00Z\n'
            '[[step]]\ndo = "found"\nname = "Example Ltd"\nurl = "http://pki.example.com/"\ntype = "p256"\n'
            f'[[step]]\ndo = "rules"\nthreshold = 2\nrequired = true\n[step.approvers]\n{people}'
        ).encode()
        folder = str(tmp_path / "ca")
        with pytest.raises(RefusedError, match="1 of 2"):
            running.found(plan.parse(raw), approvals(raw, "bob"), folder, lambda _: None, key, lambda: NOW)
        assert not (tmp_path / "ca").exists()
        told = running.found(plan.parse(raw), approvals(raw, "bob", "alice"), folder, lambda _: None, key, lambda: NOW)
        from chopmark.authority.ca import Authority

        with Authority.open(folder, clock=lambda: NOW) as authority:
            assert authority.ceremonies.rules().required
            raw_transcript = transcript.encode(told)
            assert transcript.faults(raw_transcript, authority) == []
            with pytest.raises(RefusedError, match="takes a ceremony"):
                Hierarchy(authority).retire("code-signing")


class TestApproval:
    def test_who_may(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        known = strict.ceremonies.rules().approvers
        with pytest.raises(RefusedError, match="no approver"):
            approval.check(raw, approval.approve(raw, STRANGER, (STRANGER.der,), NOW), known)
        with pytest.raises(RefusedError, match="for the approver's key"):
            approval.approve(raw, STRANGER, (PEOPLE["alice"].der,), NOW)

    def test_only_this_plan(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        given_approval = approval.approve(raw, PEOPLE["alice"], (PEOPLE["alice"].der,), NOW)
        for changed in (raw + b"\n", raw.replace(b"root", b"r00t"), b""):
            with pytest.raises(RefusedError, match="not over this plan"):
                approval.check(changed, given_approval, strict.ceremonies.rules().approvers)

    def test_the_key_counts_not_the_certificate(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        again = pki.issue(
            pki.name("somebody else"), PEOPLE["alice"].private_key, None, [], since=NOW, until=NOW + dt.timedelta(9)
        )
        known = strict.ceremonies.rules().approvers
        assert approval.check(raw, approval.approve(raw, again, (again.der,), NOW), known).name == "alice"

    @pytest.mark.parametrize("bad", [b"", b"x", b"0\x80", b"-----BEGIN CMS-----\nAA==\n-----END CMS-----\n"])
    def test_bytes_that_are_none(self, bad: bytes, strict: Authority) -> None:
        with pytest.raises(RefusedError):
            approval.check(b"plan", bad, strict.ceremonies.rules().approvers)

    def test_every_flipped_byte(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        alice = PEOPLE["alice"]
        good = approval.approve(raw, alice, (alice.der,), NOW)
        known = strict.ceremonies.rules().approvers
        certificate = good.find(alice.der)
        accepted = 0
        for place in range(0, len(good), 7):
            if certificate <= place < certificate + len(alice.der):
                continue  # a label: the key is pinned
            broken = good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :]
            try:
                approval.check(raw, broken, known)
            except ChopmarkError:
                continue
            accepted += 1
        assert accepted == 0

    def test_files(self, strict: Authority, tmp_path: Path) -> None:
        raw = written(strict, ROLL)
        path = tmp_path / "plan.toml"
        path.write_bytes(raw)
        for name, entity in (("a", PEOPLE["alice"]), ("b", PEOPLE["alice"]), ("m", STRANGER)):
            (tmp_path / f"plan.toml.{name}.approval").write_bytes(approval.approve(raw, entity, (entity.der,), NOW))
        (tmp_path / "plan.toml.junk.approval").write_bytes(b"junk")
        found, refused = approval.collect(raw, approval.beside(str(path)), strict.ceremonies.rules().approvers)
        assert [each.name for each in found] == ["alice"]
        assert len(refused) == 2


class TestRules:
    def test_what_is_refused(self) -> None:
        alice = PEOPLE["alice"].pem.decode()
        for threshold, people in (
            (0, {"a": alice}),
            (2, {"a": alice}),
            (1, {"a": alice, "b": alice}),
            (1, {"a": "no certificate"}),
            (1, {"": alice}),
            (1, {"a/b": alice}),
            (1, {"a": 7}),
            (1, {}),
            (1, {f"n{number}": alice for number in range(51)}),
        ):
            with pytest.raises(UsageError):
                rules.from_values(threshold, people, required=True)


class TestPlan:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (("ceremony = 1", "ceremony = 2"), "version 2"),
            (("ceremony = 1", "ceremony = true"), "not a number"),
            (('title = "Test"', "title = 7"), "title"),
            (('title = "Test"', 'title = "\\u202eTest"'), "title"),
            (("expires = 2026-12-24T00:00:00Z", "expires = 2026-12-24T00:00:00"), "zone"),
            (("expires = 2026-12-24T00:00:00Z", ""), "missing expires"),
            (('do = "roll"', 'do = "dance"'), "one of"),
            (('ca = "root"', 'cq = "root"'), "unknown cq"),
            (('ca = "root"', ""), "missing ca"),
            (('ca = "root"', "ca = 1"), "ca is not a text"),
            (("authority", "autority"), "unknown autority"),
            (('authority = "', 'authority = "x'), "SHA-256"),
            (("[[step]]", "[step]"), "not a list"),
        ],
    )
    def test_what_is_none(self, change: tuple[str, str], said: str, authority: Authority) -> None:
        raw = written(authority, ROLL).decode()
        assert change[0] in raw
        with pytest.raises(UsageError, match=said):
            plan.parse(raw.replace(*change).encode())

    def test_sizes(self, authority: Authority) -> None:
        with pytest.raises(UsageError, match="limit"):
            plan.parse(b"#" * (256 * 1024 + 1))
        with pytest.raises(UsageError, match="1 to 50 steps"):
            plan.parse(written(authority, *[ROLL] * 51))
        with pytest.raises(UsageError, match="steps"):
            plan.parse(written(authority).replace(b"expires", b"step = []\nexpires"))
        with pytest.raises(UsageError, match="first step"):
            plan.parse(written(authority, ROLL, 'do = "found"\nname = "x"\nurl = "http://x/"'))

    @given(st.binary(max_size=200))
    def test_any_bytes(self, raw: bytes) -> None:
        with pytest.raises(UsageError):
            plan.parse(raw)


class TestTranscript:
    def test_what_was_tampered_with(self, strict: Authority) -> None:
        raw = written(strict, ROLL)
        told = running.run(plan.parse(raw), approvals(raw, "alice", "bob"), strict, key)
        good = transcript.encode(told)
        assert transcript.faults(good, strict) == []
        for change in (
            {"plan": told["plan"].replace("root", "r00t")},
            {"plan_sha256": "0" * 64},
            {"approvals": told["approvals"][:1]},
            {"approvals": [told["approvals"][0]] * 2},
            {"threshold": 0},
            {"threshold": 3},
            {"steps": [{"do": "roll", "results": [{"what": "CA root-2", "sha256": "0" * 64}]}]},
            {"begun": "2026-01-01T00:00:00Z"},
        ):
            assert transcript.faults(transcript.encode(told | change), strict), change
        assert transcript.faults(transcript.encode(told | {"approvals": told["approvals"][:1]}), None)

    @pytest.mark.parametrize(
        "bad", [b"", b"[]", b"{}", b'{"transcript": 1}', b'{"transcript": 1, "plan": 7}', b"[" * 9999]
    )
    def test_what_is_none(self, bad: bytes) -> None:
        with pytest.raises(UsageError):
            transcript.faults(bad, None)
