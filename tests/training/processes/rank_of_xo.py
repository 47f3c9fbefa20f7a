"""What each rank of `test_torchrun.py` runs: a tiny training, in which rank 1 is killed once between two checkpoints.

Arguments: the folder of the run, and "kill" or "live".
"""

import os
import signal
import sys
from pathlib import Path

from hubel.data.sources.builtin import XO
from hubel.training.execute import execute
from hubel.training.processes.join import joining_ranks
from hubel.training.processes.sharded import ShardedTrainer
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.trainer import Meeting, StepResult

#: Three epochs of six steps of 163 images, which nothing divides.
RECIPE = Recipe(
    model="convnet",
    options={"filters": "4", "dense": "8"},
    epochs=3,
    batch_size=29,
    val_share=0.15,
    checkpoint_minutes=0,
    threads=1,
    loading_threads=0,
    cache="off",
    reject=0,
    processes=1,
)
PICTURES = XO(size=9, count=203, noise=0.1)


def main(folder: Path) -> None:
    with joining_ranks(RECIPE.machine):
        execute(plan_training("xo", RECIPE, xo=PICTURES), folder)


if __name__ == "__main__":
    if sys.argv[2] == "kill" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0" and os.environ["RANK"] == "1":
        meet, met = ShardedTrainer.meet, 0

        def meet_until_killed(self: ShardedTrainer, asked: int, result: StepResult | None = None) -> Meeting:
            global met
            met += result is not None
            if met == 8:  # two steps into the second epoch
                os.kill(os.getpid(), signal.SIGKILL)
            return meet(self, asked, result)

        ShardedTrainer.meet = meet_until_killed  # type: ignore[method-assign]
    main(Path(sys.argv[1]))
