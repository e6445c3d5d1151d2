"""Why a decision came out as it did, and what is to be said about policies themselves."""

from __future__ import annotations

from chopmark.core.finding import Outcome
from chopmark.core.reasons import Reason

OK, NO, UNKNOWN, INFO = Outcome.OK, Outcome.NO, Outcome.UNKNOWN, Outcome.INFO
_SIGN = "Have it signed by somebody whom the policy knows, or listed in a signed catalog, after review."

# Decisions
ALLOWED = Reason("policy.allowed", OK, "A rule of the policy allows it.")
DENIED = Reason(
    "policy.denied", NO, "A rule of the policy denies it.", "Use another release, or another program.",
    techniques=("T1204", "T1554"),
)  # fmt: skip
BLOCKED = Reason(
    "policy.blocked", NO, "A blocklist names it, which no rule overrides.", "Use a release that is not on the list.",
    techniques=("T1543.003", "T1588.003"),
)  # fmt: skip
UNMET = Reason(
    "policy.unmet",
    NO,
    "The rule that is about it demands more than it brings.",
    "Have its publisher add what is missing.",
    techniques=("T1601.002", "T1588.003"),
)
NOTHING = Reason(
    "policy.nothing", NO, "No rule of the policy allows it.", _SIGN, techniques=("T1204", "T1059", "T1036")
)
UNDECIDED = Reason(
    "policy.undecided",
    UNKNOWN,
    "What the policy needs to know could not be found out, so it does not allow it.",
    "Check again with what is missing: the network, a newer revocation list, a key, a readable file.",
)

# The policy itself
UNSIGNED = Reason(
    "policy.unsigned", NO, "The policy is not signed by anybody whom its reader trusts.",
    "Sign it: chopmark sign POLICY --format detached --key KEY.", techniques=("T1562.001",),
)  # fmt: skip
ROLLBACK = Reason(
    "policy.rollback", NO, "A newer version of this policy was in use here already.",
    "Get the newest one, or publish this one under a higher number.", techniques=("T1562.001", "T1601.002"),
)  # fmt: skip
SAME_VERSION = Reason(
    "policy.same_version", NO, "Another policy with the same version was in use here already.",
    "Publish every change under a higher number.", techniques=("T1562.001",),
)  # fmt: skip
STATE_LOST = Reason(
    "policy.state_lost", UNKNOWN, "What was remembered of versions is gone, or somebody else wrote it.",
    "Find out why; chopmark policy reset begins anew.", techniques=("T1601.002",),
)  # fmt: skip
UNREACHABLE = Reason("policy.unreachable", NO, "No file can ever fit this rule.", "Mend it, or take it out.")
STORE_UNASKED = Reason(
    "policy.store_unasked",
    NO,
    "The rule names a store with which the policy does not verify.",
    "Add it to the policy's stores, or mend the name.",
)
STORE_MISSING = Reason(
    "policy.store_missing",
    UNKNOWN,
    "There is no such trust store on this host, so nobody here can say what it vouches for.",
    "Mend the name, or make the store (chopmark store add).",
)
SHADOWED = Reason(
    "policy.shadowed",
    NO,
    "The rule changes nothing: another one covers all that it is about.",
    "Take it out, or make the other narrower.",
)
CONTRADICTORY = Reason(
    "policy.contradictory",
    NO,
    "One rule allows and another denies just the same, and denying wins.",
    "Keep one of the two.",
)
UNCOMPARED = Reason(
    "policy.uncompared",
    UNKNOWN,
    "From this rule on they were not compared with each other: too many name the same.",
    "Put values that belong together into lists of one rule.",
)
WIDE = Reason(
    "policy.wide",
    NO,
    "The rule allows far more than its author can have looked at.",
    "Name signers, products or digests.",
    techniques=("T1204", "T1036"),
)
EXPIRED = Reason("policy.expired", NO, "The rule has expired and does not count any more.", "Renew it or take it out.")
EXPIRING = Reason("policy.expiring", INFO, "The rule expires soon.", "Renew it in time.")
UNOWNED = Reason("policy.unowned", INFO, "The rule does not say who answers for it, or why it is there.")
EVADABLE = Reason(
    "policy.evadable",
    INFO,
    "The rule denies a certificate by its SHA-256, which another one of the same key does not have.",
    "Deny the key.",
)
SOUND = Reason("policy.sound", OK, "The policy has no rule that cannot be meant so.")
