"""The same answers everywhere: what a model says beside the class, in each way to ask it.

Claims, for a model of clothes (EfficientNet-Lite0, head only) with a hierarchy and a matrix of costs, on 393 photos
(293 test photos of clothes, 100 of ImageNet): class and expected cost, novelty and "unknown", 95 % prediction sets, and
the deepest answer that is 90 % sure are equal in Python on torch, on the command line, over HTTP, and of the exported
file on ONNX Runtime and on OpenVINO. Numbers differ by rounding; an answer can only differ where a number is that near
to its threshold. `--int8` adds the exported file in int8, which is another network, and says by how much.

Run: python benchmarks/alike.py [--run RUN] [--data SHARED] [--out FOLDER] [--int8]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import hubel
from hierarchy import SHARED, trained
from hubel.data import collect
from hubel.export import export
from hubel.inference import Prediction
from hubel.inference.classifier import Classifier
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings
from hubel.weights import read_card

COVERAGE, SURE = 0.95, 0.9
NUMBERS = {"novelty": "novelty", "expected_cost": "cost", "ancestor_score": "sure score", "score": "score"}
ANSWERS = {"class": "class", "unknown": "unknown", "set": "set", "ancestor": "sure answer"}
Row = Mapping[str, Any]


def costs_file(classes: Sequence[str], file: Path) -> Path:
    """Write costs: 1 for an error, but 5 to take shoes or a hat for something else, 0.3 for one top as another."""
    tops = {"longsleeve", "shirt", "t-shirt"}

    def cost(true: str, predicted: str) -> float:
        if true == predicted:
            return 0.0
        return 5.0 if true in ("shoes", "hat") else 0.3 if {true, predicted} <= tops else 1.0

    lines = [["true", *classes], *([true, *(f"{cost(true, other)}" for other in classes)] for true in classes)]
    file.write_text("".join(",".join(line) + "\n" for line in lines))
    return file


def row_of(one: Prediction) -> Row:
    (name, score), *_ = one.ranking
    label_set = sorted(one.label_set or ())
    return {
        "class": name, "score": score, "expected_cost": one.expected_cost, "novelty": one.novelty, "set": label_set,
        "unknown": one.unknown, "ancestor": one.ancestor, "ancestor_score": one.ancestor_score,
    }  # fmt: skip


def in_python(model: Classifier, photos: Sequence[Path]) -> list[Row]:
    return [row_of(one) for _, one in model.rank(collect(photos), coverage=COVERAGE, sure=SURE)]


def on_the_command_line(run: Path, costs: Path, photos: Sequence[Path]) -> list[Row]:
    asked = ["--coverage", str(COVERAGE), "--sure", str(SURE), "--costs", str(costs), "--device", "cpu", "--jsonl"]
    command = [sys.executable, "-m", "hubel", "predict", str(run), "-", *asked]
    listed = "\n".join(map(str, photos)).encode()
    lines = subprocess.run(command, input=listed, capture_output=True, check=True).stdout.splitlines()
    return [row | {"set": sorted(entry["class"] for entry in row["set"])} for row in map(json.loads, lines)]


def over_http(model: Classifier, photos: Iterable[Path]) -> list[Row]:
    found = []
    with running_server({"model": model}, ServerSettings(port=0)) as url:
        connection = HTTPConnection("127.0.0.1", urlsplit(url).port or 0)
        for photo in photos:
            path = f"/v1/predict?top=1&coverage={COVERAGE}&sure={SURE}"
            connection.request("POST", path, photo.read_bytes(), {"content-type": "image/jpeg"})
            (image,) = json.loads(connection.getresponse().read())["images"]
            names = sorted(entry["class"] for entry in image["set"])
            found.append(image | image["top"][0] | {"set": names})
    return found


def compare(way: str, found: Sequence[Row], expected: Sequence[Row]) -> None:
    pairs = list(zip(found, expected, strict=True))
    # The score and its sum belong to the answer; where that is another, the number is another one, too.
    same = [(a, b) for a, b in pairs if all(a[key] == b[key] for key in ANSWERS)]
    numbers = [f"{name} {max(abs(a[key] - b[key]) for a, b in same):.1g}" for key, name in NUMBERS.items()]
    others = [f"{name} {sum(a[key] != b[key] for a, b in pairs)}" for key, name in ANSWERS.items()]
    print(f"{way:22} largest differences: {', '.join(numbers)}; other answers of {len(pairs)}: {', '.join(others)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="of a model of clothes; one is trained if not given")
    parser.add_argument("--data", type=Path, default=SHARED)
    parser.add_argument("--out", type=Path, default=Path("runs/hierarchy"))
    parser.add_argument("--int8", action="store_true", help="the exported file in int8, too")
    options = parser.parse_args()
    run = options.run or trained(options.data, options.out)
    costs = costs_file(read_card(run / "model.safetensors").classes, options.out / "costs.csv")
    clothes = sorted((options.data / "clothing" / "test").rglob("*.jpg"))
    photos = [*clothes, *sorted((options.data / "imagenet-100").glob("*.JPEG"))]
    model = hubel.load(run / "model.safetensors", device="cpu", costs=costs)
    expected = in_python(model, photos)
    groups = set(model.card.parents.values())
    print(
        f"{len(photos)} photos in Python on torch: {sum(row['unknown'] for row in expected)} unknown, "
        f"{sum(len(row['set']) > 1 for row in expected)} sets of several classes, "
        f"{sum(row['ancestor'] in groups for row in expected)} answers with a group, "
        f"{sum(row['ancestor'] is None for row in expected)} with none"
    )
    compare("command line", on_the_command_line(run, costs, photos), expected)
    compare("HTTP", over_http(model, photos), expected)
    for int8 in (False, True)[: 1 + options.int8]:
        file = options.out / f"model{'.int8' * int8}.onnx"
        export(run, file, int8=int8, data=str(options.data / "clothing"))
        for engine in installed_onnx_engines():
            exported = hubel.load(file, engine=engine, costs=costs)
            compare(f"{engine}{' int8' * int8}", in_python(exported, photos), expected)


if __name__ == "__main__":
    main()
