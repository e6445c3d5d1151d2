"""DER values: whatever is asked of a node answers or raises DerError."""

from collections.abc import Iterable, Iterator

from chopmark.envelopes import der
from tests.support import der_trees, pki, probing

ACCESSORS = (
    "integer",
    "oid",
    "boolean",
    "octets",
    "bit_string",
    "bits",
    "text",
    "time",
    "null",
    "inside",
    "only_child",
)


def seeds() -> Iterable[bytes]:
    yield pki.world().signer.der
    yield der.sequence(der.integer(-129), der.oid("1.2.840.113549"), der.boolean(value=True), der.null(), der.utf8("ä"))
    yield der.sequence(der.time(pki.NOW), der.generalized_time(pki.NOW.replace(microsecond=500)))
    yield der.sequence(der.encode(der.IA5_STRING, b"a"))
    yield der.sequence(der.octet_string(der.bit_string(b"ab")), der.explicit(0, der.implicit(1, b"x")))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    probing.clearly(lambda: der.prefix(data))
    probing.clearly(lambda: examine(der.parse(data)))


def examine(root: der.Node) -> None:
    assert root.raw == root.buffer
    for count, node in enumerate(walk(root)):
        for accessor in ACCESSORS:
            probing.clearly(getattr(node, accessor))
        assert node.raw.endswith(node.value)
        assert node.retagged(node.tag) == node.raw
        if count > 2000:
            break


def walk(root: der.Node) -> Iterator[der.Node]:
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        try:
            pending += node.children()
        except der.DerError:
            continue
