"""The first signal asks, the second ends."""

from __future__ import annotations

import signal
import threading

import pytest

from hubel.core.stopping import listening

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_the_first_signal_asks_and_the_second_ends() -> None:
    before = handlers()
    with listening() as stop:
        assert stop.asked == 0
        signal.raise_signal(signal.SIGINT)
        assert stop.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert handlers() == before


def test_a_request_to_terminate_asks_too() -> None:
    before = handlers()
    with listening() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.asked == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert handlers() == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_a_closed_terminal_asks_and_a_second_hangup_changes_nothing() -> None:
    with listening() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.asked == signal.SIGHUP
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has none")
def test_under_nohup_a_closed_terminal_is_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert stop.asked == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_that_were_there_come_back() -> None:
    calls: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with pytest.raises(RuntimeError), listening():
            raise RuntimeError
        signal.raise_signal(signal.SIGINT)
        assert calls == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_handler_from_outside_python_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    before = handlers()
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    with listening() as stop:
        assert stop.asked == 0
    monkeypatch.undo()
    assert handlers() == [signal.SIG_DFL] * len(SIGNALS)
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)  # type: ignore[arg-type]


def test_in_a_thread_nothing_happens() -> None:
    before, seen = handlers(), []

    def job() -> None:
        with listening() as stop:
            seen.append((stop.asked, handlers()))

    thread = threading.Thread(target=job)
    thread.start()
    thread.join()
    assert seen == [(0, before)]
