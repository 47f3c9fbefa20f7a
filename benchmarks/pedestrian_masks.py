"""Masks of pedestrians: which pixels of Penn-Fudan's photos are people, after one command.

Claim: with the last 50 photos by name as the test and no setting but the task, the IoU of the class is at least 0.80
after at most 20 minutes on 2 cores. The masks number the people of a photo; with one class in annotations.json, hubel
takes every number for that class.

Run: python benchmarks/pedestrian_masks.py --data penn-fudan [--minutes 20] [--size HxW] [--threads 2]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from detection import split_folder
from hubel import train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--size")
    parser.add_argument("--threads", type=int)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = split_folder(given.data, Path(folder) / "penn-fudan")
        wanted = {"size": given.size, "threads": given.threads}
        recipe = {"task": "segment", "max_minutes": given.minutes, **{key: v for key, v in wanted.items() if v}}
        started = time.monotonic()
        run = train(str(data), recipe, out=Path(folder) / "run")
        minutes = (time.monotonic() - started) / 60
    metrics = run.evaluation.metrics
    for name, iou in zip(metrics.classes, metrics.iou, strict=True):
        print(f"{name}: IoU {iou:.3f}")
    print(f"{minutes:.1f} minutes; at least 0.80 wanted of pedestrian, in 20")


if __name__ == "__main__":
    main()
