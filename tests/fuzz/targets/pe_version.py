"""The version resource of a PE image: in a real image around it, and bare."""

from collections.abc import Iterable

from chopmark.core.artifact import Artifact
from chopmark.formats.pe import describing, version
from tests.support import drivers, probing

_REAL = drivers.launcher()
_AT = _REAL.find("VS_VERSION_INFO".encode("utf-16-le")) - 6
_SIZE = int.from_bytes(_REAL[_AT : _AT + 2], "little")


def seeds() -> Iterable[bytes]:
    yield _REAL[_AT : _AT + _SIZE]
    yield _REAL[_AT - 200 : _AT + _SIZE]


def run(data: bytes) -> None:
    for start in (_AT, _AT - 200):
        image = Artifact.from_bytes(_REAL[:start] + data + _REAL[start + len(data) :], "driver.sys")
        probing.clearly(lambda image=image: version.read(image.view))  # type: ignore[misc]
        probing.clearly(lambda image=image: describing.describe(image))  # type: ignore[misc]
