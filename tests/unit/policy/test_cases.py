"""Cases: read strictly, with lines."""

from __future__ import annotations

import datetime as dt

import pytest

from chopmark.policy import cases
from chopmark.policy.source import PolicyError

HEAD = "chopmark-policy-cases = 1\n[[case]]\n"


def test_a_case() -> None:
    text = (
        HEAD
        + 'name = "a"\nexpect = "deny"\nfacts = { path = "/x", writable = false }\nuse = "module"\nat = 2026-01-01\n'
    )
    [case] = cases.parse((text + 'process = { uid = 5 }\nrule = "r"\n').encode(), "dir/cases.toml")
    assert (case.place.line, case.expect, case.kind, case.process.uid, case.rule) == (2, "deny", "module", 5, "r")
    assert case.facts is not None
    assert (case.facts.path, case.facts.writable, bool(case.facts.sha256)) == ("/x", False, True)
    assert case.at == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    [case] = cases.parse((HEAD + 'expect = "allow"\nfile = "a/b"\n').encode(), "dir/cases.toml")
    assert case.path == "dir/a/b"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "chopmark-policy-cases = 1\n",
        HEAD,
        HEAD + 'expect = "deny"',
        HEAD + 'expect = "yes"\nfile = "x"',
        HEAD + 'expect = "deny"\nfile = "x"\nfacts = { path = "/x" }',
        HEAD + 'expect = "deny"\nfacts = { path = "x" }',
        HEAD + 'expect = "deny"\nfacts = { path = "/x", colour = 1 }',
        HEAD + 'expect = "deny"\nfacts = 5',
        HEAD + 'expect = "deny"\nfile = "x"\nprocess = { pid = 1 }',
        HEAD + 'expect = "deny"\nfile = "x"\nprocess = { uid = "root" }',
        HEAD + 'expect = "deny"\nfile = "x"\nmore = 1',
    ],
)
def test_what_is_no_case_is_refused(text: str) -> None:
    with pytest.raises(PolicyError):
        cases.parse(text.encode(), "cases.toml")
