"""Linux IMA-appraise: what is executed, mapped or loaded as a module needs a signature by a key in the kernel's ring.

Rules of IMA ask for signatures; what no rule asks about is allowed. So each hook that the export is about gets a rule,
and the ring of keys has only those whose files may be used at all of them (Documentation/ABI/testing/ima_policy).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from chopmark.core.errors import UsageError
from chopmark.harden import kernel_keys, keyrings, naming, reasons
from chopmark.harden.contract import Degree, Export, Exporter, File, WiderError, exact, partly, scope, unable
from chopmark.policy.facts import EXEC, LIBRARY, MODULE, SCRIPT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chopmark.core.finding import Finding
    from chopmark.harden.contract import Capability, Request

_HOOKS = {EXEC: "BPRM_CHECK", LIBRARY: "MMAP_CHECK", MODULE: "MODULE_CHECK", SCRIPT: "BPRM_CHECK"}
_MORE = {
    "firmware": ("FIRMWARE_CHECK",),
    "kexec": ("KEXEC_KERNEL_CHECK", "KEXEC_INITRAMFS_CHECK"),
    "policy": ("POLICY_CHECK",),
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_RINGS = (".ima", "_ima")
_DIFFERENT = {
    "validity of certificates": "a key counts as long as it is in the ring",
    "revocation": "a key is revoked by an export without it, and a restart",
    "scripts": "executed ones, and those about which interpreters ask (Linux 6.14); sh FILE is not seen",
    "other signatures": "it looks at security.ima alone, and not at other signatures that a file has",
}


class Ima:
    """IMA-appraise, by keyring."""

    name = "ima"
    title = "Linux IMA-appraise"
    governs = frozenset(_HOOKS)
    options: Mapping[str, str] = {
        "verity": "signatures are over fs-verity digests (sigv3, Linux 5.19 or later), not over files",
        "fsuuid": "only what lies on the file system with this UUID is asked about",
        "keyring": ".ima, whose keys a built-in key must have signed (default), or _ima, into which root puts any",
        "firmware": "firmware has to be signed as well",
        "kexec": "kernels and initrds for kexec have to be signed as well",
        "policy": "policies for IMA itself have to be signed as well",
    }

    def capabilities(self) -> dict[str, Capability]:
        """A ring of keys, and hooks."""
        return kernel_keys.capabilities(
            "a ring",
            (EXEC, LIBRARY, MODULE),
            use_script=partly(Degree.EXACT, Degree.WIDER, "executed, or asked about (Linux 6.14); sh FILE is not seen"),
            mode_audit=exact("ima_appraise=log among the kernel's options"),
            policy_signed=partly(
                Degree.WIDER, Degree.WIDER, "later ones with the option policy; root writes the first"
            ),
            policy_rollback=unable("written once at each start, whichever version it is"),
        )

    def export(self, request: Request) -> Export:
        """A policy, the certificates for the ring, and a loader that writes one rule at a time."""
        options = _options(request)
        kinds = sorted(request.uses & self.governs if request.uses else self.governs)
        ring = keyrings.sift(request, self.capabilities(), kinds)
        keys = ring.common(kinds)
        some = frozenset[object]().union(*ring.signers.values())
        why = "not for all of these uses, for which there is one ring" if some else "no rule allows it here"
        findings = [*ring.findings, *kernel_keys.signer_findings(request.material.identities, keys, why)]
        findings += [*scope(request, self), *_differences(options)]
        if not keys:
            findings.append(reasons.EMPTY.found(", ".join(kinds)))
        if any(each.outcome == "no" for each in findings):
            raise WiderError(findings)
        certificates = kernel_keys.key_files(keys)
        files = (
            File("ima-policy", _policy(request, kinds, options).encode()),
            File("load-ima-policy", _loader(certificates, options["keyring"]).encode(), executable=True),
            *certificates,
        )
        return Export(files, tuple(findings))


def _options(request: Request) -> dict[str, str]:
    found = dict(request.options)
    if "fsuuid" in found and not _UUID.fullmatch(found["fsuuid"].lower()):
        raise UsageError(f"fsuuid: a UUID, not {found['fsuuid']!r}")
    ring = found.setdefault("keyring", _RINGS[0])
    if ring not in _RINGS:
        raise UsageError(f"keyring: {' or '.join(_RINGS)}, not {ring!r}")
    return found


def _differences(options: Mapping[str, str]) -> Iterator[Finding]:
    for subject, detail in _DIFFERENT.items():
        yield reasons.UNCHECKED.found(detail, subject=subject)
    if "fsuuid" in options:
        yield reasons.UNCHECKED.found(f"all but {options['fsuuid'].lower()}", subject="other file systems")


def _policy(request: Request, kinds: list[str], options: Mapping[str, str]) -> str:
    where = f" fsuuid={options['fsuuid'].lower()}" if "fsuuid" in options else ""
    how = "digest_type=verity appraise_type=sigv3" if "verity" in options else "appraise_type=imasig"
    lines = [f"# {naming.about(request.policy)}"]
    lines += [f"appraise func={hook}{where} {how}" for hook in sorted({_HOOKS[kind] for kind in kinds})]
    # These read files that have no fs-verity as a rule, wherever they come from.
    lines += [f"appraise func={hook} appraise_type=imasig" for name in _MORE if name in options for hook in _MORE[name]]
    return "\n".join((*lines, ""))


def _loader(certificates: list[File], ring: str) -> str:
    """The kernel takes one rule with each write(), and the policy with the last close() of a file opened once."""
    found = "keyring=$(keyctl search @u keyring _ima 2>/dev/null || keyctl newring _ima @u)"
    if ring == _RINGS[0]:
        found = 'keyring=$(awk \'$8 == "keyring" && $9 == ".ima:" { print "0x" $1 }\' /proc/keys)'
    adding = "\n".join(f'keyctl padd asymmetric "" "$keyring" <"$here/{each.path}" >/dev/null' for each in certificates)
    return f"""#!/bin/sh
# Puts the keys into the kernel's ring and the rules into force, until the next start. Run it as root, early.
set -eu
here=$(dirname "$0")
{found}
[ -n "$keyring" ]
{adding}
exec 3>/sys/kernel/security/ima/policy
while IFS= read -r rule; do
    case $rule in '#'* | '') continue ;; esac
    printf '%s\\n' "$rule" >&3
done <"$here/ima-policy"
exec 3>&-
"""


BACKEND: Exporter = Ima()
