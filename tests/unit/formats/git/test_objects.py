"""What is wrong with signed commits, tags and push certificates is named; nothing of it is trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.artifact import Artifact
from chopmark.core.contracts import Content, SealOptions
from chopmark.core.digest import of
from chopmark.core.errors import MalformedError, RefusedError
from chopmark.core.verdict import Status
from chopmark.engine import check, sign
from chopmark.envelopes import cms, gitsig, pem
from chopmark.envelopes.ssh import making
from chopmark.formats.git import parsing, sealing, signatures
from chopmark.trust import context as contexts
from chopmark.trust.stores import store
from tests.support import bare_keys, git_repo, pki, probing

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.verdict import Verdict
    from chopmark.trust.context import Context

TREE, PARENT, MERGED = "1" * 40, "2" * 40, "3" * 40
COMMIT = git_repo.commit(TREE, PARENT)
SIGNED = git_repo.sealed(COMMIT)
TAG = git_repo.tag(PARENT)
SIGNED_TAG = git_repo.sealed(TAG)
PUSH = (
    b"certificate version 0.1\npusher A <a@b.c> 1700000000 +0000\npushee file:///far\nnonce 17-abc\n\n"
    + f"{PARENT} {MERGED} refs/heads/main\n".encode()
)
SIGNED_PUSH = git_repo.sealed(PUSH)


@pytest.fixture(scope="module")
def context() -> Context:
    return contexts.Context(store.load([git_repo.PUBLIC]), pki.NOW, contexts.OFF)


def judged(data: bytes, context: Context) -> Verdict:
    return check.check(Artifact.from_bytes(data), context, "git")


def codes(verdict: Verdict) -> set[str]:
    found = (*verdict.findings, *(finding for seal in verdict.seals for finding in seal.findings))
    return {finding.code for finding in found if finding.outcome in ("no", "unknown")}


@pytest.mark.parametrize("data", [SIGNED, SIGNED_TAG, SIGNED_PUSH, git_repo.sealed(git_repo.commit("1" * 64))])
def test_what_was_signed_is_trusted(context: Context, data: bytes) -> None:
    assert judged(data, context).status is Status.TRUSTED


def test_the_claimed_time_and_sha1_are_told_and_do_not_count(context: Context) -> None:
    [seal] = judged(SIGNED, context).seals
    assert {"git.claim", "git.sha1", "git.placed"} <= {finding.code for finding in seal.findings}
    assert seal.signed_at is None
    [seal] = judged(git_repo.sealed(git_repo.commit("1" * 64)), context).seals
    assert "git.sha1" not in {finding.code for finding in seal.findings}


def put(data: bytes, before: bytes, piece: bytes) -> bytes:
    assert before in data
    return data.replace(before, piece + before, 1)


BAD = {
    "a second signature": (put(SIGNED, b"gpgsig ", b"gpgsig -----BEGIN SSH SIGNATURE-----\n x\n"), "git.twice"),
    "almost a signature": (put(SIGNED, b"gpgsig ", b"gpgsig-evil x\n"), "git.smuggled"),
    "for the other hash": (put(SIGNED, b"gpgsig ", b"gpgsig-sha256 x\n"), "git.other_hash"),
    "a header of one word": (put(SIGNED, b"gpgsig ", b"word\n"), "git.form"),
    "a second tree": (put(SIGNED, b"author ", f"tree {TREE}\n".encode()), "git.form"),
    "a late parent": (put(SIGNED, b"gpgsig ", f"parent {PARENT}\n".encode()), "git.form"),
    "a second author": (put(SIGNED, b"committer ", b"author X <x> 1 +0000\n"), "git.form"),
    "no committer": (SIGNED.replace(b"committer ", b"cmmitter ", 1), "git.form"),
    "an author without a time": (SIGNED.replace(b"> 1 +0000\ncommitter", b"> x +0000\ncommitter", 1), "git.form"),
    "two encodings": (put(SIGNED, b"gpgsig ", b"encoding a\nencoding b\n"), "git.form"),
    "ids of two lengths": (SIGNED.replace(PARENT.encode(), b"2" * 64), "git.form"),
    "a NUL in a header": (SIGNED.replace(b"author A", b"author \0", 1), "git.nul"),
    "no message": (SIGNED[: SIGNED.index(b"\n\n") + 1], "git.form"),
    "text behind the signature": (SIGNED.replace(b"\n\nwhy", b"\n evil\n\nwhy"), "ssh.form"),
    "a continuation first": (b"tree " + TREE.encode() + b"\n" + SIGNED, "git.form"),
    "another message": (SIGNED.replace(b"why", b"evl"), "ssh.signature_wrong"),
    "no armour": (SIGNED.replace(b"BEGIN SSH SIG", b"BEGIN SSX SIG"), "git.message"),
    "a tag with text behind": (SIGNED_TAG + b"more\n", "ssh.form"),
    "a tag with a second signature": (SIGNED_TAG + SIGNED_TAG[SIGNED_TAG.index(b"-----BEGIN") :], "git.twice"),
    "a tag with text before": (SIGNED_TAG.replace(b"the first", b"the other"), "ssh.signature_wrong"),
    "a tag of nothing": (SIGNED_TAG.replace(b"type commit", b"type cherry"), "git.form"),
    "a tag with two names": (put(SIGNED_TAG, b"tagger", b"tag v2\n"), "git.form"),
    "a tag with a header of the other hash": (put(SIGNED_TAG, b"tagger", b"gpgsig-sha256 x\n"), "git.form"),
    "a push of nothing": (SIGNED_PUSH.replace(b" refs/heads/main", b""), "git.form"),
    "a push of a new version": (SIGNED_PUSH.replace(b"version 0.1", b"version 0.2"), "git.form"),
    "a push with two nonces": (put(SIGNED_PUSH, b"nonce", b"nonce 1\n"), "git.form"),
    "a push with a header more": (put(SIGNED_PUSH, b"nonce", b"evil 1\n"), "git.form"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_has_a_name(context: Context, name: str) -> None:
    data, code = BAD[name]
    verdict = judged(data, context)
    assert verdict.status is not Status.TRUSTED
    assert code in codes(verdict)


def test_a_message_that_ends_early_on_the_screen_is_refused(context: Context) -> None:
    data = git_repo.commit(TREE, text="harmless\0evil")
    made = signature(data)
    head = data.index(b"\n\n") + 1
    whole = data[:head] + b"gpgsig " + made.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n" + data[head:]
    verdict = judged(whole, context)
    assert codes(verdict) == {"git.nul"}
    with pytest.raises(RefusedError):
        git_repo.sealed(data)


def test_a_quoted_signature_in_a_tag_is_refused_and_not_made(context: Context) -> None:
    """git takes the last armour of a tag for its signature: whoever reads the first reads another tag."""
    inner = SIGNED_TAG
    outer = inner.replace(b"the first", b"the outer")
    whole = outer + signature(outer)
    assert "git.twice" in codes(judged(whole, context))


def signature(data: bytes) -> bytes:
    """By the test key over whatever it is."""
    content = Content("", "sha512", b"", message=data)
    return gitsig.seal(content, bare_keys.signer("git"), pki.NOW, SealOptions())


def merge(tag: bytes, *parents: str) -> bytes:
    header = b"mergetag " + tag.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"
    data = git_repo.commit(TREE, *parents)
    return data.replace(b"\n\nwhy", b"\n" + header + b"\nwhy", 1)


def test_merged_tags_are_verified_and_belong_to_a_parent(context: Context) -> None:
    tag = git_repo.sealed(git_repo.tag(MERGED))
    good = judged(git_repo.sealed(merge(tag, PARENT, MERGED)), context)
    assert good.status is Status.TRUSTED
    assert [seal.nested for seal in good.seals] == [0, 1]
    first = judged(git_repo.sealed(merge(git_repo.sealed(git_repo.tag(PARENT)), PARENT, MERGED)), context)
    assert codes(first) == {"git.merged_parent"}, "the first parent is what it was merged into"
    foreign = judged(git_repo.sealed(merge(git_repo.sealed(git_repo.tag("4" * 40)), PARENT, MERGED)), context)
    assert codes(foreign) == {"git.merged_parent"}
    changed = judged(git_repo.sealed(merge(tag.replace(b"the first", b"the third"), PARENT, MERGED)), context)
    assert codes(changed) == {"ssh.signature_wrong"}
    unsigned = judged(git_repo.sealed(merge(git_repo.tag(MERGED), PARENT, MERGED)), context)
    assert codes(unsigned) == {"git.merged_unsigned"}


def test_a_merged_tag_does_not_vouch_for_the_merge(context: Context) -> None:
    verdict = judged(merge(git_repo.sealed(git_repo.tag(MERGED)), PARENT, MERGED), context)
    assert verdict.status is Status.REJECTED
    assert codes(verdict) == {"git.merged_only"}


def test_signatures_for_files_are_none_for_git(context: Context) -> None:
    content = Content("", "sha512", of(COMMIT, "sha512"))
    made = making.seal(content, bare_keys.signer("git"), pki.NOW, SealOptions())
    verdict = judged(SIGNED[: SIGNED.index(b"gpgsig ")] + header(made) + b"\nwhy\n", context)
    assert "ssh.namespace" in codes(verdict)


def header(made: bytes) -> bytes:
    return b"gpgsig " + made.removesuffix(b"\n").replace(b"\n", b"\n ") + b"\n"


def cms_signed(*, body: bytes | None = None) -> bytes:
    signer = pki.world().signer
    content = Content("1.2.840.113549.1.7.1", "sha256", of(COMMIT, "sha256"), body=body)
    draft = cms.draft(content, signer, signer.certificates, signing_time=pki.NOW)
    raw = draft.finish(signer.sign(draft.to_be_signed, "sha256"))
    return COMMIT.replace(b"\nwhy", header(pem.encode(gitsig.LABEL, raw)) + b"\nwhy", 1)


def test_cms_is_verified_and_must_be_detached(tmp_path: Path) -> None:
    root = tmp_path / "root.pem"
    root.write_bytes(pki.world().root.pem)
    court = contexts.Context(store.load([str(root)]), pki.NOW, contexts.OFF)
    assert judged(cms_signed(), court).status is Status.TRUSTED
    assert "digest.mismatch" in codes(judged(cms_signed().replace(b"why", b"evl"), court))
    attached = cms_signed(body=COMMIT)
    assert codes(judged(attached, court)) == {"git.content"}
    carried = attached.replace(b"\nwhy", b"\nevl")
    assert codes(judged(carried, court)) == {"git.content", "digest.mismatch"}


def test_armour_around_cms_is_one_block_as_it_is_written() -> None:
    good = cms_signed()
    made = parsing.parse(good, "commit").signature
    assert signatures.read(made)
    for bad in (made + made, made.replace(b"\n", b"\n\n", 2), made + b"x\n", b"x" + made, made[:-2]):
        with pytest.raises(MalformedError):
            signatures.read(bad)


def test_an_empty_line_behind_the_signature_is_told(context: Context) -> None:
    """GitHub writes one behind OpenPGP signatures; behind others it is refused."""
    with pytest.raises(MalformedError):
        signatures.read(parsing.parse(SIGNED, "commit").signature + b"\n")
    data = git_repo.sealed(COMMIT, "openpgp")
    made = parsing.parse(data, "commit").signature
    [found] = signatures.read(made + b"\n")
    assert [finding.code for finding in found.findings] == ["git.loose"]
    with pytest.raises(MalformedError):
        signatures.read(made + b"\n\n")
    assert judged(data, context).status is Status.UNDECIDED


def test_limits() -> None:
    many = f"tree {TREE}\n".encode() + f"parent {PARENT}\n".encode() * limits.GIT_HEADERS_MAX + b"\n"
    with pytest.raises(MalformedError):
        parsing.parse(many, "commit")
    with pytest.raises(MalformedError):
        parsing.parse(PUSH + f"{PARENT} {MERGED} refs/x\n".encode() * (limits.GIT_UPDATES_MAX + 1), "push certificate")
    line = b"mergetag x\n"
    crowd = COMMIT.replace(b"\n\nwhy", b"\n" + line * (limits.GIT_MERGED_MAX + 1) + b"\nwhy")
    with pytest.raises(MalformedError):
        list(sealing.seals(Artifact.from_bytes(crowd)))


def test_a_push_names_each_ref_once() -> None:
    with pytest.raises(MalformedError):
        parsing.parse(PUSH + PUSH.splitlines(keepends=True)[-1], "push certificate")


@pytest.mark.parametrize("data", [COMMIT, SIGNED, TAG, SIGNED_TAG, PUSH, SIGNED_PUSH])
def test_every_truncation_is_an_answer(context: Context, data: bytes) -> None:
    for length in range(len(data)):
        verdict = judged(data[:length], context)
        assert verdict.status is not Status.TRUSTED


@given(st.binary(max_size=300), st.sampled_from([COMMIT, SIGNED, SIGNED_TAG, SIGNED_PUSH]), st.integers(0, 400))
def test_any_bytes_are_an_answer(junk: bytes, data: bytes, place: int) -> None:
    for whole in (junk, data[:place] + junk + data[place:], data[:place] + junk):
        probing.clearly(lambda whole=whole: list(sealing.seals(Artifact.from_bytes(whole))))  # type: ignore[misc]


def test_what_was_signed_by_anybody_is_stripped_to_what_they_signed() -> None:
    artifact = Artifact.from_bytes(SIGNED)
    [patch] = sign.stripped(artifact, "git")
    assert patch.render(artifact) == COMMIT
