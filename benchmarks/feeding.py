"""Feeding a network: hubel's threads against the DataLoaders of torchvision v2, albumentations and timm.

Claims (2 cores; medians of rounds that take turns, each way in a process of its own; files in the page cache):
1. JPEG files to normalised float32 batches at 224 pixels, random resized crop and mirror image. Photos of 500x375: at
   least 1.5 times as fast as torchvision v2 with two workers, 0.9 times as albumentations with OpenCV's decoder; photos
   of 3000x2000: at least 4 times torchvision v2.
2. From kept pictures, with the policy "standard": at least 4 times that torchvision pipeline on 500x375.
3. is benchmarks/augmentation.py; 4, the same bytes for any number of threads, is tests/data/test_loading.py.
5. In 20 epochs over 1,000,000 small images, memory grows by less than 2 % after the second; files and threads stay.
6. CIFAR-10 from Parquet and Fashion-MNIST from IDX, mirrored (in colour) and moved: at least 50,000 images a second.

timm's loader stands beside for comparison. The photos are real ones, resized and saved anew with quality 90.
Run: python benchmarks/feeding.py [--only 1,2,5,6] [--rounds 5] [--seconds 4] [--peers FOLDER]
--peers is where albumentations is installed, if not beside hubel: pip install --target FOLDER albumentations
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from claims import Claims, chosen
from hubel.core.process import tune_process

SHARED = Path(__file__).parents[2] / "shared" / "data"
PEERS = Path(__file__).parent / "peers" / "feeding_peers.py"
SMALL, LARGE = (500, 375), (3000, 2000)
ROWS, SIDE = 1_000_000, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers of claims, such as 1,2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--photos", type=int, default=320, help="of 500x375; an eighth of them of 3000x2000")
    parser.add_argument("--peers", default="", help="a folder with albumentations")
    options = parser.parse_args()
    claims = Claims()
    with tempfile.TemporaryDirectory(prefix="hubel-feeding-") as folder:
        for number in chosen(options.only, ITEMS):
            ITEMS[number](options, Path(folder), claims)
    claims.close()


def photos(folder: Path, size: tuple[int, int], number: int) -> Path:
    """So many photos of one size, in two classes."""
    target = folder / f"{size[0]}x{size[1]}"
    if target.exists():
        return target
    files = sorted((SHARED / "imagenet-100").glob("*.JPEG")) + sorted((SHARED / "clothing").glob("train/*/*"))
    for name in ("a", "b"):
        (target / name).mkdir(parents=True)
    for i, file in enumerate(files[:number]):
        picture = Image.open(file).convert("RGB").resize(size, Image.Resampling.BICUBIC)
        picture.save(target / "ab"[i % 2] / f"{i:05}.jpg", quality=90)
    return target


def rates(options: argparse.Namespace, folder: Path, names: list[str]) -> dict[str, float]:
    """Images a second of each way; ways that cannot run are left out."""
    path = os.pathsep.join(filter(None, (options.peers, os.environ.get("PYTHONPATH", ""))))
    environment = {**os.environ, "PYTHONPATH": path, "NO_ALBUMENTATIONS_UPDATE": "1"}
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            command = [sys.executable, str(PEERS), name, str(folder), str(options.seconds)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            if done.returncode:
                print(f"    {name}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
                continue
            found[name].append(json.loads(done.stdout.splitlines()[-1]))
    result = {name: statistics.median(values) for name, values in found.items() if values}
    print("    " + ", ".join(f"{name} {rate:,.0f}/s" for name, rate in result.items()), flush=True)
    return result


def faster(claims: Claims, words: str, found: dict[str, float], ours: str, peer: str, least: float) -> None:
    if ours in found and peer in found:
        ratio = found[ours] / found[peer]
        claims.add(f"{words}: at least {least:g} times {peer}", f"{ratio:.2f}x", ratio >= least)


def from_files(options: argparse.Namespace, folder: Path, claims: Claims) -> None:
    print("1. from JPEG files", flush=True)
    found = rates(options, photos(folder, SMALL, options.photos), ["torchvision", "albumentations", "timm", "hubel"])
    faster(claims, "1: 500x375", found, "hubel", "torchvision", 1.5)
    faster(claims, "1: 500x375", found, "hubel", "albumentations", 0.9)
    found = rates(options, photos(folder, LARGE, options.photos // 8), ["torchvision", "albumentations", "hubel"])
    faster(claims, "1: 3000x2000", found, "hubel", "torchvision", 4)


def kept(options: argparse.Namespace, folder: Path, claims: Claims) -> None:
    print("2. from kept pictures", flush=True)
    names = ["torchvision", "hubel kept", "hubel kept standard"]
    found = rates(options, photos(folder, SMALL, options.photos), names)
    faster(claims, "2: 500x375, kept, standard", found, "hubel kept standard", "torchvision", 4)


class Synthetic:
    """Images that are a function of their number."""

    name, location = "synthetic", ""

    def listing(self):
        """A row for each."""
        from hubel.data.sources.listing import ListingBuilder

        builder = ListingBuilder()
        for row in range(ROWS):
            builder.add(f"{row}", "ab"[row % 2])
        return builder.build()

    def read(self, row: int, path: str) -> NDArray[np.uint8]:
        """One grey level."""
        return np.full((SIDE, SIDE, 3), row % 256, np.uint8)


def memory(options: argparse.Namespace, folder: Path, claims: Claims) -> None:
    print(f"5. 20 epochs over {ROWS:,} images of {SIDE}x{SIDE}", flush=True)
    tune_process()
    from hubel.data.augment import POLICIES
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess

    dataset = open_dataset(Synthetic())
    for keep in ("ram", "off"):
        # Without keeping, every epoch decodes all; a tenth of them is enough to see what grows.
        rows = dataset.rows() if keep == "ram" else dataset.rows()[::10]
        images = dataset.images(Preprocess(SIDE, SIDE), rows, threads=2, cache=keep)
        seen = []
        for epoch in range(20):
            for _ in images.epoch(0, epoch, 1024, POLICIES["light"]):
                pass
            seen.append((resident(), descriptors(), threading.active_count()))
        growth = max(size for size, *_ in seen[2:]) / seen[1][0] - 1
        steady = len({others for _, *others in map(tuple, seen[1:]) for others in [tuple(others)]}) == 1
        claims.add(
            f"5: keep {keep}, growth after the second epoch below 2 %",
            f"{growth:+.2%} of {seen[1][0]:.0f} MiB",
            growth < 0.02,
        )
        claims.add(
            f"5: keep {keep}, files and threads stay", f"{seen[1][1:]} after 2, {seen[-1][1:]} after 20 epochs", steady
        )


def resident() -> float:
    """MiB of this process's memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise SystemExit("claim 5 needs Linux")


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def small(options: argparse.Namespace, folder: Path, claims: Claims) -> None:
    print("6. small images", flush=True)
    tune_process()
    from hubel.data.augment import find_policy
    from hubel.data.dataset import open_dataset
    from hubel.data.preprocess import Preprocess

    for name, channels, side in (("cifar10", 3, 32), ("fashion-mnist", 1, 28)):
        preprocess = Preprocess(side, side, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
        images = open_dataset(SHARED / name).images(preprocess, threads=2)
        what, found = find_policy("auto", channels=channels, size=side), []
        for epoch in range(options.rounds + 1):
            started = time.perf_counter()
            for batch in images.epoch(0, epoch, 512, what):
                images.network_input(batch.pixels)
            found.append(len(images) / (time.perf_counter() - started))
        rate = statistics.median(found[1:])  # the first epoch decodes
        claims.add(f"6: {name}, normalised: at least 50,000/s", f"{rate:,.0f}/s", rate >= 50_000)


ITEMS = {1: from_files, 2: kept, 5: memory, 6: small}

if __name__ == "__main__":
    main()
