"""Work for threads, in order and bounded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.core.window import in_order


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 40), st.integers(1, 4), st.integers(-1, 9))
def test_results_come_in_order(n: int, threads: int, ahead: int) -> None:
    def work(item: int) -> int:
        time.sleep(item * 7 % 3 / 5000)
        return item * item

    with ThreadPoolExecutor(threads) as pool:
        assert list(in_order(pool, work, range(n), ahead=ahead)) == [i * i for i in range(n)]


def test_the_number_of_pending_tasks_is_bounded() -> None:
    taken, drawn = 0, 0

    def items() -> Iterator[int]:
        nonlocal drawn
        for item in range(50):
            drawn += 1
            yield item

    with ThreadPoolExecutor(2) as pool:
        for _ in in_order(pool, lambda item: item, items(), ahead=5):
            taken += 1
            assert drawn - taken <= 5
    assert taken == drawn == 50


def test_an_error_comes_in_its_turn_and_ends_the_rest() -> None:
    done = []

    def work(item: int) -> int:
        if item == 3:
            raise LookupError("three")
        done.append(item)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(1000), ahead=4)
        assert [next(results) for _ in range(3)] == [0, 1, 2]
        with pytest.raises(LookupError, match="three"):
            next(results)
    assert max(done) <= 7


def test_pending_tasks_are_cancelled() -> None:
    started: list[int] = []
    go = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item:
            go.wait(5)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = in_order(pool, work, range(100), ahead=10)
        assert next(results) == 0
        results.close()  # type: ignore[attr-defined]
        go.set()
    assert len(started) <= 2


def test_an_error_of_the_items_cancels_what_is_waiting() -> None:
    started: list[int] = []
    go = threading.Event()

    def work(item: int) -> None:
        started.append(item)
        go.wait(5)

    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("no more")

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="no more"):
            next(in_order(pool, work, items(), ahead=10))
        go.set()
    assert len(started) <= 1
