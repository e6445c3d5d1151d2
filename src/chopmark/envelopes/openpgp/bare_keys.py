"""Rings of public keys in files, armoured or not, as trust stores hold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.core.signer import PublicKey, Terms
from chopmark.envelopes.openpgp import armor, certificates, keys, packets

if TYPE_CHECKING:
    from chopmark.envelopes.openpgp.certificates import Held

_PUBLIC, _SECRET = armor.begin(armor.PUBLIC_KEY), armor.begin(armor.SECRET_KEY)
_END = b"\n-----END " + armor.PUBLIC_KEY + b"-----\n"
_FIRST_OCTETS = (b"\x98", b"\x99", b"\x9a", b"\xc6")
"""A public key packet, in the old form and the new."""
_SECRET_OCTETS = (b"\x94", b"\x95", b"\x96", b"\xc5")
_KEYBOX = slice(8, 12)


def public_keys(data: bytes) -> list[PublicKey] | None:
    """Every key that can sign, of every certificate in a file; None when it is no such file.

    Certificates of old versions and unknown kinds are passed over while there are others. Raises MalformedError, also
    for secret keys, which have no place among those that are trusted.
    """
    if data[_KEYBOX] == b"KBXf":
        raise MalformedError("a keybox of GnuPG's own; export the keys (gpg --export)")
    if _has_line(data, _SECRET) or (data.startswith(_SECRET_OCTETS) and _resembles(data)):
        raise MalformedError("a secret key")
    if _has_line(data, _PUBLIC):
        data = _unwrapped(data)
    elif not data.startswith(_FIRST_OCTETS) or not _resembles(data):
        return None
    found: list[PublicKey] = []
    passed_over = ""
    for parts in certificates.split(packets.read(data)):
        try:
            found += map(_known, certificates.read(parts))
        except MalformedError as error:
            passed_over = passed_over or str(error)
        if len(found) > limits.OPENPGP_KEYS_MAX:
            raise MalformedError(f"more than {limits.OPENPGP_KEYS_MAX} keys")
    if not found:
        raise MalformedError(f"no key that can be used: {passed_over}")
    return found


def _has_line(data: bytes, start: bytes) -> bool:
    return data.startswith(start) or b"\n" + start in data


def _resembles(data: bytes) -> bool:
    """Whether the first packet is a key of a version there is, so that other binary files are not taken for rings."""
    try:
        first = next(packets.read(data))
    except (MalformedError, StopIteration):
        return False
    return first.body[:1] in (b"\2", b"\3", b"\4", b"\5", b"\6")


def _unwrapped(data: bytes) -> bytes:
    """All blocks of a text, one after the other; what people write around them (fingerprints, whose it is) is nothing.

    Raises MalformedError.
    """
    text, raw = b"\n" + data.replace(b"\r\n", b"\n"), b""
    while (start := text.find(b"\n" + _PUBLIC)) >= 0:
        block, end, text = text[start + 1 :].partition(_END)
        raw += armor.unwrap(block + end, armor.PUBLIC_KEY)[0]
        text = b"\n" + text
    return raw


def _known(held: Held) -> PublicKey:
    key, standing = held.key, held.standing
    spki = key.spki or key.body
    who = f"{held.name} " if held.name else ""
    terms = Terms(
        valid_after=key.created,
        barred=standing.barred,
        weak=standing.weak,
        revoked=standing.revoked,
        revoked_at=standing.revoked_at,
        expires=standing.expires,
    )
    name = f"{who}({keys.shown(key.fingerprint)})"
    return PublicKey(keys.KINDS[key.version], key.identifier, spki, name, terms, held.primary.fingerprint.hex())
