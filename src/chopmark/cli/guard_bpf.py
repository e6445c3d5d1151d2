"""`chopmark guard bpf`: verdicts that the kernel itself holds, so that they outlive everybody who gave them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.core.errors import InputError, UnavailableError, UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from chopmark.agent.bpf.pinned import Pinned

_PLACE = "/sys/fs/bpf/chopmark"
_SUFFIX = ".fsv_sig"


def add_arguments(actions: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the commands."""
    group = actions.add_parser("bpf", help="verdicts in the kernel, which outlive the guard (BPF LSM)")
    parts = group.add_subparsers(dest="part", required=True, metavar="COMMAND")
    load = parts.add_parser("load", help="load the programs, and deny what no verdict is about on file systems")
    load.add_argument("--mount", action="append", default=[], metavar="DIR", help="protect its file system; repeatable")
    load.add_argument("--strict", action="store_true", help="judge libraries too, not executions alone")
    load.add_argument("--audit", action="store_true", help="count, but deny nothing")
    load.add_argument(
        "--signed-by", action="append", default=[], metavar="NAME|F",
        help="allow what `guard bpf seal` sealed with a signature by a certificate in this store; repeatable",
    )  # fmt: skip
    allow = parts.add_parser("allow", help="judge files by a policy and give the kernel the verdicts")
    allow.add_argument("files", nargs="+", metavar="FILE", help="a file that may run, if the policy says so")
    allow.add_argument("--policy", metavar="F", required=True, help="the policy")
    allow.add_argument("--catalogs", action="append", default=[], metavar="F|DIR", help="catalogs; repeatable")
    allow.add_argument("--store", action="append", default=[], metavar="NAME|F", help="instead of the policy's stores")
    allow.add_argument("--crl", action="append", default=[], metavar="F", help="a CRL file; repeatable")
    allow.add_argument("--revocation", choices=("require", "prefer", "off"), default="", help="instead of the policy's")
    seal = parts.add_parser("seal", help="turn on fs-verity for good, and attach FILE.fsv_sig for the kernel to check")
    seal.add_argument("files", nargs="+", metavar="FILE", help="a file that nobody changes any more")
    status = parts.add_parser("status", help="what is protected, and what was counted")
    status.add_argument("--json", action="store_true", help="a JSON object")
    unload = parts.add_parser("unload", help="detach the programs and forget everything")
    for part in (load, allow, status, unload):
        part.add_argument("--pins", default=_PLACE, metavar="DIR", help=f"a folder of a BPF file system ({_PLACE})")


def run(args: Namespace) -> int:
    """Do what was asked."""
    parts: dict[str, Callable[[Namespace], int]] = {
        "load": _load,
        "allow": _allow,
        "seal": _seal,
        "status": _status,
        "unload": _unload,
    }
    try:
        return parts[args.part](args)
    except OSError as error:
        raise UnavailableError(f"verdicts in the kernel: {error.strerror}") from None


def _load(args: Namespace) -> int:
    from chopmark.agent import mounts
    from chopmark.agent.bpf import btf, keyrings, pinned, programs, support, verity

    flags = (0 if args.audit else programs.ENFORCE) | (programs.STRICT if args.strict else 0)
    flags |= verity.SIGNED if args.signed_by else 0
    certificates = [each for path in args.signed_by for each in _certificates(path)]
    found = []
    for folder in args.mount:
        mount = mounts.of(folder)
        if mount is None or not os.path.isdir(folder):
            raise UsageError(f"{folder}: no such folder")
        if not mount.leased or not mount.has_files:
            raise UsageError(f"{folder}: file systems of kind {mount.kind} cannot be protected: writers are not seen")
        found.append(mount)
    if not pinned.attached(args.pins):
        support.required()
        pinned.load(btf.of_kernel(), args.pins)
    with pinned.open_pinned(args.pins) as held:
        if certificates:
            held.trust_keyring(keyrings.make(certificates))
        for mount in found:
            held.protect(mount.device, flags)
    return 0


def _certificates(path: str) -> list[bytes]:
    from chopmark.trust.stores import store

    found = [each.certificate.raw for source in store.load([path]).sources for each in source.every()]
    if not found:
        raise UsageError(f"{path}: no certificates")
    return found


def _allow(args: Namespace) -> int:
    from chopmark.agent import events, leases, memory, opening
    from chopmark.agent.bpf import allowing, pinned
    from chopmark.agent.deciding import Decider
    from chopmark.agent.examining import Examination
    from chopmark.agent.settings import Settings, Sources

    leases.block()
    sources = Sources(
        policy=os.path.abspath(args.policy),
        catalogs=tuple(args.catalogs),
        stores=tuple(args.store),
        crls=tuple(args.crl),
        revocation=args.revocation,
    )
    world = opening.opened(sources)
    worst = 0
    with pinned.open_pinned(args.pins) as held:
        examination = Examination(world, memory.Memory("", output.complain))
        decider = Decider(world, Settings((), lambda: world), events.Stream([]))
        for path in args.files:
            try:
                found = allowing.allow(held, examination, decider, path)
            except InputError as error:
                output.complain(str(error))
                worst = max(worst, error.exit_status)
                continue
            mark = "allowed" if found.allowed else "denied"
            print(output.filled(f"{found.path}: {found.why}", "         ", f"{mark:8} "))
            worst = max(worst, 0 if found.allowed else 1)
    return worst


def _seal(args: Namespace) -> int:
    from chopmark.agent.bpf import sealing
    from chopmark.core import limits

    for path in args.files:
        try:
            with open(path + _SUFFIX, "rb") as file:
                signature = file.read(limits.GUARD_BPF_SIGNATURE_MAX + 1)
        except OSError as error:
            raise InputError(f"{path}{_SUFFIX}: {error.strerror}") from None
        sealing.seal(path, signature)
    return 0


def _status(args: Namespace) -> int:
    from chopmark.agent import mounts
    from chopmark.agent.bpf import pinned

    with pinned.open_pinned(args.pins) as held:
        facts = _facts(held, pinned.attached(args.pins), {each.device: each.place for each in mounts.mounted()})
    if args.json:
        import json

        print(json.dumps(facts))
        return 0
    print(f"hooks      {', '.join(facts['hooks'])}")
    for each in facts["protected"]:
        print(f"protects   {output.clean(each['place'])}  {', '.join(each['how'])}")
    print(f"keyring    {facts['keyring'] or '-'}")
    print("\n".join(f"{name:10} {count}" for name, count in facts["counts"].items()))
    return 0


def _facts(held: Pinned, hooks: list[str], places: dict[int, str]) -> dict[str, Any]:
    from chopmark.agent.bpf import programs, verity

    named = {programs.STRICT: "strict", verity.SIGNED: "signatures"}
    return {
        "hooks": hooks,
        "protected": [
            {
                "place": places.get(device, f"device {os.major(device)}:{os.minor(device)}"),
                "how": ["enforce" if flags & programs.ENFORCE else "audit"]
                + [name for bit, name in named.items() if flags & bit],
            }
            for device, flags in held.protected().items()
        ],
        "keyring": held.keyring if held.proves else 0,
        "epoch": held.epoch,
        "counts": held.counts(),
    }


def _unload(args: Namespace) -> int:
    from chopmark.agent.bpf import pinned

    pinned.unload(args.pins)
    return 0
