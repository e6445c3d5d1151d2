"""NIST PKITS against the path engine: prints one line, and writes every case that is wrong or skipped with its reason.

Nobody helps the engine: for each case it gets all certificates and all revocation lists of the suite, and has to find
the path by itself. Every verdict takes revocation as required, for any purpose, in the middle of 2026.
"""

from __future__ import annotations

import datetime as dt
import json
import signal
import sys
import tempfile
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cryptography_vectors

from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.envelopes import pem, x509
from chopmark.trust import crl, policies, store
from chopmark.trust.belief import Carried, believe
from chopmark.trust.context import REQUIRE, Context
from chopmark.trust.moment import Moment

if TYPE_CHECKING:
    from types import FrameType

DATA = Path(cryptography_vectors.__file__).parent / "x509" / "PKITS_data"
TABLE = Path(__file__).with_name("pkits.txt")
REPORT = Path(__file__).parents[2] / "build" / "conformance.json"
AT = dt.datetime(2026, 7, 1, tzinfo=dt.UTC)
POLICY = "2.16.840.1.101.3.2.1.48."
"""NIST's test policies: 1 to 6 follow."""
SECONDS = 10
"""A case that takes longer hangs."""
CASES = 249
FALSE_ACCEPT, FALSE_REJECT, SKIPPED, HANG, ERROR = "false accept", "false reject", "skipped", "hang", "error"

_NO_DSA = "DSA signatures are not verified: nobody signs code with them any more (FIPS 186-5 withdrew DSA)"
EXPECTED = {
    "4.1.4": (SKIPPED, _NO_DSA),
    "4.1.5": (SKIPPED, _NO_DSA),
    "4.4.14": (FALSE_REJECT, "255 is taken for -1, because some authorities write one serial number with both signs"),
}
"""Where chopmark differs on purpose. Anything else, and any of these that comes out right, makes the run fail."""


class Case(NamedTuple):
    """One line of the table: the certificate to judge, whether it is good, and under which demands."""

    number: str
    accept: bool
    certificate: str
    demands: policies.Demands


class _HangError(Exception):
    """The case took too long."""


def cases() -> list[Case]:
    """The table."""
    lines = [line.split() for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    return [
        Case(number, {"accept": True, "refuse": False}[verdict], name, _demands(settings))
        for number, verdict, name, *settings in lines
    ]


def _demands(settings: list[str]) -> policies.Demands:
    accepted: frozenset[str] | None = None
    switches = dict.fromkeys(("explicit", "no-mapping", "no-any"), False)
    for setting in settings:
        if setting.startswith("policies="):
            accepted = frozenset(POLICY + number for number in setting.removeprefix("policies=").split(","))
        elif setting in switches:
            switches[setting] = True
        else:
            raise ValueError(setting)
    return policies.Demands(accepted, switches["explicit"], switches["no-mapping"], switches["no-any"])


class Suite:
    """The material of all cases."""

    def __init__(self, folder: Path) -> None:
        root = (DATA / "certs" / "TrustAnchorRootCertificate.crt").read_bytes()
        anchor = folder / "root.der"
        anchor.write_bytes(root)
        self._store = store.load([str(anchor)])
        files = sorted(path for path in (DATA / "certs").glob("*.crt"))
        self._carried = Carried(tuple(pem.certificates(path.read_bytes())[0] for path in files), ())
        lists = [str(path) for path in sorted((DATA / "crls").glob("*.crl")) if _readable(path)]
        self._crls = crl.CrlSource(lists, cache=str(folder / "crls"))

    def judge(self, case: Case) -> tuple[bool, str]:
        """Whether chopmark accepts the case, and what speaks against it."""
        context = Context(self._store, AT, REQUIRE, self._crls, demands=case.demands)
        try:
            leaf = x509.certificate(pem.certificates((DATA / "certs" / f"{case.certificate}.crt").read_bytes())[0])
        except MalformedError as error:  # what judge() calls path.no_certificate
            return False, str(error)
        belief = believe(leaf, self._carried, "any", Moment(AT), context)
        against = [each for each in belief.findings if each.outcome in (Outcome.NO, Outcome.UNKNOWN)]
        why = "; ".join(f"{each.code} ({each.subject}: {each.detail})" for each in against)
        return not against and belief.path.trusted, why


def _readable(path: Path) -> bool:
    """Whether a list is DER at all: the command line refuses to start with one that is not, as a usage error."""
    try:
        crl.parse(path.read_bytes())
    except MalformedError:
        return False
    return True


def _limited(suite: Suite, case: Case) -> tuple[str, str]:
    """How the case came out (empty: right), and why."""
    signal.alarm(SECONDS)
    try:
        accepted, why = suite.judge(case)
    except _HangError:
        return HANG, f"more than {SECONDS} s"
    except Exception:  # noqa: BLE001 - whatever escapes is what this run is looking for
        return ERROR, traceback.format_exc(limit=-3)
    finally:
        signal.alarm(0)
    if accepted == case.accept:
        return "", why
    if accepted:
        return FALSE_ACCEPT, "nothing speaks against it"
    kind, reason = EXPECTED.get(case.number, (FALSE_REJECT, ""))
    return kind, f"{reason}: {why}" if reason else why


def _too_long(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the shape of a signal handler
    raise _HangError


def run() -> int:
    """Judge all cases; 0 when no verdict is wrong but the expected ones."""
    signal.signal(signal.SIGALRM, _too_long)
    every = cases()
    if len(every) != CASES:
        raise ValueError(f"{len(every)} cases in {TABLE}")
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        suite = Suite(Path(folder))
        for case in every:
            kind, why = _limited(suite, case)
            if kind:
                wrong.append({"case": case.number, "certificate": case.certificate, "result": kind, "reason": why})
    count = {
        kind: sum(each["result"] == kind for each in wrong)
        for kind in (FALSE_ACCEPT, FALSE_REJECT, SKIPPED, HANG, ERROR)
    }
    sys.stdout.write(
        f"PKITS {CASES} cases: {CASES - len(wrong)} right, {count[FALSE_ACCEPT]} false accepts, "
        f"{count[FALSE_REJECT]} false rejects, {count[SKIPPED]} skipped, {count[HANG]} hangs, {count[ERROR]} errors\n"
    )
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps({"PKITS": wrong}, indent=1) + "\n")
    return int({each["case"]: each["result"] for each in wrong} != {case: kind for case, (kind, _) in EXPECTED.items()})


if __name__ == "__main__":
    sys.exit(run())
