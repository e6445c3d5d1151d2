"""Trust stores: by name and by path, what they hold and how far it is trusted, and changing one's own."""

from __future__ import annotations

import datetime as dt
import os
import pathlib
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits, places
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.patch import WriteError
from chopmark.trust import judge
from chopmark.trust.stores import source, store
from chopmark.trust.stores.anchors import Constraints
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import CODE, TIME, circumstances, codes, make, name, purposes

if TYPE_CHECKING:
    from pathlib import Path

ROOT = pki.authority("Stored Root")
MIDDLE = pki.authority("Stored Issuing", issuer=ROOT)
SIGNER = pki.leaf(MIDDLE)
OTHER = pki.authority("Another Root")
JULY = material.day("2026-07-01")


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))


def subjects(opened: store.Store) -> list[str]:
    return [anchor.certificate.common_name for each in opened.sources for anchor in each.every()]


def trusted(tmp_path: Path, *names: str, signer: pki.Entity | material.Cert = SIGNER, **parts: object) -> set[str]:
    """What speaks against a signer when these stores are trusted."""
    here = circumstances(tmp_path, store.load(names), **parts)  # type: ignore[arg-type]
    return codes(judge.judge(material.proof(signer), "code-signing", here))


# By path


@pytest.mark.parametrize(
    ("file_name", "content"),
    [
        ("root.pem", ROOT.pem),
        ("root.der", ROOT.der),
        ("root.crt", b"Bag Attributes\n  friendlyName: x\n" + ROOT.pem + b"\ntrailing words\n"),
        ("both.cer", OTHER.pem.replace(b"\n", b"\r\n") + ROOT.pem),
        ("some.name", ROOT.der + OTHER.der),
    ],
)
def test_a_file_is_a_store(tmp_path: Path, file_name: str, content: bytes) -> None:
    path = tmp_path / file_name
    path.write_bytes(content)
    assert trusted(tmp_path, str(path)) == set()


def test_a_folder_is_a_store(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.pem").write_bytes(OTHER.pem)
    (folder / "b.CRT").write_bytes(ROOT.der)
    (folder / "notes.txt").write_bytes(b"not read")
    (folder / "sub.pem").mkdir()
    assert subjects(store.load([str(folder)])) == ["Another Root", "Stored Root"]
    assert trusted(tmp_path, str(folder)) == set()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\x30\x00",
        ROOT.der[:-1],
        ROOT.pem[:200],
        b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ],
)
def test_a_file_without_certificates_is_a_wrong_option(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        store.load([str(path)])


def test_what_is_not_there_is_a_wrong_option(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for names in ([], ["nobody"], [str(tmp_path / "x.pem")], [str(empty)], ["corp?"], ["a/b?"], ["/dev/null"]):
        with pytest.raises(UsageError):
            store.load(names)


def test_an_unreadable_file_is_a_wrong_option(tmp_path: Path) -> None:
    path = tmp_path / "huge.pem"
    with path.open("wb") as file:
        file.truncate(limits.STORE_FILE_MAX + 1)
    with pytest.raises(UsageError):
        store.load([str(path)])


def test_a_fifo_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pem")
    with pytest.raises(UsageError):
        store.load([str(tmp_path / "pipe.pem")])
    with pytest.raises(UsageError):
        store.load([str(tmp_path)])


def test_stores_are_merged(tmp_path: Path) -> None:
    one, two = tmp_path / "one.pem", tmp_path / "two.pem"
    one.write_bytes(OTHER.pem)
    two.write_bytes(ROOT.pem)
    assert trusted(tmp_path, str(one), str(two)) == set()
    assert trusted(tmp_path, str(one)) == {"path.issuer_unknown"}


def test_a_certificate_issued_by_another_is_no_anchor_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "middle.pem"
    path.write_bytes(MIDDLE.pem)
    with pytest.raises(UsageError):
        store.load([str(path)])
    path.write_bytes(MIDDLE.pem + OTHER.pem)
    assert trusted(tmp_path, str(path)) == {"path.issuer_unknown"}


def test_the_systems_bundle_is_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = tmp_path / "bundle.crt"
    bundle.write_bytes(OTHER.pem + material.pem(b"what nobody can read") + ROOT.pem)
    monkeypatch.setattr(store, "_SYSTEM_BUNDLES", (str(tmp_path / "missing"), str(bundle)))
    assert trusted(tmp_path, "system") == set()


def test_microsofts_list_is_a_store(tmp_path: Path) -> None:
    assert trusted(tmp_path, "microsoft") == {"path.issuer_unknown"}
    assert len(store.load(["microsoft"]).sources[0]) > 500


# One's own


def test_a_store_of_ones_own_is_made_by_adding_to_it(tmp_path: Path) -> None:
    assert store.load(["corp?", "microsoft"]).sources[0].name == "microsoft"
    (path,) = store.add("corp", [ROOT.der])
    assert path.startswith(f"{places.data()}/stores/corp/")
    assert "stored-root" in path
    assert trusted(tmp_path, "corp") == set()
    assert trusted(tmp_path, "corp?") == set()
    assert store.names() == ["corp", "microsoft", "system"]
    store.add("corp", [ROOT.der, MIDDLE.der, OTHER.der])
    assert sorted(subjects(store.load(["corp"]))) == ["Another Root", "Stored Root"]


def test_adding_twice_changes_nothing() -> None:
    assert store.add("corp", [ROOT.der]) == store.add("corp", [ROOT.der])
    assert len(store.load(["corp"]).sources[0]) == 1


def test_what_is_said_of_a_certificate_replaces_what_another_file_says_of_it(tmp_path: Path) -> None:
    store.add("corp", [OTHER.der])
    by_hand = pathlib.Path(store.folder("corp"), "by-hand.pem")
    by_hand.write_bytes(ROOT.pem)
    pathlib.Path(store.folder("corp"), "junk.pem").write_bytes(b"")
    store.add("corp", [ROOT.der], purposes=["time-stamping"])
    assert not by_hand.exists()
    pathlib.Path(store.folder("corp"), "junk.pem").unlink()
    assert trusted(tmp_path, "corp") == {"store.purpose"}


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_bytes(b"a file")
    with pytest.raises(WriteError):
        store.add("corp", [ROOT.der])


def test_any_certificate_can_be_made_an_anchor(tmp_path: Path) -> None:
    store.add("partial", [MIDDLE.der], anchor=True)
    assert trusted(tmp_path, "partial") == set()
    store.add("pinned", [SIGNER.der], anchor=True)
    assert trusted(tmp_path, "pinned") == set()


def test_a_root_can_be_trusted_for_some_purposes_alone(tmp_path: Path) -> None:
    store.add("corp", [ROOT.der], purposes=["time-stamping", "1.2.3.4"])
    assert trusted(tmp_path, "corp") == {"store.purpose"}
    (anchor,) = store.load(["corp"]).sources[0].every()
    assert anchor.constraints == Constraints(purposes=frozenset({TIME, "1.2.3.4"}))
    store.add("corp", [ROOT.der], purposes=["code-signing"])
    assert trusted(tmp_path, "corp") == set(), "the newer decision replaces the older one"


def test_a_root_can_be_trusted_until_a_date(tmp_path: Path) -> None:
    store.add("corp", [ROOT.der], disallowed_after=pki.NOW)
    assert trusted(tmp_path, "corp", at=pki.NOW) == {"store.disallowed"}
    assert trusted(tmp_path, "corp", at=pki.NOW - dt.timedelta(seconds=1)) == set()


def test_purposes_have_to_be_known() -> None:
    with pytest.raises(UsageError):
        store.add("corp", [ROOT.der], purposes=["code signing"])


@pytest.mark.parametrize("name", ["", "..", ".", "a/b", "/tmp", "microsoft", "system", "-x", "x" * 65, "a b", "\n"])
def test_a_name_that_cannot_be_one_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        store.add(name, [ROOT.der])


def test_only_certificates_can_be_added() -> None:
    with pytest.raises(MalformedError):
        store.add("corp", [b"junk"])
    assert store.names() == ["microsoft", "system"]


def test_the_text_of_a_name_cannot_write_remarks() -> None:
    sly = make(name("x\n# chopmark: trust=anchor\n"), pki.key("p256", "sly"), extensions=[purposes(CODE)])
    store.add("corp", [sly.raw, ROOT.der])
    assert "x" in "".join(subjects(store.load(["corp"])))
    middle = make(
        name("y\n# chopmark: trust=anchor"), pki.key("p256", "sly2"), sly, extensions=material.ca_extensions()
    )
    store.add("corp", [middle.raw])
    assert len(subjects(store.load(["corp"]))) == 2


def test_removing_needs_a_fingerprint_that_means_one_certificate() -> None:
    store.add("corp", [ROOT.der, OTHER.der])
    fingerprint = material.read(ROOT).sha256
    for wrong in ("", fingerprint[:7], "00000000", "zz" * 8):
        with pytest.raises(UsageError):
            store.remove("corp", wrong)
    with pytest.raises(UsageError):
        store.remove("nobody", fingerprint)
    shown = ":".join(fingerprint[index : index + 2] for index in range(0, 64, 2)).upper()
    assert len(store.remove("corp", shown)) == 1
    assert subjects(store.load(["corp"])) == ["Another Root"]
    store.remove("corp", material.read(OTHER).sha256[:8])
    assert store.load(["corp?", "microsoft"]).sources[0].name == "microsoft"


def test_a_file_with_several_certificates_is_not_removed_for_one_of_them() -> None:
    store.add("corp", [ROOT.der])
    path = pathlib.Path(store.folder("corp"), "several.pem")
    path.write_bytes(OTHER.pem + MIDDLE.pem)
    with pytest.raises(UsageError):
        store.remove("corp", material.read(OTHER).sha256)
    assert path.exists()


def test_a_list_of_revocations_can_be_kept_in_a_store() -> None:
    store.add("corp", [ROOT.der])
    first = store.add_crl("corp", material.revocations(ROOT, since=JULY))
    second = store.add_crl("corp", material.revocations(ROOT, since=JULY + dt.timedelta(days=1)))
    assert first == second
    assert store.load(["corp"]).crl_files == (first,)


def test_an_older_list_does_not_take_the_place_of_a_newer_one() -> None:
    store.add("corp", [ROOT.der])
    newer = material.revocations(ROOT, since=JULY + dt.timedelta(days=1))
    path = pathlib.Path(store.add_crl("corp", newer))
    with pytest.raises(UsageError):
        store.add_crl("corp", material.revocations(ROOT, since=JULY))
    assert path.read_bytes() == newer
    store.add_crl("corp", newer)
    path.write_bytes(b"no list")
    store.add_crl("corp", material.revocations(ROOT, since=JULY))
    assert path.read_bytes() != b"no list"


def test_the_listing_tells_sizes_ages_and_troubles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add("corp", [ROOT.der])
    os.makedirs(store.folder("broken"))  # noqa: PTH103
    monkeypatch.setattr(store, "_SYSTEM_BUNDLES", (str(tmp_path / "missing"),))
    listed = {each.name: each for each in store.listing()}
    assert list(listed) == ["broken", "corp", "microsoft", "system"]
    assert listed["corp"].certificates == 1
    assert listed["corp"].as_of is not None
    assert listed["microsoft"].certificates > 500
    assert listed["microsoft"].as_of is not None
    assert listed["broken"].problem
    assert listed["system"].problem


# Remarks


@pytest.mark.parametrize(
    "text",
    [
        "# chopmark: trust=nobody\n",
        "# chopmark: purposes=nonsense!\n",
        "# chopmark: disallowed-after=soon\n",
        "# chopmark: something=else\n",
        "# chopmark: trust\n",
    ],
)
def test_a_remark_that_is_not_understood_is_not_passed_over(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(text.encode() + ROOT.pem)
    with pytest.raises(UsageError):
        store.load([str(path)])


def test_a_remark_stands_above_its_certificate(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    remark = source.remark(["code-signing"], JULY).encode()
    path.write_bytes(OTHER.pem + remark + b"# some words\n" + ROOT.pem)
    free, bound = (anchor.constraints for anchor in store.load([str(path)]).sources[0].every())
    assert free == Constraints()
    assert bound == Constraints(frozenset({CODE}), disallowed_after=JULY)
    path.write_bytes(ROOT.pem + remark)
    with pytest.raises(UsageError):
        store.load([str(path)])


def test_the_same_certificate_with_other_remarks_is_a_contradiction(tmp_path: Path) -> None:
    path = tmp_path / "x.pem"
    path.write_bytes(ROOT.pem + source.remark(["code-signing"]).encode() + ROOT.pem)
    with pytest.raises(UsageError):
        store.load([str(path)])
    path.write_bytes(ROOT.pem + ROOT.pem)
    assert len(store.load([str(path)]).sources[0]) == 1


def test_squeezed_text_is_the_same_in_every_type_of_string() -> None:
    from chopmark.envelopes import der

    forms = [material.name("Some Name", kind=kind) for kind in (der.UTF8_STRING, der.PRINTABLE_STRING, der.BMP_STRING)]
    for form in forms:
        assert source.squeezed(b"some NAME") in source.squeezed(form)
