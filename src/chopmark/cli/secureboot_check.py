"""The part of `chopmark secureboot` that says whether firmware, or shim, would start images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.core import clock, limits
from chopmark.core.artifact import UnreadableError, read_small
from chopmark.core.errors import InputError, MalformedError, UsageError
from chopmark.core.verdict import EXIT_STATUS, SEVERITY, Status, worst_of

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace

    from chopmark.core.finding import Finding
    from chopmark.trust.secureboot.state import Databases

_FIRMWARE, _SHIM = "firmware", "shim"


def add_actions(actions: Any) -> None:  # noqa: ANN401 - argparse keeps this class to itself
    """Declare the commands of this part."""
    check = actions.add_parser("check", help="whether firmware, or shim, would start images")
    check.set_defaults(do=_check)
    check.add_argument("images", nargs="+", metavar="IMAGE", help="boot loader, kernel, unified kernel image")
    check.add_argument(
        "--efivars", metavar="DIR", help="the machine's variables (default without --db: those of this machine)"
    )
    for name, what in (("db", "allows"), ("dbx", "forbids")):
        check.add_argument(
            f"--{name}", action="append", metavar="F", help=f"what firmware {what}: list or certificates"
        )
    check.add_argument("--dbt", action="append", metavar="F", help="whose time stamps count against dbx")
    check.add_argument("--shim", metavar="F", help="judge as this shim does, with the certificates in it")
    check.add_argument("--mok", action="append", metavar="F", help="the machine owner's keys (judges as shim does)")
    check.add_argument("--mokx", action="append", metavar="F", help="what the machine's owner forbids (likewise)")
    check.add_argument("--sbat", metavar="F", help="level of SBAT revocations: SbatLevel or CSV")
    check.add_argument("--by", choices=(_FIRMWARE, _SHIM), help="who starts them (default: firmware, or see above)")
    check.add_argument(
        "--at", metavar="TIME", help="tell of certificates that are not valid at this time (default now)"
    )
    check.add_argument("-v", "--verbose", action="store_true", help="show every check, passed ones too")
    check.add_argument("--json", action="store_true", help="one JSON object per image, a line each")


def _check(args: Namespace) -> int:
    from chopmark.trust.secureboot import state

    at = clock.parse(args.at) if args.at else clock.now()
    known = (
        state.machine(args.efivars or state.LIVE) if args.efivars or not (args.db or args.mok or args.shim) else None
    )
    known = _given(known or state.Databases(), args)
    by = args.by or (_SHIM if args.shim or args.mok or args.mokx else _FIRMWARE)
    statuses = []
    for path in args.images:
        try:
            findings = _judged(path, known, at, by)
        except UnreadableError as error:
            output.complain(error, path)
            statuses.append(Status.UNDECIDED)
            continue
        statuses.append(_status(findings))
        _show(path, statuses[-1], findings, by, args)
    return EXIT_STATUS[max(statuses, key=SEVERITY.index)]


def _given(known: Databases, args: Namespace) -> Databases:
    """The databases of a machine, with those that files say in their place."""
    from chopmark.engine import secureboot
    from chopmark.trust.secureboot import state

    given: dict[str, Any] = {}
    for name in ("db", "dbx", "dbt", "mok", "mokx"):
        files = getattr(args, name)
        if files:
            given[name] = tuple(each for path in files for each in state.entries(path))
    known = known._replace(**given)
    known = known._replace(dbx_known=known.dbx_known or bool(args.dbx))
    if args.sbat:
        known = known._replace(level=_level(args.sbat))
    return secureboot.with_shim(known, args.shim) if args.shim else known


def _level(path: str) -> bytes:
    """The text of a level, from a file as it is or of efivarfs. Raises UsageError."""
    from chopmark.envelopes.efi import variables
    from chopmark.trust.secureboot import sbat

    try:
        data = read_small(path, limits.SBAT_MAX)
        data = data[variables.PREFIX :] if data[1 : variables.PREFIX] == bytes(3) else data
        sbat.level(data)
    except InputError as error:
        raise UsageError(str(error)) from None
    except MalformedError as error:
        raise UsageError(f"{path}: {error}") from None
    return data


def _judged(path: str, known: Databases, at: dt.datetime, by: str) -> list[Finding]:
    from chopmark.core.artifact import Artifact
    from chopmark.engine import secureboot

    with Artifact.open(path) as artifact:
        judge = secureboot.started_by_shim if by == _SHIM else secureboot.started_by_firmware
        return judge(artifact, known, at)


def _status(findings: list[Finding]) -> Status:
    codes = {finding.code for finding in findings if finding.outcome == "no"}
    return Status.UNSIGNED if codes == {"secureboot.unsigned"} else worst_of(findings)


def _show(path: str, status: Status, findings: list[Finding], by: str, args: Namespace) -> None:
    if args.json:
        import json

        shown = [{"code": each.code, "outcome": str(each.outcome), "detail": each.detail} for each in findings]
        print(json.dumps({"path": path, "by": by, "status": str(status), "findings": shown}))
        return
    output.show_judgement(status, path, findings, verbose=args.verbose)
