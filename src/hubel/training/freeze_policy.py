"""Decide how much of a pretrained network stays frozen: by the number of images and by what its features show."""

from __future__ import annotations

from dataclasses import dataclass

from hubel.core.language import Sentence, plural, sentence
from hubel.nn.freezing import ALL, NONE

__all__ = ["Evidence", "FreezeDecision", "decide_freezing", "holds_norms", "tuning_epochs", "views_for"]


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Numbers that are known before anything is tuned.

    Attributes:
        images: that train.
        classes: their number; 0 for tasks without any.
        probe: cross-validated score of a linear head on the features, at most 1; None where there is no linear head, or
            where no class has two images.
        probe_below: likewise on the means of the maps below the last stages; None where these were not computed.
        last_stages: the boundary below the last stages.
    """

    images: int
    classes: int
    probe: float | None
    probe_below: float | None
    last_stages: str


@dataclass(frozen=True, kw_only=True)
class FreezeDecision:
    """The boundary below which a network stays frozen.

    Attributes:
        boundary: one of the network's.
        reason: one sentence, with the numbers.
    """

    boundary: str
    reason: str


# The table of the policy; measured by benchmarks/freeze_policy.py, whose results stand in benchmarks/LOG.md.
_LEAST_PER_CLASS = 8  # images; with 5 tuning lost 3 points in five draws of clothing, with 10 it won 3 in three
_GOOD_ENOUGH = 0.995  # score of the head alone: nothing is left to be won
_ALL_TRAIN = 100_000  # images from which on all weights are tuned
_PASSES = 7_200  # images that tuning processes, all epochs together
_EPOCHS = (4, 40)
_VIEWED = 4_000  # views in all
_VIEWS = (2, 8)
_FEW = 20_000  # images up to which batch norms keep the statistics of the millions that they were trained on


def decide_freezing(evidence: Evidence, boundaries: tuple[str, ...]) -> FreezeDecision:
    """Choose the boundary.

    Args:
        evidence: what is known.
        boundaries: the candidates; one that the user names, or several.
    """
    n, probe, below = evidence.images, evidence.probe, evidence.probe_below
    shown = {
        "images": plural("freeze.images", n),
        "classes": plural("freeze.classes", evidence.classes) if evidence.classes else "",
        "probe": "" if probe is None else sentence("freeze.probe", score=probe),
        "below": "" if below is None else sentence("freeze.below", score=below),
    }

    def decision(boundary: str, key: str) -> FreezeDecision:
        why = sentence(key, part=_description(boundary))
        return FreezeDecision(boundary=boundary, reason=sentence("freeze.reason", why=why, **shown))

    if len(boundaries) == 1:
        return decision(boundaries[0], "freeze.requested")
    if probe is not None and probe >= _GOOD_ENOUGH:
        return decision(ALL, "freeze.good_enough")
    if ALL in boundaries and n / max(1, evidence.classes) < _LEAST_PER_CLASS and (probe or 0) >= (below or 0):
        return decision(ALL, "freeze.few")
    if n >= _ALL_TRAIN:
        return decision(NONE, "freeze.many")
    return decision(evidence.last_stages, "freeze.usual")


def holds_norms(images: int) -> bool:
    """Return whether batch norms keep their statistics in fine-tuning on a number of images."""
    return images <= _FEW


def tuning_epochs(images: int) -> int:
    """Return the epochs of fine-tuning for a number of training images."""
    return _within(_EPOCHS, _PASSES / max(1, images))


def views_for(images: int) -> int:
    """Return how many views of each image the frozen part processes where more than the head is tuned."""
    return _within(_VIEWS, _VIEWED / max(1, images))


def _description(boundary: str) -> Sentence:
    if boundary in (NONE, ALL):
        return sentence(f"freeze.part.{boundary}")
    return sentence("freeze.part.stages", boundary=boundary)


def _within(bounds: tuple[int, int], value: float) -> int:
    return int(min(bounds[1], max(bounds[0], round(value))))
