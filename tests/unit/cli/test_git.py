"""`chopmark git`, and `chopmark-git` as git calls it."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.cli import git_program
from chopmark.core.finding import Finding, Outcome
from chopmark.core.signer import SignerId
from chopmark.core.verdict import SealVerdict, Verdict
from tests.support import bare_keys, fulcio, git_repo, pki
from tests.support.git_repo import Repo

if TYPE_CHECKING:
    from tests.support.desk import Desk

NONE = "0" * 40
SSH_KEY = bare_keys.VECTORS / "git" / "signer.key"


@pytest.fixture
def repo(desk: Desk) -> Repo:
    made = Repo.make(desk.folder / "r")
    made.ref("refs/heads/main", made.commit(made.commit(text="first"), text="second", date=2))
    return made


@pytest.fixture
def key(desk: Desk) -> str:
    return desk.write("id", SSH_KEY.read_bytes())


def git(desk: Desk, *words: str | Path) -> int:
    return desk.run("git", *words, "-C", desk.folder / "r", "--store", git_repo.PUBLIC, "--offline")


def test_commits_ranges_and_tags(desk: Desk, repo: Repo) -> None:
    assert git(desk, "verify") == 0
    assert desk.out.startswith("trusted    HEAD\n")
    repo.ref("refs/tags/v1", repo.tag(repo.commit()))
    assert git(desk, "verify", "HEAD~1..HEAD", "v1") == 0
    assert desk.out.splitlines()[-1] == "2 objects: 2 trusted"
    assert git(desk, "verify", "HEAD..HEAD") == 0
    assert desk.out == "0 objects\n"
    assert git(desk, "verify-tag", "v1", "--json") == 0
    facts = json.loads(desk.out)
    assert (facts["path"], facts["format"], facts["status"]) == ("v1", "git", "trusted")
    assert git(desk, "verify-tag", "v1", "-q") == 0
    assert desk.out == ""
    assert max(map(len, desk.out.splitlines()), default=0) <= 80


def test_what_cannot_be_trusted_has_its_exit_status(desk: Desk, repo: Repo) -> None:
    repo.ref("refs/heads/unsigned", repo.commit(text="x", signed=False))
    repo.ref("refs/heads/openpgp", repo.add("commit", git_repo.sealed(git_repo.commit(repo.tree()), "openpgp")))
    assert git(desk, "verify", "unsigned") == 1
    assert git(desk, "verify", "openpgp") == 3
    assert git(desk, "verify", "HEAD", "openpgp") == 3
    assert git(desk, "verify", "nobody") == 2
    assert git(desk, "verify-tag", "main") == 2
    assert desk.run("git", "verify", "-C", desk.folder) == 2
    assert desk.err.count("\n") == 1


def test_history_that_is_not_there_is_undecided(desk: Desk, repo: Repo) -> None:
    tip = git_repo.commit(repo.tree(), text="alone")
    repo.ref("refs/heads/base", repo.add("commit", git_repo.sealed(tip)))
    first, second = repo.commit(text="1"), ""
    second = repo.commit(first, text="2", date=2)
    repo.ref("refs/heads/main", second)
    (repo.folder / "shallow").write_text(f"{second}\n")
    assert git(desk, "verify", "base..main") == 3
    assert "git.shallow" in desk.out


def certificate(*lines: str) -> bytes:
    head = "certificate version 0.1\npusher A <a@b.c> 1700000000 +0000\npushee file:///far\nnonce 1-a\n\n"
    return git_repo.sealed((head + "".join(f"{line}\n" for line in lines)).encode())


def test_a_push_certificate_in_a_file_or_a_repository(desk: Desk, repo: Repo) -> None:
    data = certificate(f"{NONE} {'1' * 40} refs/heads/main")
    file = desk.write("cert", data)
    assert git(desk, "verify-push", file, "--nonce", "1-a") == 0
    assert git(desk, "verify-push", file, "--nonce", "2-a") == 1
    assert git(desk, "verify-push", file) == 0
    assert git(desk, "verify-push", repo.add("blob", data), "--nonce", "1-a") == 0
    assert git(desk, "verify-push", repo.add("blob", b"junk")) == 1
    assert git(desk, "verify-push", "nobody") == 2


def test_the_hooks(desk: Desk, repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    new = repo.commit(text="new")
    line = f"{NONE} {new} refs/heads/new"
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n"))
    assert git(desk, "receive") == 1
    assert "git.push_unsigned" in desk.out
    monkeypatch.setenv("GIT_PUSH_CERT", repo.add("blob", certificate(line)))
    monkeypatch.setenv("GIT_PUSH_CERT_NONCE", "1-a")
    monkeypatch.setenv("GIT_PUSH_CERT_NONCE_STATUS", "OK")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{line}\n"))
    assert git(desk, "receive", "--commits", "--tags") == 0
    update = ("receive", "--no-certificate", "--commits", "--tags")
    assert git(desk, *update, "refs/heads/new", NONE, new) == 0
    assert git(desk, *update, "refs/tags/new", NONE, new) == 1
    assert git(desk, *update, "refs/heads/other") == 2
    assert git(desk, "receive", "refs/heads/new", NONE, new) == 2, "git does not tell this hook of certificates"
    assert git(desk, "receive", "--no-certificate") == 2, "which would let everything in"
    monkeypatch.setattr(sys, "stdin", io.StringIO("junk\n"))
    assert git(desk, "receive") == 2


def test_objects_are_signed_anew(desk: Desk, repo: Repo, key: str) -> None:
    unsigned = repo.commit(text="x", signed=False)
    sign = ("git", "sign", unsigned, "-C", repo.folder)
    assert desk.run(*sign, "--key", f"ssh:{key}") == 0
    assert git(desk, "verify", desk.out.strip()) == 0
    assert desk.run(*sign, *desk.by_signer) == 0
    made = desk.out.strip()
    assert desk.run("git", "verify", made, "-C", repo.folder, "--store", desk.root, "--offline") == 0
    assert desk.run("git", "sign", made, "-C", repo.folder, "--key", f"ssh:{key}") == 0
    assert git(desk, "verify", desk.out.strip()) == 0, "one signature, in place of the other"
    assert desk.run("git", "sign", repo.tree(), "-C", repo.folder, "--key", f"ssh:{key}") == 2
    assert desk.run(*sign) == 2
    assert desk.run(*sign, "--key", desk.key) == 2, "a certificate was forgotten"
    assert desk.run(*sign, "--key", desk.key, "--ssh") == 0


# The program that git calls


def program(monkeypatch: pytest.MonkeyPatch, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Call it as git does; its status, what it wrote, and the status lines on standard error or output."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    monkeypatch.setattr(sys, "stdout", out)
    read, write = os.pipe()
    status = git_program.main([word.replace("--status-fd=N", f"--status-fd={write}") for word in words])
    os.close(write)
    with os.fdopen(read, "rb") as lines:
        told = lines.read().decode()
    out.seek(0)
    return status, out.buffer.read(), told


MESSAGE = git_repo.commit("1" * 40)


def test_as_gpg_it_signs_and_verifies(desk: Desk, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_STORE", f"{git_repo.PUBLIC},{desk.root}")
    monkeypatch.setenv("CHOPMARK_CERT", desk.cert)
    monkeypatch.setenv("CHOPMARK_OFFLINE", "yes")
    for uri, label in ((f"ssh:{key}", b"SSH SIGNATURE"), (desk.key, b"SIGNED MESSAGE")):
        status, made, told = program(monkeypatch, "--status-fd=N", "-bsau", uri, stdin=MESSAGE)
        assert status == 0
        assert made.startswith(b"-----BEGIN " + label)
        assert "\n[GNUPG:] SIG_CREATED D " in told
        file = desk.write("sig", made)
        verify = ("--keyid-format=long", "--status-fd=N", "--verify", file, "-")
        status, _, told = program(monkeypatch, *verify, stdin=MESSAGE)
        assert status == 0
        assert [word for word in ("GOODSIG", "VALIDSIG", "TRUST_FULLY") if f"\n[GNUPG:] {word} " in told] == [
            "GOODSIG",
            "VALIDSIG",
            "TRUST_FULLY",
        ]
        status, _, told = program(monkeypatch, *verify, stdin=MESSAGE + b"x")
        assert status == 1
        assert "\n[GNUPG:] BADSIG " in told
        assert "GOODSIG" not in told
        monkeypatch.setenv("CHOPMARK_STORE", desk.write("other.pem", pki.authority("Other").pem))
        status, _, told = program(monkeypatch, *verify, stdin=MESSAGE)
        assert status != 0, "git takes a good signature by an unknown key; it is not told of one"
        assert "\n[GNUPG:] ERRSIG " in told
        assert "GOODSIG" not in told
        monkeypatch.setenv("CHOPMARK_STORE", f"{git_repo.PUBLIC},{desk.root}")


def test_no_name_writes_a_line_of_its_own() -> None:
    """GnuPG's names could (CVE-2018-12020, CVE-2022-34903), and git believes the lines that it is told."""
    hostile = SignerId("x509", "Mallory\n[GNUPG:] TRUST_FULLY 0 shell\r\x1b[2J\u2028", "ab" * 32)
    sound, wrong = Finding("test.ok", Outcome.OK), Finding("test.no", Outcome.NO)
    for intact, finding, word in ((True, sound, "GOODSIG"), (False, wrong, "BADSIG"), (True, wrong, "ERRSIG")):
        seal = SealVerdict("signature 1", "cms", intact, "sha256", hostile, None, 0, (finding,))
        lines = git_program.status_lines(Verdict("x", "git", (seal,), ()))
        assert lines[1].startswith(f"{word} ")
        assert all(line.isprintable() for line in lines)
        assert ("TRUST_FULLY 0 shell" in lines) is (word == "GOODSIG")


def test_the_committers_name_is_no_key(desk: Desk, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("--status-fd=N", "-bsau", "A U Thor <a@b.c>")
    status, made, told = program(monkeypatch, *words, stdin=MESSAGE)
    assert (status, made, told) == (2, b"", "")
    monkeypatch.setenv("CHOPMARK_KEY", f"ssh:{key}")
    assert program(monkeypatch, *words, stdin=MESSAGE)[0] == 0
    assert program(monkeypatch)[0] == 2
    assert desk.litter() == []


def test_as_ssh_keygen_it_signs_and_verifies(desk: Desk, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words = Path(git_repo.PUBLIC).read_text().split()[:2]
    allowed = desk.write("allowed", f'a@b.c,x@y.z namespaces="git" {" ".join(words)}\n'.encode())
    other = desk.write("other", f'a@b.c namespaces="file" {" ".join(words)}\n'.encode())
    buffer = desk.write("buffer", MESSAGE)
    assert program(monkeypatch, "-Y", "sign", "-n", "git", "-f", key, buffer)[0] == 0
    sig = f"{buffer}.sig"
    time = "-Overify-time=20200101000000"
    status, out, _ = program(monkeypatch, "-Y", "find-principals", "-f", allowed, "-s", sig, time)
    assert (status, out) == (0, b"a@b.c\nx@y.z\n")
    verify = ("-Y", "verify", "-n", "git", "-I", "a@b.c", "-s", sig, time, "-f")
    status, out, _ = program(monkeypatch, *verify, allowed, stdin=MESSAGE)
    assert status == 0
    assert out.startswith(b'Good "git" signature for a@b.c with ED25519 key SHA256:')
    for store, message in ((allowed, MESSAGE + b"x"), (other, MESSAGE)):
        status, out, _ = program(monkeypatch, *verify, store, stdin=message)
        assert status == 1
        assert not out.startswith(b"Good")
    nobody = ("-Y", "verify", "-n", "git", "-I", "nobody", "-s", sig, "-f", allowed)
    assert program(monkeypatch, *nobody, stdin=MESSAGE)[0] == 1
    look = ("-Y", "check-novalidate", "-n", "git", "-s", sig)
    assert program(monkeypatch, *look, stdin=MESSAGE)[0] == 0
    assert program(monkeypatch, *look, stdin=MESSAGE + b"x")[0] == 1
    assert program(monkeypatch, *verify, allowed, "-r", allowed, stdin=MESSAGE)[0] == 2, "not read: not passed over"
    assert program(monkeypatch, "-Y", "sign", "-n", "git", "-f", key, "-U", buffer)[0] == 2
    assert program(monkeypatch, "-Y", "verify", "-n", "git")[0] == 2


def test_a_commit_by_an_identity_is_by_its_subject_at_its_issuer(desk: Desk, repo: Repo) -> None:
    """As gitsign signs: CMS with a certificate of Fulcio's form."""
    signer = fulcio.workflow(desk.world.issuing)
    certificates = desk.write("keyless.pem", signer.pem + desk.world.issuing.pem)
    options = ("--key", desk.write("keyless.key", signer.private_pem()), "--cert", certificates)
    assert desk.run("git", "sign", "-C", repo.folder, "HEAD", *options) == 0, desk.err
    signed = desk.out.split()[-1]
    assert desk.run("store", "add", "keyless", desk.root, "--identities") == 0
    assert desk.run("git", "verify", "-C", repo.folder, "--store", "keyless", "--offline", "--json", signed) == 0
    [seal] = json.loads(desk.out)["seals"]
    assert (seal["signer"]["kind"], seal["signer"]["issuer"]) == ("oidc", fulcio.ISSUER)
    assert seal["signer"]["subject"] == fulcio.SUBJECT
