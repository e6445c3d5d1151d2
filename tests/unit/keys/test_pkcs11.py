"""Keys in tokens: what a URI says, what is refused, and what happens when a token goes away, without a real one."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pkcs11
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from chopmark import keys
from chopmark.core.errors import ChopmarkError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import der, public_keys
from chopmark.keys import pkcs11_session, pkcs11_uri, uri
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.pkcs11 import ec_spki, ed25519_spki, rsa_spki
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.core.contracts import Signer

PIN = b"a secret number"


def parsed(text: str) -> pkcs11_uri.TokenUri:
    return pkcs11_uri.read(uri.parse(text, set().__contains__))


# --- the URI


def encoded(value: str | bytes) -> str:
    return quote(value, safe="")


@given(st.text(max_size=32), st.text(max_size=32), st.binary(max_size=20), st.integers(0, 2**64 - 1))
def test_what_is_written_is_read_back(token: str, label: str, identifier: bytes, slot: int) -> None:
    text = f"pkcs11:token={encoded(token)};object={encoded(label)};id={encoded(identifier)};slot-id={slot};type=private"
    assert parsed(text) == pkcs11_uri.TokenUri(token=token, object=label, id=identifier, slot_id=slot)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ChopmarkError):
        assert isinstance(parsed("pkcs11:" + text), pkcs11_uri.TokenUri)


@given(st.text("tokenbjcipvalue=;%&?013f-", max_size=60))
def test_almost_a_uri_is_read_or_refused(text: str) -> None:
    with suppress(ChopmarkError):
        parsed("pkcs11:" + text)


def test_an_encoded_delimiter_is_part_of_the_value() -> None:
    assert parsed("pkcs11:token=a%3Bobject=b%3D;object=c%3Fd") == pkcs11_uri.TokenUri(token="a;object=b=", object="c?d")


@pytest.mark.parametrize(
    "text",
    ["pkcs11:token=t;pin-value=0420420", "pkcs11:token=t?pin-value=0420420", "pkcs11:token=t?pin-source=0420420"],
)
def test_a_pin_in_the_uri_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        pkcs11_uri.pin_of(parsed(text), keys.nothing)
    assert "0420420" not in str(refused.value)
    assert "env:NAME" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pkcs11:token=t;token=u", "twice"),
        ("pkcs11:token=%zz", "%25"),
        ("pkcs11:token=%ff", "UTF-8"),
        ("pkcs11:tokens=t", "no attribute 'tokens'"),
        ("pkcs11:token", "token=NAME"),
        ("pkcs11:token=t;type=cert", "type=private"),
        ("pkcs11:token=t;slot-id=first", "decimal"),
        ("pkcs11:token=t;slot-id=18446744073709551616", "decimal"),
        ("pkcs11:token=t?pin=fd:3", "no parameter 'pin'"),
        ("pkcs11:token=t?module-path=/a.so&module-name=a", "one is enough"),
        ("pkcs11:", "no name"),
    ],
)
def test_what_means_nothing_is_refused(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        parsed(text)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("module-path=module.so", "absolute"),
        ("module-path=/nowhere/module.so", "no module /nowhere"),
        ("module-name=../module", "bare name"),
        ("module-name=chopmark-has-no-such-module", "module-path="),
    ],
)
def test_a_module_is_found_or_said_to_be_missing(parameters: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        pkcs11_uri.module(parsed(f"pkcs11:token=t?{parameters}"))


def test_a_module_is_found_by_name_and_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pkcs11_uri, "_MODULE_FOLDERS", (str(tmp_path),))
    with pytest.raises(UsageError, match="module-name=NAME"):
        pkcs11_uri.module(parsed("pkcs11:token=t"))
    for name in ("libcard.so", "p11-kit-proxy.so"):
        (tmp_path / name).touch()
    assert pkcs11_uri.module(parsed("pkcs11:token=t?module-name=card")) == str(tmp_path / "libcard.so")
    assert pkcs11_uri.module(parsed("pkcs11:token=t")) == str(tmp_path / "p11-kit-proxy.so")


def test_a_pin_file_must_not_be_readable_by_others(tmp_path: Path) -> None:
    file = tmp_path / "pin"
    file.write_bytes(PIN + b"\nmore\n")
    file.chmod(0o600)
    source = pkcs11_uri.pin_of(parsed(f"pkcs11:token=t?pin-source=file:{file}"), keys.nothing)
    assert source("token") == PIN
    file.chmod(0o640)
    with pytest.raises(PassphraseError, match="chmod 600"):
        source("token")


def test_a_module_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "module.so"
    file.write_bytes(b"not a library")
    with pytest.raises(UnusableKeyError, match="cannot be used"):
        keys.open_key(f"pkcs11:token=t?module-path={file}")


def test_without_the_package_the_hint_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module.so").touch()
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    with pytest.raises(UnusableKeyError, match=r"pip install 'chopmark\[pkcs11\]'"):
        keys.open_key(f"pkcs11:token=t?module-path={tmp_path}/module.so")


def test_an_unknown_padding() -> None:
    with pytest.raises(UsageError, match="unknown padding"):
        keys.open_key("pkcs11:token=t?padding=oaep")


# --- public keys as tokens have them


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(("kind", "oid"), [("p256", "1.2.840.10045.3.1.7"), ("p384", "1.3.132.0.34")])
def test_curve_points_in_every_wrapping(kind: str, oid: str) -> None:
    key = pki.key(kind).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    for wrapped in (der.octet_string(point), point, der.bit_string(point)):
        assert ec_spki(der.oid(oid), wrapped) == spki(key)
    for broken in (point[:-1], der.octet_string(b"\4" * len(point)), b"", b"\4"):
        with pytest.raises(UnusableKeyError):
            ec_spki(der.oid(oid), broken)


@pytest.mark.parametrize("parameters", [der.oid("1.3.132.0.10"), der.sequence(der.integer(1)), b"", b"\6\x81"])
def test_other_curves_are_refused(parameters: bytes) -> None:
    with pytest.raises(UnusableKeyError):
        ec_spki(parameters, b"\4" * 65)
    with pytest.raises(UnusableKeyError):
        ed25519_spki(parameters, bytes(32))


def test_ed25519_under_each_of_its_names() -> None:
    key = pki.key("ed25519").public_key()
    assert isinstance(key, ed25519.Ed25519PublicKey)
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    for name in (b"\x13\x0cedwards25519", der.oid("1.3.101.112"), der.oid("1.3.6.1.4.1.11591.15.1")):
        for point in (raw, der.octet_string(raw), der.bit_string(raw)):
            assert ed25519_spki(name, point) == spki(key)
    with pytest.raises(UnusableKeyError):
        ed25519_spki(b"\x13\x0aedwards448", bytes(57))


def test_rsa_numbers() -> None:
    key = pki.key("rsa2048").public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    numbers = key.public_numbers()
    assert rsa_spki(b"\0" + numbers.n.to_bytes(256, "big"), b"\1\0\1") == spki(key)
    with pytest.raises(UnusableKeyError):
        rsa_spki(b"\2", b"\1")


# --- a token that misbehaves


class FakeKey(pkcs11.PrivateKey):
    """A P-256 key that a test can make fail."""

    def __init__(self, token: FakeToken) -> None:
        self.token = token

    @property
    def key_type(self) -> pkcs11.KeyType:
        return pkcs11.KeyType.EC

    def __getitem__(self, name: pkcs11.Attribute) -> object:
        key = pki.key("p256").public_key()
        held = {
            pkcs11.Attribute.LABEL: "signing",
            pkcs11.Attribute.ID: b"\1",
            pkcs11.Attribute.EC_PARAMS: der.oid("1.2.840.10045.3.1.7"),
            pkcs11.Attribute.EC_POINT: key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
            pkcs11.Attribute.ALWAYS_AUTHENTICATE: self.token.always,
        }
        if name not in held:
            raise pkcs11.AttributeTypeInvalid
        return held[name]

    def sign(self, data: bytes, **said: object) -> bytes:
        token = self.token
        if token.failures:
            raise token.failures.pop(0)
        if token.always and said.get("pin") != token.key_pin:
            token.wrong += 1
            raise pkcs11.PinIncorrect
        assert len(data) == 32, "the digest, not the data"
        token.signed += 1
        return token.answer


class FakeToken:
    """Counts logins and wrong PINs."""

    label, serial, manufacturer_id, model = "fake", b"42", "nobody", "none"

    def __init__(self) -> None:
        self.flags = pkcs11.TokenFlag.TOKEN_INITIALIZED | pkcs11.TokenFlag.LOGIN_REQUIRED
        self.slot = SimpleNamespace(slot_id=7, get_token=lambda: self, get_mechanisms=lambda: {pkcs11.Mechanism.ECDSA})
        self.pin = self.key_pin = PIN.decode()
        self.logins = self.wrong = self.signed = 0
        self.failures: list[Exception] = []
        self.always = False
        self.answer = bytes(31) + b"\1" + bytes(31) + b"\2"

    def open(self, user_pin: str | None = None, *, rw: bool = False) -> SimpleNamespace:
        assert not rw, "nothing is written when a key is used"
        if self.flags & pkcs11.TokenFlag.LOGIN_REQUIRED:
            if user_pin != self.pin:
                self.wrong += 1
                raise pkcs11.PinIncorrect
            self.logins += 1
        return SimpleNamespace(get_objects=self._objects, close=lambda: None)

    def _objects(self, wanted: dict[pkcs11.Attribute, object]) -> Iterator[FakeKey]:
        key = FakeKey(self)
        private = wanted[pkcs11.Attribute.CLASS] == pkcs11.ObjectClass.PRIVATE_KEY
        if private and wanted.get(pkcs11.Attribute.LABEL, "signing") == "signing":
            yield key


@pytest.fixture
def slots(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is plugged in."""
    found: list[Any] = [FakeToken().slot]
    library = SimpleNamespace(get_slots=lambda **_: list(found), initialized=True, reinitialize=lambda: None)
    monkeypatch.setattr(pkcs11_session, "_library", lambda _: library)
    return found


@pytest.fixture
def token(slots: list[Any]) -> FakeToken:
    found: FakeToken = slots[0].get_token()
    return found


@pytest.fixture
def opened(tmp_path: Path, token: FakeToken) -> Callable[..., Any]:  # noqa: ARG001 - it is plugged in
    (tmp_path / "module.so").touch()

    def opens(attributes: str = "token=fake", pin: bytes | None = PIN) -> Signer:
        return keys.open_key(f"pkcs11:{attributes}?module-path={tmp_path}/module.so", lambda _: pin)

    return opens


def test_one_login_serves_many_signatures(opened: Callable[..., Any], token: FakeToken) -> None:
    signer = opened()
    assert (signer.algorithm, signer.certificates) == ("ec", ())
    signatures = {signer.sign(b"data", "sha256") for _ in range(50)}
    assert signatures == {der.sequence(der.integer(1), der.integer(2))}
    assert (token.logins, token.signed) == (1, 50)
    assert public_keys.kind(signer.public_key) == "ec"


@pytest.mark.parametrize(
    "lost", [pkcs11.SessionHandleInvalid, pkcs11.DeviceRemoved, pkcs11.UserNotLoggedIn, pkcs11.KeyHandleInvalid]
)
def test_a_lost_session_is_opened_again_once(
    lost: type[Exception], opened: Callable[..., Any], token: FakeToken
) -> None:
    signer = opened()
    token.failures = [lost()]
    signer.sign(b"data", "sha256")
    assert (token.logins, token.signed) == (2, 1)
    token.failures = [lost(), lost(), lost()]
    with pytest.raises(UnavailableError, match=lost.__name__):
        signer.sign(b"data", "sha256")
    assert len(token.failures) == 1


def test_a_token_that_was_taken_out_and_put_back(
    opened: Callable[..., Any], token: FakeToken, slots: list[Any]
) -> None:
    signer = opened()
    slots.clear()
    token.failures = [pkcs11.DeviceRemoved()]
    with pytest.raises(UnavailableError, match="not there"):
        signer.sign(b"data", "sha256")
    slots.append(token.slot)
    token.failures = [pkcs11.SessionHandleInvalid()]
    assert signer.sign(b"data", "sha256")


def test_another_token_of_the_same_name_never_sees_the_pin(
    opened: Callable[..., Any], token: FakeToken, slots: list[Any]
) -> None:
    signer = opened()
    other = FakeToken()
    other.serial = b"43"
    slots[:] = [other.slot]
    token.failures = [pkcs11.DeviceRemoved()]
    with pytest.raises(UnavailableError, match="serial=43"):
        signer.sign(b"data", "sha256")
    assert (other.logins, other.wrong) == (0, 0)


def test_a_wrong_pin_is_tried_once(opened: Callable[..., Any], token: FakeToken) -> None:
    with pytest.raises(PassphraseError, match="wrong PIN") as refused:
        opened(pin=b"guess")
    assert "guess" not in str(refused.value)
    assert token.wrong == 1


def test_a_pin_that_was_changed_meanwhile_is_tried_once_by_all_processes(
    opened: Callable[..., Any], token: FakeToken
) -> None:
    signer = opened()
    token.pin = "another"
    token.failures = [pkcs11.SessionHandleInvalid() for _ in range(9)]
    child = os.fork()
    if not child:  # it is the one that tries
        try:
            signer.sign(b"data", "sha256")
        except PassphraseError:
            os._exit(token.wrong)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    for _ in range(3):
        with pytest.raises(PassphraseError, match="not asked again"):
            signer.sign(b"data", "sha256")
    assert token.wrong == 0


def test_a_key_that_wants_its_pin_each_time(opened: Callable[..., Any], token: FakeToken) -> None:
    token.always = True
    signer = opened()
    for _ in range(3):
        signer.sign(b"data", "sha256")
    assert (token.logins, token.signed) == (1, 3)
    token.key_pin = "the key's own"
    for _ in range(3):
        with pytest.raises(PassphraseError):
            signer.sign(b"data", "sha256")
    assert token.wrong == 1


def test_a_locked_pin_is_not_tried(opened: Callable[..., Any], token: FakeToken) -> None:
    token.flags |= pkcs11.TokenFlag.USER_PIN_LOCKED
    with pytest.raises(PassphraseError, match="locked"):
        opened()
    assert token.wrong == token.logins == 0


@pytest.mark.parametrize("pin", [None, b"", b"\xff\xfe"])
def test_no_pin_is_no_attempt(pin: bytes | None, opened: Callable[..., Any], token: FakeToken) -> None:
    with pytest.raises(PassphraseError):
        opened(pin=pin)
    assert token.wrong == token.logins == 0


def test_a_token_without_login_is_not_asked_for_a_pin(opened: Callable[..., Any], token: FakeToken) -> None:
    token.flags = pkcs11.TokenFlag.TOKEN_INITIALIZED
    assert opened(pin=None).sign(b"data", "sha256")


@pytest.mark.parametrize(
    ("attributes", "told"),
    [
        ("token=other", "token=fake serial=42 slot-id=7"),
        ("token=fake;slot-id=8", "slot-id=7"),
        ("serial=1", "serial=42"),
    ],
)
def test_a_token_that_is_not_there(attributes: str, told: str, opened: Callable[..., Any]) -> None:
    with pytest.raises(UnavailableError, match=told):
        opened(attributes)


def test_a_key_that_is_not_there(opened: Callable[..., Any]) -> None:
    with pytest.raises(UnusableKeyError, match="object=signing id=%01"):
        opened("token=fake;object=other")


def test_tokens_of_one_name_are_ambiguous(opened: Callable[..., Any], slots: list[Any]) -> None:
    other = FakeToken()
    other.serial = b"43"
    slots.append(other.slot)
    with pytest.raises(UnusableKeyError, match=r"serial=42.*serial=43"):
        opened()
    assert opened("token=fake;serial=43").sign(b"data", "sha256")


def test_a_signature_of_the_wrong_length_is_refused(opened: Callable[..., Any], token: FakeToken) -> None:
    token.answer = bytes(63)
    with pytest.raises(RefusedError, match="63 bytes"):
        opened().sign(b"data", "sha256")


def test_a_weak_digest_is_refused(opened: Callable[..., Any], token: FakeToken) -> None:
    with pytest.raises(RefusedError):
        opened().sign(b"data", "sha1")
    assert token.signed == 0


def test_closing_forgets_the_pin(opened: Callable[..., Any]) -> None:
    signer = opened()
    signer.close()
    assert PIN.decode() not in repr(vars(signer._session))  # noqa: SLF001 - what must not be there cannot be asked for


# Making and listing


@pytest.mark.parametrize(
    ("attributes", "kind", "told"),
    [
        ("token=fake", "p256", "what the new key is to be called"),
        ("token=fake;object=new", "ml-dsa-65", "not made in tokens"),
        ("token=fake;object=new", "p224", "not made in tokens"),
    ],
)
def test_what_cannot_be_made_is_refused_before_anybody_logs_in(
    attributes: str, kind: str, told: str, token: FakeToken, tmp_path: Path
) -> None:
    (tmp_path / "module.so").touch()
    with pytest.raises(UsageError, match=told):
        keys.new_key(f"pkcs11:{attributes}?module-path={tmp_path}/module.so", kind, lambda _: PIN)
    assert token.logins == 0


def test_keys_are_made_only_where_they_can_be(tmp_path: Path) -> None:
    assert {"pkcs11", "tpm2"} <= set(keys.makers())
    with pytest.raises(UsageError, match="pkcs11:"):
        keys.new_key(f"file:{tmp_path}/key.pem", "p256")
    with pytest.raises(UsageError, match="ssh-agent:"):
        keys.list_keys("file:")
