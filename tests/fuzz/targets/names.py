"""Names and constraints on them: read, prepared, compared and shown, whatever they hold."""

from collections.abc import Iterable

from chopmark.core.errors import ChopmarkError
from chopmark.envelopes import der, x509
from chopmark.trust.paths import names, profile
from tests.support import der_trees, pki, probing
from tests.unit.trust.material import Extension, ca_extensions, make, name

KEY = pki.key("ed25519", "fuzz")


def seeds() -> Iterable[bytes]:
    trees = der.sequence(
        der.explicit(0, der.sequence(der.implicit(2, b"example.com")), der.sequence(der.implicit(1, b".example.com"))),
        der.explicit(
            1, der.sequence(der.explicit(4, name("x"))), der.sequence(der.implicit(7, b"\x0a\0\0\0\xff\0\0\0"))
        ),
    )
    other = der.explicit(0, der.oid("1.3.6.1.5.5.7.8.9"), der.explicit(0, der.utf8("\xfc@example.com")))
    several = der.sequence(
        *(
            der.implicit(1, b"me@example.com"),
            der.implicit(2, b"*.example.com"),
            der.implicit(6, b"http://a.example.com/"),
        ),
        *(der.implicit(7, b"\x0a\0\0\1"), der.implicit(8, b"\x2a\x03"), der.explicit(4, name("y")), other),
    )
    yield name("Somebody") + several + trees
    yield name("Stra\xdfe \u212b", kind=der.BMP_STRING) + several + der.sequence(der.explicit(1, trees))


mutate = der_trees.mutate


def run(data: bytes) -> None:
    """A subject, its alternative names, and constraints, one behind the other."""
    values = probing.values(data, 3)
    subject, alternative, trees = (*values, *([b"\x30\x00"] * 3))[:3]
    extensions = [
        Extension(x509.SUBJECT_ALT_NAME, alternative),
        Extension(x509.NAME_CONSTRAINTS, trees),
        *ca_extensions(),
    ]
    try:
        certificate = make(subject, KEY, extensions=extensions).view
    except ChopmarkError:
        return
    for look in (x509.name_key, x509.name_text, x509.name_parts):
        try:
            assert look(certificate.subject) == look(bytes(certificate.subject))
        except ChopmarkError:
            continue
    try:
        profile.check(certificate, is_leaf=True, is_anchor=False)
        constraints = names.subtrees(certificate)
        assert constraints is not None
        found = names.names_of(certificate)
        problem = names.violation(found, constraints, names.Budget())
    except ChopmarkError:
        return
    for each in found:
        # What has a constraint of its own form and is written badly must never pass.
        if each.form in constraints.permitted and names.fault(each):
            assert problem
