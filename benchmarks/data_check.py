"""What `hubel data check` finds of what was planted in 1,293 photos of clothes, and what it finds where nothing was.

Claims: of labels flipped to a random other class (5 % of the 1,000 training photos) at least 70 % are among the first
10 % of the ranking, for each seed; of 50 planted copies of training photos among the test photos, half of them the same
bytes and half saved again at JPEG quality 50 to 90 or at half size, all are found as leaks; of the photos as they are,
none is called a duplicate.

All data is made in a temporary folder. If cleanlab is installed, its ranking of the same probabilities stands beside.
Run: python benchmarks/data_check.py [--seeds 5] [--data FOLDER] [--model efficientnet_lite0]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

import hubel
from hubel.audit.data_check import DatasetCheck, check_dataset
from hubel.core.random import permutation, scalar

CLOTHING = Path(__file__).parents[2] / "shared" / "data" / "clothing"
SHARE, COPIES = 0.05, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=CLOTHING)
    parser.add_argument("--model", default="efficientnet_lite0")
    options = parser.parse_args()
    model = hubel.load(options.model)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        print("seed  flipped  in first 10 %  marked  of marked, flipped  cleanlab: in first 10 %  marked  seconds")
        for seed in range(options.seeds):
            flipped = plant_flips(options.data / "train", root / f"flipped-{seed}", seed)
            started = time.perf_counter()
            found = check_dataset(str(root / f"flipped-{seed}"), model, root / f"out-{seed}")
            seconds = time.perf_counter() - started
            order = [Path(found.images.path(row)).name in flipped for row in found.ranking.order.tolist()]
            first = sum(order[: len(order) // 10]) / len(flipped)
            suspects = found.suspects()
            hits = sum(Path(one.path).name in flipped for one in suspects) / max(len(suspects), 1)
            cells = (f"{seed:>4}", f"{len(flipped):>7}", f"{first:>13.0%}", f"{len(suspects):>6}", f"{hits:>18.0%}")
            print(*cells, peer(found, flipped), f"{seconds:>7.1f}", sep="  ", flush=True)
        planted = plant_copies(options.data, root / "copies", seed=0)
        found = check_dataset(str(root / "copies"), model, root / "out-copies")
        print(f"\n{len(planted)} planted copies; kind, planted, found as leaks with their original")
        together = [{Path(found.images.path(row)).name for row in found.duplicates.groups[g]} for g in found.leaks()]
        for kind in dict.fromkeys(kind for kind, _, _ in planted):
            mine = [{copy, original} for one, copy, original in planted if one == kind]
            print(f"  {kind:<16} {len(mine):>3} {sum(any(pair <= group for group in together) for pair in mine):>3}")
        names = {name for _, copy, original in planted for name in (copy, original)}
        others = sum(not names & {Path(found.images.path(r)).name for r in rows} for rows in found.duplicates.groups)
        print(f"  groups of photos as they are: {others}, of {len(found) - len(planted):,} photos")


def plant_flips(source: Path, target: Path, seed: int) -> set[str]:
    """Copy class folders with some photos in a random wrong one; the names of these photos."""
    photos = sorted(path for path in source.rglob("*") if path.is_file())
    classes = sorted({path.parent.name for path in photos})
    chosen = set(permutation(len(photos), seed)[: round(SHARE * len(photos))].tolist())
    for name in classes:
        (target / name).mkdir(parents=True)
    for place, path in enumerate(photos):
        label = classes.index(path.parent.name)
        if place in chosen:
            label = (label + 1 + scalar(seed, place) % (len(classes) - 1)) % len(classes)
        shutil.copyfile(path, target / classes[label] / path.name)
    return {photos[place].name for place in chosen}


def plant_copies(source: Path, target: Path, seed: int) -> list[tuple[str, str, str]]:
    """Copy `train` and `test`, and put copies of training photos among the test photos: kind, copy, original."""
    shutil.copytree(source, target)
    photos = sorted(path for path in (source / "train").rglob("*") if path.is_file())
    planted = []
    for number, place in enumerate(permutation(len(photos), seed, 1)[:COPIES].tolist()):
        path = photos[place]
        name = f"copy-{number:02}.jpg"
        copy = target / "test" / path.parent.name / name
        if number % 2 == 0:
            kind = "same bytes"
            shutil.copyfile(path, copy)
        else:
            with Image.open(path) as image:
                picture = image.convert("RGB")
            if number % 4 == 1:
                kind, quality = "JPEG 50 to 90", int(np.linspace(50, 90, COPIES)[number])
            else:
                kind, quality = "half size", 85
                picture = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
            picture.save(copy, "JPEG", quality=quality)
        planted.append((kind, name, path.name))
    return planted


def peer(found: DatasetCheck, flipped: set[str]) -> str:
    """What cleanlab says of the same probabilities; dashes without it."""
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        return f"{'-':>23}  {'-':>6}"
    scores = get_label_quality_scores(found.labels, found.probabilities)
    marked = find_label_issues(found.labels, found.probabilities, filter_by="prune_by_class", n_jobs=1)
    first = np.argsort(scores, kind="stable")[: len(scores) // 10].tolist()
    share = sum(Path(found.images.path(row)).name in flipped for row in first) / len(flipped)
    return f"{share:>23.0%}  {int(marked.sum()):>6}"


if __name__ == "__main__":
    main()
