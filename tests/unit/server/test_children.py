"""Forked processes: they end with their parent, whenever it ends."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from chopmark.server import children

if TYPE_CHECKING:
    from chopmark.server.children import Report


def test_who_starts_after_the_end_of_its_parent_knows_it() -> None:
    """A parent can be killed between the fork and the first thing that a child does."""
    told, tells = os.pipe()

    def task(report: Report) -> None:
        began = time.monotonic()
        while not report.orphaned and time.monotonic() < began + 20:
            time.sleep(0.01)
        os.write(tells, b"orphaned" if report.orphaned else b"not")

    middle = os.fork()
    if not middle:
        children.fork("worker", 0, task, [])
        os._exit(0)
    os.close(tells)
    os.waitpid(middle, 0)
    assert os.read(told, 100) == b"orphaned"
    os.close(told)


def test_whose_parent_is_there_is_no_orphan() -> None:
    told, tells = os.pipe()

    def task(report: Report) -> None:
        os.write(tells, b"%d" % report.orphaned)

    child = children.fork("worker", 0, task, [told])
    os.close(tells)
    assert os.read(told, 100) == b"0"
    os.close(told)
    assert os.waitpid(child.pid, 0)[1] == 0
    child.forget_report()
