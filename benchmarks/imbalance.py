"""What to do about unequal classes: the measurements behind `--balance auto` (`hubel.training.optimization`).

Claims, of a linear head on the features of EfficientNet-Lite0, on subsets of the clothing photos with 90 %, 9 % and 1 %
of the images, five draws each: the mean recall of the classes is at least 5 points above that of no weighting, and
top-1 is at most 2 points below, both on the test images as they are and on test images in the proportions of training.

Subsets: `three`, three classes with 90, 9 and 1 images; `groups`, of the ten classes four have 90 images each, three 9
and three 1; `shares`, five classes hold 90 % (100 each), three 9 % (17 each) and two 1 % (3 each). Which classes are
rare is drawn anew, and so are the images. The test images are the same in all, 12 to 40 a class. Top-1 in the
proportions of training is the mean of the recalls, weighted by these.

With --whole, `hubel train` runs on the first draw of each subset instead, fine-tuning included: none against auto.
That takes minutes a run.

Run: python benchmarks/imbalance.py [--draws 5] [--whole]; half a minute, of which the features take most.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hubel
from hubel.data.dataset import open_dataset
from hubel.features.logits import last_layer_features
from hubel.metrics.imbalance import METHODS
from hubel.tasks.classify import Classification
from hubel.tasks.losses import LossSettings
from hubel.weights.create import load_pretrained

CLOTHING = Path(__file__).parents[2] / "shared" / "data" / "clothing"
SUBSETS = {"three": [90, 9, 1], "groups": [90] * 4 + [9] * 3 + [1] * 3, "shares": [100] * 5 + [17] * 3 + [3] * 2}
AUTO = "logit_adjustment"


@dataclasses.dataclass(frozen=True)
class Draw:
    """Rows of the images that train, their classes, the counts of these, and the classes of the test images."""

    rows: NDArray[np.int64]
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]


def draw(targets: NDArray[np.int64], train: NDArray[np.bool_], counts: list[int], seed: int) -> Draw:
    """Draw which classes have which counts, and their images."""
    rng = np.random.default_rng(seed)
    classes = rng.permutation(targets.max() + 1)[: len(counts)]
    rows = [rng.permutation(np.flatnonzero(train & (targets == c)))[:n] for c, n in zip(classes, counts, strict=True)]
    return Draw(np.concatenate(rows), classes, np.array(counts))


def measured(right: NDArray[np.bool_], targets: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Return macro recall, top-1, and top-1 in the proportions of training, in %."""
    recalls = np.array([right[targets == c].mean() for c in range(len(counts))])
    return 100 * recalls.mean(), 100 * right.mean(), 100 * recalls @ counts / counts.sum()


def heads(draws: int) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield subset, method and numbers of each head."""
    network, card = load_pretrained("efficientnet_lite0", "default")
    card = dataclasses.replace(card, preprocess=dataclasses.replace(card.preprocess, resize="crop", crop=1.0))
    dataset = open_dataset(str(CLOTHING))
    rows = dataset.rows()
    features = last_layer_features(network, dataset.images(card.preprocess, rows), card=card)
    targets = dataset.targets(dataset.classes(), rows)
    train = dataset.index.split[rows] == 1
    for subset, counts in SUBSETS.items():
        for seed in range(draws):
            one = draw(targets, train, counts, seed)
            place = np.full(targets.max() + 1, -1)
            place[one.classes] = np.arange(len(counts))
            test = np.flatnonzero(~train & (place[targets] >= 0))
            head_card = dataclasses.replace(card, classes=tuple(f"{c}" for c in one.classes))
            for method in METHODS:
                loss = LossSettings(name="cross_entropy", balance=method)
                head = Classification().fit_head(features[one.rows], place[targets[one.rows]], head_card, loss, 0)
                guess = (features[test] @ head.weight.T + head.bias).argmax(1)
                yield subset, method, measured(guess == place[targets[test]], place[targets[test]], one.counts)


def whole() -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Yield the numbers of whole runs on the first draw of each subset."""
    dataset = open_dataset(str(CLOTHING))
    rows, index = dataset.rows(), dataset.index
    targets, train = dataset.targets(dataset.classes(), rows), index.split[rows] == 1
    for subset, counts in SUBSETS.items():
        one = draw(targets, train, counts, 0)
        chosen = [*one.rows, *np.flatnonzero(~train & np.isin(targets, one.classes))]
        with tempfile.TemporaryDirectory() as folder:
            for row in chosen:
                link = Path(folder) / index.paths[int(rows[row])]
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(CLOTHING / index.paths[int(rows[row])])
            for method in ("none", "auto"):
                run = hubel.train(folder, {"balance": method}, out=Path(folder) / method, quiet=True)
                metrics = run.evaluation.metrics
                names = [dataset.classes()[c] for c in one.classes]
                recall = {one.name: one.recall for one in metrics.per_class}
                recalls = np.array([recall[name] for name in names])
                proportional = 100 * recalls @ one.counts / one.counts.sum()
                yield subset, method, (100 * metrics.macro_recall, 100 * metrics.top1, proportional)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--whole", action="store_true")
    wanted = parser.parse_args()
    found: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for subset, method, numbers in whole() if wanted.whole else heads(wanted.draws):
        found.setdefault((subset, method), []).append(numbers)
    print(f"{'subset':8} {'balance':17} macro recall   top-1   top-1 in training's proportions")
    for (subset, method), numbers in found.items():
        macro, top1, proportional = np.mean(numbers, axis=0)
        print(f"{subset:8} {method:17} {macro:10.1f} {top1:9.1f} {proportional:9.1f}")
    for subset in SUBSETS:
        none, auto = (np.mean(found[subset, m], axis=0) for m in ("none", "auto" if wanted.whole else AUTO))
        gain = auto - none
        verdict = "holds" if gain[0] >= 5 and gain[1] >= -2 and gain[2] >= -2 else "FAILS"
        print(f"{subset}: macro recall {gain[0]:+.1f}, top-1 {gain[1]:+.1f}, in proportion {gain[2]:+.1f}: {verdict}")


if __name__ == "__main__":
    main()
