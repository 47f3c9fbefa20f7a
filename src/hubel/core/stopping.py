"""Stop a job gracefully on a signal: the first requests it, the second ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Stop", "listening"]

# The signals that ask, and the handlers of those that follow. A terminal that is closed sends SIGHUP, not on Windows.
_NEXT: dict[str, Any] = {"SIGINT": signal.default_int_handler, "SIGTERM": signal.SIG_DFL, "SIGHUP": signal.SIG_IGN}
_SIGNALS = [signal.Signals[name] for name in _NEXT if name in signal.Signals.__members__]


class Stop:
    """A request to stop. `asked` is the number of the signal, 0 for none."""

    def __init__(self) -> None:
        self.asked = 0


@contextmanager
def listening() -> Iterator[Stop]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP within the block into a request to stop; a second ends the process.

    But a second SIGHUP is ignored: shell and system may send one each when a terminal is closed. Under nohup the first
    one is, too.

    Outside the main thread, where Python allows no signal handlers, there are no requests.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {one: now for one, now in before.items() if one.name != "SIGHUP" or now is not signal.SIG_IGN}

    def ask(number: int, frame: FrameType | None) -> None:
        stop.asked = number
        for one in before:
            signal.signal(one, _NEXT[one.name])

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            # None: a handler that was not set from Python, which Python cannot set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
