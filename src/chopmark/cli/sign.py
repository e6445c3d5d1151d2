"""Sign files, in place or to another name; several at once with one key.

In two steps, when the key is elsewhere: --digest-only writes FILE.tbs, the exact bytes that the key must sign (with
any tool: `openssl dgst -sha256 -sign key.pem FILE.tbs`); --attach puts the signature in. --attach also takes a
complete PKCS #7 / CMS signature.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.settings import setting, words
from chopmark.cli.verify import jobs_wanted
from chopmark.core import clock, digest, limits
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact, read_small
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.engine import batch, sign

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.core.contracts import Signer, Stamper

TO_BE_SIGNED = ".tbs"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="file to sign")
    add_key_arguments(parser)
    parser.add_argument("--timestamp", action="append", metavar="URL", help="RFC 3161 authority; the next on failure")
    parser.add_argument("--digest", choices=digest.SIGNING_ALGORITHMS, help="digest algorithm (default sha256)")
    parser.add_argument("--append", action="store_true", help="keep the signatures there are, add this one")
    parser.add_argument("--page-hashes", action="store_true", help="PE: a digest for each page as well")
    parser.add_argument("--description", default="", metavar="TEXT", help="what the system may show of it")
    parser.add_argument("--url", default="", help="where to read more")
    parser.add_argument("--variant", default="", help="the format's own choice (detached: pem)")
    parser.add_argument("--format", metavar="NAME", default="", help="take it for this format (detached: any file)")
    parser.add_argument("--signing-time", metavar="TIME", help="the time to claim (default now; ISO 8601)")
    parser.add_argument("-o", "--output", metavar="F", help="write there and leave FILE as it is (one FILE)")
    parser.add_argument("-j", "--jobs", type=int, metavar="N", help="processes (default: two per processor)")
    parser.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    steps = parser.add_mutually_exclusive_group()
    steps.add_argument("--digest-only", action="store_true", help="write FILE.tbs, to be signed elsewhere")
    steps.add_argument("--attach", metavar="F", help="the signature made elsewhere, over FILE.tbs; or a whole PKCS #7")


def add_key_arguments(parser: ArgumentParser) -> None:
    """The options that name a key and its certificates."""
    parser.add_argument("--key", metavar="URI", help="file:PATH (PEM or DER) or pkcs12:PATH; a plain path is a file")
    parser.add_argument("--cert", action="append", metavar="F", help="certificates, the signer's first (PEM or DER)")
    parser.add_argument("--passphrase", metavar="SRC", help="where to get it: prompt (default), fd:N, env:NAME")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: what to print, or the error and its exit status."""

    path: str
    facts: dict[str, Any]
    error: str = ""
    status: int = 0


def run(args: Namespace) -> int:
    """Sign every file; the worst exit status."""
    output.prepare()
    if (args.output or args.attach) and len(args.files) != 1:
        message = "--output and --attach go with one FILE"
        raise UsageError(message)
    request = _request(args)
    work = partial(_one, args=args, request=request)
    jobs = batch.jobs_for(len(args.files), jobs_wanted(args.jobs, "sign"), per_processor=2)
    worst = 0
    written = []
    try:
        for outcome in output.progress(batch.run(args.files, work, jobs), len(args.files), "signing"):
            worst = max(worst, outcome.status)
            written.append(outcome.facts.get("written", outcome.path))
            _show(outcome, as_json=args.json)
    finally:
        patches.settle(written)
    return worst


def _request(args: Namespace) -> sign.SignRequest | None:
    """None where a complete envelope is attached, which needs no key and no certificate."""
    certificates = _certificates(args)
    if args.attach and not certificates:
        return None
    signer: Signer
    if args.attach or args.digest_only:
        signer = _Elsewhere.of(certificates)
    else:
        from chopmark import keys  # two-step signing needs none

        uri = setting(args.key, "sign", "key")
        if not uri:
            message = "no key: give --key URI, or --digest-only to sign elsewhere"
            raise UsageError(message)
        signer = keys.open_key(uri, keys.secret(setting(args.passphrase, "sign", "passphrase")))
    request = sign.SignRequest(
        signer=signer,
        certificates=certificates or signer.certificates,
        signing_time=clock.parse(args.signing_time) if args.signing_time else clock.now(),
        options=_options(args),
        stamper=_stamper(args),
        format_name=args.format,
    )
    sign.preflight(request)
    return request


def _options(args: Namespace) -> SealOptions:
    return SealOptions(
        digest_algorithm=setting(args.digest, "sign", "digest", default="sha256"),
        description=args.description,
        url=args.url,
        page_hashes=args.page_hashes,
        append=args.append,
        variant=args.variant,
    )


def _certificates(args: Namespace) -> tuple[bytes, ...]:
    from chopmark.envelopes import pem

    found: list[bytes] = []
    for file in words(setting(args.cert, "sign", "cert", default=[])):
        found += pem.certificates(read_small(file, limits.STORE_FILE_MAX))
    return tuple(found)


def _stamper(args: Namespace) -> Stamper | None:
    urls = words(setting(args.timestamp, "sign", "timestamp", default=[]))
    if not urls:
        return None
    from chopmark.envelopes import timestamp
    from chopmark.net import http  # only when something is fetched

    return timestamp.HttpStamper(http.HttpFetcher(), urls)


def _one(path: str, args: Namespace, request: sign.SignRequest | None) -> Outcome:
    try:
        with Artifact.open(path) as artifact:
            return _signed(artifact, args, request)
    except ChopmarkError as error:
        text = str(error)
        return Outcome(path, {}, text if path in text else f"{path}: {text}", error.exit_status)


def _signed(artifact: Artifact, args: Namespace, request: sign.SignRequest | None) -> Outcome:
    facts: dict[str, Any] = {"path": artifact.name}
    if args.digest_only and request:
        format_, _, draft = sign.draft(artifact, request)
        target = (args.output or artifact.name) + ("" if args.output else TO_BE_SIGNED)
        patches.write_file(target, draft.to_be_signed)
        facts |= {
            "format": format_.name,
            "written": target,
            "digest_algorithm": draft.digest_algorithm,
            "digest": digest.of(draft.to_be_signed, draft.digest_algorithm).hex(),
        }
        return Outcome(artifact.name, facts)
    if args.attach:
        signed = _attached(artifact, args, request)
    else:
        if request is None:
            message = "no key"
            raise UsageError(message)
        signed = sign.sign(artifact, request)
    written = sign.write(artifact, signed, args.output, settled=False)
    facts |= {"format": signed.format.name, "written": written}
    if request:
        facts["signer"] = sign.preflight(request).subject_text
        facts["digest_algorithm"] = request.options.digest_algorithm
        facts["time_stamp"] = request.stamper is not None
    return Outcome(artifact.name, facts)


def _attached(artifact: Artifact, args: Namespace, request: sign.SignRequest | None) -> sign.Signed:
    given = read_small(args.attach, limits.ENVELOPE_MAX)
    if request is None:
        from chopmark.envelopes import pem

        return sign.attach_envelope(artifact, pem.cms(given), _options(args), args.format)
    to_be_signed = read_small(artifact.name + TO_BE_SIGNED, limits.ENVELOPE_MAX)
    return sign.attach(artifact, request, to_be_signed, given)


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """A key that is not here: all that is known of it is its certificate."""

    algorithm: str
    public_key: bytes
    certificates: tuple[bytes, ...]

    @classmethod
    def of(cls, certificates: tuple[bytes, ...]) -> _Elsewhere:
        if not certificates:
            message = "--digest-only and --attach need --cert: the certificate is part of what is signed"
            raise UsageError(message)
        from chopmark.envelopes import algorithms, x509

        spki = x509.certificate(certificates[0]).spki
        return cls(algorithms.key_kind(spki), spki, certificates)

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:  # noqa: ARG002 - the contract's shape
        message = "this key is elsewhere"
        raise UsageError(message)


def _show(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        import json  # only for this shape

        print(json.dumps(outcome.facts or {"path": outcome.path, "error": outcome.error}))
        return
    if outcome.error:
        print("chopmark:", output.clean(outcome.error), file=sys.stderr)
        return
    facts = outcome.facts
    if "digest" in facts:
        print(f"{output.clean(facts['written'])}  {facts['digest_algorithm']}:{facts['digest']}")
        return
    what = ", ".join(
        part
        for part in (
            facts["format"],
            facts.get("digest_algorithm", ""),
            output.clean(facts.get("signer", "")),
            "time stamped" if facts.get("time_stamp") else "",
        )
        if part
    )
    print(f"signed     {output.clean(facts['written'])}\n           {what}")
