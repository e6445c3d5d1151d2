"""Each answer here is systemd 252's own; tests/interop/test_services.py asks it again, and about trees at random."""

import pytest

from chopmark.engine.services import reasons
from chopmark.engine.services.units import merging, names, paths, specifiers, text, words
from chopmark.engine.services.units.specifiers import UNKNOWN, LineError
from chopmark.engine.services.units.tree import Made, Tree
from tests.support.image import Image

ETC = "/etc/systemd/system"
LIB = "/usr/lib/systemd/system"


def made(image: Image, name: str) -> Made:
    with image.root() as root:
        found = Tree(root, paths.system()).made(name)
        assert found is not None
        return found


def merged(image: Image, name: str) -> merging.Merged:
    with image.root() as root:
        found = Tree(root, paths.system()).made(name)
        assert found is not None
        return merging.merge(root, found, paths.system())


def values(data: bytes) -> list[tuple[str, str, str, int]]:
    return [(each.section, each.key, each.value, each.line) for each in text.read(data, "/x").settings]


def test_names() -> None:
    assert names.parse("a-b@c.d.service") == names.UnitName("a-b", "c.d", "service")
    assert names.parse("a@.timer") == names.UnitName("a", "", "timer")
    for wrong in (
        "",
        "a",
        ".service",
        "@x.service",
        "a b.service",
        "a.servic",
        "a/b.service",
        "é.service",
        "a" * 255 + ".path",
    ):
        assert names.parse(wrong) is None
    assert names.unescape(r"a-b\x2dc") == "a/b-c"


def test_folders_of_drop_ins_in_the_order_that_counts() -> None:
    parsed = names.parse("a-b-c@i.service")
    assert parsed is not None
    assert names.folders(parsed) == [
        "a-b-c@i.service.d", "a-b-c@.service.d", "a-b-.service.d", "a-.service.d", "a-b-@i.service.d",
        "a-b-@.service.d",
        "a-@i.service.d", "a-@.service.d",
    ]  # fmt: skip
    doubled = names.parse("x-y--z.service")
    assert doubled is not None
    assert names.folders(doubled) == ["x-y--z.service.d", "x-y--.service.d", "x-y-.service.d", "x-.service.d"]
    first = names.parse("-q.service")
    assert first is not None
    assert names.folders(first) == ["-q.service.d"]


def test_lines_are_continued_and_comments_within_them_left_out() -> None:
    data = b"[Service]\nA=/x/a \\\n# comment\n  b \\\n\n; c\nB=/x/b \\\n\\\nc\nC=/x/c \\\\\nD = 1 \nE=one\\\n two"
    assert values(data) == [
        ("Service", "A", "/x/a    b", 2),
        ("Service", "B", "/x/b   c", 7),
        ("Service", "C", "/x/c \\\\", 10),
        ("Service", "D", "1", 11),
        ("Service", "E", "one  two", 12),
    ]


def test_a_lone_cr_or_nul_ends_a_line_and_is_told() -> None:
    found = text.read(b"[Service]\n# harmless\rExecStartPre=/evil\nExecStart=/a\r\nX=1\0Y=2\n", "/x")
    assert [(each.key, each.value) for each in found.settings] == [
        ("ExecStartPre", "/evil"), ("ExecStart", "/a"), ("X", "1"), ("Y", "2")
    ]  # fmt: skip
    assert [(each.code, each.subject) for each in found.findings] == [(reasons.UNIT_HIDDEN_LINE.code, "/x:2")]
    assert not text.read(b"[A]\r\nB=c\r\n", "/x").findings


def test_what_is_no_setting() -> None:
    found = text.read(b"\xef\xbb\xbf[A]\nnonsense\n=x\nB=\xff\nC=1\n", "/x")
    assert [(each.key, each.value) for each in found.settings] == [("C", "1")]
    assert [each.code for each in found.findings] == [reasons.UNIT_LINE.code] * 3
    assert not found.is_broken
    broken = text.read(b"[A]\nB=1\n[C\nD=1\n", "/x")
    assert broken.is_broken
    assert [each.key for each in broken.settings] == ["B"]
    assert text.read(b"A=1\n", "/x").settings == ()
    long = text.read(b"[A]\nB=" + b"x" * (1 << 20) + b"\nC=1\n", "/x")
    assert long.is_broken
    many = text.read(b"[A]\n" + b"B=1\n" * 20_001, "/x")
    assert many.is_broken


def test_the_first_place_has_the_unit_and_each_drop_in(image: Image) -> None:
    image.unit("web.service")
    image.write(f"{ETC}/web.service", "[Service]\nExecStart=/usr/bin/other\n")
    image.write(f"{LIB}/web.service.d/10.conf")
    image.write("/run/systemd/system/web.service.d/10.conf")
    image.write(f"{LIB}/web.service.d/05.conf")
    image.write(f"{ETC}/service.d/10.conf")
    image.write(f"{ETC}/service.d/99.conf")
    image.write(f"{ETC}/web.service.d/.hidden.conf")
    image.write(f"{ETC}/web.service.d/readme.txt")
    image.write("/etc/systemd/system.control/web.service.d/50.conf")
    found = made(image, "web.service")
    assert found.fragment == f"{ETC}/web.service"
    assert found.dropins == (
        f"{LIB}/web.service.d/05.conf",
        "/run/systemd/system/web.service.d/10.conf",
        "/etc/systemd/system.control/web.service.d/50.conf",
        f"{ETC}/service.d/99.conf",
    )


def test_aliases_share_their_drop_ins(image: Image) -> None:
    image.unit("web.service")
    image.link(f"{ETC}/www.service", f"{LIB}/web.service")
    image.link(f"{ETC}/httpd.service", "www.service")
    image.write(f"{ETC}/httpd.service.d/10.conf")
    for name in ("web.service", "www.service", "httpd.service"):
        found = made(image, name)
        assert found.name == "web.service"
        assert set(found.names) == {"web.service", "www.service", "httpd.service"}
        assert found.dropins == (f"{ETC}/httpd.service.d/10.conf",)
    assert [path for path, _ in made(image, "web.service").links] == [f"{ETC}/httpd.service", f"{ETC}/www.service"]


def test_instances_and_templates(image: Image) -> None:
    image.unit("a@.service")
    image.write(f"{ETC}/a@.service.d/1.conf")
    image.write(f"{ETC}/a@x.service.d/2.conf")
    image.link(f"{ETC}/multi-user.target.wants/a@y.service", f"{LIB}/a@.service")
    assert made(image, "a@x.service").dropins == (f"{ETC}/a@.service.d/1.conf", f"{ETC}/a@x.service.d/2.conf")
    assert made(image, "a@z.service").dropins == (f"{ETC}/a@.service.d/1.conf",)
    assert made(image, "a@y.service").wanted_by == ("multi-user.target",)
    with image.root() as root:
        assert Tree(root, paths.system()).unit_names() == ["a@.service", "a@x.service", "a@y.service"]


def test_masks(image: Image) -> None:
    image.unit("web.service")
    image.link(f"{ETC}/web.service", "/dev/null")
    image.unit("empty.service", "")
    assert made(image, "web.service").is_masked
    assert made(image, "empty.service").is_masked
    image.unit("db.service")
    image.link(f"{ETC}/db.service.d/10.conf", "/dev/null")
    image.write(f"{LIB}/db.service.d/10.conf", "[Service]\nExecStart=/evil\n")
    assert [each.value for each in merged(image, "db.service").values("Service", "ExecStart")] == ["/usr/bin/daemon"]


def test_links_that_are_no_aliases(image: Image) -> None:
    image.unit("web.service")
    image.link(f"{ETC}/a.service", "b.service")
    image.link(f"{ETC}/b.service", "a.service")
    image.link(f"{ETC}/self.service", "self.service")
    image.link(f"{ETC}/web.socket", "web.service")
    image.link(f"{ETC}/none.service", f"{LIB}/missing.service")
    image.link(f"{ETC}/t@.service", "web.service")
    with image.root() as root:
        tree = Tree(root, paths.system())
        assert tree.unit_names() == ["web.service"]
        assert tree.made("a.service") is None
        assert {each.code for each in tree.findings} == {reasons.UNIT_ALIAS.code}
        assert len(tree.findings) == 6


def test_a_linked_unit_is_read_where_it_stands(image: Image) -> None:
    image.write("/opt/app/app.service", "[Service]\nExecStart=/opt/app/run\n")
    image.link(f"{ETC}/app.service", "/opt/app/app.service")
    found = merged(image, "app.service")
    assert found.value("Service", "ExecStart") == "/opt/app/run"
    assert found.made.links == ((f"{ETC}/app.service", "/opt/app/app.service"),)


def test_empty_assignments_take_lists_back(image: Image) -> None:
    image.unit("web.service", "[Unit]\nAfter=a\n[Service]\nExecStart=/one\nExecStartPre=/two\nType=oneshot\nUser=x\n")
    image.write(
        f"{ETC}/web.service.d/1.conf", "[Unit]\nAfter=\nAfter=b\n[Service]\nExecStart=\nExecStart=/three\nUser=\n"
    )
    image.write(f"{ETC}/web.service.d/2.conf", "[Service]\nExecStart=/four\nType=simple\n")
    found = merged(image, "web.service")
    assert [each.value for each in found.values("Service", "ExecStart")] == ["/three", "/four"]
    assert [each.value for each in found.values("Unit", "After")] == ["a", "b"]
    assert found.value("Service", "Type") == "simple"
    assert found.value("Service", "User") == ""
    assert found.values("Service", "ExecStartPre")[0].where == f"{LIB}/web.service:5"
    image.unit("web.timer", "[Timer]\nOnBootSec=1\nOnCalendar=daily\n")
    image.write(f"{ETC}/web.timer.d/1.conf", "[Timer]\nOnCalendar=\nOnActiveSec=2\n")
    assert [each.key for each in merged(image, "web.timer").effective] == ["OnActiveSec"]


def test_a_command_that_is_refused_ends_its_file(image: Image) -> None:
    image.unit("web.service", "[Service]\nExecStart=/one\n")
    image.write(f"{ETC}/web.service.d/1.conf", "[Service]\nExecStop=/bin/x 'open\nExecStop=/never\n")
    image.write(f"{ETC}/web.service.d/2.conf", "[Service]\nExecStop=-/bin/x 'open\nExecStop=/read\n")
    found = merged(image, "web.service")
    assert "/never" not in [each.value for each in found.effective]
    assert "/read" in [each.value for each in found.effective]
    assert [each.code for each in found.findings] == [reasons.UNIT_COMMAND.code] * 2


def test_unreadable_files_are_told(image: Image) -> None:
    image.unit("web.service")
    image.link(f"{ETC}/web.service.d/gone.conf", "nowhere")
    image.write(f"{ETC}/web.service.d/big.conf", b"#" * (1 << 20) + b"\n")
    assert [each.code for each in merged(image, "web.service").findings] == [reasons.UNREADABLE.code] * 2


def commands(line: str, name: str = "web@in-st.service") -> list[tuple[str, str, tuple[str, ...]]]:
    expand = specifiers.expander(name, "/f/web@.service", paths.system())
    return [(each.prefixes, each.program, each.argv) for each in words.commands(line, expand)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("/x/a b", [("", "/x/a", ("/x/a", "b"))]),
        ("@/x/a b c", [("@", "/x/a", ("b", "c"))]),
        ("-+:/x/a", [("-+:", "/x/a", ("/x/a",))]),
        ("!!/x/a", [("!!", "/x/a", ("/x/a",))]),
        ("/x//a/./b", [("", "/x/a/b", ("/x//a/./b",))]),
        ("/x/a ; ; /x/b", [("", "/x/a", ("/x/a",)), ("", "/x/b", ("/x/b",))]),
        (r"/x/a \; a;b '\;'", [("", "/x/a", ("/x/a", ";", "a;b", r"\;"))]),
        (r"""/x/a "b"c 'd e' \x41\102 \t \q""", [("", "/x/a", ("/x/a", "bc", "d e", "AB", "\t", r"\q"))]),
        ("/x/a %i %I %n %p %j %%", [("", "/x/a", ("/x/a", "in-st", "in/st", "web@in-st.service", "web", "web", "%"))]),
        ("/x/a %f %t %y %,", [("", "/x/a", ("/x/a", "/in/st", "/run", "/f/web@.service", "%,"))]),
        ("/x/a \\", [("", "/x/a", ("/x/a", "\\"))]),
        ("", []),
    ],
)
def test_command_lines(line: str, expected: list[tuple[str, str, tuple[str, ...]]]) -> None:
    assert commands(line) == expected


@pytest.mark.parametrize(
    ("line", "is_ignored"),
    [
        ("/x/a 'b", False), ("-/x/a 'b", True), ("'b", True), ("a/../b", False), ("/x/", False), ("-", True),
        ("||/x", False),
        ("!!!/x", False), ("+!/x", False), ("@/x", False), ("/x/a %Q", False), ('/x/"a', True), (r"/x\;", False),
    ],
)  # fmt: skip
def test_command_lines_that_are_refused(line: str, is_ignored: bool) -> None:  # noqa: FBT001 - a column
    with pytest.raises(LineError) as found:
        commands(line)
    assert found.value.is_ignored is is_ignored


def test_what_only_the_running_system_knows_is_unknown() -> None:
    assert commands("/x/%m", "web.service") == [("", f"/x/{UNKNOWN}", (f"/x/{UNKNOWN}",))]
    assert commands("/x/%i", "web@.service") == [("", f"/x/{UNKNOWN}", (f"/x/{UNKNOWN}",))]
