"""The language: what is understood, what is refused, and on which line."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.verdict import Status
from chopmark.policy import language
from chopmark.policy.deciding import Mode
from chopmark.policy.rules import Rank
from chopmark.policy.source import PolicyError
from tests.support import policies, policy_oracle
from tests.support.policies import DIGESTS, HEX

HEAD = 'chopmark-policy = 1\nname = "hosts"\nversion = 7\n'


def lines(text: str) -> list[int]:
    with pytest.raises(PolicyError) as error:
        language.parse(text.encode(), "p.toml")
    assert all(problem.place.file == "p.toml" for problem in error.value.problems)
    return [problem.place.line for problem in error.value.problems]


def test_a_whole_policy() -> None:
    text = f'''{HEAD}mode = "learning"
stores = ["corp", "debian"]
revocation = "require"
include = ["revoked.toml"]
comment = "x"
owner = "ops"

[[rule]]
action = "allow"
name = "vendor"
comment = """
[[rule]] is only text here
"""
owner = "ada@example.test"
expires = 2027-01-31
digest = "sha256:{HEX[0].upper()}"
product = ["Tool.exe"]
below = "2.0"
signer = [
  "{DIGESTS[1]}",
  {{ root = "{DIGESTS[2]}", eku = "code-signing", subject = "CN=A" }},
]
path = "/opt/**"
use = ["exec", "library"]
user = [0, "ada"]

[[ rule ]] # the second
action = "deny"
ca = "{DIGESTS[3]}"
expires = 2027-01-31T02:00:00+02:00
'''
    found = language.parse(text.encode(), "p.toml")
    assert (found.name, found.version, found.mode) == ("hosts", 7, Mode.LEARNING)
    assert (found.stores, found.revocation, found.include) == (("corp", "debian"), "require", ("revoked.toml",))
    first, second = found.rules
    assert (first.place.line, second.place.line) == (11, text.splitlines().index("[[ rule ]] # the second") + 1)
    assert first.expires == second.expires == dt.datetime(2027, 1, 31, tzinfo=dt.UTC)
    assert first.conditions.digests == {HEX[0]}
    assert first.conditions.signers[1].purposes == ("1.3.6.1.5.5.7.3.3",)
    assert (first.users.uids, first.users.names) == (frozenset({0}), frozenset({"ada"}))
    assert (first.rank, second.rank) == (Rank.DIGEST, Rank.CA)
    assert (first.label, first.number, second.number) == ("vendor", 0, 1)


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ('action = "maybe"', 2),
        ("", 1),
        ('action = "allow"\ndigests = "x"', 3),
        ('action = "allow"\ndigest = "sha256:12"', 3),
        ('action = "allow"\ndigest = []', 3),
        ('action = "allow"\npath = "usr/**"', 3),
        ('action = "allow"\npath = "/usr/../**"', 3),
        ('action = "allow"\npath = "/a***"', 3),
        ('action = "allow"\npath = "/usr/bin/"', 3),
        ('action = "allow"\npath = "/usr//bin/x"', 3),
        ('action = "allow"\nprogram = "/usr/./bin/*"', 3),
        ('action = "allow"\nuse = "running"', 3),
        ('action = "allow"\nuser = -1', 3),
        ('action = "allow"\nuser = true', 3),
        ('action = "allow"\nexpires = "2027"', 3),
        ('action = "allow"\nbelow = "1"', 3),
        ('action = "allow"\nproduct = "x"\nversion = "one two"', 4),
        ('action = "deny"\nversion = "1"', 3),
        ('action = "allow"\nuser = " "', 3),
        (f'action = "allow"\nsigner = {{ key = "{DIGESTS[0]}", name = "x" }}', 3),
        *(
            (f'action = "allow"\nsigner = {{ {more}, oidc = {{ issuer = "x", subject = "y" }} }}', 3)
            for more in (f'certificate = "{DIGESTS[0]}"', f'root = "{DIGESTS[0]}"', 'subject = "x"', 'eku = "1.2.3"')
        ),
        ('action = "allow"\nsigner = { subject = "CN=A" }', 3),
        ('action = "allow"\nsigner = { key = "x" }', 3),
        ('action = "allow"\nsigner = 5', 3),
        ('action = "allow"\nsigner = { oidc = { subject = "x" } }', 3),
        ('action = "allow"\nsigner = { oidc = { issuer = "https://*", subject = "x" } }', 3),
        ('action = "allow"\nsigner = { oidc = { issuer = "https://x" } }', 3),
        (f'action = "allow"\nsigner = {{ key = "{DIGESTS[0]}", oidc = {{ issuer = "x", subject = "y" }} }}', 3),
        (f'action = "allow"\nsigner = {{ key = "{DIGESTS[0]}", eku = "coding" }}', 3),
        (f'action = "allow"\nca = "{DIGESTS[0]}"\nstatus = "rejected"', 4),
        ('action = "allow"\nrequire = { signers = 0 }', 3),
        ('action = "allow"\nrequire = { max-age = "1y" }', 3),
        ('action = "allow"\n[rule.require]\ntimestamp = 1', 4),
        ('action = "allow"\n[rule.require]\nstamp = true', 4),
        ('action = "deny"\nrequire = { timestamp = true }', 3),
        ('action = "allow"\nname = "a"\n[[rule]]\naction = "deny"\nname = "a"', 4),
        (f'action = "allow"\ncomment = "{"x" * (limits.POLICY_TEXT_MAX + 1)}"', 3),
    ],
)
def test_every_mistake_has_its_line(rule: str, line: int) -> None:
    assert lines(f"{HEAD}[[rule]]\n{rule}\n")[0] == line + 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name = 1",
        HEAD.replace("= 1", "= 2"),
        HEAD.replace('"hosts"', '"../x"'),
        HEAD.replace("7", "0"),
        HEAD + 'mode = "off"',
        HEAD + "[rule]\n",
        HEAD + 'rule = [{ action = "allow" }]',
        HEAD + "[[rules]]\naction = 1",
        HEAD + "x = [" * 2000,
        HEAD + f"include = {['x'] * (limits.POLICY_INCLUDES_MAX + 1)}",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    assert lines(text)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ('action = "alow"', ["action: allow, deny, not 'alow'"]),
        ('action = "deny"\npaht = "/x"', ["paht: there is no such key (path or parent?)"]),
        ('action = "deny"\nzzz = 1', ["zzz: there is no such key"]),
        ('action = "allow"\n[rule.require]\ntimestmp = true', ["require.timestmp: there is no such key (timestamp?)"]),
    ],
)
def test_a_mistake_is_told_once_with_what_could_be_meant(rule: str, said: list[str]) -> None:
    with pytest.raises(PolicyError) as caught:
        language.parse(f"{HEAD}[[rule]]\n{rule}\n".encode(), "p.toml")
    assert [problem.text for problem in caught.value.problems] == said


def test_all_mistakes_are_told_and_not_more_than_people_read() -> None:
    assert len(lines(HEAD + "[[rule]]\n" * 2)) == 2
    assert len(lines(HEAD + "[[rule]]\n" * 500)) == limits.POLICY_PROBLEMS_MAX


@pytest.mark.parametrize(("limit", "value"), [("POLICY_VALUES_MAX", 1), ("POLICY_RULES_MAX", 0)])
def test_more_than_anybody_needs_is_refused(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    text = HEAD + '[[rule]]\naction = "deny"\nformat = ["pe", "elf"]\n'
    assert language.parse(text.encode(), "p.toml").rules
    monkeypatch.setattr(limits, limit, value)
    assert lines(text)


def test_not_utf_8_is_not_toml() -> None:
    with pytest.raises(PolicyError):
        language.parse(HEAD.encode() + b"# \xff", "p.toml")


@given(st.lists(policies.rules(), max_size=5))
def test_lines_are_where_the_headers_are(rules: list[dict[str, object]]) -> None:
    text = policy_oracle.written(rules)
    headers = [number for number, line in enumerate(text.decode().split("\n"), 1) if line == "[[rule]]"]
    assert [rule.place.line for rule in language.parse(text, "p.toml").rules] == headers


QUOTES = ['"""', "'''", '"', "'", "[", "]", "{", "}", "\n", "#", "\\", "[[rule]]", "a = ", "x", '""""', ","]


@given(st.lists(st.sampled_from(QUOTES), max_size=14).map("".join))
def test_whatever_stands_in_strings_lines_are_right_or_it_is_refused(noise: str) -> None:
    text = f'{HEAD}comment = {noise}\n[[rule]]\naction = "allow"\n'
    try:
        found = language.parse(text.encode(), "p.toml")
    except PolicyError:
        return
    source = text.split("\n")
    assert [source[rule.place.line - 1].strip() for rule in found.rules] == ["[[rule]]"] * len(found.rules)


@given(st.binary(max_size=60))
def test_anything_is_read_or_refused(noise: bytes) -> None:
    with pytest.raises(PolicyError):
        language.parse(noise, "p.toml")


def test_statuses_are_the_verdicts_words() -> None:
    text = HEAD + '[[rule]]\naction = "allow"\npath = "/x"\nstatus = ["trusted", "rejected"]\n'
    assert language.parse(text.encode(), "p.toml").rules[0].conditions.statuses == {Status.TRUSTED, Status.REJECTED}


SCHEMA = json.loads((Path(language.__file__).parent / "policy.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@given(st.lists(policies.rules(), max_size=4))
def test_the_schema_for_editors_takes_what_is_read(rules: list[dict[str, object]]) -> None:
    VALIDATOR.validate(tomllib.loads(policy_oracle.written(rules).decode()))


def test_the_schema_has_every_key_and_no_other() -> None:
    everything = {
        **dict.fromkeys(SCHEMA["$defs"]["rule"]["properties"], "x"),
        "require": dict.fromkeys(SCHEMA["$defs"]["rule"]["properties"]["require"]["properties"], "x"),
        "signer": dict.fromkeys(SCHEMA["$defs"]["signer"]["anyOf"][1]["properties"], "x"),
    }
    with pytest.raises(PolicyError) as error:
        language.parse(policy_oracle.written([everything]), "p.toml")
    assert not [problem for problem in error.value.problems if "no such key" in problem.text]
    head = "".join(f'{key} = "x"\n' for key in SCHEMA["properties"] if key != "rule")
    with pytest.raises(PolicyError) as error:
        language.parse(head.encode(), "p.toml")
    assert not [problem for problem in error.value.problems if "no such key" in problem.text]
