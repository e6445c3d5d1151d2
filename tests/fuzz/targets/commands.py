"""What lines start, read as shells, udev and systemd read them: many more in a second than through files of a root."""

from collections.abc import Iterable

from chopmark.engine.services.commands import Found, env_words
from chopmark.engine.services.entry import Call
from chopmark.engine.services.units import environment, specifiers, words

TEXTS = (
    "PATH=/x:$PATH LD_PRELOAD=/y.so a | (b && `c`) > /d; export BASH_ENV=/e; . /f",
    "if [ -x /a ]; then exec env -S'/b c' X=1; fi; f() { trap 'g' EXIT; }; eval \"h $(i)\"",
    'A=\'x y\'"z\\"" w\\\n# c \\\nLD_AUDIT=/b.so\n;x\nB=',
    "@-/bin/a b \\x41 'c d' ; +/bin/e \"$F\" %%",
)


def seeds() -> Iterable[bytes]:
    for text in TEXTS:
        yield text.encode()


def run(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    found = Found()
    call = Call("/x:1", variables={"A": "/a"})
    found.script(text, call)
    found.command(["/usr/bin/env", *env_words(text)], call)
    found.environment(tuple(environment.assignments(data)), call)
    found.environment(tuple(environment.listed(text, str, [])), call)
    argv = words.quoted_words(text)
    if argv:
        found.command(argv, call)
    try:
        for command in words.commands(text, str):
            found.command(command.argv, call, command.program)
    except specifiers.LineError:
        pass
    assert all(start.name for start in found.starts)
