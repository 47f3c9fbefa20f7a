"""How fast images reach a network, beside how fast it learns from them: which one waits for the other."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from hubel.core.errors import OptionError
from hubel.core.random import permutation
from hubel.data.kept import Keep
from hubel.data.loading import Batch, Images, Labelled
from hubel.data.pictures import least_size
from hubel.data.sources import open_source
from hubel.inference.device import pick_device
from hubel.models.neighbours import Neighbours
from hubel.training.fit import own_settings
from hubel.training.loop import Loop
from hubel.training.plan import Plan, make_plan, with_task
from hubel.training.recipe import Recipe

__all__ = ["Feeding", "measure_feeding"]

_SOME = 512  # images that are decoded again and again
_LEARNT = 4  # batches that the network learns from again and again


@dataclass(frozen=True)
class Feeding:
    """Images a second of each part by itself; all use the threads that a training would use.

    Attributes:
        model: the network.
        augment: the policy.
        size: height and width of the network's input.
        images: how many were looked at.
        loading_threads: that decode and change images.
        threads: of the network.
        decode: files to pictures, no larger than needed.
        augmented: files to normalised batches, as in a first epoch.
        kept: pictures that are in memory to normalised batches, as in the epochs after it.
        network: steps in which all weights learn.
    """

    model: str
    augment: str
    size: tuple[int, int]
    images: int
    loading_threads: int
    threads: int
    decode: float
    augmented: float
    kept: float
    network: float

    @property
    def brake(self) -> str:
        """One sentence: what the other one waits for."""
        feeding, learning = f"{self.kept:,.0f} images/s", f"{self.network:,.0f}"
        if self.network <= self.kept:
            share = self.network / self.kept
            return f"the network is the brake: it learns from {learning} of {feeding} that can be fed ({share:.0%})"
        return (
            f"feeding is the brake: {feeding} for a network that could learn from {learning}; a lighter --augment, "
            "a smaller --size or more cores would help"
        )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        rates = {name: getattr(self, name) for name in ("decode", "augmented", "kept", "network")}
        facts = {name: value for name, value in dataclasses.asdict(self).items() if name not in rates}
        return facts | {f"{name}_images_per_second": round(rate, 1) for name, rate in rates.items()} | {
            "brake": self.brake
        }  # fmt: skip


def measure_feeding(data: Any, recipe: Recipe | None = None, *, seconds: float = 3.0) -> Feeding:
    """Time decoding, augmentation and the network one after another, on the images that a training would begin with.

    Args:
        data: as for `hubel.training.run.train`.
        recipe: the training to be; what it starts from counts for nothing here.
        seconds: of each measurement.

    Raises:
        HubelError: the data or a setting cannot be used.
    """
    if not seconds > 0:
        raise OptionError(f"--seconds is above 0, not {seconds:g}")
    recipe = with_task(recipe or Recipe())
    source = open_source(data, multi_label=recipe.multi_label, labelled=recipe.task == "classify")
    plan = make_plan(source, recipe)
    device = pick_device(plan.recipe.device)
    with own_settings(plan.recipe.threads, device):
        network = plan.card.create().to(device)
        if isinstance(network, Neighbours):
            raise OptionError(f"{plan.card.model} remembers the images instead of learning; nothing is fed to it")
        recipe = dataclasses.replace(plan.recipe, epochs=plan.recipe.epochs or 1)
        loop = Loop(network, _some(plan, "off"), None, recipe)
        fresh, kept = loop.train.images, _some(plan, "ram").images
        assert isinstance(fresh, Images)
        assert isinstance(kept, Images)
        picture = fresh.pictures.covering(least_size(fresh.preprocess, loop.policy))

        def pictures() -> Iterator[int]:
            with ThreadPoolExecutor(max(1, fresh.threads)) as pool:
                for _ in pool.map(picture, range(len(fresh))):
                    yield 1

        def fed(images: Images) -> Callable[[], Iterator[int]]:
            numbers = itertools.count()

            def epoch() -> Iterator[int]:
                batches = images.epoch(plan.recipe.seed, next(numbers), plan.recipe.batch_size, loop.policy)
                for batch in batches:
                    images.network_input(batch.pixels)
                    yield len(batch.positions)

            return epoch

        epochs = fed(kept)
        for _ in epochs():
            pass  # the epoch that decodes
        first = kept.epoch(plan.recipe.seed, 0, plan.recipe.batch_size, loop.policy)
        learnt = list(itertools.islice(first, _LEARNT))
        return Feeding(
            plan.card.model,
            plan.recipe.augment,
            (fresh.preprocess.height, fresh.preprocess.width),
            len(fresh),
            fresh.threads,
            plan.recipe.threads,
            _rate(pictures, seconds),
            _rate(fed(fresh), seconds),
            _rate(epochs, seconds),
            _rate(lambda: _steps(loop, learnt), seconds),
        )


def _some(plan: Plan, keep: Keep) -> Labelled[Images]:
    images = plan.train.images
    places = np.sort(permutation(len(images), plan.recipe.seed)[:_SOME])
    chosen = Images(
        images.source, images.index, images.rows[places], images.preprocess, threads=images.threads, keep=keep
    )
    return Labelled(chosen, plan.train.targets[places])


def _steps(loop: Loop, batches: list[Batch]) -> Iterator[int]:
    for batch in batches:
        loop.learn_from(batch)
        yield len(batch.positions)
        loop.progress.step = 0  # an epoch of any length


def _rate(again: Callable[[], Iterable[int]], seconds: float) -> float:
    """Images a second over rounds that each yield numbers of images, from the second number on."""
    done, started = 0, 0.0
    while not started or time.perf_counter() - started < seconds:
        for n in again():
            if not started:
                started = time.perf_counter()
                continue
            done += n
            if time.perf_counter() - started >= seconds:
                break
    return done / (time.perf_counter() - started)
