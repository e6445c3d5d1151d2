"""`chopmark guard run`: the guard itself, in the foreground; and the unit for a host that has systemd."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from chopmark.cli import output
from chopmark.cli.settings import setting, switch, text, words
from chopmark.core import places
from chopmark.core.errors import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from chopmark.agent.events import Stream
    from chopmark.agent.fanotify import Event, Group
    from chopmark.agent.holder import Line
    from chopmark.agent.settings import Settings, Sources
    from chopmark.agent.uses import Rules
    from chopmark.agent.world import World

TABLE = "guard"
"""In chopmark.toml."""
_PINS = "/sys/fs/bpf/chopmark"
_UNIT = """\
[Unit]
Description=chopmark guard: only code that the policy allows runs
Documentation=man:fanotify(7)
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target
Conflicts=shutdown.target

[Service]
Type=notify
NotifyAccess=all
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec=1
WatchdogSec=30
FileDescriptorStoreMax=4
OOMScoreAdjust=-900
Nice=-10
LimitNOFILE=65536
RuntimeDirectory=chopmark
StateDirectory=chopmark
NoNewPrivileges=yes
CapabilityBoundingSet=CAP_SYS_ADMIN CAP_LEASE CAP_SYS_PTRACE CAP_KILL CAP_SYS_RESOURCE
CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_DAC_OVERRIDE CAP_SETPCAP
# No ProtectSystem=, PrivateTmp= and their like: a mount namespace of its own would hide mounts from the guard.

[Install]
WantedBy=sysinit.target
"""


def control_path() -> str:
    """Where a guard is asked: /run for root, else among this user's own."""
    home = os.environ.get("CHOPMARK_HOME")
    if home:
        return os.path.join(home, "guard.socket")
    return "/run/chopmark/guard.socket" if os.geteuid() == 0 else os.path.join(places.cache(), "guard.socket")


def add_arguments(actions: Any) -> None:  # noqa: ANN401 - argparse has no public name for it
    """Declare the commands."""
    run_ = actions.add_parser("run", help="protect file systems, in the foreground")
    _add_run_arguments(run_)
    unit_ = actions.add_parser("unit", help="print a systemd unit that runs a guard with these options")
    _add_run_arguments(unit_)
    hold_ = actions.add_parser("hold")  # for ourselves: a worker's next holder
    hold_.add_argument("worker", type=int)
    hold_.add_argument("group", type=int)
    hold_.add_argument("again", nargs="*")


def _add_run_arguments(parser: Any) -> None:  # noqa: ANN401 - likewise
    parser.add_argument("--policy", metavar="F", help="the policy")
    parser.add_argument(
        "--mount",
        action="append",
        metavar="DIR",
        help="protect the whole file system that this folder is on; repeatable",
    )
    parser.add_argument(
        "--catalogs", action="append", metavar="F|DIR", help="catalogs that vouch for files; repeatable"
    )
    parser.add_argument("--mode", choices=("audit", "enforce", "learning"), help="instead of the policy's own")
    parser.add_argument(
        "--store", action="append", metavar="NAME|F", help="whom to trust, instead of the policy's stores"
    )
    parser.add_argument("--crl", action="append", metavar="F", help="a CRL, or a folder of *.crl; repeatable")
    parser.add_argument("--revocation", choices=("require", "prefer", "off"), help="instead of the policy's own")
    parser.add_argument("--blocklist", action="append", metavar="F", help="refuse what this list names; repeatable")
    parser.add_argument("--policy-store", metavar="NAME|F", default="", help="the store that policies are signed by")
    parser.add_argument(
        "--strict", action="store_true", default=None, help="judge all that interpreters open, and all ELF files"
    )
    parser.add_argument("--exec-only", action="store_true", default=None, help="judge executions alone, and no scripts")
    parser.add_argument(
        "--interpreter", action="append", metavar="NAME", help="a program that takes any text for code; repeatable"
    )
    parser.add_argument(
        "--on-failure", choices=("deny", "allow"), help="when nothing can be found out (default: deny if enforcing)"
    )
    parser.add_argument("--kill", action="store_true", default=None, help="end processes whose files become denied")
    parser.add_argument(
        "--never-block", action="append", metavar="F", help="judge and tell, but never deny; repeatable"
    )
    parser.add_argument("--no-new-mounts", action="store_true", default=None, help="leave later mounts below DIR alone")
    parser.add_argument(
        "--warm",
        action="append",
        metavar="DIR",
        help="look at the files below DIR before anybody uses them; repeatable",
    )
    parser.add_argument(
        "--no-ahead", action="store_true", default=None, help="look at files when they are used, never before"
    )
    parser.add_argument(
        "--events",
        action="append",
        metavar="F",
        help="where events go: a file, -, journal, syslog, otlp+http://HOST:4318 (OpenTelemetry); repeatable",
    )
    parser.add_argument("--state", metavar="DIR", help="folder for the database of verdicts (none: only in memory)")
    parser.add_argument(
        "--bpf", nargs="?", const=_PINS, metavar="DIR",
        help=f"have the kernel deny by itself what no guard has let through, pinned in DIR ({_PINS})",
    )  # fmt: skip
    parser.add_argument("--control", metavar="F", help=f"socket for `guard status` (default {control_path()}; none)")


def run(args: Namespace) -> int:
    """Protect until SIGTERM or an interrupt."""
    from chopmark.agent import events, fanotify, holder, leases, sinks
    from chopmark.net import notify

    gc.enable()  # turned off for processes that end soon
    settings = _settings(args)
    wanted = [sinks.sink(name) for name in words(setting(args.events, TABLE, "events", default=[]))]
    os.environ[_DEVICES] = "\n".join(f"{folder}={device}" for folder, device in settings.folders)
    leases.block()
    group = holder.inherited()
    if group is not None:
        holder.settle(group, allow=False)  # whom the last one owed an answer
    else:
        try:
            group = fanotify.Group()
        except OSError as error:
            message = f"the kernel gives no permission events: {error.strerror} (chopmark guard doctor)"
            raise UsageError(message) from None
    at_home = _at_home(settings)
    if not at_home:  # whoever started us again would wait for us, too
        notify.store("fanotify", group.descriptor)
    os.environ[_HOME] = "1" if at_home else ""

    def ready() -> None:
        with contextlib.suppress(OSError):  # who holds the group does not end because nobody reads what it says
            print("guard ready", flush=True)
        notify.ready("guarding")

    work = partial(_work, settings, group, events.Stream(wanted))
    passes = partial(_passes, settings.rules)
    return holder.Holder(group, work, ready, at_home=at_home, passes=passes).run()


def _passes(rules: Rules, event: Event) -> bool:
    """Whether no policy is about an event: an open by who runs nothing of what it reads."""
    from chopmark.agent import processes, uses

    return not (event.executes or rules.strict or uses.interpreter(processes.program(event.thread).name, rules))


def _at_home(settings: Settings) -> bool:
    """Whether what a worker opens before it answers is on a file system that it protects."""
    from chopmark.agent import mounts, processes

    protected = {device for _, device in settings.folders}
    if settings.new_mounts:
        protected |= {
            each.device for each in mounts.below([folder for folder, _ in settings.folders], mounts.mounted())
        }
    needed = [*settings.files, settings.state, places.data(), places.config(), places.cache(), os.__file__, __file__]
    found = {device for device, _ in processes.code(os.getpid())}
    for path in needed:
        while path and path != "/" and not os.path.exists(path):
            path = os.path.dirname(path)  # noqa: PLW2901 - where it will be made
        if path:
            found.add(os.stat(path).st_dev)
    return bool(found & protected)


def _work(settings: Settings, group: Group, stream: Stream, line: Line) -> int:
    """The worker's whole life."""
    from chopmark.agent.guard import Guard
    from chopmark.core.errors import ChopmarkError

    try:
        return Guard(settings, group, stream).run(line)
    except ChopmarkError as error:
        output.complain(str(error))
        return error.exit_status
    except Exception as error:
        output.complain(f"internal error: {type(error).__name__}: {error} (CHOPMARK_TRACEBACK=1 shows where)")
        if os.environ.get("CHOPMARK_TRACEBACK"):
            raise
        return 4


def _settings(args: Namespace) -> Settings:
    from chopmark.agent import uses
    from chopmark.agent.settings import Settings, Sources

    policy = text(setting(args.policy, TABLE, "policy", default=""), "policy")
    folders = tuple(words(setting(args.mount, TABLE, "mount", default=[])))
    if not policy or not folders:
        message = "guard run needs --policy F and --mount DIR"
        raise UsageError(message)

    def several(given: list[str] | None, name: str) -> tuple[str, ...]:
        return tuple(os.path.abspath(each) if os.path.exists(each) else each for each in
                     words(setting(given, TABLE, name, default=[])))  # fmt: skip

    sources = Sources(
        policy=os.path.abspath(policy),
        catalogs=several(args.catalogs, "catalogs"),
        stores=several(args.store, "store"),
        crls=several(args.crl, "crl"),
        blocklists=several(args.blocklist, "blocklist"),
        spared=several(args.never_block, "never_block"),
        revocation=text(setting(args.revocation, TABLE, "revocation", default=""), "revocation"),
        mode=text(setting(args.mode, TABLE, "mode", default=""), "mode"),
        signers=text(setting(args.policy_store or None, TABLE, "policy_store", default=""), "policy_store"),
    )
    failing = text(setting(args.on_failure, TABLE, "on_failure", default=""), "on_failure")
    state = text(setting(args.state, TABLE, "state", default=os.path.join(places.data(), "guard")), "state")
    pins = text(setting(args.bpf, TABLE, "bpf", default=""), "bpf")
    control = text(setting(args.control, TABLE, "control", default=control_path()), "control")
    return Settings(
        folders=tuple(map(_folder, folders)),
        load=partial(_load, sources),
        files=(sources.policy, *sources.catalogs, *sources.stores, *sources.crls, *sources.blocklists),
        rules=uses.Rules(
            switch(setting(args.strict, TABLE, "strict"), "strict"),
            frozenset(words(setting(args.interpreter, TABLE, "interpreter", default=[]))),
        ),
        scripts=not switch(setting(args.exec_only, TABLE, "exec_only"), "exec_only"),
        failing_open={"": None, "allow": True, "deny": False}[failing],
        kill=switch(setting(args.kill, TABLE, "kill"), "kill"),
        new_mounts=not switch(setting(args.no_new_mounts, TABLE, "no_new_mounts"), "no_new_mounts"),
        ahead=not switch(setting(args.no_ahead, TABLE, "no_ahead"), "no_ahead"),
        warm=tuple(map(os.path.abspath, words(setting(args.warm, TABLE, "warm", default=[])))),
        state="" if state == "none" else os.path.abspath(state),
        control="" if control == "none" else os.path.abspath(control),
        kernel=os.path.abspath(pins) if pins else "",
    )


def _load(sources: Sources) -> World:
    from chopmark.agent import opening  # by the worker alone: the holder stays small

    return opening.opened(sources)


_HOME = "CHOPMARK_GUARD_AT_HOME"
"""Whether the guard's own files are protected by it, for those that come after the first."""
_DEVICES = "CHOPMARK_GUARD_DEVICES"
"""What the folders were on when a guard was first asked for, for those that come after it."""


def _folder(folder: str) -> tuple[str, int]:
    """A folder and the device that it is on. Raises UsageError for what cannot be protected."""
    from chopmark.agent import mounts

    real = os.path.realpath(folder)
    known = dict(each.rsplit("=", 1) for each in os.environ.get(_DEVICES, "").split("\n") if "=" in each)
    if real in known:
        return real, int(known[real])
    mount = mounts.of(real)
    if mount is None or not os.path.isdir(real):
        message = f"{folder}: no such folder"
        raise UsageError(message)
    if mount.refused:
        message = f"{folder}: file systems of kind {mount.kind} cannot be protected: {mount.refused}"
        raise UsageError(message)
    if mount.place != real:
        output.complain(f"{folder}: all of the file system that is mounted on {mount.place} is protected, not it alone")
    return real, mount.device


def hold(args: Namespace) -> int:
    """Take the place of a holder that was killed."""
    from chopmark.agent import fanotify, holder

    again = [sys.executable, "-m", "chopmark", *args.again]
    holder.watch(fanotify.Group(args.group), args.worker, again, at_home=bool(os.environ.get(_HOME)))


def unit(args: Namespace) -> int:
    """Print a unit file."""
    import shlex

    _settings(args)  # what is wrong with the options is said now
    at = sys.argv.index("unit")
    command = [os.path.abspath(sys.argv[0]), "guard", "run", *sys.argv[at + 1 :]]
    if not args.events:
        command += ["--events", "journal"]
    print(_UNIT.format(command=shlex.join(command)), end="")
    return 0
