"""Prediction sets on real scores: do they have the stated coverage, how large are they, which score is the best?

Claims: over 100 random splits of the scores into calibration and test images, the mean coverage of what hubel keeps
(LAC, with thresholds of their own for classes that need them) is within 1 point of the stated one for X-rays and
CIFAR-10, and no lower than it for clothes, of which 25 of a class calibrate; drawn scores need larger sets; and
calibrating on cross-validated training images and validation images together lowers the spread of the coverage.

Scores: a linear head on features of EfficientNet-Lite0 with its ImageNet weights, for 500 clothing photos (the head has
learned from 793), 3,030 chest X-rays (from 2,000) and 3,500 images of CIFAR-10 (from 1,500).

Parts: `scores` compares LAC, APS and RAPS, drawn (u uniform) or not (u = 1), one threshold or one for each class;
`few` has few calibration images; `crossval` is the way of `hubel train --freeze all`; `selected` is what it costs that
validation images choose the epoch and the temperature, for a small network from scratch.
Run: python benchmarks/coverage.py [--parts scores,few,crossval,selected] [--only clothing,pneumonia,cifar10]
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hubel.data import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.data.samples import network_input
from hubel.features.logits import last_layer_features
from hubel.features.probe import fit_probe
from hubel.inference.scores import softmax
from hubel.metrics import prediction_sets as ps
from hubel.metrics.calibration import fit_temperature
from hubel.weights.create import create_model, load_pretrained

SHARED = Path(__file__).parents[2] / "shared" / "data"
SPLITS = 100
SETS = {"clothing": (224, 793), "pneumonia": (64, 2_000), "cifar10": (96, 1_500)}  # pixels, images of the head
MOST = 5_000  # images

Scores, Labels = NDArray[np.float64], NDArray[np.int64]


@dataclass(frozen=True)
class Features:
    """Features `(n, d)` and labels `(n,)`, in random order."""

    x: NDArray[np.float32]
    y: Labels
    classes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="scores,few,crossval,selected")
    parser.add_argument("--only", default=",".join(SETS))
    options = parser.parse_args()
    parts = options.parts.split(",")
    found = {name: features(name) for name in options.only.split(",")} if set(parts) - {"selected"} else {}
    for name, data in found.items():
        for part in parts:
            if part != "selected":
                PARTS[part](name, data)
    if "selected" in parts:
        selected()


def features(name: str) -> Features:
    """Compute the features of a data set; hubel's cache keeps them."""
    started = time.monotonic()
    network, card = load_pretrained("efficientnet_lite0", "default")
    size = SETS[name][0]
    dataset = open_dataset(arrays() if name == "pneumonia" else str(SHARED / name))
    rows = np.random.default_rng(0).permutation(dataset.rows())[:MOST]
    preprocess = dataclasses.replace(card.preprocess, height=size, width=size)
    card = dataclasses.replace(card, preprocess=preprocess)
    x = last_layer_features(network, dataset.images(preprocess, rows), card=card)
    print(f"{name}: features of {len(rows):,} images in {time.monotonic() - started:.0f} s")
    return Features(x, dataset.targets(dataset.classes(), rows), len(dataset.classes()))


def arrays() -> tuple[NDArray[np.uint8], list[str]]:
    with np.load(SHARED / "pneumoniamnist.npz") as stored:
        splits = ("train", "val", "test")
        images = np.concatenate([stored[f"{split}_images"] for split in splits])
        labels = np.concatenate([stored[f"{split}_labels"][:, 0] for split in splits])
    return np.repeat(images[..., None], 3, axis=3), [("normal", "pneumonia")[label] for label in labels]


def head_scores(name: str, data: Features) -> tuple[Scores, Labels]:
    """Return calibrated scores of the images that the head has not seen, and their labels."""
    n = SETS[name][1]
    probe = fit_probe(data.x[:n], data.y[:n], data.classes)
    assert probe.left_out is not None
    temperature = fit_temperature(probe.left_out.logits, data.y[probe.left_out.positions])
    return softmax(data.x[n:] @ probe.weight.T + probe.bias, temperature), data.y[n:]


# A way to calibrate: from calibration scores, their labels, test scores and a coverage to sets.
Way = Callable[[Scores, Labels, Scores, float], NDArray[np.bool_]]


def by_quantile(score: Callable[..., Scores], *, by_class: bool = False, drawn: bool = False) -> Way:
    """Return the way of a score, literally by the equations; sets may be empty."""

    def way(p: Scores, y: Labels, new: Scores, coverage: float) -> NDArray[np.bool_]:
        rng = np.random.default_rng(len(y))
        u = [(rng.uniform(size=len(one)),) if drawn else () for one in (p, new)]
        own, others = score(p, *u[0])[np.arange(len(y)), y], score(new, *u[1])
        if not by_class:
            return others <= ps.conformal_quantile(own, coverage)
        return others <= [ps.conformal_quantile(own[y == label], coverage) for label in range(p.shape[1])]

    return way


def kept(p: Scores, y: Labels, new: Scores, coverage: float) -> NDArray[np.bool_]:
    """Make sets as hubel does."""
    return ps.coverage_table(p, y).sets(new, coverage)


WAYS: dict[str, Way] = {
    "LAC": by_quantile(ps.lac_scores),
    "LAC by class": by_quantile(ps.lac_scores, by_class=True),
    "APS": by_quantile(ps.aps_scores),
    "APS drawn": by_quantile(ps.aps_scores, drawn=True),
    "APS drawn by class": by_quantile(ps.aps_scores, drawn=True, by_class=True),
    "RAPS": by_quantile(ps.raps_scores),
    "RAPS drawn": by_quantile(ps.raps_scores, drawn=True),
    "hubel": kept,
}


def measured(inside: NDArray[np.bool_], y: Labels) -> tuple[float, float, float, float]:
    """Return coverage, mean size, share of sets with one class, and coverage of the worst class."""
    covered, sizes = inside[np.arange(len(y)), y], inside.sum(1)
    worst = min(covered[y == label].mean() for label in np.unique(y))
    return covered.mean(), sizes.mean(), (sizes == 1).mean(), worst


def show(name: str, rows: list[tuple[float, float, float, float]]) -> None:
    coverage, size, one, worst = np.mean(rows, 0)
    spread = np.std([row[0] for row in rows])
    print(f"  {name:34} {coverage:8.1%} {100 * spread:6.2f} {size:8.3f} {one:8.1%} {worst:8.1%}")


def heading(text: str) -> None:
    print(f"\n{text}\n  {'':34} coverage spread    size  of one    worst class")


def over_splits(p: Scores, y: Labels, calibration: int, coverage: float, ways: dict[str, Way]) -> None:
    """Print the mean of each way over random splits."""
    rows: dict[str, list[Any]] = {name: [] for name in ways}
    for seed in range(SPLITS):
        order = np.random.default_rng(seed).permutation(len(y))
        first, rest = order[:calibration], order[calibration:]
        for name, way in ways.items():
            rows[name].append(measured(way(p[first], y[first], p[rest], coverage), y[rest]))
    for name, results in rows.items():
        show(name, results)


def scores(name: str, data: Features) -> None:
    """Compare the scores, half of the images calibrating."""
    p, y = head_scores(name, data)
    for coverage in (0.9, 0.95):
        accuracy = (p.argmax(1) == y).mean()
        heading(
            f"{name}, {coverage:.0%} stated, {len(y) // 2:,} images calibrate; the head is right for {accuracy:.1%}"
        )
        over_splits(p, y, len(y) // 2, coverage, WAYS)


def few(name: str, data: Features) -> None:
    """Compare one threshold, one for each class, and hubel's choice, with few calibration images."""
    p, y = head_scores(name, data)
    ways = {way: WAYS[way] for way in ("LAC", "LAC by class", "hubel")}
    for calibration in (50, 100, 200, 400):
        if calibration < len(y) / 2:
            heading(f"{name}, 95% stated, {calibration} images calibrate")
            over_splits(p, y, calibration, 0.95, ways)


def crossval(name: str, data: Features) -> None:
    """Train and calibrate as `hubel train --freeze all` does, 10 times, from the images to the sets."""
    n = SETS[name][1]
    train, val = n - n // 10, n // 10
    rows: dict[str, list[Any]] = {"validation images": [], "left out in cross-validation": [], "both (hubel)": []}
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(data.y))
        x, y = data.x[order], data.y[order]
        probe = fit_probe(x[:train], y[:train], data.classes, seed=seed)
        assert probe.left_out is not None
        logits, true = x[train:] @ probe.weight.T + probe.bias, y[train:]
        temperature = fit_temperature(logits[:val], true[:val])
        own, left = softmax(logits, temperature), softmax(probe.left_out.logits, temperature)
        labels = y[probe.left_out.positions]
        ways = [
            (own[:val], true[:val]),
            (left, labels),
            (np.concatenate([left, own[:val]]), np.concatenate([labels, true[:val]])),
        ]
        for row, (p, known) in zip(rows.values(), ways, strict=True):
            row.append(measured(kept(p, known, own[val:], 0.95), true[val:]))
    heading(f"{name}, 95% stated, from {train} training and {val} validation images; 10 runs")
    for way, results in rows.items():
        show(way, results)


def selected() -> None:
    """Let the images that calibrate choose the epoch and the temperature, too, and compare with images that do not."""
    from torch.nn import functional as F

    torch.manual_seed(0)
    dataset = open_dataset(str(SHARED / "fashion-mnist"))
    network, rows = create_model("lenet5_modern", num_classes=10, in_channels=1), dataset.rows()
    order = np.random.default_rng(0).permutation(rows)[:9_000]
    images = dataset.images(Preprocess(32, 32, 1, "pad", mean=(0.286,), std=(0.353,)), order)
    x = network_input(images.pixels(np.arange(len(order))), images.preprocess)
    y = torch.from_numpy(dataset.targets(dataset.classes(), order))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    epochs = []
    for _ in range(15):
        network.train()
        for batch in torch.randperm(3_000).split(50):
            optimizer.zero_grad()
            F.cross_entropy(network(x[batch]), y[batch]).backward()
            optimizer.step()
        network.eval()
        with torch.inference_mode():
            epochs.append(torch.cat([network(part) for part in x[3_000:].split(500)]).numpy())
    truth = y[3_000:].numpy()
    for n in (100, 300, 1_000):
        found: dict[str, list[Any]] = {"the images that chose": [], "other images": []}
        for seed in range(SPLITS):
            order = np.random.default_rng(seed).permutation(len(truth))
            chose, other, rest = order[:n], order[n : 2 * n], order[2 * n :]
            best = int(np.argmax([(logits[chose].argmax(1) == truth[chose]).mean() for logits in epochs]))
            p = softmax(epochs[best], fit_temperature(epochs[best][chose], truth[chose]))
            for way, rows_of in zip(found, (chose, other), strict=True):
                found[way].append(measured(kept(p[rows_of], truth[rows_of], p[rest], 0.95), truth[rest]))
        heading(f"Fashion-MNIST, LeNet-5, 95% stated, {n} images choose one of 15 epochs and the temperature")
        for way, results in found.items():
            show(way, results)


PARTS = {"scores": scores, "few": few, "crossval": crossval}

if __name__ == "__main__":
    main()
