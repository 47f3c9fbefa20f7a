"""Counters and histograms of the server, in the text format 0.0.4 of Prometheus."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

__all__ = ["Histogram", "ServerMetrics", "counter", "gauge", "histograms"]

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_IMAGES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
_Labels = Mapping[str, str]


class ServerMetrics:
    """Counters and histograms since the start of the server; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._batches: dict[str, Histogram] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request that has been answered."""
        with self._lock:
            self._requests[path, status] += 1
            self._seconds.setdefault(path, Histogram(_SECONDS)).add(seconds)

    def batch(self, model: str, images: int) -> None:
        """Count a batch of images."""
        with self._lock:
            self._batches.setdefault(model, Histogram(_IMAGES)).add(images)

    def lines(self) -> list[str]:
        """Return the lines of all metrics."""
        with self._lock:
            return [
                *counter(
                    "hubel_requests_total",
                    "Requests by path and status.",
                    (
                        ({"path": path, "status": str(status)}, count)
                        for (path, status), count in sorted(self._requests.items())
                    ),
                ),
                *histograms("hubel_request_seconds", "Time until the response.", "path", self._seconds),
                *histograms("hubel_batch_images", "Images in a batch.", "model", self._batches),
            ]


def gauge(name: str, text: str, values: Iterable[tuple[_Labels, float]]) -> list[str]:
    """Return the lines of a gauge: the current value for each set of labels."""
    return [*_head(name, "gauge", text), *(_line(name, labels, value) for labels, value in values)]


def counter(name: str, text: str, values: Iterable[tuple[_Labels, int]]) -> list[str]:
    """Return the lines of a counter: the count for each set of labels."""
    return [*_head(name, "counter", text), *(_line(name, labels, value) for labels, value in values)]


class Histogram:
    """Counts of values up to each of some bounds; not thread-safe."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    @property
    def count(self) -> int:
        """Return the number of values."""
        return sum(self._counts)

    def lines(self, name: str, labels: _Labels) -> list[str]:
        """Return the lines of its buckets, sum and count."""
        found, total = [], 0
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self._counts, strict=True):
            total += count
            found.append(_line(f"{name}_bucket", {**labels, "le": bound}, total))
        return [*found, _line(f"{name}_sum", labels, self._sum), _line(f"{name}_count", labels, total)]


def histograms(name: str, text: str, label: str, found: Mapping[str, Histogram]) -> list[str]:
    """Return the lines of histograms by the value of a label."""
    lines = (line for key, one in sorted(found.items()) for line in one.lines(name, {label: key}))
    return [*_head(name, "histogram", text), *lines]


def _head(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _line(name: str, labels: _Labels, value: float) -> str:
    shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
