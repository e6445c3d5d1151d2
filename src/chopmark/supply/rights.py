"""What the mode of a file lets others do that its package does not give (inode(7))."""

from __future__ import annotations

import stat

OPEN = stat.S_ISUID | stat.S_ISGID | stat.S_IWGRP | stat.S_IWOTH
"""Bits that let others act as the owner, or change the file; fewer of any are nobody's gain."""


def beyond(mode: int, given: int) -> int:
    """The bits of OPEN that a mode has and the one that was given has not."""
    return mode & ~given & OPEN


def told(mode: int, given: int) -> str:
    """The two modes, in words."""
    return f"mode {mode & 0o7777:04o} in place of {given & 0o7777:04o}"
