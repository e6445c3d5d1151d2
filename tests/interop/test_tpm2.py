"""Keys in a TPM (swtpm): those of tpm2-tools and tpm2-openssl are used here, ours there, and nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import keys
from chopmark.cli import main
from chopmark.core.errors import RefusedError, UnavailableError
from chopmark.envelopes import algorithms, der, pem, signatures
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from tests.support.patience import PATIENCE, eventually
from tests.support.ports import listens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chopmark.core.contracts import Signer

pytestmark = pytest.mark.interop

CHOPMARK = Path(sys.executable).with_name("chopmark")
KINDS = ("p256", "p384", "p521", "rsa-2048", "rsa-3072")
DATA = b"name,price\nchop,1\n"
SIGNING = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign"  # wrong guesses are not counted


@dataclass
class Tpm:
    """A TPM simulator of its own, in a folder whose name is short enough for a socket."""

    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        (self.folder / "state").mkdir()
        self.start()

    @property
    def way(self) -> str:
        return f"swtpm:path={self.folder}/sock"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                "swtpm",
                "socket",
                "--tpm2",
                "--tpmstate",
                f"dir={self.folder}/state",
                "--server",
                f"type=unixio,path={self.folder}/sock",
                "--ctrl",
                f"type=unixio,path={self.folder}/sock.ctrl",
                "--flags",
                "not-need-init,startup-clear",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        eventually(lambda: all(map(listens, (self.folder / "sock", self.folder / "sock.ctrl"))))

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(PATIENCE)
        for name in ("sock", "sock.ctrl"):
            (self.folder / name).unlink(missing_ok=True)

    def run(self, *words: str | Path, status: int = 0, **more: Any) -> str:  # noqa: ANN401 - subprocess.run's options
        environment = {
            **os.environ,
            **dict.fromkeys(("TPM2TOOLS_TCTI", "TPM2OPENSSL_TCTI", "CHOPMARK_TCTI"), self.way),
            "CHOPMARK_HOME": f"{self.folder}/home",
            "AUTH": "secret",
            "WRONG": "guess",
        }
        done = subprocess.run(
            [str(word) for word in words],
            env=environment,
            cwd=self.folder,
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

    def chopmark(self, *words: str | Path, status: int = 0) -> str:
        return self.run(CHOPMARK, *words, status=status)

    def authority(self) -> None:
        """One in the folder `ca`, with unprotected keys."""
        named = ("--name", "Mint", "--url", "http://pki.example.com/", "--type", "p256")
        self.chopmark("ca", "init", "--ca", "ca", *named, "--no-passphrase", "--no-trust")

    def tool(self, *words: str) -> str:
        """One of tpm2-tools, and what it leaves loaded flushed."""
        said = self.run(*words)
        for left in ("-t", "-l"):
            self.run("tpm2_flushcontext", left)
        return said

    def empty(self) -> bool:
        """Whether nothing is loaded."""
        return not self.run("tpm2_getcap", "handles-transient") + self.run("tpm2_getcap", "handles-loaded-session")

    def open(self, key: str, auth: bytes | None = None, *parameters: str) -> Signer:
        said = "&".join((f"tcti={self.way}", *parameters))
        return keys.open_key(f"tpm2:{key}?{said}", lambda _: auth)

    def openssl_verifies(self, signer: Signer, digest: str = "sha256") -> None:
        """OpenSSL believes a signature over the data, and not over other data."""
        (self.folder / "data").write_bytes(DATA)
        (self.folder / "changed").write_bytes(DATA + b"!")
        (self.folder / "public.pem").write_bytes(pem.encode("PUBLIC KEY", signer.public_key))
        (self.folder / "signature").write_bytes(signer.sign(DATA, digest))
        how = ["-digest", digest]
        if signer.algorithm == "rsa-pss":
            how += ["-pkeyopt", "rsa_padding_mode:pss", "-pkeyopt", "rsa_pss_saltlen:digest"]
        check = ("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-rawin", *how)
        self.run(*check, "-sigfile", "signature", "-in", "data")
        self.run(*check, "-sigfile", "signature", "-in", "changed", status=1)


@pytest.fixture(scope="module")
def tpm() -> Iterator[Tpm]:
    yield from _started()


@pytest.fixture
def spare() -> Iterator[Tpm]:
    """One that a test may stop, clear or lock."""
    yield from _started()


def _started() -> Iterator[Tpm]:
    with tempfile.TemporaryDirectory(prefix="tpm") as folder:
        started = Tpm(Path(folder))
        try:
            yield started
        finally:
            started.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_made_here_in_a_file_signs_here_and_in_openssl(kind: str, tpm: Tpm) -> None:
    path = tpm.folder / f"made-{kind}.pem"
    tpm.chopmark("key", "new", "--type", kind, "--output", f"tpm2:file={path}", "--no-passphrase")
    assert path.stat().st_mode & 0o777 == 0o600
    signer = tpm.open(f"file={path}")
    for digest in ("sha256", "sha384", "sha512"):
        tpm.openssl_verifies(signer, digest)
    if kind.startswith("rsa"):
        tpm.openssl_verifies(tpm.open(f"file={path}", None, "padding=pss"))
    provider = ("-provider", "tpm2", "-provider", "default")
    tpm.run(
        "openssl",
        "pkeyutl",
        *provider,
        "-sign",
        "-inkey",
        path,
        "-rawin",
        "-digest",
        "sha256",
        "-in",
        "data",
        "-out",
        "theirs",
    )
    identifier = der.parse(algorithms.signature_identifier(signer, "sha256"))
    signature = (tpm.folder / "theirs").read_bytes()
    signatures.verify(signer.public_key, algorithms.signature_algorithm(identifier), signature, DATA)
    assert tpm.empty()
    assert "exists already" in tpm.chopmark(
        "key", "new", "--type", kind, "--output", f"tpm2:file={path}", "--no-passphrase", status=2
    )


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("kind", ["p256", "p384", "rsa-2048"])
def test_a_key_made_here_under_a_handle_is_read_by_tpm2_tools(kind: str, number: int, tpm: Tpm) -> None:
    handle = f"{0x81020000 + 16 * number + KINDS.index(kind):#010x}"
    protection = ("--passphrase", "env:AUTH") if number else ("--no-passphrase",)
    words = ("key", "new", "--type", kind, "--output", f"tpm2:handle={handle}", *protection)
    tpm.chopmark(*words)
    signer = tpm.open(f"handle={handle}", b"secret" if number else None)
    tpm.openssl_verifies(signer)
    tpm.tool("tpm2_readpublic", "-c", handle, "-f", "der", "-o", "public.der")
    assert (tpm.folder / "public.der").read_bytes() == signer.public_key
    assert ("noda" in tpm.tool("tpm2_readpublic", "-c", handle)) == (not number)
    assert handle in tpm.chopmark("key", "list", "tpm2:")
    assert "there is a key already" in tpm.chopmark(*words, status=2)
    assert tpm.empty()


@pytest.mark.parametrize(
    "algorithm",
    [
        "ecc256",
        "ecc384",
        "ecc256:ecdsa-sha256:null",
        "rsa2048",
        "rsa2048:rsassa-sha256:null",
        "rsa2048:rsapss-sha384:null",
    ],
)
def test_keys_made_by_tpm2_tools_sign_here(algorithm: str, tpm: Tpm) -> None:
    tpm.tool("tpm2_createprimary", "-C", "o", "-G", "ecc", "-c", "primary.ctx")
    tpm.tool(
        "tpm2_create", "-C", "primary.ctx", "-G", algorithm, "-u", "k.pub", "-r", "k.priv", "-a", SIGNING, "-p", "pw"
    )
    tpm.tool("tpm2_load", "-C", "primary.ctx", "-u", "k.pub", "-r", "k.priv", "-c", "key.ctx")
    tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", "key.ctx", "0x81030001")
    tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", "primary.ctx", "0x81030002")
    try:
        encode = ("tpm2_encodeobject", "-C", "0x81030002", "-u", "k.pub", "-r", "k.priv", "-o", "tools.pem")
        tpm.tool(*encode, "-p")  # which means the opposite of what it says (tpm2-tools 5.4)
        with pytest.raises(PassphraseError, match="the file says"):
            tpm.open(f"file={tpm.folder}/tools.pem", b"pw").sign(DATA, "sha384" if "384" in algorithm else "sha256")
        tpm.tool(*encode)
        for key in ("handle=0x81030001", f"file={tpm.folder}/tools.pem"):
            signer = tpm.open(key, b"pw")
            digest = algorithms.usual_digest(signer)
            tpm.openssl_verifies(signer, digest)
            for other in {"sha256", "sha384", "sha512"} - set(signer.digests):  # type: ignore[attr-defined]
                with pytest.raises(RefusedError, match=digest):
                    signer.sign(DATA, other)
            if "rsassa" in algorithm:
                with pytest.raises(UnusableKeyError, match="another signature scheme"):
                    tpm.open(key, b"pw", "padding=pss")
    finally:
        for handle in ("0x81030001", "0x81030002"):
            tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", handle)
    assert tpm.empty()


@pytest.mark.parametrize("auth", [None, "secret"])
@pytest.mark.parametrize("kind", [("EC", "group:P-256"), ("EC", "group:P-384"), ("RSA", "bits:2048")])
def test_keys_made_by_tpm2_openssl_sign_here(kind: tuple[str, str], auth: str | None, tpm: Tpm) -> None:
    more = ("-pkeyopt", f"user-auth:{auth}") if auth else ()
    provider = ("-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2")
    tpm.run("openssl", "genpkey", *provider, "-algorithm", kind[0], "-pkeyopt", kind[1], *more, "-out", "theirs.pem")
    for left in ("-t", "-l"):  # by tpm2-openssl, which counts on a resource manager
        tpm.run("tpm2_flushcontext", left)
    signer = tpm.open(f"file={tpm.folder}/theirs.pem", auth.encode() if auth else None)
    tpm.openssl_verifies(signer)
    assert tpm.empty()


@pytest.mark.parametrize(("auth", "where"), [(None, "file"), ("secret", "file"), ("secret", "handle")])
def test_many_files_in_several_processes(auth: str | None, where: str, spare: Tpm) -> None:
    key = f"tpm2:file={spare.folder}/key.pem" if where == "file" else "tpm2:handle=0x81010001"
    protection = ("--passphrase", "env:AUTH") if auth else ("--no-passphrase",)
    spare.chopmark("key", "new", "--type", "p256", "--output", key, *protection)
    spare.authority()
    spare.chopmark(
        "ca", "issue", "--ca", "ca", "--profile", "internal", "--key", key, "--subject", "CN=Me", "-o", "c.pem"
    )
    files = [spare.folder / f"{number}.csv" for number in range(40)]
    for path in files:
        path.write_bytes(DATA)
    said = ("--passphrase", "env:AUTH") if auth else ()
    spare.chopmark("sign", "-j", "4", "--key", key, *said, "--cert", "c.pem", *files)
    assert spare.empty()
    verify = ("verify", "--store", "ca/public/aia/root.cer", "--revocation", "off")
    spare.chopmark(*verify, *files)
    files[0].write_bytes(DATA + b"!")
    spare.chopmark(*verify, files[0], status=1)


def test_a_wrong_auth_value_is_presented_once_by_all_processes(spare: Tpm) -> None:
    spare.chopmark("key", "new", "--type", "p256", "--output", "tpm2:handle=0x81010001", "--passphrase", "env:AUTH")
    spare.authority()
    spare.chopmark(
        "ca",
        "issue",
        "--ca",
        "ca",
        "--profile",
        "internal",
        "--key",
        "tpm2:handle=0x81010001",
        "--subject",
        "CN=Me",
        "-o",
        "c.pem",
    )
    files = [spare.folder / f"{number}.csv" for number in range(8)]
    for path in files:
        path.write_bytes(DATA)
    key = ("--key", "tpm2:handle=0x81010001", "--cert", "c.pem")
    said = spare.chopmark("sign", "-j", "4", *key, "--passphrase", "env:WRONG", *files, status=2)
    assert said.count("wrong auth value") == 1
    assert "guess" not in said
    assert "TPM2_PT_LOCKOUT_COUNTER: 0x1\n" in spare.run("tpm2_getcap", "properties-variable")
    assert spare.empty()


def test_a_locked_tpm_says_so(spare: Tpm) -> None:
    spare.chopmark("key", "new", "--type", "p256", "--output", "tpm2:handle=0x81010001", "--passphrase", "env:AUTH")
    spare.tool("tpm2_dictionarylockout", "-s", "-n", "1", "-t", "100", "-l", "100")
    with pytest.raises(PassphraseError, match="wrong auth value"):
        spare.open("handle=0x81010001", b"guess").sign(DATA, "sha256")
    with pytest.raises(PassphraseError, match="locked"):
        spare.open("handle=0x81010001", b"secret").sign(DATA, "sha256")


def test_a_tpm_that_was_restarted_cleared_or_stopped(spare: Tpm) -> None:
    path = spare.folder / "key.pem"
    spare.chopmark("key", "new", "--type", "p256", "--output", f"tpm2:file={path}", "--no-passphrase")
    signer = spare.open(f"file={path}")
    signer.sign(DATA, "sha256")
    spare.stop()
    with pytest.raises(UnavailableError):
        signer.sign(DATA, "sha256")
    spare.start()
    spare.openssl_verifies(signer)  # the saved context is worth nothing any more, the file still is
    spare.tool("tpm2_clear", "-c", "p")
    with pytest.raises(UnusableKeyError, match="another TPM"):
        signer.sign(DATA, "sha256")
    with pytest.raises(UnusableKeyError, match="another TPM"):
        spare.open(f"file={path}")


def test_keys_that_do_not_sign_here_are_refused(tpm: Tpm) -> None:
    for handle, (kind, attributes) in {
        "0x81040001": ("ecc", "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt"),
        "0x81040002": ("ecc:ecdsa-sha256:null", f"{SIGNING}|restricted"),
        "0x81040003": ("rsa1024", SIGNING),
    }.items():
        tpm.tool("tpm2_createprimary", "-C", "o", "-G", kind, "-a", attributes, "-c", "p.ctx")
        tpm.tool("tpm2_evictcontrol", "-C", "o", "-c", "p.ctx", handle)
        with pytest.raises(UnusableKeyError):
            tpm.open(f"handle={handle}")
    with pytest.raises(UnusableKeyError, match="not there"):
        tpm.open("handle=0x81FFFF00")
    assert "does not sign here" in tpm.chopmark("key", "list", "tpm2:")
    assert main(["key", "show", "tpm2:handle=0x81FFFF00"]) == 3
