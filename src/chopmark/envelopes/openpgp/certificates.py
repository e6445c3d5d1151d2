"""What a key says of itself: names, uses, ends; and which of its subkeys it really has (RFC 9580 clauses 5.2.3 and 10).

Only signatures that the primary key itself made count. What others say of it is their trust, not ours: the store is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from chopmark.core import clock, limits
from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms
from chopmark.envelopes.openpgp import keys, mathematics, packets, signatures

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chopmark.envelopes.openpgp.keys import Key
    from chopmark.envelopes.openpgp.packets import Packet
    from chopmark.envelopes.openpgp.signatures import Signature

_SIGN = 0x02
_SOFT = {0x01: "replaced by another", 0x03: "no longer used"}
_HARD = {0x02: "the secret may be known to others"}
"""Reasons for revocation (clause 5.2.3.31). All others, none given among them, count as hard."""
_FIRST = dt.datetime.fromtimestamp(0, dt.UTC)
_IGNORED = frozenset({packets.TRUST, packets.MARKER, packets.PADDING})


class Part(NamedTuple):
    """A component of a certificate (the key itself, a name, a subkey) and the signatures behind it."""

    packet: Packet
    signatures: list[Signature]


class Standing(NamedTuple):
    """How a key stands: `barred` says why it never signs; `revoked` why it was revoked, `revoked_at` from when on.

    `revoked_at` is None where that is so for all time; `expires` is None for a key that does not.
    """

    barred: str = ""
    weak: str = ""
    revoked: str = ""
    revoked_at: dt.datetime | None = None
    expires: dt.datetime | None = None


class Held(NamedTuple):
    """A key of a certificate, its standing, and the name of whoever has it."""

    key: Key
    standing: Standing
    name: str
    primary: Key


def split(found: Iterable[Packet]) -> list[list[Part]]:
    """The certificates in a ring, part by part. Raises MalformedError for packets that do not belong there."""
    rings: list[list[Part]] = []
    for packet in found:
        if packet.tag == packets.PUBLIC_KEY:
            rings.append([Part(packet, [])])
        elif packet.tag in _IGNORED:
            continue
        elif not rings:
            raise MalformedError("it does not begin with a public key")
        elif packet.tag in (packets.USER_ID, packets.USER_ATTRIBUTE, packets.PUBLIC_SUBKEY):
            rings[-1].append(Part(packet, []))
        elif packet.tag == packets.SIGNATURE:
            _collect(rings[-1][-1], packet)
        else:
            raise MalformedError(f"a packet of the kind {packet.tag} among public keys")
    return rings


def _collect(part: Part, packet: Packet) -> None:
    """Old signatures, and those of unknown kinds, say nothing that counts."""
    try:
        part.signatures.append(signatures.read(packet.body))
    except MalformedError:
        return


def read(parts: Sequence[Part]) -> list[Held]:
    """The keys of a certificate that can sign at all. Raises MalformedError, also for an unusable primary key."""
    primary = keys.public(parts[0].packet.body)
    if primary.spki is None:
        raise algorithms.UnsupportedError("a primary key of an unknown kind")
    own = _by(primary, primary.covered, parts[0].signatures)
    revoked = _revocation(own, signatures.KEY_REVOCATION) or _by_another(own, parts[0].signatures, primary)
    direct = [each for each in own if each.kind == signatures.DIRECT]
    about, name = _names(primary, parts)
    chosen = _newest(direct if primary.version == signatures.V6 else [*direct, *about])
    standing = Standing(revoked=revoked.revoked, revoked_at=revoked.revoked_at) if revoked else Standing()
    standing = standing._replace(weak=_weak(primary))
    if chosen is None:
        standing = standing._replace(barred="it has no valid signature by itself")
    else:
        standing = standing._replace(expires=_expiry(primary, chosen))
    subkeys = (_subkey(primary, standing, name, part) for part in parts[1:] if part.packet.tag == packets.PUBLIC_SUBKEY)
    own_use = Held(primary, _unless_for_signing(standing, chosen, allowed=True), name, primary)
    return [own_use, *(held for held in subkeys if held is not None)]


def _subkey(primary: Key, above: Standing, name: str, part: Part) -> Held | None:
    try:
        key = keys.public(part.packet.body)
    except MalformedError:
        return None
    if key.spki is None or key.version != primary.version:
        return None
    covered = primary.covered + key.covered
    own = _by(primary, covered, part.signatures)
    chosen = _newest([each for each in own if each.kind == signatures.SUBKEY_BINDING])
    standing = above
    revoked = _revocation(own, signatures.SUBKEY_REVOCATION)
    if revoked and (not above.revoked or (above.revoked_at is not None and revoked.revoked_at is None)):
        standing = standing._replace(revoked=revoked.revoked, revoked_at=revoked.revoked_at)
    if chosen is None:
        return Held(key, standing._replace(barred="it is not bound to the key that it is with"), name, primary)
    ends = [end for end in (above.expires, _expiry(key, chosen)) if end is not None]
    standing = standing._replace(expires=min(ends, default=None), weak=_weak(key) or above.weak)
    standing = _unless_for_signing(standing, chosen, allowed=False)
    if not standing.barred and not _crossed(key, chosen, covered):
        standing = standing._replace(barred="it has not signed that it belongs to that key (no cross-signature)")
    return Held(key, standing, name, primary)


def _by(primary: Key, covered: bytes, made: Sequence[Signature]) -> list[Signature]:
    """The signatures over a part that the primary key made. MD5 proves nothing; SHA-1 does, see docs/adr/0106."""
    own = [each for each in made if each.issuer in (b"", primary.identifier) and each.version == primary.version]
    if len(own) > limits.OPENPGP_SELF_SIGNATURES_MAX:
        raise MalformedError(
            f"more than {limits.OPENPGP_SELF_SIGNATURES_MAX} signatures by itself on one part of a key"
        )
    return [each for each in own if each.digest_algorithm != "md5" and _holds(each, primary, covered)]


def _holds(signature: Signature, key: Key, covered: bytes) -> bool:
    try:
        return key.spki is not None and signature.holds(key.spki, signature.digest_of(covered))
    except MalformedError:
        return False


def _newest(made: Iterable[Signature]) -> Signature | None:
    """The newest that is understood; of two of one time the one that ends first."""
    usable = [each for each in made if not each.not_understood and not _critical_notation(each)]
    return max(usable, key=lambda each: (each.created, -_seconds(each)), default=None)


def _critical_notation(signature: Signature) -> bool:
    return any(each.critical and each.kind == signatures.NOTATION for each in signature.hashed)


def _seconds(signature: Signature) -> int:
    return int.from_bytes(signature.one(signatures.KEY_EXPIRES) or b"", "big") or 1 << 32


def _names(primary: Key, parts: Sequence[Part]) -> tuple[list[Signature], str]:
    """The newest certification of every name that still is one, and the name to show: the one that is primary."""
    about: list[Signature] = []
    best: tuple[bool, dt.datetime] = (False, _FIRST)
    name = ""
    for part in parts[1:]:
        if part.packet.tag not in (packets.USER_ID, packets.USER_ATTRIBUTE):
            continue
        own = _by(primary, keys.over_user_id(primary, part.packet), part.signatures)
        newest = _newest(each for each in own if each.kind in signatures.CERTIFICATIONS)
        revoked = [each.created for each in own if each.kind == signatures.CERTIFICATION_REVOCATION]
        if newest is None or (revoked and max(revoked) >= newest.created):
            continue
        about.append(newest)
        rank = (bool(any(newest.one(signatures.PRIMARY_USER_ID) or b"")), newest.created)
        if part.packet.tag == packets.USER_ID and rank >= best:
            best, name = rank, _shown(part.packet.body)
    return about, name


def _shown(name: bytes) -> str:
    """A name as text in one line; what could pretend to be more than a name is made visible."""
    text = name[: limits.OPENPGP_NAME_MAX].decode("utf-8", "replace")
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _expiry(key: Key, chosen: Signature) -> dt.datetime | None:
    """When a key ends: by its own time, or with the signature that says so."""
    seconds = int.from_bytes(chosen.one(signatures.KEY_EXPIRES) or b"", "big")
    ends = [signatures.later(key.created, seconds)] if seconds else []
    ends += [chosen.expires] if chosen.expires else []
    return min(ends, default=None)


def _unless_for_signing(standing: Standing, chosen: Signature | None, *, allowed: bool) -> Standing:
    """A key signs when its flags say so; a primary key without flags may as well."""
    if standing.barred or chosen is None:
        return standing
    flags = chosen.one(signatures.KEY_FLAGS)
    if allowed if flags is None else bool(flags[:1] and flags[0] & _SIGN):
        return standing
    return standing._replace(barred="it is not for signing")


def _weak(key: Key) -> str:
    kind, size = mathematics.SIGNING[key.algorithm], keys.bits(key)
    if key.algorithm == mathematics.DSA:
        return f"{kind} with {size} bits"
    return f"{kind} with {size} bits" if 0 < size < limits.RSA_BITS_MIN else ""


def _crossed(key: Key, chosen: Signature, covered: bytes) -> bool:
    """Whether the subkey signed, inside of its binding, that it belongs to the primary key (clause 5.2.1.9)."""
    for each in (*chosen.hashed, *chosen.unhashed):
        if each.kind != signatures.EMBEDDED:
            continue
        try:
            back = signatures.read(each.body)
        except MalformedError:
            continue
        fitting = back.kind == signatures.PRIMARY_BINDING and back.version == key.version
        if fitting and back.digest_algorithm != "md5" and not back.not_understood and _holds(back, key, covered):
            return True
    return False


def _revocation(own: Sequence[Signature], kind: int) -> Standing | None:
    """The gravest of the revocations: a hard one holds for all time, of the soft ones the first counts."""
    found: list[Standing] = []
    for each in own:
        if each.kind != kind:
            continue
        code = (each.one(signatures.REASON) or b"\0")[0]
        said = f"{_SOFT.get(code) or _HARD.get(code) or 'no reason that would limit it'}, {clock.show(each.created)}"
        found.append(Standing(revoked=said, revoked_at=each.created if code in _SOFT else None))
    return min(found, key=lambda each: each.revoked_at or _FIRST, default=None)


def _by_another(own: Sequence[Signature], made: Sequence[Signature], primary: Key) -> Standing | None:
    """A revocation by somebody whom the key lets revoke it. It is believed unchecked: his key need not be here."""
    named = {
        signatures.key_id(primary.version, each.body[2:])
        for signature in own
        for each in signature.hashed
        if each.kind == signatures.REVOKER
    }
    for each in made:
        if each.kind == signatures.KEY_REVOCATION and each.issuer in named:
            return Standing(revoked="by whom it lets revoke it")
    return None
