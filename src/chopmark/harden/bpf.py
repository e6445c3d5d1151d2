"""Verdicts in the kernel by BPF LSM: what the guard finds out, kept for when nobody is there to be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.harden.contract import Degree, Enforcer, everywhere, exact, partly, unable
from chopmark.policy.facts import KINDS

if TYPE_CHECKING:
    from chopmark.harden.contract import Capability

_ALONE = "what does not hold for everybody is no verdict of the kernel's: denied there"
_HELD = "as of when the file was judged; another policy ends every verdict"
_USES = {
    "exec": exact("executed, as interpreter of a script, or asked about (Linux 6.14)"),
    "script": partly(Degree.EXACT, Degree.WIDER, "executed, or asked about (Linux 6.14); sh FILE is not seen"),
    "library": exact("all that is mapped as code, with --strict"),
}


class Bpf:
    """`chopmark guard bpf`."""

    name = "bpf"
    title = "chopmark guard bpf (verdicts in the kernel)"

    def capabilities(self) -> dict[str, Capability]:
        """The policy decides in user space, once for each content; the kernel keeps what then holds for everybody."""
        narrower = partly(Degree.NARROWER, Degree.NARROWER, _ALONE)
        uses = {f"use_{kind.replace('-', '_')}": unable("not a matter of executing or mapping files") for kind in KINDS}
        return everywhere(
            rest=exact(),
            **(uses | {f"use_{kind}": capability for kind, capability in _USES.items()}),
            path=narrower,
            user=narrower,
            program=narrower,
            parent=narrower,
            expires=narrower,
            validity=partly(Degree.WIDER, Degree.WIDER, _HELD),
            revocation=partly(Degree.WIDER, Degree.WIDER, _HELD),
            mode_learning=unable("it denies or only counts (--audit)"),
        )


BACKEND: Enforcer = Bpf()
