"""The format detached: anything may stand in FILE.p7s."""

from chopmark.core.artifact import Artifact
from tests.fuzz.formats import target
from tests.support import der_trees


def beside(data: bytes, name: str) -> Artifact:
    """An artifact whose companion the fuzzer writes."""
    return Artifact.from_bytes(b"content", name, {".p7s": data})


seeds, run = target("detached", beside)
mutate = der_trees.mutate
