"""Secure Boot: make, sign and read what firmware trusts (PK, KEK, db, dbx), and judge images as firmware and shim do.

Lists of certificates and digests lie alone in files (.esl), in signed updates (.auth) or in efivarfs; all are read. To
enrol keys: `create` a list, `sign-update` it with PK or KEK, and give the .auth to efi-updatevar or to the firmware.

    $ chopmark secureboot create --cert db.pem -o db.esl
    $ chopmark secureboot check grubx64.efi --db db.esl
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chopmark.cli import output, secureboot_check, secureboot_update
from chopmark.core import clock
from chopmark.core import patch as patches
from chopmark.core.counting import counted
from chopmark.core.errors import ChopmarkError, MalformedError, UsageError

if TYPE_CHECKING:
    import datetime as dt
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from chopmark.envelopes.efi.lists import Entry
    from chopmark.envelopes.efi.variables import Stored


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="COMMAND")
    show = actions.add_parser("list", help="what is in lists, signed updates, or a folder of variables")
    show.set_defaults(do=_list)
    show.add_argument(
        "paths", nargs="*", metavar="PATH", help="file, or folder of efivarfs (default: those of this machine)"
    )
    show.add_argument("--extract", metavar="DIR", help="write the certificates in them there (DER)")
    show.add_argument("--json", action="store_true", help="one JSON object per entry, a line each")
    create = actions.add_parser("create", help="make a list of certificates and digests")
    create.set_defaults(do=_create)
    create.add_argument("-o", "--output", metavar="F", required=True, help="the list (usually F.esl)")
    create.add_argument("--cert", action="append", default=[], metavar="F", help="certificates (PEM or DER)")
    create.add_argument("--image", action="append", default=[], metavar="F", help="images, by their SHA-256 digest")
    create.add_argument("--hash", action="append", default=[], metavar="HEX", help="a digest of an image (SHA-2)")
    create.add_argument(
        "--revoke",
        action="append",
        default=[],
        metavar="F",
        help="certificates by the digest of what was signed in them",
    )
    create.add_argument("--since", metavar="TIME", help="--revoke only what no time stamp shows to be from before")
    create.add_argument("--list", action="append", default=[], metavar="F", help="what is in another list, too")
    create.add_argument("--owner", metavar="GUID", default="", help="whose entries they are (default: all zeros)")
    secureboot_update.add_actions(actions)
    secureboot_check.add_actions(actions)


def run(args: Namespace) -> int:
    """Do what was asked."""
    output.prepare()
    do: Any = args.do
    status: int = do(args)
    return status


def _list(args: Namespace) -> int:
    from chopmark.trust.secureboot import state

    worst = 0
    for path in args.paths or [state.LIVE]:
        try:
            for where, stored in _stored(path):
                _show(where, stored, args)
        except ChopmarkError as error:
            output.complain(error, path)
            worst = max(worst, error.exit_status)
    return worst


def _stored(path: str) -> Iterator[tuple[str, Stored]]:
    """The values in a file, or in all variables of a folder, with the name of each."""
    from chopmark.trust.secureboot import state

    if path == state.LIVE or os.path.isdir(path):
        state.require_folder(path)
    else:
        yield path, state.read_file(path)
        return
    found = False
    for name, stored in state.read_folder(path):
        found = True
        yield name, stored
    if not found:
        raise UsageError(f"{path}: none of the variables of Secure Boot is there")


def _show(where: str, stored: Stored, args: Namespace) -> None:
    import json

    from chopmark.envelopes.efi import lists

    entries = lists.read(stored.value)
    if args.extract:
        _extract(entries, args.extract)
    if args.json:
        for number, entry in enumerate(entries, 1):
            print(json.dumps({"where": where, "form": stored.form, "number": number, **_facts(entry)}))
        return
    print(f"{output.clean(where)}: {stored.form}, {counted(len(entries), 'entry', 'entries')}")
    if stored.update is not None:
        made = stored.update.time
        print(output.filled(f"signed as of {clock.show(made) if made else 'no time'}", "  "))
    for entry in entries:
        facts = _facts(entry)
        kind, owner = facts.pop("type"), facts.pop("owner")
        what = facts.get("subject") or facts.get("digest") or facts.get("broken") or facts.get("data", "")
        print(output.filled(output.clean(str(what)), " " * 14, f"  {kind:<11} "))
        for name in ("valid", "sha256", "revoked"):
            if name in facts:
                print(output.filled(f"{name} {facts[name]}", " " * 14))
        if any(entry.owner):
            print(output.filled(f"owner {owner}", " " * 14))


def _facts(entry: Entry) -> dict[str, Any]:
    from chopmark.envelopes import x509
    from chopmark.envelopes.efi import guid

    facts: dict[str, Any] = {"type": entry.kind.name, "owner": guid.show(entry.owner)}
    if entry.kind.name == "x509":
        try:
            found = x509.certificate(entry.data)
            facts |= {
                "subject": found.subject_text,
                "issuer": found.issuer_text,
                "serial": found.serial_octets.hex(),
                "valid": f"{clock.show(found.not_before)} to {clock.show(found.not_after)}",
                "sha256": found.sha256,
            }
        except MalformedError as error:
            facts["broken"] = f"no certificate that can be read: {error}"
    elif entry.digest:
        facts["digest"] = entry.digest.hex()
        if entry.kind.revokes_tbs:
            try:
                since = entry.revoked_at
                facts["revoked"] = f"from {clock.show(since)} on" if since else "always"
            except MalformedError as error:
                facts["revoked"] = f"always ({error})"
    else:
        facts["data"] = entry.data[:64].hex()
    return facts


def _extract(entries: list[Entry], folder: str) -> None:
    import hashlib

    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: {os.strerror(error.errno or 0)}") from None
    for entry in entries:
        if entry.kind.name == "x509":
            name = hashlib.sha256(entry.data).hexdigest()[:16]
            patches.write_file(os.path.join(folder, f"{name}.der"), entry.data)


def _create(args: Namespace) -> int:
    from chopmark.envelopes.efi import guid, lists

    owner = guid.encode(args.owner) if args.owner else lists.OWNER
    entries = list(_entries(args, owner))
    if not entries:
        raise UsageError("nothing to list: give --cert, --image, --hash, --revoke or --list")
    distinct = list(dict.fromkeys(entries))
    patches.write_file(args.output, lists.write(distinct))
    print(f"listed     {output.clean(args.output)}")
    print(output.filled(counted(len(distinct), "entry", "entries")))
    return 0


def _entries(args: Namespace, owner: bytes) -> Iterator[Entry]:
    from chopmark.envelopes import x509
    from chopmark.envelopes.efi import lists
    from chopmark.trust.blocklists import blocklist
    from chopmark.trust.secureboot import state

    since = clock.parse(args.since) if args.since else None
    if since is not None and not args.revoke:
        raise UsageError("--since goes with --revoke")
    for path in args.list:
        yield from lists.read(state.read_file(path).value)
    for path in args.cert:
        for raw in secureboot_update.certificates_in(path):
            x509.certificate(raw)
            yield lists.certificate_entry(raw, owner)
    for path in args.revoke:
        yield from _revocations(path, since, owner, blocklist.tbs_digest)
    for path in args.image:
        yield lists.digest_entry("sha256", _image_digest(path), owner)
    for text in args.hash:
        yield _digest(text, owner)


def _revocations(path: str, since: dt.datetime | None, owner: bytes, digest: Any) -> Iterator[Entry]:  # noqa: ANN401
    from chopmark.envelopes import x509
    from chopmark.envelopes.efi import lists

    for raw in secureboot_update.certificates_in(path):
        yield lists.revocation_entry("sha256", digest(x509.certificate(raw), "sha256"), since, owner)


def _image_digest(path: str) -> bytes:
    from chopmark.core.artifact import Artifact
    from chopmark.engine import secureboot

    with Artifact.open(path) as artifact:
        return secureboot.digests(artifact, ("sha256",))["sha256"]


def _digest(text: str, owner: bytes) -> Entry:
    from chopmark.envelopes.efi import lists

    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    for algorithm in ("sha256", "sha384", "sha512"):
        if lists.BY_NAME[algorithm].size == len(value):
            return lists.digest_entry(algorithm, value, owner)
    raise UsageError(f"not a digest of SHA-256, SHA-384 or SHA-512 in hex: {text[:140]!r}")
