"""What `policy export` writes, read by those who enforce it: fapolicyd's own reader of rules, settings and trust.

fapolicyd reads all of it before it asks the kernel for anything. Here it runs in namespaces of its own, with file
systems of its own over /etc, /run and /var/lib, and without the right to watch anything: it ends after reading.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import fapolicyd
from tests.support.desk import Desk
from tests.support.fapolicyd import Fapolicyd

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.interop

READ = """set -e
mount -t tmpfs tmpfs /etc
mkdir -p /etc/fapolicyd/trust.d
echo 'root:x:0:0::/:/bin/sh' >/etc/passwd
echo 'root:x:0:' >/etc/group
mount -t tmpfs tmpfs /run
mkdir -p /run/fapolicyd
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/fapolicyd
cp "$EXPORT/fapolicyd.conf" /etc/fapolicyd/
printf 'uid = root\\ngid = root\\nwatch_fs = tmpfs\\n' >>/etc/fapolicyd/fapolicyd.conf
cp "$EXPORT"/rules.d/*.rules /etc/fapolicyd/compiled.rules
cp "$EXPORT"/trust.d/* /etc/fapolicyd/trust.d/
export LD_LIBRARY_PATH=$FAPOLICYD/usr/lib/x86_64-linux-gnu:$FAPOLICYD/lib/x86_64-linux-gnu
"$FAPOLICYD/usr/sbin/fapolicyd-cli" --check-config
timeout 20 "$FAPOLICYD/usr/sbin/fapolicyd" --debug --no-details || true
"""
HEAD = 'chopmark-policy = 1\nname = "hosts"\nversion = 3\n'


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return Desk(folder, capsys)


@pytest.fixture
def exported(desk: Desk) -> Path:
    """Signed files, and unsigned ones that a policy does not allow."""
    tree = desk.folder / "tree"
    tree.mkdir()
    for kind in ("pe", "script"):
        shutil.move(desk.signed(kind), tree)
    shutil.copy("/bin/true", tree / "unsigned")
    rules = f'stores = ["{desk.root}"]\n[[rule]]\naction = "allow"\nstore = "{desk.root}"\n'
    digests = ", ".join(f'"sha256:{digit * 64}"' for digit in "0123456789abcdef")
    policy = desk.write("p.toml", f'{HEAD}{rules}[[rule]]\naction = "allow"\ndigest = [{digests}]\n'.encode())
    options = ("--root", str(tree), "--offline", "--revocation", "off", "--at", "2026-07-01")
    assert desk.run("policy", "export", policy, "--to", "fapolicyd", *options) == 0
    return desk.folder / "fapolicyd"


@pytest.fixture
def read() -> Callable[[Path], str]:
    if not (fapolicyd.UNPACKED / "usr" / "sbin" / "fapolicyd").exists():
        pytest.skip("fapolicyd is not unpacked (tools/peers.sh)")
    if subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces of one's own here")

    def by_fapolicyd(export: Path) -> str:
        environment = {**os.environ, "EXPORT": str(export), "FAPOLICYD": str(fapolicyd.UNPACKED)}
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", READ], check=False, capture_output=True, text=True, env=environment
        )
        return done.stdout + done.stderr

    return by_fapolicyd


def test_fapolicyd_reads_what_was_exported(exported: Path, read: Callable[[Path], str]) -> None:
    said = read(exported)
    rules = (exported / "rules.d" / "10-chopmark.rules").read_text().splitlines()
    count = sum(not line.startswith(("#", "%")) for line in rules)
    assert count == 2 * 3 + 16 * 3 + 3 + 2  # files at hand and digests, in three places each; denials; what is left
    assert "Daemon config is OK" in said
    assert f"Loaded {count} rules" in said
    assert "fapolicyd integrity is 3" in said  # SHA-256
    trusted = (exported / "trust.d" / "chopmark").read_text()
    assert len(trusted.splitlines()) == 3
    assert "unsigned" not in trusted


@pytest.mark.parametrize(
    ("old", "new"), [("sha256hash=", "nosuch="), ("perm=execute", "perm=never"), ("deny_syslog", "never")]
)
def test_fapolicyd_refuses_what_was_tampered_with(
    exported: Path, read: Callable[[Path], str], old: str, new: str
) -> None:
    rules = exported / "rules.d" / "10-chopmark.rules"
    lines = rules.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if old in line and not line.startswith("%"))
    lines[at] = lines[at].replace(old, new)
    rules.write_text("\n".join([*lines, ""]))
    assert "Loaded" not in read(exported)


def test_a_set_of_contents_would_be_one_of_numbers(exported: Path, read: Callable[[Path], str]) -> None:
    """Why each content has a rule of its own (fapolicyd 1.1.7)."""
    rules = exported / "rules.d" / "10-chopmark.rules"
    rules.write_text(f"%contents={'0' * 64},{'a' * 64}\nallow perm=execute all : sha256hash=%contents\n")
    assert "Loaded" not in read(exported)


@pytest.mark.skipif(bool(fapolicyd.why_not()), reason=fapolicyd.why_not() or "there is one")
def test_fapolicyd_runs_what_the_policy_allows_and_nothing_else(desk: Desk, tmp_path: Path) -> None:
    """On a tmpfs of its own: a signed program, the same elsewhere and with a byte more, and one that nobody signed."""
    tree = desk.folder / "programs"
    tree.mkdir()
    for name in ("signed", "plain"):
        (tree / name).write_bytes(Path("/bin/true").read_bytes() + name.encode())
        (tree / name).chmod(0o755)
    assert desk.run("sign", str(tree / "signed"), *desk.by_signer, "--signing-time", "2026-07-01T00:00:00Z") == 0
    policy = desk.write(
        "p.toml", f'{HEAD}stores = ["{desk.root}"]\n[[rule]]\naction = "allow"\nstore = "{desk.root}"\n'.encode()
    )
    options = ("--root", str(tree), "--offline", "--revocation", "off", "--at", "2026-07-01", "--use", "exec")
    assert desk.run("policy", "export", policy, "--to", "fapolicyd", *options) == 0
    rules = Path("fapolicyd/rules.d/10-chopmark.rules").read_text()
    signed, plain = (tree / "signed").read_bytes(), (tree / "plain").read_bytes()
    (tmp_path / "room").mkdir()
    with Fapolicyd(tmp_path / "room", {}, rules=rules) as peer:
        places = {"signed": signed, "moved": signed, "tampered": signed + b"!", "plain": plain}
        ran = {name: runs(peer, peer.place(name, content)) for name, content in places.items()}
        assert ran == {"signed": True, "moved": True, "tampered": False, "plain": False}, peer.said()


def runs(peer: Fapolicyd, path: str) -> bool:
    return subprocess.run(peer.within(path), check=False, capture_output=True).returncode == 0
