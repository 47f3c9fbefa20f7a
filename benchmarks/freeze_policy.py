"""How much of a pretrained network to leave frozen: the measurements behind `hubel.training.freeze_policy`.

Claim: on each data set, from 30 to 10,000 images, what `decide` says is the best of the freeze levels on the test
images, or within 0.5 points of the best, in the mean over the draws.

EfficientNet-Lite0 with its ImageNet weights, at 224 pixels for photos and at 128 for small images; the training images
are drawn anew by each seed, the test images stay (at most --test of them). Columns: `all` (a new head only), `last`
(the stages at the last resolution are tuned, from maps that are computed once), `none` (all weights learn; only up to
1,000 images, and with --full), `scratch` (the small convnet from nothing, for comparison; it does not count). As in
`hubel train`, what was tuned replaces the head alone only if it is better on the validation images. Seconds: from the
images to the model, with an empty cache, without the measurement of the test images.

Each cell is a process of its own. All are kept in the JSON file --out, and those that are there are not run again, so a
long run can be divided; the table is made from all that the file has. With --threads 2 or so, cells are comparable.
Run: python benchmarks/freeze_policy.py --out FILE.json [--quick | --only clothing,digits] [--full] [--seeds 2]
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from transfer import draw

SHARED = Path(__file__).parents[2] / "shared" / "data"
MODEL, SMALL_SIZE = "efficientnet_lite0", "128"
LEVELS = ("all", "last", "none", "scratch")
NONE_AT_MOST = 1_000  # images
NEAR = 0.005  # of the best accuracy
QUICK = 3  # rows


@dataclass(frozen=True)
class Row:
    """A data set of the table: where it is from, and how many training images, validation included."""

    name: str
    source: str
    images: int


ROWS = [
    *(Row(f"clothing-{10 * n}", "clothing", 10 * n) for n in (3, 5, 20, 50, 100)),
    Row("digits", "digits", 1_438),
    *(Row(f"cifar10-{n}", "cifar10", n) for n in (100, 1_000, 10_000)),
    *(Row(f"fashion-mnist-{n}", "fashion-mnist", n) for n in (100, 1_000, 10_000)),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("freeze_policy.json"), help="where all cells are kept")
    parser.add_argument("--only", default="", help="rows or data sets, such as clothing-50,cifar10")
    parser.add_argument("--levels", default=",".join(LEVELS), help="columns to measure")
    parser.add_argument("--quick", action="store_true", help=f"the first {QUICK} rows only")
    parser.add_argument("--full", action="store_true", help="with the column none, which takes longest")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--test", type=int, default=2_000, help="test images at most, of CIFAR-10 and Fashion-MNIST")
    parser.add_argument("--threads", type=int, default=0, help="of the computation; 0 leaves it to hubel")
    parser.add_argument("--table", action="store_true", help="only print the table of what --out has")
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(json.dumps(measure(**json.loads(options.cell))))
        return
    cells = json.loads(options.out.read_text()) if options.out.exists() else []
    words = {word for word in options.only.split(",") if word}
    if unknown := words - {name for row in ROWS for name in (row.name, row.source)}:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(row.name for row in ROWS)}")
    rows = [row for row in ROWS if not words or {row.name, row.source} & words]
    levels = [level for level in options.levels.split(",") if level != "none" or options.full]
    if unknown := set(levels) - set(LEVELS):
        parser.error(f"--levels are {', '.join(LEVELS)}, not {', '.join(sorted(unknown))}")
    for row in [] if options.table else rows[: QUICK if options.quick else None]:
        for seed in range(options.seeds):
            for level in levels:
                if level != "none" or row.images <= NONE_AT_MOST:
                    add(cells, row, level, seed, options)
    print(table([cell for cell in cells if cell["test"] == options.test]))


def add(cells: list[dict[str, Any]], row: Row, level: str, seed: int, options: argparse.Namespace) -> None:
    """Measure a cell in a process of its own with an empty cache, unless it is there, and keep it in the file."""
    what = {"row": row.name, "level": level, "seed": seed, "test": options.test}
    if any(what.items() <= cell.items() for cell in cells):
        return
    with tempfile.TemporaryDirectory(prefix="hubel-freeze-") as folder:
        given = {**what, "threads": options.threads, "place": folder}
        command = [sys.executable, __file__, "--cell", json.dumps(given)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "HUBEL_CACHE": f"{folder}/cache"},
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{row.name}, {level}, seed {seed} failed:\n{done.stderr}")
    cell = {**what, **json.loads(done.stdout.splitlines()[-1])}
    cells.append(cell)
    part = options.out.with_name(f"{options.out.name}.part")
    part.write_text(json.dumps(cells, indent=1))
    part.replace(options.out)
    kept = ", the head alone was kept" if cell["head_kept"] else ""
    title = f"{row.name}, {level} ({cell['boundary']}), seed {seed}"
    print(f"{title}: {cell['accuracy']:.1%} in {cell['seconds']:.1f} s{kept}", flush=True)


# One cell -------------------------------------------------------------------------------------------------


def measure(row: str, level: str, seed: int, test: int, threads: int, place: str) -> dict[str, Any]:
    """Train once; the accuracy on the test images, the seconds, and what the policy would say."""
    from hubel.core.process import tune_process

    tune_process()
    from hubel.training import train, transfer
    from hubel.training.freeze_policy import decide_freezing
    from hubel.training.recipe import Recipe

    one = next(entry for entry in ROWS if entry.name == row)
    data, evidence = data_of(one, seed, test, Path(place)), []

    def remembering(found: Any, boundaries: tuple[str, ...]) -> Any:
        evidence.append(found)
        return decide_freezing(found, boundaries)

    transfer.decide_freezing = remembering
    common = {"seed": seed, "threads": threads}
    size = None if one.source == "clothing" else SMALL_SIZE
    boundary = "none" if level == "scratch" else last_boundary(size) if level == "last" else level
    if level == "scratch":
        recipe = Recipe(model="convnet", **common)
    else:
        recipe = Recipe(model=MODEL, size=size, freeze=boundary, **common)
    started = time.perf_counter()
    outcome = train.train(data, recipe, out=Path(place) / "run")
    seconds = time.perf_counter() - started - outcome.seconds["evaluation and report"]
    log = (Path(place) / "run" / "log.txt").read_text()
    candidates = ("all", boundary, "none")
    decided = decide_freezing(evidence[0], candidates) if level == "last" else None
    return {
        "accuracy": outcome.accuracy,
        "tested": outcome.evaluation.metrics.n,
        "seconds": seconds,
        "phases": dict(outcome.seconds),
        "boundary": boundary,
        "head_kept": "the head alone is kept" in log,
        "evidence": dataclasses.asdict(evidence[0]) if evidence else None,
        # Only maps of the last stages show all that the policy looks at.
        "decided": decided.boundary if decided else None,
        "reason": decided.reason if decided else None,
    }


def last_boundary(size: str | None) -> str:
    """The boundary that "auto" would freeze up to, where it tunes stages."""
    import torch

    import hubel
    from hubel.nn.freezing import last_stages

    side = 224 if size is None else int(size)
    with torch.inference_mode():
        return last_stages(hubel.create_model(MODEL).eval(), torch.zeros(1, 3, side, side))


def data_of(row: Row, seed: int, test: int, place: Path) -> Any:
    """What `hubel.train` takes: training images drawn by the seed, and test images."""
    if row.source == "digits":
        return "digits"
    if row.source == "clothing":
        return str(draw(SHARED / "clothing", place / "photos", {"train": row.images // 10, "test": 0}, seed))
    from hubel.data.sources import ArraySource

    (images, labels), (held, truth) = READ[row.source](row.images, seed, test)
    splits = np.repeat([1, 3], [len(labels), len(truth)])
    return ArraySource(np.r_[images, held], np.r_[labels, truth], splits, name=row.name)


def balanced(labels: np.ndarray, number: int, seed: int) -> np.ndarray:
    """So many rows, of every class the same number, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.sort(np.concatenate([order[labels[order] == one][: number // 10] for one in range(10)]))


def cifar10(number: int, seed: int, test: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from PIL import Image
    from pyarrow import parquet

    parts = []
    for split, wanted, draw_seed in (("train", number, seed), ("test", test, 0)):
        columns = parquet.read_table(SHARED / "cifar10" / f"{split}.parquet")
        labels = columns["label"].to_numpy()
        rows = balanced(labels, wanted, draw_seed)
        files = columns["image"].take(rows).to_pylist()
        images = [np.asarray(Image.open(io.BytesIO(file["bytes"])).convert("RGB")) for file in files]
        parts.append((np.stack(images), labels[rows]))
    return parts


def fashion_mnist(number: int, seed: int, test: int) -> list[tuple[np.ndarray, np.ndarray]]:
    from hubel.data.sources.idx import read_idx

    parts = []
    for split, wanted, draw_seed in (("train", number, seed), ("t10k", test, 0)):
        labels = read_idx(SHARED / "fashion-mnist" / f"{split}-labels-idx1-ubyte.gz", dimensions=1)
        rows = balanced(labels, wanted, draw_seed)
        images = read_idx(SHARED / "fashion-mnist" / f"{split}-images-idx3-ubyte.gz", dimensions=3)
        parts.append((images[rows], labels[rows]))
    return parts


READ = {"cifar10": cifar10, "fashion-mnist": fashion_mnist}


# The table ------------------------------------------------------------------------------------------------


def table(cells: list[dict[str, Any]]) -> str:
    """All cells as CSV, and the means over the draws in Markdown, with what the policy says."""
    lines = ["row,level,boundary,seed,test images,accuracy,seconds,head kept,cross-validated,below,decided"]
    for cell in cells:
        seen = cell["evidence"] or {"probe": "", "probe_below": ""}
        values = (cell["row"], cell["level"], cell["boundary"], cell["seed"], cell["tested"], cell["accuracy"])
        more = (round(cell["seconds"], 1), cell["head_kept"], seen["probe"], seen["probe_below"], cell["decided"] or "")
        lines.append(",".join(map(str, (*values, *more))))
    heads = ("data", "images", *LEVELS, "cross-validated: head, below", "policy", "best", "policy - best", "holds")
    lines += ["", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [line for row in ROWS if (line := table_row(row, [cell for cell in cells if cell["row"] == row.name]))]
    return "\n".join(lines)


def table_row(row: Row, cells: list[dict[str, Any]]) -> str:
    """Accuracies and seconds of a data set by column, and whether the policy is the best, or nearly; "" without cells.

    Draws are compared only where each of the columns has them.
    """
    if not cells:
        return ""
    seeds = [{cell["seed"] for cell in cells if cell["level"] == level} for level in LEVELS]
    shared = set.intersection(*filter(None, seeds))
    cells = [cell for cell in cells if cell["seed"] in shared]
    means, shown = {}, []
    for level in LEVELS:
        mine = [cell for cell in cells if cell["level"] == level]
        if not mine:
            shown.append("-")
            continue
        means[level] = statistics.mean(cell["accuracy"] for cell in mine)
        kept = sum(cell["head_kept"] for cell in mine)
        note = f", head kept {kept} of {len(mine)}" if kept else ""
        shown.append(f"{means[level]:.1%} ({statistics.mean(cell['seconds'] for cell in mine):.0f} s{note})")
    looked = [cell for cell in cells if cell["decided"]]
    frozen = {level: mean for level, mean in means.items() if level != "scratch"}
    if not looked or not frozen:
        return f"| {' | '.join((row.name, f'{row.images:,}', *shown, '-', '-', '-', '-', '-'))} |"
    probe, below = (statistics.mean(cell["evidence"][name] for cell in looked) for name in ("probe", "below"))
    said = sorted({cell["decided"] for cell in looked})
    scores = [frozen.get(level_of(one, looked)) for one in said]
    best = max(frozen, key=frozen.__getitem__)
    if None in scores or "all" not in frozen:
        end = (best, "-", "not measured")
    else:
        worst = min(scores) - frozen[best]
        end = (best, f"{100 * worst:+.1f}", "yes" if worst >= -NEAR - 1e-9 else "NO")
    better = " (scratch is better)" if means.get("scratch", 0) > frozen[best] else ""
    middle = (f"{probe:.1%}, {below:.1%}", " or ".join(said))
    return f"| {' | '.join((row.name, f'{row.images:,}', *shown, *middle, end[0] + better, *end[1:]))} |"


def level_of(decided: str, looked: list[dict[str, Any]]) -> str:
    """The column of a boundary that the policy says."""
    return "last" if decided == looked[0]["boundary"] else decided


if __name__ == "__main__":
    main()
