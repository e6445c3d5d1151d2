"""Images as firmware and shim see them: table, sections, SBAT, signatures, and what shim carries."""

from collections.abc import Iterable
from contextlib import suppress

from chopmark.core.artifact import Artifact
from chopmark.core.errors import MalformedError
from chopmark.engine import secureboot
from chopmark.envelopes.efi import lists
from chopmark.formats.pe import FORMAT, sections
from chopmark.trust.secureboot import sbat, state
from tests.support import firmware, pki

_ENTRIES = tuple(firmware.entries(firmware.DB))
_DBX = (lists.digest_entry("sha256", bytes(32)), lists.revocation_entry("sha256", bytes(32), None))
_KNOWN = state.Databases(db=_ENTRIES, dbx=_DBX, mok=_ENTRIES, dbx_known=True, level=firmware.LEVEL)
_SIGNED = firmware.sealed(firmware.image(sbat=firmware.GRUB, cmdline=b"quiet"), firmware.DB)
_DIGEST = secureboot.digests(Artifact.from_bytes(_SIGNED), ("sha256",))


def seeds() -> Iterable[bytes]:
    yield _SIGNED
    yield firmware.shim(sbat=firmware.GRUB)
    yield firmware.GRUB
    yield firmware.LEVEL


def run(data: bytes) -> None:
    artifact = Artifact.from_bytes(data, "image.efi")
    by_firmware = secureboot.started_by_firmware(artifact, _KNOWN, pki.NOW)
    by_shim = secureboot.started_by_shim(artifact, _KNOWN, pki.NOW)
    for found in (by_firmware, by_shim):
        if not any(each.outcome in ("no", "unknown") for each in found):
            assert secureboot.digests(artifact, ("sha256",)) == _DIGEST, "started, and not what was signed"
    for read in (lambda: FORMAT.facts(artifact), lambda: sections.carried(artifact.view)):  # type: ignore[attr-defined]
        with suppress(MalformedError):
            read()
    for parse in (sbat.section, sbat.level):
        with suppress(MalformedError):
            parse(data)
