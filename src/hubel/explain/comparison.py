"""Comparison of attribution methods by their faithfulness on the same images."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from hubel.core.errors import OptionError
from hubel.core.progress import bar
from hubel.explain.explanation import Explanation, TargetBatch, method_for, target_batches
from hubel.explain.faithfulness import CONTROLS, deletion, insertion
from hubel.explain.methods import METHODS, Method
from hubel.inference.predictor import Predictor
from hubel.inference.scores import scores

__all__ = ["MethodFaithfulness", "compare_methods"]

_AREAS = (insertion, deletion)
_SHOWN = 6  # images of a comparison that are drawn


@dataclass(frozen=True, kw_only=True)
class MethodFaithfulness:
    """Faithfulness of a method's maps, averaged over images; see `hubel.explain.faithfulness`.

    Attributes:
        method: a name among `METHODS` or `CONTROLS`.
        insertion: mean area under the insertion curve, 0 to 1; higher is better.
        deletion: mean area under the deletion curve, 0 to 1; lower is better.
        ms: milliseconds per map.
        shown: explanations of the first images.
    """

    method: str
    insertion: float
    deletion: float
    ms: float
    shown: tuple[Explanation, ...] = ()


def compare_methods(
    predictor: Predictor,
    images: Any,
    *,
    methods: Sequence[str] = (),
    label: str | None = None,
    layer: str | None = None,
) -> list[MethodFaithfulness]:
    """Measure the faithfulness of methods on images, beside a random map and a centred Gaussian as controls.

    Args:
        predictor: a trained model, which is left unchanged.
        images: see `explain`.
        methods: names among `METHODS`; every method that can explain this network if none is given.
        label: see `explain`.
        layer: see `explain`.

    Raises:
        OptionError: there is no image.
    """
    chosen = {name: method_for(predictor, name) for name in methods or METHODS}
    batches = list(target_batches(predictor, images, label))
    if not batches:
        raise OptionError("a comparison needs at least one image")
    if not methods:
        chosen = {name: method for name, method in chosen.items() if _applies(method, predictor, batches[0], layer)}
    network, score, results = predictor.network, _score_function(predictor), []
    with bar("comparing", (len(chosen) + len(CONTROLS)) * len(batches)) as progress:
        for name, method in {**chosen, **CONTROLS}.items():
            areas, seconds = [], 0.0
            shown: list[Explanation] = []
            for batch in batches:
                began = time.perf_counter()
                maps = method(network, batch.x, batch.targets, layer)
                seconds += time.perf_counter() - began
                areas.append(torch.stack([area(network, batch.x, batch.targets, maps, score=score) for area in _AREAS]))
                explanations = batch.explanations(maps, method=name, classes=predictor.classes)
                shown += list(explanations)[: _SHOWN - len(shown)]
                progress.step(note=name)
            inserted, deleted = torch.cat(areas, 1).mean(1).tolist()
            ms = 1000 * seconds / sum(len(batch.images) for batch in batches)
            results.append(
                MethodFaithfulness(method=name, insertion=inserted, deletion=deleted, ms=ms, shown=tuple(shown))
            )
    return results


def _applies(method: Method, predictor: Predictor, batch: TargetBatch, layer: str | None) -> bool:
    """Return whether a method can explain this network, by trying it on one image."""
    try:
        method(predictor.network, batch.x[:1], batch.targets[:1], layer)
    except OptionError:
        return False
    return True


def _score_function(predictor: Predictor) -> Callable[[Tensor], Tensor]:
    """Return the function from logits to the model's calibrated scores."""
    card = predictor.card

    def score(logits: Tensor) -> Tensor:
        return torch.from_numpy(scores(logits.float().cpu().numpy(), card))

    return score
