"""A bulk prediction job, and its rows on one machine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubel.core.errors import OptionError
from hubel.core.files import model_in, sha256_of, user_path
from hubel.core.ranges import check_range
from hubel.data.inputs import Input
from hubel.inference.dense import DenseModel
from hubel.inference.dense_rows import DenseLayout, dense_row
from hubel.inference.prediction_files import PredictionFiles, ReconstructionFiles
from hubel.inference.reconstructor import ReconstructionLayout, Reconstructor, reconstruction_row
from hubel.inference.row_files import Layout, Row, RowLayout, row_of

if TYPE_CHECKING:
    from hubel.inference.classifier import Classifier

__all__ = ["BulkJob", "local_rows"]


@dataclass(frozen=True)
class BulkJob:
    """A request to predict many images.

    Attributes:
        model: as for `hubel.inference.load.load`, and so are device, tta and engine.
        top: classes for each image.
        device: cpu, cuda, mps or auto.
        tta: average the scores over views of each image.
        engine: of an exported file; or "ray", which runs any model on all machines of a Ray cluster.
        decoded: add facts about how each image was decoded.
        shard: "i/n", the i-th of n parts of the images, i from 1 to n.
        no_formulas: see `RowLayout`.
        costs: as for `hubel.inference.load.load`; "" for the model's own.
        coverage: adds prediction sets, see `Classifier.rank`.
        draw: folder for the images with what is found drawn on them, or their reconstructions beside; None for none.
        labels: folder for what is found as files of labels, see `PredictionFiles`; None for none.
        sure: adds ancestors, see `Classifier.rank`.

    Raises:
        OptionError: a value that cannot work.
    """

    model: str
    top: int = 3
    device: str = "auto"
    tta: bool = False
    engine: str = "auto"
    decoded: bool = False
    shard: str = "1/1"
    no_formulas: bool = False
    costs: str = ""
    coverage: float | None = None
    draw: Path | None = None
    labels: Path | None = None
    sure: float | None = None

    def __post_init__(self) -> None:
        check_range("--top", self.top, 1, 1_000_000, whole=True)
        if self.engine == "ray" and (self.draw or self.labels):
            raise OptionError("--engine ray writes rows alone: no --draw and no --labels")
        self._shard()

    def _shard(self) -> tuple[int, int]:
        numbers = re.fullmatch(r"(\d{1,9})/(\d{1,9})", self.shard, re.ASCII)
        part, parts = map(int, numbers.groups()) if numbers else (0, 0)
        if not 1 <= part <= parts:
            raise OptionError(f"--shard is I/N with I from 1 to N, such as 1/3, 2/3 and 3/3; not {self.shard!r}")
        return part, parts

    def share(self, inputs: Iterable[Input]) -> list[Input]:
        """Return this shard's images: every n-th, so that folders of large images are divided fairly, too."""
        part, parts = self._shard()
        return list(itertools.islice(inputs, part - 1, None, parts))

    def load(self) -> Classifier | DenseModel | Reconstructor:
        """Load the model; for Ray, whose workers load their own, it only describes itself.

        Raises:
            HubelError: there is none; see `hubel.inference.load.load`.
        """
        from hubel.inference.load import load, load_any

        if self.engine != "ray":
            model = load_any(self.model, device=self.device, tta=self.tta, engine=self.engine, costs=self.costs)
            if isinstance(model, Reconstructor) and not self.labels:
                return model
            if not isinstance(model, DenseModel) and (self.draw or self.labels):
                raise OptionError(
                    f"--labels is for models that find objects, pixels or points; {self.model} reconstructs images"
                    if isinstance(model, Reconstructor)
                    else "--draw and --labels are for models that find objects, pixels or points; "
                    f"{self.model} classifies whole images, and hubel explain draws what it looks at"
                )
            return model
        if self.device not in ("auto", "cpu"):
            raise OptionError(f"--engine ray computes on processors, not on {self.device}")
        return load(self.model, device="cpu", tta=self.tta, costs=self.costs)

    def layout(self, classifier: Classifier | DenseModel | Reconstructor) -> Layout:
        """Return the columns of the rows.

        Raises:
            OptionError: there are no prediction sets of the coverage, or no ancestors.
        """
        if isinstance(classifier, DenseModel | Reconstructor):
            asked = {"--coverage": self.coverage, "--sure": self.sure, "--debug-decode": self.decoded or None}
            does = "annotates" if isinstance(classifier, DenseModel) else "reconstructs"
            for flag, value in asked.items():
                if value is not None:
                    raise OptionError(f"{flag} is for classifiers; {self.model} {does} images")
        if isinstance(classifier, Reconstructor):
            return ReconstructionLayout(no_formulas=self.no_formulas)
        if isinstance(classifier, DenseModel):
            return DenseLayout.of(classifier.card, no_formulas=self.no_formulas)
        if self.sure is not None:
            classifier.card.class_tree().check(self.sure)
        if self.coverage is not None:
            classifier.card.coverage_table().at(self.coverage)
        card, top = classifier.card, min(self.top, len(classifier.classes))
        return RowLayout(
            top=top,
            decoded=self.decoded,
            numbers=card.scores == "identity",
            no_formulas=self.no_formulas,
            coverage=self.coverage,
            costs=card.costs is not None,
            novelty=card.novelty is not None,
            sure=self.sure,
        )

    def identity(self) -> dict[str, Any]:
        """Return what must be the same when a stopped job is resumed. The engine may be another."""
        file = model_in(Path(self.model))
        model = sha256_of(file) if file.is_file() else self.model
        decode = {"--debug-decode": self.decoded, "--tta": self.tta}
        priced = user_path(self.costs) if self.costs else Path()
        costs = {"--costs": sha256_of(priced) if priced.is_file() else self.costs} if self.costs else {}
        asked = {"--top": self.top, "--coverage": self.coverage, "--sure": self.sure, "--shard": self.shard}
        return {"model": model, **asked, **decode, **costs}


def local_rows(
    job: BulkJob, classifier: Classifier | DenseModel | Reconstructor, inputs: Sequence[Input]
) -> Generator[Row, None, None]:
    """Yield the row of each input, in order, as predicted on this machine."""
    if isinstance(classifier, Reconstructor):
        figures = ReconstructionFiles(job.draw) if job.draw else None
        for item, made in classifier.stream(inputs):
            if figures and made.pixels is not None:
                figures.write(item, made)
            yield reconstruction_row(made)
        return
    if isinstance(classifier, DenseModel):
        files = PredictionFiles(classifier.classes, drawings=job.draw, labels=job.labels, limbs=classifier.limbs)
        for item, found in classifier.stream(inputs):
            if found.width:
                files.write(item, found)
            yield dense_row(found, classifier.classes)
        return
    for item, prediction in classifier.rank(inputs, top_k=job.top, coverage=job.coverage, sure=job.sure):
        yield row_of(prediction, item if job.decoded else None)
