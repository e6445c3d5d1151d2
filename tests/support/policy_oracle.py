"""The semantics of docs/reference/policy.md a second time: naive, slow, from the raw tables of a policy.

Every rule is looked at for every file, nothing is compiled or indexed, and nothing of chopmark.policy is used but the
nouns of what is known of a file.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.policy.facts import FileFacts, Process, SealFacts

Table = dict[str, Any]
ALLOWED, DENIED, UNDECIDED = "allowed", "denied", "undecided"


def decide(rules: list[Table], file: FileFacts, kind: str, process: Process, at: dt.datetime) -> str:
    """What comes of it, before the mode."""
    if file.blocked:
        return DENIED
    about = [(rule, fits(rule, file, kind, process)) for rule in rules if "expires" not in rule or at < rule["expires"]]
    denying = [answer for rule, answer in about if rule["action"] == "deny"]
    if True in denying:
        return DENIED
    found = allowing([(rule, answer) for rule, answer in about if rule["action"] == "allow"], file, at)
    return UNDECIDED if None in denying and found == ALLOWED else found


def allowing(about: list[tuple[Table, bool | None]], file: FileFacts, at: dt.datetime) -> str:
    """Try every way in which what is unknown could come out."""
    outcomes = {speak(world, file, at) for world in worlds([pair for pair in about if pair[1] is not False])}
    return outcomes.pop() if len(outcomes) == 1 else UNDECIDED


def worlds(about: list[tuple[Table, bool | None]]) -> list[list[Table]]:
    found: list[list[Table]] = [[]]
    for rule, answer in about:
        with_it = [[*world, rule] for world in found]
        found = with_it if answer else found + with_it
    return found


def speak(rules: list[Table], file: FileFacts, at: dt.datetime) -> str:
    """The most particular rules that are about the file; one of them has to be satisfied."""
    if not rules:
        return DENIED
    best = max(map(rank, rules))
    answers = [demands_met(rule, file, at) for rule in rules if rank(rule) == best]
    return ALLOWED if True in answers else UNDECIDED if None in answers else DENIED


def rank(rule: Table) -> int:
    signers = several(rule, "signer")
    named = [
        each for each in signers if isinstance(each, str) or each.keys() & {"key", "certificate", "subject", "oidc"}
    ]
    order = [
        "digest" in rule,
        "product" in rule,
        bool(named) or "catalog" in rule,
        bool(signers) or "ca" in rule or "store" in rule,
        "path" in rule,
    ]
    return 5 - order.index(True) if True in order else 0


def all_of(answers: list[bool | None]) -> bool | None:
    return False if False in answers else None if None in answers else True


def any_of(answers: list[bool | None]) -> bool | None:
    return True if True in answers else None if None in answers else False


def several(rule: Table, key: str) -> list[Any]:
    value = rule.get(key, [])
    return value if isinstance(value, list) else [value]


def fits(rule: Table, file: FileFacts, kind: str, process: Process) -> bool | None:
    known = bool(file.sha256)
    answers: list[bool | None] = []
    if "use" in rule:
        answers.append(kind in several(rule, "use"))
    if "path" in rule:
        answers.append(any(glob(each, file.path) for each in several(rule, "path")))
    if "digest" in rule:
        answers.append(f"sha256:{file.sha256}" in several(rule, "digest") if known else None)
    if "format" in rule:
        answers.append(file.format in several(rule, "format") if known else None)
    answers.append(fits_seals(rule, file) if known else None)
    answers.append(fits_release(rule, file) if known else None)
    answers.append(fits_process(rule, process))
    return all_of(answers)


def fits_seals(rule: Table, file: FileFacts) -> bool | None:
    wants_seal = bool(rule.keys() & {"signer", "ca", "store", "catalog"})
    if rule["action"] == "deny":
        if "status" in rule and file.status not in several(rule, "status"):
            return False
        return not wants_seal or any(fits_seal(rule, seal) for seal in file.seals)
    if wants_seal or ("product" in rule and "digest" not in rule):
        if file.status == "trusted":
            return any(seal.status == "trusted" and fits_seal(rule, seal) for seal in file.seals)
        hopeful = any(seal.status != "rejected" and fits_seal(rule, seal) for seal in file.seals)
        return None if file.status == "undecided" and hopeful else False
    answers: list[bool | None] = []
    if "status" in rule:
        answers.append(file.status in several(rule, "status"))
    elif "digest" not in rule:
        answers.append({"trusted": True, "unsigned": True, "undecided": None, "rejected": False}[file.status])
    if rank(rule) == 1:
        answers.append(None if file.writable is None else not file.writable)
    return all_of(answers)


def fits_seal(rule: Table, seal: SealFacts) -> bool:
    above = {each for authority in seal.authorities for each in (authority.key_sha256, authority.certificate_sha256)}
    return (
        ("signer" not in rule or any(fits_signer(each, seal) for each in several(rule, "signer")))
        and ("ca" not in rule or any(bare(each) in above for each in several(rule, "ca")))
        and ("store" not in rule or seal.store in several(rule, "store"))
        and (
            "catalog" not in rule
            or (seal.catalog != "" and any(glob(e, seal.catalog) for e in several(rule, "catalog")))
        )
    )


def fits_signer(signer: str | Table, seal: SealFacts) -> bool:
    if isinstance(signer, str):
        signer = {"key": signer}
    root = seal.authorities[-1] if seal.authorities else None
    held = {**dict(seal.claims), "subject": seal.subject}
    checks: dict[str, Callable[[list[str]], bool]] = {
        "key": lambda given: seal.kind != "oidc" and seal.key in given,
        "certificate": lambda given: seal.certificate in given,
        "root": lambda given: root is not None and (root.key_sha256 in given or root.certificate_sha256 in given),
        "subject": lambda given: seal.subject in given,
    }
    for key, check in checks.items():
        if key in signer and not check([bare(each) for each in several(signer, key)]):
            return False
    if any(each not in seal.purposes for each in several(signer, "eku")):
        return False
    oidc = signer.get("oidc", {})
    return not oidc or (
        seal.kind == "oidc" and all(any(glob(e, held.get(name, "")) for e in several(oidc, name)) for name in oidc)
    )


def fits_release(rule: Table, file: FileFacts) -> bool | None:
    if "product" not in rule:
        return True
    if file.release is None:
        return False if file.release_readable else None
    if file.release.product.lower() not in [each.lower() for each in several(rule, "product")]:
        return False
    mine = numbers(file.release.version)
    answers: list[bool | None] = []
    if "version" in rule:
        answers.append(any_of([None if mine is None else mine == numbers(each) for each in several(rule, "version")]))
    if "below" in rule:
        answers.append(None if mine is None else mine < (numbers(rule["below"]) or []))
    return all_of(answers)


def fits_process(rule: Table, process: Process) -> bool | None:
    answers: list[bool | None] = []
    if "user" in rule:
        wanted = several(rule, "user")
        unknown = (process.uid is None and any(isinstance(each, int) for each in wanted)) or (
            not process.user and any(isinstance(each, str) for each in wanted)
        )
        mine = process.uid in wanted or process.user in wanted
        answers.append(True if mine else None if unknown else False)
    for key, held in (("program", process.program), ("parent", process.parent)):
        if key in rule:
            answers.append(any(glob(each, held) for each in several(rule, key)) if held else None)
    return all_of(answers)


def demands_met(rule: Table, file: FileFacts, at: dt.datetime) -> bool | None:
    wanted = rule.get("require", {})
    answers: list[bool | None] = []
    seals = [seal for seal in file.seals if seal.status == "trusted" and fits_seal(rule, seal)]
    age = wanted.get("max-age")
    if wanted.get("timestamp") or age:
        seals = [seal for seal in seals if seal.signed_at is not None]
        answers.append(seals != [])
    if age:
        limit = dt.timedelta(days=int(age[:-1])) if age[-1] == "d" else dt.timedelta(hours=int(age[:-1]))
        seals = [seal for seal in seals if seal.signed_at is not None and at <= seal.signed_at + limit]
        answers.append(seals != [])
    if wanted.get("revocation") == "require":
        good = [seal for seal in seals if seal.revocation == "good"]
        maybe = any(seal.revocation == "unchecked" for seal in seals)
        answers.append(True if good else None if maybe else False)
        seals = good
    if "signers" in wanted:
        answers.append(people(seals) >= wanted["signers"])
    if wanted.get("log"):
        answers.append(file.logged)
    if "min-version" in wanted:
        answers.append(at_least(file, wanted["min-version"]))
    if wanted.get("no-rollback"):
        answers.append(at_least(file, file.newest or (file.release.version if file.release else "")))
    return all_of(answers)


def at_least(file: FileFacts, least: str) -> bool | None:
    if file.release is None:
        return False if file.release_readable else None
    mine, other = numbers(file.release.version), numbers(least)
    return None if mine is None or other is None else mine >= other


def people(seals: list[SealFacts]) -> int:
    """Try to tell them apart: the same key, or the same name under the same root, is one signer."""
    left = list(seals)
    count = 0
    while left:
        same = [left.pop()]
        for known in same:
            more = [seal for seal in left if alike(seal, known)]
            same += more
            left = [seal for seal in left if seal not in more]
        count += 1
    return count


def alike(one: SealFacts, other: SealFacts) -> bool:
    if "oidc" in (one.kind, other.kind):
        issuers = [dict(seal.claims).get("issuer", "") for seal in (one, other)]
        return one.kind == other.kind and one.subject == other.subject and issuers[0] == issuers[1]
    named = one.kind == other.kind == "x509" and one.subject == other.subject
    return one.key == other.key or (named and root_of(one) == root_of(other))


def root_of(seal: SealFacts) -> str:
    return seal.authorities[-1].key_sha256 if seal.authorities else ""


def bare(digest: str) -> str:
    return digest.removeprefix("sha256:")


def numbers(version: str) -> list[int] | None:
    """Only versions of plain numbers are made here."""
    parts = version.split(".")
    if not all(part.isdigit() for part in parts):
        return None
    found = list(map(int, parts))
    while found[1:] and found[-1] == 0:
        found.pop()
    return found


def glob(pattern: str, text: str) -> bool:
    """By trying every split."""
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(glob(pattern[2:], text[cut:]) for cut in range(len(text) + 1))
    if pattern[0] == "*":
        ends = text.find("/") if "/" in text else len(text)
        return any(glob(pattern[1:], text[cut:]) for cut in range(ends + 1))
    return (
        text != "" and (text[0] != "/" if pattern[0] == "?" else pattern[0] == text[0]) and glob(pattern[1:], text[1:])
    )


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def written(rules: list[Table], mode: str = "enforce") -> bytes:
    """A policy with these rules."""
    lines = ["chopmark-policy = 1", 'name = "generated"', "version = 1", f'mode = "{mode}"']
    for rule in rules:
        lines += ["", "[[rule]]", *(f"{key} = {toml(value)}" for key, value in rule.items())]
    return "\n".join([*lines, ""]).encode()
