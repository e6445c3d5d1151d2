"""From a signed release to its packages: what holds, and each way in which it does not."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import hashlib
import lzma
import shutil
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import InputError, UsageError
from chopmark.core.verdict import Status
from chopmark.engine import check
from chopmark.envelopes.openpgp import armor
from chopmark.supply import keyrings
from chopmark.supply.apt import chain, memory
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from chopmark.trust.stores.keyring import Keyring
from tests.support import debs
from tests.support.debs import INDEX, NOW, PREFIX, File

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.supply.apt.chain import Repository

TOOL = debs.deb([File("./usr/bin/tool", b"tool")])
DEBS = {"tool_1:2.0-1_amd64": TOOL}
DAY = dt.timedelta(days=1)
AT = NOW + DAY


def load(folder: Path, *, at: dt.datetime = AT, seen: memory.Memory | None = None) -> Repository:
    ring = keyrings.keys_in([debs.keyring()])
    return chain.load(str(folder), lambda _: ring, at, seen)


def codes(repository: Repository) -> set[str]:
    return {
        finding.code
        for judged in repository.judged
        for finding in judged.findings
        if finding.outcome in ("no", "unknown")
    }


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    return debs.lists(tmp_path / "lists", DEBS)


def test_a_signed_release_leads_to_its_packages(lists: Path) -> None:
    repository = load(lists)
    assert repository.status is Status.TRUSTED
    [listing] = repository.packages.values()
    assert listing[:4] == (b"tool", b"1:2.0-1", b"amd64", len(TOOL))
    found = repository.listing(hashlib.sha256(TOOL).digest())
    assert found is not None
    assert found[1].proves


def test_a_package_is_trusted_through_its_release(lists: Path, tmp_path: Path) -> None:
    context = contexts.Context(store.load([debs.keyring()]), AT, contexts.OFF, origins.CrlSource(cache=str(tmp_path)))
    context.vouchers = (load(lists),)
    verdict = check.check(Artifact.from_bytes(TOOL, "tool.deb"), context)
    assert verdict.status is Status.TRUSTED
    [seal] = verdict.seals
    assert seal.scheme == "apt"
    assert seal.signer is not None
    assert seal.signer.kind == "openpgp"
    other = check.check(Artifact.from_bytes(debs.deb([File("./x", b"x")]), "tool.deb"), context)
    assert other.status is Status.UNSIGNED
    rewrite(lists, debs.packages(DEBS), **{"Valid-Until": "Sat, 04 Jul 2026 12:00:00 UTC"})
    context.vouchers = (load(lists, at=NOW + 9 * DAY),)
    assert check.check(Artifact.from_bytes(TOOL, "tool.deb"), context).status is Status.REJECTED


def rewrite(folder: Path, index: bytes, **fields: str) -> None:
    (folder / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(debs.release({INDEX: index}, NOW, **fields)))


@pytest.mark.parametrize("what", ["text", "signature", "index", "nothing", "none"])
def test_what_was_changed_is_not_believed(lists: Path, what: str) -> None:
    path, index = lists / f"{PREFIX}InRelease", lists / f"{PREFIX}{INDEX.replace('/', '_')}"
    data = path.read_bytes()
    changes = {
        "text": (path, data.replace(b"Example", b"Exomple", 1), {"apt.release_untrusted"}),
        "signature": (path, data[: data.index(b"-----BEGIN PGP SIGNATURE")], {"apt.release_untrusted"}),
        "index": (index, index.read_bytes().replace(b"tool", b"evil", 1), {"apt.index_mismatch"}),
        "nothing": (index, b"", {"apt.index_mismatch"}),
        "none": (path, debs.release({INDEX: index.read_bytes()}), {"apt.release_untrusted"}),
    }
    target, content, expected = changes[what]
    target.write_bytes(content)
    repository = load(lists)
    assert codes(repository) == expected
    assert repository.packages == {}
    assert repository.status is Status.REJECTED


def test_text_around_the_signed_text_is_refused(lists: Path) -> None:
    path = lists / f"{PREFIX}InRelease"
    for data in (b"Origin: Evil\n\n" + path.read_bytes(), path.read_bytes() + b"Origin: Evil\n"):
        path.write_bytes(data)
        assert codes(load(lists)) == {"apt.release_untrusted"}
        path.write_bytes(data.removeprefix(b"Origin: Evil\n\n"))


def test_one_signature_suffices_and_a_wrong_one_spoils(lists: Path) -> None:
    """As by the keys of two generations; but what a known key signed otherwise is not this text."""
    path = lists / f"{PREFIX}InRelease"
    begin = b"-----BEGIN PGP SIGNATURE-----"
    text, _, rest = path.read_bytes().partition(begin)
    good = armor.unwrap(begin + rest, armor.SIGNATURE)[0]
    other = debs.clearsigned(debs.release({}))
    wrong = armor.unwrap(other[other.index(begin) :], armor.SIGNATURE)[0]
    path.write_bytes(text + armor.wrap(good + good, armor.SIGNATURE))
    assert load(lists).status is Status.TRUSTED
    path.write_bytes(text + armor.wrap(good + wrong, armor.SIGNATURE))
    assert codes(load(lists)) == {"apt.release_untrusted"}


def test_no_keys_and_no_lists_are_undecided(lists: Path, tmp_path: Path) -> None:
    empty = chain.load(str(lists), chain.keys_by_source(str(tmp_path)), AT)
    assert codes(empty) == {"apt.keyring"}
    assert empty.status is Status.UNDECIDED
    (tmp_path / "nothing").mkdir()
    assert codes(load(tmp_path / "nothing")) == {"apt.no_release"}
    with pytest.raises(InputError):
        load(tmp_path / "not there")


def test_a_release_by_a_key_that_nobody_knows_is_undecided(lists: Path) -> None:
    known = keyrings.keys_in([debs.keyring()]).every()
    others = Keyring(each._replace(key=each.key._replace(identifier=bytes(8))) for each in known)
    repository = chain.load(str(lists), lambda _: others, AT)
    assert codes(repository) == {"apt.release_undecided"}
    assert repository.status is Status.UNDECIDED


def test_lists_that_are_not_there_or_cannot_be_read_are_told(lists: Path) -> None:
    index = lists / f"{PREFIX}{INDEX.replace('/', '_')}"
    content = index.read_bytes()
    index.unlink()
    [judged] = load(lists).judged
    assert {"apt.no_index", "apt.no_end"} < {finding.code for finding in judged.findings}
    index.mkdir()
    assert codes(load(lists)) == {"apt.index_unreadable"}
    index.rmdir()
    index.with_name(f"{index.name}.xz").write_bytes(lzma.compress(content))
    (lists / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(debs.release({f"{INDEX}.gz": gzip.compress(content)})))
    assert codes(load(lists)) == {"apt.index_unreadable"}


@pytest.mark.parametrize(
    ("fields", "at", "expected", "proves"),
    [
        ({"Valid-Until": "Sat, 04 Jul 2026 12:00:00 UTC"}, NOW + DAY, set(), True),
        ({"Valid-Until": "Sat, 04 Jul 2026 12:00:00 UTC"}, NOW + 3 * DAY, {"apt.expired"}, True),
        ({}, NOW - DAY, {"apt.release_untrusted"}, False),  # the signature itself is of a time to come
        ({"Suite": "other", "Codename": "different"}, AT, {"apt.suite"}, False),
        ({"Suite": "example", "Codename": ""}, AT, set(), True),
        ({"Valid-Until": "someday"}, AT, {"apt.form"}, False),
        ({"Valid-Until": "Sat, 31 Feb 2026 12:00:00 UTC"}, AT, {"apt.form"}, False),
    ],
)
def test_dates_and_suites(
    lists: Path,
    fields: dict[str, str],
    at: dt.datetime,
    expected: set[str],
    proves: bool,  # noqa: FBT001 - a table
) -> None:
    rewrite(lists, debs.packages(DEBS), **fields)
    repository = load(lists, at=at)
    assert codes(repository) == expected
    assert repository.judged[0].proves is proves


def test_a_date_to_come_is_refused(lists: Path) -> None:
    text = debs.release({INDEX: debs.packages(DEBS)}, NOW + 3 * DAY)
    (lists / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(text))
    assert codes(load(lists)) == {"apt.future"}


def test_an_older_release_is_a_roll_back(lists: Path, tmp_path: Path) -> None:
    path = str(tmp_path / "state/dates.json")
    assert codes(load(lists, seen=memory.Memory(path))) == set()
    older = tmp_path / "older"
    debs.lists(older, DEBS, NOW - DAY)
    assert codes(load(older, seen=memory.Memory(path))) == {"apt.rollback"}
    assert not load(older, seen=memory.Memory(path)).judged[0].proves
    assert codes(load(lists, seen=memory.Memory(path))) == set()
    newer = tmp_path / "newer"
    debs.lists(newer, DEBS, NOW + DAY / 2)
    assert codes(load(newer, seen=memory.Memory(path))) == set()
    assert codes(load(lists, seen=memory.Memory(path))) == {"apt.rollback"}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": "yesterday"}'])
def test_a_damaged_memory_is_not_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / "dates").write_text(text)
    with pytest.raises(UsageError):
        memory.Memory(str(tmp_path / "dates"))


def test_a_memory_that_cannot_be_kept_is_told(lists: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = load(lists, seen=memory.Memory(str(tmp_path / "file/dates"))).judged[0].findings
    assert "apt.not_remembered" in {finding.code for finding in found}


def test_md5_and_sha1_lead_nowhere(lists: Path) -> None:
    index = debs.packages(DEBS)
    text = debs.release({})
    for field, name in (("MD5Sum", "md5"), ("SHA1", "sha1")):
        digest = hashlib.new(name, index, usedforsecurity=False).hexdigest()
        text += f"{field}:\n {digest} {len(index)} {INDEX}\n".encode()
    (lists / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(text))
    assert codes(load(lists)) == {"apt.index_weak"}


def test_packages_without_sha256_are_not_led_to(lists: Path) -> None:
    index = (
        debs.packages(DEBS) + b"\nPackage: old\nVersion: 1\nArchitecture: all\nSize: 1\nMD5sum: " + b"0" * 32 + b"\n"
    )
    (lists / f"{PREFIX}{INDEX.replace('/', '_')}").write_bytes(index)
    rewrite(lists, index)
    repository = load(lists)
    assert repository.status is Status.TRUSTED
    assert len(repository.packages) == 1
    assert "apt.package_weak" in {finding.code for finding in repository.judged[0].findings}


@pytest.mark.parametrize(
    "damage",
    [
        (b"Package: tool\n", b"Package: tool\nPackage: evil\n"),
        (b"Size: ", b"Size: x"),
        (b"SHA256: ", b"SHA256: z"),
        (b"Version", b"Vorsion"),
        (b"Version: ", b"Version: 1" + b" " * 3_000_000 + b"2\nVersion: "),  # read before anybody knows whose it is
    ],
    ids=["twice", "size", "digest", "missing", "blanks"],
)
def test_lists_that_are_not_written_as_such(lists: Path, damage: tuple[bytes, bytes]) -> None:
    index = debs.packages(DEBS).replace(*damage)
    (lists / f"{PREFIX}{INDEX.replace('/', '_')}").write_bytes(index)
    rewrite(lists, index)
    assert codes(load(lists)) == {"apt.form"}


@pytest.mark.parametrize("text", ["x", " 00 1 a\n", "SHA256: y\n", "\n\nOrigin: second\n"])
def test_releases_that_are_not_written_as_such(lists: Path, text: str) -> None:
    data = debs.release({INDEX: debs.packages(DEBS)}) + text.encode()
    (lists / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(data))
    assert codes(load(lists)) == {"apt.form"}


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_compressed_lists_are_held_against_what_is_named(lists: Path, suffix: str, pack: object) -> None:
    plain = lists / f"{PREFIX}{INDEX.replace('/', '_')}"
    index, packed = plain.read_bytes(), pack(plain.read_bytes())  # type: ignore[operator]
    plain.unlink()
    (lists / f"{plain.name}.{suffix}").write_bytes(packed)
    assert load(lists).status is Status.TRUSTED  # the release names the uncompressed list
    only = debs.release({f"{INDEX}.{suffix}": packed})
    (lists / f"{PREFIX}InRelease").write_bytes(debs.clearsigned(only))
    assert len(load(lists).packages) == 1
    (lists / f"{plain.name}.{suffix}").write_bytes(pack(index + b"\n"))  # type: ignore[operator]
    assert codes(load(lists)) == {"apt.index_mismatch"}


def test_a_release_with_its_signature_beside_it(lists: Path) -> None:
    data = debs.release({INDEX: debs.packages(DEBS)})
    (lists / f"{PREFIX}InRelease").unlink()
    (lists / f"{PREFIX}Release").write_bytes(data)
    assert load(lists).status is Status.UNDECIDED  # no signature, so nobody knows
    (lists / f"{PREFIX}Release.gpg").write_bytes(debs.detached(data))
    assert load(lists).status is Status.TRUSTED
    (lists / f"{PREFIX}Release").write_bytes(data.replace(b"Example", b"Exomple"))
    assert codes(load(lists)) == {"apt.release_untrusted"}


def test_a_mirror_with_lists_by_their_digests(tmp_path: Path) -> None:
    index = debs.packages(DEBS)
    packed = gzip.compress(index)
    folder = tmp_path / "dists/example"
    by_hash = folder / "main/binary-amd64/by-hash/SHA256"
    by_hash.mkdir(parents=True)
    release = debs.release({INDEX: index, f"{INDEX}.gz": packed})
    (folder / "InRelease").write_bytes(debs.clearsigned(release))
    (by_hash / hashlib.sha256(packed).hexdigest()).write_bytes(packed)
    assert len(load(tmp_path).packages) == 1
    (by_hash / hashlib.sha256(packed).hexdigest()).write_bytes(packed[:-1] + b"x")
    assert load(tmp_path).packages == {}
    shutil.move(folder, tmp_path / "dists/renamed")
    assert "apt.suite" in codes(load(tmp_path))


def test_lists_have_limits(lists: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "APT_PACKAGES_MAX", 0)
    with pytest.raises(UsageError):
        load(lists)
    monkeypatch.setattr(limits, "APT_LISTS_MAX", 0)
    with pytest.raises(UsageError):
        load(lists)
    monkeypatch.undo()
    monkeypatch.setattr(limits, "PACKAGES_MAX", 10)
    assert codes(load(lists)) == {"format.unpacked_too_large"}


def test_packages_at_hand_are_held_against_the_list(lists: Path) -> None:
    repository = load(lists)

    def said(data: bytes, digest: bytes) -> set[str]:
        found = chain.package_findings(repository, Artifact.from_bytes(data, "tool.deb"), digest)
        return {finding.code for finding in found}

    digest = hashlib.sha256(TOOL).digest()
    assert said(TOOL, digest) >= {"apt.package", "apt.release"}
    assert said(b"x", b"0" * 32) == {"apt.package_unlisted"}
    assert said(TOOL + b"x", digest) == {"apt.package_size"}
    repository.packages[digest] = repository.packages[digest]._replace(package=b"other")
    assert said(TOOL, digest) == {"apt.package_name"}
