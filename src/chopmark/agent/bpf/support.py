"""Whether a host lets us keep verdicts in its kernel. Nothing is attached to find out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.agent.bpf import btf, kernel, verity
from chopmark.agent.bpf.assembler import Code
from chopmark.core.errors import ChopmarkError, UnavailableError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from chopmark.agent.bpf.btf import Types

LIST = "sys/kernel/security/lsm"
"""The security modules that this kernel was started with."""
_HOOK = "bpf_lsm_bprm_creds_for_exec"


class Support(NamedTuple):
    """`outcome` is OK where it works, INFO where it does not, UNKNOWN where nobody could say; and for people why."""

    outcome: Outcome
    found: str
    remedy: str = ""


def of_host(root: str = "/") -> Support:
    """Ask the kernel to verify an empty program, and look whether programs are asked at all. Raises nothing."""
    try:
        types = btf.of_kernel(os.path.join(root, btf.VMLINUX.lstrip("/")))
        _try(types)
    except ChopmarkError as error:
        return Support(Outcome.INFO, str(error), "a kernel with CONFIG_BPF_LSM and CONFIG_DEBUG_INFO_BTF, as root")
    try:
        with open(os.path.join(root, LIST), encoding="ascii", errors="replace") as file:
            modules = file.read().strip().split(",")
    except OSError as error:
        return Support(
            Outcome.UNKNOWN,
            f"could not check whether programs are asked: /{LIST}: {error.strerror}",
            "mount securityfs",
        )
    if "bpf" not in modules:
        return Support(
            Outcome.INFO, "programs load, but nobody asks them", f"boot with lsm={','.join([*modules, 'bpf'])}"
        )
    return Support(Outcome.OK, "verdicts" + (" and signatures over fs-verity" if verity.there(types) else ""))


def required() -> None:
    """Raises UnavailableError unless it is certain that programs would be asked."""
    support = of_host()
    if support.outcome is not Outcome.OK:
        raise UnavailableError(f"no verdicts in the kernel: {support.found} ({support.remedy})")


def _try(types: Types) -> None:
    code = Code()
    code.put(0, 0)
    code.end()
    os.close(kernel.load("try", code.assembled(), types.function(_HOOK)))
