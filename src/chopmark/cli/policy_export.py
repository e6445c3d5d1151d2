"""`chopmark policy export` and `capabilities`: the policy in other systems' languages, and what these can say."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, policy_use, sign, verify
from chopmark.core import clock, limits
from chopmark.core.counting import counted
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterable, Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.engine.policing.loading import Policy
    from chopmark.harden.contract import Capability, Enforcer, Exporter, Request, Signing
    from chopmark.harden.material import AtHand, Material
    from chopmark.trust.context import Context

_WIDTH, _NAMES = 80, 20
"""Columns of a screen, and of the names of conditions."""
_LEGEND = (
    "= as it is; < allows less; > would allow more, so it is not said; - not at all",
    "First in rules that allow, then in rules that deny. --to NAME has the reasons.",
)
_LETTERS = {"exact": "=", "narrower": "<", "wider": ">", "not at all": "-"}


def add_to(actions: Any) -> None:  # noqa: ANN401 - argparse keeps this class to itself
    """Declare the commands."""
    export = actions.add_parser(
        "export",
        help="write it in another system's language, where it never allows more",
        description="What differs is told rule by rule. An export that would allow what the policy denies is refused.",
    )
    export.add_argument("policy", metavar="POLICY", help="the policy")
    export.add_argument("--to", metavar="NAME", required=True, help="the system (chopmark policy capabilities)")
    export.add_argument("-o", "--output", metavar="DIR", default="", help="the folder (default: NAME)")
    export.add_argument("--force", action="store_true", help="replace an earlier export in it")
    export.add_argument(
        "--signer", action="append", default=[], metavar="F", help="certificates of signers; repeatable"
    )
    export.add_argument(
        "--root", metavar="DIR", default="", help="files at hand: a host's, or an image's; / is this host"
    )
    export.add_argument("-j", "--jobs", metavar="N", help="processes for them (default: one per processor)")
    policy_use.add_kinds(export)
    export.add_argument(
        "--option", action="append", default=[], metavar="NAME[=VALUE]", help="what the system offers; repeatable"
    )
    export.add_argument(
        "--leave-out", action="append", default=[], metavar="RULE", help="accept that a rule does not hold; repeatable"
    )
    export.add_argument("--until", metavar="TIME", help="it will have been made anew by then, before rules end")
    export.add_argument("-v", "--verbose", action="store_true", help="tell of every rule and signer")
    export.add_argument("--json", action="store_true", help="one JSON object per finding, a line each")
    policy_use.add_signers(export)
    verify.add_trust_arguments(export)
    export.add_argument("--catalogs", action="append", metavar="F|DIR", help="catalogs that count; may be repeated")
    sign.add_key_arguments(export)
    export.set_defaults(do=_export)
    capabilities = actions.add_parser("capabilities", help="what of a policy each system can express")
    capabilities.add_argument("--to", metavar="NAME", default="", help="one system, with the reasons")
    capabilities.add_argument("--json", action="store_true", help="one JSON object per system, a line each")
    capabilities.set_defaults(do=_capabilities)


def _backends() -> dict[str, Enforcer]:
    """By the name that commands use."""
    from chopmark.core import discovery

    found: dict[str, Enforcer] = {each.name: each for each in discovery.exported("chopmark.harden", "BACKEND").values()}
    return dict(sorted(found.items()))


def _backend(name: str) -> Enforcer:
    known = _backends()
    if name not in known:
        raise UsageError(f"no system is called {name!r} (known: {', '.join(known)})")
    return known[name]


def _exporter(args: Namespace) -> Exporter:
    from chopmark.harden.contract import Exporter

    backend = _backend(args.to)
    if not isinstance(backend, Exporter):
        raise UsageError(f"{backend.title} takes the policy as it is")
    return backend


def _export(args: Namespace) -> int:
    from chopmark.harden import folder
    from chopmark.harden.contract import WiderError

    backend = _exporter(args)
    policy = policy_use.load(args.policy, args)
    with ExitStack() as connections:
        request = _request(args, backend, policy, connections)
    try:
        export = backend.export(request)
    except WiderError as error:
        _tell(error.findings, args)
        raise
    written = folder.write(args.output or backend.name, backend, request, export, replace=args.force)
    _tell(export.findings, args)
    if not args.json:
        for path in written:
            print(f"written    {output.clean(path)}")
        print(output.filled(_summary(export.findings)))
    return 0


def _request(args: Namespace, backend: Exporter, policy: Policy, connections: ExitStack) -> Request:
    from chopmark.harden.contract import Request

    policy_use.adopt(args, policy)
    uses = frozenset(args.use)
    if uses and uses.isdisjoint(backend.governs):
        raise UsageError(f"{backend.title} decides about {', '.join(sorted(backend.governs))}")
    return Request(
        policy=policy,
        material=_material(args, connections),
        at=clock.parse(args.at) if args.at else clock.now(),
        uses=uses,
        left_out=_left_out(args.leave_out, policy),
        until=clock.parse(args.until) if args.until else None,
        options=_options(args.option, backend),
        signing=_signing(args),
    )


def _left_out(names: list[str], policy: Policy) -> frozenset[str]:
    known = {str(rule.place) for rule in policy.rules} | {rule.label for rule in policy.rules if rule.label}
    for name in names:
        if name not in known:
            raise UsageError(f"--leave-out: no rule stands at or is called {name!r}")
    return frozenset(names)


def _options(given: list[str], backend: Exporter) -> dict[str, str]:
    found = {name: value for name, _, value in (each.partition("=") for each in given)}
    for name in found:
        if name not in backend.options:
            known = "; ".join(f"{name}: {what}" for name, what in backend.options.items())
            raise UsageError(f"{backend.title} has no option {name!r} ({known or 'it has none'})")
    return found


def _material(args: Namespace, connections: ExitStack) -> Material:
    from chopmark.core.artifact import read_as
    from chopmark.envelopes import pem
    from chopmark.harden import material

    if args.signer and not args.store:
        raise UsageError("which signers count is said by a trust store: the policy names none, so give --store")
    if not (args.signer or args.root):
        return material.Material()
    raw: list[bytes] = []
    for file in args.signer:
        raw += read_as(file, limits.STORE_FILE_MAX, pem.certificates)
    if len(raw) > limits.EXPORT_SIGNERS_MAX:
        raise UsageError(f"{len(raw)} certificates of signers; at most {limits.EXPORT_SIGNERS_MAX} are used")
    context = _context(args, connections)
    signers = material.identities(raw, context)
    return material.Material(signers, tuple(_files(args, context)) if args.root else ())


def _context(args: Namespace, connections: ExitStack) -> Context:
    """Whom to believe; a policy of digests believes nobody."""
    from chopmark.trust import context
    from chopmark.trust.stores import store

    if not args.store:
        return context.Context(store.Store(()), clock.parse(args.at) if args.at else clock.now(), context.OFF)
    found = verify.context_for(args, connections)
    verify.add_catalogs(args, found)
    return found


def _files(args: Namespace, context: Context) -> Iterator[AtHand]:
    import os
    from functools import partial

    from chopmark.cli import settings
    from chopmark.engine import batch
    from chopmark.engine.policing import judging
    from chopmark.harden import material
    from chopmark.policy import state

    real = os.path.realpath(args.root)
    paths = judging.files_below(real)
    with state.opened(write=False) as known:
        jobs = batch.jobs_for(len(paths), settings.jobs_wanted(args.jobs, "verify"))
        work = partial(material.at_hand, context=context, root=real, state=known)
        count = 0
        for each in output.progress(batch.run(paths, work, jobs), len(paths), "judging"):
            if each is None:
                continue
            count += 1
            if count > limits.EXPORT_FILES_MAX:
                raise UsageError(f"{args.root}: more than {limits.EXPORT_FILES_MAX} files of code")
            yield each


def _signing(args: Namespace) -> Signing | None:
    if not args.key:
        return None
    from chopmark import keys
    from chopmark.engine import keyring
    from chopmark.harden import signing

    signer = keyring.open_key(args.key, keys.secret(args.passphrase))
    certificates = sign.certificates_of(args) or signer.certificates
    if not certificates:
        raise UsageError("no certificate: give --cert, or a key that brings its own (PKCS #12)")
    return signing.by(signer, certificates)


def _tell(findings: tuple[Finding, ...], args: Namespace) -> None:
    import json

    from chopmark.harden import folder

    for finding in findings:
        if args.json:
            print(json.dumps(folder.as_dict(finding)))
        elif finding.code == "harden.unchecked":
            print(output.filled(output.clean(f"{finding.subject}: {finding.detail}"), first=" unseen    "))
        elif args.verbose or finding.outcome != "ok":
            print(output.show_finding(finding))


def _summary(findings: tuple[Finding, ...]) -> str:
    kinds = {"harden.exact": "as they are", "harden.narrowed": "narrower", "harden.dropped": "dropped"}
    kinds |= {"harden.left_out": "left out", "harden.idle": "without effect", "harden.expired": "expired"}
    counts = {code: sum(finding.code == code for finding in findings) for code in kinds}
    total = sum(counts.values())
    return f"{counted(total, 'rule')}: " + ", ".join(f"{n} {kinds[code]}" for code, n in counts.items() if n)


def _capabilities(args: Namespace) -> int:
    backends = {args.to: _backend(args.to)} if args.to else _backends()
    if args.json:
        import json

        for name, backend in backends.items():
            table = {key: cell._asdict() for key, cell in backend.capabilities().items()}
            print(json.dumps({"name": name, "title": backend.title, "capabilities": table}))
    elif args.to:
        _print_one(backends[args.to])
    else:
        for line in table_of(backends):
            print(line)
    return 0


def _print_one(backend: Enforcer) -> None:
    from chopmark.harden.contract import Exporter

    print(backend.title)
    for name, cell in backend.capabilities().items():
        print(output.filled(cell.sentence, " " * 26, f"{name:<22} {_cell(cell)} ").rstrip())
    if isinstance(backend, Exporter):
        for name, what in backend.options.items():
            print(output.filled(what, " " * 26, f"--option {name:<17}"))
    print("\n".join(_LEGEND))


def table_of(backends: Mapping[str, Enforcer]) -> list[str]:
    """Conditions down, systems across: two letters each, for rules that allow and for those that deny.

    Systems whose names no longer fit beside the others have a table below.
    """
    from chopmark.harden.contract import CONDITIONS, TRAITS

    tables = {name: backend.capabilities() for name, backend in backends.items()}
    lines: list[str] = []
    for names in _beside(tables):
        lines += ["", _line("", dict(zip(names, names, strict=True)))]
        for condition in (*CONDITIONS, *TRAITS):
            lines.append(_line(condition, {name: _cell(tables[name][condition]) for name in names}))
    return [*lines[1:], *_LEGEND]


def _beside(names: Iterable[str]) -> Iterator[list[str]]:
    """As many names as fit on a line, and then those that are left."""
    row: list[str] = []
    for name in names:
        if row and _NAMES + sum(len(each) + 1 for each in (*row, name)) > _WIDTH:
            yield row
            row = []
        row.append(name)
    yield row


def _line(condition: str, cells: Mapping[str, str]) -> str:
    return f"{condition:<{_NAMES}}{''.join(f'{cell:<{len(name) + 1}}' for name, cell in cells.items())}".rstrip()


def _cell(capability: Capability) -> str:
    return _LETTERS[capability.allow] + _LETTERS[capability.deny]
