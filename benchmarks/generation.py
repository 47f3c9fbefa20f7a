"""Conditional generation on Fashion-MNIST, judged by a classifier of the catalogue.

Target: within 10 minutes of training, `cvae` makes images of which a classifier of at least 93 % accuracy names 85 % of
1,000 or more as they were asked for. Beside them: how many real images the classifier names as labelled, the Fréchet
distance of the features of made images from those of as many real ones, that of two halves of real images, and for each
class the spread of the features as a share of that of real ones: near 0 for a model that has collapsed. `cgan` is
measured in the same way.

Run: python benchmarks/generation.py --judge RUN [--models cvae,cgan] [--minutes 10] [--threads 1] [--out FOLDER]
The judge is a run such as: hubel train fashion-mnist --model convnet --epochs 6 --reject 0
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

import hubel
from hubel.data import open_dataset
from hubel.inference.generator import load_generator
from hubel.inference.made_files import write_sheet
from hubel.inference.predictor import load_predictor
from hubel.tasks.generation_judge import judge_samples

FASHION = Path(__file__).parents[2] / "shared" / "data" / "fashion-mnist"
ASKED, EPOCHS = 1_000, 60  # as many epochs as the minutes allow


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=str(FASHION))
    parser.add_argument("--judge", required=True, help="a trained classifier of the same classes")
    parser.add_argument("--models", default="cvae,cgan")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder of the runs; a temporary one if not given")
    options = parser.parse_args()
    out = options.out or Path(tempfile.mkdtemp())
    judge, dataset = load_predictor(options.judge), open_dataset(options.data)
    for model in options.models.split(","):
        run = out / model
        if not run.exists():
            recipe = {"model": model, "epochs": EPOCHS, "max_minutes": options.minutes, "threads": options.threads}
            result = hubel.train(options.data, recipe, out=run)
            print(f"{model}: trained in {result.minutes:.1f} minutes, {options.threads} threads")
        report(run, judge, dataset)


def report(run: Path, judge: hubel.Predictor, dataset: object) -> None:
    """Print what the judge says of 1,000 images, and of as many as there are test images."""
    generator = load_generator(run)
    labels = [generator.classes[i % len(generator.classes)] for i in range(ASKED)]
    made = generator.make(labels, seed=1)
    named = judge.predict(made.pixels[..., 0] if made.pixels.shape[3] == 1 else made.pixels)
    print(f"{run.name}: {np.mean(named == np.array(labels)):.1%} of {ASKED:,} images are named as asked")
    images = dataset.images(generator.card.preprocess, dataset.rows("test"))  # type: ignore[attr-defined]
    found = judge_samples(generator, judge, images)
    print(f"  {found.n:,} images: {found.agreement:.1%} as asked; real ones as labelled: {found.real_agreement:.1%}")
    print(f"  Fréchet distance, halves: made from real {found.frechet:.2f}, real from real {found.frechet_real:.2f}")
    print(f"  spread of the features: {found.spread:.1%} of that of real images")
    for one in found.classes:
        print(
            f"    {one.name}: as asked {one.agreement:6.1%}, real {one.real_agreement:6.1%}, spread {one.spread:6.1%}"
        )
    shown = generator.make([generator.classes[i // 8] for i in range(8 * len(generator.classes))], seed=2)
    write_sheet(shown, run / "sheet.png")
    print(f"  sheet: {run / 'sheet.png'}")


if __name__ == "__main__":
    main()
