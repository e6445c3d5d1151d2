"""An authority whose register is in PostgreSQL, on a real server."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from chopmark.authority.ca import Authority
from chopmark.authority.crl.publisher import Wanted
from chopmark.authority.hierarchy import founding
from chopmark.authority.ocsp import table
from chopmark.authority.ocsp.responder import Responder
from chopmark.authority.register import migrations, schema, upgrading
from chopmark.authority.register import status as status_queries
from chopmark.authority.register.configuration import Configuration
from chopmark.authority.register.database import Database, DatabaseError
from chopmark.core.errors import UsageError
from chopmark.envelopes import ocsp, x509
from chopmark.trust.crl.revocation_list import Crl
from tests.support.patience import eventually
from tests.support.postgres import Server, temporary
from tests.support.schemas import described
from tests.unit.authority.conftest import order

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.interop

_ROUNDS = 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with temporary() as running:
        yield running


@pytest.fixture
def database(server: Server) -> Iterator[Database]:
    """A new database with the tables of an authority."""
    with closing(Database(server.database())) as new:
        new.create()
        yield new


def made(tmp_path: Path, url: str) -> str:
    folder = str(tmp_path / "ca")
    founding.found(folder, founding.Setup("Example Ltd", "http://pki.example.com", "p256", database=url)).close()
    return folder


def test_the_life_of_an_authority(server: Server, tmp_path: Path) -> None:
    folder = made(tmp_path, server.database())
    assert not (Path(folder) / "authority.sqlite3").exists()
    with Authority.open(folder) as authority:
        first, second = (authority.issue(order("internal")).serial for _ in range(2))
        authority.revoke(first, "keyCompromise")
        published = authority.publish("code-signing")
        assert (published.number, published.entries) == (2, 1)
        now = authority.clock()
        assert [record.serial for record in authority.register.search(now, status="revoked")] == [first]
        assert [record.serial for record in authority.register.search(now, subject="eXaMpLe", status="valid")][
            -1
        ] == second
        record = authority.register.find(first[:8])
        assert record.not_before.utcoffset() is not None
        assert not record.not_before.utcoffset()
        assert [event.action for event in authority.register.history(first)] == ["issue", "revoke"]


def test_times_are_utc_wherever_the_server_is(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority:
        issued = authority.issue(order("internal"))
        there = authority.register.find(issued.serial).not_before
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    with Authority.open(folder) as authority:
        again = authority.register.find(issued.serial).not_before
    assert (again.isoformat(), again.utcoffset()) == (there.isoformat(), there.utcoffset())


def test_lists_from_another_time_zone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards and deltas, streamed; the dates in them are UTC wherever the server is."""
    folder = made(tmp_path, server.database())
    monkeypatch.setenv("PGTZ", "Asia/Kathmandu")
    with Authority.open(folder) as authority:
        authority.publish("code-signing", Wanted(shards=2, deltas=True))
        early, late = (x509.Certificate(authority.issue(order("internal")).certificate) for _ in range(2))
        first = authority.revoke(early.serial_octets.hex(), "superseded", invalidity=authority.clock())
        authority.publish("code-signing")
        second = authority.revoke(late.serial_octets.hex(), "superseded")
        authority.publish("code-signing", Wanted(delta=True))
        published = authority.published("code-signing")
        lists = {(each.shard, each.delta): Crl(Path(each.path).read_bytes()) for each in published}
        assert authority.due(authority.clock()) == []
    for certificate, record, delta in ((early, first, False), (late, second, True)):
        for shard in (0, certificate.serial % 2 + 1):
            entry = lists[shard, delta].find(certificate)
            assert entry is not None
            assert (entry.revoked, entry.invalid_since) == (record.revoked, record.invalidity)
            assert lists[shard, not delta].find(certificate) is None


def test_the_command_line_takes_the_url(server: Server, tmp_path: Path) -> None:
    url, home = server.database(), {**os.environ, "CHOPMARK_HOME": str(tmp_path / "home")}

    def chopmark(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "chopmark", *arguments]
        return subprocess.run(command, env=home, cwd=tmp_path, capture_output=True, text=True, check=False)

    init = ("ca", "init", "--name", "Example", "--url", "http://pki.example.com/", "--type", "p256", "--no-passphrase")
    done = chopmark(*init, "--database", url)
    assert done.returncode == 0, done.stderr
    assert chopmark("ca", "list").stdout.count("Example") >= 2
    assert chopmark("ca", "upgrade").stdout.startswith("unchanged")
    again = chopmark(*init, "--database", url, "--ca", "other")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert not (tmp_path / "other").exists()


def test_founding_that_fails_leaves_the_database_empty(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = server.database()

    def broken(*_: object, **__: object) -> None:
        raise UsageError("no more")

    with monkeypatch.context() as patch:
        patch.setattr(Authority, "publish", broken)
        with pytest.raises(UsageError, match="no more"):
            made(tmp_path, url)
    assert made(tmp_path, url)


def test_an_upgraded_database_is_like_a_new_one(server: Server, database: Database) -> None:
    old = Database(server.database())
    with old.writing() as connection:  # the baseline, as it was before there were revisions
        schema.revision.create(connection)
        upgrading.migrate(connection, migrations.BASELINE)
        connection.execute(schema.settings.insert().values(name="schema", value="1"))
        schema.revision.drop(connection)
    with pytest.raises(DatabaseError, match="chopmark ca upgrade"):
        old.require_current()
    assert upgrading.upgrade(old) == (migrations.EARLIER, migrations.head(), "")
    with closing(old), database.reading() as one, old.reading() as other:
        assert described(other) == described(one)
        assert set(described(one)) == set(schema.metadata.tables)


def test_a_connection_that_was_lost_is_replaced(server: Server, tmp_path: Path) -> None:
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority:
        first = authority.issue(order("internal")).serial
        server.stop()
        with pytest.raises(DatabaseError) as lost:
            authority.issue(order("internal"))
        assert "\n" not in str(lost.value)
        server.start()
        second = authority.issue(order("internal")).serial
        assert {first, second} <= {record.serial for record in authority.register.search(authority.clock())}


def test_a_connection_that_is_lost_in_a_transaction_changes_nothing(server: Server, database: Database) -> None:
    def write() -> None:
        with database.writing() as connection:
            connection.execute(schema.settings.insert().values(name="name", value="lost"))
            server.stop()
            server.start()
            connection.execute(schema.settings.insert().values(name="url", value="lost"))

    with pytest.raises(DatabaseError):
        write()
    with database.reading() as connection:
        assert connection.execute(schema.settings.select()).all() == []


def test_a_reader_sees_one_moment_and_does_not_write(database: Database) -> None:
    with database.reading() as before:
        assert before.execute(schema.settings.select()).all() == []
        with database.writing() as connection:
            connection.execute(schema.settings.insert().values(name="name", value="later"))
        assert before.execute(schema.settings.select()).all() == []
    with pytest.raises(DatabaseError, match="read-only"), database.reading() as connection:
        connection.execute(schema.settings.insert().values(name="url", value="never"))


def test_one_writer_at_a_time(database: Database) -> None:
    """Read, wait, write: without the lock two of them would read the same number."""
    url = database.place
    with database.writing() as connection:
        connection.execute(schema.settings.insert().values(name="count", value="0"))
    context = multiprocessing.get_context("fork")
    database.close()
    workers = [context.Process(target=_count, args=(url, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with database.reading() as connection:
        assert connection.scalar(text("SELECT value FROM settings WHERE name = 'count'")) == "100"


def _count(url: str, times: int) -> None:
    database = Database(url)
    for _ in range(times):
        with database.writing() as connection:
            seen = int(connection.scalar(text("SELECT value FROM settings WHERE name = 'count'")) or 0)
            time.sleep(0.002)
            connection.execute(schema.settings.update().values(value=str(seen + 1)))


def _issue_and_tell(folder: str, pipe: int) -> None:
    with Authority.open(folder) as authority:
        for number in range(10**6):
            issued = authority.issue(order("internal"))
            os.write(pipe, f"{issued.serial}\n".encode())
            if number % 3 == 2:
                authority.revoke(issued.serial, "superseded")
                authority.publish("code-signing")


def test_killed_at_any_moment(server: Server, tmp_path: Path) -> None:
    """What was handed out is in the register, no number comes twice, and the next process just goes on."""
    folder = made(tmp_path, server.database())
    luck = random.Random(1045)  # noqa: S311 - moments, not secrets
    handed_out: list[str] = []
    context = multiprocessing.get_context("fork")
    for _ in range(_ROUNDS):
        reading, writing = os.pipe()
        workers = [context.Process(target=_issue_and_tell, args=(folder, writing)) for _ in range(2)]
        for worker in workers:
            worker.start()
        os.close(writing)
        with os.fdopen(reading) as told:
            first = told.readline()
            time.sleep(luck.uniform(0.0, 0.1))
            for worker in workers:
                os.kill(worker.pid or 0, signal.SIGKILL)
                worker.join()
            handed_out += [line for line in (first + told.read()).splitlines(keepends=True) if line.endswith("\n")]
    serials = [line.strip() for line in handed_out]
    assert len(serials) == len(set(serials)) >= _ROUNDS
    with Authority.open(folder) as authority:
        records = {record.serial: record for record in authority.register.search(authority.clock(), profile="internal")}
        assert set(serials) <= {serial for serial, record in records.items() if record.certificate}
        published = authority.publish("code-signing")
        assert published.entries == sum(record.revoked is not None for record in records.values())


def test_a_folder_that_names_another_database_is_refused(server: Server, tmp_path: Path) -> None:
    Configuration(server.database()).write(str(tmp_path))
    with pytest.raises(DatabaseError, match="no authority"):
        Authority.open(str(tmp_path))


def test_a_responder_notices_what_another_process_entered(server: Server, tmp_path: Path) -> None:
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority, Responder(authority) as responder, Authority.open(folder) as other:
        issuer = authority.issuer("code-signing")
        responder.delegates.create(issuer)
        certificate = x509.certificate(authority.issue(order("internal")).certificate)
        request = ocsp.request([ocsp.for_certificate(certificate, issuer.certificate)])
        assert responder.presign().signed > 0

        def status() -> str:
            basic = ocsp.read_response(responder.respond(request)).basic
            assert basic is not None
            return basic.singles[0].status

        assert status() == ocsp.GOOD
        other.revoke(certificate.serial_octets.hex(), "keyCompromise")
        eventually(lambda: status() == ocsp.REVOKED)


def asked(authority: Authority, certificate: x509.Certificate) -> bytes:
    return ocsp.request([ocsp.for_certificate(certificate, authority.issuer("code-signing").certificate)])


def status(responder: Responder, request: bytes) -> str:
    basic = ocsp.read_response(responder.respond(request)).basic
    assert basic is not None
    return basic.singles[0].status


def issued(authority: Authority, count: int) -> list[x509.Certificate]:
    return [x509.certificate(authority.issue(order("internal")).certificate) for _ in range(count)]


def test_answers_signed_ahead_come_from_the_table(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is not asked for them; what is done meanwhile, also by another process, sends them the long way."""
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority, Authority.open(folder) as other, Responder(authority) as responder:
        responder.delegates.create(authority.issuer("code-signing"))
        certificates = issued(authority, 7)
        assert responder.presign(3) == (8, 0)  # several pages; the responder's own certificate is one of them
        assert len(table.Table(str(Path(folder, "ocsp", table.FILE)))) == 8
        requests = [asked(authority, each) for each in certificates]
        with monkeypatch.context() as patch:
            patch.setattr(Responder, "_answered", lambda *_: pytest.fail("the register was asked"))
            assert [status(responder, each) for each in requests] == [ocsp.GOOD] * 7
            with Responder(other) as second:
                assert [status(second, each) for each in requests] == [ocsp.GOOD] * 7
        other.revoke(certificates[2].serial_octets.hex(), "superseded")
        eventually(lambda: status(responder, requests[2]) == ocsp.REVOKED)
        late = asked(authority, issued(other, 1)[0])
        assert status(responder, late) == ocsp.GOOD
        assert responder.presign(3) == (2, 7)
        with monkeypatch.context() as patch:
            patch.setattr(Responder, "_answered", lambda *_: pytest.fail("the register was asked"))
            assert status(responder, requests[0]) == ocsp.GOOD


def test_the_table_goes_with_its_register(server: Server, tmp_path: Path) -> None:
    """After a restore another past is behind the same number of an event."""
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority, Responder(authority) as responder:
        responder.delegates.create(authority.issuer("code-signing"))
        [certificate] = issued(authority, 1)
        request = asked(authority, certificate)
        responder.presign()
        event = table.Table(str(Path(folder, "ocsp", table.FILE))).facts.event
        authority.revoke(certificate.serial_octets.hex(), "keyCompromise")
    with closing(Database(Configuration.read(folder).place(folder))) as database, database.writing() as connection:
        connection.execute(text("UPDATE events SET action = 'another' WHERE id = :event"), {"event": event})
        connection.execute(text("DELETE FROM log_entries WHERE event > :event"), {"event": event})
        connection.execute(text("DELETE FROM events WHERE id > :event"), {"event": event})
    with Authority.open(folder) as authority, Responder(authority) as responder:
        assert status(responder, request) == ocsp.REVOKED


def test_pages_are_read_in_the_order_of_an_index(server: Server, tmp_path: Path) -> None:
    """Of 50,000 certificates none is sorted for a page, and each comes once."""
    folder = made(tmp_path, server.database())
    with Authority.open(folder) as authority:
        number = authority.issuer("code-signing").id
    with closing(Database(Configuration.read(folder).place(folder))) as database:
        with database.writing() as connection:
            connection.execute(text(_MANY), {"issuer": number})
            connection.execute(text("ANALYZE certificates"))
        with database.reading() as connection:
            values = {"issuer": number, "serial": "7f", "count": 1000}
            raw = status_queries._PAGE.compile(  # noqa: SLF001 - the plan is that of the very query
                connection.engine, compile_kwargs={"render_postcompile": True}
            )
            plan = "\n".join(
                row[0] for row in connection.exec_driver_sql(f"EXPLAIN {raw}", raw.construct_params(values))
            )
        assert "Index Scan" in plan
        assert "Sort" not in plan
    with Authority.open(folder) as authority:
        statuses = authority.statuses()
        pages = list(statuses.pages(authority.clock, 999))
        statuses.close()
    serials = [(owner, serial) for page in pages for owner, serial, _ in page]
    assert len(serials) == len(set(serials)) == 50_002  # the two CAs below the root are certificates too
    assert serials == sorted(serials)


_MANY = """
INSERT INTO certificates
    (issuer, serial, profile, subject, key_sha256, not_before, not_after, reserved, certificate, issued)
SELECT :issuer, md5(n::text), 'internal', 'CN=x', md5(n::text), now(), now() + interval '1 year', now(), '\\x3000',
    now()
FROM generate_series(1, 50000) AS n
"""
