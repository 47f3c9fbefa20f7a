"""How well words find photos: the figures of docs/search.md, from queries that were written down before measuring.

    python benchmarks/search.py --data ../shared/data [--speed]

1. clothing: precision@5 of the ten class names is at least 0.60 and of the sentences at least 0.40, beside ConSE and a
   random order. imagenet-100: recall@5 of the class names is at least 0.85, and the precision of hypernyms among the
   first 5 (or as many as there are) at least 0.8.
2. Of twenty queries for things that are in no photo at least 18 find nothing; of the fitting ones at most 2 do.
3. Korean: precision@5 within 0.1 of the English.
7. With --speed: indexing beside the classifier alone; a second run after changes; the time of a query.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hubel.inference.load import load_classifier
from hubel.retrieval.concepts import ConceptsEncoder
from hubel.retrieval.minilm import load_minilm
from hubel.retrieval.nouns import nouns
from hubel.retrieval.search import PhotoSearch, index_photos
from hubel.weights.imagenet import imagenet_classes, imagenet_synsets

QUERIES = json.loads(Path(__file__).with_name("search_queries.json").read_text(encoding="utf-8"))
Ranker = Callable[[str], NDArray[np.int64]]


def ranker(search: PhotoSearch) -> Ranker:
    place = {path: row for row, path in enumerate(search.index.paths)}

    def rank(query: str) -> NDArray[np.int64]:
        return np.array([place[one.path] for one in search.ask(query, top_k=len(place)).nearest], np.int64)

    return rank


def conse(search: PhotoSearch) -> Ranker:
    """Rank by ConSE: the mean of the texts of an image's 10 most probable classes, weighted by them (Equation 2)."""
    encoder = search.encoder
    assert isinstance(encoder, ConceptsEncoder)
    shares = np.asarray(search.index.vectors, np.float32) ** (1 / 0.7)
    shares[shares < np.sort(shares, axis=1)[:, -10:-9]] = 0
    images = shares @ encoder.space.vectors
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return lambda query: np.argsort(-(images @ load_minilm().encode([query])[0]), kind="stable")


def devise(search: PhotoSearch, penalty: float = 10.0) -> Ranker:
    """Rank by a linear map to texts that is learnt on the classes: from each one's weights to its text."""
    from torch import nn

    from hubel.data.inputs import Input
    from hubel.features.similar import embed_images
    from hubel.inference.predictor import load_predictor
    from hubel.inference.stream import stream

    predictor = load_predictor("efficientnet_lite0")
    head = [layer for layer in predictor.network.modules() if isinstance(layer, nn.Linear)][-1]
    weights = head.weight.detach().numpy()
    encoder = search.encoder
    assert isinstance(encoder, ConceptsEncoder)
    texts = encoder.space.vectors
    centred = weights - weights.mean(0)
    inner = centred.T @ centred + penalty * np.eye(centred.shape[1], dtype=np.float32)
    matrix = np.linalg.solve(inner, centred.T @ (texts - texts.mean(0)))
    preprocess = predictor.card.preprocess
    rows = stream(
        map(Input, search.index.paths), preprocess, lambda pixels: embed_images(predictor.network, pixels, preprocess)
    )
    features = np.stack([np.asarray(row) for _, row in rows])
    images = (features - features.mean(0)) @ matrix
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    return lambda query: np.argsort(-(images @ (load_minilm().encode([query])[0] - texts.mean(0))), kind="stable")


def at_random(count: int) -> Ranker:
    generator = np.random.default_rng(0)
    return lambda query: generator.permutation(count)


def precision(rank: Ranker, fits: dict[str, NDArray[np.bool_]], first: int = 5) -> dict[str, float]:
    """Return for each query the share of the first photos that fit; of fewer fitting ones than `first` that many."""
    found = {}
    for query, fit in fits.items():
        k = min(first, int(fit.sum()))
        found[query] = float(fit[rank(query)[:k]].sum() / k)
    return found


def mean(found: dict[str, float]) -> float:
    return float(np.mean(list(found.values())))


def clothing(data: Path, *, with_devise: bool) -> None:
    search = index_photos(data / "clothing" / "test")
    labels = np.array([Path(path).parent.name for path in search.index.paths])
    asked = QUERIES["clothing"]
    fits = {
        kind: {query: np.isin(labels, classes) for query, classes in asked[kind].items()}
        for kind in ("names", "sentences")
    }
    print(f"\n1. clothing, {len(labels)} photos: precision@5")
    rankers = {"concepts": ranker(search), "ConSE": conse(search), "random": at_random(len(labels))}
    if with_devise:
        rankers["DeViSE on class names"] = devise(search)
    for name, rank in rankers.items():
        values = [precision(rank, fits[kind]) for kind in fits]
        print(f"{name:24s} names {mean(values[0]):.3f}  sentences {mean(values[1]):.3f}")
        if name == "concepts":
            english = values
    for values in english:
        print("   ", ", ".join(f"{query} {value:.1f}" for query, value in values.items()))
    print(f"\n2. clothing, threshold {search.threshold:.3f}")
    nothing(search, asked["absent"], [*asked["names"], *asked["sentences"]])
    print("\n3. clothing, Korean beside English: precision@5")
    both = fits["names"] | fits["sentences"]
    for kind, at in (("korean_names", 0), ("korean_sentences", 1)):
        korean = precision(ranker(search), {query: both[same] for query, same in asked[kind].items()})
        same = [english[at][one] for one in asked[kind].values()]
        print(f"{kind:24s} {mean(korean):.3f}, English {np.mean(same):.3f}")
        print("   ", ", ".join(f"{query} {value:.1f}" for query, value in korean.items()))


def nothing(search: PhotoSearch, absent: Sequence[str], fitting: Sequence[str]) -> None:
    wrong = [query for query in absent if search.ask(query).found]
    lost = [query for query in fitting if not search.ask(query).found]
    print(f"nothing for {len(absent) - len(wrong)} of {len(absent)} things in no photo; found: {wrong}")
    print(f"nothing for {len(lost)} of {len(fitting)} fitting queries: {lost}")


def imagenet(data: Path) -> None:
    search = index_photos(data / "imagenet-100")
    known, names = nouns(), dict(zip(imagenet_synsets(), imagenet_classes(), strict=True))
    place = {identity: row for row, identity in enumerate(known.ids)}
    synsets = [Path(path).name.split("_")[0] for path in search.index.paths]
    above = [known.above(place[synset]) for synset in synsets]
    rank = ranker(search)
    queries = [names[synset] for synset in synsets]
    for name, one in (("concepts", rank), ("ConSE", conse(search)), ("random", at_random(len(synsets)))):
        ranks = np.array([one(query).tolist().index(row) for row, query in enumerate(queries)])
        text = ", ".join(f"recall@{k} {(ranks < k).mean():.2f}" for k in (1, 5, 10))
        fits = {}
        for query in QUERIES["imagenet-100"]["hypernyms"]:
            fit = np.array([any(meaning in nouns_above for meaning in known.meanings(query)) for nouns_above in above])
            fits[query] = fit
        values = precision(one, fits)
        print(f"{name:10s} {text}, median rank {np.median(ranks) + 1:.0f}; hypernyms {mean(values):.3f}")
        if name == "concepts":
            print("   ", ", ".join(f"{query} ({int(fits[query].sum())}) {v:.2f}" for query, v in values.items()))
    print(f"2. imagenet-100, threshold {search.threshold:.3f}")
    nothing(search, QUERIES["imagenet-100"]["absent"], queries)


def speed(data: Path, count: int) -> None:
    """Index `count` copies of the clothing photos, and time queries."""
    photos = sorted((data / "clothing" / "test").rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["HUBEL_CACHE"] = str(Path(temporary) / "cache")
        folder = Path(temporary) / "photos"
        folder.mkdir()
        for number in range(count):
            shutil.copy(photos[number % len(photos)], folder / f"{number:05}.jpg")
        classifier = load_classifier("efficientnet_lite0")
        index_photos(data / "imagenet-100")  # what is loaded once
        compute, _ = classifier.for_many(count)
        pixels = np.random.default_rng(0).integers(0, 256, (20, 224, 224, 3), np.uint8)
        compute(pixels)
        start = time.perf_counter()
        for _ in range(10):
            compute(pixels)
        engine = 200 / (time.perf_counter() - start)
        start = time.perf_counter()
        index_photos(folder)
        first = time.perf_counter() - start
        for number in range(count // 100):
            shutil.copy(photos[-1 - number % len(photos)], folder / f"{number:05}.jpg")
        start = time.perf_counter()
        search = index_photos(folder)
        again = time.perf_counter() - start
        rate = count / first
        print(f"\n7. {count:,} photos indexed at {rate:.0f} a second, {rate / engine:.2f} of the classifier alone")
        print(f"   after {search.index.embedded} changes {again:.1f} s: {again / first:.3f} of the first run")
        search.ask("a hat")
        times = []
        for query in QUERIES["clothing"]["sentences"]:
            start = time.perf_counter()
            search.ask(query)
            times.append(time.perf_counter() - start)
        print(f"   a query of a folder that is open: median {1000 * np.median(times):.0f} ms")
        command = [sys.executable, "-m", "hubel", "search", str(folder), "a red dress on a hanger"]
        walls, used = [], []
        for _ in range(5):
            before, start = os.times(), time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            after = os.times()
            walls.append(time.perf_counter() - start)
            used.append(after.children_user + after.children_system - before.children_user - before.children_system)
        print(f"   whole process: best {min(walls):.2f} s, of which the processor worked {min(used):.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--speed", type=int, default=0, help="photos to index")
    parser.add_argument("--devise", action="store_true")
    given = parser.parse_args()
    if given.speed:
        speed(given.data, given.speed)
    else:
        clothing(given.data, with_devise=given.devise)
        print("\n1. imagenet-100")
        imagenet(given.data)
