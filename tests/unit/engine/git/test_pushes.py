"""Push certificates, and the gate that a server keeps with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chopmark.core import limits
from chopmark.core.errors import UsageError
from chopmark.core.verdict import Status
from chopmark.engine.git import pushing
from chopmark.formats.git.database import repository
from chopmark.formats.git.parsing import Update
from tests.support import git_repo

if TYPE_CHECKING:
    from chopmark.core.verdict import Verdict
    from chopmark.engine.git.pushing import Wish
    from chopmark.trust.context import Context
    from tests.support.git_repo import Repo

NONE = "0" * 40
ANY_COMMIT = pushing.Wish()
NONCE = "1700000000-abcdef"


def certificate(*updates: Update, nonce: str = NONCE, signed: bool = True) -> bytes:
    head = f"certificate version 0.1\npusher A <a@b.c> 1700000000 +0000\npushee file:///far\nnonce {nonce}\n\n"
    data = (head + "".join(f"{each.old} {each.new} {each.ref}\n" for each in updates)).encode()
    return git_repo.sealed(data) if signed else data


def codes(*verdicts: Verdict) -> set[str]:
    found = [finding for verdict in verdicts for finding in verdict.findings]
    found += [finding for verdict in verdicts for seal in verdict.seals for finding in seal.findings]
    return {finding.code for finding in found if finding.outcome in ("no", "unknown")}


def gate(
    repo: Repo, context: Context, *updates: Update, data: bytes = b"", wish: Wish = ANY_COMMIT, **more: str
) -> set[str]:
    environment = {"GIT_PUSH_CERT_NONCE": NONCE, "GIT_PUSH_CERT_NONCE_STATUS": "OK"}
    if data:
        environment["GIT_PUSH_CERT"] = repo.add("blob", data)
    environment |= more
    found = list(pushing.receive(repository.discover(str(repo.folder)), updates, environment, context, wish))
    refused = codes(*found)
    assert bool(refused) == any(verdict.status is not Status.TRUSTED for verdict in found)
    return refused


def test_a_certificate_answers_its_nonce(context: Context) -> None:
    data = certificate(Update(NONE, "1" * 40, "refs/heads/main"))
    assert pushing.judge_certificate(data, context, NONCE).status is Status.TRUSTED
    assert codes(pushing.judge_certificate(data, context, "other")) == {"git.push_nonce_wrong"}
    assert codes(pushing.judge_certificate(data, context, "")) == {"git.push_nonce_wrong"}
    unasked = pushing.judge_certificate(data, context, None)
    assert unasked.status is Status.TRUSTED
    assert "git.push_nonce_unasked" in {finding.code for finding in unasked.findings}
    for junk in (b"", b"junk", git_repo.sealed(git_repo.tag("1" * 40))):
        assert pushing.judge_certificate(junk, context, NONCE).status is Status.REJECTED


def test_the_gate(repo: Repo, context: Context) -> None:
    update = Update(NONE, repo.commit(), "refs/heads/main")
    other = update._replace(ref="refs/heads/other")
    good = certificate(update)
    assert gate(repo, context, update, data=good) == set()
    assert gate(repo, context, update) == {"git.push_unsigned"}
    assert gate(repo, context, update, data=certificate(update, signed=False)) == {"seal.none"}
    assert gate(repo, context, update, other, data=good) == {"git.push_refs_wrong"}
    assert gate(repo, context, other, data=good) == {"git.push_refs_wrong"}
    assert gate(repo, context, update, data=certificate(update, other)) == {"git.push_refs_wrong"}
    assert gate(repo, context, update, data=b"junk") == {"git.form"}
    assert gate(repo, context, update, GIT_PUSH_CERT="5" * 40) == {"git.object_missing"}


@pytest.mark.parametrize("status", ["UNSOLICITED", "MISSING", "BAD", "SLOP", "", "ok"])
def test_a_certificate_is_good_for_one_push(repo: Repo, context: Context, status: str) -> None:
    update = Update(NONE, repo.commit(), "refs/heads/main")
    refused = gate(repo, context, update, data=certificate(update), GIT_PUSH_CERT_NONCE_STATUS=status)
    assert refused == {"git.push_nonce_wrong"}
    replayed = certificate(update, nonce="1600000000-abcdef")
    assert gate(repo, context, update, data=replayed) == {"git.push_nonce_wrong"}


HERE, FAR = "https://here/x.git", "file:///far"


def test_a_push_that_was_signed_for_another_repository_is_refused(repo: Repo, context: Context) -> None:
    """Whoever serves that one asked for a signature with the nonce of this one, and passes it on."""
    update = Update(NONE, repo.commit(), "refs/heads/main")
    data = certificate(update)
    assert gate(repo, context, update, data=data, wish=pushing.Wish(pushees=(HERE, FAR))) == set()
    assert gate(repo, context, update, data=data, wish=pushing.Wish(pushees=(HERE,))) == {"git.pushee_wrong"}
    prefix = pushing.Wish(pushees=("file:///fa", "file:///far/", "file:///far/x"))
    assert gate(repo, context, update, data=data, wish=prefix) == {"git.pushee_wrong"}
    without = git_repo.sealed(certificate(update, signed=False).replace(b"pushee file:///far\n", b""))
    assert gate(repo, context, update, data=without) == set()
    assert gate(repo, context, update, data=without, wish=pushing.Wish(pushees=(HERE,))) == {"git.pushee_wrong"}
    assert codes(pushing.judge_certificate(data, context, NONCE, pushees=(HERE,))) == {"git.pushee_wrong"}
    good = pushing.judge_certificate(data, context, NONCE, pushees=(FAR,)).findings
    assert [each.detail for each in good if each.code == "git.pushee"] == ["file:///far"]
    told = pushing.judge_certificate(data, context, NONCE).findings
    assert [each.detail for each in told if each.code == "git.pushee_unasked"] == ["file:///far"]


def unsealed(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    """A certificate of which something is another behind the signer's back."""
    for old, new in changes:
        assert data.count(old) == 1
        data = data.replace(old, new)
    return data


ATTACKS = {
    "another pusher": ((b"pusher A", b"pusher B"),),
    "another pushee": ((b"pushee file:///far", b"pushee file:///far/x"),),
    "no pushee": ((b"pushee file:///far\n", b""),),
    "no nonce": ((f"nonce {NONCE}\n".encode(), b""),),
    "the nonce of this push in an old one": ((b"nonce 1600000000-abcdef", f"nonce {NONCE}".encode()),),
    "an option": ((b"\n\n", b"\npush-option ci.skip\n\n"),),
    "another ref": ((b"refs/heads/main", b"refs/heads/prod"),),
    "one ref more": ((b"refs/heads/main\n", b"refs/heads/main\n" + f"{NONE} {'2' * 40} refs/heads/x\n".encode()),),
    "an empty line before the updates": ((b"\n\n", b"\n\n\n"),),
    "a carriage return": ((b"refs/heads/main\n", b"refs/heads/main\r\n"),),
    "something behind": ((b"-----END", b"-----END"), (b"refs/heads/main", b"refs/heads/main")),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_certificate_that_was_tampered_with_is_refused(repo: Repo, context: Context, attack: str) -> None:
    old = "1600000000-abcdef" if "old" in attack else NONCE
    update = Update(NONE, repo.commit(), "refs/heads/main")
    data = unsealed(certificate(update, nonce=old), *ATTACKS[attack])
    if attack == "something behind":
        data += f"{NONE} {'2' * 40} refs/heads/x\n".encode()
    asked = update._replace(ref="refs/heads/prod") if attack == "another ref" else update
    assert gate(repo, context, asked, data=data)
    assert codes(pushing.judge_certificate(data, context, NONCE))


def test_what_was_signed_for_something_else_is_no_certificate(repo: Repo, context: Context) -> None:
    """A tag's signature behind a certificate, a certificate before another one, and its signature twice."""
    update = Update(NONE, repo.commit(), "refs/heads/main")
    bare, good = certificate(update, signed=False), certificate(update)
    tag = git_repo.sealed(git_repo.tag(update.new))
    assert gate(repo, context, update, data=bare + tag[tag.index(b"-----BEGIN") :])
    assert gate(repo, context, update, data=bare + good)
    assert gate(repo, context, update, data=tag)
    assert gate(repo, context, update, data=good + good[good.index(b"-----BEGIN") :])


def test_a_nonce_may_be_older_where_that_is_allowed(repo: Repo, context: Context) -> None:
    update = Update(NONE, repo.commit(), "refs/heads/main")
    late = {"GIT_PUSH_CERT_NONCE_STATUS": "SLOP", "GIT_PUSH_CERT_NONCE_SLOP": "30"}
    data = certificate(update)
    assert gate(repo, context, update, data=data, wish=pushing.Wish(slop=60), **late) == set()
    assert gate(repo, context, update, data=data, wish=pushing.Wish(slop=20), **late) == {"git.push_nonce_wrong"}


def test_every_new_commit_and_tag_can_be_wanted_signed(repo: Repo, context: Context) -> None:
    old = repo.commit(text="old", signed=False)
    repo.ref("refs/heads/main", old)
    good = repo.commit(old, text="good", date=2)
    bad = repo.commit(repo.commit(good, text="bad", date=3, signed=False), text="on top", date=4)
    wish = pushing.Wish(push=False, commits=True, tags=True)
    assert gate(repo, context, Update(old, good, "refs/heads/main"), wish=wish) == set()
    assert gate(repo, context, Update(old, bad, "refs/heads/main"), wish=wish) == {"seal.none"}
    assert gate(repo, context, Update(old, NONE, "refs/heads/main"), wish=wish) == set()
    assert gate(repo, context, Update(NONE, good, "refs/tags/light"), wish=wish) == {"git.tag_light"}
    tag = repo.tag(good)
    assert gate(repo, context, Update(NONE, tag, "refs/tags/v1"), wish=wish) == set()
    assert gate(repo, context, Update(NONE, tag, "refs/tags/v2"), wish=wish) == {"git.tag_name"}
    unsigned = repo.tag(good, signed=False)
    assert gate(repo, context, Update(NONE, unsigned, "refs/tags/v1"), wish=wish) == {"seal.none"}
    hidden = repo.tag(bad, "v3")
    assert gate(repo, context, Update(NONE, hidden, "refs/tags/v3"), wish=wish) == {"seal.none"}
    tree = repo.tag(repo.tree(b"x"), "v4", "tree")
    assert gate(repo, context, Update(NONE, tree, "refs/tags/v4"), wish=wish) == set()
    assert gate(repo, context, Update(NONE, repo.tree(b"x"), "refs/heads/t"), wish=wish) == {"git.object_kind"}


def test_what_git_gives_to_a_hook_is_read_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pushing.updates_from([f"{NONE} {NONE} refs/a b\n"]) == [Update(NONE, NONE, "refs/a b")]
    with pytest.raises(UsageError):
        pushing.updates_from(["junk\n"])
    monkeypatch.setattr(limits, "GIT_UPDATES_MAX", 1)
    with pytest.raises(UsageError):
        pushing.updates_from([f"{NONE} {NONE} a\n"] * 2)
