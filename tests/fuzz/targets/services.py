"""What says what starts: a file of any kind, in a root with nothing else in it."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

from chopmark.engine.services import gathering
from chopmark.engine.services.host import Host
from chopmark.engine.services.rooted import Root

PLACES = (
    "etc/systemd/system/a@.service",
    "etc/crontab",
    "etc/inittab",
    "etc/xdg/autostart/a.desktop",
    "usr/share/dbus-1/system-services/a.service",
    "etc/ld.so.preload",
    "etc/ld.so.conf",
    "etc/udev/rules.d/a.rules",
    "etc/modprobe.d/a.conf",
    "etc/pam.d/a",
    "etc/environment",
    "etc/anacrontab",
    "etc/passwd",
    "etc/systemd/system.conf",
    "etc/environment.d/a.conf",
    "etc/security/pam_env.conf",
    "etc/binfmt.d/a.conf",
    "etc/sysctl.d/a.conf",
)
TEXTS = (
    b"[Service]\nExecStart=-@/bin/sh sh -c 'exec /bin/x \"$A\" `id`; . /etc/y' ; /z %i \\\n more\nEnvironment=A=b\n",
    b"PATH=/bin\n* * * * * root env X=1 python3 /srv/a.py | (cd / && run-parts /etc/x) % input\n@reboot root sh\n",
    b"1:2345:respawn:/sbin/getty 38400 tty1\n",
    b'[Desktop Entry]\nExec="/opt/a b/c" --x %U\n',
    b"[D-BUS Service]\nExec=/usr/bin/a 'b c'\nUser=root\n",
    b"/lib/a.so:b.so # no\n$LIB/c.so\n",
    b"include /etc/ld.so.conf.d/*.conf\n/tmp/x\n",
    b'SUBSYSTEM=="x", RUN{program}+="/bin/sh -c \'x %k\'", PROGRAM=="a $env{B}", \\\n IMPORT{program}="c"\n',
    b"install usb-storage /bin/true; /sbin/modprobe --ignore-install x $CMDLINE_OPTS\n",
    b"auth [success=1 default=ignore] pam_exec.so quiet /usr/local/bin/x y\n@include common-auth\n",
    b"LD_PRELOAD=/lib/x.so\n",
    b"7 5 cron.weekly nice run-parts /etc/cron.weekly\n",
    b"root:x:0:0:root:/root:/bin/sh\n",
    b'[Manager]\nDefaultEnvironment=LD_PRELOAD=/lib/x.so "PATH=/a b:/c" %h\n',
    b"A = 'x' \"y\\$z\" w \\\n v\n# c \\\nLD_AUDIT=/lib/x.so\n",
    b'LD_PRELOAD DEFAULT="/lib/${X}.so" OVERRIDE=@{HOME}/y.so \\\n # c\nPATH DEFAULT=/bin\n',
    b":x:M:0:\\x7f:\\xff:/usr/bin/x:F\n",
    b"-kernel/core_pattern = |/usr/bin/x %P\n",
)


def seeds() -> Iterable[bytes]:
    for number, text in enumerate(TEXTS):
        yield bytes((number,)) + text


def run(data: bytes) -> None:
    """The first byte says what kind of file it is."""
    if not data:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, PLACES[data[0] % len(PLACES)])
        path.parent.mkdir(parents=True)
        path.write_bytes(data[1:])
        with Root(folder) as root:
            for entry in gathering.entries(Host(root)):
                assert all(start.name for start in entry.starts)
