"""Format metrics as CSV and as percentages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, fields

from hubel.core.csv_text import csv_text
from hubel.core.language import sentence
from hubel.metrics.classification import Metrics, MultiLabelMetrics
from hubel.metrics.intervals import Interval

__all__ = ["confusion_csv", "per_class_csv", "percent", "percent_range", "value_range"]


def confusion_csv(metrics: Metrics) -> str:
    r"""Return the confusion matrix as CSV: a header of predicted classes, a row of counts for each true class."""
    rows = zip(metrics.classes, metrics.confusion.tolist(), strict=True)
    return csv_text([["true \\ predicted", *metrics.classes], *([name, *counts] for name, counts in rows)])


def per_class_csv(metrics: Metrics | MultiLabelMetrics) -> str:
    """Return the fields of `ClassMetrics` of each class as CSV; numbers are fractions."""
    header = [field.name for field in fields(metrics.per_class[0])]
    return csv_text([header, *(astuple(one) for one in metrics.per_class)])


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction as a percentage, rounded to 100 only if it is exactly 1.

    >>> percent(1.0), percent(0.9999), percent(0.5), percent(0.99999, 2)
    ('100', '99.9', '50.0', '99.99')
    """
    return "100" if fraction == 1 else f"{min(100 * fraction, 100 - 10**-digits):.{digits}f}"


def percent_range(interval: Interval, digits: int = 1) -> str:
    """Format an interval of fractions as percentages.

    >>> percent_range(Interval(0.685, 0.987))
    '68.5 to 98.7%'
    """
    return sentence("text.range", low=percent(interval.low, digits), high=percent(interval.high, digits))


def value_range(interval: Interval, form: Callable[[float], str] = "{:.4f}".format) -> str:
    """Format an interval of numbers.

    >>> value_range(Interval(0.5, 0.75))
    '0.5000 to 0.7500'
    """
    return f"{form(interval.low)} to {form(interval.high)}"
