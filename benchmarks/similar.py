"""Searching similar images: one product with every vector against the graphs of usearch and faiss, in one run.

Among 100,000 images of 1,280 features one exact search over a memory-mapped array takes less than a fifth of a second
on one core, and a graph takes minutes to build. hubel has lists for so many: `benchmarks/million.py`.

The vectors are synthetic: rectified linear images of clusters in 48 dimensions with noise, of unit length, as pooled
features are. recall@10 is the share of the ten true neighbours (by float64) that a search finds. Each search answers
one query at a time, as the command does; the median of the times counts. One thread everywhere: set OMP_NUM_THREADS
and OPENBLAS_NUM_THREADS to 1. Needs usearch and faiss-cpu for their rows.
Run: python benchmarks/similar.py [--images 100000] [--features 1280] [--queries 30] [--only numpy,usearch]
"""

from __future__ import annotations

import argparse
import importlib.metadata
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 10
Vectors = NDArray[np.float32]
Search = Callable[[Vectors], NDArray[Any]]
Case = Callable[[Vectors, Path], tuple[Search, list[Path]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--features", type=int, default=1280)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--only", default="", help="words in the names of the rows to measure")
    options = parser.parse_args()
    every = synthetic(options.images + options.queries, options.features)
    vectors, queries = every[: options.images], every[options.images :]
    truth = [set(exact(vectors, query).tolist()) for query in queries]
    print(f"{options.images:,} x {options.features}, {options.queries} queries, top {TOP}")
    print(f"{'':44}{'recall':>8}{'ms a query':>12}{'built in s':>12}{'MiB on disk':>13}")
    words = [word for word in options.only.split(",") if word]
    for name, case in CASES.items():
        if not words or any(word in name for word in words):
            with tempfile.TemporaryDirectory() as folder:
                print(row(name, case, vectors, queries, truth, Path(folder)), flush=True)


def row(name: str, case: Case, vectors: Vectors, queries: Vectors, truth: list[set[int]], folder: Path) -> str:
    started = time.perf_counter()
    try:
        search, files = case(vectors, folder)
    except ModuleNotFoundError as error:
        return f"{name:44} needs {error.name}"
    built = time.perf_counter() - started
    search(queries[0])
    times, right = [], 0
    for query, true in zip(queries, truth, strict=True):
        started = time.perf_counter()
        found = search(query)
        times.append(1000 * (time.perf_counter() - started))
        right += len(true & set(np.asarray(found).ravel().tolist()))
    size = sum(path.stat().st_size for path in files) / 2**20
    recall = right / (TOP * len(queries))
    return f"{name:44}{recall:>8.3f}{statistics.median(times):>12.2f}{built:>12.1f}{size:>13.0f}"


def synthetic(n: int, features: int) -> Vectors:
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((1000, 48)).astype(np.float32)
    weights = generator.standard_normal((48, features)).astype(np.float32) / np.sqrt(48)
    out = np.empty((n, features), np.float32)
    for some in blocks(n, 10_000):
        hidden = centres[generator.integers(0, len(centres), len(out[some]))]
        hidden = hidden + 0.7 * generator.standard_normal(hidden.shape, np.float32)
        noise = 0.1 * generator.standard_normal((len(hidden), features), np.float32)
        out[some] = np.maximum(hidden @ weights + noise, 0)
        out[some] /= np.linalg.norm(out[some], axis=1, keepdims=True)
    return out


def blocks(n: int, size: int) -> Iterator[slice]:
    return (slice(i, i + size) for i in range(0, n, size))


def exact(vectors: Vectors, query: Vectors) -> NDArray[np.int64]:
    near = [vectors[some].astype(np.float64) @ query.astype(np.float64) for some in blocks(len(vectors), 10_000)]
    return np.argsort(-np.concatenate(near))[:TOP]


def best(similarities: Vectors) -> NDArray[np.int64]:
    found = np.argpartition(-similarities, TOP)[:TOP]
    return found[np.argsort(-similarities[found])]


def numpy_float32(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    np.save(folder / "vectors.npy", vectors)
    mapped = np.load(folder / "vectors.npy", mmap_mode="r")
    return lambda query: best(mapped @ query), [folder / "vectors.npy"]


def numpy_float16(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    """Products need float32: blocks that fit the processor's cache are converted one after another."""
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    mapped = np.load(folder / "vectors.npy", mmap_mode="r")

    def search(query: Vectors) -> NDArray[np.int64]:
        near = np.empty(len(mapped), np.float32)
        for some in blocks(len(mapped), 256):
            near[some] = mapped[some].astype(np.float32) @ query
        return best(near)

    return search, [folder / "vectors.npy"]


def torch_float16(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    """The same with torch's conversion, which uses the processor's instructions for it."""
    import torch

    torch.set_num_threads(1)
    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    # Copy on write: torch knows no read-only memory, and nothing is written.
    mapped = torch.from_numpy(np.load(folder / "vectors.npy", mmap_mode="c"))

    def search(query: Vectors) -> NDArray[np.int64]:
        wanted = torch.from_numpy(query)
        return best(torch.cat([part.float() @ wanted for part in mapped.split(256)]).numpy())

    return search, [folder / "vectors.npy"]


def faiss_flat(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    faiss.write_index(index, str(folder / "index"))
    return lambda query: index.search(query[None], TOP)[1], [folder / "index"]


def faiss_hnsw(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 128, 128
    index.add(vectors)
    faiss.write_index(index, str(folder / "index"))
    return lambda query: index.search(query[None], TOP)[1], [folder / "index"]


def usearch_brute(vectors: Vectors, folder: Path) -> tuple[Search, list[Path]]:
    from usearch.index import search

    np.save(folder / "vectors.npy", vectors.astype(np.float16))
    mapped = np.load(folder / "vectors.npy", mmap_mode="r")
    return (
        lambda query: search(mapped, query.astype(np.float16), TOP, "ip", exact=True, threads=1).keys,
        [folder / "vectors.npy"],
    )


def usearch_hnsw(vectors: Vectors, folder: Path, dtype: str = "f16") -> tuple[Search, list[Path]]:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="ip", dtype=dtype, connectivity=16)
    index.add(np.arange(len(vectors)), vectors, threads=1)
    index.save(str(folder / "index"))
    mapped = Index.restore(str(folder / "index"), view=True)
    return lambda query: mapped.search(query, TOP, threads=1).keys, [folder / "index"]


CASES: dict[str, Case] = {
    "numpy float32, exact, memory-mapped": numpy_float32,
    "numpy float16, exact, memory-mapped": numpy_float16,
    "torch float16, exact, memory-mapped": torch_float16,
    "usearch float16, exact, memory-mapped": usearch_brute,
    "faiss flat float32, exact, in memory": faiss_flat,
    "usearch HNSW float16, memory-mapped": usearch_hnsw,
    "usearch HNSW int8, memory-mapped": lambda vectors, folder: usearch_hnsw(vectors, folder, "i8"),
    "faiss HNSW float32, in memory": faiss_hnsw,
}


if __name__ == "__main__":
    for package in ("numpy", "usearch", "faiss-cpu"):
        try:
            print(package, importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            print(package, "is not installed")
    main()
