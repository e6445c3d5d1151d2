"""Which files at hand a target may be told by their content, so that it lets them run wherever they lie.

The policy itself decides about each of them, made stricter by what the target does not know: a rule that allows at some
place or for some user allows nothing, one that denies there denies everywhere. Whatever is listed is therefore allowed
however it is used, and what the policy denies is not in the list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.core.named import NamedTuple
from chopmark.harden import reasons
from chopmark.harden.conditions import allows, concerns_kind, demanding, lasting, named
from chopmark.harden.contract import Degree, everywhere, exact, partly, unable
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import KINDS
from chopmark.policy.rules import DENY, NO_REQUIREMENTS, NO_USERS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.material import AtHand
    from chopmark.policy.rules import Rule


class Listing(NamedTuple):
    """Files that are allowed for each kind of use, which rule allows each, and digests that rules allow by themselves.

    `digests` (SHA-256 in hex, by kind) need no file at hand: nothing that else is about a file could keep it back.
    """

    files: dict[str, tuple[AtHand, ...]]
    by: dict[int, int]
    digests: dict[str, frozenset[str]]

    def common(self, kinds: Sequence[str]) -> list[AtHand]:
        """Those used in one of some ways and allowed in all of them, each content once, in the order of paths."""
        held = [{each.file.sha256 for each in self.files[kind]} for kind in kinds]
        wanted = set.intersection(*held) if held else set()
        found = {each.file.sha256: each for kind in kinds for each in reversed(self.files[kind]) if each.kind in kinds}
        return sorted((each for each in found.values() if each.file.sha256 in wanted), key=lambda each: each.file.path)

    def contents(self, kinds: Sequence[str]) -> list[str]:
        """The SHA-256 of all that is allowed for all of some uses, in order."""
        held = [{each.file.sha256 for each in self.files[kind]} | self.digests[kind] for kind in kinds]
        return sorted(set.intersection(*held)) if held else []


def listed(request: Request, kinds: Sequence[str]) -> Listing:
    """Decide about every file at hand, for each of some kinds of use."""
    strict = Compiled(list(_stricter(request)), Mode.ENFORCE)
    files: dict[str, tuple[AtHand, ...]] = {}
    by: dict[int, int] = {}
    counted: set[str] = set()
    for kind in kinds:
        taken = []
        for each in request.material.files:
            rule = _allowing(strict, each, kind, request)
            if rule is not None:
                taken.append(each)
                if each.file.path not in counted:
                    counted.add(each.file.path)
                    by[rule.number] = by.get(rule.number, 0) + 1
        files[kind] = tuple(taken)
    return Listing(files, by, {kind: frozenset(_named_digests(request, kind)) for kind in kinds})


def findings(request: Request, listing: Listing, kinds: Sequence[str], *, digests: bool) -> Iterator[Finding]:
    """What becomes of each rule where contents are all that is listed.

    `digests` says that the target knows files by SHA-256, so that rules by digest need no files at hand.
    """
    for rule in request.rules:
        place, detail = str(rule.place), rule.label
        said = digests and any(
            rule.conditions.digests <= listing.digests[kind] for kind in kinds if concerns_kind(rule, kind)
        )
        count = listing.by.get(rule.number, 0)
        if not rule.active(request.at):
            yield reasons.EXPIRED.found(detail, subject=place)
        elif named(rule, request.left_out):
            yield reasons.LEFT_OUT.found(detail, subject=place)
        elif not any(concerns_kind(rule, kind) for kind in kinds):
            yield reasons.IDLE.found("it is about other uses", subject=place)
        elif not allows(rule) or (said and rule.conditions.digests):
            yield reasons.EXACT.found(detail, subject=place)
        elif count:
            yield reasons.NARROWED.found(f"{counted(count, 'file')} at hand", subject=place)
        else:
            yield reasons.DROPPED.found(_no_file(request), subject=place)


def _no_file(request: Request) -> str:
    if not request.material.files:
        return "no files are at hand (--root DIR)"
    return "no file at hand is allowed by it wherever it lies"


def _stricter(request: Request) -> Iterator[Rule]:
    """The rules that count, without what the target does not know."""
    for rule in _counting(request):
        about = rule.conditions
        unknown = bool(about.paths) or rule.users != NO_USERS
        anywhere = rule._replace(conditions=about._replace(paths=()), users=NO_USERS, expires=None)
        if not allows(rule):
            yield anywhere
        elif lasting(rule, request) and not unknown:
            yield rule
        elif demanding(rule):  # what it binds to more is not let through
            yield anywhere._replace(action=DENY, require=NO_REQUIREMENTS)


def _counting(request: Request) -> Iterator[Rule]:
    for rule in request.rules:
        if rule.active(request.at) and not named(rule, request.left_out):
            yield rule


def _allowing(strict: Compiled, each: AtHand, kind: str, request: Request) -> Rule | None:
    """The rule that allows a file for as long as the export is to hold."""
    ruling = strict.rule_on(each.file, kind, request.at)
    decision = ruling.settled
    if decision is None or not decision.allowed:
        return None
    if ruling.until is not None and (request.until is None or ruling.until < request.until):
        return None
    return decision.rule


def _named_digests(request: Request, kind: str) -> Iterator[str]:
    """Digests of rules that are about nothing else, and that no rule which is about anything else denies.

    Nothing is known of such a file but its content, so any other denial might be about it.
    """
    rules = [rule for rule in _counting(request) if concerns_kind(rule, kind)]
    denied: set[str] = set()
    for rule in rules:
        if not allows(rule):
            if not rule.conditions.digests:
                return
            denied |= rule.conditions.digests
    for rule in rules:
        about = rule.conditions
        only = about == type(about)(digests=about.digests, kinds=about.kinds)
        alone = only and rule.users == NO_USERS and not demanding(rule)
        if allows(rule) and about.digests and alone and lasting(rule, request):
            yield from about.digests - denied


_LISTED = "through the files at hand, each by its content, as the policy decides at the export"
_ANYWHERE = "a content counts wherever it lies and whoever uses it, so what could be denied somewhere is not listed"
_ELSEWHERE = "the target does not decide about it"
_LATER = "as of the export, which is to be made anew"


def capabilities(governed: Iterable[str], **more: Capability) -> dict[str, Capability]:
    """What follows from listing contents; `more` has what else a language can say."""
    through = partly(Degree.NARROWER, Degree.EXACT, _LISTED)
    places = partly(Degree.WIDER, Degree.NARROWER, _ANYWHERE)
    inside = set(governed)
    table = everywhere(
        digest=exact("listed as it is where nothing else could deny it, else through the files at hand"),
        path=places,
        user=places,
        program=places,
        parent=places,
        expires=partly(Degree.NOT, Degree.NARROWER, "a list has no dates: say --until when it is exported anew"),
        precedence=exact("the policy decides about each file"),
        blocklist=partly(Degree.NARROWER, Degree.NARROWER, _LATER),
        validity=partly(Degree.WIDER, Degree.WIDER, _LATER),
        revocation=partly(Degree.WIDER, Degree.WIDER, _LATER),
        mode_audit=unable("there is no such mode"),
        mode_learning=unable("there is no such mode"),
        policy_signed=unable("the target takes it from its administrator"),
        policy_rollback=unable("the target takes any"),
        rest=through,
        **{f"use_{kind.replace('-', '_')}": exact() if kind in inside else unable(_ELSEWHERE) for kind in KINDS},
    )
    return table | {name.replace("_", ".", 1): each for name, each in more.items()}
