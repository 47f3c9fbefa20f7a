"""Give 300 hostile model files to every command that takes one, and count what goes wrong.

Claim: nothing in a model file runs; no command ends with a traceback, takes 2 GB of memory, or takes 10 s of processor
time to refuse one. The files (formats x damage) and the commands are those of tests/hostile_models.py. A whole model of
each format goes first, and at least one must be taken by each command: else the command is refused, not the file.

One process a command, which calls the command line itself; a file that kills it is counted, and the next process goes
on behind it. Linux only: the largest memory of each call is that of /proc.
Run: python benchmarks/hostile_files.py [--only predict,export] [--files 300]
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import select
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
MOST_BYTES, MOST_SECONDS = 2 * 10**9, 10.0
ADDRESSES = 12 * 2**30  # bytes that a process may ask for, so that the machine survives
PATIENCE = 120  # seconds of the clock until a process is killed


def call(words: list[str], said: Path) -> tuple[str, str]:
    """Run a command line; return how it ended, and what it printed."""
    from hubel.cli import main

    file = os.open(said, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    kept = [os.dup(number) for number in (1, 2)]
    for number in (1, 2):
        os.dup2(file, number)
    try:
        main(words)
        end = "returned"
    except SystemExit as ended:
        end = f"exit {ended.code}"
    except BaseException as error:
        end = f"{type(error).__name__}: {error!s:.200}"
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in zip((1, 2), kept, strict=True):
            os.dup2(before, number)
            os.close(before)
        os.close(file)
    return end, said.read_text(errors="replace")


def largest_memory() -> int:
    """Return the largest memory of this process since `forget_memory`, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def forget_memory() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def work(command: str, files: Path, photos: Path, first: int) -> None:
    """Call a command with each file from the `first` on, and print a line of JSON about each."""
    import resource

    import torch

    import hubel.studio.server

    faulthandler.disable()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    hubel.studio.server.serve = lambda *_arguments: None  # the model is read; nobody is waited for
    photo, canary, other = next(photos.rglob("*.png")), files / "canary", photos.with_name("other.safetensors")
    names = sorted(path for path in files.iterdir() if path.suffix)
    for number, path in enumerate(names[first:], first):
        meant = {"MODEL": path, "OTHER": other, "PHOTO": photo, "PHOTOS": photos}
        words = [str(meant.get(word, word)) for word in command.split()]
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            forget_memory()
            started, clock = time.process_time(), time.monotonic()
            end, said = call(words, Path(folder) / "said.txt")
            seconds, clock = time.process_time() - started, time.monotonic() - clock
            memory = largest_memory()
            os.chdir(files)
        ran = canary.exists()
        if ran:
            canary.unlink()
        print(json.dumps([number, path.name, end, said[-300:], "Traceback" in said, ran, memory, seconds, clock]))
        sys.stdout.flush()


def watched(command: str, files: Path, photos: Path, number_of_files: int) -> Iterator[list[Any]]:
    """Yield what `work` says of each file; start it again behind a file that killed it."""
    at = 0
    while at < number_of_files:
        words = [sys.executable, __file__, "--work", command, str(files), str(photos), str(at)]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        while True:
            line = ""
            if select.select([process.stdout], [], [], PATIENCE)[0]:
                line = process.stdout.readline()
            if not line:
                break
            at = json.loads(line)[0] + 1
            yield json.loads(line)
        process.kill()
        code = process.wait()
        if at < number_of_files:
            names = sorted(path.name for path in files.iterdir() if path.suffix)
            yield [at, names[at], f"killed ({code})", "", True, False, 0, 0.0, float(PATIENCE)]
            at += 1


def prepare(folder: Path, number_of_files: int) -> tuple[Path, Path, int]:
    """Write the hostile files, the whole ones, which sort first, and photos."""
    import numpy as np
    from PIL import Image

    from hostile_models import hostile_models, whole_models
    from small_card import CARD

    files, photos, chance = folder / "files", folder / "photos", np.random.default_rng(0)
    files.mkdir()
    for ending, content in whole_models().items():
        (files / f"000.{ending}").write_bytes(content)
        (folder / f"other.{ending}").write_bytes(content)
    every = 300 / number_of_files
    hostile = list(hostile_models(files / "canary"))
    for at in range(number_of_files):
        name, content = hostile[int(at * every)]
        (files / name).write_bytes(content)
    for name in CARD.classes:
        (photos / name).mkdir(parents=True)
        for number in range(8):
            pixels = chance.integers(0, 256, (16, 18, 3), np.uint8)
            Image.fromarray(pixels).save(photos / name / f"{number}.png")
    return files, photos, number_of_files + len(whole_models())


def main() -> None:
    if sys.argv[1:2] == ["--work"]:
        command, files, photos, first = sys.argv[2:]
        work(command, Path(files), Path(photos), int(first))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="verbs, with commas")
    parser.add_argument("--files", type=int, default=300, help="number of hostile files, evenly chosen")
    options = parser.parse_args()
    if sys.platform != "linux":
        print("skipped: this needs /proc")
        return
    sys.path.insert(0, str(TESTS))
    warnings.simplefilter("ignore")  # of torch, for kinds of tensors that it will remove
    from hostile_models import COMMANDS

    only, problems, totals = set(filter(None, options.only.split(","))), [], Counter[str]()
    with tempfile.TemporaryDirectory(prefix="hubel-hostile-") as temporary:
        os.environ["HUBEL_CACHE"] = str(Path(temporary) / "cache")
        files, photos, n = prepare(Path(temporary), options.files)
        print(f"{'taken':>6}{'refused':>8}{'canaries':>9}{'tracebacks':>11}{'most MB':>8}{'most s':>7}{'clock':>7}")
        for command in COMMANDS:
            if only and command.split()[0] not in only:
                continue
            row, most, slowest, clock, whole = Counter[str](), 0, 0.0, 0.0, set[str]()
            for _, name, end, said, traceback, ran, memory, seconds, waited in watched(command, files, photos, n):
                most, slowest, clock = max(most, memory), max(slowest, seconds), max(clock, waited)
                broken = traceback or end not in ("exit 0", "exit 1", "exit 2", "exit 3")
                if name.startswith("000.") and end == "exit 0":
                    whole.add(name)
                row.update(canaries=ran, tracebacks=broken, taken=end == "exit 0", refused=end != "exit 0")
                if ran or broken or memory > MOST_BYTES or seconds > MOST_SECONDS:
                    problems.append(f"{command}, {name}: {end}, {memory / 1e6:.0f} MB, {seconds:.1f} s; {said}")
            if not whole:
                problems.append(f"{command}: takes no whole model; {said}")
            totals.update(row)
            totals["calls"] += n
            print(
                f"{row['taken']:6}{row['refused']:8}{row['canaries']:9}{row['tracebacks']:11}{most / 1e6:8.0f}"
                f"{slowest:7.1f}{clock:7.1f}  {command}",
                flush=True,
            )
    print(*problems, sep="\n")
    print(f"{totals['calls']:,} calls: {totals['canaries']} canaries, {totals['tracebacks']} tracebacks")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
