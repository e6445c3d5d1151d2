"""What a host leaves open that no guard in user space can close, and the setting that closes it."""

from __future__ import annotations

import os
import platform
import stat
from typing import TYPE_CHECKING

from chopmark.agent import fanotify, leases, mounts
from chopmark.agent.bpf import support
from chopmark.core.finding import Outcome
from chopmark.core.named import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CAPABILITIES = {"CAP_SYS_ADMIN": 21, "CAP_LEASE": 28, "CAP_SYS_PTRACE": 19, "CAP_DAC_READ_SEARCH": 2}


class Symptom(NamedTuple):
    """One thing that was looked at: whether it is as it should be, what was found, and what to do."""

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""


def examine(folders: list[str], root: str = "/") -> Iterator[Symptom]:
    """Look at the host; nothing is changed. Raises nothing."""
    yield _group()
    yield from _rights()
    yield _memfd(root)
    yield _user_namespaces(root)
    yield _fuse(root)
    yield _setting(root, "kernel/yama/ptrace_scope", "code injected by ptrace(2)", ("1", "2", "3"), "1")
    yield _setting(root, "kernel/modules_disabled", "kernel modules", ("1",), "1", optional=True)
    yield _setting(root, "kernel/kexec_load_disabled", "another kernel by kexec_load(2)", ("1",), "1", optional=True)
    yield _setting(root, "fs/lease-break-time", "how long a writer can be held back", _at_least(31), "45")
    yield _lockdown(root)
    yield _exec_check()
    yield Symptom("verdicts in the kernel (BPF LSM)", *support.of_host(root))
    there = mounts.mounted()
    yield _held_pages(root, folders, there)
    for folder in folders:
        yield _mount(folder, there)
    yield from _loose(folders, there)


def _group() -> Symptom:
    name = "fanotify permission events"
    try:
        group = fanotify.Group()
    except OSError as error:
        return Symptom(
            name, Outcome.NO, error.strerror or "", "run as root, on a kernel with FANOTIFY_ACCESS_PERMISSIONS"
        )
    group.close()
    return Symptom(name, Outcome.OK, f"there (Linux {platform.release()})")


def _rights() -> Iterator[Symptom]:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            line = next(line for line in file if line.startswith("CapEff:"))
        held = int(line.split()[1], 16)
    except (OSError, StopIteration, ValueError):
        held = 0
    missing = [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]
    if missing:
        yield Symptom(
            "capabilities", Outcome.NO, f"missing: {', '.join(missing)}", "run as root, or grant them to the unit"
        )
    else:
        yield Symptom("capabilities", Outcome.OK, ", ".join(_CAPABILITIES))


def _memfd(root: str) -> Symptom:
    name = "programs in memory (memfd_create)"
    value = _read(root, "vm/memfd_noexec")
    if value is None:
        return Symptom(name, Outcome.UNKNOWN, "this kernel cannot forbid them (Linux 6.3 can)", "a newer kernel")
    if value == "2":
        return Symptom(name, Outcome.OK, "vm.memfd_noexec = 2")
    return Symptom(name, Outcome.NO, f"vm.memfd_noexec = {value}", "sysctl vm.memfd_noexec=2")


def _user_namespaces(root: str) -> Symptom:
    name = "file systems in user namespaces"
    for setting, closed in (("kernel/unprivileged_userns_clone", "0"), ("user/max_user_namespaces", "0"),
                            ("kernel/apparmor_restrict_unprivileged_userns", "1")):  # fmt: skip
        if _read(root, setting) == closed:
            return Symptom(name, Outcome.OK, f"{setting.replace('/', '.')} = {closed}")
    return Symptom(
        name, Outcome.NO, "anybody can mount a file system that no guard sees", "sysctl user.max_user_namespaces=0"
    )


_FUSERMOUNT = ("usr/bin/fusermount3", "usr/bin/fusermount", "bin/fusermount3", "bin/fusermount")


def _fuse(root: str) -> Symptom:
    """Who is behind FUSE ends a read when they like, and until then the kernel holds the pages that it goes to."""
    name = "files that FUSE reads into"
    device = os.path.join(root, "dev/fuse")
    try:
        everybody = bool(os.stat(device).st_mode & 0o006)
    except OSError:
        return Symptom(name, Outcome.OK, "no /dev/fuse")
    helpers = [each for each in _FUSERMOUNT if _is_setuid(os.path.join(root, each))]
    if helpers:
        return Symptom(
            name, Outcome.NO, f"/{helpers[0]} is set-user-id", f"chmod u-s /{helpers[0]}, if nobody needs it"
        )
    if everybody and _user_namespaces(root).outcome is not Outcome.OK:
        return Symptom(
            name, Outcome.NO, "anybody can mount one in a user namespace", "chmod 600 /dev/fuse (by a udev rule)"
        )
    return Symptom(name, Outcome.OK, "only root can mount them")


def _is_setuid(path: str) -> bool:
    try:
        return bool(os.stat(path).st_mode & stat.S_ISUID)
    except OSError:
        return False


def _held_pages(root: str, folders: list[str], there: list[mounts.Mount]) -> Symptom:
    """Of a tmpfs io_uring can hold pages when their mapping is gone, and write to them with no writer to be seen."""
    kinds = {found.kind for folder in folders if (found := mounts.of(folder, there)) is not None}
    return _setting(
        root,
        "kernel/io_uring_disabled",
        "files of a tmpfs, by io_uring",
        ("1", "2"),
        "2",
        optional="tmpfs" not in kinds,
    )


def _at_least(least: int) -> Callable[[str], bool]:
    return lambda value: value.isdigit() and int(value) >= least


def _setting(
    root: str,
    setting: str,
    what: str,
    good: tuple[str, ...] | Callable[[str], bool],
    wanted: str,
    *,
    optional: bool = False,
) -> Symptom:
    dotted = setting.replace("/", ".")
    value = _read(root, setting)
    if value is None:
        return Symptom(what, Outcome.INFO if optional else Outcome.UNKNOWN, f"{dotted}: not on this kernel")
    fits = good(value) if callable(good) else value in good
    if fits:
        return Symptom(what, Outcome.OK, f"{dotted} = {value}")
    return Symptom(what, Outcome.INFO if optional else Outcome.NO, f"{dotted} = {value}", f"sysctl {dotted}={wanted}")


def _lockdown(root: str) -> Symptom:
    name = "kernel memory (lockdown)"
    try:
        with open(os.path.join(root, "sys/kernel/security/lockdown"), encoding="ascii", errors="replace") as file:
            modes = file.read().strip()
    except OSError:
        return Symptom(
            name, Outcome.INFO, "not on this kernel: root can change what runs", "boot with lockdown=integrity"
        )
    if "[none]" in modes:
        return Symptom(name, Outcome.INFO, "off: root can change what runs", "boot with lockdown=integrity")
    return Symptom(name, Outcome.OK, modes)


def _exec_check() -> Symptom:
    """AT_EXECVE_CHECK came with Linux 6.14."""
    name = "interpreters that ask (AT_EXECVE_CHECK)"
    major, minor = (int(each) for each in platform.release().split(".")[:2] if each.isdigit())
    if (major, minor) >= (6, 14):
        return Symptom(name, Outcome.OK, "the kernel passes the question on")
    return Symptom(name, Outcome.INFO, "not on this kernel (Linux 6.14 can)", "a newer kernel")


def _mount(folder: str, there: list[mounts.Mount]) -> Symptom:
    mount = mounts.of(folder, there)
    if mount is None or not os.path.isdir(folder):
        return Symptom(folder, Outcome.NO, "no such folder")
    if mount.refused:
        return Symptom(folder, Outcome.NO, f"{mount.kind} cannot be protected: {mount.refused}", "mount it noexec")
    if not mount.leased or not _leases(folder):
        return Symptom(
            folder, Outcome.NO, f"no leases on {mount.kind}: writers are not seen in time", "use ext4, xfs or tmpfs"
        )
    alone = mount.place == os.path.realpath(folder)
    rest = "" if alone else ", all of which a guard of this folder would protect"
    return Symptom(folder, Outcome.OK, f"{mount.kind} on {mount.place}{rest}")


def _leases(folder: str) -> bool:
    """Whether a file there can be leased, tried on a file that has no name."""
    try:
        writing = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        return True  # it cannot be tried; the guard will see
    try:
        reading = os.open(f"/proc/self/fd/{writing}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(writing)
        return True
    os.close(writing)
    try:
        leases.block()
        return leases.take(reading)
    except OSError:
        return False
    finally:
        os.close(reading)


def _loose(folders: list[str], there: list[mounts.Mount]) -> Iterator[Symptom]:
    """File systems that are not protected and on which programs may run."""
    protected = {found.device for folder in folders if (found := mounts.of(folder, there)) is not None}
    open_ = sorted(
        {mount.place for mount in there if mount.has_files and mount.device not in protected and not mount.noexec}
    )
    if open_:
        shown = ", ".join(open_[:6]) + (f" and {len(open_) - 6} more" if len(open_) > 6 else "")  # noqa: PLR2004 - a line
        yield Symptom("unprotected file systems", Outcome.NO, shown, "protect them, or mount them noexec")
    else:
        yield Symptom("unprotected file systems", Outcome.OK, "none without noexec")


def _read(root: str, setting: str) -> str | None:
    try:
        with open(os.path.join(root, "proc/sys", setting), encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None
