"""Format metrics as CSV and as percentages."""

from __future__ import annotations

from dataclasses import astuple, fields

from hubel.core.csv_text import csv_text
from hubel.metrics.classification import Metrics, MultiLabelMetrics

__all__ = ["confusion_csv", "per_class_csv", "percent"]


def confusion_csv(metrics: Metrics) -> str:
    r"""Return the confusion matrix as CSV: a header of predicted classes, a row of counts for each true class."""
    rows = zip(metrics.classes, metrics.confusion.tolist(), strict=True)
    return csv_text([["true \\ predicted", *metrics.classes], *([name, *counts] for name, counts in rows)])


def per_class_csv(metrics: Metrics | MultiLabelMetrics) -> str:
    """Return name, precision, recall, F1 and support of each class as CSV; numbers are fractions."""
    header = [field.name for field in fields(metrics.per_class[0])]
    return csv_text([header, *(astuple(one) for one in metrics.per_class)])


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction as a percentage, rounded to 100 only if it is exactly 1.

    >>> percent(1.0), percent(0.9999), percent(0.5), percent(0.99999, 2)
    ('100', '99.9', '50.0', '99.99')
    """
    return "100" if fraction == 1 else f"{min(100 * fraction, 100 - 10**-digits):.{digits}f}"
