"""Signatures in CMS (RFC 5652 clause 5.4) that hold, whatever was changed in what they cover."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from chopmark.envelopes import der
from chopmark.envelopes.cms import oids
from tests.support import der_trees

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support import pki
    from tests.support.der_trees import Tree

_MESSAGE_DIGEST = der.parse(der.oid(oids.MESSAGE_DIGEST)).value
_ATTRIBUTES, _SET = 0xA0, 0x31


def signed_again(data: bytes, signer: pki.Entity, message: bytes) -> bytes:
    """With each signer's signature made anew over its attributes, or over `message` where it has none.

    The digest among the attributes becomes that of the content that is carried along, if any. The same bytes where
    the structure is gone.
    """
    top = der_trees.parse(data)
    if top is None:
        return data
    try:
        signed = _inside(top, 0, 1, 0)
        content = _inside(signed, 2)
        infos = _inside(signed, -1)
    except (IndexError, TypeError):
        return data
    carried = _inside(content, 1, 0) if len(content.children or ()) > 1 and content.children[1].children else None  # type: ignore[index]
    for info in infos.children or ():
        _renew(info, carried, signer, message)
    return der_trees.written(top)


def content_of(data: bytes) -> bytes:
    """What lies within the header of the content that is carried along; empty where there is none."""
    top = der_trees.parse(data)
    try:
        return b"" if top is None else _within(_inside(top, 0, 1, 0, 2, 1, 0))
    except (IndexError, TypeError):
        return b""


def _renew(info: Tree, carried: Tree | None, signer: pki.Entity, message: bytes) -> None:
    fields = info.children or []
    attributes = next((each for each in fields if each.tag == _ATTRIBUTES), None)
    if attributes is not None:
        if carried is not None:
            for value in _digests(attributes):
                value.children, value.before, value.written = None, b"", None
                value.value = hashlib.sha256(_within(carried)).digest()
        whole = _within(attributes)
        message = der_trees.header(_SET, len(whole)) + whole
    places = [each for each in fields if each.tag == der_trees.OCTET_STRING]
    if places:
        places[-1].children, places[-1].before, places[-1].written = None, b"", None
        places[-1].value = signer.sign(message, "sha256")


def _digests(attributes: Tree) -> Iterator[Tree]:
    for attribute in attributes.children or ():
        parts = attribute.children or []
        if len(parts) > 1 and parts[0].value == _MESSAGE_DIGEST:
            yield from (each for each in parts[1].children or () if each.tag == der_trees.OCTET_STRING)


def _inside(tree: Tree, *steps: int) -> Tree:
    for step in steps:
        tree = tree.children[step]  # type: ignore[index]
    return tree


def _within(tree: Tree) -> bytes:
    whole = tree.encoded()
    node = der.prefix(whole)
    return node.value
