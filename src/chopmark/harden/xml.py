"""Writing XML: elements with attributes and text, always in the same way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML 1.0 document may have (clause 2.2), nor as a reference."""
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_ESCAPED = re.compile("[" + "".join(_ESCAPES) + "]")


class Element(NamedTuple):
    """An element. Names are written as they are; attributes and text are escaped."""

    name: str
    attributes: Mapping[str, str]
    children: list[Element | str]

    def add(self, name: str, attributes: Mapping[str, str] | None = None, text: str = "") -> Element:
        """Add an element inside of this one, and return it."""
        child = Element(name, attributes or {}, [text] if text else [])
        self.children.append(child)
        return child


def root(name: str, attributes: Mapping[str, str]) -> Element:
    """The outermost element."""
    return Element(name, attributes, [])


def written(element: Element) -> bytes:
    """The document, in UTF-8."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{_shown(element, "")}\n'.encode()


def _shown(element: Element, indent: str) -> str:
    attributes = "".join(f' {name}="{_escaped(value)}"' for name, value in element.attributes.items())
    if not element.children:
        return f"{indent}<{element.name}{attributes} />"
    if isinstance(element.children[0], str):
        return f"{indent}<{element.name}{attributes}>{_escaped(element.children[0])}</{element.name}>"
    inside = "\n".join(_shown(each, f"{indent}  ") for each in element.children if isinstance(each, Element))
    return f"{indent}<{element.name}{attributes}>\n{inside}\n{indent}</{element.name}>"


def _escaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], _UNWRITABLE.sub("\ufffd", text))
