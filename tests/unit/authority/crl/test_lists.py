"""Deltas and shards: what they say, that all lists of a publication agree, and when the next one is due."""

from __future__ import annotations

import datetime as dt
import os
import shutil
from pathlib import Path

import pytest

from chopmark.authority.ca import Authority
from chopmark.authority.crl import placing
from chopmark.authority.crl.publisher import COMPLETE, DELTA, Wanted
from chopmark.authority.hierarchy import founding
from chopmark.core import limits, patch
from chopmark.core.errors import RefusedError, UnavailableError, UsageError
from chopmark.envelopes import x509
from chopmark.trust.crl import combining
from chopmark.trust.crl.entry import CERTIFICATE_HOLD, REMOVE_FROM_CRL
from chopmark.trust.crl.revocation_list import Crl
from tests.unit.authority.conftest import NOW, Clock, order

DAY = dt.timedelta(days=1)
CODE = "code-signing"


def issue(authority: Authority) -> x509.Certificate:
    return x509.Certificate(authority.issue(order("internal")).certificate)


def serial(certificate: x509.Certificate) -> str:
    return certificate.serial_octets.hex()


def lists(authority: Authority) -> dict[tuple[int, bool], Crl]:
    """What is published now, by shard and kind."""
    return {(each.shard, each.delta): Crl(Path(each.path).read_bytes()) for each in authority.published(CODE)}


def shard_of(certificate: x509.Certificate) -> int:
    [url] = certificate.crl_urls
    known = placing.list_of(CODE, url.rpartition("/")[2])
    assert known is not None
    return known[0]


@pytest.fixture
def deltas(authority: Authority) -> Authority:
    """An authority that has published complete lists (number 2) with deltas."""
    authority.publish(CODE, Wanted(deltas=True))
    return authority


@pytest.fixture
def sharded(authority: Authority) -> Authority:
    """An authority that has published lists for three shards (number 2)."""
    authority.publish(CODE, Wanted(shards=3))
    return authority


class TestDeltas:
    def test_what_changed_since_the_complete_list(self, deltas: Authority, clock: Clock) -> None:
        before, after, freed = (issue(deltas) for _ in range(3))
        deltas.revoke(serial(before))
        deltas.revoke(serial(freed), "certificateHold")
        assert deltas.publish(CODE).number == 3
        clock.advance(hours=1)
        deltas.revoke(serial(after), "superseded")
        deltas.release(serial(freed))
        published = deltas.publish(CODE, Wanted(delta=True))
        assert (published.number, published.base, published.entries) == (4, 3, 2)
        assert published.next_update == clock.now + DAY
        found = lists(deltas)
        assert set(found) == {(0, False), (0, True)}
        base, delta = found[0, False], found[0, True]
        assert Crl(published.raw).raw == delta.raw
        assert (base.number, delta.number, delta.base_number) == (3, 4, 3)
        assert delta.extensions[x509.DELTA_CRL_INDICATOR].critical
        assert x509.FRESHEST_CRL not in delta.extensions
        assert not base.extensions[x509.FRESHEST_CRL].critical
        delta.check_signature(deltas.issuer(CODE).certificate)
        assert delta.find(before) is None
        [gone, new] = [delta.find(each) for each in (freed, after)]
        assert gone is not None
        assert new is not None
        assert (gone.reason, new.reason) == (REMOVE_FROM_CRL, 4)
        assert list(combining.fitting(base, [delta])) == [delta]

    def test_delta_and_complete_list_of_one_time_agree(self, deltas: Authority) -> None:
        """RFC 5280 clause 5.2.4: the same number, and what the delta comes to is what the list says."""
        first, held, moved = (issue(deltas) for _ in range(3))
        deltas.revoke(serial(held), "certificateHold")
        deltas.revoke(serial(moved))
        old = lists(deltas)[0, False]
        deltas.publish(CODE)
        middle = lists(deltas)[0, False]
        deltas.release(serial(held))
        deltas.revoke(serial(first))
        deltas.revoke(serial(moved), "keyCompromise", at=moved.not_before)
        deltas.publish(CODE)
        found = lists(deltas)
        new, delta = found[0, False], found[0, True]
        assert (old.number, middle.number, new.number, delta.number, delta.base_number) == (2, 3, 4, 4, 3)
        assert list(combining.fitting(old, [delta])) == []
        for certificate in (first, held, moved):
            combined = combining.applied(middle.find(certificate), delta.find(certificate), fresh=True)
            assert combined == new.find(certificate)

    def test_what_was_suspended_by_a_delta_is_released_by_the_next(self, deltas: Authority) -> None:
        """A verifier may have added the first delta to its list."""
        held = issue(deltas)
        deltas.revoke(serial(held), "certificateHold")
        deltas.publish(CODE, Wanted(delta=True))
        entry = lists(deltas)[0, True].find(held)
        assert entry is not None
        assert entry.reason == CERTIFICATE_HOLD
        deltas.release(serial(held))
        deltas.publish(CODE, Wanted(delta=True))
        entry = lists(deltas)[0, True].find(held)
        assert entry is not None
        assert entry.reason == REMOVE_FROM_CRL

    def test_a_revocation_while_a_list_is_made_is_on_a_delta(
        self, deltas: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        certificate = issue(deltas)
        write = placing.Draft.write

        def late(draft: placing.Draft, file: str, pieces: tuple[bytes, ...]) -> None:
            if deltas.register.find(serial(certificate)).revoked is None:
                deltas.revoke(serial(certificate))
            write(draft, file, pieces)

        with monkeypatch.context() as patched:
            patched.setattr(placing.Draft, "write", late)
            deltas.publish(CODE)
        assert lists(deltas)[0, False].find(certificate) is None
        deltas.publish(CODE, Wanted(delta=True))
        assert lists(deltas)[0, True].find(certificate) is not None

    def test_certificates_say_where_it_is(self, deltas: Authority, authority: Authority) -> None:
        certificate = issue(deltas)
        extension = certificate.extensions[x509.FRESHEST_CRL]
        assert not extension.critical
        [url] = [each.url for each in authority.published(CODE) if each.delta]
        assert url == "http://pki.example.com/crl/code-signing.delta.crl"
        assert url.encode() in extension.value

    def test_without_complete_lists_everything_is_published(self, deltas: Authority) -> None:
        shutil.rmtree(Path(deltas.folder, "public", "crl"))
        published = deltas.publish(CODE, Wanted(delta=True))
        assert (published.number, published.base) == (3, None)
        assert set(lists(deltas)) == {(0, False), (0, True)}

    def test_who_has_none(self, authority: Authority) -> None:
        with pytest.raises(UsageError, match="--with-deltas"):
            authority.publish(CODE, Wanted(delta=True))
        with pytest.raises(UsageError, match="root CA has one list"):
            authority.publish("root", Wanted(deltas=True))

    @pytest.mark.parametrize("days", [0, 11])
    def test_how_long_it_may_hold(self, deltas: Authority, days: int) -> None:
        with pytest.raises(UsageError, match=r"4\.9\.7"):
            deltas.publish(CODE, Wanted(delta=True, days=days))


class TestShards:
    def test_each_certificate_is_on_its_own_list_and_on_that_about_all(self, sharded: Authority) -> None:
        issued = [issue(sharded) for _ in range(12)]
        for certificate in issued[::2]:
            sharded.revoke(serial(certificate), "superseded")
        sharded.publish(CODE)
        found = lists(sharded)
        assert set(found) == {(shard, False) for shard in range(4)}
        assert len({crl.number for crl in found.values()}) == len({crl.this_update for crl in found.values()}) == 1
        ca = sharded.issuer(CODE).certificate
        for number, certificate in enumerate(issued):
            shard = shard_of(certificate)
            assert shard == certificate.serial % 3 + 1
            own = found[shard, False]
            own.check_signature(ca)
            own.coverage(certificate)
            assert (
                (own.find(certificate) is not None)
                is (found[0, False].find(certificate) is not None)
                is (number % 2 == 0)
            )

    def test_a_list_says_which_one_it_is(self, sharded: Authority) -> None:
        certificate = next(each for each in iter(lambda: issue(sharded), None) if shard_of(each) == 2)
        found = lists(sharded)
        assert found[0, False].scope is None
        extension = found[2, False].extensions[x509.ISSUING_DISTRIBUTION_POINT]
        assert extension.critical
        assert certificate.crl_urls[0].encode() in extension.value
        scope = found[2, False].scope
        assert scope is not None
        assert scope.users_only
        found[2, False].coverage(certificate)
        with pytest.raises(Exception, match="another distribution point"):
            found[1, False].coverage(certificate)
        with pytest.raises(Exception, match="end entities alone"):
            found[2, False].coverage(sharded.issuer(CODE).certificate)

    def test_there_can_be_more_and_who_is_somewhere_stays_there(self, sharded: Authority) -> None:
        old = [issue(sharded) for _ in range(4)]
        sharded.publish(CODE, Wanted(shards=5))
        new = [issue(sharded) for _ in range(8)]
        assert [shard_of(each) for each in new] == [each.serial % 5 + 1 for each in new]
        for certificate in (*old, *new):
            sharded.revoke(serial(certificate))
        sharded.publish(CODE)
        found = lists(sharded)
        assert all(found[shard_of(each), False].find(each) for each in (*old, *new))
        with pytest.raises(UsageError, match="not 4"):
            sharded.publish(CODE, Wanted(shards=4))

    def test_there_is_a_list_before_a_certificate_names_it(
        self, authority: Authority, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            message = "disk full"
            raise patch.WriteError(message)

        with monkeypatch.context() as patched:
            patched.setattr(placing.Draft, "put_in_place", fail)
            with pytest.raises(patch.WriteError):
                authority.publish(CODE, Wanted(shards=2))
        assert shard_of(issue(authority)) == 0
        authority.publish(CODE, Wanted(shards=2))
        assert shard_of(issue(authority)) in (1, 2)

    @pytest.mark.parametrize("shards", [-1, limits.CRL_SHARDS_MAX + 1])
    def test_how_many(self, authority: Authority, shards: int) -> None:
        with pytest.raises(UsageError, match="at most"):
            authority.publish(CODE, Wanted(shards=shards))
        with pytest.raises(UsageError, match="at most"):
            founding.Setup("Example Ltd", "http://pki.example.com", "p256", shards=shards).check()

    def test_deltas_of_shards(self, sharded: Authority) -> None:
        sharded.publish(CODE, Wanted(deltas=True))
        certificate = issue(sharded)
        sharded.revoke(serial(certificate), "superseded")
        sharded.publish(CODE, Wanted(delta=True))
        shard = shard_of(certificate)
        found = lists(sharded)
        assert len(found) == 8
        for each in range(1, 4):
            base, delta = found[each, False], found[each, True]
            assert base.partition == delta.partition
            assert list(combining.fitting(base, [delta])) == [delta]
            assert (delta.find(certificate) is not None) is (each == shard)
        assert found[0, True].find(certificate) is not None

    def test_the_delta_of_a_new_shard_has_its_first_list_as_base(self, sharded: Authority) -> None:
        sharded.publish(CODE, Wanted(deltas=True))
        sharded.publish(CODE, Wanted(shards=4))
        found = lists(sharded)
        assert [found[shard, True].base_number for shard in range(5)] == [3, 3, 3, 3, 4]

    def test_from_the_beginning(self, tmp_path: Path, clock: Clock) -> None:
        setup = founding.Setup("Example Ltd", "http://pki.example.com", "p256", shards=2, deltas=True)
        with founding.found(str(tmp_path / "ca"), setup, clock=clock) as authority:
            assert {(each.shard, each.delta) for each in authority.published(CODE)} == {
                (shard, delta) for shard in range(3) for delta in (False, True)
            }
            certificate = issue(authority)
            assert shard_of(certificate) in (1, 2)
            assert (
                f"{CODE}.{shard_of(certificate)}.delta.crl".encode() in certificate.extensions[x509.FRESHEST_CRL].value
            )
            assert [each.url for each in authority.published("root")] == ["http://pki.example.com/crl/root.crl"]


class TestFiles:
    def test_all_lists_change_at_once(self, sharded: Authority) -> None:
        folder = Path(sharded.folder, "public", "crl")
        link = folder / f"{CODE}.lists" / "current"
        for each in sharded.published(CODE):
            assert Path(each.path).parent == folder
            assert os.readlink(each.path) == f"{CODE}.lists/current/{Path(each.path).name}"  # noqa: PTH115
        assert os.readlink(link) == "2"  # noqa: PTH115
        for number in range(3, 7):
            sharded.publish(CODE)
            kept = {path.name for path in link.parent.iterdir()}
            assert kept == {"lock", "current", str(number - 1), str(number)}

    def test_a_file_from_before_is_replaced(self, authority: Authority) -> None:
        path = Path(authority.crl_path(CODE))
        shutil.rmtree(path.parent / f"{CODE}.lists")
        path.unlink()
        path.write_bytes(b"an older list")
        assert path.read_bytes() == b"an older list"
        published = authority.publish(CODE)
        assert path.read_bytes() == published.raw

    def test_a_copy_that_followed_links_is_replaced(self, authority: Authority, tmp_path: Path, clock: Clock) -> None:
        shutil.copytree(authority.folder, tmp_path / "copy")
        assert not (tmp_path / "copy" / "public" / "crl" / f"{CODE}.crl").is_symlink()
        with Authority.open(str(tmp_path / "copy"), clock=clock) as copy:
            published = copy.publish(CODE)
            assert Path(copy.crl_path(CODE)).read_bytes() == published.raw
            assert copy.publish(CODE).number == published.number + 1

    def test_what_dead_processes_left_goes_away(self, authority: Authority) -> None:
        folder = Path(authority.folder, "public", "crl", f"{CODE}.lists")
        (folder / ".deadbeef").mkdir()
        (folder / ".deadbeef" / "half.crl").write_bytes(b"half")
        (folder / "9").mkdir()  # was to be the next one
        (folder / ".link").symlink_to("9")
        authority.publish(CODE)
        assert {path.name for path in folder.iterdir()} == {"lock", "current", "1", "2"}

    def test_a_file_system_without_links(self, deltas: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        link = os.link

        def refuse(source: str, target: str, **options: bool) -> None:
            if source.endswith(".crl"):
                raise OSError(1, "Operation not permitted")
            link(source, target, **options)

        monkeypatch.setattr(os, "link", refuse)
        deltas.publish(CODE, Wanted(delta=True))
        assert lists(deltas)[0, False].number == 2

    def test_one_at_a_time(self, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "CRL_TURN_SECONDS", 0.05)
        shelf = placing.Shelf(str(Path(authority.folder, "public", "crl")), CODE)
        with shelf.turn(), pytest.raises(UnavailableError, match="too long"):
            authority.publish(CODE)
        assert authority.publish(CODE).number == 2

    def test_a_clock_that_went_back(self, authority: Authority, clock: Clock) -> None:
        clock.advance(seconds=-1)
        with pytest.raises(RefusedError, match="went back"):
            authority.publish(CODE)

    def test_an_authority_without_addresses(self) -> None:
        assert placing.url("") == ""
        assert placing.url("http://a/b.c/x.crl", 7, delta=True) == "http://a/b.c/x.7.delta.crl"

    @pytest.mark.parametrize("file", ["x", "x.crl.crl", "x.0.crl", "x.-1.crl", "x.1000000.crl", "y.crl", "x.1.2.crl"])
    def test_files_that_are_no_lists(self, file: str) -> None:
        assert placing.list_of("x", file) is None


class TestDue:
    def test_well_before_the_end(self, authority: Authority, clock: Clock) -> None:
        assert authority.due(NOW) == []
        assert authority.due(NOW + 4 * DAY) == []
        due = authority.due(NOW + 5 * DAY)
        assert [(each.issuer, each.kind) for each in due] == [(CODE, COMPLETE), ("time-stamping", COMPLETE)]
        assert [each.issuer for each in authority.due(NOW + 121 * DAY)] == ["root", CODE, "time-stamping"]
        clock.advance(days=5)
        for each in due:
            authority.publish(each.issuer)
        assert authority.due(clock.now) == []

    def test_the_longest_period_is_renewed_within_seven_days(self, authority: Authority) -> None:
        """CSBR 4.9.7: a new list at least every seven days, good for at most ten."""
        authority.publish(CODE, days=10)
        [due] = [each for each in authority.due(NOW + 7 * DAY) if each.issuer == CODE]
        assert due.since <= NOW + 7 * DAY

    def test_soon_after_a_revocation(self, authority: Authority, clock: Clock) -> None:
        certificate = issue(authority)
        authority.revoke(serial(certificate))
        assert authority.due(NOW) == []
        later = NOW + limits.CRL_PAUSE
        assert [(each.issuer, each.kind) for each in authority.due(later)] == [(CODE, COMPLETE)]
        clock.now = later
        authority.publish(CODE)
        assert authority.due(later + limits.CRL_PAUSE) == []

    def test_deltas(self, deltas: Authority, clock: Clock) -> None:
        assert [(each.issuer, each.kind) for each in deltas.due(NOW + DAY)] == [(CODE, DELTA)]
        clock.advance(days=1)
        deltas.publish(CODE, Wanted(delta=True))
        assert deltas.due(clock.now) == []
        deltas.revoke(serial(issue(deltas)))
        assert [each.kind for each in deltas.due(clock.now + limits.CRL_PAUSE)] == [DELTA]
        assert [each.kind for each in deltas.due(NOW + 5 * DAY) if each.issuer == CODE] == [COMPLETE]

    def test_nothing_was_published_yet(self, authority: Authority) -> None:
        from sqlalchemy import delete

        from chopmark.authority.register.database import Database
        from chopmark.authority.register.schema import crls

        with Database(str(Path(authority.folder, "authority.sqlite3"))).writing() as connection:
            connection.execute(delete(crls))
        assert [each.issuer for each in authority.due(NOW)] == ["root", CODE, "time-stamping"]

    def test_publishing_is_an_event(self, deltas: Authority) -> None:
        deltas.publish(CODE, Wanted(delta=True))
        events = deltas.register.history("")
        assert [event.action for event in events][-2:] == ["crl", "crl"]
