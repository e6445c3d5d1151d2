"""Policies on the command line: written, checked, tried, in force, explained."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from chopmark.core.verdict import Status
from chopmark.engine import report
from chopmark.policy import events, language
from tests.support import fulcio
from tests.support.policies import ANYBODY, FILE, NOW

if TYPE_CHECKING:
    from tests.support.desk import Desk

HEAD = 'chopmark-policy = 1\nname = "hosts"\nversion = {}\nmode = "{}"\n'
SCHEMA = json.loads((Path(report.__file__).parent / "verdict.schema.json").read_text())


def write(desk: Desk, *rules: str, version: int = 1, mode: str = "enforce", name: str = "p.toml") -> str:
    text = HEAD.format(version, mode) + "".join(f"[[rule]]\n{rule}\n" for rule in rules)
    return desk.write(name, text.encode())


def by_root(desk: Desk) -> str:
    return f'action = "allow"\nstore = "{desk.root}"\ncomment = "ours"\nowner = "ada"'


def decisions(desk: Desk) -> list[dict[str, Any]]:
    return [json.loads(line)["decision"] for line in desk.out.splitlines()]


def test_verify_decides_by_a_policy(desk: Desk) -> None:
    policy = write(desk, by_root(desk))
    signed, plain = desk.signed("script"), desk.sample("pe")
    assert desk.verify(signed, "--policy", policy) == 0
    assert "policy.allowed" in desk.out
    assert desk.verify(plain, signed, "--policy", policy) == 1
    assert desk.out.splitlines()[-1] == "2 files: 1 allow, 1 deny"
    assert desk.verify(plain, signed, "missing", "--policy", policy, "--json") == 1
    assert [(each["effect"], each["code"], each["certain"]) for each in decisions(desk)] == [
        ("deny", "policy.nothing", True),
        ("allow", "policy.allowed", True),
        ("deny", "policy.undecided", False),
    ]
    for line in desk.out.splitlines():
        jsonschema.validate(json.loads(line), SCHEMA)
    assert decisions(desk)[1]["rule"] == f"{policy}:5"
    assert desk.verify("missing", signed, "--policy", policy, "-q") == 3
    assert desk.out == ""
    assert desk.verify(plain, "--policy", policy, "--sarif") == 1
    results = json.loads(desk.out)["runs"][0]["results"]
    assert "policy.nothing" in {result["ruleId"] for result in results}


def test_the_policy_says_with_which_stores_files_are_verified(desk: Desk) -> None:
    assert desk.run("store", "add", "corp", desk.root) == 0
    signed = desk.signed("script")
    policy = desk.write("p.toml", (HEAD.format(1, "enforce") + 'stores = ["corp"]\nrevocation = "require"\n').encode()
                        + b'[[rule]]\naction = "allow"\nstore = "corp"\n')  # fmt: skip
    assert desk.run("verify", signed, "--policy", policy, "--offline") == 3
    assert desk.run("verify", signed, "--policy", policy, "--offline", "--revocation", "off") == 0


def test_modes_soften(desk: Desk) -> None:
    plain = desk.sample("pe")
    audit = write(desk, mode="audit")
    assert desk.verify(plain, "--policy", audit) == 0
    assert " audit " in desk.out
    learning = write(desk, 'action = "deny"\nformat = "pe"', mode="learning", version=2)
    assert desk.verify(plain, desk.sample("script"), "--policy", learning, "--json") == 1
    assert [each["effect"] for each in decisions(desk)] == ["deny", "audit"]


def test_an_older_policy_is_refused_and_reset_says_that_it_is_meant(desk: Desk) -> None:
    signed = desk.signed("script")
    assert desk.verify(signed, "--policy", write(desk, by_root(desk), version=2)) == 0
    old = write(desk, by_root(desk), version=1)
    assert desk.verify(signed, "--policy", old) == 1
    assert "newer version" in desk.err
    assert desk.run("policy", "show", old) == 0
    assert "version 2 was in use here" in desk.out
    assert desk.run("policy", "reset") == 2
    assert desk.run("policy", "reset", "--yes") == 0
    assert desk.verify(signed, "--policy", old) == 0


def test_policies_have_to_be_signed_once_somebody_says_by_whom(desk: Desk) -> None:
    signed = desk.signed("script")
    policy = write(desk, by_root(desk))
    assert desk.verify(signed, "--policy", policy, "--policy-store", desk.root) == 1
    assert desk.run("sign", policy, "--format", "detached", *desk.by_signer) == 0, desk.err
    assert desk.verify(signed, "--policy", policy, "--policy-store", desk.root) == 0, desk.err


def test_products_that_were_allowed_do_not_get_older(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from chopmark.core.versions import Release
    from chopmark.formats.pe import FORMAT

    policy = write(desk, by_root(desk) + "\nrequire = { no-rollback = true }")
    path = desk.signed("pe")
    for version, status in (("1.5", 0), ("1.4", 1), ("1.6", 0), ("1.5", 1)):
        found = Release("Tool", version)
        monkeypatch.setattr(FORMAT, "release", lambda _artifact, found=found: found, raising=False)
        assert desk.verify(path, "--policy", policy, "--remember") == status, (version, desk.err)
    assert "no-rollback" in desk.out


@pytest.mark.parametrize("more", [["--use", "exec"], ["--remember"], ["--policy-store", "x"]])
def test_options_that_need_a_policy(desk: Desk, more: list[str]) -> None:
    assert desk.verify(desk.sample("pe"), *more) == 2


def test_policies_that_cannot_be_used(desk: Desk) -> None:
    path = desk.sample("pe")
    assert desk.verify(path, "--policy", "missing.toml") == 2
    assert desk.verify(path, "--policy", desk.write("bad.toml", b"\xff")) == 2
    assert desk.verify(path, "--policy", write(desk, 'action = "maybe"')) == 2
    assert "p.toml:6" in desk.err
    assert desk.verify(path, "--policy", str(desk.folder)) == 2


def test_init_writes_the_plain_default(desk: Desk) -> None:
    assert desk.run("store", "add", "corp", desk.root) == 0
    assert desk.run("policy", "init", "--store", "nobody") == 2
    assert desk.run("policy", "init", "--store", "corp") == 0, desk.err
    written = Path("policy.toml").read_text()
    assert desk.run("policy", "init") == 2
    assert desk.run("policy", "init", "--force") == 0
    assert Path("policy.toml").read_text() == written
    assert desk.run("policy", "init", "--store", "corp", "--catalog", "/etc/**", "--force") == 0
    assert desk.run("policy", "check", "policy.toml") == 0, desk.out
    assert desk.run("verify", desk.signed("script"), "--policy", "policy.toml", "--offline") == 0
    assert desk.run("verify", desk.sample("pe"), "--policy", "policy.toml", "--offline") == 1


def test_what_a_catalog_lists_is_allowed_by_the_default(desk: Desk) -> None:
    assert desk.run("store", "add", "corp", desk.root) == 0
    tree = desk.folder / "tree"
    tree.mkdir()
    (tree / "tool").write_bytes(b"\0tool")
    assert desk.run("catalog", "create", tree, "-o", "t.catalog", *desk.by_signer) == 0, desk.err
    assert desk.run("policy", "init", "--store", "corp") == 0
    by_policy = ("--policy", "policy.toml", "--offline")
    assert desk.run("verify", tree / "tool", *by_policy, "--catalogs", "t.catalog") == 0
    assert desk.run("verify", tree / "tool", *by_policy) == 1
    (tree / "tool").write_bytes(b"\0evil")
    assert desk.run("verify", tree / "tool", *by_policy, "--catalogs", "t.catalog") == 1


def test_check_tells_every_mistake_and_what_cannot_be_meant(desk: Desk) -> None:
    assert desk.run("policy", "check", write(desk, "x = 1", 'action = "deny"\nformat = 5')) == 1
    assert len(desk.out.splitlines()) == 3
    assert desk.run("policy", "check", write(desk, 'action = "allow"'), "--json") == 1
    assert {json.loads(line)["code"] for line in desk.out.splitlines()} == {"policy.wide", "policy.unowned"}
    assert desk.run("policy", "check", write(desk, "x = 1"), "--json") == 1
    assert {json.loads(line)["code"] for line in desk.out.splitlines()} == {"policy.malformed"}
    assert desk.run("policy", "check", write(desk, by_root(desk)), "-v") == 0
    assert "policy.sound" in desk.out


def test_explain_names_the_rule_and_what_the_file_would_have_to_bring(desk: Desk) -> None:
    policy = write(desk, by_root(desk) + "\nrequire = { timestamp = true }")
    signed, plain = desk.signed("script"), desk.sample("pe")
    options = ("--policy", policy, "--store", desk.root, "--offline")
    assert desk.run("policy", "explain", signed, *options, "--json") == 1
    said = json.loads(desk.out)
    assert (said["decision"]["code"], said["decision"]["rule"]) == ("policy.unmet", f"{policy}:5")
    assert said["missing"] == ["a trusted time stamp on the signature (sign with --timestamp)"]
    assert desk.run("policy", "explain", plain, *options, "--json") == 1
    assert json.loads(desk.out)["near"][0]["rule"] == f"{policy}:5"
    assert desk.run("policy", "explain", plain, signed, "missing", *options) == 1
    assert "ours" in desk.out
    assert hashlib.sha256(plain.read_bytes()).hexdigest() in desk.out  # in one piece, to be copied
    assert max(map(len, desk.out.replace(str(desk.folder), "").splitlines())) <= 80


def test_explain_tells_of_what_a_guard_recorded_without_reading_the_file(desk: Desk) -> None:
    policy = write(desk, by_root(desk))
    seen = FILE._replace(path=str(desk.folder / "job.sh"), status=Status.UNSIGNED, seals=(), sha256="ab" * 32)
    recorded = [events.Event(NOW, kind, seen) for kind in ("exec", "script", "script")]
    desk.write("events.jsonl", "".join(f"{events.line(each)}\n" for each in recorded).encode())
    asked = ("policy", "explain", "job.sh", "--policy", policy, "--events", "events.jsonl")
    assert desk.run(*asked, "--json") == 1
    said = [json.loads(line) for line in desk.out.splitlines()]
    assert [(each["use"], each["decision"]["code"]) for each in said] == [
        ("exec", "policy.nothing"), ("script", "policy.nothing"),
    ]  # fmt: skip
    assert said[0]["near"][0]["rule"] == f"{policy}:5"
    assert desk.run(*asked, "--use", "script") == 1
    assert "ab" * 32 in desk.out
    assert max(map(len, desk.out.replace(str(desk.folder), "").splitlines())) <= 80
    assert desk.run("policy", "explain", "other.sh", "--policy", policy, "--events", "events.jsonl") == 2
    assert desk.run("policy", "explain", "other.sh", "--policy", policy) == 3
    assert "--events" in desk.out


def test_explain_asks_who_uses_it(desk: Desk) -> None:
    policy = write(desk, by_root(desk) + '\nuser = ["root", 4242]\nprogram = "/usr/bin/*"')
    signed = desk.signed("script")
    options = ("policy", "explain", signed, "--policy", policy, "--store", desk.root, "--offline")
    assert desk.run(*options) == 3
    assert desk.run(*options, "--user", "4242", "--program", "/usr/bin/dash") == 0
    assert desk.run(*options, "--user", "root", "--program", "/usr/bin/dash") == 0
    assert desk.run(*options, "--user", "4243", "--program", "/usr/bin/dash") == 1


def test_cases_of_a_policy(desk: Desk) -> None:
    policy = write(desk, by_root(desk) + '\nname = "ours"', 'action = "deny"\nuser = 5\nname = "not five"')
    desk.signed("script", "signed.sh")
    desk.write("cases.toml", b"""chopmark-policy-cases = 1
[[case]]
name = "ours"
expect = "undecided"
file = "signed.sh"
[[case]]
expect = "allow"
rule = "ours"
file = "signed.sh"
process = { uid = 0 }
[[case]]
expect = "deny"
rule = "not five"
file = "signed.sh"
process = { uid = 5 }
[[case]]
expect = "deny"
facts = { path = "/x", status = "unsigned" }
process = { uid = 0 }
""")  # fmt: skip
    options = ("policy", "test", "cases.toml", "--policy", policy, "--store", desk.root, "--offline")
    assert desk.run(*options) == 0, desk.out
    assert desk.out == "4 cases, all as expected\n"
    text = Path("cases.toml").read_text().replace('rule = "not five"', 'rule = "ours"')
    desk.write("cases.toml", text.encode())
    assert desk.run(*options, "-v") == 1
    assert [line.split()[0] for line in desk.out.splitlines() if "cases.toml:" in line].count("wrong") == 1
    assert desk.out.splitlines()[-1] == "4 cases, 1 wrong"
    desk.write("cases.toml", b"chopmark-policy-cases = 1")
    assert desk.run(*options) == 2


def test_simulate_and_diff_on_events_and_a_tree(desk: Desk) -> None:
    tree = desk.folder / "tree"
    tree.mkdir()
    desk.signed("script", "tree/signed.sh")
    desk.sample("pe", "tree/plain.exe")
    desk.sample("detached", "tree/notes.txt")
    recorded = events.Event(NOW, "exec", FILE, ANYBODY, "allow", "policy.allowed", "old.toml:3", "hosts 1")
    desk.write("events.jsonl", (events.line(recorded) + "\n").encode())
    policy = write(desk, by_root(desk))
    corpus = ("--events", "events.jsonl", "--root", tree, "--store", desk.root, "--offline")
    assert desk.run("policy", "simulate", "--policy", policy, *corpus, "--json") == 1, desk.err
    found = {each["path"]: each for each in map(json.loads, desk.out.splitlines())}
    assert {path: (each["changed"], each["decision"]["effect"]) for path, each in found.items()} == {
        "/opt/tool": (True, "deny"),
        "/signed.sh": (False, "allow"),
        "/plain.exe": (False, "deny"),
    }
    assert desk.run("policy", "simulate", "--policy", policy, *corpus) == 1
    assert "3 uses: 1 allow, 2 deny; 1 otherwise than recorded" in desk.out
    new = write(desk, by_root(desk), 'action = "allow"\nformat = "pe"\nstatus = "unsigned"', version=2, name="n.toml")
    assert desk.run("policy", "diff", policy, new, *corpus) == 1
    assert "0 rules gone, 1 new; 1 uses decided otherwise" in desk.out
    assert desk.run("policy", "diff", policy, new, "--json") == 1
    assert [json.loads(line)["change"] for line in desk.out.splitlines()] == ["new"]
    assert desk.run("policy", "diff", policy, policy) == 0
    assert desk.run("policy", "simulate", "--policy", policy) == 2
    assert desk.run("policy", "simulate", "--policy", policy, "--root", "missing") == 2
    assert desk.run("policy", "simulate", "--policy", policy, "--events", desk.write("bad", b"{}\n")) == 2


def test_learn_from_a_tree_and_from_events(desk: Desk) -> None:
    tree = desk.folder / "tree"
    tree.mkdir()
    desk.signed("script", "tree/signed.sh")
    desk.sample("pe", "tree/plain.exe")
    corpus = ("--root", tree, "--store", desk.root, "--offline")
    assert desk.run("policy", "learn", *corpus, "-o", "learned.toml") == 0, desk.err
    assert desk.run("policy", "learn", *corpus, "-o", "learned.toml") == 2
    assert desk.run("policy", "check", "learned.toml") == 0, desk.out
    text = Path("learned.toml").read_text().replace('"learning"', '"enforce"')
    desk.write("learned.toml", text.encode())
    assert desk.verify(tree / "signed.sh", tree / "plain.exe", "--policy", "learned.toml") == 0, desk.out
    assert desk.verify(desk.sample("script", "other.sh"), "--policy", "learned.toml") == 1
    audited = events.Event(NOW, "exec", FILE._replace(seals=()), ANYBODY, "audit", "policy.nothing")
    allowed = audited._replace(file=FILE._replace(sha256="1" * 64), effect="allow")
    desk.write("e.jsonl", "".join(events.line(each) + "\n" for each in (audited, allowed)).encode())
    assert desk.run("policy", "learn", "--events", "e.jsonl") == 0
    assert FILE.sha256 in desk.out
    assert "1" * 64 not in desk.out
    assert desk.run("policy", "learn") == 2
    assert "stores =" not in desk.out


def test_a_learned_policy_names_the_stores_that_files_were_verified_with(desk: Desk) -> None:
    assert desk.run("store", "add", "corp", desk.root) == 0
    tree = desk.folder / "tree"
    tree.mkdir()
    desk.sample("pe", "tree/plain.exe")
    assert desk.run("policy", "learn", "--root", tree, "--offline") == 0
    assert "stores =" not in desk.out  # digests believe nobody
    desk.signed("script", "tree/signed.sh")
    assert desk.run("policy", "learn", "--root", tree, "--offline", "-o", "learned.toml") == 0
    assert language.parse(Path("learned.toml").read_bytes(), "learned.toml").stores == ("corp", "microsoft")


def test_learning_says_what_it_passed_over(desk: Desk) -> None:
    denied = events.Event(NOW, "exec", FILE._replace(seals=()), ANYBODY, "deny", "policy.nothing")
    allowed = denied._replace(effect="allow")
    desk.write("e.jsonl", "".join(events.line(each) + "\n" for each in (denied, denied, allowed)).encode())
    assert desk.run("policy", "learn", "--events", "e.jsonl") == 0
    assert "[[rule]]" not in desk.out
    assert "2 uses that a guard denied" in desk.out
    assert "policy explain --events" in " ".join(desk.err.split())
    assert desk.run("policy", "learn", "--events", "e.jsonl", "-o", "learned.toml") == 0
    assert "1 use that a rule allows already" in desk.out
    assert "# passed over: 2 uses" in Path("learned.toml").read_text()


def test_stores_that_are_missing_are_told_with_their_line(desk: Desk) -> None:
    def told(head: str, rule: str) -> list[tuple[str, str]]:
        text = f'{HEAD.format(1, "enforce")}{head}[[rule]]\n{rule}\ncomment = "x"\nowner = "x"\naction = "allow"\n'
        policy = desk.write("p.toml", text.encode())
        statuses.append(desk.run("policy", "check", policy, "--json"))
        found = [json.loads(line) for line in desk.out.splitlines()]
        return [(each["code"], each["subject"].rpartition(":")[2]) for each in found if each["outcome"] != "ok"]

    statuses: list[int] = []
    here = f'"{desk.root}"'
    assert told(f"stores = [{here}, 'gone']\n", f"store = {here}") == [("policy.store_missing", "5")]
    assert told(f"stores = [{here}, 'gone?']\n", f"store = {here}") == []
    assert told("", f"store = [{here}, 'gone']") == [("policy.store_missing", "5")]
    assert told("stores = ['gone?']\n", "store = 'gone'") == [("policy.store_missing", "6")]
    both = [("policy.store_unasked", "6"), ("policy.store_missing", "6")]
    assert told(f"stores = [{here}]\n", f"store = [{here}, 'gone']") == both
    assert statuses == [3, 0, 3, 3, 1]
    assert desk.run("policy", "check", "p.toml") == 1
    assert "1 thing cannot be meant so, 1 thing could not be checked here" in desk.out


def test_paths_in_trees_are_those_of_the_host(desk: Desk) -> None:
    tree = desk.folder / "image" / "usr" / "bin"
    tree.mkdir(parents=True)
    desk.sample("pe", "image/usr/bin/tool.exe")
    policy = write(desk, 'action = "allow"\npath = "/usr/bin/**"')
    options = (
        "policy",
        "simulate",
        "--policy",
        policy,
        "--root",
        desk.folder / "image",
        "--store",
        desk.root,
        "--json",
    )
    assert desk.run(*options, "--offline") == 0
    [found] = map(json.loads, desk.out.splitlines())
    assert found["path"] == "/usr/bin/tool.exe"
    (tree / "tool.exe").chmod(0o777)
    assert desk.run(*options, "--offline") == 0
    assert decisions(desk)[0]["effect"] == "deny"


def test_a_policy_is_about_identities_below_a_root_that_is_trusted_for_them(desk: Desk) -> None:
    signer = fulcio.workflow(desk.world.issuing)
    key = desk.write("keyless.key", signer.private_pem())
    certificate = desk.write("keyless.pem", signer.pem + desk.world.issuing.pem)
    file = desk.sample("script")
    assert desk.run("sign", file, "--key", key, "--cert", certificate) == 0, desk.err
    assert desk.run("store", "add", "keyless", desk.root, "--identities") == 0, desk.err
    assert desk.run("store", "add", "plain", desk.root) == 0
    assert desk.run("store", "show", "keyless") == 0
    assert "of identities" in desk.out

    def decided(issuer: str, subject: str, store: str = "keyless") -> int:
        who = f'signer = {{ oidc = {{ issuer = "{issuer}", subject = "{subject}" }} }}'
        policy = write(desk, f'action = "allow"\ncomment = "c"\nowner = "ada"\n{who}')
        return desk.run("verify", "--offline", "--store", store, file, "--policy", policy, "--json")

    assert decided(fulcio.ISSUER, fulcio.SUBJECT) == 0
    signer_shown = json.loads(desk.out)["seals"][0]["signer"]
    assert (signer_shown["kind"], signer_shown["issuer"]) == ("oidc", fulcio.ISSUER)
    jsonschema.validate(json.loads(desk.out), SCHEMA)
    assert decided(fulcio.ISSUER, "https://github.com/mint/coins/**") == 0
    assert decided(fulcio.ISSUER, fulcio.SUBJECT[:-1]) == 1
    assert decided(fulcio.ISSUER, "mint/coins") == 1  # patterns are about all of a claim
    assert decided("https://accounts.example.com", fulcio.SUBJECT) == 1
    assert decided(fulcio.ISSUER, fulcio.SUBJECT, "plain") == 1
