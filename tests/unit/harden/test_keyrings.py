"""IMA and IPE: whose key goes into the ring, what refuses an export, and what the kernel is told."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest

from chopmark.core.errors import RefusedError, UsageError
from chopmark.harden import ima, ipe, reasons
from chopmark.harden.contract import Export, WiderError
from chopmark.harden.material import Material
from tests.support import hardening
from tests.support.hardening import IDENTITIES, SEALS, request
from tests.support.policies import DIGESTS, NOW

if TYPE_CHECKING:
    from chopmark.harden.contract import Exporter
    from chopmark.policy.language import PolicyFile

CORP: dict[str, Any] = {"action": "allow", "store": "corp"}
BACKENDS = [ima.BACKEND, ipe.BACKEND]
A, B, AGAIN = IDENTITIES


def export(backend: Exporter, rules: list[dict[str, Any]], **more: Any) -> Export:  # noqa: ANN401 - fields of Request
    return backend.export(request(rules, **more))


def keys(made: Export) -> set[bytes]:
    return {each.data for each in made.files if each.path.startswith("keys/")}


def code_of(made: Export | WiderError, line: int) -> str:
    [found] = [each.code for each in made.findings if each.subject == f"p.toml:{line}"]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signer_whom_a_rule_allows_is_in_the_ring(backend: Exporter) -> None:
    made = export(backend, [CORP], material=Material((A, B)))
    assert keys(made) == {A.certificate.raw, B.certificate.raw}
    assert code_of(made, 6) == reasons.NARROWED.code
    made = export(backend, [{"action": "allow", "signer": DIGESTS[1]}], material=Material((A, B)))
    assert keys(made) == {B.certificate.raw}
    out = [each for each in made.findings if each.code == reasons.SIGNER_OUT.code and "op=" not in each.subject]
    assert [each.subject for each in out] == ["CN=A"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_key_is_one_signer_whatever_its_certificates(backend: Exporter) -> None:
    """A signature names the key; by the other certificate the same file would not be allowed."""
    made = export(backend, [CORP])
    assert keys(made) == {B.certificate.raw}


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_is_not_believed_is_not_in_the_ring(backend: Exporter) -> None:
    doubtful = hardening.identity(SEALS[0], problem="path.expired")
    weak = hardening.identity(SEALS[1], "ed25519")
    with pytest.raises(WiderError) as caught:
        export(backend, [CORP], material=Material((doubtful, weak)))
    assert reasons.EMPTY.code in {each.code for each in caught.value.findings}
    assert "path.expired" in {each.detail for each in caught.value.findings}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "denial",
    [
        {"digest": DIGESTS[0]},
        {"path": "/opt/**"},
        {"product": "tool", "below": "2.0"},
        {"catalog": "/etc/*.catalog"},
        {"user": "eve"},
        {"format": "pe"},
        {},
    ],
)
def test_a_denial_that_the_kernel_cannot_say_refuses_the_export(backend: Exporter, denial: dict[str, Any]) -> None:
    rules = [CORP, {"action": "deny", **denial}]
    with pytest.raises(WiderError) as caught:
        export(backend, rules, material=Material((A, B)))
    assert code_of(caught.value, 10) == reasons.WIDER.code
    made = export(backend, rules, material=Material((A, B)), left_out=frozenset({"p.toml:10"}))
    assert code_of(made, 10) == reasons.LEFT_OUT.code


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_denied_signer_leaves_the_ring(backend: Exporter) -> None:
    rules = [CORP, {"action": "deny", "signer": DIGESTS[0]}]
    made = export(backend, rules, material=Material((A, B)))
    assert (keys(made), code_of(made, 10)) == ({B.certificate.raw}, reasons.EXACT.code)
    rules[1] |= {"path": "/opt/**"}
    made = export(backend, rules, material=Material((A, B)))
    assert (keys(made), code_of(made, 10)) == ({B.certificate.raw}, reasons.NARROWED.code)
    made = export(backend, [CORP, {"action": "deny", "signer": DIGESTS[5]}], material=Material((A, B)))
    assert code_of(made, 10) == reasons.IDLE.code


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_denial_by_verdict_changes_nothing_for_signed_files(backend: Exporter) -> None:
    rules = [CORP, {"action": "deny", "status": ["unsigned", "rejected"]}]
    assert code_of(export(backend, rules, material=Material((A, B))), 10) == reasons.IDLE.code


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rule_that_binds_to_more_takes_its_signers_out(backend: Exporter) -> None:
    """Without its requirement the wider rule would let through what it keeps back."""
    bound = {"action": "allow", "signer": DIGESTS[0], "require": {"timestamp": True}}
    made = export(backend, [CORP, bound], material=Material((A, B)))
    assert (keys(made), code_of(made, 10)) == ({B.certificate.raw}, reasons.NARROWED.code)
    bound = {"action": "allow", "product": "tool", "require": {"min-version": "2.0"}}
    with pytest.raises(WiderError):
        export(backend, [CORP, bound], material=Material((A, B)))
    made = export(backend, [{**CORP, "require": {"timestamp": True}}, {"action": "allow", "signer": DIGESTS[1]}])
    assert (keys(made), code_of(made, 6)) == ({B.certificate.raw}, reasons.DROPPED.code)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("more", [{"digest": DIGESTS[0]}, {"path": "/opt/**"}, {"product": "tool"}, {"format": "pe"}])
def test_a_rule_about_some_files_lets_nobody_sign_others(backend: Exporter, more: dict[str, Any]) -> None:
    made = export(backend, [{**CORP, **more}, {"action": "allow", "signer": DIGESTS[1]}], material=Material((A, B)))
    assert (keys(made), code_of(made, 6)) == ({B.certificate.raw}, reasons.DROPPED.code)


@pytest.mark.parametrize("backend", BACKENDS)
def test_uses_have_one_ring(backend: Exporter) -> None:
    rules = [{**CORP, "use": ["exec", "library"]}, {"action": "allow", "signer": DIGESTS[1], "use": "script"}]
    made = export(backend, rules, material=Material((A, B)), uses=frozenset({"exec", "script"}))
    assert keys(made) == {B.certificate.raw}
    made = export(backend, rules, material=Material((A, B)), uses=frozenset({"exec"}))
    assert keys(made) == {A.certificate.raw, B.certificate.raw}


def test_ipe_denies_modules_by_somebody_else_and_ima_refuses() -> None:
    rules = [{**CORP, "use": "exec"}, {"action": "allow", "signer": DIGESTS[1], "use": "module"}]
    more = {"material": Material((A, B)), "uses": frozenset({"exec", "module"})}
    text = export(ipe.BACKEND, rules, **more).files[0].data.decode()
    assert "op=EXECUTE fsverity_signature=TRUE action=ALLOW" in text
    assert "DEFAULT op=KMODULE action=DENY" in text
    assert "op=KMODULE fsverity" not in text
    assert keys(export(ima.BACKEND, rules, **more)) == {B.certificate.raw}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rule_that_ends_needs_somebody_who_exports_anew(backend: Exporter) -> None:
    ends = {**CORP, "expires": NOW + dt.timedelta(days=30)}
    with pytest.raises(WiderError):
        export(backend, [ends], material=Material((A, B)))
    with pytest.raises(WiderError):
        export(backend, [ends], material=Material((A, B)), until=NOW + dt.timedelta(days=31))
    assert export(backend, [ends], material=Material((A, B)), until=NOW + dt.timedelta(days=30))
    gone = {**CORP, "expires": NOW}
    made = export(backend, [CORP, gone], material=Material((A, B)))
    assert code_of(made, 10) == reasons.EXPIRED.code


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_demands_revocation_gets_no_kernel_that_does_not_ask(backend: Exporter) -> None:
    with pytest.raises(WiderError):
        export(backend, [{**CORP, "require": {"revocation": "require"}}], material=Material((A, B)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_policy_that_only_tells_is_said_to_be_enforced(backend: Exporter) -> None:
    made = backend.export(request([CORP], mode="audit", material=Material((A, B))))
    assert reasons.MODE.code in {each.code for each in made.findings}


def test_ima_is_told_rule_by_rule() -> None:
    made = export(ima.BACKEND, [CORP], material=Material((A,)), uses=frozenset({"exec", "module"}))
    rules = [line for line in made.files[0].data.decode().splitlines() if not line.startswith("#")]
    assert rules == [
        "appraise func=BPRM_CHECK appraise_type=imasig",
        "appraise func=MODULE_CHECK appraise_type=imasig",
    ]
    loader = made.files[1]
    assert loader.executable
    assert loader.data.count(b"keyctl padd asymmetric") == 1
    options = {"verity": "", "fsuuid": "B9C1D2F0-5A67-4F0E-9C4E-31D5F1A0C001", "keyring": "_ima", "kexec": ""}
    made = export(ima.BACKEND, [CORP], material=Material((A,)), uses=frozenset({"exec"}), options=options)
    rules = made.files[0].data.decode().splitlines()[1:]
    assert rules == [
        "appraise func=BPRM_CHECK fsuuid=b9c1d2f0-5a67-4f0e-9c4e-31d5f1a0c001 digest_type=verity appraise_type=sigv3",
        "appraise func=KEXEC_KERNEL_CHECK appraise_type=imasig",
        "appraise func=KEXEC_INITRAMFS_CHECK appraise_type=imasig",
    ]
    assert b"keyctl newring _ima" in made.files[1].data
    for wrong in ({"fsuuid": "mine"}, {"keyring": "other"}):
        with pytest.raises(UsageError):
            export(ima.BACKEND, [CORP], material=Material((A,)), options=wrong)


def test_ipe_says_who_and_which_version() -> None:
    asked = request([CORP], material=Material((A,)), uses=frozenset({"exec"}))
    main: PolicyFile = asked.policy.main._replace(name="Build Hosts 2", version=3 * 65536**2 + 2 * 65536 + 1)
    asked = asked._replace(policy=asked.policy._replace(files=(main,)))
    lines = ipe.BACKEND.export(asked).files[0].data.decode().splitlines()
    assert lines[0] == "policy_name=build-hosts-2 policy_version=3.2.1"
    assert lines[2:] == [
        "DEFAULT action=ALLOW",
        "DEFAULT op=EXECUTE action=DENY",
        "op=EXECUTE fsverity_signature=TRUE action=ALLOW",
    ]
    late = asked._replace(policy=asked.policy._replace(files=(main._replace(version=2**48),)))
    with pytest.raises(RefusedError):
        ipe.BACKEND.export(late)


def test_what_ipe_allows_besides_is_told() -> None:
    digest = "sha256:" + "ab" * 32
    options = {"boot-verified": "", "root-hash": digest, "dmverity-signature": "", "firmware": ""}
    made = export(ipe.BACKEND, [CORP], material=Material((A,)), uses=frozenset({"exec"}), options=options)
    text = made.files[0].data.decode()
    for each in ("boot_verified=TRUE", f"dmverity_roothash={digest}", "dmverity_signature=TRUE"):
        assert f"op=EXECUTE {each} action=ALLOW" in text
        assert f"op=FIRMWARE {each} action=ALLOW" in text
    assert [each.code for each in made.findings].count(reasons.ADDED.code) == 3
    with pytest.raises(UsageError):
        export(ipe.BACKEND, [CORP], material=Material((A,)), options={"root-hash": "sha256:12"})


def test_ipe_is_signed_where_there_is_a_key() -> None:
    made = export(ipe.BACKEND, [CORP], material=Material((A,)), signing=lambda body: b"signed " + body)
    files = {each.path: each.data for each in made.files}
    assert files["ipe-policy.p7b"] == b"signed " + files["ipe-policy"]
