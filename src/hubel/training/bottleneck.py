"""Measure what limits the speed of training: loading images, or the network."""

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
from hubel.core.ranges import check_range
from hubel.data.decode_cache import CacheMode
from hubel.data.decoded import covering_size
from hubel.data.loading import Images, with_principal_axes
from hubel.data.samples import Batch, Labelled
from hubel.models.neighbours import Neighbours
from hubel.training.execute import build_trainer, training_context
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.trainer import Trainer

__all__ = ["LoadingSpeed", "measure_loading"]

_SAMPLE = 512  # images that are decoded again and again
_BATCHES = 4  # that the network trains on again and again


@dataclass(frozen=True, kw_only=True)
class LoadingSpeed:
    """Images a second of each part by itself; all use the threads that training would use.

    Attributes:
        model: the network.
        augment: the policy as requested; "auto" by default.
        size: height and width of the network's input.
        images: how many were read.
        loading_threads: that decode and augment.
        threads: of the network.
        decode: files to decoded images, no larger than needed.
        augmented: files to normalised batches, as in a first epoch.
        cached: decoded images in memory to normalised batches, as in the epochs after it.
        network: steps in which all weights train.
    """

    model: str
    augment: str
    size: tuple[int, int]
    images: int
    loading_threads: int
    threads: int
    decode: float
    augmented: float
    cached: float
    network: float

    @property
    def bottleneck(self) -> str:
        """The slower part, in one sentence."""
        loading, training = f"{self.cached:,.0f} images/s", f"{self.network:,.0f} images/s"
        if self.network <= self.cached:
            share = self.network / self.cached
            return f"the network is the bottleneck: it trains on {training}, {share:.0%} of the {loading} that load"
        return (
            f"loading is the bottleneck: {loading} for a network that could train on {training}; a lighter --augment, "
            "a smaller --size or more cores would help"
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        rates = {name: getattr(self, name) for name in ("decode", "augmented", "cached", "network")}
        facts = {name: value for name, value in dataclasses.asdict(self).items() if name not in rates}
        per_second = {f"{name}_images_per_second": round(rate, 1) for name, rate in rates.items()}
        return facts | per_second | {"bottleneck": self.bottleneck}


def measure_loading(data: Any, recipe: Recipe | None = None, *, seconds: float = 3.0) -> LoadingSpeed:
    """Time decoding, augmentation and the network one after another, on the first images that training would use.

    Args:
        data: as for `hubel.train`.
        recipe: the settings of training; what it starts from does not matter here.
        seconds: of each measurement.

    Raises:
        HubelError: the data or a setting cannot be used.
    """
    check_range("--seconds", seconds, 0.001, 3600)
    plan = plan_training(data, recipe or Recipe())
    with training_context(plan):
        network = plan.create().to(plan.device)
        if isinstance(network, Neighbours):
            raise OptionError(f"{plan.card.model} is not trained by steps: it stores the images")
        trainer = build_trainer(plan, network)
        train = _sample(plan, "off")
        fresh, cached = train.images, _sample(plan, "ram").images
        policy = with_principal_axes(plan.loop.policy, fresh)
        decode = fresh.decoded_images.covering(covering_size(fresh.preprocess, policy))

        def decoded() -> Iterator[int]:
            with ThreadPoolExecutor(max(1, fresh.threads)) as pool:
                for _ in pool.map(decode, range(len(fresh))):
                    yield 1

        def loaded(images: Images) -> Callable[[], Iterator[int]]:
            numbers = itertools.count()

            def epoch() -> Iterator[int]:
                for batch in images.epoch(plan.loop.seed, next(numbers), plan.loop.batch_size, policy):
                    images.network_input(batch.pixels)
                    yield len(batch.positions)

            return epoch

        epochs = loaded(cached)
        for _ in epochs():
            pass  # the epoch that decodes
        first = cached.epoch(plan.loop.seed, 0, plan.loop.batch_size, policy)
        batches = list(itertools.islice(first, _BATCHES))
        return LoadingSpeed(
            model=plan.card.model,
            augment=plan.recipe.data.augment or "auto",
            size=(fresh.preprocess.height, fresh.preprocess.width),
            images=len(fresh),
            loading_threads=fresh.threads,
            threads=plan.threads,
            decode=_rate(decoded, seconds),
            augmented=_rate(loaded(fresh), seconds),
            cached=_rate(epochs, seconds),
            network=_rate(lambda: _steps(trainer, train, batches), seconds),
        )


def _sample(plan: Plan, cache: CacheMode) -> Labelled[Images]:
    images = plan.train.images
    places = np.sort(permutation(len(images), plan.loop.seed)[:_SAMPLE])
    chosen = plan.dataset.images(images.preprocess, images.rows[places], threads=images.threads, cache=cache)
    return Labelled(chosen, plan.train.targets[places])


def _steps(trainer: Trainer, data: Labelled[Images], batches: list[Batch]) -> Iterator[int]:
    for number, batch in enumerate(batches):
        yield trainer.step(data, batch, trainer.settings.lr, number).samples


def _rate(again: Callable[[], Iterable[int]], seconds: float) -> float:
    """Return images a second over rounds that each yield numbers of images, from the second number on."""
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
