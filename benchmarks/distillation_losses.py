"""Distillation losses beside each other, on few digits: which one is the default, and why.

A convnet of 16 and 32 filters has learned 1,295 digits; one of 4 and 4 filters learns 300 of them, alone and with each
loss at its usual settings. Printed are mean accuracy and spread on the 359 test digits over seeds of weights and order.
Run: python benchmarks/distillation_losses.py [--seeds 5] [--epochs 40] [--images 300] [--losses kd,mse]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hubel
from hubel.core.stopping import Stop
from hubel.inference.forward import outputs
from hubel.training.distillation.losses import DISTILLATION_LOSSES
from hubel.training.distillation.teach import student_of, teach
from hubel.training.execute import build_trainer, training_context
from hubel.training.loop import EpochSelection, Loop
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training

COMMON: dict[str, Any] = {"model": "convnet", "threads": 1, "loading_threads": 0, "precision": "float32"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--losses", default=",".join(("alone", *DISTILLATION_LOSSES)), help="some of them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubel-losses-") as folder:
        recipe = {**COMMON, "options": {"filters": "16,32", "repeat": "1"}, "epochs": 15}
        teacher = hubel.train("digits", recipe, out=Path(folder) / "teacher", quiet=True)
        print(f"teacher {teacher.accuracy:.1%}", flush=True)
        for name in options.losses.split(","):
            more = {} if name == "alone" else {"teacher": teacher.folder, "distill_loss": name, "engine": "torch"}
            found = [accuracy(options, seed, more) for seed in range(options.seeds)]
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            print(f"{name:<6} {statistics.mean(found):.2%} +- {spread:.2%}  ({options.seeds} seeds)", flush=True)


def accuracy(options: argparse.Namespace, seed: int, more: dict[str, Any]) -> float:
    """Train one student, and return the share of the test digits that it gets right after its last epoch."""
    recipe = Recipe(
        **COMMON, options={"filters": "4,4", "repeat": "1"}, images=options.images, epochs=options.epochs, **more
    )
    plan = plan_training("digits", recipe)
    plan = replace(plan, loop=replace(plan.loop, seed=seed))
    with training_context(plan):
        torch.manual_seed(seed)
        network = plan.create()
        train = plan.train if plan.distillation is None else teach(plan, lambda _: None)
        Loop(build_trainer(plan, student_of(plan, network)), train, plan.loop, EpochSelection()).run(Stop())
        found = outputs(network.eval(), plan.measured.images).argmax(1)
    return float(np.mean(found == plan.measured.targets))


if __name__ == "__main__":
    main()
