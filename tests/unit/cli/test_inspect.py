import json
from pathlib import Path

import pytest
from cryptography import x509

from chopmark.authority.tsa.tsa import TimeStampAuthority
from chopmark.server import http, routes
from tests.support import certifying, pki
from tests.support.desk import SAMPLES, Desk

JUDGEMENTS = ("trusted", "rejected", "undecided", "unsigned", "valid:", "ok ")


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_it_shows_facts_in_80_columns_and_judges_nothing(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    assert desk.run("inspect", path.name) == 0
    lines = desk.out.splitlines()
    assert lines[0] == path.name
    assert max(map(len, lines)) <= 80
    assert "  computed   the same" in desk.out
    assert not any(word in desk.out for word in JUDGEMENTS)
    again = desk.facts(path)
    assert (again["format"], again["broken"], len(again["seals"])) == (kind, "", 1)


def test_nobody_is_trusted_and_yet_nothing_is_wrong(desk: Desk) -> None:
    stranger = pki.leaf(None, "Stranger")
    key, cert = desk.write("stranger.key", stranger.private_pem()), desk.write("stranger.pem", stranger.pem)
    path = desk.sample("pe")
    assert desk.run("sign", path, "--key", key, "--cert", cert) == 0
    assert desk.run("inspect", path) == 0
    assert "CN=Stranger" in desk.out


def test_a_changed_file_shows_both_digests(desk: Desk) -> None:
    path = desk.signed("script")
    path.write_bytes(path.read_bytes().replace(b"echo", b"ECHO", 1))
    [seal] = desk.facts(path)["seals"]
    [claim] = seal["claims"]
    assert claim["claimed"] != claim["computed"]
    assert desk.run("inspect", path) == 0
    assert claim["claimed"] in desk.out
    assert claim["computed"] in desk.out


def test_time_stamps_and_their_authority_are_shown(desk: Desk) -> None:
    tsa = pki.world().tsa
    with http.serve(routes.time_stamps(TimeStampAuthority(tsa, tsa.certificates))) as url:
        path = desk.signed("pe", "", "--timestamp", url)
    assert desk.run("inspect", path) == 0
    assert "  time stamp   20" in desk.out
    assert "  authority    CN=Example Time" in desk.out


def test_what_is_unsigned_or_broken_is_told(desk: Desk) -> None:
    broken = desk.write("broken.exe", SAMPLES["pe"].read_bytes()[:200])
    assert desk.run("inspect", desk.sample("script"), broken) == 0
    assert "  signatures   none" in desk.out
    assert "  broken       " in desk.out
    assert "[pe." in desk.out


def test_of_a_signature_is_told_where_it_is_shown(desk: Desk) -> None:
    path = desk.signed("detached")
    assert desk.run("inspect", f"{path.name}.p7s") == 0
    assert f"  signature of {path.name}" in desk.out
    assert (desk.facts(path)["signature_of"], desk.facts(f"{path}.p7s")["signature_of"]) == ("", str(path))


def test_a_signer_without_a_name_has_an_empty_one(desk: Desk) -> None:
    nameless = pki.issue(x509.Name([]), pki.world().signer.private_key, pki.world().issuing, ())
    path = desk.sample("detached")
    Path(f"{path}.p7s").write_bytes(certifying.sealed(path.read_bytes(), [nameless.der], nameless))
    assert desk.run("inspect", path) == 0
    assert "  certificate  (empty)" in desk.out


def test_what_cannot_be_looked_at_has_one_line_and_the_others_are_shown(desk: Desk) -> None:
    assert desk.run("inspect", "missing", ".", desk.signed("pe")) == 2
    assert desk.err.count("\n") == 2
    assert "signature 1" in desk.out


def test_json_is_a_line_for_each_file(desk: Desk) -> None:
    paths = [str(desk.signed(kind)) for kind in sorted(SAMPLES)]
    assert desk.run("inspect", "--json", *paths) == 0
    assert [json.loads(line)["path"] for line in desk.out.splitlines()] == paths


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_extract_gives_the_signature_that_attach_puts_back(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    beside = Path(f"{path}.p7s")
    signed = (path.read_bytes(), beside.exists() and beside.read_bytes())
    assert desk.run("inspect", path, "--extract", "signature") == 0
    assert desk.run("strip", path) == 0
    assert desk.run("sign", path, "--attach", "signature") == 0, desk.err
    assert (path.read_bytes(), beside.exists() and beside.read_bytes()) == signed


def test_extract_wants_one_signed_file(desk: Desk) -> None:
    assert desk.run("inspect", desk.sample("script"), "--extract", "signature") == 2
    assert desk.run("inspect", "a", "b", "--extract", "signature") == 2
    assert not Path("signature").exists()


def test_an_unknown_format_is_told_once(desk: Desk) -> None:
    assert desk.run("inspect", desk.sample("script"), "b", "--format", "tar") == 2
    assert desk.err.count("\n") == 1
