"""Measure how well queries find what fits them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Retrieval", "measure_retrieval"]


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Queries, each answered by a ranking of all candidates.

    Attributes:
        queries: their number.
        candidates: that each of them ranks.
        recall_at_1: share of the queries whose first candidate fits, 0 to 1.
        recall_at_5: share of those with one that fits among the first 5.
        recall_at_10: likewise among the first 10.
        precision_at_5: share of the first 5 candidates that fit, averaged over the queries.
        average_precision: mean over the queries of the average precision, which is the mean of the precisions at the
            ranks of all candidates that fit (Manning et al. 2008, Section 8.4).
        median_rank: median, over the queries, of the rank of the first candidate that fits, from 1 on.
    """

    queries: int
    candidates: int
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    precision_at_5: float
    average_precision: float
    median_rank: float


def measure_retrieval(similarities: NDArray[Any], fits: NDArray[np.bool_]) -> Retrieval:
    """Measure rankings. Of candidates that are equally similar, one that fits stands behind all that do not.

    Args:
        similarities: of queries and candidates, `(q, c)`; larger is nearer.
        fits: whether a candidate fits a query, `(q, c)`; at least one for each.
    """
    best = np.where(fits, similarities, -np.inf).max(1, keepdims=True)
    order = np.lexsort((fits, -similarities), axis=1)  # of equal ones those that do not fit first
    ranked = np.take_along_axis(fits, order, 1)
    precisions = ranked.cumsum(1) / np.arange(1, 1 + ranked.shape[1])
    ranks = 1 + ((similarities >= best) & ~fits).sum(1)
    return Retrieval(
        queries=similarities.shape[0],
        candidates=similarities.shape[1],
        recall_at_1=float((ranks <= 1).mean()),
        recall_at_5=float((ranks <= 5).mean()),
        recall_at_10=float((ranks <= 10).mean()),
        precision_at_5=float(ranked[:, :5].mean(1).mean()),
        average_precision=float(((ranked * precisions).sum(1) / ranked.sum(1)).mean()),
        median_rank=float(np.median(ranks)),
    )
