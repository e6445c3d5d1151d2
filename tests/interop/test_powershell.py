"""PowerShell against osslsigncode, both ways, and against scripts that Microsoft and others really signed."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from chopmark.core import reasons as core_reasons
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import MalformedError
from chopmark.envelopes import authenticode
from chopmark.formats._text import comment_block
from chopmark.formats.powershell import FORMAT, kinds, reasons
from tests.interop import corpus
from tests.support import pki, probing
from tests.support.integrity import Answer, examine

pytestmark = pytest.mark.interop

VECTORS = Path(__file__).parent.parent / "vectors" / "powershell"
# osslsigncode knows UTF-16 in one order only.
SAMPLES = sorted(
    path
    for path in (*VECTORS.glob("sample-*"), *VECTORS.glob("more-*"))
    if not path.read_bytes().startswith(b"\xfe\xff")
)

every_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    world = pki.world("rsa3072")
    (folder / "root.pem").write_bytes(world.root.pem)
    (folder / "chain.pem").write_bytes(world.signer.pem + world.issuing.pem)
    (folder / "key.pem").write_bytes(world.signer.private_pem())
    return folder


def ours(data: bytes, name: str, options: SealOptions = probing.DEFAULTS) -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return probing.signed(FORMAT, artifact, options).render(artifact)


def look(data: bytes, name: str) -> list[Answer]:
    return examine(FORMAT, Artifact.from_bytes(data, name))


def osslsigncode(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = ["osslsigncode", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def theirs_verifies(path: Path, keys: Path) -> bool:
    done = osslsigncode("verify", "-CAfile", keys / "root.pem", path)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode == 0


def theirs(path: Path, keys: Path, *arguments: object) -> bytes:
    target = path.with_name(f"signed-{path.name}")
    target.unlink(missing_ok=True)
    certificates = ("-certs", keys / "chain.pem", "-key", keys / "key.pem")
    done = osslsigncode("sign", *certificates, "-h", "sha256", *arguments, "-in", path, "-out", target)
    assert done.returncode == 0, done.stdout + done.stderr
    return target.read_bytes()


@every_sample
def test_they_accept_what_we_sign(sample: Path, keys: Path, tmp_path: Path) -> None:
    path = tmp_path / sample.name
    for options in (probing.DEFAULTS, SealOptions("sha384", "description", "https://example.org/")):
        path.write_bytes(ours(sample.read_bytes(), sample.name, options))
        assert theirs_verifies(path, keys)
    signed = bytearray(path.read_bytes())
    signed[len(sample.read_bytes()) // 2 & ~1] ^= 1
    path.write_bytes(signed)
    assert not theirs_verifies(path, keys)


@every_sample
def test_we_accept_what_they_sign(sample: Path, keys: Path, tmp_path: Path) -> None:
    path = tmp_path / sample.name
    path.write_bytes(sample.read_bytes())
    for arguments in ((), ("-n", "description", "-i", "https://example.org/")):
        signed = theirs(path, keys, *arguments)
        [answer] = look(signed, sample.name)
        assert answer.intact, answer.wrong
        assert reasons.BLOCK_SOUND.code in answer.codes
        place = len(sample.read_bytes()) // 2 & ~1
        changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
        assert core_reasons.DIGEST_MISMATCH.code in look(changed, sample.name)[0].wrong


@every_sample
def test_the_block_they_write_is_the_block_we_write(sample: Path, keys: Path, tmp_path: Path) -> None:
    path = tmp_path / sample.name
    path.write_bytes(sample.read_bytes())
    signed = theirs(path, keys)
    artifact = Artifact.from_bytes(signed, sample.name)
    [seal] = FORMAT.extract(artifact)
    unsigned = Artifact.from_bytes(sample.read_bytes(), sample.name)
    assert FORMAT.embed(unsigned, seal.envelope.raw, probing.DEFAULTS).render(unsigned) == signed
    assert FORMAT.strip(artifact).render(artifact) == sample.read_bytes()


def test_nested_signatures_both_ways(keys: Path, tmp_path: Path) -> None:
    sample = VECTORS / "sample-hello.ps1"
    path = tmp_path / sample.name
    path.write_bytes(sample.read_bytes())
    first = tmp_path / "first.ps1"
    first.write_bytes(theirs(path, keys))
    answers = look(theirs(first, keys, "-nest"), "x.ps1")
    assert [answer.intact for answer in answers] == [True, True]
    path.write_bytes(ours(first.read_bytes(), "x.ps1", SealOptions("sha512", append=True)))
    assert [answer.intact for answer in look(path.read_bytes(), "x.ps1")] == [True, True]
    done = osslsigncode("verify", "-CAfile", keys / "root.pem", path)
    assert done.returncode == 0
    assert "Number of verified signatures: 2" in done.stdout


def test_they_take_away_what_we_put_in(tmp_path: Path) -> None:
    for sample in SAMPLES:
        path, target = tmp_path / sample.name, tmp_path / f"bare-{sample.name}"
        path.write_bytes(ours(sample.read_bytes(), sample.name))
        assert osslsigncode("remove-signature", "-in", path, "-out", target).returncode == 0
        assert target.read_bytes() == sample.read_bytes()


# Traps: what they accept and we do not


def test_code_behind_the_block_they_accept(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.ps1"
    path.write_bytes(ours((VECTORS / "sample-hello.ps1").read_bytes(), "x.ps1") + b"Remove-Item C:\\\r\n")
    assert theirs_verifies(path, keys)
    [answer] = look(path.read_bytes(), "x.ps1")
    assert answer.wrong == {reasons.BLOCK_TRAILING.code}


def test_a_second_block_and_a_loose_block_they_accept(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.ps1"
    data = (VECTORS / "sample-hello.ps1").read_bytes()
    signed = ours(data, "x.ps1")
    loose = signed.replace(b"\r\n# SIG # End", b"\r\n# \r\n# SIG # End")
    for changed, code in (
        (signed + signed[len(data) :], reasons.BLOCK_SEVERAL.code),
        (loose, reasons.BLOCK_FORM.code),
    ):
        path.write_bytes(changed)
        assert theirs_verifies(path, keys)
        assert code in look(changed, "x.ps1")[0].wrong


def test_a_signature_for_another_kind_of_file_they_accept(keys: Path, tmp_path: Path) -> None:
    data = (VECTORS / "sample-hello.ps1").read_bytes()
    artifact = Artifact.from_bytes(data, "x.ps1")
    [payload] = FORMAT.digest(artifact, [FORMAT.recipe(artifact, probing.DEFAULTS)])
    content = authenticode.pe_content("sha256", payload.value, options=probing.DEFAULTS)
    block = comment_block.render(kinds.HASH, probing.envelope(content), "\r\n").encode()
    (tmp_path / "x.ps1").write_bytes(data + block)
    assert theirs_verifies(tmp_path / "x.ps1", keys)
    assert look(data + block, "x.ps1")[0].wrong == {reasons.HANDLER_WRONG.code}


def test_xml_in_utf7_they_accept(keys: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.ps1xml"
    path.write_bytes(b"<?xml version='1.0' encoding='utf-7'?>\r\n<Configuration/>\r\n")
    signed = theirs(path, keys)
    path.write_bytes(signed)
    assert theirs_verifies(path, keys)
    assert look(signed, "x.ps1xml")[0].wrong == {reasons.ENCODING_DECLARED.code}


def test_characters_beyond_ascii_without_a_mark_are_read_differently(keys: Path, tmp_path: Path) -> None:
    """They always read UTF-8. Windows does not, which the corpus shows; so we tell the two apart."""
    path = tmp_path / "x.ps1"
    path.write_bytes("# a comment that is longer than 32 bytes\r\n# \u00e9\r\n".encode())
    [answer] = look(theirs(path, keys), "x.ps1")
    assert answer.intact
    assert answer.detail(reasons.ENCODING_UNMARKED) == "signed as utf-8"
    for variant, accepted in (("utf-8", True), ("windows-1252", False)):
        signed = tmp_path / "ours.ps1"
        signed.write_bytes(ours(path.read_bytes(), "x.ps1", SealOptions(variant=variant)))
        assert theirs_verifies(signed, keys) is accepted
        assert look(signed.read_bytes(), "x.ps1")[0].intact


# Real files


def test_really_signed_files() -> None:
    """Every file that lost nothing on its way is intact; those that lost their CR LF are told so."""
    paths = corpus.corpus("signed-powershell")
    assert len(paths) >= 60
    converted = 0
    for path in paths:
        data = path.read_bytes()
        answers = look(data, path.name)
        facts = corpus.facts()[hashlib.sha256(data).hexdigest()]
        assert len(answers) == len(facts["signatures"]), path
        if b"SIG # Begin" in data and b"\r\n# SIG # Begin" not in data and b"\r\n<!-- SIG # Begin" not in data:
            converted += 1
            for answer in answers:
                assert {reasons.BLOCK_LINE_BREAKS.code, reasons.CHANGED_LINE_BREAKS.code} <= answer.wrong, path
            continue
        for answer in answers:
            assert answer.intact, (path, answer.wrong)
            assert reasons.BLOCK_SOUND.code in answer.codes, path
    assert converted


def accepted(data: bytes, name: str) -> bool:
    try:
        return any(answer.intact for answer in look(data, name))
    except MalformedError:
        return False


def test_every_really_signed_file_is_refused_when_changed() -> None:
    for path in corpus.corpus("signed-powershell"):
        data = path.read_bytes()
        place = data.index(b"e", 40)
        changed = data[:place] + b"f" + data[place + 1 :]
        assert not accepted(changed, path.name), path
        assert not accepted(data + b"#\r\n", path.name), path
