"""Finding the rules that can be about a file, among many.

Each rule is entered under one thing that a file must have to fit it: of all that it names, what the fewest other rules
name as well. Rules that name nothing of the kind are looked at each time.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from chopmark.policy.facts import FileFacts
    from chopmark.policy.glob import Pattern
    from chopmark.policy.rules import Conditions, Rule, SignerCondition

    Key = tuple[Hashable, ...]
    Keys = frozenset[Key]

_UNREADABLE = ("release", "")
"""What files have whose release cannot be read."""
_NOWHERE = ("place", "")
"""What files have whose path nobody knows."""


class Index:
    """Rules by what they name. `by_place` says that some name paths."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        choices = [_choices(rule.conditions) for rule in rules]
        common = Counter(key for choice in choices for keys in choice for key in keys)
        self._held: dict[Key, list[Rule]] = {}
        self._always: list[Rule] = []
        for rule, choice in zip(rules, choices, strict=True):
            keys = min(choice, key=lambda keys: max(common[key] for key in keys), default=None)
            if keys is None:
                self._always.append(rule)
                continue
            for key in keys:
                self._held.setdefault(key, []).append(rule)
            kinds = {key[0] for key in keys}
            if "release" in kinds:
                self._held.setdefault(_UNREADABLE, []).append(rule)
            if kinds & {"place", "below"}:
                self._held.setdefault(_NOWHERE, []).append(rule)
        self._kinds = frozenset(key[0] for key in self._held)
        self.by_place = any(rule.conditions.paths for rule in rules)
        self._all = tuple(rules)

    def alike(self, rule: Rule) -> Iterable[Rule]:
        """The rules that may be about everything that another rule is about, each once."""
        found = list(self._always)
        for keys in _choices(rule.conditions):
            for key in keys:
                found += self._held.get(key, ())
                if key[0] in ("place", "below"):
                    for above in _above(str(key[1])):
                        found += self._held.get(above, ())
        return {each.number: each for each in found}.values()

    def about(self, file: FileFacts) -> Iterable[Rule]:
        """The rules that may be about it, each once."""
        if not file.sha256:
            return self._all  # nothing is known of it, so any rule may be
        held = self._held
        found = list(self._always)
        for key in _keys(file, self._kinds):
            rules = held.get(key)
            if rules:
                found += rules
        return {rule.number: rule for rule in found}.values() if len(found) > 1 else found


_OF_SEALS = frozenset({"key", "certificate", "store", "subject", "authority", "claim", "catalog"})


def _keys(file: FileFacts, kinds: frozenset[Hashable]) -> Iterator[Key]:
    """Everything of these kinds, and perhaps more, that a rule may have been entered under."""
    yield "digest", file.sha256
    yield "format", file.format
    yield "status", file.status
    if file.release is not None:
        yield "release", file.release.product.casefold()
    elif not file.release_readable:
        yield _UNREADABLE
    for seal in file.seals if kinds & _OF_SEALS else ():
        yield "key", seal.key
        if seal.certificate:
            yield "certificate", seal.certificate
        yield "store", seal.store
        yield "subject", seal.subject
        for authority in seal.authorities:
            yield "authority", authority.key_sha256
            yield "authority", authority.certificate_sha256
        for claim in seal.claims:
            yield "claim", claim
        if seal.catalog:
            yield ("catalog",)
    if "place" in kinds:  # as where there is _NOWHERE
        yield "place", file.path
        yield from _above(file.path)


def _above(place: str) -> Iterator[Key]:
    """The folders that a path lies below."""
    while True:
        place, slash, _ = place.rpartition("/")
        if not slash:
            return
        yield "below", place


def _choices(about: Conditions) -> list[Keys]:
    """For each kind of condition, the things of which a file must have one."""
    found: list[Keys] = [
        _named("digest", about.digests),
        _named("release", about.products),
        _named("authority", about.authorities),
        _named("store", about.stores),
        _named("format", about.formats),
        _named("status", about.statuses),
        _of_all(map(_signer, about.signers)),
        _of_all(map(_place, about.paths)),
        frozenset({("catalog",)} if about.catalogs else ()),
    ]
    return [keys for keys in found if keys]


def _named(kind: str, values: Iterable[str]) -> Keys:
    return frozenset((kind, value) for value in values)


def _of_all(choices: Iterable[Keys]) -> Keys:
    """What a file must have one of to fit one of several; nothing when one of them names nothing."""
    found = list(choices)
    return frozenset().union(*found) if all(found) else frozenset()


def _signer(condition: SignerCondition) -> Keys:
    if condition.keys:
        return _named("key", condition.keys)
    if condition.certificates:
        return _named("certificate", condition.certificates)
    if condition.subjects:
        return _named("subject", condition.subjects)
    for name, patterns in reversed(condition.claims):  # the issuer, which says least, comes first
        if all(each.exact for each in patterns):
            exact = [each.text for each in patterns]
            return _named("subject", exact) if name == "subject" else frozenset(("claim", (name, e)) for e in exact)
    return _named("authority", condition.roots)


def _place(pattern: Pattern) -> Keys:
    """The path itself, or the folder that everything lies below that fits."""
    if pattern.exact:
        return frozenset({("place", pattern.text)})
    return frozenset({("below", os.path.dirname(pattern.literal).rstrip("/"))})
