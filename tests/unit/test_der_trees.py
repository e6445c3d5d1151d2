"""The mutator of DER: whole values come out, odd ones of every type, and what once was a bug is among them."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from chopmark.envelopes import der, pem, spki
from tests.fuzz.run import mutator, names
from tests.support import certifying, der_oddities, der_trees, dsa_keys, pki
from tests.unit.test_hostile_input import target

if TYPE_CHECKING:
    from collections.abc import Callable

WORLD = pki.world()
SEEDS = (certifying.elaborate().der, WORLD.issuing.der, pki.crl(WORLD.issuing), pki.world("rsa1024").signer.public_key)


def chance(number: int) -> Random:
    return Random(number)  # noqa: S311 - inputs, not keys


def mutants(seed: bytes, count: int) -> list[bytes]:
    made = [der_trees.mutate(seed, chance(number), SEEDS) for number in range(count)]
    return [each for each in made if each is not None]


@pytest.mark.parametrize("seed", SEEDS, ids=["certificate", "authority", "list", "key"])
def test_what_is_read_is_written_again_and_mutants_are_other_values(seed: bytes) -> None:
    tree = der_trees.parse(seed)
    assert tree is not None
    assert der_trees.written(tree) == der_trees.written(tree.copy()) == seed
    made = mutants(seed, 400)
    assert made == mutants(seed, 400)
    assert len(made) == 400
    assert sum(each != seed for each in made) > 350
    assert sum(der_trees.parse(each) is not None for each in made) > 300


def test_strings_that_hold_der_are_opened() -> None:
    tree = der_trees.parse(SEEDS[0])
    assert tree is not None
    inside = [each.tag for each in tree.walk() if each.tag in (der_trees.OCTET_STRING, der_trees.BIT_STRING)]
    opened = [
        each for each in tree.walk() if each.tag in (der_trees.OCTET_STRING, der_trees.BIT_STRING) and each.children
    ]
    assert len(inside) > len(opened) >= len(certifying.elaborate().certificate.extensions)


def test_numbers_of_keys_become_negative_zero_and_enormous() -> None:
    seed = spki.of(dsa_keys.private_key(2048).public_key())
    numbers = [number for made in mutants(seed, 1500) for number in integers(made)]
    assert min(numbers) < 0
    assert 0 in numbers
    assert max(numbers) > 2**4096


def integers(data: bytes) -> list[int]:
    tree = der_trees.parse(data)
    every = tree.walk() if tree else ()
    return [int.from_bytes(each.value, "big", signed=True) for each in every if each.tag == der.INTEGER]


@pytest.mark.parametrize(
    "tag", [der.BOOLEAN, der.INTEGER, der.BIT_STRING, der.NULL, der.OBJECT_IDENTIFIER, der.UTF8_STRING, der.UTC_TIME]
)
def test_each_type_gets_values_that_it_must_not_have(tag: int) -> None:
    accessors: dict[int, Callable[[der.Node], object]] = {
        der.BOOLEAN: der.Node.boolean,
        der.INTEGER: der.Node.integer,
        der.BIT_STRING: der.Node.bits,
        der.NULL: der.Node.null,
        der.OBJECT_IDENTIFIER: der.Node.oid,
        der.UTF8_STRING: der.Node.text,
        der.UTC_TIME: der.Node.time,
    }
    refused = 0
    for number in range(200):
        value = der_oddities.values(tag, b"\x2a\x03", chance(number))
        assert value is not None
        try:
            accessors[tag](der.parse(der.encode(tag, value)))
        except der.DerError:
            refused += 1
    assert 0 < refused < 200


def test_a_block_of_pem_is_changed_inside() -> None:
    text = pem.encode("CERTIFICATE", SEEDS[1]) + b"between\n" + pem.encode("CERTIFICATE", SEEDS[0])
    made = mutants(text, 50)
    assert all(b"between\n" in each and each.count(b"-----END") == 2 for each in made)
    assert sum(len(pem.blocks(each)) == 2 and each != text for each in made) > 40
    assert der_trees.mutate(b"not DER", chance(0), SEEDS) is None


@given(der_trees.changed(*SEEDS))
def test_hypothesis_draws_mutants(made: bytes) -> None:
    assert isinstance(made, bytes)


def test_targets_that_read_der_name_the_mutator() -> None:
    """Most seeds of each are DER, so that it has something to do."""
    naming = [name for name in names() if getattr(target(name)[0], "mutate", None) is der_trees.mutate]
    assert {"x509", "cms", "crl", "ocsp", "tsa", "timestamp", "algorithms", "private_keys", "trust"} <= set(naming)
    for name in naming:
        _, seeds = target(name)
        assert any(der_trees.mutate(seed, chance(0), seeds) for seed in seeds)
    others = [name for name in names() if name not in naming]
    mostly = [name for name in others if all(der_trees.parse(seed) for seed in target(name)[1])]
    assert mostly == []


def test_the_fuzzer_alternates_between_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.run.by_bytes", lambda *_: b"bytes")
    mutated = mutator(der_trees.mutate, SEEDS, 0.5)
    made = [mutated(SEEDS[0], 16_000, number) for number in range(100)]
    assert 30 < made.count(b"bytes") < 70
    assert mutated(b"not DER", 16_000, 1) == b"bytes"
    assert mutated(SEEDS[0], 10, 1) == b"bytes"
