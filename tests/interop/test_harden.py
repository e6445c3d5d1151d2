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

from tests.support.desk import Desk

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.interop

FAPOLICYD = Path(__file__).resolve().parents[2] / "build" / "fapolicyd"
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
    if not (FAPOLICYD / "complete").exists():
        pytest.skip("no fapolicyd (make peers unpacks it)")
    if subprocess.run(["unshare", "-Urm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no namespaces of one's own here")

    def by_fapolicyd(export: Path) -> str:
        environment = {**os.environ, "EXPORT": str(export), "FAPOLICYD": str(FAPOLICYD)}
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
