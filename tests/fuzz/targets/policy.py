"""Policies: read, and then asked about files."""

import datetime as dt
from collections.abc import Iterable

from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import language
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import NOBODY_KNOWN, FileFacts, SealFacts
from tests.support import probing

_SEAL = SealFacts("cms", Status.TRUSTED, "x509", "CN=A", "a" * 64, store="corp")
_FILES = (
    FileFacts("/usr/bin/tool", "a" * 64, "pe", Status.TRUSTED, (_SEAL,), Release("tool", "1.0"), writable=False),
    FileFacts("/tmp/tool", ""),
)
_HEAD = b'chopmark-policy = 1\nname = "hosts"\nversion = 7\n'


def seeds() -> Iterable[bytes]:
    yield _HEAD + b'[[rule]]\naction = "allow"\ndigest = "sha256:' + b"a" * 64 + b'"\n'
    yield _HEAD + b'[[rule]]\naction = "allow"\nsigner = { root = "sha256:' + b"b" * 64 + b'" }\npath = "/usr/**"\n'
    yield _HEAD + b'[[rule]]\naction = "deny"\nproduct = "tool"\nbelow = "2.0"\nuser = [0, "ada"]\n'
    yield _HEAD + b'mode = "audit"\n[[rule]]\naction = "allow"\nstore = "corp"\n[rule.require]\nmax-age = "90d"\n'


def run(data: bytes) -> None:
    probing.clearly(lambda: ask(data))


def ask(data: bytes) -> None:
    policy = Compiled(language.parse(data, "p.toml").rules, Mode.ENFORCE)
    for file in _FILES:
        policy.decide(file, "exec", NOBODY_KNOWN, dt.datetime(2026, 11, 26, tzinfo=dt.UTC))
