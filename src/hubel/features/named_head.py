"""Start a linear head from the names of its classes: for few images of a class.

Each class asks for some of the classes that the network was pretrained on (`hubel.retrieval.concepts`: WordNet and the
text encoder), and the mean of their rows in the pretrained head is its row. That head is added to one that is fitted to
the images, with a weight that falls with the number of images, and with what the names are worth: how often they are
right on the images, which they have not seen, beyond chance. So names that say nothing change nothing.
`benchmarks/few_photos.py` shows when it helps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import MissingPackageError, OptionError, WeightsError
from hubel.features.probe import Probe, fit_probe
from hubel.retrieval.concepts import ConceptSpace
from hubel.retrieval.search import understood

__all__ = ["FEW", "NamedHead", "fit_from_names", "head_of_names"]

#: Images of a class up to which a head starts from the names.
FEW = 5

_TRUST = 2.0  # weight of names that are always right beside one image a class, both with logits of the same spread


@dataclass(frozen=True, eq=False, kw_only=True)
class NamedHead:
    """A linear head for features `(n, d)` that has seen names alone.

    Attributes:
        weight: `(classes, d)`.
        bias: `(classes,)`.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits `(n, classes)`."""
        return features @ self.weight.T + self.bias


def head_of_names(
    names: Sequence[str], pretrained: Sequence[str], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> NamedHead | None:
    """Return the head of classes by their names, in English or Korean; None where these say nothing.

    Args:
        names: of the classes.
        pretrained: classes of the pretrained head.
        weight: of the pretrained head, `(len(pretrained), d)`.
        bias: likewise, `(len(pretrained),)`.
    """
    try:
        asked = ConceptSpace(tuple(pretrained)).weights([understood(name.replace("_", " ")) for name in names])
    except (OptionError, MissingPackageError, WeightsError):  # a name without letters; no text encoder is installed
        return None
    totals = asked.sum(1, keepdims=True)
    if not totals.all():
        return None
    shares = asked / totals
    return NamedHead(weight=shares @ weight, bias=shares @ bias)


def fit_from_names(
    features: NDArray[np.float32], targets: NDArray[np.int64], named: NamedHead, *, seed: int = 0
) -> Probe:
    """Fit a linear head, and add that by names.

    Args:
        features: `(n, d)`.
        targets: class numbers `(n,)`.
        named: the head by names.
        seed: of the cross-validation of the fitted head, see `fit_probe`.
    """
    classes = len(named.bias)
    probe = fit_probe(features, targets, classes, seed=seed)
    by_names = named.logits(features)
    right = float((by_names.argmax(1) == targets).mean())
    worth = max(0.0, (right - 1 / classes) / (1 - 1 / classes))  # Cohen's kappa, of classes that are equally frequent
    spread = _spread(features @ probe.weight.T + probe.bias) / max(_spread(by_names), float(np.finfo(np.float32).tiny))
    factor = np.float32(_TRUST * worth * spread / np.sqrt(max(1.0, len(targets) / classes)))
    accuracy, left_out = probe.accuracy, probe.left_out
    if left_out is not None:
        logits = left_out.logits + factor * by_names[left_out.positions]
        accuracy = float((logits.argmax(1) == targets[left_out.positions]).mean())
        left_out = replace(left_out, logits=logits)
    return replace(
        probe,
        weight=probe.weight + factor * named.weight,
        bias=probe.bias + factor * named.bias,
        accuracy=accuracy,
        left_out=left_out,
    )


def _spread(logits: NDArray[np.float32]) -> float:
    """Return the standard deviation of logits `(n, classes)` among the classes of an image."""
    return float(np.sqrt(logits.var(1).mean()))
