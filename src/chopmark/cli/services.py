"""List everything on a Linux system that starts by itself, and check that it and all that it starts is signed.

systemd's units with drop-ins, timers, sockets, generators, init scripts, cron, desktop and D-Bus files, profiles of
shells and PowerShell, ld.so.preload, udev and modprobe rules, PAM. On the running host, or in an image with --root DIR,
out of which no link leads. `services sign UNIT` signs a unit with all its drop-ins: whatever is added later breaks it.

    $ chopmark services check --store corp
    $ chopmark services check --root /mnt/image --json
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output, services_check, sign, verify
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from chopmark.engine.services.entry import Entry
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.units.tree import Tree


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    check = actions.add_parser("check", help="judge every definition, and every program that is started")
    check.add_argument("names", nargs="*", metavar="NAME", help="units, or paths of files (default: everything)")
    _add_common(check)
    verify.add_trust_arguments(check)
    services_check.add_arguments(check)
    listing = actions.add_parser("list", help="what starts by itself, with no judgement")
    listing.add_argument("names", nargs="*", metavar="NAME", help="units, or paths of files (default: everything)")
    _add_common(listing)
    listing.add_argument("--json", action="store_true", help="one JSON object per entry, a line each")
    show = actions.add_parser("show", help="a unit as systemd merges it, each setting with the line it comes from")
    show.add_argument("unit", metavar="UNIT", help="name of the unit, or an alias")
    _add_common(show)
    show.add_argument("--all", action="store_true", help="settings that are not in force, too")
    show.add_argument("--json", action="store_true", help="one JSON object")
    signing = actions.add_parser("sign", help="sign units with all their files: UNIT.seal, beside the administrator's")
    signing.add_argument("units", nargs="+", metavar="UNIT", help="name of the unit")
    _add_common(signing)
    signing.add_argument("-o", "--output", metavar="DIR", help="write there instead, to be put in place later")
    sign.add_key_arguments(signing)
    signing.add_argument(
        "--timestamp", action="append", metavar="URL", help="RFC 3161 authority; may be repeated: the next on failure"
    )
    signing.add_argument("--json", action="store_true", help="one JSON object per unit, a line each")


def _add_common(parser: ArgumentParser) -> None:
    parser.add_argument("--root", metavar="DIR", default="/", help="an image, or another root (default: /)")
    parser.add_argument(
        "--user", metavar="NAME", default="", help="units of this user's own manager; `-`: of all users'"
    )


def run(args: Namespace) -> int:
    """Do what was asked."""
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.rooted import Root

    output.prepare()
    with Root(args.root) as root:
        host = Host(root)
        if args.action == "check":
            return services_check.run(host, selected(host, args), args)
        return {"list": _list, "show": _show, "sign": _sign}[args.action](host, args)


def selected(host: Host, args: Namespace) -> list[Entry]:
    """The entries that were asked for, all without a name. Raises UsageError for a name that there is not."""
    from chopmark.engine.services import gathering

    scopes = {"": None, "-": "user"}
    scope = scopes.get(args.user, f"user {args.user}")
    found = [each for each in gathering.entries(host) if scope is None or each.scope == scope]
    if not args.names:
        if not found and scope is None:
            from chopmark.engine.services import reasons

            host.findings.append(reasons.NOTHING.found(subject=host.root.path))
        return found
    chosen: list[Entry] = []
    for name in args.names:
        wanted = [each for each in found if _is_called(each, name)]
        if not wanted:
            raise UsageError(f"{name}: nothing of this name starts by itself there")
        chosen += [each for each in wanted if each not in chosen]
    return chosen


def _is_called(entry: Entry, name: str) -> bool:
    aliases = (path.rpartition("/")[2] for path, _ in entry.links)
    return (
        name in (entry.name, *entry.files, *aliases)
        or f"{name}.service" == entry.name
        or (entry.name.startswith(f"{name}:") and name.startswith("/"))
    )


def _list(host: Host, args: Namespace) -> int:
    for entry in selected(host, args):
        if args.json:
            import json

            print(json.dumps(services_check.entry_facts(entry)))
            continue
        state = output.clean(entry.state)
        print(output.row(f"{state:<10} {output.clean(entry.label)}"))
        for start in entry.starts:
            print(output.filled(output.clean(start.name)))
    for finding in host.findings:
        print(output.show_finding(finding))
    return 3 if host.findings else 0


def _tree(host: Host, args: Namespace) -> Tree:
    from chopmark.engine.services.sources import systemd
    from chopmark.engine.services.units.tree import Tree

    wanted = {"": "system", "-": "user"}.get(args.user, f"user {args.user}")
    for scope in systemd.scopes(host):
        if scope.name == wanted:
            return Tree(host.root, scope)
    raise UsageError(f"--user: {args.user} has no units of his own there")


def _show(host: Host, args: Namespace) -> int:
    from chopmark.engine.services.units import merging

    tree = _tree(host, args)
    made = tree.made(args.unit) or tree.made(f"{args.unit}.service")
    if made is None:
        raise UsageError(f"{args.unit}: there is no such unit")
    merged = merging.merge(host.root, made, tree.scope)
    settings = merged.settings if args.all else merged.effective
    if args.json:
        import json

        facts: dict[str, Any] = {
            "unit": made.name, "names": made.names, "files": [made.fragment, *made.dropins], "masked": made.is_masked,
            "settings": [{"section": each.section, "key": each.key, "value": each.value, "file": each.path,
                          "line": each.line} for each in settings],
            "findings": [services_check.finding_facts(each) for each in merged.findings],
        }  # fmt: skip
        print(json.dumps(facts))
        return 0
    print(f"# {output.clean(made.name)}" + (f", also {' '.join(made.names[1:])}" if made.names[1:] else ""))
    for path in (made.fragment, *made.dropins):
        print(f"# {output.clean(path)}")
    section = ""
    for each in sorted(
        settings, key=lambda each: list(dict.fromkeys(one.section for one in settings)).index(each.section)
    ):
        if each.section != section:
            section = each.section
            print(f"\n[{output.clean(section)}]")
        print(f"{output.clean(each.key)}={output.clean(each.value)}")
        print(f"    # {output.clean(each.where)}")
    for finding in merged.findings:
        print(output.show_finding(finding))
    return 0


def _sign(host: Host, args: Namespace) -> int:
    import os
    from contextlib import ExitStack

    from chopmark.core import patch as patches
    from chopmark.core.artifact import Artifact
    from chopmark.engine import sign as signing
    from chopmark.engine.services import sealing
    from chopmark.engine.services.sources import systemd
    from chopmark.formats.unit import definition

    tree = _tree(host, args)
    entries = []
    for name in args.units:
        entry = systemd.entry_of(host, tree, name) or systemd.entry_of(host, tree, f"{name}.service")
        if entry is None:
            raise UsageError(f"{name}: there is no such unit, or none that starts anything")
        sealing.sealable(entry)
        entries.append(entry)
    with ExitStack() as connections:
        request = sign.request_for(_sign_words(args), connections)
        for entry in entries:
            name = f"{entry.name}{systemd.SEAL}"
            target = (
                os.path.join(args.output, name)
                if args.output
                else services_check.place_for(host, tree.scope.admin, name)
            )
            text = definition.write(sealing.definition(host.root, entry))
            artifact = Artifact.from_bytes(text, name)
            signed = signing.sign(artifact, request)
            patches.write_file(target, signed.patch.render(signed.prepared))
            if args.json:
                import json

                print(
                    json.dumps({"unit": entry.name, "status": "signed", "written": target, "files": len(entry.files)})
                )
            else:
                print(f"signed     {output.clean(entry.name)}")
                print(
                    output.filled(f"{len(entry.files)} file{'s' * (len(entry.files) != 1)}, in {output.clean(target)}")
                )
    return 0


def _sign_words(args: Namespace) -> list[str]:
    words = ["--format", "unit"]
    for option, values in (("--cert", args.cert), ("--timestamp", args.timestamp)):
        for value in values or ():
            words += [option, value]
    for option, value in (("--key", args.key), ("--passphrase", args.passphrase)):
        words += [option, value] if value else []
    return words
