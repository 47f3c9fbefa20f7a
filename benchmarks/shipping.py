"""Exported files against the script that people write: photos in, classes out, whole processes timed.

Claims (2 cores, CPU; by their numbers in the issue that asked for them):
1. `hubel predict FILE FOLDER -o OUT.csv`, whole process, with the layouts of EfficientNet-Lite0 and ResNet-50: in int8
   at least 4 times, in float at least 1.6 times as fast as timm in eager torch (DataLoader, 2 workers, batch 32), and
   at least 0.85 of the slower of pure decoding and pure computing, each of which has both cores to itself.
2. `hubel predict model.onnx photo.jpg`: under 1 s, and at most a quarter of the time of that script on one photo.
4. int8 of EfficientNet-Lite0 gives at least 95 of 100 ImageNet photos the class that float gives, calibrated on other
   photos; the clothing classifier (--run) loses at most 1 point of accuracy on the 293 test photos.
5. The same class for every photo: batches of 1, 7 and 32, command and Python, torch, ONNX Runtime and OpenVINO.
(6, the server, is benchmarks/serving.py; 3 is tests/contract.)

What both cores could do at best, if decoding and computing shared them without loss, is 1 / (1/decoding + 1/computing);
it is printed beside 1, since where both take about as long, 0.85 of the slower one is out of reach.
ResNet-50 has random weights, and batch norms that have seen photos. The engine of a file is measured before (claim 1
counts it apart, since it happens once).
Run: python benchmarks/shipping.py [--only 1,2,4,5] [--photos 1000] [--rounds 3] [--run FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cached_property
from pathlib import Path

import numpy as np

from claims import Claims, chosen

SHARED = Path(__file__).parents[2] / "shared" / "data"
PHOTOS = SHARED / "imagenet-100"
CLOTHING = SHARED / "clothing"
PEER = Path(__file__).parent / "peers" / "plain_predict.py"
NETWORKS = {"efficientnet_lite0": "tf_efficientnet_lite0", "resnet50": "resnet50"}  # ours: timm's
GAINS = {"float": 1.6, "int8": 4.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers of claims, such as 1,2")
    parser.add_argument("--photos", type=int, default=1000, help="in the folder of claim 1: copies of 100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--run", type=Path, help="the folder of a run on clothing, for claim 4")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubel-shipping-") as folder:
        os.environ["HUBEL_CACHE"] = str(Path(folder) / "cache")
        bench = Bench(options, Path(folder))
        for number in chosen(options.only, CLAIMS):
            CLAIMS[number](bench)
    bench.claims.close()


class Bench:
    """What the claims share."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.claims = Claims()
        self.counter = itertools.count()

    @cached_property
    def photos(self) -> Path:
        """Copies of the 100 photos: what is decoded and computed is what as many others would cost."""
        place = self.folder / "photos"
        place.mkdir()
        originals = sorted(PHOTOS.glob("*.JPEG")) or sorted(PHOTOS.rglob("*.jp*g"))
        for number in range(self.options.photos):
            original = originals[number % len(originals)]
            (place / f"{number:05}.jpg").write_bytes(original.read_bytes())
        return place

    @cached_property
    def resnet50(self) -> Path:
        """A model file with random weights."""
        import torch

        from hubel.data.dataset import open_dataset
        from hubel.weights.card import ModelCard
        from hubel.weights.imagenet import imagenet_classes
        from hubel.weights.model_file import save_model
        from hubel.weights.pretrained import find_weights

        torch.manual_seed(0)
        card = ModelCard("resnet50", imagenet_classes(), find_weights("resnet50", "default").preprocess)
        network = card.create().train()
        images = open_dataset(PHOTOS, labelled=False).images(card.preprocess)
        with torch.no_grad():
            for batch in itertools.islice(images.in_sequence(16), 4):
                network(images.network_input(batch.pixels))
        save_model(path := self.folder / "resnet50.safetensors", network.state_dict(), card)
        return path

    def exported(self, network: str, precision: str) -> Path:
        """An exported file; in 8 bits calibrated on the clothing photos, which no network here was made for."""
        path = self.folder / f"{network}.{precision}.onnx"
        if not path.exists():
            model = str(self.resnet50) if network == "resnet50" else network
            # Without labels of ImageNet's classes the share of equal answers decides, which claim 4 wants to be 95 %.
            # With random weights a thousand classes are nearly equal in score, and it says nothing.
            most = "100" if network == "resnet50" else "5"
            words = ["--int8", "--data", str(CLOTHING / "train"), "--max-drop", most] if precision == "int8" else []
            print(hubel("export", model, "-o", str(path), *words)[1].strip(), flush=True)
        return path

    def out(self) -> Path:
        """A new file for answers."""
        return self.folder / f"{next(self.counter)}.csv"


def hubel(*words: str) -> tuple[float, str]:
    """Seconds of a whole process, and what it prints."""
    return timed([sys.executable, "-m", "hubel", *words])


def timed(words: list[str]) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(words, capture_output=True, text=True, encoding="utf-8")
    if done.returncode not in (0, 3):
        raise SystemExit(f"{' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return time.perf_counter() - started, done.stdout


def bulk(bench: Bench) -> None:
    """Claim 1."""
    n = bench.options.photos
    for network in bench.options.networks.split(","):
        print(f"\n1. {network}, {n:,} photos", flush=True)
        files = {precision: bench.exported(network, precision) for precision in GAINS}
        for precision, file in files.items():
            seconds, _ = hubel("predict", str(file), str(bench.photos), "-o", str(bench.out()))
            print(f"  {precision}: first use, the engine being chosen, {seconds:.1f} s", flush=True)
        taken: dict[str, list[float]] = {"peer": [], **{precision: [] for precision in files}}
        for _ in range(bench.options.rounds):
            peer = [sys.executable, str(PEER), NETWORKS[network], str(bench.photos), str(bench.out())]
            taken["peer"].append(timed(peer)[0])
            for precision, file in files.items():
                taken[precision].append(hubel("predict", str(file), str(bench.photos), "-o", str(bench.out()))[0])
            print("  " + ", ".join(f"{who} {times[-1]:.1f} s" for who, times in taken.items()), flush=True)
        decoding = decoding_rate(files["float"], bench.photos)
        for precision, file in files.items():
            ratio = statistics.median(a / b for a, b in zip(taken["peer"], taken[precision], strict=True))
            rate, (engine, computing) = n / statistics.median(taken[precision]), computing_rate(file)
            slower, both = min(decoding, computing), 1 / (1 / decoding + 1 / computing)
            claim = f"{network} {precision}: times the peer's speed, claim {GAINS[precision]}"
            bench.claims.add(claim, f"{ratio:.1f} ({rate:.0f} images/s, {engine})", ratio >= GAINS[precision])
            words = f"{network} {precision}: of the slower of decoding {decoding:.0f} and computing {computing:.0f}"
            bench.claims.add(
                f"{words}, claim 0.85",
                f"{rate / slower:.2f}; of both together {rate / both:.2f}",
                rate >= 0.85 * slower,
            )


def decoding_rate(file: Path, photos: Path) -> float:
    """Images a second that both cores decode and resize when nothing else is done."""
    from concurrent.futures import ThreadPoolExecutor

    from hubel.core.resources import usable_cores
    from hubel.data.inputs import collect
    from hubel.inference.onnx_file import read_onnx

    preprocess, items = read_onnx(file).card.preprocess, list(collect([photos]))
    rates = []
    for _ in range(3):
        started = time.perf_counter()
        with ThreadPoolExecutor(usable_cores()) as pool:
            for _ in pool.map(lambda item: preprocess.apply(item.decode(preprocess.min_size).pixels), items):
                pass
        rates.append(len(items) / (time.perf_counter() - started))
    return statistics.median(rates)


def computing_rate(file: Path) -> tuple[str, float]:
    """The fastest engine of a file, and the images a second that it runs on both cores when nothing else is done."""
    from hubel.core.resources import usable_cores
    from hubel.inference.engines.registry import open_onnx
    from hubel.inference.engines.selection import images_per_second
    from hubel.inference.exported import Exported
    from hubel.inference.stream import batch_size

    model = Exported(file)
    engine, p, lanes = model.fastest(), model.card.preprocess, usable_cores()
    pixels = np.random.default_rng(0).integers(0, 256, (batch_size(p), p.height, p.width, p.channels), np.uint8)
    run = open_onnx(engine, model.file.model, lanes=lanes)
    return engine, statistics.median(images_per_second(run, pixels, lanes=lanes, seconds=3) for _ in range(3))


def start(bench: Bench) -> None:
    """Claim 2."""
    print("\n2. one photo", flush=True)
    file, photo = bench.exported("efficientnet_lite0", "float"), sorted(PHOTOS.glob("*"))[0]
    one = bench.folder / "one"
    one.mkdir()
    (one / "photo.jpg").write_bytes(photo.read_bytes())
    peer = [sys.executable, str(PEER), "tf_efficientnet_lite0", str(one), str(bench.out()), "--workers", "0"]
    ours, theirs = [], []
    for _ in range(max(5, bench.options.rounds)):
        ours.append(hubel("predict", str(file), str(one / "photo.jpg"))[0])
        theirs.append(timed(peer)[0])
    seconds, ratio = statistics.median(ours), statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    bench.claims.add("seconds for one photo, claim under 1.0", f"{seconds:.2f}", seconds < 1)
    words = f"{ratio:.2f} (timm {statistics.median(theirs):.2f} s)"
    bench.claims.add("of the time of the script with timm, claim at most 0.25", words, ratio <= 0.25)


def classes_of(model: str, folder: Path, out: Path, *words: str) -> dict[str, str]:
    """The class of each photo, from the command."""
    hubel("predict", model, str(folder), "-o", str(out), *words)
    with out.open(encoding="utf-8", newline="") as file:
        return {Path(row["path"]).name: row["class"] for row in csv.DictReader(file)}


def int8(bench: Bench) -> None:
    """Claim 4."""
    print("\n4. what 8 bits change", flush=True)
    exact, rounded = (
        classes_of(str(bench.exported("efficientnet_lite0", precision)), PHOTOS, bench.out()) for precision in GAINS
    )
    same = sum(rounded[name] == best for name, best in exact.items())
    bench.claims.add(f"of {len(exact)} ImageNet photos have the class of float, claim 95", str(same), same >= 95)
    if bench.options.run:
        from hubel.inference.onnx_file import read_onnx

        out = bench.folder / "clothing.onnx"
        print(hubel("export", str(bench.options.run), "-o", str(out), "--int8", "--data", str(CLOTHING))[1])
        found = read_onnx(out).facts["int8"]
        drop = 100 * (found["accuracy_before"] - found["accuracy_after"])
        words = (
            f"{drop:.2f} ({found['accuracy_before']:.2%} to {found['accuracy_after']:.2%}, {found['images']} photos)"
        )
        bench.claims.add("points of accuracy lost by the clothing classifier, claim at most 1", words, drop <= 1)


def same_everywhere(bench: Bench) -> None:
    """Claim 5; the server is compared by benchmarks/serving.py."""
    print("\n5. the same class everywhere", flush=True)
    from hubel.data.inputs import collect
    from hubel.inference.engines.registry import installed_onnx_engines, open_onnx
    from hubel.inference.load import load

    for precision in GAINS:
        file = bench.exported("efficientnet_lite0", precision)
        model = load(file)
        p, names = model.card.preprocess, [Path(item.name).name for item in collect([PHOTOS])]
        pixels = np.stack([p.apply(item.decode(p.min_size).pixels) for item in collect([PHOTOS])])
        found = {"Python": dict(zip(names, model.predict(sorted(map(str, PHOTOS.iterdir()))), strict=True))}
        for engine in installed_onnx_engines():
            found[f"command, {engine}"] = classes_of(str(file), PHOTOS, bench.out(), "--engine", engine)
            run = open_onnx(engine, model.file.model, lanes=1)  # type: ignore[attr-defined]
            for size in (1, 7, 32):
                parts = [run(pixels[i : i + size]) for i in range(0, len(pixels), size)]
                best = np.concatenate(parts).argmax(1)
                found[f"{engine}, batches of {size}"] = {n: model.classes[i] for n, i in zip(names, best, strict=True)}
        if precision == "float":
            found["torch"] = classes_of("efficientnet_lite0", PHOTOS, bench.out())
        first = found["Python"]
        other = {who: sum(row[n] != first[n] for n in first) for who, row in found.items()}
        words = (
            ", ".join(f"{who}: {n} others" for who, n in other.items() if n)
            or f"all of {len(first)} in {len(found)} ways"
        )
        bench.claims.add(f"{precision}: the same class for every photo", words, not any(other.values()))


CLAIMS = {1: bulk, 2: start, 4: int8, 5: same_everywhere}

if __name__ == "__main__":
    main()
