"""BoringSSL's revocation lists (pki/testdata/crl_unittest) against what chopmark makes of a list.

Each file has a list, a certificate and its issuer; the beginning of its name says what is right: `good` the
certificate is not revoked, `revoked` it is, `bad` the list says nothing about it, `invalid` the list breaks a rule. A
revoked certificate that is not found revoked counts as a false accept, and so does a list of the last two kinds that is
believed to be silent about the certificate.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
import tempfile
from base64 import b64decode
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.errors import MalformedError
from chopmark.envelopes import pem, x509
from chopmark.trust import standing
from chopmark.trust.context import REQUIRE, Context
from chopmark.trust.crl import origins
from chopmark.trust.crl.revocation_list import Crl
from chopmark.trust.stores import store
from tests.conformance import suite

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).with_name("boringssl_crl")
AT = dt.datetime(2017, 3, 9, tzinfo=dt.UTC)
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\n(.*?)-----END \1-----", re.DOTALL)
_NEVER_ENDS = "a list that does not say when the next one comes is never taken for current (RFC 5280 clause 5.1.2.5)"
_AGE = "the list itself says that it holds; that it is older than a week is a limit of the test's caller"
KNOWN = {
    "good_no_nextupdate": (suite.FALSE_REJECT, _NEVER_ENDS),
    "good_fake_extension_no_nextupdate": (suite.FALSE_REJECT, _NEVER_ENDS),
    "bad_crldp_has_crlissuer": (
        suite.FALSE_ACCEPT,
        "the issuer's own list is about all its certificates, wherever points lead (RFC 5280 clause 6.3.3, at its end)",
    ),
    "bad_idp_indirectcrl": (
        suite.FALSE_ACCEPT,
        "indirect lists are read, which BoringSSL does not do; this one is the issuer's own",
    ),
    "bad_thisupdate_too_old": (suite.SKIPPED, _AGE),
}
"""Where chopmark differs on purpose."""
CASES = 66


def cases(folder: Path) -> Iterator[suite.Case]:
    """One case for each file."""
    for path in sorted(DATA.glob("*.pem")):
        kind = path.stem.partition("_")[0]
        yield suite.Case(path.stem, kind == "good", partial(_judge, path, kind, folder))


def _judge(path: Path, kind: str, folder: Path) -> tuple[bool, str]:
    """Whether the certificate passes, and what was found out."""
    found = {label: b64decode(body) for label, body in _BLOCK.findall(path.read_text())}
    leaf, issuer = (x509.Certificate(found[label]) for label in ("CERTIFICATE", "CA CERTIFICATE"))
    others = [found["CA CERTIFICATE 2"]] if "CA CERTIFICATE 2" in found else []
    anchor = folder / "anchor.pem"
    anchor.write_bytes(b"# chopmark: trust=anchor\n" + pem.encode("CERTIFICATE", issuer.raw))
    context = Context(store.load([str(anchor)]), AT, REQUIRE, origins.CrlSource(cache=str(folder / "cache")))
    try:
        lists = [Crl(found["CRL"])]
    except MalformedError as error:
        return False, str(error)
    way = [leaf, issuer, *map(x509.Certificate, others)]
    answer = standing.Inquiry(context, way, lists, others).standing(leaf, issuer)
    if kind == "revoked":
        return answer.entry is None, answer.problem or "not named"
    return answer.entry is None and not answer.problem, answer.problem or f"{answer.entry}"


def run() -> bool:
    """Judge all cases; whether only what is known differs."""
    with tempfile.TemporaryDirectory() as folder:
        every = list(cases(Path(folder)))
        if len(every) != CASES:
            raise ValueError(f"{len(every)} files in {DATA}")
        return suite.run("BoringSSL CRL", every, KNOWN)


if __name__ == "__main__":
    sys.exit(0 if run() else 1)
