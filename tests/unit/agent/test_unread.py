"""Files of which nobody can say who signed them: that is not the same as nobody."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.support import silent_fuse
from tests.support.guarding import Guarded, Mounted, place, policy, program, ran, why_not
from tests.support.patience import eventually

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "a guard can be tested")


def test_a_signature_that_cannot_be_read_is_not_none(tmp_path: Path) -> None:
    """By what its name leads to: itself, or a file system whose every answer is an error."""
    good, evil = program(0), program(7)
    with ExitStack() as stack:
        where = stack.enter_context(Mounted(tmp_path))
        (tmp_path / "failing").mkdir()
        try:
            stack.enter_context(silent_fuse.mounted(tmp_path / "failing", errno.EIO))
        except OSError as refused:
            pytest.skip(f"no FUSE here: {refused.strerror}")
        for number, target in enumerate((where / "evil0.sig", tmp_path / "failing" / "x", where / "nowhere")):
            place(where / f"evil{number}", evil + bytes([number]))
            (where / f"evil{number}.sig").symlink_to(target)
        place(where / "good", good)
        (where / "good.sig").symlink_to("good.sig")
        guard = stack.enter_context(Guarded(where, tmp_path / "home", policy([good])))
        assert [ran(str(where / f"evil{number}")) for number in range(3)] == ["denied"] * 3
        assert ran(str(where / "good")) == "0"  # whose content is allowed, whoever signed it
        eventually(lambda: len(guard.events("deny")) == 3)
        reasons = {each["path"]: (each["reason"], each["file"]["status"]) for each in guard.events("deny")}
        assert reasons == {
            str(where / "evil0"): ("guard.unread", "undecided"),
            str(where / "evil1"): ("guard.unread", "undecided"),
            str(where / "evil2"): ("policy.nothing", "unsigned"),
        }
