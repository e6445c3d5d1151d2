"""Writes the vectors of docs/spec/unit-seal.md anew: `python tests/vectors/unit/make.py`."""

from __future__ import annotations

import hashlib
from pathlib import Path

HERE = Path(__file__).parent
HEAD = b"chopmark unit 1\nscope system\nunit web.service\n"


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


def file(path: bytes, data: bytes = b"x") -> bytes:
    return b"file %s %s\n" % (digest(data), path)


OWN = file(b"/usr/lib/systemd/system/web.service", b"[Service]\n")
DROPIN = file(b"/etc/systemd/system/web.service.d/10\\x20more.conf", b"[Service]\nExecStart=/bin/true\n")
MASKED = b"file - /etc/systemd/system/web.service.d/20-off.conf\n"
LINK = b"link /etc/systemd/system/www.service /usr/lib/systemd/system/web.service\n"
SAMPLES = {
    "plain": HEAD + OWN + b"end 1\n",
    "dropins": HEAD + OWN + DROPIN + MASKED + LINK + b"end 4\n",
    "user": b"chopmark unit 1\nscope user\\x20alice\nunit sync@home.timer\n"
    + file(b"/home/alice/.config/systemd/user/sync@.timer")
    + b"end 1\n",
}
INVALID = {
    "version-2": HEAD.replace(b" 1\n", b" 2\n", 1) + OWN + b"end 1\n",
    "cut-no-end": HEAD + OWN,
    "cut-in-line": HEAD + OWN + b"end 1",
    "cut-count": HEAD + OWN + b"end 2\n",
    "cut-no-file": HEAD + b"end 0\n",
    "form-no-scope": HEAD.replace(b"scope system\n", b"") + OWN + b"end 1\n",
    "form-no-unit": HEAD.replace(b"unit web", b"name web") + OWN + b"end 1\n",
    "form-link-first": HEAD + LINK + OWN + b"end 2\n",
    "form-links-unsorted": HEAD + OWN + LINK.replace(b"www", b"zzz") + LINK + b"end 3\n",
    "form-twice": HEAD + OWN + OWN + b"end 2\n",
    "form-twice-other": HEAD + OWN + file(b"/usr/lib/systemd/system/web.service", b"other") + b"end 2\n",
    "form-upper-digest": HEAD + OWN.upper().replace(b"FILE", b"file").replace(b"USR", b"usr") + b"end 1\n",
    "form-relative": HEAD + file(b"usr/lib/systemd/system/web.service") + b"end 1\n",
    "form-dotdot": HEAD + file(b"/usr/../web.service") + b"end 1\n",
    "form-nul": HEAD + file(b"/usr/a\\x00b") + b"end 1\n",
    "form-escaped-plain": HEAD + file(b"/usr/\\x61") + b"end 1\n",
    "form-raw-space": HEAD + file(b"/usr/a b") + b"end 1\n",
    "form-crlf": (HEAD + OWN + b"end 1\n").replace(b"web.service\n", b"web.service\r\n", 1),
    "form-blank": HEAD + OWN + b"\nend 1\n",
}

if __name__ == "__main__":
    for old in HERE.glob("*.seal"):
        old.unlink()
    for name, data in SAMPLES.items():
        (HERE / f"sample-{name}.seal").write_bytes(data)
    for name, data in INVALID.items():
        (HERE / f"invalid-{name}.seal").write_bytes(data)
