"""Policies from files: read, held against what was in use before, and believed only from whom they may come."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.artifact import Artifact, BytesView, read_small
from chopmark.core.errors import BrokenError, InputError
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status
from chopmark.policy import language, reasons, state
from chopmark.policy.deciding import Compiled
from chopmark.policy.source import PolicyError, Problem

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable

    from chopmark.policy.deciding import Mode
    from chopmark.policy.language import PolicyFile
    from chopmark.policy.rules import Rule

STORE = "policy"
"""The trust store that, once there is one of this name, has to have the signer of every policy."""


class Policy(NamedTuple):
    """A policy, ready to decide: its own file first, then those that it includes."""

    files: tuple[PolicyFile, ...]
    compiled: Compiled

    @property
    def main(self) -> PolicyFile:
        """The file that says name, version, mode and stores."""
        return self.files[0]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules of all files."""
        return self.compiled.rules


def load(path: str, at: dt.datetime, *, signers: str = "", remember: bool = False, mode: Mode | None = None) -> Policy:
    """Read a policy for use; `mode` overrides the one that it names.

    It has to be signed by somebody in the trust store `signers`; without one only if there is a store called "policy".
    With `remember` an older version is refused, and this one is remembered; where policies have to be signed, so is
    another text under the same version. Raises PolicyError, InputError, UsageError,
    BrokenError (not signed, older than one that was in use), StateError, WriteError.
    """
    policy = read(path, lambda data, file: demand_signature(data, file, signers, at), mode)
    if remember:
        signed = _signed(signers)
        with state.opened(write=True) as known:
            for each in policy.files:
                known.saw_policy(each.name, each.version, each.sha256, signed=signed)
    return policy


def read(
    path: str, check: Callable[[bytes, str], None] = lambda _data, _file: None, mode: Mode | None = None
) -> Policy:
    """Read a policy and what it includes; `check` is asked about the bytes of each file before anything is believed."""
    main = _parsed(path, check, 0)
    files = [main]
    for name in main.include:
        included = _parsed(os.path.join(os.path.dirname(path), name), check, sum(len(each.rules) for each in files))
        if included.include:
            raise _wrong(included, "a file that is included does not include others")
        if included.name in {each.name for each in files}:
            raise _wrong(included, f"a policy called {included.name!r} is there already")
        files.append(included)
    rules = [rule for each in files for rule in each.rules]
    if len(rules) > limits.POLICY_RULES_MAX:
        raise _wrong(main, f"more than {limits.POLICY_RULES_MAX} rules")
    return Policy(tuple(files), Compiled(rules, mode or main.mode))


def _parsed(path: str, check: Callable[[bytes, str], None], first: int) -> PolicyFile:
    data = read_small(path, limits.POLICY_MAX)
    check(data, path)
    return language.parse(data, path, first)


def _wrong(file: PolicyFile, text: str) -> PolicyError:
    from chopmark.policy.rules import Place

    return PolicyError([Problem(Place(file.file, 1), text)])


def _signed(signers: str) -> bool:
    """Whether somebody said whose policies count."""
    from chopmark.trust.stores import store

    return bool(signers) or os.path.isdir(store.folder(STORE))


def demand_signature(data: bytes, path: str, signers: str, at: dt.datetime) -> None:
    """The very bytes that were read must be signed, in a file beside them. Raises BrokenError, UsageError."""
    from chopmark.engine import check
    from chopmark.trust import context
    from chopmark.trust.stores import store

    if not _signed(signers):
        return
    trusted = store.load([signers or STORE])
    with Artifact(path, BytesView(data)) as artifact:
        try:
            verdict = check.check(artifact, context.Context(trusted, at))
        except InputError as error:
            raise BrokenError(reasons.UNSIGNED, str(error)) from None
    if verdict.status is not Status.TRUSTED:
        raise BrokenError(reasons.UNSIGNED, f"{path}: {verdict.status} by the store {signers or STORE}")
