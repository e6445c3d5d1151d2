"""What the benchmarks work on: test keys as files, real PE files, the real launchers of distlib."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench import measure
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Keys:
    """Paths of a signer's key and certificates and of its root."""

    key: Path
    certificates: Path
    root: Path

    def check(self) -> Callable[[], None]:
        """One check of one signature by this key, and nothing else."""
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        scheme, digest = padding.PKCS1v15(), hashes.SHA256()
        public, signature = key.public_key(), key.sign(b"", scheme, digest)
        return lambda: public.verify(signature, b"", scheme, digest)


def keys(folder: Path) -> Keys:
    """An RSA-3072 signer under the test root, as PEM files."""
    root = pki.authority("Bench Root", kind="p384")
    signer = pki.leaf(root, "Bench Signer", kind="rsa3072")
    made = Keys(folder / "signer.key", folder / "signer.pem", folder / "root.pem")
    made.key.write_bytes(signer.private_pem())
    made.key.chmod(0o600)
    made.certificates.write_bytes(signer.pem)
    made.root.write_bytes(root.pem)
    return made


def launchers() -> list[Path]:
    """Distlib's Windows launchers: real, unsigned PE files of about 100 to 200 KB."""
    spec = importlib.util.find_spec("distlib")
    if spec is None or spec.origin is None:
        raise SystemExit("distlib is not installed; run make interop")
    return sorted(path for path in Path(spec.origin).parent.glob("*.exe"))


def copies(folder: Path, sources: list[Path], count: int) -> list[str]:
    """`count` files in a folder, the sources over and over."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        source = sources[number % len(sources)]
        target = folder / f"{number:04}-{source.name}"
        shutil.copyfile(source, target)
        made.append(str(target))
    return made


def signed(files: list[str], with_keys: Keys) -> None:
    """Sign files in place."""
    command = [measure.CHOPMARK, "sign", *files, "--key", str(with_keys.key), "--cert", str(with_keys.certificates)]
    measure.process(command)
