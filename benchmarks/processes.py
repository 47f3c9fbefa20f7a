"""Claims: weights have the same bits on 1, 2 and 4 processes; what that costs beside plain DistributedDataParallel.

    python benchmarks/processes.py bits --data DATA            # three tasks, each on 1, 2 and 4 processes
    python benchmarks/processes.py speed --data DATA           # images/s of exact, fast and hand-written DDP, in turn

DATA holds the folders cifar10 and clothing. `--images 2000` shortens both. Each process has one thread.

`bits` prints the SHA-256 of each model.safetensors. `speed` starts the ranks itself by torchrun, alternates the ways in
one call, and prints ratios of medians: exact on 2 ranks x 1 thread against 1 rank x 2 threads (at least 0.9), exact
against DDP with the same ranks (at least 0.85), fast against DDP (at least 1.0). Beside other work, the ratios of
processor time are the ones to read, of the step that took least: it is what others have disturbed least.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from hubel.core.group import current_group
from hubel.data.samples import Batch
from hubel.data.shares import step_sizes
from hubel.training.execute import build_trainer, training_context
from hubel.training.plan import Plan
from hubel.training.processes.join import joining_ranks
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training

#: Batches that do not divide the data.
TASKS = {
    "resnet20": ("cifar10", ["--model", "resnet20", "--weights", "none", "--epochs", "2", "--batch-size", "96"]),
    "transfer": ("clothing", ["--epochs", "2", "--batch-size", "28"]),
    "autoencoder": ("cifar10", ["--task", "reconstruct", "--epochs", "2", "--batch-size", "120"]),
}
STEPS = 12


def bits(data: Path, images: int | None, worlds: list[int]) -> None:
    for task, (name, flags) in TASKS.items():
        found = {}
        for world in worlds:
            with tempfile.TemporaryDirectory() as out:
                some = [] if images is None else ["--images", str(images)]
                command = [sys.executable, "-m", "hubel", "train", str(data / name), *flags, *some, "--threads", "1"]
                started = time.monotonic()
                subprocess.run(
                    [*command, "--processes", str(world), "--out", f"{out}/run"], check=True, capture_output=True
                )
                digest = hashlib.sha256((Path(out) / "run" / "model.safetensors").read_bytes()).hexdigest()
                found[world] = digest
                print(f"{task:<12} {world} processes  {digest}  {time.monotonic() - started:6.1f} s", flush=True)
        print(f"{task:<12} {'equal' if len(set(found.values())) == 1 else 'DIFFERENT'}", flush=True)


def images_per_second(plan: Plan, way: str) -> tuple[float, float]:
    """Return images a second: by the clock, and of the best step by processor time, of all ranks together."""
    group = current_group()
    torch.manual_seed(0)
    network = plan.create()
    n, size = plan.loop.batch_size, plan.preprocess
    pixels = torch.randint(0, 256, (n, size.height, size.width, size.channels)).byte().numpy()
    rows = np.arange(n)
    if way == "ddp":
        part = np.array_split(rows, group.world)[group.rank]
        network = network.to(memory_format=torch.channels_last).train()
        model = DistributedDataParallel(network) if group.world > 1 else network
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, nesterov=True, fused=True)
        targets = torch.from_numpy(plan.train.targets[part])

        def step() -> None:
            optimizer.zero_grad()
            x = plan.train.images.network_input(pixels[part])
            with torch.autocast("cpu", plan.precision, enabled=plan.precision != torch.float32):
                out = model(x)
            F.cross_entropy(out.float(), targets).backward()
            optimizer.step()
    else:
        trainer = build_trainer(plan, network)
        share = trainer.share
        if share is None:
            batches = [Batch(rows, pixels)]
        else:
            parts = np.array_split(rows, share.shards)
            batches = [Batch(part, pixels[part]) for part in (parts[shard] for shard in share.owned(n))]

        def step() -> None:
            for take in trainer.steps(plan.train, iter(batches), step_sizes(n, 1)):
                trainer.meet(0, take(0.01, 0, 0, 0))

    for _ in range(2):
        step()
    current_group().gather(b"")
    started, used = time.perf_counter(), []
    for _ in range(STEPS):
        before = time.process_time()
        step()
        used.append(time.process_time() - before)
    spent = current_group().gather(json.dumps(min(used)).encode())
    return STEPS * n / (time.perf_counter() - started), n / sum(map(json.loads, spent))


def rank(data: Path, model: str, way: str, threads: int, shards: int | None) -> None:
    """Measure one way, as one rank of the group, and print the speed."""
    recipe = Recipe(
        model=model,
        weights="none",
        size=32,
        batch_size=128,
        threads=threads,
        images=1000,
        cache="off",
        processes=1,
        fast_reduce=way == "fast",
        shards=shards,
    )
    with joining_ranks(recipe.machine) as group:
        plan = plan_training(str(data / "cifar10"), recipe)
        with training_context(plan):
            clock, processor = images_per_second(plan, way)
        if group.first:
            print(json.dumps({"clock": clock, "processor": processor}), flush=True)


def speed(data: Path, models: list[str], shards: int | None, rounds: int) -> None:
    ways = {
        "exact 2x1": ("exact", 2, 1),
        "exact 1x2": ("exact", 1, 2),
        "ddp 2x1": ("ddp", 2, 1),
        "fast 2x1": ("fast", 2, 1),
    }
    for model in models:
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (way, world, threads) in ways.items():
                launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={world}"]
                own = [__file__, "rank", "--data", str(data), "--models", model, "--way", way, f"--threads={threads}"]
                own += [] if shards is None else [f"--shards={shards}"]
                environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
                out = subprocess.run([*launcher, *own], check=True, capture_output=True, text=True, env=environment)
                found[name].append(json.loads(out.stdout.splitlines()[-1]))
                told = found[name][-1]
                print(f"{model} {name} {told['clock']:8.1f} images/s, {told['processor']:8.1f} a core", flush=True)
        for kind in ("clock", "processor"):
            median = {name: statistics.median(one[kind] for one in values) for name, values in found.items()}
            for above, below in (("exact 2x1", "exact 1x2"), ("exact 2x1", "ddp 2x1"), ("fast 2x1", "ddp 2x1")):
                print(f"{model}, by the {kind}: {above} / {below} = {median[above] / median[below]:.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bits", "speed", "rank"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int)
    parser.add_argument("--worlds", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--models", nargs="+", default=["resnet20", "resnet18"])
    parser.add_argument("--way", default="exact")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=int, help="of a batch; as hubel decides if not given")
    asked = parser.parse_args()
    if asked.what == "bits":
        bits(asked.data, asked.images, asked.worlds)
    elif asked.what == "speed":
        speed(asked.data, asked.models, asked.shards, asked.rounds)
    else:
        rank(asked.data, asked.models[0], asked.way, asked.threads, asked.shards)


if __name__ == "__main__":
    main()
