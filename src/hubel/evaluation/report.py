"""An evaluation as one HTML file that needs nothing else: no network, no script, no other file.

Class names and file names come from strangers' folders. So the template escapes every value, and the page's
own policy forbids scripts and requests should anything slip through.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hubel.core.files import write_atomic
from hubel.metrics.classification import Metrics, MultiLabelMetrics
from hubel.metrics.reconstruction import ReconstructionMetrics
from hubel.metrics.tables import percent

__all__ = ["AnyMetrics", "Report", "write_report"]

AnyMetrics = Metrics | MultiLabelMetrics | ReconstructionMetrics
MOST_NOTES = 8  # shown open; the others fold away


@dataclass(frozen=True)
class Report:
    """What a report says.

    Attributes:
        title: the name of the report.
        headline: the result in one sentence, such as "98.6% of 360 held-out images are right."
        facts: rows of the summary, each a name and a value.
        notes: warnings, such as the unreadable files with their reasons.
        metrics: the numbers; None leaves their tables out.
        figures: a heading, a caption and a PNG file each.
    """

    title: str
    headline: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    metrics: AnyMetrics | None = None
    figures: Sequence[tuple[str, str, bytes]] = ()


def write_report(path: Path, report: Report) -> None:
    """Write the report to `path`, atomically. The same report gives the same bytes."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"percent": percent, "grouped": "{:,}".format}
    source = files("hubel.evaluation").joinpath("report.html.jinja").read_text(encoding="utf-8")
    metrics = report.metrics
    page = environment.from_string(source).render(
        report=report,
        figures=[(heading, caption, b64encode(png).decode()) for heading, caption, png in report.figures],
        most_notes=MOST_NOTES,
        tiles=_tiles(metrics),
        confused=metrics.most_confused() if isinstance(metrics, Metrics) else [],
        per_class=getattr(metrics, "per_class", []),
        multilabel=isinstance(metrics, MultiLabelMetrics),
    )
    # File names that are no valid UTF-8 hold lone surrogates, which cannot be encoded.
    write_atomic(path, page.encode("utf-8", "backslashreplace"))


def _tiles(metrics: AnyMetrics | None) -> list[tuple[str, str, str]]:
    """The headline numbers: name, value with its unit, and what it means in a few words."""
    if metrics is None:
        return []
    if isinstance(metrics, ReconstructionMetrics):
        return [
            ("Squared error", f"{metrics.mse:.4f}", "mean of a pixel from 0 to 1"),
            ("Cross-entropy", f"{metrics.bce:.4f}", "mean of a pixel, nats"),
            ("of a perfect copy", f"{metrics.entropy:.4f}", "the least cross-entropy there can be"),
        ]
    if isinstance(metrics, MultiLabelMetrics):
        return [
            ("All labels right", f"{percent(metrics.subset_accuracy)}%", "images without any mistake"),
            ("Mean average precision", f"{percent(metrics.mean_average_precision)}%", "needs no threshold"),
            ("Macro F1", f"{percent(metrics.macro_f1)}%", "each label counts the same"),
            ("Micro F1", f"{percent(metrics.micro_f1)}%", "each decision counts the same"),
        ]
    top5 = [] if metrics.top5 is None else [("Top-5", f"{percent(metrics.top5)}%", "true class among five guesses")]
    return [
        ("Top-1", f"{percent(metrics.top1)}%", "first guess is right"),
        *top5,
        ("Macro F1", f"{percent(metrics.macro_f1)}%", "each class counts the same"),
        ("Loss", f"{metrics.nll:.3f}", "mean negative log-likelihood, nats"),
        ("Calibration error", f"{percent(metrics.ece)}%", "mean gap of confidence to accuracy"),
    ]
