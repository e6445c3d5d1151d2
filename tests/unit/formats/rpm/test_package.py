"""Packages and their signatures: what rpm accepts in silence is told or refused."""

from __future__ import annotations

import binascii
import hashlib
import struct
from pathlib import Path

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView, UnreadableError
from chopmark.core.contracts import SealOptions, Shows, Versioned
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.seal import Range, Recipe
from chopmark.core.verdict import Status
from chopmark.core.versions import RPM, Release
from chopmark.engine import check, sign
from chopmark.envelopes.openpgp import armor
from chopmark.formats.rpm import FORMAT, header, package, sealing, tags
from chopmark.formats.rpm.header import Value
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import bare_keys, rpms
from tests.support.rpms import File

VECTORS = Path(__file__).parents[3] / "vectors/rpm"
SAMPLE = (VECTORS / "sample-tiny.rpm").read_bytes()
V6 = (VECTORS / "more-v6.rpm").read_bytes()
FILES = [File("/usr/bin/tool", b"content"), File("/usr/bin/link", mode=rpms.LINK, target="tool")]
GOOD = rpms.rpm(FILES)
PAYLOAD = b"payload"
HEAD = header.written(tags.IMMUTABLE, rpms.values(payload=PAYLOAD).values())


def judged(data: bytes, tmp_path: Path) -> tuple[Status, set[str]]:
    """The status, and the codes of what is not fine (or is told)."""
    context = contexts.Context(
        store.load([bare_keys.public("rpm")]), rpms.NOW, contexts.OFF, origins.CrlSource(cache=str(tmp_path))
    )
    verdict = check.check(Artifact.from_bytes(data, "x.rpm"), context)
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return verdict.status, {each.code for each in found if each.outcome != "ok"} - {"format.detected", "seal.none"}


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        package.read(BytesView(data))
    return told.value.reason.code


@pytest.mark.parametrize("data", [SAMPLE, V6, GOOD], ids=["v4", "v6", "ours"])
def test_signing_and_stripping(data: bytes, tmp_path: Path) -> None:
    assert judged(data, tmp_path) == (Status.UNSIGNED, set())
    signed = rpms.signed(data)
    assert judged(signed, tmp_path) == (Status.TRUSTED, set())
    assert len(signed) == len(data)
    again = rpms.signed(signed)
    assert len(list(FORMAT.extract(Artifact.from_bytes(again)))) == 1
    for each in (signed, again, data):
        artifact = Artifact.from_bytes(each)
        assert FORMAT.strip(artifact).render(artifact) == data


def test_a_package_without_reserved_room_grows(tmp_path: Path) -> None:
    bare = rpms.packed(rpms.values(payload=PAYLOAD).values(), PAYLOAD, beside={tags.RESERVED_SPACE: None})
    signed = rpms.signed(bare)
    assert judged(signed, tmp_path) == (Status.TRUSTED, set())
    artifact = Artifact.from_bytes(signed)
    assert FORMAT.strip(artifact).render(artifact) == bare
    tight = rpms.packed(rpms.values(payload=PAYLOAD).values(), PAYLOAD,
                        beside={tags.RESERVED_SPACE: Value(tags.RESERVED_SPACE, tags.BINARY, 9, bytes(9))})  # fmt: skip
    assert judged(rpms.signed(tight), tmp_path) == (Status.TRUSTED, set())
    assert package.read(BytesView(rpms.signed(tight))).signatures.entries[tags.RESERVED_SPACE][2] == 9


def test_several_signatures_are_for_version_6_alone(tmp_path: Path) -> None:
    twice = rpms.signed(rpms.signed(V6), append=True)
    assert judged(twice, tmp_path) == (Status.TRUSTED, set())
    assert [seal.where for seal in FORMAT.extract(Artifact.from_bytes(twice))] == ["OPENPGP", "OPENPGP 2"]
    assert len(list(FORMAT.extract(Artifact.from_bytes(rpms.signed(twice))))) == 1
    with pytest.raises(RefusedError):
        rpms.signed(rpms.signed(SAMPLE), append=True)
    assert judged(rpms.signed(SAMPLE, append=True), tmp_path) == (Status.TRUSTED, set())
    with pytest.raises(UsageError):
        rpms.signed(V6, "v3")
    with pytest.raises(UsageError):
        rpms.signed(SAMPLE, "pem")


# The signature covers the header alone


def without_payload_digest(payload: bytes) -> bytes:
    said = rpms.values(FILES, payload)
    return rpms.packed((each for tag, each in said.items() if tag not in (tags.PAYLOAD_DIGEST,
                       tags.PAYLOAD_DIGEST_UNPACKED, tags.PAYLOAD_DIGEST_ALGORITHM)), payload)  # fmt: skip


def signed_header(raw: bytes) -> Value:
    """A signature over any header: what `sign` refuses to make where the payload stays open."""
    found = package.read(BytesView(raw))
    head = raw[found.start : found.payload]
    artifact = Artifact.from_bytes(head, "header")
    request = sign.SignRequest(
        bare_keys.signer("rpm"), (), rpms.NOW, SealOptions(digest_algorithm="sha512"), format_name="openpgp"
    )
    octets = armor.unwrap(sign.sign(artifact, request).envelope, armor.SIGNATURE)[0]
    return Value(tags.DSA, tags.BINARY, len(octets), octets)


def with_signatures(raw: bytes, *more: Value, without: tuple[int, ...] = ()) -> bytes:
    """The package with further values in the signature header."""
    found = package.read(BytesView(raw))
    kept = [each for each in header.values(found.signatures) if each.tag not in (*without, *(one.tag for one in more))]
    made = header.written(tags.SIGNATURES, [*kept, *more])
    return rpms.assembled(made, raw[found.start : found.payload], raw[found.payload :], raw[:96])


def test_a_swapped_payload_is_noticed(tmp_path: Path) -> None:
    """Header, its signature and its digests are whole; the digests that nobody signs are made to fit."""
    signed = rpms.signed(GOOD)
    found = package.read(BytesView(signed))
    head = signed[found.start : found.payload]
    other = rpms.PACK["gzip"](rpms.cpio([File("/usr/bin/tool", b"evil"), FILES[1]]))
    fitting = rpms.signature_values(head, other)
    swapped = with_signatures(signed[: found.payload] + other, fitting[tags.SIZE], fitting[tags.MD5])
    assert judged(swapped, tmp_path) == (Status.REJECTED, {"digest.mismatch"})


def test_without_a_digest_any_payload_would_fit(tmp_path: Path) -> None:
    bare = without_payload_digest(PAYLOAD)
    with pytest.raises(RefusedError):
        rpms.signed(bare)
    assert judged(with_signatures(bare, signed_header(bare)), tmp_path) == (Status.REJECTED, {"rpm.payload_uncovered"})
    whole = rpms.signed(bare, "v3")
    assert judged(whole, tmp_path) == (Status.TRUSTED, set())
    assert [seal.where for seal in FORMAT.extract(Artifact.from_bytes(whole))] == ["SIGGPG"]
    both = with_signatures(whole, signed_header(bare))
    assert judged(both, tmp_path) == (Status.TRUSTED, {"rpm.payload_elsewhere"})
    found = package.read(BytesView(both))
    swapped = both[: found.payload] + b"PAYLOAD"
    assert judged(swapped, tmp_path)[0] is Status.REJECTED


def test_a_weak_signature_over_the_payload_is_none(tmp_path: Path) -> None:
    """One that is merely weak does not spoil a package that another vouches for; then that one must cover it all."""
    bare = without_payload_digest(PAYLOAD)
    once = signed_header(bare)
    weak = once._replace(tag=tags.GPG, octets=once.octets[:5] + b"\2" + once.octets[6:])
    status, codes = judged(with_signatures(bare, once, weak), tmp_path)
    assert status is Status.REJECTED
    assert {"rpm.payload_uncovered", "digest.weak"} <= codes


@pytest.mark.parametrize("number", [1, 2])
def test_a_weak_digest_of_the_payload_is_none(number: int, tmp_path: Path) -> None:
    name = {1: "md5", 2: "sha1"}[number]
    said = rpms.values(payload=PAYLOAD)
    said[tags.PAYLOAD_DIGEST] = rpms.texts(tags.PAYLOAD_DIGEST, [hashlib.new(name, PAYLOAD).hexdigest()])
    said[tags.PAYLOAD_DIGEST_ALGORITHM] = rpms.numbers(tags.PAYLOAD_DIGEST_ALGORITHM, [number])
    del said[tags.PAYLOAD_DIGEST_UNPACKED]
    bare = rpms.packed(said.values(), PAYLOAD)
    assert judged(with_signatures(bare, signed_header(bare)), tmp_path) == (Status.REJECTED, {"rpm.payload_uncovered"})


def test_an_uncompressed_payload_has_a_digest_of_its_own(tmp_path: Path) -> None:
    signed = rpms.signed(GOOD)
    found = package.read(BytesView(signed))
    plain = rpms.cpio(FILES)
    fitting = rpms.signature_values(signed[found.start : found.payload], plain)
    unpacked = with_signatures(signed[: found.payload] + plain, fitting[tags.SIZE], fitting[tags.MD5])
    assert judged(unpacked, tmp_path) == (Status.TRUSTED, set())
    assert judged(unpacked[:-1] + b"x", tmp_path)[0] is Status.REJECTED


def test_every_digest_of_the_payload_must_fit(tmp_path: Path) -> None:
    for tag, value in ((tags.PAYLOAD_SHA512, "0" * 128), (tags.PAYLOAD_SHA3_256, "0" * 64)):
        said = {**rpms.values(payload=PAYLOAD), tag: rpms.text(tag, value)}
        bare = rpms.packed(said.values(), PAYLOAD)
        assert judged(with_signatures(bare, signed_header(bare)), tmp_path) == (Status.REJECTED, {"digest.mismatch"})


@pytest.mark.parametrize(
    "value",
    [
        rpms.texts(tags.PAYLOAD_DIGEST, ["0" * 64, "0" * 64]),
        rpms.texts(tags.PAYLOAD_DIGEST, ["0" * 63]),
        rpms.texts(tags.PAYLOAD_DIGEST, ["x" * 64]),
        rpms.texts(tags.PAYLOAD_DIGEST, [" " + "0" * 63]),
        rpms.text(tags.PAYLOAD_DIGEST, "0" * 64),
        rpms.numbers(tags.PAYLOAD_DIGEST_ALGORITHM, [99]),
        rpms.numbers(tags.PAYLOAD_DIGEST_ALGORITHM, [8, 8]),
    ],
    ids=range(7),
)
def test_digests_that_are_none(value: Value, tmp_path: Path) -> None:
    said = {**rpms.values(payload=PAYLOAD), value.tag: value}
    bare = rpms.packed(said.values(), PAYLOAD)
    assert judged(with_signatures(bare, signed_header(bare)), tmp_path) == (Status.REJECTED, {"rpm.tag"})


def test_what_is_damaged_is_not_signed() -> None:
    said = {**rpms.values(payload=PAYLOAD), tags.PAYLOAD_DIGEST_ALGORITHM: rpms.numbers(5093, [99])}
    for bad in (GOOD[:-1] + b"x", with_signatures(GOOD, rpms.text(tags.SHA1, "0" * 40)),
                rpms.packed(said.values(), PAYLOAD)):  # fmt: skip
        for variant in ("", "v3"):
            with pytest.raises(RefusedError):
                rpms.signed(bad, variant)


# Around the signed header


@pytest.mark.parametrize("data", [SAMPLE, V6], ids=["v4", "v6"])
def test_bytes_behind_and_missing_are_noticed(data: bytes, tmp_path: Path) -> None:
    signed = rpms.signed(data)
    for changed in (signed + b"\0", signed + signed, signed[:-1]):
        status, codes = judged(changed, tmp_path)
        assert (status, "digest.mismatch" in codes) == (Status.REJECTED, True)
        assert ("rpm.size" in codes) is (data is SAMPLE)  # packages of version 6 do not say how long they are


@pytest.mark.parametrize(
    ("place", "octets", "code"),
    [
        (0, b"\xed\xab\xee\xda", "rpm.lead"),
        (4, b"\2", "rpm.lead"),
        (4, b"\3\1", "rpm.lead"),
        (6, b"\0\1", "rpm.lead"),
        (78, b"\0\1", "rpm.lead"),
        (95, b"x", "rpm.lead"),
    ],
)
def test_the_lead(place: int, octets: bytes, code: str) -> None:
    assert refused(GOOD[:place] + octets + GOOD[place + len(octets) :]) == code


@pytest.mark.parametrize("tag", [tags.NAME, tags.VERSION, tags.RELEASE])
def test_a_package_says_which_it_is(tag: int) -> None:
    """rpm 4.18 shows one that does not, and an empty name it even installs (docs/reference/formats/rpm.md)."""
    said = rpms.values(payload=PAYLOAD)
    missing = [each for each in said.values() if each.tag != tag]
    empty = {**said, tag: rpms.text(tag, "")}.values()
    assert {refused(rpms.packed(each, PAYLOAD)) for each in (missing, empty)} == {"rpm.name"}


def test_the_name_in_the_lead_is_told_where_it_is_another(tmp_path: Path) -> None:
    signed = rpms.signed(GOOD)
    assert judged(rpms.lead("bash-5.2-1") + signed[96:], tmp_path) == (Status.TRUSTED, {"rpm.lead_name"})
    long = rpms.signed(rpms.rpm(FILES, name="n" * 80))
    assert judged(long[:75] + b"\0" + long[76:], tmp_path) == (Status.TRUSTED, set())


SIGNATURE_HEADERS: dict[str, tuple[dict[int, Value | None], str]] = {
    "a tag of the header": ({1001: rpms.text(1001, "evil")}, "rpm.signature_tag"),
    "a tag of the database": ({257: rpms.numbers(257, [1])}, "rpm.signature_tag"),
    "an unknown tag": ({5000: rpms.text(5000, "x")}, "rpm.signature_tag"),
    "the obsolete PGP 5": ({1006: Value(1006, tags.BINARY, 1, b"x")}, "rpm.signature_tag"),
    "a signature as a string": ({tags.RSA: rpms.text(tags.RSA, "x")}, "rpm.signature_tag"),
    "two sizes": ({tags.SIZE: rpms.numbers(tags.SIZE, [1, 2])}, "rpm.tag"),
    "a digest that is too short": ({tags.SHA1: rpms.text(tags.SHA1, "0" * 39)}, "rpm.tag"),
    "an MD5 that is too long": ({tags.MD5: Value(tags.MD5, tags.BINARY, 17, bytes(17))}, "rpm.tag"),
    "something in the room": ({tags.RESERVED_SPACE: Value(1008, tags.BINARY, 4, b"\0\0\0x")}, "rpm.reserved"),
}  # fmt: skip


@pytest.mark.parametrize("case", SIGNATURE_HEADERS)
def test_the_signature_header_holds_nothing_else(case: str) -> None:
    beside, code = SIGNATURE_HEADERS[case]
    assert refused(rpms.packed(rpms.values(payload=PAYLOAD).values(), PAYLOAD, beside=beside)) == code


def test_what_fills_up_the_signature_header_is_zero() -> None:
    made = header.written(tags.SIGNATURES, [rpms.text(tags.SHA1, "0" * 40)])
    assert len(made) % 8
    filled = made + b"x" * (-len(made) % 8)
    assert refused(rpms.lead() + filled + HEAD + PAYLOAD) == "rpm.reserved"


@pytest.mark.parametrize(
    ("tag", "raw", "code"),
    [
        (tags.DSA, b"x", "openpgp.form"),
        (tags.DSA, b"\xc2\x01\x02", "openpgp.unsupported"),
        (tags.RSA, b"-----BEGIN PGP SIGNATURE-----\n", "openpgp.form"),
    ],
)
def test_signatures_that_are_none(tag: int, raw: bytes, code: str, tmp_path: Path) -> None:
    status, codes = judged(with_signatures(GOOD, Value(tag, tags.BINARY, len(raw), raw)), tmp_path)
    assert (status is Status.TRUSTED, code in codes) == (False, True)


def test_one_tag_holds_one_signature(tmp_path: Path) -> None:
    once = signed_header(GOOD)
    twice = Value(tags.DSA, tags.BINARY, 2 * once.amount, 2 * once.octets)
    assert judged(with_signatures(GOOD, twice), tmp_path) == (Status.REJECTED, {"openpgp.form"})


def test_base64_is_written_in_one_way(tmp_path: Path) -> None:
    text = binascii.b2a_base64(signed_header(GOOD).octets, newline=False)
    lines = b"\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    for good in (text, lines):
        assert judged(with_signatures(GOOD, rpms.texts(tags.OPENPGP, [good])), tmp_path) == (Status.TRUSTED, set())
    for bad in (b"", text + b"=", b"!" + text, text.replace(b"A", b" ", 1)):
        status, codes = judged(with_signatures(GOOD, rpms.texts(tags.OPENPGP, [bad])), tmp_path)
        assert (status, codes) == (Status.REJECTED, {"openpgp.form"})
    many = rpms.texts(tags.OPENPGP, [text] * (limits.OPENPGP_SIGNATURES_MAX + 1))
    assert judged(with_signatures(GOOD, many), tmp_path) == (Status.REJECTED, {"openpgp.form"})


def test_a_wrong_digest_beside_the_signature_is_refused_as_rpm_does(tmp_path: Path) -> None:
    signed = rpms.signed(GOOD)
    for wrong in (rpms.text(tags.SHA1, "0" * 40), rpms.text(tags.SHA256, "0" * 64)):
        assert judged(with_signatures(signed, wrong), tmp_path) == (Status.REJECTED, {"digest.mismatch"})
    md5 = Value(tags.MD5, tags.BINARY, 16, bytes(16))
    assert judged(with_signatures(signed, md5), tmp_path) == (Status.TRUSTED, set())  # a signed SHA-256 says more
    whole = rpms.signed(without_payload_digest(PAYLOAD), "v3")
    assert judged(with_signatures(whole, md5), tmp_path) == (Status.REJECTED, {"digest.mismatch"})
    with pytest.raises(RefusedError):
        rpms.signed(with_signatures(GOOD, md5))
    size = rpms.numbers(tags.SIZE, [7])
    assert judged(with_signatures(signed, size), tmp_path) == (Status.REJECTED, {"rpm.size"})


def test_what_is_only_weak_is_told(tmp_path: Path) -> None:
    signed = rpms.signed(rpms.rpm(FILES, algorithm="md5"))
    assert judged(signed, tmp_path) == (Status.TRUSTED, {"rpm.weak_files"})
    verity = with_signatures(rpms.signed(GOOD), rpms.texts(tags.FILE_SIGNATURES, ["0302", ""]))
    assert judged(verity, tmp_path) == (Status.TRUSTED, {"rpm.file_signatures"})


def test_version_6_is_stricter() -> None:
    assert refused(with_signatures(V6, rpms.numbers(tags.SIZE, [1]))) == "rpm.signature_tag"
    assert refused(with_signatures(V6, without=(tags.SHA3_256,))) == "rpm.signature_tag"
    assert refused(V6[:4] + b"\3" + V6[5:]) == "rpm.lead"
    found = package.read(BytesView(V6))
    head = bytearray(V6[found.start : found.payload])
    first, second = slice(16 + 16, 16 + 32), slice(16 + 32, 16 + 48)
    rows = bytes(head[first]), bytes(head[second])
    data = head[16 + 16 * struct.unpack(">I", head[8:12])[0] :]
    assert data.startswith(b"C\0tiny\0")
    head[first], head[second] = struct.pack(">IIiI", 1000, 6, 0, 1), struct.pack(">IIiI", 100, 8, 2, 1)
    assert rows != (bytes(head[first]), bytes(head[second]))
    assert refused(V6[: found.start] + bytes(head) + V6[found.payload :]) == "rpm.overlap"


def test_the_size_of_the_archive_is_said_once() -> None:
    """rpm takes that of the signature header over into the other one, and refuses a package where it is already."""
    said = {**rpms.values(payload=PAYLOAD), tags.ARCHIVE_SIZE: rpms.numbers(tags.ARCHIVE_SIZE, [1])}
    assert refused(rpms.packed(said.values(), PAYLOAD)) == "rpm.signature_tag"
    package.read(BytesView(rpms.packed(said.values(), PAYLOAD, beside={tags.PAYLOAD_SIZE: None})))


def test_tags_of_signatures_have_no_place_in_the_header() -> None:
    said = {**rpms.values(payload=PAYLOAD), 268: Value(268, tags.BINARY, 1, b"x")}
    assert refused(rpms.packed(said.values(), PAYLOAD)) == "rpm.tag"


@pytest.mark.parametrize(("limit", "code"), [("RPM_TAGS_MAX", "rpm.header"), ("RPM_SIGNATURES_MAX", "rpm.header"),
                                             ("RPM_HEADER_MAX", "rpm.header")])  # fmt: skip
def test_limits_of_headers(limit: str, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, limit, 5)
    assert refused(GOOD) == code


def test_a_payload_that_is_signed_itself_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CONTENT_SIGNED_MAX", len(HEAD) + 10_000)
    assert rpms.signed(GOOD)
    monkeypatch.setattr(limits, "CONTENT_SIGNED_MAX", 10)
    with pytest.raises(UnreadableError):
        rpms.signed(GOOD, "v3")


# Everything else


def test_ranges_are_hashed_in_one_pass() -> None:
    data = bytes(range(200))
    artifact = Artifact.from_bytes(data)
    recipes = [
        Recipe("sha256", (b"salt", Range(10, 50), Range(60, 40), b"end")),
        Recipe("md5", (Range(10, 90),)),
        Recipe("sha1", (Range(60, 40),)),
        Recipe("sha256", (b"alone",)),
        Recipe("sha256", (Range(5, 0),)),
    ]
    whole = data[10:100]
    expected = [b"salt" + whole + b"end", whole, data[60:100], b"alone", b""]
    for payload, content in zip(FORMAT.digest(artifact, recipes), expected, strict=True):
        assert payload.value == hashlib.new(payload.recipe.algorithm, content).digest()
        assert payload.length == len(content)
    for wrong in ((Range(0, 201),), (Range(-1, 5),), (Range(50, 10), Range(0, 10))):
        with pytest.raises(MalformedError):
            FORMAT.digest(artifact, [Recipe("sha256", wrong)])
    assert sealing.digest(artifact, []) == []


@pytest.mark.parametrize(
    ("epoch", "version", "expected"), [(None, "1.0", "1.0-1"), (0, "1.0", "1.0-1"), (2, "1.0~rc1", "2:1.0~rc1-1")]
)
def test_which_release_it_is(epoch: int | None, version: str, expected: str) -> None:
    assert isinstance(FORMAT, Versioned)
    artifact = Artifact.from_bytes(rpms.rpm(FILES, version=version, epoch=epoch))
    assert FORMAT.release(artifact) == Release("tool", expected, RPM)


def test_what_is_shown() -> None:
    assert isinstance(FORMAT, Shows)
    facts = dict(FORMAT.facts(Artifact.from_bytes(GOOD)))
    assert (facts["package"], facts["format"], facts["payload"]) == ("tool 1.0-1 (noarch)", "4", "sha256")
    assert (facts["digests"], facts["file digests"]) == ("sha1, sha256, md5", "sha256")
    assert facts["files"] == "2, each as the header says"
    facts = dict(FORMAT.facts(Artifact.from_bytes(rpms.signed(V6))))
    assert (facts["format"], facts["digests"]) == ("6", "sha256, sha3_256")
    assert facts["payload"] == "sha256, sha512, sha3_256"
    found = package.read(BytesView(GOOD))
    broken = with_signatures(GOOD[: found.payload] + b"no payload",
                             rpms.texts(tags.FILE_SIGNATURES, ["030204a5982554" + "00" * 9, ""]),
                             rpms.texts(tags.VERITY_SIGNATURES, ["x", "y"]))  # fmt: skip
    facts = dict(FORMAT.facts(Artifact.from_bytes(broken)))
    assert facts["IMA"] == "signed: 1 file, keys A5982554"
    assert facts["fs-verity"] == "signed: 2 files"
    assert "header says" not in facts["files"]


def test_a_key_of_rsa_has_a_tag_of_its_own() -> None:
    """So rpm tells them apart; what sign makes with RSA, tests/interop shows to rpm itself."""
    made = signed_header(GOOD)
    envelope = b"\xc2" + bytes([made.amount - 2]) + made.octets[2:4] + b"\1" + made.octets[5:]
    for variant, tag in (("", tags.RSA), ("v3", tags.PGP)):
        artifact = Artifact.from_bytes(GOOD)
        patch = FORMAT.embed(artifact, armor.wrap(envelope, armor.SIGNATURE), SealOptions(variant=variant))
        assert tag in package.read(BytesView(patch.render(artifact))).signatures.entries


def test_what_is_no_package_is_refused() -> None:
    for data in (b"", b"\xed\xab\xee\xdb", GOOD[:200]):
        artifact = Artifact.from_bytes(data, "x.rpm")
        with pytest.raises(RefusedError):
            FORMAT.strip(artifact)
        with pytest.raises(RefusedError):
            FORMAT.recipe(artifact, SealOptions())
        with pytest.raises(BrokenError):
            list(FORMAT.extract(artifact))
