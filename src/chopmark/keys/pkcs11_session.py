"""One logged-in session on a token: opened again after a fork or when it was lost, and never guessing a PIN."""

from __future__ import annotations

import os
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from chopmark.core.errors import UnavailableError
from chopmark.keys import pkcs11_uri
from chopmark.keys.errors import PassphraseError, UnusableKeyError
from chopmark.keys.pin_gate import PinGate

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    import pkcs11
    from pkcs11._pkcs11 import lib as Library  # noqa: N812 - a class with a small name

    from chopmark.keys.passphrase import Passphrase
    from chopmark.keys.pkcs11_uri import TokenUri

Result = TypeVar("Result")

INSTALL_HINT = "keys in tokens need the package python-pkcs11: pip install 'chopmark[pkcs11]'"

_libraries: dict[str, tuple[int, Library]] = {}
"""Modules by path, with the process that initialised them."""
_turns: dict[int, threading.RLock] = {}
_open_sessions: weakref.WeakSet[TokenSession] = weakref.WeakSet()
_inherited: list[object] = []
"""What the parent process had open: it must not be finalised here, where its handles mean something else or nothing."""


class TokenSession:
    """A session on the one token that a URI names, with the private key that it names."""

    def __init__(self, uri: TokenUri, passphrase: Passphrase, *, keyless: bool = False, writable: bool = False) -> None:
        """Find the token, log in, find the key. Raises UsageError (PassphraseError among them), UnavailableError.

        A `keyless` session looks for no key: it is there to list them, or where it is `writable` to make one.
        """
        self._keyless = keyless
        self._writable = writable
        self._uri = uri
        self._passphrase: Passphrase = pkcs11_uri.pin_of(uri, passphrase)
        self._path = pkcs11_uri.module(uri)
        self._gate = PinGate()
        self._pin = bytearray()
        self._serial: bytes | None = None
        _open_sessions.add(self)
        with _turn(), _explained("the token"):
            self._open()

    def use(self, work: Callable[[TokenSession], Result]) -> Result:
        """Do something with the session; when it turns out to be lost it is opened again and the work done again, once.

        Raises UnavailableError when the token does not come back, PassphraseError when it no longer takes the PIN.
        """
        from pkcs11 import PKCS11Error

        with _turn(), _explained(self.name):
            if os.getpid() != self._pid:  # handles of the parent mean nothing here
                _inherited.extend((self.session, getattr(self, "key", None)))
                self._open()
            try:
                return work(self)
            except PKCS11Error as error:
                if self._library.initialized and not isinstance(error, _lost()):
                    raise
                self._release()
                self._open()
                return work(self)

    def find(self, attributes: dict[pkcs11.Attribute, object]) -> list[pkcs11.Object]:
        """Every object with these attributes; the search is used up, or the next operation would find it active."""
        return list(self.session.get_objects(attributes))

    def private_keys(self) -> list[pkcs11.Object]:
        """The private keys that the URI names, which may be all."""
        from pkcs11 import Attribute, ObjectClass

        wanted: dict[Attribute, object] = {Attribute.CLASS: ObjectClass.PRIVATE_KEY}
        if self._uri.object is not None:
            wanted[Attribute.LABEL] = self._uri.object
        if self._uri.id is not None:
            wanted[Attribute.ID] = self._uri.id
        return self.find(wanted)

    def signature(self, mechanism: pkcs11.Mechanism, parameter: object, data: bytes) -> bytes:
        """What the token signs with the key."""
        key: Any = self.key
        if not self._pin_each_time:
            return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameter))
        with self._one_attempt():
            return bytes(key.sign(data, mechanism=mechanism, mechanism_param=parameter, pin=self._pin.decode()))

    def close(self) -> None:
        """Log out and forget the PIN."""
        self._pin[:] = bytes(len(self._pin))
        self._pin.clear()
        if os.getpid() == self._pid:
            with _turn():
                self._release()

    def _release(self) -> None:
        from pkcs11 import PKCS11Error

        with suppress(PKCS11Error):
            self.session.close()

    def _open(self) -> None:
        # One process at a time: while one logs in, SoftHSM rewrites the token's file, and others see no token.
        with self._gate.locked():
            self._open_alone()

    def _open_alone(self) -> None:
        self._library = _library(self._path)
        token = self._token(self._library)
        self.name = f"token {token.label or token.slot.slot_id!s}"
        self.session = self._login(token)
        self._pid = os.getpid()
        self._serial = token.serial
        self.mechanisms = token.slot.get_mechanisms()
        if not self._keyless:
            self.key = self._key()
            self._pin_each_time = _pin_each_time(self.key)

    def _token(self, library: Library) -> pkcs11.Token:
        """The one token that the URI names; after the first time, that very token."""
        found = self._matching(library)
        if not found and self._serial is not None and self._alone():
            # Some modules look for slots only when they are initialised. That ends every session with the module, so
            # it is not done while another key might be signing.
            library.reinitialize()
            found = self._matching(library)
        if not found:
            here = "; ".join(_described(token) for token in _tokens(library)) or "none"
            message = f"pkcs11: the token is not there (tokens that are: {here})"
            raise UnavailableError(message)
        if len(found) > 1:
            which = "; ".join(_described(token) for token in found)
            message = f"pkcs11: {len(found)} tokens match; name one by its serial: {which}"
            raise UnusableKeyError(message)
        return found[0]

    def _matching(self, library: Library) -> list[pkcs11.Token]:
        found = [token for token in _tokens(library) if _matches(token, self._uri)]
        return [token for token in found if self._serial in (None, token.serial)]

    def _alone(self) -> bool:
        return all(each is self or each._path != self._path for each in list(_open_sessions))  # noqa: SLF001 - ours

    def _login(self, token: pkcs11.Token) -> pkcs11.Session:
        """Log in, with one attempt: a token locks itself after a few wrong ones."""
        from pkcs11 import TokenFlag, UserAlreadyLoggedIn

        if self._writable and token.flags & TokenFlag.WRITE_PROTECTED:
            message = f"{self.name}: it is write-protected"
            raise UnusableKeyError(message)
        if not token.flags & TokenFlag.LOGIN_REQUIRED:
            return token.open(rw=self._writable)
        if token.flags & TokenFlag.USER_PIN_LOCKED:
            message = f"{self.name}: its PIN is locked after too many wrong ones; the security officer can unlock it"
            raise PassphraseError(message)
        self._ask()
        with self._one_attempt():
            try:
                return token.open(rw=self._writable, user_pin=self._pin.decode())
            except UserAlreadyLoggedIn:  # by another key of this process
                return token.open(rw=self._writable)

    @contextmanager
    def _one_attempt(self) -> Iterator[None]:
        """Present the PIN, unless the token has refused it, to this process or to one of the others."""
        with self._gate.locked():
            if self._gate.refused:
                message = f"{self.name}: it did not take the PIN before and is not asked again"
                raise PassphraseError(message)
            try:
                yield
            except _wrong_pin():
                self._gate.refuse()
                raise

    def _ask(self) -> None:
        if self._pin:
            return
        pin = self._passphrase(f"{self.name} (its PIN)")
        if not pin:
            message = f"{self.name}: say where its PIN comes from (prompt, fd:N, env:NAME)"
            raise PassphraseError(message)
        try:
            pin.decode()
        except UnicodeDecodeError:
            message = f"{self.name}: a PIN is UTF-8 text, and this is not"
            raise PassphraseError(message) from None
        self._pin[:] = pin

    def _key(self) -> pkcs11.PrivateKey:
        """The one private key that the URI names."""
        from pkcs11 import Attribute, ObjectClass, PrivateKey

        found = [key for key in self.private_keys() if isinstance(key, PrivateKey)]
        if len(found) == 1:
            if not hasattr(found[0], "sign"):
                message = f"{self.name}: {_named(found[0])} may not sign (CKA_SIGN is false)"
                raise UnusableKeyError(message)
            return found[0]
        if found:
            which = "; ".join(map(_named, found))
            message = f"{self.name}: {len(found)} private keys match; say which by object and id: {which}"
        else:
            there = "; ".join(map(_named, self.find({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))) or "none"
            message = f"{self.name}: the private key is not there (those that are: {there})"
        raise UnusableKeyError(message)


def _turn() -> threading.RLock:
    """What a thread holds while it calls a module: python-pkcs11 tells them that there are no other threads.

    One for each process, because in the parent some thread may hold it when a child is forked.
    """
    import threading

    return _turns.get(os.getpid()) or _turns.setdefault(os.getpid(), threading.RLock())


def _library(path: str) -> Library:
    """The module, initialised in this process. Raises UsageError."""
    try:
        import pkcs11
    except ImportError:
        raise UnusableKeyError(INSTALL_HINT) from None
    owner, library = _libraries.get(path, (0, None))
    if library is None:
        try:
            library = pkcs11.lib(path)
        except pkcs11.PKCS11Error as error:
            message = f"pkcs11: the module {path} cannot be used ({_said(error)})"
            raise UnusableKeyError(message) from None
    elif owner != os.getpid():
        _inherited.append(library)
        library = _initialized_again(path, library)
    elif not library.initialized:
        library.initialize()
    _libraries[path] = (os.getpid(), library)
    return library


def _initialized_again(path: str, inherited: Library) -> Library:
    """After a fork a module wants C_Initialize (PKCS #11 v2.40, 6.6.1); some say that they are, and want an end first.

    python-pkcs11 remembers the parent's call, so that it needs a new object; the old one stays, unfinalised.
    """
    from pkcs11 import PKCS11Error, _pkcs11

    try:
        return _pkcs11.lib(path)
    except PKCS11Error:
        with suppress(PKCS11Error):
            inherited.finalize()
        return _pkcs11.lib(path)


def _tokens(library: Library) -> list[pkcs11.Token]:
    """Tokens that have been initialised."""
    from pkcs11 import PKCS11Error, TokenFlag

    found = []
    for slot in library.get_slots(token_present=True):
        with suppress(PKCS11Error, UnicodeDecodeError):  # taken out just now, not recognised, or named in no text
            token = slot.get_token()
            if token.flags & TokenFlag.TOKEN_INITIALIZED:
                found.append(token)
    return found


def _matches(token: pkcs11.Token, uri: TokenUri) -> bool:
    pairs = (
        (uri.token, token.label),
        (uri.manufacturer, token.manufacturer_id),
        (uri.model, token.model),
        (uri.serial, token.serial.decode("utf-8", "replace")),
        (uri.slot_id, token.slot.slot_id),
    )
    return all(wanted is None or wanted == held for wanted, held in pairs)


def _described(token: pkcs11.Token) -> str:
    serial = token.serial.decode("utf-8", "replace")
    return f"token={token.label} serial={serial} slot-id={token.slot.slot_id}"


def _named(key: pkcs11.Object) -> str:
    from pkcs11 import Attribute, PKCS11Error

    label, identifier = "", b""
    with suppress(PKCS11Error, UnicodeDecodeError):
        label = key[Attribute.LABEL]
    with suppress(PKCS11Error):
        identifier = key[Attribute.ID]
    return f"object={label} id=" + "".join(f"%{octet:02X}" for octet in identifier)


def _pin_each_time(key: pkcs11.PrivateKey) -> bool:
    """Whether the key wants the PIN with every signature (CKA_ALWAYS_AUTHENTICATE)."""
    from pkcs11 import Attribute, PKCS11Error

    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except PKCS11Error:  # many tokens do not know the attribute
        return False


def _lost() -> tuple[type[Exception], ...]:
    """What a token says when the session, the login or the token itself is gone."""
    import pkcs11

    return (
        pkcs11.SessionHandleInvalid,
        pkcs11.SessionClosed,
        pkcs11.UserNotLoggedIn,
        pkcs11.DeviceRemoved,
        pkcs11.DeviceError,
        pkcs11.TokenNotPresent,
        pkcs11.TokenNotRecognised,
        pkcs11.SlotIDInvalid,
        pkcs11.KeyHandleInvalid,
        pkcs11.ObjectHandleInvalid,
        pkcs11.OperationActive,
        pkcs11.GeneralError,
        pkcs11.FunctionFailed,
    )


def _wrong_pin() -> tuple[type[Exception], ...]:
    import pkcs11

    return (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.PinLocked, pkcs11.PinExpired)


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Whatever a module answers becomes an error that can be shown."""
    try:
        from pkcs11 import PinExpired, PinLocked, PKCS11Error, UserPinNotInitialized
    except ImportError:
        raise UnusableKeyError(INSTALL_HINT) from None
    try:
        yield
    except PinLocked:
        message = f"{name}: its PIN is locked after too many wrong ones; the security officer can unlock it"
        raise PassphraseError(message) from None
    except (PinExpired, UserPinNotInitialized) as error:
        message = f"{name}: its PIN must be set first ({_said(error)})"
        raise PassphraseError(message) from None
    except _wrong_pin():
        message = f"{name}: wrong PIN; it was tried once and is not tried again, for tokens lock themselves"
        raise PassphraseError(message) from None
    except PKCS11Error as error:
        message = f"{name}: it does not answer as it should ({_said(error)})"
        raise UnavailableError(message) from None


def _said(error: Exception) -> str:
    """The error's name in the specification, and what there is beyond it, in one line."""
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
