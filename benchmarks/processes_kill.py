"""Claim: after 50 kills and 10 stops of random ranks at random moments, the model has the bits of an undisturbed run.

    python benchmarks/processes_kill.py --kills 50 --stops 10 --ranks 4

A run of `hubel train --processes` is disturbed by SIGKILL and SIGSTOP until it has had all of them; then it comes to
its end. A checkpoint is written at every step, so that many of them hit the writing. Printed: the longest time from a
disturbance to the first new checkpoint after it (limit: 60 s), how often rank 0 was hit, and both digests.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def command(out: Path, processes: int, epochs: int, timeout: float) -> list[str]:
    return [
        *(sys.executable, "-m", "hubel", "train", "xo", "--xo.size", "12", "--xo.count", "1003", "--model", "convnet"),
        *("--epochs", str(epochs), "--batch-size", "29", "--threads", "1", "--loading-threads", "0"),
        *("--checkpoint-minutes", "0", "--timeout", str(timeout), "--processes", str(processes), "--out", str(out)),
    ]


def ranks_of(launcher: int) -> dict[int, int]:
    """Return the process of each rank, by the environment of the launcher's children."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    found = {}
    for child in children:
        try:
            environment = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = [entry for entry in environment if entry.startswith(b"RANK=")]
        if rank:
            found[int(rank[0][5:])] = int(child)
    return found


def sha256(out: Path) -> str:
    return hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--pause", type=float, default=3, help="most seconds from a new checkpoint to a disturbance")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    signals = [signal.SIGKILL] * asked.kills + [signal.SIGSTOP] * asked.stops
    draw.shuffle(signals)
    with tempfile.TemporaryDirectory() as folder:
        calm, hit = Path(folder) / "calm", Path(folder) / "hit"
        with (Path(folder) / "log").open("w") as log:
            subprocess.run(command(calm, 1, asked.epochs, asked.timeout), check=True, stdout=log, stderr=log)
            run = subprocess.Popen(command(hit, asked.ranks, asked.epochs, asked.timeout), stdout=log, stderr=log)
            pointer, longest, first, done, victims = hit / "last" / "pointer", 0.0, 0, 0, []
            before, struck = "", 0.0
            for number in signals:
                while run.poll() is None:
                    now = pointer.read_text() if pointer.exists() else ""
                    if now != before:
                        break
                    time.sleep(0.02)
                if run.poll() is not None:
                    break
                if struck:
                    longest = max(longest, time.monotonic() - struck)
                time.sleep(draw.uniform(0, asked.pause))
                alive = ranks_of(run.pid)
                if len(alive) < asked.ranks:
                    break
                before = pointer.read_text()
                rank = draw.randrange(asked.ranks)
                os.kill(alive[rank], number)
                struck, done, first = time.monotonic(), done + 1, first + (rank == 0)
                victims.append((rank, number.name))
                print(f"{done}/{len(signals)}: rank {rank} {number.name} at {before.strip()}", flush=True)
            code = run.wait()
        print(f"exit {code}; {done} disturbances, rank 0 {first} times; longest until a new checkpoint {longest:.1f} s")
        equal = sha256(calm) == sha256(hit)
        print(f"undisturbed {sha256(calm)}\ndisturbed   {sha256(hit)}\n{'equal' if equal else 'DIFFERENT'}")
        sys.exit(0 if equal and done == len(signals) else 1)


if __name__ == "__main__":
    main()
