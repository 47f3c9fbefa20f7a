"""Claim: two matrices, trained for seconds on 5,000 pairs, find far more of 1,000 new pairs than an untrained encoder.

The captions are made for CIFAR-10: the class, and adjectives for colours that are measured, such as "a photo of a dark
blue bird on a light green ground". The features are frozen; nothing else is trained. Captions that are equal fit the
same images.

    python benchmarks/pairs.py [--data FOLDER] [--train 5000] [--test 1000]
"""

from __future__ import annotations

import argparse
import colorsys
import csv
import io
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet
from numpy.typing import NDArray
from PIL import Image

from hubel.core.errors import DecodeError
from hubel.core.random import permutation
from hubel.data.inputs import Input
from hubel.data.sources.listing import SPLITS
from hubel.data.sources.pair_table import read_pairs
from hubel.inference.stream import stream
from hubel.metrics.retrieval import Retrieval, measure_retrieval
from hubel.retrieval.concepts import ConceptsEncoder
from hubel.training.pairs import PairSettings, train_pairs

CLASSES = ("airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
HUES = ((0.04, "red"), (0.11, "orange"), (0.19, "yellow"), (0.45, "green"), (0.72, "blue"), (0.9, "purple"), (1, "red"))


def colour(pixels: NDArray[np.uint8]) -> str:
    """Return words for the mean of some pixels `(n, 3)`: a hue where it is strong enough, else a grey."""
    hue, saturation, value = colorsys.rgb_to_hsv(*(pixels.mean(0) / 255))
    light = "dark" if value < 0.35 else "light" if value > 0.7 else ""
    if saturation < 0.15:
        name = "black" if value < 0.2 else "white" if value > 0.85 else "grey"
        return name if name != "grey" or not light else f"{light} grey"
    name = next(word for end, word in HUES if hue <= end)
    name = "brown" if name in ("orange", "red") and value < 0.6 else name
    return f"{light} {name}".strip()


def caption(pixels: NDArray[np.uint8], label: int) -> str:
    """Describe an image `(32, 32, 3)`: the middle is the thing, the rim the ground."""
    on_rim = np.ones((32, 32), np.bool_)
    on_rim[5:-5, 5:-5] = False
    thing, ground = colour(pixels[10:22, 10:22].reshape(-1, 3)), colour(pixels[on_rim])
    return f"a photo of a {thing} {CLASSES[label]} on a {ground} ground"


def write_table(folder: Path, data: Path, train: int, test: int) -> Path:
    rows = []
    for split, number in (("train", train), ("test", test)):
        table = pyarrow.parquet.read_table(data / f"{split}.parquet")
        table = table.take(permutation(len(table), 0)[:number])  # the files are sorted by class
        for place, (image, label) in enumerate(
            zip(table["image"].to_pylist(), table["label"].to_pylist(), strict=True)
        ):
            path = folder / f"{split}{place:05}.webp"
            path.write_bytes(image["bytes"])
            pixels = np.asarray(Image.open(io.BytesIO(image["bytes"])).convert("RGB"))
            rows.append((path.name, caption(pixels, label), split))
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("image_path", "caption", "split"))
        writer.writerows(rows)
    texts = Counter(text for _, text, split in rows if split == "test")
    print(f"{len(texts)} different captions among {test:,} test pairs, such as {next(iter(texts))!r}")
    return folder / "pairs.csv"


def untrained(table: Path) -> tuple[Retrieval, Retrieval]:
    """Measure the encoder concepts on the test pairs, both ways."""
    pairs = [pair for pair in read_pairs(table).pairs if SPLITS[pair.split] == "test"]
    encoder = ConceptsEncoder()
    rows = stream((Input(pair.path) for pair in pairs), encoder.preprocess, encoder.encode_images)
    images = np.stack([row for _, row in rows if not isinstance(row, DecodeError)])
    captions = np.array([pair.caption for pair in pairs])
    texts, same = encoder.encode_texts(captions.tolist()), captions[:, None] == captions[None]
    return measure_retrieval(texts @ images.T, same), measure_retrieval(images @ texts.T, same)


def line(name: str, one: Retrieval) -> str:
    recall = f"recall@1 {one.recall_at_1:.3f} @5 {one.recall_at_5:.3f} @10 {one.recall_at_10:.3f}"
    return f"{name}: {recall}, median rank {one.median_rank:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/cifar10"))
    parser.add_argument("--train", type=int, default=5000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--folder", type=Path, help="empty folder that keeps the images, for a second call")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        table = folder / "pairs.csv"
        if not table.is_file():
            write_table(folder, asked.data, asked.train, asked.test)
        start = time.perf_counter()
        result = train_pairs(table, settings=PairSettings(), out=Path(temporary) / "run")
        whole = time.perf_counter() - start
        print(f"{result.pairs:,} pairs in {whole:.0f} s, of which {result.seconds:.1f} s are the training itself")
        print(line("trained, caption -> image", result.texts))
        print(line("trained, image -> caption", result.images))
        for way, measured in zip(("caption -> image", "image -> caption"), untrained(table), strict=True):
            print(line(f"untrained concepts, {way}", measured))


if __name__ == "__main__":
    main()
