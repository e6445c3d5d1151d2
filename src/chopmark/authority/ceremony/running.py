"""Carrying a plan out: everything is checked before anything is done, and what was done is written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from chopmark.authority.ceremony import plan as plans
from chopmark.authority.ceremony import rules as rules_
from chopmark.authority.ceremony import transcript
from chopmark.authority.hierarchy import changing
from chopmark.authority.hierarchy.changing import Hierarchy, NewKey
from chopmark.core import clock, patch
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import pem, pkcs10, x509

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Sequence

    from chopmark import keys
    from chopmark.authority.ca import Authority
    from chopmark.authority.ceremony.approval import Approval
    from chopmark.authority.ceremony.plan import Plan, Step
    from chopmark.authority.ceremony.rules import Rules

FOLDER = "ceremonies"
"""In the authority's folder: the transcripts."""


class Result(NamedTuple):
    """One thing that a step brought about: what, and the digest of the certificate if it is one."""

    what: str
    sha256: str = ""


def rules_of(plan: Plan, authority: Authority | None) -> Rules:
    """Whose approval a plan needs: the authority's approvers; those in the plan itself where it founds one.

    Raises UsageError when the plan is for another authority, or when nobody may approve anything yet.
    """
    if plan.founds:
        return _rules(plan.steps[1])
    if authority is None:
        message = "the plan is for an authority that exists"
        raise UsageError(message)
    own = authority.issuers()[0].certificate.sha256
    if plan.authority != own:
        message = f"the plan is for another authority (its first root is {plan.authority[:16]}..., not {own[:16]}...)"
        raise UsageError(message)
    found = authority.ceremonies.rules()
    if not found.threshold:
        message = "nobody may approve ceremonies of this authority yet: `chopmark ca ceremony rules` says who"
        raise UsageError(message)
    return found


def require_approved(plan: Plan, rules: Rules, approvals: Sequence[Approval], now: dt.datetime) -> None:
    """Raise RefusedError unless the plan may be carried out now."""
    if now >= plan.expires:
        message = f"the plan has expired, {clock.show(plan.expires)}; nothing was done"
        raise RefusedError(message)
    distinct = {each.certificate.key_sha256 for each in approvals}
    if len(distinct) < rules.threshold:
        names = ", ".join(each.name for each in approvals) or "nobody"
        message = f"{len(distinct)} of {rules.threshold} approvals ({names}); nothing was done"
        raise RefusedError(message)


def run(plan: Plan, approvals: list[Approval], authority: Authority, key: Callable[[str], NewKey]) -> dict[str, Any]:
    """Carry a plan out for an authority that exists; the transcript, which also lies in its folder.

    `key` makes the key of a new CA of a kind. When a step fails the ones before it stand, the transcript says so, and
    the step's error is raised. Raises RefusedError before anything is done when the plan may not be carried out.
    """
    rules = rules_of(plan, authority)
    now = authority.clock().replace(microsecond=0)
    require_approved(plan, rules, approvals, now)
    return _carried_out(plan, rules, approvals, authority, key, plan.steps)


def found(
    plan: Plan,
    approvals: list[Approval],
    folder: str,
    passphrase: keys.Passphrase,
    key: Callable[[str], NewKey],
    now: Callable[[], dt.datetime] = clock.now,
) -> dict[str, Any]:
    """Carry out a plan that founds an authority in a new folder; the transcript."""
    from chopmark.authority.hierarchy import founding

    rules = rules_of(plan, None)
    require_approved(plan, rules, approvals, now())
    values = plan.steps[0].values
    setup = founding.Setup(
        values["name"],
        values["url"],
        values.get("type", "rsa-4096"),
        values.get("country", ""),
        database=values.get("database", ""),
    )
    with founding.found(folder, setup, passphrase, clock=now) as authority:
        return _carried_out(plan, rules, approvals, authority, key, plan.steps[1:])


def _carried_out(
    plan: Plan,
    rules: Rules,
    approvals: list[Approval],
    authority: Authority,
    key: Callable[[str], NewKey],
    steps: Sequence[Step],
) -> dict[str, Any]:
    begun = authority.clock().replace(microsecond=0)
    authority.ceremonies.begin(plan.sha256, approvals, begun)
    done: list[tuple[Step, list[Result]]] = []
    if plan.founds:
        made = [Result(f"CA {each.name}", each.certificate.sha256) for each in authority.issuers()]
        done.append((plan.steps[0], made))
    failure: ChopmarkError | None = None
    with authority.approved():
        for step in steps:
            try:
                done.append((step, _do(step, authority, key)))
            except ChopmarkError as error:
                failure = error
                break
    ended = authority.clock().replace(microsecond=0)
    told = transcript.build(plan, rules, approvals, done, authority.issuers()[0].certificate.sha256, begun, ended)
    if failure:
        told["failed"] = str(failure)
    raw = transcript.encode(told)
    folder = os.path.join(authority.folder, FOLDER)
    os.makedirs(folder, 0o755, exist_ok=True)
    patch.write_file(path_of(authority, plan), raw)
    authority.ceremonies.end(plan.sha256, transcript.digest(raw), "failed" if failure else "done", ended)
    if failure:
        raise failure
    return told


def path_of(authority: Authority, plan: Plan) -> str:
    """Where the transcript of a plan lies."""
    return os.path.join(authority.folder, FOLDER, f"{plan.sha256[:16]}.json")


# What each step does


def _do(step: Step, authority: Authority, key: Callable[[str], NewKey]) -> list[Result]:
    return _ACTIONS[step.do](authority, dict(step.values), key)


def _rules(step: Step) -> Rules:
    values = step.values
    return rules_.from_values(values["threshold"], values["approvers"], required=values.get("required", False))


def _do_rules(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    rules = _rules(plans.Step("rules", values))
    authority.ceremonies.set_rules(rules, authority.clock().replace(microsecond=0))
    return [Result(f"{rules.threshold} of {len(rules.approvers)} approve: {', '.join(rules.approvers)}")]


def _new_key(values: dict[str, Any], key: Callable[[str], NewKey]) -> NewKey:
    if uri := values.get("key", ""):
        return NewKey(uri=uri, passphrase=key("rsa-4096").passphrase)
    return key(values.get("type", "rsa-4096"))


def _add(authority: Authority, values: dict[str, Any], key: Callable[[str], NewKey]) -> list[Result]:
    named = {name: values.get(field, "") for name, field in (("name", "ca"), ("title", "title"), ("parent", "parent"))}
    return _grown(authority, Hierarchy(authority).add(values["role"], _new_key(values, key), **named))


def _roll(authority: Authority, values: dict[str, Any], key: Callable[[str], NewKey]) -> list[Result]:
    return _grown(authority, Hierarchy(authority).roll(values["ca"], _new_key(values, key)))


def _grown(authority: Authority, grown: changing.Grown) -> list[Result]:
    results = [Result(f"CA {grown.issuer.name}", grown.issuer.certificate.sha256)]
    return results + [_crossed(authority, name) for name in grown.crosses]


def _crossed(authority: Authority, name: str) -> Result:
    [cross] = [each for each in authority.lineage.crosses() if each.name == name]
    return Result(f"certificate {name}", cross.certificate.sha256)


def _retire(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    return [Result(f"CA {Hierarchy(authority).retire(values['ca']).name} retired")]


def _cross(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    return [_crossed(authority, Hierarchy(authority).cross(values["ca"], values["by"]))]


def _certify(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    granted = changing.crossing(
        values["purposes"],
        values.get("policies", []),
        values.get("path-length", 0),
        values.get("permit", []),
        values.get("exclude", []),
    )
    subject = _foreign(values["pem"].encode())
    made = x509.certificate(Hierarchy(authority).certify(subject, values["by"], granted, values.get("months", 36)))
    return [Result(f"certificate {made.serial_octets.hex()} for {made.subject_text}", made.sha256)]


def _foreign(data: bytes) -> changing.Foreign:
    try:
        request = any(label.encode() in data for label in pkcs10.LABELS)
        raw = pem.single(data, *pkcs10.LABELS) if request else pem.single(data, "CERTIFICATE")
        return changing.foreign(raw, request=request)
    except MalformedError as error:
        message = f"not a CA's request or certificate: {error}"
        raise RefusedError(message) from None


def _accept(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    try:
        given, issuer = (pem.single(values[name].encode(), "CERTIFICATE") for name in ("pem", "issuer"))
        name = Hierarchy(authority).accept(values["ca"], given, x509.certificate(issuer))
    except MalformedError as error:
        message = f"not a certificate for the CA {values['ca']}: {error}"
        raise RefusedError(message) from None
    return [_crossed(authority, name)]


def _revoke(authority: Authority, values: dict[str, Any], _key: Callable[[str], NewKey]) -> list[Result]:
    record = authority.revoke(
        values["serial"], values.get("reason", "unspecified"), at=plans.moment(values.get("date"))
    )
    authority.publish(record.issuer)
    return [Result(f"revoked {record.serial}, since {clock.show(record.revoked or authority.clock())}")]


_ACTIONS: dict[str, Callable[[Authority, dict[str, Any], Callable[[str], NewKey]], list[Result]]] = {
    "rules": _do_rules,
    "add": _add,
    "roll": _roll,
    "retire": _retire,
    "cross": _cross,
    "certify": _certify,
    "accept": _accept,
    "revoke": _revoke,
}
