"""What a signal asks for, and when a run obeys."""

import os
import signal
import threading
import time

import pytest

from fdmo_core.stopping import PATIENCE, SIGNALS, Interrupted, StopRequest, stopping_on_signals


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0)  # Python takes a signal between two of its instructions


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_a_wish_that_is_obeyed_where_the_run_can_stop(number: signal.Signals) -> None:
    with stopping_on_signals() as stop:
        stop.obey("before")
        send(number)

        assert stop.signal == number
        with pytest.raises(Interrupted) as caught:
            stop.obey("after step 3 of phase1")

    assert caught.value.signal == number
    assert str(caught.value) == f"Stopped by {number.name} after step 3 of phase1."


def test_the_first_signal_says_what_will_happen(capfd: pytest.CaptureFixture[str]) -> None:
    with stopping_on_signals():
        send(signal.SIGTERM)
        send(signal.SIGTERM)

    assert capfd.readouterr().err == (
        "\nStopping as soon as the step is done. Once more to stop at once.\n"
    )


def test_a_signal_that_comes_again_at_once_is_the_same_wish() -> None:
    with stopping_on_signals() as stop:
        send(signal.SIGINT)
        send(signal.SIGTERM)

        assert stop.signal == signal.SIGINT


def test_a_second_signal_after_a_while_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with stopping_on_signals():
        send(signal.SIGTERM)
        clock[0] += PATIENCE + 0.1

        with pytest.raises(Interrupted, match=r"Stopped by SIGINT at once\."):
            send(signal.SIGINT)


def test_an_interruption_is_not_taken_for_an_error() -> None:
    assert not issubclass(Interrupted, Exception)


def test_signals_do_afterwards_what_they_did_before() -> None:
    before = [signal.getsignal(one) for one in SIGNALS]

    with stopping_on_signals():
        assert [signal.getsignal(one) for one in SIGNALS] != before

    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_in_another_thread_signals_are_left_alone() -> None:
    before, found = [signal.getsignal(one) for one in SIGNALS], []

    def look() -> None:
        with stopping_on_signals() as stop:
            found.append((stop.signal, [signal.getsignal(one) for one in SIGNALS]))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert found == [(None, before)]


def test_without_a_signal_nothing_is_to_be_obeyed() -> None:
    StopRequest().obey("anywhere")
