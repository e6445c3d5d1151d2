"""What checking a dm-verity volume and its root hash can find."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_TABLE = "Linux, Documentation/admin-guide/device-mapper/verity.rst"
_GET_ANEW = "Get an unchanged copy from its publisher."
_CHANGED = ("T1542", "T1554")

ROOT_HASH = Reason("dmverity.root_hash", OK, "The file holds a root hash and nothing else.", cites=_TABLE)
ROOT_HASH_WRONG = Reason(
    "dmverity.root_hash_wrong",
    NO,
    "The file is not 64, 96 or 128 hexadecimal digits in lower case: it is not what the kernel is given.",
    "Write the root hash with printf %s, without a line break, and have it signed anew.",
    _TABLE,
)
SUPERBLOCK = Reason("dmverity.superblock", OK, "The tree of digests has a superblock.", cites=_TABLE)
SUPERBLOCK_WRONG = Reason(
    "dmverity.superblock_wrong",
    NO,
    "The superblock of the tree of digests is missing, or says what cannot be.",
    "Make the tree anew, with veritysetup format or chopmark dmverity format.",
    "cryptsetup, lib/verity/verity.c: struct verity_sb",
    _CHANGED,
)
UNSUPPORTED = Reason(
    "dmverity.unsupported",
    UNKNOWN,
    "The tree of digests is of a kind that chopmark does not read, so that it could not be checked.",
    "Make the tree anew, with hash type 1 and SHA-256.",
    "cryptsetup, lib/verity/verity.c: struct verity_sb",
)
TREE = Reason("dmverity.tree", OK, "The tree of digests leads to the root hash.", cites=_TABLE + ": Hash Tree")
TREE_WRONG = Reason(
    "dmverity.tree_wrong",
    NO,
    "The tree of digests does not lead to the root hash: it was changed, or belongs to another volume.",
    _GET_ANEW,
    _TABLE + ": Hash Tree",
    _CHANGED,
)
DATA = Reason("dmverity.data", OK, "Every block of data is the one that the tree of digests names.", cites=_TABLE)
DATA_WRONG = Reason(
    "dmverity.data_wrong",
    NO,
    "Blocks of data are not those that the tree of digests names.",
    _GET_ANEW,
    _TABLE,
    _CHANGED,
)
COUNT_WRONG = Reason(
    "dmverity.count_wrong",
    NO,
    "The superblock, which the root hash does not cover, says another number of blocks than the tree has digests of.",
    _GET_ANEW,
    "cryptsetup, lib/verity/verity_hash.c",
    _CHANGED,
)
UNCOVERED = Reason(
    "dmverity.uncovered",
    NO,
    "There is data behind the last block that the tree of digests covers.",
    "Make the tree anew over all of the data, or cut off what is behind.",
    _TABLE,
    ("T1027.009",),
)
BEHIND = Reason(
    "dmverity.behind",
    INFO,
    "Something stands behind the tree of digests, which the kernel does not read (or only to correct errors).",
    cites=_TABLE,
)
GIVEN = Reason(
    "dmverity.given", INFO, "The root hash was given by whoever asks; nobody's signature was looked at.", cites=_TABLE
)
