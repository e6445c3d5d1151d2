"""x509-limbo against the path engine, when CHOPMARK_LIMBO names its JSON file (plain or .xz).

Its cases are about TLS. What only TLS wants is done here and not in the engine: the peer's name is looked for in the
alternative names, and the purposes are those of servers and clients. A certificate without extended key usage is for
any purpose, as RFC 5280 has it; the engine itself wants a code signer to name its own (decision 23).

The suite's own namespaces part the cases: `webpki` holds rules of the CA/Browser Forum for TLS, `online` certificates
of real servers; all others are the core, for which no false accept is allowed outside of limbo_allowed.txt.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import lzma
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chopmark.core import finding
from chopmark.core.errors import MalformedError, UsageError
from chopmark.envelopes import der, pem, x509
from chopmark.trust import context
from chopmark.trust.belief import Carried, believe
from chopmark.trust.crl import origins
from chopmark.trust.moment import Moment
from chopmark.trust.paths import names
from chopmark.trust.stores import store
from tests.conformance import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIABLE = "CHOPMARK_LIMBO"
ALLOWED = Path(__file__).with_name("limbo_allowed.txt")
PURPOSES = {"SERVER": "1.3.6.1.5.5.7.3.1", "CLIENT": "1.3.6.1.5.5.7.3.2"}
GROUPS = ("core", "webpki", "online")
_DNS, _ADDRESS = der.context(2, constructed=False), der.context(7, constructed=False)


class Peer(NamedTuple):
    """A name that a certificate has to be for."""

    kind: str
    value: str

    def named_by(self, certificate: x509.Certificate) -> bool:
        """Whether it is among the alternative names (RFC 6125 clause 6.4; RFC 2818 for addresses)."""
        found = names.names_of(certificate)
        if self.kind == "IP":
            wanted = ipaddress.ip_address(self.value).packed
            return any(each.form == _ADDRESS and each.node.value == wanted for each in found)
        hosts = [each.node.value.decode("ascii", "replace") for each in found if each.form == _DNS]
        return any(_matches(host.lower(), self.value.lower()) for host in hosts)


def _matches(pattern: str, host: str) -> bool:
    """Whether a host is meant by a name in which the whole first label may be a wildcard."""
    if not pattern.startswith("*."):
        return pattern == host
    label, _, rest = host.partition(".")
    return bool(label) and rest == pattern[2:] and "." in rest


def read(path: Path) -> list[dict[str, Any]]:
    """The cases in a file, as they are."""
    data = path.read_bytes()
    cases: list[dict[str, Any]] = json.loads(lzma.decompress(data) if path.suffix == ".xz" else data)["testcases"]
    return cases


def group(name: str) -> str:
    """Which of GROUPS a case belongs to."""
    namespace = name.partition("::")[0]
    return namespace if namespace in GROUPS else "core"


def cases(found: list[dict[str, Any]], folder: Path) -> Iterator[suite.Case]:
    """The cases, ready to be judged."""
    for number, case in enumerate(found):
        place = folder / str(number)
        accept = case["expected_result"] == "SUCCESS"
        yield suite.Case(case["id"], accept, partial(_judge, case, place))


def _judge(case: dict[str, Any], folder: Path) -> tuple[bool, str]:
    """Whether a case is accepted, and what speaks against it."""
    folder.mkdir()
    at = dt.datetime.fromisoformat(case["validation_time"] or "2026-11-22T00:00:00+00:00")
    try:
        leaf = x509.certificate(_der(case["peer_certificate"]))
        trusted = _trusted(folder, case["trusted_certs"])
        lists = _lists(folder, case["crls"])
        carried = Carried(tuple(map(_der, case["untrusted_intermediates"])), ())
        purpose = PURPOSES[case["validation_kind"]]
        if not case["extended_key_usage"] and leaf.extended_key_usage is None:
            purpose = "any"
        mode = context.REQUIRE if lists else context.OFF
        circumstances = context.Context(trusted, at, mode, origins.CrlSource(lists, cache=str(folder / "cache")))
        belief = believe(leaf, carried, purpose, Moment(at), circumstances)
        against = [
            f"{each.code} ({each.subject}: {each.detail})"
            for each in belief.findings
            if each.outcome in (finding.Outcome.NO, finding.Outcome.UNKNOWN)
        ]
        if not against:
            against = _demanded(case, leaf, belief.path.certificates)
    except (MalformedError, UsageError) as error:  # an input that cannot be read, which a command says and stops
        return False, str(error)
    return not against, "; ".join(against)


def _demanded(case: dict[str, Any], leaf: x509.Certificate, path: tuple[x509.Certificate, ...]) -> list[str]:
    """What a TLS client would find wrong with a path that is good by itself."""
    wrong = []
    wanted = case["expected_peer_name"]
    if wanted is not None and not Peer(wanted["kind"], wanted["value"]).named_by(leaf):
        wrong.append(f"the certificate is not for {wanted['value']}")
    deepest = case["max_chain_depth"]
    if deepest is not None and sum(not each.self_issued for each in path[1:-1]) > deepest:
        wrong.append(f"more than {deepest} intermediates")
    return wrong


def _der(text: str) -> bytes:
    (only,) = pem.blocks(text.encode())
    return only.der


def _trusted(folder: Path, certificates: list[str]) -> store.Store:
    """A store that trusts every one of the certificates, whoever issued it."""
    path = folder / "trusted.pem"
    path.write_text("".join("# chopmark: trust=anchor\n" + text.strip() + "\n" for text in certificates))
    return store.load([str(path)])


def _lists(folder: Path, lists: list[str]) -> list[str]:
    paths = []
    for number, text in enumerate(lists):
        path = folder / f"{number}.crl"
        path.write_text(text)
        paths.append(str(path))
    return paths


def run() -> bool:
    """All groups; whether none has another wrong verdict than the allowed ones."""
    where = os.environ.get(VARIABLE)
    if not where:
        sys.stdout.write(f"x509-limbo skipped: {VARIABLE} does not name its JSON file\n")
        return True
    every = read(Path(where))
    known = suite.allowed(ALLOWED)
    good = True
    for name in GROUPS:
        found = [case for case in every if group(case["id"]) == name]
        expected = {case: difference for case, difference in known.items() if group(case) == name}
        with tempfile.TemporaryDirectory() as folder:
            good &= suite.run(f"x509-limbo-{name}", cases(found, Path(folder)), expected)
    return good
