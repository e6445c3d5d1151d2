"""Signing what git signs: bytes that git hands over, or an object of a repository, which becomes a new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content
from chopmark.core.digest import of
from chopmark.core.errors import BrokenError, RefusedError, UsageError
from chopmark.core.seal import DATA
from chopmark.engine import sign
from chopmark.envelopes import gitsig
from chopmark.formats.git import FORMAT
from chopmark.formats.git.database.objects import Stored

if TYPE_CHECKING:
    from chopmark.engine.sign import SignRequest
    from chopmark.formats.git.database.repository import Repository


def signature(message: bytes, request: SignRequest) -> bytes:
    """An armoured signature of the kind that fits the key. Raises what key, certificates and stamper raise."""
    algorithm = request.options.digest_algorithm
    content = Content(DATA, algorithm, of(message, algorithm), message=message)
    return _signature(content, request)


def sign_object(repository: Repository, name: str, request: SignRequest) -> str:
    """Write a commit or tag anew with a signature, in place of one that it has; the id of the new object.

    No ref is moved. Raises BrokenError, RefusedError, UsageError, and what the key raises.
    """
    stored = repository.read(name)
    if stored.kind not in ("commit", "tag"):
        message = f"{name} is a {stored.kind}: commits and tags are signed"
        raise UsageError(message)
    artifact = Artifact.from_bytes(stored.data, name)
    try:
        [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, request.options)])
        content = FORMAT.content(artifact, payload, request.options)
        patch = FORMAT.embed(artifact, _signature(content, request), request.options)
    except BrokenError as error:
        message = f"{name}: {error}"
        raise RefusedError(message) from None
    return repository.write(Stored(stored.kind, patch.render(artifact)))


def _signature(content: Content, request: SignRequest) -> bytes:
    bare = getattr(request.signer, "openpgp", None) is not None or not request.certificates
    if not bare:
        sign.preflight(request)
        return gitsig.certified(content, request.signer, request.certificates, request.signing_time, request.stamper)
    if request.stamper is not None:
        message = "only signatures with certificates have a place for a time stamp"
        raise UsageError(message)
    return gitsig.seal(content, request.signer, request.signing_time, request.options)
