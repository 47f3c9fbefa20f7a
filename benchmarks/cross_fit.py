"""What a model of few photos may promise: calibration, prediction sets and "unknown" where no image is held out.

Claims, for models that `hubel train` makes of 100, 200 and 400 photos of clothes (ten classes, all photos train), on
293 test photos that nothing was chosen by: the calibration error is lower than that of the scores without temperature;
sets for 90 % have the true class of at least 87 %; at most 7 % are called unknown, and at least 80 % of 100 photos of
ImageNet. Without cross-fitting, such models had no temperature, no sets and no threshold.

Run: python benchmarks/cross_fit.py [--photos 100,200,400] [--seeds 1] [--threads 1]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import hubel
from hubel.core.random import permutation
from hubel.data import collect
from hubel.inference.classifier import Classifier, Prediction
from hubel.inference.scores import softmax
from hubel.metrics.calibration import reliability_bins

DATA = Path(__file__).parents[2] / "shared" / "data"
COVERAGE = 0.9
UNKNOWN = 100  # photos of other things
SMALLEST = 1e-12  # score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", default="100,200,400")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    print("photos seed  right  ECE raw  ECE  set has it  set size  known rejected  unknown found  tuned s  halves s")
    for photos in map(int, given.photos.split(",")):
        for seed in range(given.seeds):
            with tempfile.TemporaryDirectory() as folder:
                report(photos, seed, given.threads, Path(folder))


def report(photos: int, seed: int, threads: int, folder: Path) -> None:
    """Train on so many photos, and print a row."""
    data = subset(photos, seed, folder / "clothing")
    run = hubel.train(data, {"seed": seed, "threads": threads}, out=folder / "run", quiet=True)
    model = hubel.load(run.folder)
    assert isinstance(model, Classifier)
    test = sorted((DATA / "clothing" / "test").rglob("*.jpg"))
    found, labels = answers(model, test), [path.parent.name for path in test]
    others = answers(model, sorted((DATA / "imagenet-100").glob("*"))[:UNKNOWN])
    scores = model.predict_proba(test)
    targets = np.array([model.classes.index(label) for label in labels])
    raw = softmax(np.log(np.maximum(scores, SMALLEST)), 1 / model.card.temperature)
    sets = [answer.label_set or () for answer in found]
    print(
        f"{photos:>6} {seed:>4}  {(scores.argmax(1) == targets).mean():>5.1%}  "
        f"{calibration_error(raw, targets):>7.3f}  {calibration_error(scores, targets):.3f}  "
        f"{np.mean([label in one for label, one in zip(labels, sets, strict=True)]):>9.1%}  "
        f"{np.mean([len(one) for one in sets]):>8.2f}  {np.mean([bool(one.unknown) for one in found]):>14.1%}  "
        f"{np.mean([bool(one.unknown) for one in others]):>13.1%}  {run.seconds['fine-tuning']:>7.0f}  "
        f"{run.seconds['cross-fitting']:>8.0f}",
        flush=True,
    )


def subset(photos: int, seed: int, folder: Path) -> Path:
    """Copy so many training photos, as many of each class, beside the whole test set."""
    classes = sorted(path for path in (DATA / "clothing" / "train").iterdir())
    for number, source in enumerate(classes):
        files = sorted(source.iterdir())
        (folder / "train" / source.name).mkdir(parents=True)
        for place in permutation(len(files), seed + 1000 * number)[: photos // len(classes)]:
            shutil.copy(files[place], folder / "train" / source.name)
    shutil.copytree(DATA / "clothing" / "test", folder / "test")
    return folder


def calibration_error(scores: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
    """Return the expected calibration error, 0 to 1."""
    return reliability_bins(scores.max(1), scores.argmax(1) == targets).expected_error


def answers(model: Classifier, files: list[Path]) -> list[Prediction]:
    """Return what a model says of files, with its sets."""
    return [answer for _, answer in model.rank(collect(files), coverage=COVERAGE)]


if __name__ == "__main__":
    main()
