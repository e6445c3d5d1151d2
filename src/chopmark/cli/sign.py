"""Sign files, in place or to another name; several at once with one key.

In two steps, when the key is elsewhere: --digest-only writes FILE.tbs, the exact bytes that the key must sign (with
any tool: `openssl dgst -sha256 -sign key.pem FILE.tbs`); --attach puts the signature in. --attach also takes a
complete PKCS #7 / CMS signature.

    $ chopmark sign setup.exe --key release.key --cert release.pem
    $ chopmark sign dist/* --key pkcs11:token=HSM --cert chain.pem -j 8
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, sign_log
from chopmark.cli.key import KEY_HELP
from chopmark.cli.parsing import need
from chopmark.cli.settings import jobs_wanted, setting, text, words
from chopmark.core import clock, digest, limits
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact, read_small
from chopmark.core.contracts import SealOptions
from chopmark.core.counting import counted
from chopmark.core.errors import ChopmarkError, InputError, MalformedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.core.reasons import INPUT_NOT_A_FILE
from chopmark.engine import abreast, batch, identify, sign

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Generator, Iterator, Sequence

    from chopmark.core.contracts import Countersigner, Signer, Stamper

TO_BE_SIGNED = ".tbs"


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="file to sign")
    add_key_arguments(parser)
    parser.add_argument(
        "--timestamp", action="append", metavar="URL", help="RFC 3161 authority; may be repeated: the next on failure"
    )
    parser.add_argument(
        "--timestamp-legacy", action="append", metavar="URL", help="the same before RFC 3161, for Authenticode alone"
    )
    parser.add_argument("--digest", choices=digest.SIGNING_ALGORITHMS, help="default sha256; Ed25519, ML-DSA: sha512")
    parser.add_argument("--append", action="store_true", help="keep the signatures there are, add this one")
    parser.add_argument("--page-hashes", action="store_true", help="a digest for each page as well (PE only)")
    parser.add_argument("--description", default="", metavar="TEXT", help="what the program is (PE, PowerShell)")
    parser.add_argument("--url", default="", help="where to read more about it (PE, PowerShell)")
    parser.add_argument(
        "--variant", default="", metavar="NAME", help="the format's own choice (detached: pem; PowerShell: an encoding)"
    )
    parser.add_argument(
        "--format", metavar="NAME", default="", help="take FILE for this format; detached takes any and writes FILE.p7s"
    )
    parser.add_argument("--log", metavar="LOG", help="enter it into this log, or authority's; proof in FILE.tlog-proof")
    parser.add_argument("--log-passphrase", metavar="SRC", help="of the log's key")
    parser.add_argument("--signing-time", metavar="TIME", help="the time to claim (ISO 8601; default now)")
    parser.add_argument("-o", "--output", metavar="F", help="write there and leave FILE as it is (one FILE)")
    parser.add_argument("-j", "--jobs", metavar="N", help="processes (default: one more than processors)")
    parser.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    steps = parser.add_mutually_exclusive_group()
    steps.add_argument("--digest-only", action="store_true", help="write FILE.tbs, to be signed elsewhere")
    steps.add_argument("--attach", metavar="F", help="the signature made elsewhere, over FILE.tbs; or a whole PKCS #7")


def add_key_arguments(parser: ArgumentParser) -> None:
    """The options that name a key and its certificates."""
    parser.add_argument("--key", metavar="URI", help=KEY_HELP)
    parser.add_argument(
        "--cert", action="append", metavar="F", help="certificates, the signer's first; may be repeated"
    )
    parser.add_argument("--passphrase", metavar="SRC", help="where the key's passphrase is: prompt, fd:N, env:NAME")


class Outcome(NamedTuple):
    """What became of one file: what to print, or the error and its exit status."""

    path: str
    facts: dict[str, Any]
    error: str = ""
    status: int = 0
    made: sign_log.Made | None = None


def run(args: Namespace, ready: sign.SignRequest | None = None) -> int:
    """Sign every file; the worst exit status. `ready` is what `request_for` made of the options before, as of now."""
    output.prepare()
    if (args.output or args.attach) and len(args.files) != 1:
        message = "--output and --attach go with one FILE"
        raise UsageError(message)
    need(args, "log", "log-passphrase")
    if args.log and (args.digest_only or args.attach):
        message = "--log is for signatures that are made here, not for those of --digest-only and --attach"
        raise UsageError(message)
    if args.log:
        sign_log.require(args.log)
    identify.known(args.format)
    attached = read_small(args.attach, limits.ENVELOPE_MAX) if args.attach else b""
    outcomes: list[Outcome] = []
    with ExitStack() as connections:
        request = ready or _request(args, attached, connections)
        apart = _apart(args.files)
        work = partial(_some, args=args, request=request, attached=attached, together=apart)
        jobs = batch.jobs_for(len(args.files), jobs_wanted(args.jobs, "sign"), spare=1) if apart else 1
        connections.callback(_settle, outcomes)
        if jobs > 1 and request:
            sign.preload(args.files[0], request)
        for outcome in output.progress(batch.run_groups(args.files, work, jobs), len(args.files), "signing"):
            outcomes.append(outcome)
            if not (args.log and args.json):  # which is whole only when it is logged
                _show(outcome, args)
    if args.log:
        _log(outcomes, args)
    if len(args.files) > 1 and not args.json:
        _summarise(outcomes)
    return max(outcome.status for outcome in outcomes)


def _log(outcomes: list[Outcome], args: Namespace) -> None:
    """Log what was signed, all at once; raises what prevents it: the files are signed then, and not logged."""
    done = [outcome for outcome in outcomes if outcome.made]
    if done:
        made = [outcome.made for outcome in done if outcome.made]
        for outcome, logged in zip(done, sign_log.record(made, args.log, args.log_passphrase), strict=True):
            outcome.facts["log_entry"], outcome.facts["log_proof"] = logged
            if not args.json:
                print(f"logged     {output.clean(logged.proof)}")
    if args.json:
        for outcome in outcomes:
            _show(outcome, args)


def _settle(outcomes: list[Outcome]) -> None:
    patches.settle(outcome.facts.get("written", outcome.path) for outcome in outcomes)


def _apart(paths: Sequence[str]) -> bool:
    """Whether no two names mean the same file, which must be signed one after the other."""
    files = set()
    for path in paths:
        with suppress(OSError, ValueError):
            state = os.stat(path)
            if (state.st_dev, state.st_ino) in files:
                return False
            files.add((state.st_dev, state.st_ino))
    return True


def request_for(words: list[str], connections: ExitStack) -> sign.SignRequest:
    """What `chopmark sign` makes of these options; for commands that sign what they have made themselves."""
    from chopmark.cli.parsing import Parser

    parser = Parser()
    add_arguments(parser)
    request = _request(parser.parse_args([*words, "--", "-"]), b"", connections)
    if request is None:
        raise UsageError("no key")
    return request


def _request(args: Namespace, attached: bytes, connections: ExitStack) -> sign.SignRequest | None:
    """None where a complete signature is attached, which needs no key and no certificate."""
    if args.key and (args.attach or args.digest_only):
        message = "--digest-only and --attach are for a key that is elsewhere: they take --cert, not --key"
        raise UsageError(message)
    if attached and sign.complete(attached):
        if args.timestamp or args.timestamp_legacy:
            message = f"{args.attach} is a complete signature: it cannot be given a time stamp here"
            raise UsageError(message)
        return None
    certificates = certificates_of(args)
    signer: Signer
    if args.attach or args.digest_only:
        signer = _Elsewhere.of(certificates, args.attach)
    else:
        from chopmark import keys  # two-step signing needs none
        from chopmark.engine import keyring

        uri = text(setting(args.key, "sign", "key"), "key")
        if not uri:
            message = "no key: give --key URI, or --digest-only to sign elsewhere"
            raise UsageError(message)
        signer = keyring.open_key(uri, keys.secret(setting(args.passphrase, "sign", "passphrase")))
    request = sign.SignRequest(
        signer=signer,
        certificates=certificates or signer.certificates,
        signing_time=clock.parse(args.signing_time) if args.signing_time else clock.now(),
        options=_options(args, signer),
        stamper=stamper_of(args, connections),
        format_name=args.format,
        countersigner=_countersigner(args, connections),
    )
    if not sign.certified(args.format):
        if args.cert:
            message = f"--cert: {args.format} is signed with a key alone"
            raise UsageError(message)
    elif request.certificates or args.format or not any(map(sign.takes_bare_key, args.files)):
        sign.preflight(request)
    return request


def _options(args: Namespace, signer: Signer | None = None) -> SealOptions:
    usual = "sha256"
    if signer is not None:
        from chopmark.envelopes import algorithms

        usual = algorithms.usual_digest(signer)
    return SealOptions(
        digest_algorithm=text(setting(args.digest, "sign", "digest", default=usual), "digest"),
        description=args.description,
        url=args.url,
        page_hashes=args.page_hashes,
        append=args.append,
        variant=args.variant,
    )


def certificates_of(args: Namespace) -> tuple[bytes, ...]:
    """The certificates that options and settings name, as DER. Raises UsageError."""
    from chopmark.envelopes import pem

    found: list[bytes] = []
    for file in words(setting(args.cert, "sign", "cert", default=[])):
        data = read_small(file, limits.STORE_FILE_MAX)
        try:
            found += pem.certificates(data)
        except MalformedError as error:
            message = f"{file}: {error}"
            raise UsageError(message) from None
    return tuple(found)


def stamper_of(args: Namespace, connections: ExitStack) -> Stamper | None:
    """Who gives time stamps, if options or settings name somebody."""
    urls = [] if args.timestamp_legacy else words(setting(args.timestamp, "sign", "timestamp", default=[]))
    if not urls:
        return None
    _refuse_other_addresses(urls)
    from chopmark.envelopes import timestamp
    from chopmark.net import http  # only when something is fetched

    return timestamp.HttpStamper(connections.enter_context(closing(http.HttpFetcher())), urls)


def _refuse_other_addresses(urls: Sequence[str]) -> None:
    """What can never answer is a mistake of whoever asks, and no network that is down."""
    for url in urls:
        if not url.startswith(("http://", "https://")):
            message = f"{url}: not the address of a time-stamp authority (http://HOST/... or https://HOST/...)"
            raise UsageError(message)


def _countersigner(args: Namespace, connections: ExitStack) -> Countersigner | None:
    if not args.timestamp_legacy:
        return None
    if args.timestamp:
        message = "--timestamp and --timestamp-legacy exclude each other: a signature gets one time stamp"
        raise UsageError(message)
    _refuse_other_addresses(args.timestamp_legacy)
    from chopmark.envelopes import timestamp
    from chopmark.net import http

    return timestamp.HttpCountersigner(connections.enter_context(closing(http.HttpFetcher())), args.timestamp_legacy)


def _some(
    paths: Sequence[str], args: Namespace, request: sign.SignRequest | None, attached: bytes, *, together: bool
) -> Iterator[Outcome]:
    """Sign files, and write them together as far as none has to wait."""
    most = limits.ABREAST_MAX if together and request and sign.side_by_side(request) else 1
    with patches.Group() as group:
        waiting: list[Outcome] = []
        for outcome in abreast.run((_one(path, args, request, attached, group) for path in paths), most):
            waiting.append(outcome)
            if group.due or not together:
                yield from _committed(group, waiting)
                waiting = []
        yield from _committed(group, waiting)


def _committed(group: patches.Group, waiting: list[Outcome]) -> Iterator[Outcome]:
    errors = group.commit()
    for outcome in waiting:
        error = errors.get(outcome.facts.get("written", ""))
        yield _failed(outcome.path, error) if error else outcome


def _one(
    path: str, args: Namespace, request: sign.SignRequest | None, attached: bytes, group: patches.Group
) -> Generator[int, None, Outcome]:
    try:
        with Artifact.open(path) as artifact:
            yield artifact.view.size
            facts, made = yield from _signed(artifact, args, request, attached, group)
            return Outcome(path, facts, made=made)
    except ChopmarkError as error:
        return _failed(path, error)


def _failed(path: str, error: ChopmarkError) -> Outcome:
    said = str(error)
    return Outcome(path, {}, said if path in said else f"{path}: {said}", error.exit_status)


def _signed(
    artifact: Artifact, args: Namespace, request: sign.SignRequest | None, attached: bytes, group: patches.Group
) -> Generator[int, None, tuple[dict[str, Any], sign_log.Made | None]]:
    """Sign one file as asked; the facts that `--json` prints, and what a log may be told."""
    facts: dict[str, Any] = {"path": artifact.name}
    if request is None:
        whole = sign.complete(attached)
        if whole is None:
            message = "no key"
            raise UsageError(message)
        signed = sign.attach_envelope(artifact, whole, _options(args), args.format, certificates_of(args))
    elif args.digest_only:
        format_, _, draft = sign.draft(artifact, request)
        target = args.output or artifact.name + TO_BE_SIGNED
        patches.write_file(target, draft.to_be_signed)
        facts |= {
            "status": "prepared",
            "format": format_.name,
            "written": target,
            "digest_algorithm": draft.digest_algorithm,
            "digest": digest.of(draft.to_be_signed, draft.digest_algorithm).hex(),
        }
        return facts, None
    elif args.attach:
        signed = sign.attach(artifact, request, _to_be_signed(artifact.name), attached)
    else:
        signed = yield from sign.stages(artifact, request)
        yield 0
    written = sign.write(artifact, signed, args.output, settled=False, group=group)
    facts |= {"status": "signed", "format": signed.format.name, "written": written}
    if request is None:
        return facts, None
    facts |= _by(request)
    if not args.log:
        return facts, None
    about = artifact.name if signed.patch.companion else written
    key = digest.of(request.signer.public_key, "sha256").hex()
    return facts, sign_log.Made(about, signed.format.name, key, facts["signer"])


@lru_cache(maxsize=1)
def _by(request: sign.SignRequest) -> dict[str, Any]:
    """What is the same for all files of a call."""
    return {
        "signer": _signer_name(request),
        "digest_algorithm": request.options.digest_algorithm,
        "time_stamp": request.stamper is not None or request.countersigner is not None,
    }


def _signer_name(request: sign.SignRequest) -> str:
    if request.certificates and sign.certified(request.format_name):
        return sign.preflight(request).subject_text
    return f"key {digest.of(request.signer.public_key, 'sha256').hex()}"


def _to_be_signed(name: str) -> bytes:
    path = name + TO_BE_SIGNED
    try:
        return read_small(path, limits.ENVELOPE_MAX)
    except InputError as error:
        message = f"{error}: --digest-only writes it, and --attach needs it to know what was signed"
        raise UsageError(message) from None


class _Elsewhere(NamedTuple):
    """A key that is not here: all that is known of it is its certificate."""

    algorithm: str
    public_key: bytes
    certificates: tuple[bytes, ...]

    @classmethod
    def of(cls, certificates: tuple[bytes, ...], attached: str | None) -> _Elsewhere:
        if not certificates:
            message = "--digest-only needs --cert: the certificate is part of what is signed"
            if attached:
                message = f"{attached} is no complete PKCS #7 signature, so --attach needs --cert, as --digest-only did"
            raise UsageError(message)
        from chopmark.envelopes import public_keys, x509

        spki = x509.certificate(certificates[0]).spki
        return cls(public_keys.kind(spki), spki, certificates)

    def sign(self, data: bytes, digest_algorithm: str) -> bytes:  # noqa: ARG002 - the contract's shape
        message = "this key is elsewhere"
        raise UsageError(message)


def _show(outcome: Outcome, args: Namespace) -> None:
    if args.json:
        import json  # only for this shape

        print(json.dumps(outcome.facts or {"path": outcome.path, "status": "failed", "error": outcome.error}))
        return
    if outcome.error:
        remedy = INPUT_NOT_A_FILE.remedy
        hint = f"; {remedy[:1].lower()}{remedy[1:]}" if os.path.isdir(outcome.path) else ""
        output.complain(f"{outcome.error}{hint}")
        return
    facts = outcome.facts
    written = output.clean(facts["written"])
    if "digest" in facts:
        print(f"{written}  {facts['digest_algorithm']}:{facts['digest']}")
        return
    print(f"signed     {written}")
    if len(args.files) == 1:
        print(output.filled(", ".join([facts["format"], *_how(facts)])))


def _summarise(outcomes: list[Outcome]) -> None:
    """One line for many files: how many, and what holds for all of them."""
    done = [outcome.facts for outcome in outcomes if not outcome.error]
    failed = len(outcomes) - len(done)
    if not done or "digest" in done[0]:
        return
    said = f"{counted(len(outcomes), 'file')}: {len(done)} signed"
    print(output.filled(said + (f", {failed} not" if failed else ""), ""))
    print(output.filled(", ".join(_how(done[0]))))


def _how(facts: dict[str, Any]) -> list[str]:
    """Digest, signer and time stamp: the same for all files of a call."""
    if "signer" not in facts:
        return ["as it was given"]
    stamp = ["time-stamped"] if facts["time_stamp"] else []
    return [facts["digest_algorithm"], *stamp, f"by {output.clean(facts['signer'])}"]
