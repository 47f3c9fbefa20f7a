"""Summaries of networks: hubel against torchinfo, building included.

Claim: `hubel.summary("resnet152")`, which builds the network and also gives receptive fields, takes at most a third of
the time of building it on the CPU and running torchinfo on it.

The sides take turns in one process after a warm-up; medians are compared. Needs torchinfo.
Run: python benchmarks/summary.py [--rounds 7] [--model resnet152]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchinfo

import hubel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default="resnet152")
    options = parser.parse_args()

    def peer() -> object:
        return torchinfo.summary(hubel.create_model(options.model), input_size=(1, 3, 224, 224), verbose=0)

    def ours() -> object:
        return hubel.summary(options.model)

    ours()
    peer()
    pairs = [(seconds(peer), seconds(ours)) for _ in range(options.rounds)]
    theirs, mine = (1000 * statistics.median(side) for side in zip(*pairs, strict=True))
    each = " ".join(f"{a / b:.1f}" for a, b in pairs)
    print(f"{options.model}, {options.rounds} rounds, {torch.get_num_threads()} threads")
    print(f"build on the CPU and torchinfo  {theirs:>8.0f} ms")
    print(f"hubel.summary                   {mine:>8.0f} ms")
    print(f"ratio                           {theirs / mine:>8.1f}    pairs {each}")


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
