"""What a file is held to whoever signed it: beside every kind of signature, and never in place of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Examines
from chopmark.core.verdict import Status
from chopmark.engine import check, identify, inspect, sign
from chopmark.engine.policing import facts
from chopmark.trust import context as contexts
from chopmark.trust.crl import origins
from chopmark.trust.stores import store
from tests.contract import laws
from tests.support import bare_keys, pki, wheels
from tests.support.wheels import FILES, NAME

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.verdict import Verdict
    from tests.contract.laws import State

SOUND = laws.State(NAME, wheels.wheel())
TAMPERED = laws.State(NAME, wheels.wheel({**FILES, "added.py": b"evil"}, FILES))


def signed(state: State, format_name: str = "") -> State:
    if not format_name:
        return laws.signed(state)
    request = sign.SignRequest(bare_keys.signer(format_name), (), pki.NOW, laws.OPTIONS, format_name=format_name)
    made = sign.sign(state.artifact(), request)
    return state.patched(made.patch, made.prepared)


@pytest.fixture
def context(tmp_path: Path) -> contexts.Context:
    """Whoever believes the test world's root, and the test keys of two kinds."""
    (tmp_path / "root.pem").write_bytes(pki.world().root.pem)
    keys = [bare_keys.public(name) for name in ("minisign", "openpgp", "ssh")]
    believed = store.load([str(tmp_path / "root.pem"), *keys])
    return contexts.Context(believed, pki.NOW, contexts.OFF, origins.CrlSource(cache=str(tmp_path)))


def judged(state: State, context: contexts.Context, format_name: str = "") -> Verdict:
    return check.check(state.artifact(), context, format_name)


def test_the_formats_that_examine_say_so() -> None:
    names = {name for name, format_ in identify.formats().items() if isinstance(format_, Examines)}
    assert {"wheel", "sdist"} <= names
    assert "detached" not in names


@pytest.mark.parametrize("kind", ["", "openpgp", "minisign", "ssh"])
def test_a_signature_does_not_save_a_wheel_that_is_not_what_it_says(kind: str, context: contexts.Context) -> None:
    """With the format found, and with that of the signature asked for by name."""
    for asked in {"", kind, kind or "detached"}:
        verdict = judged(signed(SOUND, kind), context, asked)
        assert verdict.status is Status.TRUSTED, verdict
        assert "wheel.record_holds" in {each.code for each in verdict.findings}
        verdict = judged(signed(TAMPERED, kind), context, asked)
        assert verdict.status is Status.REJECTED
        assert "wheel.record_unlisted" in {each.code for each in verdict.findings}
        assert [seal.status for seal in verdict.seals] == [Status.TRUSTED]


@pytest.mark.parametrize("front", [b"#!/bin/sh\nexit\n", b"MZ", b"\x7fELF", b"tree x", b" "])
def test_whatever_a_wheel_begins_with_an_installer_takes_it(front: bytes, context: contexts.Context) -> None:
    verdict = judged(signed(laws.State(NAME, front + SOUND.data), "minisign"), context, "minisign")
    assert verdict.status is Status.REJECTED
    assert "zip.end" in {each.code for each in verdict.findings}
    verdict = judged(laws.State(NAME, front + SOUND.data), context)
    assert verdict.status is Status.REJECTED


def test_integrity_inside_is_no_signature(context: contexts.Context) -> None:
    assert judged(SOUND, context).status is Status.UNSIGNED
    assert judged(TAMPERED, context).status is Status.REJECTED


def test_several_signatures_beside_must_all_hold(context: contexts.Context) -> None:
    both = signed(signed(SOUND), "minisign")
    verdict = judged(both, context)
    assert len(verdict.seals) == 2
    assert verdict.status is Status.TRUSTED
    broken = both.with_part(".minisig", both.parts[".minisig"].replace(b"timestamp:1", b"timestamp:2"))
    assert judged(broken, context).status is Status.REJECTED


def test_what_is_wrong_is_shown_without_judgement() -> None:
    assert inspect.inspect(SOUND.artifact())["broken"] == ""
    assert "wheel.record_unlisted" in inspect.inspect(TAMPERED.artifact())["broken"]
    assert inspect.inspect(SOUND.artifact())["facts"]["name"] == "sample"
    broken = Artifact.from_bytes(SOUND.data + b"x", NAME, {})
    assert "zip.end" in inspect.inspect(broken)["broken"]


def test_a_policy_can_refuse_older_ones(context: contexts.Context, tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(SOUND.data)
    with Artifact.open(path) as artifact:
        found = facts.of_file(artifact, check.check(artifact, context))
        assert found.release is not None
        assert (found.release.product, found.release.version, found.release.scheme) == ("sample", "1.0", "python")
        assert facts.kind_of(artifact, "wheel") == "package"
