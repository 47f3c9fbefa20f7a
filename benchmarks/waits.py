"""Longest time without anything moving on a terminal, for each verb on a cold cache.

Claim: within one second of the start of any command, and at least each second while it works, something moves on the
terminal; and a command that ends within half a second shows nothing but its result.

Each command runs in a terminal of its own (`pty`, POSIX only), with an empty cache. What it writes is recorded with the
time. First: from the start of the process to the first byte. Longest: between any two. End: from the last byte to the
end of the process, when the result is there already.
Run: python benchmarks/waits.py PHOTOS [--only train,export] [--verbose]
"""

from __future__ import annotations

import argparse
import os
import re
import select
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

MODEL = "efficientnet_lite0"

# In the order in which one needs what another has made. PHOTOS is the folder of images, PHOTO one of them.
COMMANDS = (
    "--version", "models", "info", "data PHOTOS", "data check PHOTOS --out check",
    "data preview PHOTOS --policy strong --out preview.png", "data bench PHOTOS",
    f"predict {MODEL} PHOTO", f"predict {MODEL} PHOTOS -o all.csv", f"similar {MODEL} PHOTOS PHOTO",
    f"embed {MODEL} PHOTOS --out embedded", "train PHOTOS --freeze all --out head",
    "train PHOTOS --max-minutes 1 --out run", "train digits --model convnet --epochs 2 --out digits",
    "lr-find digits --model convnet",
    "evaluate head PHOTOS --out evaluated", "explain head PHOTO --out explained", "robust head PHOTOS --out robust",
    "export head -o head.onnx", "export head --int8 --data PHOTOS -o int8.onnx", "bench head.onnx",
    "summary resnet152", "compare resnet50 resnet101 efficientnet_lite0", "verify resnet*", "walkthrough --out walk",
    f"weights convert head/model.safetensors --model {MODEL} --check PHOTOS --out converted.safetensors", "runs",
)  # fmt: skip


@dataclass(frozen=True)
class Wait:
    """A time without output: its length and its start in seconds from the start of the process, and the text before."""

    seconds: float
    after: float
    shown: str


def watch(words: list[str], environment: dict[str, str], most: float) -> tuple[list[Wait], float, int]:
    """Run a command in a terminal; return its waits, its whole time and its exit code (-9 where it took too long)."""
    import pty

    started = last = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(sys.executable, [sys.executable, "-m", "hubel", *words], environment)
    waits, shown = [], ""
    while True:
        left = started + most - time.monotonic()
        if left < 0:
            os.kill(child, signal.SIGKILL)
            break
        if not select.select([terminal], [], [], left)[0]:
            continue
        try:
            news = os.read(terminal, 65536).decode(errors="replace")
        except OSError:  # Linux says so when the other end is closed
            news = ""
        now = time.monotonic()
        waits.append(Wait(now - last, last - started, shown))
        if not news:
            break
        last, shown = now, (shown + re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", news))[-100:]
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(terminal)
    return waits, time.monotonic() - started, code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--only", default="", help="verbs, with commas")
    parser.add_argument("--most", type=float, default=180, help="seconds after which a command is killed")
    parser.add_argument("--verbose", action="store_true", help="show every wait of more than a second")
    options = parser.parse_args()
    if os.name != "posix":
        print("skipped: this needs pseudo-terminals, which Windows does not have")
        return
    photos = options.photos.resolve()
    photo = next(path for path in sorted(photos.rglob("*")) if path.suffix.lower() in (".jpg", ".png"))
    only = set(filter(None, options.only.split(",")))
    with tempfile.TemporaryDirectory(prefix="hubel-waits-") as folder:
        os.chdir(folder)
        print(*(f"{name:>8}" for name in ("first", "longest", "end", "whole")), " command")
        for command in COMMANDS:
            words = [{"PHOTOS": str(photos), "PHOTO": str(photo)}.get(word, word) for word in command.split()]
            if only and not only & {words[0], " ".join(words[:2])}:
                continue
            with tempfile.TemporaryDirectory(prefix="hubel-cache-") as cache:
                environment = {**os.environ, "HUBEL_CACHE": cache, "TERM": "xterm", "COLUMNS": "120"}
                waits, whole, code = watch(words, environment, options.most)
            *waits, ending = waits
            longest = max(waits, key=lambda wait: wait.seconds)
            ended = "" if code == 0 else f"  (exit code {code})"
            times = (waits[0].seconds, longest.seconds, ending.seconds, whole)
            print(*(f"{seconds:7.2f}s" for seconds in times), f" {command}{ended}", flush=True)
            for wait in waits if options.verbose else ():
                if wait.seconds > 1:
                    print(
                        f"         {wait.seconds:.2f} s at {wait.after:.1f} s, after {wait.shown[-60:]!r}", flush=True
                    )


if __name__ == "__main__":
    main()
