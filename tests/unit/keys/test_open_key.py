"""Opening keys: what signs, and what is refused in one line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates

from chopmark import keys
from chopmark.core.errors import InputError, RefusedError, UsageError
from chopmark.envelopes import algorithms, der, pem, signatures
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ("rsa2048", "rsa3072", "p256", "p384", "p521", "ed25519")


def private(tmp_path: Path, data: bytes, name: str = "key.pem") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    path.chmod(0o600)
    return str(path)


def plain(kind: str, encoding: Encoding, form: PrivateFormat = PrivateFormat.PKCS8) -> bytes:
    return pki.key(kind).private_bytes(encoding, form, NoEncryption())


def says(passphrase: bytes) -> Callable[[str], bytes]:
    return lambda _: passphrase


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_every_kind_signs(kind: str, encoding: Encoding, tmp_path: Path) -> None:
    signer = keys.open_key("file:" + private(tmp_path, plain(kind, encoding)))
    algorithm = algorithms.signature_algorithm(der.parse(algorithms.signature_identifier(signer, "sha384")))
    signature = signer.sign(b"data", "sha384")
    assert signatures.verify(signer.public_key, algorithm, signature, b"data") == (
        None if kind == "ed25519" else "sha384"
    )
    with pytest.raises(signatures.BadSignatureError):
        signatures.verify(signer.public_key, algorithm, signature, b"date")


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_traditional_forms(kind: str, encoding: Encoding, tmp_path: Path) -> None:
    data = plain(kind, encoding, PrivateFormat.TraditionalOpenSSL)
    assert keys.open_key(private(tmp_path, data)).sign(b"data", "sha256")


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_traditional_form_encrypted(kind: str, tmp_path: Path) -> None:
    encryption = BestAvailableEncryption(b"open")
    path = private(tmp_path, pki.key(kind).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, encryption))
    assert keys.open_key(path, says(b"open")).sign(b"data", "sha256")
    with pytest.raises(PassphraseError, match="wrong passphrase"):
        keys.open_key(path, says(b"shut"))


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_encrypted_pkcs8(encoding: Encoding, tmp_path: Path) -> None:
    encryption = BestAvailableEncryption(b"open")
    path = private(tmp_path, pki.key("p256").private_bytes(encoding, PrivateFormat.PKCS8, encryption))
    asked: list[str] = []

    def ask(what: str) -> bytes:
        asked.append(what)
        return b"open"

    assert keys.open_key(path, ask).sign(b"data", "sha256")
    assert asked == [path]
    with pytest.raises(PassphraseError, match="wrong passphrase"):
        keys.open_key(path, says(b"shut"))
    with pytest.raises(PassphraseError, match="is encrypted"):
        keys.open_key(path)


def test_pss_is_asked_for_in_the_uri(tmp_path: Path) -> None:
    path = private(tmp_path, plain("rsa2048", Encoding.PEM))
    signer = keys.open_key(f"file:{path}?padding=pss")
    assert signer.algorithm == "rsa-pss"
    identifier = algorithms.signing_identifier(signer, "sha512")
    algorithm = algorithms.signature_algorithm(der.parse(identifier))
    assert (algorithm.kind, algorithm.mask_digest, algorithm.salt_length) == ("rsa-pss", "sha512", 64)
    assert signatures.verify(signer.public_key, algorithm, signer.sign(b"data", "sha512"), b"data") == "sha512"
    assert keys.open_key(f"file:{path}?padding=pkcs1").algorithm == "rsa"


@pytest.mark.parametrize("parameters", ["padding=oaep", "salt=1", "padding", "padding=pss&padding=pss"])
def test_parameters_are_checked(parameters: str, tmp_path: Path) -> None:
    path = private(tmp_path, plain("rsa2048", Encoding.PEM))
    with pytest.raises(UsageError):
        keys.open_key(f"file:{path}?{parameters}")


def test_padding_is_for_rsa(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        keys.open_key(f"file:{private(tmp_path, plain('p256', Encoding.PEM))}?padding=pss")


def test_certificates_beside_the_key(tmp_path: Path) -> None:
    world = pki.world()
    path = private(tmp_path, world.issuing.pem + world.signer.private_pem() + world.signer.pem)
    assert keys.open_key(path).certificates == (world.signer.der, world.issuing.der)


def test_certificates_of_others_are_not_its_own(tmp_path: Path) -> None:
    world = pki.world()
    assert keys.open_key(private(tmp_path, world.signer.private_pem() + world.issuing.pem)).certificates == ()


def test_a_broken_certificate_beside_the_key(tmp_path: Path) -> None:
    data = pki.world().signer.private_pem() + pem.encode("CERTIFICATE", b"\x30\x03\x02\x01\x01")
    with pytest.raises(UnusableKeyError, match="certificate"):
        keys.open_key(private(tmp_path, data))


def test_weak_digests_are_refused(tmp_path: Path) -> None:
    signer = keys.open_key(private(tmp_path, plain("p256", Encoding.PEM)))
    for digest in ("sha1", "md5", "sha224", "nothing"):
        with pytest.raises(RefusedError):
            signer.sign(b"data", digest)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\x00\xff" * 50, "no private key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA", "nothing whole"),
        (b"-----BEGIN PRIVATE KEY-----\n!!!!\n-----END PRIVATE KEY-----\n", "can be loaded"),
        (pem.encode("PRIVATE KEY", b"\x30\x03\x02\x01\x00"), "can be loaded"),
        (pem.encode("PUBLIC KEY", b"x"), "public key"),
        (pem.encode("CERTIFICATE", b"x"), "certificate"),
        (pem.encode("OPENSSH PRIVATE KEY", b"x"), "name it ssh:/"),
        (pem.encode("PGP PRIVATE KEY BLOCK", b"x"), "name it openpgp:/"),
        (b"untrusted comment: minisign encrypted secret key\nRWRT\n", "name it minisign:/"),
        (pem.encode("DSA PRIVATE KEY", b"x"), "PKCS #8"),
        (plain("p256", Encoding.PEM) * 2, "2 private keys"),
        (b"\x30\x80\x00\x00", "no private key"),
        (b"-----BEGIN " * 50_000, "nothing whole"),
    ],
)
def test_what_is_no_key(data: bytes, said: str, tmp_path: Path) -> None:
    with pytest.raises(UnusableKeyError, match=said) as caught:
        keys.open_key(private(tmp_path, data))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (ec.derive_private_key(7, ec.SECP256K1()), "secp256k1"),
        (ec.derive_private_key(7, ec.BrainpoolP256R1()), "brainpool"),
        (x25519.X25519PrivateKey.from_private_bytes(bytes(32)), "X25519"),
        (ed448.Ed448PrivateKey.from_private_bytes(bytes(57)), "Ed448"),
        (pki.key("rsa1024"), "1024 bits"),
    ],
)
def test_kinds_that_do_not_sign(
    key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey | ed448.Ed448PrivateKey | rsa.RSAPrivateKey,
    said: str,
    tmp_path: Path,
) -> None:
    data = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(UnusableKeyError, match=said):
        keys.open_key(private(tmp_path, data))


def test_dsa_does_not_sign(tmp_path: Path) -> None:
    algorithm = der.sequence(der.oid("1.2.840.10040.4.1"), der.sequence(*(der.integer(n) for n in (7, 3, 2))))
    raw = der.sequence(der.integer(0), algorithm, der.octet_string(der.integer(1)))
    with pytest.raises(UnusableKeyError):
        keys.open_key(private(tmp_path, pem.encode("PRIVATE KEY", raw)))


def explicit_parameters() -> bytes:
    """P-256 spelt out (RFC 3279 clause 2.3.5), as `openssl ecparam -param_enc explicit` does."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = bytes.fromhex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b")
    base = bytes.fromhex(
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"
    )
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    return der.sequence(
        der.integer(1),
        der.sequence(der.oid("1.2.840.10045.1.1"), der.integer(prime)),
        der.sequence(der.octet_string((prime - 3).to_bytes(32, "big")), der.octet_string(b)),
        der.octet_string(base),
        der.integer(order),
        der.integer(1),
    )


@pytest.mark.parametrize("form", ["PRIVATE KEY", "EC PRIVATE KEY"])
def test_explicit_curve_parameters_are_refused(form: str, tmp_path: Path) -> None:
    secret = der.octet_string((7).to_bytes(32, "big"))
    if form == "PRIVATE KEY":
        algorithm = der.sequence(der.oid(algorithms.EC_PUBLIC_KEY), explicit_parameters())
        raw = der.sequence(der.integer(0), algorithm, der.octet_string(der.sequence(der.integer(1), secret)))
    else:
        raw = der.sequence(der.integer(1), secret, der.explicit(0, explicit_parameters()))
    with pytest.raises(UnusableKeyError, match="explicit parameters"):
        keys.open_key(private(tmp_path, pem.encode(form, raw)))


def test_rsa_bound_to_pss_is_refused(tmp_path: Path) -> None:
    fields = der.parse(plain("rsa2048", Encoding.DER)).fields()
    version, _, key = fields.take(), fields.take(), fields.take()
    raw = der.sequence(version.raw, der.sequence(der.oid(algorithms.RSASSA_PSS)), key.raw)
    with pytest.raises(UnusableKeyError, match="padding=pss"):
        keys.open_key(private(tmp_path, pem.encode("PRIVATE KEY", raw)))


def test_an_rsa_key_whose_primes_are_not_its_own_cannot_sign(tmp_path: Path) -> None:
    own = pki.key("rsa2048").private_numbers()  # type: ignore[union-attr]
    held = (own.public_numbers.n, own.public_numbers.e, own.d, own.p, 2**256, own.dmp1, own.dmq1, own.iqmp)  # type: ignore[union-attr]
    path = private(tmp_path, der.sequence(der.integer(0), *map(der.integer, held)))
    signer = keys.open_key(path)
    with pytest.raises(UnusableKeyError):
        signer.sign(b"data", "sha256")


def test_a_seed_of_one_byte_is_no_key(tmp_path: Path) -> None:
    """OpenSSL finds that odd, not the library above it."""
    raw = der.sequence(der.integer(0), der.sequence(der.oid(algorithms.ED25519)), der.octet_string(b"\x04\x01\xf4"))
    with pytest.raises(UnusableKeyError):
        keys.open_key(private(tmp_path, raw))


def test_a_plain_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = private(tmp_path, plain("p256", Encoding.PEM))
    os.chmod(path, 0o640)  # noqa: PTH101
    with pytest.raises(UnusableKeyError, match="chmod 600"):
        keys.open_key(path)


def test_an_encrypted_key_may_be_readable(tmp_path: Path) -> None:
    encryption = BestAvailableEncryption(b"open")
    path = private(tmp_path, pki.key("p256").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    os.chmod(path, 0o644)  # noqa: PTH101
    assert keys.open_key(path, says(b"open")).algorithm == "ec"


def test_missing_and_unreadable(tmp_path: Path) -> None:
    for missing in (str(tmp_path / "nowhere"), str(tmp_path), "/dev/null"):
        with pytest.raises(InputError):
            keys.open_key(missing)
    with pytest.raises(UnusableKeyError, match="too large"):
        keys.open_key(private(tmp_path, bytes(2 << 20)))


def test_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = plain("p256", Encoding.PEM)
    path = private(tmp_path, data, "a key?&%.pem")
    assert keys.open_key(path).algorithm == "ec"
    assert keys.open_key(f"file:{tmp_path}/a%20key%3F&%25.pem").algorithm == "ec"
    assert keys.open_key(f"file://{tmp_path}/a%20key%3f&%25.pem").algorithm == "ec"
    assert keys.open_key(f"file://localhost{tmp_path}/a%20key%3f&%25.pem").algorithm == "ec"
    monkeypatch.chdir(tmp_path)
    private(tmp_path, data, "relative.pem")
    assert keys.open_key("relative.pem").algorithm == "ec"
    assert keys.open_key("file:relative.pem").algorithm == "ec"


@pytest.mark.parametrize("uri", ["", "file:", "file://example.com/key.pem", "quantum:key", "file://", "file:a\0b"])
def test_uris_that_name_no_key(uri: str) -> None:
    with pytest.raises(UsageError):
        keys.open_key(uri)


def test_schemes_are_found() -> None:
    assert set(keys.schemes()) >= {"file", "pkcs12"}


class TestPkcs12:
    def make(self, tmp_path: Path, passphrase: bytes | None, *, kind: str = "p256") -> str:
        world = pki.world(kind)
        key = world.signer.private_key
        encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
        chain = [world.issuing.certificate, world.root.certificate]
        data = serialize_key_and_certificates(b"signer", key, world.signer.certificate, chain, encryption)  # type: ignore[arg-type]
        return private(tmp_path, data, "key.p12")

    def test_key_and_chain(self, tmp_path: Path) -> None:
        world = pki.world()
        signer = keys.open_key("pkcs12:" + self.make(tmp_path, b"open"), says(b"open"))
        assert signer.public_key == world.signer.public_key
        assert signer.certificates[0] == world.signer.der
        assert set(signer.certificates) == {world.signer.der, world.issuing.der, world.root.der}
        assert signer.sign(b"data", "sha256")

    def test_pss(self, tmp_path: Path) -> None:
        path = self.make(tmp_path, b"open", kind="rsa2048")
        assert keys.open_key(f"pkcs12:{path}?padding=pss", says(b"open")).algorithm == "rsa-pss"

    def test_without_passphrase_none_is_asked_for(self, tmp_path: Path) -> None:
        path = self.make(tmp_path, None)
        assert keys.open_key(f"pkcs12:{path}").sign(b"data", "sha256")
        os.chmod(path, 0o644)  # noqa: PTH101
        with pytest.raises(UnusableKeyError, match="chmod 600"):
            keys.open_key(f"pkcs12:{path}")

    def test_ber_is_read_without_a_warning(self, tmp_path: Path) -> None:
        path = tmp_path / "stream.p12"
        whole = (tmp_path / self.make(tmp_path, b"open")).read_bytes()
        path.write_bytes(b"\x30\x80" + der.parse(whole).value + b"\0\0")
        assert keys.open_key(f"pkcs12:{path}", says(b"open")).sign(b"data", "sha256")

    def test_wrong_passphrase(self, tmp_path: Path) -> None:
        path = self.make(tmp_path, b"open")
        with pytest.raises(PassphraseError, match="wrong passphrase"):
            keys.open_key(f"pkcs12:{path}", says(b"shut"))
        with pytest.raises(PassphraseError, match="is encrypted"):
            keys.open_key(f"pkcs12:{path}")

    def test_certificates_alone(self, tmp_path: Path) -> None:
        data = pkcs12.serialize_key_and_certificates(None, None, pki.world().signer.certificate, None, NoEncryption())
        with pytest.raises(UnusableKeyError, match="no private key"):
            keys.open_key("pkcs12:" + private(tmp_path, data, "certificates.p12"))

    @pytest.mark.parametrize("data", [b"", b"text", b"0", b"0\x80\x02\x01\x03\x00\x00", bytes(100)])
    def test_what_is_none(self, data: bytes, tmp_path: Path) -> None:
        with pytest.raises(UnusableKeyError):
            keys.open_key("pkcs12:" + private(tmp_path, data, "no.p12"), says(b"open"))

    def test_opened_as_a_file_it_says_what_it_is(self, tmp_path: Path) -> None:
        with pytest.raises(UnusableKeyError, match="pkcs12:"):
            keys.open_key(self.make(tmp_path, b"open"), says(b"open"))
