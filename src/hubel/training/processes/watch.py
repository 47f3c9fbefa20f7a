"""Notice ranks that have stopped, and let one rank speak for all.

Each rank adds one to a number of its own in the group's store, and looks at that of the next rank: a process that is
stopped (SIGSTOP, a machine that swaps itself to death) keeps its connections open, so that nobody would ever notice. A
rank whose number has not moved within the time limit is ended where it is on the same machine, otherwise the one that
waits for it ends itself: either way the launcher starts the group again.

A mistake, such as a setting that cannot work, is told by the rank that writes it into the store first. The others end
without a word.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time

from torch._C._distributed_c10d import Store

__all__ = ["LOST", "MISTAKE", "RankWatch"]

MISTAKE, LOST = 2, 75  # exit codes: as for all mistakes; EX_TEMPFAIL, by which a launcher may start again
_TOLD, _FINISHED = "told", "finished"
_KILL = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has no other


class RankWatch:
    """The watch of one rank over the next one, in a thread of its own.

    Args:
        store: of the group; a connection of its own, since others wait in theirs.
        rank: of this process.
        world: how many there are.
        timeout: seconds in which the next rank must have moved.
    """

    def __init__(self, store: Store, rank: int, world: int, timeout: float) -> None:
        self._store, self._rank, self._next, self._timeout = store, rank, (rank + 1) % world, timeout
        self._tick = min(1.0, timeout / 5)
        self._ended = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._watch, name="hubel watch", daemon=True)
        store.set(f"process/{rank}", f"{os.getpid()} {socket.gethostname()}")
        store.set(f"beat/{rank}", "0")
        self._thread.start()

    def tells(self) -> bool:
        """Return whether it is for this rank to tell of a mistake; the others end."""
        self._told = True
        with contextlib.suppress(RuntimeError):
            return int(self._store.add(_TOLD, 1)) == 1
        return self._rank == 0

    def heard(self) -> bool:
        """Return whether another rank has told of a mistake; its connections close at about the same time."""
        time.sleep(self._tick)
        with contextlib.suppress(RuntimeError):
            return bool(self._store.check([_TOLD]))
        return False

    def end(self) -> None:
        """End the watch: this rank has done its work."""
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(RuntimeError):
            self._store.set(f"beat/{self._rank}", _FINISHED)

    def _watch(self) -> None:
        count, seen = 0, b""
        moved = looked = time.monotonic()
        while not self._ended.wait(self._tick):
            count += 1
            try:
                self._store.set(f"beat/{self._rank}", str(count))
                if not self._told and self._store.check([_TOLD]):
                    time.sleep(self._tick)  # for the one that tells
                    os._exit(MISTAKE)
                there = self._store.check([f"beat/{self._next}"])
                beat = self._store.get(f"beat/{self._next}") if there else seen
            except RuntimeError:
                if not self._ended.is_set() and not self._told:
                    os._exit(LOST)  # the store has gone with the launcher, or with the machine that has it
                return
            now = time.monotonic()
            if beat != seen or now - looked > 3 * self._tick:  # where this process has been stopped, all may have been
                seen, moved = beat, now
            looked = now
            if beat != _FINISHED.encode() and now - moved > self._timeout:
                self._end_next()

    def _end_next(self) -> None:
        """End the rank that has stopped, or this one where the other is on another machine."""
        pid, _, host = self._store.get(f"process/{self._next}").decode().partition(" ")
        print(
            f"hubel: rank {self._next} has not moved for {self._timeout:.0f} s and is ended",
            file=sys.stderr,
            flush=True,
        )
        if host != socket.gethostname():
            os._exit(LOST)
        with contextlib.suppress(OSError):
            os.kill(int(pid), _KILL)
        time.sleep(self._tick)
        os._exit(LOST)
