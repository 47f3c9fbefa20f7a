"""Transfer learning on 1,293 photos of clothes: hubel against the scripts that people write, whole processes timed.

Claims (2 cores, CPU; each by its number in the issue that asked for it):
1. ResNet-50, frozen trunk, a head for 1,000 photos: from the shell to the trained head at least 12 times as fast as 5
   epochs of the usual way (torch eager, contiguous, through the trunk in every epoch), and at least 40 times as fast as
   20 epochs. What the test photos take, which hubel measures in float32 as the usual way does, is told beside it.
2. `hubel train PHOTOS` without flags: a first model is saved within 35 s, all is done within 120 s, and at least 90.5 %
   of the 293 test photos are right.
3. The same with few photos, mean of 5 draws: at least 84 % with 20 a class, at least 75 % with 5 a class.
4. A second `hubel train` on the same photos with another head: under 10 s, whole process.
5. A head loses at most 0.5 points where features are computed in int8 rather than float32.
7. An epoch in which all weights learn is no slower than in a plain PyTorch loop in channels-last memory.
(6, label errors and duplicates, is benchmarks/data_check.py.)

Each whole process is started from here with a cache that is empty, unless said otherwise. The peers of 1 and 2 are
benchmarks/peers/. ResNet-50 has random weights; its batch norms have the statistics of some of the photos, as those of
every trained network have. The usual way of 1 is run for one epoch on --images photos and computed from that:
start-up + epochs x (first batch + photos x seconds a photo) + evaluation; --whole runs its 5 epochs, and computes 20.
In 7, hubel mirrors and shifts the images, averages the weights, and holds the batch norms, as `hubel train` does.
Run: python benchmarks/transfer.py [--only 1,2,7] [--whole] [--draws 5] [--rounds 3]
A trial of the script itself, in minutes: --photos 60 --images 40 --draws 1 --rounds 1 --tuned-images 32
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from claims import Claims, chosen

CLOTHING = Path(__file__).parents[2] / "shared" / "data" / "clothing"
PEERS = Path(__file__).parent / "peers"
FIRST_MODEL = "a first model is saved"
FEW = {20: 0.84, 5: 0.75}  # photos a class: claimed accuracy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="numbers of claims, such as 1,2,7")
    parser.add_argument("--data", type=Path, default=CLOTHING, help="a folder with train/CLASS/ and test/CLASS/")
    parser.add_argument("--photos", type=int, default=0, help="training photos in all; 0 takes every one")
    parser.add_argument("--images", type=int, default=200, help="photos that the usual way of claim 1 is measured on")
    parser.add_argument("--whole", action="store_true", help="run the usual way's 5 epochs on all photos")
    parser.add_argument("--draws", type=int, default=5, help="of few photos")
    parser.add_argument("--limit", type=float, default=1200, help="seconds after which a peer is given up")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of loops of claim 7")
    parser.add_argument("--tuned-images", type=int, default=160, help="an epoch of claim 7")
    parser.add_argument("--threads", type=int, default=0, help="of every process; 0 leaves it to each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hubel-transfer-") as folder:
        bench = Bench(options, Path(folder))
        print(f"{bench.photos}: {bench.n:,} photos to train, {bench.n_test:,} to test; {os.cpu_count()} cores\n")
        for number in chosen(options.only, ITEMS):
            ITEMS[number](bench)
    bench.claims.close()


# Whole processes ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A `hubel train` from the shell."""

    seconds: float
    first: float  # seconds until the first model was saved; nan if none was
    accuracy: float
    said: str

    @property
    def phases(self) -> str:
        """What `hubel train` says of its phases, in a line."""
        rows = re.findall(r"^  (\S.*\S) {2,}([\d.]+ s)\s*$", self.said, re.MULTILINE)
        return ", ".join(f"{name} {seconds}" for name, seconds in rows)


@dataclass
class Bench:
    """What the items share: the photos, a place for caches and runs, the claims so far."""

    options: argparse.Namespace
    folder: Path
    claims: Claims = field(default_factory=Claims)
    runs: int = 0

    @cached_property
    def photos(self) -> Path:
        """All of them, or a folder with as many as asked for."""
        if not self.options.photos:
            return self.options.data
        per_class = max(2, self.options.photos // len(list((self.options.data / "train").iterdir())))
        return draw(self.options.data, self.folder / "photos", {"train": per_class, "test": per_class}, seed=0)

    @cached_property
    def n(self) -> int:
        """Training photos."""
        return sum(path.is_file() for path in (self.photos / "train").rglob("*"))

    @cached_property
    def n_test(self) -> int:
        """Test photos."""
        return sum(path.is_file() for path in (self.photos / "test").rglob("*"))

    def environment(self, cache: str) -> dict[str, str]:
        """Of a process: which cache it has, and how many threads if that was asked for."""
        threads = {"OMP_NUM_THREADS": str(self.options.threads)} if self.options.threads else {}
        return {**os.environ, "HUBEL_CACHE": str(self.folder / cache), **threads}

    def hubel(self, *flags: str, photos: Path | None = None, cache: str = "") -> Trained:
        """Run `hubel train`; without the name of a cache it gets an empty one of its own."""
        self.runs += 1
        place = self.folder / f"run-{self.runs}"
        place.mkdir()
        threads = ["--threads", str(self.options.threads)] if self.options.threads else []
        command = [sys.executable, "-m", "hubel", "train", str((photos or self.photos).resolve()), *flags, *threads]
        environment = self.environment(cache or f"cache-{self.runs}")
        first, lines, started = float("nan"), [], time.perf_counter()
        with (place / "stdout").open("w") as out:
            child = subprocess.Popen(command, cwd=place, env=environment, stdout=out, stderr=subprocess.PIPE, text=True)
            for line in child.stderr:
                lines.append(line)
                if FIRST_MODEL in line:
                    first = time.perf_counter() - started
            code = child.wait()
        seconds, said = time.perf_counter() - started, "".join(lines)
        if code:
            raise SystemExit(f"{' '.join(command)} failed with exit code {code}:\n{said}")
        metrics = json.loads(next(place.glob("runs/*/metrics.json")).read_text())
        if not cache:
            shutil.rmtree(self.folder / f"cache-{self.runs}", ignore_errors=True)
        return Trained(seconds, first, metrics["top1"], said + (place / "stdout").read_text())

    def peer(self, script: str, *flags: str) -> tuple[float, dict[str, Any]]:
        """Run one of `peers/`: its seconds, and what it measured or {"failed": reason}."""
        command = [sys.executable, str(PEERS / script), str(self.photos.resolve()), *flags]
        started = time.perf_counter()
        limit = self.options.limit
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, cwd=self.folder, env=self.environment("none"),
                check=False, timeout=limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return limit, {"failed": f"not done after {limit:.0f} s"}
        seconds = time.perf_counter() - started
        if done.returncode:
            return seconds, {"failed": (done.stderr.strip().splitlines() or ["no message"])[-1]}
        return seconds, json.loads(done.stdout.splitlines()[-1])

    def part(self, name: str, **given: Any) -> Any:
        """What a function of peers/transfer_parts.py says, in a process of its own."""
        command = [sys.executable, str(PEERS / "transfer_parts.py"), name, json.dumps(given)]
        environment = self.environment("parts")
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        return json.loads(done.stdout.splitlines()[-1])

    @cached_property
    def plain_run(self) -> Trained:
        """`hubel train PHOTOS`, without flags, with a cache that is empty before."""
        return self.hubel(cache="plain")


def draw(source: Path, target: Path, per_class: dict[str, int], seed: int) -> Path:
    """Copy so many photos of each class, drawn by the seed; 0 copies all."""
    for split, number in per_class.items():
        for folder in sorted((source / split).iterdir()):
            files = sorted(folder.iterdir())
            order = np.random.default_rng((seed, sum(folder.name.encode()))).permutation(len(files))
            chosen = order[:number] if number else order
            (target / split / folder.name).mkdir(parents=True)
            for place in chosen.tolist():
                shutil.copyfile(files[place], target / split / folder.name / files[place].name)
    return target


# The claims -----------------------------------------------------------------------------------------------


def frozen_resnet50(bench: Bench) -> None:
    print("1. a head on a frozen ResNet-50", flush=True)
    weights = bench.folder / "resnet50.safetensors"
    bench.part("resnet50_weights", photos=str(bench.photos), to=str(weights))
    flags = ("--model", "resnet50", "--weights", str(weights))
    ours = bench.hubel(*flags, "--freeze", "all")
    print(f"    hubel: {ours.seconds:.1f} s, first model after {ours.first:.1f} s ({ours.phases})", flush=True)
    print("".join(f"      {line}\n" for line in ours.said.splitlines() if "run by" in line), end="")
    images = 0 if bench.options.whole else bench.options.images
    epochs = 5 if bench.options.whole else 1
    test = "0" if bench.options.whole else str(max(2, images * bench.n_test // bench.n))
    wall, usual = bench.peer(
        "plain_transfer.py", *flags, "--epochs", str(epochs), "--images", str(images), "--test-images", test
    )
    if "failed" in usual:
        raise SystemExit(f"peers/plain_transfer.py failed: {usual['failed']}")
    start = wall - sum(one["first"] + one["rest"] for one in usual["epochs"]) - usual["evaluation"]
    first = statistics.median(one["first"] for one in usual["epochs"])
    rest = statistics.median(one["rest"] for one in usual["epochs"]) * bench.n / usual["images"]
    evaluation = usual["evaluation"] * bench.n_test / usual["test_images"]
    print(
        f"    the usual way: start-up {start:.1f} s, an epoch of {bench.n:,} {first + rest:.1f} s, evaluation "
        f"{evaluation:.1f} s, from {epochs} epochs of {usual['images']:,} photos"
    )
    for number, least in ((5, 12), (20, 40)):
        measured = bench.options.whole and number == epochs
        whole = wall if measured else start + number * (first + rest) + evaluation
        theirs, how = whole - evaluation, "measured" if measured else "extrapolated"
        bench.claims.add(
            f"1: frozen ResNet-50, {number} epochs' worth, start to trained head: at least {least}x",
            f"{theirs / ours.first:.1f}x: {theirs:.0f} s ({how}) / {ours.first:.1f} s; with test photos and report "
            f"{whole / ours.seconds:.1f}x: {whole:.0f} s / {ours.seconds:.1f} s",
            theirs / ours.first >= least,
        )


def without_flags(bench: Bench) -> None:
    print("2. hubel train PHOTOS", flush=True)
    ours = bench.plain_run
    rows = [("hubel train PHOTOS", f"{ours.accuracy:.1%}", f"{ours.first:.1f}", f"{ours.seconds:.1f}")]
    for name, script in (("plain PyTorch script", "plain_transfer.py"), ("fastai fine_tune(4)", "fastai_transfer.py")):
        seconds, measured = bench.peer(script)
        if "failed" in measured:
            rows.append((name, "-", "-", measured["failed"]))
        else:
            rows.append((name, f"{measured['accuracy']:.1%}", "-", f"{seconds:.1f}"))
    print(f"\n    {'EfficientNet-Lite0':<24}{'accuracy':>14}{'first model s':>15}{'whole process s':>17}")
    for name, accuracy, first, seconds in rows:
        print(f"    {name:<24}{accuracy:>14}{first:>15}{seconds:>17}")
    print("\n" + "".join(f"      {line}\n" for line in ours.said.splitlines() if line.strip()))
    bench.claims.add("2: first model within 35 s", f"{ours.first:.1f} s", ours.first <= 35)
    bench.claims.add("2: all within 120 s", f"{ours.seconds:.1f} s", ours.seconds <= 120)
    bench.claims.add("2: at least 90.5 % right", f"{ours.accuracy:.1%}", ours.accuracy >= 0.905)


def few_photos(bench: Bench) -> None:
    print(
        "3. few photos (a plain probe: scikit-learn's logistic regression on features of the centre crop)", flush=True
    )
    for number, least in FEW.items():
        ours, plain = [], []
        for seed in range(bench.options.draws):
            photos = draw(bench.photos, bench.folder / f"few-{number}-{seed}", {"train": number, "test": 0}, seed)
            trained = bench.hubel(photos=photos)
            ours.append(trained.accuracy)
            plain.append(bench.part("plain_probe", photos=str(photos)))
            print(
                f"    {number:>2} a class, draw {seed}: {ours[-1]:.1%} in {trained.seconds:.0f} s, "
                f"plain probe {plain[-1]:.1%}",
                flush=True,
            )
            shutil.rmtree(photos)
        mean, beside = statistics.mean(ours), statistics.mean(plain)
        bench.claims.add(
            f"3: {number} photos a class, mean of {len(ours)} draws: at least {least:.0%}",
            f"{mean:.1%} (plain probe {beside:.1%})",
            mean >= least,
        )


def another_head(bench: Bench) -> None:
    print("4. another head on the same photos", flush=True)
    other = ("--freeze", "all", "--seed", "1", "--label-smoothing", "0.05")
    before = bench.plain_run
    print(f"    before: hubel train PHOTOS, {before.seconds:.1f} s")
    second = bench.hubel(*other, cache="plain")
    print(f"    second: {second.phases}")
    bench.claims.add(
        "4: second run, after one without flags: under 10 s", f"{second.seconds:.1f} s", second.seconds < 10
    )
    before = bench.hubel("--freeze", "all", cache="head-only")
    print(f"    before: hubel train PHOTOS --freeze all, {before.seconds:.1f} s")
    second = bench.hubel(*other, cache="head-only")
    print(f"    second: {second.phases}")
    bench.claims.add(
        "4: second run, after one with --freeze all: under 10 s", f"{second.seconds:.1f} s", second.seconds < 10
    )


def int8_features(bench: Bench) -> None:
    print("5. features in int8", flush=True)
    found = bench.part("int8_heads", photos=str(bench.photos), threads=bench.options.threads)
    print(f"    {found['engine']}")
    exact, rounded, shipped = (found[name] for name in ("float", "int8", "shipped"))
    print(f"    the same class for {found['agreement']:.1%} of the test photos, mean over seeds of folds")
    if found["precision"] != "int8":
        bench.claims.add("5: features in int8", f"not measured: they are in {found['precision']}", False)
        return
    for what, accuracy in (("on int8 features", rounded), ("fitted to int8 features, in the float network", shipped)):
        lost = 100 * (exact - accuracy)
        bench.claims.add(
            f"5: a head {what} loses at most 0.5 points",
            f"{lost:+.2f} points lost: {accuracy:.2%}, float {exact:.2%}",
            lost <= 0.5 + 1e-9,
        )


def full_tuning(bench: Bench) -> None:
    n = bench.options.tuned_images
    print(f"7. all weights learn: batches of 32, AdamW, {n} images an epoch, images/s in the second epoch", flush=True)
    bench.part("pixels", photos=str(bench.photos), n=n, to=str(bench.folder / "pixels.npz"))
    arrays, threads = str(bench.folder / "pixels.npz"), bench.options.threads
    for precision in ("float32", "auto"):
        pairs, held = [], []
        for _ in range(bench.options.rounds):
            given = {"arrays": arrays, "precision": precision, "threads": threads}
            theirs = bench.part("plain_loop", **given, hold_norms=False)
            mine = bench.part("hubel_loop", **given)
            pairs.append((theirs["rate"], mine["rate"]))
            held.append(bench.part("plain_loop", **given, hold_norms=True)["rate"])
        theirs_rate, my_rate = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        each = ", ".join(f"{b / a:.2f}" for a, b in pairs)
        bench.claims.add(
            f"7: full fine-tuning, {precision} ({mine['precision']} on both sides): ratio at least 1.0",
            f"{ratio:.2f} (pairs {each}): plain {theirs_rate:.1f}, hubel {my_rate:.1f} images/s; "
            f"plain with batch norms held, as hubel holds them: {statistics.median(held):.1f}",
            ratio >= 1.0,
        )


ITEMS = {1: frozen_resnet50, 2: without_flags, 3: few_photos, 4: another_head, 5: int8_features, 7: full_tuning}


if __name__ == "__main__":
    main()
