import hashlib
import json
from pathlib import Path

import pytest

from chopmark.envelopes import x509
from chopmark.envelopes.efi import guid, lists, update
from tests.support import firmware
from tests.support.desk import Desk

EFI = Path(__file__).parents[2] / "vectors" / "pe" / "sample-boot.efi"


@pytest.fixture
def keys(desk: Desk) -> Desk:
    """PK, KEK, db: certificates and keys in the current folder."""
    for name, holder in (("PK", firmware.PK), ("KEK", firmware.KEK), ("db", firmware.DB)):
        desk.write(f"{name}.pem", holder.pem)
        desk.write(f"{name}.key", holder.private_pem())
    return desk


def created(desk: Desk, *arguments: str | Path) -> list[lists.Entry]:
    assert desk.run("secureboot", "create", "-o", "out.esl", *arguments) == 0, desk.err
    return lists.read((desk.folder / "out.esl").read_bytes())


def updated(desk: Desk, *arguments: str | Path) -> int:
    return desk.run("secureboot", "sign-update", *arguments, "--key", "KEK.key", "--cert", "KEK.pem", "-o", "out.auth")


def checked(desk: Desk, *arguments: str | Path) -> tuple[int, set[str]]:
    status = desk.run("secureboot", "verify-update", "out.auth", "--json", *arguments)
    found = json.loads(desk.out)["findings"]
    return status, {each["code"] for each in found if each["outcome"] in ("no", "unknown")}


def test_a_list_has_what_was_asked_for_once(keys: Desk) -> None:
    owner = "11111111-2222-3333-4444-123456789abc"
    entries = created(
        keys, "--cert", "db.pem", "--cert", "db.pem", "--image", EFI, "--hash", "ab" * 48, "--owner", owner
    )
    assert [each.kind.name for each in entries] == ["x509", "sha256", "sha384"]
    assert {guid.show(each.owner) for each in entries} == {owner}
    assert entries[0].data == firmware.DB.der
    [revoked] = created(keys, "--revoke", "db.pem", "--since", "2026-05-01")
    assert (revoked.kind.name, revoked.revoked_at) == ("x509-sha256", firmware.TIME)
    assert created(keys, "--list", "out.esl") == [revoked]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--hash", "abcd"),
        ("--hash", "xyz"),
        ("--owner", "nobody", "--cert", "db.pem"),
        ("--cert", "missing.pem"),
        ("--cert", "db.key"),
        ("--list", "db.pem"),
        ("--since", "2026-05-01", "--cert", "db.pem"),
    ],
)
def test_what_cannot_be_listed_is_a_wrong_call(keys: Desk, arguments: tuple[str, ...]) -> None:
    assert keys.run("secureboot", "create", "-o", "out.esl", *arguments) == 2
    assert keys.err.count("\n") == 1
    assert not (keys.folder / "out.esl").exists()


def test_what_is_no_image_for_firmware_has_no_digest(keys: Desk) -> None:
    (keys.folder / "text").write_bytes(b"text")
    for path in ("text", EFI.with_name("sample-program64.exe")):
        assert keys.run("secureboot", "create", "-o", "out.esl", "--image", path) == 1


def test_lists_updates_and_folders_are_shown(keys: Desk) -> None:
    created(keys, "--cert", "db.pem", "--hash", "ab" * 32)
    assert updated(keys, "out.esl", "--variable", "db", "--time", "2026-05-01") == 0
    for path in ("out.esl", "out.auth"):
        assert keys.run("secureboot", "list", path) == 0
        assert x509.certificate(firmware.DB.der).sha256 in keys.out
        assert "ab" * 16 in keys.out
        assert max(map(len, keys.out.splitlines())) <= 80
    folder = firmware.efivars(keys.folder / "efivars", db=firmware.written(firmware.DB), SecureBoot=b"\1")
    assert keys.run("secureboot", "list", folder, "--json", "--extract", "certificates") == 0
    [fact] = [json.loads(line) for line in keys.out.splitlines()]
    assert (fact["where"], fact["form"], fact["type"]) == ("db", "efivarfs variable", "x509")
    [written] = (keys.folder / "certificates").iterdir()
    assert written.read_bytes() == firmware.DB.der


def test_what_cannot_be_listed_is_told_for_each(keys: Desk) -> None:
    created(keys, "--cert", "db.pem")
    (keys.folder / "empty").mkdir()
    (keys.folder / "text").write_bytes(b"text")
    assert keys.run("secureboot", "list", "empty", "text", "missing", "out.esl") == 2
    assert keys.err.count("\n") == 3
    assert "Example db" in keys.out


def test_a_certificate_that_is_none_is_shown_as_such(desk: Desk) -> None:
    entry = lists.certificate_entry(b"\x1b[2Jno certificate")
    (desk.folder / "odd.esl").write_bytes(lists.write([entry]))
    assert desk.run("secureboot", "list", "odd.esl") == 0
    assert "no certificate that can be read" in desk.out
    assert "\x1b" not in desk.out


def test_an_update_is_signed_and_judged(keys: Desk) -> None:
    created(keys, "--cert", "db.pem")
    assert updated(keys, "out.esl", "--variable", "db", "--append", "--time", "2026-05-01") == 0
    found = update.read((keys.folder / "out.auth").read_bytes())
    assert found.time == firmware.TIME
    assert found.signature != found.content_info  # without, as firmware wants it
    fitting = ("--variable", "db", "--append")
    assert checked(keys, *fitting, "--by", "KEK.pem") == (0, set())
    assert checked(keys, *fitting, "--by", "PK.pem", "--by", "KEK.pem", "--current", "2027-01-01") == (0, set())
    assert checked(keys, *fitting, "--by", "PK.pem") == (1, {"secureboot.update_untrusted"})
    assert checked(keys, *fitting) == (3, {"secureboot.update_signer_unasked"})
    assert checked(keys, "--variable", "db", "--by", "KEK.pem") == (1, {"secureboot.update_other"})


def test_a_replaying_update_is_refused(keys: Desk) -> None:
    created(keys, "--cert", "db.pem")
    assert updated(keys, "out.esl", "--variable", "db", "--time", "2026-05-01", "--content-info") == 0
    (keys.folder / "out.auth").rename(keys.folder / "old.auth")
    assert updated(keys, "old.auth", "--variable", "db", "--time", "2026-05-01") == 0
    by = ("--variable", "db", "--by", "KEK.pem")
    assert checked(keys, *by, "--current", "old.auth") == (1, {"secureboot.update_old"})
    assert checked(keys, *by, "--current", "2026-04-30") == (0, set())
    assert keys.run("secureboot", "verify-update", "out.auth", *by, "--current", "old.auth") == 1
    assert keys.out.startswith("rejected ")


def test_a_variable_is_emptied_by_an_update_of_nothing(keys: Desk) -> None:
    assert updated(keys, "-", "--variable", "dbx") == 0
    assert update.read((keys.folder / "out.auth").read_bytes()).payload == b""


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("db.pem", "--variable", "db"), 2),
        (("missing", "--variable", "db"), 2),
        (("-", "--variable", "Boot0000"), 2),
        (("-", "--variable", "db", "--time", "soon"), 2),
        (("-", "--variable", "db", "--cert", "PK.pem"), 1),
    ],
)
def test_wrong_calls_of_sign_update(keys: Desk, arguments: tuple[str, ...], status: int) -> None:
    assert updated(keys, *arguments) == status
    assert not (keys.folder / "out.auth").exists()


def test_a_certificate_of_another_key_is_refused(keys: Desk) -> None:
    wrong = ("--key", "KEK.key", "--cert", "PK.pem", "-o", "out.auth", "--variable", "db")
    assert keys.run("secureboot", "sign-update", "-", *wrong) == 1
    assert keys.run("secureboot", "sign-update", "-", "--variable", "db", "-o", "out.auth") == 2
    assert not (keys.folder / "out.auth").exists()


def test_an_update_is_signed_in_two_steps(keys: Desk) -> None:
    created(keys, "--cert", "db.pem")
    way = ("out.esl", "--variable", "db", "-o", "out.auth")
    assert keys.run("secureboot", "sign-update", *way, "--time", "2026-05-01", "--digest-only") == 0
    message = (keys.folder / "out.auth.tbs").read_bytes()
    assert keys.out == f"out.auth.tbs  sha256:{hashlib.sha256(message).hexdigest()}\n"
    keys.write("signature", firmware.KEK.sign(message, "sha256"))
    attach = ("secureboot", "sign-update", "--cert", "KEK.pem", "--attach", "signature")
    assert keys.run(*attach, *way) == 0
    assert (keys.folder / "out.auth").read_bytes() == update.write(
        firmware.signed(value=(keys.folder / "out.esl").read_bytes())
    )
    (keys.folder / "out.auth").unlink()
    for wrong, status in (
        ((*way, "--append"), 1),
        (("out.esl", "--variable", "dbx", "-o", "out.auth"), 1),
        (("-", "--variable", "db", "-o", "out.auth"), 1),
        ((*way[:-1], "other.auth"), 2),
        ((*way, "--key", "KEK.key"), 2),
        ((*way, "--digest-only"), 2),
    ):
        assert keys.run(*attach, *wrong) == status, wrong
    assert keys.run(*attach[:3], "db.pem", *attach[4:], *way) == 1
    assert keys.run(*attach[:2], *attach[4:], *way) == 2
    keys.write("signature", bytes(384))
    assert keys.run(*attach, *way) == 1
    keys.write("out.auth.tbs", b"short")
    assert keys.run(*attach, *way) == 1
    assert not (keys.folder / "out.auth").exists()


def test_what_is_no_update_cannot_be_judged(keys: Desk) -> None:
    assert keys.run("secureboot", "verify-update", "db.pem", "--variable", "db") == 1
    assert keys.run("secureboot", "verify-update", "missing", "--variable", "db") == 2
    assert keys.err.count("\n") == 1


# check

LEVEL = b"sbat,1,2024010900\nshim,4\ngrub,3\n"


@pytest.fixture
def images(keys: Desk) -> Desk:
    """A signed image with SBAT data, and the lists of a machine that starts it."""
    plain = firmware.image(sbat=b"sbat,1,a,b,c,d\ngrub,3,a,b,c,d\n")
    keys.write("plain.efi", plain)
    keys.write("boot.efi", firmware.sealed(plain, firmware.DB))
    keys.write("db.esl", firmware.written(firmware.DB))
    keys.write("dbx.esl", lists.write([lists.digest_entry("sha256", bytes(32))]))
    keys.write("level.csv", LEVEL)
    return keys


def judged(desk: Desk, *arguments: str | Path) -> tuple[int, set[str]]:
    status = desk.run("secureboot", "check", "--json", "--at", "2026-07-01", *arguments)
    found = [each for line in desk.out.splitlines() for each in json.loads(line)["findings"]]
    return status, {each["code"] for each in found if each["outcome"] in ("no", "unknown")}


def test_images_are_judged_as_firmware_does(images: Desk) -> None:
    lists_ = ("--db", "db.esl", "--dbx", "dbx.esl")
    assert judged(images, "boot.efi", *lists_) == (0, set())
    assert judged(images, "boot.efi", "plain.efi", *lists_) == (1, {"secureboot.unsigned"})
    assert judged(images, "boot.efi", "--db", "db.pem") == (0, set())
    assert judged(images, "boot.efi", "--db", "KEK.pem") == (1, {"secureboot.untrusted"})
    assert images.run("secureboot", "create", "-o", "dbx.esl", "--image", "boot.efi") == 0
    assert judged(images, "boot.efi", *lists_) == (1, {"secureboot.forbidden_digest"})
    assert images.run("secureboot", "check", "plain.efi", "--db", "db.esl") == 1
    assert images.out.startswith("unsigned   plain.efi\n")
    assert images.run("secureboot", "check", "boot.efi", *lists_, "-v") == 1
    assert max(map(len, images.out.splitlines())) <= 80


def test_a_machines_own_variables_are_asked(images: Desk) -> None:
    folder = firmware.efivars(images.folder / "efivars", db=firmware.written(firmware.DB), SecureBoot=b"\0")
    assert judged(images, "boot.efi", "--efivars", folder) == (0, set())
    assert {each["code"] for each in json.loads(images.out)["findings"]} >= {
        "secureboot.state_off",
        "secureboot.dbx_missing",
    }
    assert judged(images, "boot.efi", "--efivars", folder, "--db", "KEK.pem") == (1, {"secureboot.untrusted"})


def test_images_are_judged_as_shim_does(images: Desk) -> None:
    assert judged(images, "boot.efi", "--mok", "db.pem", "--sbat", "level.csv") == (0, set())
    images.write("SbatLevelRT", b"\x06\0\0\0" + LEVEL.replace(b"grub,3", b"grub,4"))
    assert judged(images, "boot.efi", "--mok", "db.pem", "--sbat", "SbatLevelRT") == (1, {"shim.sbat_revoked"})
    assert judged(images, "boot.efi", "--mok", "KEK.pem") == (1, {"shim.untrusted"})
    assert judged(images, "boot.efi", "--mok", "db.pem", "--mokx", "db.pem") == (1, {"shim.forbidden"})
    assert judged(images, "boot.efi", "--db", "db.pem", "--by", "shim") == (0, set())


def test_what_cannot_be_read_is_undecided_and_the_others_are_judged(images: Desk) -> None:
    images.write("text.efi", b"text")
    assert judged(images, "missing.efi", "boot.efi", "--db", "db.esl") == (3, set())
    assert images.err.count("\n") == 1
    assert judged(images, ".", "text.efi", "--db", "db.esl") == (1, {"secureboot.table"})


@pytest.mark.parametrize(
    "arguments",
    [
        ("--efivars", "missing"),
        ("--efivars", "."),
        ("--db", "missing"),
        ("--db", "boot.efi"),
        ("--db", "db.esl", "--sbat", "db.pem"),
        ("--db", "db.esl", "--sbat", "missing"),
        ("--shim", "boot.efi"),
        ("--shim", "missing"),
        ("--db", "db.esl", "--at", "soon"),
    ],
)
def test_wrong_calls_of_check(images: Desk, arguments: tuple[str, ...]) -> None:
    assert images.run("secureboot", "check", "boot.efi", *arguments) == 2
    assert images.err.count("\n") == 1
    assert images.out == ""
