"""From what was used to a proposal: who signed it before what it is, as few rules as cover it.

Signers are proposed by root, name and purpose, so that the next certificate of the same signer fits; bare keys as they
are; what nobody signed by its digest. What is known to be bad, or could not be judged, is never proposed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.counting import counted
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy.writing import Draft, Listed, quoted, table

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from chopmark.policy.facts import FileFacts, SealFacts

_CODE_SIGNING = "1.3.6.1.5.5.7.3.3"
_EXAMPLES = 3


class Proposal(NamedTuple):
    """Rules, how many files each allows, and the files that none was proposed for, with why."""

    drafts: tuple[Draft, ...]
    refused: tuple[tuple[str, str], ...]


class _Voucher(NamedTuple):
    """Somebody who vouches for files: the condition of a rule, and how it is said to people."""

    key: str
    value: str
    said: str


def propose(files: Iterable[FileFacts], owner: str = "chopmark policy learn") -> Proposal:
    """A minimal proposal: again and again whoever signed most of what is left; then digests, by folder."""
    known: dict[str, FileFacts] = {}
    refused: dict[str, str] = {}
    for file in files:
        why = _why_not(file)
        if why:
            refused.setdefault(file.path, why)
        else:
            known.setdefault(file.sha256, file)
    by_voucher: dict[_Voucher, set[str]] = {}
    for file in known.values():
        for seal in file.seals if file.status is Status.TRUSTED else ():
            if seal.status is Status.TRUSTED and (voucher := _voucher(seal)) is not None:
                by_voucher.setdefault(voucher, set()).add(file.sha256)
    drafts = []
    left = set(known)
    while by_voucher:
        voucher = min(by_voucher, key=lambda each: (-len(by_voucher[each] & left), each))
        covered = by_voucher.pop(voucher) & left
        if not covered:
            break
        left -= covered
        paths = sorted(known[each].path for each in covered)
        drafts.append(_rule(voucher.key, voucher.value, voucher.said, owner, _counted(paths)))
    drafts += _by_digest([known[each] for each in left], owner)
    return Proposal(tuple(drafts), tuple(sorted(refused.items())))


def _why_not(file: FileFacts) -> str:
    if not file.sha256:
        return "it could not be read"
    if file.blocked:
        return f"a blocklist names it ({file.blocked})"
    if file.status in (Status.REJECTED, Status.UNDECIDED):
        return f"its verdict is {file.status}"
    return ""


def _voucher(seal: SealFacts) -> _Voucher | None:
    """Whoever signed a catalog vouches for what it lists."""
    if seal.kind == "oidc":
        issuer = dict(seal.claims).get("issuer", "")
        identity = f"{{ oidc = {table({'issuer': issuer, 'subject': seal.subject})} }}"
        return _Voucher("signer", identity, f"{seal.subject} at {issuer}") if issuer and seal.subject else None
    if seal.kind == "x509" and seal.authorities:
        values = {"root": f"sha256:{seal.root}", "subject": seal.subject}
        if _CODE_SIGNING in seal.purposes:
            values["eku"] = "code-signing"
        return _Voucher("signer", table(values), seal.subject)
    return _Voucher("signer", quoted(f"sha256:{seal.key}"), seal.subject) if seal.key else None


def _by_digest(files: Iterable[FileFacts], owner: str) -> list[Draft]:
    folders: dict[Hashable, list[FileFacts]] = {}
    for file in files:
        folders.setdefault(os.path.dirname(file.path), []).append(file)
    drafts = []
    for folder, several in sorted(folders.items(), key=lambda pair: str(pair[0])):
        several.sort(key=lambda file: file.path)
        count = f"{counted(len(several), 'file')} that nobody whom the stores trust signed"
        for start in range(0, len(several), limits.POLICY_VALUES_MAX):
            part = several[start : start + limits.POLICY_VALUES_MAX]
            listed = tuple(Listed(f"sha256:{file.sha256}", os.path.basename(file.path)) for file in part)
            drafts.append(_rule("digest", listed, f"unsigned, in {folder}", owner, (count,)))
    return drafts


def _rule(key: str, value: str | tuple[Listed, ...], said: str, owner: str, remarks: tuple[str, ...]) -> Draft:
    keys: tuple[tuple[str, str | tuple[Listed, ...]], ...] = (
        ("action", '"allow"'),
        (key, value),
        ("comment", quoted(said)),
        ("owner", quoted(owner)),
    )
    return Draft(keys, remarks)


def _counted(paths: list[str]) -> tuple[str, ...]:
    more = ", ..." if len(paths) > _EXAMPLES else ""
    return (f"{counted(len(paths), 'file')}: {', '.join(paths[:_EXAMPLES])}{more}",)
