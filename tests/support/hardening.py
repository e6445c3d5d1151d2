"""Signers and files as both a policy and another system see them, and naive readers of what was exported."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from chopmark.core.verdict import Status
from chopmark.engine.policing.loading import Policy
from chopmark.envelopes import x509
from chopmark.harden.contract import Request
from chopmark.harden.material import Identity, Material
from chopmark.policy import language
from chopmark.policy.deciding import Compiled
from chopmark.policy.facts import FileFacts, SealFacts
from tests.support import pki, policies, policy_oracle
from tests.support.policies import HEX, MIDDLE, NOW, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chopmark.policy.facts import Process


def seal(subject: str, key: str, certificate: str, **more: Any) -> SealFacts:  # noqa: ANN401 - fields of SealFacts
    return SealFacts("cms", Status.TRUSTED, "x509", subject, key, certificate, **{"store": "corp", **more})


SEALS = (
    seal("CN=A", HEX[0], HEX[2], authorities=(MIDDLE, ROOT), purposes=("1.2.3", "1.2.4")),
    seal("CN=B", HEX[1], HEX[3], authorities=(ROOT,)),
    seal("CN=A", HEX[0], HEX[3], store="else"),
)
"""The third has the key of the first, and another certificate."""


LISTED = seal("CN=Lists", HEX[5], HEX[5], store="lists", catalog="/etc/host.catalog")
"""Through a catalog, by somebody whom no rule denies: targets do not see other signatures, as each export says."""


@cache
def certificate(label: str, kind: str = "p256") -> x509.Certificate:
    """A real one for each, since targets are given real ones."""
    return x509.certificate(pki.leaf(pki.world().issuing, label, kind=kind).der)


def identity(of: SealFacts, kind: str = "p256", problem: str = "") -> Identity:
    found = certificate(f"{of.subject} {of.certificate[:4]} {kind}", kind)
    return Identity(found, of, (found,), problem)


IDENTITIES = tuple(map(identity, SEALS))


class View(NamedTuple):
    """A file in use, as another system sees it: its own kind of signature is by `signer`, if it is intact."""

    file: FileFacts
    kind: str
    process: Process
    signer: SealFacts | None


def request(rules: list[dict[str, Any]], mode: str = "enforce", **more: Any) -> Request:  # noqa: ANN401 - its fields
    """Everything is at hand unless `more` says otherwise."""
    main = language.parse(policy_oracle.written(rules, mode), "p.toml")
    policy = Policy((main,), Compiled(main.rules, main.mode))
    return Request(**{"policy": policy, "material": Material(IDENTITIES), "at": NOW, **more})


def allowed(asked: Request, view: View, at: dt.datetime = NOW) -> bool:
    """Whether the policy allows it, by the oracle's word for rules that were not left out."""
    rules = [rule for rule in asked.rules if str(rule.place) not in asked.left_out]
    return Compiled(rules, asked.policy.main.mode).decide(view.file, view.kind, view.process, at).allowed


@st.composite
def views(draw: st.DrawFn, kinds: list[str]) -> View:
    """A file with at most one signature of its own kind, intact or not, and perhaps a catalog that has it."""
    file = draw(policies.files())._replace(blocked="")
    signer = draw(st.sampled_from([None, *SEALS, *SEALS, "stranger", "tampered"]))
    seals: tuple[SealFacts, ...] = ()
    status = Status.UNSIGNED
    if isinstance(signer, SealFacts):
        signed_at = draw(st.sampled_from([None, NOW - dt.timedelta(days=2)]))
        seals, status = (signer._replace(signed_at=signed_at),), Status.TRUSTED
    elif signer == "stranger":
        seals, status = (SEALS[0]._replace(key=HEX[5], certificate=HEX[5], status=Status.UNDECIDED),), Status.UNDECIDED
    elif signer == "tampered":
        seals, status = (SEALS[0]._replace(status=Status.REJECTED),), Status.REJECTED
    if draw(st.booleans()) and status in (Status.TRUSTED, Status.UNSIGNED):
        seals = (*seals, LISTED)
        status = Status.TRUSTED
    if not file.sha256:
        seals, status, signer = (), Status.UNDECIDED, None
    return View(
        file._replace(seals=seals, status=status),
        draw(st.sampled_from(kinds)),
        draw(policies.PROCESSES),
        signer if isinstance(signer, SealFacts) else None,
    )


Files = dict[str, bytes]


def in_ring(files: Files, signer: SealFacts | None) -> bool:
    """Whether the key that signed is that of a certificate in the folder of keys."""
    raw = {data for path, data in files.items() if path.startswith("keys/")}
    keys = {each.seal.key for each in IDENTITIES if each.certificate.raw in raw}
    return signer is not None and signer.key in keys


def ima(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """Every hook that a use passes through has to be satisfied; without a rule it is (ima_policy)."""
    hooks = {"exec": ["BPRM_CHECK"], "script": ["BPRM_CHECK"], "library": ["MMAP_CHECK"], "module": ["MODULE_CHECK"]}
    asked = set()
    for line in files["ima-policy"].decode().splitlines():
        words = line.split()
        if words[0] == "appraise":
            asked.add(words[1].removeprefix("func="))
            assert words[2:] == ["appraise_type=imasig"]
    return in_ring(files, view.signer) or asked.isdisjoint(hooks[view.kind])


def ipe(files: Files, view: View, options: Mapping[str, str]) -> bool:  # noqa: ARG001 - one shape for all
    """The first rule that fits decides, else the operation's default, else the default for all."""
    operation = "KMODULE" if view.kind == "module" else "EXECUTE"
    rules = [line.split() for line in files["ipe-policy"].decode().splitlines()[1:] if not line.startswith("#")]
    defaults = {}
    for words in rules:
        if words[0] == "DEFAULT":
            defaults[words[1] if len(words) > 2 else ""] = words[-1]
        elif words[0] == f"op={operation}":
            assert words[1] == "fsverity_signature=TRUE"
            if in_ring(files, view.signer):
                return words[2] == "action=ALLOW"
    return defaults.get(f"op={operation}", defaults[""]) == "action=ALLOW"


READERS = {"ima": ima, "ipe": ipe}
