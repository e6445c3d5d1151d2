"""AppLocker and App Control: signers, products and versions, denials, and documents that Windows reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from chopmark.harden import app_control, applocker, reasons, windows, xml
from chopmark.harden.contract import Export, WiderError
from chopmark.harden.material import Material
from chopmark.trust.blocklists import app_control as reader
from tests.support import hardening, windows_schemas
from tests.support.hardening import IDENTITIES, SEALS, files_at_hand, image_of, request
from tests.support.policies import DIGESTS, FILE, HEX, UNSIGNED

if TYPE_CHECKING:
    from chopmark.harden.contract import Exporter

CORP: dict[str, Any] = {"action": "allow", "store": "corp"}
A, B, _ = IDENTITIES
BACKENDS = [applocker.BACKEND, app_control.BACKEND]
SCHEMAS = {"applocker": windows_schemas.applocker, "app-control": windows_schemas.app_control}
SIGNED = FILE._replace(seals=(SEALS[0],), sha256=HEX[0], path='/opt/<"a&b">\x01.exe')
PLAIN = UNSIGNED._replace(path="/opt/plain", sha256=HEX[1])


def export(backend: Exporter, *rules: dict[str, Any], **more: Any) -> Export:  # noqa: ANN401 - fields of Request
    options = {"publishers": ""} if backend.name == "applocker" else {}
    asked = request(list(rules), **{"material": Material((A, B)), "options": options, **more})
    made = backend.export(asked)
    SCHEMAS[backend.name](made.files[0].data)
    return made


def codes(made: Export | WiderError) -> list[str]:
    return [each.code for each in made.findings if each.subject.startswith("p.toml:")]


def elements(made: Export, name: str) -> list[dict[str, str]]:
    root = ET.fromstring(made.files[0].data)  # noqa: S314 - our own
    return [each.attrib for each in root.iter() if each.tag.rpartition("}")[2] == name]


@pytest.mark.parametrize(
    ("version", "written", "last"),
    [
        ("2.4", "2.4.0.0", "2.3.65535.65535"),
        ("1", "1.0.0.0", "0.65535.65535.65535"),
        ("0.0.0.1", "0.0.0.1", windows.LOWEST),
        ("0", windows.LOWEST, None),
        ("1.2.3.4", "1.2.3.4", "1.2.3.3"),
        ("1.0.0.0", "1.0.0.0", "0.65535.65535.65535"),
        ("1.2.3.4.5", None, None),
        ("65536", None, None),
        ("1.2-3", None, None),
    ],
)
def test_versions_have_four_numbers(version: str, written: str | None, last: str | None) -> None:
    assert windows.four(version) == written
    assert windows.before(version) == last


@pytest.mark.parametrize("backend", BACKENDS)
def test_signers_with_products_and_versions(backend: Exporter) -> None:
    rule = {"action": "allow", "signer": DIGESTS[0], "product": "Tool.exe", "require": {"min-version": "2.4"}}
    made = export(backend, rule, uses=frozenset({"exec"}))
    assert codes(made) == [reasons.NARROWED.code]
    if backend is applocker.BACKEND:
        [condition], [span] = elements(made, "FilePublisherCondition"), elements(made, "BinaryVersionRange")
        assert condition == {
            "PublisherName": applocker.publisher(A), "ProductName": "*", "BinaryName": "TOOL.EXE"
        }  # fmt: skip
        assert span == {"LowSection": "2.4.0.0", "HighSection": "*"}
    else:
        [rule_], [root] = elements(made, "FileAttrib"), elements(made, "CertRoot")
        assert (rule_["FileName"], rule_["MinimumFileVersion"]) == ("tool.exe", "2.4.0.0")
        assert root["Type"] == "TBS"


@pytest.mark.parametrize("backend", BACKENDS)
def test_denials_by_product_signer_and_image(backend: Exporter) -> None:
    rules = (
        CORP,
        {"action": "deny", "product": "old.exe", "below": "2.4"},
        {"action": "deny", "product": "bad.exe", "version": ["1.5", "1.6"], "signer": DIGESTS[1]},
        {"action": "deny", "digest": DIGESTS[1]},
        {"action": "deny", "signer": DIGESTS[5]},
    )
    made = export(backend, *rules, material=Material((A, B), files_at_hand(PLAIN)), uses=frozenset({"exec"}))
    assert codes(made) == [reasons.NARROWED.code, *[reasons.EXACT.code] * 4]
    text = made.files[0].data.decode()
    assert text.count("2.3.65535.65535") == 1
    assert image_of(HEX[1]) in text
    with pytest.raises(WiderError) as caught:
        export(backend, *rules)
    assert codes(caught.value)[3] == reasons.WIDER.code


def test_denials_are_read_back_by_our_own_blocklists() -> None:
    """The reader of Microsoft's lists was written for them, and knows nothing of exports."""
    rules = (
        CORP,
        {"action": "deny", "product": "old.exe", "below": "2.4"},
        {"action": "deny", "product": "bad.exe", "signer": DIGESTS[1]},
        {"action": "deny", "digest": DIGESTS[1]},
    )
    made = export(app_control.BACKEND, *rules, material=Material((A, B), files_at_hand(PLAIN)))
    policy = reader.parse(made.files[0].data)
    assert set(policy.hashes) == {("sha256", bytes.fromhex(image_of(HEX[1])))}
    for version, denied in (((2, 3, 9, 9), True), ((2, 4, 0, 0), False)):
        facts = reader.Facts({"OriginalFilename": "OLD.EXE"}, version, kernel=False)
        assert bool(reader.names_of(policy, facts)) is denied
    digests = {"sha256": frozenset({bytes.fromhex(app_control.tbs(B))})}
    signature = reader.Signature(digests, "", "", frozenset(), None)
    facts = reader.Facts({"OriginalFilename": "bad.exe"}, (1, 0, 0, 0), kernel=True)
    assert [match.certain for match in reader.signers_of(policy, facts, signature)] == [True]
    assert not reader.signers_of(policy, facts._replace(strings={"OriginalFilename": "good.exe"}), signature)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rule_that_binds_to_a_version_denies_the_ones_before(backend: Exporter) -> None:
    bound = {"action": "allow", "product": "tool.exe", "require": {"min-version": "2.4"}}
    made = export(backend, CORP, bound, uses=frozenset({"exec"}))
    assert "2.3.65535.65535" in made.files[0].data.decode()
    bound = {"action": "allow", "product": "tool.exe", "require": {"timestamp": True}}
    made = export(backend, CORP, bound, uses=frozenset({"exec"}))
    assert "tool.exe" in made.files[0].data.decode().lower()
    with pytest.raises(WiderError):
        export(backend, CORP, {"action": "allow", "digest": DIGESTS[3], "require": {"timestamp": True}})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("denial", [{"path": "/opt/**"}, {"catalog": "/etc/*"}, {"format": "pe"}, {"user": "eve"}, {}])
def test_what_windows_cannot_say_refuses_the_export(backend: Exporter, denial: dict[str, Any]) -> None:
    with pytest.raises(WiderError) as caught:
        export(backend, CORP, {"action": "deny", **denial})
    assert codes(caught.value)[1] == reasons.WIDER.code
    assert export(backend, CORP, {"action": "deny", **denial}, left_out=frozenset({"p.toml:10"}))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_denied_signer_is_not_named(backend: Exporter) -> None:
    made = export(backend, CORP, {"action": "deny", "signer": DIGESTS[0]})
    taken = [each.subject for each in made.findings if each.code == reasons.SIGNER_TAKEN.code]
    assert taken == ["CN=B"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("more", [{"path": "/opt/**"}, {"require": {"log": True}}, {"digest": DIGESTS[0]}])
def test_rules_about_more_come_down_to_files(backend: Exporter, more: dict[str, Any]) -> None:
    with pytest.raises(WiderError) as caught:
        export(backend, {**CORP, **more})
    assert reasons.EMPTY.code in {each.code for each in caught.value.findings}


def test_publishers_are_names_so_somebody_has_to_ask_for_them() -> None:
    with pytest.raises(WiderError):
        export(applocker.BACKEND, CORP, options={})
    made = export(applocker.BACKEND, CORP, options={}, material=Material((A,), files_at_hand(SIGNED)))
    assert not elements(made, "FilePublisherRule")
    same = hardening.identity(SEALS[1])._replace(certificate=A.certificate)
    with pytest.raises(WiderError):
        export(applocker.BACKEND, {"action": "allow", "signer": DIGESTS[0]}, material=Material((A, same)))


def test_a_collection_in_which_nothing_is_allowed_denies_everything() -> None:
    made = export(applocker.BACKEND, {**CORP, "use": "exec"}, uses=frozenset({"exec", "script"}))
    denied = [each for each in elements(made, "FilePathRule") if each["Action"] == "Deny"]
    assert len(denied) == 1
    made = export(applocker.BACKEND, CORP, mode="audit", options={"publishers": "", "windows": ""})
    assert {each["EnforcementMode"] for each in elements(made, "RuleCollection")} == {"AuditOnly"}
    assert {each["Path"] for each in elements(made, "FilePathCondition")} == {"%WINDIR%\\*", "%PROGRAMFILES%\\*"}
    assert reasons.ADDED.code in {each.code for each in made.findings}


def test_elliptic_signers_become_files() -> None:
    elliptic = hardening.identity(SEALS[0], "p256")
    with pytest.raises(WiderError) as caught:
        export(app_control.BACKEND, CORP, material=Material((elliptic,)))
    assert reasons.SIGNER_OUT.code in {each.code for each in caught.value.findings}
    made = export(app_control.BACKEND, CORP, material=Material((elliptic,), files_at_hand(SIGNED)))
    assert [each["Hash"] for each in elements(made, "Allow")] == [image_of(HEX[0])]
    assert not elements(made, "AllowedSigner")


def test_app_control_warns_that_windows_is_not_allowed() -> None:
    made = export(app_control.BACKEND, CORP)
    assert reasons.NO_WINDOWS.code in {each.code for each in made.findings}
    made = export(app_control.BACKEND, CORP, options={"windows": "", "hvci": ""}, mode="audit")
    assert reasons.NO_WINDOWS.code not in {each.code for each in made.findings}
    assert {each["Value"] for each in elements(made, "CertRoot") if each["Type"] == "Wellknown"} == {"06", "07"}
    text = made.files[0].data.decode()
    assert "<HvciOptions>2<" in text
    assert "Enabled:Audit Mode" in text


def test_a_scenario_that_is_not_exported_is_not_restricted() -> None:
    made = export(app_control.BACKEND, CORP, uses=frozenset({"module"}))
    assert "Enabled:UMCI" not in made.files[0].data.decode()
    assert [each["FileName"] for each in elements(made, "Allow")] == ["*"]
    made = export(app_control.BACKEND, CORP, uses=frozenset({"exec"}))
    assert "Enabled:UMCI" in made.files[0].data.decode()


@pytest.mark.parametrize("backend", BACKENDS)
def test_names_of_files_cannot_break_out(backend: Exporter) -> None:
    made = export(backend, CORP, material=Material((), files_at_hand(SIGNED)), uses=frozenset({"exec"}))
    text = made.files[0].data.decode()
    assert "&lt;&quot;a&amp;b&quot;&gt;\ufffd.exe" in text


def test_xml_is_escaped_and_always_the_same() -> None:
    root = xml.root("a", {"b": "\t\n\r<>&\"'\ud800"})
    root.add("c", text="]]>\0")
    found = ET.fromstring(xml.written(root))  # noqa: S314 - our own
    assert found.attrib == {"b": "\t\n\r<>&\"'\ufffd"}
    assert found[0].text == "]]>\ufffd"
