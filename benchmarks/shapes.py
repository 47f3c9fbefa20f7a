"""Figures on canvases, the built-in data with exact marks: boxes and masks from scratch, in minutes.

Claims (2 cores): `shapes` reaches an AP of at least 0.95, and a mean IoU of at least 0.97, each within 5 minutes, the
whole process counted, without pretrained weights and with no other setting.

Run: python benchmarks/shapes.py [--minutes 5] [--threads 2] [--only detect]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from hubel import train

CLAIMS = {"detect": ("ap", 0.95), "segment": ("mean_iou", 0.97)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--only", choices=CLAIMS)
    given = parser.parse_args()
    for task, (name, wanted) in CLAIMS.items():
        if given.only not in (None, task):
            continue
        recipe = {"task": task, "weights": "none", "max_minutes": given.minutes}
        if given.threads:
            recipe["threads"] = given.threads
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            run = train("shapes", recipe, out=Path(folder) / "run")
        minutes, value = (time.monotonic() - started) / 60, run.evaluation.to_json()[name]
        kept = "holds" if value >= wanted and minutes <= given.minutes else "does not hold"
        print(f"{task}: {name} {value:.3f} after {minutes:.1f} minutes; at least {wanted} in 5 {kept}", flush=True)


if __name__ == "__main__":
    main()
