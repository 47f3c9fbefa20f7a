"""The watch over the next rank."""

from __future__ import annotations

import os
import socket
import time

import pytest
from torch.distributed import HashStore

from hubel.training.processes.watch import LOST, RankWatch

TIMEOUT = 0.5


class _Ended(BaseException):
    """Instead of the end of the process."""


@pytest.mark.parametrize("moves", [True, False])
def test_a_rank_that_moves_is_left_alone_and_one_that_stands_is_ended(
    moves: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, killed = list[int](), list[int]()

    def end(code: int) -> None:
        ended.append(code)
        raise _Ended

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    monkeypatch.setattr("threading.excepthook", lambda _: None)
    store = HashStore()
    store.set("process/1", f"123456 {socket.gethostname()}")
    watch = RankWatch(store, 0, 2, TIMEOUT)
    for beat in range(1, 16):
        if moves:
            store.set("beat/1", str(beat))
        time.sleep(TIMEOUT / 5)
    assert (ended, killed) == (([], []) if moves else ([LOST], [123456]))
    watch.end()
    assert store.get("beat/0") == b"finished"
