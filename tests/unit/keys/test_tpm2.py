"""Keys in a TPM: what URIs and key files say, what is refused, and that nothing stays there, whatever it answers."""

from __future__ import annotations

import contextlib
import hmac
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark import keys
from chopmark.core import limits
from chopmark.core.errors import MalformedError, RefusedError, UnavailableError, UsageError
from chopmark.envelopes import algorithms, der, pem, signatures
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.tpm2 import commands, keyfile, transport, wire
from tests.support import pki
from tests.support import tpm as simulated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chopmark.core.contracts import Signer

DATA = b"what is signed"
SIGN, FLUSH, CONTEXT_LOAD, CREATE_PRIMARY = 0x15D, 0x165, 0x161, 0x131


class Desk:
    """A simulated TPM, and how keys in it are opened."""

    def __init__(self, tpm: simulated.Tpm, way: str, folder: Path) -> None:
        self.tpm, self.way, self.folder = tpm, way, folder
        self.asked = 0

    def key(self, name: str = "handle=0x81000001", auth: bytes | None = None, *parameters: str) -> Signer:
        def says(_: str) -> bytes | None:
            self.asked += 1
            return auth

        return keys.open_key(f"tpm2:{name}?" + "&".join((f"tcti={self.way}", *parameters)), says)

    def file(self, made: keyfile.KeyFile) -> str:
        path = self.folder / "key.pem"
        path.write_bytes(made.encoded())
        return f"file={path}"

    def clean(self) -> bool:
        return not self.tpm.loaded and not self.tpm.sessions


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = simulated.Tpm(persistent={0x81000001})
    with simulated.serving(tmp_path / "tpm", made) as way:
        yield Desk(made, way, tmp_path)


def loadable(desk: Desk, *, empty_auth: bool = True, parent: int = commands.OWNER) -> keyfile.KeyFile:
    return keyfile.KeyFile(commands.Created(b"private", desk.tpm.public), parent, empty_auth)


def verified(signer: Signer, digest: str = "sha256") -> None:
    identifier = der.parse(algorithms.signature_identifier(signer, digest))
    signature = signer.sign(DATA, digest)
    signatures.verify(signer.public_key, algorithms.signature_algorithm(identifier), signature, DATA)


@pytest.mark.parametrize("auth", [None, b"secret"])
@pytest.mark.parametrize("where", ["handle", "file"])
def test_keys_sign_and_leave_nothing_behind(where: str, auth: bytes | None, desk: Desk) -> None:
    desk.tpm.auth = auth or b""
    signer = desk.key(desk.file(loadable(desk, empty_auth=not auth)) if where == "file" else "handle=0x81000001", auth)
    assert desk.clean()
    for digest in ("sha256", "sha384", "sha512"):
        verified(signer, digest)
        assert desk.clean()
    assert desk.tpm.wrong == 0
    assert desk.tpm.commands.count(CREATE_PRIMARY) == (where == "file"), "the parent is made once"
    assert desk.tpm.commands.count(CONTEXT_LOAD) == 3 * (where == "file")
    assert desk.asked == (0 if where == "file" and not auth else 1)


def test_a_parent_that_is_persistent_is_not_made(desk: Desk) -> None:
    verified(desk.key(desk.file(loadable(desk, parent=0x81000001))))
    assert CREATE_PRIMARY not in desk.tpm.commands
    with pytest.raises(UnusableKeyError, match="not there"):
        desk.key(desk.file(loadable(desk, parent=0x81000002)))
    assert desk.clean()


def test_a_restart_is_noticed_and_got_over(desk: Desk) -> None:
    signer = desk.key(desk.file(loadable(desk)))
    verified(signer)
    desk.tpm.restart()
    verified(signer)
    verified(signer)
    assert desk.tpm.commands.count(CREATE_PRIMARY) == 2
    assert desk.clean()


def test_a_wrong_auth_value_is_presented_once_also_by_forked_processes(desk: Desk) -> None:
    desk.tpm.auth = b"secret"
    signer = desk.key(auth=b"guess")
    for _ in range(2):
        child = os.fork()
        if not child:
            with contextlib.suppress(PassphraseError):
                signer.sign(DATA, "sha256")
                os._exit(1)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with pytest.raises(PassphraseError, match="not tried again"):
        signer.sign(DATA, "sha256")
    assert desk.tpm.wrong == 1
    assert desk.clean()
    signer = desk.key(desk.file(loadable(desk)))
    with pytest.raises(PassphraseError, match="the file says"):
        signer.sign(DATA, "sha256")


def test_a_response_is_authentic_or_no_response(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.tpm.auth = b"secret"
    signer = desk.key(auth=b"secret")
    monkeypatch.setattr(hmac, "digest", _twice_right(hmac.digest))
    with pytest.raises(UnavailableError, match="not authentic"):
        signer.sign(DATA, "sha256")


def _twice_right(digest: Callable[..., bytes]) -> Callable[..., bytes]:
    """The third proof, which is the TPM's, is a wrong one."""
    count = 0

    def made(*said: object) -> bytes:
        nonlocal count
        count += 1
        return bytes(32) if count == 3 else digest(*said)

    return made


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        (0x921, PassphraseError, "locked"),
        (0x100, UnavailableError, "not started"),
        (0x101, UnavailableError, "failing"),
        (0x903, UnavailableError, "another session"),
        (0x2D2, UnusableKeyError, "scheme"),
        (0xFFF, UnusableKeyError, "declined"),
    ],
)
def test_what_a_tpm_declines(code: int, error: type[Exception], told: str, desk: Desk) -> None:
    signer = desk.key()
    desk.tpm.faults = [code]
    with pytest.raises(error, match=told):
        signer.sign(DATA, "sha256")
    verified(signer)


def test_a_tpm_that_is_busy_is_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = desk.key()
    desk.tpm.faults = [0x922, 0x908, 0x90A]
    verified(signer)
    monkeypatch.setattr(limits, "TPM_SECONDS", 0.05)
    desk.tpm.faults = [0x922] * 100
    with pytest.raises(UnusableKeyError, match="0x922"):
        signer.sign(DATA, "sha256")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"\x80\x01\0\0\0\x09\0\0\0\0",
        b"\x80\x01\xff\xff\xff\xff\0\0\0\0",
        b"\x80\x01\0\0\0\x0a\0\0\0\0",
        b"\x80\x01\0\0\0\x0e\0\0\0\0\xff\xff\xff\xff",
        b"\x80\x02\0\0\0\x10\0\0\0\0\0\0\0\2\0\x18",
    ],
)
def test_responses_that_are_none(response: bytes, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TPM_SECONDS", 1.0)
    signer = desk.key()
    desk.tpm.faults = [response]
    with pytest.raises(UnavailableError):
        signer.sign(DATA, "sha256")
    desk.tpm.faults = [response]
    with pytest.raises(UnavailableError):
        desk.key(desk.file(loadable(desk)))


@pytest.mark.parametrize(
    ("attributes", "scheme", "told"),
    [
        (0x00072, b"\0\x10", "not for signing"),
        (0x50072, b"\0\x10", "restricted"),
        (0x40032, b"\0\x10", "policy"),
        (0x40072, b"\0\x1c\0\x0b", "another signature scheme"),
        (0x40072, b"\0\x18\0\x04", "0x0004"),
    ],
)
def test_keys_that_do_not_sign_here(attributes: int, scheme: bytes, told: str, desk: Desk) -> None:
    desk.tpm.attributes, desk.tpm.scheme = attributes, scheme
    with pytest.raises(UnusableKeyError, match=told):
        desk.key()


def test_a_key_that_is_bound_to_a_digest(desk: Desk) -> None:
    desk.tpm.scheme = b"\0\x18\0\x0c"
    signer = desk.key()
    assert algorithms.usual_digest(signer) == "sha384"
    verified(signer, "sha384")
    for other in ("sha256", "sha512", "sha1"):
        with pytest.raises(RefusedError, match="sha384"):
            signer.sign(DATA, other)
    with pytest.raises(UsageError, match="padding"):
        desk.key("handle=0x81000001", None, "padding=pss")


def test_parts_of_a_file_that_are_two_keys(desk: Desk) -> None:
    other = pki.key("p256", "other")
    public = simulated.public_area(other)  # type: ignore[arg-type]
    made = loadable(desk)._replace(key=commands.Created(b"private", public))
    with pytest.raises(UnavailableError, match="not the same key"):
        desk.key(desk.file(made))
    with pytest.raises(UnusableKeyError, match="another TPM"):
        desk.key(desk.file(made._replace(key=commands.Created(b"other", public))))
    assert desk.clean()


# Making and listing


@pytest.mark.parametrize("auth", [None, b"secret"])
def test_keys_are_made_in_files_and_under_handles(auth: bytes | None, desk: Desk) -> None:
    for where in (f"file={desk.folder}/new.pem", "handle=0x81000007"):
        uri = f"tpm2:{where}?tcti={desk.way}"
        signer = keys.new_key(uri, "p256", keys.nothing, lambda _: auth)
        assert signer.algorithm == "ec"
        with pytest.raises(UsageError):
            keys.new_key(uri, "p256", keys.nothing, lambda _: auth)
    assert desk.clean()
    [block] = pem.blocks((desk.folder / "new.pem").read_bytes())
    made = keyfile.read(block.der)
    assert (made.parent, made.empty_auth, made.rsa_parent) == (commands.OWNER, not auth, False)
    assert desk_list(desk) == ["tpm2:handle=0x81000001", "tpm2:handle=0x81000007"]


def desk_list(desk: Desk) -> list[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(transport.VARIABLE, desk.way)
        return [found.uri for found in keys.list_keys("tpm2:")]


@pytest.mark.parametrize("handles", [[0xFFFFFFFF], [0x81FFFFFF], [0x81000000], []])
def test_a_list_of_handles_ends(handles: list[int], desk: Desk) -> None:
    """Also where the TPM says that there is more, and names one outside of the range, or always the same."""
    said = b"\1" + (1).to_bytes(4, "big") + len(handles).to_bytes(4, "big")
    body = said + b"".join(handle.to_bytes(4, "big") for handle in handles)
    desk.tpm.persistent.clear()
    more = b"\x80\x01" + (10 + len(body)).to_bytes(4, "big") + bytes(4) + body
    desk.tpm.faults = [more, more]
    with transport.Channel(desk.way) as channel:
        assert commands.Tpm(channel).persistent_handles() in (handles, handles * 2)


def test_what_cannot_be_made(desk: Desk) -> None:
    uri = f"tpm2:file={desk.folder}/new.pem?tcti={desk.way}"
    with pytest.raises(UsageError, match="not made in TPMs"):
        keys.new_key(uri, "ed25519")
    with pytest.raises(PassphraseError, match="32 bytes"):
        keys.new_key(uri, "p256", keys.nothing, lambda _: b"x" * 33)
    desk.tpm.faults = [0, 0x2C3]
    with pytest.raises(UnusableKeyError, match="digest"):
        keys.new_key(uri, "p256")
    assert desk.clean()
    assert not (desk.folder / "new.pem").exists()


# URIs, ways and files


@pytest.mark.parametrize(
    ("text", "error", "told"),
    [
        ("tpm2:key.pem", UsageError, "handle="),
        ("tpm2:handle=0x80000001", UsageError, "0x81000000"),
        ("tpm2:handle=2164260865", UsageError, "0x81000000"),
        ("tpm2:file=", UsageError, "handle="),
        ("tpm2:handle=0x81000001?pin=1", UsageError, "no parameter"),
        ("tpm2:handle=0x81000001?padding=oaep&tcti=swtpm:port=1", UsageError, "padding"),
        ("tpm2:handle=0x81000001?tcti=abrmd:", UsageError, "swtpm:path"),
        ("tpm2:handle=0x81000001?tcti=swtpm:host=tpm.example%2Cport=1", UsageError, "this machine"),
        ("tpm2:handle=0x81000001?tcti=swtpm:", UsageError, "swtpm:path"),
        ("tpm2:handle=0x81000001?tcti=swtpm:port=99999", UsageError, "not a port"),
        ("tpm2:handle=0x81000001?tcti=swtpm:path=/nowhere", UnavailableError, "cannot be opened"),
        ("tpm2:handle=0x81000001?tcti=swtpm:port=1", UnavailableError, "cannot be opened"),
        ("tpm2:handle=0x81000001?tcti=device:/nowhere", UnavailableError, "cannot be opened"),
    ],
)
def test_uris_that_name_no_key(text: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        keys.open_key(text)


def test_no_tpm_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(transport.VARIABLE, raising=False)
    monkeypatch.setattr(transport, "_DEVICES", ("/nowhere/tpmrm0",))
    with pytest.raises(UnavailableError, match="no TPM"):
        keys.open_key("tpm2:handle=0x81000001")


def tagged(number: int, *parts: bytes) -> bytes:
    return der.explicit(number, *parts)


def raw(*parts: bytes, oid: str = "2.23.133.10.1.3", parent: int = commands.OWNER) -> bytes:
    pair = (der.octet_string(wire.sized(part)) for part in (b"public", b"private"))
    return der.sequence(der.oid(oid), *parts, der.integer(parent), *pair)


@pytest.mark.parametrize("true", [b"\xff", b"\1"])
def test_a_file_with_all_that_is_read(true: bytes) -> None:
    """01 is what tpm2-openssl writes, where DER has FF."""
    switch = der.encode(der.BOOLEAN, true)
    made = keyfile.read(raw(tagged(0, switch), tagged(4, der.encode(0x0C, b"mine")), tagged(5, switch)))
    assert made == keyfile.KeyFile(commands.Created(b"private", b"public"), commands.OWNER, True, True)  # noqa: FBT003
    assert not keyfile.read(raw(tagged(0, der.encode(der.BOOLEAN, b"\0")))).empty_auth


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (raw(oid="2.23.133.10.1.4"), "another kind"),
        (raw(tagged(1, der.sequence())), "a policy"),
        (raw(tagged(2, der.octet_string(b"x"))), "import"),
        (raw(tagged(3, der.sequence())), "auth policy"),
        (raw(parent=0x80000001), "neither a hierarchy"),
        (raw(tagged(0, der.integer(1))), None),
        (raw(parent=-1), "neither a hierarchy"),
        (raw()[:-1], None),
        (b"", None),
    ],
)
def test_files_that_are_refused(made: bytes, told: str | None) -> None:
    with pytest.raises(MalformedError, match=told):
        keyfile.read(made)


def test_a_file_without_a_key_or_with_two(desk: Desk) -> None:
    path = desk.folder / "key.pem"
    for text, told in (
        (b"", "no TSS2"),
        (loadable(desk).encoded() * 2, "2 TSS2"),
        (pem.encode(keyfile.LABEL, b"\0"), None),
    ):
        path.write_bytes(text)
        with pytest.raises(UnusableKeyError, match=told):
            desk.key(f"file={path}")


def test_a_key_file_of_a_tpm_is_no_ordinary_one(desk: Desk) -> None:
    with pytest.raises(UnusableKeyError, match="tpm2:file="):
        keys.open_key(desk.file(loadable(desk)).removeprefix("file="))


@given(st.binary(max_size=200))
def test_any_structure_is_read_or_refused(data: bytes) -> None:
    for read in (wire.public, keyfile.read, lambda given: wire.signature(given, wire.ECDSA, 0x000B)):
        with contextlib.suppress(MalformedError):
            read(data)


@given(st.binary(max_size=90), st.sampled_from(["p256", "rsa-2048"]))
def test_almost_a_public_area_is_read_or_refused(rest: bytes, kind: str) -> None:
    whole = wire.signing_key(kind, protected=True)
    for cut in (len(whole) - 4, len(whole) - 2, 14):
        with contextlib.suppress(MalformedError):
            wire.public(whole[:cut] + rest)
