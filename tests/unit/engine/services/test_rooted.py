import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from chopmark.core import reasons
from chopmark.core.artifact import UnreadableError
from chopmark.core.errors import InputError
from chopmark.engine.services.rooted import Root
from tests.support.image import Image


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(b"of the host")
    return path


def test_absolute_links_and_dots_stay_below_the_root(image: Image, outside: Path) -> None:
    image.write("/secret", "of the image")
    image.link("/etc/absolute", "/secret")
    image.link("/etc/climbing", "../../../../../../secret")
    image.link("/etc/host", str(outside))
    with image.root() as root:
        assert root.read("/etc/absolute", 100) == b"of the image"
        assert root.read("/etc/climbing", 100) == b"of the image"
        assert root.read("/../../secret", 100) == b"of the image"
        assert not root.find("/etc/absolute").escapes
        assert root.find("/etc/climbing").escapes
        assert root.find("/etc/climbing").path == "/secret"
        with pytest.raises(UnreadableError):
            root.read("/etc/host", 100)


def test_links_of_folders_are_followed_and_the_place_is_told(image: Image) -> None:
    image.link("/lib", "usr/lib")
    image.program("/usr/lib/x/tool")
    with image.root() as root:
        assert root.find("/lib/x/./../x//tool").path == "/usr/lib/x/tool"
        assert root.find("/lib", follow=False).path == "/lib"
        assert root.link("/lib") == "usr/lib"
        assert root.link("/usr/lib/x/tool") == ""
        assert root.names("/lib/x") == (("tool", False, False),)
        assert root.names("/usr/lib/x/tool") == ()
        assert root.names("/nothing") == ()


def test_no_file_has_a_name_with_a_null_in_it(image: Image) -> None:
    image.write("/etc/x", "x")
    with image.root() as root:
        assert root.names("/etc\0") == ()
        with pytest.raises(UnreadableError):
            root.read("/etc/x\0", 100)


def test_circles_end(image: Image) -> None:
    image.link("/a", "b")
    image.link("/b", "/a")
    with image.root() as root:
        with pytest.raises(OSError, match="symbolic links") as found:
            root.find("/a")
        assert found.value.errno == errno.ELOOP
        assert root.get("/a") is None


def test_only_regular_files_are_opened(image: Image) -> None:
    image.write("/etc/x", "x" * 10)
    os.mkfifo(image.path("/etc/pipe"))
    with image.root() as root:
        with pytest.raises(UnreadableError) as found:
            root.read("/etc/pipe", 10)
        assert found.value.reason is reasons.INPUT_NOT_A_FILE
        with pytest.raises(UnreadableError) as found:
            root.read("/etc", 10)
        assert found.value.reason is reasons.INPUT_NOT_A_FILE
        with pytest.raises(UnreadableError) as found:
            root.read("/etc/x", 9)
        assert found.value.reason is reasons.INPUT_TOO_LARGE
        with pytest.raises(UnreadableError) as found:
            root.read("/etc/x\0y", 9)
        assert found.value.reason is reasons.INPUT_MISSING


def test_signatures_beside_a_file_are_looked_for_below_the_root(image: Image, outside: Path) -> None:
    image.write("/etc/a", "a")
    image.link("/etc/a.p7s", str(outside))
    image.write("/etc/b", "b")
    image.link("/etc/b.p7s", "/etc/sealed")
    image.write("/etc/sealed", "signature")
    with image.root() as root:
        with root.artifact("/etc/a") as artifact:
            assert artifact.companion(".p7s") is None
        with root.artifact("/etc/b") as artifact:
            assert artifact.companion(".p7s") == b"signature"
            assert artifact.name == str(image.path("/etc/b"))


def test_what_everybody_may_write_to_is_told(image: Image) -> None:
    image.program("/opt/a/b/tool")
    image.path("/opt/a").chmod(0o777)
    image.program("/opt/c")
    image.path("/opt/c").chmod(0o757)
    image.program("/tmp/tool")
    image.path("/tmp").chmod(0o1777)
    with image.root() as root:
        assert root.find("/opt/a/b/tool").exposed == ("/opt/a",)
        assert root.find("/opt/c").exposed == ("/opt/c",)
        assert root.find("/tmp/tool").exposed == ()


def test_no_descriptor_is_lost(image: Image) -> None:
    image.write("/etc/x", "x")
    image.link("/etc/loop", "loop")
    with image.root() as root:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for path in ("/etc/x", "/etc/loop", "/etc/none", "/etc/x/y", "/"):
            root.get(path)
            with suppress(OSError):
                root.names(path)
            with suppress(UnreadableError):
                root.read(path, 0)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_root_has_to_be_a_folder(tmp_path: Path, outside: Path) -> None:
    with pytest.raises(InputError):
        Root(str(outside))
    with pytest.raises(InputError):
        Root(str(tmp_path / "none"))
