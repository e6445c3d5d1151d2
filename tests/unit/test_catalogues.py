"""Every reason is documented and named by a test, every limit is named by one; who is not is listed, with why.

The lists may only get shorter: what a test names must not be on them.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from functools import cache
from pathlib import Path

import chopmark
from chopmark.core import limits
from chopmark.core.reasons import CATALOG, Reason

ROOT = Path(__file__).resolve().parents[2]
_WORD = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_CODE = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+")

KEPT = "how much is kept to be fast: what is not kept is computed or read again, which tests of its room compare"
WAITED = "how long something waits or lasts: a test with the real value would take as long"
SAME_READER = "handed to a reader that takes any bound (read_small, a fetcher, a channel), which is tested with others"
GUARD_SIZES = "how large something is made for the kernel or a pool; more is counted, waits or is asked for again"
UNTRIED = "no test crosses it by name yet"
ELSEWHERE = "found while the tests run; they put the code together, or look at the outcome or the text"

UNNAMED_LIMITS = {
    "a unit, no limit": "KIB",
    KEPT: """
        DIGEST_STATES_MAX DETECT_HEAD NAME_KEPT_MAX EXTENSION_KEPT_MAX GIT_KEPT_MAX
        CRLS_KEPT_MAX CRL_BLOCKS_KEPT_MAX LOG_TILES_KEPT_MAX OCSP_CACHE_SIZE
        SERVER_HEAD_KEPT_MAX SERVER_HEADS_KEPT_MAX SERVER_FILES_KEPT_MAX SERVER_FILE_READ_MAX
    """,
    WAITED: """
        KMS_SECONDS CRL_RETENTION CLOCK_SYNCHRONISED_MAX CLOCK_STEP SNTP_TIMEOUT APT_FUTURE
        SERVER_PROGRESS SERVER_LINGER_SECONDS SERVER_LEAVE_SECONDS SERVER_START_SECONDS
        SERVER_RESTART_SECONDS SERVER_CLOCK_SECONDS SERVER_DUE_SECONDS
        GUARD_GRACE_SECONDS GUARD_ENTERING_NANOSECONDS GUARD_VERSIONS_SECONDS
        GUARD_WRITES_PAUSE_SECONDS GUARD_SETTLING_SECONDS GUARD_AHEAD_PAUSE
        GUARD_SWITCH_SECONDS
        GUARD_DATABASE_SECONDS GUARD_WRITING_SECONDS GUARD_SEEN_SECONDS
        GUARD_OTLP_PAUSE_MAX_SECONDS OCSP_RECHECK_SECONDS
    """,
    SAME_READER: """
        TIMESTAMP_REQUEST_MAX GIT_PACKED_REFS_MAX KEY_FILE_MAX PROFILES_FILE_MAX BLOCKED_KEYS_MAX LINT_FILE_MAX
        ISSUER_MAX SNTP_ANSWER_MAX EXPORT_MANIFEST_MAX HTTP_BODY_MAX GUARD_OTLP_ANSWER_MAX
    """,
    GUARD_SIZES: """
        GUARD_NICE GUARD_EVENTS_AT_ONCE GUARD_WRITES_AT_ONCE
        GUARD_KEPT_PARTS GUARD_DATABASE_KIB GUARD_MAYBE_BYTES GUARD_WRITES_MAX
        GUARD_ASKING_MAX GUARD_BTF_DEPTH_MAX GUARD_VERIFIER_LOG GUARD_BPF_DEVICES_MAX GUARD_BPF_PASSES_MAX
        GUARD_BPF_DIGESTS_MAX GUARD_AHEAD_MAX GUARD_AHEAD_SIZE_MAX SERVER_THREADS SERVER_WORKERS_MAX
        SERVER_GENERATIONS_MAX SEARCH_PAGE_MAX
    """,
    "thresholds of policies for keys, which tests cross with keys of 1024 and 2048 bits": "RSA_BITS_MIN RSA_BITS_DATED",
    UNTRIED: """
        OPENPGP_NAME_MAX GIT_WALK_SLOP STAMPS_MAX AGENT_MESSAGE_MAX TPM_MESSAGE_MAX
        TPM_HANDLES_MAX PROFILES_MAX CEREMONY_MAX CEREMONY_STEPS_MAX APPROVERS_MAX BACKUP_FILES_MAX
        BACKUP_LINE_MAX PATHS_TRIED_MAX SIGNATURE_CHECKS_MAX NAME_COMPARISONS_MAX CRL_INDEX_HEAD_MAX
        TSA_POLICIES_MAX SNTP_SERVERS_MAX CATALOG_PATH_MAX CATALOG_RENAMES_MAX
        CATALOG_FILES_MAX SERVICE_LINKS_MAX ZSTANDARD_WINDOW_MAX SERVER_PIPELINE_MAX SERVER_FILE_NAME_MAX
    """,
}
"""Names by why no test names them."""

UNNAMED_REASONS = {
    ELSEWHERE: """
        catalog.attributes catalog.beyond catalog.capabilities catalog.excluded catalog.kind catalog.outside
        catalog.owner catalog.sound catalog.target catalog.unreadable deb.layout dmverity.data
        dmverity.root_hash dmverity.superblock dmverity.tree efi.form elf.program elf.trailer git.object_id
        git.push_nonce git.push_refs harden.unchecked harden.ungoverned ima.signature kmod.trailer
        log.checkpoint_malformed log.continued log.first_seen log.forked log.rewritten log.tile_changed
        log.truncated module.form module.signature openpgp.signature policy.evadable policy.expired policy.expiring
        policy.uncompared policy.unreachable rpm.layout rpm.payload secureboot.certificate secureboot.digest
        secureboot.forbidden_other_digest secureboot.not_forbidden secureboot.not_valid secureboot.purpose
        secureboot.revoked_certificate secureboot.stamped_before secureboot.unreadable shim.sbat unit.broken
        unit.masked service.masquerade service.signed unit.sound
    """,
    UNTRIED: "git.encoding module.signers unit.block",
}


@cache
def sources() -> dict[Path, str]:
    """The tests, without this one."""
    paths = (ROOT / "tests").rglob("*.py")
    return {path: path.read_text() for path in paths if "vectors" not in path.parts and path != Path(__file__)}


def listed(names: dict[str, str]) -> list[str]:
    return [name for each in names.values() for name in each.split()]


def test_every_limit_is_named_by_a_test_or_it_is_said_why_not() -> None:
    named = {word for text in sources().values() for word in _WORD.findall(text)}
    declared = {name for name in vars(limits) if name.isupper() and not name.startswith("_")}
    unnamed = listed(UNNAMED_LIMITS)
    assert sorted(declared - named - set(unnamed)) == [], "write a test that crosses it"
    assert sorted(set(unnamed) - declared) == [], "there is no such limit"
    assert sorted(set(unnamed) & named) == [], "take it off the list"
    assert len(unnamed) == len(set(unnamed))


@cache
def constants() -> dict[tuple[str, str], str]:
    """The codes of reasons by module and name."""
    found = {}
    for each in pkgutil.walk_packages(chopmark.__path__, "chopmark."):
        if each.name.rpartition(".")[2] == "reasons":
            for name, value in vars(importlib.import_module(each.name)).items():
                if isinstance(value, Reason):
                    found[each.name, name] = value.code
    return found


def constants_named(text: str) -> set[str]:
    """The codes of the reasons that a module names as `reasons.NAME`, whatever it imported them as, or imports."""
    tree = ast.parse(text)
    modules: dict[str, str] = {}
    pairs: set[tuple[str, str]] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                modules[each.asname or each.name] = f"{node.module}.{each.name}"
                pairs.add((node.module, each.name))
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            pairs.add((modules.get(node.value.id, ""), node.attr))
    return {code for pair in pairs if (code := constants().get(pair))}


def test_every_reason_is_named_by_a_test_or_it_is_said_why_not() -> None:
    known = set(constants().values())  # other tests of this process may have put their own into the catalogue
    assert known <= CATALOG.keys()
    laws = [path.read_text() for path in (ROOT / "tests").rglob("*.toml")]
    named = {code for text in (*sources().values(), *laws) for code in _CODE.findall(text)}
    named |= {code for text in sources().values() if "reasons" in text for code in constants_named(text)}
    # What is wrong with some vectors is in their names.
    named |= {f"{path.parent.name}.{path.stem.split('-')[1]}" for path in ROOT.glob("tests/vectors/*/*-*")}
    unnamed = listed(UNNAMED_REASONS)
    assert sorted(known - named - set(unnamed)) == [], "write a test in which it is found"
    assert sorted(set(unnamed) - known) == [], "there is no such reason"
    assert sorted(set(unnamed) & named) == [], "take it off the list"


def test_every_reason_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "reasons.md").read_text()
    assert [code for code in constants().values() if f"`{code}`" not in page] == []
