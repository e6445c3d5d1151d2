"""NIST PKITS against the path engine.

Nobody helps the engine: for each case it gets all certificates and all revocation lists of the suite, and has to find
the path by itself. Every verdict takes revocation as required, for any purpose, in the middle of 2026; a case can ask
for another day, which a trusted time stamp is taken to prove.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cryptography_vectors

from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import pem, x509
from chopmark.trust.belief import Carried, believe
from chopmark.trust.context import REQUIRE, Context
from chopmark.trust.crl import origins
from chopmark.trust.moment import Moment
from chopmark.trust.paths import policies
from chopmark.trust.stores import store
from tests.conformance import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
TABLE = Path(__file__).with_name("pkits.txt")
AT = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
POLICY = "2.16.840.1.101.3.2.1.48."
"""NIST's test policies: 1 to 6 follow."""
CASES = 249

KNOWN = {
    "4.4.14": (
        suite.FALSE_REJECT,
        "the list names -1, and 255 is taken for it, because some authorities write one serial number with both signs",
    ),
}
"""Where chopmark differs on purpose."""


class Case(NamedTuple):
    """One line of the table: the certificate to judge, whether it is good, under which demands, and when."""

    number: str
    accept: bool
    certificate: str
    demands: policies.Demands
    moment: Moment


def cases() -> list[Case]:
    """The table. Raises ValueError when it is not the whole of the suite."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    if len(lines) != CASES:
        raise ValueError(f"{len(lines)} cases in {TABLE}")
    return [
        Case(number, {"accept": True, "refuse": False}[verdict], name, *_settings(settings))
        for number, verdict, name, *settings in lines
    ]


def _settings(settings: list[str]) -> tuple[policies.Demands, Moment]:
    accepted: frozenset[str] | None = None
    moment = Moment(AT)
    switches = dict.fromkeys(("explicit", "no-mapping", "no-any"), False)
    for setting in settings:
        word, _, value = setting.partition("=")
        if word == "policies":
            accepted = frozenset(POLICY + number for number in value.split(","))
        elif word == "stamped":
            moment = Moment(dt.datetime.fromisoformat(value).replace(tzinfo=dt.UTC), proven=True)
        elif word in switches:
            switches[word] = True
        else:
            raise ValueError(setting)
    return policies.Demands(accepted, switches["explicit"], switches["no-mapping"], switches["no-any"]), moment


class _Material:
    """The certificates and lists of all cases."""

    def __init__(self, folder: Path) -> None:
        root = (DATA / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()
        anchor = folder / "root.der"
        anchor.write_bytes(root)
        self._store = store.load([str(anchor)])
        files = sorted(path for path in (DATA / "certs").glob("*.crt"))
        self._carried = Carried(tuple(pem.certificates(path.read_bytes())[0] for path in files), ())
        lists = [str(path) for path in sorted((DATA / "crls").glob("*.crl")) if _readable(path)]
        self._crls = origins.CrlSource(lists, cache=str(folder / "crls"))

    def judge(self, case: Case) -> tuple[bool, str]:
        """Whether chopmark accepts the case, and what speaks against it."""
        context = Context(self._store, AT, REQUIRE, self._crls, demands=case.demands)
        try:
            leaf = x509.certificate(pem.certificates((DATA / "certs" / f"{case.certificate}.crt").read_bytes())[0])
        except MalformedError as error:  # what judge() calls path.no_certificate
            return False, str(error)
        belief = believe(leaf, self._carried, "any", case.moment, context)
        against = [each for each in belief.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        why = "; ".join(f"{each.code} ({each.subject}: {each.detail})" for each in against)
        return not against and belief.path.trusted, why


def _readable(path: Path) -> bool:
    """Whether a list is DER at all: the command line refuses to start with one that is not, as a usage error."""
    try:
        origins.parse(path.read_bytes())
    except MalformedError:
        return False
    return True


def _asked(material: _Material) -> Iterator[suite.Case]:
    for case in cases():
        yield suite.Case(case.number, case.accept, partial(material.judge, case))


def run() -> bool:
    """Judge all cases; whether no verdict is wrong but the known ones."""
    with tempfile.TemporaryDirectory() as folder:
        return suite.run("PKITS", _asked(_Material(Path(folder))), KNOWN)
