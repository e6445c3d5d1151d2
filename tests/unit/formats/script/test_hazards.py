"""Scripts that a block would change are not signed in place, and those that it would not change are."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from chopmark.core.artifact import Artifact
from chopmark.core.errors import RefusedError
from chopmark.formats.script import FORMAT, hazards, languages
from tests.support import probing
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = {
    "a backslash at the end": ("x.sh", b"echo a \\"),
    "a backslash before the last line break": ("x.sh", b"echo a \\\n"),
    "a backslash before blanks": ("Makefile", b"all:\n\techo \\\n\n"),
    "an open here-document": ("x.sh", b"cat <<EOF\nhello\n"),
    "an open here-document with tabs": ("x.sh", b"cat <<-EOF\nhello\n  EOF\n"),
    "an open here-document in quotes": ("x.sh", b"cat <<'THE END'\nTHE\nEND\n"),
    "a here-document whose end has a blank": ("x.sh", b"cat <<EOF\nhello\nEOF \n"),
    "the second of two here-documents": ("x.sh", b"cat <<A; cat <<B\na\nA\nb\n"),
    "an open here-document in Perl": ("x.pl", b'print <<"END OF TEXT";\nhello\n'),
    "an open here-document in Ruby": ("x.rb", b"puts <<~TEXT\n  hello\n"),
    "an open here-document in PHP": ("x.php", b"<?php\necho <<<EOT\nhello\n"),
    "Perl's data": ("x.pl", b"print <DATA>;\n__DATA__\n1\n"),
    "Perl's end": ("x.pl", b"print 1;\n__END__\n\n=head1 NAME\n"),
    "Ruby's data": ("x.rb", b"puts DATA.read\n__END__\n1\n"),
    "open documentation in Perl": ("x.pm", b"1;\n\n=head1 NAME\n\nx\n"),
    "a binary tail": ("x.sh", b"#!/bin/sh\ntail -n +3 x | tar xz; exit\n\x1f\x8b\x08\x00\x00"),
    "a tail behind a marker": ("x.sh", b"#!/bin/sh\nexit 0\n__ARCHIVE_BELOW__\nH4sIAAA=\n"),
    "a payload behind a marker": ("x.sh", b"#!/bin/sh\nexit 0\nPAYLOAD:\nH4sIAAA=\n"),
    "reading itself by tail": ("x.sh", b'tail -n +3 "$0" | base64 -d | sh\nexit\nZWNobyBoaQo=\n'),
    "reading itself by sed": ("x.sh", b"sed -n '/^# /p' \"${BASH_SOURCE[0]}\"\n"),
    "reading itself in a pipe": ("x.sh", b"x=$(grep -c . ${0})\n"),
    "reading itself by redirection": ("x.sh", b'while read -r line; do :; done < "$0"\n'),
    "checking itself": ("x.sh", b'sha256sum "$0"\n'),
    "Python reading itself": ("x.py", b"print(open(__file__).read())\n"),
    "Python reading itself by path": ("x.py", b"from pathlib import Path\nprint(Path(__file__).read_text())\n"),
    "Perl reading itself": ("x.pl", b"open(my $fh, '<', $0);\n"),
    "Ruby reading itself": ("x.rb", b"puts File.read(__FILE__)\n"),
    "Node reading itself": ("x.js", b"require('fs').readFileSync(__filename)\n"),
    "PHP with data": ("x.php", b"<?php\necho 1;\n__halt_compiler();\n"),
    "PHP that ends in HTML": ("x.php", b"<?php echo 1; ?>\n<p>\n"),
    "PHP without PHP": ("x.php", b"<p>\n"),
    "a shell script for node": ("x", b'#!/bin/sh\n\':\' //; exec node "$0" "$@"\n'),
    "a shell script for an unknown interpreter": ("x", b'#!/bin/sh\nexec /usr/bin/env myown -f "$0"\n'),
    "NUL": ("x.py", b"print('\x00')\n"),
    "an end-of-file character": ("x.tcl", b"puts 1\n\x1a\n"),
    "UTF-7": ("x.py", b"# -*- coding: utf-7 -*-\nprint(1)\n"),
    "UTF-7 in the second line": ("x.py", b"#!/usr/bin/python3\n# vim: set fileencoding=UTF7 :\nprint(1)\n"),
    "EBCDIC": ("x.py", b"# coding: cp500\nprint(1)\n"),
    "Perl in another encoding": ("x.pl", b"use encoding 'utf-7';\nprint 1;\n"),
    "Perl with a filter": ("x.pl", b"use Filter::sh 'rot13';\n"),
    "PHP in another encoding": ("x.php", b"<?php declare(encoding='UTF-7');\n"),
    "UTF-16": ("x.py", "\ufeffprint(1)\n".encode("utf-16-le")),
    "other comments by name than by first line": ("x.js", b"#!/bin/sh\nexit 0\n"),
    "an unknown interpreter": ("x.sh", b"#!/my/own/interpreter\n"),
    "no interpreter at all": ("x", b"hello\n"),
}
SIGNED = {
    "its own name": ("x.sh", b'dir=$(cd "$(dirname "$0")" && pwd)\nme=$(basename "$0")\n'),
    "where it is": ("x.sh", b'source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"\n'),
    "a usage line": ("x.sh", b'echo "Usage: $0 FILE" >&2\n'),
    "awk": ("x.sh", b"ps | awk '/x/ {print $0}' | sort\n"),
    "awk with escapes": ("x.sh", b'ps | awk "/x/ {print \\$0}"\n'),
    "a comment about itself": ("x.sh", b'# tail -n +3 "$0" would read this\n: "$@"\n'),
    "closed here-documents": ("x.sh", b"cat <<A <<-'B C'\n<<X\nA\n\tx\n\tB C\ncat<<D\n$0\nD\n"),
    "a here-document with underscores": ("x.sh", b"cat <<__EOF__\nx\n__EOF__\n"),
    "a here-string": ("x.sh", b'read -r x <<<"$y"\n'),
    "shifts": ("x.sh", b"x=$((1 << width)); (( y <<= n )); let z=1<<n\n"),
    "the restart of Tcl": ("x.tcl", b'#!/bin/sh\n# \\\nexec tclsh "$0" "$@"\nputs 1\n'),
    "the restart of Python": ("x", b'#!/bin/sh\n"exec" "python3" "$0" "$@"\nprint(1)\n'),
    "closed documentation in Perl": ("x.pm", b"=pod\n\nx\n\n=cut\n\n1;\n"),
    "Perl's shifts": ("x.pl", b"my $x = 1 << 3; my $y = $x << $z;\n"),
    "Ruby's append": ("x.rb", b"list << item\nlist << Item.new\nclass << self; end\nx<<Y\n"),
    "a closed here-document in Ruby": ("x.rb", b"puts(<<~ONE, <<-'TWO')\n  1\n  ONE\n  2\n  TWO\n"),
    "a closed here-document in PHP": ("x.php", b"<?php\nf(<<<'EOT'\n  hello\n  EOT, 1);\n"),
    "PHP with HTML before": ("x.php", b"<p><?php echo 1; ?></p>\n<?php\necho 2;\n"),
    "Python's own folder": ("x.py", b"import os\nprint(os.path.dirname(__file__))\n"),
    "a triple-quoted text at the end": ("x.py", b'"""the\n\nend"""'),
    "an exit": ("x.sh", b"#!/bin/sh\nexit 0\n"),
    "carriage returns": ("x.py", b"print(1)\rprint(2)\r"),
    "nothing": ("x.sh", b""),
    "UTF-7 in the third line": ("x.py", b"#\n#\n# -*- coding: utf-7 -*-\nprint(1)\n"),
    "UTF-7 in another language": ("x.sh", b"# -*- coding: utf-7 -*-\necho 1\n"),
    "a usual cookie": ("x.py", b"#!/usr/bin/python3\n# -*- coding: UTF_8 -*-\nprint(1)\n"),
    "a coding cookie": ("x.py", b"# -*- coding: latin-1 -*-\nprint('\xe9')\n"),
    "a file in a code page": ("x.pl", b"print '\xe9';\n"),
}


def case(table: dict[str, tuple[str, bytes]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("name", "data"), table.values(), ids=table.keys())


def sign(data: bytes, name: str) -> bytes:
    artifact = Artifact.from_bytes(data, name)
    return probing.signed(FORMAT, artifact).render(artifact)


@case(REFUSED)
def test_refused(name: str, data: bytes) -> None:
    with pytest.raises(RefusedError, match="sign it detached"):
        sign(data, name)


@case(SIGNED)
def test_signed(name: str, data: bytes) -> None:
    assert hazards.objection(data, languages.identify(data, name)) == ""
    assert sign(data, name).startswith(data)


@pytest.mark.parametrize(
    ("name", "command"),
    [("x.sh", "sh"), ("x.sh", "bash"), ("x.py", sys.executable), ("x.pl", "perl"), ("x.pm", "perl")],
)
def test_those_that_are_signed_print_what_they_printed(name: str, command: str, tmp_path: Path) -> None:
    script = tmp_path / name
    for title, (file, data) in SIGNED.items():
        if file != name or "{" in data.decode("latin-1"):
            continue
        outputs = []
        for version in (data, sign(data, name)):
            script.write_bytes(version)
            outputs.append(subprocess.run([command, script], capture_output=True, timeout=PATIENCE, check=False))
        assert outputs[0].stdout == outputs[1].stdout, title
        assert outputs[0].returncode == outputs[1].returncode, title


def test_why_an_open_here_document_is_refused(tmp_path: Path) -> None:
    """Without the refusal the block would come out of cat."""
    script = tmp_path / "x.sh"
    script.write_bytes(b"cat <<EOF\nhello\n" + sign(b"", "x.sh"))
    done = subprocess.run(["sh", script], capture_output=True, timeout=PATIENCE, check=False)
    assert b"CHOPMARK" in done.stdout


@pytest.mark.parametrize(
    ("head", "name", "language"),
    [
        (b"#!/bin/sh\n", "x", languages.SHELL),
        (b"#! /usr/bin/env  -S  FOO=1 python3.11 -u\n", "x", languages.PYTHON),
        (b"#!/usr/bin/perl5.36.0 -w\n", "x.sh", languages.PERL),
        (b"#!/usr/bin/env -S uv run --script\n", "x.py", languages.PYTHON),
        (b"#!/usr/local/bin/tclsh8.6\n", "", languages.TCL),
        (b"#!/usr/bin/Rscript\n", "", languages.R),
        (b"#!/usr/bin/env node", "x", languages.JAVASCRIPT),
        (b"#!/bin/sh\r\n", "x", languages.SHELL),
        (b"#!", "x.sh", None),
        (b"#!\n/bin/sh", "x.sh", None),
        (b"#!/usr/bin/env\n", "x.sh", None),
        (b"#!/usr/bin/pwsh\n", "x.sh", None),
        (b"\xef\xbb\xbf#!/bin/sh\n", "x.py", languages.PYTHON),
        (b"", "dir.py/Makefile", languages.MAKE),
        (b"", "/home/me/.bashrc", languages.SHELL),
        (b"", "X.PY", languages.PYTHON),
        (b"", "x.unknown", None),
        (b"", "", None),
    ],
)
def test_languages(head: bytes, name: str, language: languages.Language | None) -> None:
    assert languages.identify(head, name).language is language


@pytest.mark.parametrize(
    ("head", "name", "certainty"),
    [
        (b"#!/bin/sh\n", "x", 8),
        (b"#!/bin/sh\n", "x.sh", 8),
        (b"#!/bin/sh\n", "x.py", 7),
        (b"#!/bin/sh\n", "x.ps1", 3),
        (b"#!/usr/bin/pwsh\n", "x.ps1", 0),
        (b"#!/my/own\n", "x.sh", 0),
        (b"echo\n", "x.sh", 6),
        (b"MZ\x90", "x.sh", 0),
        (b"\x00\x00", "x.py", 0),
        (b"#!/bin/sh\n\x00", "x", 8),
        (b"<?xml version='1.0'?>", "x.ts", 0),
        (b"<!DOCTYPE html>", "x.js", 0),
        (b"hello", "x.txt", 0),
        (b"", "", 0),
    ],
)
def test_detection(head: bytes, name: str, certainty: int) -> None:
    assert FORMAT.detect(head, name) == certainty


@pytest.mark.parametrize("part", [b"cat ", b"exec ", b"((", b"<<E ", b"open(", b"'", b"exec /", b"`cat "])
def test_long_lines_take_no_time(part: bytes) -> None:
    data = part * (1_000_000 // len(part)) + b"\n"
    started = time.process_time()
    for name in ("x.sh", "x.pl", "x.rb", "x.php", "x.py", "x.js"):
        hazards.objection(data, languages.identify(b"", name))
    assert time.process_time() - started < 10
