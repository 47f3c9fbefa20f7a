"""Runs with the same test images are compared image by image, and the marks say what is chance."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from hubel.metrics.intervals import compare_paired, wilson
from hubel.training.run_comparison import differences_to_best
from hubel.training.run_folder import summarise_runs


def run(folder: Path, right: list[bool], digest: str = "a", *, table: bool = True) -> None:
    """Write what `hubel runs` reads of a run that predicted so."""
    folder.mkdir(parents=True)
    config = {
        "hubel": "0.2.0",
        "data": "photos",
        "xo": None,
        "recipe": {"network": {"model": "linear"}},
        "fingerprint": "",
    }
    (folder / "config.json").write_text(json.dumps(config))
    numbers = {"n": len(right), "top1": sum(right) / len(right), "macro_f1": 0.5, "images_digest": digest}
    (folder / "metrics.json").write_text(json.dumps(numbers))
    if table:
        with (folder / "predictions.csv").open("w", newline="") as file:
            csv.writer(file).writerows(
                [
                    ["path", "label", "prediction"],
                    *([f"{i}.png", "cat", "cat" if hit else "dog"] for i, hit in enumerate(right)),
                ]
            )


def test_runs_on_the_same_images(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    best = rng.random(200) < 0.95
    near, far, other = best & (rng.random(200) < 0.99), best & (rng.random(200) < 0.7), rng.random(200) < 0.5
    for name, right in {"best": best, "near": near, "far": far}.items():
        run(tmp_path / name, right.tolist())
    run(tmp_path / "other", other.tolist(), "b")
    run(tmp_path / "old", other.tolist(), table=False)
    run(tmp_path / "longer", [*other.tolist(), True])
    found = summarise_runs(tmp_path)
    differences = {one.path.name: difference for one, difference in zip(found, differences_to_best(found), strict=True)}
    assert differences["best"] is differences["other"] is differences["old"] is differences["longer"] is None
    assert differences["near"] == compare_paired(near, best)
    assert differences["near"].may_be_chance
    assert differences["far"] == compare_paired(far, best)
    assert not differences["far"].may_be_chance
    first = found[0]
    assert first.path.name == "best"
    assert first.interval == wilson(int(best.sum()), 200)


def test_damaged_tables_are_passed_over(tmp_path: Path) -> None:
    for name in ("one", "two", "three", "four"):
        run(tmp_path / name, [True, False, True])
    (tmp_path / "two" / "predictions.csv").write_bytes(b"\xff\xfe\n")
    (tmp_path / "three" / "predictions.csv").write_text("path,label,prediction\nx\n")
    (tmp_path / "four" / "metrics.json").write_text('{"n": 3, "top1": 0.5, "images_digest": 7}')
    found = summarise_runs(tmp_path)
    assert differences_to_best(found) == [None] * 4
