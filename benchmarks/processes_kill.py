"""Claim: after 50 kills and 10 stops of random ranks at random moments, the model has the bits of an undisturbed run.

    python benchmarks/processes_kill.py FOLDER --kills 50 --stops 10 --ranks 4

A run of `hubel train --processes` is disturbed by SIGKILL and SIGSTOP until it has had all of them; then it comes to
its end. A checkpoint is written at every step, so that many of them hit the writing. Printed: the longest time from a
disturbance to the first new checkpoint after it (limit: 60 s), how often rank 0 was hit, and both digests.

With `--minutes`, the run is asked to stop (SIGINT) after so long; the same command goes on with it in FOLDER.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, TextIO

LIMIT = 60  # seconds


def command(out: Path, processes: int, asked: argparse.Namespace) -> list[str]:
    hubel = [sys.executable, "-m", "hubel", "train"]
    if (out / "config.json").exists():
        return [*hubel, "--resume", "--out", str(out)]
    return [
        *(*hubel, "xo", "--xo.size", "9", "--xo.count", "403", "--model", "convnet"),
        *("--options.filters", "4", "--options.dense", "8", "--val-share", "0.15", "--reject", "0"),
        *("--epochs", str(asked.epochs), "--batch-size", "29", "--threads", "1", "--loading-threads", "0"),
        *("--checkpoint-minutes", "0", "--timeout", str(asked.timeout), "--processes", str(processes)),
        *("--out", str(out)),
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


class Struck(NamedTuple):
    """A process that was killed or stopped, and when."""

    process: int
    at: float


def wait_for_checkpoint(
    run: subprocess.Popen[bytes], pointer: Path, world: int, struck: Struck | None
) -> dict[int, int] | None:
    """Return the process of each rank once all of them run, without the struck one, and have written a checkpoint.

    A checkpoint that rank 0 was writing when another one was struck is none of theirs.

    Returns:
        None where the run has ended before.
    """
    before: str | None = None
    while run.poll() is None:
        ranks = ranks_of(run.pid)
        if len(ranks) == world and (struck is None or struck.process not in ranks.values()):
            now = pointer.read_text() if pointer.exists() else ""
            before = now if before is None else before
            if now != before:
                return ranks
        time.sleep(0.02)
    return None


def disturb(run: subprocess.Popen[bytes], pointer: Path, asked: argparse.Namespace, state: dict[str, Any]) -> bool:
    """Disturb a run until it has had all, or time is up; return whether it has had all."""
    draw = random.Random(asked.seed)
    signals = [signal.SIGKILL] * asked.kills + [signal.SIGSTOP] * asked.stops
    draw.shuffle(signals)
    draw = random.Random(f"{asked.seed} {state['done']}")
    struck, began = None, time.monotonic()
    while (ranks := wait_for_checkpoint(run, pointer, asked.ranks, struck)) is not None:
        if struck:
            state["longest"] = max(state["longest"], time.monotonic() - struck.at)
        if state["done"] == len(signals):
            return True
        if time.monotonic() - began > 60 * asked.minutes:
            return False
        time.sleep(draw.uniform(0, asked.pause))
        number, rank = signals[state["done"]], draw.randrange(asked.ranks)
        struck = Struck(ranks[rank], time.monotonic())
        print(
            f"{state['done'] + 1}/{len(signals)}: rank {rank} {number.name} at {pointer.read_text().strip()}",
            flush=True,
        )
        os.kill(struck.process, number)
        state["done"], state["first"] = state["done"] + 1, state["first"] + (rank == 0)
    return False


def begin(out: Path, processes: int, asked: argparse.Namespace, log: TextIO) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command(out, processes, asked), stdout=log, stderr=log)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--stops", type=int, default=10)
    parser.add_argument("--ranks", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--timeout", type=float, default=10)
    parser.add_argument("--pause", type=float, default=2, help="most seconds from a new checkpoint to a disturbance")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="of disturbances in this call")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    calm, hit, noted = asked.folder / "calm", asked.folder / "hit", asked.folder / "state.json"
    asked.folder.mkdir(parents=True, exist_ok=True)
    state = json.loads(noted.read_text()) if noted.exists() else {"done": 0, "first": 0, "longest": 0.0}
    with (asked.folder / "log.txt").open("a") as log:
        if not (calm / "metrics.json").exists() and begin(calm, 1, asked, log).wait():
            sys.exit("the undisturbed run has failed; see log.txt")
        if not (hit / "metrics.json").exists():
            run = begin(hit, asked.ranks, asked, log)
            finished = disturb(run, hit / "last" / "pointer", asked, state)
            if not finished and run.poll() is None:
                run.send_signal(signal.SIGINT)
            code = run.wait()
            noted.write_text(json.dumps(state))
            print(f"exit {code}; {state['done']} disturbances; go on with the same command", flush=True)
            if not finished:
                sys.exit(3)
    wanted = asked.kills + asked.stops
    equal, longest = sha256(calm) == sha256(hit), state["longest"]
    print(f"{state['done']} of {wanted} disturbances, rank 0 {state['first']} times")
    print(f"longest until a new checkpoint {longest:.1f} s (limit {LIMIT})")
    print(f"undisturbed {sha256(calm)}\ndisturbed   {sha256(hit)}\n{'equal' if equal else 'DIFFERENT'}")
    sys.exit(0 if equal and state["done"] == wanted and longest < LIMIT else 1)


if __name__ == "__main__":
    main()
