"""Cases for `policy test`."""

from collections.abc import Iterable

from chopmark.policy import cases
from tests.support import probing

_HEAD = b"chopmark-policy-cases = 1\n[[case]]\n"


def seeds() -> Iterable[bytes]:
    yield _HEAD + b'name = "a"\nexpect = "allow"\nfile = "x"\nuse = "exec"\nat = 2026-01-01\n'
    yield _HEAD + b'expect = "deny"\nfacts = { path = "/x", status = "trusted", seals = [{ status = "trusted" }] }\n'
    yield _HEAD + b'expect = "deny"\nfacts = { path = "/x" }\nprocess = { uid = 0 }\n'


def run(data: bytes) -> None:
    probing.clearly(lambda: cases.parse(data, "cases.toml"))
