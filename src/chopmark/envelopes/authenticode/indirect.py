"""SpcIndirectDataContent: the digest of a file, and what kind of file, as an Authenticode signature carries them."""

from __future__ import annotations

from functools import lru_cache

from chopmark.core.digest import ALGORITHMS
from chopmark.core.errors import UsageError
from chopmark.core.named import NamedTuple
from chopmark.envelopes import algorithms, der
from chopmark.envelopes.authenticode import oids

_LINK_URL = der.context(0, constructed=False)
_LINK_MONIKER = der.context(1)
_LINK_FILE = der.context(2)
_STRING_UNICODE = der.context(0, constructed=False)
_STRING_ASCII = der.context(1, constructed=False)
_GUID_SIZE = 16
_OBSOLETE = "<<<Obsolete>>>"


class PageHashes(NamedTuple):
    """Digests of an image's pages: the algorithm, and the table as it stands in the signature (u32 offset, digest)*."""

    algorithm: str
    table: bytes


class IndirectData(NamedTuple):
    """What the signature says about the file.

    `data_type` is the dotted identifier of the kind of file; `sip` is the GUID of the handler for scripts and the like.
    """

    data_type: str
    digest_algorithm: str
    digest: bytes
    page_hashes: PageHashes | None = None
    sip: str = ""


def enclosed(raw: bytes) -> bytes:
    """The DER of the SpcIndirectDataContent in a ContentInfo, without a look at anything else in it. Raises DerError.

    `read` says what it means.
    """
    signed = der.parse(raw).fields()
    signed.take()
    fields = signed.take(der.context(0)).only_child().fields()
    fields.take(der.INTEGER)
    fields.take(der.SET)
    content = fields.take().fields()
    content.take()
    inside = content.take(der.context(0)).only_child()
    return inside.octets() if inside.tag == der.OCTET_STRING else inside.raw


def read(content: bytes) -> IndirectData:
    """Read the DER of an SpcIndirectDataContent. Raises DerError, UnsupportedError for an unknown digest algorithm."""
    fields = der.parse(content).fields()
    data = fields.take().fields()
    info = fields.take().fields()
    fields.done()
    algorithm = algorithms.digest_name(info.take())
    digest = info.take().octets()
    info.done()
    if len(digest) != ALGORITHMS[algorithm].size:
        raise der.DerError(f"a {algorithm} digest of {len(digest)} bytes")
    data_type = data.take().oid()
    values = data.rest()
    if len(values) > 1:
        raise der.DerError("SpcAttributeTypeAndOptionalValue has more than one value")
    page_hashes, sip = None, ""
    if data_type == oids.SPC_PE_IMAGE_DATA and values:
        page_hashes = _image_data(values[0])
    elif data_type == oids.SPC_SIPINFO:
        if not values:
            raise der.DerError("SpcSipInfo is missing")
        sip = _sip_info(values[0])
    return IndirectData(data_type, algorithm, digest, page_hashes, sip)


def _image_data(node: der.Node) -> PageHashes | None:
    """SpcPeImageData: the flags say nothing any more, the link leads to nothing but page hashes."""
    fields = node.fields()
    if flags := fields.optional(der.BIT_STRING):
        flags.bits()
    file = fields.optional(der.context(0))
    fields.done()
    link = file.only_child() if file else None
    if link is None or link.tag != _LINK_MONIKER:
        return None
    moniker = link.fields(_LINK_MONIKER)
    kind = moniker.take().octets()
    serialized = moniker.take()
    moniker.done()
    return _page_hashes(serialized.inside()) if kind == oids.PAGE_HASHES_CLASS else None


def _page_hashes(node: der.Node) -> PageHashes:
    """A SET of one attribute, whose value is a SET of one OCTET STRING."""
    attribute = node.expect(der.SET).only_child().fields()
    algorithm = oids.PAGE_HASHES.get(attribute.take().oid())
    table = attribute.take(der.SET).only_child().octets()
    attribute.done()
    if algorithm is None:
        raise der.DerError("page hashes of an unknown kind")
    if not table or len(table) % (4 + ALGORITHMS[algorithm].size):
        raise der.DerError(f"a table of {len(table)} bytes for {algorithm} page hashes")
    return PageHashes(algorithm, table)


def _sip_info(node: der.Node) -> str:
    """SpcSipInfo: a version, the handler's GUID, five reserved numbers."""
    fields = node.fields()
    fields.take().integer()
    raw = fields.take().octets()
    for _ in range(5):
        fields.take().integer()
    fields.done()
    if len(raw) != _GUID_SIZE:
        raise der.DerError(f"a GUID of {len(raw)} bytes")
    return oids.guid_text(raw)


def opus_info(node: der.Node) -> tuple[str, str]:
    """SpcSpOpusInfo: the program's name and a link to more, either may be empty. Raises DerError."""
    fields = node.fields()
    name = fields.optional(der.context(0))
    more = fields.optional(der.context(1))
    fields.optional(der.context(2))
    fields.done()
    return _string(name.only_child()) if name else "", _link(more.only_child()) if more else ""


def _string(node: der.Node) -> str:
    if node.tag == _STRING_UNICODE:
        return _decoded(node.value, "utf-16-be")
    return _decoded(node.expect(_STRING_ASCII).value, "ascii")


def _link(node: der.Node) -> str:
    if node.tag == _LINK_URL:
        return _decoded(node.value, "ascii")
    return _string(node.expect(_LINK_FILE).only_child())


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        raise der.DerError(f"text that is not {encoding}") from None


# Writing


@lru_cache(maxsize=1)  # mostly the same for many files
def image_data(page_hashes: PageHashes | None) -> bytes:
    """SpcPeImageData: with page hashes, or with the text that stands in for the file since they were invented."""
    if page_hashes is None:
        link = der.explicit(2, der.implicit(0, _OBSOLETE.encode("utf-16-be")))
    else:
        oid = next(oid for oid, algorithm in oids.PAGE_HASHES.items() if algorithm == page_hashes.algorithm)
        attribute = der.sequence(der.oid(oid), der.set_of([der.octet_string(page_hashes.table)]))
        serialized = der.octet_string(der.set_of([attribute]))
        link = der.explicit(1, der.octet_string(oids.PAGE_HASHES_CLASS), serialized)
    return der.sequence(der.bit_string(b""), der.explicit(0, link))


def sip_info(guid: str, version: int) -> bytes:
    """SpcSipInfo for a handler; raises ValueError when `guid` is none."""
    return der.sequence(der.integer(version), der.octet_string(oids.guid(guid)), *(der.integer(0) for _ in range(5)))


def write(data_type: str, value: bytes, algorithm: str, digest: bytes) -> bytes:
    """The DER of an SpcIndirectDataContent; `value` is that of the attribute for `data_type`."""
    return der.sequence(
        der.sequence(der.oid(data_type), value),
        der.sequence(algorithms.digest_identifier(algorithm), der.octet_string(digest)),
    )


@lru_cache(maxsize=8)
def opus_info_der(name: str, url: str) -> bytes:
    """SpcSpOpusInfo, its parts left out when empty. Raises UsageError for a link that is not ASCII."""
    parts = []
    if name:
        parts.append(der.explicit(0, der.implicit(0, name.encode("utf-16-be", "replace"))))
    if url:
        if not url.isascii():
            raise UsageError(f"not an ASCII link: {url!r} (encode it as a URL)")
        parts.append(der.explicit(1, der.implicit(0, url.encode())))
    return der.sequence(*parts)
