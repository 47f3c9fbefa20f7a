"""Claim: two numbers, fitted on 1, 2 and 4 processes, foretell the processor time of a step on 3.

    python benchmarks/processes_cost.py measure --data DATA   # a step of ResNet-20 in the exact mode, batches of 128
    python benchmarks/processes_cost.py predict               # many GPUs, from numbers that are said to be assumed

The model: a step of n images on N ranks takes, of all processors together,

    compute * n  +  exchange * (N - 1)

where `exchange` is what each further rank costs: its own step of the optimizer, its part of the sums, its messages. A
third number for messages between all pairs is not to be told from noise on so few ranks. Processor time is measured,
as other work changes it less than the clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

BATCH, FITTED, CHECKED = 128, (1, 2, 4), 3


def seconds_of_step(data: Path, ranks: int, model: str) -> float:
    """Return the processor time of a step, of all ranks together."""
    script = Path(__file__).with_name("processes.py")
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
    own = [str(script), "rank", "--data", str(data), "--models", model, "--way", "exact"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    out = subprocess.run([*launcher, *own], check=True, capture_output=True, text=True, env=environment)
    return float(BATCH / json.loads(out.stdout.splitlines()[-1])["processor"])


def measure(data: Path, model: str, rounds: int) -> None:
    found: dict[int, float] = {}
    for ranks in (*FITTED, CHECKED):
        found[ranks] = statistics.median(seconds_of_step(data, ranks, model) for _ in range(rounds))
        print(f"{model}, {ranks} ranks: {1000 * found[ranks]:.1f} ms of processor time a step", flush=True)
    terms = np.array([[BATCH, ranks - 1] for ranks in FITTED], float)
    (compute, exchange), *_ = np.linalg.lstsq(terms, np.array([found[ranks] for ranks in FITTED]), rcond=None)
    print(f"compute {1e3 * compute:.3f} ms an image, exchange {1e3 * exchange:.2f} ms for each further rank")
    told = BATCH * compute + exchange * (CHECKED - 1)
    print(f"{CHECKED} ranks: foretold {1000 * told:.1f} ms, {told / found[CHECKED]:.3f} of what was measured")


def predict(asked: argparse.Namespace) -> None:
    """Print what a step and an epoch take on many GPUs, and what the index does."""
    size = 4 * asked.weights / 2**30
    for images, gpus in ((1_281_167, 64), (1_281_167, 1024), (1e9, 1024)):
        compute = asked.images_per_gpu / asked.images_per_second
        moved = 2 * (gpus - 1) / gpus * size / asked.bandwidth
        messages = 2 * (gpus - 1) * asked.latency
        step = {"exact": compute + moved + messages, "fast": max(compute, moved + messages)}
        readers = asked.images_per_second * asked.decode
        index = images * asked.decode / (gpus * asked.cores)
        for way, seconds in step.items():
            epoch = images / (gpus * asked.images_per_gpu) * seconds
            print(
                f"{images:>13,.0f} images, {gpus:>5} GPUs, {way:<5}: step {1000 * seconds:5.1f} ms, "
                f"{compute / seconds:4.0%} of it computing, epoch {epoch:6.1f} s"
            )
        print(
            f"{'':>13} {readers:.1f} cores a GPU decode; the index takes {index:.1f} s once, and "
            f"{images * asked.row / 2**30:.2f} GiB in each process"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["measure", "predict"])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--weights", type=float, default=25.6e6, help="of ResNet-50")
    parser.add_argument("--images-per-gpu", type=int, default=64)
    parser.add_argument("--images-per-second", type=float, default=2500, help="of one GPU alone; assumed")
    parser.add_argument("--bandwidth", type=float, default=23.0, help="GiB/s of each GPU to the others; assumed")
    parser.add_argument("--latency", type=float, default=5e-6, help="seconds of a message; assumed")
    parser.add_argument("--decode", type=float, default=2.5e-3, help="seconds of a core for a photo of 500x375")
    parser.add_argument("--cores", type=int, default=8, help="a GPU; assumed")
    parser.add_argument("--row", type=float, default=150, help="bytes of a row of the index, with its name")
    asked = parser.parse_args()
    if asked.what == "measure":
        measure(asked.data, asked.model, asked.rounds)
    else:
        predict(asked)


if __name__ == "__main__":
    main()
