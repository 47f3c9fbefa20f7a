"""Inverted lists: what they find beside all products, what they cost after changes, and damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hubel.core.vectors import to_float32, unit
from hubel.data.preprocess import Preprocess
from hubel.retrieval import index as index_module
from hubel.retrieval import lists as module
from hubel.retrieval.index import Embedder, FolderIndex, index_images
from hubel.retrieval.lists import BoundLists, Lists, make_lists, with_new

Vectors = NDArray[np.float16]


def clustered(n: int, features: int = 32, seed: int = 0) -> Vectors:
    """Return rectified vectors around 40 centres, as pooled features are."""
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((40, features))
    noise = 0.5 * generator.standard_normal((n, features))
    return unit(np.maximum(centres[generator.integers(0, 40, n)] + noise, 0).astype(np.float32)).astype(np.float16)


def stamps_of(n: int, first: int = 1) -> NDArray[np.uint64]:
    return np.arange(first, first + n, dtype=np.uint64)


def recall(bound: BoundLists, vectors: Vectors, queries: Vectors, top_k: int = 10) -> float:
    """Return the share of the ten true neighbours, by float64, among the candidates."""
    found = 0
    for query in queries.astype(np.float64):
        true = np.argsort(-(vectors.astype(np.float64) @ query))[:10]
        rows = bound.candidates(query.astype(np.float32), top_k)
        assert len(rows) == len(set(rows.tolist())) >= top_k
        found += len(set(true.tolist()) & set(rows.tolist()))
    return found / (10 * len(queries))


@pytest.fixture(scope="module")
def made() -> tuple[Lists, Vectors]:
    vectors = clustered(4000)
    return make_lists(stamps_of(4000), vectors), vectors


def test_the_neighbours_are_found_in_a_sixth_of_the_vectors(
    made: tuple[Lists, Vectors], monkeypatch: pytest.MonkeyPatch
) -> None:
    lists, vectors = made
    bound, queries = BoundLists.of(lists, stamps_of(4000), vectors), clustered(50, seed=1)
    assert recall(bound, vectors, queries) == 1.0  # all are within the budget
    monkeypatch.setattr(module, "_BUDGET", 4000 * 32 // 6)
    starts, stops = bound._probed(queries[0].astype(np.float32), 4000 // 6)
    assert (stops - starts).sum() < 4000 / 5
    assert recall(bound, vectors, queries) >= 0.98
    assert recall(bound, vectors, queries, 101) == 1.0


def test_many_components_become_their_principal_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PRINCIPAL", 24)
    monkeypatch.setattr(module, "_SPARE_PRINCIPAL", 90)
    vectors, queries = clustered(2000, 64), clustered(20, 64, seed=1)
    lists = make_lists(stamps_of(2000), vectors)
    assert lists.fit(64)
    assert not lists.fit(65)
    assert (lists.basis.shape, lists.codes.shape) == ((64, 24), (2000, 24))
    np.testing.assert_allclose(lists.basis.T @ lists.basis, np.eye(24), atol=1e-5)
    left_out = vectors.astype(np.float32) - vectors.astype(np.float32) @ lists.basis @ lists.basis.T
    singular = np.linalg.svd(vectors.astype(np.float64), compute_uv=False)
    assert np.square(left_out).sum() == pytest.approx(np.square(singular[24:]).sum(), rel=0.02)
    bound = BoundLists.of(lists, stamps_of(2000), vectors)
    assert recall(bound, vectors, queries) >= 0.97
    few = clustered(2000, 64) * (np.arange(64) % 8 == np.arange(2000)[:, None] % 8)  # weight on an eighth each
    assert make_lists(stamps_of(2000), unit(few.astype(np.float32)).astype(np.float16)).basis.shape == (64, 0)


def test_every_vector_is_in_one_list_at_its_place(made: tuple[Lists, Vectors]) -> None:
    lists, vectors = made
    assert lists.fit(32)
    assert sorted(lists.stamps.tolist()) == list(range(1, 4001))
    back = lists.codes.astype(np.float32) * lists.scales[:, None]
    np.testing.assert_allclose(back, vectors[lists.stamps.astype(int) - 1], atol=1 / 250)
    owners = np.repeat(np.arange(len(lists.centres)), np.diff(lists.starts))
    for number in (0, 5, len(lists.centres) - 1):
        np.testing.assert_allclose(lists.means[:, number], back[owners == number].mean(0), atol=1e-5)
        np.testing.assert_allclose(lists.variances[:, number], back[owners == number].var(0), atol=1e-5)


def test_a_few_rare_ones_are_found_by_the_deviation_of_their_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """One component that five of 4,000 vectors have a little of, so that no mean shows it."""
    vectors = clustered(4000)
    vectors[:, 31] = 0
    rare = [17, 401, 1200, 2801, 3999]
    vectors[rare, 31] = 0.3
    bound = BoundLists.of(make_lists(stamps_of(4000), vectors), stamps_of(4000), vectors)
    monkeypatch.setattr(module, "_BUDGET", 4000 * 32 // 4)
    query = np.zeros(32, np.float32)
    query[31] = 1
    assert set(rare) <= set(bound.candidates(query, 20).tolist())


def test_changes_stand_behind_the_lists_until_they_are_many(made: tuple[Lists, Vectors]) -> None:
    lists, vectors = made
    changed = np.concatenate([vectors[10:], clustered(30, seed=5)])
    stamps = np.concatenate([stamps_of(3990, 11), stamps_of(30, 9001)])
    bound = BoundLists.of(lists, stamps, changed)
    assert (bound.rows < 0).sum() == 10
    assert bound.new.tolist() == list(range(3990, 4020))
    assert with_new(bound, stamps, changed) is None
    assert recall(bound, changed, changed[[0, 4000, 4019]]) == 1.0
    many = np.concatenate([changed, clustered(400, seed=6)])
    stamps = np.concatenate([stamps, stamps_of(400, 20_001)])
    grown = with_new(BoundLists.of(lists, stamps, many), stamps, many)
    assert grown is not None
    np.testing.assert_array_equal(grown.centres, lists.centres)
    assert sorted(grown.stamps.tolist()) == sorted(stamps.tolist())
    assert recall(BoundLists.of(grown, stamps, many), many, many[[0, 4100, 4400]]) == 1.0
    twice = np.concatenate([many, clustered(6000, seed=7)])
    stamps = np.concatenate([stamps, stamps_of(6000, 40_001)])
    anew = with_new(BoundLists.of(lists, stamps, twice), stamps, twice)
    assert anew is not None
    assert len(anew.centres) > len(lists.centres)


def test_images_without_a_stamp_are_new_each_time(made: tuple[Lists, Vectors]) -> None:
    lists, vectors = made
    stamps = stamps_of(4000)
    stamps[5] = 0
    odd = make_lists(stamps, vectors)
    assert BoundLists.of(odd, stamps, vectors).new.tolist() == [5]
    assert BoundLists.of(lists, stamps, vectors).new.tolist() == [5]


@pytest.mark.parametrize("n", [1, 2, 50])
def test_equal_vectors_and_few(n: int) -> None:
    vectors = np.tile(clustered(1), (n, 1))
    bound = BoundLists.of(make_lists(stamps_of(n), vectors), stamps_of(n), vectors)
    assert sorted(bound.candidates(vectors[0].astype(np.float32), 74).tolist()) == list(range(n))
    nothing = BoundLists.of(make_lists(stamps_of(n), 0 * vectors), stamps_of(n), 0 * vectors)
    assert len(nothing.candidates(vectors[0].astype(np.float32), 74)) == n


def test_the_index_of_a_folder_keeps_its_lists(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "_LISTED", 30)
    for number in range(40):
        Image.new("RGB", (8, 8), (6 * number, 100, 255 - 6 * number)).save(tmp_path / f"{number}.png")

    def embed(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return unit(pixels.reshape(len(pixels), -1).astype(np.float32))

    def found() -> FolderIndex:
        index = index_images(Embedder(digest="d", preprocess=Preprocess(4, 4), prepare=lambda _: (embed, 1)), tmp_path)
        query = index.vectors[7].astype(np.float32)
        plain = FolderIndex(index.paths, index.vectors, 0, ()).search(query)
        assert [one.path for one in index.search(query)] == [one.path for one in plain]
        assert len(index.search(query, top_k=1000)) == len(index.paths)
        return index

    made = []
    monkeypatch.setattr(index_module, "make_lists", lambda *given: made.append(1) or make_lists(*given))
    assert found().lists is not None
    (kept,) = (own_cache / "similar").glob("*-lists")
    found()
    assert len(made) == 1
    codes = kept / "codes.npy"
    for damage in (codes.read_bytes()[:-1], b"", codes.read_bytes()[:-1] + b"x"):
        codes.write_bytes(damage)
        found()
    assert len(made) == 4
    (tmp_path / "3.png").unlink()
    assert len(found().paths) == 39
    for number in range(15):
        (tmp_path / f"{20 + number}.png").unlink()
    assert found().lists is None  # few: all are compared


def test_numbers_of_16_bits_are_converted_exactly() -> None:
    """All 63,488 finite ones, subnormal ones and both zeros among them."""
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    assert to_float32(finite).tobytes() == finite.astype(np.float32).tobytes()
