"""Linux IPE: what is executed needs fs-verity: a signature by a key in the kernel's ring, or a digest that is named.

The first rule that fits decides (Documentation/admin-guide/LSM/ipe.rst). A policy has a name and a version that the
kernel does not let fall, and is taken only when somebody signed it whom the kernel's own rings know.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.counting import counted
from chopmark.core.errors import UsageError
from chopmark.harden import kernel_keys, keyrings, listing, naming, reasons
from chopmark.harden.contract import Degree, Export, Exporter, File, WiderError, exact, partly, scope
from chopmark.policy.facts import EXEC, LIBRARY, MODULE, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Capability, Request
    from chopmark.harden.keyrings import Ring
    from chopmark.harden.listing import Listing
    from chopmark.harden.material import Identity

_LANES = {"EXECUTE": (EXEC, LIBRARY, SCRIPT), "KMODULE": (MODULE,)}
"""Operations and the kinds of use that each is asked about."""
_MORE = {"firmware": ("FIRMWARE",), "kexec": ("KEXEC_IMAGE", "KEXEC_INITRAMFS"), "policy": ("POLICY",)}
_ROOT_HASH = re.compile(r"(sha256|sha384|sha512):([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})")
_DIFFERENT = {
    "validity of certificates": "a key counts as long as it is in the ring .fs-verity",
    "revocation": "a key is revoked by an export without it, and a restart",
    "scripts": "executed ones, and those about which interpreters ask (Linux 6.14); sh FILE is not seen",
    "other signatures": "it looks at fs-verity's built-in signature alone, and not at other signatures that a file has",
}


class Ipe:
    """Integrity Policy Enforcement, by fs-verity signatures."""

    name = "ipe"
    title = "Linux IPE"
    governs = frozenset(kind for kinds in _LANES.values() for kind in kinds)
    options: Mapping[str, str] = {
        "boot-verified": "what is in the initrd that was started counts, whoever signed it",
        "root-hash": "what is on the dm-verity volume with this root hash counts (ALGORITHM:HEX, sha256:...)",
        "dmverity-signature": "what is on any volume counts whose root hash somebody signed whom the kernel knows",
        "firmware": "firmware needs the same",
        "kexec": "kernels and initrds for kexec need the same",
        "policy": "policies for IMA and the like need the same",
    }

    def capabilities(self) -> dict[str, Capability]:
        """A ring of keys, operations, versions that do not fall, and files at hand by their fs-verity digest."""
        return kernel_keys.capabilities(
            "a policy",
            (EXEC, LIBRARY, MODULE),
            use_script=partly(Degree.EXACT, Degree.WIDER, "executed, or asked about (Linux 6.14); sh FILE is not seen"),
            digest=partly(
                Degree.NARROWER, Degree.WIDER, "files at hand, by fs-verity digest; a salt makes another one"
            ),
            mode_audit=exact("enforce in securityfs is 0"),
            policy_signed=exact("the kernel takes no other"),
            policy_rollback=exact("the kernel refuses older ones (ESTALE) until it starts again"),
        )

    def export(self, request: Request) -> Export:
        """The policy as text, and signed where there is a key; the certificates for the ring."""
        lanes = _lanes(request, self.governs)
        ring = keyrings.sift(request, self.capabilities(), [kind for kinds in lanes.values() for kind in kinds])
        signers = {lane: ring.common(kinds) for lane, kinds in lanes.items()}
        keys = next((held for held in signers.values() if held), frozenset())
        listed = listing.listed(request, [kind for kinds in lanes.values() for kind in kinds])
        files = {lane: listed.common(kinds) for lane, kinds in lanes.items()}
        findings = [*_with_files(request, ring, listed), *_signers(request, ring, keys), *_differences(signers, keys)]
        added = list(_added(request.options))
        findings += scope(request, self)
        findings += [reasons.ADDED.found(detail) for detail, _ in added]
        if not (keys or any(files.values())):
            findings.append(reasons.EMPTY.found(", ".join(lanes)))
        if any(each.outcome == "no" for each in findings):
            raise WiderError(findings)
        digests = {lane: [f"fsverity_digest=sha256:{each.verity.hex()}" for each in of] for lane, of in files.items()}
        text = _policy(request, signers, keys, [rule for _, rule in added], digests).encode()
        written = [File("ipe-policy", text)]
        if request.signing is not None:
            written.append(File("ipe-policy.p7b", request.signing(text)))
        return Export((*written, *kernel_keys.key_files(keys)), tuple(findings))


def _lanes(request: Request, governs: frozenset[str]) -> dict[str, list[str]]:
    wanted = request.uses & governs if request.uses else governs
    found = {lane: [kind for kind in kinds if kind in wanted] for lane, kinds in _LANES.items()}
    return {lane: kinds for lane, kinds in found.items() if kinds}


def _with_files(request: Request, ring: Ring, listed: Listing) -> Iterator[Finding]:
    """What became of the rules, of which some allow files at hand although the ring cannot say them."""
    for rule, finding in zip(request.rules, ring.findings, strict=True):
        count = listed.by.get(rule.number, 0)
        if count and finding.code == reasons.DROPPED.code:
            yield reasons.NARROWED.found(f"{counted(count, 'file')} at hand", subject=finding.subject)
        else:
            yield finding


def _signers(request: Request, ring: Ring, keys: frozenset[Identity]) -> Iterator[Finding]:
    some = frozenset[object]().union(*ring.signers.values())
    why = "not for all of these uses, for which there is one ring" if some else "no rule allows it here"
    yield from kernel_keys.signer_findings(request.material.identities, keys, why)


def _differences(signers: Mapping[str, frozenset[Identity]], keys: frozenset[Identity]) -> Iterator[Finding]:
    for subject, detail in _DIFFERENT.items():
        yield reasons.UNCHECKED.found(detail, subject=subject)
    for lane, held in signers.items():
        if not keys <= held:
            yield reasons.SIGNER_OUT.found("somebody is in the ring who is not allowed for it", subject=f"op={lane}")


def _added(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What was asked for besides: in words, and as a property."""
    if "boot-verified" in options:
        yield "what is in the initrd", "boot_verified=TRUE"
    if "dmverity-signature" in options:
        yield "volumes whose root hash somebody signed whom the kernel knows", "dmverity_signature=TRUE"
    if "root-hash" in options:
        digest = options["root-hash"].lower()
        if not _ROOT_HASH.fullmatch(digest):
            raise UsageError(f"root-hash: sha256: and hex digits, not {options['root-hash']!r}")
        yield f"the volume {digest}", f"dmverity_roothash={digest}"


def _policy(
    request: Request,
    signers: Mapping[str, frozenset[Identity]],
    keys: frozenset[Identity],
    added: list[str],
    digests: Mapping[str, list[str]],
) -> str:
    """What is not named stays allowed; each operation that is named is denied but for what follows."""
    more = [operation for name in _MORE if name in request.options for operation in _MORE[name]]
    lines = [f"policy_name={naming.slug(request.policy.main.name)} policy_version={naming.version(request.policy, 3)}"]
    lines += [f"# {naming.about(request.policy)}", "DEFAULT action=ALLOW"]
    lines += [f"DEFAULT op={operation} action=DENY" for operation in (*signers, *more)]
    for operation in (*signers, *more):
        lines += [f"op={operation} {each} action=ALLOW" for each in (*added, *digests.get(operation, ()))]
        if keys and keys <= signers.get(operation, keys):
            lines.append(f"op={operation} fsverity_signature=TRUE action=ALLOW")
    return "\n".join((*lines, ""))


BACKEND: Exporter = Ipe()
