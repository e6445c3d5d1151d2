"""What people call objects, which commits are between two, and what a repository says about an object."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from chopmark.core import digest, limits
from chopmark.core.contracts import SealOptions
from chopmark.core.errors import RefusedError, UsageError
from chopmark.core.verdict import Status
from chopmark.engine import sign
from chopmark.engine.git import judging, revisions, signing
from chopmark.envelopes import timestamp
from chopmark.formats.git.database import repository
from chopmark.trust import context as contexts
from chopmark.trust.stores import store
from tests.support import git_repo, pki

if TYPE_CHECKING:
    from pathlib import Path

    from chopmark.core.verdict import Verdict
    from chopmark.trust.context import Context
    from tests.support.git_repo import Repo


def opened(repo: Repo) -> repository.Repository:
    return repository.discover(str(repo.folder))


def judged(repo: Repo, name: str, context: Context) -> Verdict:
    found = opened(repo)
    return judging.judge(found, revisions.resolve(found, name), context)


def codes(verdict: Verdict) -> set[str]:
    found = (*verdict.findings, *(finding for seal in verdict.seals for finding in seal.findings))
    return {finding.code for finding in found if finding.outcome in ("no", "unknown")}


def test_revisions(repo: Repo) -> None:
    first = repo.commit()
    side = repo.commit(first, text="side")
    second = repo.commit(first, text="second", date=2)
    merge = repo.commit(second, side, text="merge", date=3)
    tag = repo.tag(merge)
    again = repo.tag(tag, "v2", "tag")
    repo.ref("refs/heads/main", merge)
    repo.ref("refs/tags/v1", tag)
    repo.ref("refs/tags/v2", again)
    repo.ref("refs/remotes/origin/HEAD", "ref: refs/heads/main")
    found = opened(repo)
    expected = {
        "HEAD": merge,
        "@": merge,
        "main": merge,
        "heads/main": merge,
        "origin": merge,
        "v1": tag,
        "v2": again,
        "v1^{}": merge,
        "v2^{commit}": merge,
        "v2^{tag}": again,
        "v1~1": second,
        "HEAD^": second,
        "HEAD^2": side,
        "HEAD^0": merge,
        "HEAD~2": first,
        "HEAD^2~": first,
        "HEAD^^": first,
        merge: merge,
        merge[:10]: merge,
    }
    assert {name: revisions.resolve(found, name).id for name in expected} == expected
    for bad in (
        "HEAD^3",
        "HEAD~9",
        "main@{1}",
        "HEAD:file",
        "nobody",
        "",
        "HEAD~99999999999",
        "^",
        "HEAD^{tree}",
        "-x",
    ):
        with pytest.raises(UsageError):
            revisions.resolve(found, bad)


def test_names_that_could_mean_two_objects_are_refused(repo: Repo) -> None:
    one, two = repo.commit(), repo.commit(text="two")
    repo.ref("refs/heads/main", one)
    repo.ref("refs/tags/main", two)
    with pytest.raises(UsageError):
        revisions.resolve(opened(repo), "main")
    assert revisions.resolve(opened(repo), "refs/heads/main").id == one
    repo.ref(f"refs/heads/{one[:8]}", two)
    with pytest.raises(UsageError):
        revisions.resolve(opened(repo), one[:8])
    assert revisions.resolve(opened(repo), one).id == one
    several = [repo.commit(text=f"{number}", signed=False) for number in range(40)]
    short = next(name[:4] for name in several if not name.startswith(one[:4]))
    repo.add("blob", b"x", short + "0" * 36)
    with pytest.raises(UsageError):
        revisions.resolve(opened(repo), short)


def test_ranges_are_those_of_the_graph(repo: Repo) -> None:
    """Against the definition, on graphs with dates that lie."""
    chance = random.Random(3)  # noqa: S311 - cases, not keys
    names: list[str] = []
    above: dict[str, set[str]] = {}
    for number in range(60):
        parents = chance.sample(names[-8:], min(len(names), chance.choice((1, 1, 2))))
        date = number if chance.random() < 0.8 else chance.randrange(200)
        names.append(repo.commit(*parents, text=f"{number}", date=date, tree="1" * 40, signed=False))
        above[names[-1]] = {names[-1]}.union(*(above[parent] for parent in parents))
    found = opened(repo)
    for _ in range(60):
        wanted, without = chance.sample(names, 2), chance.sample(names, 2)
        expected = set().union(*(above[name] for name in wanted)) - set().union(*(above[name] for name in without))
        walked, against = revisions.walk(found, revisions.Range(tuple(wanted), tuple(without)))
        assert set(walked) == expected
        assert len(walked) == len(expected)
        assert not against
    single, between = revisions.parse(found, [f"{names[3]}..{names[40]}", names[5]])
    assert between == revisions.Range((names[40],), (names[3],))
    assert [each.id for each in single] == [names[5]]
    assert revisions.parse(found, [f"^{names[3]}", names[40]]) == ([], between)
    with pytest.raises(UsageError):
        revisions.parse(found, [f"{names[3]}...{names[40]}"])


def test_ranges_have_a_limit(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    name = repo.commit()
    for number in range(5):
        name = repo.commit(name, text=f"{number}")
    monkeypatch.setattr(limits, "GIT_COMMITS_MAX", 3)
    with pytest.raises(UsageError):
        revisions.walk(opened(repo), revisions.Range((name,), ()))


def test_history_that_is_not_all_there_says_so(repo: Repo, context: Context) -> None:
    first = repo.commit()
    second = repo.commit(first, text="second")
    last = repo.commit(second, text="last")
    (repo.folder / "shallow").write_text(f"{second}\n")
    repo.path(first).unlink()
    walked, against = revisions.walk(opened(repo), revisions.Range((last,), ()))
    assert walked == [last, second]
    assert [finding.code for finding in against] == ["git.shallow"]
    (repo.folder / "shallow").unlink()
    walked, against = revisions.walk(opened(repo), revisions.Range((last,), ()))
    assert walked == [last, second, first]
    verdict = judging.judge(opened(repo), revisions.Named(first, first), context)
    assert verdict.status is Status.UNDECIDED
    assert codes(verdict) == {"git.object_missing"}


def test_a_commit_in_a_repository(repo: Repo, context: Context) -> None:
    name = repo.commit()
    assert judged(repo, name, context).status is Status.TRUSTED
    unsigned = repo.commit(text="unsigned", signed=False)
    assert judged(repo, unsigned, context).status is Status.UNSIGNED
    tree = repo.tree(b"file")
    assert codes(judged(repo, tree, context)) == {"git.object_kind"}
    lost = repo.commit(text="lost", tree="7" * 40)
    assert codes(judged(repo, lost, context)) == {"git.object_missing"}
    wrong = repo.commit(text="wrong", tree=name)
    assert codes(judged(repo, wrong, context)) == {"git.object_kind"}
    broken = repo.commit(text="broken", tree=repo.add("tree", b"junk"))
    assert codes(judged(repo, broken, context)) == {"git.object_broken"}


def test_submodules_are_told(repo: Repo, context: Context) -> None:
    name = repo.commit(tree=repo.tree(b".gitmodules", b"file"))
    verdict = judged(repo, name, context)
    assert verdict.status is Status.TRUSTED
    assert "git.submodules" in {finding.code for finding in verdict.findings}


def test_replaced_and_grafted_objects_are_refused(repo: Repo, context: Context) -> None:
    good, other = repo.commit(), repo.commit(text="other")
    repo.ref(f"refs/replace/{good}", other)
    assert codes(judged(repo, good, context)) == {"git.replaced"}
    assert judged(repo, other, context).status is Status.TRUSTED
    (repo.folder / "refs" / "replace" / good).unlink()
    (repo.folder / "packed-refs").write_text(f"{other} refs/replace/{good}\n")
    assert codes(judged(repo, good, context)) == {"git.replaced"}
    (repo.folder / "packed-refs").unlink()
    (repo.folder / "info" / "grafts").write_text(f"{good} {other}\n")
    assert codes(judged(repo, good, context)) == {"git.replaced"}


@pytest.mark.parametrize("shape", ["{}", "below/{}", "upper"])
def test_what_is_replaced_below_a_commit_or_tag_is_seen(shape: str, repo: Repo, context: Context) -> None:
    """git shows and checks out other files then; the last part of the ref's name counts, in capitals as well."""
    commit = repo.commit()
    tag = repo.tag(commit)
    repo.ref("refs/tags/v1", tag)
    other = repo.commit(text="other")
    gone = "d" * 40
    contents = (repo.tree(), repo.add("blob", b""), gone)
    for replaced, wrong in (
        (tag, (tag,)),
        (commit, (commit, tag)),
        *((each, (commit, tag, other)) for each in contents),
    ):
        name = replaced.upper() if shape == "upper" else shape.format(replaced)
        repo.ref(f"refs/replace/{name}", other)
        for each in (commit, tag, other):
            assert ("git.replaced" in codes(judged(repo, each, context))) is (each in wrong), (replaced, each)
        (repo.folder / "refs" / "replace" / name).unlink()


def test_a_tag_of_a_tag_is_followed_to_what_is_replaced(repo: Repo, context: Context) -> None:
    commit = repo.commit()
    outer = repo.tag(repo.tag(commit, "inner"), "outer", "tag")
    assert "git.replaced" not in codes(judged(repo, outer, context))
    repo.ref(f"refs/replace/{commit}", repo.commit(text="other"))
    assert "git.replaced" in codes(judged(repo, outer, context))


def test_tags_are_what_their_refs_and_targets_say(repo: Repo, context: Context) -> None:
    commit = repo.commit()
    tag = repo.tag(commit)
    repo.ref("refs/tags/v1", tag)
    repo.ref("refs/tags/v2", tag)
    repo.ref("refs/tags/light", commit)
    repo.ref("refs/tags/lie", repo.tag(commit, "lie", "tree"))
    repo.ref("refs/tags/lost", repo.tag("7" * 40, "lost"))
    repo.ref("refs/tags/tree", repo.tree(b"x"))
    found = opened(repo)
    assert judging.judge_tag(found, "v1", context).status is Status.TRUSTED
    assert judging.judge_tag(found, "refs/tags/v1", context).status is Status.TRUSTED
    expected = {
        "v2": "git.tag_name",
        "light": "git.tag_light",
        "lie": "git.tag_target",
        "lost": "git.object_missing",
        "tree": "git.object_kind",
    }
    for name, code in expected.items():
        verdict = judging.judge_tag(found, name, context)
        assert codes(verdict) == {code}, name
        assert verdict.status is not Status.TRUSTED
    assert codes(judged(repo, "v2", context)) == {"git.tag_name"}
    assert judged(repo, tag, context).status is Status.TRUSTED, "by its id it is what it is"


def test_what_git_took_out_is_judged_with_what_it_was_taken_from(context: Context) -> None:
    whole = git_repo.sealed(git_repo.tag("1" * 40))
    message, signature = whole[: whole.index(b"-----BEGIN")], whole[whole.index(b"-----BEGIN") :]
    assert judging.judge_detached(message, signature, context).status is Status.TRUSTED
    assert codes(judging.judge_detached(message + b"x", signature, context)) == {"ssh.signature_wrong"}
    for junk in (
        b"",
        b"junk",
        signature + b"x",
        b"-----BEGIN SIGNED MESSAGE-----\nAAAA\n-----END SIGNED MESSAGE-----\n",
    ):
        assert judging.judge_detached(message, junk, context).status is Status.REJECTED
    assert "git.form" in codes(judging.judge_detached(b"some file", signature, context))


class Stamper:
    """A time-stamp authority in this process."""

    def stamp(self, signature: bytes, digest_algorithm: str) -> bytes:
        tsa = pki.world().tsa
        info = timestamp.TstInfo("1.2.3.4", digest_algorithm, digest.of(signature, digest_algorithm), 7, pki.NOW)
        return timestamp.make_token(info, tsa, tsa.certificates)


def test_a_time_stamp_keeps_a_commit_good(repo: Repo, tmp_path: Path) -> None:
    """Signed with a certificate that ends the next day: later, only the time stamp makes it count."""
    world = pki.world()
    leaf = pki.leaf(world.issuing, "Short", until=pki.NOW + dt.timedelta(days=1))
    root = tmp_path / "root.pem"
    root.write_bytes(world.root.pem)
    later = contexts.Context(store.load([str(root)]), pki.NOW + dt.timedelta(days=30), contexts.OFF)
    name = repo.commit(signed=False)
    options = SealOptions("sha256")
    for stamper, status in ((Stamper(), Status.TRUSTED), (None, Status.REJECTED)):
        request = sign.SignRequest(leaf, leaf.certificates, pki.NOW, options, stamper, "git")
        verdict = judged(repo, signing.sign_object(opened(repo), name, request), later)
        assert verdict.status is status
        assert [seal.signed_at for seal in verdict.seals] == [pki.NOW if stamper else None]


def test_a_certificate_for_something_else_does_not_sign(repo: Repo) -> None:
    leaf = pki.leaf(pki.world().issuing, "Mail", purposes=(ExtendedKeyUsageOID.EMAIL_PROTECTION,))
    request = sign.SignRequest(leaf, leaf.certificates, pki.NOW, SealOptions("sha256"), format_name="git")
    with pytest.raises(RefusedError):
        signing.sign_object(opened(repo), repo.commit(signed=False), request)
