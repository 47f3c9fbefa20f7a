"""Searching a million vectors: the index of hubel beside NumPy, usearch and faiss, in one run.

    python benchmarks/million.py --data ../shared/data --kind features [--images 1000000] [--vectors FILE]

Claim: among 1,000,000 vectors a query takes less than 10 ms of one core, with recall@10 of at least 0.99 against all
products (by float32 over the vectors as they are stored).

The vectors come from real images: CIFAR-10's by EfficientNet-Lite0, at 64 pixels; kept in FILE, as they take minutes.
More than there are, are made by going from one of them up to half the way to another one. Kinds: `features` has 1,280
numbers, as for `hubel similar`, and 100 test images as queries. `concepts` has the 1,000 classes of `hubel search`; 60
of the queries are test images, and 80 are words and sentences. Whatever is measured sees one query at a time; the
median counts, and the time of the processor is that of the thread, which other programs do not take. One thread: set
OMP_NUM_THREADS to 1. Rows of packages that are not installed are left out.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.retrieval.encoder import unit
from hubel.retrieval.index import FolderIndex
from hubel.retrieval.lists import BoundLists, Lists, make_lists, with_new

TOP, BLOCK = 10, 20_000
Search = Callable[[NDArray[np.float32]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--kind", choices=("features", "concepts"), default="features")
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--vectors", type=Path, default=Path("cifar10-vectors.npz"))
    parser.add_argument("--only", default="", help="words in the names of the rows to measure")
    given = parser.parse_args()
    if not given.vectors.exists():
        embed(given.data / "cifar10", given.vectors)
    with np.load(given.vectors) as file:
        real, test = (floats(file[f"{split}_{given.kind}"], given.kind) for split in ("train", "test"))
    queries = {"images": test[:100]} if given.kind == "features" else {"images": test[:60], "words": words()}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "vectors.npy", more(real, given.images))
        vectors = np.load(folder / "vectors.npy", mmap_mode="r")
        print(
            f"{len(vectors):,} x {vectors.shape[1]} {given.kind}, from {len(real):,} images; {folder_mib(folder)} MiB"
        )
        truth = {kind: nearest(vectors, some) for kind, some in queries.items()}
        wanted = [word for word in given.only.split(",") if word]
        for name, case in CASES.items():
            if not wanted or any(word in name for word in wanted):
                try:
                    case(name, vectors, folder, queries, truth)
                except ModuleNotFoundError as error:
                    print(f"{name}: needs {error.name}")


def measured(
    name: str,
    search: Search,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
    vectors: NDArray[np.float16],
    most: int = 1000,
) -> None:
    """Print time and recall: what is found counts if its cosine reaches that of the tenth neighbour."""
    for kind, some in queries.items():
        search(some[0])
        times, used, right = [], [], 0
        for query, tenth in list(zip(some, truth[kind], strict=True))[:most]:
            before, started = time.thread_time(), time.perf_counter()
            rows = np.asarray(search(query), np.int64).ravel()
            times.append(1000 * (time.perf_counter() - started))
            used.append(1000 * (time.thread_time() - before))
            right += int((unit(vectors[rows].astype(np.float32)) @ query >= tenth - 1e-5).sum())
        recall = right / (TOP * len(times))
        spread = f"{np.median(times):.2f} ms a query (best {min(times):.2f}), of the processor {np.median(used):.2f}"
        print(f"{name:36} {kind:8} recall@10 {recall:.4f} {spread}", flush=True)


def hubel(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    stamps = np.arange(1, len(vectors) + 1, dtype=np.uint64)
    started, used = time.perf_counter(), time.process_time()
    lists = make_lists(stamps, vectors)
    built = time.perf_counter() - started, time.process_time() - used
    (place := folder / "lists").mkdir()
    for entry in fields(lists):
        np.save(place / f"{entry.name}.npy", getattr(lists, entry.name))
    shape = lists.codes.shape
    del lists
    files = {entry.name: np.load(place / f"{entry.name}.npy", mmap_mode="r") for entry in fields(Lists)}
    mapped = Lists(**{name: np.asarray(array) for name, array in files.items()})
    started = time.perf_counter()
    bound = BoundLists.of(mapped, stamps, vectors)
    opened = time.perf_counter() - started
    rows = [str(row) for row in range(len(vectors))]
    index = FolderIndex(rows, vectors, 0, (), (), bound)
    mib = folder_mib(place)
    print(f"lists: {len(mapped.centres):,} of {shape[0]:,} x {shape[1]} codes, {mib} MiB beside the vectors")
    print(f"  built in {built[0]:.0f} s, of the processor {built[1]:.0f}; {peak_gib()} GiB at most")
    print(f"  bound to the index in {opened:.2f} s")
    measured(name, lambda query: [int(one.path) for one in index.search(query, top_k=TOP)], queries, truth, vectors)
    changed = stamps.copy()
    changed[: len(changed) // 1000] += len(changed)
    started = time.perf_counter()
    bound = BoundLists.of(mapped, changed, vectors)
    assert with_new(bound, changed, vectors) is None
    print(f"  after {len(bound.new):,} changes: ready in {time.perf_counter() - started:.2f} s, nothing written")


def numpy_blocks(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        near = np.concatenate([part.astype(np.float32) @ query for part in blocks(vectors, 256)])
        return np.argpartition(-near, TOP)[:TOP]

    measured(name, search, queries, truth, vectors, most=3)


def numpy_floats(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    held = np.concatenate([part.astype(np.float32) for part in blocks(vectors, BLOCK)])
    measured(name, lambda query: np.argpartition(-(held @ query), TOP)[:TOP], queries, truth, vectors, most=9)


def usearch_exact(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    from usearch.index import search

    def found(query: NDArray[np.float32]) -> Any:
        return search(vectors, query.astype(np.float16), TOP, "ip", exact=True, threads=1).keys

    measured(name, found, queries, truth, vectors, most=5)


def usearch_graph(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    from usearch.index import Index

    started = time.perf_counter()
    index = Index(ndim=vectors.shape[1], metric="ip", dtype="f16", connectivity=16)
    index.add(np.arange(len(vectors)), vectors, threads=1)
    print(f"{name}: built in {time.perf_counter() - started:.0f} s")
    measured(name, lambda query: index.search(query, TOP, threads=1).keys, queries, truth, vectors)


def faiss_lists(
    name: str,
    vectors: NDArray[np.float16],
    folder: Path,
    queries: dict[str, NDArray[np.float32]],
    truth: dict[str, NDArray[np.float32]],
) -> None:
    """The like of hubel's: principal components, lists, 8 bits; the best candidates compared as they are."""
    import faiss

    faiss.omp_set_num_threads(1)
    count = round(3 * len(vectors) ** 0.5)
    started = time.perf_counter()
    index = faiss.index_factory(vectors.shape[1], f"PCA128,IVF{count},SQ8", faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(0).choice(len(vectors), min(len(vectors), 40 * count), replace=False)
    index.train(vectors[np.sort(sample)].astype(np.float32))
    for part in blocks(vectors, BLOCK):
        index.add(part.astype(np.float32))
    faiss.extract_index_ivf(index).nprobe = max(1, round(count * (1 << 16) / len(vectors)))  # as many as hubel looks at
    print(f"{name}: built in {time.perf_counter() - started:.0f} s")

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        rows = index.search(query[None], 522)[1][0]
        near = vectors[rows].astype(np.float32) @ query
        return rows[np.argsort(-near)[:TOP]]

    measured(name, search, queries, truth, vectors)


CASES: dict[str, Callable[..., None]] = {
    "hubel": hubel,
    "numpy float16, all, in blocks": numpy_blocks,
    "numpy float32, all, in memory": numpy_floats,
    "usearch float16, all": usearch_exact,
    "faiss PCA128, lists, 8 bits": faiss_lists,
    "usearch graph": usearch_graph,
}


def blocks(vectors: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    return (vectors[at : at + size] for at in range(0, len(vectors), size))


def floats(stored: NDArray[np.float16], kind: str) -> NDArray[np.float32]:
    plain = stored.astype(np.float32)
    return unit(plain**0.7 if kind == "concepts" else plain)


def more(real: NDArray[np.float32], count: int) -> NDArray[np.float16]:
    """Return `count` vectors: the real ones, then ones between two of them."""
    generator = np.random.default_rng(0)
    out = np.empty((count, real.shape[1]), np.float16)
    out[: len(real)] = real[:count]
    for part in blocks(out[len(real) :], BLOCK):
        start, end = generator.integers(0, len(real), (2, len(part)))
        way = generator.uniform(0, 0.5, (len(part), 1)).astype(np.float32)
        part[:] = unit((1 - way) * real[start] + way * real[end])
    return out


def nearest(vectors: NDArray[np.float16], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each query with its tenth neighbour; of words, times the length of these."""
    best = np.full((TOP, len(queries)), -np.inf, np.float32)
    for part in blocks(vectors, BLOCK):
        joined = np.concatenate([best, unit(part.astype(np.float32)) @ queries.T])
        best = np.partition(joined, len(joined) - TOP, axis=0)[-TOP:]
    return best.min(0)


def words() -> NDArray[np.float32]:
    """Return the weights of classes for words and sentences; few of these things are on the images."""
    from hubel.retrieval.concepts import ConceptSpace
    from hubel.weights.imagenet import imagenet_classes

    asked = json.loads(Path(__file__).with_name("search_queries.json").read_text(encoding="utf-8"))
    texts = [*asked["clothing"]["names"], *asked["clothing"]["sentences"], *asked["clothing"]["absent"]]
    texts += [*asked["imagenet-100"]["hypernyms"], *asked["imagenet-100"]["absent"]]
    return ConceptSpace(imagenet_classes()).weights(list(dict.fromkeys(texts))[:80])


def embed(data: Path, path: Path) -> None:
    """Write features and scores of CIFAR-10's images, in random order."""
    import pyarrow.parquet as pq
    import torch
    from PIL import Image

    from hubel.inference.fold import folded
    from hubel.inference.predictor import load_predictor
    from hubel.nn.freezing import last_linear

    predictor = load_predictor("efficientnet_lite0")
    network = folded(predictor.network).eval()
    seen: list[Any] = []
    head = last_linear(network)
    assert head is not None
    head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(1).numpy()))
    found: dict[str, NDArray[np.float16]] = {}
    for split, count in (("test", 1000), ("train", 20_000)):
        column = pq.read_table(data / f"{split}.parquet")["image"]
        features, scores = [], []
        for rows in blocks(np.random.default_rng(0).permutation(len(column))[:count], 100):
            images = [Image.open(io.BytesIO(column[int(row)].as_py()["bytes"])).convert("RGB") for row in rows]
            pixels = np.stack([np.asarray(image.resize((64, 64), Image.Resampling.BICUBIC)) for image in images])
            with torch.inference_mode():
                logits = network(torch.from_numpy(predictor.card.preprocess.normalise(pixels)))
            scores.append(logits.softmax(1).numpy().astype(np.float16))
            features.append(seen.pop().astype(np.float16))
        found |= {f"{split}_features": np.concatenate(features), f"{split}_concepts": np.concatenate(scores)}
    np.savez(path, **found)


def folder_mib(folder: Path) -> int:
    return round(sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20)


def peak_gib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 1)


if __name__ == "__main__":
    main()
