"""What time is stamped: sources and what they measure, clocks that are set, drift, and times that only grow."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chopmark.authority.tsa import time_sources
from chopmark.authority.tsa.time_sources import KernelClock, KernelState, MachineClock, Measurement, NtpServers, agreed
from chopmark.authority.tsa.timekeeping import Sequence, Timekeeper, steady_ns
from chopmark.core import limits
from chopmark.core.errors import UnavailableError, UsageError
from chopmark.net.sntp import Answer, Reply
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Sequence as Several
    from pathlib import Path

START = 1_790_000_000_000_000_000
SECOND = 1_000_000_000
MOMENT = dt.datetime(2026, 11, 22, 12, 0, 0, 123456, tzinfo=dt.UTC)


class Machine:
    """Two clocks, one of which can be set, and a source that says what it is told to."""

    name = "test"
    is_measured = True
    is_cheap = False

    def __init__(self) -> None:
        self.wall = START
        self.steady = 5 * SECOND
        self.offset = 0.0
        self.uncertainty = 0.01
        self.asked = 0
        self.silent = False

    def measure(self) -> Measurement:
        self.asked += 1
        if self.silent:
            message = "nobody answers"
            raise UnavailableError(message)
        return Measurement(self.offset, self.uncertainty)

    def pass_(self, seconds: float) -> None:
        self.wall += int(seconds * SECOND)
        self.steady += int(seconds * SECOND)

    def keeper(self) -> Timekeeper:
        return Timekeeper(self, wall=lambda: self.wall, steady=lambda: self.steady)


class TestTimekeeper:
    def test_what_was_measured_is_the_accuracy(self) -> None:
        machine = Machine()
        machine.offset, machine.uncertainty = -0.2, 0.05
        keeper = machine.keeper()
        machine.wall += 123_456_789
        reading = keeper()
        assert reading.time == dt.datetime.fromtimestamp(START // SECOND, dt.UTC) + dt.timedelta(milliseconds=123)
        assert reading.accuracy == pytest.approx(0.25 + 0.001)
        machine.pass_(600)
        assert keeper().accuracy == pytest.approx(0.251 + 600 * limits.CLOCK_DRIFT)
        assert machine.asked == 1

    def test_it_is_measured_again(self) -> None:
        machine = Machine()
        keeper = machine.keeper()
        keeper()
        machine.pass_(limits.CLOCK_MEASURED + 1)
        machine.offset = 0.5
        assert keeper().accuracy == pytest.approx(0.511)
        assert machine.asked == 2

    def test_a_clock_that_is_too_far_off_stamps_nothing(self) -> None:
        machine = Machine()
        machine.offset = 1.0
        with pytest.raises(UnavailableError, match="wrong by"):
            machine.keeper()()

    def test_uncertain_is_as_bad_as_wrong(self) -> None:
        machine = Machine()
        machine.uncertainty = 1.0
        with pytest.raises(UnavailableError, match="wrong by"):
            machine.keeper()()

    def test_without_answers_it_goes_on_for_a_while(self) -> None:
        machine = Machine()
        keeper = machine.keeper()
        keeper()
        machine.silent = True
        machine.pass_(3600)
        assert keeper().accuracy == pytest.approx(0.011 + 3600 * limits.CLOCK_DRIFT)
        machine.pass_(24 * 3600)
        with pytest.raises(UnavailableError):
            keeper()

    def test_after_a_day_without_measurement_nothing_is_stamped(self) -> None:
        """CSBR 6.8, however good the clock is said to be."""
        machine = Machine()
        keeper = Timekeeper(machine, wall=lambda: machine.wall, steady=lambda: machine.steady, limit=100.0)
        keeper()
        machine.silent = True
        machine.pass_(24 * 3600 - 1)
        assert keeper()
        machine.pass_(2)
        with pytest.raises(UnavailableError, match="24 hours"):
            keeper()

    def test_who_was_never_measured(self) -> None:
        machine = Machine()
        machine.silent = True
        with pytest.raises(UnavailableError, match="nobody answers"):
            machine.keeper()()

    @pytest.mark.parametrize("seconds", [-1, 1, 3600])
    def test_a_clock_that_is_set_is_measured_anew(self, seconds: int) -> None:
        machine = Machine()
        keeper = machine.keeper()
        keeper()
        machine.wall += seconds * SECOND
        machine.offset = -seconds
        with pytest.raises(UnavailableError, match="wrong by"):
            keeper()
        assert machine.asked == 2

    def test_a_clock_that_is_set_right_goes_on(self) -> None:
        machine = Machine()
        machine.offset = 0.9
        keeper = machine.keeper()
        keeper()
        machine.wall += 9 * SECOND // 10
        machine.offset = 0.0
        assert keeper().accuracy == pytest.approx(0.011)

    def test_a_clock_that_is_set_while_nobody_answers(self) -> None:
        machine = Machine()
        keeper = machine.keeper()
        keeper()
        machine.wall += SECOND
        machine.silent = True
        with pytest.raises(UnavailableError, match="nobody answers"):
            keeper()

    def test_a_clock_that_nobody_measures(self) -> None:
        machine = Machine()
        keeper = Timekeeper(MachineClock(), wall=lambda: machine.wall, steady=lambda: machine.steady)
        assert keeper().accuracy == limits.TSA_INACCURACY_MAX
        machine.pass_(3600)
        assert keeper().accuracy == limits.TSA_INACCURACY_MAX
        machine.wall += SECOND
        with pytest.raises(UnavailableError, match="was set"):
            keeper()

    def test_one_thread_measures_and_the_others_go_on(self) -> None:
        machine = Machine()
        keeper = machine.keeper()
        keeper()
        machine.pass_(limits.CLOCK_MEASURED + 1)
        entered, leave = threading.Event(), threading.Event()
        measure = machine.measure

        def slow() -> Measurement:
            entered.set()
            leave.wait(PATIENCE)
            return measure()

        machine.measure = slow  # type: ignore[method-assign]
        thread = threading.Thread(target=keeper)
        thread.start()
        assert entered.wait(PATIENCE)
        assert keeper().accuracy > 0.011
        leave.set()
        thread.join()
        assert machine.asked == 2

    def test_the_real_clocks(self) -> None:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
        reading = Timekeeper(MachineClock())()
        assert before < reading.time <= dt.datetime.now(dt.UTC)
        assert steady_ns() <= steady_ns()


class TestSources:
    def test_the_kernel(self) -> None:
        source = KernelClock(lambda: KernelState(0, 0x2001, -0.002, 0.05))
        assert source.measure() == Measurement(-0.002, 0.05)
        assert source.measure().inaccuracy == pytest.approx(0.052)

    @pytest.mark.parametrize(
        "state",
        [KernelState(5, 0x40, 0.0, 16.0), KernelState(0, 0x40, 0.0, 0.1), KernelState(3, 0x11, 0.0, 0.1)],
        ids=["error", "unsynchronised", "leap second"],
    )
    def test_a_kernel_that_does_not_know(self, state: KernelState) -> None:
        with pytest.raises(UnavailableError):
            KernelClock(lambda: state).measure()

    def test_this_kernel(self) -> None:
        state = time_sources.kernel_state()
        assert 0 <= state.state <= 5
        assert state.maximum_error >= 0

    def test_a_kernel_that_loses_its_daemon_stamps_nothing(self) -> None:
        states = [KernelState(0, 0x2001, 0.0, 0.05)]
        keeper = Timekeeper(KernelClock(lambda: states[-1]))
        assert keeper().accuracy == pytest.approx(0.051)
        states.append(KernelState(5, 0x2041, 0.0, 16.0))
        with pytest.raises(UnavailableError, match="nothing synchronises"):
            keeper()

    def test_time_servers(self) -> None:
        said = {"a": Answer(0.1, 0.05), "b": Answer(0.12, 0.05), "c": Answer(9.0, 0.01)}

        def ask(servers: Several[str]) -> list[Reply]:
            return [Reply(server, said[server]) for server in servers]

        found = NtpServers(["a", "b", "c"], ask).measure()
        assert found.offset == pytest.approx(0.11)
        assert found.uncertainty == pytest.approx(0.04)
        with pytest.raises(UnavailableError, match=r"c: \+9\.000 s"):
            NtpServers(["a", "c"], ask).measure()
        with pytest.raises(UnavailableError, match="a: no answer"):
            NtpServers(["a"], lambda servers: [Reply(each, None, "no answer") for each in servers]).measure()

    def test_one_of_four_that_answers_is_not_believed(self) -> None:
        assert agreed([Measurement(0.0, 0.1)], 4) is None
        assert agreed([Measurement(0.0, 0.1)] * 2, 4) is None
        assert agreed([Measurement(0.0, 0.1)] * 3, 4) is not None
        assert agreed([], 1) is None

    @given(
        st.lists(st.tuples(st.floats(-10, 10), st.floats(0, 5)), min_size=1, max_size=7),
        st.floats(-10, 10),
    )
    def test_when_most_are_right_the_true_time_is_within_bounds(
        self, pairs: list[tuple[float, float]], truth: float
    ) -> None:
        measurements = [Measurement(*pair) for pair in pairs]
        right = sum(abs(each.offset - truth) <= each.uncertainty for each in measurements)
        found = agreed(measurements, len(measurements))
        if found is not None and right == len(measurements):
            assert abs(found.offset - truth) <= found.uncertainty + 1e-9
        if 2 * right > len(measurements):
            assert found is not None

    def test_names(self) -> None:
        assert time_sources.named("machine").name == "machine"
        assert time_sources.named("kernel").is_measured
        assert time_sources.named("ntp:a, b:1234").name == "ntp"
        for wrong in ("", "gps", "machine:x", "ntp", "ntp:", "ntp:" + ",".join("abcdefghijklmnopq")):
            with pytest.raises(UsageError):
                time_sources.named(wrong)

    def test_plug_ins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Point:
            name = "gps"

            def load(self) -> type[Machine]:
                return lambda _: Machine()  # type: ignore[return-value]

        monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [Point()])
        assert time_sources.named("gps:/dev/gps0").name == "test"

    def test_the_usual_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        states = [KernelState(0, 0, 0.0, 0.01), KernelState(5, 0x40, 0.0, 16.0)]
        for state, name in zip(states, ("kernel", "machine"), strict=True):
            monkeypatch.setattr(
                time_sources.KernelClock, "__init__", lambda self, s=state: setattr(self, "_ask", lambda: s)
            )
            assert time_sources.usual().name == name


def take(path: str, count: int, results: multiprocessing.queues.Queue[list[dt.datetime]]) -> None:
    sequence = Sequence(path)
    results.put([sequence.next(MOMENT) for _ in range(count)])


class TestSequence:
    def test_times_only_grow(self, tmp_path: Path) -> None:
        path = str(tmp_path / "order")
        tick = dt.timedelta(microseconds=1)
        assert Sequence(path).next(MOMENT) == MOMENT
        assert Sequence(path).next(MOMENT) == MOMENT + tick
        assert Sequence(path).next(MOMENT - dt.timedelta(milliseconds=1)) == MOMENT + 2 * tick
        assert Sequence(path).next(MOMENT + dt.timedelta(seconds=1)) == MOMENT + dt.timedelta(seconds=1)

    def test_over_threads(self, tmp_path: Path) -> None:
        sequence = Sequence(str(tmp_path / "order"))
        taken: list[dt.datetime] = []
        threads = [
            threading.Thread(target=lambda: taken.extend([sequence.next(MOMENT) for _ in range(200)])) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(taken)) == 800

    def test_over_processes(self, tmp_path: Path) -> None:
        context = multiprocessing.get_context("fork")
        results: multiprocessing.queues.Queue[list[dt.datetime]] = context.Queue()
        path = str(tmp_path / "order")
        workers = [context.Process(target=take, args=(path, 200, results)) for _ in range(3)]
        for worker in workers:
            worker.start()
        taken = [results.get(timeout=PATIENCE) for _ in workers]
        for worker in workers:
            worker.join()
        assert all(mine == sorted(mine) for mine in taken)
        assert len({moment for mine in taken for moment in mine}) == 600

    def test_a_clock_that_went_back_waits(self, tmp_path: Path) -> None:
        sequence = Sequence(str(tmp_path / "order"))
        sequence.next(MOMENT)
        with pytest.raises(UnavailableError, match="went back"):
            sequence.next(MOMENT - dt.timedelta(seconds=1))
        assert sequence.next(MOMENT) > MOMENT

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        with pytest.raises(UnavailableError, match="cannot be kept"):
            Sequence(str(tmp_path / "missing" / "order")).next(MOMENT)
