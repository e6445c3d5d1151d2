"""`chopmark guard exec` with a policy of its own: what it says counts for the program as well."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.support import preloaded

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.support.desk import Desk


def test_a_program_is_decided_about_by_the_policy_and_started_by_its_descriptor(desk: Desk) -> None:
    head = f'chopmark-policy = 1\nname = "p"\nversion = 1\nstores = ["{desk.root}"]\n'
    policy = desk.write("p.toml", f'{head}[[rule]]\naction = "allow"\nstore = "{desk.root}"\n'.encode())
    good, bad = desk.signed("script", "good.sh"), desk.sample("script", "bad.sh")
    elf = desk.folder / "elf"
    shutil.copy("/bin/true", elf)
    for each in (good, bad, elf):
        each.chmod(0o755)
    environment = {**os.environ, "PATH": f"{desk.folder}:{os.environ['PATH']}"}

    def started(program: str | Path) -> subprocess.CompletedProcess[str]:
        return preloaded.run("guard", "exec", "--policy", policy, program, env=environment)

    done = [started(each) for each in ("good.sh", str(good), "bad.sh", str(bad), "elf", "nowhere", "good.sh/x")]
    assert [each.returncode for each in done] == [0, 0, 1, 1, 1, 2, 2], [each.stderr for each in done]
    assert done[0].stdout == done[1].stdout != ""
    assert not any(each.stdout for each in done[2:])
    assert desk.run("sign", elf, *desk.by_signer) == 0
    assert started("elf").returncode == 0
    os.mkfifo(desk.folder / "fifo")  # nobody waits for who may write to it
    for what, status in (("fifo", 1), ("nowhere", 2)):
        done = [preloaded.run("guard", verb, "--policy", policy, desk.folder / what) for verb in ("exec", "python")]
        assert [(each.returncode, each.stderr.count("\n")) for each in done] == [(status, 1)] * 2
