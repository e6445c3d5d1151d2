"""Writes the vectors of docs/spec/catalog.md anew: `python tests/vectors/catalog/make.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
HEAD = b"chopmark catalog 1\ndigest sha256\n"
PLAIN = HEAD + b"file-systems one\n\n"
ROOT = b"d 0755 0 0 - - .\n"


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def end(body: bytes) -> bytes:
    return b"end %d\n" % body.count(b"\n")


KINDS = ROOT + b"".join(
    (
        b"d 0755 0 0 - - bin\n",
        b"d 0755 0 0 - - bin-old\n",
        b"f 0644 0 0 0 %s bin-old/empty\n" % digest(b""),
        b"f 0755 0 0 6 %s bin/tool security.capability=0100000200240000000000000000000000000000\n" % digest(b"hello\n"),
        b"c 0666 0 0 - 1:3 null\n",
        b"p 0600 1000 1000 - - pipe\n",
        b"l 0777 0 0 - ../etc/tool.conf settings\n",
        b"s 0755 0 0 - - socket\n",
        b"f 0640 0 42 - ! unread\n",
        b"d 0755 0 0 - x volume\n",
        b"f 0644 0 0 1 %s we\\xffird\\x20n\\x0aame\n" % digest(b"x"),
    )
)
SAMPLES = {
    "kinds": HEAD + b"root /srv/app\nfile-systems one\n\n" + KINDS + end(KINDS),
    "empty": PLAIN + ROOT + b"end 1\n",
    "host": HEAD
    + b"root /\nfile-systems all\nexclude home\nexclude var/log\n\n"
    + ROOT
    + b"d 0755 0 0 - - usr\nend 2\n",
}
X = b"f 0644 0 0 1 %s " % digest(b"x")
PACKAGED = ROOT + b"".join(
    (
        X + b"a @release/libc6:amd64/2.36-9+deb12u10\n",
        X + b"b security.capability=01 @package/mine\\x2f\\x3d/1:2~x\n",
        b"l 0777 0 0 - a c @none\n",
    )
)
SAMPLES["packaged"] = HEAD + b"root /\nfile-systems one\nscope listed\nexclude home\n\n" + PACKAGED + end(PACKAGED)
BODIES = {
    "form-escaped-plain": ROOT + X + b"\\x61\n",
    "form-upper-digest": ROOT + b"f 0644 0 0 1 %s a\n" % digest(b"x").upper(),
    "form-raw-space": ROOT + X + b"a b\n",
    "form-attributes": ROOT + X + b"a security.b=00 security.a=00\n",
    "form-leading-zero": ROOT + b"f 0644 00 0 1 %s a\n" % digest(b"x"),
    "form-crlf": ROOT.replace(b"\n", b"\r\n"),
    "form-fifo-with-content": ROOT + b"p 0644 0 0 - x a\n",
    "form-origin-escaped": ROOT + X + b"a @release/\\x61/1\n",
    "form-origin-first": ROOT + X + b"a @release/a/1 security.b=00\n",
    "form-origin-half": ROOT + X + b"a @release/\n",
    "path-dotdot": ROOT + X + b"../x\n",
    "path-absolute": ROOT + X + b"/etc/passwd\n",
    "path-inner": ROOT + b"d 0755 0 0 - - a\n" + X + b"a/../../x\n",
    "path-in-link": ROOT + b"l 0777 0 0 - /etc a\n" + X + b"a/x\n",
    "path-in-unread": ROOT + b"d 0755 0 0 - ! a\n" + X + b"a/x\n",
    "path-no-root": X + b"a\n",
    "path-nul": ROOT + X + b"a\\x00\n",
    "order-twice": ROOT + X + b"a\n" + X + b"a\n",
    "order-back": ROOT + X + b"b\n" + X + b"a\n",
}
INVALID = {name: PLAIN + body + end(body) for name, body in BODIES.items()} | {
    "cut-count": PLAIN + ROOT + X + b"a\nend 1\n",
    "cut-no-end": PLAIN + ROOT + X + b"a\n",
    "cut-in-line": PLAIN + ROOT + X + b"a\nend 2",
    "form-trailing": PLAIN + ROOT + b"end 1\nx\n",
    "version-2": b"chopmark catalog 2\n\n" + ROOT + b"end 1\n",
    "path-exclude": HEAD + b"file-systems one\nexclude ../x\n\n" + ROOT + b"end 1\n",
    "form-scope": HEAD + b"scope listed\nfile-systems one\n\n" + ROOT + b"end 1\n",
    "form-root": HEAD + b"root srv\nfile-systems one\n\n" + ROOT + b"end 1\n",
}

if __name__ == "__main__":
    for prefix, files in (("sample", SAMPLES), ("invalid", INVALID)):
        for name, data in files.items():
            (HERE / f"{prefix}-{name}.catalog").write_bytes(data)
