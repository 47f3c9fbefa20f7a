"""How much of a pretrained network stays frozen: decided by the number of images and by what its features show."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Decision", "Evidence", "decide", "views_for"]


@dataclass(frozen=True)
class Evidence:
    """What is known before anything is tuned.

    Attributes:
        images: that teach.
        classes: how many there are.
        probe: cross-validated share that a linear head on the features names rightly, 0 to 1.
        below: likewise on the means of the maps below the last stages; None where they were not looked at.
        last_stages: the boundary below the last stages.
        boundaries: those that the network has.
    """

    images: int
    classes: int
    probe: float
    below: float | None
    last_stages: str
    boundaries: tuple[str, ...]


@dataclass(frozen=True)
class Decision:
    """What is frozen, and how long the rest is tuned.

    Attributes:
        freeze: a boundary of the network.
        epochs: passes over the images; 0 where only the head learns.
        views: of each image, that the frozen part looks at.
        reason: one sentence, with the numbers.
    """

    freeze: str
    epochs: int
    views: int
    reason: str


# The table of the policy; measured by benchmarks/freeze_policy.py, whose results stand in benchmarks/LOG.md.
_LEAST_PER_CLASS = 8  # images; with 5 tuning lost 3 points in five draws of clothing, with 10 it won 3 in three
_RIGHT_ENOUGH = 0.995  # of the head alone: nothing is left to be won
_ALL_LEARNS = 100_000  # images from which on all weights are tuned
_PASSES = 7_200  # images that tuning sees, all epochs together
_EPOCHS = (4, 40)
_VIEWED = 4_000  # views in all
_VIEWS = (2, 8)


def decide(evidence: Evidence, asked: str = "auto") -> Decision:
    """What to freeze.

    Args:
        evidence: what is known.
        asked: a boundary that the user wants, or "auto".
    """
    n = evidence.images
    epochs = _within(_EPOCHS, _PASSES / max(1, n))
    views = views_for(n)
    shown = f"{n:,} images in {evidence.classes} classes"
    if "all" in evidence.boundaries:
        shown += f"; a linear head on the features is right for {evidence.probe:.1%} in cross-validation"
    if evidence.below is not None:
        shown += f", on the maps below the last stages for {evidence.below:.1%}"
    if asked != "auto":
        return Decision(asked, 0 if asked == "all" else epochs, views, f"{shown}: {_words(asked)}, as you asked")
    per_class = n / max(1, evidence.classes)
    if "all" in evidence.boundaries:
        if evidence.probe >= _RIGHT_ENOUGH:
            return Decision("all", 0, 1, f"{shown}: nothing is left to be won, {_words('all')}")
        if per_class < _LEAST_PER_CLASS and evidence.probe >= (evidence.below or 0):
            return Decision("all", 0, 1, f"{shown}: too few to tune more than the head, {_words('all')}")
    if n >= _ALL_LEARNS:
        return Decision("none", epochs, 1, f"{shown}: enough images for all weights to learn")
    return Decision(evidence.last_stages, epochs, views, f"{shown}: {_words(evidence.last_stages)}")


def views_for(images: int) -> int:
    """How many views of each image the frozen part looks at where more than the head is tuned."""
    return _within(_VIEWS, _VIEWED / max(1, images))


def _words(boundary: str) -> str:
    if boundary == "none":
        return "all weights learn"
    if boundary == "all":
        return "all but the last layer stays frozen"
    return f"all up to {boundary} stays frozen, and the stages above are tuned with the head"


def _within(bounds: tuple[int, int], value: float) -> int:
    return int(min(bounds[1], max(bounds[0], round(value))))
