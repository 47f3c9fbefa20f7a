"""Stop a job gracefully on a signal: the first requests it, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "listening"]

_SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Stop:
    """A request to stop. `asked` is the number of the signal, 0 for none."""

    def __init__(self) -> None:
        self.asked = 0


@contextmanager
def listening() -> Iterator[Stop]:
    """Turn the first Ctrl-C or SIGTERM within the block into a request to stop; further signals act as before.

    Outside the main thread, where Python allows no signal handlers, there are no requests.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = number
        # Restore the default handlers, so that a second Ctrl-C ends the process at once.
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
