"""The table of OCSP answers signed ahead: whatever lies on disk, it gives what was put in or nothing."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from chopmark.authority.ocsp import table
from chopmark.envelopes import ocsp

ENTRIES = [
    table.Entry(1, b"%d" % number, "by", "good", 10, 20, bytes(32), b"data", b"signature") for number in range(5)
]
ASKED = [ocsp.request([ocsp.CertId("sha1", b"n" * 20, b"k" * 20, each.serial)]) for each in ENTRIES]
FACTS = table.Facts(7, "mark", 5, {table.hashes_of(b"n" * 20, b"k" * 20): 1})


def seeds() -> Iterable[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table")
        table.write(str(path), ENTRIES, FACTS)
        yield path.read_bytes()


def run(data: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            opened = table.Table(file.name)
        except ValueError:
            return
        for request in ASKED:
            found = opened.find(request)
            assert found is None or found.serial in request
        assert opened.find(data) is None or data in ASKED
