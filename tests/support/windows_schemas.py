"""The structure that Windows wants of AppLocker policies and of App Control's, from Microsoft's documentation.

Not Microsoft's own XSD files, which are not ours to keep: where CHOPMARK_WINDOWS_SCHEMAS names a folder with them,
every document is held against those as well, by lxml if somebody has installed it (docs/reference/harden.md).
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Iterator

_MICROSOFTS = os.environ.get("CHOPMARK_WINDOWS_SCHEMAS", "")
"""Read now: tests run without the variables of whoever runs them."""
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
VERSION = re.compile(r"\*|([0-9]{1,5}\.){3}[0-9]{1,5}")
HASH = re.compile(r"0x[0-9A-F]{64}")
_RULE = {"Id", "Name", "Description", "UserOrGroupSid", "Action"}
_CONDITIONS = {
    "FilePublisherRule": ("FilePublisherCondition", {"PublisherName", "ProductName", "BinaryName"}),
    "FilePathRule": ("FilePathCondition", {"Path"}),
    "FileHashRule": ("FileHashCondition", set[str]()),
}


def _microsofts(name: str, data: bytes) -> None:
    if _MICROSOFTS:
        etree = import_module("lxml.etree")
        etree.XMLSchema(etree.parse(f"{_MICROSOFTS}/{name}")).assertValid(etree.fromstring(data))


def applocker(data: bytes) -> None:
    """AppIdPolicy: collections, each once; rules with unique identifiers; one condition in each."""
    _microsofts("AppLocker.xsd", data)
    root = ET.fromstring(data)  # noqa: S314 - our own
    assert (root.tag, root.attrib) == ("AppLockerPolicy", {"Version": "1"})
    kinds = [each.attrib["Type"] for each in root]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) <= {"Appx", "Dll", "Exe", "Msi", "Script"}
    identifiers = []
    for collection in root:
        assert collection.tag == "RuleCollection"
        assert collection.attrib["EnforcementMode"] in ("NotConfigured", "Enabled", "AuditOnly")
        for rule in collection:
            identifiers.append(rule.attrib["Id"])
            assert set(rule.attrib) == _RULE
            assert GUID.fullmatch(rule.attrib["Id"])
            assert 1 <= len(rule.attrib["Name"]) <= 1024
            assert len(rule.attrib["Description"]) <= 1024
            assert rule.attrib["Action"] in ("Allow", "Deny")
            [[condition]] = list(rule)
            assert (condition.tag, set(condition.attrib)) == _CONDITIONS[rule.tag]
            _condition(condition)
    assert len(identifiers) == len(set(identifiers))


def _condition(condition: ET.Element) -> None:
    if condition.tag == "FilePublisherCondition":
        [span] = condition
        assert span.tag == "BinaryVersionRange"
        assert all(VERSION.fullmatch(span.attrib[name]) for name in ("LowSection", "HighSection"))
    if condition.tag == "FileHashCondition":
        assert len(condition)
        for each in condition:
            assert each.attrib["Type"] == "SHA256"
            assert HASH.fullmatch(each.attrib["Data"])
            assert each.attrib.get("SourceFileLength", "0").isdigit()


_ORDER = (
    *("VersionEx", "PlatformID", "Rules", "EKUs", "FileRules", "Signers", "SigningScenarios", "UpdatePolicySigners"),
    *("CiSigners", "HvciOptions", "BasePolicyID", "PolicyID"),
)
_SIGNER = ("CertRoot", "CertEKU", "CertIssuer", "CertPublisher", "CertOemID", "FileAttribRef")
_PRODUCT = ("AllowedSigners", "DeniedSigners", "FileRulesRef")
_IDS = {
    "Allow": re.compile(r"ID_ALLOW_[A-Z][_A-Z0-9]*"),
    "Deny": re.compile(r"ID_DENY_[A-Z][_A-Z0-9]*"),
    "FileAttrib": re.compile(r"ID_FILEATTRIB_[A-Z][_A-Z0-9]*"),
    "Signer": re.compile(r"ID_SIGNER_[A-Z][_A-Z0-9]*"),
    "EKU": re.compile(r"ID_EKU_[A-Z][_A-Z0-9]*"),
    "SigningScenario": re.compile(r"ID_SIGNINGSCENARIO_[A-Z][_A-Z0-9]*"),
}


def app_control(data: bytes) -> None:
    """SiPolicy: elements in their order, identifiers of their kind and unique, references that lead somewhere."""
    _microsofts("cipolicy.xsd", data)
    root = ET.fromstring(data)  # noqa: S314 - our own
    assert root.tag == "{urn:schemas-microsoft-com:sipolicy}SiPolicy"
    assert root.attrib["PolicyType"] == "Base Policy"
    names = [_plain(each) for each in root]
    assert names == [name for name in _ORDER if name in names]
    assert {"VersionEx", "PlatformID", "Rules", "SigningScenarios"} <= set(names)
    known: set[str] = set()
    referred = set()
    for each in root.iter():
        name = _plain(each)
        if name in _IDS:
            assert _IDS[name].fullmatch(each.attrib["ID"])
            assert each.attrib["ID"] not in known
            known.add(each.attrib["ID"])
        if name == "Signer":
            assert {"ID", "Name"} <= set(each.attrib)
            _in_order(each, _SIGNER)
        if name == "ProductSigners":
            _in_order(each, _PRODUCT)
        if name in ("AllowedSigners", "DeniedSigners", "FileRulesRef"):
            assert len(each), "an empty collection is refused"
        for attribute in ("Hash", "Value"):
            if attribute in each.attrib and name != "SigningScenario":
                assert re.fullmatch(r"([0-9A-F]{2})+", each.attrib[attribute])
        for attribute in ("MinimumFileVersion", "MaximumFileVersion"):
            assert VERSION.fullmatch(each.attrib.get(attribute, "*"))
        referred |= set(_references(name, each))
    assert referred <= known
    scenarios = [each.attrib["Value"] for each in root.iter() if _plain(each) == "SigningScenario"]
    assert sorted(scenarios) == ["12", "131"]


def _references(name: str, each: ET.Element) -> Iterator[str]:
    if name in ("AllowedSigner", "DeniedSigner", "CiSigner"):
        yield each.attrib["SignerId"]
    if name in ("FileRuleRef", "FileAttribRef"):
        yield each.attrib["RuleID"]
    if name == "CertEKU":
        yield each.attrib["ID"]


def _in_order(each: ET.Element, order: tuple[str, ...]) -> None:
    places = [order.index(_plain(child)) for child in each]
    assert places == sorted(places)


def _plain(each: ET.Element) -> str:
    return each.tag.rpartition("}")[2]
