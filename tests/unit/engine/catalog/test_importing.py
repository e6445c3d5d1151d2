"""Files held against what packages tell of them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.errors import UsageError
from chopmark.core.verdict import Verdict
from chopmark.engine.catalog import importing, judging, making
from chopmark.engine.catalog.importing import DATABASE, GENERATED, NOWHERE, PACKAGE, RELEASE, File, Looked
from chopmark.formats.catalog import listing, sealing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chopmark.core.finding import Finding


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


class Told(NamedTuple):
    """A database that tells what it was told."""

    packages: dict[str, Looked]

    def names(self) -> Sequence[str]:
        return list(self.packages)

    def look(self, name: str) -> Looked:
        return self.packages[name]


DATABASE_OF_TREE = Told(
    {
        "proven": Looked(
            b"proven",
            b"1:2.0-3",
            (
                File(b"bin/tool", b"f", digest(b"tool"), RELEASE),
                File(b"bin/link", b"l", b"tool", RELEASE),
                File(b"bin/gone", b"f", digest(b"gone"), RELEASE),
                File(b"bin/changed", b"f", digest(b"was"), RELEASE),
                File(b"etc/set", b"f", digest(b"default"), RELEASE, setting=True),
                File(b"shared", b"f", digest(b"shared"), RELEASE),
            ),
        ),
        "other": Looked(b"other/=", b"", (File(b"shared", b"f", digest(b"shared"), RELEASE),)),
        "at-hand": Looked(b"at-hand", b"1", (File(b"hand", b"f", digest(b"hand"), PACKAGE),)),
        "known": Looked(
            b"known",
            b"1",
            (File(b"sum", b"f", digest(b"sum"), DATABASE), File(b"alternative", b"l", b"/bin/tool", GENERATED)),
        ),
    }
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    top = tmp_path / "tree"
    for folder in ("bin", "bin-more", "etc", "var/lib"):
        (top / folder).mkdir(parents=True)
    for name, content in (("bin/tool", "tool"), ("bin/changed", "is"), ("etc/set", "mine"), ("shared", "shared"),
                          ("hand", "hand"), ("sum", "sum"), ("var/lib/state", ""), ("bin-more/x", "x")):  # fmt: skip
        (top / name).write_text(content)
    (top / "bin/link").symlink_to("tool")
    (top / "alternative").symlink_to("/bin/tool")
    return top


def make(tree: Path, *more: bytes, jobs: int = 1) -> tuple[dict[bytes, bytes], list[Finding]]:
    """The origins of what is listed, and what was said."""
    provenance = importing.Provenance(importing.TRUSTED | set(more))
    importing.gather(DATABASE_OF_TREE, provenance, jobs)
    made = making.make(making.Wish(str(tree), f"{tree}.catalog", provenance=provenance), jobs)
    with Artifact.open(f"{tree}.catalog") as artifact:
        found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
        assert found.header.only_listed
        origins = {path: found.origin for path, line in found.rows() if line[:1] != b"d"}
        assert made.files == found.count
    return origins, importing.summary(provenance)


def said(findings: Sequence[Finding]) -> set[tuple[str, str]]:
    return {(finding.code.removeprefix("catalog."), finding.subject) for finding in findings}


@pytest.mark.parametrize("jobs", [1, 2])
def test_only_what_is_proven_is_listed(tree: Path, jobs: int) -> None:
    origins, found = make(tree, jobs=jobs)
    proven = b"release/proven/1:2.0-3"
    assert origins == {b"bin/tool": proven, b"bin/link": proven, b"shared": proven}
    assert said(found) == {("altered", "bin/changed"), ("altered_setting", "etc/set"), ("proven", ""), ("unproven", "")}
    left_out = [finding.detail.split()[0] for finding in found if finding.code == "catalog.unproven"]
    assert left_out == ["1", "1", "1", "2"]


def test_more_is_listed_where_it_is_accepted_and_nothing_that_was_altered(tree: Path) -> None:
    origins, found = make(tree, PACKAGE, DATABASE, GENERATED, NOWHERE)
    assert origins[b"hand"] == b"package/at-hand/1"
    assert origins[b"sum"] == b"database/known/1"
    assert origins[b"alternative"] == b"generated/known/1"
    assert origins[b"var/lib/state"] == b"none"
    assert b"bin/changed" not in origins
    assert b"etc/set" not in origins
    assert {finding.code for finding in found} >= {"catalog.accepted", "catalog.altered"}


def test_nothing_proven_is_not_a_trusted_baseline(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    _, found = make(tmp_path / "empty")
    assert [finding.code for finding in found] == ["catalog.nothing_proven"]


def test_other_files_are_counted_and_the_listed_ones_compared(tree: Path) -> None:
    make(tree)

    def compared() -> set[tuple[str, str]]:
        with Artifact.open(f"{tree}.catalog") as artifact:
            found = listing.Listing(artifact.chunks(0, sealing.read(artifact).end))
            checked = judging.Checked(artifact, Verdict("", "", (), ()), found)
            return said(list(judging.verify(checked, str(tree), 1)))

    assert compared() == {("same", ""), ("outside", "")}
    (tree / "bin/tool").write_text("evil")
    (tree / "shared").rename(tree / "elsewhere")
    (tree / "bin/link").unlink()
    assert compared() == {("changed", "bin/tool"), ("renamed", "shared"), ("missing", "bin/link"), ("outside", "")}


def test_names_of_packages_are_written_in_one_way() -> None:
    line = b"f 0644 0 0 1 %s x" % (b"0" * 64)
    origin = listing.Origin(b"release", b"other/= \xff", b"1@2")
    written = listing.with_origin(line, origin)
    found = listing.Listing([listing.head(listing.Header()) + b"d 0755 0 0 - - .\n" + written + b"\n", listing.tail(2)])
    assert [each for _, each in found.rows()][1] == line
    assert listing.origin_of(found.origin) == origin


def test_more_files_than_are_held_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PACKAGED_FILES_MAX", 3)
    with pytest.raises(UsageError):
        importing.gather(DATABASE_OF_TREE, importing.Provenance(), 1)
