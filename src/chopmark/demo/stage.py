"""The stage: a CA with its time-stamp authority on loopback, signers with different fates, and real files to sign."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import os
import shutil
import sysconfig
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from chopmark import keys
from chopmark.authority import ca
from chopmark.authority.hierarchy import founding
from chopmark.authority.issuing import certificates, profiles
from chopmark.authority.tsa import tsa
from chopmark.core import clock, patch
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import UsageError
from chopmark.engine import check, sign
from chopmark.envelopes import names, pem, timestamp, x509
from chopmark.keys import generate
from chopmark.net.http import HttpFetcher
from chopmark.server import http, routes
from chopmark.trust import context
from chopmark.trust.crl import origins
from chopmark.trust.stores import store

if TYPE_CHECKING:
    from types import TracebackType

    from chopmark.core.contracts import Signer
    from chopmark.core.verdict import Verdict

DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody with a key and a certificate: DER, their own first."""

    signer: Signer
    certificates: tuple[bytes, ...]
    serial: str


class Stage:
    """Everything stands in one folder; a context manager that stops the time-stamp server at the end.

    `now` is the moment of the show; `years_ago` when the CA was founded, so that signatures can be old.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.now = clock.now()
        self.authority = founding.found(
            os.path.join(folder, "ca"),
            founding.Setup(name="Demo Mint", url="http://127.0.0.1/", kind="p384", not_before=self.now - 3 * 365 * DAY),
        )
        self.root = os.path.join(folder, "root.pem")
        patch.write_file(self.root, pem.encode("CERTIFICATE", self.authority.root))
        self._stamp_time = self.now
        self._count = 0
        self._open = contextlib.ExitStack()
        stamping = self.holder("Demo Mint Time", since=self.now - 3 * 365 * DAY + DAY, profile="internal-time-stamping")
        stamper = tsa.TimeStampAuthority(stamping.signer, stamping.certificates, clock=lambda: self._stamp_time)
        self.url = self._open.enter_context(http.serve(routes.time_stamps(stamper)))
        self._fetcher = self._open.enter_context(contextlib.closing(HttpFetcher()))

    # People

    def holder(
        self,
        name: str,
        *,
        since: dt.datetime | None = None,
        until: dt.datetime | None = None,
        profile: str = "internal",
        kind: str = "p256",
    ) -> Holder:
        """Somebody new, certified by the CA for the given time (from a day ago for a year)."""
        signer = self._key(kind)
        since = since or self.now - DAY
        until = until or min(since + 3 * 365 * DAY, self.now + 365 * DAY)
        order = ca.Order(profile, (("CN", name),), signer.public_key, not_before=since, not_after=until)
        issued = self.authority.issue(order)
        return Holder(signer, (issued.certificate, *issued.chain), issued.serial)

    def impostor(self, name: str) -> Holder:
        """Somebody who has certified themselves, under any name they like."""
        signer = self._key("p256")
        encoded = names.encode(names.ordered((("O", name), ("CN", name))))
        profile = profiles.named("internal")
        key_id = x509.subject_key_identifier(signer.public_key)
        draft = certificates.Draft(
            serial=certificates.new_serial(),
            issuer=encoded,
            subject=encoded,
            spki=signer.public_key,
            not_before=self.now - DAY,
            not_after=self.now + 365 * DAY,
            extensions=certificates.leaf_extensions(profile, signer.public_key, key_id, certificates.Place("", "")),
        )
        return Holder(signer, (draft.sign(signer),), "")

    def _key(self, kind: str) -> Signer:
        self._count += 1
        path = os.path.join(self.folder, f"key-{self._count}.pem")
        generate.store(path, generate.encode(generate.new(kind), None))
        return keys.open_key(path)

    # Files

    def launcher(self, name: str) -> str:
        """A real Windows program: one of the launchers that the package distlib carries."""
        spec = importlib.util.find_spec("distlib")
        if spec is None or spec.origin is None:
            message = "the demo shows real Windows launchers: install chopmark[demo]"
            raise UsageError(message)
        return self.copy(os.path.join(os.path.dirname(spec.origin), "t64.exe"), name)

    def powershell(self, name: str) -> str:
        """A real PowerShell script: Activate.ps1 of Python's own venv."""
        folder = os.path.join(sysconfig.get_path("stdlib"), "venv", "scripts", "common")
        return self.copy(os.path.join(folder, "Activate.ps1"), name)

    def shell_script(self, name: str) -> str:
        """A shell script: the `activate` of Python's own venv."""
        folder = os.path.join(sysconfig.get_path("stdlib"), "venv", "scripts", "common")
        return self.copy(os.path.join(folder, "activate"), name)

    def copy(self, source: str, name: str) -> str:
        """A copy of a file under a new name in the folder of the show."""
        target = os.path.join(self.folder, name)
        try:
            shutil.copyfile(source, target)
        except OSError as error:
            message = f"the demo needs {source}: {os.strerror(error.errno or 0)}"
            raise UsageError(message) from None
        return target

    # Acts

    def sign(
        self,
        path: str,
        who: Holder,
        *,
        at: dt.datetime | None = None,
        stamped: bool = True,
        options: SealOptions | None = None,
    ) -> str:
        """Sign a file as of a moment (now), time-stamped over HTTP unless asked not to; the same path."""
        moment = at or self.now
        self._stamp_time = moment
        request = sign.SignRequest(
            signer=who.signer,
            certificates=who.certificates,
            signing_time=moment,
            options=options or SealOptions(),
            stamper=timestamp.HttpStamper(self._fetcher, [self.url]) if stamped else None,
        )
        with Artifact.open(path) as artifact:
            sign.write(artifact, sign.sign(artifact, request))
        return path

    def revoke(self, who: Holder, at: dt.datetime, invalid_since: dt.datetime | None = None) -> None:
        """Revoke somebody's certificate as of a date, and if given, say from when their key was suspect."""
        self.authority.revoke(who.serial, "keyCompromise", at=at, invalidity=invalid_since)

    def verify(self, path: str, *, revocation: str = "prefer", with_crls: bool = True) -> Verdict:
        """What chopmark says of a file now, by the demo's root and nobody else's."""
        issuers = [issuer.name for issuer in self.authority.issuers()]
        crls = [self.authority.publish(name).path for name in issuers] if with_crls else []
        return check.check_path(
            path,
            context.Context(
                store=store.load([self.root]),
                at=self.now,
                revocation=revocation,
                crls=origins.CrlSource(crls),
                fetcher=None,
            ),
        )

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server and close the CA."""
        self._open.close()
        self.authority.close()
