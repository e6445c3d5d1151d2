"""PEM: what is found in a file, and how long that takes."""

from __future__ import annotations

import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.envelopes import pem
from tests.support import pki

WORLD = pki.world()


@given(st.binary(max_size=300), st.sampled_from(["CERTIFICATE", "X509 CRL", "PRIVATE KEY"]))
def test_what_is_encoded_is_found(raw: bytes, label: str) -> None:
    text = pem.encode(label, raw)
    assert [(block.label, block.der, block.text) for block in pem.blocks(b"noise\n" + text + b"more\n")] == [
        (label, raw, text)
    ]
    assert max(map(len, text.splitlines())) <= 64


def test_as_others_write_it() -> None:
    raw = WORLD.root.der
    assert pem.encode("CERTIFICATE", raw) == WORLD.root.pem
    assert pem.blocks(WORLD.root.pem.replace(b"\n", b"\r\n"))[0].der == raw


def test_blocks_that_are_none() -> None:
    whole = pem.encode("A", b"x")
    assert pem.blocks(whole[:-5]) == []
    assert [block.label for block in pem.blocks(b"-----BEGIN B-----\n" + whole)] == ["A"]
    assert pem.blocks(b"-----BEGIN A-----\neA==\n-----END B-----\n") == []
    assert pem.blocks(b"-----BEGIN A\neA==\n-----END A-----\n") == []
    assert pem.blocks(b"-----BEGIN A-----\n!!!!\n-----END A-----\n")[0].der == b""


@pytest.mark.parametrize(
    "data",
    [
        b"-----BEGIN A-----\n" * 50_000,
        b"-----BEGIN A-----\n" * 50_000 + b"-----END A-----\n",
        b"-----BEGIN A-----\n-----END B-----\n" * 30_000,
        pem.encode("A", b"x") * 20_000,
        b"-----BEGIN " * 80_000,
    ],
)
def test_time_is_linear(data: bytes) -> None:
    start = time.process_time()
    pem.blocks(data)
    assert time.process_time() - start < 2


def bag(*entities: pki.Entity) -> bytes:
    return pkcs7.serialize_certificates([each.certificate for each in entities], serialization.Encoding.DER)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (WORLD.root.pem, 1),
        (WORLD.root.pem + WORLD.issuing.pem, 2),
        (WORLD.root.der, 1),
        (WORLD.root.der + WORLD.issuing.der, 2),
        (bag(WORLD.root, WORLD.issuing), 2),
        (pem.encode("PKCS7", bag(WORLD.root, WORLD.issuing)), 2),
        (WORLD.signer.private_pem() + WORLD.signer.pem, 1),
    ],
)
def test_certificates(data: bytes, count: int) -> None:
    found = pem.certificates(data)
    assert len(found) == count
    assert set(found) <= {WORLD.root.der, WORLD.issuing.der, WORLD.signer.der}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text",
        WORLD.signer.private_pem(),
        pem.encode("CERTIFICATE", b""),
        WORLD.root.der[:-1],
        WORLD.root.der + b"\0",
        WORLD.root.pem * (limits.CERTIFICATES_MAX + 1),
    ],
)
def test_no_certificates(data: bytes) -> None:
    with pytest.raises(MalformedError):
        pem.certificates(data)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    for read in (pem.certificates, pem.cms):
        try:
            read(data)
        except MalformedError:
            continue


def test_one_object() -> None:
    assert pem.single(b"\x30\x00", "X") == b"\x30\x00"
    assert pem.single(pem.encode("X", b"x") + pem.encode("Y", b"y"), "Y") == b"y"
    for data in (pem.encode("Y", b"y"), pem.encode("X", b"x") * 2, pem.encode("X", b"")):
        with pytest.raises(MalformedError):
            pem.single(data, "X")
