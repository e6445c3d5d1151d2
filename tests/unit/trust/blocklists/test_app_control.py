"""App Control policies: read strictly, and matched as Windows does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chopmark.core import limits
from chopmark.core.errors import MalformedError
from chopmark.trust.blocklists import app_control
from chopmark.trust.blocklists.app_control import Facts, Signature
from tests.support import drivers

SHA1, SHA256 = "94F7575A6BB378D0CF85B3DC65941C95415E7A80", "3B" * 32
TBS = "4843A82ED3B1F2BFBEE9671960E1940C942F688D"
NAMED = Facts({"OriginalFilename": "WinDriver.SYS", "InternalName": "wd"}, (2, 0, 5, 1), kernel=True)
UNNAMED = Facts({}, None, kernel=True)
SIGNED = Signature({"sha1": frozenset({bytes.fromhex(TBS)})}, "Example AB", "Example CA", frozenset(), "Cheat")


def deny(conditions: str, identifier: str = "ID_DENY_1") -> str:
    return f'<Deny ID="{identifier}" FriendlyName="a driver" {conditions} />'


def attribute(conditions: str, identifier: str = "ID_FILEATTRIB_1") -> str:
    return f'<FileAttrib ID="{identifier}" FriendlyName="a driver" {conditions} />'


def test_hashes_that_a_scenario_refers_to_are_denied() -> None:
    rules = deny(f'Hash="{SHA1}"') + deny(f'Hash="{SHA256}"', "ID_DENY_2") + deny(f'Hash="{"AA" * 32}"', "ID_DENY_3")
    read = app_control.parse(drivers.policy(rules, referred=["ID_DENY_1", "ID_DENY_2"]))
    assert read.hashes == {("sha1", bytes.fromhex(SHA1)): "a driver", ("sha256", bytes.fromhex(SHA256)): "a driver"}
    assert read.algorithms == {"sha1", "sha256"}
    assert read.size == 2


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ('FileName="windriver.sys"', True),
        ('FileName="other.sys"', False),
        ('FileName="*"', True),
        ('InternalName="WD"', True),
        ('FileName="windriver.sys" InternalName="other"', False),
        ('ProductName="anything"', False),
        ('FileName="windriver.sys" MinimumFileVersion="0.0.0.0" MaximumFileVersion="2.0.5.1"', True),
        ('FileName="windriver.sys" MinimumFileVersion="0.0.0.0" MaximumFileVersion="2.0.5.0"', False),
        ('FileName="windriver.sys" MinimumFileVersion="2.0.5.1" MaximumFileVersion="2.0.65535.65535"', True),
        ('FileName="windriver.sys" MinimumFileVersion="2.0.5.2" MaximumFileVersion="2.0.65535.65535"', False),
        ('FileName="windriver.sys" MinimumFileVersion="2.0.5.1"', True),
        ('FileName="windriver.sys" MinimumFileVersion="2.0.5.0"', False),
        ('FileName="windriver.sys" MinimumFileVersion="65535.65535.65535.65535"', True),
        ('FileName="windriver.sys" MaximumFileVersion="10.0.0.0"', True),
        ('FileName="windriver.sys" MaximumFileVersion="1.9.0.0"', False),
        ('FileName="windriver.sys" FilePath="C:\\x"', False),
        ("", False),
    ],
)
def test_names_and_versions_have_to_match(conditions: str, *, matches: bool) -> None:
    read = app_control.parse(drivers.policy(deny(conditions), referred=["ID_DENY_1"]))
    found = app_control.names_of(read, NAMED)
    assert [match.certain for match in found] == ([True] if matches else [])


def test_a_file_without_names_or_version_is_not_meant_by_name() -> None:
    for conditions in ('FileName="windriver.sys"', 'FileName="*" MinimumFileVersion="1.0.0.0"'):
        read = app_control.parse(drivers.policy(deny(conditions), referred=["ID_DENY_1"]))
        assert app_control.names_of(read, UNNAMED) == []


def test_names_that_cannot_be_read_leave_it_open() -> None:
    read = app_control.parse(drivers.policy(deny('FileName="windriver.sys"'), referred=["ID_DENY_1"]))
    [match] = app_control.names_of(read, UNNAMED._replace(readable=False))
    assert not match.certain


@pytest.mark.parametrize(("scenario", "kernel"), [("131", True), ("12", False)])
def test_a_scenario_is_about_one_kind_of_code(scenario: str, *, kernel: bool) -> None:
    raw = drivers.policy(
        deny('FileName="windriver.sys"'), drivers.signer(TBS), ["ID_SIGNER_1"], ["ID_DENY_1"], scenario=scenario
    )
    read = app_control.parse(raw)
    for facts in (NAMED, NAMED._replace(kernel=False)):
        meant = facts.kernel is kernel
        assert bool(app_control.names_of(read, facts)) is meant
        assert bool(app_control.signers_of(read, facts, SIGNED)) is meant
    anything = app_control.parse(raw.replace(f'Value="{scenario}"'.encode(), b'Value="200"', 1))
    assert app_control.names_of(anything, NAMED)
    assert app_control.names_of(anything, NAMED._replace(kernel=False))


ATTRIBUTES = attribute('FileName="windriver.sys" MaximumFileVersion="3.0.0.0"') + attribute(
    'FileName="other.sys"', "ID_FILEATTRIB_2"
)


@pytest.mark.parametrize(
    ("conditions", "answer"),
    [
        ("", True),
        ('<CertPublisher Value="example ab"/>', True),
        ('<CertPublisher Value="Example"/>', False),
        ('<CertIssuer Value="Example CA"/>', True),
        ('<CertIssuer Value="Other CA"/>', False),
        ('<CertOemID Value="Cheat"/>', True),
        ('<CertOemID Value="Other"/>', False),
        ('<CertEKU ID="ID_EKU_CODE"/>', False),
        ('<CertEKU ID="ID_EKU_UNKNOWN"/>', None),
        ('<FileAttribRef RuleID="ID_FILEATTRIB_1"/>', True),
        ('<FileAttribRef RuleID="ID_FILEATTRIB_2"/>', False),
        ('<FileAttribRef RuleID="ID_FILEATTRIB_2"/><FileAttribRef RuleID="ID_FILEATTRIB_1"/>', True),
        ('<CertPublisher Value="Other"/><FileAttribRef RuleID="ID_FILEATTRIB_1"/>', False),
    ],
)
def test_all_conditions_on_a_signer_have_to_hold(conditions: str, *, answer: bool | None) -> None:
    read = app_control.parse(drivers.policy(ATTRIBUTES, drivers.signer(TBS, conditions), ["ID_SIGNER_1"]))
    found = app_control.signers_of(read, NAMED, SIGNED)
    assert [match.certain for match in found] == ([] if answer is False else [answer is True])
    assert app_control.signers_of(read, NAMED, SIGNED._replace(digests={})) == []


def test_purposes_are_written_in_the_policys_own_way() -> None:
    read = app_control.parse(drivers.policy("", drivers.signer(TBS, '<CertEKU ID="ID_EKU_CODE"/>'), ["ID_SIGNER_1"]))
    signing = SIGNED._replace(purposes=frozenset({app_control.purpose("1.3.6.1.5.5.7.3.3")}))
    assert app_control.signers_of(read, NAMED, signing)


def test_what_cannot_be_told_leaves_it_open() -> None:
    wellknown = '<Signer ID="ID_SIGNER_1" Name="x"><CertRoot Type="Wellknown" Value="06"/></Signer>'
    read = app_control.parse(drivers.policy("", wellknown, ["ID_SIGNER_1"]))
    assert [match.certain for match in app_control.signers_of(read, NAMED, SIGNED)] == [False]
    program = app_control.parse(drivers.policy("", drivers.signer(TBS, '<CertOemID Value="x"/>'), ["ID_SIGNER_1"]))
    assert [m.certain for m in app_control.signers_of(program, NAMED, SIGNED._replace(program=None))] == [False]
    named = drivers.signer(TBS, '<FileAttribRef RuleID="ID_FILEATTRIB_1"/>')
    read = app_control.parse(drivers.policy(ATTRIBUTES, named, ["ID_SIGNER_1"]))
    unreadable = UNNAMED._replace(readable=False)
    assert [match.certain for match in app_control.signers_of(read, unreadable, SIGNED)] == [False]


def test_a_signer_that_nobody_denies_is_not_denied() -> None:
    assert app_control.parse(drivers.policy("", drivers.signer(TBS))).signers == ()


def test_an_exception_is_made_for_files_that_are_allowed() -> None:
    rules = f'<Allow ID="ID_ALLOW_1" Hash="{SHA256}"/><Allow ID="ID_ALLOW_2" FileName="windriver.sys"/>'
    for allowed, digests, facts in (
        ("ID_ALLOW_1", [("sha256", bytes.fromhex(SHA256))], UNNAMED),
        ("ID_ALLOW_2", [], NAMED),
    ):
        denied = f'<DeniedSigner SignerId="ID_SIGNER_1"><ExceptAllowRule AllowRuleID="{allowed}"/></DeniedSigner>'
        read = app_control.parse(drivers.policy(rules, drivers.signer(TBS), [denied]))
        assert app_control.signers_of(read, facts, SIGNED, digests) == []
        assert app_control.signers_of(read, UNNAMED, SIGNED)


ENTITY = b'<!DOCTYPE SiPolicy [<!ENTITY a "b">]>'


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not XML",
        b"<a/>",
        b'<SiPolicy xmlns="urn:other"/>',
        b"<SiPolicy/>",
        drivers.policy()[:-20],
        drivers.policy().replace(b"<SiPolicy ", ENTITY + b"<SiPolicy ", 1),
        drivers.policy().replace(b"<SiPolicy ", b'<!DOCTYPE SiPolicy SYSTEM "file:///etc/passwd"><SiPolicy ', 1),
        drivers.policy(referred=["ID_DENY_MISSING"]),
        drivers.policy(denied=["ID_SIGNER_MISSING"]),
        drivers.policy("", drivers.signer(TBS, '<FileAttribRef RuleID="missing"/>'), ["ID_SIGNER_1"]),
        drivers.policy("", drivers.signer(TBS, '<CertNew Value="x"/>'), ["ID_SIGNER_1"]),
        drivers.policy("", drivers.signer("AA"), ["ID_SIGNER_1"]),
        drivers.policy("", drivers.signer("xyz"), ["ID_SIGNER_1"]),
        drivers.policy(deny('Hash="AABB"')),
        drivers.policy(deny('Hash="xx"')),
        drivers.policy(deny('FileName="a" MinimumFileVersion="1.0"')),
        drivers.policy(deny('FileName="a"') * 2),
        drivers.policy(deny('FileName="a"', "")),
        drivers.policy("<a>" * 40 + "</a>" * 40),
        drivers.policy(denied=['<DeniedSigner SignerId=""/>']),
        drivers.policy("\0"),
        b"\xff\xfe" + drivers.policy(),
    ],
)
def test_what_is_no_such_policy_is_refused_whole(data: bytes) -> None:
    with pytest.raises(MalformedError):
        app_control.parse(data)


def test_too_many_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BLOCKLIST_ENTRIES_MAX", 10)
    with pytest.raises(MalformedError):
        app_control.parse(drivers.policy())


SAMPLE = drivers.policy(
    deny(f'Hash="{SHA1}"') + ATTRIBUTES,
    drivers.signer(TBS, '<FileAttribRef RuleID="ID_FILEATTRIB_1"/><CertOemID Value="x"/>'),
    ["ID_SIGNER_1"],
    ["ID_DENY_1"],
)


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), min_size=1, max_size=6))
@settings(max_examples=150)
def test_no_change_does_anything_but_refuse(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for position, value in changes:
        data[position] = value
    try:
        read = app_control.parse(bytes(data))
    except MalformedError:
        return
    app_control.names_of(read, NAMED)
    app_control.signers_of(read, NAMED, SIGNED)


def test_an_exception_that_belongs_to_nobody_means_nothing() -> None:
    stray = '<DeniedSigner SignerId="x"><ExceptAllowRule AllowRuleID="ID_ALLOW_ALL_1"/></DeniedSigner>'
    assert app_control.parse(drivers.policy(stray)).signers == ()
