"""Name constraints (RFC 5280 clause 4.2.1.10): which names an authority may give out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der, x509

if TYPE_CHECKING:
    from collections.abc import Iterable

_MAIL = der.context(1, constructed=False)
_DNS = der.context(2, constructed=False)
_DIRECTORY = der.context(4)
_URI = der.context(6, constructed=False)
_ADDRESS = der.context(7, constructed=False)
_MAIL_ATTRIBUTE = "1.2.840.113549.1.9.1"


class TooManyError(ChopmarkError):
    """More names and constraints than are compared."""


class General(NamedTuple):
    """A general name: the identifier octet that says its form, and the node with its value."""

    form: int
    node: der.Node


class Subtrees(NamedTuple):
    """The constraints of one certificate."""

    permitted: tuple[General, ...]
    excluded: tuple[General, ...]


class Budget:
    """How many comparisons may still be made for one path."""

    def __init__(self) -> None:
        self._left = limits.NAME_COMPARISONS_MAX

    def spend(self, count: int) -> None:
        """Raise TooManyError when it is used up."""
        self._left -= count
        if self._left < 0:
            raise TooManyError(f"more than {limits.NAME_COMPARISONS_MAX} comparisons of names")


def subtrees(certificate: x509.Certificate) -> Subtrees | None:
    """The name constraints of a certificate. Raises DerError, also for a minimum or maximum, which nobody may use."""
    extension = certificate.extensions.get(x509.NAME_CONSTRAINTS)
    if extension is None:
        return None
    fields = der.parse(extension.value).fields()
    permitted = fields.optional(der.context(0))
    excluded = fields.optional(der.context(1))
    fields.done()
    if permitted is None and excluded is None:
        raise der.DerError("name constraints that constrain nothing")
    return Subtrees(_bases(permitted), _bases(excluded))


def names_of(certificate: x509.Certificate) -> list[General]:
    """Every name of the subject: its distinguished name, the alternative names, or else its e-mail addresses."""
    found = []
    subject = der.parse(certificate.subject)
    if subject.end > subject.body:
        found.append(General(_DIRECTORY, subject))
    extension = certificate.extensions.get(x509.SUBJECT_ALT_NAME)
    if extension is not None:
        found += map(_general, der.parse(extension.value).expect(der.SEQUENCE).children())
        return found
    for relative in subject.children():
        for pair in relative.children():
            fields = pair.fields()
            if fields.take().oid() == _MAIL_ATTRIBUTE:
                found.append(General(_MAIL, fields.take()))
    return found


def violation(names: Iterable[General], constraints: Subtrees, budget: Budget) -> str:
    """What is wrong with the first name that the constraints do not allow; empty when all are fine. Raises DerError."""
    for name in names:
        permitted = [base for base in constraints.permitted if base.form == name.form]
        excluded = [base for base in constraints.excluded if base.form == name.form]
        if not permitted and not excluded:
            continue
        within = _FORMS.get(name.form)
        if within is None:
            return "a form of name that chopmark does not compare"
        budget.spend(len(permitted) + len(excluded))
        if any(within(name.node, base.node, excluding=True) for base in excluded):
            return f"{_shown(name)} is excluded"
        if permitted and not any(within(name.node, base.node, excluding=False) for base in permitted):
            return f"{_shown(name)} is not permitted"
    return ""


def _bases(block: der.Node | None) -> tuple[General, ...]:
    found = []
    for tree in block.children() if block else ():
        fields = tree.fields()
        base = fields.take()
        fields.done()
        found.append(_general(base))
    return tuple(found)


def _general(node: der.Node) -> General:
    """A directory name is tagged explicitly, all others implicitly."""
    return General(node.tag, node.only_child() if node.tag == _DIRECTORY else node)


def _shown(name: General) -> str:
    if name.form == _DIRECTORY:
        return x509.name_text(name.node.raw)
    if name.form == _ADDRESS:
        return name.node.value.hex()
    return ascii(name.node.value.decode("latin-1"))


def _in_directory(name: der.Node, base: der.Node, *, excluding: bool) -> bool:  # noqa: ARG001 - every form is asked alike
    """Whether the base is the beginning of the name."""
    outer, inner = x509.name_key(base.raw), x509.name_key(name.raw)
    return inner[: len(outer)] == outer


def _in_domain(name: der.Node, base: der.Node, *, excluding: bool) -> bool:
    """Whether labels were added to the left of the base, if any. A wildcard is excluded when any of its names is."""
    host, domain = _text(name), _text(base)
    host, domain = host.removesuffix("."), domain.removesuffix(".")
    if not domain:
        return True
    if excluding and host.startswith("*.") and (domain == host[2:] or _is_direct_child(domain, host[2:])):
        return True
    if domain.startswith("."):  # not in the standard, but in use: below it alone
        return host.endswith(domain)
    return host == domain or host.endswith("." + domain)


def _is_direct_child(domain: str, parent: str) -> bool:
    return domain.endswith("." + parent) and "." not in domain[: -len(parent) - 1]


def _in_mailboxes(name: der.Node, base: der.Node, *, excluding: bool) -> bool:  # noqa: ARG001 - every form is asked alike
    """One mailbox, all at a host, or all below a domain."""
    local, at, host = _octets(name).rpartition("@")
    if not at:
        raise der.DerError("an e-mail address without @")
    wanted_local, at, wanted = _octets(base).rpartition("@")
    if at:
        return local == wanted_local and host.lower() == wanted.lower()
    return _at_host(host.lower(), wanted.lower())


def _in_hosts(name: der.Node, base: der.Node, *, excluding: bool) -> bool:
    """The host part of a URI. One without a host fits no permission and every exclusion."""
    _, separator, rest = _text(name).partition("://")
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    host = authority.rpartition("@")[2]
    host = host.partition(":")[0] if not host.startswith("[") else ""
    if not separator or not host or host.replace(".", "").isdigit():
        return excluding
    return _at_host(host, _text(base))


def _at_host(host: str, base: str) -> bool:
    return host.endswith(base) if base.startswith(".") else not base or host == base


def _in_network(name: der.Node, base: der.Node, *, excluding: bool) -> bool:  # noqa: ARG001 - every form is asked alike
    """An address and mask, of four or sixteen bytes each."""
    address, network = name.value, base.value
    if len(network) not in (8, 32) or len(address) not in (4, 16):
        raise der.DerError("an IP address or network of a wrong length")
    half = len(network) // 2
    if len(address) != half:
        return False
    mask = int.from_bytes(network[half:], "big")
    inverted = mask ^ ((1 << 8 * half) - 1)
    if inverted & (inverted + 1):
        raise der.DerError("an IP network whose mask has holes")
    return (int.from_bytes(address, "big") ^ int.from_bytes(network[:half], "big")) & mask == 0


def _octets(node: der.Node) -> str:
    """The characters of an IA5String, implicitly tagged or as an attribute of a name."""
    try:
        return node.value.decode("ascii")
    except UnicodeDecodeError:
        raise der.DerError("a name that is not ASCII") from None


def _text(node: der.Node) -> str:
    return _octets(node).lower()


class _Within(Protocol):
    """Whether a name lies within a base of the same form; what cannot be compared is within when excluding."""

    def __call__(self, name: der.Node, base: der.Node, *, excluding: bool) -> bool: ...


_FORMS: dict[int, _Within] = {
    _DIRECTORY: _in_directory,
    _DNS: _in_domain,
    _MAIL: _in_mailboxes,
    _URI: _in_hosts,
    _ADDRESS: _in_network,
}
