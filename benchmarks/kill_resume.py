"""Kill a training run at random moments, resume it again and again, and compare the end with a run left alone.

Claim: whenever a run is killed, inside the writing of a checkpoint or anywhere else, it can be resumed, and at its end
the model file is byte for byte that of a run that nobody disturbed, and the table of epochs has the same numbers.

The kills are SIGKILL. Most fall at a moment that is uniform over a whole run, start-up included; at least `--in-save`
fall inside the saving of a checkpoint: there the child says so before each operation on the disk, and lingers. To start
a run costs seconds of imports, so that each is forked from one process that has imported everything and started no
thread; the run left alone is an ordinary process. POSIX only.
Run: python benchmarks/kill.py resume [--kills 200] [--in-save 50]
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# No pool of threads may exist when the runs are forked.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

SETTINGS = [
    *("--options.filters=4,8", "--options.repeat=1", "--options.dropout=0.2", "--ema=0.9", "--clip=1", "--epochs=3"),
    *("--batch-size=128", "--checkpoint-minutes=0", "--threads=1", "--loading-threads=0"),
]
LINGER = 0.004  # seconds that the child waits at the operation that is aimed at; some kills come after it
LOADED, ENTER, LEAVE, AIM, POINT = b"L", b"(", b")", b"!", b"."


@dataclass
class Tally:
    """What has happened so far."""

    kills: int = 0
    in_save: int = 0
    before_config: int = 0
    resumes: int = 0
    resumed: int = 0
    failed: int = 0
    completed: int = 0
    identical: int = 0

    @property
    def good(self) -> bool:
        """Whether the claim holds."""
        return not self.failed and self.identical == self.completed > 0

    def table(self) -> dict[str, int]:
        """The numbers, by what they count."""
        return {
            "kills": self.kills,
            "  of which inside a save": self.in_save,
            "  of which before config.json": self.before_config,
            "resumes": self.resumes,
            "  that went on, or to the end": self.resumed,
            "  killed before they could": self.resumes - self.resumed - self.failed,
            "  that failed": self.failed,
            "runs completed": self.completed,
            "  of which byte-identical": self.identical,
        }


@dataclass(frozen=True)
class Ended:
    """How one process ended: its exit code or None if it was killed, what it said of its saves, and its seconds."""

    code: int | None
    said: bytes
    seconds: float

    @property
    def in_save(self) -> bool:
        """Whether it was killed while it saved a checkpoint."""
        return self.code is None and self.said.count(ENTER) > self.said.count(LEAVE)


def campaign(work: Path, luck: random.Random, *, kills: int, in_save: int) -> tuple[dict[str, int], bool]:
    """Kill and resume until there have been enough kills, so many of them inside a save, and the last run has ended."""
    left_alone, out = work / "left-alone", work / "run"
    command = [sys.executable, "-m", "hubel", "train", "digits", *SETTINGS, "--out", str(left_alone)]
    subprocess.run(command, check=True, capture_output=True)
    import_everything()
    probe = fork(arguments(work / "probe"), work / "log.txt", aim=0)
    points = probe.said.count(POINT)
    tally = Tally()
    if not same(work / "probe", left_alone):
        print("a forked run differs from an ordinary one: nothing can be measured here")
        return tally.table(), False
    while tally.kills < kills or tally.in_save < in_save or out.exists():
        resuming = (out / "config.json").exists()
        more = tally.kills < kills or tally.in_save < in_save
        if not more:
            ended = fork(arguments(out), work / "log.txt")
        elif tally.in_save * kills < in_save * (tally.kills + 1) or tally.kills >= kills:
            ended = fork(
                arguments(out), work / "log.txt", aim=luck.randint(1, points), after=luck.random() * 2 * LINGER
            )
        else:
            ended = fork(arguments(out), work / "log.txt", after=luck.random() * probe.seconds)
        tally.resumes += resuming
        tally.resumed += resuming and (ended.code == 0 or (ended.code is None and LOADED in ended.said))
        tally.failed += resuming and ended.code not in (None, 0)
        if ended.code is None:
            tally.kills += 1
            tally.in_save += ended.in_save
            tally.before_config += not (out / "config.json").exists()
        # A kill may also come when all is done and only the process has not ended: there is nothing to resume.
        if ended.code is not None or (out / "metrics.json").exists():
            tally.completed += 1
            if ended.code in (0, None) and same(out, left_alone):
                tally.identical += 1
            else:
                print(
                    f"run {tally.completed} differs, code {ended.code}; its output:\n{(work / 'log.txt').read_text()}"
                )
            shutil.rmtree(out)
    return tally.table(), tally.good and tally.kills >= kills and tally.in_save >= in_save


def arguments(out: Path) -> list[str]:
    """Start the run, or resume it once it has begun."""
    if (out / "config.json").exists():
        return ["train", "--resume", "--out", str(out)]
    return ["train", "digits", *SETTINGS, "--out", str(out)]


def same(run: Path, other: Path) -> bool:
    """Equal models, measurements and epochs but for the times; nothing half-written left behind."""
    with contextlib.suppress(FileNotFoundError):
        return (
            all(
                (run / name).read_bytes() == (other / name).read_bytes()
                for name in ("model.safetensors", "metrics.json")
            )
            and epochs(run) == epochs(other)
            and not list(run.rglob("*.tmp"))
        )
    return False


def epochs(run: Path) -> list[dict[str, str]]:
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def import_everything() -> None:
    """What a run imports on its way, once for all forks."""
    for name in (
        *("jinja2", "matplotlib.backends.backend_agg", "matplotlib.pyplot", "rich.table", "sklearn.datasets"),
        "torch._dynamo",  # which the first optimizer imports, in seconds
    ):
        importlib.import_module(name)
    for name in ("cli.results", "cli.train", "plots.learning_curves", "training.train"):
        importlib.import_module(f"hubel.{name}")


def fork(command: list[str], log: Path, *, aim: int | None = None, after: float | None = None) -> Ended:
    """Run the command in a child.

    Args:
        command: arguments of `hubel`.
        log: gets what the child prints.
        aim: which operation on the disk, among those of all saves, the child announces; 0 counts them only.
        after: seconds until the child is killed, from its start, or from the announcement; None leaves it alone.
    """
    started = time.monotonic()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        in_child(command, log, writing, aim)
    os.close(writing)
    said, due = b"", None if after is None or aim else started + after
    while True:
        wait = None if due is None else max(0.0, due - time.monotonic())
        if not select.select([reading], [], [], wait)[0]:
            os.kill(child, signal.SIGKILL)
            due = None
            continue
        if not (news := os.read(reading, 4096)):
            break
        said += news
        if AIM in news and after is not None:
            due = time.monotonic() + after
    os.close(reading)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return Ended(None if code == -signal.SIGKILL else code, said, time.monotonic() - started)


def in_child(command: list[str], log: Path, writing: int, aim: int | None) -> None:
    """The child's life: the command, with reports of its saves; it never returns."""
    code = 1
    try:
        to = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(to, 1)
        os.dup2(to, 2)
        report_saves(writing, aim)
        from hubel.cli import main as hubel

        hubel(command)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def report_saves(writing: int, aim: int | None) -> None:
    """Make this process say when it enters and leaves the saving of a checkpoint, and each step on the disk within."""
    from hubel.training import execute

    inside, done = False, 0

    def point() -> None:
        nonlocal done
        if not inside or aim is None:
            return
        done += 1
        os.write(writing, AIM if done == aim else POINT)
        if done == aim:
            time.sleep(LINGER)

    def announced(work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            point()
            return work(*args, **named)

        return wrapped

    @contextlib.contextmanager
    def saving() -> Iterator[None]:
        nonlocal inside
        os.write(writing, ENTER)
        inside = True
        yield
        point()
        inside = False
        os.write(writing, LEAVE)

    save, load = execute.save, execute.load_newest

    def reported(*args: Any) -> None:
        with saving():
            save(*args)

    def loaded(*args: Any) -> Any:
        found = load(*args)
        os.write(writing, LOADED)
        return found

    execute.save, execute.load_newest = reported, loaded
    for owner, names in ((os, ["fsync"]), (Path, ["replace", "rename", "write_bytes", "write_text", "open", "mkdir"])):
        for name in names:
            setattr(owner, name, announced(getattr(owner, name)))
    shutil.rmtree = announced(shutil.rmtree)
