"""What `hubel bench` says: its rows, how they compare, and what a reader must know of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from hubel.export.bench.row import Speed

__all__ = ["Bench", "Machine", "Row"]

_FEW = 100  # timings; with fewer, one in a hundred is none of them
_BUSY = 0.1  # of the processor; a system's own services take about 0.02


@dataclass(frozen=True)
class Row:
    """One model on one engine.

    Attributes:
        model: as it was asked for.
        engine: "torch", or one of `hubel.inference.engines.registry.ONNX_ENGINES`.
        precision: "float" or "int8".
        startup_s: seconds from the start of the process to the scores of the first image.
        speed: what was measured then; None where it failed.
        error: why, in one line.
    """

    model: str
    engine: str
    precision: str
    startup_s: float | None = None
    speed: Speed | None = None
    error: str | None = None

    @property
    def way(self) -> str:
        """Engine and precision, in words."""
        device = self.speed.device if self.speed else "cpu"
        return f"{self.engine} {self.precision}" + f" on {device}" * (device != "cpu")


@dataclass(frozen=True)
class Machine:
    """Where it was measured.

    Attributes:
        cpu: the processor's name, as the system knows it.
        cores: that may be used.
        threads: that were.
        versions: of hubel, Python and the engines.
    """

    cpu: str
    cores: int
    threads: int
    versions: dict[str, str]

    def __str__(self) -> str:
        cores = f"{self.cores} core{'s' * (self.cores > 1)}"
        return f"{f'{self.threads} of ' * (self.threads < self.cores)}{cores} of {self.cpu}"


@dataclass(frozen=True)
class Bench:
    """What was measured: rows in the order of the models, and what is to be said of these."""

    rows: tuple[Row, ...]
    machine: Machine
    said: tuple[str, ...] = ()

    @cached_property
    def ratios(self) -> tuple[float | None, ...]:
        """The throughput of each row against the first one of its model that did not fail."""
        first: dict[str, float] = {}
        for row in self.rows:
            if row.speed:
                first.setdefault(row.model, row.speed.images_per_second)
        return tuple(row.speed.images_per_second / first[row.model] if row.speed else None for row in self.rows)

    @property
    def failed(self) -> tuple[str, ...]:
        """The models of which nothing could be measured."""
        worked = {row.model for row in self.rows if row.speed}
        return tuple(dict.fromkeys(row.model for row in self.rows if row.model not in worked))

    @property
    def disturbed(self) -> bool:
        """Whether other programs used so much of the processor that it matters."""
        return any((row.speed.others_share or 0.0) > _BUSY for row in self.rows if row.speed)

    def best(self) -> list[str]:
        """For each model a sentence: what to take."""
        sentences = []
        for model in dict.fromkeys(row.model for row in self.rows):
            done = [(row.way, row.speed) for row in self.rows if row.model == model and row.speed]
            if done:
                many, most = max(done, key=lambda found: found[1].images_per_second)
                one, soonest = min(done, key=lambda found: found[1].latency_p50_ms)
                fast = f"{most.images_per_second:,.1f} images/s in batches of {most.batch}"
                soon = f"median {soonest.latency_p50_ms:,.2f} ms"
                both = f" and for single ones ({soon})" if one == many else f", {one} for single ones ({soon})"
                sentences.append(f"{model}: {many} is best for many images ({fast}){both}, on {self.machine}")
        return sentences

    def notes(self) -> list[str]:
        """What a reader must know, a sentence each."""
        done = [(row, row.speed) for row in self.rows if row.speed]
        notes = list(self.said)
        if few := [row for row, speed in done if speed.timings < _FEW]:
            least = min(speed.timings for _, speed in done)
            notes.append(
                f"p99 is no more than the slowest of a few where fewer than {_FEW} images were timed (down to {least}: "
                f"{', '.join(f'{row.model} {row.way}' for row in few)}); --seconds gives them more time"
            )
        if self.disturbed:
            most = max(speed.others_share or 0.0 for _, speed in done)
            notes.append(
                f"other programs used up to {most:.0%} of the processor meanwhile, not the same for each row: numbers "
                "are worse than they could be, and hard to compare; measure again when it is idle"
            )
        return notes

    def record(self) -> dict[str, Any]:
        """Everything, as plain JSON values."""
        nothing = dict.fromkeys(field.name for field in fields(Speed))
        rows = [
            {
                "model": row.model,
                "engine": row.engine,
                "precision": row.precision,
                "startup_s": row.startup_s,
                **(asdict(row.speed) if row.speed else nothing),
                "throughput_ratio": ratio,
                "error": row.error,
            }
            for row, ratio in zip(self.rows, self.ratios, strict=True)
        ]
        return {"machine": asdict(self.machine), "rows": rows, "best": self.best(), "notes": self.notes()}
