"""Is everything that starts by itself signed: what says so, and what is started."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import MalformedError
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple
from chopmark.core.verdict import Status, worst_of
from chopmark.engine import batch, check
from chopmark.engine.services import commands, places, reasons, sealing
from chopmark.engine.services.entry import Call, Role
from chopmark.engine.services.units.tree import NULL
from chopmark.formats.unit import sealing as unit_sealing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from chopmark.core.artifact import Artifact
    from chopmark.core.finding import Finding
    from chopmark.core.verdict import Verdict
    from chopmark.engine.services.entry import Entry, Start
    from chopmark.engine.services.host import Host
    from chopmark.engine.services.places import Place
    from chopmark.engine.services.rooted import Root
    from chopmark.trust.context import Context

_UNSIGNED = frozenset((reasons.UNSIGNED.code, reasons.PROGRAM_UNSIGNED.code))
_CATALOG = "catalog"


class Seen(NamedTuple):
    """What came of one file: its status, what speaks against it, and what else has to be known of it.

    `digest` (SHA-256) only where the file was read to find out what starts. `is_placed` where a trusted catalog lists
    it at its own path, or its own signature is trusted; `is_own` says which.
    `interpreter` are the words of a first line `#!`.
    """

    path: str
    status: Status
    against: tuple[str, ...] = ()
    signer: str = ""
    digest: bytes = b""
    is_placed: bool = False
    is_own: bool = False
    interpreter: tuple[str, ...] = ()


class Judged(NamedTuple):
    """An entry, what was found, and the files that it starts with what came of each."""

    entry: Entry
    findings: tuple[Finding, ...]
    starts: tuple[tuple[Start, str, str], ...] = ()
    """(start, path, status or `missing`) of everything that is started."""

    @property
    def status(self) -> Status:
        """The worst of all findings; unsigned where nothing but missing signatures speaks against it."""
        worst = worst_of(self.findings)
        if worst is Status.REJECTED:
            against = {finding.code for finding in self.findings if finding.outcome is Outcome.NO}
            return Status.UNSIGNED if against <= _UNSIGNED else worst
        return worst


def is_judged(entry: Entry) -> bool:
    """Whether there is anything to judge: what is masked and unsigned, ignored or not executable starts nothing."""
    return bool(entry.starts) or entry.state not in ("masked", "ignored", "disabled", "dangling") or bool(entry.seals)


class Inspection:
    """All entries of a host judged under the same circumstances; each file is looked at once, by several processes."""

    def __init__(self, host: Host, entries: Sequence[Entry], context: Context, jobs: int | None) -> None:
        self._root = host.root
        self._homes = {f"user {user.name}": user.home for user in host.users}
        self._entries = entries
        self._context = context
        self._jobs = jobs
        self._places = places.Places(host.root)
        self._seen: dict[str, Seen] = {}
        self._real: dict[str, str] = {}

    def judged(self, progress: Callable[[Iterable[Seen], int], Iterable[Seen]]) -> Iterator[Judged]:
        """Every entry in order; `progress` is passed the files as they are done, and how many there are."""
        located = [[(start, self._places.locate(start)) for start in entry.starts] for entry in self._entries]
        wanted: dict[str, None] = {}
        for entry, found in zip(self._entries, located, strict=True):
            for path in entry.files if entry.state != "masked" else ():
                wanted[self._real_of(path)] = None
            for _, each in found:
                wanted.update((place.found.path, None) for place in each if place.found and place.found.is_file)
        self._look(wanted, progress)
        further = [start for seen in list(self._seen.values()) for start in _interpreters(seen)]
        more = (
            place.found.path
            for start in further
            for place in self._places.locate(start)
            if place.found and place.found.is_file
        )
        self._look(dict.fromkeys(path for path in more if path not in self._seen), progress)
        for entry, found in zip(self._entries, located, strict=True):
            yield self._judge(entry, found)

    def _look(self, paths: Iterable[str], progress: Callable[[Iterable[Seen], int], Iterable[Seen]]) -> None:
        ordered = list(paths)
        work = partial(look, root=self._root, context=self._context, homes=tuple(self._homes.values()))
        results = batch.run(ordered, work, batch.jobs_for(len(ordered), self._jobs))
        for seen in progress(results, len(ordered)):
            self._seen[seen.path] = seen

    def _real_of(self, path: str) -> str:
        if path not in self._real:
            found = self._root.get(path)
            self._real[path] = found.path if found else path
        return self._real[path]

    def _judge(self, entry: Entry, located: list[tuple[Start, list[Place]]]) -> Judged:
        findings = list(entry.findings)
        findings += self._definition(entry)
        starts: list[tuple[Start, str, str]] = []
        told: set[str] = set()
        home = self._homes.get(entry.scope, "")
        waiting = [(start, each) for start, found in located for each in found]
        while waiting:
            start, place = waiting.pop(0)
            if place.path in told:
                continue
            told.add(place.path)
            findings += self._places.findings(start, place, home)
            seen = self._seen.get(place.found.path) if place.found else None
            starts.append((start, place.path, str(seen.status) if seen else "missing"))
            if seen is None:
                continue
            findings.append(_program(seen, place.path))
            for further in _interpreters(seen) if start.role is Role.PROGRAM else ():
                waiting += [(further, each) for each in self._places.locate(further)]
        return Judged(entry, tuple(dict.fromkeys(findings)), tuple(starts))

    def _definition(self, entry: Entry) -> list[Finding]:
        if not entry.files:
            return []
        seal = self._sealed(entry)
        if seal is not None:
            return seal
        if entry.state == "masked":
            return []
        findings: list[Finding] = []
        for path in entry.files:
            if self._root_link(path) != NULL:
                findings += self._part(path)
        if not any(each.outcome in (Outcome.NO, Outcome.UNKNOWN) for each in findings):
            findings.append(reasons.SIGNED.found())
        return findings

    def _root_link(self, path: str) -> str:
        try:
            return self._root.link(path)
        except OSError:
            return ""

    def _part(self, path: str) -> Iterator[Finding]:
        """One file of a definition that no seal is over."""
        found = self._root.get(path)
        if found is None and self._root.get(path, follow=False) is not None:
            yield reasons.DANGLING.found(self._root_link(path), subject=path)
            return
        if found is not None and found.exposed:
            yield reasons.WRITABLE.found(found.exposed[-1], subject=path)
        if found is not None and found.escapes:
            yield reasons.ESCAPE.found(subject=path)
        seen = self._seen.get(self._real_of(path))
        if seen is None:
            return
        if core_reasons.INPUT_CHANGED.code in seen.against or self._has_changed(path, seen.digest):
            yield reasons.CHANGING.found(subject=path)
        elif seen.status is Status.UNSIGNED:
            yield reasons.UNSIGNED.found(subject=path)
        elif seen.status is not Status.TRUSTED:
            outcome = Outcome.UNKNOWN if seen.status is Status.UNDECIDED else Outcome.NO
            yield reasons.DEFINITION.found(", ".join(seen.against[:4]), subject=path, outcome=outcome)
        elif seen.is_own:
            yield reasons.UNPLACED.found(seen.signer, subject=path)
        elif not seen.is_placed:
            yield reasons.ELSEWHERE.found(subject=path)

    def _has_changed(self, path: str, digest: bytes) -> bool:
        """Whether what was judged is another content than what was understood."""
        understood = self._root.digests.get(self._real_of(path))
        return understood is not None and understood != digest

    def _sealed(self, entry: Entry) -> list[Finding] | None:
        """What the first seal that there is says; None without one."""
        for path, name in sealing.seal_names(entry):
            if self._root.get(path, follow=False) is not None:
                return list(self._seal_findings(entry, path, name))
        return None

    def _seal_findings(self, entry: Entry, path: str, name: str) -> Iterator[Finding]:
        if entry.state == "masked":
            yield reasons.SEAL_MASKED.found(subject=path)
            return
        try:
            with self._root.artifact(path) as artifact:
                verdict = check.check(artifact, self._context, "unit")
                signed = unit_sealing.read(artifact, unit_sealing.TEXT.read(artifact).end)
            now = sealing.definition(self._root, entry, name)
        except UnreadableError as error:
            yield reasons.UNREADABLE.found(str(error), subject=path)
            return
        except MalformedError as error:
            yield reasons.SEAL_UNTRUSTED.found(str(error), subject=path)
            return
        for file, listed in zip(entry.files, now.files, strict=True):
            if listed.digest != sealing.NULL and self._has_changed(file, bytes.fromhex(listed.digest.decode())):
                yield reasons.CHANGING.found(subject=file)
        different = list(sealing.differences(signed, now))
        yield from different
        if verdict.status is not Status.TRUSTED:
            outcome = Outcome.UNKNOWN if verdict.status is Status.UNDECIDED else Outcome.NO
            yield reasons.SEAL_UNTRUSTED.found(", ".join(_against(verdict)[:4]), subject=path, outcome=outcome)
        elif not different:
            yield reasons.SEALED.found(_signer(verdict), subject=path)


def look(path: str, root: Root, context: Context, homes: Sequence[str] = ()) -> Seen:
    """Judge one file below the root."""
    try:
        with root.artifact(path) as artifact:
            verdict = check.check(artifact, context)
            head = artifact.view.read(0, limits.DETECT_HEAD)
            trusted = [seal for seal in verdict.seals if seal.status is Status.TRUSTED]
            is_own = any(seal.scheme != _CATALOG for seal in trusted)
            read = digests.whole(artifact.view, "sha256") if path in root.digests else b""
            placed = is_own or (bool(trusted) and _is_placed(artifact, _names(path, root, homes), context))
    except UnreadableError as error:
        return Seen(path, Status.UNDECIDED, (error.reason.code,))
    words = tuple(commands.interpreter_of(head))
    return Seen(path, verdict.status, tuple(_against(verdict)), _signer(verdict), read, placed, is_own, words)


def _is_placed(artifact: Artifact, names: Sequence[str], context: Context) -> bool:
    """Whether a trusted catalog lists this content at one of these paths."""
    digest = digests.whole(artifact.view, "sha256")
    return any(voucher.holds(os.fsencode(name), digest) for voucher in context.vouchers for name in names)


def _names(path: str, root: Root, homes: Sequence[str]) -> list[str]:
    """Where a catalog may list what stands at a path.

    In the root or as seen from outside, with /usr merged or not; what stands in a home may be the copy that every new
    user gets (useradd(8), /etc/skel).
    """
    names = [path, root.outside(path)]
    if path.startswith(("/usr/lib", "/usr/bin/", "/usr/sbin/")):
        names.append(path.removeprefix("/usr"))
    return names + [f"/etc/skel{path[len(home) :]}" for home in homes if path.startswith(f"{home}/")]


def _interpreters(seen: Seen) -> list[Start]:
    """What a first line `#!` starts: the interpreter, and through env the one that it names."""
    if not seen.interpreter:
        return []
    found = commands.Found()
    found.starts.append(Call(f"{seen.path}:1").start(seen.interpreter[0]))
    if seen.interpreter[0].rpartition("/")[2] == "env" and len(seen.interpreter) > 1:
        words = commands.env_words(seen.interpreter[1])
        named = [word for word in words if not word.startswith("-") and "=" not in word]
        found.starts += [Call(f"{seen.path}:1").start(named[0])] if named else []
    return found.starts


def _program(seen: Seen, path: str) -> Finding:
    detail = ", ".join(seen.against[:4])
    if seen.status is Status.TRUSTED:
        return reasons.PROGRAM.found(seen.signer, subject=path)
    if seen.status is Status.UNSIGNED:
        return reasons.PROGRAM_UNSIGNED.found(subject=path)
    if seen.status is Status.UNDECIDED:
        return reasons.PROGRAM_UNDECIDED.found(detail, subject=path)
    return reasons.PROGRAM_REJECTED.found(detail, subject=path)


def _against(verdict: Verdict) -> list[str]:
    parts = [*verdict.findings, *(finding for seal in verdict.seals for finding in seal.findings)]
    return list(dict.fromkeys(each.code for each in parts if each.outcome in (Outcome.NO, Outcome.UNKNOWN)))


def _signer(verdict: Verdict) -> str:
    return next((seal.signer.subject for seal in verdict.seals if seal.signer and seal.status is Status.TRUSTED), "")
