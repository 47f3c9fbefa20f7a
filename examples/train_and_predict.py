"""Train a classifier on a folder of images, measure it, and predict with it.

Run it anywhere, offline: `python examples/train_and_predict.py`. Your own folder needs one folder for each class.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import hubel


def write_images(folder: Path) -> None:
    """Write 600 handwritten digits as PNG files, one folder for each class."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images[:600], digits.target[:600], strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels / 16 * 255).astype(np.uint8)).save(path)


def main() -> None:
    """Train for a few seconds and print what came out."""
    with TemporaryDirectory() as name:
        photos, run_folder = Path(name) / "photos", Path(name) / "run"
        write_images(photos)
        result = hubel.train(photos, hubel.Recipe(model="lenet5_modern", epochs=8), out=run_folder)
        print(f"accuracy on images that were held out: {result.evaluation.metrics.top1:.3f}")

        model = hubel.load(run_folder)
        paths = [photos / "3" / "3.png", photos / "7" / "7.png"]
        for path, label, scores in zip(paths, model.predict(paths), model.predict_proba(paths), strict=True):
            print(f"{path.parent.name}/{path.name}: {label} ({scores.max():.1%})")


if __name__ == "__main__":
    main()
