"""Lists, updates and images of Secure Boot beside their peers; the boot chain of Debian that is really delivered."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from chopmark.core.artifact import Artifact
from chopmark.engine import secureboot
from chopmark.envelopes.efi import guid, lists, variables
from chopmark.trust.secureboot import state
from tests.interop import corpus
from tests.support import firmware, pki
from tests.unit.trust.secureboot.test_firmware import tbs

pytestmark = pytest.mark.interop

OWNER = "11111111-2222-3333-4444-123456789abc"
SAMPLE = Path(__file__).parents[1] / "vectors" / "pe" / "sample-boot.efi"
OVMF = corpus.Package(
    "deb",
    "ovmf",
    "2022.11-6+deb12u2",
    "e73d3d1a8799f7f6fc16b73501d913edcdd86237556fbff30693e747e6dc262e",
    7683456,
    "BSD-2-Clause-Patent",
    "the keys that Debian's virtual firmware is delivered with",
    (corpus.Member("usr/share/OVMF/OVMF_VARS_4M.ms.fd", (), "variables with Microsoft's keys"),),
)


def run(*command: str | Path, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )


def done(*command: str | Path, folder: Path | None = None) -> str:
    finished = run(*command, folder=folder)
    assert finished.returncode == 0, finished.stderr + finished.stdout
    return finished.stdout


def chopmark(*arguments: str | Path, folder: Path | None = None) -> str:
    return done(sys.executable, "-m", "chopmark", "secureboot", *arguments, folder=folder)


def beside_python(name: str) -> Path:
    """A program of virt-firmware."""
    return Path(sys.executable).parent / name


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """Keys, certificates (PEM and DER) and an image."""
    for name, holder in (("KEK", firmware.KEK), ("db", firmware.DB), ("other", firmware.STRANGER)):
        (tmp_path / f"{name}.pem").write_bytes(holder.pem)
        (tmp_path / f"{name}.der").write_bytes(holder.der)
        (tmp_path / f"{name}.key").write_bytes(holder.private_pem())
        (tmp_path / f"{name}.key").chmod(0o600)
    (tmp_path / "plain.efi").write_bytes(SAMPLE.read_bytes())
    return tmp_path


# Lists


def test_lists_are_equal_to_those_of_efitools_and_sbsigntools(desk: Path) -> None:
    chopmark("create", "--cert", "db.pem", "--owner", OWNER, "-o", "ours.esl", folder=desk)
    done("cert-to-efi-sig-list", "-g", OWNER, "db.pem", "efitools.esl", folder=desk)
    done("sbsiglist", "--owner", OWNER, "--type", "x509", "--output", "sbsigntools.esl", "db.der", folder=desk)
    ours, *theirs = (desk.joinpath(f"{name}.esl").read_bytes() for name in ("ours", "efitools", "sbsigntools"))
    assert theirs == [ours, ours]
    assert "db-0.der" in done("sig-list-to-certs", "ours.esl", "db", folder=desk)
    assert (desk / "db-0.der").read_bytes() == firmware.DB.der


def test_digests_of_images_are_those_of_efitools(desk: Path) -> None:
    done("sbsign", "--key", "db.key", "--cert", "db.pem", "--output", "signed.efi", "plain.efi", folder=desk)
    for name in ("plain.efi", "signed.efi"):
        done("hash-to-efi-sig-list", name, "theirs.esl", folder=desk)
        chopmark("create", "--image", name, "-o", "ours.esl", folder=desk)
        [ours], [theirs] = (lists.read((desk / f"{each}.esl").read_bytes()) for each in ("ours", "theirs"))
        assert ours.data == theirs.data


def test_virt_firmware_reads_our_lists_and_we_read_its(desk: Path) -> None:
    tool, digest = beside_python("virt-fw-sigdb"), "ab" * 32
    done(tool, "--add-cert", OWNER, "db.pem", "--add-hash", OWNER, digest, "-o", "theirs.esl", folder=desk)
    entries = lists.read((desk / "theirs.esl").read_bytes())
    assert {(each.kind.name, guid.show(each.owner)) for each in entries} == {("x509", OWNER), ("sha256", OWNER)}
    chopmark("create", "--cert", "db.pem", "--cert", "KEK.pem", "--hash", digest, "-o", "ours.esl", folder=desk)
    told = done(tool, "-i", "ours.esl", "-p", "-o", "again.esl", folder=desk)
    assert "Example db" in told
    assert "Example KEK" in told
    assert lists.read((desk / "again.esl").read_bytes()) == lists.read((desk / "ours.esl").read_bytes())


# Updates


@pytest.mark.parametrize(
    ("variable", "append", "signer"), [("db", False, "KEK"), ("dbx", True, "KEK"), ("KEK", False, "other")]
)
def test_updates_are_equal_to_those_of_efitools(desk: Path, variable: str, append: bool, signer: str) -> None:  # noqa: FBT001
    chopmark("create", "--cert", "db.pem", "--hash", "ab" * 32, "-o", "value.esl", folder=desk)
    key = ("-c", f"{signer}.pem", "-k", f"{signer}.key", variable, "value.esl", "theirs.auth")
    done("sign-efi-sig-list", *(["-a"] if append else []), "-t", "2026-05-01 12:34:56", *key, folder=desk)
    ours = ("--variable", variable, "--key", f"{signer}.key", "--cert", f"{signer}.pem", "-o", "ours.auth")
    chopmark(
        *("sign-update", "value.esl", *ours, "--time", "2026-05-01T12:34:56", *(["--append"] if append else [])),
        folder=desk,
    )
    assert (desk / "ours.auth").read_bytes() == (desk / "theirs.auth").read_bytes()


def verified(folder: Path, *arguments: str) -> set[str]:
    finished = run(
        sys.executable, "-m", "chopmark", "secureboot", "verify-update", "--json", "--by", "KEK.pem", *arguments,
        folder=folder,
    )  # fmt: skip
    codes = {each["code"] for each in json.loads(finished.stdout)["findings"] if each["outcome"] in ("no", "unknown")}
    assert bool(codes) is (finished.returncode != 0)
    return codes


def test_updates_of_sbsigntools_are_read(desk: Path) -> None:
    """They have signed attributes, append unless told otherwise, and a month that begins at zero."""
    chopmark("create", "--cert", "db.pem", "-o", "value.esl", folder=desk)
    key = ("--key", "KEK.key", "--cert", "KEK.pem", "--output", "theirs.auth", "db", "value.esl")
    done("sbvarsign", *key, folder=desk)
    assert verified(desk, "theirs.auth", "--variable", "db", "--append") == set()
    assert verified(desk, "theirs.auth", "--variable", "db") == {"secureboot.update_other"}
    data = bytearray((desk / "theirs.auth").read_bytes())
    data[-1] ^= 1
    (desk / "theirs.auth").write_bytes(data)
    assert verified(desk, "theirs.auth", "--variable", "db", "--append") == {"secureboot.update_other"}


@pytest.mark.parametrize("content_info", [False, True])
def test_openssl_verifies_our_updates_and_refuses_changed_ones(desk: Path, content_info: bool) -> None:  # noqa: FBT001
    found = firmware.signed(content_info=content_info)
    (desk / "signature").write_bytes(found.content_info)
    command = ("openssl", "smime", "-verify", "-inform", "DER", "-in", "signature", "-content", "message", "-binary",
               "-CAfile", "KEK.pem", "-purpose", "any", "-no_check_time", "-partial_chain", "-out", "out")  # fmt: skip
    message = found.message("db", variables.vendor("db"), variables.ATTRIBUTES)
    (desk / "message").write_bytes(message)
    done(*command, folder=desk)
    (desk / "message").write_bytes(message[:-1] + bytes((message[-1] ^ 1,)))
    assert run(*command, folder=desk).returncode != 0


# Images


def images() -> dict[str, tuple[bytes, str]]:
    """Images, and the certificate that db has."""
    plain = SAMPLE.read_bytes()
    signed = firmware.sealed(plain, firmware.DB)
    place = signed.index(b"\x31\xc0\xc3")
    return {
        "signed": (signed, "db"),
        "second": (firmware.sealed(plain, firmware.KEK, firmware.DB), "db"),
        "stranger": (signed, "KEK"),
        "unsigned": (plain, "db"),
        "changed": (signed[:place] + b"\xb8" + signed[place + 1 :], "db"),
        "signature": (signed[:-60] + bytes((signed[-60] ^ 1,)) + signed[-59:], "db"),
        "expired": (firmware.sealed(plain, EXPIRED, at=EXPIRED_AT), "expired"),
    }


EXPIRED_AT = pki.SINCE
EXPIRED = pki.leaf(None, "Example Expired", kind="rsa2048", until=pki.SINCE.replace(month=6))


@pytest.mark.parametrize("name", images())
def test_sbverify_agrees_about_images(desk: Path, name: str) -> None:
    (desk / "expired.pem").write_bytes(EXPIRED.pem)
    data, certificate = images()[name]
    (desk / "image.efi").write_bytes(data)
    theirs = run("sbverify", "--cert", f"{certificate}.pem", "image.efi", folder=desk)
    ours = run(
        *(sys.executable, "-m", "chopmark", "secureboot", "check", "image.efi", "--db", f"{certificate}.pem"),
        folder=desk,
    )
    assert (ours.returncode == 0) is (theirs.returncode == 0) is (name in {"signed", "second", "expired"}), (
        theirs.stderr
    )


def test_images_that_sbsign_signed_start(desk: Path) -> None:
    done("sbsign", "--key", "db.key", "--cert", "db.pem", "--output", "signed.efi", "plain.efi", folder=desk)
    chopmark("check", "signed.efi", "--db", "db.pem", folder=desk)


# Debian's boot chain


@cache
def delivered() -> dict[str, bytes]:
    """The variables of Debian's virtual firmware with Microsoft's keys, as virt-firmware reads them."""
    store = corpus.fetch(OVMF) / OVMF.members[0].path
    told = done(beside_python("virt-fw-vars"), "-l", "ERROR", "-i", store, "--output-json", "/dev/stdout")
    return {each["name"]: bytes.fromhex(each["data"]) for each in json.loads(told)["variables"]}


@pytest.fixture
def machine(tmp_path: Path) -> state.Databases:
    values = {name: delivered()[name] for name in ("PK", "KEK", "db", "dbx")}
    folder = firmware.efivars(tmp_path / "efivars", **values, SecureBoot=b"\1", SetupMode=b"\0")
    assert [each.subject_text for each in state.x509_entries(lists.read(values["db"]))][1].startswith(
        "CN=Microsoft Corporation UEFI CA 2011"
    )
    return state.machine(str(folder))


@cache
def real() -> dict[str, Path]:
    return {f"{package.name}: {path.name}": path for package, _, path in corpus.members("efi")}


UNSIGNED = ("-unsigned", "systemd-boot-efi", "memtest86+")


def codes(path: Path, known: state.Databases, *, by_shim: bool) -> set[str]:
    judge = secureboot.started_by_shim if by_shim else secureboot.started_by_firmware
    with Artifact.open(path) as artifact:
        return {each.code for each in judge(artifact, known, pki.NOW) if each.outcome in ("no", "unknown")}


def shim() -> tuple[str, Path]:
    [found] = [(name, path) for name, path in real().items() if name.startswith("shim-signed:")]
    return found


def test_firmware_starts_debians_shim_alone(machine: state.Databases) -> None:
    """By Microsoft's UEFI CA, which has expired meanwhile."""
    for name, path in real().items():
        expected = {"secureboot.unsigned"} if any(part in name for part in UNSIGNED) else {"secureboot.untrusted"}
        assert codes(path, machine, by_shim=False) == (set() if name == shim()[0] else expected), name


def test_shim_starts_everything_that_debian_signed(machine: state.Databases) -> None:
    known = secureboot.with_shim(machine, str(shim()[1]))
    assert known.level is not None
    assert known.level.startswith(b"sbat,1,")
    for name, path in real().items():
        found = codes(path, known, by_shim=True)
        if any(part in name for part in UNSIGNED):
            assert "shim.untrusted" in found, name
        else:
            assert found == set(), name


def test_what_debian_signed_is_refused_when_it_is_changed_or_forbidden(
    machine: state.Databases, tmp_path: Path
) -> None:
    known = secureboot.with_shim(machine, str(shim()[1]))
    [(_, grub)] = [(name, path) for name, path in real().items() if name.endswith(": grubx64.efi.signed")]
    data = bytearray(grub.read_bytes())
    data[0x2000] ^= 1
    changed = tmp_path / "changed.efi"
    changed.write_bytes(data)
    assert codes(changed, known, by_shim=True) == {"secureboot.digest_mismatch"}
    assert known.level is not None
    newer = known._replace(level=b"sbat,1,2099010100\ngrub,99\n")
    assert codes(grub, newer, by_shim=True) == {"shim.sbat_revoked"}
    with Artifact.open(grub) as artifact:
        digest = lists.digest_entry("sha256", secureboot.digests(artifact, ("sha256",))["sha256"])
    assert codes(grub, known._replace(dbx=(digest,)), by_shim=True) == {"shim.forbidden"}
    (tmp_path / "vendor.der").write_bytes(known.vendor[0].data)
    der = tmp_path / "vendor.pem"
    done("openssl", "x509", "-inform", "DER", "-in", tmp_path / "vendor.der", "-out", der)
    assert run("sbverify", "--cert", der, grub).returncode == 0
    assert run("sbverify", "--cert", der, changed).returncode != 0


def test_a_revoked_certificate_of_microsofts_forbids_shim(machine: state.Databases) -> None:
    anchor = state.x509_entries(machine.db)[1]
    by_certificate = machine._replace(dbx=(lists.certificate_entry(anchor.raw),))
    assert codes(shim()[1], by_certificate, by_shim=False) == {"secureboot.forbidden_certificate"}
    stranger = machine._replace(dbx=(tbs(firmware.DB),))
    assert codes(shim()[1], stranger, by_shim=False) == set()


def test_virt_firmware_takes_our_update_of_dbx(desk: Path) -> None:
    """What its tool writes into the firmware's variables is what we put into the update."""
    chopmark("create", "--cert", "other.pem", "--hash", "cd" * 32, "--owner", OWNER, "-o", "dbx.esl", folder=desk)
    key = ("--key", "KEK.key", "--cert", "KEK.pem", "--time", "2026-05-01T12:34:56")
    chopmark("sign-update", "dbx.esl", "--variable", "dbx", *key, "-o", "dbx.auth", folder=desk)
    store = corpus.fetch(OVMF) / OVMF.members[0].path
    told = done(
        *(
            beside_python("virt-fw-vars"),
            "-l",
            "ERROR",
            "-i",
            store,
            "--set-dbx",
            "dbx.auth",
            "--output-json",
            "v.json",
        ),
        folder=desk,
    )
    assert not told.strip()
    found = {each["name"]: each for each in json.loads((desk / "v.json").read_text())["variables"]}
    assert bytes.fromhex(found["dbx"]["data"]) == (desk / "dbx.esl").read_bytes()
    assert found["dbx"]["attr"] == variables.ATTRIBUTES
