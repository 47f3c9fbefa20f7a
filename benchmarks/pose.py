"""Key points: the joints of athletes, found after one command.

Claim: with 240 of 300 photos to train (a tenth of which choose the epoch) and 60 to test, each athlete cut out by the
given box, PCK@0.2 of the torso is at least 0.60; the mean pose of the training photos stands beside it. With `--task
key_points` the network sees whole photos, where half of the athletes take less than 40 % of the longer side.

Run: python benchmarks/pose.py --data sports-pose [--task key_points] [--epochs N] [--size HxW] [--lr X]
    [--augment FILE] [--minutes M]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from claims import Claims
from hubel import train

LEAST = 0.60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--task", default="key_points_in_boxes", choices=("key_points_in_boxes", "key_points"))
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--size")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--augment")
    parser.add_argument("--minutes", type=float, dest="max_minutes")
    recipe = vars(parser.parse_args())
    data = recipe.pop("data")
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        run = train(str(data), {key: value for key, value in recipe.items() if value}, out=Path(folder) / "run")
        minutes = (time.monotonic() - started) / 60
    numbers = run.evaluation.to_json()
    for name, value in numbers["by_point"].items():
        print(f"{name:20s} {'not given' if value is None else format(value, '.3f')}")
    precision = f"OKS AP {numbers['oks_ap']:.3f}, AP50 {numbers['oks_ap50']:.3f}"
    print(f"{numbers['n']} photos, {minutes:.1f} minutes; {precision}")
    claims = Claims()
    measured = f"{numbers['pck']:.3f}; the mean pose {numbers['pck_mean_pose']:.3f}"
    claims.add(f"PCK@0.2 of the torso is at least {LEAST}", measured, numbers["pck"] >= LEAST)
    claims.close()


if __name__ == "__main__":
    main()
