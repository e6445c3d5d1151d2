"""A guard over signed files: signers revoked, catalogs replaced, floods, a worker that is stopped."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from chopmark.agent import mounts
from chopmark.core import limits
from tests.support import pki
from tests.support.guarding import CHOPMARK, Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested"),
]

GOOD, EVIL = program(0), program(7)
SCRIPT = b"#!/bin/sh\necho signed\n"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


@pytest.fixture
def where(tmp_path: Path) -> Iterator[Path]:
    with Mounted(tmp_path) as folder:
        yield folder


class Signers:
    """Two signers below one root, as files, and a store that trusts it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.root = pki.authority("Guard Root", since=NOW - dt.timedelta(days=30), until=NOW + dt.timedelta(days=30))
        self.signers = [
            pki.leaf(
                self.root, f"Guard Signer {n}", since=NOW - dt.timedelta(days=20), until=NOW + dt.timedelta(days=20)
            )
            for n in range(2)
        ]
        self.store = folder / "store"
        self.store.mkdir()
        (self.store / "root.pem").write_bytes(self.root.pem)
        self._folder = folder

    def sign(self, number: int, *files: Path, how: tuple[str, ...] = ()) -> None:
        """Sign files in place."""
        key, certificate = self._folder / f"{number}.key", self._folder / f"{number}.pem"
        key.write_bytes(self.signers[number].private_pem())
        key.chmod(0o600)
        certificate.write_bytes(self.signers[number].pem)
        command = [*CHOPMARK, "sign", *map(str, files), "--key", str(key), "--cert", str(certificate), *how]
        subprocess.run(command, check=True, capture_output=True)

    def revoke(self, number: int) -> None:
        """Put a CRL into the store that revokes one of them since last week."""
        entry = pki.Revoked(
            self.signers[number].certificate.serial_number, NOW - dt.timedelta(days=7), x509.ReasonFlags.key_compromise
        )
        raw = pki.crl(self.root, [entry], since=NOW - dt.timedelta(hours=1), until=NOW + dt.timedelta(days=6))
        temporary = self._folder / "new.crl"  # not where a guard looks, which would take it for a change
        temporary.write_bytes(raw)
        temporary.replace(self.store / "root.crl")

    def policy(self, *listed: bytes) -> str:
        """Whoever the store trusts, and some contents."""
        return policy(listed, more=f'stores = ["{self.store}"]\n[[rule]]\naction = "allow"\nstatus = "trusted"\n')


def test_signed_files_run_until_their_signer_is_revoked(where: Path, tmp_path: Path) -> None:
    signers = Signers(tmp_path / "signers")
    files = [Path(place(where / f"script{n}", SCRIPT)) for n in range(2)]
    programs = [Path(place(where / f"program{n}", Path("/bin/true").read_bytes())) for n in range(2)]
    for number in range(2):
        signers.sign(number, files[number], programs[number])
    place(where / "unsigned", SCRIPT)
    place(where / "listed", GOOD)
    with Guarded(where, tmp_path / "home", signers.policy(GOOD)).as_program() as guard:
        for _ in range(2):
            assert ran(str(where / "listed")) == "0"
            assert [ran(str(each)) for each in files] == ["0 signed", "0 signed"]
            assert [ran(str(each)) for each in programs] == ["0", "0"]
        assert ran(str(where / "unsigned")) == "denied"
        signers.revoke(1)
        eventually(lambda: bool(guard.events("reloaded")))
        assert [ran(str(each)) for each in files] == ["0 signed", "denied"]
        assert [ran(str(each)) for each in programs] == ["0", "denied"]
        (told,) = {event["detail"] for event in guard.events("reloaded")}
        assert told == "4 verdicts dropped"  # of all below that authority, and nobody else


def test_a_detached_signature_that_comes_later_counts(where: Path, tmp_path: Path) -> None:
    signers = Signers(tmp_path / "signers")
    file = Path(place(where / "data.py", b"print('signed')\n"))
    elsewhere = Path(shutil.copy(file, tmp_path))  # where nobody minds who reads it
    with Guarded(where, tmp_path / "home", signers.policy()).as_program():
        assert "signed" not in ran(sys.executable, str(file))
        signers.sign(0, elsewhere, how=("--format", "detached"))
        shutil.copy(f"{elsewhere}.p7s", f"{file}.p7s")
        eventually(lambda: ran(sys.executable, str(file)) == "0 signed")
        assert "signed" not in ran(sys.executable, place(where / "other.py", b"print('signed', 2)\n"))


def test_catalogs_vouch_for_files_until_another_takes_their_place(where: Path, tmp_path: Path) -> None:
    signers = Signers(tmp_path / "signers")
    place(where / "good", GOOD)
    place(where / "evil", EVIL)
    tree, catalogs = tmp_path / "tree", tmp_path / "catalogs"
    catalogs.mkdir()
    tree.mkdir()

    def listed(*contents: bytes) -> None:
        shutil.rmtree(tree)
        tree.mkdir()
        for number, each in enumerate(contents):
            place(tree / str(number), each)
        made = tmp_path / "new.catalog"
        made.unlink(missing_ok=True)
        subprocess.run([*CHOPMARK, "catalog", "create", tree, "-o", made], check=True, capture_output=True)
        signers.sign(0, made)
        made.replace(catalogs / "tree.catalog")

    listed(GOOD)
    with Guarded(where, tmp_path / "home", signers.policy(), "--catalogs", str(catalogs)).as_program() as guard:
        assert (ran(str(where / "good")), ran(str(where / "evil"))) == ("0", "denied")
        listed(EVIL)
        eventually(lambda: bool(guard.events("reloaded")))
        eventually(lambda: (ran(str(where / "good")), ran(str(where / "evil"))) == ("denied", "7"))


def test_a_worker_that_is_stopped_is_replaced(where: Path, tmp_path: Path) -> None:
    place(where / "good", GOOD)
    place(where / "evil", EVIL)
    guard = Guarded(where, tmp_path / "home", policy([GOOD])).as_program()
    with guard.bounded(GUARD_HUNG_SECONDS=limits.GUARD_HUNG_SECONDS):
        [worker] = guard.workers()
        os.kill(worker, signal.SIGSTOP)
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(ran(str(where / "evil"))))
        asking.start()
        eventually(lambda: guard.said().count("guard ready") >= 2)
        asking.join(2 * PATIENCE)
        assert answers == ["denied"]
        assert ran(str(where / "good")) == "0"


def test_who_waits_for_a_worker_that_cannot_start_is_denied_in_the_end(where: Path, tmp_path: Path) -> None:
    good = place(where / "good", GOOD)
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program() as guard:
        guard.change_policy("not = [")
        [worker] = guard.workers()
        os.kill(worker, signal.SIGKILL)
        answers: list[str] = []
        asking = threading.Thread(target=lambda: answers.append(ran(good)))
        asking.start()
        asking.join(2 * PATIENCE)
        assert answers == ["denied"]
        guard.change_policy(policy([GOOD], version=2))
        eventually(lambda: ran(good) == "0")
        eventually(lambda: guard.said().count("guard ready") == 2)


def test_a_thousand_executions_at_once(where: Path, tmp_path: Path) -> None:
    good, evil = place(where / "good", GOOD), place(where / "evil", EVIL)
    code = (
        "import os,sys\nprogress=[]\n"
        "for path in sys.argv[1:] * 500:\n"
        " pid=os.fork()\n"
        " if not pid:\n"
        "  try: os.execv(path,[path])\n"
        "  except PermissionError: os._exit(9)\n"
        " progress.append(pid)\n"
        "ends=[os.waitstatus_to_exitcode(os.waitpid(each,0)[1]) for each in progress]\n"
        "print(ends.count(0),ends.count(9))\n"
    )
    guard = Guarded(where, tmp_path / "home", policy([GOOD])).as_program()
    with guard.bounded(GUARD_ANSWER_SECONDS=PATIENCE):
        assert ran(sys.executable, "-c", code, good, evil) == "0 500 500"
        assert guard.status()["late"] == 0


def test_ten_thousand_denials(where: Path, tmp_path: Path) -> None:
    evil = place(where / "evil", EVIL)
    code = f"import os\nfor _ in range(2500):\n try: os.execv({evil!r}, ['x'])\n except PermissionError: pass"
    with Guarded(where, tmp_path / "home", policy([GOOD])).as_program() as guard:
        several = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
        assert [each.wait(5 * PATIENCE) for each in several] == [0] * 4
        eventually(
            lambda: len(guard.events("deny")) + sum(each["times"] for each in guard.events("repeated")) == 10_000
        )
        assert (guard.status()["denied"], guard.status()["events_lost"]) == (10_000, 0)
        assert guard.status()["memory_kib"] < 100 * 1024


def test_what_a_catalog_says_of_a_path_is_not_said_of_another(where: Path, tmp_path: Path) -> None:
    signers = Signers(tmp_path / "signers")
    place(where / "listed", GOOD)
    catalogs = tmp_path / "catalogs"
    catalogs.mkdir()
    made = catalogs / "tree.catalog"
    subprocess.run([*CHOPMARK, "catalog", "create", where, "-o", made], check=True, capture_output=True)
    signers.sign(0, made)
    signed = Path(place(tmp_path / "script", SCRIPT))
    signers.sign(1, signed)
    content = signed.read_bytes()
    with Guarded(where, tmp_path / "home", signers.policy(), "--catalogs", str(catalogs)).as_program() as guard:
        for _ in range(2):  # by itself it is good; in place of what is listed it is not; and then elsewhere again
            assert ran(place(where / "signed", content)) == "0 signed"
            (where / "signed").replace(where / "listed")
            assert ran(str(where / "listed")) == "denied"
            (where / "listed").rename(where / "elsewhere")
            assert ran(str(where / "elsewhere")) == "0 signed"
        os.link(where / "elsewhere", where / "listed")
        assert ran(str(where / "listed")) == "denied"
        assert ran(str(where / "elsewhere")) == "0 signed"
        place(where / "moved", GOOD)
        assert ran(str(where / "moved")) == "0"  # a listed content is good wherever it lies
        assert guard.status()["ignored"] == 1  # and the kernel answers by itself for that one alone


def test_subvolumes_are_refused_and_it_is_said_why(tmp_path: Path) -> None:
    """Their files say that they are on another device than the mount, and than the mappings of who runs them."""
    image, place_ = tmp_path / "image", tmp_path / "btrfs"
    with image.open("wb") as file:
        file.truncate(256 << 20)
    subprocess.run(["mkfs.btrfs", "-q", image], check=True)
    place_.mkdir()
    if subprocess.run(["mount", "-o", "loop", image, place_], check=False, capture_output=True).returncode:
        pytest.skip("this kernel has no btrfs")
    try:
        [mount] = [each for each in mounts.mounted() if each.place == str(place_)]
        assert mount.device != place_.stat().st_dev
        options = ["--policy", str(tmp_path / "none"), "--mount", str(place_)]
        done = subprocess.run([*CHOPMARK, "guard", "run", *options], check=False, capture_output=True, text=True)
        assert done.returncode == 2
        assert "btrfs cannot be protected: who runs a file" in done.stderr
        done = subprocess.run([*CHOPMARK, "guard", "doctor", place_], check=False, capture_output=True, text=True)
        assert done.returncode == 1
        assert "btrfs cannot be protected" in " ".join(done.stdout.split())
    finally:
        subprocess.run(["umount", place_], check=True)
