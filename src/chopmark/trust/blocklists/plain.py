"""chopmark's own blocklists: text, a line for each thing that is named, so that people can read, compare and sign them.

    chopmark-blocklist 1
    date 2026-11-20T00:00:00Z
    # comments and empty lines
    certificate sha256:9f86d0... stolen in March
    key sha256:...
    tbs sha1:...
    issuer-serial 01ab23 CN=Example Issuing, O=Example Mint
    file sha256:...
    image sha256:...

The date is that of the list. What follows a digest is a remark; what follows a serial number is the issuer as chopmark
shows it. A line that is not understood makes the whole list unusable: what somebody wrote to be refused must not pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import clock, digest, limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.trust.blocklists import blocklist
from chopmark.trust.blocklists.blocklist import Blocklist, Named

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Mapping

FIRST = "chopmark-blocklist 1"
_ALGORITHMS = {
    blocklist.CERTIFICATE: ("sha256",),
    blocklist.KEY: ("sha256",),
    blocklist.TBS: ("md5", "sha1", "sha256", "sha384", "sha512"),
    blocklist.FILE: ("sha1", "sha256", "sha384", "sha512"),
    blocklist.IMAGE: ("sha1", "sha256"),
}
_SERIAL_MAX = 64


def parse(data: bytes, name: str, where: str) -> Blocklist:
    """Read a list. Raises MalformedError, which names the line."""
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise MalformedError("it is not UTF-8") from None
    if not lines or lines[0].strip() != FIRST:
        raise MalformedError(f"its first line is not {FIRST!r}")
    as_of: dt.datetime | None = None
    named: dict[Named, str] = {}
    for number, line in enumerate(lines[1:], 2):
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#"):
            continue
        try:
            if word == "date" and as_of is None:
                as_of = clock.parse(rest.strip())
                continue
            key, remark = _entry(word, rest.strip())
        except (MalformedError, UsageError) as error:
            raise MalformedError(f"line {number}: {error}") from None
        named[key] = remark
        if len(named) > limits.BLOCKLIST_ENTRIES_MAX:
            raise MalformedError(f"more than {limits.BLOCKLIST_ENTRIES_MAX} entries")
    if as_of is None:
        raise MalformedError("it has no date")
    return Blocklist(name, where, as_of, named)


def _entry(kind: str, rest: str) -> tuple[Named, str]:
    value, _, more = rest.partition(" ")
    more = " ".join(more.split())
    if kind == blocklist.SERIAL:
        octets = _hex(value)
        if not more or len(octets) > _SERIAL_MAX:
            raise MalformedError("a serial number in hex and the issuer's name are needed")
        return Named(kind, "", blocklist.magnitude(octets), more.casefold()), ""
    if kind not in _ALGORITHMS:
        raise MalformedError(f"{kind[:32]!r} is none of {', '.join(blocklist.KINDS)}")
    algorithm, _, text = value.partition(":")
    if algorithm not in _ALGORITHMS[kind]:
        raise MalformedError(f"{kind} takes {' or '.join(_ALGORITHMS[kind])}, not {algorithm[:32]!r}")
    octets = _hex(text)
    if len(octets) != digest.ALGORITHMS[algorithm].size:
        raise MalformedError(f"not a digest of {algorithm}: {len(octets)} bytes")
    return Named(kind, algorithm, octets), more


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text.replace(":", ""))
    except ValueError:
        raise MalformedError("not hex digits") from None


def render(named: Mapping[Named, str], as_of: dt.datetime) -> bytes:
    """A list in its text, sorted, so that two of them can be compared."""
    lines = []
    for each, remark in named.items():
        if each.kind == blocklist.SERIAL:
            lines.append(f"{each.kind} {each.value.hex()} {each.issuer}")
        else:
            lines.append(f"{each.kind} {each.algorithm}:{each.value.hex()} {' '.join(remark.split())}".rstrip())
    return "\n".join((FIRST, f"date {clock.show(as_of)}", *sorted(lines), "")).encode("utf-8")
