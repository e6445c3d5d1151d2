"""OpenPGP: what is read and refused, how keys stand, and what a signature may say."""

from __future__ import annotations

import datetime as dt
import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.engine import check, identify
from chopmark.envelopes import openpgp
from chopmark.envelopes.openpgp import armor, certificates, keys, making, mathematics, packets, signatures, text
from chopmark.keys import openpgp as opening
from chopmark.keys import uri
from chopmark.keys.errors import UnusableKeyError
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import keyring, store
from tests.support import bare_keys, pki, rsa_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from chopmark.core.signer import PublicKey

FILE = b"content"
BORN = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp())
DAY = 86400
NOON = pki.NOW
NOW = int(NOON.timestamp())
SIGN, CERTIFY = b"\2", b"\1"
PUBLIC = (bare_keys.VECTORS / "openpgp" / "signer.asc").read_bytes()


def sub(kind: int, body: bytes, *, critical: bool = False) -> bytes:
    return bytes([len(body) + 1, kind | (0x80 if critical else 0)]) + body


def four(value: int) -> bytes:
    return value.to_bytes(4, "big")


class Maker:
    """An Ed25519 key in OpenPGP's form that signs whatever it is told to, for what honest software does not make."""

    def __init__(self, version: int = 4, born: int = BORN) -> None:
        self.private = ed25519.Ed25519PrivateKey.generate()
        point = self.private.public_key().public_bytes_raw()
        fields = len(point).to_bytes(4, "big") + point if version == 6 else point
        self.key = keys.public(bytes([version]) + four(born) + bytes([mathematics.ED25519]) + fields)

    def signature(
        self,
        kind: int,
        over: bytes,
        *extra: bytes,
        made: int = BORN,
        unhashed: bytes = b"",
        digest: str = "sha512",
        issuer: bytes | None = None,
    ) -> bytes:
        version, width = self.key.version, 2 if self.key.version == 4 else 4
        named = sub(33, bytes([version]) + self.key.fingerprint) if issuer is None else issuer
        hashed = sub(2, four(made)) + named + b"".join(extra)
        number = mathematics.DIGEST_NUMBERS[digest]
        covered = bytes([version, kind, self.key.algorithm, number]) + len(hashed).to_bytes(width, "big") + hashed
        salt = bytes(signatures.SALTS[digest]) if version == 6 else b""
        trailer = covered + bytes([version, 0xFF]) + four(len(covered))
        value = hashlib.new(digest, salt + over + trailer).digest()
        salted = bytes([len(salt)]) + salt if version == 6 else b""
        return covered + len(unhashed).to_bytes(width, "big") + unhashed + value[:2] + salted + self.signed(value)

    def signed(self, value: bytes) -> bytes:
        return self.private.sign(value)

    def packet(self, kind: int, over: bytes, *extra: bytes, **more: object) -> bytes:
        return packets.write(packets.SIGNATURE, self.signature(kind, over, *extra, **more))  # type: ignore[arg-type]

    def ring(self, *behind: bytes, flags: bytes = SIGN, extra: Sequence[bytes] = ()) -> bytes:
        """The key with a direct signature, and what is to stand behind it."""
        direct = self.packet(signatures.DIRECT, self.key.covered, sub(27, flags), *extra)
        return packets.write(packets.PUBLIC_KEY, self.key.body) + direct + b"".join(behind)

    def subkey(
        self, other: Maker, *, flags: bytes = SIGN, crossed: Maker | None = None, back_kind: int = 0x19
    ) -> bytes:
        over = self.key.covered + other.key.covered
        inside = (crossed or other).signature(back_kind, over)
        embedded = b"\xff" + four(len(inside) + 1) + bytes([32]) + inside
        binding = self.packet(signatures.SUBKEY_BINDING, over, sub(27, flags), embedded)
        return packets.write(packets.PUBLIC_SUBKEY, other.key.body) + binding


class RsaMaker(Maker):
    """The same with a test key of RSA's."""

    def __init__(self) -> None:
        key = pki.key("rsa2048")
        assert isinstance(key, rsa.RSAPrivateKey)
        self.rsa = key
        numbers = key.public_key().public_numbers()
        fields = mpi(numbers.n) + mpi(numbers.e)
        self.key = keys.public(b"\4" + four(BORN) + bytes([mathematics.RSA]) + fields)

    def signed(self, value: bytes) -> bytes:
        algorithm = {32: hashes.SHA256(), 64: hashes.SHA512()}[len(value)]
        return mpi(int.from_bytes(self.rsa.sign(value, padding.PKCS1v15(), utils.Prehashed(algorithm)), "big"))

    def oldest(self, over: bytes, *, kind: int = 0, length: int = 5, algorithm: int = mathematics.RSA) -> bytes:
        """A signature of version 3."""
        covered = bytes([kind]) + four(NOW) + bytes(length - 5)
        value = hashlib.sha256(over + covered).digest()
        head = bytes([3, length]) + covered + self.key.identifier + bytes([algorithm, 8]) + value[:2]
        return packets.write(packets.SIGNATURE, head + self.signed(value))


def mpi(number: int) -> bytes:
    return number.bit_length().to_bytes(2, "big") + number.to_bytes((number.bit_length() + 7) // 8, "big")


def test_signatures_of_version_3(tmp_path: Path) -> None:
    maker = RsaMaker()
    good, ring = maker.oldest(FILE), maker.ring()
    assert codes(ring, good, tmp_path) == set()
    assert codes(ring, good, tmp_path, b"other") == {"openpgp.signature_wrong"}
    assert codes(ring, maker.oldest(b"a\r\n", kind=1), tmp_path, b"a\n") == set()
    assert codes(Maker().ring(), good, tmp_path) == {"key.unknown"}
    told = openpgp.envelope_in(good)
    assert told.signature.created == NOON
    assert "openpgp.version_3" in {finding.code for finding in told.check([]).findings}
    assert codes(ring, maker.oldest(FILE, length=6), tmp_path) == {"openpgp.form"}
    for undecided in (maker.oldest(FILE, kind=0x10), maker.oldest(FILE, algorithm=mathematics.ED25519)):
        assert codes(ring, undecided, tmp_path) == {"openpgp.unsupported"}


def test_numbers_with_zeros_before_them(tmp_path: Path) -> None:
    """Some signers write them; version 6 forbids them. The octets must be those that the length says all the same."""
    maker = RsaMaker()
    several = (str(number).encode() for number in range(2000))  # about one in two hundred begins with a zero
    made = ((content, openpgp.envelope_in(maker.oldest(content)).signature) for content in several)
    content, signature = next(each for each in made if each[1].value[:2] <= (2040).to_bytes(2, "big"))
    head = signature.raw[: -len(signature.value)]
    value = signature.value[2:]
    for bits, octets, code in (
        (2048, b"\0" + value, set()),
        (2041, b"\0" + value, set()),
        (2041, value, {"openpgp.unsupported"}),
        (2048, value, {"openpgp.unsupported"}),
        (2040, b"\0" + value, {"openpgp.unsupported"}),
    ):
        packet = packets.write(packets.SIGNATURE, head + bits.to_bytes(2, "big") + octets)
        assert codes(maker.ring(), packet, tmp_path, content) == code
    with pytest.raises(MalformedError):
        packets.Reader(b"\0\x09\0\xff").mpi()
    assert packets.Reader(b"\0\x09\0\xff").mpi(exact=False) == 255
    with pytest.raises(MalformedError):
        packets.Reader(b"\0\x07\xff").mpi(exact=False)


def test_a_signature_of_one_version_is_none_of_another(tmp_path: Path) -> None:
    """What version 3 covers of itself must not pass for the end of what version 4 covers, nor the reverse."""
    maker = RsaMaker()
    old = maker.oldest(FILE)
    covered = openpgp.envelope_in(old).signature.trailer
    assert codes(maker.ring(), maker.packet(0, FILE + covered, made=NOW), tmp_path, FILE) == {"openpgp.signature_wrong"}
    for content in (FILE + covered, FILE + covered[:1], FILE[:-1]):
        assert codes(maker.ring(), old, tmp_path, content) == {"openpgp.signature_wrong"}


def test_keys_are_not_believed_on_the_word_of_version_3(tmp_path: Path) -> None:
    """A certification of version 3 says nothing of a key, which then has nobody who vouches for its use."""
    maker = RsaMaker()
    bare = packets.write(packets.PUBLIC_KEY, maker.key.body)
    old = maker.oldest(maker.key.covered, kind=signatures.DIRECT)
    good = maker.packet(0, FILE, made=NOW)
    for ring in (bare, bare + old):
        assert codes(ring, good, tmp_path) == {"key.barred"}


def test_rings_with_words_around_the_blocks() -> None:
    """As distributions publish them."""
    block = PUBLIC
    alone = openpgp.public_keys(block)
    assert alone
    for written in (
        b"Our key.\n\npub 255\n" + block,
        b"\n\n" + block + b"\nThe other:\n" + block + b"end\n",
        (b"Our key.\n" + block).replace(b"\n", b"\r\n"),
    ):
        found = openpgp.public_keys(written)
        assert found is not None
        assert set(found) == set(alone)
    assert openpgp.public_keys(b"see -----BEGIN PGP PUBLIC KEY BLOCK-----\n") is None
    for bad in (b"words\n" + block[:-40], b"words\n" + block.replace(b"=", b"?"), block + block[:100]):
        with pytest.raises(MalformedError):
            openpgp.public_keys(bad)
    secret = (bare_keys.VECTORS / "openpgp" / "signer.key").read_bytes()
    for mixed in (b"words\n" + secret, block + secret):
        with pytest.raises(MalformedError):
            openpgp.public_keys(mixed)


def ring_of(data: bytes) -> keyring.Keyring:
    found = openpgp.public_keys(data)
    assert found is not None
    return keyring.Keyring(keyring.KnownKey(key, "test", None) for key in found)


def codes(ring: bytes, signature: bytes, tmp_path: Path, content: bytes = FILE, at: dt.datetime = NOON) -> set[str]:
    artifact = Artifact.from_bytes(content, "file", {".sig": signature})
    known = contexts.Context(
        store.Store([], (), ring_of(ring)), at, contexts.OFF, origins.CrlSource(cache=str(tmp_path))
    )
    verdict = check.check(artifact, known, "openpgp")
    every = (*verdict.findings, *(finding for seal in verdict.seals for finding in seal.findings))
    return {finding.code for finding in every if finding.outcome in ("no", "unknown")}


@pytest.mark.parametrize("version", [4, 6])
def test_both_versions(version: int, tmp_path: Path) -> None:
    maker, other = Maker(version), Maker(version)
    good = maker.packet(0, FILE, made=NOW)
    assert codes(maker.ring(), good, tmp_path) == set()
    assert codes(maker.ring(), good + good, tmp_path) == set()
    assert codes(maker.ring(), good, tmp_path, b"other") == {"openpgp.signature_wrong"}
    assert codes(other.ring(), good, tmp_path) == {"key.unknown"}
    assert codes(maker.ring(), good + other.packet(0, FILE, made=NOW), tmp_path) == {"key.unknown"}
    wrong = other.packet(0, FILE, made=NOW, issuer=sub(33, bytes([version]) + maker.key.fingerprint))
    assert codes(maker.ring(), wrong, tmp_path) == {"openpgp.signature_wrong"}


def test_a_text_has_any_line_ends(tmp_path: Path) -> None:
    maker = Maker()
    made = maker.packet(1, b"a\r\nb\r\n", made=NOW)
    for content in (b"a\nb\n", b"a\r\nb\r\n"):
        assert codes(maker.ring(), made, tmp_path, content) == set()
    assert codes(maker.ring(), made, tmp_path, b"a\nb") == {"openpgp.signature_wrong"}
    told = openpgp.envelope_in(made).check([])
    assert "openpgp.text" in {finding.code for finding in told.findings}


@pytest.mark.parametrize(
    ("kind", "extra", "more", "code"),
    [
        (0x10, (), {}, "openpgp.type"),
        (0x02, (), {}, "openpgp.type"),
        (0, (sub(100, b"x"),), {}, ""),
        (0, (sub(100, b"x", critical=True),), {}, "openpgp.critical"),
        (0, (sub(20, bytes(8)),), {}, ""),
        (0, (sub(20, bytes(8), critical=True),), {}, "openpgp.critical"),
        (0, (sub(35, b"\4" + bytes(20)),), {}, "openpgp.recipient"),
        (0, (), {"unhashed": sub(16, bytes(8))}, ""),
        (0, (), {"unhashed": sub(20, bytes(8))}, "openpgp.unsigned"),
        (0, (sub(3, four(DAY)),), {}, ""),
        (0, (sub(3, four(DAY)),), {"made": NOW - DAY}, "key.signature_expired"),
        (0, (), {"made": NOW + 3600}, "key.early"),
        (0, (), {"made": BORN - 1}, "key.early"),
        (0, (), {"digest": "sha1"}, "digest.weak"),
        (0, (), {"digest": "md5"}, "digest.weak"),
        (0, (), {"digest": "sha3_256"}, ""),
    ],
)
def test_what_a_signature_says(
    kind: int, extra: tuple[bytes, ...], more: dict[str, object], code: str, tmp_path: Path
) -> None:
    maker = Maker()
    made = maker.packet(kind, FILE, *extra, **{"made": NOW, **more})
    assert codes(maker.ring(), made, tmp_path) == ({code} if code else set())


def revoked(maker: Maker, kind: int, over: bytes, reason: bytes, made: int = NOW - DAY) -> bytes:
    return maker.packet(kind, over, *([sub(29, reason)] if reason else []), made=made)


@pytest.mark.parametrize(
    ("reason", "before"), [(b"", True), (b"\0", True), (b"\1", False), (b"\2", True), (b"\3", False), (b"\x64", True)]
)
def test_a_revoked_key(reason: bytes, before: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    maker = Maker()
    made = maker.packet(0, FILE, made=NOW - 9 * DAY)
    plain = maker.ring()
    ring = plain + revoked(maker, signatures.KEY_REVOCATION, maker.key.covered, reason)
    assert codes(ring, made, tmp_path) == {"key.revoked"}
    assert codes(plain + ring, made, tmp_path) == codes(ring + plain, made, tmp_path) == {"key.revoked"}
    earlier = codes(ring, made, tmp_path, at=NOON - dt.timedelta(days=5))
    assert earlier == ({"key.revoked"} if before else set())


def test_a_revocation_by_another_counts_only_where_the_key_lets_him(tmp_path: Path) -> None:
    maker, other = Maker(), Maker()
    made = maker.packet(0, FILE, made=NOW)
    theirs = revoked(other, signatures.KEY_REVOCATION, maker.key.covered, b"")
    assert codes(maker.ring(theirs), made, tmp_path) == set()
    lets = sub(12, b"\x80\x1b" + other.key.fingerprint)
    assert codes(maker.ring(theirs, extra=[lets]), made, tmp_path) == {"key.revoked"}


def test_a_key_that_ends(tmp_path: Path) -> None:
    maker = Maker()
    made = maker.packet(0, FILE, made=BORN + 1)
    ring = maker.ring(extra=[sub(9, four(30 * DAY))])
    assert codes(ring, made, tmp_path) == {"key.expired"}
    assert codes(ring, made, tmp_path, at=NOON - dt.timedelta(days=160)) == set()
    longer = maker.packet(signatures.DIRECT, maker.key.covered, sub(27, SIGN), made=BORN + DAY)
    assert codes(ring + longer, made, tmp_path) == set()


def test_keys_that_do_not_sign(tmp_path: Path) -> None:
    maker, other = Maker(), Maker()
    made = maker.packet(0, FILE, made=NOW)
    bare = packets.write(packets.PUBLIC_KEY, maker.key.body)
    assert codes(maker.ring(flags=CERTIFY), made, tmp_path) == {"key.barred"}
    assert codes(bare, made, tmp_path) == {"key.barred"}
    forged = other.packet(signatures.DIRECT, maker.key.covered, sub(27, SIGN), issuer=b"")
    assert codes(bare + forged, made, tmp_path) == {"key.barred"}
    md5 = maker.packet(signatures.DIRECT, maker.key.covered, sub(27, SIGN), digest="md5")
    assert codes(bare + md5, made, tmp_path) == {"key.barred"}
    sha1 = maker.packet(signatures.DIRECT, maker.key.covered, sub(27, SIGN), digest="sha1")
    assert codes(bare + sha1, made, tmp_path) == set()


def test_subkeys(tmp_path: Path) -> None:
    maker, other, third = Maker(), Maker(), Maker()
    made = other.packet(0, FILE, made=NOW)
    over = maker.key.covered + other.key.covered

    def found(subkey: bytes) -> set[str]:
        return codes(maker.ring(subkey, flags=CERTIFY), made, tmp_path)

    assert found(maker.subkey(other)) == set()
    assert found(maker.subkey(other, flags=b"\x0c")) == {"key.barred"}
    assert found(maker.subkey(other, flags=b"\0")) == {"key.barred"}, "no use is not every use (CVE-2013-4351)"
    assert found(maker.subkey(other, crossed=third)) == {"key.barred"}
    assert found(maker.subkey(other, crossed=maker)) == {"key.barred"}
    assert found(maker.subkey(other, back_kind=0x18)) == {"key.barred"}
    assert found(packets.write(packets.PUBLIC_SUBKEY, other.key.body)) == {"key.barred"}
    assert found(third.subkey(other)) == {"key.barred"}
    assert found(maker.subkey(other) + revoked(maker, 0x28, over, b"\2")) == {"key.revoked"}
    assert found(maker.subkey(other) + revoked(other, 0x28, over, b"\2")) == set()
    ended = maker.ring(maker.subkey(other), flags=CERTIFY, extra=[sub(9, four(DAY))])
    assert codes(ended, made, tmp_path) == {"key.expired"}


def test_names() -> None:
    maker = Maker()
    shown = []
    for name in (b"One <one@example.org>", b"Two\n[GNUPG:] GOODSIG\x1b[2J"):
        packet = packets.Packet(packets.USER_ID, name)
        over = keys.over_user_id(maker.key, packet)
        certified = packets.write(packets.USER_ID, name) + maker.packet(0x13, over, sub(27, SIGN))
        [key] = openpgp.public_keys(packets.write(packets.PUBLIC_KEY, maker.key.body) + certified) or []
        assert not key.terms.barred
        shown.append(key.name)
        gone = certified + maker.packet(signatures.CERTIFICATION_REVOCATION, over, made=BORN + 1)
        [key] = openpgp.public_keys(packets.write(packets.PUBLIC_KEY, maker.key.body) + gone) or []
        assert key.terms.barred
    assert shown[0].startswith("One <one@example.org> (")
    assert shown[1].isprintable()


def test_weak_keys() -> None:
    modulus = rsa_numbers.honest((1 << 1023) + 1)
    body = b"\4" + four(BORN) + b"\1" + packets.mpi(modulus) + packets.mpi(65537)
    [held] = certificates.read(certificates.split([packets.Packet(packets.PUBLIC_KEY, body)])[0])
    assert held.standing.weak == "RSA with 1024 bits"


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:0],
        lambda raw: raw[:-1],
        lambda raw: raw + b"\0",
        lambda raw: packets.write(packets.MARKER, b"PGP") + raw,
        lambda raw: raw + packets.write(packets.PADDING, b"x"),
        lambda raw: raw + packets.write(11, b"b\0\0\0\0\0text"),
        lambda raw: b"\xc2\xe1" + raw[2:],
        lambda raw: b"\x8b" + raw[2:],
        lambda raw: raw * (limits.OPENPGP_SIGNATURES_MAX + 1),
        lambda raw: raw + bytes(limits.OPENPGP_SIGNATURES_SIZE_MAX),
    ],
)
def test_other_packets_are_refused(change: Callable[[bytes], bytes]) -> None:
    raw = Maker().packet(0, FILE, made=NOW)
    with pytest.raises(BrokenError) as caught:
        openpgp.envelopes_in(change(raw))
    assert caught.value.reason.code == "openpgp.form"


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data + data,
        lambda data: b"words\n" + data,
        lambda data: data + b"words\n",
        lambda data: data.replace(b"\n\n", b"\n", 1),
        lambda data: data.replace(b"\n\n", b"\nOther: x\n\n", 1),
        lambda data: data.replace(b"\n=", b"\n=A", 1),
        lambda data: data.replace(b"-----\n", b"-----\r\n", 1),
        lambda data: data[:60] + b"\n" + data[60:],
    ],
)
def test_armour_that_is_not_as_written_is_refused(change: Callable[[bytes], bytes]) -> None:
    data = armor.wrap(Maker().packet(0, FILE, made=NOW), armor.SIGNATURE)
    assert len(openpgp.envelopes_in(data)) == len(openpgp.envelopes_in(data.replace(b"\n", b"\r\n"))) == 1
    with pytest.raises(BrokenError):
        openpgp.envelopes_in(change(data))


@pytest.mark.parametrize("body", [b"", b"=Wz8I\n", b"\n=Wz8I\n"])
def test_armour_around_nothing_is_refused(body: bytes) -> None:
    data = armor.begin(armor.PUBLIC_KEY) + b"\n\n" + body + b"-----END " + armor.PUBLIC_KEY + b"-----\n"
    with pytest.raises(MalformedError):
        armor.unwrap(data, armor.PUBLIC_KEY)


def test_headers_of_armour_are_told() -> None:
    data = armor.wrap(Maker().packet(0, FILE, made=NOW), armor.SIGNATURE).replace(b"\n", b"\nComment: all is well\n", 1)
    assert "openpgp.headers" in {finding.code for finding in openpgp.envelope_in(data).check([]).findings}


@pytest.mark.parametrize("version", [2, 5, 7])
def test_other_versions_are_undecided(version: int) -> None:
    body = bytes([version]) + Maker().signature(0, FILE)[1:]
    with pytest.raises(BrokenError) as caught:
        openpgp.envelopes_in(packets.write(packets.SIGNATURE, body))
    assert caught.value.reason.code == "openpgp.unsupported"


def test_a_signature_says_each_thing_once_and_when_it_was_made() -> None:
    maker = Maker()
    for body in (
        maker.signature(0, FILE, sub(2, four(BORN))),
        maker.signature(0, FILE).replace(sub(2, four(BORN)), sub(102, four(BORN)), 1),
        maker.signature(0, FILE, sub(9, b"\0")),
        maker.signature(0, FILE, issuer=sub(33, b"\4" + bytes(19))),
    ):
        with pytest.raises(BrokenError):
            signatures.read(body)


FRAME = text.framed(b"one\n-two\n", "sha512", text.NO_SIGNATURE)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda data: b"words\n" + data, "openpgp.outside"),
        (lambda data: b"\n" + data, "openpgp.outside"),
        (lambda data: data + b"words\n", "openpgp.outside"),
        (lambda data: data + data, "openpgp.outside"),
        (lambda data: data.replace(b"Hash: SHA512", b"Comment: SHA512"), "openpgp.outside"),
        (lambda data: data.replace(b"SHA512\n", b"SHA512\nall is well\n"), "openpgp.outside"),
        (lambda data: data.replace(b"SHA512", b"SHA513"), "openpgp.form"),
        (lambda data: data.replace(b"- -", b"-"), "openpgp.form"),
        (lambda data: data.partition(b"-----BEGIN PGP SIGNATURE")[0], "openpgp.form"),
        (lambda data: data.partition(b"\n\n")[0], "openpgp.form"),
    ],
)
def test_what_stands_around_a_signed_text_is_refused(change: Callable[[bytes], bytes], code: str) -> None:
    with pytest.raises(BrokenError) as caught:
        text.clear(change(FRAME))
    assert caught.value.reason.code == code


@given(st.lists(st.sampled_from([b"", b"a", b"- b", b"-", b"From c", b"-----BEGIN PGP SIGNATURE-----", b"d \t"])))
def test_a_framed_text_is_itself(lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    taken = text.clear(text.framed(data, "sha256", text.NO_SIGNATURE))
    assert taken.original == (data if data != b"\n" else b"")
    assert taken.loose is any(line.endswith(b"\t") for line in lines)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data, set()),
        (lambda data: data.replace(b"Hash: SHA512\n", b""), set()),
        (lambda data: data.replace(b"SHA512", b"SHA256"), {"openpgp.hash"}),
        (lambda data: data.replace(b"one\n", b"one \t\r\n"), {"openpgp.loose"}),
    ],
)
def test_a_text_and_its_head(change: Callable[[bytes], bytes], told: set[str]) -> None:
    made = armor.wrap(Maker().packet(1, b"one\r\n-two", made=NOW), armor.SIGNATURE)
    artifact = Artifact.from_bytes(change(text.framed(b"one\n-two\n", "sha512", made)), "text")
    assert identify.identify(artifact).name == "clearsigned"
    [seal] = identify.identify(artifact).extract(artifact)
    assert {finding.code for finding in seal.findings} == told


def test_words_before_a_signed_text_do_not_hide_it() -> None:
    artifact = Artifact.from_bytes(b"words\n" + FRAME, "text")
    assert identify.identify(artifact).name == "clearsigned"


def test_files_of_keys() -> None:
    [key] = openpgp.public_keys(PUBLIC) or []
    raw, _ = armor.unwrap(PUBLIC, armor.PUBLIC_KEY)
    assert openpgp.public_keys(raw) == [key]
    assert len(openpgp.public_keys(PUBLIC + PUBLIC) or ()) == len(openpgp.public_keys(raw + raw) or ()) == 2
    for other in (b"", b"words", b"\x99", b"\x99\0\1x", pki.world().root.pem, b"\x98\x03abc"):
        assert openpgp.public_keys(other) is None
    secret = (bare_keys.VECTORS / "openpgp" / "signer.key").read_bytes()
    for broken in (secret, PUBLIC[:-9], raw[:-1], raw + b"\0", bytes(8) + b"KBXf", raw + b"\xcb\0"):
        with pytest.raises(MalformedError):
            openpgp.public_keys(broken)


def test_too_many_signatures_on_a_key_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = Maker()
    more = maker.packet(signatures.DIRECT, maker.key.covered)
    monkeypatch.setattr(limits, "OPENPGP_SELF_SIGNATURES_MAX", 2)
    assert openpgp.public_keys(maker.ring(more))
    with pytest.raises(MalformedError):
        openpgp.public_keys(maker.ring(more, more))


def test_a_certificate_goes_with_all_its_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path))
    maker, other = Maker(), Maker()
    path = store.add_key("team", maker.ring(maker.subkey(other)))
    known: list[PublicKey] = [each.key for each in store.load(["team"]).keyring.every()]
    assert len(known) == 2
    assert store.remove("team", known[1].fingerprint) == [path]


@pytest.mark.parametrize("version", [4, 6])
def test_what_is_made_here_holds(version: int, tmp_path: Path) -> None:
    maker = Maker(version)
    signer = opening.OpenPgpSigner(maker.private, maker.key)
    made = making.seal(Content("openpgp", "sha512", FILE), signer, NOON, SealOptions())
    assert codes(maker.ring(), made, tmp_path) == set()
    assert codes(maker.ring(), made, tmp_path, b"other") == {"openpgp.signature_wrong"}
    with pytest.raises(RefusedError):
        making.seal(Content("openpgp", "sha512", FILE), signer, NOON - dt.timedelta(days=999), SealOptions())
    with pytest.raises(RefusedError):
        making.seal(Content("openpgp", "sha512", FILE), pki.world("ed25519").signer, NOON, SealOptions())


def test_ecdsa_uses_no_digest_that_is_shorter_than_its_curve() -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    point = private.public_key().public_numbers()
    octets = b"\4" + point.x.to_bytes(48, "big") + point.y.to_bytes(48, "big")
    curve = next(oid for oid, known in mathematics.CURVES.items() if known.name == "secp384r1")
    fields = bytes([len(curve)]) + curve + packets.mpi(int.from_bytes(octets, "big"))
    key = keys.public(b"\4" + four(BORN) + bytes([mathematics.ECDSA]) + fields)
    signer = opening.OpenPgpSigner(private, key)
    assert signer.digests == ("sha384", "sha512")
    with pytest.raises(RefusedError):
        making.seal(Content("openpgp", "sha256", FILE), signer, NOON, SealOptions())
    digest = hashlib.sha384(FILE).digest()
    pair = utils.decode_dss_signature(private.sign(FILE, ec.ECDSA(hashes.SHA384())))
    value = packets.Reader(b"".join(map(packets.mpi, pair)))
    assert key.spki is not None
    assert mathematics.verify(key.spki, mathematics.ECDSA, value, "sha384", digest, exact=True)


@given(st.binary(max_size=400))
def test_anything_is_read_or_refused(data: bytes) -> None:
    raw, _ = armor.unwrap(PUBLIC, armor.PUBLIC_KEY)
    for whole in (data, raw[: len(data)] + data, raw + data, raw[:51] + data, packets.write(packets.PUBLIC_KEY, data)):
        with suppress(MalformedError):
            openpgp.public_keys(whole)
    for whole in (data, packets.write(packets.SIGNATURE, data), packets.write(2, b"\4\0\x16\x0a" + data)):
        with suppress(MalformedError):
            openpgp.envelopes_in(whole)
    with suppress(MalformedError):
        text.clear(FRAME[: len(data)] + data)


def test_a_secret_key_whose_prime_is_one_is_refused(tmp_path: Path) -> None:
    maker = RsaMaker()
    secret = b"".join(map(mpi, (3, 1, 5, 1)))
    rest = b"\0" + secret + (sum(secret) & 0xFFFF).to_bytes(2, "big")
    ring = maker.ring().removeprefix(packets.write(packets.PUBLIC_KEY, maker.key.body))
    (tmp_path / "key.pgp").write_bytes(packets.write(packets.SECRET_KEY, maker.key.body + rest) + ring)
    (tmp_path / "key.pgp").chmod(0o600)
    with pytest.raises(UnusableKeyError):
        opening.open_key(uri.parse(f"openpgp:{tmp_path / 'key.pgp'}", lambda _: False), lambda _: None)
