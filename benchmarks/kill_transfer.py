"""Kill transfer training at random moments on a cold cache, and let two processes train on one cold cache at once.

Claim: however often a run is killed, while it indexes, stores features, tunes or reports, it goes on from what is
there, and at its end model, measurements and epochs are byte for byte those of a run that nobody disturbed. Two
processes that fill the same cache at the same time end the same way. Nothing unfinished is left behind after the next
start, in the folder of the run or in the cache, and no process ever ends with a traceback.

POSIX only, as `kill_resume.py`, which has the rest. Run: python benchmarks/kill.py transfer [--kills 100] [--pairs 20]
"""

from __future__ import annotations

import os
import random
import shutil
import sys
from pathlib import Path

from kill_resume import fork, import_everything, in_child, same

TRANSFER = [
    *("--model=resnet20", "--options.depths=1,1,1", "--freeze=stage2", "--engine=torch", "--views=2", "--epochs=3"),
    *("--batch-size=16", "--checkpoint-minutes=0", "--threads=1", "--loading-threads=0", "--cache=disk"),
]


class Runs:
    """Runs on the photos of a folder, compared with one left alone."""

    def __init__(self, work: Path) -> None:
        self.work, self.cache, self.log = work, work / "cache", work / "log.txt"
        self.counts = dict.fromkeys(("kills", "runs completed", "pairs", "identical", "leftovers", "tracebacks"), 0)
        make_photos(work / "photos")
        make_model(work / "base.safetensors")
        import_everything()
        os.environ["HUBEL_CACHE"] = str(self.cache)
        self.seconds = fork(self.command("alone"), self.log).seconds
        if not (work / "alone" / "metrics.json").exists():
            raise SystemExit(self.log.read_text())

    def command(self, name: str) -> list[str]:
        """Start a run, or resume it once it has begun."""
        out = self.work / name
        if (out / "config.json").exists():
            return ["train", "--resume", "--out", str(out)]
        weights = f"--weights={self.work / 'base.safetensors'}"
        return ["train", str(self.work / "photos"), *TRANSFER, weights, "--out", str(out)]

    def kill(self, kills: int, luck: random.Random) -> None:
        """Kill and resume until there have been enough kills and the last run has come to its end."""
        shutil.rmtree(self.cache)
        while self.counts["kills"] < kills or (self.work / "run").exists():
            after = luck.random() * self.seconds if self.counts["kills"] < kills else None
            ended = fork(self.command("run"), self.log, after=after)
            self.counts["kills"] += ended.code is None
            done = ended.code is None and (self.work / "run" / "metrics.json").exists()
            if done:  # only the process had not ended: the next one says that there is nothing to resume
                fork(self.command("run"), self.log)
            if done or ended.code is not None:
                self.compare(["run"], [ended.code or 0], self.log.read_text())

    def pair(self, pairs: int) -> None:
        """Start two processes at once on a cold cache, again and again."""
        names = ["one", "other"]
        for _ in range(pairs):
            logs = [self.work / f"{name}.txt" for name in names]
            children = [start(self.command(name), log) for name, log in zip(names, logs, strict=True)]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
            self.counts["pairs"] += 1
            self.compare(names, codes, "".join(log.read_text() for log in logs))

    def compare(self, names: list[str], codes: list[int], said: str) -> None:
        """Count what the runs of a cache have come to, and begin anew without them."""
        left = [path for path in self.work.rglob(".*") if path.suffix in (".tmp", ".lock")]
        good = [
            code == 0 and same(self.work / name, self.work / "alone") for name, code in zip(names, codes, strict=True)
        ]
        self.counts["runs completed"] += len(names)
        self.counts["identical"] += sum(good)
        self.counts["leftovers"] += len(left)
        self.counts["tracebacks"] += said.count("Traceback")
        if left or not all(good):
            print(f"{names} ended with {codes}, left {left} and said:\n{said}", file=sys.stderr)
        for name in (*names, "cache"):
            shutil.rmtree(self.work / name, ignore_errors=True)


def start(command: list[str], log: Path) -> int:
    """Run a command in a child, and return the number of the process."""
    child = os.fork()
    if child == 0:
        in_child(command, log, os.open(os.devnull, os.O_WRONLY), None)
    return child


def make_photos(folder: Path) -> None:
    """Pictures of two classes, of which one is brighter."""
    import numpy as np
    from PIL import Image

    for number in range(80):
        path = folder / ("dark", "light")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 200, (18, 20, 3)) + 55 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(path)


def make_model(path: Path) -> None:
    """The network whose features are used: random weights are as good as any here."""
    import torch

    from hubel.data import Preprocess
    from hubel.weights.card import ModelCard
    from hubel.weights.model_file import save_model

    torch.manual_seed(0)
    card = ModelCard("resnet20", ("a", "b", "c"), Preprocess(16, 16), {"depths": "1,1,1"})
    save_model(path, card.create().state_dict(), card)


def campaign(work: Path, luck: random.Random, *, kills: int, pairs: int) -> tuple[dict[str, int], bool]:
    """Kill a run as often as asked, then start as many pairs."""
    runs = Runs(work)
    runs.kill(kills, luck)
    runs.pair(pairs)
    counts = runs.counts
    return counts, counts["runs completed"] == counts["identical"] and not counts["leftovers"] + counts["tracebacks"]
