"""The certificates of a store by what signatures name their signers by: for envelopes that carry none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.envelopes import x509
    from chopmark.trust.stores.store import Source


class Directory:
    """All certificates of some sources, by issuer and serial number, and by key identifier; anchors come first."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Read every certificate once; what cannot be read is in no path either, and is passed over."""
        self._found: dict[bytes | tuple[bytes, bytes], dict[bytes, None]] = {}
        for certificate in _every(sources):
            self._enter((certificate.issuer, certificate.serial_octets), certificate.raw)
            try:
                key_id, short = certificate.subject_key_id, certificate.short_key_id
            except MalformedError:
                continue
            self._enter(short, certificate.raw)
            if key_id:
                self._enter(key_id, certificate.raw)

    def find(self, issuer: bytes, serial: bytes, key_id: bytes) -> tuple[bytes, ...]:
        """Those with exactly this issuer (DER) and serial number (octets), else those with this key identifier.

        One of four octets is also the end of one, as IMA's signatures name a key.
        """
        return tuple(self._found.get((issuer, serial) if issuer else key_id, ()))

    def _enter(self, name: bytes | tuple[bytes, bytes], raw: bytes) -> None:
        self._found.setdefault(name, {})[raw] = None


def _every(sources: Sequence[Source]) -> Iterator[x509.Certificate]:
    for source in sources:
        for anchor in source.every():
            yield anchor.certificate
    for source in sources:
        yield from source.intermediates(b"")
