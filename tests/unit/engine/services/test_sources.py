import pytest

from chopmark.engine.services import reasons
from chopmark.engine.services.entry import Role
from tests.support.image import Image


def names(image: Image, kind: str, name: str = "") -> list[str]:
    return [each.name for each in image.entry(kind, name).starts]


def codes(image: Image, kind: str, name: str = "") -> list[str]:
    return [each.code for each in image.entry(kind, name).findings]


def test_an_empty_root_starts_nothing(image: Image) -> None:
    assert image.entries() == []


def test_every_command_of_a_unit_and_what_its_environment_loads(image: Image) -> None:
    image.write("/etc/default/web", "LD_PRELOAD='/opt/lib.so'\nWORKER=/opt/worker.py\n#X\nnonsense\n")
    image.unit(
        "web.service",
        "[Service]\nEnvironment='OPTS=-a -b' X=%n\nEnvironmentFile=-/etc/default/%p\nExecStartPre=-/bin/pre\n"
        "ExecStart=/usr/bin/python3 ${WORKER} $OPTS\nExecStop=/bin/sh -c 'stop $$PID'\nExecReload=+/bin/reload $UNSET\n"
        "ExecStopPost=/usr/bin/python3 $NOBODY\n",
    )
    entry = image.entry("unit")
    assert [each.name for each in entry.starts if each.role is Role.PROGRAM] == [
        "/bin/pre", "/usr/bin/python3", "/bin/sh", "stop", "/bin/reload", "/usr/bin/python3"
    ]  # fmt: skip
    assert "/opt/worker.py" in [each.name for each in entry.starts if each.role is Role.SCRIPT]
    assert "/opt/lib.so" in [each.name for each in entry.starts if each.role is Role.LIBRARY]
    assert {each.code for each in entry.findings} == {reasons.PRELOADED.code, reasons.OPAQUE.code}
    assert [each.is_optional for each in entry.starts if each.name == "/bin/pre"] == [True]
    assert entry.state == "static"


@pytest.mark.parametrize("condition", ["ConditionPathExists", "ConditionFileIsExecutable"])
def test_a_program_that_a_condition_asks_for_may_be_missing(image: Image, condition: str) -> None:
    image.unit("a.service", f"[Unit]\n{condition}=/etc/rc.local\n[Service]\nExecStart=/etc/rc.local start\n")
    assert [each.is_optional for each in image.entry("unit").starts] == [True]


def test_sockets_timers_and_masks(image: Image) -> None:
    image.unit("a.socket", "[Socket]\nExecStartPre=/bin/pre\n[Install]\nWantedBy=x\n")
    image.unit("b.timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n")
    image.link("/etc/systemd/system/timers.target.wants/b.timer", "/usr/lib/systemd/system/b.timer")
    image.unit("c.service")
    image.link("/etc/systemd/system/c.service", "/dev/null")
    image.unit("d.target", "[Unit]\n")
    image.write(
        "/run/systemd/generator/e.service",
        "[Unit]\nSourcePath=/etc/init.d/e\n[Service]\nExecStart=/etc/init.d/e start\n",
    )
    found = {each.name: each for each in image.entries("unit")}
    assert {name: each.state for name, each in found.items()} == {
        "a.socket": "disabled", "b.timer": "enabled", "c.service": "masked", "e.service": "generated"
    }  # fmt: skip
    assert found["c.service"].starts == ()
    assert [each.code for each in found["e.service"].findings] == [reasons.GENERATED.code]


def test_images_and_roots_of_units(image: Image) -> None:
    image.unit("a.service", "[Service]\nRootImage=/x.raw\nExecStart=/bin/a\n")
    image.unit("b.service", "[Service]\nRootDirectory=/srv/jail\nExecStart=/bin/b\n")
    image.unit("c.service", "[Service]\nExecSearchPath=/opt/x:/opt/y\nExecStart=c\n")
    assert codes(image, "unit", "a.service") == [reasons.UNIT_IMAGE.code]
    assert [each.below for each in image.entry("unit", "b.service").starts] == ["/srv/jail"]
    assert [each.folders for each in image.entry("unit", "c.service").starts] == [("/opt/x", "/opt/y")]


def test_units_of_users(image: Image) -> None:
    image.write("/etc/passwd", "root:x:0:0::/root:/bin/sh\na:x:1000:1000::/home/a:/bin/sh\nb:x:1:1::/none:\nbad\n")
    image.write("/usr/lib/systemd/user/all.service", "[Service]\nExecStart=/bin/all\n")
    image.write("/home/a/.config/systemd/user/own.service", "[Service]\nExecStart=%h/bin/own\n")
    image.write("/home/a/.config/systemd/user/all.service.d/x.conf", "[Service]\nExecStartPre=/bin/more\n")
    found = {(each.scope, each.name): each for each in image.entries("unit")}
    assert set(found) == {("user", "all.service"), ("user a", "own.service"), ("user a", "all.service")}
    assert [each.name for each in found["user a", "own.service"].starts] == ["/home/a/bin/own"]
    assert [each.name for each in found["user a", "all.service"].starts] == ["/bin/all", "/bin/more"]


def test_generators(image: Image) -> None:
    image.program("/usr/lib/systemd/system-generators/one")
    image.program("/usr/lib/systemd/system-generators/two")
    image.link("/etc/systemd/system-generators/two", "/dev/null")
    image.write("/usr/lib/systemd/system-generators/three", "text")
    image.program("/usr/lib/systemd/system-sleep/hook")
    found = {each.name: each.state for each in image.entries()}
    assert found == {"one": "enabled", "two": "masked", "three": "disabled", "hook": "enabled"}


def test_crontabs(image: Image) -> None:
    image.write(
        "/etc/crontab",
        "# comment\nSHELL=/bin/bash\nPATH=/opt/bin:/bin\n17 * * * * root cd / && run-parts --report /etc/cron.hourly\n"
        "@reboot root tool --x 'a%b' \\% y % input; /bin/not\n* * * * *\n",
    )
    image.write("/etc/cron.d/good", "0 0 * * * www-data /usr/bin/php -f /srv/cron.php\n")
    image.write("/etc/cron.d/bad.dpkg-old", "0 0 * * * root /evil\n")
    image.write("/var/spool/cron/crontabs/alice", "*/5 * * * * $HOME/x\n")
    found = {each.name: each for each in image.entries("cron")}
    assert [each.name for each in found["/etc/crontab:4"].starts] == ["/bin/bash", "run-parts", "/etc/cron.hourly"]
    assert [each.name for each in found["/etc/crontab:5"].starts] == ["/bin/bash"]
    assert found["/etc/crontab:5"].findings[0].code == reasons.OPAQUE.code
    assert found["/etc/crontab:4"].starts[1].folders == ("/opt/bin", "/bin")
    assert found["/etc/crontab:6"].state == "ignored"
    assert [each.name for each in found["/etc/cron.d/good:1"].starts] == ["/bin/sh", "/usr/bin/php", "/srv/cron.php"]
    assert found["/etc/cron.d/good:1"].scope == "user www-data"
    assert found["/etc/cron.d/bad.dpkg-old"].state == "ignored"
    assert found["/var/spool/cron/crontabs/alice:1"].scope == "user alice"


def test_the_percent_sign_ends_a_command(image: Image) -> None:
    image.write("/etc/crontab", "@daily root /bin/a\\%b; /bin/c %/bin/d\n")
    assert names(image, "cron") == ["/bin/sh", "/bin/a%b", "/bin/c"]


def test_anacron_and_at(image: Image) -> None:
    image.write("/etc/anacrontab", "SHELL=/bin/sh\n1 5 cron.daily run-parts /etc/cron.daily\nbad line\n")
    image.write("/var/spool/cron/atjobs/a0001", "#!/bin/sh\n/bin/x\n")
    assert names(image, "anacron", "/etc/anacrontab:2") == ["/bin/sh", "run-parts", "/etc/cron.daily"]
    assert image.entry("anacron", "/etc/anacrontab:3").state == "ignored"
    assert names(image, "at") == ["/bin/sh", "/var/spool/cron/atjobs/a0001"]


def test_folders_of_programs_and_init_scripts(image: Image) -> None:
    image.program("/etc/cron.daily/dpkg")
    image.program("/etc/cron.daily/not.run")
    image.write("/etc/cron.daily/plain", "x")
    image.program("/etc/rc.local")
    image.program("/etc/init.d/ssh")
    image.program("/etc/init.d/old")
    image.link("/etc/rc2.d/S01ssh", "../init.d/ssh")
    image.program("/usr/lib/NetworkManager/dispatcher.d/01-x.sh")
    image.write("/etc/inittab", "# x\n1:2345:respawn:/sbin/getty 38400 tty1\nid:2:initdefault:\n")
    found = {each.name: each.state for each in image.entries()}
    assert found == {
        "/etc/cron.daily/dpkg": "enabled", "/etc/cron.daily/not.run": "ignored", "/etc/cron.daily/plain": "disabled",
        "/etc/rc.local": "enabled", "/etc/init.d/ssh": "enabled", "/etc/init.d/old": "disabled",
        "/usr/lib/NetworkManager/dispatcher.d/01-x.sh": "enabled", "/etc/inittab:2": "enabled",
    }  # fmt: skip
    assert names(image, "init", "/etc/inittab:2") == ["/sbin/getty"]


def test_autostart_and_the_bus(image: Image) -> None:
    image.write("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\n")
    image.write(
        "/etc/xdg/autostart/x.desktop",
        '[Desktop Entry]\nExec="/opt/a b/run\\\\$x" --u %U a%%b\nExec=/second\n[Other]\nExec=/no\n',
    )
    image.write("/home/a/.config/autostart/hidden.desktop", "[Desktop Entry]\nHidden=true\nExec=/bin/x\n")
    image.write("/home/a/.config/autostart/open.desktop", '[Desktop Entry]\nExec="open\n')
    image.write("/usr/share/dbus-1/system-services/a.service", "[D-BUS Service]\nName=a\nExec=/bin/a --x\nUser=root\n")
    image.write(
        "/usr/share/dbus-1/system-services/b.service", "[D-BUS Service]\nExec=/bin/false\nSystemdService=b.service\n"
    )
    assert names(image, "autostart", "/etc/xdg/autostart/x.desktop") == ["/opt/a b/run$x"]
    assert image.entry("autostart", "/home/a/.config/autostart/hidden.desktop").state == "disabled"
    assert codes(image, "autostart", "/home/a/.config/autostart/open.desktop") == [reasons.LINE.code]
    assert names(image, "dbus", "/usr/share/dbus-1/system-services/a.service") == ["/bin/a"]
    assert image.entry("dbus", "/usr/share/dbus-1/system-services/b.service").state == "through b.service"


def test_profiles(image: Image) -> None:
    image.write("/etc/passwd", "admin:x:0:0::/home/admin:/bin/sh\nalias:x:1:1::/home/admin:/bin/sh\n")
    for path in (
        "/etc/profile",
        "/etc/profile.d/x.sh",
        "/etc/zsh/zshenv",
        "/home/admin/.bashrc",
        "/home/admin/.config/fish/conf.d/a.fish",
    ):
        image.write(path, "x")
    image.write("/etc/profile.d/notes.txt", "x")
    image.write("/opt/microsoft/powershell/7/profile.ps1", "x")
    image.write("/home/admin/.config/powershell/Microsoft.PowerShell_profile.ps1", "x")
    assert sorted(each.name for each in image.entries("profile")) == [
        "/etc/profile", "/etc/profile.d/x.sh", "/etc/zsh/zshenv",
        "/home/admin/.bashrc", "/home/admin/.config/fish/conf.d/a.fish",
    ]  # fmt: skip
    assert [each.name for each in image.entries("powershell profile")] == [
        "/opt/microsoft/powershell/7/profile.ps1", "/home/admin/.config/powershell/Microsoft.PowerShell_profile.ps1"
    ]  # fmt: skip
    image.write("/etc/environment", "LANG=C\nLD_PRELOAD=/evil.so\n")
    image.write("/etc/environment.d/a.conf", "X=1\n")
    assert names(image, "environment") == ["/evil.so"]


def test_the_loader(image: Image) -> None:
    image.write("/etc/ld.so.preload", "# none\n/lib/a.so:b.so  /lib/$LIB/c.so\n")
    image.write("/etc/ld.so.conf", "include /etc/ld.so.conf.d/*.conf\ninclude /etc/ld.so.conf\n/tmp/lib\n")
    image.write("/etc/ld.so.conf.d/a.conf", "/opt/open\nhwcap 0 nosegneg\n")
    image.write("/opt/open/x")
    image.path("/opt/open").chmod(0o777)
    assert names(image, "loader", "/etc/ld.so.preload") == ["/lib/a.so", "b.so"]
    assert codes(image, "loader", "/etc/ld.so.preload") == [
        reasons.PRELOADED.code, reasons.PRELOADED.code, reasons.OPAQUE.code
    ]  # fmt: skip
    assert codes(image, "loader", "/etc/ld.so.conf") == [reasons.TEMPORARY.code]
    assert codes(image, "loader", "/etc/ld.so.conf.d/a.conf") == [reasons.WRITABLE.code]


def test_udev_rules(image: Image) -> None:
    image.write(
        "/etc/udev/rules.d/50-x.rules",
        '# RUN+="/no"\nACTION=="add", \\\n  RUN+="/bin/a $env{X}", PROGRAM=="relative -x", IMPORT{program}="/bin/b"\n'
        'RUN{builtin}+="kmod load x", IMPORT{db}="y", ENV{RUN}="/no"\n'
        'RUN{program}+="/bin/sh -c \'c; d %k\'"\nnonsense\nRUN+="$env{X}/y"\n',
    )
    image.write("/usr/lib/udev/rules.d/50-x.rules", 'RUN+="/shadowed"\n')
    image.write("/usr/lib/udev/rules.d/60-y.rules", 'RUN+="/masked"\n')
    image.link("/etc/udev/rules.d/60-y.rules", "/dev/null")
    assert names(image, "udev", "50-x.rules") == ["/bin/a", "relative", "/bin/b", "/bin/sh", "c", "d"]
    assert sorted(codes(image, "udev", "50-x.rules")) == [reasons.LINE.code, reasons.OPAQUE.code]
    assert image.entry("udev", "60-y.rules").state == "masked"


def test_modules_and_pam(image: Image) -> None:
    image.write(
        "/etc/modprobe.d/a.conf",
        "blacklist x\ninstall usb /bin/x; \\\n /sbin/modprobe --ignore-install usb $CMDLINE_OPTS\n",
    )
    image.write("/etc/modprobe.d/b.conf", "options x y=1\n")
    image.write("/etc/modules-load.d/c.conf", "loop\n")
    image.write(
        "/etc/pam.d/login",
        "@include common-auth\nauth include other\nauth [success=1 default=ignore] pam_unix.so nullok\n"
        "-session optional pam_systemd.so\nsession required pam_exec.so quiet type=x /usr/local/bin/hook a\n"
        "# auth x /no.so\n",
    )
    assert [each.name for each in image.entries("modprobe")] == ["a.conf"]
    assert names(image, "modprobe") == ["/bin/sh", "/bin/x", "/sbin/modprobe"]
    assert image.entry("modules").state == "enabled"
    assert names(image, "pam") == ["pam_unix.so", "pam_systemd.so", "pam_exec.so", "/usr/local/bin/hook"]
