"""Why chopmark and another engine differ about a chain: by the mutations that `chains.py` makes.

`accepts` means that the other engine trusts what chopmark refuses, `refuses` the opposite. A row is about mutations at
certain places (of a root, of an authority in the middle, of the signer), by their names there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT, MIDDLE, SIGNER = "root", "middle", "signer"
BELOW, EVERYWHERE = (MIDDLE, SIGNER), (ROOT, MIDDLE, SIGNER)


class Difference(NamedTuple):
    """Who differs, how, about which mutations, where, and why that is so."""

    peer: str
    how: str
    mutations: tuple[str, ...]
    places: tuple[str, ...]
    why: str


_ANCHORS = "it takes nothing from a root but its name and key; here what a root's certificate says holds (decision 23)"
_NO_PURPOSE = (
    "it has no purpose for code signing, so extended key usages do not count (OpenSSL 3.2 is the first with one)"
)
_PROFILE = "a rule of the certificate profile that it does not check (decision 50)"
_TLS = "its policy for authorities is that of TLS: another purpose than those of TLS is refused"
_STRICT = "real authorities lack it, so here it may lack (decisions 23 and 50)"
_STORE = "the store vouches for its roots (decision 50)"

DIFFERENCES = (
    # OpenSSL 3.0 with -x509_strict
    Difference("openssl", "accepts", ("SHA-1",), EVERYWHERE, "its security level 1 lets SHA-1 pass"),
    Difference(
        "openssl",
        "accepts",
        ("for any", "for nothing", "for servers", "no purpose", "authority for servers", "signer only enciphers"),
        EVERYWHERE,
        _NO_PURPOSE,
    ),
    Difference("openssl", "accepts", ("signer an authority",), (SIGNER,), "an authority may sign files (decision 23)"),
    Difference(
        "openssl",
        "accepts",
        (
            *(
                "a host with an underscore",
                "an address of three bytes",
                "serial of 21 octets",
                "signer constrains names",
            ),
            *("version 4", "constraints of nothing", "a name of another kind", "names of nothing", "key usage empty"),
        ),
        EVERYWHERE,
        _PROFILE,
    ),
    Difference("openssl", "accepts", ("needs a policy",), (ROOT,), _ANCHORS),
    Difference(
        "openssl", "accepts", ("maps any policy",), EVERYWHERE, "it looks at mappings only when a policy is asked for"
    ),
    Difference(
        "openssl",
        "refuses",
        ("basic constraints not critical", "no basic constraints", "no key usage", "no key identifier"),
        (ROOT, MIDDLE),
        _STRICT,
    ),
    Difference("openssl", "refuses", ("no issuer identifier",), BELOW, _STRICT),
    Difference("openssl", "refuses", ("other algorithm inside",), (ROOT,), _STORE),
    Difference(
        "openssl", "refuses", ("wrong issuer identifier",), (SIGNER,), "key identifiers only say what to try (RFC 4158)"
    ),
    # cryptography's verifier
    Difference(
        "cryptography",
        "accepts",
        (
            *(
                "critical key identifier",
                "critical issuer identifier",
                "key usage empty",
                "names of nothing",
                "no subject",
            ),
            *("signer only enciphers", "signer signs certificates", "signer an authority", "signer constrains names"),
            *("a host with an underscore", "an address of three bytes", "a name of another kind", "own curve"),
        ),
        (SIGNER,),
        "the signer's policy of this test permits everything but the wrong purpose",
    ),
    Difference("cryptography", "accepts", ("serial of 21 octets",), EVERYWHERE, "it allows 21"),
    Difference(
        "cryptography",
        "accepts",
        ("needs a policy", "maps any policy", "policy twice"),
        EVERYWHERE,
        "it has no policies",
    ),
    Difference("cryptography", "refuses", ("authority for code",), (ROOT, MIDDLE), _TLS),
    Difference(
        "cryptography",
        "refuses",
        ("basic constraints not critical", "no basic constraints", "no key usage", "no issuer identifier"),
        EVERYWHERE,
        _STRICT,
    ),
    Difference("cryptography", "refuses", ("other algorithm inside",), (ROOT,), _STORE),
    Difference(
        "cryptography", "refuses", ("permits us", "excludes others"), (ROOT, MIDDLE), "no constraints on directories"
    ),
    Difference(
        "cryptography", "refuses", ("serial negative",), EVERYWHERE, "RFC 5280 clause 4.1.2.2 asks for patience"
    ),
    # pyhanko-certvalidator
    Difference(
        "pyhanko",
        "accepts",
        (
            *("expired", "early", "excludes us", "excludes the host", "permits others", "permits another host"),
            *(
                "permits addresses",
                "length 0",
                "length 1",
                "needs a policy",
                "maps any policy",
                "no authority",
                "only lists",
            ),
            *("unknown critical", "key usage empty", "authority for servers", "length -1"),
        ),
        (ROOT,),
        _ANCHORS,
    ),
    Difference(
        "pyhanko",
        "accepts",
        ("authority for servers",),
        (MIDDLE,),
        "an authority's extended key usage limits nothing for it",
    ),
    Difference(
        "pyhanko",
        "accepts",
        (
            *(
                "a host with an underscore",
                "an address of three bytes",
                "serial of 21 octets",
                "signer constrains names",
            ),
            *("signer signs certificates", "constraints of nothing", "critical issuer identifier", "length -1"),
            *("critical key identifier", "names of nothing", "no subject", "version 4", "version 1 with extensions"),
            *("a name of another kind", "policy twice"),
        ),
        EVERYWHERE,
        _PROFILE,
    ),
    Difference("pyhanko", "accepts", ("signer an authority",), (SIGNER,), "an authority may sign files (decision 23)"),
    Difference("pyhanko", "accepts", ("extension twice",), EVERYWHERE, "it takes one of the two"),
    Difference("pyhanko", "accepts", ("other algorithm inside",), BELOW, "it does not compare the two identifiers"),
    Difference("pyhanko", "accepts", ("own curve",), (SIGNER,), "it does not look at a key that signs no certificate"),
    Difference(
        "pyhanko", "refuses", ("no key usage",), (SIGNER,), "asked for digitalSignature, it wants the extension"
    ),
    Difference(
        "pyhanko", "refuses", ("wrong issuer identifier",), (SIGNER,), "key identifiers only say what to try (RFC 4158)"
    ),
)


def explained(peer: str, how: str, mutations: Iterable[str]) -> str:
    """Why a peer differs in this way about a chain with these mutations ("what (where)"); empty if nobody knows."""
    for mutation in mutations:
        label, _, place = mutation.rstrip(")").rpartition(" (")
        for each in DIFFERENCES:
            if each.peer == peer and each.how == how and label in each.mutations and place in each.places:
                return each.why
    return ""
