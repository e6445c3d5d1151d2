"""Asking everything that can be asked of a format or a value: nothing but answers and clear errors may come out."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Examines, Prepares, SealOptions, Versioned
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import cms, der
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.contracts import Content, Format
    from chopmark.core.patch import Patch

DEFAULTS = SealOptions()
EVERYTHING = SealOptions("sha512", "description", "https://example.org/", page_hashes=True, append=True)


def signed(format_: Format, artifact: Artifact, options: SealOptions = DEFAULTS) -> Patch:
    """Sign with the test world's signer, the long way round: what the engine does, with nothing of the engine."""
    ready = format_.prepare(artifact, options) if isinstance(format_, Prepares) else artifact
    [payload] = format_.digest(ready, [format_.recipe(ready, options)])
    return format_.embed(ready, envelope(format_.content(ready, payload, options), format_.envelope), options)


def envelope(content: Content, kind: str = "cms") -> bytes:
    """A signature over content, in the envelope of a format."""
    signer = pki.world().signer
    own = import_module(f"chopmark.envelopes.{kind}")
    drafting = own if "draft" in own.__all__ else cms
    draft = drafting.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    made: bytes = draft.finish(signer.sign(draft.to_be_signed, content.digest_algorithm))
    return made


def questions(format_: Format, artifact: Artifact) -> Iterator[Callable[[], object]]:
    """Everything that a format can be asked about an artifact."""

    def check() -> None:
        found = list(format_.extract(artifact))
        for seal in found:
            seal.envelope.check(format_.digest(artifact, [claim.recipe for claim in seal.claims]))
        format_.digest(artifact, [claim.recipe for seal in found for claim in seal.claims])

    yield lambda: format_.detect(artifact.head(), artifact.name)
    yield check
    yield lambda: signed(format_, artifact).render(artifact)
    yield lambda: signed(format_, artifact, EVERYTHING).render(artifact)
    yield lambda: format_.strip(artifact).render(artifact)
    offering: object = format_
    if isinstance(offering, Versioned):
        yield lambda: offering.release(artifact)
    if isinstance(offering, Examines):
        yield lambda: list(offering.examine(artifact))


def clearly(question: Callable[[], object]) -> None:
    """Ask; the answer may be an error that fits in a line. Everything else comes out."""
    said = "answered"
    try:
        question()
    except ChopmarkError as error:
        said = str(error)
    assert said
    assert said.isprintable()


def ask(format_: Format, data: bytes, name: str) -> None:
    """Ask a format everything about a file that may be anything."""
    for question in questions(format_, Artifact.from_bytes(data, name)):
        clearly(question)


@st.composite
def changed(draw: st.DrawFn, data: bytes, *pieces: bytes) -> bytes:
    """A file with some of its bytes replaced, by few others or by one of `pieces`."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(found) - 1))
        stop = draw(st.integers(start, min(len(found), start + 80)))
        found[start:stop] = draw(st.binary(max_size=8) | st.sampled_from(pieces))
        if not found:
            break
    return bytes(found)


def interrogate(format_: Format, artifact: Artifact) -> None:
    """Ask a format everything."""
    certainty = format_.detect(artifact.head(), artifact.name)
    assert 0 <= certainty <= 9
    for question in questions(format_, artifact):
        clearly(question)


def values(data: bytes, most: int) -> list[bytes]:
    """DER values that stand one behind the other, as far as there are any."""
    found: list[bytes] = []
    while data and len(found) < most:
        try:
            node = der.prefix(data)
        except der.DerError:
            break
        found.append(node.raw)
        data = data[node.end :]
    return found


def look_at(thing: object) -> None:
    """Ask for every property of a value."""
    for kind in type(thing).__mro__:
        for name, attribute in vars(kind).items():
            if isinstance(attribute, property | cached_property):
                clearly(lambda name=name: getattr(thing, name))  # type: ignore[misc]
