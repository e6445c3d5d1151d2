from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import BrokenError, RefusedError
from chopmark.formats.unit import FORMAT, definition, reasons, sealing
from chopmark.formats.unit.definition import Definition, File, Link

VECTORS = Path(__file__).parents[3] / "vectors" / "unit"
PATHS = st.binary(min_size=1, max_size=12).filter(
    lambda name: name not in (b".", b"..") and not set(name) & set(b"/\0")
)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("invalid-*")), ids=lambda path: path.stem)
def test_what_breaks_a_rule_is_refused(path: Path) -> None:
    with pytest.raises(BrokenError) as found:
        definition.read(path.read_bytes())
    assert found.value.reason.code == "unit." + path.stem.split("-")[1]
    with Artifact.open(path) as artifact, pytest.raises(RefusedError):
        FORMAT.recipe(artifact, SealOptions())


@pytest.mark.parametrize("path", sorted(VECTORS.glob("sample-*")), ids=lambda path: path.stem)
def test_samples_are_written_as_they_are_read(path: Path) -> None:
    assert definition.write(definition.read(path.read_bytes())) == path.read_bytes()


@given(
    st.binary(min_size=1, max_size=9),
    st.lists(
        st.tuples(PATHS, st.binary(min_size=32, max_size=32)), min_size=1, max_size=4, unique_by=lambda pair: pair[0]
    ),
    st.lists(st.tuples(PATHS, st.binary(min_size=1, max_size=9)), max_size=3, unique_by=lambda pair: pair[0]),
)
def test_every_definition_has_one_spelling(
    name: bytes, files: list[tuple[bytes, bytes]], links: list[tuple[bytes, bytes]]
) -> None:
    made = Definition(
        b"system",
        name,
        tuple(File(b"/etc/" + path, digest.hex().encode()) for path, digest in files),
        tuple(sorted(Link(b"/run/" + path, target) for path, target in links)),
    )
    assert definition.read(definition.write(made)) == made


def test_a_huge_seal_is_refused() -> None:
    with pytest.raises(BrokenError) as found:
        sealing.read(
            Artifact.from_bytes(b"chopmark unit 1\n" + b"x" * limits.SERVICE_SEAL_MAX), limits.SERVICE_SEAL_MAX + 1
        )
    assert found.value.reason is reasons.FORM
