"""What can be right or wrong with the signature of a git object, and with the repository that it comes from."""

from __future__ import annotations

from chopmark.core.reasons import INFO, NO, OK, UNKNOWN, Reason

_GET_ANEW = "Fetch the object anew from a repository that you trust."
_SIGN_ANEW = "Have it made and signed anew with git."
_HIDING = ("T1195.001", "T1036.001")
_COMMIT = "gitformat-signature(5)"
_PUSH = "git-receive-pack(1), gitprotocol-pack(5)"

# In an object
PLACED = Reason("git.placed", OK, "The signature is where git looks for it, and covers all the rest.", cites=_COMMIT)
FORM = Reason(
    "git.form",
    NO,
    "The object is not as git writes it, so that git and others may read it in different ways.",
    _SIGN_ANEW,
    "git-fsck(1), gitformat-signature(5)",
    _HIDING,
)
TWICE = Reason(
    "git.twice",
    NO,
    "There is more than one signature, or what looks like one: which part is signed depends on who reads it.",
    _SIGN_ANEW,
    _COMMIT,
    _HIDING,
)
SMUGGLED = Reason(
    "git.smuggled",
    NO,
    "A header is called almost like a signature: git leaves it out of what is signed, so anybody could add it.",
    _GET_ANEW,
    _COMMIT,
    _HIDING,
)
OTHER_HASH = Reason(
    "git.other_hash",
    UNKNOWN,
    "There is a signature over this object as it would be with the other hash, which could not be checked here.",
    "Verify it in a repository of that hash.",
    "gitformat-signature(5), hash-function-transition",
    _HIDING,
)
NUL = Reason(
    "git.nul",
    NO,
    "There is a NUL in it, at which git ends to show what nevertheless is signed.",
    _SIGN_ANEW,
    "git-fsck(1): nulInCommit, nulInHeader",
    _HIDING,
)
ENCODING = Reason(
    "git.encoding",
    INFO,
    "The message is said to be in another encoding than UTF-8: git shows it converted, and what is signed is not.",
    cites="git-commit(1), DISCUSSION",
)
LOOSE = Reason("git.loose", INFO, "There is an empty line behind the signature, which nobody signed.", cites=_COMMIT)
CLAIM = Reason(
    "git.claim", INFO, "Who made it and when is what the object says of itself: no trusted time, and no proven name."
)
SHA1 = Reason(
    "git.sha1",
    INFO,
    "What it refers to (files, earlier commits) is named by SHA-1, of which collisions can be made.",
    "Keep the repository with SHA-256 (git init --object-format=sha256).",
    "hash-function-transition; NIST SP 800-131A r2 clause 9",
    ("T1195.001",),
)
CONTENT = Reason(
    "git.content",
    NO,
    "The CMS signature brings a content of its own along, or is over something else than data.",
    _SIGN_ANEW,
    "RFC 5652 clauses 4 and 5.2",
    _HIDING,
)
MESSAGE = Reason(
    "git.message",
    NO,
    "There is armour of a kind that is no detached signature.",
    _SIGN_ANEW,
    _COMMIT,
    _HIDING,
)

# Tags that a commit merged
MERGED_PARENT = Reason(
    "git.merged_parent",
    NO,
    "The tag in a merge commit is about a commit that was not merged there: it was taken from elsewhere.",
    _GET_ANEW,
    _COMMIT + ", MERGETAG",
    _HIDING,
)
MERGED_UNSIGNED = Reason(
    "git.merged_unsigned", NO, "The tag in a merge commit carries no signature.", _GET_ANEW, _COMMIT, _HIDING
)
MERGED_ONLY = Reason(
    "git.merged_only",
    NO,
    "Only a tag that was merged is signed, and not the commit that merged it.",
    "Have the merge signed, too (git merge -S).",
    _COMMIT + ", MERGETAG",
    _HIDING,
)

# In a repository
OBJECT_ID = Reason("git.object_id", OK, "The bytes are those that the object id stands for.")
OBJECT_ID_WRONG = Reason(
    "git.object_id_wrong",
    NO,
    "The bytes under this object id are not those that it stands for: the repository was tampered with or is damaged.",
    _GET_ANEW,
    "git-fsck(1)",
    ("T1195.001", "T1565.001"),
)
OBJECT_BROKEN = Reason(
    "git.object_broken",
    NO,
    "The object cannot be read: the repository was tampered with or is damaged.",
    _GET_ANEW,
    "gitformat-pack(5)",
    ("T1565.001", "T1499"),
)
OBJECT_MISSING = Reason(
    "git.object_missing",
    UNKNOWN,
    "The repository does not have the object, so that it could not be checked.",
    "Fetch it: git fetch --unshallow, or without --filter.",
)
OBJECT_KIND = Reason(
    "git.object_kind", NO, "It is not a commit or a tag: nothing else carries a signature.", "Name a commit or a tag."
)
TAG_NAME = Reason(
    "git.tag_name",
    NO,
    "The tag says that it is another one than the ref that names it: a signed tag was put in another's place.",
    "Fetch the tags anew from a repository that you trust.",
    "git-verify-tag(1); on omitting metadata in git (Torres-Arias and others, USENIX Security 2016)",
    _HIDING,
)
TAG_LIGHT = Reason(
    "git.tag_light",
    NO,
    "The tag is only a name for a commit: there is no tag object that could be signed.",
    "Have it made with git tag -s.",
    "git-tag(1)",
)
TAG_TARGET = Reason(
    "git.tag_target",
    NO,
    "What the tag names is of another type than the tag says, or is not what its id stands for.",
    _GET_ANEW,
    "git-fsck(1)",
    _HIDING,
)
REPLACED = Reason(
    "git.replaced",
    NO,
    "To people git shows another object in place of this one (refs/replace), or other parents (info/grafts): what is"
    " signed is not what they see.",
    "Remove it: git replace -d; info/grafts is an old form of the same.",
    "git-replace(1), gitrepository-layout(5)",
    _HIDING,
)
SHALLOW = Reason(
    "git.shallow",
    UNKNOWN,
    "The history ends here because the repository is shallow: what came before could not be checked.",
    "Fetch the rest: git fetch --unshallow.",
    "gitformat-shallow, git-clone(1)",
)
SUBMODULES = Reason(
    "git.submodules",
    INFO,
    "It has submodules: their commits are named by their ids, and their own signatures were not looked at.",
    "Verify each of them in its own repository.",
    "gitsubmodules(7)",
    ("T1195.001",),
)

# Pushes
PUSH_NONCE = Reason("git.push_nonce", OK, "The certificate is an answer to the nonce of this push.", cites=_PUSH)
PUSH_NONCE_WRONG = Reason(
    "git.push_nonce_wrong",
    NO,
    "The push certificate does not answer the nonce of this push: it may be an old one, pushed again by somebody else.",
    "Push again; the server needs receive.certNonceSeed.",
    _PUSH,
    _HIDING,
)
PUSH_NONCE_UNASKED = Reason(
    "git.push_nonce_unasked",
    INFO,
    "Nobody said which nonce the push was to answer: whether the certificate was used before is not known.",
    "Name it with --nonce.",
    _PUSH,
)
PUSHEE = Reason("git.pushee", OK, "The certificate is for a push to this repository.", cites=_PUSH)
PUSHEE_WRONG = Reason(
    "git.pushee_wrong",
    NO,
    "The push was signed for another repository: whoever serves that may have passed it on with the nonce of this one.",
    "Push to this repository itself, by an address that --pushee names.",
    _PUSH,
    _HIDING,
)
PUSHEE_UNASKED = Reason(
    "git.pushee_unasked",
    INFO,
    "Nobody said by which addresses this repository is pushed to: a push that was signed for another may be let in.",
    "Name them with --pushee.",
    _PUSH,
)
PUSH_UNSIGNED = Reason(
    "git.push_unsigned",
    NO,
    "The push carries no certificate.",
    "Push with git push --signed.",
    _PUSH,
    ("T1195.001",),
)
PUSH_REFS = Reason("git.push_refs", OK, "The certificate is about the refs that are to be updated.", cites=_PUSH)
PUSH_REFS_WRONG = Reason(
    "git.push_refs_wrong",
    NO,
    "The push certificate is about other updates than those that are to be made.",
    "Push again with git push --signed --atomic.",
    _PUSH,
    _HIDING,
)
