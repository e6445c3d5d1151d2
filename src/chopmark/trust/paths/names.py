"""Name constraints (RFC 5280 clause 4.2.1.10): which names an authority may give out, and what names must look like."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from chopmark.core import limits
from chopmark.core.errors import ChopmarkError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, dn, x509

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_OTHER = der.context(0)
_MAIL = der.context(1, constructed=False)
_DNS = der.context(2, constructed=False)
_X400 = der.context(3)
_DIRECTORY = der.context(4)
_EDI_PARTY = der.context(5)
_URI = der.context(6, constructed=False)
_ADDRESS = der.context(7, constructed=False)
_REGISTERED = der.context(8, constructed=False)
_FORMS = frozenset({_OTHER, _MAIL, _DNS, _X400, _DIRECTORY, _EDI_PARTY, _URI, _ADDRESS, _REGISTERED})
_MAIL_ATTRIBUTE = "1.2.840.113549.1.9.1"
_UTF8_MAILBOX = der.oid("1.3.6.1.5.5.7.8.9")
"""SmtpUTF8Mailbox, an e-mail address among the other names (RFC 9598)."""

_HOST_MAX = 253
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL})*\.?"
"""The preferred name syntax of RFC 1034 clause 3.5, with RFC 1123 clause 2.1. (Compiled when there is a name.)"""
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = rf"{_ATOM}(?:\.{_ATOM})*|\"(?:[ !#-\[\]-~]|\\[ -~])*\""
"""The local part of a mailbox (RFC 5321 clause 4.1.2)."""
_ABSOLUTE = r"[A-Za-z][A-Za-z0-9+.-]*:[\w.~:/?#\[\]@!$&'()*+,;=%-]+"
"""A URI with its scheme (RFC 3986 clause 3)."""


class TooManyError(ChopmarkError):
    """More names and constraints than are compared."""


class General(NamedTuple):
    """A general name: the identifier octet that says its form, and the node with its value."""

    form: int
    node: der.Node


class Subtrees(NamedTuple):
    """The constraints of one certificate: the bases by their form."""

    permitted: Mapping[int, tuple[der.Node, ...]]
    excluded: Mapping[int, tuple[der.Node, ...]]


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
    return read_subtrees(extension.value) if extension is not None else None


def read_subtrees(value: bytes) -> Subtrees:
    """NameConstraints in DER. Raises DerError."""
    fields = der.parse(value).fields()
    permitted = fields.optional(der.context(0))
    excluded = fields.optional(der.context(1))
    fields.done()
    if permitted is None and excluded is None:
        raise der.DerError("name constraints that constrain nothing")
    return Subtrees(_bases(permitted), _bases(excluded))


def names_of(certificate: x509.Certificate) -> list[General]:
    """Every name of the subject: its distinguished name, the alternative names, or else its e-mail addresses.

    Raises DerError.
    """
    found = []
    subject = der.parse(certificate.subject)
    if subject.end > subject.body:
        found.append(General(_DIRECTORY, subject))
    extension = certificate.extensions.get(x509.SUBJECT_ALT_NAME)
    if extension is not None:
        return found + alternative_names(extension)
    for relative in subject.children():
        for pair in relative.children():
            fields = pair.fields()
            if fields.take().oid() == _MAIL_ATTRIBUTE:
                found.append(General(_MAIL, fields.take()))
    return found


def alternative_names(extension: x509.Extension) -> list[General]:
    """The names in a subject's alternative names. Raises DerError."""
    return [general(node) for node in der.parse(extension.value).expect(der.SEQUENCE).children()]


def general(node: der.Node) -> General:
    """A general name; one of a directory is tagged explicitly, all others implicitly. Raises DerError."""
    if node.tag not in _FORMS:
        raise der.DerError(f"a name of an unknown form (tag {node.tag:#04x})")
    return General(node.tag, node.only_child() if node.tag == _DIRECTORY else node)


def fault(name: General) -> str:
    """What is wrong with how a name is written (clause 4.2.1.6); empty for nothing. Raises DerError."""
    check = _SYNTAX.get(name.form)
    if check is not None and not check(name.node):
        return f"{_shown(name)} is not written as such a name has to be"
    return ""


def violation(names: Iterable[General], constraints: Subtrees, budget: Budget) -> str:
    """What is wrong with the first name that the constraints do not allow; empty when all are fine.

    A name that cannot be compared is not allowed. Raises DerError, TooManyError.
    """
    for name in names:
        permitted = constraints.permitted.get(name.form, ())
        excluded = constraints.excluded.get(name.form, ())
        if name.form == _OTHER and _constrains(constraints, _MAIL) and _UTF8_MAILBOX in name.node.value:
            return "an internationalised e-mail address, which chopmark does not compare"
        if not permitted and not excluded:
            continue
        within = _COMPARED.get(name.form)
        if within is None:
            return "a form of name that chopmark does not compare"
        if problem := fault(name):
            return problem
        budget.spend(len(permitted) + len(excluded))
        if any(within(name.node, base, excluding=True) for base in excluded):
            return f"{_shown(name)} is excluded"
        if permitted and not any(within(name.node, base, excluding=False) for base in permitted):
            return f"{_shown(name)} is not permitted"
    return ""


def _constrains(constraints: Subtrees, form: int) -> bool:
    return form in constraints.permitted or form in constraints.excluded


def _bases(block: der.Node | None) -> dict[int, tuple[der.Node, ...]]:
    found: dict[int, list[der.Node]] = {}
    if block is None:
        return {}
    trees = block.children()
    if not trees:
        raise der.DerError("a list of subtrees that is empty")
    for tree in trees:
        fields = tree.fields()
        base = general(fields.take())
        fields.done()
        check = _BASES.get(base.form)
        if check is not None and not check(base.node):
            raise der.DerError(f"{_shown(base)} is no subtree of names")
        found.setdefault(base.form, []).append(base.node)
    return {form: tuple(nodes) for form, nodes in found.items()}


def _shown(name: General) -> str:
    if name.form == _DIRECTORY:
        return x509.name_text(name.node.raw)
    if name.form == _ADDRESS:
        return name.node.value.hex()
    return ascii(name.node.value.decode("latin-1"))


# How names are written


def _is_host(text: str) -> bool:
    return len(text) <= _HOST_MAX and re.fullmatch(_HOST, text, re.ASCII) is not None


def _dns_name(node: der.Node) -> bool:
    """A host, or a wildcard for the whole of the first label."""
    return _is_host(_octets(node).removeprefix("*."))


def _mailbox(node: der.Node) -> bool:
    local, at, host = _octets(node).rpartition("@")
    literal = host.startswith("[") and host.endswith("]")
    return bool(at) and re.fullmatch(_LOCAL, local, re.ASCII) is not None and (literal or _is_host(host))


def _uri(node: der.Node) -> bool:
    return re.fullmatch(_ABSOLUTE, _octets(node), re.ASCII) is not None


def _address(node: der.Node) -> bool:
    return node.end - node.body in (4, 16)


def _distinguished(node: der.Node) -> bool:
    return x509.name_key(node.raw) is not None


def _identifier(node: der.Node) -> bool:
    return bool(der.parse(node.retagged(der.OBJECT_IDENTIFIER)).oid())


def _typed(node: der.Node) -> bool:
    """The type of another name, and its value."""
    fields = node.fields(_OTHER)
    typed = fields.take().oid() and fields.take(der.context(0)).only_child()
    fields.done()
    return bool(typed)


_SYNTAX: dict[int, Callable[[der.Node], bool]] = {
    _OTHER: _typed,
    _MAIL: _mailbox,
    _DNS: _dns_name,
    _DIRECTORY: _distinguished,
    _URI: _uri,
    _ADDRESS: _address,
    _REGISTERED: _identifier,
}


def _domain_base(node: der.Node) -> bool:
    """A host with all below it; with a dot in front (not in the standard, but in use) what is below it alone."""
    text = _octets(node)
    return not text or _is_host(text.removeprefix("."))


def _mail_base(node: der.Node) -> bool:
    return _mailbox(node) if b"@" in node.value else _domain_base(node)


def _network_base(node: der.Node) -> bool:
    """An address and a mask whose ones stand in front, of four or sixteen bytes each."""
    octets = node.value
    if len(octets) not in (8, 32):
        return False
    inverted = int.from_bytes(octets[len(octets) // 2 :], "big") ^ ((1 << 4 * len(octets)) - 1)
    return not inverted & (inverted + 1)


_BASES: dict[int, Callable[[der.Node], bool]] = {
    _OTHER: _typed,
    _REGISTERED: _identifier,
    _MAIL: _mail_base,
    _DNS: _domain_base,
    _DIRECTORY: _distinguished,
    _URI: _domain_base,
    _ADDRESS: _network_base,
}


# Whether one lies within the other


def _in_directory(name: der.Node, base: der.Node, *, excluding: bool) -> bool:
    """Whether the base is the beginning of the name; what is undefined is within when excluding."""
    outer, inner = x509.name_key(base.raw), x509.name_key(name.raw)
    if inner[: len(outer)] == outer:
        return True
    return excluding and len(inner) >= len(outer) and all(map(_may_equal, outer, inner))


def _may_equal(one: tuple[tuple[str, str], ...], other: tuple[tuple[str, str], ...]) -> bool:
    """Whether two relative names are the same as far as they can be compared."""
    return len(one) == len(other) and all(
        kind == same and (mine == others or dn.is_opaque(mine) or dn.is_opaque(others))
        for (kind, mine), (same, others) in zip(one, other, strict=True)
    )


def _in_domain(name: der.Node, base: der.Node, *, excluding: bool) -> bool:
    """Whether labels were added to the left of the base, if any. A wildcard is excluded when any of its names is."""
    host, domain = _text(name).removesuffix("."), _text(base).removesuffix(".")
    if not domain:
        return True
    if excluding and host.startswith("*.") and (domain == host[2:] or _is_direct_child(domain, host[2:])):
        return True
    if domain.startswith("."):
        return host.endswith(domain)
    return host == domain or host.endswith("." + domain)


def _is_direct_child(domain: str, parent: str) -> bool:
    return domain.endswith("." + parent) and "." not in domain[: -len(parent) - 1]


def _in_mailboxes(name: der.Node, base: der.Node, *, excluding: bool) -> bool:  # noqa: ARG001 - every form is asked alike
    """One mailbox, all at a host, or all below a domain."""
    local, _, host = _octets(name).rpartition("@")
    wanted_local, at, wanted = _octets(base).rpartition("@")
    if at:
        return local == wanted_local and host.lower() == wanted.lower()
    return _at_host(host.lower(), wanted.lower())


def _in_hosts(name: der.Node, base: der.Node, *, excluding: bool) -> bool:
    """The host part of a URI. One without a host name fits no permission and every exclusion."""
    _, separator, rest = _text(name).partition("://")
    authority = rest.partition("/")[0].partition("?")[0].partition("#")[0]
    host = authority.rpartition("@")[2].partition(":")[0]
    if not separator or not _is_host(host) or host.replace(".", "").isdigit():
        return excluding
    return _at_host(host.removesuffix("."), _text(base).removesuffix("."))


def _at_host(host: str, base: str) -> bool:
    return host.endswith(base) if base.startswith(".") else not base or host == base


def _in_network(name: der.Node, base: der.Node, *, excluding: bool) -> bool:  # noqa: ARG001 - every form is asked alike
    """An address in a network of the same version."""
    address, network = name.value, base.value
    half = len(network) // 2
    if len(address) != half:
        return False
    mask = int.from_bytes(network[half:], "big")
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


_COMPARED: dict[int, _Within] = {
    _DIRECTORY: _in_directory,
    _DNS: _in_domain,
    _MAIL: _in_mailboxes,
    _URI: _in_hosts,
    _ADDRESS: _in_network,
}
