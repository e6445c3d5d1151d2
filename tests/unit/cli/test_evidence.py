"""Evidence on the command line: collected from a real server on loopback, judged again without one, and listed."""

from __future__ import annotations

import datetime as dt
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from chopmark.core import clock, patch
from tests.support import pki

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.desk import Desk


@contextmanager
def published() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server on loopback: its address, and what it answers with by path."""
    bodies: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = bodies.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pointing(base: str, name: str) -> list[pki.Extension]:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(f"{base}/{name}.crl")], None, None, None)
    access = x509.AccessDescription(
        AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(f"{base}/{name}.cer")
    )
    return [
        pki.Extension(x509.CRLDistributionPoints([point])),
        pki.Extension(x509.AuthorityInformationAccess([access])),
    ]


def test_what_was_collected_online_gives_the_same_verdict_offline(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock.now()
    with published() as (base, bodies):
        issuing = pki.authority("Served Issuing", issuer=desk.world.root, more=pointing(base, "root"))
        signer = pki.leaf(issuing, "Served Signer", more=pointing(base, "issuing"))
        for name, entity in (("root", desk.world.root), ("issuing", issuing)):
            bodies[f"/{name}.cer"] = entity.der
            bodies[f"/{name}.crl"] = pki.crl(
                entity, since=now - dt.timedelta(hours=1), until=now + dt.timedelta(days=7)
            )
        path = desk.sample("pe")
        key, cert = desk.write("served.key", signer.private_pem()), desk.write("served.pem", signer.pem)
        assert desk.run("sign", path, "--key", key, "--cert", cert) == 0
        online = ("verify", path, "--store", desk.root, "--revocation", "require", "--json")
        assert desk.run(*online, "--collect", "bundle") == 0, desk.out
        verdict = json.loads(desk.out)
        told, again = desk.err.splitlines()
        assert "5 files of evidence in bundle" in told
        assert len(told) <= 80
    monkeypatch.setenv("CHOPMARK_HOME", str(tmp_path / "elsewhere"))
    offline = (*online, "--offline")
    assert desk.run(*offline) == 3
    assert desk.run(*offline, "--evidence", "bundle") == 0
    assert json.loads(desk.out) == verdict
    assert desk.run(*online, *again.split()) == 0  # as it was told
    assert json.loads(desk.out) == verdict
    later = clock.show(now + dt.timedelta(days=30))
    assert desk.run(*offline, "--evidence", "bundle", "--at", later) == 3
    assert desk.run(*offline, "--evidence", "bundle", "--at", clock.show(now)) == 0
    assert json.loads(desk.out) == verdict


def test_many_files_are_collected_by_one_process(desk: Desk) -> None:
    paths = [desk.signed("script", f"{number}.sh") for number in range(3)]
    now = clock.now()
    for name, entity in (("root.crl", desk.world.root), ("issuing.crl", desk.world.issuing)):
        desk.write(name, pki.crl(entity, since=now - dt.timedelta(hours=1), until=now + dt.timedelta(days=1)))
    lists = ("--crl", "root.crl", "--crl", "issuing.crl", "--revocation", "require")
    assert desk.verify(*paths, *lists, "--collect", "bundle", "-j", "3") == 0
    assert desk.verify(*paths, "--revocation", "require", "--evidence", "bundle", "-j", "2") == 0
    assert desk.verify(*paths, *lists, "--collect", "other", "-q") == 0
    assert desk.err == ""


def test_what_cannot_be_read_in_a_folder_is_named(desk: Desk) -> None:
    (desk.folder / "bundle").mkdir()
    (desk.folder / "bundle" / "round").symlink_to("round")
    assert desk.verify(desk.sample(), "--evidence", "bundle") == 2
    assert "bundle/round" in desk.err


def test_a_signature_beside_a_file_that_is_none_is_named(desk: Desk) -> None:
    path = desk.sample("detached")
    desk.write(f"{path.name}.p7s", bytes(100))
    assert desk.verify(path, "--json") == 1
    [finding] = [each for each in json.loads(desk.out)["findings"] if each["outcome"] == "no"]
    assert finding["code"] == "format.malformed"
    assert ".p7s" in finding["detail"]


def test_a_medium_without_room_ends_the_run_in_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.signed()

    def full(target: str, *_: object) -> None:
        raise patch.WriteError(f"{target}: not written (No space left on device)")

    monkeypatch.setattr(patch, "write_file", full)
    assert desk.verify(path, "--collect", "bundle") == 4
    assert (desk.out, desk.err.count("\n")) == ("", 1)
    assert "No space left" in desk.err
    assert list((desk.folder / "bundle").iterdir()) == []


def test_a_bundle_is_listed_with_its_freshness(desk: Desk) -> None:
    now = clock.now()
    bundle = desk.folder / "bundle"
    bundle.mkdir()
    since = now - dt.timedelta(days=3)
    (bundle / "a").write_bytes(pki.crl(desk.world.root, since=since, until=now + dt.timedelta(days=1)))
    (bundle / "b").write_bytes(pki.crl(desk.world.issuing, since=since, until=now - dt.timedelta(days=1)))
    (bundle / "c").write_bytes(desk.world.signer.der)
    (bundle / "d").write_bytes(b"what is this")
    (bundle / "e").write_bytes(
        pki.crl(desk.world.issuing, since=now + dt.timedelta(days=1), until=now + dt.timedelta(days=2))
    )
    assert desk.run("evidence", "list", "bundle", "--json") == 0
    rows = [json.loads(line) for line in desk.out.splitlines()]
    assert [(row["kind"], row["state"]) for row in rows] == [
        ("list", "fresh"),
        ("list", "ended"),
        ("certificate", None),
        ("unknown", None),
        ("list", "early"),
    ]
    assert rows[0]["this_update"] == clock.show(since)
    assert desk.run("evidence", "list", "bundle") == 0
    assert max(map(len, desk.out.splitlines())) <= 80
    assert "3 days old" in desk.out
    assert desk.run("evidence", "list", "bundle", "--json", "--at", clock.show(since + dt.timedelta(hours=1))) == 0
    assert json.loads(desk.out.splitlines()[1])["state"] == "fresh"


def test_answers_are_listed_for_each_certificate(desk: Desk) -> None:
    from tests.unit.trust.ocsp import test_asking

    bundle = desk.folder / "bundle"
    bundle.mkdir()
    (bundle / "a").write_bytes(test_asking.said())
    (bundle / "b").write_bytes(b"\x30\x03\x0a\x01\x06")
    (bundle / "c").write_bytes(b"\x30\x03\x0a\x01\x55")
    assert desk.run("evidence", "list", "bundle", "--json", "--at", clock.show(test_asking.NOW)) == 0
    rows = [json.loads(line) for line in desk.out.splitlines()]
    assert [(row["kind"], row["state"]) for row in rows] == [("answer", "fresh"), ("unknown", None), ("unknown", None)]
    assert rows[0]["this_update"] == clock.show(test_asking.NOW - dt.timedelta(hours=1))


def test_the_cache_is_listed_with_its_freshness(desk: Desk) -> None:
    assert desk.run("evidence", "list") == 0
    assert desk.out == "nothing is kept\n"
    cache = desk.folder.parent / "home" / "cache" / "crls"
    (cache / "indexes").mkdir(parents=True)
    (cache / "0123").write_bytes(pki.crl(desk.world.root))
    assert desk.run("evidence", "list", "--json") == 0
    assert json.loads(desk.out)["subject"] == "CN=Example Root, O=Example Mint"


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "x", "--evidence", "missing"),
        ("verify", "x", "--evidence", "empty"),
        ("verify", "x", "--collect", "file"),
        ("evidence", "list", "missing"),
        ("evidence",),
        ("evidence", "list", "empty", "--at", "yesterday"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2(desk: Desk, arguments: tuple[str, ...]) -> None:
    Path("empty").mkdir()
    desk.write("file", b"")
    more = ("--store", desk.root, "--offline") if arguments[0] == "verify" else ()
    assert desk.run(*arguments, *more) == 2
    assert (desk.out, "Traceback" in desk.err) == ("", False)
