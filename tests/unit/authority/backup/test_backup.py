"""Backup and restore: nothing is lost, nothing is believed unseen, no number is used twice."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from chopmark import keys
from chopmark.authority.backup import adoption, continuing, restoring
from chopmark.authority.backup.archive import Reader
from chopmark.authority.backup.making import backup
from chopmark.authority.backup.tables import all_tables
from chopmark.authority.ca import Authority
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.authority.log import keeping
from chopmark.authority.log.storage import LogForkError
from chopmark.authority.ocsp.responder import Responder
from chopmark.core import limits
from chopmark.core.errors import MalformedError, RefusedError, UsageError
from chopmark.envelopes import note, x509
from chopmark.envelopes.note import VerifierKey
from chopmark.keys import generate
from chopmark.keys.software import SoftwareSigner
from tests.support import pki
from tests.unit.authority.conftest import NOW, order, spki

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.authority.conftest import Clock

restore = partial(restoring.restore, later=continuing.NOTHING)


def rows(authority: Authority) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that is in the register."""
    with authority.reading() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns))]
            for table in all_tables()
        }


def files(folder: str) -> dict[str, tuple[int, bytes]]:
    found = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)  # noqa: PTH118
            if "sqlite3" not in name:
                with open(path, "rb") as file:  # noqa: PTH123
                    found[os.path.relpath(path, folder)] = (os.stat(path).st_mode & 0o777, file.read())  # noqa: PTH116
    return found


@pytest.fixture
def busy(authority: Authority) -> Authority:
    """With a past: issued, revoked, renewed, rolled over."""
    first = authority.issue(order())
    authority.issue(order("internal", key=spki("ed25519")))
    authority.revoke(first.serial, "keyCompromise")
    Hierarchy(authority).roll("root", NewKey("p256"))
    authority.publish("code-signing")
    return authority


def test_nothing_is_lost(busy: Authority, tmp_path: Path, clock: Clock) -> None:
    before, kept = rows(busy), files(busy.folder)
    made = backup(busy, str(tmp_path / "b.tar"))
    assert (tmp_path / "b.tar").stat().st_mode & 0o777 == 0o600
    restored = restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), sha256=made.sha256, clock=clock)
    assert (restored.certificates, restored.sha256) == (len(before["certificates"]), made.sha256)
    with Authority.open(str(tmp_path / "again"), clock=clock) as again:
        after = rows(again)
        assert files(again.folder) == kept
        for name in set(before) - {"issuers", "events", "log_entries"}:
            assert after[name] == before[name], name
        assert after["events"][: len(before["events"])] == before["events"]
        assert [row.action for row in _events(again)][-1] == "restore"
        for old, new in zip(busy.issuers(), again.issuers(), strict=True):
            assert old == new
        again.issue(order(key=spki("p384")))
        assert (
            again.publish("code-signing").number > busy.publish("code-signing").number + limits.CRL_NUMBERS_SKIPPED / 2
        )


def _events(authority: Authority) -> list[Any]:
    from chopmark.authority.register.schema import events

    with authority.reading() as connection:
        return list(connection.execute(events.select().order_by(events.c.id)))


def test_answers_signed_ahead_are_left_out(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    with Responder(authority) as responder:
        responder.delegates.create(authority.issuer("code-signing"))
        responder.presign()
    ahead = {"answers.sqlite3", "answers.table"}
    assert ahead <= set(os.listdir(os.path.join(authority.folder, "ocsp")))  # noqa: PTH118, PTH208
    made = backup(authority, str(tmp_path / "b.tar"))
    restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), sha256=made.sha256, clock=clock)
    held = os.listdir(tmp_path / "again" / "ocsp")  # noqa: PTH208
    assert held
    assert not [name for name in held if name.startswith("answers")]


def test_issuing_goes_on_meanwhile(authority: Authority, tmp_path: Path, clock: Clock) -> None:
    issued: list[str] = []
    stop = threading.Event()

    def work() -> None:
        with Authority.open(authority.folder, clock=clock) as other:
            while not stop.is_set():
                issued.append(other.issue(order()).serial)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for number in range(3):
            backup(authority, str(tmp_path / f"{number}.tar"))
    finally:
        stop.set()
        worker.join()
    assert issued
    for number in range(3):
        folder = str(tmp_path / f"again{number}")
        restore(str(tmp_path / f"{number}.tar"), folder, clock=clock)
        with Authority.open(folder, clock=clock) as again:
            held = {row.serial for row in again.register.search(NOW, profile="code-signing", status="valid")}
            assert held <= set(issued)


class TestRefused:
    def test_nothing_is_overwritten(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        with pytest.raises(UsageError, match="exists already"):
            backup(authority, str(path))
        with pytest.raises(UsageError, match="something already"):
            restore(str(path), authority.folder)
        with pytest.raises(UsageError, match="does not belong"):
            backup(authority, os.path.join(authority.folder, "b.tar"))  # noqa: PTH118

    def test_links_cannot_be_kept(self, authority: Authority, tmp_path: Path) -> None:
        os.symlink("/etc/passwd", os.path.join(authority.folder, "keys", "other.pem"))  # noqa: PTH118, PTH211
        with pytest.raises(RefusedError, match="link"):
            backup(authority, str(tmp_path / "b.tar"))
        assert list(tmp_path.glob("b.tar*")) == []

    def test_another_one_than_meant(self, authority: Authority, tmp_path: Path) -> None:
        path = str(tmp_path / "b.tar")
        backup(authority, path)
        with pytest.raises(RefusedError, match="another backup"):
            restore(path, str(tmp_path / "again"), sha256="0" * 64)
        assert not (tmp_path / "again").exists()

    def test_signatures(self, authority: Authority, tmp_path: Path) -> None:
        alice, mallory = pki.leaf(None, "alice"), pki.leaf(None, "mallory")
        plain, signed = str(tmp_path / "plain.tar"), str(tmp_path / "signed.tar")
        backup(authority, plain)
        backup(authority, signed, alice, (alice.der,))
        restore(signed, str(tmp_path / "again"), signer=x509.certificate(alice.der))
        with pytest.raises(RefusedError, match="not signed by"):
            restore(signed, str(tmp_path / "other"), signer=x509.certificate(mallory.der))
        with pytest.raises(RefusedError, match="is not signed"):
            restore(plain, str(tmp_path / "other"), signer=x509.certificate(alice.der))

    def test_flipped_bytes(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        good = path.read_bytes()
        with tarfile.open(path) as archive:
            spans = [(header.offset_data, header.size) for header in archive if header.size]
        for start, size in spans:
            for place in (start, start + size // 2, start + size - 1):
                (tmp_path / "bad.tar").write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
                with pytest.raises(MalformedError):
                    Reader(str(tmp_path / "bad.tar"))

    def test_truncated(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        good = path.read_bytes()
        for length in (0, 1, 511, 512, len(good) // 3, len(good) // 2):
            (tmp_path / "bad.tar").write_bytes(good[:length])
            with pytest.raises(MalformedError):
                restore(str(tmp_path / "bad.tar"), str(tmp_path / "again"))
        assert not (tmp_path / "again").exists()
        assert list(tmp_path.glob(".again*")) == []

    @pytest.mark.parametrize("name", ["../evil", "/evil", "files/../../evil", "files/stray"])
    def test_members_that_do_not_belong(self, name: str, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        with tarfile.open(path, "a") as archive:
            header = tarfile.TarInfo(name)
            header.size = 1
            archive.addfile(header, io.BytesIO(b"x"))
        with pytest.raises(MalformedError):
            restore(str(path), str(tmp_path / "again"))

    def test_links_inside(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        with tarfile.open(path, "a") as archive:
            header = tarfile.TarInfo("files/link")
            header.type, header.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(header)
        with pytest.raises(MalformedError, match="does not belong"):
            restore(str(path), str(tmp_path / "again"))

    def test_a_table_that_was_exchanged(self, authority: Authority, tmp_path: Path) -> None:
        """With digests that fit: whoever can write the archive is told apart by the manifest's digest or signature."""
        path = tmp_path / "b.tar"
        made = backup(authority, str(path))
        _rewrite(path, "tables/settings.jsonl.gz", gzip.compress(b'{"table": "settings", "columns": []}\n[1]\n'))
        with pytest.raises(RefusedError, match="another backup"):
            restore(str(path), str(tmp_path / "again"), sha256=made.sha256)
        with pytest.raises(MalformedError, match="cannot be read"):
            restore(str(path), str(tmp_path / "again"))
        assert not (tmp_path / "again").exists()

    def test_of_a_later_chopmark(self, authority: Authority, tmp_path: Path) -> None:
        path = tmp_path / "b.tar"
        backup(authority, str(path))
        _rewrite(path, "", b"", revision="9999")
        with pytest.raises(RefusedError, match="later chopmark"):
            restore(str(path), str(tmp_path / "again"))

    def test_without_a_key(self, authority: Authority, tmp_path: Path) -> None:
        os.unlink(os.path.join(authority.folder, "keys", "root.pem"))  # noqa: PTH108, PTH118
        backup(authority, str(tmp_path / "b.tar"))
        with pytest.raises(RefusedError, match="key of the CA root"):
            restore(str(tmp_path / "b.tar"), str(tmp_path / "again"))


def _rewrite(path: Path, name: str, data: bytes, **facts: object) -> None:
    """Exchange a member, and make the manifest say so."""
    import hashlib

    with tarfile.open(path) as archive:
        held = {header.name: (archive.extractfile(header) or io.BytesIO()).read() for header in archive}
    manifest = json.loads(held.pop("manifest.json")) | facts
    if name:
        held[name] = data
    for member in manifest["members"]:
        member["size"], member["sha256"] = len(held[member["name"]]), hashlib.sha256(held[member["name"]]).hexdigest()
    with tarfile.open(path, "w") as archive:
        for each, content in (held | {"manifest.json": json.dumps(manifest).encode()}).items():
            header = tarfile.TarInfo(each)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))


def test_killed_in_the_midst(authority: Authority, tmp_path: Path) -> None:
    """There is a whole backup or none."""
    for _ in range(30):
        authority.issue(order("internal"))
    script = (
        "import sys; from chopmark.authority.ca import Authority; from chopmark.authority.backup.making import backup\n"
        "with Authority.open(sys.argv[1]) as a:\n"
        "    print('open', flush=True)\n"
        "    n = 0\n"
        "    while True:\n"
        "        n += 1; backup(a, f'{sys.argv[2]}.{n}')\n"
    )
    for turn in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", script, authority.folder, str(tmp_path / f"b{turn}")], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout
            process.stdout.readline()
            threading.Event().wait(0.05 + 0.06 * turn)
            process.send_signal(signal.SIGKILL)
    whole = [path for path in tmp_path.glob("b*") if not path.name.endswith(".chopmark")]
    for number, path in enumerate(whole[:3]):
        restore(str(path), str(tmp_path / f"again{number}"))


def test_a_restore_that_is_killed_leaves_nothing(authority: Authority, tmp_path: Path) -> None:
    backup(authority, str(tmp_path / "b.tar"))
    script = (
        "import os, sys; from chopmark.authority.backup import continuing, restoring\n"
        "restoring._consistent = lambda *a: os.kill(os.getpid(), 9)\n"
        "restoring.restore(sys.argv[1], sys.argv[2], later=continuing.NOTHING)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "b.tar"), str(tmp_path / "again")], check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "again").exists()
    restore(str(tmp_path / "b.tar"), str(tmp_path / "again"))


class TestLog:
    """Nobody may have seen more of a log than what goes on."""

    @staticmethod
    def published(authority: Authority) -> bytes:
        signed = authority.log.integrate()
        return signed.note.encode()

    def test_it_goes_on_when_nothing_was_published_since(self, authority: Authority, tmp_path: Path) -> None:
        authority.issue(order())
        newest = self.published(authority)
        backup(authority, str(tmp_path / "b.tar"))
        made = restoring.restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), later=continuing.Later(newest))
        assert made.log_ended == ""
        with Authority.open(str(tmp_path / "again")) as again:
            old, new = authority.log.log().read(newest), again.log.log().read(self.published(again))
            assert new.checkpoint.size == old.checkpoint.size + 1  # that it was restored
            assert new.checkpoint.origin == old.checkpoint.origin

    def test_it_does_not_go_on_when_more_was_published(self, authority: Authority, tmp_path: Path) -> None:
        backup(authority, str(tmp_path / "b.tar"))
        authority.issue(order())
        later = continuing.Later(self.published(authority))
        with pytest.raises(LogForkError, match="must not go on"):
            restoring.restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), later=later)
        assert not (tmp_path / "again").exists()

    def test_it_does_not_go_on_from_other_entries(self, authority: Authority, tmp_path: Path) -> None:
        authority.issue(order())
        log = authority.log.log()
        signer = keys.open_key(keeping.located(authority.folder, log.uri))
        size = log.read(self.published(authority)).checkpoint.size
        backup(authority, str(tmp_path / "b.tar"))
        for number in (1, size - 1, size):
            later = continuing.Later(log.sign(number, bytes(32), signer).note.encode())
            with pytest.raises(LogForkError, match="other entries"):
                restoring.restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), later=later)

    def test_another_log_says_nothing(self, authority: Authority, tmp_path: Path) -> None:
        newest = authority.log.log().read(self.published(authority)).checkpoint
        backup(authority, str(tmp_path / "b.tar"))
        stranger = SoftwareSigner(generate.new("ed25519"))
        signature = note.sign(newest.text, VerifierKey.of(newest.origin, stranger.public_key), stranger)
        for raw in (b"nonsense", note.Note(newest.text, (signature,)).encode()):
            with pytest.raises(LogForkError):
                restoring.restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), later=continuing.Later(raw))

    def test_it_ends_and_another_one_begins(self, authority: Authority, tmp_path: Path) -> None:
        authority.issue(order())
        backup(authority, str(tmp_path / "b.tar"))
        authority.issue(order("internal"))
        last = authority.log.log().read(self.published(authority))
        made = restoring.restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), later=continuing.Later(ends=True))
        assert made.log_ended == last.checkpoint.origin
        with Authority.open(str(tmp_path / "again")) as again:
            with pytest.raises(UsageError, match="no key yet"):
                again.log.log()
            again.issue(order("internal", key=spki("ed25519")))  # which waits for a log
            signer = SoftwareSigner(generate.new("ed25519"))
            with pytest.raises(UsageError, match="needs another name"):
                again.log.begin(made.log_ended, "folder:log.pem", signer)
            signed = again.log.begin("pki.example.com/second", "folder:log.pem", signer)
            assert signed.checkpoint.size == made.log_entries + 2
            assert again.log.log().published() == signed
        moved = tmp_path / "again" / f"log-ended-{made.log_entries}"
        assert (moved / "checkpoint").is_file()
        assert not (tmp_path / "again" / "keys" / "log.pem").exists()


class TestAdoption:
    def test_what_was_issued_since(self, authority: Authority, tmp_path: Path, clock: Clock) -> None:
        backup(authority, str(tmp_path / "b.tar"))
        late, revoked = authority.issue(order()), authority.issue(order())
        authority.revoke(revoked.serial, "keyCompromise")
        published = authority.publish("code-signing")
        restore(str(tmp_path / "b.tar"), str(tmp_path / "again"), clock=clock)
        with Authority.open(str(tmp_path / "again"), clock=clock) as again:
            with pytest.raises(UsageError):
                again.register.find(late.serial)
            done = list(adoption.adopt(again, [late.certificate, revoked.certificate], [published.raw]))
            assert [each.done for each in done] == ["adopted", "adopted", "revoked"]
            assert again.register.find(late.serial).certificate == late.certificate
            record = again.register.find(revoked.serial)
            assert (record.status(NOW), record.reason) == ("revoked", 1)
            assert again.publish("code-signing").entries == 1
            assert [each.done for each in adoption.adopt(again, [late.certificate], [])] == ["known"]

    def test_what_is_not_ours(self, authority: Authority) -> None:
        world = pki.world()
        with pytest.raises(RefusedError, match="no CA of this authority"):
            list(adoption.adopt(authority, [world.signer.der], []))
        with pytest.raises(RefusedError):
            list(adoption.adopt(authority, [], [pki.crl(world.issuing)]))
        issued = authority.issue(order()).certificate
        with pytest.raises(RefusedError, match="not a certificate"):
            list(adoption.adopt(authority, [issued[:-1] + bytes([issued[-1] ^ 1])], []))


def test_of_an_older_schema(founded: Path, tmp_path: Path) -> None:
    """What an earlier chopmark has backed up is restored at its revision, and brought up to date."""
    from chopmark.authority.register import migrations

    shutil.copytree(founded, tmp_path / "ca")
    with Authority.open(str(tmp_path / "ca")) as authority:
        backup(authority, str(tmp_path / "b.tar"))
    # What revision 0002 did not have is taken out of the tables.
    with tarfile.open(tmp_path / "b.tar") as archive:
        held = {header.name: (archive.extractfile(header) or io.BytesIO()).read() for header in archive}
    added = {"issuers": {"retired", "shards", "deltas"}, "certificates": {"predecessor", "shard", "changed"}}
    added["crls"] = {"base", "shards", "delta_next_update"}
    for table, gone in added.items():
        name = f"tables/{table}.jsonl.gz"
        lines = [json.loads(line) for line in gzip.decompress(held[name]).splitlines()]
        keep = [number for number, (column, _) in enumerate(lines[0]["columns"]) if column not in gone]
        lines[0]["columns"] = [lines[0]["columns"][number] for number in keep]
        lines[1:] = [[line[number] for number in keep] for line in lines[1:]]
        _rewrite(tmp_path / "b.tar", name, gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()))
    newer = ("crosses", "approvers", "ceremonies", "log_checkpoints")
    manifest = json.loads(held["manifest.json"])
    with tarfile.open(tmp_path / "b.tar") as archive:
        held = {header.name: (archive.extractfile(header) or io.BytesIO()).read() for header in archive}
    manifest = json.loads(held["manifest.json"])
    created = {"0002": ("log_entries", "log_checkpoints")}["0002"]
    gone_tables = [each for each in newer if each not in created]
    for each in gone_tables:
        held.pop(f"tables/{each}.jsonl.gz")
        manifest["rows"].pop(each)
    manifest["members"] = [member for member in manifest["members"] if member["name"] in held]
    manifest["revision"] = "0002"
    held["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        for each, content in held.items():
            header = tarfile.TarInfo(each)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    restore(str(tmp_path / "b.tar"), str(tmp_path / "again"))
    with Authority.open(str(tmp_path / "again")) as again:
        with again.reading() as connection:
            assert connection.exec_driver_sql("select version_num from alembic_version").scalar() == migrations.head()
        assert len(again.issuers()) == 3
        again.issue(order("internal"))
