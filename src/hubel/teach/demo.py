"""Demo of the whole path, from training to prediction, on data that comes with the dependencies."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hubel.data.sources.builtin import digits
from hubel.inference.predictor import load_predictor
from hubel.training.recipe import Recipe
from hubel.training.train import RunResult, train

__all__ = ["digits_demo", "shapes_demo", "xo_demo"]

_MODELS = ("linear", "knn", "lenet5_modern")
_SHOWN = 8


def digits_demo(folder: Path) -> tuple[list[RunResult], list[tuple[str, str, str, str]]]:
    """Train three models on the digits, the best last; return the runs, and predictions of the last one.

    There are predictions of eight test images, each with the image, its class, the predicted class and the score; none
    if a run was stopped.
    """
    runs = []
    for model in _MODELS:
        runs.append(train("digits", Recipe(model=model), out=folder / model))
        if runs[-1].evaluation is None:
            return runs, []
    assert runs[-1].evaluation is not None
    held_out = runs[-1].evaluation.images
    predictor = load_predictor(runs[-1].model)
    rows = held_out.rows[:_SHOWN]
    source = digits()
    pixels = np.stack([source.read(int(row), "") for row in rows])
    labels = held_out.labels()
    scores = predictor.predict_proba(pixels)
    predictions = [
        (
            held_out.path(i),
            labels[i],
            predictor.classes[scores[i].argmax()],
            f"{scores[i].max():.1%}",
        )
        for i in range(len(pixels))
    ]
    return runs, predictions


def xo_demo(folder: Path) -> RunResult:
    """Train a small convolutional network with two sigmoid outputs on shifted and noisy images of X and O."""
    recipe = Recipe(
        model="convnet",
        options={"filters": "8,16", "repeat": "1"},
        loss="bce",
        augment="none",
        epochs=10,
    )
    return train("xo", recipe, out=folder / "xo")


def shapes_demo(folder: Path) -> RunResult:
    """Train a detector on small canvases with circles, crosses, squares and triangles, for a few epochs."""
    recipe = Recipe(task="detect", epochs=6, lr=0.002)
    return train("shapes:count=240,size=64,clutter=1", recipe, out=folder / "shapes")
