import datetime as dt
import io
import json
import sys
from importlib import resources

import jsonschema
import pytest

from chopmark.cli import output, sarif
from chopmark.core import reasons
from chopmark.core.finding import Finding
from chopmark.core.signer import SignerId
from chopmark.core.verdict import SealVerdict, Verdict
from chopmark.engine import report

WHEN = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
SIGNER = SignerId("x509", "CN=Example\x1b[31m, O=Mint", "ab" * 32, (("serial", "01"), ("issuer", "CN=Root")))


def verdict(*findings: Finding, path: str = "folder/app.exe") -> Verdict:
    seal = SealVerdict("signature 1", "authenticode", not findings, "sha256", SIGNER, WHEN, 0, findings)
    return Verdict(path, "pe", (seal,), (reasons.FORMAT_DETECTED.found("PE image"),))


GOOD = verdict(reasons.DIGEST_MATCH.found("image, sha256"))
BAD = verdict(reasons.DIGEST_MISMATCH.found("image, sha256"))
GONE = Verdict("gone", "", (), (reasons.INPUT_MISSING.found(),))
UNSIGNED = Verdict("plain.sh", "script", (), (reasons.SEAL_NONE.found(),))


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("judged", [GOOD, BAD, GONE, UNSIGNED], ids=lambda judged: str(judged.status))
def test_json_keeps_its_schema(judged: Verdict) -> None:
    schema = json.loads(resources.files("chopmark.engine").joinpath("verdict.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(json.dumps(report.as_dict(judged))), schema)


def test_the_reason_and_its_remedy_are_told_in_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "width", lambda: 80)
    shown = output.show_verdict(BAD)
    assert shown.startswith("rejected   folder/app.exe\n")
    assert "digest.mismatch" in shown
    assert "-> " in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_passed_checks_are_shown_only_when_asked() -> None:
    assert "digest.match" not in output.show_verdict(GOOD)
    assert "digest.match" in output.show_verdict(GOOD, verbose=True)


def test_no_file_steers_the_terminal() -> None:
    hostile = verdict(path="evil\x1b]0;title\x07.exe")
    assert "\x1b" not in output.show_verdict(hostile)
    assert "\x07" not in output.show_verdict(hostile)


def test_colour_only_on_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert output.coloured(_Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not output.coloured(_Terminal())


def test_sarif_has_a_rule_for_each_result() -> None:
    log = sarif.log([GOOD, BAD, GONE, UNSIGNED])
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [result["ruleId"] for result in run["results"]] == ["digest.mismatch", "input.missing", "seal.none"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert [result["level"] for result in run["results"]] == ["error", "warning", "error"]


def test_sarif_writes_paths_as_uris() -> None:
    results = sarif.log([verdict(reasons.DIGEST_MISMATCH.found(), path="/a b/ü#.exe")])["runs"][0]["results"]
    location = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]
    assert location == {"uri": "file:///a%20b/%C3%BC%23.exe"}


@pytest.mark.parametrize("text", ["", "short", "word " * 60, "x" * 300, "a " + "y" * 200 + " b", "z" * 69 + " end"])
def test_text_is_filled_to_the_width_and_nothing_gets_lost(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "width", lambda: 80)
    filled = output.filled(text)
    assert all(line.startswith(output.INDENT) and len(line) <= 80 for line in filled.splitlines())
    assert "".join(filled.split()) == "".join(text.split())


def test_an_error_is_one_clean_line_of_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    output.complain("two\nlines\x1b[2J " + "x" * 5000, "some\npath")
    said = capsys.readouterr().err
    assert said.startswith("chopmark: some path: two lines\\x1b[2J xxx")
    assert said.count("\n") == 1
    assert len(said) < 1100


def test_every_invisible_character_is_written_out() -> None:
    assert output.clean("a\x07\x85\u202e\U000e0041\udcff b") == "a\\x07\\x85\\u202e\\U000e0041\\udcff b"


def test_rows_are_cut_for_terminals_and_whole_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "valid  CN=" + "x" * 200
    assert output.row(line) == line
    monkeypatch.setattr(sys, "stdout", _Terminal())
    assert output.row(line) == line[: output.width() - 1] + "…"
    assert output.row("short") == "short"
