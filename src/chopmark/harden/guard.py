"""chopmark's own guard, for comparison: the policy is its language, so nothing is exported to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.harden.contract import Degree, Enforcer, everywhere, exact, partly, unable

if TYPE_CHECKING:
    from chopmark.harden.contract import Capability

_ELSEWHERE = "files are judged so by verify and explain; the guard itself is not asked about it"


class Guard:
    """`chopmark guard`, by fanotify."""

    name = "guard"
    title = "chopmark guard"

    def capabilities(self) -> dict[str, Capability]:
        """Everything that a file and a process show; not every kind of use passes by it."""
        return everywhere(
            rest=exact(),
            use_library=partly(Degree.EXACT, Degree.EXACT, "all of them with --strict, else those of interpreters"),
            use_module=unable("loading modules is no matter of opening files: IMA and IPE decide about it"),
            use_service=unable(_ELSEWHERE),
            use_package=unable(_ELSEWHERE),
            use_image=unable(_ELSEWHERE),
            use_ci_step=unable(_ELSEWHERE),
        )


BACKEND: Enforcer = Guard()
