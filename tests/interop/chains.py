"""Random certificate chains with random defects: a root, up to three authorities and a signer, all sound, and then
none, one or two mutations of them, and sometimes something done to all of them together.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from cryptography import x509 as rust

from chopmark.envelopes import der, x509
from tests.support import pki
from tests.unit.trust.material import CODE, Cert, Extension, ca_extensions, make, name, own_curve, purposes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = pki.NOW
DAY = dt.timedelta(days=1)
SERVER = "1.3.6.1.5.5.7.3.1"
AUTHORITY, SIGNER, ANY = "authority", "signer", "any"


class Plan:
    """A certificate that is still to be made, as what `make` takes; `label` is its key and the name it is found by."""

    def __init__(self, label: str, extensions: list[Extension]) -> None:
        self.label = label
        self.subject = name(label)
        self.extensions = extensions
        self.parts: dict[str, Any] = {}
        self.forged = False
        self.issuer_name: bytes | None = None

    def replace(self, oid: str, *others: Extension) -> None:
        """Other extensions in place of one."""
        self.extensions = [*(each for each in self.extensions if each.oid != oid), *others]

    def made(self, issuer: Cert | None) -> Cert:
        """The certificate."""
        key = pki.key("p256", self.label)
        above = issuer
        if self.forged and issuer is not None:
            above = Cert(issuer.raw, pki.key("p256", "thief"), issuer.name)
        return make(self.subject, key, above, issuer_name=self.issuer_name, extensions=self.extensions, **self.parts)


class Chain(NamedTuple):
    """What is judged (DER): the signer, what is carried along, the root; and which mutations it has."""

    leaf: bytes
    others: tuple[bytes, ...]
    root: bytes
    mutations: tuple[str, ...]


def _key_id(label: str) -> bytes:
    public = pki.key("p256", label).public_key()
    return rust.SubjectKeyIdentifier.from_public_key(public).digest


def _identified(label: str, above: str) -> list[Extension]:
    return [
        Extension(x509.SUBJECT_KEY_ID, der.octet_string(_key_id(label))),
        Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, _key_id(above)))),
    ]


def _sound(chance: random.Random) -> list[Plan]:
    """A root, authorities and a signer without a defect."""
    labels = ["Root", *(f"Level {number}" for number in range(chance.randint(0, 3))), "Signer"]
    plans = []
    for position, label in enumerate(labels):
        identifiers = _identified(label, labels[max(position - 1, 0)])
        extensions = ca_extensions() if label != "Signer" else [*_leaf_extensions()]
        plans.append(Plan(label, [*extensions, *identifiers]))
    return plans


def _leaf_extensions() -> Iterator[Extension]:
    yield Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True)
    yield purposes(CODE)
    yield alternative(der.implicit(2, b"signer.example.com"))


def alternative(*names: bytes) -> Extension:
    return Extension(x509.SUBJECT_ALT_NAME, der.sequence(*names))


# Mutations


class Mutation(NamedTuple):
    """A change of a certificate: of which (AUTHORITY takes the root, too), and how."""

    whose: str
    change: Callable[[Plan], None]


def _extended(*extensions: Extension) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        for each in extensions:
            plan.replace(each.oid, each)

    return change


def _without(oid: str) -> Callable[[Plan], None]:
    return lambda plan: plan.replace(oid)


def _with(**parts: Any) -> Callable[[Plan], None]:  # noqa: ANN401 - what `make` takes
    return lambda plan: plan.parts.update(parts)


def _twice(oid: str) -> Callable[[Plan], None]:
    return lambda plan: plan.extensions.extend([each for each in plan.extensions if each.oid == oid])


def _critical(oid: str, *, critical: bool) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.extensions = [each._replace(critical=critical) if each.oid == oid else each for each in plan.extensions]

    return change


def _named(subject: bytes) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.subject = subject

    return change


def _issued_by(issuer: bytes) -> Callable[[Plan], None]:
    def change(plan: Plan) -> None:
        plan.issuer_name = issuer

    return change


def _forged(plan: Plan) -> None:
    plan.forged = True


def _usage(bits: bytes) -> Callable[[Plan], None]:
    return _extended(Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, bits), critical=True))


def _basic(*parts: bytes) -> Callable[[Plan], None]:
    return _extended(Extension(x509.BASIC_CONSTRAINTS, der.sequence(*parts), critical=True))


def _trees(which: int, *bases: bytes) -> Callable[[Plan], None]:
    trees = der.explicit(which, *(der.sequence(base) for base in bases))
    return _extended(Extension(x509.NAME_CONSTRAINTS, der.sequence(trees), critical=True))


def _organisation(text: str) -> bytes:
    return der.explicit(4, der.sequence(der.parse(name("x", text)).children()[0].raw))


_TRUE = b"\x01\x01\xff"
_POLICY = der.sequence(der.oid("2.23.140.1.4.1"))
_MAPPED_ANY = der.sequence(der.sequence(der.oid("1.2.3"), der.oid("2.5.29.32.0")))
MUTATIONS: dict[str, Mutation] = {
    "expired": Mutation(ANY, _with(until=NOW - DAY)),
    "early": Mutation(ANY, _with(since=NOW + DAY)),
    "forged": Mutation(ANY, _forged),
    "SHA-1": Mutation(ANY, _with(digest="sha1")),
    "other algorithm inside": Mutation(ANY, _with(inner_digest="sha1")),
    "version 1 with extensions": Mutation(ANY, _with(version=1)),
    "version 4": Mutation(ANY, _with(version=4)),
    "serial negative": Mutation(ANY, _with(serial=b"\xff\x01")),
    "serial zero": Mutation(ANY, _with(serial=b"\x00")),
    "serial of 21 octets": Mutation(ANY, _with(serial=b"\x7f" * 21)),
    "unknown critical": Mutation(ANY, _extended(Extension("1.2.3.4.5", der.null(), critical=True))),
    "unknown": Mutation(ANY, _extended(Extension("1.2.3.4.5", der.null()))),
    "extension twice": Mutation(ANY, _twice(x509.KEY_USAGE)),
    "extensions in reverse": Mutation(ANY, lambda plan: plan.extensions.reverse()),
    "critical key identifier": Mutation(ANY, _critical(x509.SUBJECT_KEY_ID, critical=True)),
    "critical issuer identifier": Mutation(ANY, _critical(x509.AUTHORITY_KEY_ID, critical=True)),
    "no key identifier": Mutation(ANY, _without(x509.SUBJECT_KEY_ID)),
    "no issuer identifier": Mutation(ANY, _without(x509.AUTHORITY_KEY_ID)),
    "wrong issuer identifier": Mutation(
        SIGNER, _extended(Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, b"wrong"))))
    ),
    "no subject": Mutation(ANY, _named(der.sequence())),
    "issuer in other words": Mutation(SIGNER, _issued_by(name("Nobody"))),
    "key usage empty": Mutation(ANY, _usage(b"\x00")),
    "no key usage": Mutation(ANY, _without(x509.KEY_USAGE)),
    "no basic constraints": Mutation(AUTHORITY, _without(x509.BASIC_CONSTRAINTS)),
    "basic constraints not critical": Mutation(AUTHORITY, _critical(x509.BASIC_CONSTRAINTS, critical=False)),
    "no authority": Mutation(AUTHORITY, _basic()),
    "length 0": Mutation(AUTHORITY, _basic(_TRUE, der.integer(0))),
    "length 1": Mutation(AUTHORITY, _basic(_TRUE, der.integer(1))),
    "length 5": Mutation(AUTHORITY, _basic(_TRUE, der.integer(5))),
    "length -1": Mutation(AUTHORITY, _basic(_TRUE, der.integer(-1))),
    "only lists": Mutation(AUTHORITY, _usage(b"\x01\x02")),
    "authority for servers": Mutation(AUTHORITY, _extended(purposes(SERVER))),
    "authority for code": Mutation(AUTHORITY, _extended(purposes(CODE))),
    "authority for any": Mutation(AUTHORITY, _extended(purposes(x509.EKU_ANY))),
    "permits us": Mutation(AUTHORITY, _trees(0, _organisation("example  MINT"))),
    "permits others": Mutation(AUTHORITY, _trees(0, _organisation("Somebody Else"))),
    "excludes us": Mutation(AUTHORITY, _trees(1, _organisation("Example Mint"))),
    "excludes others": Mutation(AUTHORITY, _trees(1, _organisation("Somebody Else"))),
    "permits the host": Mutation(AUTHORITY, _trees(0, der.implicit(2, b"example.com"))),
    "permits another host": Mutation(AUTHORITY, _trees(0, der.implicit(2, b"example.org"))),
    "excludes the host": Mutation(AUTHORITY, _trees(1, der.implicit(2, b"Example.com"))),
    "permits addresses": Mutation(AUTHORITY, _trees(0, der.implicit(7, b"\x0a\x00\x00\x00\xff\x00\x00\x00"))),
    "constraints of nothing": Mutation(
        AUTHORITY, _extended(Extension(x509.NAME_CONSTRAINTS, der.sequence(), critical=True))
    ),
    "needs a policy": Mutation(
        AUTHORITY, _extended(Extension(x509.POLICY_CONSTRAINTS, der.sequence(der.implicit(0, b"\0")), critical=True))
    ),
    "maps any policy": Mutation(AUTHORITY, _extended(Extension(x509.POLICY_MAPPINGS, _MAPPED_ANY, critical=True))),
    "has a policy": Mutation(ANY, _extended(Extension(x509.CERTIFICATE_POLICIES, der.sequence(_POLICY)))),
    "policy twice": Mutation(ANY, _extended(Extension(x509.CERTIFICATE_POLICIES, der.sequence(_POLICY, _POLICY)))),
    "signer an authority": Mutation(SIGNER, _basic(_TRUE)),
    "signer signs certificates": Mutation(SIGNER, _usage(b"\x02\x84")),
    "signer only enciphers": Mutation(SIGNER, _usage(b"\x05\x20")),
    "signer constrains names": Mutation(SIGNER, _trees(0, der.implicit(2, b"example.com"))),
    "for servers": Mutation(SIGNER, _extended(purposes(SERVER))),
    "for any": Mutation(SIGNER, _extended(purposes(x509.EKU_ANY))),
    "for servers and code": Mutation(SIGNER, _extended(purposes(SERVER, CODE))),
    "for nothing": Mutation(SIGNER, _extended(Extension(x509.EXTENDED_KEY_USAGE, der.sequence()))),
    "no purpose": Mutation(SIGNER, _without(x509.EXTENDED_KEY_USAGE)),
    "no names": Mutation(SIGNER, _without(x509.SUBJECT_ALT_NAME)),
    "names of nothing": Mutation(SIGNER, _extended(alternative())),
    "a host with an underscore": Mutation(SIGNER, _extended(alternative(der.implicit(2, b"a_b.example.com")))),
    "an address of three bytes": Mutation(SIGNER, _extended(alternative(der.implicit(7, b"\x0a\0\0")))),
    "an address": Mutation(SIGNER, _extended(alternative(der.implicit(7, b"\x0a\0\0\1")))),
    "a name of another kind": Mutation(SIGNER, _extended(alternative(der.encode(0x89, b"x")))),
    "own curve": Mutation(SIGNER, _with(key_info=own_curve(pki.key("p256", "Signer")))),
}
"""Each by what is said about it."""
STRUCTURES = ("one missing", "another root", "others in disorder", "crossed", "junk")
"""What is done to the certificates together."""


def chain(seed: int) -> Chain:
    """The chain of a seed."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    plans = _sound(chance)
    said = []
    for _ in range(chance.choice((0, 1, 1, 1, 1, 2))):
        label = chance.choice(list(MUTATIONS))
        whose, change = MUTATIONS[label]
        candidates = {AUTHORITY: plans[:-1], SIGNER: plans[-1:], ANY: plans}[whose]
        plan = chance.choice(candidates)
        change(plan)
        said.append(f"{label} ({'root' if plan is plans[0] else 'signer' if plan is plans[-1] else 'middle'})")
    made: list[Cert] = []
    for plan in plans:
        made.append(plan.made(made[-1] if made else None))
    root, *middle, leaf = made
    others = [each.raw for each in reversed(middle)]
    anchor = root.raw
    structure = chance.choice(STRUCTURES) if chance.random() < 0.25 else ""
    if structure == "one missing" and others:
        others.pop(chance.randrange(len(others)))
    elif structure == "another root":
        anchor = make(name("Root"), pki.key("p256", "impostor"), extensions=ca_extensions()).raw
    elif structure == "others in disorder":
        chance.shuffle(others)
    elif structure == "crossed":
        stranger = make(name("Stranger"), pki.key("p256", "stranger"), extensions=ca_extensions())
        identifiers = _identified("Root", "stranger")
        others.append(make(root.name, root.key, stranger, extensions=[*ca_extensions(), *identifiers]).raw)
        others.append(stranger.raw)
    elif structure == "junk":
        others.insert(0, make(name("Junk"), pki.key("p256", "junk"), extensions=ca_extensions()).raw)
    else:
        structure = ""
    return Chain(leaf.raw, tuple(others), anchor, (*said, *([structure] if structure else [])))
