"""Virtual machines: started, bounded, stopped by their process id, and what their console showed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from tests.vm.lab import FIRMWARE, LOGS

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 4
"""A deadline is this many times what a machine with nothing else to do needs."""

_POLL_SECONDS = 0.1
_STEP = re.compile(r"vm: step (\S+)")
_ANSWER = re.compile(r"vm: rc (\S+) (\d+) (\S+)")
_ESCAPES = re.compile(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()].)")


class MachineError(RuntimeError):
    """The guest did not come to its end; the message has the end of its console."""


class Answer(NamedTuple):
    """How one step went: what the guest returned, by number and by name, and what the console showed meanwhile."""

    code: int
    word: str
    log: str


@dataclass(frozen=True)
class Console:
    """All that a machine printed, and the answers by the names of their steps."""

    text: str
    answers: dict[str, Answer]

    def __getitem__(self, step: str) -> Answer:
        return self.answers[step]


def read(text: str) -> Console:
    """Find the steps and their answers in what a console showed."""
    text = _ESCAPES.sub("", text).replace("\r", "")
    answers, lines, inside = {}, list[str](), False
    for line in text.split("\n"):
        if _STEP.search(line):
            lines, inside = [], True
        elif (found := _ANSWER.search(line)) and inside:
            answers[found[1]] = Answer(int(found[2]), found[3], "\n".join(lines))
            inside = False
        else:
            lines.append(line)
    return Console(text, answers)


class Machine(NamedTuple):
    """What to start: with `variables` the firmware OVMF with Secure Boot; else QEMU starts the kernel by itself."""

    name: str
    """Of the console's log in build/vm/logs."""
    usual: float
    """Seconds that it takes on two processors without hardware virtualisation."""
    kernel: Path | None = None
    initrd: Path | None = None
    options: str = ""
    variables: Path | None = None
    """The firmware's variables; the guest changes them."""
    disk: Path | None = None
    """A folder that the guest sees as a FAT volume."""
    volume: Path | None = None
    """An image that the guest sees as /dev/vda, read-only."""
    memory: int = 768

    def command(self) -> list[str]:
        """QEMU's command line."""
        secure = self.variables is not None
        given = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "1", "-m", str(self.memory)]
        given += ["-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"]
        given += ["-M", f"q35,smm={'on' if secure else 'off'}"]
        if secure:
            code, store = FIRMWARE / "OVMF_CODE_4M.secboot.fd", self.variables
            given += ["-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1"]
            given += ["-drive", f"if=pflash,format=raw,unit=0,file={code},readonly=on"]
            given += ["-drive", f"if=pflash,format=raw,unit=1,file={store}", "-boot", "menu=off,splash-time=0"]
        if self.disk:
            given += ["-drive", f"if=none,id=disk,format=raw,readonly=on,file=fat:{self.disk}"]
            given += ["-device", "virtio-blk-pci,drive=disk,bootindex=0"]
        if self.volume:
            given += ["-drive", f"if=none,id=volume,format=raw,readonly=on,file={self.volume}"]
            given += ["-device", "virtio-blk-pci,drive=volume"]
        if self.kernel:
            given += ["-kernel", str(self.kernel), "-append", f"console=ttyS0 quiet panic=-1 {self.options}"]
        if self.initrd:
            given += ["-initrd", str(self.initrd)]
        return given

    def boot(self, until: str = "") -> Console:
        """Run it until it switches itself off, or its console shows `until`. Raises MachineError at the deadline."""
        LOGS.mkdir(parents=True, exist_ok=True)
        log = LOGS / f"{self.name}.{os.getpid()}"
        seconds = PATIENCE * self.usual
        bounded = ["timeout", "--signal=KILL", str(seconds + 5)]  # where we are killed ourselves
        with log.open("wb") as output:
            guest = subprocess.Popen(
                bounded + self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        ends = time.monotonic() + seconds
        try:
            while guest.poll() is None and time.monotonic() < ends:
                if until and until in log.read_text(errors="replace"):
                    break
                time.sleep(_POLL_SECONDS)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(guest.pid, signal.SIGKILL)
            guest.wait()
            log.replace(LOGS / f"{self.name}.log")
        console = read((LOGS / f"{self.name}.log").read_text(errors="replace"))
        if (until or "vm: end") not in console.text:
            message = f"{self.name} did not get as far as {until or 'its end'!r}:\n{console.text[-2000:]}"
            raise MachineError(message)
        return console
