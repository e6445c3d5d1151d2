"""Text that quotes what came from elsewhere, made fit to be shown."""

from __future__ import annotations


def clean(text: str) -> str:
    """Without what could steer a terminal or look like other text: such characters are written as Python does."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(ord(character)) for character in text)


def line(text: str) -> str:
    """Clean, and on one line."""
    return text if text.isprintable() else clean(" ".join(text.split()))


def _escaped(point: int) -> str:
    """Backslash x, u or U and as many digits as that takes."""
    digits = f"{point:x}"
    letter, size = ("x", 2) if len(digits) <= len("ff") else ("u", 4) if len(digits) <= len("ffff") else ("U", 8)
    return f"\\{letter}{digits:0>{size}}"
