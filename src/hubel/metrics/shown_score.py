"""The score from which on detections are shown: the best compromise of precision and recall on held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hubel.inference.box_decoding import LEAST_SCORE
from hubel.metrics.average_precision import Matches

__all__ = ["choose_shown_score"]

_ENOUGH = 10  # objects
_AS_GOOD = 0.99  # of the best F1; few images make its curve rough


def choose_shown_score(matches: Sequence[Matches]) -> float | None:
    """Return the middle of the range of scores around the best F1 that is within a hundredth of it; None if unknown.

    F1 = 2 right / (shown + objects), at an overlap of one half, over all classes. It is unknown where there are fewer
    than ten objects, or none is found.

    Args:
        matches: of the detections and the objects of each class.
    """
    objects = sum(int(one.objects[0].sum()) for one in matches)
    scores, right, wrong = (
        np.concatenate(parts)
        for parts in (
            [one.scores for one in matches],
            [one.right[0, 0] for one in matches],
            [one.wrong[0, 0] for one in matches],
        )
    )
    if objects < _ENOUGH or not right.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, found, shown = scores[order], np.cumsum(right[order]), np.cumsum((right | wrong)[order])
    last = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)  # equal scores are shown together
    between = (scores[last] + np.append(scores[last[1:]], min(LEAST_SCORE, float(scores[-1])))) / 2
    f1 = 2 * found[last] / (shown[last] + objects)
    worse, best = np.flatnonzero(f1 < _AS_GOOD * f1.max()), int(f1.argmax())
    low = worse[worse > best].min(initial=len(f1)) - 1
    high = worse[worse < best].max(initial=-1) + 1
    return float((between[high] + between[low]) / 2)
