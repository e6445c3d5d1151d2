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
    assert names(image, "autostart", "/etc/xdg/autostart/x.desktop") == ["/opt/a b/run$x", "/second"]
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


def test_variables_of_units_are_those_of_systemd(image: Image) -> None:
    image.write("/etc/default/a.conf", "X = 1\nLD_PRELOAD = /spaced.so\n")
    image.write("/etc/default/b.conf", "LD_AUDIT='/audit.so'\n")
    image.write("/etc/default/.c.conf", "LD_AUDIT=/hidden.so\n")
    image.unit(
        "a.service",
        '[Service]\nEnvironment=BASH_ENV=/first.sh "open\nEnvironment=PATH=/opt/x:/bin\n'
        "EnvironmentFile=/etc/default/*.conf\nExecStart=/bin/sh -c tool\n",
    )
    entry = image.entry("unit")
    starts = {each.name: each for each in entry.starts}
    assert {"/spaced.so", "/audit.so", "/first.sh"} <= starts.keys()
    assert "/hidden.so" not in starts
    assert starts["tool"].folders == ("/opt/x", "/bin")
    assert reasons.UNIT_LINE.code in [each.code for each in entry.findings]


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("BindReadOnlyPaths=/srv/daemon:/usr/bin/daemon", True),
        ("BindPaths=-/srv/lib:/usr/lib:rbind", True),
        ("BindPaths=/a:/b /srv/bin:/opt/tool", True),
        ("ExtensionImages=/srv/x.raw", True),
        ("ExtensionDirectories=/srv/x", True),
        ("MountImages=/srv/x.raw:/usr", True),
        ("BindPaths=/usr/bin/daemon", False),
        ("BindPaths=/srv/data:/var/lib/data", False),
        ("BindPaths=/srv/daemon:/usr/bin/daemon\nBindPaths=", False),
    ],
)
def test_files_that_a_unit_puts_over_others(image: Image, setting: str, told: bool) -> None:  # noqa: FBT001 - a case
    image.unit("a.service", f"[Service]\nExecStart=/usr/bin/daemon\n{setting}\n")
    assert (reasons.UNIT_IMAGE.code in codes(image, "unit")) is told


def test_variables_of_the_managers(image: Image) -> None:
    image.write("/usr/lib/systemd/system.conf", "[Manager]\nDefaultEnvironment=LD_PRELOAD=/vendor.so\n")
    image.write("/etc/systemd/system.conf", "[Manager]\n#DefaultEnvironment=\nLogLevel=info\n")
    assert image.entries("manager") == []
    image.write("/usr/lib/systemd/system.conf.d/a.conf", "[Manager]\nDefaultEnvironment=LD_PRELOAD=/early.so\n")
    image.write(
        "/etc/systemd/system.conf.d/b.conf", "[Manager]\nDefaultEnvironment=\nManagerEnvironment=LD_AUDIT=/b.so\n"
    )
    image.write("/etc/systemd/system.conf.d/c.conf", '[Manager]\nDefaultEnvironment=BASH_ENV=/c.sh "open\n')
    image.write("/run/systemd/system.conf.d/d.conf", "[Manager]\nDefaultEnvironment=LD_PRELOAD=/masked.so\n")
    image.link("/etc/systemd/system.conf.d/d.conf", "/dev/null")
    image.write("/etc/systemd/user.conf", "[Other]\nX=1\n[Manager]\nDefaultEnvironment=LD_PRELOAD=/%h/x.so\n")
    system, user = image.entries("manager")
    assert [each.name for each in system.starts] == ["/b.so", "/c.sh"]
    assert [each.code for each in system.findings] == [reasons.UNIT_LINE.code, reasons.PRELOADED.code]
    assert [each.rpartition("/")[2] for each in system.files] == ["a.conf", "b.conf", "c.conf"]
    assert (user.scope, user.files) == ("user", ("/etc/systemd/user.conf",))
    assert [each.code for each in user.findings] == [reasons.PRELOADED.code, reasons.OPAQUE.code]


def test_lines_of_udev_rules_are_those_of_udev(image: Image) -> None:
    """What its own parser finds (udev-rules.c), and a more lenient or stricter one does not."""
    image.write(
        "/etc/udev/rules.d/1.rules",
        '# a comment that ends so \\\nRUN+="/a"\n'
        'ACTION=="add", \\\n # within \\\n RUN+="/b"\n'
        'ACTION=="add",, , RUN+="/c"\n'
        'ENV{x"}="1", RUN+="/d", ENV{y"}="1"\n'
        'ENV{x}="a\\\\",ENV{y}=" , RUN+="/e"\n'
        'RUN+=e"/f\\x67 \\"h\\""\n'
        'RUN+="/x\\x41 y"\n'
        'ENV{LD_PRELOAD}="/g.so"\n',
    )
    found = names(image, "udev")
    assert found == ["/a", "/b", "/c", "/d", "/e", "/fg", "/x\\x41", "/g.so"]


def test_lines_of_pam_are_those_of_pam(image: Image) -> None:
    image.write(
        "/etc/pam.d/login",
        "auth \\\n  # within\n\n  required /a.so\nAUTH Required /b.so # said \\\nauth required /c.so\n"
        "auth \\ # not continued\nsession optional /d.so\nauth required \\\n",
    )
    image.write("/etc/pam.conf", "ssh\tauth\trequired\t/e.so\n")
    image.write("/usr/lib/pam.d/vendor", "auth required /f.so\n")
    image.write("/usr/lib/pam.d/login", "auth required /shadowed.so\n")
    found = [name for entry in image.entries("pam") for name in (each.name for each in entry.starts)]
    assert found == ["/a.so", "/b.so", "/c.so", "/d.so", "/f.so", "/e.so"]


def test_variables_of_sessions(image: Image) -> None:
    image.write("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\n")
    image.write(
        "/etc/security/pam_env.conf",
        '# X DEFAULT=1\nLD_PRELOAD DEFAULT=/a.so \\\n  OVERRIDE="/b.so"\nLD_AUDIT\tOVERRIDE=@{HOME}/c.so\n'
        "X DEFAULT=LD_PRELOAD=/no\n",
    )
    image.write("/home/a/.pam_environment", "LD_PRELOAD=/d.so\nBASH_ENV OVERRIDE=/e.sh\n")
    image.write("/usr/lib/environment.d/x.conf", "LD_PRELOAD = \\\n/f.so\n")
    found = [name for entry in image.entries("environment") for name in (each.name for each in entry.starts)]
    assert found == ["/a.so", "/b.so", "/f.so", "/d.so", "/e.sh"]
    assert codes(image, "environment", "/etc/security/pam_env.conf")[-1] == reasons.OPAQUE.code


@pytest.mark.parametrize(
    ("daemon", "program", "name", "heeded"),
    [
        ("/usr/sbin/cron", b"\x7fELF", "a.sh", False),
        ("/usr/sbin/crond", b"#!/bin/bash\n", "a.sh", True),
        ("/usr/sbin/crond", b"#!/bin/bash\n", "a.sh~", False),
        ("/usr/sbin/crond", b"#!/bin/bash\n", "a.rpmsave", False),
        ("/usr/sbin/crond", b"#!/bin/bash\n", ".a", False),
        ("/usr/sbin/cron", b"\x7fELF", "a-b_1", True),
    ],
)
def test_names_that_cron_heeds_are_those_of_its_own_kind(
    image: Image,
    daemon: str,
    program: bytes,
    name: str,
    heeded: bool,  # noqa: FBT001 - a case
) -> None:
    """cronie and its run-parts, of Fedora, RHEL and SUSE, run almost everything."""
    image.program(daemon)
    image.program("/usr/bin/run-parts", program)
    image.write(f"/etc/cron.d/{name}", "* * * * * root /bin/x\n")
    image.program(f"/etc/cron.daily/{name}")
    assert [each.state for each in image.entries("cron")] == (["enabled"] * 2 if heeded else ["ignored"] * 2)


def test_of_a_key_that_is_there_twice_every_value_counts(image: Image) -> None:
    """systemd takes the first value of a key, GLib the last."""
    image.write("/etc/xdg/autostart/a.desktop", "[Desktop Entry]\nHidden=true\nHidden=false\nExec=/a\nExec=/b\n")
    image.write("/usr/share/gnome/autostart/a.desktop", "[Desktop Entry]\nHidden=true\nHidden=true\nExec=/c\n")
    first, second = image.entries("autostart")
    assert [each.name for each in first.starts] == ["/a", "/b"]
    assert second.state == "disabled"


def test_every_library_of_a_preloaded_name_counts(image: Image) -> None:
    """The loader takes that of its cache or for its processor, before the one in the usual folder."""
    image.write("/etc/ld.so.preload", "a.so none.so /lib/b.so\n")
    image.write("/etc/ld.so.conf", "/opt/lib/\n")
    for path in ("/lib/a.so", "/opt/lib/a.so", "/lib/glibc-hwcaps/x86-64-v3/a.so"):
        image.write(path)
    assert names(image, "loader", "/etc/ld.so.preload") == [
        "/opt/lib/a.so", "/lib/glibc-hwcaps/x86-64-v3/a.so", "/lib/a.so", "none.so", "/lib/b.so"
    ]  # fmt: skip


def test_what_the_desktop_reads_in_a_home(image: Image) -> None:
    image.write("/etc/passwd", "a:x:1000:1000::/home/a:/bin/sh\n")
    for path in (".config/plasma-workspace/env/x.sh", ".config/plasma-workspace/env/x.txt", ".bashrc.d/y"):
        image.write(f"/home/a/{path}")
    assert {each.name for each in image.entries("profile")} == {
        "/home/a/.config/plasma-workspace/env/x.sh", "/home/a/.bashrc.d/y"
    }  # fmt: skip


def test_what_the_kernel_starts_for_files_and_by_itself(image: Image) -> None:
    image.write(
        "/etc/binfmt.d/a.conf",
        "# x\n:py:M::\\x7f\\x3a::/usr/bin/py:F\n,cli,M,,MZ,,/usr/bin/cli,\n;:no:M::x::/no:\n:-1\n:none:M::x:::\n",
    )
    image.write("/usr/lib/binfmt.d/a.conf", ":x:M::x::/shadowed:\n")
    image.link("/etc/binfmt.d/b.conf", "/dev/null")
    image.write(
        "/usr/share/binfmts/jar", "package jar\ninterpreter /usr/bin/jexec\nmagic PK\ndetector /usr/bin/which\n"
    )
    image.write(
        "/usr/lib/sysctl.d/1.conf",
        "kernel.core_pattern = |/usr/bin/coredump %P %u\n-kernel/modprobe=/evil\n#kernel.hotplug=/no\n",
    )
    image.write("/etc/sysctl.d/2.conf", "kernel.core_pattern=core.%p\nkernel.pid_max=1\n")
    image.write("/etc/sysctl.conf", "kernel.poweroff_cmd=/sbin/poweroff\n")
    assert names(image, "binfmt", "a.conf") == ["/usr/bin/py", "/usr/bin/cli"]
    assert codes(image, "binfmt", "a.conf") == [reasons.LINE.code]
    assert names(image, "binfmt", "jar") == ["/usr/bin/jexec", "/usr/bin/which"]
    assert names(image, "sysctl", "1.conf") == ["/usr/bin/coredump", "/evil"]
    assert names(image, "sysctl", "sysctl.conf") == ["/sbin/poweroff"]
    assert len(image.entries("binfmt") + image.entries("sysctl")) == 4


def test_variables_that_are_passed_on_are_told(image: Image) -> None:
    image.unit("a.service", "[Service]\nPassEnvironment=LANG LD_PRELOAD PATH\nPassEnvironment=HOME\nExecStart=/bin/a\n")
    assert codes(image, "unit") == [reasons.STEERED.code] * 2
    image.unit("a.service", "[Service]\nPassEnvironment=LD_PRELOAD\nPassEnvironment=\nExecStart=/bin/a\n")
    assert codes(image, "unit") == []


def test_folders_of_busybox_and_openrc(image: Image) -> None:
    for path in ("/etc/periodic/daily/a", "/etc/periodic/daily/a.sh", "/etc/local.d/b.start", "/etc/local.d/README"):
        image.program(path)
    assert {each.name: each.state for each in image.entries()} == {
        "/etc/periodic/daily/a": "enabled", "/etc/periodic/daily/a.sh": "ignored", "/etc/local.d/b.start": "enabled",
        "/etc/local.d/README": "ignored",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["socket", "mount", "swap"])
def test_variables_of_other_units_than_services(image: Image, kind: str) -> None:
    image.write("/etc/default/x", "LD_AUDIT=/b.so\n")
    section = kind.capitalize()
    image.unit(
        f"a.{kind}",
        f"[Service]\nEnvironment=LD_PRELOAD=/no.so\n[{section}]\nEnvironment=LD_PRELOAD=/a.so\n"
        "EnvironmentFile=/etc/default/x\nExecStartPre=/bin/pre\nPassEnvironment=BASH_ENV\nExtensionImages=/x\n",
    )
    found = names(image, "unit")
    assert {"/a.so", "/b.so"} <= {*found}
    assert "/no.so" not in found
    assert ("/bin/pre" in found) is (kind == "socket")
    assert {reasons.STEERED.code, reasons.UNIT_IMAGE.code} <= {*codes(image, "unit")}
