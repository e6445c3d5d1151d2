"""Blocklists: chopmark's text and App Control policies in XML, read and then asked."""

from collections.abc import Iterable

from chopmark.envelopes import x509
from chopmark.trust.blocklists import app_control, blocklist
from tests.support import drivers, pki, probing

_WORLD = pki.world()
_FACTS = app_control.Facts({"OriginalFilename": "driver.sys"}, (1, 2, 3, 4), kernel=True)
_SIGNATURE = app_control.Signature({"sha1": frozenset({bytes(20)})}, "Example", "Example CA", frozenset(), "x")
_RULES = (
    '<Deny ID="ID_DENY_1" FriendlyName="a" Hash="94F7575A6BB378D0CF85B3DC65941C95415E7A80"/>'
    '<Deny ID="ID_DENY_2" FileName="driver.sys" MinimumFileVersion="1.0.0.0" MaximumFileVersion="2.0.0.0"/>'
    '<FileAttrib ID="ID_FILEATTRIB_1" FileName="driver.sys" MinimumFileVersion="1.2.3.4"/>'
)
_DENIED = '<DeniedSigner SignerId="ID_SIGNER_1"><ExceptAllowRule AllowRuleID="ID_ALLOW_ALL_1"/></DeniedSigner>'


def seeds() -> Iterable[bytes]:
    conditions = '<CertPublisher Value="Example"/><CertOemID Value="x"/><FileAttribRef RuleID="ID_FILEATTRIB_1"/>'
    signer = drivers.signer("00" * 20, conditions)
    yield drivers.policy(_RULES, signer, [_DENIED], ["ID_DENY_1", "ID_DENY_2"])
    yield (
        b"chopmark-blocklist 1\ndate 2026-06-20\n# a\ncertificate sha256:" + b"ab" * 32 + b" why\n"
        b"tbs sha1:" + b"cd" * 20 + b"\nissuer-serial 01ab CN=Example Issuing, O=Example Mint\n"
    )
    yield b'<!DOCTYPE SiPolicy [<!ENTITY a "b">]><SiPolicy xmlns="urn:schemas-microsoft-com:sipolicy">&a;</SiPolicy>'


def run(data: bytes) -> None:
    probing.clearly(lambda: ask(blocklist.parse(data, "list.txt", pki.NOW)))


def ask(read: blocklist.Blocklist) -> None:
    certificates = [x509.certificate(raw) for raw in _WORLD.signer.certificates]
    blocklist.certificate_findings([read], certificates)
    blocklist.file_findings([read], [blocklist.Named("file", "sha256", bytes(32))])
    assert read.stale(pki.NOW) is None or read.as_of != pki.NOW
    if read.policy is not None:
        app_control.names_of(read.policy, _FACTS)
        app_control.signers_of(read.policy, _FACTS, _SIGNATURE, [("sha1", bytes(20))])
