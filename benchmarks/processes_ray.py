"""Claim: on a Ray cluster of two nodes, one rank killed on the way, the model has the bits of one process.

    python benchmarks/processes_ray.py --ranks 4

Starts two nodes on this machine (`ray.cluster_utils`), trains on them by `hubel train --launcher ray`, kills a rank in
the second epoch, and compares the model's SHA-256 with that of `hubel train --processes 1`. Printed: on which node each
rank was, the seconds from the kill to the next checkpoint, and both digests.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ray.cluster_utils import Cluster


def command(out: Path, processes: int, *flags: str) -> list[str]:
    return [
        *(sys.executable, "-m", "hubel", "train", "xo", "--xo.size", "9", "--xo.count", "403", "--model", "convnet"),
        *("--options.filters", "4", "--options.dense", "8", "--epochs", "4", "--batch-size", "29", "--threads", "1"),
        *("--loading-threads", "0", "--checkpoint-minutes", "0", "--processes", str(processes)),
        *("--out", str(out), *flags),
    ]


def ranks(job: Path) -> dict[int, tuple[int, str]]:
    """Return the process, and the node, of each rank that runs."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            given = dict(
                part.split(b"=", 1) for part in (process / "environ").read_bytes().split(b"\0") if b"=" in part
            )
            ours = b"hubel.training.processes.worker" in (process / "cmdline").read_bytes()
        except (OSError, ValueError):
            continue
        if ours and given.get(b"HUBEL_JOB", b"").decode().startswith(str(job)):
            found[int(given[b"RANK"])] = int(process.name), given.get(b"RAY_NODE_ID", given[b"NODE_RANK"]).decode()[:8]
    return found


def sha256(out: Path) -> str:
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ranks", type=int, default=4)
    asked = parser.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(command(folder / "alone", 1), check=True, capture_output=True)
        cores = -(-asked.ranks // 2)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": cores, "include_dashboard": False})
        cluster.add_node(num_cpus=cores)
        environment = {**os.environ, "RAY_ADDRESS": cluster.address}
        run = subprocess.Popen(command(folder / "ray", asked.ranks, "--launcher", "ray"), env=environment)
        pointer, before = folder / "ray" / "last" / "pointer", ""
        while run.poll() is None and len(list((folder / "ray").glob("metrics.csv"))) == 0:
            time.sleep(0.1)
        found = ranks(folder)
        for rank, (process, node) in sorted(found.items()):
            print(f"rank {rank}: process {process} on node {node}", flush=True)
        if run.poll() is None and found:
            victim = max(found)
            before, struck = pointer.read_text(), time.monotonic()
            os.kill(found[victim][0], signal.SIGKILL)
            while run.poll() is None and ranks(folder).get(victim, found[victim]) == found[victim]:
                before = pointer.read_text()  # others may have been writing one
                time.sleep(0.1)
            while run.poll() is None and pointer.read_text() == before:
                time.sleep(0.1)
            print(f"rank {victim} killed; the next checkpoint after {time.monotonic() - struck:.1f} s", flush=True)
        code = run.wait()
        cluster.shutdown()
        equal = sha256(folder / "alone") == sha256(folder / "ray")
        print(f"exit {code}\nalone {sha256(folder / 'alone')}\nray   {sha256(folder / 'ray')}")
        print("equal" if equal else "DIFFERENT")
        sys.exit(not equal)


if __name__ == "__main__":
    main()
