"""What became of each rule of a policy in another system's language."""

from __future__ import annotations

from chopmark.core.finding import Outcome
from chopmark.core.reasons import Reason

OK, NO, INFO = Outcome.OK, Outcome.NO, Outcome.INFO

EXACT = Reason("harden.exact", OK, "The target decides about this rule as the policy does.")
NARROWED = Reason("harden.narrowed", INFO, "The target allows less than this rule does.")
DROPPED = Reason(
    "harden.dropped", INFO, "The target cannot say this rule that allows, so what only it allows is not allowed there."
)
IDLE = Reason("harden.idle", INFO, "The rule is about nothing that the target lets through anyway.")
EXPIRED = Reason("harden.expired", INFO, "The rule has expired and was not exported.")
WIDER = Reason(
    "harden.wider",
    NO,
    "The target cannot say this rule, and would allow without it what the policy denies.",
    "Use a system that can say it, or name what does not hold there (--leave-out RULE).",
    techniques=("T1562.001",),
)
LEFT_OUT = Reason(
    "harden.left_out", INFO, "The rule does not hold on the target, as was accepted.", techniques=("T1562.001",)
)
EMPTY = Reason(
    "harden.empty",
    NO,
    "Nothing of what the policy allows could be said: the target would let nothing run.",
    "Name the certificates of the signers (--signer), the files (--root), or fewer kinds of use (--use).",
)
UNGOVERNED = Reason("harden.ungoverned", INFO, "The target does not decide about this kind of use.")
UNCHECKED = Reason("harden.unchecked", INFO, "The target does not look at this, whatever the policy says.")
MODE = Reason("harden.mode", INFO, "The policy denies nothing yet in its mode; the target enforces unless it is told.")
ADDED = Reason("harden.added", INFO, "The target allows this besides, as was asked.")
NO_WINDOWS = Reason(
    "harden.no_windows", INFO, "Nothing that Windows itself consists of is allowed, so no host starts under it alone."
)
SIGNER_TAKEN = Reason("harden.signer_taken", OK, "The target believes this signer.")
SIGNER_OUT = Reason("harden.signer_out", INFO, "The target does not believe this signer.")
