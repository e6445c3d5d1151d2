"""Keys in a SoftHSM token, made with opensc's pkcs11-tool: what they sign is checked by openssl and osslsigncode.

A module reads its configuration once and keeps it, so that everything runs in processes of its own.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.interop import pe_peers as peers
from tests.support import pki
from tests.vectors.pe import make

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.interop

CHOPMARK = Path(sys.executable).with_name("chopmark")
PIN = "271828"
KINDS = {"rsa": "rsa:3072", "p256": "EC:prime256v1", "p384": "EC:secp384r1", "ed25519": "EC:edwards25519"}
FILES = {
    "program.exe": make.with_checksum(make.Pe()),
    "script.sh": b"#!/bin/sh\necho hello\n",
    "prices.csv": b"name,price\nchop,1\n",
}


def library(name: str) -> str:
    """A shared library of a Debian package, whatever the machine's folder is called."""
    found = [folder / name for folder in (Path("/usr/lib/softhsm"), *Path("/usr/lib").glob("*-linux-gnu"))]
    return str(next(path for path in found if path.exists()))


class _PublicOnly:
    """Stands for a private key that is elsewhere, where only its public half is asked for."""

    def __init__(self, spki: bytes) -> None:
        self._spki = spki

    def public_key(self) -> object:
        return load_der_public_key(self._spki)


@dataclass(frozen=True)
class Hsm:
    """A SoftHSM of its own in a folder, with tokens whose PIN is PIN."""

    folder: Path

    def __post_init__(self) -> None:
        (self.folder / "tokens").mkdir(parents=True)
        self.configure()

    def configure(self, *lines: str) -> None:
        text = "\n".join((f"directories.tokendir = {self.folder}/tokens", "log.level = ERROR", *lines, ""))
        (self.folder / "softhsm2.conf").write_text(text)

    @cached_property
    def module(self) -> str:
        return library("libsofthsm2.so")

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "SOFTHSM2_CONF": f"{self.folder}/softhsm2.conf",
            "CHOPMARK_HOME": f"{self.folder}/home",
            "PKCS11SPY": self.module,
            "PKCS11SPY_OUTPUT": f"{self.folder}/spy.log",
            "TOKEN_PIN": PIN,
            "WRONG_PIN": "314159",
        }

    def run(self, *words: str | Path, status: int = 0, **more: Any) -> str:  # noqa: ANN401 - subprocess.run's options
        done = subprocess.run(
            [str(word) for word in words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **more,
        )
        output: str = done.stdout + done.stderr
        assert done.returncode == status, f"{words}: {done.returncode}\n{output}"
        assert "Traceback" not in output
        return output

    def token(self, label: str) -> str:
        """Make a token; its serial number."""
        before = set(self.serials())
        self.run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "161803")
        [made] = set(self.serials()) - before
        return made

    def serials(self) -> list[str]:
        return re.findall(r"Serial number: +(\S+)", self.run("softhsm2-util", "--show-slots"))

    def tool(self, label: str, *words: str | Path) -> str:
        login = ("--login", "--pin", PIN, "--token-label", label)
        return self.run("pkcs11-tool", "--module", self.module, *login, *words)

    def generate(self, label: str, kind: str, identifier: str, *options: str) -> None:
        """A key pair that never leaves the token, with a certificate of the test world beside it."""
        name = ("--id", identifier, "--label", kind)
        self.tool(label, "--keypairgen", "--key-type", KINDS[kind], *name, *options)
        code = "from chopmark import keys; import sys; k = keys.open_key(sys.argv[1]); print(k.public_key.hex())"
        spki = bytes.fromhex(self.run(sys.executable, "-c", code, self.uri(label, f"id=%{identifier}")).strip())
        held = cast("pki.Key", _PublicOnly(spki))
        purpose = pki.Extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]))
        usage = pki.Extension(pki.key_usage("digital_signature"), critical=True)
        signer = pki.issue(pki.name(f"Token {kind}"), held, pki.world().issuing, (usage, purpose))
        issuing = pki.world().issuing.der
        for number, certificate in ((identifier, signer.der), ("f0", issuing)):
            (self.folder / "certificate.der").write_bytes(certificate)
            written = ("--write-object", self.folder / "certificate.der", "--type", "cert")
            self.tool(label, *written, "--id", number, "--label", kind)
        (self.folder / f"{kind}.pub").write_bytes(spki)
        (self.folder / f"{kind}.pem").write_bytes(signer.pem)

    def uri(self, label: str, key: str, *parameters: str, pin: str = "env:TOKEN_PIN", module: str = "") -> str:
        said = "&".join((f"module-path={module or self.module}", f"pin-source={pin}", *parameters))
        return f"pkcs11:token={label};{key}?{said}"

    def chopmark(self, *words: str | Path, status: int = 0, **more: Any) -> str:  # noqa: ANN401 - subprocess.run's options
        return self.run(CHOPMARK, *words, status=status, **more)

    def python(self, code: str, *arguments: str) -> str:
        """Run a few lines with `signer`, `verify(data)` and `keys` at hand."""
        return self.run(sys.executable, "-c", _PRELUDE + code, *arguments)

    def logins(self) -> int:
        """How often a PIN was presented, by the log of opensc's spy."""
        return (self.folder / "spy.log").read_text("utf-8", "replace").count("C_Login\n")

    def verified(self, *paths: Path) -> None:
        """Every file is trusted by chopmark below the test root."""
        root = self.folder / "root.pem"
        root.write_bytes(pki.world().root.pem)
        store = ("--store", root, "--revocation", "off", "--offline")
        lines = self.chopmark("verify", "--json", *store, *paths).splitlines()
        assert [json.loads(line)["status"] for line in lines] == ["trusted"] * len(paths)


_PRELUDE = """
import os, sys
from chopmark import keys
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import algorithms, der, signatures

def verify(signer, data, name="sha256"):
    identifier = der.parse(algorithms.signature_identifier(signer, name))
    signature = signer.sign(data, name)
    signatures.verify(signer.public_key, algorithms.signature_algorithm(identifier), signature, data)

signer = keys.open_key(sys.argv[1])
"""


@pytest.fixture(scope="module")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> Hsm:
    """One token with a key of each kind."""
    made = Hsm(tmp_path_factory.mktemp("hsm") / "softhsm")
    made.token("build")
    for number, kind in enumerate(KINDS, start=1):
        made.generate("build", kind, f"{number:02}")
    return made


@pytest.fixture
def spare(tmp_path: Path) -> Hsm:
    """A token that a test may break."""
    made = Hsm(tmp_path / "softhsm")
    made.token("spare")
    made.generate("spare", "p256", "01")
    return made


def copies(folder: Path, names: Sequence[str] = tuple(FILES)) -> list[Path]:
    for name in names:
        (folder / name).write_bytes(FILES[name])
    return [folder / name for name in names]


def believed_by_openssl(hsm: Hsm, path: Path) -> None:
    """A detached signature, by openssl cms."""
    root, issuing = hsm.folder / "root.pem", hsm.folder / "issuing.pem"
    issuing.write_bytes(pki.world().issuing.pem)
    signature = ("-inform", "DER", "-in", f"{path}.p7s", "-binary", "-content", path, "-purpose", "any")
    hsm.run("openssl", "cms", "-verify", *signature, "-CAfile", root, "-certfile", issuing, "-out", "/dev/null")
    path.write_bytes(path.read_bytes() + b"x")
    hsm.run("openssl", "cms", "-verify", *signature, "-CAfile", root, "-out", "/dev/null", status=4)


@pytest.mark.parametrize("padding", ["", "padding=pss"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_signs_every_format_in_two_processes(kind: str, padding: str, hsm: Hsm, tmp_path: Path) -> None:
    if padding and kind != "rsa":
        text = hsm.chopmark("sign", "--key", hsm.uri("build", f"object={kind}", padding), __file__, status=2)
        assert "only RSA keys have a padding" in text
        return
    program, script, prices = copies(tmp_path)
    digest = ("--digest", "sha512") if kind == "ed25519" else ()  # RFC 8419 clause 3.1
    key = hsm.uri("build", f"object={kind}", *filter(None, [padding]))
    hsm.chopmark("sign", "-j", "2", *digest, "--key", key, program, script, prices)
    hsm.verified(program, script, prices)
    if kind != "ed25519":  # neither peer has it in CMS
        assert "Token" in peers.run("openssl", "pkcs7", "-inform", "DER", "-in", f"{prices}.p7s", "-print_certs")
        believed_by_openssl(hsm, prices)
        if not padding:  # Authenticode has no PSS
            root = hsm.folder / "root.pem"
            said = peers.run("osslsigncode", "verify", "-CAfile", root, "-ignore-crl", "-in", program, fails=True)
            assert not said.startswith("FAILED"), said


@pytest.mark.parametrize("name", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", KINDS)
def test_openssl_verifies_the_bare_signature(kind: str, name: str, hsm: Hsm, tmp_path: Path) -> None:
    code = "open(sys.argv[2], 'wb').write(signer.sign(open(sys.argv[3], 'rb').read(), sys.argv[4]))"
    [data] = copies(tmp_path, ["prices.csv"])
    signature = tmp_path / "signature"
    hsm.python(code, hsm.uri("build", f"object={kind}"), str(signature), str(data), name)
    key = ("-pubin", "-keyform", "DER", "-inkey", hsm.folder / f"{kind}.pub")
    how = () if kind == "ed25519" else ("-digest", name)
    hsm.run("openssl", "pkeyutl", "-verify", *key, "-rawin", *how, "-sigfile", signature, "-in", data)


@pytest.mark.parametrize("proxy", ["libsofthsm2.so", "libp11-kit.so.0"])
def test_forked_processes_reopen_the_token(proxy: str, hsm: Hsm) -> None:
    """p11-kit knows of the fork, SoftHSM thinks it is initialised: both ways of beginning again."""
    code = """
for round in range(3):
    child = os.fork()
    if not child:
        try:
            for count in range(20):
                verify(signer, b"child %d" % count)
            os._exit(0)
        finally:
            os._exit(1)
    verify(signer, b"parent")
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
verify(signer, b"afterwards")
"""
    for kind in KINDS:
        assert hsm.python(code, hsm.uri("build", f"object={kind}", module=library(proxy))).split() == ["0"] * 3


def test_processes_that_begin_at_the_same_time_do_not_disturb_each_other(spare: Hsm) -> None:
    """Without taking turns a fourth of them finds no token, for SoftHSM rewrites its file at each login."""
    code = """
for round in range(15):
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            try:
                verify(signer, b"data")
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""
    assert spare.python(code, spare.uri("spare", "object=p256")).split() == ["0"] * 60


def test_certificates_come_with_the_key_in_order(hsm: Hsm) -> None:
    found = hsm.python("print(*[raw.hex() for raw in signer.certificates])", hsm.uri("build", "object=p256")).split()
    assert len(found) == 2
    assert bytes.fromhex(found[1]) == pki.world().issuing.der


def test_without_bare_operations_the_token_makes_the_digest(spare: Hsm) -> None:
    spare.generate("spare", "rsa", "02")
    spare.configure("slots.mechanisms = -CKM_MD5_RSA_PKCS,CKM_RSA_PKCS,CKM_RSA_PKCS_PSS")
    code = "print(sorted(m.name for m in signer._session.mechanisms if 'RSA_PKCS' in m.name))\nverify(signer, b'data')"
    for padding in ("padding=pkcs1", "padding=pss"):
        said = spare.python(code, spare.uri("spare", "object=rsa", padding))
        assert "'RSA_PKCS'" not in said
        assert "'RSA_PKCS_PSS'" not in said
        assert "'SHA256_RSA_PKCS_PSS'" in said


@pytest.mark.parametrize(("jobs", "logins"), [(1, 1), (2, 3)])
def test_two_hundred_files_and_one_login_in_each_process(jobs: int, logins: int, spare: Hsm, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.sh" for number in range(200)]
    for number, path in enumerate(files):
        path.write_bytes(b"#!/bin/sh\necho %d\n" % number)
    key = spare.uri("spare", "object=p256", module=library("pkcs11-spy.so"))
    assert "200 files: 200 signed" in spare.chopmark("sign", "-j", str(jobs), "--key", key, *files)
    assert spare.logins() == logins
    spare.verified(*files)


def test_a_wrong_pin_is_presented_once(spare: Hsm, tmp_path: Path) -> None:
    files = copies(tmp_path)
    key = spare.uri("spare", "object=p256", pin="env:WRONG_PIN", module=library("pkcs11-spy.so"))
    text = spare.chopmark("sign", "-j", "2", "--key", key, *files, status=2)
    assert text.count("wrong PIN") == 1
    assert "314159" not in text
    assert spare.logins() == 1
    assert [path.read_bytes() for path in files] == list(FILES.values())


def test_the_pin_from_a_descriptor(hsm: Hsm, tmp_path: Path) -> None:
    [script] = copies(tmp_path, ["script.sh"])
    read, write = os.pipe()
    os.write(write, PIN.encode() + b"\n")
    os.close(write)
    key = hsm.uri("build", "object=p256").replace("&pin-source=env:TOKEN_PIN", "")
    hsm.chopmark("sign", "--key", key, "--passphrase", f"fd:{read}", script, pass_fds=[read])
    os.close(read)
    hsm.verified(script)
    assert "say where its PIN comes from" in hsm.chopmark(
        "sign", "--key", key, script, status=2, stdin=subprocess.DEVNULL
    )


def test_a_lost_session_and_a_token_that_comes_back(spare: Hsm) -> None:
    code = """
verify(signer, b"before")
signer._session.session.close()
verify(signer, b"the session was closed")
tokens = os.environ["SOFTHSM2_CONF"].replace("softhsm2.conf", "tokens")
os.rename(tokens, tokens + ".away")
signer._session.session.close()
for _ in range(2):
    try:
        signer.sign(b"data", "sha256")
    except ChopmarkError as error:
        print("GONE", error.exit_status, error)
os.rename(tokens + ".away", tokens)
verify(signer, b"back")
print("BACK")
"""
    said = spare.python(code, spare.uri("spare", "object=p256")).splitlines()
    assert [line[:6] for line in said if line.startswith(("GONE", "BACK"))] == ["GONE 3", "GONE 3", "BACK"], said


def test_two_keys_of_one_token_in_one_process(hsm: Hsm) -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
other = keys.open_key(sys.argv[2])
for one in (signer, other, signer, other):
    verify(one, b"data")
with ThreadPoolExecutor(4) as pool:
    for _ in pool.map(lambda number: verify((signer, other)[number % 2], b"%d" % number), range(100)):
        pass
signer.close()  # logs out all that this process has with the token
verify(other, b"data")
print("both")
"""
    said = hsm.python(code, hsm.uri("build", "object=p256"), hsm.uri("build", "object=rsa"))
    assert said == "both\n"


def test_without_a_module_it_is_the_one_that_the_system_has(hsm: Hsm, tmp_path: Path) -> None:
    [script] = copies(tmp_path, ["script.sh"])
    hsm.chopmark("sign", "--key", "pkcs11:token=build;object=p256?pin-source=env:TOKEN_PIN", script)
    hsm.verified(script)


def test_a_key_that_wants_its_pin_with_every_signature(spare: Hsm, tmp_path: Path) -> None:
    spare.tool("spare", "--delete-object", "--type", "privkey", "--id", "01")
    spare.tool("spare", "--delete-object", "--type", "pubkey", "--id", "01")
    spare.tool("spare", "--delete-object", "--type", "cert", "--id", "01")
    spare.generate("spare", "p256", "01", "--always-auth")
    files = copies(tmp_path)
    spare.chopmark("sign", "-j", "2", "--key", spare.uri("spare", "object=p256"), *files)
    spare.verified(*files)


def test_two_tokens_of_one_name_are_told_apart_by_serial(spare: Hsm, tmp_path: Path) -> None:
    first = spare.serials()[0]
    second = spare.token("spare")
    [script] = copies(tmp_path, ["script.sh"])
    text = " ".join(spare.chopmark("sign", "--key", spare.uri("spare", "object=p256"), script, status=2).split())
    assert "2 tokens match" in text
    assert first in text
    assert second in text
    spare.chopmark("sign", "--key", spare.uri(f"spare;serial={first}", "object=p256"), script)
    spare.verified(script)
    text = spare.chopmark("sign", "--key", spare.uri(f"spare;serial={second}", "object=p256"), script, status=2)
    assert "not there" in text


def test_a_token_or_key_that_is_not_there(hsm: Hsm, tmp_path: Path) -> None:
    [script] = copies(tmp_path, ["script.sh"])
    text = hsm.chopmark("sign", "--key", hsm.uri("other", "object=p256"), script, status=3)
    assert "token=build" in " ".join(text.split())
    text = hsm.chopmark("sign", "--key", hsm.uri("build", "object=other"), script, status=2)
    assert "object=p256" in " ".join(text.split())
    text = hsm.chopmark("sign", "--key", hsm.uri("build", "type=private"), script, status=2)
    assert "4 private keys match" in " ".join(text.split())


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "p256", "p384", "p521", "ed25519"])
def test_a_key_made_here_never_leaves_the_token_and_signs(kind: str, spare: Hsm, tmp_path: Path) -> None:
    key = spare.uri("spare", f"object=made-{kind}")
    assert "made " in spare.chopmark("key", "new", "--type", kind, "--output", key)
    told = spare.tool("spare", "--list-objects", "--type", "privkey")
    [own] = [part for part in told.split("Private Key Object") if f"made-{kind}" in part]
    assert "never extractable" in own
    assert re.search(r"Usage: +sign\n", own)
    assert "there is a private key of that name" in spare.chopmark(
        "key", "new", "--type", kind, "--output", key, status=2
    )
    assert f"made-{kind}" in spare.chopmark("key", "list", spare.uri("spare", "type=private"))
    [data] = copies(tmp_path, ["prices.csv"])
    public, signature = tmp_path / "public.der", tmp_path / "signature"
    code = """
open(sys.argv[2], 'wb').write(signer.public_key)
open(sys.argv[3], 'wb').write(signer.sign(open(sys.argv[4], 'rb').read(), 'sha256'))
"""
    spare.python(code, key, str(public), str(signature), str(data))
    how = () if kind == "ed25519" else ("-digest", "sha256")
    check = ("openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", public, "-rawin", *how)
    spare.run(*check, "-sigfile", signature, "-in", data)
    data.write_bytes(b"changed")
    spare.run(*check, "-sigfile", signature, "-in", data, status=1)


def test_a_listed_uri_opens_the_key(hsm: Hsm) -> None:
    lines = hsm.chopmark("key", "list", "--json", hsm.uri("build", "type=private")).splitlines()
    assert len(lines) == len(KINDS)
    for found in map(json.loads, lines):
        shown = json.loads(hsm.chopmark("key", "show", "--json", found["key"]))
        assert shown["sha256"] == found["sha256"]


@pytest.mark.parametrize("kind", ["p256", "p384", "rsa-4096"])
def test_a_ca_whose_key_is_in_the_token_issues_and_revokes(kind: str, spare: Hsm, tmp_path: Path) -> None:
    """openssl believes the chain and the lists; nothing of the key is in the authority's folder."""
    ca = tmp_path / "ca"
    here = ("--ca", ca)
    setup = ("--name", "Mint", "--url", "http://pki.example.com/", "--type", "p384", "--no-passphrase", "--no-trust")
    spare.chopmark("ca", "init", *here, *setup)
    key = spare.uri("spare", f"object=ca-{kind}")
    spare.chopmark("key", "new", "--type", kind, "--output", key)
    files = set((ca / "keys").iterdir())
    spare.chopmark("ca", "add", *here, "code-signing", "--key", key)
    assert set((ca / "keys").iterdir()) == files
    spare.chopmark("key", "new", "--type", "p256", "-o", tmp_path / "signer.pem", "--no-passphrase")
    subject = ("--subject", "CN=Example Ltd, O=Example Ltd, L=Leeds, C=GB")
    leaf = tmp_path / "leaf.pem"
    spare.chopmark("ca", "issue", *here, "--key", tmp_path / "signer.pem", *subject, "-o", leaf)
    root = tmp_path / "root.pem"
    root.write_text(spare.chopmark("ca", "show", *here, "--pem"))
    [name] = [path.stem for path in (ca / "public/aia").glob("code-signing-*.cer")]
    lists = tmp_path / "lists.pem"

    def checked(status: int) -> str:
        text = b""
        for issuer in (name, "root"):
            spare.chopmark("ca", "crl", *here, "--issuer", issuer, "-o", tmp_path / "one.pem", "--pem")
            text += (tmp_path / "one.pem").read_bytes()
        lists.write_bytes(text)
        words = ("-crl_check_all", "-CRLfile", lists, "-CAfile", root, "-untrusted", leaf, leaf)
        return spare.run("openssl", "verify", *words, status=status)

    assert "leaf.pem: OK" in checked(0)
    spare.chopmark("ca", "revoke", *here, leaf, "--reason", "superseded")
    assert "certificate revoked" in checked(2)
