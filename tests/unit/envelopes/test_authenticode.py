"""Authenticode: what is read out of signatures, what is refused in them, what is nested in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from asn1crypto import cms as oracle
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import digest as digests
from chopmark.core import limits
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.errors import ChopmarkError, MalformedError, RefusedError, UsageError
from chopmark.core.finding import Outcome
from chopmark.envelopes import authenticode, cms, der
from chopmark.envelopes.authenticode import indirect, oids, reasons
from chopmark.envelopes.cms import reasons as of_cms
from tests.support import probing

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST = digests.of(b"an image", "sha256")
PLAIN = SealOptions()
POWERSHELL = "603bcc1f-4b59-4e08-b724-d2c6297ef351"
PAGES = bytes(4) + digests.of(b"page", "sha256") + b"\0\x10\0\0" + bytes(32)


def image_content(options: SealOptions = PLAIN, page_hashes: tuple[str, bytes] | None = None) -> Content:
    return authenticode.pe_content("sha256", DIGEST, page_hashes=page_hashes, options=options)


def signature(content: Content | None = None) -> bytes:
    return probing.envelope(content or image_content())


def with_body(body: bytes) -> bytes:
    return signature(image_content()._replace(body=body))


def with_attribute(oid: str, value: bytes) -> bytes:
    content = image_content()
    kept = tuple(pair for pair in content.attributes if pair[0] != oid)
    return signature(content._replace(attributes=(*kept, (oid, value))))


def outer(raw: bytes) -> authenticode.AuthenticodeEnvelope:
    return authenticode.read(raw)[0]


def against(raw: bytes) -> set[str]:
    """What speaks against the outer signature."""
    findings = outer(raw).check([]).findings
    return {finding.code for finding in findings if finding.outcome in (Outcome.NO, Outcome.UNKNOWN)}


def codes(raw: bytes) -> set[str]:
    return {finding.code for finding in outer(raw).check([]).findings}


def test_an_image_signature_says_what_went_in() -> None:
    raw = signature(image_content(SealOptions(description="Prüfer", url="https://example.org/"), ("sha256", PAGES)))
    envelope = outer(raw)
    assert (envelope.scheme, envelope.raw, envelope.where, envelope.depth) == ("authenticode", raw, "signature 1", 0)
    assert (envelope.data_type, envelope.digest_algorithm, envelope.digest) == (
        oids.SPC_PE_IMAGE_DATA,
        "sha256",
        DIGEST,
    )
    assert envelope.page_hashes == ("sha256", PAGES)
    assert (envelope.description, envelope.url, envelope.sip) == ("Prüfer", "https://example.org/", "")
    assert against(raw) == set()
    assert reasons.SOUND.code in codes(raw)
    proof = envelope.check([])
    assert proof.intact
    assert proof.digest_algorithm == "sha256"


def test_the_bytes_of_the_content_are_those_of_other_signers() -> None:
    """SpcPeImageData with its obsolete text, as osslsigncode and signtool before Windows 8 write it."""
    body = image_content().body
    assert body is not None
    obsolete = "<<<Obsolete>>>".encode("utf-16-be").hex()
    assert body.hex().startswith("30683033060a2b06010401823702010f3025030100a020a21e801c" + obsolete)
    assert body.hex().endswith("3031300d060960864801650304020105000420" + DIGEST.hex())


def test_asn1crypto_reads_the_same() -> None:
    """Read lazily, as here, it agrees, on all of Microsoft's real files as well.

    It was said to fail on some of those: its `.native` does, wherever SpcSpOpusInfo names the program, because it has
    no definition for that attribute and cannot turn a bare [0] into a Python value.
    """
    signed = oracle.ContentInfo.load(signature(image_content(SealOptions(description="name"))))["content"]
    assert signed["encap_content_info"]["content_type"].dotted == oids.SPC_INDIRECT_DATA
    assert signed["version"].native == "v1"
    [signer] = signed["signer_infos"]
    types = {attribute["type"].dotted for attribute in signer["signed_attrs"]}
    assert {oids.SPC_SP_OPUS_INFO, oids.SPC_STATEMENT_TYPE, "1.2.840.113549.1.9.4"} <= types


def test_a_script_signature_names_its_handler() -> None:
    envelope = outer(signature(authenticode.sip_content(POWERSHELL, "sha256", DIGEST, PLAIN)))
    assert (envelope.data_type, envelope.sip, envelope.page_hashes) == (oids.SPC_SIPINFO, POWERSHELL, None)
    assert envelope.check([]).intact


def test_guids() -> None:
    raw = bytes.fromhex("1fcc3b60594b084eb724d2c6297ef351")
    assert oids.guid(POWERSHELL) == oids.guid("{" + POWERSHELL.upper() + "}") == raw
    assert oids.guid_text(raw) == POWERSHELL
    for wrong in ("", "603bcc1f", POWERSHELL[:-1], POWERSHELL.replace("-", ""), "z" + POWERSHELL[1:]):
        with pytest.raises(ValueError, match=r".*"):
            oids.guid(wrong)


def test_dotnet_wraps_the_content_and_is_understood() -> None:
    body = image_content().body
    assert body is not None
    raw = with_body(der.octet_string(body))
    assert outer(raw).digest == DIGEST
    assert against(raw) == set()
    assert reasons.WRAPPED.code in codes(raw)


def test_the_file_and_the_signature_must_rest_on_the_same_digest() -> None:
    other = digests.of(b"an image", "sha384")
    inner = authenticode.pe_content("sha384", other, page_hashes=None, options=PLAIN)
    raw = signature(inner._replace(digest_algorithm="sha256"))
    assert against(raw) == {reasons.DIGESTS_DIFFER.code}
    weak = authenticode.pe_content("sha1", digests.of(b"an image", "sha1"), page_hashes=None, options=PLAIN)
    proof = outer(signature(weak._replace(digest_algorithm="sha256"))).check([])
    assert proof.digest_algorithm == "sha1"
    assert not proof.intact


def spliced(raw: bytes, signers: list[bytes]) -> bytes:
    """A SignedData with other SignerInfos."""
    signed = cms.read(raw)
    fields = der.parse(raw).children()[1].only_child().children()
    parts = [node.raw for node in fields[:-1]]
    assert fields[-1].tag == der.SET
    assert signed.signers
    return der.sequence(
        der.oid("1.2.840.113549.1.7.2"), der.explicit(0, der.sequence(*parts, der.encode(der.SET, *signers)))
    )


def test_exactly_one_signer() -> None:
    raw = signature()
    own = cms.read(raw).signers[0].node.raw
    assert spliced(raw, [own]) == raw
    assert against(spliced(raw, [own, own])) == {reasons.SIGNERS.code}
    with pytest.raises(MalformedError):
        authenticode.read(spliced(raw, []))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"\x30\x00", id="empty"),
        pytest.param(b"\x05\x00", id="no sequence"),
        pytest.param(der.sequence(der.sequence(der.oid("1.2.3"))), id="no digest"),
        pytest.param(
            indirect.write(oids.SPC_PE_IMAGE_DATA, indirect.image_data(None), "sha256", DIGEST[:-1]), id="short digest"
        ),
        pytest.param(
            indirect.write(oids.SPC_PE_IMAGE_DATA, indirect.image_data(None), "sha256", DIGEST + b"\0"),
            id="long digest",
        ),
        pytest.param(indirect.write(oids.SPC_PE_IMAGE_DATA, b"\x05\x00", "sha256", DIGEST), id="NULL for image data"),
        pytest.param(
            indirect.write(oids.SPC_PE_IMAGE_DATA, indirect.image_data(None) * 2, "sha256", DIGEST), id="two values"
        ),
        pytest.param(indirect.write(oids.SPC_SIPINFO, b"", "sha256", DIGEST), id="no SpcSipInfo"),
        pytest.param(
            indirect.write(
                oids.SPC_SIPINFO, der.sequence(der.integer(1), der.octet_string(bytes(15))), "sha256", DIGEST
            ),
            id="SpcSipInfo cut short",
        ),
        pytest.param(
            indirect.write(
                oids.SPC_SIPINFO,
                der.sequence(der.integer(1), der.octet_string(bytes(15)), *[der.integer(0)] * 5),
                "sha256",
                DIGEST,
            ),
            id="GUID of 15 bytes",
        ),
        pytest.param(
            der.sequence(
                der.sequence(der.oid(oids.SPC_PE_IMAGE_DATA)),
                der.sequence(der.sequence(der.oid("1.2.3.4"), der.null()), der.octet_string(DIGEST)),
            ),
            id="unknown digest",
        ),
    ],
)
def test_malformed_content_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedError):
        authenticode.read(with_body(body))


def with_more(node: der.Node) -> Iterator[bytes]:
    """The node with a NULL behind all that is in it, or in one of its parts, also where an OCTET STRING holds DER."""
    if node.tag == der.OCTET_STRING and node.value[:1] == b"\x31":
        yield from (der.octet_string(each) for each in with_more(der.parse(node.value)))
    if node.tag & 0x20:
        yield der.encode(node.tag, node.value, der.null())
        children = [child.raw for child in node.children()]
        for at, child in enumerate(node.children()):
            for changed in with_more(child):
                yield der.encode(node.tag, *children[:at], changed, *children[at + 1 :])


def test_nothing_stands_behind_what_is_known() -> None:
    bodies = (
        indirect.write(oids.SPC_PE_IMAGE_DATA, indirect.image_data(None), "sha256", DIGEST),
        indirect.write(
            oids.SPC_PE_IMAGE_DATA, indirect.image_data(indirect.PageHashes("sha256", PAGES)), "sha256", DIGEST
        ),
        indirect.write(oids.SPC_SIPINFO, indirect.sip_info(POWERSHELL, 65536), "sha256", DIGEST),
    )
    accepted = 0
    for body in bodies:
        indirect.read(body)
        for changed in with_more(der.parse(body)):
            try:
                indirect.read(changed)
            except MalformedError:
                continue
            accepted += 1
    assert accepted == 1, "in the text that stands in for the file, of which nothing is read"
    flags = bodies[0].replace(der.bit_string(b""), der.encode(der.BIT_STRING, b"\x01"))
    with pytest.raises(MalformedError):
        indirect.read(flags)


@pytest.mark.parametrize("table", [b"", bytes(35), bytes(37), PAGES[:-1]])
def test_malformed_page_hashes_are_refused(table: bytes) -> None:
    with pytest.raises(MalformedError):
        authenticode.read(signature(image_content(page_hashes=("sha256", table))))


def test_page_hashes_of_an_unknown_kind_are_refused() -> None:
    body = image_content(page_hashes=("sha256", PAGES)).body
    assert body is not None
    with pytest.raises(MalformedError):
        authenticode.read(with_body(body.replace(der.oid("1.3.6.1.4.1.311.2.3.2"), der.oid("1.3.6.1.4.1.311.2.3.9"))))


def test_other_links_say_nothing_about_pages() -> None:
    body = image_content(page_hashes=("sha256", PAGES)).body
    assert body is not None
    assert outer(with_body(body.replace(oids.PAGE_HASHES_CLASS, bytes(16)))).page_hashes is None
    missing = indirect.write(oids.SPC_PE_IMAGE_DATA, b"", "sha256", DIGEST)
    assert outer(with_body(missing)).page_hashes is None
    sha1 = bytes(4) + bytes(20)
    assert outer(signature(image_content(page_hashes=("sha1", sha1)))).page_hashes == ("sha1", sha1)


def test_other_content_is_no_authenticode() -> None:
    for content_type in ("1.2.840.113549.1.7.1", "1.3.6.1.4.1.311.10.1"):
        with pytest.raises(MalformedError):
            authenticode.read(signature(image_content()._replace(content_type=content_type)))
    with pytest.raises(MalformedError):
        authenticode.read(signature(image_content()._replace(body=None)))


OPUS = der.sequence
NAME = "Tool".encode("utf-16-be")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (OPUS(), ("", "")),
        (OPUS(der.explicit(0, der.implicit(0, NAME))), ("Tool", "")),
        (OPUS(der.explicit(0, der.implicit(1, b"Tool"))), ("Tool", "")),
        (OPUS(der.explicit(1, der.implicit(0, b"http://x/"))), ("", "http://x/")),
        (OPUS(der.explicit(1, der.explicit(2, der.implicit(0, NAME)))), ("", "Tool")),
        (OPUS(der.explicit(1, der.implicit(0, b"x")), der.explicit(2, der.implicit(0, b"y"))), ("", "x")),
    ],
)
def test_every_form_of_publisher_text_is_read(value: bytes, expected: tuple[str, str]) -> None:
    raw = with_attribute(oids.SPC_SP_OPUS_INFO, value)
    assert (outer(raw).description, outer(raw).url) == expected
    assert against(raw) == set()


@pytest.mark.parametrize(
    "value",
    [
        der.null(),
        OPUS(der.explicit(0, der.implicit(0, b"odd"))),
        OPUS(der.explicit(0, der.implicit(0, b"\xd8\x00"))),
        OPUS(der.explicit(0, der.implicit(1, b"\xff"))),
        OPUS(der.explicit(0)),
        OPUS(der.explicit(0, der.utf8("x"))),
        OPUS(der.null()),
    ],
)
def test_unreadable_publisher_text_is_said_to_be_that(value: bytes) -> None:
    raw = with_attribute(oids.SPC_SP_OPUS_INFO, value)
    assert (outer(raw).description, outer(raw).url) == ("", "")
    assert reasons.PUBLISHER_TEXT.code in codes(raw)
    assert against(raw) == set()


def test_links_are_ascii() -> None:
    with pytest.raises(UsageError):
        image_content(SealOptions(url="https://ü.example/"))


def test_payload_in_unsigned_attributes_is_refused() -> None:
    for oid in ("1.3.6.1.4.1.311.2.6.2", "1.3.6.1.4.1.99999.7", "1.3.6.1.4.1.11129.2.1.9999"):
        raw = cms.add_unsigned(signature(), oid, der.octet_string(b"payload" * 100))
        assert against(raw) == {of_cms.UNSIGNED_UNKNOWN.code}


# Nested signatures


def nested(*inner: bytes) -> bytes:
    raw = signature()
    for each in inner:
        raw = authenticode.nest(raw, each)
    return raw


def test_nested_signatures_come_depth_first_and_each_by_itself() -> None:
    whole = nested(nested(signature(), signature()), nested(nested(signature())))
    found = authenticode.read(whole, number=3)
    assert [(each.where, each.depth) for each in found] == [
        ("signature 3", 0),
        ("nested signature 3.1", 1),
        ("nested signature 3.1.1", 2),
        ("nested signature 3.1.2", 2),
        ("nested signature 3.2", 1),
        ("nested signature 3.2.1", 2),
        ("nested signature 3.2.1.1", 3),
    ]
    assert all(each.check([]).intact for each in found)


def test_nesting_leaves_what_is_signed_alone() -> None:
    before = cms.read(signature()).signers[0]
    after = cms.read(nested(signature(), signature())).signers[0]
    assert before.signed_attributes_der == after.signed_attributes_der
    assert before.signature == after.signature


@pytest.mark.parametrize(
    "inner",
    [b"\x30\x00", der.null(), der.octet_string(b"payload"), with_body(b"\x30\x00")],
    ids=["30", "05", "04", "body"],
)
def test_what_is_nested_and_cannot_be_read_is_refused(inner: bytes) -> None:
    raw = cms.add_unsigned(signature(), oids.NESTED_SIGNATURE, inner)
    assert against(raw) == {reasons.NESTED_BROKEN.code}
    assert len(authenticode.read(raw)) == 1
    with pytest.raises(MalformedError):
        authenticode.nest(signature(), inner)


def test_a_broken_one_is_held_against_the_one_around_it() -> None:
    broken = cms.add_unsigned(signature(), oids.NESTED_SIGNATURE, der.null())
    first, second = authenticode.read(nested(broken))
    assert first.check([]).intact
    assert not second.check([]).intact


def test_too_many_nested_signatures_are_refused() -> None:
    whole = signature()
    for _ in range(limits.NESTED_MAX):
        whole = authenticode.nest(whole, signature())
    assert len(authenticode.read(whole)) == limits.NESTED_MAX + 1
    assert against(whole) == set()
    with pytest.raises(RefusedError):
        authenticode.nest(whole, signature())
    more = cms.add_unsigned(whole, oids.NESTED_SIGNATURE, signature())
    assert len(authenticode.read(more)) == limits.NESTED_MAX + 1
    assert against(more) == {reasons.NESTED_TOO_MANY.code}


def test_nesting_deeper_than_the_limit_is_refused() -> None:
    whole = signature()
    for _ in range(limits.NESTED_MAX + 3):
        whole = cms.add_unsigned(signature(), oids.NESTED_SIGNATURE, whole)
    found = authenticode.read(whole)
    assert len(found) == limits.NESTED_MAX + 1
    assert not found[-1].check([]).intact


def test_a_changed_nested_signature_speaks_against_itself_only() -> None:
    inner = signature()
    changed = inner[:-1] + bytes((inner[-1] ^ 1,))
    first, second = authenticode.read(cms.add_unsigned(signature(), oids.NESTED_SIGNATURE, changed))
    assert first.check([]).intact
    assert not second.check([]).intact


WHOLE = nested(signature(image_content(SealOptions(description="x"), ("sha256", PAGES))))


@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_any_changed_byte_gives_findings_or_a_clear_error(place: int, mask: int) -> None:
    changed = bytearray(WHOLE)
    changed[place] ^= mask
    try:
        found = authenticode.read(bytes(changed))
    except ChopmarkError:
        return
    for envelope in found:
        envelope.check([])


@given(st.integers(0, len(WHOLE) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    with pytest.raises(MalformedError):
        authenticode.read(WHOLE[:length])
