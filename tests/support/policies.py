"""Rules, files and processes out of few parts, so that they often fit each other; for hypothesis."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st

from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import language
from chopmark.policy.deciding import Compiled, Mode
from chopmark.policy.facts import FileFacts, Process, SealFacts
from tests.support import policy_oracle

NOW = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
HEX = [digit * 64 for digit in "abcdef"]
DIGESTS = [f"sha256:{each}" for each in HEX]
ANYBODY = Process(1000, "ada", "/usr/bin/sh", "/usr/sbin/sshd")
KINDS = ["exec", "script", "library"]
PATHS = ["/usr/bin/tool", "/usr/lib/x/tool.so", "/opt/tool", "/home/ada/tool"]
PATTERNS = ["/usr/**", "/usr/bin/*", "/opt/tool", "/**/tool", "/usr/lib/?/*", "/home/*/tool"]
ROOT, MIDDLE = Authority("CN=Root", HEX[4], HEX[5]), Authority("CN=Middle", HEX[3], HEX[2])
ISSUER = "https://issuer.example"


def some(values: list[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True))


def tables(needed: dict[str, st.SearchStrategy[Any]], more: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(needed, optional=more)


KEYS, CERTIFICATES, ROOTS = DIGESTS[:2], DIGESTS[2:4], DIGESTS[4:]
SIGNERS = st.one_of(
    st.sampled_from(KEYS),
    tables({"key": some(KEYS)}, {"root": some(ROOTS), "eku": st.just("1.2.3"), "subject": some(["CN=A", "CN=B"])}),
    tables({"root": some(ROOTS)}, {"eku": st.just("1.2.3"), "subject": some(["CN=A", "CN=B"])}),
    tables({"certificate": some(CERTIFICATES)}, {}),
    st.builds(
        lambda subject: {"oidc": {"issuer": ISSUER, "subject": subject}},
        some(["repo:mint/tool:main", "repo:mint/*:*", "repo:**"]),
    ),
)
REQUIREMENTS = tables(
    {},
    {
        "timestamp": st.booleans(),
        "log": st.booleans(),
        "signers": st.integers(1, 3),
        "max-age": st.sampled_from(["1d", "30d", "12h"]),
        "min-version": st.sampled_from(["1.0", "2.0"]),
        "no-rollback": st.booleans(),
        "revocation": st.just("require"),
    },
)
CONDITIONS = {
    "digest": some(DIGESTS[:3]),
    "product": some(["Tool", "tool", "Other"]),
    "signer": st.one_of(SIGNERS, st.lists(SIGNERS, min_size=1, max_size=2)),
    "ca": some(DIGESTS[2:]),
    "store": some(["corp", "else"]),
    "catalog": some(["/etc/*.catalog", "/etc/host.catalog"]),
    "path": some(PATTERNS),
    "format": some(["pe", "script"]),
    "use": some(KINDS),
    "user": some(["ada", "bob", 0, 1000]),
    "program": some(["/usr/bin/sh", "/usr/bin/*"]),
    "parent": some(["/usr/sbin/sshd"]),
    "expires": st.sampled_from([NOW - dt.timedelta(days=1), NOW, NOW + dt.timedelta(days=1)]),
}
_OFTEN = ["signer", "ca", "store", "product"]
VERSIONS = {"version": some(["1.0", "1.5", "2.0"]), "below": st.sampled_from(["1.5", "2.0"])}


@st.composite
def rules(draw: st.DrawFn, action: str = "") -> dict[str, Any]:
    """A table of a rule, with few conditions."""
    keys = draw(st.lists(st.sampled_from([*sorted(CONDITIONS), *_OFTEN]), max_size=3, unique=True))
    rule: dict[str, Any] = {"action": action or draw(st.sampled_from(["allow", "allow", "deny"]))}
    rule |= {key: draw(CONDITIONS[key]) for key in keys}
    if "product" in rule:
        rule |= draw(tables({}, VERSIONS))
    about_trust = rule.keys() & {"product", "signer", "ca", "store", "catalog"}
    if draw(st.booleans()) and (rule["action"] == "deny" or not about_trust):
        rule["status"] = draw(some(["trusted", "unsigned", "undecided", "rejected"]))
    if rule["action"] == "allow" and draw(st.booleans()):
        rule["require"] = draw(REQUIREMENTS)
    return rule


SEALS = st.builds(
    lambda facts, oidc: facts._replace(kind="oidc", claims=(("issuer", ISSUER),), subject=oidc) if oidc else facts,
    st.builds(
        SealFacts,
        scheme=st.just("cms"),
        status=st.sampled_from([Status.TRUSTED, Status.TRUSTED, Status.UNDECIDED, Status.REJECTED]),
        kind=st.sampled_from(["x509", "key"]),
        subject=st.sampled_from(["CN=A", "CN=B"]),
        key=st.sampled_from(HEX[:2]),
        certificate=st.sampled_from(HEX[2:4]),
        authorities=st.sampled_from([(), (ROOT,), (MIDDLE, ROOT)]),
        purposes=st.sampled_from([(), ("1.2.3", "1.2.4")]),
        store=st.sampled_from(["corp", "else", ""]),
        catalog=st.sampled_from(["", "", "/etc/host.catalog"]),
        signed_at=st.sampled_from([None, NOW - dt.timedelta(hours=1), NOW - dt.timedelta(days=2)]),
        revocation=st.sampled_from(["good", "unchecked", "nobody"]),
    ),
    st.sampled_from(["", "", "", "repo:mint/tool:main"]),
)
RELEASES = st.builds(
    Release, st.sampled_from(["Tool", "Other"]), st.sampled_from(["1.0", "1.5.0", "2", "none"]), st.just("dotted")
)


@st.composite
def files(draw: st.DrawFn) -> FileFacts:
    """What is known of a file."""
    path = draw(st.sampled_from(PATHS))
    if not draw(st.integers(0, 9)):
        return FileFacts(path, "", status=Status.UNDECIDED, release_readable=False)
    release = draw(st.one_of(st.none(), RELEASES))
    return FileFacts(
        path=path,
        sha256=draw(st.sampled_from(HEX[:3])),
        format=draw(st.sampled_from(["pe", "script"])),
        status=draw(st.sampled_from([*Status, Status.TRUSTED, Status.TRUSTED])),
        seals=tuple(draw(st.lists(SEALS, max_size=3))),
        release=release,
        release_readable=release is not None or draw(st.booleans()),
        writable=draw(st.sampled_from([None, True, False, False])),
        blocked=draw(st.sampled_from(["", "", "", "", "", "listed"])),
        logged=draw(st.sampled_from([None, True, False])),
        newest=draw(st.sampled_from(["", "1.5"])),
    )


PROCESSES = st.builds(
    Process,
    uid=st.sampled_from([None, 0, 1000, 1001]),
    user=st.sampled_from(["", "ada", "bob", "eve"]),
    program=st.sampled_from(["", "/usr/bin/sh", "/opt/sh"]),
    parent=st.sampled_from(["", "/usr/sbin/sshd", "/opt/init"]),
)


# Single ones

SIGNED = SealFacts(
    "cms", Status.TRUSTED, "x509", "CN=A", HEX[0], HEX[1], authorities=(Authority("CN=R", HEX[4], HEX[5]),)
)
FILE = FileFacts("/opt/tool", HEX[2], "pe", Status.TRUSTED, (SIGNED,), Release("Tool.exe", "1.5.0.0"), writable=False)
UNSIGNED = FILE._replace(status=Status.UNSIGNED, seals=())


def compiled(rules: list[dict[str, Any]], mode: Mode = Mode.ENFORCE) -> Compiled:
    return Compiled(language.parse(policy_oracle.written(rules), "p.toml").rules, mode)
