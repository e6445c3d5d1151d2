"""`chopmark ca ceremony`: what several people decide together."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from chopmark.cli import output
from chopmark.cli.key import add_new_passphrase
from chopmark.core import clock
from chopmark.core.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable

    from chopmark.authority.ca import Authority
    from chopmark.authority.ceremony.plan import Plan
    from chopmark.cli.ca_part import Actions


def add_actions(actions: Actions) -> None:
    """Declare the commands."""
    parser = actions.add_parser("ceremony", help="plans that several people approve: plan, approve, run, show, rules")
    inner = parser.add_subparsers(dest="ceremony", required=True, metavar="COMMAND")

    def command(name: str, what: str, do: Callable[[Namespace], int]) -> ArgumentParser:
        made: ArgumentParser = inner.add_parser(name, help=what)
        made.set_defaults(do=do)
        made.add_argument("--ca", metavar="DIR", help="the authority's folder")
        return made

    plan = command("plan", "say what a plan would do, who has to approve it and who has", _plan)
    plan.add_argument("plan", metavar="PLAN", help="a TOML file")
    plan.add_argument("--template", metavar="STEP", help="write a new plan with this step there, to be completed")
    approve = command("approve", "approve a plan with one's own key", _approve)
    approve.add_argument("plan", metavar="PLAN", help="the plan that is approved, as it is")
    approve.add_argument("--key", required=True, metavar="URI", help="the approver's private key")
    approve.add_argument("--cert", metavar="F", help="its certificate, as the authority knows it")
    approve.add_argument("--passphrase", metavar="SRC", help="of the key")
    approve.add_argument("-o", "--output", metavar="F", help="default: PLAN.KEY.approval")
    run = command("run", "carry an approved plan out, once", _run)
    run.add_argument("plan", metavar="PLAN", help="the plan that was approved")
    run.add_argument("--approval", action="append", default=[], metavar="F", help="default: PLAN.*.approval")
    run.add_argument("--passphrase", metavar="SRC", help="of the CA's keys")
    add_new_passphrase(run, "key-")
    show = command("show", "check the transcript of a ceremony", _show)
    show.add_argument("transcript", metavar="TRANSCRIPT", help="what `ca ceremony run` wrote")
    show.add_argument("--json", action="store_true", help="the transcript itself")
    rules = command("rules", "show, or set for the first time, who approves and how many it takes", _rules)
    rules.add_argument("--approver", action="append", default=[], metavar="NAME=F", help="with a certificate")
    rules.add_argument("--threshold", type=int, metavar="M", help="so many of them")
    rules.add_argument("--require", action="store_true", help="refuse the same without a ceremony from now on")


def _read_plan(path: str) -> Plan:
    from chopmark.authority.ceremony import plan
    from chopmark.core import limits
    from chopmark.core.artifact import read_as

    return read_as(path, limits.CEREMONY_MAX, plan.parse)


def _authority(args: Namespace, plan: Plan) -> Authority | None:
    from chopmark.cli.ca import opened

    return None if plan.founds else opened(args)


def _plan(args: Namespace) -> int:
    if args.template:
        return _template(args)
    from chopmark.authority.ceremony import approval, running

    plan = _read_plan(args.plan)
    authority = _authority(args, plan)
    try:
        rules = running.rules_of(plan, authority)
    finally:
        if authority:
            authority.close()
    approvals, refused = approval.collect(plan.raw, approval.beside(args.plan), rules.approvers)
    print(f"plan       {output.clean(plan.title)}")
    print(f"           {plan.sha256}")
    print(f"           until {clock.show(plan.expires)}")
    for number, step in enumerate(plan.steps, 1):
        told = ", ".join(f"{name} {_value(value)}" for name, value in step.values.items())
        print(output.filled(output.clean(f"{step.do} {told}"), first=f"step {number:<5} "))
    for each in approvals:
        print(f"approved   by {output.clean(each.name)}")
    for bad in refused:
        print(output.filled(output.clean(f"{bad.path}: {bad.why}"), first="refused    "))
    print(f"approvals  {len(approvals)} of {rules.threshold} needed, from {', '.join(rules.approvers)}")
    return 0 if len(approvals) >= rules.threshold and clock.now() < plan.expires else 1


def _value(value: object) -> str:
    if isinstance(value, str):
        import hashlib

        lines = value.count("\n")
        digest = hashlib.sha256(value.encode()).hexdigest()
        return value if not lines else f"({lines} lines, sha256 {digest})"
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_value(each)}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _template(args: Namespace) -> int:
    import datetime as dt

    from chopmark.authority.ceremony.plan import STEPS
    from chopmark.cli.ca import opened
    from chopmark.core import patch

    if args.template not in STEPS:
        message = f"no step {args.template!r}: one of {', '.join(STEPS)}"
        raise UsageError(message)
    expires = clock.now() + dt.timedelta(days=14)
    lines = ["ceremony = 1", 'title = ""']
    if args.template != "found":
        with opened(args) as authority:
            lines.append(f'authority = "{authority.issuers()[0].certificate.sha256}"')
    lines.append(f"expires = {clock.show(expires)}")
    for step in (args.template, "rules") if args.template == "found" else (args.template,):
        lines += ["", "[[step]]", f'do = "{step}"']
        lines += [
            f"{'' if field.required else '# '}{name} = {_EMPTY[field.kind]}" for name, field in STEPS[step].items()
        ]

    if os.path.lexists(args.plan):
        message = f"{args.plan}: exists already"
        raise UsageError(message)
    patch.write_file(args.plan, ("\n".join(lines) + "\n").encode())
    print(f"made       {output.clean(args.plan)}")
    return 0


_EMPTY = {str: '""', int: "1", bool: "false", list: "[]", dict: "{}"}


def _approve(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.ceremony import approval
    from chopmark.cli.ca import read
    from chopmark.core import patch
    from chopmark.engine import keyring
    from chopmark.envelopes import pem, x509

    plan = _read_plan(args.plan)
    if clock.now() >= plan.expires:
        message = f"the plan has expired, {clock.show(plan.expires)}"
        raise RefusedError(message)
    signer = keyring.open_key(args.key, keys.secret(args.passphrase))
    certificates = tuple(pem.certificates(read(args.cert))) if args.cert else signer.certificates
    made = approval.approve(plan.raw, signer, certificates, clock.now())
    fingerprint = x509.certificate(certificates[0]).key_sha256
    path = args.output or f"{args.plan}.{fingerprint[:12]}{approval.SUFFIX}"
    patch.write_file(path, pem.encode("CMS", made))
    print(f"approved   {output.clean(plan.title)}")
    print(f"           {plan.sha256}")
    print(f"           {output.clean(path)}")
    return 0


def _run(args: Namespace) -> int:
    from chopmark import keys
    from chopmark.authority.ceremony import approval, running
    from chopmark.authority.hierarchy.changing import NewKey
    from chopmark.cli.ca import folder, opened
    from chopmark.cli.key import new_passphrase

    plan = _read_plan(args.plan)
    paths = args.approval or approval.beside(args.plan)
    secrets: list[bytes | None] = []

    def key(kind: str) -> NewKey:
        def secret(what: str) -> bytes | None:
            if not secrets:
                secrets.append(new_passphrase(what, args, "key-"))
            return secrets[0]

        return NewKey(kind, passphrase=secret)

    authority = _authority(args, plan)
    try:
        rules = running.rules_of(plan, authority)
        approvals, refused = approval.collect(plan.raw, paths, rules.approvers)
        for bad in refused:
            output.complain(f"not an approval: {bad.why}", bad.path)
        if authority is None:
            told = running.found(plan, approvals, folder(args), keys.new_secret(args.passphrase), key)
            with opened(args) as made:
                where = running.path_of(made, plan)
        else:
            told = running.run(plan, approvals, authority, key)
            where = running.path_of(authority, plan)
    finally:
        if authority:
            authority.close()
    print(f"done       {output.clean(plan.title)}")
    for step in told["steps"]:
        for result in step["results"]:
            print(output.filled(output.clean(result["what"]), first=f"{step['do']:<10} "))
    print(f"transcript {output.clean(where)}")
    return 0


def _show(args: Namespace) -> int:
    from chopmark.authority.ceremony import transcript
    from chopmark.authority.register import configuration
    from chopmark.cli.ca import folder, opened, read

    raw = read(args.transcript)
    told = transcript.read(raw)
    if configuration.exists(folder(args)):
        with opened(args) as authority:
            faults = transcript.faults(raw, authority)
    else:
        faults = transcript.faults(raw, None)
        output.complain("there is no authority here: its register was not asked", args.transcript)
    if args.json:
        print(json.dumps(told))
        return 1 if faults else 0
    print(f"{'broken' if faults else 'holds':<10} {output.clean(args.transcript)}")
    print(output.filled(output.clean(f"plan {told['plan_sha256']}")))
    print(f"           {told['begun']} to {told['ended']}")
    for each in told["approvals"]:
        print(output.filled(output.clean(f"approved by {each['name']} (key {each['key_sha256'][:16]}...)")))
    for step in told["steps"]:
        for result in step["results"]:
            print(output.filled(output.clean(result["what"]), first=f"{step['do']:<10} "))
    if "failed" in told:
        print(output.filled(output.clean(told["failed"]), first="failed     "))
    for fault in faults:
        print(output.filled(output.clean(fault), first=" no        "))
    return 1 if faults else 0


def _rules(args: Namespace) -> int:
    from chopmark.authority.ceremony import rules
    from chopmark.cli.ca import opened, read

    with opened(args) as authority:
        if args.approver or args.threshold is not None:
            given = {}
            for each in args.approver:
                name, _, path = each.partition("=")
                given[name] = read(path).decode("latin-1")
            made = rules.from_values(args.threshold or 0, given, required=args.require)
            if authority.ceremonies.rules().threshold:
                message = "the rules are set, and others take a ceremony with the step `rules`"
                raise RefusedError(message)
            authority.ceremonies.set_rules(made, authority.clock().replace(microsecond=0))
        found = authority.ceremonies.rules()
    if not found.threshold:
        print("nobody approves ceremonies yet")
        return 0
    print(f"rules      {found.threshold} of {len(found.approvers)} approve")
    for name, certificate in found.approvers.items():
        print(output.filled(output.clean(f"{name}: {certificate.subject_text}")))
        print(f"           {certificate.key_sha256}")
    if found.required:
        print("           CAs are not changed without a ceremony")
    return 0
