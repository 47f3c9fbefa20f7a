"""Distillation: what a teacher gives to a small network, over seeds, and what it costs.

Claims (each by its number in the issue that asked for it):
2. CIFAR-10, 30 epochs: ResNet-56 teaches ResNet-20. Mean accuracy over 3 seeds at least 0.5 points above that of the
   same run without a teacher; once the teacher's answers are stored, its epochs take at most 1.15 times as long.
3. Clothing: EfficientNet-Lite0, tuned on 200 photos, teaches MobileNet v1 at width 0.25 with these and 800 photos
   without labels. Mean accuracy over 3 seeds at least 2 points above that of the student that has the 200 alone, and as
   many steps. The student's int8 file, its latency and its accuracy are told beside the teacher's.

Both sides have the same images to validate: of CIFAR-10 each tenth training image, of the clothes 20 of the 200.
Every run is a folder in --out: what is finished is read, what was stopped goes on, so the script can be stopped and
started at will (each run also by itself: --runs teacher,0-alone,0-taught).
Run: python benchmarks/distillation.py --only 2 --out FOLDER [--seeds 3] [--epochs 30] [--images 0] [--loss kd]
A trial in minutes: --only 2 --images 2000 --epochs 2 --seeds 1; --only 3 --seeds 1 --small
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hubel
from claims import Claims, chosen
from hubel.evaluation import compare_models
from hubel.export import export

DATA = Path(__file__).parents[2] / "shared" / "data"
VAL = 5_000
PHOTOS, HELD_OUT = 200, 20
BATCH = 32
RESULT = "benchmark.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers of claims, such as 2,3")
    parser.add_argument("--out", type=Path, default=Path("distillation-runs"), help="folder of all runs")
    parser.add_argument("--data", type=Path, default=DATA, help="a folder with cifar10/ and clothing/")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=30, help="of claim 2")
    parser.add_argument("--images", type=int, default=0, help="training images of claim 2; 0 takes every one")
    parser.add_argument("--small", action="store_true", help="claim 3 in minutes: see Effort")
    parser.add_argument("--loss", default="kd", help="kd, dkd, dist, mse or hint")
    parser.add_argument("--runs", default="", help="only these, such as teacher,0-alone; claims need all of them")
    parser.add_argument("--threads", type=int, default=0, help="of every run; 0 leaves it to hubel")
    options = parser.parse_args()
    bench = Bench(options)
    for number in chosen(options.only, ITEMS):
        ITEMS[number](bench)
    bench.claims.close()


class Bench:
    """Runs in folders, each made once."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.claims = options, Claims()
        self.wanted = {name for name in options.runs.split(",") if name}

    def skips(self, name: str) -> bool:
        """Tell whether only other runs are wanted."""
        return bool(self.wanted) and name not in self.wanted

    def run(self, data: Path, out: Path, recipe: Mapping[str, Any]) -> dict[str, float] | None:
        """Train into a folder, or go on there; return accuracy, minutes and the teacher's; None if it was stopped."""
        if not (out / RESULT).exists():
            threads = {"threads": self.options.threads} if self.options.threads else {}
            begun = (out / "config.json").exists()
            done = hubel.resume(out) if begun else hubel.train(data, {**recipe, **threads}, out=out)
            if done.stopped_by:
                raise SystemExit(f"{out}: stopped; start again to go on")
            teacher = done.seconds.get("teacher", 0.0) / 60
            speed = [float(row["images_per_second"]) for row in _history(out)]
            found = {"accuracy": done.accuracy, "minutes": done.minutes - teacher, "teacher_minutes": teacher}
            found["images_per_second"] = statistics.median(speed) if speed else 0.0
            (out / RESULT).write_text(json.dumps(found))
        found = json.loads((out / RESULT).read_text())
        print(f"    {out.name}: " + ", ".join(f"{name} {value:.4g}" for name, value in found.items()), flush=True)
        return dict(found)


def _history(out: Path) -> list[dict[str, str]]:
    lines = (out / "metrics.csv").read_text().splitlines() if (out / "metrics.csv").exists() else [""]
    return [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]


def points(values: list[float]) -> str:
    spread = f" +- {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * statistics.mean(values):.2f} %{spread} (n = {len(values)})"


# 2: ResNet-56 teaches ResNet-20 -----------------------------------------------------------------------------


def cifar(bench: Bench) -> None:
    """ResNet-56 teaches ResNet-20 on CIFAR-10."""
    options = bench.options
    data, out = options.out / "cifar10", options.out / f"cifar10-{options.epochs}-{options.images}"
    _cifar_with_val(options.data / "cifar10", data)
    common: dict[str, Any] = {"epochs": options.epochs, **({"images": options.images} if options.images else {})}
    if not bench.skips("teacher"):
        bench.run(data, out / "teacher", {"model": "resnet56", **common})
    taught = {"teacher": out / "teacher", "teacher_views": options.epochs, "distill_loss": options.loss}
    if options.loss == "hint":
        del taught["teacher_views"]
    found: dict[str, list[dict[str, float]]] = {"alone": [], "taught": []}
    names = {"alone": "alone", "taught": f"taught-{options.loss}"}
    for seed in range(options.seeds):
        for kind, more in (("alone", {}), ("taught", taught)):
            if not bench.skips(f"{seed}-{kind}"):
                recipe = {"model": "resnet20", "seed": seed, **common, **more}
                if (one := bench.run(data, out / f"{seed}-{names[kind]}", recipe)) is not None:
                    found[kind].append(one)
    if min(map(len, found.values())) < options.seeds:
        return
    alone, with_teacher = ([one["accuracy"] for one in found[kind]] for kind in ("alone", "taught"))
    gain = 100 * (statistics.mean(with_teacher) - statistics.mean(alone))
    said = f"{gain:+.2f}: alone {points(alone)}, taught {points(with_teacher)}"
    bench.claims.add("ResNet-20 taught by ResNet-56, points, at least +0.5", said, gain >= 0.5)
    ratios = [b["minutes"] / a["minutes"] for a, b in zip(found["alone"], found["taught"], strict=True)]
    each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    stored = ", ".join(f"{one['teacher_minutes']:.1f}" for one in found["taught"])
    bench.claims.add(
        "time of the epochs, at most 1.15 times",
        f"median {statistics.median(ratios):.2f} ({each}); minutes for the answers: {stored}",
        statistics.median(ratios) <= 1.15,
    )


def _cifar_with_val(source: Path, target: Path) -> None:
    """Write CIFAR-10 with a fixed split to validate."""
    import pyarrow.parquet as pq

    if target.exists():
        return
    making = target.with_name("cifar10.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    whole = pq.read_table(source / "train.parquet")  # by class
    held_out = np.arange(len(whole)) % (len(whole) // VAL) == 0
    pq.write_table(whole.filter(~held_out), making / "train.parquet")
    pq.write_table(whole.filter(held_out), making / "validation.parquet")
    shutil.copy(source / "test.parquet", making / "test.parquet")
    making.rename(target)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much is computed for claim 3; the small form shows the direction, and is no proof.

    Attributes:
        pixels: sides of the student's input.
        epochs: of the taught student, over the 1,000 photos; the other one takes as many steps.
        views: of each photo that the teacher answers for.
        freeze: of the teacher: its head alone is trained in the small form.
    """

    pixels: int = 128
    epochs: int = 60
    views: int = 16
    freeze: str | None = None


SMALL = Effort(pixels=64, epochs=12, views=3, freeze="all")


# 3: few labels, many photos ---------------------------------------------------------------------------------


def clothing(bench: Bench) -> None:
    """EfficientNet-Lite0 teaches MobileNet v1 at width 0.25, with photos without labels."""
    options = bench.options
    out = options.out / ("clothing-small" if options.small else "clothing")
    found: dict[str, list[dict[str, float]]] = {"alone": [], "taught": [], "teacher": []}
    effort = SMALL if options.small else Effort()
    student = {"model": "mobilenet_v1", "options": {"width": "0.25"}, "weights": "none", "size": effort.pixels}
    student |= {"batch_size": BATCH}
    for seed in range(options.seeds):
        labelled, more = _few_labels(options.data / "clothing", out / f"photos-{seed}", seed)
        teacher = out / f"{seed}-teacher"
        steps = effort.epochs * _steps(more, labelled) // _steps(None, labelled)
        taught = {"teacher": teacher, "unlabelled": more, "teacher_views": effort.views, "distill_loss": options.loss}
        runs: dict[str, tuple[str, dict[str, Any]]] = {
            "teacher": ("teacher", {"model": "efficientnet_lite0", "freeze": effort.freeze}),
            "alone": ("alone", {**student, "epochs": steps}),
            "taught": (f"taught-{options.loss}", {**student, "epochs": effort.epochs, **taught}),
        }
        for kind, (name, recipe) in runs.items():
            if bench.skips(f"{seed}-{kind}"):
                continue
            if (one := bench.run(labelled, out / f"{seed}-{name}", {**recipe, "seed": seed})) is not None:
                found[kind].append(one)
    if min(map(len, found.values())) < options.seeds:
        return
    alone, with_teacher = ([one["accuracy"] for one in found[kind]] for kind in ("alone", "taught"))
    gain = 100 * (statistics.mean(with_teacher) - statistics.mean(alone))
    said = f"{gain:+.2f}: alone {points(alone)}, taught {points(with_teacher)}"
    said += f", teacher {points([one['accuracy'] for one in found['teacher']])}"
    bench.claims.add("MobileNet v1 0.25 taught with 800 photos without labels, points, at least +2", said, gain >= 2)
    _ship(bench, out, options.loss)


def _few_labels(source: Path, target: Path, seed: int) -> tuple[Path, Path]:
    """Copy 200 photos with labels, as many of each class as is its share, all of test, and the other 800 without."""
    labelled, more = target / "labelled", target / "more"
    if not target.exists():
        making = target.with_name(f"{target.name}.making")
        shutil.rmtree(making, ignore_errors=True)
        files = sorted((source / "train").rglob("*.jpg"))
        order = np.random.default_rng(seed).permutation(len(files))
        place = dict.fromkeys({file.parent.name for file in files}, 0)
        number = {kind: sum(file.parent.name == kind for file in files) for kind in place}
        rank = []
        for at in order:
            kind = files[at].parent.name
            rank.append((place[kind] / number[kind], int(at)))
            place[kind] += 1
        few = [at for _, at in sorted(rank)[:PHOTOS]]
        folder, seen = {}, dict.fromkeys(place, 0)
        for at in few:  # of each class every tenth validates
            kind = files[at].parent.name
            folder[at] = "labelled/train" if seen[kind] % (PHOTOS // HELD_OUT) else "labelled/val"
            seen[kind] += 1
        for at, file in enumerate(files):
            to = making / (f"{folder[at]}/{file.parent.name}" if at in folder else "more") / file.name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
        shutil.copytree(source / "test", making / "labelled" / "test")
        making.rename(target)
    return labelled, more


def _steps(more: Path | None, labelled: Path) -> int:
    """Return the steps of an epoch."""
    images = len(list((labelled / "train").rglob("*.jpg"))) + (len(list(more.iterdir())) if more else 0)
    return -(-images // BATCH)


def _ship(bench: Bench, out: Path, loss: str) -> None:
    """Tell what the int8 file of the student is and does, beside the teacher's."""
    labelled = out / "photos-0" / "labelled"
    runs = {"student": out / f"0-taught-{loss}", "teacher": out / "0-teacher"}
    exported = [out / f"{name}-int8.onnx" for name in runs]
    for run, file in zip(runs.values(), exported, strict=True):
        if not file.exists():
            export(run, file, int8=True, data=str(labelled), max_drop=1.0)
    found = compare_models([runs["teacher"], runs["student"], out / "0-alone", *exported], labelled)
    for row in (found.columns, *(row.cells() for row in found.rows)):
        print(" | ".join(row))


ITEMS = {2: cifar, 3: clothing}

if __name__ == "__main__":
    main()
