import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.desk import Desk
from tests.support.patience import PATIENCE, eventually


@pytest.fixture
def tree(desk: Desk) -> Path:
    top = desk.folder / "tree"
    (top / "bin").mkdir(parents=True)
    (top / "bin" / "tool").write_bytes(b"\x00tool")
    (top / "read me").write_bytes(b"text")
    return top


def create(desk: Desk, tree: Path, *more: str | Path) -> Path:
    assert desk.run("catalog", "create", tree, "-o", "t.catalog", *desk.by_signer, *more) == 0, desk.err
    return desk.folder / "t.catalog"


def check(desk: Desk, *more: str | Path) -> int:
    return desk.run("catalog", "verify", "t.catalog", "--store", desk.root, "--offline", *more)


def codes(desk: Desk) -> set[str]:
    return {json.loads(line).get("code", "") for line in desk.out.splitlines()} - {""}


def test_a_signed_catalog_of_an_unchanged_tree_is_trusted(desk: Desk, tree: Path) -> None:
    path = create(desk, tree)
    assert desk.verify(path) == 0
    assert check(desk) == 0
    assert desk.out.splitlines()[-2].split() == ["trusted", str(tree)]
    assert check(desk, "--root", tree, "-q") == 0
    assert desk.out == ""
    assert desk.litter() == []


def test_the_tree_can_be_named_without_an_option(desk: Desk, tree: Path) -> None:
    create(desk, tree)
    elsewhere = desk.folder / "elsewhere"
    elsewhere.mkdir()
    trust = ("--store", desk.root, "--offline", "-q")
    assert desk.run("catalog", "verify", "t.catalog", tree, *trust) == 0
    assert desk.run("catalog", "verify", "t.catalog", elsewhere, *trust) == 1
    assert desk.run("catalog", "verify", "t.catalog", tree, "--root", tree, *trust) == 2


def test_a_key_that_will_not_do_is_told_before_the_tree_is_read(desk: Desk, tree: Path) -> None:
    for words in (("--key", "missing"), desk.by_signer[:2]):
        assert desk.run("catalog", "create", tree, "-o", "t.catalog", *words) == 2
        assert not Path("t.catalog").exists()


def test_a_tree_that_is_another_one_is_said_once(desk: Desk, tree: Path) -> None:
    (tree / "more").write_bytes(b"")
    create(desk, tree)
    assert check(desk, "--root", desk.folder, "--json") == 1
    assert codes(desk) == {"catalog.elsewhere"}
    assert check(desk, "--root", desk.folder) == 1
    assert str(tree) in "".join(desk.out.split())
    (tree / "more").unlink()
    (tree / "read me").unlink()
    assert check(desk, "--json") == 1
    assert codes(desk) == {"catalog.missing"}  # one file is still there


def test_changes_are_named_and_the_status_is_that_of_a_rejected_file(desk: Desk, tree: Path) -> None:
    create(desk, tree)
    (tree / "bin" / "tool").write_bytes(b"\x00evil")
    (tree / "bin" / "sh\x1b[2J").write_bytes(b"")
    assert check(desk, "--json") == 1
    lines = [json.loads(line) for line in desk.out.splitlines()]
    assert lines[0]["status"] == "trusted"
    assert lines[-1] == {"root": str(tree), "status": "rejected", "counts": {"catalog.added": 1, "catalog.changed": 1}}
    assert codes(desk) == {"catalog.added", "catalog.changed"}
    assert check(desk) == 1
    assert "\x1b" not in desk.out
    assert max(map(len, desk.out.replace(str(desk.folder), "").splitlines())) <= 90


def test_what_is_no_catalog_is_named(desk: Desk) -> None:
    desk.write("bad.catalog", b"junk")
    for words in (("show", "bad.catalog"), ("diff", "bad.catalog", "bad.catalog"), ("verify", "bad.catalog")):
        assert desk.run("catalog", *words) == 1
        assert "bad.catalog" in desk.err


def test_of_what_only_informs_a_few_of_each_kind_are_told(desk: Desk, tree: Path) -> None:
    status = tree / "var" / "lib" / "dpkg" / "status"
    (status.parent / "info").mkdir(parents=True)
    (tree / "var" / "lib" / "apt" / "lists").mkdir(parents=True)
    package = "Package: p{}\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
    status.write_text("".join(map(package.format, range(13))))
    for number in range(13):
        (tree / f"f{number}").write_bytes(b"x")
        (status.parent / "info" / f"p{number}.list").write_text(f"/.\n/f{number}\n")
    asked = ("catalog", "create", tree, "-o", "t.catalog", "--from", "dpkg")
    assert desk.run(*asked) == 3
    assert desk.out.count(": dpkg.not_at_hand:") == 10
    assert "3 more dpkg.not_at_hand; --json" in " ".join(desk.out.split())
    assert max(map(len, desk.out.splitlines())) <= 80
    assert desk.run(*asked, "--json") == 3
    assert [each["code"] for each in json.loads(desk.out)["findings"]].count("dpkg.not_at_hand") == 13


def test_a_catalog_that_is_not_trusted_does_not_make_a_tree_trusted(desk: Desk, tree: Path) -> None:
    assert desk.run("catalog", "create", tree, "-o", "t.catalog") == 0
    assert check(desk) == 1
    assert desk.run("catalog", "sign", "t.catalog", *desk.by_signer) == 0
    assert check(desk) == 0
    data = (desk.folder / "t.catalog").read_bytes()
    (desk.folder / "t.catalog").write_bytes(data.replace(b" 0 0 ", b" 0 1 ", 1).replace(b"d 0755", b"d 0777", 1))
    assert check(desk) == 1
    assert desk.run("catalog", "sign", tree / "read me", *desk.by_signer) == 1


def test_files_are_trusted_through_a_catalog(desk: Desk, tree: Path) -> None:
    create(desk, tree)
    tool = tree / "bin" / "tool"
    copy = Path(desk.write("copy", tool.read_bytes()))
    other = desk.write("other", b"\x00unknown")
    with_catalogs = ("--catalogs", "t.catalog", "--json")
    assert desk.verify(tool, copy, *with_catalogs) == 0
    first = json.loads(desk.out.splitlines()[0])
    assert [seal["scheme"] for seal in first["seals"]] == ["catalog"]
    assert "catalog.listed" in {finding["code"] for finding in first["seals"][0]["findings"]}
    assert desk.verify(other, *with_catalogs) == 1
    assert {finding["code"] for finding in json.loads(desk.out)["findings"]} >= {"catalog.unlisted", "seal.none"}
    tool.write_bytes(b"\x00evil")
    assert desk.verify(tool, *with_catalogs) == 1
    found = json.loads(desk.out)
    assert found["status"] == "rejected"
    assert "catalog.mismatch" in {finding["code"] for finding in found["findings"]}
    second = desk.folder / "second"
    second.mkdir()
    (second / "evil").write_bytes(b"\x00evil")
    assert desk.run("catalog", "create", second, "-o", "s.catalog", *desk.by_signer) == 0, desk.err
    assert desk.verify(tool, *with_catalogs, "--catalogs", "s.catalog") == 0  # good wherever it lies
    folder = desk.folder / "catalogs"
    folder.mkdir()
    assert desk.verify(copy, "--catalogs", folder) == 2
    (desk.folder / "t.catalog").rename(folder / "t.catalog")
    assert desk.verify(copy, "--catalogs", folder) == 0


def test_a_catalog_vouches_only_as_far_as_it_is_trusted(desk: Desk, tree: Path) -> None:
    assert desk.run("catalog", "create", tree, "-o", "t.catalog") == 0
    assert desk.verify(tree / "bin" / "tool", "--catalogs", "t.catalog", "--json") == 1
    found = json.loads(desk.out)
    assert found["status"] == "rejected"
    assert {finding["code"] for finding in found["seals"][0]["findings"]} == {"catalog.untrusted"}
    (tree / "bin" / "tool").write_bytes(b"\x00other")
    assert desk.verify(tree / "bin" / "tool", "--catalogs", "t.catalog", "--json") == 1
    assert json.loads(desk.out)["status"] == "unsigned"
    desk.write("t.catalog", b"chopmark catalog 1\n")
    assert desk.verify(tree / "bin" / "tool", "--catalogs", "t.catalog") == 2


def test_a_bad_signature_of_its_own_is_not_healed_by_a_catalog(desk: Desk, tree: Path) -> None:
    script = desk.signed("script", "tree/script.sh")
    script.write_bytes(script.read_bytes().replace(b"hello", b"hallo", 1))
    create(desk, tree)
    assert desk.verify(script, "--catalogs", "t.catalog") == 1


def test_diff_and_show(desk: Desk, tree: Path) -> None:
    first = create(desk, tree).rename(desk.folder / "old.catalog")
    (tree / "read me").rename(tree / "README")
    create(desk, tree)
    assert desk.run("catalog", "diff", first, first) == 0
    assert desk.run("catalog", "diff", first, "t.catalog", "--json") == 1
    assert codes(desk) == {"catalog.renamed"}
    assert desk.run("catalog", "show", "t.catalog") == 0
    assert "2 files" in desk.out
    assert desk.run("catalog", "show", "t.catalog", "--json") == 0
    assert [json.loads(line)["path"] for line in desk.out.splitlines()] == [".", "README", "bin", "bin/tool"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "missing", "-o", "x"),
        ("create", ".", "-o", "missing/x"),
        ("create", "/proc", "-o", "x"),
        ("create", ".", "-o", "x", "--as", "relative"),
        ("create", ".", "-o", "x", "--exclude", "/etc"),
        ("create", ".", "-o", "x", "-j", "0"),
        ("verify", "missing"),
        ("show", "."),
        ("diff", "missing", "missing"),
    ],
)
def test_what_cannot_be_done_is_one_line(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert desk.run("catalog", *arguments) in (1, 2)
    assert desk.err.count("\n") == 1
    assert desk.err.startswith("chopmark: ")
    assert not (desk.folder / "x").exists()


def test_show_of_what_is_no_catalog_is_refused(desk: Desk) -> None:
    assert desk.run("catalog", "show", desk.write("x", b"hello\n")) == 1


def test_a_tree_without_a_place_needs_one(desk: Desk, tree: Path) -> None:
    path = create(desk, tree)
    data = path.read_bytes()
    path.write_bytes(b"".join(line for line in data.splitlines(keepends=True) if not line.startswith(b"root")))
    assert check(desk) == 2
    assert check(desk, "--root", tree) == 1


def test_an_interrupted_create_leaves_nothing_but_what_it_had(desk: Desk, tree: Path) -> None:
    (tree / "large").touch()
    os.truncate(tree / "large", 1 << 36)
    process = desk.spawn("catalog", "create", tree, "-o", "t.catalog", "-j", "2")
    partial = desk.folder / "t.catalog.partial"
    eventually(partial.exists)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=2 * PATIENCE)
    assert partial.exists()
    assert not (desk.folder / "t.catalog").exists()
    (tree / "large").unlink()
    create(desk, tree)
    assert not partial.exists()
