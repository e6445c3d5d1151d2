from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.engine.services import commands, reasons, shell
from chopmark.engine.services.commands import Found
from chopmark.engine.services.entry import Call, Role
from chopmark.engine.services.sources import desktop, kernel, profiles
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from chopmark.core.reasons import Reason

CALL = Call("/x:1")


def started(*argv: str) -> tuple[list[str], list[str]]:
    """Names of what is started, with the first letter of the role; and codes of what is unknown."""
    found = Found()
    found.command(list(argv), CALL)
    return [_shown(each.name, each.role) for each in found.starts], [each.code for each in found.findings]


def of_shell(text: str) -> tuple[list[str], list[str]]:
    found = Found()
    found.script(text, CALL)
    return [_shown(each.name, each.role) for each in found.starts], [each.code for each in found.findings]


def _shown(name: str, role: Role) -> str:
    return name if role is Role.PROGRAM else f"{role}:{name}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a b; c && d || e | f & g", ["a", "c", "d", "e", "f", "g"]),
        ("( cd /x && a ) > /dev/null 2>&1", ["a"]),
        ("X=1 Y=2 a; export P=3; b < /in >> /out", ["a", "b"]),
        ("if [ -x /usr/bin/a ]; then /usr/bin/a; else b; fi", ["/usr/bin/a", "b"]),
        ("while ! a; do sleep 1; done; until b; do :; done", ["a", "sleep", "b"]),
        ('for f in x y; do a "$f"; done', ["a"]),
        ('P=/opt/x; $P/run; "${P}/other"', ["/opt/x/run", "/opt/x/other"]),
        ("exec a; command b; . /etc/c; source /etc/d", ["a", "b", "script:/etc/c", "script:/etc/d"]),
        ('a `b c` "$(d | e "$(f)")"', ["a", "b", "d", "e", "f"]),
        ("a 'b; c' \"d && e\" f\\;g # h; i\nj", ["a", "j"]),
        ("f() { a; }; f; b", ["a", "b"]),
        ("trap 'a; b' EXIT; eval 'c d'; trap - INT", ["a", "b", "c"]),
        ("test -x a || exit 0; true; echo b; printf c", []),
        ("a \\\n b\nc", ["a", "c"]),
        ("{ a; b; } | c", ["a", "b", "c"]),
        ("[[ -f x ]] && a", ["a"]),
        ("{a} '{b,c}' a,b; {b'..'c}", ["{a}", "{b..c}"]),
        ("a $((1 + 2)) $? $@", ["a"]),
        ("", []),
    ],
)
def test_programs_in_a_line_of_shell(text: str, expected: list[str]) -> None:
    assert of_shell(text) == (expected, [])


@pytest.mark.parametrize(
    "text",
    ["$A", "`a`", 'eval "$A"', ". $A", ". relative", "a <<E\nb\nE", "case $x in a) b;; esac", "a 'open", 'a "open',
     "a $(b", "${A:-b} c", "/usr/bin/*x y", '"$@"', "~/bin/x", "a <(b)", 'trap "$A" EXIT',
     "{a,b}", "/x/{a..c}", "{a,'b'}", "a=(b) c", "a=(b)[ c ]"],
)  # fmt: skip
def test_what_cannot_be_read_is_unknown(text: str) -> None:
    assert reasons.OPAQUE.code in of_shell(text)[1]


def test_shells_within_shells_end() -> None:
    assert reasons.OPAQUE.code in of_shell("sh -c 'eval \"eval x\"'" + " $(a" * 20 + ")" * 20)[1]
    deep = "x"
    for _ in range(12):
        deep = "eval " + "'" + deep.replace("'", "'\\''") + "'"
        if len(deep) > 100_000:
            break
    assert of_shell(deep)[1] == [reasons.OPAQUE.code]


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ("/bin/sh|-c|a; b", ["/bin/sh", "a", "b"]),
        ("bash|-euo|pipefail|-c|a|name", ["bash", "a"]),
        ("/bin/sh|-ec|a", ["/bin/sh", "a"]),
        ("/bin/sh|/etc/a|b", ["/bin/sh", "script:/etc/a"]),
        ("bash|--norc|-x|/etc/a", ["bash", "script:/etc/a"]),
        ("/usr/bin/python3.11|-u|-W|x|/opt/a.py", ["/usr/bin/python3.11", "script:/opt/a.py"]),
        ("python3|--version", ["python3"]),
        ("perl|-I|/lib|/opt/a.pl", ["perl", "script:/opt/a.pl"]),
        ("java|-Xmx1g|-cp|x|-jar|/opt/a.jar|b", ["java", "script:/opt/a.jar"]),
        ("pwsh|-NoProfile|-File|/opt/a.ps1", ["pwsh", "script:/opt/a.ps1"]),
        ("node|--require|/x|/opt/a.js", ["node", "script:/opt/a.js"]),
        ("env|-u|X|A=b|nice|-n|5|a|b", ["env", "nice", "a"]),
        ("/usr/bin/env|-S|a -b", ["/usr/bin/env", "a"]),
        ("timeout|-k|5|10|a", ["timeout", "a"]),
        ("flock|-n|/lock|-c|a; b", ["flock", "a", "b"]),
        ("flock|/lock|a", ["flock", "a"]),
        ("sudo|-u|x|A=1|a", ["sudo", "a"]),
        ("su|x|-c|a; b", ["su", "a", "b"]),
        ("runuser|-u|x|--|a|b", ["runuser", "a"]),
        ("run-parts|--report|/etc/cron.daily", ["run-parts", "folder:/etc/cron.daily"]),
        ("start-stop-daemon|--start|--exec=/usr/sbin/a|--startas|/usr/sbin/b",
         ["start-stop-daemon", "/usr/sbin/a", "/usr/sbin/b"]),
        ("busybox|sh|-c|a", ["busybox", "a"]),
        ("/usr/sbin/daemon|-c|/etc/x", ["/usr/sbin/daemon"]),
        ("setpriv|--reuid|1|sh|-c|exec a", ["setpriv", "sh", "a"]),
        ("env|-S/x/a b", ["env", "/x/a"]),
        ("env|-i|-vS/x/a b", ["env", "/x/a"]),
        ("env|--split-string=-i '/x y/a'", ["env", "/x y/a"]),
        ("/lib64/ld-linux-x86-64.so.2|--library-path|/x|/opt/a", ["/lib64/ld-linux-x86-64.so.2", "/opt/a"]),
        ("tini|--|/x/a", ["tini", "/x/a"]),
        ("chroot|--userspec=x|/srv/jail|/bin/a", ["chroot", "/bin/a"]),
        ("chroot|/srv/jail", ["chroot"]),
    ],
)  # fmt: skip
def test_what_programs_start_in_turn(argv: str, expected: list[str]) -> None:
    assert started(*argv.split("|")) == (expected, [])


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        ("python3|-c|import os", reasons.OPAQUE_CODE),
        ("python3|-cimport os", reasons.OPAQUE_CODE),
        ("perl|-e|x", reasons.OPAQUE_CODE),
        ("pwsh|-EncodedCommand|x", reasons.OPAQUE_CODE),
        ("python3|-m|http.server", reasons.OPAQUE),
        ("python3|relative.py", reasons.OPAQUE),
        ("python3", reasons.OPAQUE),
        ("sh", reasons.OPAQUE),
        ("sh|-s|a", reasons.OPAQUE),
        ("sh|-c|" + UNKNOWN, reasons.OPAQUE),
        ("sh|" + UNKNOWN, reasons.OPAQUE),
        (UNKNOWN + "/x", reasons.OPAQUE),
        ("su|x", reasons.OPAQUE),
        ("env|LD_PRELOAD=/x.so|a", reasons.PRELOADED),
        ("env|PYTHONPATH=/x|a", reasons.STEERED),
        ("env|PATH=/bin:.|a", reasons.STEERED),
        ("env|-S${X}/a", reasons.OPAQUE),
        ("env|-S'open", reasons.OPAQUE),
        ("chroot|jail|/bin/a", reasons.OPAQUE),
        ("/lib/ld-linux.so.2|--preload|/x.so|/bin/a", reasons.PRELOADED),
        ("sh|-c|LD_PRELOAD=/x.so /bin/a", reasons.PRELOADED),
        ("sh|-c|export LD_AUDIT=/x.so; /bin/a", reasons.PRELOADED),
        ("sh|-c|PATH=$HOME/bin:$PATH; a", reasons.STEERED),
    ],
)
def test_what_is_only_known_when_it_runs(argv: str, code: Reason) -> None:
    assert started(*argv.split("|"))[1] == [code.code]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ("/bin",)),
        ("PATH=/x:/y; a", ("/x", "/y")),
        ("PATH=/x a", ("/x",)),
        ("export PATH=/x:$PATH; a", ("/x", "/bin")),
        ("env PATH=/z a", ("/z",)),
        ("PATH=/x sh -c a", ("/x",)),
    ],
)
def test_programs_are_looked_for_where_the_shell_looks(text: str, expected: tuple[str, ...]) -> None:
    found = Found()
    found.command(["/bin/sh", "-c", text], CALL._replace(folders=("/usr/bin",), variables={"PATH": "/bin"}))
    [last] = [each for each in found.starts if each.name == "a"]
    assert last.folders == expected
    assert found.starts[0].folders == ("/usr/bin",)
    assert found.findings == []


def test_what_is_preloaded_is_started() -> None:
    for text in ("LD_PRELOAD=/x.so /bin/a", "LD_PRELOAD=/x.so; export LD_PRELOAD; a", "declare -x LD_PRELOAD=/x.so"):
        assert "library:/x.so" in of_shell(text)[0]


def test_a_program_below_another_root_is_looked_for_there() -> None:
    found = Found()
    found.command(["chroot", "/srv/jail/", "/bin/a"], CALL)
    assert [(each.name, each.below) for each in found.starts] == [("chroot", ""), ("/bin/a", "/srv/jail")]


def test_variables_that_load_something() -> None:
    found = Found()
    found.environment(
        [("LD_PRELOAD", "/a.so:/b.so"), ("BASH_ENV", "/etc/c"), ("LANG", "C"), ("LD_AUDIT", "d.so")], CALL
    )
    assert [(each.name, each.role) for each in found.starts] == [
        ("/a.so", Role.LIBRARY), ("/b.so", Role.LIBRARY), ("/etc/c", Role.SCRIPT)
    ]  # fmt: skip
    assert [each.code for each in found.findings] == [
        reasons.PRELOADED.code,
        reasons.PRELOADED.code,
        reasons.OPAQUE.code,
    ]


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("python3", ["python3"]),
        ("-S python3 -u", ["python3", "-u"]),
        ("-Spython3", ["python3"]),
        ("-vS/x/python3 -u", ["/x/python3", "-u"]),
        ("--split-string=/x/a", ["/x/a"]),
    ],
)
def test_what_a_first_line_gives_to_env(argument: str, expected: list[str]) -> None:
    assert commands.env_words(argument) == expected


def test_first_lines() -> None:
    assert commands.interpreter_of(b"#! /bin/sh  -e x\nfoo") == ["/bin/sh", "-e x"]
    assert commands.interpreter_of(b"#!/usr/bin/env python3") == ["/usr/bin/env", "python3"]
    assert commands.interpreter_of(b"\x7fELF") == []
    assert commands.interpreter_of(b"#!\n") == [""]


@pytest.mark.parametrize(
    ("read", "part"),
    [
        (lambda text: list(shell.simple_commands(f"x {text}", {})), "{"),
        (desktop._command_line, "a "),  # noqa: SLF001
        (kernel._known, "$a{"),  # noqa: SLF001
        (lambda text: list(profiles._of_pam(f"A DEFAULT={text}".encode())), "${"),  # noqa: SLF001
    ],
    ids=["shell", "desktop", "udev", "pam"],
)
def test_what_has_no_end_is_looked_through_once(read: Callable[[str], object], part: str) -> None:
    """Users write such files. What goes through the rest at each beginning takes minutes, and hours for some."""
    assert read(part * (400_000 // len(part)))


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("{a,b}", False),
        ("{a..b}", False),
        ("x{,}", False),
        ("{a}", True),
        ("{a.}.", True),
        (",{a}", True),
        ("}a,b{", True),
    ],
)
def test_braces_are_words_only_with_something_between_them(word: str, known: bool) -> None:  # noqa: FBT001
    [command] = shell.simple_commands(f"x {word}", {})
    assert (UNKNOWN not in command.words[1].text) is known


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a$env{b}c", "a?c"), ("$env{b", "?{b"), ("$$%%", "$%"), ("%k%s{a{b}%c{1", "???{1"), ("$a}$b{", "?}?{")],
)
def test_what_udev_substitutes_is_unknown(value: str, expected: str) -> None:
    assert kernel._known(value).replace(UNKNOWN, "?") == expected  # noqa: SLF001


@given(st.text(alphabet="ab $`'\"\\(){};&|<>#\n=~*/cifdone", max_size=60))
def test_no_line_of_shell_breaks_it(text: str) -> None:
    for each in shell.simple_commands(text, {}):
        assert each.words or each.problem or each.assigned
