import datetime as dt
import fcntl
import json
import os
import pty
import shutil
import socket
import struct
import subprocess
import sys
import termios
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from cryptography import x509

from tests.support import pki
from tests.support.desk import SAMPLES, VECTORS, Desk

SCHEMA = json.loads(resources.files("chopmark.engine").joinpath("verdict.schema.json").read_text())


@pytest.fixture
def every(desk: Desk) -> dict[str, str]:
    """A path for each kind of verdict that does not depend on options."""
    broken = desk.signed("pe", "broken.exe")
    broken.write_bytes(broken.read_bytes()[:-8])
    changed = desk.signed("script", "changed.sh")
    changed.write_bytes(changed.read_bytes().replace(b"echo", b"ECHO", 1))
    nested = desk.signed("pe", "nested.exe")
    stranger = pki.leaf(None, "Stranger")
    key, cert = desk.write("stranger.key", stranger.private_pem()), desk.write("stranger.pem", stranger.pem)
    assert desk.run("sign", nested, "--key", key, "--cert", cert, "--append") == 0
    os.mkfifo("fifo")
    return {
        "trusted": str(desk.signed("pe", "trusted.exe")),
        "beside": str(desk.signed("detached", "beside.txt")),
        "unsigned": str(desk.sample("script", "unsigned.sh")),
        "empty": desk.write("empty", b""),
        "broken": str(broken),
        "changed": str(changed),
        "nested": str(nested),
        "missing": "missing",
        "folder": ".",
        "fifo": "fifo",
    }


STATUS = {
    "trusted": 0,
    "beside": 0,
    "unsigned": 1,
    "empty": 1,
    "broken": 1,
    "changed": 1,
    "nested": 1,
    "missing": 3,
    "folder": 3,
    "fifo": 3,
}


def test_each_kind_of_verdict_has_its_status_and_keeps_the_schema(desk: Desk, every: dict[str, str]) -> None:
    for kind, status in STATUS.items():
        assert desk.verify("--json", every[kind]) == status, (kind, desk.out)
        jsonschema.validate(json.loads(desk.out), SCHEMA)


def test_the_worst_counts_and_every_path_is_reported_in_order(desk: Desk, every: dict[str, str]) -> None:
    paths = list(every.values())
    assert desk.verify("--json", *paths) == 1
    assert [json.loads(line)["path"] for line in desk.out.splitlines()] == paths
    assert desk.verify(every["missing"], every["trusted"]) == 3
    assert desk.out.splitlines()[-1] == "2 files: 1 trusted, 1 undecided"
    assert desk.verify(every["trusted"], every["beside"]) == 0


@pytest.mark.parametrize("shape", [(), ("-v",), ("--json",), ("--sarif",)])
def test_jobs_change_nothing(desk: Desk, every: dict[str, str], shape: tuple[str, ...]) -> None:
    paths = list(every.values()) * 4
    assert desk.verify(*paths, *shape, "-j", "1") == 1
    alone = desk.out
    assert desk.verify(*paths, *shape, "-j", "2") == 1
    assert desk.out == alone


# What people see


def test_good_files_have_few_words_and_others_their_reasons(desk: Desk, every: dict[str, str]) -> None:
    subject = desk.facts(every["trusted"])["seals"][0]["signer"]["subject"]
    assert desk.verify(every["trusted"]) == 0
    words = f"trusted {every['trusted']} by {subject}, no trusted time"
    assert " ".join(desk.out.split()) == f"{words}, revocation not checked"
    assert desk.verify(every["trusted"], "--revocation", "off") == 0
    assert desk.out == f"trusted    {every['trusted']}\n           by {subject}, no trusted time\n"
    assert desk.verify(every["changed"]) == 1
    assert " no        digest.mismatch: " in desk.out
    assert "           -> " in desk.out
    assert desk.verify(every["folder"]) == 3
    assert "           -> " in desk.out
    for kind in ("missing", "fifo", "unsigned"):
        desk.verify(every[kind])
        assert desk.out.count("\n") == 1, desk.out
        assert every[kind] in desk.out


def test_a_remedy_is_told_once(desk: Desk, every: dict[str, str]) -> None:
    assert desk.verify(every["nested"]) == 1
    remedies = [line for line in desk.out.splitlines() if line.strip().startswith("->")]
    assert len(remedies) == len(set(remedies))


def test_verbose_is_aligned_without_blank_lines_in_80_columns(desk: Desk, every: dict[str, str]) -> None:
    names = [Path(path).name or path for path in every.values()]
    assert desk.verify("-v", *names) == 1
    lines = desk.out.splitlines()[:-1]
    assert "digest.match" in desk.out
    assert max(map(len, lines)) <= 80
    for line in lines:
        first = line[:11].strip()
        assert line == line.rstrip()
        assert line[11] != " "
        assert first in {"", "ok", "no", "unknown", "info", "trusted", "unsigned", "undecided", "rejected"}


def test_quiet_prints_nothing(desk: Desk, every: dict[str, str]) -> None:
    assert desk.verify("-q", *every.values()) == 1
    assert (desk.out, desk.err) == ("", "")


def test_sarif_is_one_log_of_all(desk: Desk, every: dict[str, str]) -> None:
    assert desk.verify("--sarif", *every.values()) == 1
    [run] = json.loads(desk.out)["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert {rules[result["ruleIndex"]]["id"] for result in run["results"]} == {rule["id"] for rule in rules}
    assert {"digest.mismatch", "input.missing", "seal.none"} <= {rule["id"] for rule in rules}
    assert desk.verify("--sarif", every["trusted"]) == 0
    assert json.loads(desk.out)["runs"][0]["results"] == []


def test_hostile_names_neither_steer_nor_crash(desk: Desk) -> None:
    names = [b"a\x1b[2Jb.sh", b"line\nbreak.sh", b"\xff\xfe.sh", "right\u202eleft.sh".encode(), b"n" * 250]
    for name in names:
        shutil.copy(SAMPLES["script"], desk.folder / os.fsdecode(name))
    for shape in ("-v", "--json", "--sarif"):
        paths = [*map(os.fsdecode, names), "m" * 5000, "nul\0byte"][: 6 if shape != "-v" else 5]
        with desk.spawn("verify", "--offline", "--store", desk.root, shape, *paths) as process:
            out, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (1, b""), err
        assert b"\x1b" not in out
        assert "\u202e".encode() not in out
    assert desk.verify("nul\0byte") == 3


def on_terminal(desk: Desk, *arguments: str, **environment: str) -> str:
    """What the command line prints on a terminal of 80 columns."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "chopmark", *arguments]
    child = {**os.environ, "TERM": "xterm", **environment}
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, stdin=theirs, env=child, cwd=desk.folder):
        os.close(theirs)
        shown = b""
        while True:
            try:
                piece = os.read(mine, 1 << 16)
            except OSError:  # the other side has closed it
                break
            if not piece:
                break
            shown += piece
    os.close(mine)
    return shown.decode()


def test_colour_and_progress_are_for_terminals_that_want_them(desk: Desk, every: dict[str, str]) -> None:
    arguments = ("verify", "--offline", "--store", desk.root)
    assert "\x1b[32mtrusted" in on_terminal(desk, *arguments, every["trusted"])
    assert "\x1b" not in on_terminal(desk, *arguments, every["trusted"], NO_COLOR="1")
    assert "\x1b" not in on_terminal(desk, *arguments, every["trusted"], TERM="dumb")
    many = [every["trusted"]] * 30
    shown = on_terminal(desk, *arguments, *many)
    assert "verifying [" in shown or "verifying #" in shown or "verifying ." in shown
    assert shown.rstrip().endswith("30 files: 30 trusted")
    assert "verifying" not in on_terminal(desk, *arguments, *many, TERM="dumb")
    with desk.spawn(*arguments, *many) as process:
        out, err = process.communicate(timeout=60)
    assert b"\x1b" not in out
    assert err == b""


# What is asked for


def test_revocation_lists_decide_as_asked(desk: Desk) -> None:
    path, world = desk.signed("pe"), desk.world
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    since, until = now - dt.timedelta(days=1), now + dt.timedelta(days=1)
    serial = world.signer.certificate.serial_number
    clean = desk.write("clean.crl", pki.crl(world.issuing, since=since, until=until))
    root = desk.write("root.crl", pki.crl(world.root, since=since, until=until))
    revoked = desk.write("revoked.crl", pki.crl(world.issuing, [pki.Revoked(serial, since)], since=since, until=until))
    assert desk.verify(path) == 0
    assert desk.verify(path, "--revocation", "require") == 3
    assert desk.verify(path, "--revocation", "require", "--crl", clean, "--crl", root) == 0
    assert desk.verify(path, "--crl", revoked) == 1
    assert "revocation.revoked" in desk.out
    assert "not checked" not in desk.out  # the root's list is missing, but it was revoked all the same
    assert desk.verify(path, "--crl", revoked, "--revocation", "off") == 0


def test_at_judges_as_of_another_time(desk: Desk) -> None:
    path = desk.signed("pe")
    assert desk.verify(path, "--at", "2034-06-01") == 0
    assert desk.verify(path, "--at", "2036-01-01T00:00:00Z") == 1
    assert "path.expired" in desk.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--at", "yesterday"),
        ("--store", "nosuch"),
        ("--revocation", "sometimes"),
        ("--format", "tar"),
        ("--crl", "missing.crl"),
        ("-j", "0"),
        ("-j", "many"),
        ("--json", "--sarif"),
        ("--passphrase", "x"),
        ("--apt-keyring", "missing"),
        (),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    path = [str(desk.sample())] if arguments else []
    assert desk.run("verify", "--offline", *arguments, *path) == 2
    assert desk.out == ""
    assert "Traceback" not in desk.err


@pytest.mark.parametrize(
    "option", ["store", "crl", "ocsp", "evidence", "blocklist", "catalogs", "apt", "policy", "log-key"]
)
def test_what_files_are_judged_with_has_to_be_of_use(desk: Desk, option: str) -> None:
    path = desk.sample("script")
    (desk.folder / "folder").mkdir()
    for name in (desk.write("junk", b"no such thing\n\xff"), desk.write("empty", b""), "missing", "folder"):
        assert desk.run("verify", "--offline", path, f"--{option}", name) == 2, name
        assert desk.out == ""
        assert Path(name).name in desk.err
        assert len(desk.err.splitlines()) == 1


# Settings


def test_a_file_in_the_folder_cannot_say_whom_to_trust(desk: Desk) -> None:
    path = desk.signed("pe")
    Path("chopmark.toml").write_text(f'[verify]\nstore = "{desk.root}"\nrevocation = "off"\noffline = true\n')
    desk.write("empty.pem", pki.authority("Somebody Else").pem)
    assert desk.run("verify", path, "--store", "empty.pem", "--offline") == 1
    assert "path.issuer_unknown" in desk.out
    assert desk.run("verify", path, "--offline") == 1
    assert "path.issuer_unknown" in desk.out


def test_settings_come_from_the_command_line_first(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.signed("pe")
    other = desk.write("other.pem", pki.authority("Somebody Else").pem)
    config = tmp_path / "home" / "config"
    config.mkdir(parents=True)
    (config / "chopmark.toml").write_text(f'[verify]\nstore = "{desk.root}"\noffline = true\nrevocation = "off"\n')
    assert desk.run("verify", path) == 0
    monkeypatch.setenv("CHOPMARK_STORE", other)
    assert desk.run("verify", path) == 1
    assert desk.run("verify", path, "--store", desk.root) == 0
    assert desk.run("verify", path, "--store", desk.root, "--revocation", "require") == 3


@pytest.mark.parametrize(
    ("name", "value"), [("JOBS", "many"), ("JOBS", "0"), ("OFFLINE", "maybe"), ("REVOCATION", "never"), ("STORE", "no")]
)
def test_variables_that_make_no_sense_are_usage_errors(
    desk: Desk, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.sample()
    monkeypatch.setenv(f"CHOPMARK_{name}", value)
    assert desk.run("verify", path) == 2
    assert (desk.out, desk.err.count("\n")) == ("", 1)


# Files


def test_sockets_devices_and_dangling_links_are_undecided(desk: Desk) -> None:
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        for path in ("dangling", "loop", "socket", "/dev/null", "/dev/zero", str(SAMPLES["script"]) + "/inside"):
            assert desk.verify(path) == 3, desk.out
            assert desk.out.count("\n") == 1


def test_a_self_made_name_of_control_characters_is_shown_harmless(desk: Desk) -> None:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Micro\x1b[1Asoft\u202e")])
    impostor = pki.issue(name, pki.key("p256", "impostor"), None, [])
    key, cert = desk.write("impostor.key", impostor.private_pem()), desk.write("impostor.pem", impostor.pem)
    path = desk.sample("pe")
    assert desk.run("sign", path, "--key", key, "--cert", cert) == 0, desk.err
    for shape in ("-v", "--sarif", "--json"):
        assert desk.verify(path, shape) == 1
        assert not {"\x1b", "\u202e"} & set(desk.out)


@pytest.mark.parametrize("kind", ["pe", "script"])
def test_verifying_loads_nothing_heavy(desk: Desk, kind: str) -> None:
    path = desk.signed(kind)
    code = (
        "import sys; from chopmark.cli import main;"
        f"main(['verify', '--offline', '--store', {desk.root!r}, {str(path)!r}]); print(sorted(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("trusted")
    heavy = {
        "chopmark.envelopes.ocsp",
        "chopmark.net",
        "chopmark.trust.crl.revocation_list",
        "cryptography.hazmat.backends",
        "cryptography.x509",
        "httpx",
        "ssl",
        "rich",
        "sqlalchemy",
        "json",
        "email",
        "logging",
        "pathlib",
        "shlex",
        "tempfile",
        "urllib.parse",
    }
    assert {name for name in heavy if f"'{name}'" in done.stdout} == set()


# A signature that lies elsewhere


BARE = ["minisign", "openpgp", "signify", "ssh"]


def apart(desk: Desk, kind: str) -> tuple[Path, Path, Path]:
    """A file, its signature in another folder, and whom to trust."""
    if kind == "detached":
        path, store, suffix = desk.signed(kind), Path(desk.root), ".p7s"
    else:
        keys, suffix = VECTORS / kind, {"minisign": ".minisig", "openpgp": ".asc"}.get(kind, ".sig")
        secret = desk.write("secret.key", (keys / "signer.key").read_bytes())
        path, store = desk.sample("detached"), next(keys.glob("signer.[ap][su][cb]"))
        scheme = "minisign" if kind == "signify" else kind
        assert desk.run("sign", path, "--format", kind, "--key", f"{scheme}:{secret}") == 0, desk.err
    (desk.folder / "elsewhere").mkdir()
    return path, Path(f"{path}{suffix}").rename(desk.folder / "elsewhere" / f"release{suffix}"), store


@pytest.mark.parametrize("kind", ["detached", *BARE])
def test_a_signature_may_lie_elsewhere(desk: Desk, kind: str) -> None:
    path, signature, store = apart(desk, kind)
    verify = ("verify", "--offline", path, "--store", store)
    assert desk.run(*verify) == 1  # unsigned
    assert desk.run(*verify, "--signature", signature) == 0, desk.out
    Path(f"{path}{signature.suffix}").write_bytes(b"broken")  # what stands beside is not asked
    assert desk.run(*verify) != 0
    assert desk.run(*verify, "--signature", signature) == 0, desk.out
    other = signature.rename(signature.with_suffix(".dat"))
    assert desk.run(*verify, "--signature", other) == 2
    assert desk.run(*verify, "--signature", other, "--format", kind) == 0, desk.err
    path.write_bytes(path.read_bytes() + b"x")
    assert desk.run(*verify, "--signature", other, "--format", kind) == 1


def test_a_signature_that_lies_elsewhere_is_the_one_that_counts(desk: Desk) -> None:
    program, other = desk.signed("pe"), desk.signed("detached")
    signature = f"{other}.p7s"
    assert desk.verify(program) == 0
    assert desk.verify(program, "--signature", signature, "--json") == 1  # of another file, whatever is inside
    assert json.loads(desk.out)["format"] == "detached"
    assert desk.verify(program, other, "--signature", signature) == 2
    assert desk.verify(other, "--signature", "missing.p7s") == 2
    assert desk.verify(other, "--signature", signature, "--format", "pe") == 2
    assert desk.verify("missing", "--signature", signature) == 3
    assert desk.verify(other, "--signature", signature, "--policy", "policy.toml") == 2
    Path(signature).write_bytes(b"")
    assert desk.verify(other, "--signature", signature) == 1


def test_a_signature_of_a_wheel_may_lie_elsewhere(desk: Desk) -> None:
    source = next((VECTORS / "wheel").glob("sample-*.whl"))
    path = desk.write(source.name, source.read_bytes())
    assert desk.run("sign", path, *desk.by_signer) == 0
    signature = Path(f"{path}.p7s").rename("away.p7s")
    assert desk.verify(path, "--signature", signature, "--json") == 0
    assert json.loads(desk.out)["format"] == "wheel"
