"""A Windows driver to block: distlib's launcher, which has a version resource, made native; and policies about it."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from chopmark.core.artifact import Artifact
from chopmark.formats.pe import image

if TYPE_CHECKING:
    from collections.abc import Sequence

_SUBSYSTEM = 68
"""Bytes behind the beginning of the optional header."""
_NATIVE = 1


@cache
def launcher(name: str = "w64.exe") -> bytes:
    """A real PE image whose version resource says OriginalFilename w64.exe and version 1.1.0.14."""
    spec = importlib.util.find_spec("distlib")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name(name).read_bytes()


@cache
def driver() -> bytes:
    """The same as a driver: its subsystem is the native one."""
    data = bytearray(launcher())
    at = image.read(Artifact.from_bytes(bytes(data)).view).checksum - 64 + _SUBSYSTEM
    data[at : at + 2] = _NATIVE.to_bytes(2, "little")
    return bytes(data)


def policy(
    rules: str = "",
    signers: str = "",
    denied: Sequence[str] = (),
    referred: Sequence[str] = (),
    *,
    scenario: str = "131",
) -> bytes:
    """An App Control policy in the form of Microsoft's list of vulnerable drivers."""
    denied_signers = "".join(f'<DeniedSigner SignerId="{each}"/>' if "<" not in each else each for each in denied)
    references = "".join(f'<FileRuleRef RuleID="{each}"/>' for each in referred)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<SiPolicy xmlns="urn:schemas-microsoft-com:sipolicy">
  <VersionEx>10.0.0.1</VersionEx>
  <PlatformID>{{2E07F7E4-194C-4D20-B7C9-6F44A6C5A234}}</PlatformID>
  <Rules><Rule><Option>Enabled:Unsigned System Integrity Policy</Option></Rule></Rules>
  <!--EKUS-->
  <EKUs><EKU ID="ID_EKU_SIGNING" Value="010A2B0601040182370A0306"/>
    <EKU ID="ID_EKU_CODE" Value="01082B06010505070303"/></EKUs>
  <FileRules>
    <Allow ID="ID_ALLOW_ALL_1" FriendlyName="" FileName="*" />
    {rules}
  </FileRules>
  <Signers>{signers}</Signers>
  <SigningScenarios>
    <SigningScenario Value="{scenario}" ID="ID_SIGNINGSCENARIO_1" FriendlyName="Signers of known vulnerable drivers">
      <ProductSigners>
        <DeniedSigners>{denied_signers}</DeniedSigners>
        <FileRulesRef><FileRuleRef RuleID="ID_ALLOW_ALL_1"/>{references}</FileRulesRef>
      </ProductSigners>
    </SigningScenario>
    <SigningScenario Value="12" ID="ID_SIGNINGSCENARIO_WINDOWS"><ProductSigners /></SigningScenario>
  </SigningScenarios>
  <UpdatePolicySigners /><CiSigners /><HvciOptions>0</HvciOptions>
  <Settings><Setting Provider="PolicyInfo" Key="Information" ValueName="Name">
    <Value><String>Example Driver Policy</String></Value></Setting></Settings>
  <PolicyTypeID>{{A244370E-44C9-4C06-B551-F6016E563076}}</PolicyTypeID>
</SiPolicy>
""".encode()


def signer(tbs: str, conditions: str = "", *, identifier: str = "ID_SIGNER_1") -> str:
    """A Signer element: the hex of a TBS digest, and further conditions."""
    return f'<Signer ID="{identifier}" Name="Example CA"><CertRoot Type="TBS" Value="{tbs}"/>{conditions}</Signer>'


def tbs(der: bytes, algorithm: str = "sha256") -> str:
    """The TBS digest of a certificate."""
    from chopmark.envelopes import x509

    return hashlib.new(algorithm, x509.Certificate(der).tbs, usedforsecurity=False).hexdigest().upper()
