import os
from pathlib import Path

import pytest

from tests.support.desk import SAMPLES, Desk


@pytest.mark.parametrize("kind", sorted(SAMPLES))
def test_strip_restores_what_was_there_before(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    assert desk.run("strip", path) == 0
    assert path.read_bytes() == SAMPLES[kind].read_bytes()
    assert not Path(f"{path}.p7s").exists()
    assert desk.out == (f"removed    {path}.p7s\n" if kind == "detached" else f"stripped   {path}\n")
    assert desk.verify(path) == 1
    assert desk.litter() == []


def test_several_signatures_go_at_once(desk: Desk) -> None:
    path = desk.signed("pe")
    assert desk.run("sign", path, *desk.by_signer, "--append") == 0
    assert desk.run("strip", path) == 0
    assert path.read_bytes() == SAMPLES["pe"].read_bytes()


def test_an_unsigned_file_stays_as_it_is(desk: Desk) -> None:
    path = desk.sample("pe")
    before = path.stat()
    assert desk.run("strip", path) == 0
    assert desk.out == f"unsigned   {path}\n"
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_every_path_is_reported_and_the_worst_status_counts(desk: Desk) -> None:
    broken = desk.write("broken.exe", SAMPLES["pe"].read_bytes()[:300])
    good = desk.signed("script")
    assert desk.run("strip", "missing", broken, good) == 2
    assert desk.err.count("\n") == 2
    assert "broken.exe: " in desk.err
    assert good.read_bytes() == SAMPLES["script"].read_bytes()
    assert desk.run("strip", broken) == 1


def test_output_leaves_the_file_alone(desk: Desk) -> None:
    path = desk.signed("pe")
    before = path.read_bytes()
    assert desk.run("strip", path, "-o", "plain.exe") == 0
    assert path.read_bytes() == before
    assert Path("plain.exe").read_bytes() == SAMPLES["pe"].read_bytes()
    assert desk.run("strip", path, path, "-o", "plain.exe") == 2


def test_output_of_a_file_that_is_signed_beside_it_is_a_usage_error(desk: Desk) -> None:
    path = desk.signed("detached")
    assert desk.run("strip", path, "-o", "plain.txt") == 2
    assert Path(f"{path}.p7s").exists()
    assert not Path("plain.txt").exists()


def test_mode_and_link_stay(desk: Desk) -> None:
    path = desk.signed("script", "real.sh")
    path.chmod(0o751)
    Path("link.sh").symlink_to("real.sh")
    os.link(path, "hard.sh")
    assert desk.run("strip", "link.sh") == 0
    assert Path("link.sh").is_symlink()
    assert path.stat().st_mode & 0o7777 == 0o751
    assert desk.verify("hard.sh") == 0
