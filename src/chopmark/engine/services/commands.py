"""What a command starts: itself, the scripts it is given, and the programs that it runs in turn."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from chopmark.core import limits
from chopmark.core.named import NamedTuple
from chopmark.engine.services import reasons, shell
from chopmark.engine.services.entry import Role
from chopmark.engine.services.units.specifiers import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chopmark.core.finding import Finding
    from chopmark.engine.services.entry import Call, Start

SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash"))
_BUILTINS = frozenset(
    (":", "[", "alias", "bg", "break", "cd", "continue", "declare", "dirs", "disown", "echo", "enable", "exit",
    "export",
     "false", "fc", "fg", "getopts", "hash", "help", "history", "jobs", "kill", "let", "local", "logout", "popd",
     "printf",
     "pushd", "pwd", "read", "readonly", "return", "set", "shift", "shopt", "suspend", "test", "times", "true", "type",
     "typeset", "ulimit", "umask", "unalias", "unset", "wait")
)  # fmt: skip
_PRELOADS = ("LD_PRELOAD", "LD_AUDIT")
_STEERS = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME", "PERL5LIB", "PERL5OPT", "RUBYOPT", "RUBYLIB",
           "NODE_OPTIONS", "NODE_PATH", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "GCONV_PATH",
           "GLIBC_TUNABLES")  # fmt: skip

LOADING = frozenset((*_PRELOADS, *_STEERS, "BASH_ENV", "ENV", "PATH"))
"""Variables that decide what is loaded or started."""


class Interpreter(NamedTuple):
    """How an interpreter is called: options with an argument, those with code, those that name something else."""

    valued: frozenset[str] = frozenset()
    code: frozenset[str] = frozenset()
    module: frozenset[str] = frozenset()
    script: frozenset[str] = frozenset()
    """Options whose argument is the script."""


def _options(text: str) -> frozenset[str]:
    return frozenset(text.split())


_INTERPRETERS = {
    "python": Interpreter(_options("-W -X --check-hash-based-pycs"), _options("-c"), _options("-m")),
    "perl": Interpreter(_options("-I -M -m"), _options("-e -E")),
    "ruby": Interpreter(_options("-I -r -C -E"), _options("-e")),
    "node": Interpreter(_options("-r --require --import"), _options("-e --eval -p --print")),
    "nodejs": Interpreter(_options("-r --require --import"), _options("-e --eval -p --print")),
    "php": Interpreter(_options("-d -c"), _options("-r -B -R -E"), script=_options("-f -F")),
    "lua": Interpreter(_options("-l"), _options("-e")),
    "tclsh": Interpreter(_options("-encoding")),
    "pwsh": Interpreter(
        _options("-ExecutionPolicy -ep -WorkingDirectory -wd -ConfigurationName -SettingsFile -OutputFormat"),
        _options("-Command -c -EncodedCommand -e -ec"), script=_options("-File -f"),
    ),
    "java": Interpreter(
        _options("-cp -classpath --class-path -p --module-path --add-modules"), module=_options("-m --module"),
        script=_options("-jar"),
    ),
    "mono": Interpreter(_options("--config")),
    "dotnet": Interpreter(_options("--roll-forward --fx-version --additionalprobingpath"), script=_options("exec")),
    "Rscript": Interpreter(code=_options("-e")),
}  # fmt: skip
_VERSIONED = re.compile(r"(python|perl|ruby|php|lua|tclsh)[0-9.]*")


class Wrapper(NamedTuple):
    """A program that runs another: options with an argument, and how many words come before the other."""

    valued: frozenset[str] = frozenset()
    words: int = 0


_WRAPPERS = {
    "env": Wrapper(_options("-u --unset -C --chdir")),
    "nice": Wrapper(_options("-n --adjustment")),
    "ionice": Wrapper(_options("-c --class -n --classdata")),
    "nohup": Wrapper(),
    "setsid": Wrapper(),
    "stdbuf": Wrapper(_options("-i -o -e")),
    "timeout": Wrapper(_options("-k --kill-after -s --signal"), 1),
    "chrt": Wrapper(_options("-T -P -D"), 1),
    "taskset": Wrapper(words=1),
    "flock": Wrapper(_options("-w --timeout -E --conflict-exit-code"), 1),
    "exec": Wrapper(_options("-a")),
    "command": Wrapper(),
    "builtin": Wrapper(),
    "sudo": Wrapper(_options("-u --user -g --group -C -h -p -r -t -T -U -D -R")),
    "doas": Wrapper(_options("-u -C")),
    "setpriv": Wrapper(
        _options("--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits --selinux-label")
    ),
    "unshare": Wrapper(),
    "nsenter": Wrapper(_options("-t --target -S -G")),
    "systemd-cat": Wrapper(_options("-t --identifier -p --priority")),
    "systemd-run": Wrapper(_options("-p --property -u --unit --slice --uid --gid -M -H -E --setenv --on-calendar")),
    "systemd-inhibit": Wrapper(_options("--what --who --why --mode")),
    "dbus-run-session": Wrapper(),
    "dbus-launch": Wrapper(),
    "chronic": Wrapper(),
    "ts": Wrapper(),
    "xargs": Wrapper(_options("-n -I -P -L -d -a -s -E")),
    "busybox": Wrapper(),
    "catchsegv": Wrapper(),
    "prlimit": Wrapper(),
    "ld.so": Wrapper(
        _options("--library-path --preload --audit --argv0 --inhibit-rpath --glibc-hwcaps-prepend --glibc-hwcaps-mask")
    ),
    "tini": Wrapper(_options("-p -e")),
    "dumb-init": Wrapper(_options("-r --rewrite")),
    "catatonit": Wrapper(),
    "strace": Wrapper(_options("-o -e -E -p -s -u -a -b -I -O -P -S -U -X")),
    "eatmydata": Wrapper(),
    "fakeroot": Wrapper(_options("-l --lib --faked -i -s -b")),
    "pkexec": Wrapper(_options("--user")),
    "cgexec": Wrapper(_options("-g")),
    "runcon": Wrapper(_options("-t --type -u --user -r --role -l --range")),
    "aa-exec": Wrapper(_options("-p --profile -n --namespace")),
    "softlimit": Wrapper(_options("-a -c -d -f -l -m -n -o -p -r -s -t")),
    "setuidgid": Wrapper(words=1),
    "chpst": Wrapper(_options("-u -U -b -d -n -l -L -m -o -p -f -c -r -t")),
    "gosu": Wrapper(words=1),
}
_SPLIT = re.compile(r"-[iv0]*S(.*)|--split-string(?:=(.*))?", re.DOTALL).fullmatch
_LOADER = re.compile(r"ld(?:-[\w.-]+)?\.so(?:\.[0-9]+)?").fullmatch
_SHELL_VALUED = _options("--rcfile --init-file")


class Found:
    """What is started, and what cannot be known, collected from one or several commands."""

    def __init__(self) -> None:
        self.starts: list[Start] = []
        self.findings: list[Finding] = []

    def command(self, argv: Sequence[str], call: Call, program: str = "", depth: int = 0) -> None:
        """A command with its arguments; `program` where that is not what it is called by."""
        name = program or argv[0]
        if UNKNOWN in name or not name:
            self._opaque(argv, call)
            return
        if len(self.starts) >= limits.SERVICE_STARTS_MAX or depth > limits.SERVICE_SHELL_DEPTH_MAX:
            self.findings.append(reasons.OPAQUE.found("more than is looked at", subject=call.where))
            return
        self.starts.append(call.start(name))
        self.called(name.rpartition("/")[2], list(argv[1:]), call.inside(), depth + 1)

    def called(self, name: str, arguments: list[str], call: Call, depth: int = 0) -> None:
        """What a program of that name starts in turn, given these arguments."""
        if name in SHELLS:
            self._shell(arguments, call, depth)
        elif name == "chroot":
            self._chroot(arguments, call, depth)
        elif _LOADER(name):
            self._wrapper("ld.so", arguments, call, depth)
        elif name in _WRAPPERS:
            self._wrapper(name, arguments, call, depth)
        elif name in ("su", "runuser"):
            self._su(arguments, call, depth)
        elif name == "run-parts":
            self._run_parts(arguments, call)
        elif name == "start-stop-daemon":
            self._start_stop(arguments, call)
        elif (interpreter := _interpreter(name)) is not None:
            self._interpreted(interpreter, arguments, call)

    def script(self, text: str, call: Call, depth: int = 0) -> None:
        """A piece of shell."""
        known = {"PATH": ":".join(call.folders), **call.variables}
        for simple in shell.simple_commands(text, known, depth):
            self.environment(simple.assigned, call)
            if simple.problem:
                self.findings.append(reasons.OPAQUE.found(simple.problem, subject=call.where))
            elif simple.words:
                here = call if simple.path is None else call.inside({"PATH": simple.path})
                self._simple([each.text for each in simple.words], here, depth)

    def _simple(self, words: list[str], call: Call, depth: int) -> None:
        if words[0] in (".", "source"):
            self._named(words[1:2], Role.SCRIPT, call, words)
        elif words[0] == "eval" or (words[0] == "trap" and len(words) > 2):  # noqa: PLR2004 - code and a signal
            self._evaluated(" ".join(words[1:]) if words[0] == "eval" else words[1], call, depth)
        elif words[0] in ("exec", "command", "builtin"):
            self.called(words[0], words[1:], call, depth + 1)
        elif words[0] not in _BUILTINS:
            self.command(words, call, depth=depth + 1)

    def _evaluated(self, code: str, call: Call, depth: int) -> None:
        if UNKNOWN in code:
            self._opaque([code], call)
        elif code != "-":  # which takes a trap back
            self.script(code, call, depth + 1)

    def environment(self, variables: Sequence[tuple[str, str]], call: Call) -> None:
        """Variables that load something into what is started."""
        for name, value in variables:
            if name in _PRELOADS and value:
                self.findings.append(reasons.PRELOADED.found(f"{name}={value}"[:200], subject=call.where))
                for each in re.split(r"[: ]+", value.strip(": ")):
                    self._named([each], Role.LIBRARY, call, [value])
            elif name in ("BASH_ENV", "ENV") and value:
                self._named([value], Role.SCRIPT, call, [value])
            elif (name in _STEERS and value) or (name == "PATH" and not _is_absolute(value)):
                self.findings.append(reasons.STEERED.found(f"{name}={value}"[:200], subject=call.where))

    def _opaque(self, words: Sequence[str], call: Call) -> None:
        text = " ".join(words).replace(UNKNOWN, "...")[:200]
        self.findings.append(reasons.OPAQUE.found(text, subject=call.where))

    def _named(self, given: Sequence[str], role: Role, call: Call, words: Sequence[str]) -> None:
        """Something that must be known by its absolute path."""
        if not given or UNKNOWN in given[0] or not given[0].startswith("/"):
            self._opaque(given or words, call)
        else:
            self.starts.append(call.start(given[0], role))

    def _shell(self, arguments: list[str], call: Call, depth: int) -> None:
        """A shell: code (-c), what it is given (-s), or a script; options may be bundled, `-o` takes a word."""
        rest = list(arguments)
        is_code = is_given = False
        while rest and rest[0][:1] in ("-", "+") and len(rest[0]) > 1:
            option = rest.pop(0)
            if option == "--":
                break
            if option in _SHELL_VALUED and rest:
                rest.pop(0)
            elif not option.startswith("--"):
                is_code = is_code or (option[0] == "-" and "c" in option)
                is_given = is_given or (option[0] == "-" and "s" in option)
                rest = rest[1:] if option[-1] in "oO" else rest
        if is_code and rest and rest[0].replace(UNKNOWN, "").strip():
            self.script(rest[0], call, depth + 1)
        elif is_code:
            self._opaque(["-c", *rest], call)
        elif is_given or not rest:
            self.findings.append(reasons.OPAQUE.found("a shell that reads what it is given", subject=call.where))
        else:
            self._named(rest[:1], Role.SCRIPT, call, rest)

    def _wrapper(self, name: str, arguments: list[str], call: Call, depth: int) -> None:
        wrapper = _WRAPPERS[name]
        rest = self._without_options(name, arguments, call)
        if rest is None:
            return
        variables = []
        while name in ("env", "sudo") and rest and re.match(r"[A-Za-z_]\w*=", rest[0]):
            variable, _, value = rest.pop(0).partition("=")
            variables.append((variable, value))
        self.environment(variables, call)
        call = call.inside(dict(variables))
        rest = rest[wrapper.words :]
        if name == "flock" and rest[:1] in (["-c"], ["--command"]):
            self.script(" ".join(rest[1:2]), call, depth + 1)
        elif name == "busybox" and rest:
            self.called(rest[0], rest[1:], call, depth + 1)
        elif rest:
            self.command(rest, call, depth=depth + 1)

    def _without_options(self, name: str, arguments: list[str], call: Call) -> list[str] | None:
        """What follows the options of a wrapper; None where it then runs nothing."""
        valued = _WRAPPERS[name].valued
        rest = list(arguments)
        while rest and rest[0].startswith("-") and len(rest[0]) > 1:
            option = rest.pop(0)
            if option == "--":
                break
            if name == "command" and option in ("-v", "-V"):
                return None
            if name == "ld.so" and option == "--preload" and rest:
                self.environment([("LD_PRELOAD", rest.pop(0))], call)
            elif name == "env" and (match := _SPLIT(option)) is not None:
                given = match[1] or match[2] or (rest.pop(0) if rest else "")
                rest = [*split_string(given), *rest]
            elif option in valued and rest:
                rest.pop(0)
        return rest

    def _chroot(self, arguments: list[str], call: Call, depth: int) -> None:
        rest = [each for each in arguments if not each.startswith("-")]
        if rest and (UNKNOWN in rest[0] or not rest[0].startswith("/")):
            self._opaque(rest, call)
        elif len(rest) > 1:
            within = arguments[arguments.index(rest[0]) + 1 :]
            self.command(within, call._replace(below=call.below + rest[0].rstrip("/")), depth=depth + 1)

    def _su(self, arguments: list[str], call: Call, depth: int) -> None:
        for place, option in enumerate(arguments):
            if option in ("-c", "--command", "--session-command") and place + 1 < len(arguments):
                self.script(arguments[place + 1], call, depth + 1)
                return
            if option.startswith("--command="):
                self.script(option.partition("=")[2], call, depth + 1)
                return
        if "--" in arguments and arguments[-1] != "--":
            self.command(arguments[arguments.index("--") + 1 :], call, depth=depth + 1)
        else:
            self._opaque(arguments or ["a shell of another user"], call)

    def _run_parts(self, arguments: list[str], call: Call) -> None:
        folders = [each for each in arguments if not each.startswith("-")]
        self._named(folders[-1:], Role.FOLDER, call, arguments)

    def _start_stop(self, arguments: list[str], call: Call) -> None:
        rest = list(arguments)
        while rest:
            option, equals, value = rest.pop(0).partition("=")
            if option in ("-x", "--exec", "-a", "--startas"):
                given = value if equals else (rest.pop(0) if rest else "")
                self._named([given], Role.PROGRAM, call, arguments)

    def _interpreted(self, interpreter: Interpreter, arguments: list[str], call: Call) -> None:
        rest = list(arguments)
        while rest and (rest[0] in interpreter.script or (rest[0].startswith("-") and len(rest[0]) > 1)):
            option = rest.pop(0)
            if option == "--" or option in interpreter.script:
                break
            if option in interpreter.code or option.startswith(tuple(_short(interpreter.code))):
                self.findings.append(reasons.OPAQUE_CODE.found(" ".join([option, *rest])[:200], subject=call.where))
                return
            if option in interpreter.module:
                self._opaque([option, *rest[:1]], call)
                return
            if option in interpreter.valued and rest:
                rest.pop(0)
            elif option in _TELLING:
                return
        if rest:
            self._named(rest[:1], Role.SCRIPT, call, rest)
        else:
            self.findings.append(reasons.OPAQUE.found("an interpreter that reads what it is given", subject=call.where))


_TELLING = ("-V", "-v", "--version", "-version", "-h", "--help")
"""Options with which an interpreter tells of itself and ends."""


def env_words(argument: str) -> list[str]:
    """The words of the one argument that a first line `#!` gives to env."""
    match = _SPLIT(argument)
    return split_string(match[1] or match[2] or "") if match else argument.split()


def split_string(text: str) -> list[str]:
    """The words of what `env -S` is given; variables in it are unknown (coreutils, env invocation)."""
    try:
        return [re.sub(r"\$\{\w*\}", UNKNOWN, each) for each in shlex.split(text)]
    except ValueError:
        return [UNKNOWN]


def _is_absolute(path: str) -> bool:
    """Whether a search path has nothing in it but folders that are known."""
    return all(each.startswith("/") and UNKNOWN not in each for each in path.split(":"))


def _short(options: frozenset[str]) -> list[str]:
    """Options of one letter: what they take may follow at once."""
    return [option for option in options if len(option) == len("-c")]


def _interpreter(name: str) -> Interpreter | None:
    if name in _INTERPRETERS:
        return _INTERPRETERS[name]
    match = _VERSIONED.fullmatch(name)
    return _INTERPRETERS[match[1]] if match else None


def interpreter_of(head: bytes) -> list[str]:
    """The words of a first line `#!...` as the kernel takes them: the program, and one argument (execve(2))."""
    if not head.startswith(b"#!"):
        return []
    line = head[2:].split(b"\n", 1)[0].strip(b" \t\r").decode("utf-8", "surrogateescape")
    program, _, argument = line.replace("\t", " ").partition(" ")
    return [program, argument.strip()] if argument.strip() else [program]
