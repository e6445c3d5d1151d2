"""The tables for those who come from other tools: each row is run on both sides, and each takes what the other made."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import pki
from tests.vectors.pe import make

pytestmark = pytest.mark.interop

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "how-to" / "come-from-other-tools.md").read_text()
ROW = re.compile(r"^\| ([^|`]+) \| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)
TABLES = {
    "osslsigncode": "signed.exe",
    "sbsigntool, efitools": "signed.efi",
    "openssl": "prices.csv",
    "gpg": "tool.tar.gz",
    "minisign": "tool.tar.gz",
    "signify": "tool.tar.gz",
    "ssh-keygen": "tool.tar.gz",
}
"""By the name of the other tool in the head of a table: what its row `verify` is about."""


def rows(tool: str) -> list[tuple[str, str, str]]:
    """Of the table with this tool in its head: what is done, by it, by chopmark."""
    _, _, rest = PAGE.partition(f"| what | {tool} | chopmark |\n")
    return ROW.findall(rest.partition("\n\n")[0])


def run(command: str, folder: Path, *, home: Path) -> int:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("CHOPMARK_")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CHOPMARK_HOME": str(home / "chopmark"),
        "CHOPMARK_OFFLINE": "yes",
        "GNUPGHOME": str(home / "gnupg"),
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, timeout=60, check=False
    )
    sys.stdout.buffer.write(done.stdout + done.stderr)  # for whoever reads why it failed
    return done.returncode


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Secrets and settings of the person, of both sides."""
    (tmp_path / "gnupg").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def desk(home: Path) -> Path:
    """The files that the page speaks of."""
    folder = home / "desk"
    folder.mkdir()
    world = pki.world()
    database = pki.leaf(None, "Example db", kind="rsa2048")
    for name, entity in (("signer", world.signer), ("db", database)):
        (folder / f"{name}.key").write_bytes(entity.private_pem())
        (folder / f"{name}.pem").write_bytes(entity.pem)
    (folder / "signer.pem").write_bytes(world.signer.pem + world.issuing.pem)
    (folder / "root.pem").write_bytes(world.root.pem)
    (folder / "issuing.pem").write_bytes(world.issuing.pem)
    (folder / "app.exe").write_bytes(make.with_checksum(make.Pe()))
    shutil.copy(ROOT / "tests" / "vectors" / "pe" / "sample-boot.efi", folder / "image.efi")
    for name in ("prices.csv", "tool.tar.gz", "notes.txt"):
        (folder / name).write_bytes(b"what is signed\n")
    made = (
        "gpg --batch --quiet --passphrase '' --quick-gen-key 'Me <me@example.org>' ed25519 sign never",
        "gpg --armor --export > keys.asc && gpg --batch --armor --export-secret-keys > secret.asc",
        "minisign -G -W -p minisign.pub -s minisign.key",
        "signify-openbsd -G -n -p signify.pub -s signify.sec",
        "ssh-keygen -q -t ed25519 -N '' -f id -C me@example.org",
        'echo "me@example.org $(cat id.pub)" > allowed_signers',
        "chmod 600 *.key secret.asc signify.sec",
    )
    for command in made:
        assert run(command, folder, home=home) == 0, command
    return folder


def test_every_table_is_run_but_those_of_windows() -> None:
    heads = re.findall(r"^\| what \| (.+) \| chopmark \|$", PAGE, re.MULTILINE)
    assert heads == [*TABLES, "on Windows"]
    assert sum(len(rows(tool)) for tool in TABLES) == len(ROW.findall(PAGE)) - len(rows("on Windows"))


@pytest.mark.parametrize("tool", TABLES)
def test_both_sides_do_the_same(tool: str, desk: Path, home: Path) -> None:
    ours = home / "ours"
    shutil.copytree(desk, ours)
    table = rows(tool)
    for what, theirs, own in table:
        assert run(theirs, desk, home=home) == 0, what
        assert run(own, ours, home=home) == 0, what
    verifying = [(theirs, own) for what, theirs, own in table if what.startswith("verify")]
    assert verifying
    for theirs, own in verifying:
        assert run(own, desk, home=home) == 0, "we take what they made"
        assert run(theirs, ours, home=home) == 0, "they take what we made"
    theirs, own = verifying[0]
    for folder in (desk, ours):
        file = folder / TABLES[tool]
        data = bytearray(file.read_bytes())
        data[len(data) // 4] ^= 1
        file.write_bytes(data)
        assert run(own, folder, home=home) == 1
        assert run(theirs, folder, home=home) != 0
    if (home / "gnupg").exists():
        run("gpgconf --kill all", home, home=home)


_CMS = "openssl cms -binary"
_SIGNER = "-signer signer.pem -certfile issuing.pem -inkey signer.key"
_ROOT = "-CAfile root.pem -purpose any"
ELSEWHERE = {
    "gpg": (
        "gpg --detach-sign --output away/release.sig tool.tar.gz",
        "gpg --verify away/release.sig tool.tar.gz",
        "--signature away/release.sig --store keys.asc",
    ),
    "minisign": (
        "minisign -S -s minisign.key -m tool.tar.gz -x away/release.minisig",
        "minisign -V -p minisign.pub -m tool.tar.gz -x away/release.minisig",
        "--signature away/release.minisig --store minisign.pub",
    ),
    "openssl": (
        f"{_CMS} -sign {_SIGNER} -in tool.tar.gz -outform DER -out away/release.dat",
        f"{_CMS} -verify {_ROOT} -inform DER -in away/release.dat -content tool.tar.gz -out /dev/null",
        "--signature away/release.dat --format detached --store root.pem",
    ),
    "ssh-keygen": (
        "ssh-keygen -Y sign -n file -f id <tool.tar.gz >away/release.sig",
        "ssh-keygen -Y verify -f allowed_signers -I me@example.org -n file -s away/release.sig <tool.tar.gz",
        "--signature away/release.sig --store allowed_signers",
    ),
}


@pytest.mark.parametrize("tool", ELSEWHERE)
def test_signatures_that_others_keep_elsewhere(tool: str, desk: Path, home: Path) -> None:
    sign, theirs, options = ELSEWHERE[tool]
    own = f"chopmark verify tool.tar.gz {options}"
    (desk / "away").mkdir()
    assert run(sign, desk, home=home) == 0
    assert (run(theirs, desk, home=home), run(own, desk, home=home)) == (0, 0)
    (desk / "tool.tar.gz").write_bytes(b"what was changed\n")
    assert run(theirs, desk, home=home) != 0
    assert run(own, desk, home=home) == 1
    run("gpgconf --kill all", home, home=home)
