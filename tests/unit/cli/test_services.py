"""`chopmark services`, with a small image whose files a catalog vouches for, and attacks on it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.desk import Desk
from tests.support.image import Image

WEB = "[Unit]\nDescription=x\n[Service]\nExecStart=/usr/bin/daemon --x\n[Install]\nWantedBy=multi-user.target\n"
UNIT = "/usr/lib/systemd/system/web.service"
ETC = "/etc/systemd/system"


class Host:
    """The image, and the command line on it."""

    def __init__(self, desk: Desk, image: Image) -> None:
        self.desk = desk
        self.image = image

    def catalog(self) -> None:
        """Sign what is there now."""
        made = self.desk.run(
            "catalog", "create", self.image.folder, "-o", "image.catalog", "--as", "/", *self.desk.by_signer
        )
        assert made == 0, self.desk.err

    def check(self, *names: str, more: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
        """What is said of each entry, by name; the sum under an empty one, with the exit status."""
        trust = ("--store", self.desk.root, "--offline", "--json", "--root", str(self.image.folder))
        catalogs = ("--catalogs", "image.catalog") if Path("image.catalog").exists() else ()
        status = self.desk.run("services", "check", *names, *trust, *catalogs, *more)
        lines = [json.loads(line) for line in self.desk.out.splitlines()]
        found = {line.get("name", ""): line for line in lines}
        found[""]["exit"] = status
        return found

    def codes(self, name: str = "web.service") -> set[str]:
        """What speaks against an entry."""
        return {each["code"] for each in self.check()[name]["findings"] if each["outcome"] in ("no", "unknown")}

    def said(self, name: str = "web.service", *more: str) -> set[str]:
        """Everything that is said of an entry, good things too."""
        return {each["code"] for each in self.check(more=more)[name]["findings"]}

    def sign(self, *arguments: str) -> int:
        """`services sign`."""
        return self.desk.run("services", "sign", "--root", self.image.folder, *self.desk.by_signer, *arguments)


@pytest.fixture
def host(desk: Desk, tmp_path: Path) -> Host:
    image = Image(tmp_path / "image")
    image.program("/usr/bin/daemon")
    image.program("/usr/bin/sh")
    image.program("/usr/bin/tool", "#!/bin/sh\necho x\n")
    image.write(UNIT, WEB)
    image.write("/etc/systemd/system/.keep")
    image.link("/bin", "usr/bin")
    image.link("/lib", "usr/lib")
    image.program("/etc/cron.daily/job", "#!/bin/sh\n")
    return Host(desk, image)


def test_what_a_catalog_lists_is_trusted_and_everything_else_is_not(host: Host) -> None:
    found = host.check()
    assert found[""]["exit"] == 1
    assert found["web.service"]["status"] == "unsigned"
    assert host.codes() == {"service.unsigned", "service.program_unsigned"}
    host.catalog()
    found = host.check()
    assert {name: each["status"] for name, each in found.items()} == {
        "web.service": "trusted", "/etc/cron.daily/job": "trusted", "": "trusted"
    }  # fmt: skip
    assert found[""]["exit"] == 0
    assert found["web.service"]["starts"] == [
        {"path": "/usr/bin/daemon", "role": "program", "where": "/lib/systemd/system/web.service:4",
        "status": "trusted"}
    ]  # fmt: skip
    assert [each["path"] for each in found["/etc/cron.daily/job"]["starts"]] == ["/etc/cron.daily/job", "/bin/sh"]


@pytest.mark.parametrize(
    ("attack", "codes"),
    [
        (lambda image: image.write(f"{ETC}/web.service.d/x.conf", "[Service]\nExecStartPre=/usr/bin/tool\n"),
         {"service.unsigned"}),
        (lambda image: image.write(f"{ETC}/service.d/x.conf", "[Service]\nUser=root\n"), {"service.unsigned"}),
        (lambda image: image.write(f"{ETC}/web.service", WEB.replace("--x", "--evil")), {"service.unsigned"}),
        (lambda image: image.program("/usr/bin/daemon", b"\x7fELF evil"), {"service.program_unsigned"}),
        (lambda image: image.path("/usr/bin/daemon").unlink(), {"service.missing"}),
        (lambda image: image.path("/usr/bin/daemon").chmod(0o644), {"service.not_executable"}),
        (lambda image: image.path("/usr/bin/daemon").chmod(0o757), {"service.writable"}),
        (lambda image: image.path("/usr/bin").chmod(0o777), {"service.writable"}),
        (lambda image: image.path(UNIT).chmod(0o666), {"service.writable"}),
        (lambda image: image.write(UNIT, WEB + "#\rExecStop=/usr/bin/tool\n"), {"service.unsigned",
        "unit.hidden_line"}),
    ],
)  # fmt: skip
def test_attacks_on_a_catalogued_image(host: Host, attack: Callable[[Image], object], codes: set[str]) -> None:
    host.catalog()
    attack(host.image)
    assert host.codes() == codes


def test_a_signed_file_at_another_place_defines_nothing(host: Host) -> None:
    host.image.write("/usr/share/doc/example.service", "[Service]\nExecStart=/usr/bin/tool\n")
    host.catalog()
    host.image.write(f"{ETC}/copied.service", "[Service]\nExecStart=/usr/bin/tool\n")
    assert host.codes("copied.service") == {"service.elsewhere"}


@pytest.mark.parametrize(
    ("path", "code"), [("/tmp/daemon", "temporary"), ("/srv/x/daemon", "masquerade"), ("/usr/lib/.x/daemon",
    "temporary")]
)  # fmt: skip
def test_where_programs_stand(host: Host, path: str, code: str) -> None:
    host.image.program(path, b"\x7fELF a program\n")
    host.image.write(UNIT, WEB.replace("/usr/bin/daemon", path))
    host.catalog()
    assert f"service.{code}" in host.codes()


def test_programs_in_places_of_ones_own_are_told(host: Host) -> None:
    host.image.program("/srv/x/other", b"\x7fELF a program\n")
    host.image.write(UNIT, WEB.replace("/usr/bin/daemon --x", "-/usr/bin/gone\nExecStart=/srv/x/other"))
    host.image.link(f"{ETC}/nowhere.service", "/srv/nowhere.service")
    host.catalog()
    assert {"service.outside", "service.missing_ignored"} < host.said()
    assert "service.dangling" in host.said("nowhere.service")


def test_programs_that_are_signed_otherwise(host: Host) -> None:
    host.image.write(UNIT, WEB.replace("/usr/bin/daemon --x", "/usr/bin/tool"))
    assert host.sign("web.service") == 0
    tool = host.image.path("/usr/bin/tool")
    assert host.desk.run("sign", tool, *host.desk.by_signer) == 0
    assert {"service.sealed", "service.program"} < host.said()
    assert "service.program_undecided" in host.said("web.service", "--revocation", "require")
    tool.write_bytes(tool.read_bytes().replace(b"echo x", b"echo y"))
    assert "service.program_rejected" in host.said()


def test_links_that_lead_out_of_an_image(host: Host, tmp_path: Path) -> None:
    secret = tmp_path / "host-program"
    secret.write_bytes(b"\x7fELF of the host")
    secret.chmod(0o755)
    host.image.path("/usr/bin/daemon").unlink()
    host.image.link("/usr/bin/daemon", str(secret))
    host.catalog()
    assert host.codes() == {"service.missing"}
    host.image.path("/usr/bin/daemon").unlink()
    host.image.link("/usr/bin/daemon", "../../../../usr/bin/tool")
    assert host.codes() == {"service.escape"}


def test_a_sealed_unit_is_trusted_until_anything_of_it_changes(host: Host) -> None:
    image = host.image
    host.catalog()
    image.write(f"{ETC}/web.service.d/10.conf", "[Service]\nUser=x\n")
    image.link(f"{ETC}/www.service", UNIT)
    assert host.codes() == {"service.unsigned"}
    assert host.sign("web") == 0, host.desk.err
    assert host.check()["web.service"]["status"] == "trusted"
    assert host.desk.verify(image.path(f"{ETC}/web.service.seal")) == 0
    added = (f"{ETC}/web.service.d/20.conf", f"{ETC}/service.d/20.conf")
    for path in added:
        image.write(path, "#")
        assert host.codes() == {"service.seal_added"}
        image.path(path).unlink()
    image.write(UNIT, WEB + "#")
    assert host.codes() == {"service.seal_changed"}
    image.write(UNIT, WEB)
    image.link(f"{ETC}/more.service", UNIT)
    assert host.codes() == {"service.seal_link"}
    image.path(f"{ETC}/more.service").unlink()
    assert host.codes() == set()
    image.path(f"{ETC}/web.service.d/10.conf").unlink()
    assert host.codes() == {"service.seal_missing"}
    image.link(f"{ETC}/web.service.d/10.conf", "/dev/null")
    assert host.codes() == {"service.seal_changed"}
    image.link(f"{ETC}/web.service", "/dev/null")
    assert host.codes() == {"service.seal_masked"}


def test_a_seal_belongs_to_its_unit_and_must_be_trusted(host: Host) -> None:
    image = host.image
    host.catalog()
    image.write("/usr/lib/systemd/system/db.service", WEB)
    assert host.sign("web.service") == 0
    seal = image.path(f"{ETC}/web.service.seal")
    image.path(f"{ETC}/db.service.seal").write_bytes(seal.read_bytes())
    assert host.codes("db.service") == {"service.seal_other", "service.seal_missing", "service.seal_added"}
    data = seal.read_bytes()
    seal.write_bytes(data[: data.index(b"-----BEGIN")])
    assert host.codes() == {"service.seal_untrusted"}
    seal.write_bytes(b"nonsense")
    assert host.codes() == {"service.seal_untrusted"}
    seal.unlink()
    os.mkfifo(seal)
    assert host.codes() == {"service.unreadable"}
    assert host.sign("web.service") == 1
    seal.unlink()
    seal.symlink_to("/etc/passwd")
    assert host.sign("web.service") == 1


def test_the_seal_of_a_template_counts_for_its_instances(host: Host) -> None:
    image = host.image
    host.catalog()
    image.write("/usr/lib/systemd/system/t@.service", WEB)
    image.link(f"{ETC}/multi-user.target.wants/t@a.service", "/usr/lib/systemd/system/t@.service")
    assert host.sign("t@.service") == 0, host.desk.err
    found = host.check()
    assert [found[name]["status"] for name in ("t@.service", "t@a.service")] == ["trusted", "trusted"]
    image.write(f"{ETC}/t@a.service.d/x.conf", "[Service]\nUser=x\n")
    found = host.check()
    assert [found[name]["status"] for name in ("t@.service", "t@a.service")] == ["trusted", "rejected"]


def test_what_cannot_be_sealed(host: Host) -> None:
    host.image.link(f"{ETC}/off.service", "/dev/null")
    host.image.write("/run/systemd/generator/g.service", WEB)
    assert host.sign("off.service") == 1
    assert host.sign("g.service") == 1
    assert host.sign("none.service") == 2
    assert host.sign("web", "-o", str(host.desk.folder)) == 0
    assert (host.desk.folder / "web.service.seal").exists()


def test_a_file_signed_by_itself_is_trusted_and_its_place_is_told(host: Host) -> None:
    host.catalog()
    host.image.write(f"{ETC}/web.service.d/x.conf", "[Service]\nUser=x\n")
    path = host.image.path(f"{ETC}/web.service.d/x.conf")
    assert host.desk.run("sign", path, "--format", "detached", *host.desk.by_signer) == 0
    found = host.check()["web.service"]
    assert found["status"] == "trusted"
    assert "service.unplaced" in {each["code"] for each in found["findings"]}
    path.write_bytes(path.read_bytes() + b"#")
    assert host.codes() == {"service.definition"}


def test_a_folder_in_which_nothing_starts_is_no_system_that_was_found_sound(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "not mounted").mkdir()
    asked = ("services", "check", "--root", tmp_path / "not mounted", "--offline")
    assert desk.run(*asked) == 3
    assert desk.run(*asked, "--json") == 3
    assert [each["code"] for each in json.loads(desk.out)["findings"]] == ["service.nothing"]


def test_names_statuses_and_shapes(host: Host) -> None:
    host.catalog()
    trust = ("--store", host.desk.root, "--offline", "--root", host.image.folder, "--catalogs", "image.catalog")
    assert host.desk.run("services", "check", "web", *trust) == 0
    assert host.desk.out.strip() == "1 entry: 1 trusted"
    assert host.desk.run("services", "check", "nothing", *trust) == 2
    host.image.program("/usr/bin/daemon", b"\x7fELF \x1b[2J")
    assert host.desk.run("services", "check", "web", *trust, "-q") == 1
    assert host.desk.out == ""
    assert host.desk.run("services", "check", "web", *trust) == 1
    assert max(map(len, host.desk.out.splitlines())) <= 80
    assert host.desk.run("services", "check", *trust, "--sarif") == 1
    log = json.loads(host.desk.out)
    assert [each["ruleId"] for each in log["runs"][0]["results"]] == ["service.program_unsigned"]
    host.image.unit("shell.service", '[Service]\nExecStart=/bin/sh -c "$X"\n')
    host.catalog()
    assert host.desk.run("services", "check", *trust, "-v") == 3


def test_list_and_show(host: Host) -> None:
    host.image.write(f"{ETC}/web.service.d/x.conf", "[Service]\nUser=x\nUser=y\n")
    root = ("--root", host.image.folder)
    assert host.desk.run("services", "list", *root) == 0
    assert "disabled   unit web.service\n           /usr/bin/daemon\n" in host.desk.out
    assert host.desk.run("services", "list", "web.service", *root, "--json") == 0
    assert json.loads(host.desk.out)["files"] == ["/lib/systemd/system/web.service", f"{ETC}/web.service.d/x.conf"]
    assert host.desk.run("services", "show", "web", *root) == 0
    assert f"User=y\n    # {ETC}/web.service.d/x.conf:3\n" in host.desk.out
    assert "User=x" not in host.desk.out
    assert host.desk.run("services", "show", "web", *root, "--all", "--json") == 0
    assert {
        "section": "Service",
        "key": "User",
        "value": "x",
        "file": f"{ETC}/web.service.d/x.conf",
        "line": 2,
    } in json.loads(host.desk.out)["settings"]
    assert host.desk.run("services", "show", "none", *root) == 2
    assert host.desk.run("services", "show", "web", *root, "--user", "nobody") == 2
    assert host.desk.run("services", "list", "--root", "/none") == 2


def test_what_cannot_be_listed_makes_the_whole_undecided(host: Host) -> None:
    host.catalog()
    host.image.link("/etc/cron.d", "cron.d")
    found = host.check()
    assert (found[""]["status"], found[""]["exit"]) == ("undecided", 3)
    assert [each["code"] for each in found[""]["findings"]] == ["service.unreadable"]
