"""Running scripts from descriptors that were asked about, so that nobody can exchange them in between."""

from __future__ import annotations

import _io
import errno
import io
import os
import runpy
import stat
import sys
import threading
from collections.abc import Callable
from importlib import machinery
from typing import TYPE_CHECKING, Any

from chopmark.agent import asking
from chopmark.core.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Check = Callable[[int, str], str]
"""Says why the file behind a descriptor must not run; nothing when it may."""


def opened(path: str, check: Check | None = None) -> int:
    """A descriptor of a file that may be run. Raises RefusedError, and OSError when it cannot be opened.

    Opening alone asks a guard; the kernel is asked where the file is executable, as it wants that before anything else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise RefusedError(f"{path}: only files are run: code that comes otherwise has no signature")
        if mode & 0o111:
            try:
                allowed = asking.may_run(descriptor)
            except asking.CannotAskError:
                allowed = True  # then there is nobody to ask in this way
            if not allowed:
                raise RefusedError(f"{path}: the system does not let it run")
        why = check(descriptor, path) if check is not None else ""
        if why:
            raise RefusedError(f"{path}: {why}")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def execute(program: str, script: str, arguments: Sequence[str], check: Check | None = None) -> None:
    """Become an interpreter that runs a script by its descriptor. Raises RefusedError, OSError."""
    descriptor = opened(script, check)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the only way to call it
    asking.restrict()
    os.execvp(program, [program, f"/proc/self/fd/{descriptor}", *arguments])  # noqa: S606 - starting it is what was asked for


def start(program: str, arguments: Sequence[str], check: Check | None = None) -> None:
    """Become a program, with interpreters below it told to ask. Raises RefusedError, OSError.

    With a check it is started by the very descriptor that was looked at, which a script then has as its own name.
    """
    if check is None:
        asking.restrict()
        os.execvp(program, [program, *arguments])  # noqa: S606 - starting it is what was asked for
    descriptor = opened(_found(program), check)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the only way to call it
    asking.restrict()
    os.execve(descriptor, [program, *arguments], os.environ)  # noqa: S606 - likewise


def _found(program: str) -> str:
    """Where a program lies that may be named without a folder, as execvp(3) looks for it. Raises OSError."""
    if "/" in program:
        return program
    places = (os.path.join(folder, program) for folder in os.get_exec_path())
    found = next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), "")
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), program)
    return found


def _hook(check: Check | None) -> None:
    """Have all code that this interpreter imports opened by `opened`.

    The import system opens sources, bytecode and archives by io.open_code, which is made for this; its own hook can be
    set from C alone, so the function itself is replaced. Bytecode without a source is opened otherwise, by its loader.
    """

    def open_code(path: str) -> io.BytesIO:
        with os.fdopen(_opened_or_denied(path, check), "rb") as file:
            return io.BytesIO(file.read())

    def get_data(_: object, path: str) -> bytes:
        return open_code(path).getvalue()

    _io.open_code = io.open_code = open_code
    machinery.SourcelessFileLoader.get_data = get_data  # type: ignore[method-assign,assignment]


_checking = threading.local()
"""Whether this thread is finding out about a file: what that itself imports is ours, and asking about it never ends."""


def _opened_or_denied(path: str, check: Check | None) -> int:
    """As `opened`, in the words of the import system: bytecode that is denied is passed over, for its source."""
    if getattr(_checking, "now", False):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    _checking.now = True
    try:
        return opened(path, check)
    except RefusedError as error:
        raise PermissionError(errno.EACCES, str(error)) from None
    finally:
        _checking.now = False


def _watch(check: Check | None) -> None:
    """Ask about native code as well, which no hook opens: extension modules and libraries (sys.addaudithook)."""

    def audit(event: str, values: tuple[Any, ...]) -> None:
        path = ""
        if event == "import" and values[1]:
            path = os.fspath(values[1])
        elif event == "ctypes.dlopen" and values[0]:
            path = os.fspath(values[0])
        if path and os.path.isfile(path):
            os.close(_opened_or_denied(path, check))

    sys.addaudithook(audit)


def python(arguments: Sequence[str], check: Check | None = None) -> None:
    """Run a script, or a module (`-m NAME`), in this interpreter; all that it imports is asked about.

    Raises UsageError for code on the command line or from standard input, RefusedError for the script itself, and
    whatever the script raises.
    """
    if not arguments or arguments[0] in ("-", "-c"):
        raise UsageError("only files and modules are run: code that comes otherwise has no signature")
    if arguments[0] == "-m" and len(arguments) < 2:  # noqa: PLR2004 - the option and its value
        raise UsageError("-m needs the name of a module")
    if arguments[0].startswith("-") and arguments[0] != "-m":
        raise UsageError(f"no such option for Python: {arguments[0]}")
    sys.dont_write_bytecode = True
    _hook(check)
    _watch(check)
    asking.restrict()
    if arguments[0] == "-m":
        sys.argv = [arguments[1], *arguments[2:]]
        sys.path.insert(0, os.getcwd())
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        return
    script = arguments[0]
    sys.argv = [script, *arguments[1:]]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    try:
        descriptor = _opened_or_denied(script, check)
    except PermissionError as error:
        raise RefusedError(str(error.strerror)) from None
    except OSError as error:
        raise UsageError(f"{script}: {error.strerror}") from None
    with os.fdopen(descriptor, "rb") as file:
        code = compile(file.read(), script, "exec", dont_inherit=True)
    main = type(sys)("__main__")
    main.__dict__.update({"__file__": script, "__builtins__": __builtins__})
    sys.modules["__main__"] = main
    exec(code, main.__dict__)  # noqa: S102 - this is what running a script is
