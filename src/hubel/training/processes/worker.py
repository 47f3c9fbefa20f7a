"""One process of a training that `hubel.training.processes.launch` has started: `python -m` runs it."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import warnings
from pathlib import Path

from hubel.core.errors import HubelError
from hubel.core.files import write_json
from hubel.core.process import open_missing_streams, tune_process

__all__ = ["main"]

_LOOKED = 1.0  # seconds between two looks at the parent


def main() -> int:
    """Train as the job says; return the exit code: 0, 2 after a mistake, 128 + its number after a signal."""
    from hubel.data.sources.builtin import XO
    from hubel.training.processes.join import JOB, run_of_job
    from hubel.training.processes.launch import ERROR_FILE, JOB_FILE
    from hubel.training.processes.on_ray import PARENT, SIGNALLED
    from hubel.training.processes.watch import LOST, MISTAKE
    from hubel.training.recipe import Recipe
    from hubel.training.train import resume, train

    if parent := os.environ.get(PARENT):
        threading.Thread(target=_end_with, args=(int(parent), LOST), daemon=True).start()
    folder = Path(os.environ[JOB])
    try:
        job = json.loads((folder / JOB_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:  # who started this process was asked to stop, and has ended
        return SIGNALLED + signal.SIGINT
    try:
        if job["recipe"] is None:
            result = resume(job["out"])
        else:
            begun = run_of_job(folder)
            xo = XO.from_numbers(job["xo"]) if job["xo"] else None
            result = train(job["data"], Recipe.from_json(job["recipe"]), out=begun or job["out"], xo=xo)
    except HubelError as error:
        write_json(folder / ERROR_FILE, {"kind": type(error).__name__, "message": str(error)})
        return MISTAKE
    except KeyboardInterrupt:  # while the images are indexed, say
        return SIGNALLED + signal.SIGINT
    return SIGNALLED + result.stopped_by if result.stopped_by else 0


def _end_with(parent: int, code: int) -> None:
    """End this process when its parent has ended, which might start others in its place."""
    while os.getppid() == parent:
        time.sleep(_LOOKED)
    os._exit(code)


if __name__ == "__main__":
    open_missing_streams()
    tune_process()
    warnings.simplefilter("ignore")
    sys.exit(main())
