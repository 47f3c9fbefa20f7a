"""The order of an epoch over images in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tar_files import numbered

from hubel.data import Preprocess, loading, open_dataset
from hubel.data.augment import Policy
from hubel.data.part_order import order_by_parts
from hubel.data.shares import numbered_slots, share_of


@settings(deadline=None, max_examples=50)
@given(
    parts=st.lists(st.integers(1, 20), min_size=1, max_size=12),
    left_out=st.integers(1, 5),
    steps=st.integers(1, 7),
    shards=st.integers(1, 5),
    window=st.integers(1, 200),
)
def test_each_image_once_and_a_window_at_a_time(
    parts: list[int], left_out: int, steps: int, shards: int, window: int
) -> None:
    ends = np.cumsum(parts)
    rows = np.delete(np.arange(ends[-1]), slice(None, None, 7))[: max(1, ends[-1] - left_out)]
    if len(rows) < steps:
        return
    sizes = np.random.default_rng(0).integers(1, 9, len(rows))
    order = order_by_parts(rows, ends, sizes, steps=steps, shards=shards, keys=(3, 5), window=window)
    assert sorted(order.tolist()) == list(range(len(rows)))
    part = np.searchsorted(ends, rows, side="right")
    for shard in range(shards):
        slots = [slot for _, slot in numbered_slots(len(rows), steps, share=share_of(shard, shards, shards))]
        stream = order[np.concatenate([*slots, np.empty(0, np.int64)])]
        # Images of a part come within so many bytes as the window and the parts at its ends have.
        weight = np.cumsum(sizes[stream])
        for number in np.unique(part[stream]):
            places = np.flatnonzero(part[stream] == number)
            between = weight[places[-1]] - weight[places[0]]
            largest = max(sizes[part == one].sum() for one in np.unique(part[stream]))
            assert between <= window + 2 * largest


def test_another_epoch_has_another_order_of_parts_and_within_them() -> None:
    ends, rows, sizes = np.arange(10, 101, 10), np.arange(100), np.ones(100, np.int64)
    first, second = (
        order_by_parts(rows, ends, sizes, steps=5, shards=2, keys=(0, epoch), window=1) for epoch in (0, 1)
    )
    streams = [[o // 10 for o in order.reshape(5, 2, 10)[:, 0].ravel()[::10]] for order in (first, second)]
    assert streams[0] != streams[1]
    assert not np.array_equal(first[np.argsort(first // 10, kind="stable")], np.arange(100))


def test_two_processes_read_other_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_LARGE", 0)
    for shard in range(8):
        numbered(tmp_path / f"s-{shard}.tar", range(6 * shard, 6 * shard + 6))
    dataset = open_dataset(tmp_path)
    images = dataset.images(Preprocess(8, 8, 3), threads=0)
    seen = [
        np.concatenate([batch.positions for batch in images.epoch(0, 0, 12, Policy(), share=share_of(rank, 2, 4))])
        for rank in (0, 1)
    ]
    assert sorted(np.concatenate(seen).tolist()) == list(range(48))
    archives = [set((rows // 6).tolist()) for rows in seen]
    assert not archives[0] & archives[1]
    plain = np.concatenate([batch.positions for batch in images.epoch(0, 0, 12, Policy())])
    assert len(set((plain[:24] // 6).tolist())) == 8, "one process alone reads all of them at random"
