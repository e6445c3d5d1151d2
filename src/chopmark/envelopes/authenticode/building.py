"""Making Authenticode signatures: what is to be signed, and one signature nested in another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.contracts import Content
from chopmark.core.errors import RefusedError
from chopmark.envelopes import cms, der
from chopmark.envelopes.authenticode import indirect, oids
from chopmark.envelopes.authenticode.reading import read

if TYPE_CHECKING:
    from chopmark.core.contracts import SealOptions

_STATEMENT = der.sequence(der.oid(oids.INDIVIDUAL_CODE_SIGNING))
SCRIPT_SIP_VERSION = 0x10000
"""What Windows writes into SpcSipInfo for scripts."""


def pe_content(
    algorithm: str, digest: bytes, *, page_hashes: tuple[str, bytes] | None = None, options: SealOptions
) -> Content:
    """What is signed for a PE image: its digest, and the digests of its pages as (algorithm, table) if there are some.

    Raises UsageError for a link in `options` that is none.
    """
    value = indirect.image_data(indirect.PageHashes(*page_hashes) if page_hashes else None)
    return _content(oids.SPC_PE_IMAGE_DATA, value, algorithm, digest, options)


def sip_content(
    guid: str, algorithm: str, digest: bytes, options: SealOptions, *, version: int = SCRIPT_SIP_VERSION
) -> Content:
    """What is signed for a file that the handler `guid` knows how to digest (such as PowerShell's).

    Raises UsageError for a link in `options` that is none.
    """
    return _content(oids.SPC_SIPINFO, indirect.sip_info(guid, version), algorithm, digest, options)


def _content(data_type: str, value: bytes, algorithm: str, digest: bytes, options: SealOptions) -> Content:
    return Content(
        oids.SPC_INDIRECT_DATA,
        algorithm,
        digest,
        indirect.write(data_type, value, algorithm, digest),
        (
            (oids.SPC_SP_OPUS_INFO, indirect.opus_info_der(options.description, options.url)),
            (oids.SPC_STATEMENT_TYPE, _STATEMENT),
        ),
    )


def nest(outer: bytes, inner: bytes) -> bytes:
    """Put one signature into another, as a value of the outer one's unsigned attribute; nothing signed changes.

    Raises MalformedError when either cannot be read, RefusedError when there would be too many.
    """
    if len(read(outer)) + len(read(inner)) > limits.NESTED_MAX + 1:
        raise RefusedError(f"there are {limits.NESTED_MAX} nested signatures already")
    return cms.add_unsigned(outer, oids.NESTED_SIGNATURE, inner)
