"""Show what is in the signatures of files, with no judgement.

Nobody is trusted and nothing is fetched: `chopmark verify` judges.

    $ chopmark inspect setup.exe
    $ chopmark inspect driver.sys --extract signature.p7s
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.core import patch as patches
from chopmark.core.artifact import Artifact
from chopmark.core.errors import ChopmarkError, UsageError
from chopmark.engine import check, identify, inspect

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


_LABEL = 13
"""Columns for what a row is about; a SHA-256 beside it fits into 80."""


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="file to look into")
    parser.add_argument("--format", metavar="NAME", default="", help="take the file for this format")
    parser.add_argument("--json", action="store_true", help="one JSON object per file, a line each")
    parser.add_argument("--extract", metavar="F", help="write the first signature there, as it stands (DER; one FILE)")


def run(args: Namespace) -> int:
    """Inspect every file; the worst exit status of those that could not be looked at, else 0."""
    output.prepare()
    identify.known(args.format)
    if args.extract and len(args.files) != 1:
        message = "--extract goes with one FILE"
        raise UsageError(message)
    worst = 0
    for path in args.files:
        try:
            with Artifact.open(path) as artifact:
                if args.extract:
                    _extract(artifact, args.format, args.extract)
                facts = inspect.inspect(artifact, args.format)
        except ChopmarkError as error:
            output.complain(error, path)
            worst = max(worst, error.exit_status)
            continue
        _show(facts, as_json=args.json)
    return worst


def _extract(artifact: Artifact, format_name: str, target: str) -> None:
    found, _ = check.seals_of(artifact, identify.identify(artifact, format_name), alone=bool(format_name))
    if not found:
        message = f"{artifact.name}: there is no signature to extract"
        raise UsageError(message)
    patches.write_file(target, found[0].seal.envelope.raw)


def _show(facts: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        import json  # only for this shape

        print(json.dumps(facts))
        return
    print(output.clean(facts["path"]))
    rows = [("format", facts["title"]), ("size", f"{facts['size']:,} bytes")]
    rows += facts["facts"].items()
    if facts["broken"]:
        rows.append(("broken", facts["broken"]))
    elif not facts["seals"]:
        rows.append(("signatures", "none"))
        if facts["signature_of"]:
            rows.append(("signature of", f"{facts['signature_of']}, and shown with that"))
    _rows(rows)
    for seal in facts["seals"]:
        print(f"{seal['where']} ({seal['scheme']}, {seal['size']:,} bytes)")
        _rows(_seal_rows(seal))


def _seal_rows(seal: dict[str, Any]) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for claim in seal["claims"]:
        rows.append((claim["what"], f"{claim['algorithm']} over {claim['covers']:,} bytes"))
        rows.append(("  claimed", claim["claimed"] or "by the signature itself"))
        same = claim["computed"] == claim["claimed"] or not claim["claimed"]
        rows.append(("  computed", "the same" if claim["claimed"] and same else claim["computed"]))
    rows += _holder("signer", seal["signer"])
    rows.append(("claimed time", seal["claimed_time"] or "none"))
    rows += [(key, str(value)) for key, value in seal["facts"].items()]
    rows += [("certificate", found.get("broken", found.get("subject", ""))) for found in seal["certificates"]]
    for stamp in seal["time_stamps"]:
        rows.append(("time stamp", f"{stamp['time']} ({stamp['kind']})"))
        rows += _holder("authority", stamp["authority"])
    if not seal["time_stamps"]:
        rows.append(("time stamp", "none"))
    return rows


def _holder(label: str, holder: dict[str, Any] | None) -> list[tuple[str, str]]:
    if holder is None:
        return [(label, "nobody it names")]
    rows = [(label, holder["subject"])]
    if "issuer" in holder:
        rows.append(("  issuer", holder["issuer"]))
        rows.append(("  serial", holder.get("serial", "")))
        rows.append(("  valid", f"{holder.get('not_before', '')} to {holder.get('not_after', '')}"))
    return [*rows, ("  key sha256", holder["key_sha256"])] if holder["key_sha256"] else rows


def _rows(rows: list[tuple[str, str]]) -> None:
    indent = " " * (2 + _LABEL)
    for label, value in rows:
        print(output.filled(output.clean(value) or "(empty)", indent, f"  {label:<{_LABEL}}"))
