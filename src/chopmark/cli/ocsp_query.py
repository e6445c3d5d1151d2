"""`chopmark ocsp query`: ask a responder about one certificate, and explain what it says."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

from chopmark.cli import ocsp as verb
from chopmark.cli import output
from chopmark.cli.settings import setting, words
from chopmark.core import clock, limits
from chopmark.core.artifact import Artifact, read_as, read_small
from chopmark.core.errors import BrokenError, ChopmarkError, MalformedError, UnavailableError, UsageError
from chopmark.envelopes import ocsp, pem, x509

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace
    from collections.abc import Iterator, Sequence

    from chopmark.core.contracts import Fetcher
    from chopmark.trust.ocsp.answer import Said

_NONCE = 32
"""Octets (RFC 9654 clause 2.1)."""
_EXIT = {"good": 0, "revoked": 1, "unknown": 3}


def run(args: Namespace) -> int:
    """Ask and print; the exit status is 0 good, 1 revoked, 3 not known."""
    from chopmark.net import http
    from chopmark.trust.ocsp.answer import Answer

    if args.answer and (args.url or args.nonce):
        message = "--answer asks nobody: it takes neither --url nor --nonce"
        raise UsageError(message)
    at = clock.parse(args.at) if args.at else clock.now()
    nonce = os.urandom(_NONCE) if args.nonce else None
    with closing(http.HttpFetcher()) as fetcher:
        certificates = _certificates(args.file)
        certificate = certificates[0]
        issuer = _issuer(certificate, certificates, args, None if args.answer else fetcher)
        where, raw = _answer(args, certificate, issuer, nonce, fetcher)
    if args.output:
        from chopmark.core import patch

        patch.write_file(args.output, raw)
    facts: dict[str, Any] = {"subject": certificate.subject_text, "serial": certificate.serial_octets.hex()}
    facts |= {"issuer": issuer.subject_text, "responder": where}
    try:
        answer = Answer(raw)
        facts["answer"] = verb.response_facts(ocsp.read_response(raw))
        said = answer.says(certificate, issuer, at, nonce=nonce, certificates=[each.raw for each in certificates])
        signer = answer.signer(issuer)
        facts["signed_by"] = signer.certificate.subject_text
        facts |= _judged(said, at, exempt=signer.exempt)
    except BrokenError as error:
        facts |= {"status": "unknown", "findings": [_finding(error.reason.code, error.detail)]}
    if args.json:
        import json

        print(json.dumps(facts))
    else:
        _show(facts)
    return _EXIT[facts["status"]]


def _judged(said: Said, at: dt.datetime, *, exempt: bool) -> dict[str, Any]:
    """The status, with what speaks against it, as `verify` would see it without lists."""
    from chopmark.trust.crl.entry import REASON_NAMES
    from chopmark.trust.ocsp import reasons

    facts: dict[str, Any] = {"this_update": clock.show(said.as_of)}
    if said.until is not None:
        facts["next_update"] = clock.show(said.until)
    findings = [_finding(doubt.reason.code, doubt.detail) for doubt in said.doubts]
    if not exempt:
        findings.append(_finding(reasons.RESPONDER_UNCHECKED.code, "query does not ask about it; verify does"))
    if said.entry is not None:
        facts["status"] = "revoked"
        facts["revoked"] = clock.show(said.entry.revoked)
        facts["reason"] = REASON_NAMES.get(said.entry.reason, str(said.entry.reason))
        if said.entry.invalid_since is not None:
            facts["invalid_since"] = clock.show(said.entry.invalid_since)
    elif said.unknown:
        facts["status"] = "unknown"
        findings.insert(0, _finding(reasons.NOT_KNOWN.code, ""))
    else:
        facts["status"] = "unknown" if said.doubts else "good"
    return {**facts, "judged_at": clock.show(at), "findings": findings}


def _finding(code: str, detail: str) -> dict[str, str]:
    from chopmark.core.reasons import CATALOG

    reason = CATALOG[code]
    return {"code": code, "sentence": reason.sentence, "detail": detail, "remedy": reason.remedy}


def _show(facts: dict[str, Any]) -> None:
    print(output.filled(output.clean(facts["subject"]), first=f"{facts['status']:<10} "))
    lines = [f"serial {facts['serial']}"]
    if "revoked" in facts:
        since = f", invalid since {facts['invalid_since']}" if "invalid_since" in facts else ""
        lines.append(f"since {facts['revoked']} ({facts['reason']}){since}")
    if "this_update" in facts:
        until = f", counts until {facts['next_update']}" if "next_update" in facts else ""
        lines.append(f"as of {facts['this_update']}{until}")
    if "signed_by" in facts:
        lines.append(f"answered by {facts['signed_by']}")
    lines.append(f"from {facts['responder']}")
    for line in lines:
        print(output.filled(output.clean(line)))
    for each in facts["findings"]:
        detail = f" [{each['detail']}]" if each["detail"] else ""
        print(output.filled(output.clean(f"{each['code']}: {each['sentence']}{detail}")))
        if each["remedy"]:
            print(output.filled(f"-> {each['remedy']}"))


def _answer(
    args: Namespace, certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes | None, fetcher: Fetcher
) -> tuple[str, bytes]:
    """Where the answer is from, and its DER. Raises UsageError, UnavailableError."""
    if args.answer:
        data = read_small(args.answer, 2 * limits.OCSP_RESPONSE_MAX)
        found = [block.der for block in pem.blocks(data) if block.label == "OCSP RESPONSE"]
        return args.answer, found[0] if found else data
    urls = (args.url,) if args.url else certificate.access_urls(x509.ACCESS_OCSP)
    if not urls:
        message = f"{args.file}: the certificate names no OCSP responder (--url says which to ask)"
        raise UsageError(message)
    request = ocsp.request([ocsp.for_certificate(certificate, issuer, args.hash)], nonce)
    problem = ""
    for url in urls[: limits.OCSP_URLS_MAX]:
        address = f"{url.rstrip('/')}/{ocsp.request_path(request)}"
        try:
            if len(address) <= limits.OCSP_GET_MAX and nonce is None:
                return url, fetcher.get(address, limits.OCSP_RESPONSE_MAX)
            return url, fetcher.post(url, request, ocsp.REQUEST_TYPE, limits.OCSP_RESPONSE_MAX)
        except UnavailableError as error:
            problem = str(error).replace(address, url)
    raise UnavailableError(problem)


def _certificates(path: str) -> list[x509.Certificate]:
    """The certificates in a file, the one that is asked about first; those of its first signature if it is signed."""
    data = b""
    try:
        data = read_small(path, limits.KEY_FILE_MAX)
        return [x509.certificate(raw) for raw in pem.certificates(data)]
    except MalformedError as error:
        problem = str(error)
    except ChopmarkError:
        if not os.path.isfile(path):
            raise
        problem = "it is too large for one"
    signed = _signers(path)
    if not signed:
        message = f"{path}: neither a certificate ({problem}) nor signed with one"
        raise UsageError(message)
    return [x509.certificate(raw) for raw in signed]


def _signers(path: str) -> Sequence[bytes]:
    """The certificates of the first signature that has some."""
    from chopmark.engine import check, identify

    with Artifact.open(path) as artifact:
        found, _ = check.seals_of(artifact, identify.identify(artifact), alone=False)
        for owned, payloads in zip(found, check.payloads_of(artifact, found), strict=True):
            proof = owned.seal.envelope.check(payloads)
            if proof.certificates and proof.signer is not None:
                return proof.certificates
    return ()


def _issuer(
    certificate: x509.Certificate, near: Sequence[x509.Certificate], args: Namespace, fetcher: Fetcher | None
) -> x509.Certificate:
    """Who signed a certificate: from the file, --issuer, a store, or where it is published. Raises UsageError."""
    for candidate in _candidates(certificate, near, args, fetcher):
        try:
            if x509.name_key(candidate.subject) == x509.name_key(certificate.issuer):
                certificate.verify_signed_by(candidate.spki)
                return candidate
        except MalformedError:
            continue
    message = f"{args.file}: its issuer's certificate ({certificate.issuer_text}) is not at hand: give --issuer F"
    raise UsageError(message)


def _candidates(
    certificate: x509.Certificate, near: Sequence[x509.Certificate], args: Namespace, fetcher: Fetcher | None
) -> Iterator[x509.Certificate]:
    if args.issuer:
        yield from map(x509.certificate, read_as(args.issuer, limits.KEY_FILE_MAX, pem.certificates))
    yield from near
    from chopmark.trust.paths import issuers
    from chopmark.trust.stores import store

    held = store.load(words(setting(args.store, "verify", "store", default=["corp?", "microsoft"])))
    yield from (anchor.certificate for anchor in held.issuers(certificate))
    yield from held.intermediates(certificate.issuer)
    raws, _ = issuers.IssuerSource(fetcher).fetch(certificate.access_urls(x509.ACCESS_CA_ISSUERS))
    yield from (x509.certificate(raw) for raw in raws)
