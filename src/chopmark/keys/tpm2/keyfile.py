"""TSS2 PRIVATE KEY files, which tpm2-openssl, tpm2-tools and others write too (draft-bottomley-tpm2-keys)."""

from __future__ import annotations

from chopmark.core.errors import MalformedError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import der, pem
from chopmark.keys.tpm2.commands import HIERARCHIES, PERSISTENT_FIRST, PERSISTENT_LAST, Created
from chopmark.keys.tpm2.wire import Reader, sized

LABEL = "TSS2 PRIVATE KEY"
_TRUE = der.boolean(True)  # noqa: FBT003 - it is the value, not a switch
_LOADABLE = "2.23.133.10.1.3"
_EMPTY_AUTH, _POLICY, _SECRET, _AUTH_POLICY, _DESCRIPTION, _RSA_PARENT = range(6)


class KeyFile(NamedTuple):
    """A TPMKey: the key, the handle of its parent (a hierarchy or a persistent key), whether it needs an auth value.

    `rsa_parent` says that the primary key of the hierarchy is an RSA one.
    """

    key: Created
    parent: int
    empty_auth: bool
    rsa_parent: bool = False

    def encoded(self) -> bytes:
        """Its PEM."""
        parts = [der.oid(_LOADABLE)]
        for number, value in ((_EMPTY_AUTH, self.empty_auth), (_RSA_PARENT, self.rsa_parent)):
            if value:
                parts.append(der.explicit(number, _TRUE))
        parts += [der.integer(self.parent), *(der.octet_string(sized(part)) for part in reversed(self.key))]
        return pem.encode(LABEL, der.sequence(*parts))


def read(raw: bytes) -> KeyFile:
    """Read a TPMKey in DER. Raises MalformedError, also for keys that need a policy or are still to be imported."""
    fields = der.parse(raw).fields()
    if (kind := fields.take().oid()) != _LOADABLE:
        message = f"a TPM object of another kind than a loadable key ({kind})"
        raise MalformedError(message)
    tagged = {number: fields.optional(der.context(number)) for number in range(_RSA_PARENT + 1)}
    for number, what in ((_POLICY, "a policy"), (_SECRET, "a secret to import"), (_AUTH_POLICY, "an auth policy")):
        if tagged[number] is not None:
            message = f"a TPM key with {what}, which chopmark does not evaluate"
            raise MalformedError(message)
    empty, rsa_parent = (_true(tagged[number]) for number in (_EMPTY_AUTH, _RSA_PARENT))
    parent = fields.take(der.INTEGER).integer()
    public, private = (_inner(fields.take(der.OCTET_STRING).octets()) for _ in range(2))
    fields.done()
    if parent not in HIERARCHIES and not PERSISTENT_FIRST <= parent <= PERSISTENT_LAST:
        message = f"a TPM key below {parent:#x}, which is neither a hierarchy nor a persistent key"
        raise MalformedError(message)
    return KeyFile(Created(private, public), parent, empty, rsa_parent)


def _true(node: der.Node | None) -> bool:
    """A BOOLEAN that is there and not zero: tpm2-openssl writes 01 for true, where DER has FF."""
    return node is not None and node.only_child().expect(der.BOOLEAN).value not in (b"", b"\0")


def _inner(raw: bytes) -> bytes:
    """What is in a TPM2B that fills an OCTET STRING."""
    reader = Reader(raw)
    inner = reader.sized()
    reader.done()
    return inner
