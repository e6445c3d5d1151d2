"""git 2.39 with gpg, ssh-keygen and gpgsm: it takes what we sign, we take what it signs, both refuse the tampered."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.cli import main
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

WHO = "A U Thor <author@example.org>"
PROGRAM = Path(sys.executable).with_name("chopmark-git")
NOW = dt.datetime.now(dt.UTC)
SINCE, UNTIL = NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=30)
FORMATS = ("openpgp", "ssh", "x509")
HASHES = ("sha1", "sha256")


def run(
    *command: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, input=stdin, capture_output=True, check=False, env={**os.environ, **(env or {})})


class Keys(NamedTuple):
    """For each kind: git's own program, what it signs with, what chopmark signs with, and the store that knows it."""

    home: Path
    programs: dict[str, str]
    theirs: dict[str, str]
    ours: dict[str, str]
    stores: dict[str, Path]
    certificate: Path


def imported(leaf: pki.Entity, path: Path, *gpgsm: str | Path) -> bool:
    """Give a key to gpgsm, whose reader of PKCS #12 fails every now and then, depending on the salt."""
    old = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048).hmac_hash(hashes.SHA1())  # noqa: S303 - for gpgsm
    encryption = old.key_cert_algorithm(pkcs12.PBES.PBESv1SHA1And3KeyTripleDESCBC).build(b"x")
    key: Any = leaf.private_key
    path.write_bytes(pkcs12.serialize_key_and_certificates(b"x", key, leaf.certificate, None, encryption))
    return run(*gpgsm, "--passphrase-fd", "0", "--import", path, stdin=b"x\n").returncode == 0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keys]:
    """An OpenPGP key in gpg's home, an SSH key, and a certificate in gpgsm's."""
    folder = tmp_path_factory.mktemp("k")
    home = folder / "h"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", home, "--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", "")
    assert run(*gpg, "--quick-generate-key", WHO, "ed25519", "sign", "never").returncode == 0
    assert run(*gpg, "-o", folder / "public.gpg", "--export").returncode == 0
    assert run(*gpg, "-o", folder / "secret.gpg", "--export-secret-keys").returncode == 0
    (folder / "secret.gpg").chmod(0o600)
    assert run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", WHO, "-f", folder / "key").returncode == 0
    words = (folder / "key.pub").read_text().split()
    (folder / "allowed").write_text(f"author@example.org {words[0]} {words[1]}\n")
    root = pki.authority("Git Root", kind="rsa3072", since=SINCE, until=UNTIL)
    both = (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION)
    leaf = pki.leaf(root, "Git Signer", kind="rsa3072", purposes=both, since=SINCE, until=UNTIL)
    (folder / "root.pem").write_bytes(root.pem)
    (folder / "leaf.pem").write_bytes(leaf.pem)
    (folder / "leaf.key").write_bytes(leaf.private_pem())
    (folder / "leaf.key").chmod(0o600)
    (home / "gpgsm.conf").write_text("disable-crl-checks\ndisable-dirmngr\nbatch\npinentry-mode loopback\n")
    sha1 = run("openssl", "x509", "-noout", "-fingerprint", "-sha1", "-in", folder / "root.pem").stdout
    fingerprint = sha1.decode().strip().partition("=")[2]
    (home / "trustlist.txt").write_text(f"{fingerprint} S relax\n")
    run("gpgconf", "--homedir", home, "--kill", "all")
    sm = ("gpgsm", "--homedir", home, "--batch", "--pinentry-mode", "loopback")
    assert run(*sm, "--import", folder / "root.pem").returncode == 0
    assert any(imported(leaf, folder / "leaf.p12", *sm) for _ in range(10))
    (folder / "pass").write_text("x\n")
    wrapper = folder / "gpgsm"  # whom nobody is there to ask
    wrapper.write_text(f'#!/bin/sh\nexec gpgsm --passphrase-fd 3 "$@" 3<{folder}/pass\n')
    wrapper.chmod(0o755)
    yield Keys(
        home,
        {"openpgp": "gpg", "ssh": "ssh-keygen", "x509": str(wrapper)},
        {"openpgp": WHO, "ssh": str(folder / "key"), "x509": "Git Signer"},
        {
            "openpgp": f"openpgp:{folder / 'secret.gpg'}",
            "ssh": f"ssh:{folder / 'key'}",
            "x509": str(folder / "leaf.key"),
        },
        {"openpgp": folder / "public.gpg", "ssh": folder / "allowed", "x509": folder / "root.pem"},
        folder / "leaf.pem",
    )
    run("gpgconf", "--homedir", home, "--kill", "all")


class Repo(NamedTuple):
    """A repository in which git signs with its own program, or with ours."""

    folder: Path
    keys: Keys
    kind: str
    env: dict[str, str]

    def git(self, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return run("git", "-C", self.folder, *words, stdin=stdin, env=self.env)

    def must(self, *words: str | Path, stdin: bytes = b"") -> str:
        done = self.git(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def by(self, *, us: bool) -> Repo:
        """Let git use our program, or its own."""
        own = self.keys.programs[self.kind]
        self.must("config", f"gpg.{self.kind}.program", PROGRAM if us else own)
        self.must("config", "user.signingKey", (self.keys.ours if us else self.keys.theirs)[self.kind])
        return self

    def commit(self, text: str = "why") -> str:
        (self.folder / "file").write_text(text)
        self.must("add", "file")
        self.must("commit", "-q", "-S", "-m", text)
        return self.must("rev-parse", "HEAD")

    def ours(self, *words: str) -> int:
        store = str(self.keys.stores[self.kind])
        return main(["git", *words, "-C", str(self.folder), "--store", store, "--offline"])

    def damage(self, name: str, change: tuple[bytes, bytes]) -> str:
        """Write an object that is like another one but for a change; its id."""
        kind = self.must("cat-file", "-t", name)
        data = self.git("cat-file", kind, name).stdout
        assert change[0] in data
        made = self.git("hash-object", "-t", kind, "-w", "--stdin", "--literally", stdin=data.replace(*change, 1))
        return made.stdout.decode().strip()


@pytest.fixture(params=FORMATS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=HASHES)
def repo(request: pytest.FixtureRequest, keys: Keys, kind: str, tmp_path: Path) -> Repo:
    return made(keys, kind, tmp_path / "repo", request.param)


def made(keys: Keys, kind: str, folder: Path, algorithm: str = "sha1") -> Repo:
    folder.mkdir()
    config = folder.parent / "config"
    config.mkdir(exist_ok=True)
    env = {
        "GNUPGHOME": str(keys.home),
        "HOME": str(folder.parent),
        "CHOPMARK_HOME": str(config),
        "CHOPMARK_STORE": str(keys.stores[kind]),
        "CHOPMARK_OFFLINE": "yes",
        "CHOPMARK_CERT": str(keys.certificate),
    }
    repo = Repo(folder, keys, kind, env)
    repo.must("init", "-q", f"--object-format={algorithm}", "-b", "main")
    for name, value in (
        ("user.name", "A U Thor"),
        ("user.email", "author@example.org"),
        ("gpg.format", kind),
        ("gpg.ssh.allowedSignersFile", str(keys.stores["ssh"])),
    ):
        repo.must("config", name, value)
    return repo.by(us=False)


@pytest.mark.parametrize("us", [True, False], ids=["ours", "theirs"])
def test_commits_and_tags_both_ways(repo: Repo, us: bool) -> None:  # noqa: FBT001 - a case
    repo.by(us=us)
    for number in range(3):
        repo.commit(f"{number}")
    repo.must("tag", "-s", "v1", "-m", "the first")
    for judge in (True, False):
        repo.by(us=judge)
        for words in (("verify-commit", "HEAD", "HEAD~1", "HEAD~2"), ("verify-tag", "v1")):
            done = repo.git(*words)
            assert done.returncode == 0, (judge, done.stderr.decode())
    assert repo.ours("verify", "HEAD", "HEAD~2..HEAD", "v1") == 0
    assert repo.ours("verify-tag", "v1") == 0
    repo.must("gc", "-q")
    assert repo.ours("verify", "HEAD~2..HEAD", "v1") == 0


def test_both_refuse_the_tampered(repo: Repo) -> None:
    good = repo.commit("good")
    repo.must("tag", "-s", "v1", "-m", "the first")
    changed = [
        repo.damage(good, (b"\n\ngood", b"\n\nevil")),
        repo.damage(good, (b"A U Thor <", b"E V Il <")),
        repo.damage("v1", (b"the first", b"the third")),
    ]
    for name in changed:
        verb = f"verify-{repo.must('cat-file', '-t', name)}"
        for us in (True, False):
            assert repo.by(us=us).git(verb, name).returncode != 0
        assert repo.ours("verify", name) == 1


def test_strangers_are_refused_by_us_and_by_git_with_us(repo: Repo, tmp_path: Path) -> None:
    """gpg calls a signature good by a key of unknown trust, and git takes it; with chopmark it does not."""
    good = repo.commit()
    empty = tmp_path / "empty.pem"
    empty.write_bytes(pki.world().root.pem)
    assert main(["git", "verify", good, "-C", str(repo.folder), "--store", str(empty), "--offline"]) in (1, 3)
    repo.env["CHOPMARK_STORE"] = str(empty)
    repo.must("config", "gpg.ssh.allowedSignersFile", empty)
    assert repo.by(us=True).git("verify-commit", good).returncode != 0
    if repo.kind == "openpgp":
        assert repo.by(us=False).git("verify-commit", good).returncode == 0


def test_a_merged_tag_is_verified_inside_of_the_merge(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    repo.commit("base")
    repo.must("checkout", "-q", "-b", "side")
    (repo.folder / "other").write_text("x")
    repo.must("add", "other")
    repo.must("commit", "-q", "-S", "-m", "side")
    repo.must("tag", "-s", "v2", "-m", "merge me")
    repo.must("checkout", "-q", "main")
    repo.must("merge", "-q", "-S", "--no-ff", "--no-edit", "v2")
    assert b"\nmergetag object " in repo.git("cat-file", "commit", "HEAD").stdout
    assert repo.ours("verify", "HEAD") == 0
    bad = repo.damage("HEAD", (b" merge me", b" merge it"))
    assert repo.ours("verify", bad) == 1


def test_a_tag_in_the_place_of_another(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    repo.commit("one")
    repo.must("tag", "-s", "v1", "-m", "vulnerable")
    repo.must("update-ref", "refs/tags/v2", repo.must("rev-parse", "refs/tags/v1"))
    assert repo.git("verify-tag", "v2").returncode == 0, "git sees nothing wrong"
    assert repo.ours("verify-tag", "v2") == 1
    assert repo.ours("verify", "v2") == 1
    assert repo.ours("verify-tag", "v1") == 0


def test_a_ref_whose_name_has_a_line_break_of_unicodes_hides_no_other(keys: Keys, tmp_path: Path) -> None:
    """A clone packs the refs of whoever it is from, and git ends a line at a line feed alone."""
    repo = made(keys, "ssh", tmp_path / "repo")
    repo.commit("good")
    repo.must("tag", "-s", "v1", "-m", "v1")
    signed = repo.must("rev-parse", "refs/tags/v1")
    repo.must("update-ref", "refs/tags/v1\u2028x", signed)
    repo.must("update-ref", "refs/tags/v1", repo.must("rev-parse", "HEAD"))
    repo.must("pack-refs", "--all")
    assert repo.must("rev-parse", "v1") != signed
    assert repo.ours("verify-tag", "v1") == 1, "what git checks out is not signed"


def test_replaced_objects_fool_nobody(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    good = repo.commit("good")
    bad = repo.damage(good, (b"\n\ngood", b"\n\nevil"))
    repo.must("replace", bad, good)
    assert repo.git("verify-commit", bad).returncode == 0, "git verifies the replacement"
    assert repo.ours("verify", bad) == 1
    repo.must("replace", "-d", bad)
    repo.must("replace", "-f", good, bad)
    assert repo.ours("verify", good) == 1, "the signature is good, and git shows something else"


@pytest.mark.parametrize("below", ["v1:a", "v1^{tree}", "v1^{commit}"])
def test_files_in_the_place_of_signed_ones_fool_nobody(keys: Keys, tmp_path: Path, below: str) -> None:
    """Commit and tag are as they were signed; what git shows of them, and checks out, is not."""
    repo = made(keys, "ssh", tmp_path / "repo")
    (repo.folder / "a").write_text("good\n")
    repo.must("add", "a")
    repo.commit("good")
    repo.must("tag", "-s", "-m", "v1", "v1")
    signed = repo.must("rev-parse", below)
    (repo.folder / "a").write_text("evil\n")
    repo.must("commit", "-q", "-a", "-m", "evil", "--no-gpg-sign")
    repo.must("replace", signed, repo.must("rev-parse", below.replace("v1", "HEAD")))
    assert repo.must("show", "v1:a") == "evil"
    assert repo.git("verify-tag", "v1").returncode == 0, "git sees nothing wrong"
    assert repo.ours("verify-tag", "v1") == 1
    assert repo.ours("verify", "v1") == 1


def test_a_header_that_git_does_not_count(keys: Keys, tmp_path: Path) -> None:
    """git leaves every header that begins with gpgsig out of what is signed."""
    repo = made(keys, "ssh", tmp_path / "repo")
    good = repo.commit("good")
    bad = repo.damage(good, (b"\ngpgsig ", b"\ngpgsigned by the pope\ngpgsig "))
    assert repo.git("verify-commit", bad).returncode == 0, "git sees nothing wrong"
    assert repo.ours("verify", bad) == 1


def test_an_object_under_a_wrong_id(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    good, other = repo.commit("good"), repo.commit("other")
    path = repo.folder / ".git" / "objects"
    source, target = path / good[:2] / good[2:], path / other[:2] / other[2:]
    target.chmod(0o644)
    shutil.copy(source, target)
    assert repo.ours("verify", other) == 1
    target.write_bytes(zlib.compress(b"commit 3\0abc"))
    assert repo.ours("verify", other) == 1


def test_shallow_clones_say_so(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    for number in range(5):
        repo.commit(f"{number}")
    first = repo.must("rev-parse", "HEAD~4")
    run("git", "clone", "-q", "--depth", "3", f"file://{repo.folder}", tmp_path / "shallow")
    store = str(keys.stores["ssh"])
    shallow = ["git", "verify", "-C", str(tmp_path / "shallow"), "--store", store, "--offline"]
    assert main([*shallow, "HEAD~1..HEAD"]) == 0
    assert main([*shallow, f"{first}..HEAD"]) == 2
    assert main([*shallow, "^HEAD~2", "HEAD"]) == 0
    assert repo.ours("verify", f"{first}..HEAD") == 0


def server(repo: Repo, folder: Path, *options: str) -> Path:
    """A repository to push to, with the gate as its hook."""
    assert run("git", "init", "-q", "--bare", folder).returncode == 0
    run("git", "-C", folder, "config", "receive.certNonceSeed", "a seed")
    hook = folder / "hooks" / "pre-receive"
    chopmark = Path(sys.executable).with_name("chopmark")
    command = [str(chopmark), "git", "receive", "--store", str(repo.keys.stores[repo.kind]), "--offline", *options]
    hook.write_text(f"#!/bin/sh\nexec {' '.join(command)} >&2\n")
    hook.chmod(0o755)
    return folder


@pytest.mark.parametrize("us", [True, False], ids=["ours", "theirs"])
def test_the_gate_lets_signed_pushes_in_and_no_others(keys: Keys, kind: str, us: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    repo = made(keys, kind, tmp_path / "repo").by(us=us)
    if kind == "ssh":  # to name itself in the certificate git asks ssh-keygen, whatever its program is
        repo.must("config", "user.signingKey", keys.theirs[kind])
    repo.commit("one")
    far = server(repo, tmp_path / "far.git")
    repo.must("remote", "add", "far", f"file://{far}")
    plain = repo.git("push", "far", "main")
    assert plain.returncode != 0
    assert b"git.push_unsigned" in plain.stderr
    signed = repo.git("push", "--signed", "far", "main")
    assert signed.returncode == 0, signed.stderr.decode()
    assert run("git", "-C", far, "rev-parse", "main").stdout.decode().strip() == repo.must("rev-parse", "main")
    server(repo, far, "--pushee", f"file://{far}")
    repo.must("tag", "light")
    assert repo.git("push", "--signed", "far", "light").returncode == 0
    assert repo.git("push", "far", ":light").returncode != 0
    assert repo.git("push", "--signed", "far", ":light").returncode == 0
    server(repo, far, "--pushee", "file:///elsewhere")
    refused = repo.git("push", "--signed", "far", "light")
    assert refused.returncode != 0
    assert b"git.pushee_wrong" in refused.stderr


def test_the_gate_can_want_commits_and_tags_signed(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    repo.commit("one")
    far = server(repo, tmp_path / "far.git", "--commits", "--tags", "--no-certificate")
    repo.must("remote", "add", "far", f"file://{far}")
    assert repo.git("push", "far", "main").returncode == 0
    repo.must("commit", "-q", "--allow-empty", "-m", "not signed")
    refused = repo.git("push", "far", "main")
    assert refused.returncode != 0
    assert b"seal.none" in refused.stderr
    repo.must("reset", "-q", "--hard", "HEAD~1")
    repo.must("tag", "light")
    assert repo.git("push", "far", "light").returncode != 0
    repo.must("tag", "-s", "v1", "-m", "x")
    assert repo.git("push", "far", "v1").returncode == 0
    repo.must("checkout", "-q", "-b", "side")
    repo.commit("two")
    assert repo.git("push", "far", "side").returncode == 0


def test_an_update_hook_refuses_one_ref_and_takes_the_other(keys: Keys, tmp_path: Path) -> None:
    repo = made(keys, "ssh", tmp_path / "repo")
    repo.commit("one")
    repo.must("checkout", "-q", "-b", "plain")
    repo.must("commit", "-q", "--allow-empty", "-m", "not signed")
    far = server(repo, tmp_path / "far.git", "--no-certificate", "--commits", '"$@"')
    (far / "hooks" / "pre-receive").rename(far / "hooks" / "update")
    assert repo.git("push", f"file://{far}", "main", "plain").returncode != 0
    found = run("git", "-C", far, "for-each-ref", "--format=%(refname)").stdout.decode().split()
    assert found == ["refs/heads/main"]


def test_objects_are_signed_without_git(repo: Repo) -> None:
    repo.must("commit", "-q", "--allow-empty", "-m", "not signed")
    arguments = ["git", "sign", "HEAD", "-C", str(repo.folder), "--key", repo.keys.ours[repo.kind]]
    certified = ["--cert", str(repo.keys.certificate)] if repo.kind == "x509" else []
    chopmark = Path(sys.executable).with_name("chopmark")
    done = run(chopmark, *arguments, *certified)
    assert done.returncode == 0, done.stderr
    made_id = done.stdout.decode().strip()
    assert repo.must("fsck", "--strict", "--no-dangling") == ""
    assert repo.git("verify-commit", made_id).returncode == 0
    assert repo.ours("verify", made_id) == 0
