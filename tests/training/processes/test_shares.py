"""Shards of a batch, and the tree over them: pure functions of numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hubel.data.shares import numbered_slots, share_of, step_sizes
from hubel.training.processes.tree import subtrees, sum_of_subtree, total

SMALL = st.integers(1, 40)


def _written(shards: int, world: int) -> str:
    """The additions that a number of processes makes, as text."""
    values = {}
    for rank in range(world):
        share = share_of(rank, world, shards)
        for node in subtrees(share.first, share.stop):
            values[node] = sum_of_subtree(node, str, lambda a, b: f"({a}+{b})")
    return total(values, shards, lambda a, b: f"({a}+{b})")


@settings(max_examples=30, deadline=None)
@given(SMALL, st.integers(1, 40))
def test_every_number_of_processes_makes_the_same_additions(shards: int, world: int) -> None:
    assert _written(shards, min(world, shards)) == _written(shards, 1)


def test_the_tree_of_eight() -> None:
    assert _written(8, 3) == "(((0+1)+(2+3))+((4+5)+(6+7)))"
    assert _written(5, 2) == "(((0+1)+(2+3))+4)"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), SMALL, SMALL, SMALL, st.data())
def test_ranks_divide_each_batch_without_rest(n: int, batch: int, shards: int, world: int, data: st.DataObject) -> None:
    steps, world = -(-n // batch), min(world, shards)
    start = data.draw(st.integers(0, steps))
    parts = [numbered_slots(n, steps, start=start, share=share_of(rank, world, shards)) for rank in range(world)]
    whole = numbered_slots(n, steps, start=start)
    assert [len(slots) for _, slots in whole] == step_sizes(n, steps)[start:]
    for number, slots in whole:
        of_step = sorted(part for rank in parts for part in rank if part[0] // shards == number)
        assert np.array_equal(np.concatenate([part for _, part in of_step]), slots)
        sizes = [len(part) for _, part in of_step]
        assert min(sizes) > 0
        assert max(sizes) - min(sizes) <= 1
        assert len(sizes) == min(shards, len(slots))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), SMALL, SMALL)
def test_what_a_shard_holds_depends_on_no_number_of_processes(n: int, batch: int, shards: int) -> None:
    steps = -(-n // batch)
    alone = numbered_slots(n, steps, share=share_of(0, 1, shards))
    dealt = [part for rank in range(shards) for part in numbered_slots(n, steps, share=share_of(rank, shards, shards))]
    dealt.sort(key=lambda part: part[0])
    assert [number for number, _ in alone] == [number for number, _ in dealt]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(alone, dealt, strict=True))
