"""What asking a transparency log can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_PROOF = "C2SP tlog-proof"
_CHECKPOINT = "C2SP tlog-checkpoint"
_TILES = "C2SP tlog-tiles"
_REWRITTEN = ("T1553", "T1070", "T1565.001")
_ASK = "Ask who runs the log what happened, and keep both checkpoints: they are the evidence."
_PROVE = "Get the proof from who signed it, or from the log: `chopmark log prove`."

# A file and its proof
PROOF_HOLDS = Reason(
    "log.included", OK, "The signature is recorded in a trusted log.", cites=f"{_PROOF}, RFC 9162 clause 2.1.3.2"
)
PROOF_MISSING = Reason(
    "log.proof_missing", UNKNOWN, "A log was asked about, and no proof from it is beside the file.", _PROVE, _PROOF
)
PROOF_UNCHECKED = Reason(
    "log.proof_unchecked",
    UNKNOWN,
    "No signature of the file holds, so that a proof from a log could not be held against one.",
    "Settle what is said of the signature first.",
    _PROOF,
)
PROOF_MALFORMED = Reason("log.proof_malformed", NO, "What is beside the file is no proof from a log.", _PROVE, _PROOF)
PROOF_BROKEN = Reason(
    "log.proof_broken",
    NO,
    "The proof does not lead from the entry to the log's checkpoint.",
    _PROVE,
    "RFC 9162 clause 2.1.3.2",
    ("T1553",),
)
PROOF_OF_ANOTHER = Reason(
    "log.proof_of_another",
    NO,
    "The proof is about another file, or another signer's signature of it.",
    _PROVE,
    techniques=("T1036.001", "T1554"),
)

# Checkpoints
CHECKPOINT_TRUSTED = Reason(
    "log.checkpoint_trusted", OK, "The checkpoint is signed by the key of a trusted log.", cites="C2SP signed-note"
)
CHECKPOINT_MALFORMED = Reason(
    "log.checkpoint_malformed", NO, "The checkpoint is damaged, or none.", _ASK, _CHECKPOINT, _REWRITTEN
)
CHECKPOINT_UNTRUSTED = Reason(
    "log.checkpoint_untrusted",
    NO,
    "No trusted log signed the checkpoint, or the signature in a trusted log's name is not its own.",
    "Name the keys of the logs that are trusted here; have who runs the log say which key is its own.",
    "C2SP signed-note",
    _REWRITTEN,
)
KEY_UNKNOWN = Reason(
    "log.key_unknown",
    UNKNOWN,
    "Nobody has said which key is the log's.",
    "Give --log-key, from a source other than the log itself.",
    "C2SP tlog-tiles, clause Parameters",
)
WITNESSED = Reason("log.witnessed", OK, "A witness saw this checkpoint too.", cites="C2SP tlog-cosignature")
WITNESS_MISSING = Reason(
    "log.witness_missing",
    UNKNOWN,
    "A witness that is asked for has not signed this checkpoint: others may be shown another log.",
    "Wait for the witness, or fetch a checkpoint that it has signed.",
    "C2SP tlog-cosignature",
)

# Whole logs
UNREACHABLE = Reason(
    "log.unreachable",
    UNKNOWN,
    "A part of the log could not be fetched.",
    "Try again; a log that keeps a part from some and not from others has something to hide.",
    _TILES,
)
COMPLETE = Reason("log.complete", OK, "Every entry and every hash is what the checkpoint says.", cites=_TILES)
ENTRY_CHANGED = Reason(
    "log.entry_changed", NO, "An entry is not the one that was logged.", _ASK, "RFC 6962 clause 2.1", _REWRITTEN
)
TILE_CHANGED = Reason(
    "log.tile_changed",
    NO,
    "The entries are those that were logged, but hashes over them are not: proofs made from them will not hold.",
    "Have the tiles made anew from the entries.",
    _TILES,
    _REWRITTEN,
)
REWRITTEN = Reason(
    "log.rewritten",
    NO,
    "Entries and hashes agree with each other, and not with the checkpoint: a part was written anew.",
    _ASK,
    "RFC 6962 clause 2.1",
    _REWRITTEN,
)
TRUNCATED = Reason(
    "log.truncated",
    NO,
    "Entries are missing that the checkpoint, or one seen before, says were there.",
    _ASK,
    _CHECKPOINT,
    _REWRITTEN,
)
FORKED = Reason(
    "log.forked",
    NO,
    "The log says something else now than in a checkpoint seen before: it has two histories.",
    _ASK,
    f"{_CHECKPOINT}, RFC 9162 clause 2.1.4",
    _REWRITTEN,
)
CONTINUED = Reason(
    "log.continued",
    OK,
    "The log has grown from the checkpoint that was seen before, and nothing before it has changed.",
    cites="RFC 9162 clause 2.1.4",
)
FIRST_SEEN = Reason(
    "log.first_seen",
    INFO,
    "The log was never looked at from here: whether it said something else before cannot be told.",
    cites=_CHECKPOINT,
)
