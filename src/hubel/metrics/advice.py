"""What to try next, from what a classifier gets wrong."""

from __future__ import annotations

from collections.abc import Mapping

from hubel.metrics.classification import Metrics
from hubel.metrics.tables import percent

__all__ = ["advice"]

_LEAST_MISSED = 2  # images of a class, or of a pair of classes, before it is worth a word
_BELOW = 0.05  # recall, below that of all classes, that makes a class weak
_SENTENCES = 2  # of each sort


def advice(metrics: Metrics, taught: Mapping[str, int]) -> list[str]:
    """Sentences on the weakest classes and the commonest confusions; none where nothing stands out.

    Args:
        metrics: of held-out images.
        taught: how many images of each class there were to learn from.
    """
    weak = [
        (one.recall, one)
        for one in metrics.per_class
        if one.recall < metrics.macro_recall - _BELOW and round(one.support * (1 - one.recall)) >= _LEAST_MISSED
    ]
    lines = []
    for recall, one in sorted(weak, key=lambda pair: pair[0])[:_SENTENCES]:
        have = taught.get(one.name, 0)
        lines.append(
            f"more photos of {one.name} would help most: {percent(recall)}% of them are found, "
            f"with {have:,} to learn from"
        )
    for is_class, said, count in metrics.most_confused(_SENTENCES):
        if count >= _LEAST_MISSED:
            lines.append(
                f"{is_class} is taken for {said} {count} times: look whether these photos are labelled rightly "
                "(hubel data check finds such), or add some that show the difference"
            )
    return lines
