"""What is remembered of versions, and what happens when somebody meddles with it."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from chopmark.core import limits
from chopmark.core.errors import BrokenError
from chopmark.core.patch import WriteError
from chopmark.core.signer import Authority
from chopmark.core.verdict import Status
from chopmark.core.versions import Release
from chopmark.policy import reasons, state
from chopmark.policy.facts import FileFacts, SealFacts

SEAL = SealFacts("cms", Status.TRUSTED, "x509", "CN=A", "a" * 64)
FILE = FileFacts("/opt/tool", "b" * 64, "pe", Status.TRUSTED, (SEAL,), Release("Tool", "1.5"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path))
    return tmp_path


def remember(name: str, version: int, sha256: str = "x") -> None:
    with state.opened(write=True) as known:
        known.saw_policy(name, version, sha256)


def test_an_older_policy_is_refused_and_another_of_the_same_version() -> None:
    remember("hosts", 3)
    remember("hosts", 3)
    remember("other", 1)
    with pytest.raises(BrokenError) as error:
        remember("hosts", 2)
    assert error.value.reason is reasons.ROLLBACK
    with pytest.raises(BrokenError) as error:
        remember("hosts", 3, "y")
    assert error.value.reason is reasons.SAME_VERSION
    remember("hosts", 4, "y")
    with state.opened(write=False) as known:
        assert known.policies == {"hosts": state.Seen(4, "y"), "other": state.Seen(1, "x")}


def test_where_policies_are_not_signed_one_may_be_changed_under_its_version() -> None:
    remember("hosts", 3)
    with state.opened(write=True) as known:
        known.saw_policy("hosts", 3, "y", signed=False)
        with pytest.raises(BrokenError) as error:
            known.saw_policy("hosts", 2, "z", signed=False)
    assert error.value.reason is reasons.ROLLBACK
    with state.opened(write=False) as known:
        assert known.policies == {"hosts": state.Seen(3, "y")}


def test_products_are_remembered_by_who_signed_them() -> None:
    with state.opened(write=True) as known:
        known.saw_file(FILE)
        known.saw_file(FILE._replace(release=Release("tool", "1.4")))
        known.saw_file(FILE._replace(release=Release("Tool", "none")))
        known.saw_file(FILE._replace(seals=(SEAL._replace(key="c" * 64, status=Status.REJECTED),)))
    with state.opened(write=False) as known:
        assert known.newest(Release("TOOL", "1"), ["a" * 64]) == "1.5"
        assert known.newest(Release("Tool", "1"), ["c" * 64]) == ""
        assert known.newest(Release("Tool", "1", "semver"), ["a" * 64]) == ""
        assert known.newest(None, ["a" * 64]) == ""


def test_the_newest_is_remembered_for_those_who_signed_it_and_for_nobody_without_a_root() -> None:
    newer, rootless = FILE._replace(release=Release("tool", "1.6")), SEAL._replace(key="", authorities=())
    assert not rootless.root
    with state.opened(write=True) as known:
        for each in (FILE, newer, FILE):
            known.saw_file(each)
        known.saw_file(FILE._replace(release=Release("other", "2"), seals=(rootless,)))
        known.saw_file(FILE._replace(release=Release("third", "none")))
    with state.opened(write=False) as known:
        assert known.newest_of(FILE) == "1.6"
        assert known.newest_of(FILE._replace(seals=(rootless,))) == ""
        assert list(known.products.values()) == [("dotted", "1.6")]


def test_the_newest_of_several_roots_is_that_of_the_numbers_not_of_the_letters() -> None:
    other = SEAL._replace(key="c" * 64)
    rooted = other._replace(authorities=(Authority("CN=R", "d" * 64, "e" * 64),))
    known = state.State({}, {})
    for version, seal in (("1.9", SEAL), ("1.10", other), ("1.2", rooted)):
        known.saw_file(FILE._replace(release=Release("Tool", version), seals=(seal,)))
    for seals in ((SEAL, other, rooted), (rooted, other, SEAL)):
        assert known.newest_of(FILE._replace(seals=seals)) == "1.10"
    assert known.newest_of(FILE._replace(seals=(rooted,))) == "1.2", "by its root, not by its own key"
    assert known.newest_of(FILE._replace(release=None)) == ""


def test_only_what_is_new_is_written() -> None:
    with state.opened(write=True) as known:
        known.saw_policy("hosts", 3, "x")
        known.saw_file(FILE)
    before = Path(state.path()).stat()
    with state.opened(write=True) as known:
        known.saw_policy("hosts", 3, "x")
        known.saw_file(FILE._replace(release=Release("Tool", "1.5.0")))
        known.saw_file(FILE._replace(release=None))
        assert not known.changed
    assert Path(state.path()).stat().st_ino == before.st_ino
    assert before.st_mode & 0o777 == Path(f"{state.path()}.lock").stat().st_mode & 0o777 == 0o600


def test_who_only_looks_changes_nothing(home: Path) -> None:
    with state.opened(write=False) as known:
        known.saw_policy("hosts", 3, "x")
    assert not list(home.iterdir())


def test_policies_count_as_signed_unless_somebody_says_otherwise() -> None:
    known = state.State({"hosts": state.Seen(3, "x")}, {})
    for accepts in (known.check_policy, known.saw_policy):
        with pytest.raises(BrokenError) as error:
            accepts("hosts", 3, "y")
        assert error.value.reason is reasons.SAME_VERSION


@pytest.mark.parametrize("change", [b"", b"x", b"{}\nseal 00", b"\xff", b"\nseal zz"])
def test_a_file_that_others_wrote_is_not_believed(change: bytes) -> None:
    remember("hosts", 3)
    Path(state.path()).write_bytes(change)
    with pytest.raises(state.StateError) as refused, state.opened(write=False):
        pass
    assert refused.value.reason.code == "policy.state_lost"


def test_every_flipped_byte_is_noticed() -> None:
    remember("hosts", 3)
    whole = Path(state.path()).read_bytes()
    for place in range(len(whole)):
        Path(state.path()).write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(state.StateError), state.opened(write=False):
            pass


def test_a_file_that_is_gone_is_noticed_until_somebody_says_so() -> None:
    remember("hosts", 3)
    Path(state.path()).unlink()
    with pytest.raises(state.StateError):
        remember("hosts", 1)
    state.reset()
    remember("hosts", 1)


def test_a_key_that_others_can_read_seals_nothing(home: Path) -> None:
    remember("hosts", 3)
    (home / "data" / "versions.key").chmod(0o644)
    with pytest.raises(state.StateError), state.opened(write=False):
        pass


def test_a_key_of_somebody_else_seals_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    remember("hosts", 3)
    Path(state.path()).unlink()
    stranger = os.geteuid() + 1
    monkeypatch.setattr("os.geteuid", lambda: stranger)
    with pytest.raises(WriteError):
        remember("hosts", 3)


def test_a_sealed_file_of_another_shape_is_not_believed() -> None:
    from chopmark.trust import sealing

    remember("hosts", 3)
    secret = sealing.key("versions", make=False)
    assert secret is not None
    whole: dict[str, object] = {"version": 1, "policies": {}, "products": {}}

    def write(values: object) -> None:
        body = json.dumps(values).encode()
        Path(state.path()).write_bytes(body + b"\nseal " + sealing.seal(secret, body).hex().encode())

    write(whole)
    with state.opened(write=False) as known:
        assert (known.policies, known.products) == ({}, {})
    shapes: list[object] = [[], {}, {"version": 1, "policies": {}}, {**whole, "version": 2}, {**whole, "policies": 5}]
    for values in (*shapes, {**whole, "policies": {"a": 1}}):
        write(values)
        with pytest.raises(state.StateError), state.opened(write=False):
            pass


def test_a_file_larger_than_any_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    remember("hosts", 3)
    monkeypatch.setattr(limits, "POLICY_STATE_MAX", 10)
    with pytest.raises(state.StateError), state.opened(write=False):
        pass


def test_more_products_than_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "POLICY_PRODUCTS_MAX", 1)
    with state.opened(write=True) as known:
        known.saw_file(FILE)
    with pytest.raises(WriteError), state.opened(write=True) as known:
        known.saw_file(FILE._replace(release=Release("other", "1")))


def test_a_folder_that_cannot_be_made_is_one_clear_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "file").write_text("")
    monkeypatch.setenv("CHOPMARK_HOME", str(home / "file"))
    with pytest.raises(WriteError):
        remember("hosts", 1)


def _many(name: str) -> None:
    for version in range(1, 6):
        remember(name, version)


def test_several_processes_lose_nothing() -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_many, args=(f"policy {number}",)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    with state.opened(write=False) as known:
        assert {name: seen.version for name, seen in known.policies.items()} == {f"policy {n}": 5 for n in range(4)}
