"""What `hubel tune` finds on five data sets, beside the default recipe, on test images that the search never saw.

Claim: on none of them is the tuned model worse than the default one beyond noise, and on at least two it is better.

Each data set is searched once within --minutes; the default recipe is trained with the same seed and threads, within
the same time. Both are measured on the same test images. Columns: the accuracy of both; the difference with its 95 %
interval of paired proportions (Agresti 2013, Section 11.1.1); the p-value of McNemar's exact test; what was taken, and
seconds from start to report.

Run: python benchmarks/tune.py --data clothing,digits,fashion-mnist,cifar10,pneumonia --minutes 20 [--threads 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from freeze_policy import READ, SHARED

TEST = 2_000  # test images at most, of CIFAR-10 and Fashion-MNIST


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=",".join(DATA), help="data sets, separated by commas")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each search")
    parser.add_argument("--images", type=int, default=0, help="training images of the small data sets, instead of all")
    parser.add_argument("--metric", default="accuracy")
    parser.add_argument("--threads", type=int, default=0, help="of the computation; 0 leaves it to hubel")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.data.split(",")
    if unknown := set(names) - set(DATA):
        parser.error(f"--data are {', '.join(DATA)}, not {', '.join(sorted(unknown))}")
    print(f"{'data':<14} {'default':>8} {'tuned':>8} {'difference':>22} {'p':>6} {'seconds':>8} {'trials':>7}  taken")
    for name in names:
        print(measure(name, options), flush=True)


def measure(name: str, options: argparse.Namespace) -> str:
    """Search, train the default recipe, and compare: one line of the table."""
    import hubel
    from hubel.training.search.record import settings_text

    data, common = (
        DATA[name](options.images),
        {"seed": options.seed, **({"threads": options.threads} if options.threads else {})},
    )
    with tempfile.TemporaryDirectory(prefix="hubel-tune-") as folder:
        started = time.monotonic()
        found = hubel.tune(
            data, hubel.Recipe(**common), minutes=options.minutes, metric=options.metric, out=Path(folder) / "tuned"
        )
        seconds = time.monotonic() - started
        print((Path(folder) / "tuned" / "leaderboard.csv").read_text(), found.reason, sep="\n", flush=True)
        tuned = found.run.evaluation
        if found.best == 0:  # the same recipe and the same time
            default = tuned
        else:
            limited = hubel.Recipe(**common, max_minutes=options.minutes)
            default = hubel.train(data, limited, out=Path(folder) / "default").evaluation
    return line(
        name, correct(default), correct(tuned), seconds, len(found.trials), settings_text(found.settings[found.best])
    )


def correct(evaluation: Any) -> np.ndarray:
    """Whether each test image is classified correctly."""
    return evaluation.probabilities.argmax(1) == evaluation.targets


def line(name: str, default: np.ndarray, tuned: np.ndarray, seconds: float, trials: int, taken: str) -> str:
    n, won, lost = len(default), int((tuned & ~default).sum()), int((default & ~tuned).sum())
    difference = (won - lost) / n
    error = 1.96 * np.sqrt(max(0.0, won + lost - (won - lost) ** 2 / n)) / n
    p = binomtest(won, won + lost).pvalue if won + lost else 1.0
    interval = f"{100 * difference:+.1f} ({100 * (difference - error):+.1f} to {100 * (difference + error):+.1f})"
    return (
        f"{name:<14} {default.mean():>8.1%} {tuned.mean():>8.1%} {interval:>22} {p:>6.3f} {seconds:>8.0f} {trials:>7}  "
        f"{taken}, {n:,} test images"
    )


def small_images(name: str, number: int) -> Callable[[int], Any]:
    def read(wanted: int) -> Any:
        from hubel.data.sources import ArraySource

        (images, labels), (held, truth) = READ[name](wanted or number, 0, TEST)
        splits = np.repeat([1, 3], [len(labels), len(truth)])
        return ArraySource(np.r_[images, held], np.r_[labels, truth], splits, name=name)

    return read


def pneumonia(wanted: int) -> Any:
    from hubel.data.sources import ArraySource

    with np.load(SHARED / "pneumoniamnist.npz") as arrays:
        parts = [(arrays[f"{split}_images"], arrays[f"{split}_labels"][:, 0]) for split in ("train", "val", "test")]
    if wanted:
        drawn = np.sort(np.random.default_rng(0).permutation(len(parts[0][1]))[:wanted])
        parts[0] = (parts[0][0][drawn], parts[0][1][drawn])
    splits = np.repeat([1, 2, 3], [len(labels) for _, labels in parts])
    return ArraySource(
        np.concatenate([images for images, _ in parts]),
        np.concatenate([labels for _, labels in parts]),
        splits,
        name="pneumonia",
    )


DATA: dict[str, Callable[[int], Any]] = {
    "clothing": lambda wanted: str(SHARED / "clothing"),
    "digits": lambda wanted: "digits",
    "fashion-mnist": small_images("fashion-mnist", 10_000),
    "cifar10": small_images("cifar10", 5_000),
    "pneumonia": pneumonia,
}

if __name__ == "__main__":
    main()
