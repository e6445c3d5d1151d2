"""The cases: what is done to a file, and what must be said of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.contracts import SealOptions
from chopmark.core.verdict import Status
from chopmark.demo.stage import DAY

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Case:
    """One scene, told under the heading `group`.

    `prepare` makes the file and returns its path; `expected` is the status that must come out, and `because` the reason
    code that must be among the findings; `revocation` and `with_crls` are how it is verified.
    """

    title: str
    prepare: Callable[[Stage], str]
    expected: Status
    because: str
    revocation: str = "prefer"
    with_crls: bool = True
    group: str = ""


_EARLY = 600
"""An offset that is content, not signature, in every file of the demo."""


def _program(stage: Stage) -> str:
    return stage.sign(stage.launcher("program.exe"), stage.holder("Demo Publisher", kind="rsa-3072"))


def _paged(stage: Stage) -> str:
    options = SealOptions(page_hashes=True, description="Demo program")
    return stage.sign(stage.launcher("paged.exe"), stage.holder("Demo Publisher"), options=options)


def _powershell(stage: Stage) -> str:
    return stage.sign(stage.powershell("Activate.ps1"), stage.holder("Demo Publisher"))


def _shell(stage: Stage) -> str:
    return stage.sign(stage.shell_script("activate.sh"), stage.holder("Demo Publisher"))


def _detached(stage: Stage) -> str:
    path = Path(stage.folder, "prices.csv")
    path.write_text("name,price\nchop,1\n")
    return stage.sign(str(path), stage.holder("Demo Publisher"))


def _unsigned(stage: Stage) -> str:
    return stage.launcher("unsigned.exe")


def _flipped(make: Callable[[Stage], str], name: str) -> Callable[[Stage], str]:
    def prepare(stage: Stage) -> str:
        path = Path(make(stage))
        data = bytearray(path.read_bytes())
        data[_EARLY] ^= 0x01
        return _rewritten(path, name, bytes(data))

    return prepare


def _grafted(stage: Stage) -> str:
    """Another program's signature block behind this program: both are real, they do not belong together."""
    donor = Path(stage.sign(stage.launcher("donor.exe"), stage.holder("Demo Publisher"))).read_bytes()
    program = bytearray(Path(stage.launcher("victim.exe")).read_bytes())
    program[-1] ^= 0xFF
    offset, length = _table(donor)
    program += bytes(-len(program) % 8)
    position = _directory(program)
    program[position : position + 8] = len(program).to_bytes(4, "little") + length.to_bytes(4, "little")
    return _rewritten(Path(stage.folder, "victim.exe"), "grafted.exe", bytes(program) + donor[offset : offset + length])


def _appended(stage: Stage) -> str:
    path = Path(_program(stage))
    return _rewritten(path, "appended.exe", path.read_bytes() + b"payload behind the signature....")


def _padded(stage: Stage) -> str:
    """CVE-2013-3900: bytes inside the certificate table, behind the signature, that most verifiers never look at."""
    path = Path(_program(stage))
    data = bytearray(path.read_bytes())
    payload = b"payload in the certificate padding".ljust(40, b"!")
    offset, length = _table(bytes(data))
    position = _directory(data)
    data[position + 4 : position + 8] = (length + len(payload)).to_bytes(4, "little")
    data[offset : offset + 4] = (length + len(payload)).to_bytes(4, "little")
    return _rewritten(path, "padded.exe", bytes(data) + payload)


def _line_behind(stage: Stage) -> str:
    path = Path(_shell(stage))
    return _rewritten(path, "longer.sh", path.read_bytes() + b"echo pwned\n")


def _code_behind(stage: Stage) -> str:
    path = Path(_powershell(stage))
    return _rewritten(path, "longer.ps1", path.read_bytes() + b"Write-Host pwned\r\n")


def _expired(*, stamped: bool) -> Callable[[Stage], str]:
    def prepare(stage: Stage) -> str:
        who = stage.holder("Demo Retired", since=stage.now - 400 * DAY, until=stage.now - 35 * DAY)
        path = stage.launcher(f"expired-{'stamped' if stamped else 'unstamped'}.exe")
        return stage.sign(path, who, at=stage.now - 100 * DAY, stamped=stamped)

    return prepare


def _revoked(
    name: str, days_ago: int, *, stamped: bool = True, invalid_days_ago: int | None = None
) -> Callable[[Stage], str]:
    """Signed 100 days ago; the certificate revoked so many days ago."""

    def prepare(stage: Stage) -> str:
        who = stage.holder("Demo Revoked", since=stage.now - 300 * DAY)
        path = stage.sign(stage.launcher(name), who, at=stage.now - 100 * DAY, stamped=stamped)
        suspect = None if invalid_days_ago is None else stage.now - invalid_days_ago * DAY
        stage.revoke(who, stage.now - days_ago * DAY, suspect)
        return path

    return prepare


def _impostor(stage: Stage) -> str:
    return stage.sign(stage.launcher("microsoft.exe"), stage.impostor("Microsoft Corporation"))


def _nested_stranger(stage: Stage) -> str:
    path = stage.sign(stage.launcher("nested.exe"), stage.holder("Demo Publisher"))
    return stage.sign(path, stage.impostor("Nobody You Know"), options=SealOptions(append=True))


def _rewritten(path: Path, name: str, data: bytes) -> str:
    target = path.with_name(name)
    target.write_bytes(data)
    return str(target)


def _directory(data: bytes | bytearray) -> int:
    """Where a PE image says where its certificate table is (data directory 4)."""
    optional = int.from_bytes(data[60:64], "little") + 24
    return optional + (144 if data[optional : optional + 2] == b"\x0b\x02" else 128)


def _table(data: bytes) -> tuple[int, int]:
    position = _directory(data)
    return int.from_bytes(data[position : position + 4], "little"), int.from_bytes(
        data[position + 4 : position + 8], "little"
    )


GOOD, BAD = Status.TRUSTED, Status.REJECTED

GENUINE = (
    Case("a Windows program, signed and time-stamped", _program, GOOD, "digest.match"),
    Case("the same with page hashes", _paged, GOOD, "digest.match"),
    Case("a PowerShell script", _powershell, GOOD, "digest.match"),
    Case("a shell script", _shell, GOOD, "digest.match"),
    Case("a table of prices, signed beside it (.p7s)", _detached, GOOD, "digest.match"),
    Case("a program that nobody signed", _unsigned, Status.UNSIGNED, "seal.none"),
)
TAMPERED = (
    Case("one bit of the program flipped", _flipped(_program, "flipped.exe"), BAD, "digest.mismatch"),
    Case("one bit of the PowerShell script flipped", _flipped(_powershell, "flipped.ps1"), BAD, "digest.mismatch"),
    Case("one bit of the shell script flipped", _flipped(_shell, "flipped.sh"), BAD, "digest.mismatch"),
    Case("another program's signature grafted on", _grafted, BAD, "digest.mismatch"),
    Case("data behind the signature", _appended, BAD, "pe.trailing"),
    Case("data in the certificate padding", _padded, BAD, "pe.padding"),
    Case("a line behind a shell script's signature", _line_behind, BAD, "script.block_trailing"),
    Case("code behind a PowerShell signature", _code_behind, BAD, "powershell.block_trailing"),
)
TIME = (
    Case("signer expired, no time stamp", _expired(stamped=False), BAD, "path.expired"),
    Case("signer expired, stamped while valid", _expired(stamped=True), GOOD, "path.valid"),
    Case("revoked before it was stamped", _revoked("revoked-1.exe", 150), BAD, "revocation.revoked"),
    Case("revoked after it was stamped", _revoked("revoked-2.exe", 50), GOOD, "revocation.later"),
    Case(
        "revoked after, but the key was suspect before",
        _revoked("revoked-3.exe", 50, invalid_days_ago=150),
        BAD,
        "revocation.revoked",
    ),
    Case("revoked, and no time stamp at all", _revoked("revoked-4.exe", 50, stamped=False), BAD, "revocation.revoked"),
    Case(
        "no revocation list at hand, but required",
        _program,
        Status.UNDECIDED,
        "revocation.unavailable",
        revocation="require",
        with_crls=False,
    ),
)
IMPOSTORS = (
    Case('self-made "Microsoft Corporation"', _impostor, BAD, "path.untrusted_root"),
    Case("a stranger's second signature nested inside", _nested_stranger, BAD, "path.untrusted_root"),
)
CASES = tuple(
    replace(case, group=group)
    for group, cases in (
        ("Genuine", GENUINE),
        ("Tampered", TAMPERED),
        ("Time and revocation", TIME),
        ("Impostors", IMPOSTORS),
    )
    for case in cases
)
