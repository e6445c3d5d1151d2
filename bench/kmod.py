"""Verifying many kernel modules in one call, beside openssl: nothing else does so in user space.

For openssl the signatures were cut off and put beside the modules before; that it has to be done is not counted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.measure import CHOPMARK, Row, process, row, side_by_side
from tests.support import bare_keys, pki

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 200
SIZE = 100_000
"""What a module of Debian's has, uncompressed, give or take."""
OURS, THEIRS = f"chopmark verify {COUNT} -j 1, modules", "openssl cms -verify per module"
_TRAILER = 12 + len(b"~Module signature appended~\n")


def run(folder: Path, rounds: int) -> list[Row]:
    """One row: RSA of 4096 bits and SHA-512, as kernel builds make their keys (CONFIG_MODULE_SIG_KEY)."""
    entity = pki.leaf(None, "Bench Module Signer", kind="rsa4096", purposes=())
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    key.touch(0o600)
    key.write_bytes(entity.private_pem())
    certificate.write_bytes(entity.pem)
    tiny = (bare_keys.VECTORS / "kmod" / "sample-tiny.ko").read_bytes()
    modules = [folder / f"module-{number}.ko" for number in range(COUNT)]
    for number, module in enumerate(modules):
        module.write_bytes(tiny + number.to_bytes(4, "big") * (SIZE // 4))
    sign = ["--key", str(key), "--cert", str(certificate), "--digest", "sha512"]
    process([CHOPMARK, "sign", *map(str, modules), *sign])
    for module in modules:
        _take_apart(module)

    def one_by_one() -> float:
        began = time.perf_counter()
        command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-noverify", "-nointern"]
        for module in modules:
            files = ["-in", f"{module}.der", "-content", f"{module}.elf", "-certfile", str(certificate)]
            process([*command, *files, "-out", "/dev/null"])
        return time.perf_counter() - began

    mine = [CHOPMARK, "verify", *map(str, modules), "--store", str(certificate), "-j", "1", "--offline"]
    mine += ["--revocation", "off", "--at", "2026-07-01"]
    return [row(side_by_side({OURS: lambda: process(mine), THEIRS: one_by_one}, rounds), OURS, THEIRS, bound="<= 1")]


def _take_apart(module: Path) -> None:
    """The module and its signature in two files (Linux, include/linux/module_signature.h)."""
    data = module.read_bytes()
    end = len(data) - _TRAILER
    size = int.from_bytes(data[end + 8 : end + 12], "big")
    module.with_name(f"{module.name}.der").write_bytes(data[end - size : end])
    module.with_name(f"{module.name}.elf").write_bytes(data[: end - size])
