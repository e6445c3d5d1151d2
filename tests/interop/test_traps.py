"""Every trap of the notes on formats that concerns PE, PowerShell and CMS: built, judged by chopmark and by the peers.

Here are those that need the whole of chopmark, trust and time included. Those that a format or an envelope finds by
itself are built in the tests beside it, which `ELSEWHERE` names. A peer that learns changes its line here.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from chopmark.core import digest as digests
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import RefusedError
from chopmark.engine import check
from chopmark.envelopes import authenticode, cms, der, timestamp, x509
from chopmark.formats.pe import FORMAT, table
from chopmark.formats.powershell import FORMAT as POWERSHELL
from chopmark.trust import context
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.interop import pe_peers as peers
from tests.interop import test_cms, test_pe_traps, test_powershell
from tests.support import pki, probing
from tests.unit.formats.pe import signing
from tests.unit.trust import material as trust_material
from tests.vectors.pe import make

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chopmark.core.verdict import Verdict

pytestmark = pytest.mark.interop

ELSEWHERE: dict[str, Callable[..., None]] = {
    "payload in certificate padding (CVE-2013-3900)": test_pe_traps.test_payload_in_the_certificate_padding,
    "second WIN_CERTIFICATE": test_pe_traps.test_a_second_entry_in_the_certificate_table,
    "data behind the certificate table": test_pe_traps.test_data_behind_the_certificate_table,
    "unauthenticated attribute blob": test_pe_traps.test_an_unauthenticated_blob,
    "nested signature that is none": test_pe_traps.test_garbage_where_a_nested_signature_should_be,
    "primary digest broken, nested one good": test_pe_traps.test_a_broken_first_signature_with_a_good_one_nested,
    "explicit EC parameters (CVE-2020-0601)": test_pe_traps.test_a_signer_key_on_a_curve_of_its_own,
    "signedAttrs stripped and presented as content": (
        test_cms.test_attributes_presented_as_content_are_refused_though_openssl_accepts_them
    ),
    "no signedAttrs": test_cms.test_without_attributes_it_is_refused,
    "text after the PowerShell End marker": test_powershell.test_code_behind_the_block_they_accept,
    "two PowerShell blocks": test_powershell.test_a_second_block_and_a_loose_block_they_accept,
}

DAY = dt.timedelta(days=1)
SIGNED = pki.NOW
AT = SIGNED + 100 * DAY
"""When it is judged, by those that can be told."""

PROGRAM = make.with_checksum(make.Pe())
WORLD = pki.world("rsa2048")
TIME, CODE = ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING
LIFETIME = ObjectIdentifier(x509.EKU_LIFETIME_SIGNING)


def holder(common: str, **parts: object) -> pki.Entity:
    """A code signer of the test world with something odd about it."""
    return pki.leaf(WORLD.issuing, common, kind="rsa2048", **parts)  # type: ignore[arg-type]


EXPIRED = holder("Expired", until=SIGNED + 10 * DAY)
LATER = holder("Not yet valid", since=SIGNED + 200 * DAY)
FOR_LIFE = holder("For life", purposes=(CODE, LIFETIME), until=SIGNED + 10 * DAY)
IMPOSTOR = pki.leaf(None, "Microsoft Corporation", kind="rsa2048")


def envelope(
    signer: pki.Entity = WORLD.signer,
    *,
    tsa: pki.Entity | None = None,
    when: dt.datetime = SIGNED,
    data: bytes = PROGRAM,
    options: SealOptions = signing.PLAIN,
    digest: str = "",
) -> bytes:
    """A signature over a program by anybody, stamped by anybody; `digest` makes the signer use another one."""
    content = signing.content(data, options)
    if digest:
        assert content.body is not None
        octets = der.parse(content.body).value
        content = Content(content.content_type, digest, digests.of(octets, digest), content.body)
    draft = cms.draft(content, signer, signer.certificates, signing_time=SIGNED)
    made = draft.finish(signer.sign(draft.to_be_signed, content.digest_algorithm))
    return stamped(made, tsa, when) if tsa else made


def stamped(made: bytes, tsa: pki.Entity, when: dt.datetime) -> bytes:
    """With a time stamp, whoever gives it."""
    value = cms.read(made).signers[0].signature
    info = timestamp.TstInfo("1.2.3.4", "sha256", digests.of(value, "sha256"), 7, when)
    return cms.add_unsigned(made, timestamp.MICROSOFT_ATTRIBUTE, timestamp.make_token(info, tsa, tsa.certificates))


def program(made: bytes) -> bytes:
    return signing.embedded(PROGRAM, made)


def odd_tsa(*purposes: ObjectIdentifier, critical: bool = True) -> pki.Entity:
    return pki.leaf(WORLD.issuing, "Odd Time", purposes=purposes, purposes_critical=critical)


def foreign_stamp() -> bytes:
    """Stamped is another value than this signature's."""
    info = timestamp.TstInfo("1.2.3.4", "sha256", bytes(32), 7, SIGNED)
    token = timestamp.make_token(info, WORLD.tsa, WORLD.tsa.certificates)
    return cms.add_unsigned(envelope(EXPIRED), timestamp.MICROSOFT_ATTRIBUTE, token)


def page_hashes_of_another() -> bytes:
    """The digest of the image is right, one page's is not."""
    honest = signing.content(PROGRAM, signing.PAGES)
    assert honest.body is not None
    [seal] = FORMAT.extract(signing.artifact(program(envelope(options=signing.PAGES))))
    pages = seal.claims[1].expected
    assert pages is not None
    wrong = honest.body.replace(pages, pages[:8] + bytes([pages[8] ^ 1]) + pages[9:])
    assert wrong != honest.body
    octets = der.parse(wrong).value
    content = Content(honest.content_type, "sha256", digests.of(octets, "sha256"), wrong)
    signer = WORLD.signer
    draft = cms.draft(content, signer, signer.certificates, signing_time=SIGNED)
    made = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    return signing.with_table(program(envelope()), table.entry(made))


def nested(inner: bytes) -> bytes:
    return signing.with_table(program(envelope()), table.entry(authenticode.nest(envelope(), inner)))


class Trap(NamedTuple):
    """What is built, everything that chopmark has against it, and the peers that accept it all the same."""

    build: Callable[[], bytes]
    against: set[str]
    accepted: set[str]


ALL = {"osslsigncode", "sbverify", "LIEF", "signify"}
UNSOUND = {"path.expired", "timestamp.broken", "timestamp.unsound"}
"""A time stamp that does not hold is held against the signature, and gives no time either."""

TRAPS: dict[str, Trap] = {
    "honest": Trap(lambda: program(envelope()), set(), ALL),
    "honest and stamped": Trap(lambda: program(envelope(tsa=WORLD.tsa)), set(), ALL),
    "nested second signature by a stranger": Trap(
        lambda: nested(envelope(IMPOSTOR)), {"path.untrusted_root"}, {"osslsigncode", "sbverify", "LIEF"}
    ),
    "self-signed Microsoft Corporation": Trap(lambda: program(envelope(IMPOSTOR)), {"path.untrusted_root"}, {"LIEF"}),
    "wrong EKU": Trap(
        lambda: program(envelope(holder("Web server", purposes=(ExtendedKeyUsageOID.SERVER_AUTH,)))),
        {"path.purpose"},
        {"LIEF"},
    ),
    "no EKU": Trap(
        lambda: program(envelope(holder("Anything", purposes=()))),
        {"path.purpose"},
        {"osslsigncode", "sbverify", "LIEF"},
    ),
    "no digitalSignature": Trap(
        lambda: program(envelope(holder("Encipherer", usage=pki.key_usage("key_encipherment")))),
        {"path.key_usage"},
        {"osslsigncode", "sbverify", "LIEF"},
    ),
    "expired": Trap(lambda: program(envelope(EXPIRED)), {"path.expired"}, {"sbverify", "LIEF"}),
    "expired, stamped before": Trap(lambda: program(envelope(EXPIRED, tsa=WORLD.tsa)), set(), ALL),
    "stamped after it expired": Trap(
        lambda: program(envelope(EXPIRED, tsa=WORLD.tsa, when=SIGNED + 20 * DAY)),
        {"path.expired", "timestamp.outside_validity"},
        {"sbverify", "LIEF"},
    ),
    "stamped before it was valid": Trap(
        lambda: program(envelope(LATER, tsa=WORLD.tsa)),
        {"path.not_yet_valid", "timestamp.outside_validity"},
        {"sbverify", "LIEF"},
    ),
    "lifetime signing, expired, stamped before": Trap(
        lambda: program(envelope(FOR_LIFE, tsa=WORLD.tsa)),
        {"path.lifetime_signing"},
        {"osslsigncode", "sbverify", "LIEF"},
    ),
    "TSA without EKU": Trap(
        lambda: program(envelope(EXPIRED, tsa=odd_tsa())), UNSOUND, {"osslsigncode", "sbverify", "LIEF"}
    ),
    "TSA with two EKUs": Trap(lambda: program(envelope(EXPIRED, tsa=odd_tsa(TIME, CODE))), UNSOUND, ALL),
    "TSA for code signing": Trap(lambda: program(envelope(EXPIRED, tsa=WORLD.signer)), UNSOUND, {"sbverify", "LIEF"}),
    # Microsoft's own authorities are like this: chopmark reads the extension and says that it is not critical.
    "TSA with EKU not critical": Trap(
        lambda: program(envelope(EXPIRED, tsa=odd_tsa(TIME, critical=False))), set(), ALL
    ),
    "time stamp of another signature": Trap(lambda: program(foreign_stamp()), UNSOUND, {"sbverify", "LIEF"}),
    "time stamp outside the TSA's validity": Trap(
        lambda: program(envelope(EXPIRED, tsa=pki.stamper(WORLD.issuing, "Late Time", since=SIGNED + DAY))),
        {"path.expired"},
        {"sbverify", "LIEF"},
    ),
    "signerInfo digest differing from SpcIndirectData": Trap(
        lambda: program(envelope(digest="sha512")), {"authenticode.digests_differ"}, {"osslsigncode", "sbverify"}
    ),
    "page-hash mismatch": Trap(page_hashes_of_another, {"digest.mismatch"}, {"sbverify", "LIEF"}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> peers.Material:
    return peers.Material(tmp_path_factory.mktemp("material"))


def judged(material: peers.Material, path: Path, *lists: Path, at: dt.datetime = AT) -> Verdict:
    sources = origins.CrlSource([str(each) for each in lists], cache="/nonexistent")
    return check.check_path(str(path), context.Context(store.load([str(material.root_pem)]), at, crls=sources))


def against(verdict: Verdict) -> set[str]:
    everything = [*verdict.findings, *(each for seal in verdict.seals for each in seal.findings)]
    return {each.code for each in everything if each.outcome in ("no", "unknown")}


def osslsigncode(material: peers.Material, path: Path, *options: str | Path) -> bool:
    root = material.root_pem
    then = ("-time", f"{AT.timestamp():.0f}")
    said = peers.run(
        "osslsigncode", "verify", "-CAfile", root, "-TSA-CAfile", root, *then, *options, "-in", path, fails=True
    )
    return not said.startswith("FAILED")


def acceptors(material: peers.Material, path: Path) -> set[str]:
    answers = {
        "osslsigncode": osslsigncode(material, path),
        "sbverify": peers.sbverify(material, path),
        "LIEF": peers.lief_accepts(path),
        "signify": peers.signify(material, path),
    }
    return {name for name, accepts in answers.items() if accepts}


@pytest.mark.parametrize("name", TRAPS)
def test_programs(files: peers.Material, name: str, tmp_path: Path) -> None:
    trap = TRAPS[name]
    path = tmp_path / "program.exe"
    path.write_bytes(trap.build())
    verdict = judged(files, path)
    assert against(verdict) == trap.against
    assert verdict.status == ("rejected" if trap.against else "trusted")
    assert acceptors(files, path) == trap.accepted


def test_critical_or_not_is_said(files: peers.Material, tmp_path: Path) -> None:
    path = tmp_path / "program.exe"
    path.write_bytes(TRAPS["TSA with EKU not critical"].build())
    [seal] = judged(files, path).seals
    assert "path.purpose_not_critical" in {each.code for each in seal.findings}


@pytest.mark.parametrize(("algorithm", "stamped_too"), [("md5", False), ("sha1", False), ("sha1", True)])
def test_broken_digests(files: peers.Material, algorithm: str, *, stamped_too: bool, tmp_path: Path) -> None:
    """osslsigncode still signs over them; a time stamp of today does not make them any better."""
    source = tmp_path / "source.exe"
    source.write_bytes(PROGRAM)
    path = peers.osslsigncode_sign(files, source, tmp_path / "weak.exe", "-h", algorithm, stamped=stamped_too)
    found = judged(files, path, at=dt.datetime.now(dt.UTC))
    assert against(found) == {"digest.weak"}
    assert acceptors(files, path) == ALL - {"sbverify"}


class Revocation(NamedTuple):
    """When a certificate was revoked, and since when it is suspect, in days after it signed."""

    revoked: int
    suspect: int | None
    against: set[str]
    stamped: bool = True


REVOCATIONS = {
    "before the time stamp": Revocation(-1, None, {"revocation.revoked"}),
    "at the time stamp": Revocation(0, None, {"revocation.revoked"}),
    "after the time stamp": Revocation(1, None, set()),
    "after it, but suspect before": Revocation(1, -1, {"revocation.revoked"}),
    "after it, and suspect after": Revocation(3, 1, set()),
    "before it, said to be suspect after": Revocation(-1, 1, {"revocation.revoked"}),
    "without a time stamp": Revocation(1, None, {"revocation.revoked"}, stamped=False),
}


@pytest.mark.parametrize("name", REVOCATIONS)
def test_revocation(files: peers.Material, name: str, tmp_path: Path) -> None:
    """Known and wrong: osslsigncode refuses whatever is revoked at all, also what was stamped long before.

    RFC 5280 clause 5.3.2 and the rule of Authenticode make it depend on time (`-time` changes nothing about it).
    """
    row = REVOCATIONS[name]
    path, lists = tmp_path / "program.exe", tmp_path / "lists.pem"
    path.write_bytes(program(envelope(tsa=WORLD.tsa if row.stamped else None)))
    entry = pki.Revoked(
        WORLD.signer.certificate.serial_number,
        SIGNED + row.revoked * DAY,
        invalid_since=None if row.suspect is None else SIGNED + row.suspect * DAY,
    )
    lists.write_bytes(revocation_lists())
    assert against(judged(files, path, lists)) == set()
    assert osslsigncode(files, path, "-CRLfile", lists)
    lists.write_bytes(revocation_lists(entry))
    assert against(judged(files, path, lists)) == row.against
    assert not osslsigncode(files, path, "-CRLfile", lists)


def revocation_lists(*entries: pki.Revoked) -> bytes:
    """Of both authorities, in PEM, entries in that of the issuing one; osslsigncode judges lists as of today."""
    lists = (
        pki.crl(WORLD.issuing, entries, since=AT - DAY, until=pki.UNTIL),
        pki.crl(WORLD.root, since=AT - DAY, until=pki.UNTIL),
    )
    return b"".join(trust_material.pem(each, "X509 CRL") for each in lists)


# Scripts

PLAIN = b"# a script that is a little longer than its marker\r\nWrite-Output 'hello'\r\n"
BOM = b"\xef\xbb\xbf"
MARKED = BOM + PLAIN.replace(b"hello", b"h\xc3\xa9llo")


def script(data: bytes) -> bytes:
    """Signed by chopmark, with the key of the other test world: both have one root."""
    artifact = Artifact.from_bytes(data, "x.ps1")
    return probing.signed(POWERSHELL, artifact).render(artifact)


def wide(data: bytes) -> bytes:
    return b"\xff\xfe" + data.decode("utf-8-sig").encode("utf-16-le")


LOOKALIKE = "# S\u0406G # Begin signature block\r\n".encode()

SCRIPTS: dict[str, Trap] = {
    "honest": Trap(lambda: script(MARKED), set(), {"osslsigncode"}),
    "LF for CR LF": Trap(
        lambda: script(MARKED).replace(b"\r\n", b"\n"),
        {"powershell.block_line_breaks", "powershell.changed_line_breaks", "digest.mismatch"},
        set(),
    ),
    "LF for CR LF in the text": Trap(
        lambda: script(MARKED).replace(b"marker\r\n", b"marker\n"),
        {"powershell.changed_line_breaks", "digest.mismatch"},
        set(),
    ),
    "CR LF for LF": Trap(
        lambda: script(MARKED.replace(b"\r\n", b"\n")).replace(b"marker\n", b"marker\r\n").replace(b"'\n", b"'\r\n"),
        {"powershell.changed_line_breaks", "digest.mismatch"},
        set(),
    ),
    "mark taken away": Trap(
        lambda: script(BOM + PLAIN).removeprefix(BOM), {"powershell.changed_bom", "digest.mismatch"}, set()
    ),
    "mark added": Trap(lambda: BOM + script(PLAIN), {"powershell.changed_bom", "digest.mismatch"}, set()),
    # What is signed is the text in UTF-16, mark included: in whichever encoding it stands, it is the same script.
    "UTF-16 for UTF-8, both marked": Trap(lambda: wide(script(MARKED)), set(), {"osslsigncode"}),
    "UTF-16 for UTF-8 without a mark": Trap(
        lambda: wide(script(PLAIN)), {"powershell.changed_bom", "digest.mismatch"}, set()
    ),
    "homoglyph marker behind": Trap(
        lambda: script(MARKED) + LOOKALIKE,
        {"powershell.block_trailing", "powershell.block_lookalike"},
        {"osslsigncode"},
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts(files: peers.Material, name: str, tmp_path: Path) -> None:
    trap = SCRIPTS[name]
    path = tmp_path / "x.ps1"
    path.write_bytes(trap.build())
    found = judged(files, path)
    assert against(found) == trap.against
    assert found.status == ("rejected" if trap.against else "trusted")
    assert ({"osslsigncode"} if osslsigncode(files, path) else set()) == trap.accepted


def test_a_homoglyph_marker_that_was_signed(files: peers.Material, tmp_path: Path) -> None:
    """chopmark signs no such script; osslsigncode does, and what it signed is refused all the same."""
    source = tmp_path / "x.ps1"
    source.write_bytes(MARKED + LOOKALIKE + b"Get-Date\r\n")
    with pytest.raises(RefusedError):
        script(source.read_bytes())
    made = peers.osslsigncode_sign(files, source, tmp_path / "signed.ps1", "-h", "sha256")
    assert osslsigncode(files, made)
    assert against(judged(files, made)) == {"powershell.block_lookalike"}


def test_every_trap_is_built_somewhere() -> None:
    assert all(test.__name__.startswith("test_") for test in ELSEWHERE.values())
