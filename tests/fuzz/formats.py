"""What the fuzz targets of the formats share: samples signed and unsigned as seeds, every question as the test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.engine import identify
from tests.support import probing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

VECTORS = Path(__file__).parent.parent / "vectors"
SEED_MAX = 16 * 1024


def target(
    name: str, view: Callable[[bytes, str], Artifact] = Artifact.from_bytes
) -> tuple[Callable[[], Iterable[bytes]], Callable[[bytes], None]]:
    """Seeds and test for the format of this name; `view` makes an artifact of the fuzzer's bytes and a name."""
    format_ = identify.formats()[name]
    samples = [path for path in sorted((VECTORS / name).glob("sample-*")) if path.stat().st_size <= SEED_MAX]
    names = sorted({path.name for path in samples}) or ["sample"]

    def seeds() -> Iterable[bytes]:
        for path in samples:
            artifact = Artifact.from_bytes(path.read_bytes(), path.name)
            yield path.read_bytes()
            yield probing.signed(format_, artifact).render(artifact)
            yield probing.signed(format_, artifact, probing.EVERYTHING).render(artifact)

    def run(data: bytes) -> None:
        # Which of its names it bears matters to some formats; let the bytes decide, so that a crash can be repeated.
        artifact = view(data, names[len(data) % len(names)])
        probing.interrogate(format_, artifact)

    return seeds, run
