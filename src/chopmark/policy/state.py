"""What is remembered of versions, so that nobody goes back to an older one: of policies, and of products.

One file for each user, sealed with a key that only they can read (trust.sealing), so that whoever can write beside it
cannot make it say something else; when the key is there and the file is not, somebody took it away. Whoever has the
key, and so the user's own rights, can of course do both.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from chopmark.core import limits, places, versions
from chopmark.core.artifact import read_small
from chopmark.core.errors import BrokenError, InputError, MalformedError, UnavailableError
from chopmark.core.named import NamedTuple
from chopmark.policy import reasons
from chopmark.trust import sealing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from chopmark.core.versions import Release
    from chopmark.policy.facts import FileFacts

_KEY = "versions"
_VERSION = 1
_SEAL = b"\nseal "


class StateError(UnavailableError):
    """What was remembered cannot be believed; nothing is decided until somebody says what to do."""

    def __init__(self, where: str, detail: str) -> None:
        super().__init__(f"{where}: {reasons.STATE_LOST.sentence} {reasons.STATE_LOST.remedy} ({detail})")
        self.reason = reasons.STATE_LOST


class Seen(NamedTuple):
    """The newest version of a policy that was in use, and the digest of its text."""

    version: int
    sha256: str


class State:
    """What is remembered: policies by name, products by name and by whom the trust in their signers begins with."""

    def __init__(self, policies: dict[str, Seen], products: dict[str, tuple[str, str]]) -> None:
        self.policies = policies
        self.products = products
        self.changed = False

    def check_policy(self, name: str, version: int, sha256: str, *, signed: bool = True) -> None:
        """Raises BrokenError for an older policy, and for another one of the same version.

        Who writes policies without signing them (`signed`) may change one under the same version: the version alone
        says little there.
        """
        seen = self.policies.get(name)
        if seen is None or version > seen.version:
            return
        if version < seen.version:
            raise BrokenError(reasons.ROLLBACK, f"{name}: version {version}, and {seen.version} was in use")
        if signed and sha256 != seen.sha256:
            raise BrokenError(reasons.SAME_VERSION, f"{name}: version {version}")

    def saw_policy(self, name: str, version: int, sha256: str, *, signed: bool = True) -> None:
        """From now on nothing older counts. Raises BrokenError as `check_policy` does."""
        self.check_policy(name, version, sha256, signed=signed)
        if self.policies.get(name) != Seen(version, sha256):
            self.policies[name] = Seen(version, sha256)
            self.changed = True

    def newest(self, release: Release | None, roots: Iterable[str]) -> str:
        """The latest version of a product by the signers with these roots; empty when none was seen."""
        if release is None:
            return ""
        held = [self.products[key] for root in roots if (key := _product(release, root)) in self.products]
        found = [version for scheme, version in held if scheme == release.scheme]
        return max(found, key=lambda version: versions.key(release.scheme, version), default="")

    def newest_of(self, file: FileFacts) -> str:
        """The latest version of a file's product by its signers; empty when none was seen."""
        return self.newest(file.release, {seal.root for seal in file.seals if seal.root})

    def saw_file(self, file: FileFacts) -> None:
        """From now on this version of a product is the least, for whoever signed it."""
        release = file.release
        if release is None:
            return
        for root in dict.fromkeys(seal.root for seal in file.seals if seal.status == "trusted" and seal.root):
            with contextlib.suppress(MalformedError):
                before = self.newest(release, (root,))
                if before and versions.compare(release.scheme, release.version, before) <= 0:
                    continue
                versions.key(release.scheme, release.version)
                self.products[_product(release, root)] = release.scheme, release.version
                self.changed = True


def path() -> str:
    """Where it is kept."""
    return os.path.join(places.data(), "versions")


@contextlib.contextmanager
def opened(*, write: bool) -> Iterator[State]:
    """What is remembered; with `write` nobody else changes it meanwhile, and what changed is kept.

    Raises StateError when it is gone or was tampered with, WriteError when it cannot be written.
    """
    if not write:
        yield _read()
        return
    with _turn():
        state = _read()
        yield state
        if state.changed:
            _write(state)


def reset() -> None:
    """Forget everything. Raises WriteError."""
    with _turn():
        _write(State({}, {}))


@contextlib.contextmanager
def _turn() -> Iterator[None]:
    from chopmark.core.patch import WriteError

    try:
        os.makedirs(places.data(), exist_ok=True)
        descriptor = os.open(f"{path()}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise WriteError(f"{path()}: not written ({os.strerror(error.errno or 0)})") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _read() -> State:
    where = path()
    key = sealing.key(_KEY, make=False)
    if not os.path.lexists(where):
        if key is not None:
            raise StateError(where, "the file is gone, its key is there")
        return State({}, {})
    try:
        data = read_small(where, limits.POLICY_STATE_MAX)
    except InputError as error:
        raise StateError(where, str(error)) from None
    body, mark, sealed = data.rpartition(_SEAL)
    try:
        if key is None or not mark or not sealing.holds(key, body, bytes.fromhex(sealed.decode("ascii"))):
            raise StateError(where, "it is not sealed with this user's key")
        return _parsed(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StateError(where, "it cannot be read") from None


def _parsed(values: dict[str, Any]) -> State:
    if values["version"] != _VERSION:
        raise ValueError("another version of chopmark wrote it")
    policies = {name: Seen(int(version), str(sha256)) for name, (version, sha256) in values["policies"].items()}
    products = {name: (str(scheme), str(version)) for name, (scheme, version) in values["products"].items()}
    return State(policies, products)


def _write(state: State) -> None:
    from chopmark.core.patch import WriteError, write_file

    if len(state.products) > limits.POLICY_PRODUCTS_MAX:
        raise WriteError(f"{path()}: more than {limits.POLICY_PRODUCTS_MAX} products")
    values = {"version": _VERSION, "policies": state.policies, "products": state.products}
    body = json.dumps(values, indent=1, sort_keys=True).encode()
    key = sealing.key(_KEY, make=True)
    if key is None:
        raise WriteError(f"{sealing.path(_KEY)}: it belongs to somebody else, or others can read it")
    write_file(path(), body + _SEAL + sealing.seal(key, body).hex().encode("ascii"), 0o600)


def _product(release: Release, root: str) -> str:
    return f"{root}/{release.product.casefold()}"
