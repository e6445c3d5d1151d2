"""The lists of firmware in `verify`: db as a store for images of firmware alone, dbx as a blocklist."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.errors import UsageError
from chopmark.engine import check, secureboot
from chopmark.envelopes import x509
from chopmark.envelopes.efi import lists, update
from chopmark.trust import context
from chopmark.trust.blocklists import blocklist
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.support import firmware, pki
from tests.vectors.pe import make

if TYPE_CHECKING:
    from chopmark.core.verdict import Verdict

VECTORS = Path(__file__).parents[3] / "vectors" / "efi"
CA = pki.authority("Example Boot CA", issuer=pki.authority("Example Root"), kind="rsa3072")
SIGNER = pki.leaf(CA, "Example Boot Signer", kind="rsa2048")
IMAGE = firmware.sealed(firmware.image(), SIGNER)


def judged(tmp_path: Path, data: bytes, db: bytes, dbx: bytes | None = None) -> Verdict:
    (tmp_path / "db.esl").write_bytes(db)
    blocked: tuple[blocklist.Blocklist, ...] = ()
    if dbx is not None:
        (tmp_path / "dbx.esl").write_bytes(dbx)
        blocked = (blocklist.read(str(tmp_path / "dbx.esl")),)
    known = context.Context(
        store.load([str(tmp_path / "db.esl")]),
        pki.NOW,
        context.OFF,
        origins.CrlSource(cache=str(tmp_path)),
        besides=context.Besides(blocklists=blocked),
    )
    return check.check(Artifact.from_bytes(data, "image"), known)


def codes(verdict: Verdict) -> set[str]:
    found = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in found if each.outcome in ("no", "unknown")}


def test_a_certificate_in_db_is_an_anchor_for_images_of_firmware(tmp_path: Path) -> None:
    for data in (firmware.written(CA), update.write(firmware.signed(value=firmware.written(CA)))):
        assert codes(judged(tmp_path, IMAGE, data)) == set()
    program = firmware.sealed(make.Pe().build(), SIGNER)
    assert codes(judged(tmp_path, program, firmware.written(CA))) == {"store.purpose"}
    assert codes(judged(tmp_path, IMAGE, firmware.written(firmware.KEK)))


def test_a_signer_without_any_purpose_may_sign_images_of_firmware(tmp_path: Path) -> None:
    """As keys that people make for their own machines are; programs of an operating system need code signing."""
    own = pki.leaf(None, "Example Own Key", kind="rsa2048", purposes=())
    (tmp_path / "own.pem").write_bytes(own.pem)
    known = context.Context(store.load([str(tmp_path / "own.pem")]), pki.NOW, context.OFF)
    image, program = (firmware.sealed(each, own) for each in (firmware.image(), make.Pe().build()))
    assert codes(check.check(Artifact.from_bytes(image, "image"), known)) == set()
    assert codes(check.check(Artifact.from_bytes(program, "program"), known)) == {"path.purpose"}


def tbs() -> bytes:
    return hashlib.sha384(x509.certificate(CA.der).tbs).digest()


def test_what_dbx_names_is_blocked(tmp_path: Path) -> None:
    digests = secureboot.digests(Artifact.from_bytes(IMAGE, ""), ("sha1", "sha256", "sha384", "sha512"))
    for entry, expected in (
        *((lists.digest_entry(name, value), {"blocklist.file"}) for name, value in digests.items()),
        (lists.certificate_entry(SIGNER.der), {"blocklist.certificate"}),
        (lists.revocation_entry("sha384", tbs(), firmware.TIME), {"blocklist.certificate"}),
        (lists.digest_entry("sha256", bytes(32)), set()),
    ):
        assert codes(judged(tmp_path, IMAGE, firmware.written(CA), lists.write([entry]))) == expected


def test_a_list_with_what_cannot_be_held_to_is_refused(tmp_path: Path) -> None:
    for entry in (lists.Entry(lists.BY_NAME["rsa2048"], firmware.OWNER, bytes(256)),):
        with pytest.raises(UsageError):
            judged(tmp_path, IMAGE, firmware.written(CA), lists.write([entry]))
    with pytest.raises(UsageError):
        judged(tmp_path, IMAGE, firmware.written(CA), firmware.written(CA)[:-1])


def test_a_list_is_as_old_as_its_file(tmp_path: Path) -> None:
    """What is appended has no time that would mean anything: Microsoft's updates are all as of 2010."""
    path = tmp_path / "dbx.auth"
    path.write_bytes(update.write(firmware.signed("dbx")))
    os.utime(path, (pki.NOW.timestamp(), pki.NOW.timestamp()))
    assert blocklist.read(str(path)).as_of == pki.NOW


def test_microsofts_dbx_is_a_blocklist() -> None:
    found = blocklist.read(str(VECTORS / "microsoft-dbx-amd64.auth"))
    assert found.size == 443
    assert {each.kind for each in found.named} == {blocklist.IMAGE}


def test_a_store_of_digests_alone_has_nobody_to_trust(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        judged(tmp_path, IMAGE, lists.write([lists.digest_entry("sha256", bytes(32))]))
