"""The report of `hubel bench`: rows, their comparison, and notes on their limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from hubel.export.bench.row import Speed

__all__ = ["Benchmark", "BenchmarkRow", "Machine"]

_FEW_TIMINGS = 100  # with fewer, the slowest one in a hundred is not among them
_DISTURBING_SHARE = 0.1  # of the processor; a system's own services take about 0.02


@dataclass(frozen=True, kw_only=True)
class BenchmarkRow:
    """The measurement of one model on one engine.

    Attributes:
        model: name or path as requested.
        engine: "torch", or one of `hubel.inference.engines.registry.ONNX_ENGINES`.
        precision: "float" or "int8".
        startup_s: seconds from the start of the process to the scores of the first image; None if it failed.
        speed: measured speed; None if it failed.
        error: reason of the failure, in one line; None if it succeeded.
    """

    model: str
    engine: str
    precision: str
    startup_s: float | None = None
    speed: Speed | None = None
    error: str | None = None

    @property
    def configuration(self) -> str:
        """Engine, precision and device as text."""
        device = self.speed.device if self.speed else "cpu"
        return f"{self.engine} {self.precision}" + f" on {device}" * (device != "cpu")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine of a benchmark.

    Attributes:
        cpu: name of the processor as the system states it.
        cores: number of usable cores.
        threads: number of threads used.
        versions: versions of hubel, Python and the engines, by name.
    """

    cpu: str
    cores: int
    threads: int
    versions: dict[str, str]

    def __str__(self) -> str:
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{f'{self.threads} of ' * (self.threads < self.cores)}{cores} of {self.cpu}"


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """The result of a benchmark.

    Attributes:
        rows: one row for each model, engine and precision, in the order of the models.
        machine: machine it ran on.
        remarks: notes on the models, a sentence each.
    """

    rows: tuple[BenchmarkRow, ...]
    machine: Machine
    remarks: tuple[str, ...] = ()

    @cached_property
    def ratios(self) -> tuple[float | None, ...]:
        """Throughput of each row relative to the first successful row of its model; None for failed rows."""
        first: dict[str, float] = {}
        for row in self.rows:
            if row.speed:
                first.setdefault(row.model, row.speed.images_per_second)
        return tuple(row.speed.images_per_second / first[row.model] if row.speed else None for row in self.rows)

    @property
    def failed(self) -> tuple[str, ...]:
        """Models without any successful row."""
        worked = {row.model for row in self.rows if row.speed}
        return tuple(dict.fromkeys(row.model for row in self.rows if row.model not in worked))

    @property
    def disturbed(self) -> bool:
        """True if other programs used enough of the processor to distort the numbers."""
        return any((row.speed.others_share or 0.0) > _DISTURBING_SHARE for row in self.rows if row.speed)

    def best(self) -> list[str]:
        """Recommend an engine and precision, in a sentence for each model."""
        sentences = []
        for model in dict.fromkeys(row.model for row in self.rows):
            measured = [(row.configuration, row.speed) for row in self.rows if row.model == model and row.speed]
            if measured:
                many, most = max(measured, key=lambda row: row[1].images_per_second)
                one, soonest = min(measured, key=lambda row: row[1].latency_p50_ms)
                fast = f"{most.images_per_second:,.1f} images/s in batches of {most.batch}"
                soon = f"median {soonest.latency_p50_ms:,.2f} ms"
                both = f" and for single ones ({soon})" if one == many else f", {one} for single ones ({soon})"
                sentences.append(f"{model}: {many} is best for many images ({fast}){both}, on {self.machine}")
        return sentences

    def notes(self) -> list[str]:
        """Return the remarks and the reasons to doubt the numbers, a sentence each."""
        measured = [(row, row.speed) for row in self.rows if row.speed]
        notes = list(self.remarks)
        if few := [row for row, speed in measured if speed.timings < _FEW_TIMINGS]:
            least = min(speed.timings for _, speed in measured)
            notes.append(
                f"p99 is only the slowest timing where fewer than {_FEW_TIMINGS} images were timed (down to {least}: "
                f"{', '.join(f'{row.model} {row.configuration}' for row in few)}); --seconds gives them more time"
            )
        if self.disturbed:
            most = max(speed.others_share or 0.0 for _, speed in measured)
            notes.append(
                f"other programs used up to {most:.0%} of the processor meanwhile, not the same for each row: the "
                "numbers are too slow and hard to compare; measure again when the machine is idle"
            )
        return notes

    def record(self) -> dict[str, Any]:
        """Return the whole benchmark as plain JSON values."""
        empty = dict.fromkeys(field.name for field in fields(Speed))
        rows = [
            {
                "model": row.model,
                "engine": row.engine,
                "precision": row.precision,
                "startup_s": row.startup_s,
                **(asdict(row.speed) if row.speed else empty),
                "throughput_ratio": ratio,
                "error": row.error,
            }
            for row, ratio in zip(self.rows, self.ratios, strict=True)
        ]
        return {"machine": asdict(self.machine), "rows": rows, "best": self.best(), "notes": self.notes()}
