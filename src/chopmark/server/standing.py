"""How a served authority stands: numbers for the metrics, and what is wrong."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from chopmark.authority.tsa import tsa
from chopmark.core import clock, limits
from chopmark.core.artifact import read_small
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.envelopes import pem, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from chopmark.authority.tsa.time_sources import TimeSource
    from chopmark.server.due import Open


class Standing:
    """Numbers by the names of `metrics.KEPT`, each with labels; in words what is wrong now, and what will be soon."""

    def __init__(self) -> None:
        self.numbers: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def put(self, name: str, number: float, /, **labels: str) -> None:
        """Note a number."""
        self.numbers.setdefault(name, []).append((labels, number))

    def look(self, opened: Open, now: dt.datetime) -> None:
        """Look at everything. Raises ChopmarkError where that cannot be."""
        self._lists(opened, now)
        self._certificates(opened, now)
        self._log(opened)

    def _lists(self, opened: Open, now: dt.datetime) -> None:
        wanted = set(opened.authority.publishing())
        for issuer in opened.authority.issuers():
            latest = opened.authority.register.latest_crl(issuer)
            if latest is None:
                if issuer.name in wanted:
                    self.problems.append(f"no list of the {issuer.name} CA was published yet")
                continue
            self.put("crl_this_update", latest.this_update.timestamp(), issuer=issuer.name)
            self.put("crl_next_update", latest.next_update.timestamp(), issuer=issuer.name)
            self.put("crl_entries", latest.entries, issuer=issuer.name)
            self.put("crl_number", latest.number, issuer=issuer.name)
            if now > latest.next_update:
                self.problems.append(f"the list of the {issuer.name} CA ended {clock.show(latest.next_update)}")

    def _certificates(self, opened: Open, now: dt.datetime) -> None:
        for kind, name, certificate in _certificates(opened, now):
            self.put("certificate_not_after", certificate.not_after.timestamp(), kind=kind, name=name)
            if now > certificate.not_after:
                self.problems.append(
                    f"the certificate {certificate.subject_text} ended {clock.show(certificate.not_after)}"
                )

    def look_at_clock(self, source: TimeSource) -> None:
        """Measure the clock that time stamps are given by, as each of the processes does."""
        try:
            measurement = source.measure()
        except UnavailableError as error:
            self.problems.append(f"no time stamps: {error}")
            return
        if source.is_measured:
            self.put("clock_offset", measurement.offset)
            self.put("clock_inaccuracy", measurement.inaccuracy)
            if measurement.inaccuracy > limits.TSA_INACCURACY_MAX:
                self.problems.append(f"no time stamps: the clock may be wrong by {measurement.inaccuracy:.3f} s")

    def _log(self, opened: Open) -> None:
        try:
            log = opened.authority.log.log()
        except UsageError:  # it has none
            return
        published = log.published()
        self.put("log_size", published.checkpoint.size if published else 0)
        self.put("log_waiting", log.waiting())

    def facts(self) -> dict[str, object]:
        """As they are told to the other processes."""
        return {"at": time.time(), "numbers": self.numbers, "problems": self.problems, "warnings": self.warnings}


def _certificates(opened: Open, now: dt.datetime) -> Iterator[tuple[str, str, x509.Certificate]]:
    """The certificates that answers depend on: kind, name, certificate. Retired CAs are of the past."""
    issuers = {issuer.id: issuer.name for issuer in opened.authority.issuers()}
    for issuer in opened.authority.issuers():
        if issuer.retired is None:
            yield "ca", issuer.name, issuer.certificate
            opened.responder.delegates.current(issuer, now)  # looks into the folder, now and then
    newest: set[int] = set()
    for delegate in opened.responder.delegates.all():
        if delegate.issuer not in newest:
            newest.add(delegate.issuer)
            yield "ocsp", issuers.get(delegate.issuer, ""), delegate.certificate
    if opened.served.stamps():
        path = os.path.join(opened.served.folder, tsa.FILE)
        yield "tsa", "tsa", x509.certificate(pem.certificates(read_small(path, limits.KEY_FILE_MAX))[0])
