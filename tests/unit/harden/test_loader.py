"""The loader for IMA: keys first, then one rule with each write, in a file that is opened once."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from chopmark.harden import ima
from chopmark.harden.material import Material
from tests.support.hardening import IDENTITIES, request

if TYPE_CHECKING:
    from pathlib import Path

KEYCTL = (
    '#!/bin/sh\necho "$@" >>"$LOG"\n[ "$1" != search ] || exit 1\n[ "$1" != newring ] || echo 42\ncat >>"$LOG.data"\n'
)


@pytest.mark.parametrize("ring", [".ima", "_ima"])
def test_one_rule_with_each_write(tmp_path: Path, ring: str) -> None:
    asked = request(
        [{"action": "allow", "store": "corp"}], material=Material(IDENTITIES[:2]), options={"keyring": ring}
    )
    for file in ima.BACKEND.export(asked).files:
        path = tmp_path / "export" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "keyctl").write_text(KEYCTL)
    (tmp_path / "bin" / "keyctl").chmod(0o755)
    (tmp_path / "keys").write_text("1a2b3c4d I------ 1 perm 1f0b0000 0 0 keyring .ima: 1\n")
    reading, writing = os.pipe2(os.O_DIRECT)  # in which every write() stays by itself (pipe(2))
    loader = (tmp_path / "export" / "load-ima-policy").read_text()
    loader = loader.replace("/sys/kernel/security/ima/policy", "&9").replace("/proc/keys", f"{tmp_path}/keys")
    here = str(tmp_path / "export" / "load-ima-policy")
    environment = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "LOG": str(tmp_path / "log")}
    command = ["bash", "-c", f'exec 9>&{writing} {writing}>&-; exec sh -c "$0" "$1"', loader, here]
    subprocess.run(command, check=True, env=environment, pass_fds=[writing], stdin=subprocess.DEVNULL)
    os.close(writing)
    rules = []
    while data := os.read(reading, 4096):
        rules.append(data.decode())
    os.close(reading)
    hooks = ["BPRM_CHECK", "MMAP_CHECK", "MODULE_CHECK"]
    assert rules == [f"appraise func={hook} appraise_type=imasig\n" for hook in hooks]
    calls = (tmp_path / "log").read_text().splitlines()
    found = "42" if ring == "_ima" else "0x1a2b3c4d"
    assert [call.split()[-1] for call in calls if call.startswith("padd")] == [found, found]
    kept = (tmp_path / "log.data").read_bytes()
    assert all(each.certificate.raw in kept for each in IDENTITIES[:2])
