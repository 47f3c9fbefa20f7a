"""Unequal classes: their weights, their prior, and how unequal they are. Pure NumPy, of counts of training labels.

Let class c have n_c of N images. Training on them as they are learns p(c | x) under the prior n_c / N, by which a rare
class is hardly ever predicted. Each method makes the scores those of another prior, mostly that of equal classes:

- `inverse`: the loss of an image has the weight N / (C n_c) (King & Zeng 2001).
- `effective`: N_e / E_c, with the effective number of samples E_c = (1 - b^n_c) / (1 - b), b = (N - 1) / N (Cui et al.
  2019, arXiv:1901.05555, Eq. 2 to 4).
- `inverse_sqrt`: in proportion to 1 / sqrt(n_c), half way to equal classes (Mahajan et al. 2018, arXiv:1805.00932, who
  sample so).
- `sampling`: an epoch shows each class equally often; see `hubel.data.balanced_order`.
- `logit_adjustment`: the loss is that of f(x) + log(n_c / N) (Menon et al. 2021, arXiv:2007.07314, Eq. 10, tau = 1). Of
  a linear head, whose biases have no penalty, this is the fit as it is with log(n_c / N) taken from the biases (Eq. 9).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import OptionError
from hubel.core.language import sentence

__all__ = [
    "METHODS",
    "assumed_prior",
    "balance_record",
    "class_counts",
    "inequality",
    "log_shares",
    "method_weights",
    "prior_fact",
    "prior_shift",
    "recall_weights",
]

#: Ways to treat unequal classes.
METHODS = ("none", "inverse", "effective", "inverse_sqrt", "sampling", "logit_adjustment")


def class_counts(targets: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """Return the number of images of each class.

    Args:
        targets: class numbers `(n,)`, or 0 and 1 `(n, classes)`.
        classes: how many there are.
    """
    if targets.ndim == 2:
        return np.asarray(targets.sum(0)).astype(np.int64)
    return np.asarray(np.bincount(targets.astype(np.int64), minlength=classes))


def inequality(counts: NDArray[np.int64]) -> float:
    """Return how many times as many images the most frequent class has as the rarest one that has any; at least 1."""
    some = counts[counts > 0]
    return float(some.max() / some.min()) if len(some) else 1.0


def method_weights(counts: NDArray[np.int64], method: str) -> NDArray[np.float64]:
    """Return the weight of each class in the loss, 1 in the mean over all labels; 0 for a class without images.

    Args:
        counts: images of each class `(classes,)`.
        method: one of `METHODS`. Those that act by other means than weights have 1 for each class.

    Raises:
        OptionError: there is no such method of weights.
    """
    n = counts.astype(np.float64)
    some = n > 0
    if method == "inverse":
        weights = np.divide(1.0, n, out=np.zeros_like(n), where=some)
    elif method == "inverse_sqrt":
        weights = np.divide(1.0, np.sqrt(n), out=np.zeros_like(n), where=some)
    elif method == "effective":
        rest = 1 - 1 / max(n.sum(), 1.0)  # b
        weights = np.divide(1 - rest, 1 - rest**n, out=np.zeros_like(n), where=some)
    elif method in METHODS:
        weights = some.astype(np.float64)
    else:
        raise OptionError(f"the methods for unequal classes are {', '.join(METHODS)}, not {method!r}")
    return np.asarray(weights * (n.sum() / max(float(weights @ n), np.finfo(float).tiny)))


def assumed_prior(counts: NDArray[np.int64], method: str) -> NDArray[np.float64]:
    """Return the share of each class that the scores assume, `(classes,)`, sum 1; classes without images have 0.

    Args:
        counts: images of each class, of which some has one.
        method: one of `METHODS`.
    """
    weights = method_weights(counts, "inverse" if method in ("sampling", "logit_adjustment") else method)
    shares = weights * counts
    return np.asarray(shares / shares.sum())


def log_shares(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return log(n_c / N) of each class; a class without images counts as one with one."""
    return np.asarray(np.log(np.maximum(counts, 1) / max(int(counts.sum()), 1)))


def prior_shift(provenance: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """Return log(share in training / assumed share) of each class, which brings scores to the prior of training.

    Args:
        provenance: of a model; see `balance_record`.

    Returns:
        `(classes,)`; None where the scores assume the shares of training.
    """
    record = provenance.get("balance")
    if record is None:
        return None
    counts = np.asarray(record["counts"])
    assumed = assumed_prior(counts, record["method"])
    known = counts > 0
    return np.asarray(np.where(known, log_shares(counts) - np.log(np.where(known, assumed, 1.0)), 0.0))


def balance_record(counts: NDArray[np.int64], method: str) -> dict[str, Any]:
    """Return what a model's provenance keeps of the treatment of unequal classes; nothing where they have none."""
    return {} if method == "none" else {"balance": {"method": method, "counts": counts.tolist()}}


def prior_fact(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Return the row of a report that says which shares of the classes the scores assume; none for those of training.

    Args:
        provenance: of a model, which may be a stranger's: what is not understood is not shown.
    """
    record = provenance.get("balance")
    method = record.get("method") if isinstance(record, Mapping) else None
    texts = dict.fromkeys(("effective", "inverse_sqrt"), "classes between equal and as frequent as in training")
    if not isinstance(method, str) or method not in METHODS or method == "none":
        return {}
    return {sentence("fact.assume"): f"{texts.get(method, 'equally frequent classes')} ({method.replace('_', ' ')})"}


def recall_weights(targets: NDArray[Any]) -> NDArray[np.float64]:
    """Return weights `(n,)`, 1 in the mean, with which the share that is correct is the mean recall of the classes.

    Args:
        targets: class numbers `(n,)`.
    """
    _, which, counts = np.unique(targets, return_inverse=True, return_counts=True)
    return np.asarray(len(targets) / (len(counts) * counts[which]))
