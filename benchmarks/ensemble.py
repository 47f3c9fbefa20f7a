"""Three runs in one file, beside each of them, on the clothing photos.

Aim: the mean of three calibrated runs is at least 0.5 points better than the mean of the three alone (mean of three
repeats, 293 test photos); one file, whose scores are those of torch. See LOG.md.

The runs differ in the seed, and so in their validation photos, the order and the augmentation; or, with --differ
settings, share a seed and differ in how much is tuned and how fast. Run:
python benchmarks/ensemble.py [--differ settings] [--data FOLDER] [--out FOLDER] [--tta] [--seconds N]. Runs that are
finished are not repeated, and after N seconds no other one is begun: call it again until the table is printed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import hubel
from hubel.export import ensemble

CLOTHING = Path(__file__).parents[2] / "shared" / "data" / "clothing"
REPEATS, MEMBERS = 3, 3
SETTINGS: tuple[dict[str, Any], ...] = ({}, {"freeze": "stage4"}, {"lr": 3e-3})  # of the members of one seed
VIEWS = 2  # of each photo through the frozen part: less than by default, and computed once for all runs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=CLOTHING)
    parser.add_argument("--out", type=Path, default=Path("runs/ensemble"))
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--tta", action="store_true", help="the file averages over views of each image, too")
    parser.add_argument("--differ", choices=("seed", "settings"), default="seed", help="what the members differ in")
    parser.add_argument("--threads", type=int, default=0, help="of the computation; 0 leaves it to hubel")
    parser.add_argument("--repeats", type=int, default=REPEATS, help="of three runs each")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    members = range(options.repeats * MEMBERS)
    asked = [{"seed": number} for number in members]
    if options.differ == "settings":
        asked = [{"seed": number // MEMBERS, **SETTINGS[number % MEMBERS]} for number in members]
    common = {"views": VIEWS, **({"threads": options.threads} if options.threads else {})}
    runs = [options.out / "-".join(f"{name}-{value}" for name, value in settings.items()) for settings in asked]
    for number, (run, settings) in enumerate(zip(runs, asked, strict=True)):
        if (run / "metrics.json").exists():
            continue
        if time.monotonic() > until:
            print(f"{number} of {len(runs)} runs are there; call this again")
            return
        if (run / "config.json").exists():
            hubel.resume(run)
        else:
            hubel.train(str(options.data), hubel.Recipe(**common, **settings), out=run, quiet=True)
    rows = []
    for repeat in range(options.repeats):
        file = options.out / f"ensemble-{options.differ}-{repeat}.onnx"
        done = ensemble(runs[repeat * MEMBERS :][:MEMBERS], file, data=str(options.data), tta=options.tta)
        alone = [100 * (member.accuracy or 0) for member in done.members]
        together = 100 * (done.accuracy or 0)
        rows.append((np.mean(alone), max(alone), together))
        print(
            f"repeat {repeat}: alone {', '.join(f'{one:.2f}' for one in alone)} %; together {together:.2f} %; "
            f"{file.stat().st_size / 2**20:.1f} MiB; {done.parity} ({done.images})",
            flush=True,
        )
    mean, best, together = np.mean(rows, axis=0)
    print(f"mean of {options.repeats}: alone {mean:.2f} %, the best of three {best:.2f} %, together {together:.2f} %")
    print(f"together {together - mean:+.2f} points beside one, {together - best:+.2f} beside the best, which is known")
    print("only once the test photos are labelled")


if __name__ == "__main__":
    main()
