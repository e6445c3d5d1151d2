"""Portable signatures of EVM: over owner, mode and security attributes of a file, of which one has its digest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core.artifact import ATTRIBUTE
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.core.seal import Claim, Range, Recipe, Seal
from chopmark.envelopes import ima
from chopmark.envelopes.ima import reasons

if TYPE_CHECKING:
    from chopmark.core.artifact import Artifact

IMA = ATTRIBUTE + "security.ima"
_NAMES = (
    "security.selinux",
    "security.SMACK64",
    "security.SMACK64EXEC",
    "security.SMACK64TRANSMUTE",
    "security.SMACK64MMAP",
    "security.apparmor",
    "security.ima",
    "security.capability",
)
"""In the order in which they are hashed (Linux, security/integrity/evm/evm_main.c: evm_config_default_xattrnames)."""
INODE = struct.Struct("<QIIIH2x")
"""struct h_misc (evm_crypto.c: hmac_add_misc) on 64-bit little-endian machines: ino and generation are 0, uid, gid,
mode."""
_DIGEST, _DIGEST_NG = 1, 4
"""IMA_XATTR_DIGEST (MD5 or SHA-1 by its length) and IMA_XATTR_DIGEST_NG, with the algorithm behind."""
_OLD = {16: "md5", 20: "sha1"}


def seal(artifact: Artifact, raw: bytes, where: str, purpose: str) -> Seal:
    """The seal in security.evm. Raises BrokenError where security.ima says nothing of the file.

    A signature in security.ima is a seal of its own, which has to hold as well; a digest there is a claim of this one.
    """
    value = artifact.companion(IMA)
    if value is None:
        raise BrokenError(reasons.METADATA_ALONE)
    claims = []
    below = ""
    if value[:1] not in (bytes([ima.FILE]), bytes([ima.VERITY])):
        below, expected = _digest_in(value)
        claims.append(Claim("file", Recipe(below, (Range(0, artifact.view.size),)), expected))
    envelope = ima.envelope_in(raw, below)
    own = Claim("metadata", _recipe(artifact, envelope.digest_algorithm), None)
    covered = ", ".join(name for name, _ in _attributes(artifact))
    return Seal(where, envelope, (own, *claims), purpose=purpose, findings=(reasons.METADATA.found(covered),))


def recipe(artifact: Artifact, algorithm: str) -> Recipe:
    """What a new signature would cover. Raises RefusedError where the file itself would not be."""
    if artifact.companion(IMA) is None:
        message = f"{artifact.name}: it has no security.ima, without which its metadata cannot be signed: sign it first"
        raise RefusedError(message)
    return _recipe(artifact, algorithm)


def _recipe(artifact: Artifact, algorithm: str) -> Recipe:
    owner = artifact.metadata()
    values = (value for _, value in _attributes(artifact))
    return Recipe(algorithm, (*values, INODE.pack(0, 0, owner.uid, owner.gid, owner.mode)))


def _attributes(artifact: Artifact) -> list[tuple[str, bytes]]:
    found = ((name, artifact.companion(ATTRIBUTE + name)) for name in _NAMES)
    return [(name, value) for name, value in found if value is not None]


def _digest_in(value: bytes) -> tuple[str, bytes]:
    """The digest of the file that stands in security.ima, and its algorithm. Raises BrokenError."""
    kind, rest = value[:1], value[1:]
    algorithm: str | None = None
    if kind == bytes([_DIGEST]):
        algorithm = _OLD.get(len(rest))
    elif kind == bytes([_DIGEST_NG]) and rest:
        algorithm, rest = ima.ALGORITHMS.get(rest[0]), rest[1:]
    if algorithm is None or len(rest) != digests.ALGORITHMS[algorithm].size:
        raise BrokenError(reasons.FILE_DIGEST_WRONG)
    return algorithm, rest
