"""Stopping a long job in good order: the first signal asks, the second ends."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "listening"]

_SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Stop:
    """Whether somebody has asked the job to stop. `asked` is the signal's number, 0 for none."""

    def __init__(self) -> None:
        self.asked = 0


@contextmanager
def listening() -> Iterator[Stop]:
    """While this lasts, the first Ctrl-C or SIGTERM only asks to stop; after it the signals work as before.

    In a thread other than the main one, where Python allows no handlers, nobody can ask.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = number
        # The usual handlers again, so that a second Ctrl-C ends the process at once.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    for number in _SIGNALS:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None: a handler that was not set from Python, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
