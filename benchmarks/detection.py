"""Detection: pedestrians of Penn-Fudan, found after one command, and measured twice.

Claims: with the last 50 photos by name as the test and no other setting, AP50 is at least 0.90 and AP at least 0.60
after at most 20 minutes on 2 cores, the whole process counted; `pycocotools` measures the same APs on these very
detections, to 1e-6, in many times the time; and with --peer fcos, torchvision's FCOS in its reference loop reaches less
on the same photos with the same trunk, weights, input, threads and minutes (benchmarks/peers/torchvision_fcos.py).
SSDlite is no peer here: no package carries ImageNet weights of its backbone.

Run: python benchmarks/detection.py --data penn-fudan [--minutes 20] [--size HxW] [--threads 2] [--seed 0] [--peer fcos]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from hubel import load, train
from hubel.data import Annotation
from hubel.inference import Detections
from hubel.metrics import measure_detections
from hubel.tasks.detect import found_boxes

TEST = 50  # photos


def split_folder(data: Path, folder: Path) -> Path:
    """Copy photos and masks, with an annotation file for each split: the last 50 photos by name are the test."""
    for name in ("images", "masks"):
        shutil.copytree(data / name, folder / name)
    everything = json.loads((data / "annotations.json").read_text())
    images = sorted(everything["images"], key=lambda image: image["file_name"])
    for split, chosen in (("train", images[:-TEST]), ("test", images[-TEST:])):
        numbers = {image["id"] for image in chosen}
        marked = [one for one in everything["annotations"] if one["image_id"] in numbers]
        part = {"images": chosen, "annotations": marked, "categories": everything["categories"]}
        (folder / f"{split}.json").write_text(json.dumps(part))
    return folder


def by_pycocotools(
    found: Sequence[Detections], truth: Sequence[Annotation], classes: Sequence[str]
) -> tuple[float, float]:
    """Return AP and AP50 as COCO's own tool computes them."""

    def entries(image: int, classes: Any, boxes: Any) -> list[dict[str, Any]]:
        sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        return [
            {"image_id": image, "category_id": int(c), "bbox": box.tolist(), "area": float(box[2] * box[3])}
            for c, box in zip(classes, sides, strict=True)
        ]

    objects = [one for i, t in enumerate(truth) for one in entries(i, t.classes, t.boxes)]
    crowd = np.concatenate([t.crowd for t in truth])
    objects = [one | {"id": n + 1, "iscrowd": int(crowd[n])} for n, one in enumerate(objects)]
    answers = [one for i, f in enumerate(found) for one in entries(i, f.classes, f.boxes)]
    scores = np.concatenate([f.scores for f in found])
    with contextlib.redirect_stdout(io.StringIO()):
        tool = COCO()
        tool.dataset = {
            "info": {},
            "images": [{"id": i} for i in range(len(truth))],
            "annotations": objects,
            "categories": [{"id": number} for number in range(len(classes))],
        }
        tool.createIndex()
        judged = COCOeval(
            tool, tool.loadRes([a | {"score": float(s)} for a, s in zip(answers, scores, strict=True)]), "bbox"
        )
        judged.evaluate()
        judged.accumulate()
        judged.summarize()
    return float(judged.stats[0]), float(judged.stats[1])


def peer(data: Path, size: str, minutes: float, threads: int | None) -> dict[str, float]:
    """Train torchvision's FCOS on the same folder, in a process of its own, and return what it measured."""
    script = Path(__file__).parent / "peers" / "torchvision_fcos.py"
    command = [sys.executable, str(script), str(data), "--size", size, "--minutes", str(minutes)]
    command += ["--threads", str(threads)] if threads else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--size")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--peer", choices=["fcos"])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = split_folder(given.data, Path(folder) / "penn-fudan")
        started = time.monotonic()
        wanted = {name: getattr(given, name) for name in ("epochs", "size", "threads", "seed")}
        recipe = {"task": "detect", "max_minutes": given.minutes, **{key: v for key, v in wanted.items() if v}}
        run = train(str(data), recipe, out=Path(folder) / "run")
        minutes = (time.monotonic() - started) / 60
        numbers = run.evaluation.to_json()
        print(f"AP50 {numbers['ap50']:.3f}, AP {numbers['ap']:.3f}, {minutes:.1f} minutes, {numbers['n']} test photos")

        model = load(Path(folder) / "run")
        images = run.evaluation.images
        found = found_boxes(model, images)
        truth = [images.annotation(at) for at in range(len(images))]
        started = time.monotonic()
        ours = measure_detections(found, truth, model.classes)
        ours_s, started = time.monotonic() - started, time.monotonic()
        theirs = by_pycocotools(found, truth, model.classes)
        theirs_s = time.monotonic() - started
        apart = max(abs(ours.ap - theirs[0]), abs(ours.ap50 - theirs[1]))
        print(f"pycocotools: AP50 {theirs[1]:.6f}, AP {theirs[0]:.6f}; apart by {apart:.1e}")
        print(f"it takes {theirs_s / ours_s:.1f} times as long ({theirs_s:.2f} s)")
        if given.peer:
            size = f"{model.card.preprocess.height}x{model.card.preprocess.width}"
            told = peer(data, size, given.minutes, given.threads)
            ratio = numbers["ap"] / max(told["ap"], 1e-9)
            print(
                f"torchvision's FCOS: AP50 {told['ap50']:.3f}, AP {told['ap']:.3f}, {told['epochs']:.1f} epochs", end=""
            )
            print(f" in the same minutes; hubel has {ratio:.2f} times its AP")


if __name__ == "__main__":
    main()
