"""The balanced order shows the classes equally often, each image before any again; it depends on its keys only."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hubel.data.balanced_order import balanced_order, repetitions

TARGETS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@given(TARGETS, st.integers(0, 50), st.integers(0, 50))
def test_each_class_comes_equally_often(targets: np.ndarray, seed: int, epoch: int) -> None:
    order = balanced_order(targets, seed, epoch)
    assert len(order) == len(targets)
    seen = np.bincount(targets[order], minlength=5)[np.unique(targets)]
    assert seen.max() - seen.min() <= 1
    for name in np.unique(targets):
        times = np.bincount(order, minlength=len(targets))[targets == name]
        assert times.max() - times.min() <= 1, "all images of a class come before any comes again"
    assert (balanced_order(targets, seed, epoch) == order).all()


def test_another_epoch_has_another_order() -> None:
    targets = np.repeat([0, 1, 2], [90, 9, 1])
    orders = [balanced_order(targets, 3, epoch) for epoch in range(4)]
    assert len({order.tobytes() for order in orders}) == 4
    assert len({order.tobytes() for order in (balanced_order(targets, seed, 0) for seed in range(4))}) == 4
    # The 33 or 34 of the first class are others in each epoch, and the one more goes to each class in turn.
    assert len({frozenset(order[order < 90].tolist()) for order in orders}) == 4
    more = {int(np.bincount(targets[balanced_order(targets, 3, epoch)]).argmax()) for epoch in range(20)}
    assert more == {0, 1, 2}


@given(st.lists(st.integers(0, 5), max_size=40))
def test_repetitions_count_what_came_before(order: list[int]) -> None:
    found = repetitions(np.array(order, np.int64))
    assert found.tolist() == [order[:i].count(position) for i, position in enumerate(order)]
