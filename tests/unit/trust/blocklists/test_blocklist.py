"""Blocklists: chopmark's own text, lists in files, and certificates named anywhere on a way."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, utils
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError, UsageError
from chopmark.core.proof import Proof
from chopmark.core.signer import SignerId
from chopmark.envelopes import der, x509
from chopmark.trust import context, judge
from chopmark.trust.blocklists import blocklist, plain, twins
from chopmark.trust.blocklists.blocklist import Blocklist, Named
from tests.support import drivers, pki
from tests.unit.trust import material
from tests.unit.trust.material import codes

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.trust.judge import Judgement

WORLD = pki.world()
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DATE = dt.datetime(2026, 6, 20, tzinfo=dt.UTC)
HEAD = f"{plain.FIRST}\ndate 2026-06-20\n"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def text(*lines: str) -> bytes:
    return (HEAD + "".join(f"{line}\n" for line in lines)).encode()


def parsed(*lines: str) -> Blocklist:
    return blocklist.parse(text(*lines), "corp.txt")


def test_a_list_names_things_in_six_ways() -> None:
    read = parsed(
        "# a comment",
        "",
        f"certificate sha256:{DIGEST} stolen in March",
        f"key sha256:{DIGEST.upper()}",
        f"tbs sha1:{DIGEST[:40]}",
        "issuer-serial 00:01:ab CN=Example Issuing, O=Example Mint",
        f"file sha256:{DIGEST}",
        f"image sha1:{DIGEST[:40]}   several   words ",
    )
    octets = bytes.fromhex(DIGEST)
    assert read.name == "corp"
    assert read.as_of == DATE
    assert read.named == {
        Named("certificate", "sha256", octets): "stolen in March",
        Named("key", "sha256", octets): "",
        Named("tbs", "sha1", octets[:20]): "",
        Named("issuer-serial", "", b"\x01\xab", "cn=example issuing, o=example mint"): "",
        Named("file", "sha256", octets): "",
        Named("image", "sha1", octets[:20]): "several words",
    }
    assert read.algorithms("tbs") == {"sha1"}
    assert plain.parse(plain.render(read.named, DATE), "corp", "") == read._replace(where="")


@pytest.mark.parametrize(
    "data",
    [
        b"chopmark-blocklist 2\ndate 2026-06-20\n",
        b"chopmark-blocklist 1\n",
        b"chopmark-blocklist 1\ndate yesterday\n",
        b"chopmark-blocklist 1\ndate 2026-06-20\ndate 2026-06-21\n",
        text("nonsense"),
        text("certificate"),
        text(f"certificate sha1:{DIGEST[:40]}"),
        text(f"certificate {DIGEST}"),
        text(f"certificate sha256:{DIGEST[:-2]}"),
        text(f"certificate sha256:{DIGEST[:-1]}x"),
        text(f"file md5:{DIGEST[:32]}"),
        text("issuer-serial 01"),
        text(f"issuer-serial {'01' * 65} CN=x"),
        text("issuer-serial xx CN=x"),
        text(f"hash sha256:{DIGEST}"),
        text("key sha256:\ufffd"),
        text() + b"\xff",
        b"chopmark-blocklist 1",
        b"",
    ],
)
def test_a_line_that_is_not_understood_spoils_the_list(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(MalformedError):
        blocklist.parse(data, "corp.txt")
    path = tmp_path / "corp.txt"
    path.write_bytes(data)
    with pytest.raises(UsageError):
        blocklist.load([str(path)])


@given(
    st.dictionaries(
        st.builds(
            Named,
            st.sampled_from(["certificate", "key", "file", "tbs", "image"]),
            st.just("sha256"),
            st.binary(min_size=32, max_size=32),
            st.just(""),
        ),
        st.text(st.characters(categories=("L", "N", "P"), codec="utf-8"), max_size=20),
        max_size=20,
    )
)
def test_what_is_written_is_read(named: dict[Named, str]) -> None:
    assert plain.parse(plain.render(named, DATE), "a", "").named == named


@given(st.binary(max_size=200))
def test_no_content_does_anything_but_refuse(data: bytes) -> None:
    for raw in (data, HEAD.encode() + data):
        with contextlib.suppress(MalformedError):
            assert blocklist.parse(raw, "x").named is not None


def test_there_is_an_end_to_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"file sha256:{hashlib.sha256(bytes((number,))).hexdigest()}" for number in range(5)]
    path = tmp_path / "long.txt"
    path.write_bytes(text(*lines))
    assert blocklist.read(str(path)).size == 5
    for name, value in (("BLOCKLIST_ENTRIES_MAX", 4), ("BLOCKLIST_MAX", 100)):
        with monkeypatch.context() as patch:
            patch.setattr(limits, name, value)
            with pytest.raises(UsageError):
                blocklist.read(str(path))


# Lists in files


def test_installed_lists_always_count_and_one_that_cannot_be_read_stops_everything(home: Path, tmp_path: Path) -> None:
    assert blocklist.load() == ()
    folder = home / "config" / "blocklists"
    folder.mkdir(parents=True)
    (folder / "corp.txt").write_bytes(text(f"file sha256:{DIGEST}"))
    (folder / "drivers.xml").write_bytes(drivers.policy())
    (folder / "README").write_bytes(b"not a list")
    os.utime(folder / "drivers.xml", (DATE.timestamp(), DATE.timestamp()))
    more = tmp_path / "more.txt"
    more.write_bytes(text())
    loaded = blocklist.load([str(more), str(more)])
    assert [(each.name, each.size, each.as_of) for each in loaded] == [
        ("corp", 1, DATE),
        ("drivers", 0, DATE),
        ("more", 0, DATE),
    ]
    (folder / "broken.xml").write_bytes(b"<SiPolicy")
    with pytest.raises(UsageError):
        blocklist.load()
    (folder / "broken.xml").unlink()
    (folder / "broken.txt").mkdir()
    with pytest.raises(UsageError):
        blocklist.load()


def test_missing_and_special_files_are_wrong_options(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.txt")
    for name in ("missing.txt", "fifo.txt", "."):
        with pytest.raises(UsageError):
            blocklist.load([str(tmp_path / name)])


def test_too_many_lists_are_a_wrong_option(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCKLISTS_MAX", 0)
    (home / "config" / "blocklists").mkdir(parents=True)
    (home / "config" / "blocklists" / "a.txt").write_bytes(text())
    with pytest.raises(UsageError):
        blocklist.load()


def test_an_old_list_says_so() -> None:
    read = parsed()
    assert read.stale(DATE + limits.BLOCKLIST_FRESH) is None
    finding = read.stale(DATE + limits.BLOCKLIST_FRESH + dt.timedelta(days=1))
    assert finding is not None
    assert (finding.code, finding.outcome) == ("blocklist.stale", "info")
    assert "91 days old" in finding.detail
    assert Blocklist("x", "", None, {}).stale(DATE) is not None


# Certificates on a way


def judged(folder: Path, *lines: str, revocation: str = "off", stamped: bool = False) -> Judgement:
    here = context.Context(
        material.trusting(folder, WORLD.root),
        pki.NOW,
        revocation,
        besides=context.Besides(blocklists=(parsed(*lines),)),
    )
    stamps = [material.stamp(WORLD.tsa, pki.NOW)] if stamped else []
    return judge.judge(material.proof(WORLD.signer, stamps=stamps), "code-signing", here)


def lines_for(entity: pki.Entity) -> dict[str, str]:
    certificate = x509.certificate(entity.der)
    return {
        "blocklist.certificate": f"certificate sha256:{certificate.sha256}",
        "blocklist.key": f"key sha256:{certificate.key_sha256}",
        "tbs": f"tbs sha256:{drivers.tbs(entity.der)}",
        "old": f"tbs sha1:{drivers.tbs(entity.der, 'sha1')}",
        "serial": f"issuer-serial {certificate.serial_octets.hex()} {certificate.issuer_text.upper()}",
    }


@pytest.mark.parametrize("entity", [WORLD.signer, WORLD.issuing, WORLD.root], ids=["signer", "issuing", "root"])
def test_a_certificate_named_anywhere_on_the_way_is_refused(tmp_path: Path, entity: pki.Entity) -> None:
    for kind, line in lines_for(entity).items():
        expected = kind if kind.startswith("blocklist") else "blocklist.certificate"
        found = judged(tmp_path, line)
        assert codes(found) == {expected}, kind
        [finding] = [each for each in found.findings if each.code == expected]
        assert finding.subject == x509.certificate(entity.der).subject_text
        assert "2026-06-20" in finding.detail


def test_neither_mode_nor_time_stamp_helps(tmp_path: Path) -> None:
    line = lines_for(WORLD.signer)["blocklist.key"]
    for mode in context.MODES:
        assert "blocklist.key" in codes(judged(tmp_path, line, revocation=mode, stamped=True))


def test_a_blocked_time_stamp_authority_counts_for_nothing(tmp_path: Path) -> None:
    found = judged(tmp_path, lines_for(WORLD.tsa)["blocklist.certificate"], stamped=True)
    assert found.signed_at is None
    assert "timestamp.untrusted" in codes(found, "info")
    assert codes(found) == set()
    assert judged(tmp_path, stamped=True).signed_at == pki.NOW


def test_others_are_not_meant(tmp_path: Path) -> None:
    stranger = pki.leaf(None, "Stranger")
    assert codes(judged(tmp_path, *lines_for(stranger).values())) == set()


def twin_of(raw: bytes) -> bytes:
    """The same certificate with the other ECDSA signature that holds, for which nobody's key is needed."""
    certificate = x509.certificate(raw)
    r, s = utils.decode_dss_signature(certificate.signature)
    other = utils.encode_dss_signature(r, ec.SECP256R1().group_order - s)
    return der.sequence(certificate.tbs, certificate.signature_algorithm_raw, der.bit_string(other))


@pytest.mark.parametrize("entity", [WORLD.signer, WORLD.issuing], ids=["signer", "issuing"])
def test_the_twin_of_an_ecdsa_signature_makes_no_other_certificate(tmp_path: Path, entity: pki.Entity) -> None:
    proof = material.proof(WORLD.signer)
    forged = tuple(twin_of(raw) if raw == entity.der else raw for raw in proof.certificates)
    assert forged != proof.certificates
    for lines, expected in (((), set()), ((lines_for(entity)["blocklist.certificate"],), {"blocklist.certificate"})):
        besides = context.Besides(blocklists=(parsed(*lines),))
        here = context.Context(material.trusting(tmp_path, WORLD.root), pki.NOW, "off", besides=besides)
        assert codes(judge.judge(proof._replace(certificates=forged), "code-signing", here)) == expected


def test_only_ecdsa_signatures_have_twins() -> None:
    by_rsa = pki.leaf(pki.authority(kind="rsa2048"))
    damaged = der.sequence(
        *(node.raw for node in der.parse(WORLD.signer.der).children()[:2]), der.bit_string(b"\x30\x00")
    )
    assert [twins.fingerprints(raw) for raw in (by_rsa.der, damaged)] == [(), ()]
    mine = x509.certificate(WORLD.signer.der).sha256
    assert bytes.fromhex(mine) in twins.fingerprints(twin_of(WORLD.signer.der))


def test_a_way_that_leads_nowhere_is_blocked_all_the_same(tmp_path: Path) -> None:
    here = context.Context(
        material.trusting(tmp_path, pki.authority("Other Root")),
        pki.NOW,
        "off",
        besides=context.Besides(blocklists=(parsed(lines_for(WORLD.signer)["blocklist.key"]),)),
    )
    assert "blocklist.key" in codes(judge.judge(material.proof(WORLD.signer), "code-signing", here))


def test_a_key_without_a_certificate_can_be_named_too(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"a bare key").hexdigest()
    proof = Proof(SignerId("key", "somebody", digest), "blake2b", ())
    for lines, expected in (((), set()), ((f"key sha256:{digest}",), {"blocklist.key"})):
        besides = context.Besides(blocklists=(parsed(*lines),))
        here = context.Context(material.trusting(tmp_path, WORLD.root), pki.NOW, "off", besides=besides)
        assert {code for code in codes(judge.judge(proof, "any", here)) if code.startswith("blocklist")} == expected
