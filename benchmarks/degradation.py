"""The degradation experiment of He et al. 2015 (arXiv:1512.03385, Figure 6), small enough for two cores.

Claim: of two plain networks the deeper one has the higher *training* error (plain-56 above plain-20), so overfitting is
not the reason; with shortcuts, and nothing else changed, it has not (ResNet-56 not above ResNet-20 by as much).

All four see the same images in the same order, for the same number of epochs, by the same recipe (the paper's
augmentation, SGD with momentum 0.9, weight decay 1e-4, batches of 128; one cycle of the learning rate up to 0.1).
Run: python benchmarks/degradation.py [--quick] [--data FOLDER] [--out FOLDER]. --quick takes about 10 minutes.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

import hubel
from hubel.core.files import write_atomic
from hubel.core.random import permutation
from hubel.data.decode import decode
from hubel.data.sources import ArraySource
from hubel.plots.figure_files import to_png
from hubel.plots.style import BLUE, ORANGE, canvas, finish, heading, style_axes

CIFAR = Path(__file__).parents[2] / "shared" / "data" / "cifar10"
NETWORKS = {
    "plain20": (ORANGE, "--"),
    "plain56": (ORANGE, "-"),
    "resnet20": (BLUE, "--"),
    "resnet56": (BLUE, "-"),
}
HELD_OUT = 1_000  # images that validate, and as many that test


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="5,000 images, 8 epochs, instead of 10,000 and 24")
    parser.add_argument("--data", type=Path, default=CIFAR)
    parser.add_argument("--out", type=Path, default=Path("runs/degradation"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    images, epochs = (5_000, 8) if options.quick else (10_000, 24)
    source = some_of(options.data, images, options.seed)
    recipe = hubel.Recipe(
        epochs=epochs,
        batch_size=128,
        lr=0.1,
        weight_decay=1e-4,
        augment="light",
        seed=options.seed,
        threads=options.threads,
    )
    errors = {name: training_errors(name, source, recipe, options.out / name) for name in NETWORKS}
    rows = [["epoch", *NETWORKS]]
    rows += [[str(e + 1), *(f"{errors[name][e]:.1f}" for name in NETWORKS)] for e in range(epochs)]
    print(f"\nTraining error in percent; {images:,} images of CIFAR-10, {epochs} epochs, seed {options.seed}")
    for row in rows:
        print("  ".join(f"{cell:>9}" for cell in row))
    last = {name: values[-1] for name, values in errors.items()}
    print(f"\nplain56 - plain20    {last['plain56'] - last['plain20']:+.1f} points in the last epoch")
    print(f"resnet56 - resnet20  {last['resnet56'] - last['resnet20']:+.1f} points")
    write_atomic(options.out / "degradation.csv", "\n".join(",".join(row) for row in rows) + "\n")
    write_atomic(options.out / "degradation.png", drawn(errors, f"{images:,} images of CIFAR-10"))
    print(f"{options.out / 'degradation.csv'}, {options.out / 'degradation.png'}")


def some_of(folder: Path, number: int, seed: int) -> ArraySource:
    """Images of the training file to train on, others of it to validate, and some of the test file."""
    import pyarrow.parquet as pq

    def read(file: str, wanted: int) -> tuple[list[np.ndarray], list[int]]:
        table = pq.read_table(folder / file)
        rows = permutation(len(table), seed)[:wanted]
        chosen = table.take(rows)
        pictures = [decode(cell["bytes"], name="CIFAR-10").pixels for cell in chosen["image"].to_pylist()]
        return pictures, chosen["label"].to_pylist()

    learn, labels = read("train.parquet", number + HELD_OUT)
    measure, more = read("test.parquet", HELD_OUT)
    splits = [1] * number + [2] * HELD_OUT + [3] * HELD_OUT  # train, val, test
    return ArraySource(np.stack(learn + measure), labels + more, splits, name=f"cifar10-{number}")


def training_errors(name: str, source: ArraySource, recipe: hubel.Recipe, folder: Path) -> list[float]:
    """Percent, an epoch each; a run that is finished already is read again."""
    if not (folder / "metrics.json").exists():
        run = hubel.train(source, recipe.with_settings(model=name), out=folder)
        if run.stopped_by:
            sys.exit(128 + run.stopped_by)
    with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
        return [100 * (1 - float(row["train_top1"])) for row in csv.DictReader(file)]


def drawn(errors: dict[str, list[float]], aside: str) -> bytes:
    figure = canvas(7.5, 4.2)
    axes = figure.subplots()
    for name, values in errors.items():
        colour, line = NETWORKS[name]
        axes.plot(range(1, len(values) + 1), values, line, color=colour, linewidth=1.8, label=name)
    axes.set(xlabel="Epoch", ylabel="Training error (%)", ylim=(0, None))
    axes.legend(frameon=False, fontsize=9)
    heading(axes, "Deeper plain networks train worse; residual ones do not", aside)
    style_axes(axes)
    return to_png(finish(figure))


if __name__ == "__main__":
    main()
