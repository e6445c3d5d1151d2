"""The command line against the peers, both ways: what it signs they accept, what they make it takes.

Everything here runs `chopmark` as its users do, in processes of its own, with an authority of its own making.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from chopmark.envelopes import pem, timestamp
from chopmark.server import http
from tests.interop import corpus
from tests.interop import pe_peers as peers
from tests.support import pki
from tests.vectors.pe import make

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

CHOPMARK = Path(sys.executable).with_name("chopmark")
SUBJECT = "CN=Interop Ltd, O=Interop Ltd, L=Leeds, C=GB"
PROGRAM = make.with_checksum(make.Pe())
POWERSHELL = b"Write-Output 'this is longer than the marker of a signature'\r\n"
SHELL = b"#!/bin/sh\necho hello\n"
FILES = {"program.exe": PROGRAM, "script.ps1": POWERSHELL, "script.sh": SHELL, "prices.csv": b"name,price\nchop,1\n"}

SARIF = corpus.Package(
    "npm",
    "@microsoft/jest-sarif",
    "1.0.0-beta.0",
    "748e2c3d1a842e7bb258416685c7ea3a0da40005b72267b2052c2856d48ad102",
    22673,
    "MIT",
    "the OASIS schema of SARIF 2.1.0",
    (corpus.Member("package/lib/schemas/sarif-2.1.0-rtm.5.json", (), "the schema"),),
)


@dataclass(frozen=True)
class Office:
    """An authority with its folder, and what it issued: NAME.key and NAME.pem."""

    folder: Path
    url: str

    def run(self, *words: str | Path, status: int = 0, **more: Any) -> str:  # noqa: ANN401 - subprocess.run's options
        """What chopmark prints; it must end with this status."""
        environment = {**os.environ, "CHOPMARK_HOME": str(self.folder / "home"), **more.pop("env", {})}
        done = subprocess.run(
            [str(CHOPMARK), *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **more,
        )
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        return str(done.stdout)

    def who(self, name: str) -> tuple[str, ...]:
        """The options for signing with a key that was issued for."""
        return ("--key", str(self.folder / f"{name}.key"), "--cert", str(self.folder / f"{name}.pem"))

    @property
    def root(self) -> Path:
        return self.folder / "root.pem"

    def verdicts(self, *paths: Path, status: int = 0, options: tuple[str | Path, ...] = ()) -> list[dict[str, Any]]:
        """The lines of --json, each of the shape that the schema in the package promises."""
        lines = self.run("verify", "--json", "--offline", *options, *paths, status=status).splitlines()
        schema = json.loads(resources.files("chopmark.engine").joinpath("verdict.schema.json").read_text("utf-8"))
        found = [json.loads(line) for line in lines]
        for each in found:
            jsonschema.validate(each, schema)
        return found

    def trusted(self, path: Path) -> dict[str, Any]:
        """The verdict, which must be trusted."""
        [found] = self.verdicts(path)
        assert found["status"] == "trusted", found
        return found

    def osslsigncode(self, path: Path, *options: str | Path, fails: bool = False) -> str:
        """What osslsigncode says of a file, with this authority's root."""
        roots = ("-CAfile", self.root, "-TSA-CAfile", self.root)
        said = peers.run("osslsigncode", "verify", *roots, *(options or ("-ignore-crl",)), "-in", path, fails=True)
        assert said.startswith("FAILED") is fails, said
        return said

    def copy(self, name: str, folder: Path) -> Path:
        """A file to sign, in a folder of its own."""
        path = folder / name
        path.write_bytes(FILES[name])
        return path


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """`chopmark tsa serve`; its address."""
    environment = {**os.environ, "CHOPMARK_HOME": str(folder / "home")}
    command = [str(CHOPMARK), "tsa", "serve", "--listen", "127.0.0.1:0", "--quiet"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    bare = Office(folder, "")
    bare.run("ca", "init", "--name", "Interop Ltd", "--url", "http://127.0.0.1:9/", "--type", "p384", "--no-passphrase")
    bare.run("tsa", "init", "--type", "p384", "--no-key-passphrase")
    bare.root.write_text(bare.run("ca", "show", "--pem"))
    for name, kind, profile in (
        ("rsa", "rsa-3072", "code-signing"),
        ("ec", "p256", "code-signing"),
        ("stamps", "p256", "time-stamping"),
        ("leaving", "p256", "code-signing"),
    ):
        issue(bare, name, kind, profile)
    with served(folder) as url:
        yield Office(folder, url)


def issue(office: Office, name: str, kind: str, profile: str) -> None:
    key, certificate = office.folder / f"{name}.key", office.folder / f"{name}.pem"
    made = ("--new-key", key, "--no-key-passphrase", "--type", kind, "--profile", profile, "-o", certificate)
    office.run("ca", "issue", *made, "--subject", SUBJECT)


def openssl(*words: str | Path) -> str:
    return peers.run("openssl", *words)


# Signing and time stamps


@pytest.mark.parametrize("key", ["rsa", "ec"])
@pytest.mark.parametrize("name", FILES)
def test_sign_with_a_time_stamp(office: Office, name: str, key: str, tmp_path: Path) -> None:
    path = office.copy(name, tmp_path)
    office.run("sign", path, *office.who(key), "--timestamp", office.url)
    [seal] = office.trusted(path)["seals"]
    assert seal["signed_at"] is not None
    if name in ("program.exe", "script.ps1"):
        assert "Timestamp Server Signature verification: ok" in office.osslsigncode(path)
    elif name == "prices.csv":
        trust = ("-CAfile", office.root, "-purpose", "any", "-out", tmp_path / "out")
        openssl("cms", "-verify", "-binary", "-inform", "DER", "-in", f"{path}.p7s", "-content", path, *trust)
    else:
        assert subprocess.run(["sh", path], capture_output=True, check=True).stdout == b"hello\n"
    path.write_bytes(path.read_bytes().replace(b"e", b"f", 1))
    assert office.verdicts(path, status=1)[0]["status"] == "rejected"


def test_time_stamps_by_openssl(office: Office, tmp_path: Path) -> None:
    """An authority made of `openssl ts`, with a certificate of ours; one that is not there comes first."""
    certificate, chain = tmp_path / "own.pem", tmp_path / "chain.pem"
    raws = pem.certificates((office.folder / "stamps.pem").read_bytes())
    certificate.write_bytes(pem.encode("CERTIFICATE", raws[0]))
    chain.write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in raws[1:]))
    (tmp_path / "serial").write_text("01\n")
    (tmp_path / "ts.cnf").write_text(
        f"[tsa]\ndefault_tsa = own\n[own]\nserial = {tmp_path}/serial\nsigner_cert = {certificate}\n"
        f"signer_key = {office.folder}/stamps.key\ncerts = {chain}\nsigner_digest = sha384\n"
        "default_policy = 1.2.3.4\ndigests = sha256, sha384\ness_cert_id_chain = no\ness_cert_id_alg = sha256\n"
    )

    def answer(request: http.Request) -> http.Reply:
        (tmp_path / "query").write_bytes(request.body)
        openssl(
            *("ts", "-reply", "-config", tmp_path / "ts.cnf"),
            *("-queryfile", tmp_path / "query", "-out", tmp_path / "reply"),
        )
        return http.Reply((tmp_path / "reply").read_bytes(), timestamp.REPLY_TYPE)

    path = office.copy("program.exe", tmp_path)
    with http.serve({"/": answer}) as url:
        office.run("sign", path, *office.who("ec"), "--timestamp", f"{url}nowhere", "--timestamp", url)
    assert office.trusted(path)["seals"][0]["signed_at"] is not None
    assert "Timestamp Server Signature verification: ok" in office.osslsigncode(path)


@pytest.mark.parametrize("nested", [False, True], ids=["one", "nested"])
def test_what_osslsigncode_signs_and_stamps(office: Office, tmp_path: Path, *, nested: bool) -> None:
    """With its own time-stamp authority, and with ours."""
    path = office.copy("program.exe", tmp_path)
    who = ("-certs", office.folder / "rsa.pem", "-key", office.folder / "rsa.key", "-h", "sha256", "-ph")
    own = ("-TSA-certs", office.folder / "stamps.pem", "-TSA-key", office.folder / "stamps.key")
    peers.run("osslsigncode", "sign", *who, *own, "-in", path, "-out", tmp_path / "1.exe")
    path = tmp_path / "1.exe"
    if nested:
        peers.run("osslsigncode", "sign", "-nest", *who, "-ts", office.url, "-in", path, "-out", tmp_path / "2.exe")
        path = tmp_path / "2.exe"
    seals = office.trusted(path)["seals"]
    assert [seal["nested"] for seal in seals] == [0, 1][: len(seals)]
    assert len(seals) == 1 + nested
    assert all(seal["signed_at"] for seal in seals)


def test_page_hashes_and_a_second_signature(office: Office, tmp_path: Path) -> None:
    path = office.copy("program.exe", tmp_path)
    office.run("sign", path, *office.who("rsa"), "--page-hashes", "--description", "A program")
    office.run("sign", path, *office.who("ec"), "--append", "--page-hashes", "--digest", "sha384")
    assert [seal["digest_algorithm"] for seal in office.trusted(path)["seals"]] == ["sha256", "sha384"]
    said = office.osslsigncode(path)
    assert "Number of verified signatures: 2" in said
    assert "Page hash algorithm  : SHA256" in said
    assert "Text description: A program" in said
    assert "MISMATCH" not in said


# Two steps, and keys in other shapes


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("key", ["rsa", "ec"])
def test_openssl_does_the_one_operation(office: Office, key: str, name: str, tmp_path: Path) -> None:
    path, signature = office.copy(name, tmp_path), tmp_path / "signature"
    certificate = ("--cert", office.folder / f"{key}.pem")
    office.run("sign", path, *certificate, "--digest-only")
    assert path.read_bytes() == FILES[name], "nothing was touched yet"
    openssl("dgst", "-sha256", "-sign", office.folder / f"{key}.key", "-out", signature, f"{path}.tbs")
    office.run("sign", path, *certificate, "--attach", signature, "--timestamp", office.url)
    assert office.trusted(path)["seals"][0]["signed_at"] is not None
    if name in ("program.exe", "script.ps1"):
        office.osslsigncode(path)


def test_openssl_does_it_with_ed25519(office: Office, tmp_path: Path) -> None:
    """Such a key is none that our authority certifies. OpenSSL 3.0 cannot verify what it makes here; chopmark does."""
    path, signature = office.copy("script.sh", tmp_path), tmp_path / "signature"
    world = pki.world("ed25519")
    chain, root, key = tmp_path / "chain.pem", tmp_path / "root.pem", tmp_path / "key"
    chain.write_bytes(world.signer.pem + world.issuing.pem)
    root.write_bytes(world.root.pem)
    key.write_bytes(world.signer.private_pem())
    office.run("sign", path, "--cert", chain, "--digest", "sha512", "--digest-only")
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", f"{path}.tbs", "-out", signature)
    office.run("sign", path, "--cert", chain, "--digest", "sha512", "--attach", signature)
    assert office.verdicts(path, options=("--store", root))[0]["status"] == "trusted"


def test_a_signature_for_another_file_is_not_attached(office: Office, tmp_path: Path) -> None:
    path, signature = office.copy("script.sh", tmp_path), tmp_path / "signature"
    certificate = ("--cert", office.folder / "rsa.pem")
    office.run("sign", path, *certificate, "--digest-only")
    openssl("dgst", "-sha256", "-sign", office.folder / "rsa.key", "-out", signature, f"{path}.tbs")
    path.write_bytes(SHELL.replace(b"hello", b"other"))
    office.run("sign", path, *certificate, "--attach", signature, status=1)
    path.write_bytes(SHELL)
    openssl("dgst", "-sha256", "-sign", office.folder / "leaving.key", "-out", signature, f"{path}.tbs")
    office.run("sign", path, *certificate, "--attach", signature, status=1)
    assert path.read_bytes() == SHELL


@pytest.mark.parametrize("how", ["env", "fd"])
@pytest.mark.parametrize("shape", ["pkcs8", "pkcs12", "pkcs12-old"])
def test_keys_that_openssl_encrypted(office: Office, shape: str, how: str, tmp_path: Path) -> None:
    key, chain, target = office.folder / "rsa.key", office.folder / "rsa.pem", tmp_path / "key"
    target.touch(0o600)
    if shape == "pkcs8":
        openssl("pkcs8", "-topk8", "-v2", "aes-256-cbc", "-in", key, "-out", target, "-passout", "pass:open sesame")
        who = ["--key", f"file:{target}", "--cert", str(chain)]
    else:
        # What Windows of old exports is broken by now as a protection, but still met.
        old = ("-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1") if "old" in shape else ()
        openssl("pkcs12", "-export", "-inkey", key, "-in", chain, "-out", target, "-passout", "pass:open sesame", *old)
        who = ["--key", f"pkcs12:{target}"]
    path = office.copy("program.exe", tmp_path)
    office.run("sign", path, *who, "--passphrase", "env:WORD", status=2, env={"WORD": "open barley"})
    if how == "env":
        office.run("sign", path, *who, "--passphrase", "env:WORD", env={"WORD": "open sesame"})
    else:
        reading, writing = os.pipe()
        os.write(writing, b"open sesame\n")
        os.close(writing)
        office.run("sign", path, *who, "--passphrase", f"fd:{reading}", pass_fds=[reading])
        os.close(reading)
    office.osslsigncode(path)
    office.trusted(path)


# Whole signatures, out and in


def test_a_signature_of_osslsigncode_is_put_in(office: Office, tmp_path: Path) -> None:
    path, theirs, envelope = office.copy("program.exe", tmp_path), tmp_path / "theirs.exe", tmp_path / "signature.der"
    who = ("-certs", office.folder / "rsa.pem", "-key", office.folder / "rsa.key", "-h", "sha256")
    peers.run("osslsigncode", "sign", *who, "-ts", office.url, "-in", path, "-out", theirs)
    for form in ((), ("-pem",)):
        envelope.unlink(missing_ok=True)
        peers.run("osslsigncode", "extract-signature", *form, "-in", theirs, "-out", envelope)
        office.run("sign", path, "--attach", envelope, "-o", tmp_path / "ours.exe")
        assert (tmp_path / "ours.exe").read_bytes() == theirs.read_bytes()
    office.trusted(tmp_path / "ours.exe")


def test_a_signature_of_chopmark_is_put_in_by_osslsigncode(office: Office, tmp_path: Path) -> None:
    path, theirs, envelope = office.copy("program.exe", tmp_path), tmp_path / "theirs.exe", tmp_path / "signature.der"
    office.run("sign", path, *office.who("rsa"), "-o", tmp_path / "ours.exe")
    office.run("inspect", tmp_path / "ours.exe", "--extract", envelope)
    peers.run(
        *("osslsigncode", "attach-signature", "-CAfile", office.root, "-CRLfile", lists(office, tmp_path)),
        *("-sigin", envelope, "-in", path, "-out", theirs),
    )
    assert theirs.read_bytes() == (tmp_path / "ours.exe").read_bytes()
    office.run("strip", theirs)
    assert theirs.read_bytes() == PROGRAM


# Many files, shapes of answers, exit statuses


def test_many_files_in_two_processes(office: Office, tmp_path: Path) -> None:
    paths = []
    for number in range(50):
        path = tmp_path / f"{number:02}.exe"
        path.write_bytes(make.with_checksum(make.Pe(overlay=b"%08d" % number)))
        paths.append(path)
    lines = office.run("sign", "-j", "2", "--json", *office.who("ec"), *paths).splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(path) for path in paths]
    found = office.verdicts(*paths, options=("-j", "2"))
    assert [each["path"] for each in found] == [str(path) for path in paths]
    assert {each["status"] for each in found} == {"trusted"}
    office.osslsigncode(paths[49])


@pytest.fixture
def mixed(office: Office, tmp_path: Path) -> list[Path]:
    """One file of each status, and one that is not there."""
    good, bad = office.copy("program.exe", tmp_path), office.copy("script.sh", tmp_path)
    office.run("sign", good, bad, *office.who("ec"))
    bad.write_bytes(bad.read_bytes() + b"echo more\n")
    return [good, bad, office.copy("script.ps1", tmp_path), tmp_path / "missing \N{SNOWMAN} %.exe"]


def test_exit_statuses(office: Office, mixed: list[Path], tmp_path: Path) -> None:
    good, bad, unsigned, missing = mixed
    office.run("verify", good)
    office.run("verify", good, bad, status=1)
    office.run("verify", unsigned, status=1)
    office.run("verify", good, "--store", tmp_path / "nowhere", status=2)
    office.run("sign", unsigned, status=2)
    office.run("verify", missing, status=3)
    office.run("verify", good, "--revocation", "require", "--offline", status=3)
    office.run("sign", unsigned, *office.who("ec"), "--timestamp", "http://127.0.0.1:9/", status=3)
    assert unsigned.read_bytes() == POWERSHELL, "without a time stamp it is not signed"
    with Path("/dev/full").open("w") as full:
        command = [str(CHOPMARK), "verify", str(good)]
        assert subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False).returncode == 4


def test_json_has_a_line_for_every_file(office: Office, mixed: list[Path]) -> None:
    found = office.verdicts(*mixed, status=1)
    assert [each["status"] for each in found] == ["trusted", "rejected", "unsigned", "undecided"]
    assert [each["path"] for each in found] == [str(path) for path in mixed]


def test_sarif_is_what_oasis_says(office: Office, mixed: list[Path]) -> None:
    schema = json.loads((corpus.fetch(SARIF) / SARIF.members[0].path).read_text("utf-8"))
    log = json.loads(office.run("verify", "--sarif", *mixed, status=1))
    validator = jsonschema.Draft4Validator(schema, format_checker=jsonschema.Draft4Validator.FORMAT_CHECKER)
    assert [error.message for error in validator.iter_errors(log)] == []
    [run] = log["runs"]
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    told = {(result["ruleId"], result["level"]) for result in run["results"]}
    assert {("script.block_trailing", "error"), ("seal.none", "error"), ("input.missing", "warning")} <= told
    assert all(rules[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    places = {result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]}
    assert places == {path.as_uri() for path in mixed[1:]}


# Revocation lists


def lists(office: Office, folder: Path) -> Path:
    """All lists of the authority as they are now, in one PEM file."""
    every = b""
    for name in ("root", "code-signing"):
        office.run("ca", "crl", "--issuer", name, "--pem", "-o", folder / f"{name}.crl")
        every += (folder / f"{name}.crl").read_bytes()
    (folder / "lists.pem").write_bytes(every)
    return folder / "lists.pem"


def test_the_lists_are_understood_by_others(office: Office, tmp_path: Path) -> None:
    stamped, plain = tmp_path / "stamped.exe", tmp_path / "plain.exe"
    for path, more in ((stamped, ("--timestamp", office.url)), (plain, ())):
        path.write_bytes(PROGRAM)
        office.run("sign", path, *office.who("leaving"), *more)
    leaf, above = tmp_path / "leaf.pem", tmp_path / "above.pem"
    raws = pem.certificates((office.folder / "leaving.pem").read_bytes())
    leaf.write_bytes(pem.encode("CERTIFICATE", raws[0]))
    above.write_bytes(b"".join(pem.encode("CERTIFICATE", raw) for raw in raws[1:]))
    check = ("verify", "-x509_strict", "-crl_check_all", "-CAfile", office.root, "-untrusted", above)

    before = lists(office, tmp_path)
    for path in (stamped, plain):
        office.osslsigncode(path, "-CRLfile", before)
    assert openssl(*check, "-CRLfile", before, leaf).endswith("OK\n")
    options = ("--revocation", "prefer", "--crl", before)
    assert {each["status"] for each in office.verdicts(stamped, plain, options=options)} == {"trusted"}

    time.sleep(1.1)  # the list's dates are in seconds, and the time stamp has to be strictly before
    office.run("ca", "revoke", office.folder / "leaving.pem", "--reason", "superseded")
    after = lists(office, tmp_path)
    assert "certificate revoked" in peers.run("openssl", *check, "-CRLfile", after, leaf, fails=True)
    found = office.verdicts(stamped, plain, status=1, options=("--crl", after))
    assert [each["status"] for each in found] == ["trusted", "rejected"]
    assert "revocation.later" in {each["code"] for each in found[0]["seals"][0]["findings"]}
    assert "revocation.revoked" in {each["code"] for each in found[1]["seals"][0]["findings"]}
    assert "certificate revoked" in office.osslsigncode(plain, "-CRLfile", after, fails=True)
    # Known and wrong: to osslsigncode it does not matter when something was revoked (test_traps.py has all cases).
    assert "certificate revoked" in office.osslsigncode(stamped, "-CRLfile", after, fails=True)
