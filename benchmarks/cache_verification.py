"""Cost of verifying the caches in a second run.

Claim: a second `hubel train PHOTOS --freeze all --cache disk` spends at most 3 % of its time on verifying what is in
the caches: the index, the decoded images, the activations, and the digest of each image that it decodes again.

Each run is a process of its own on caches that a first run has filled; in every other one the functions that verify are
replaced by such as do nothing. The ratio is that of the medians: of the processor time, and of the time by the clock.
Run: python benchmarks/cache_verification.py PHOTOS [--pairs 7] [--flags "--model resnet20"]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hubel.data import Decoded, Index, Source

FLAGS = ["--freeze", "all", "--cache", "disk"]
LIMIT = 1.03
VERIFYING, NOT = "verifying", "not verifying"


class Anything(bytes):
    """Equal to whatever it is compared with."""

    __hash__ = bytes.__hash__

    def __eq__(self, other: object) -> bool:
        return True


def without_verification() -> None:
    """Replace what reads a cache to verify it."""
    from hubel.data import decode_cache, decoded, index
    from hubel.features import store

    def whole(folder: Path, *, manifest: str) -> bool:
        return (folder / manifest).exists()

    def indexed(source: Source, known: Index, row: int, min_size: tuple[int, int]) -> Decoded:
        return index.decode_row(source, row, known.paths[row], min_size)[0]

    index.is_whole = whole
    decoded.decode_indexed = indexed
    store._verify = lambda folder: None
    decode_cache._seal = lambda pixels: Anything()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--child", choices=[VERIFYING, NOT], help=argparse.SUPPRESS)
    parser.add_argument("--flags", default="", help='more flags of train, such as --flags="--model resnet20"')
    options = parser.parse_args()
    if options.child:
        from hubel.cli import main as hubel

        if options.child == NOT:
            without_verification()
        hubel(["train", str(options.photos), *FLAGS, *options.flags.split()])
    with tempfile.TemporaryDirectory(prefix="hubel-verify-") as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Fill the caches, and time pairs of runs on them."""
    environment = {**os.environ, "HUBEL_CACHE": str(folder / "cache")}
    times: dict[str, list[tuple[float, float]]] = {VERIFYING: [], NOT: []}

    def run(kind: str) -> tuple[float, float]:
        words = [sys.executable, __file__, str(options.photos.resolve()), "--child", kind, f"--flags={options.flags}"]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return cpu, time.monotonic() - started

    first = run(VERIFYING)
    for kind in times:  # once each, not counted: byte code, pages of the caches
        run(kind)
    for number in range(options.pairs):
        for kind in (VERIFYING, NOT) if number % 2 else (NOT, VERIFYING):
            times[kind].append(run(kind))
    print(f"first run: {first[0]:.2f} s of the processor, {first[1]:.2f} s")
    good = True
    for place, name in enumerate(("processor", "clock")):
        with_it, without = (statistics.median(pair[place] for pair in times[kind]) for kind in (VERIFYING, NOT))
        good = good and (place > 0 or with_it <= LIMIT * without)
        print(f"second run, {name}: {with_it:.2f} s verifying, {without:.2f} s not: {with_it / without:.3f}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
