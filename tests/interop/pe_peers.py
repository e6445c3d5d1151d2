"""The peers that judge and make signatures in PE images: how each is asked, and what its answer means."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path  # noqa: TC003 - a field of a dataclass

import lief
from signify.authenticode import AuthenticodeFile
from signify.x509 import Certificate, CertificateStore

from tests.support import pki

SECONDS = 120


def run(*command: str | Path, fails: bool = False) -> str:
    """Run a peer; its whole output. Raises AssertionError when it fails, unless that is one of its answers."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
    )
    output = done.stdout + done.stderr
    assert fails or done.returncode == 0, f"{command[0]} failed:\n{output[-3000:]}"
    return output if done.returncode == 0 else f"FAILED\n{output}"


@dataclass(frozen=True)
class Material:
    """Keys and certificates as PEM files, for programs that want files; made from the test world of `kind`."""

    folder: Path
    kind: str = "rsa2048"

    def __post_init__(self) -> None:
        world = pki.world(self.kind)
        for name, entity in (("signer", world.signer), ("tsa", world.tsa)):
            (self.folder / f"{name}.key").write_bytes(entity.private_pem())
            (self.folder / f"{name}.pem").write_bytes(entity.pem + world.issuing.pem)
        (self.folder / "leaf.pem").write_bytes(world.signer.pem)
        (self.folder / "root.pem").write_bytes(world.root.pem)
        (self.folder / "issuing.pem").write_bytes(world.issuing.pem)

    def __getattr__(self, name: str) -> Path:
        """The files: signer_key, signer_pem, tsa_key, tsa_pem, leaf_pem, issuing_pem, root_pem."""
        stem, _, suffix = name.rpartition("_")
        if suffix not in ("key", "pem") or not stem:
            raise AttributeError(name)
        return self.folder / f"{stem}.{suffix}"


# Signing


def osslsigncode_sign(material: Material, source: Path, target: Path, *options: str, stamped: bool = False) -> Path:
    """Sign with osslsigncode; with `stamped` by its built-in time-stamp authority."""
    target.unlink(missing_ok=True)
    stamp = ("-TSA-certs", material.tsa_pem, "-TSA-key", material.tsa_key) if stamped else ()
    who = ("-certs", material.signer_pem, "-key", material.signer_key)
    run("osslsigncode", "sign", *who, *options, *stamp, "-in", source, "-out", target)
    return target


def sbsign(material: Material, source: Path, target: Path) -> Path:
    """Sign with sbsign."""
    more = ("--addcert", material.issuing_pem)
    run("sbsign", "--key", material.signer_key, "--cert", material.leaf_pem, *more, "--output", target, source)
    return target


# Judging: each says whether the peer accepts a file


def osslsigncode(material: Material, path: Path) -> bool:
    root = material.root_pem
    said = run("osslsigncode", "verify", "-CAfile", root, "-TSA-CAfile", root, "-ignore-cdp", "-in", path, fails=True)
    return not said.startswith("FAILED")


def sbverify(material: Material, path: Path) -> bool:
    return not run("sbverify", "--cert", material.root_pem, path, fails=True).startswith("FAILED")


def lief_accepts(path: Path) -> bool:
    """LIEF knows no roots here, so that only digests and signatures are asked of it."""
    binary = lief.parse(str(path))
    assert isinstance(binary, lief.PE.Binary)
    flags = binary.verify_signature(
        lief.PE.Signature.VERIFICATION_CHECKS.SKIP_CERT_TIME | lief.PE.Signature.VERIFICATION_CHECKS.LIFETIME_SIGNING
    )
    return bool(flags == lief.PE.Signature.VERIFICATION_FLAGS.OK)


@cache
def _roots(pem: bytes) -> CertificateStore:
    return CertificateStore([Certificate.from_pem(pem)], trusted=True)


def signify(material: Material, path: Path, *, every: bool = True) -> bool:
    """signify checks page hashes too; `every` asks for all signatures, not for any."""
    roots = _roots(material.root_pem.read_bytes())
    with path.open("rb") as file:
        result, _ = AuthenticodeFile.from_stream(file).explain_verify(
            multi_verify_mode="all" if every else "any",
            trusted_certificate_store=roots,
            ignore_parse_errors=False,
        )
    return bool(result.name == "OK")


def pesign_digest(path: Path) -> bytes:
    """The SHA-256 image hash, section by section."""
    return bytes.fromhex(run("pesign", "--hash", "--in", path).split()[-1])


# Programs to sign

_HELLO = "int __stdcall start(void) { return 0; }"
_LIBRARY = "__declspec(dllexport) int answer(int x) { return x + 1; }"
_CONSOLE = '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }'
_COMPILERS = {"x86_64": "x86_64-w64-mingw32-gcc", "i686": "i686-w64-mingw32-gcc"}


def compiled(folder: Path) -> list[Path]:
    """Real programs from mingw-w64: executables, libraries and an EFI application; two of them with debug symbols."""
    made = []
    for machine, compiler in _COMPILERS.items():
        for name, text, options in (
            ("console.exe", _CONSOLE, ()),
            ("library.dll", _LIBRARY, ("-shared",)),
            ("stripped.exe", _CONSOLE, ("-s",)),
            ("boot.efi", _HELLO, ("-nostdlib", "-s", "-Wl,--subsystem,10", f"-Wl,-e,{_entry(machine)}")),
        ):
            source = folder / "source.c"
            source.write_text(text, encoding="ascii")
            target = folder / f"{machine}-{name}"
            run(compiler, "-O1", *options, "-o", target, source)
            made.append(target)
    return made


def _entry(machine: str) -> str:
    return "start" if machine == "x86_64" else "_start@0"
