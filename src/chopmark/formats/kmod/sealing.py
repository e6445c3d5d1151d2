"""The seal of a module, and how it is put there and taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from chopmark.core import limits
from chopmark.core import reasons as common
from chopmark.core.artifact import BytesView, UnreadableError
from chopmark.core.contracts import Content
from chopmark.core.digest import hash_ranges
from chopmark.core.errors import BrokenError, MalformedError, RefusedError
from chopmark.core.named import NamedTuple
from chopmark.core.patch import Patch
from chopmark.core.seal import DATA, Claim, Payload, Range, Recipe, Seal
from chopmark.core.versions import RPM, Release
from chopmark.envelopes import module
from chopmark.formats.kmod import container, elf, reasons, trailer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chopmark.core.artifact import Artifact, View
    from chopmark.core.finding import Finding

_UNPACKED: WeakKeyDictionary[View, BytesView] = WeakKeyDictionary()
"""Open files uncompressed. Only a cache: what is not in it is uncompressed again."""


class Module(NamedTuple):
    """A module: how it is compressed (empty: not at all), and its bytes as the kernel gets them."""

    packed: str
    view: View


def seals(artifact: Artifact) -> Iterator[Seal]:
    """The appended signature, if there is one."""
    opened = _opened(artifact)
    size = opened.view.size
    start = trailer.below(opened.view, size)
    if start is None:
        return
    envelope = module.envelope_in(trailer.envelope(opened.view, start, size))
    recipe_ = _recipe(artifact, opened, start, envelope.digest_algorithm)
    yield Seal(
        where="appended signature",
        envelope=envelope,
        claims=(Claim("module", recipe_, None),),
        purpose="module-signing",
        findings=tuple(_placed(opened.view, start)),
    )


def recipe(artifact: Artifact, algorithm: str) -> Recipe:
    """What a new signature would cover. Raises RefusedError for what is no module, MalformedError."""
    opened = _opened(artifact)
    end = trailer.bare(opened.view)
    if problem := elf.problem(opened.view, end):
        message = f"{artifact.name}: no kernel module ({problem}); --format detached signs any file"
        raise RefusedError(message)
    return _recipe(artifact, opened, end, algorithm)


def digest(artifact: Artifact, recipes: Sequence[Recipe]) -> list[Payload]:
    """What recipes come to; the transform of a compressed module names how long it is uncompressed."""
    plain = [each for each in recipes if not each.transform]
    found = dict(zip(plain, hash_ranges(artifact.view, plain), strict=True))
    packed = [each for each in recipes if each.transform]
    if packed:
        inner = [Recipe(each.algorithm, (Range(0, int(each.transform.partition(":")[2])),)) for each in packed]
        payloads = hash_ranges(_opened(artifact).view, inner)
        found |= {each: payload._replace(recipe=each) for each, payload in zip(packed, payloads, strict=True)}
    return [found[each] for each in recipes]


def content(artifact: Artifact, payload: Payload) -> Content:
    """The module itself, which is what its key signs. Raises UnreadableError when it is too large for that."""
    if payload.length > limits.CONTENT_SIGNED_MAX:
        raise UnreadableError(artifact.name, common.INPUT_TOO_LARGE, f"{payload.length} bytes")
    message = _opened(artifact).view.read(0, payload.length)
    return Content(DATA, payload.recipe.algorithm, payload.value, message=message)


def release(artifact: Artifact) -> Release | None:
    """Name and version in .modinfo; modules that come with the kernel have no version. Raises MalformedError.

    Versions of modules are free text, which the rules of RPM put in order as well as anything.
    """
    opened = _opened(artifact)
    info = elf.modinfo(opened.view, trailer.bare(opened.view))
    name, version = info.get("name", ""), info.get("version", "")
    return Release(name, version, RPM) if name and version else None


def embed(artifact: Artifact, envelope: bytes, *, append: bool) -> Patch:
    """The module with a signature. Raises RefusedError where it has one already and this is to be a second."""
    opened = _opened(artifact)
    end = trailer.bare(opened.view)
    if append and end != opened.view.size:
        message = f"{artifact.name}: there is a signature already, and the kernel looks at one only"
        raise RefusedError(message)
    try:
        module.envelope_in(envelope)
    except MalformedError as error:
        raise RefusedError(f"no signature for a kernel module: {error}") from None
    return _patch(opened, end, trailer.appended(envelope))


def strip(artifact: Artifact) -> Patch:
    """The module without any signature."""
    opened = _opened(artifact)
    end = trailer.bare(opened.view)
    if end == opened.view.size:
        return Patch((Range(0, artifact.view.size),))
    return _patch(opened, end, b"")


def _opened(artifact: Artifact) -> Module:
    packed = container.kind(artifact.view)
    if not packed:
        return Module("", artifact.view)
    known = _UNPACKED.get(artifact.view)
    if known is None:
        known = _UNPACKED[artifact.view] = BytesView(container.unpack(artifact.view, packed))
    return Module(packed, known)


def _recipe(artifact: Artifact, opened: Module, end: int, algorithm: str) -> Recipe:
    if not opened.packed:
        return Recipe(algorithm, (Range(0, end),))
    return Recipe(algorithm, (Range(0, artifact.view.size),), f"{opened.packed}:{end}")


def _placed(view: View, start: int) -> Iterator[Finding]:
    try:
        another = trailer.below(view, start) is not None
    except BrokenError:
        another = True
    yield reasons.TWICE.found() if another else reasons.TRAILER.found()
    problem = elf.problem(view, start)
    yield reasons.MODULE_WRONG.found(problem) if problem else reasons.MODULE.found()


def _patch(opened: Module, end: int, appended: bytes) -> Patch:
    if not opened.packed:
        return Patch((Range(0, end), *((appended,) if appended else ())))
    return Patch((container.pack(opened.view.read(0, end) + appended, opened.packed),))
