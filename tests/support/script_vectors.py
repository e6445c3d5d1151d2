"""The test vectors of docs/spec/script-signature.md: `python -m tests.support.script_vectors` writes them anew.

Keys, times and signatures are those of tests/support/pki.py, so that every run writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content
from chopmark.formats._text import comment_block
from chopmark.formats.script import FORMAT, document, languages
from tests.support import probing

FOLDER = Path(__file__).parent.parent / "vectors" / "script"

_FROM_SAMPLES = (
    "bom.py",
    "crlf.py",
    "hello.js",
    "hello.lua",
    "hello.php",
    "hello.pl",
    "hello.rb",
    "hello.sh",
    "nonewline.bash",
)
_BEGIN = document.BEGIN.encode()
_END = document.END.encode()


def sign(content: bytes, name: str) -> bytes:
    artifact = Artifact.from_bytes(content, name)
    return probing.signed(FORMAT, artifact).render(artifact)


def _valid() -> dict[str, bytes]:
    """Contents by file name."""
    found = {
        f"signed-{name}": path.read_bytes()
        for path in sorted(FOLDER.iterdir())
        if (name := path.name.partition("-")[2]) in _FROM_SAMPLES and path.name.startswith(("sample-", "more-"))
    }
    found["signed-empty.sh"] = b""
    found["signed-cr.py"] = b"print('one')\rprint('two')\r"
    found["signed-mixed.sh"] = b"#!/bin/sh\necho one\r\necho two"
    found["signed-first-line"] = b"#!/usr/bin/env -S lua5.4\nprint('named by its first line')\n"
    return found


def _invalid() -> dict[str, tuple[bytes, bytes, str]]:
    """Content, file and reason by file name."""
    content = (FOLDER / "sample-hello.sh").read_bytes()
    signed = sign(content, "x.sh")
    crlf_block = content + signed[len(content) :].replace(b"\n", b"\r\n")
    first = signed.index(b"\n# M", len(content)) + 3
    return {
        "invalid-changed.sh": (b"!" + content[1:], b"!" + signed[1:], "digest.mismatch"),
        "invalid-trailing.sh": (content, signed + b"echo more\n", "script.block_trailing"),
        "invalid-line-break.sh": (content, signed + b"\n", "script.block_form"),
        "invalid-no-line-break.sh": (content, signed[:-1], "script.block_form"),
        "invalid-crlf-block.sh": (content, crlf_block, "script.block_line_breaks"),
        "invalid-width.sh": (content, signed[: first + 10] + b"\n# " + signed[first + 10 :], "script.block_form"),
        "invalid-blank.sh": (content, signed[:first] + b" " + signed[first:], "script.block_form"),
        "invalid-code.sh": (content, signed.replace(b"\n# " + _END, b"\necho more\n# " + _END), "script.block_base64"),
        "invalid-comment.js": (b"f()\n", sign(b"f()\n", "x.sh"), "script.block_comment"),
        "invalid-no-end.sh": (content, signed[: signed.rindex(b"# " + _END)], "script.block_open"),
        "invalid-lookalike.sh": (
            content,
            content + b"\n# " + _BEGIN.lower() + b"\n# AAAA\n# " + _END.lower() + b"\n",
            "script.block_lookalike",
        ),
    }


def _twice() -> tuple[bytes, bytes]:
    """A signed script that was signed again as a whole: content and file."""
    content = sign((FOLDER / "sample-hello.sh").read_bytes(), "x.sh")
    digest = hashlib.sha256(content).digest()
    envelope = probing.envelope(Content("1.2.840.113549.1.7.1", "sha256", digest))
    return content, content + comment_block.render(document.STYLES["#"], envelope, "\n").encode()


def files() -> dict[str, bytes]:
    """Every file of the vectors, by name, and their description as vectors.json."""
    made: dict[str, bytes] = {}
    described: list[dict[str, Any]] = []
    for name, content in _valid().items():
        made[name] = sign(content, name)
        described.append(_description(name, content, valid=True))
    content, made["signed-twice.sh"] = _twice()
    described.append(_description("signed-twice.sh", content, valid=True))
    for name, (content, data, reason) in _invalid().items():
        made[name] = data
        described.append({**_description(name, content, valid=False), "reason": reason})
    made["vectors.json"] = (json.dumps(described, indent=2) + "\n").encode()
    return made


def _description(name: str, content: bytes, *, valid: bool) -> dict[str, Any]:
    language = languages.identify(content, name).language
    return {
        "file": name,
        "valid": valid,
        "comment": language.comment if language else "",
        "newline": document.newline_of(content),
        "content_length": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


if __name__ == "__main__":
    for file, data in files().items():
        (FOLDER / file).write_bytes(data)
