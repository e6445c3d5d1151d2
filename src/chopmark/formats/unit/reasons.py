"""What reading the seal of a unit can find."""

from __future__ import annotations

from chopmark.core.reasons import NO, OK, Reason

_GET_ANEW = "Make and sign it again (chopmark services sign)."
_SPEC = "docs/spec/unit-seal.md"

VERSION = Reason("unit.version", NO, "This is no seal of a unit of version 1.", _GET_ANEW, _SPEC)
FORM = Reason("unit.form", NO, "The seal is not written as the specification says.", _GET_ANEW, _SPEC, ("T1543.002",))
CUT = Reason("unit.cut", NO, "The seal is not whole: its end is missing, or lines are.", _GET_ANEW, _SPEC)
BLOCK = Reason(
    "unit.block", NO, "The signature block is not written as a signer writes it.", _GET_ANEW, _SPEC, ("T1036.001",)
)
SOUND = Reason("unit.sound", OK, "Every line of the seal is as the specification says.", cites=_SPEC)
