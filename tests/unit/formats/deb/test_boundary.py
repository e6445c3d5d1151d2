"""Where control.tar ends: signed are the members' bytes one behind the other, so the content has to say it."""

from __future__ import annotations

import gzip
import tarfile
from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import RefusedError
from chopmark.core.verdict import Status
from chopmark.engine import check, sign
from chopmark.formats.deb import package
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import bare_keys, debs
from tests.support.debs import File

if TYPE_CHECKING:
    from pathlib import Path

CONTROL = debs.tar([File("./", kind=tarfile.DIRTYPE), File("./control", b"Package: tool\n"), File("./postinst", b"#!")])
DATA = debs.tar([File("./", kind=tarfile.DIRTYPE), File("./etc/guard", b"on"), File("./usr/bin/tool", b"tool")])
HEAD = ("debian-binary", b"2.0\n")


def built(control: bytes, data: bytes, kinds: tuple[str, str] = ("", "")) -> bytes:
    return debs.assembled(HEAD, (f"control.tar{kinds[0]}", control), (f"data.tar{kinds[1]}", data))


def signed(data: bytes) -> bytes:
    request = sign.SignRequest(bare_keys.signer("deb"), (), debs.NOW, SealOptions(), format_name="deb")
    artifact = Artifact.from_bytes(data, "x.deb")
    return sign.sign(artifact, request).patch.render(artifact)


def judged(data: bytes, folder: Path) -> tuple[Status, set[str]]:
    known = contexts.Context(
        store.load([bare_keys.public("deb")]), debs.NOW, contexts.OFF, origins.CrlSource(cache=str(folder))
    )
    verdict = check.check(Artifact.from_bytes(data, "x.deb"), known)
    return verdict.status, {each.code for each in verdict.findings if each.outcome == "no"}


def moved(whole: bytes, start: int, kinds: tuple[str, str] = ("", "")) -> bytes:
    """The signed package with the same bytes, of which data.tar has those from `start` of both on."""
    found = package.read(BytesView(whole))
    both = b"".join(whole[part.offset : part.offset + part.size] for part in found.parts[1:])
    return built(both[:start], both[start:], kinds) + whole[found.signatures[0].start :]


def test_files_of_data_cannot_be_hidden_behind_control(tmp_path: Path) -> None:
    whole = signed(built(CONTROL, DATA))
    assert judged(whole, tmp_path) == (Status.TRUSTED, set())
    size = len(CONTROL)
    assert moved(whole, size) == whole
    for start in (*range(512, size, 512), *range(size + 512, size + len(DATA), 512)):
        assert judged(moved(whole, start), tmp_path) == (Status.REJECTED, {"deb.boundary"}), start


@pytest.mark.parametrize("kind", ["gz", "xz"])
def test_streams_cannot_change_sides(kind: str, tmp_path: Path) -> None:
    pack, kinds = debs.PACK[kind], (f".{kind}", f".{kind}")
    control, first, second = pack(CONTROL), pack(DATA[:1024]), pack(DATA[1024:])
    whole = signed(built(control, first + second, kinds))
    assert judged(whole, tmp_path) == (Status.TRUSTED, set())
    for start in (len(control) + len(first), len(control) - 1, len(control) + 1, 1):
        assert judged(moved(whole, start, kinds), tmp_path) == (Status.REJECTED, {"deb.boundary"})
    renamed = moved(whole, len(control), ("", f".{kind}"))
    assert judged(renamed, tmp_path) == (Status.REJECTED, {"deb.boundary"})


def test_what_does_not_say_where_it_ends_is_not_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = gzip.compress(CONTROL[:1024]) + gzip.compress(CONTROL[1024:])
    for control, data, kind in (
        (twice, DATA, ".gz"),
        (CONTROL + DATA, DATA, ""),
        (CONTROL[:2560], DATA, ""),
        (CONTROL, bytes(1024), ""),
        (CONTROL, b"", ""),
        (CONTROL, DATA, ".zst"),
    ):
        with pytest.raises(RefusedError):
            signed(built(control, data, (kind, "")))
    assert signed(built(CONTROL, DATA))
    monkeypatch.setattr(limits, "DEB_CONTROL_MAX", len(CONTROL) - 1)
    with pytest.raises(RefusedError):
        signed(built(CONTROL, DATA))
