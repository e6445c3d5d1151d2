"""`secureboot check` beside the firmware that it imitates: revocations, time stamps, odd tables, odd updates.

One boot: a program that db allows puts our updates of dbx and dbt in and asks the firmware about every image.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.core import digest as digests
from chopmark.core.contracts import Content
from chopmark.envelopes import cms, der
from chopmark.envelopes import x509 as certificates
from chopmark.envelopes.efi import lists, making, moment, update, variables
from chopmark.envelopes.module.building import BareDraft
from tests.support import firmware as keys
from tests.support import pki
from tests.unit.formats.pe import signing
from tests.unit.trust.secureboot.test_firmware import digest, tbs
from tests.vm import firmware, initramfs
from tests.vm.machine import Console, Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.vm.conftest import Cast

pytestmark = [pytest.mark.vm, pytest.mark.xdist_group("secure-boot")]

OK, DENIED = "ok", "ACCESS_DENIED"


class Case(NamedTuple):
    """What the firmware answers, and what `secureboot check` says with the same lists."""

    firmware: str
    chopmark: str


IMAGES = {
    "signed": Case(OK, "trusted"),
    "two": Case(OK, "trusted"),  # a stranger's signature first
    "unsigned": Case(DENIED, "unsigned"),
    "trailing": Case(DENIED, "rejected"),
    "padding": Case(OK, "trusted"),  # bytes behind the signature in its entry, which nobody signed
    "unknown-entry": Case(OK, "trusted"),  # an entry that is no signature before one that is good
    "elliptic": Case(DENIED, "undecided"),  # other firmware knows ECDSA
    "impostor": Case(DENIED, "rejected"),  # issued by a certificate in db that is no authority
    "hash-384": Case(OK, "trusted"),
    "hash-512": Case(OK, "trusted"),
    "other-digest": Case(OK, "rejected"),  # SHA-384 in dbx, signed with SHA-256: the specification forbids it
    "revoked": Case(DENIED, "rejected"),
    "revoked-and-good": Case(DENIED, "rejected"),
    "middle-revoked": Case(OK, "rejected"),  # an authority between signer and anchor: the specification forbids it
    "anchor-revoked": Case(DENIED, "rejected"),
    "unstamped": Case(DENIED, "rejected"),
    "stamped-before": Case(OK, "trusted"),
    "stamped-after": Case(DENIED, "rejected"),
    "stamped-by-stranger": Case(DENIED, "rejected"),
}
UPDATES = {
    "plain": Case(OK, "trusted"),
    "content-info": Case(OK, "trusted"),
    "attributes": Case(OK, "trusted"),
    "content-inside": Case(OK, "undecided"),
    "sha512": Case(OK, "undecided"),  # older firmware knows SHA-256 alone
}
SINCE = pki.NOW


def _key() -> pki.Key:
    return rsa.generate_private_key(65537, 2048)


class Scene(NamedTuple):
    """Everything that was made, and what the firmware said of it."""

    folder: Path
    judged: Console


def _authority(name: str, issuer: pki.Entity | None = None) -> pki.Entity:
    profile = (
        pki.Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True),
        pki.Extension(pki.key_usage("key_cert_sign"), critical=True),
    )
    return pki.issue(pki.name(name), _key(), issuer, profile)


def _signer(name: str, issuer: pki.Entity | None, *, purpose: x509.ObjectIdentifier | None = None) -> pki.Entity:
    profile = [pki.Extension(pki.key_usage("digital_signature"), critical=True)]
    if purpose:
        profile.append(pki.Extension(x509.ExtendedKeyUsage([purpose]), critical=True))
    return pki.issue(pki.name(name), _key(), issuer, profile)


def _images(cast: Cast, payload: bytes, folder: Path) -> tuple[list[lists.Entry], list[lists.Entry], list[lists.Entry]]:
    """Write every image; what has to be added to db, dbx and dbt for them."""
    ours, root = cast.boot.entity, cast.authority.entity
    stamping = ExtendedKeyUsageOID.TIME_STAMPING
    time_root, strange_root = _authority("Time CA"), _authority("Strange Time CA")
    tsa, strange_tsa = (
        _signer("Time", time_root, purpose=stamping),
        _signer("Strange Time", strange_root, purpose=stamping),
    )
    before, after = (keys.Clock(tsa, SINCE.replace(day=day)) for day in (1, 28))
    middle, gone = _authority("Middle CA", root), _authority("Gone CA")
    no_authority = _signer("No Authority", None)
    revoked, dated = _signer("Revoked", root), _signer("Revoked Since", root)

    def own(name: str) -> bytes:
        """The program with something behind it, so that its digest is its own."""
        return payload + name.encode().ljust(32)

    sealed = keys.sealed
    signed = sealed(own("signed"), ours)
    table = signing.table_of(signed)
    [length] = struct.unpack_from("<I", table)
    extra = struct.pack("<I", length + 8) + table[4:length] + b"unsigned" + table[length:]
    made = {
        "signed": signed,
        "two": sealed(own("two"), cast.stranger.entity, ours),
        "unsigned": own("unsigned"),
        "trailing": sealed(own("trailing"), ours) + b"trailing",
        "padding": signing.with_table(signed, extra),
        "unknown-entry": signing.with_table(signed, struct.pack("<IHH", 16, 0x0200, 1) + b"no X.509" + table),
        "elliptic": sealed(own("elliptic"), pki.leaf(root, "P-256 Signer")),
        "impostor": sealed(own("impostor"), _signer("Below Nobody", no_authority)),
        "hash-384": own("hash-384"),
        "hash-512": own("hash-512"),
        "other-digest": sealed(own("other-digest"), ours),
        "revoked": sealed(own("revoked"), revoked),
        "revoked-and-good": sealed(own("revoked-and-good"), ours, revoked),
        "middle-revoked": sealed(own("middle-revoked"), _signer("Below Middle", middle)),
        "anchor-revoked": sealed(own("anchor-revoked"), _signer("Below Gone", gone)),
        "unstamped": sealed(own("unstamped"), dated),
        "stamped-before": sealed(own("stamped-before"), dated, stamper=before),
        "stamped-after": sealed(own("stamped-after"), dated, stamper=after),
        "stamped-by-stranger": sealed(
            own("stamped-by-stranger"), dated, stamper=keys.Clock(strange_tsa, SINCE.replace(day=1))
        ),
    }
    for name, data in made.items():
        (folder / f"{name}.efi").write_bytes(data)
    more = [
        *keys.entries(gone, no_authority),
        digest(made["hash-384"], "sha384"),
        digest(made["hash-512"], "sha512"),
    ]
    since = SINCE.replace(day=15)
    against = [
        digest(made["other-digest"], "sha384"),
        *(tbs(each) for each in (revoked, middle, gone)),
        tbs(dated, since),
    ]
    return more, against, keys.entries(time_root)


def _updates(by: pki.Entity) -> dict[str, bytes]:
    """Updates of dbx that append a digest, in the forms that are about."""
    found = {}
    for number, name in enumerate(UPDATES):
        value = lists.write([lists.digest_entry("sha256", bytes((number + 1,)) * 32)])
        wish = making.Wish("dbx", keys.TIME, value, append=True)
        time = moment.encode(wish.time)
        message = update.message("dbx", variables.vendor("dbx"), wish.attributes, time, value)
        made = making.sign(wish, by, by.certificates, content_info=name == "content-info")
        signature = update.read(made).signature
        if name == "attributes":
            content = Content("1.2.840.113549.1.7.1", "sha256", digests.of(message, "sha256"))
            draft = cms.draft(content, by, by.certificates, signing_time=None)
            signature = der.parse(draft.finish(by.sign(draft.to_be_signed, "sha256"))).children()[1].only_child().raw
        if name == "content-inside":
            parts = [each.raw for each in der.parse(signature).children()]
            inside = der.sequence(der.oid("1.2.840.113549.1.7.1"), der.explicit(0, der.octet_string(message)))
            signature = der.sequence(*parts[:2], inside, *parts[3:])
        if name == "sha512":
            bare = BareDraft(message, "sha512", certificates.certificate(by.der), by.certificates, null=True)
            signature = der.parse(bare.finish(by.sign(message, "sha512"))).children()[1].only_child().raw
        found[name] = update.write(update.Update(time, signature, value))
    return found


@pytest.fixture(scope="module")
def scene(cast: Cast, harness: Path, payload: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    folder = tmp_path_factory.mktemp("check")
    more, against, stamping = _images(cast, payload.read_bytes(), folder)
    by = cast.exchange.entity
    for name, value in (("db", more), ("dbx", against), ("dbt", stamping)):
        written = lists.write(value)
        (folder / f"{name}.esl").write_bytes(written)
        wish = making.Wish(name, keys.TIME, written, append=True)
        (folder / f"{name}.auth").write_bytes(making.sign(wish, by, by.certificates))
    for name, data in _updates(by).items():
        (folder / f"update-{name}.auth").write_bytes(data)
    boot = folder / "boot"
    boot.write_bytes(keys.sealed(harness.read_bytes(), cast.boot.entity))
    store = firmware.variables(folder / "variables.fd", cast.platform, cast.exchange, db=[cast.authority])
    wanted = {f"set-{name}": f"set|{name}|\\{name}.auth" for name in ("db", "dbx", "dbt")}
    wanted |= {name: f"load|\\{name}.efi" for name in IMAGES}
    wanted |= {f"update-{name}": f"set|dbx|\\update-{name}.auth" for name in UPDATES}
    disk = firmware.volume(
        folder / "disk", boot, initramfs.steps(wanted), [*folder.glob("*.efi"), *folder.glob("*.auth")]
    )
    return Scene(folder, Machine("secure-boot-check", 10, variables=store, disk=disk).boot())


def asked(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "chopmark", "secureboot", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    status: str = json.loads(done.stdout)["status"]
    return status


def test_the_lists_are_enrolled(scene: Scene) -> None:
    assert "vm: begin firmware SecureBoot=1" in scene.judged.text
    assert [scene.judged[f"set-{name}"].word for name in ("db", "dbx", "dbt")] == [OK] * 3


@pytest.mark.parametrize("name", IMAGES)
def test_image(scene: Scene, cast: Cast, name: str) -> None:
    folder = scene.folder
    files = ("--db", cast.authority.certificate, "--db", folder / "db.esl", "--dbx", folder / "dbx.esl", "--dbt",
             folder / "dbt.esl")  # fmt: skip
    ours = asked("check", folder / f"{name}.efi", *files)
    assert Case(scene.judged[name].word, ours) == IMAGES[name]


@pytest.mark.parametrize("name", UPDATES)
def test_update(scene: Scene, cast: Cast, name: str) -> None:
    by = ("--variable", "dbx", "--append", "--by", cast.exchange.certificate)
    ours = asked("verify-update", scene.folder / f"update-{name}.auth", *by)
    assert Case(scene.judged[f"update-{name}"].word, ours) == UPDATES[name]
