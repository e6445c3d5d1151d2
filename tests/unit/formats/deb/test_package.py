"""The archive around a package: one way to write it, every other is refused by its rule."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import BrokenError, MalformedError, RefusedError, UsageError
from chopmark.core.verdict import Status
from chopmark.engine import check, sign
from chopmark.formats.deb import FORMAT, ar, package
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import bare_keys, debs

SAMPLE = (Path(__file__).parents[3] / "vectors/deb/sample-tiny.deb").read_bytes()
PARTS = (("debian-binary", b"2.0\n"), ("control.tar.gz", b"control"), ("data.tar.xz", b"data"))


def refused(data: bytes) -> str:
    with pytest.raises(BrokenError) as told:
        package.read(BytesView(data))
    return told.value.reason.code


def test_a_package_as_dpkg_deb_builds_it_is_read() -> None:
    found = package.read(BytesView(SAMPLE))
    assert [part.name for part in found.parts] == ["debian-binary", "control.tar.gz", "data.tar.gz"]
    assert (found.control_packed, found.data_packed, found.signatures) == ("gz", "gz", ())
    assert found.data.end == len(SAMPLE)


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ((*PARTS, PARTS[2]), "deb.duplicate"),
        ((*PARTS, ("data.tar.gz", b"other")), "deb.duplicate"),
        ((*PARTS, ("_gpgorigin", b"x"), ("_gpgorigin", b"y")), "deb.duplicate"),
        ((*PARTS, ("_gpgorigin", b"x"), PARTS[0]), "deb.duplicate"),
        ((PARTS[0], ("control.tar", b"x"), *PARTS[1:]), "deb.duplicate"),
        ((PARTS[0], PARTS[2], PARTS[1]), "deb.order"),
        ((PARTS[1], PARTS[0], PARTS[2]), "deb.order"),
        ((PARTS[0], ("_gpgorigin", b"x"), *PARTS[1:]), "deb.order"),
        (PARTS[:2], "deb.order"),
        ((), "deb.order"),
        ((*PARTS, ("evil", b"x")), "deb.member"),
        ((*PARTS, ("_other", b"x")), "deb.member"),
        ((*PARTS[:2], ("data.tar.lzma", b"x")), "deb.member"),
        ((("debian-binary", b"3.0\n"), *PARTS[1:]), "deb.version"),
        ((("debian-binary", b"2.0\nx\n"), *PARTS[1:]), "deb.version"),
    ],
)
def test_members_and_their_order(members: tuple[tuple[str, bytes], ...], code: str) -> None:
    assert refused(debs.assembled(*members)) == code


def changed(place: int, data: bytes, archive: bytes = SAMPLE) -> bytes:
    return archive[:place] + data + archive[place + len(data) :]


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"!<arch>",
        changed(0, b"!<thin>\n"),
        changed(8, b"//"),  # a table of long names
        changed(8, b"#1/13 "),  # the name after the header, as BSD has it
        changed(8 + 48, b"+4"),
        changed(8 + 48, b"04"),
        changed(8 + 48, b" 4"),
        changed(8 + 48, b"0x4 "),
        changed(8 + 48, b"4294967300"),
        changed(8 + 16, b"-1"),
        changed(8 + 58, b"\n`"),
        SAMPLE + b"\n",
        SAMPLE + b"\0" * 60,
        SAMPLE[:-1],
        debs.assembled(*PARTS, ("_gpgorigin", b"odd"))[:-1],
        debs.assembled(*PARTS, ("_gpgorigin", b"odd"))[:-1] + b"x",
        debs.assembled(*PARTS)[:8] + b"A" * 200,
    ],
    ids=range(18),
)
def test_headers_sizes_and_padding(archive: bytes) -> None:
    assert refused(archive) == "deb.ar"


def test_members_have_a_limit() -> None:
    many = [(f"_gpg{number}", b"x") for number in range(limits.AR_MEMBERS_MAX)]
    assert refused(debs.assembled(*PARTS, *many)) == "deb.ar"


@given(st.binary(max_size=400))
def test_anything_behind_the_magic_is_read_or_refused(data: bytes) -> None:
    try:
        found = ar.members(BytesView(ar.MAGIC + data))
    except BrokenError:
        return
    assert sum(60 + each.size + each.size % 2 for each in found) == len(data)


# Signatures


def signed(data: bytes, variant: str = "", *, append: bool = False) -> bytes:
    artifact = Artifact.from_bytes(data, "x.deb")
    options = SealOptions(digest_algorithm="sha512", variant=variant, append=append)
    request = sign.SignRequest(bare_keys.signer("deb"), (), debs.NOW, options, format_name="deb")
    return sign.sign(artifact, request).patch.render(artifact)


def judged(data: bytes, tmp_path: Path) -> tuple[Status, set[str]]:
    context = contexts.Context(
        store.load([bare_keys.public("deb")]), debs.NOW, contexts.OFF, origins.CrlSource(cache=str(tmp_path))
    )
    verdict = check.check(Artifact.from_bytes(data, "x.deb"), context)
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return verdict.status, {each.code for each in found if each.outcome == "no"}


def test_roles_sign_beside_each_other(tmp_path: Path) -> None:
    both = signed(signed(SAMPLE), "maint", append=True)
    assert judged(both, tmp_path) == (Status.TRUSTED, set())
    assert [member.name for member in package.read(BytesView(both)).signatures] == ["_gpgorigin", "_gpgmaint"]
    assert judged(signed(both, "archive"), tmp_path)[0] is Status.TRUSTED
    assert [member.name for member in package.read(BytesView(signed(both, "archive"))).signatures] == ["_gpgarchive"]
    artifact = Artifact.from_bytes(both, "x.deb")
    assert FORMAT.strip(artifact).render(artifact) == SAMPLE
    with pytest.raises(RefusedError):
        signed(both, "maint", append=True)


def test_dpkg_sigs_way_is_not_made() -> None:
    with pytest.raises(UsageError):
        signed(SAMPLE, "builder")


def test_a_signature_of_another_package_is_noticed(tmp_path: Path) -> None:
    other = debs.deb([debs.File("./a", b"a")])
    made = package.read(BytesView(signed(SAMPLE))).signatures[0]
    graft = other + signed(SAMPLE)[made.start :]
    assert judged(graft, tmp_path) == (Status.REJECTED, {"openpgp.signature_wrong"})


def test_what_stands_behind_a_signature_is_refused(tmp_path: Path) -> None:
    more = signed(SAMPLE) + ar.written("data.tar.xz", b"evil")
    assert judged(more, tmp_path) == (Status.REJECTED, {"deb.duplicate"})
    assert judged(signed(SAMPLE) + ar.written("_gpgevil", b"\x88evil"), tmp_path) == (Status.REJECTED, {"deb.member"})


def test_only_packages_are_signed() -> None:
    with pytest.raises(RefusedError):
        signed(debs.assembled(*PARTS, ("evil", b"x")))


# dpkg-sig


def by_sums(data: bytes, text: bytes | None = None) -> bytes:
    """Signed as dpkg-sig does."""
    return data + ar.written("_gpgbuilder", debs.clearsigned(text or debs.sums(data).encode()))


def test_dpkg_sigs_signature_holds_and_is_weak(tmp_path: Path) -> None:
    context = contexts.Context(
        store.load([debs.keyring()]), debs.NOW, contexts.OFF, origins.CrlSource(cache=str(tmp_path))
    )
    verdict = check.check(Artifact.from_bytes(by_sums(SAMPLE), "x.deb"), context)
    [seal] = verdict.seals
    assert seal.only_weak
    assert verdict.status is Status.REJECTED
    # Beside a strong one of a key that is believed, it does no harm.
    both = contexts.Context(
        store.load([debs.keyring(), bare_keys.public("deb")]),
        debs.NOW,
        contexts.OFF,
        origins.CrlSource(cache=str(tmp_path)),
    )
    assert (
        check.check(Artifact.from_bytes(signed(by_sums(SAMPLE), append=True), "x.deb"), both).status is Status.TRUSTED
    )


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b" 4 debian-binary", b" 5 debian-binary", "deb.sums"),
        (b"control.tar.gz", b"control.tar.xz", "deb.sums"),
        (b"Version: 4", b"Version: 3", "deb.sums"),
        (b"Files: \n", b"Files: \nx\n", "deb.sums"),
        (b"data.tar.gz\n", b"data.tar.gz\n\t" + b"0" * 32 + b" " + b"0" * 40 + b" 1 evil\n", "deb.sums"),
    ],
)
def test_dpkg_sigs_text_is_about_the_members_that_there_are(old: bytes, new: bytes, code: str, tmp_path: Path) -> None:
    from chopmark.envelopes.openpgp import text

    made = by_sums(SAMPLE)
    member = package.read(BytesView(made)).signatures[0]
    said = text.clear(made[member.offset : member.offset + member.size]).original
    assert old in said
    assert judged(by_sums(SAMPLE, said.replace(old, new)), tmp_path) == (Status.REJECTED, {code})


def test_members_that_dpkg_sig_did_not_see_are_noticed(tmp_path: Path) -> None:
    made = by_sums(SAMPLE)
    place = SAMPLE.index(b"data.tar.gz") + 60 + 20
    _, codes = judged(changed(place, bytes([made[place] ^ 1]), made), tmp_path)
    assert codes == {"digest.mismatch", "digest.weak"}


@given(st.binary(max_size=200))
def test_no_text_of_sums_crashes(data: bytes) -> None:
    from chopmark.formats.deb import sums

    with pytest.raises(MalformedError):
        sums.claims(b"Version: 4\r\nFiles: \r\n" + data, package.read(BytesView(SAMPLE)))
