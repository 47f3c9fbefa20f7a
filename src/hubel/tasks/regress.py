"""Regression: one number an image, which its label gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hubel.core.errors import DataError, OptionError
from hubel.core.language import counted_images, sentence
from hubel.data.dataset import Dataset
from hubel.data.loading import Images
from hubel.data.samples import Batch, Labelled, Samples
from hubel.inference.classifier import Classifier
from hubel.inference.scores import scores
from hubel.metrics.intervals import Interval, bootstrap, percentile_interval
from hubel.metrics.report_items import Drawing, PredictionTable, Tile
from hubel.metrics.tables import value_range
from hubel.plots.contact_sheet import contact_sheet
from hubel.plots.style import BLUE, MUTED, canvas, finish, heading, style_axes
from hubel.tasks.classify import predict_scores
from hubel.tasks.task import Evaluation, FittedHead, Metric, Model, Quality, Task
from hubel.weights.card import ModelCard

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.tasks.losses import LossSettings

__all__ = ["Regression", "RegressionEvaluation", "RegressionMetrics", "RegressionObjective", "measure_regression"]

_PENALTIES = np.geomspace(1e-3, 1e5, 17)  # of ridge regression on features of unit variance
_FOLDS = 5
_ROUNDING = 1e-12  # of a sum of squares: what is left of it where all targets are equal
_SHOWN = 24  # images on the contact sheet of the largest errors


@dataclass(frozen=True, kw_only=True)
class RegressionMetrics:
    """Errors of predicted numbers.

    Attributes:
        n: images.
        r2: coefficient of determination, `1 - sum (y - f)^2 / sum (y - mean y)^2`, at most 1; 0 for the mean.
        mse: mean squared error.
        mae: mean absolute error.
    """

    n: int
    r2: float
    mse: float
    mae: float


def measure_regression(predictions: NDArray[np.float64], targets: NDArray[np.float64]) -> RegressionMetrics:
    """Compare predicted numbers `(n,)` with true ones `(n,)`.

    >>> measure_regression(np.array([1.0, 3.0]), np.array([1.0, 2.0]))
    RegressionMetrics(n=2, r2=-1.0, mse=0.5, mae=0.5)
    """
    errors = predictions - targets
    spread = float(np.square(targets - targets.mean()).sum())
    squares = float(np.square(errors).sum())
    # Of equal targets nothing is left to be explained: R² is 0 as for a constant, 1 for a perfect prediction. Rounding
    # may move their mean, so that `spread` alone does not tell.
    r2 = 1 - squares / spread if np.ptp(targets) else float(squares == 0)
    return RegressionMetrics(n=len(errors), r2=r2, mse=squares / len(errors), mae=float(np.abs(errors).mean()))


def weighted_regression(
    weights: NDArray[np.float64], predictions: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return R², mean squared and mean absolute error of weighted images, `(b, 3)`; R² is NaN where targets are equal.

    Args:
        weights: of the images in each of b cases, `(b, n)`.
        predictions: numbers `(n,)`.
        targets: numbers `(n,)`, not all equal.
    """
    errors, centred = predictions - targets, targets - targets.mean()
    total = weights.sum(1)
    squares, scale = weights @ np.square(errors), weights @ np.square(centred)
    spread = scale - np.square(weights @ centred) / total
    some = spread > _ROUNDING * scale
    r2 = np.where(some, 1 - squares / np.where(some, spread, 1), np.nan)
    return np.stack([r2, squares / total, weights @ np.abs(errors) / total], axis=1)


@dataclass(frozen=True, kw_only=True)
class RegressionObjective:
    """Outputs `(n, 1)` against standardised targets: mean 0 and variance 1 over the training images.

    Attributes:
        offset: mean of the training targets.
        scale: their standard deviation.
    """

    sampled: ClassVar[bool] = False
    offset: float
    scale: float

    def targets(self, data: Labelled[Samples], batch: Batch) -> Tensor:
        """Return the standardised targets `(n, 1)`."""
        import torch  # what only evaluates exported files does without

        return torch.from_numpy(((data.targets[batch.positions] - self.offset) / self.scale).astype(np.float32))

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return squared errors `(n,)`, in units of the variance of the training targets."""
        return (outputs.float() - targets).square().sum(1)

    validation_losses = losses

    def validation_weights(self, targets: NDArray[Any]) -> None:
        """Return None: all images count alike."""

    def correct(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return False for each image, so that the loss alone selects the best epoch."""
        import torch  # what only evaluates exported files does without

        return torch.zeros(len(outputs), dtype=torch.bool)

    def row(self, split: str, loss: float, correct: float) -> dict[str, float]:
        """Return the loss, and R² against the mean of the training targets."""
        return {f"{split}_loss": loss, f"{split}_r2": 1 - loss}


@dataclass(frozen=True, eq=False, kw_only=True)
class RegressionEvaluation(Evaluation):
    """A model of numbers measured on labelled images.

    Attributes:
        metrics: the errors.
        predictions: numbers `(n,)`.
        targets: numbers `(n,)`.
    """

    metrics: RegressionMetrics
    predictions: NDArray[np.float64]
    targets: NDArray[np.float64]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as plain JSON values."""
        return asdict(self.metrics)

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of R² and the errors; none of a single image, nor of R² without unequal targets."""
        if self.metrics.n < 2:
            return {}
        ones = np.ones(self.metrics.n, np.int64)
        values = bootstrap(lambda weights: weighted_regression(weights, self.predictions, self.targets), ones)
        known = {name: x[np.isfinite(x)] for name, x in zip(("r2", "mse", "mae"), values.T, strict=True)}
        return {name: percentile_interval(drawn) for name, drawn in known.items() if len(drawn)}

    def quality(self) -> Quality:
        """Return the absolute errors."""
        return Quality(name="mean absolute error", values=np.abs(self.predictions - self.targets))

    def headline(self, split: str) -> str:
        """Return R² in one sentence."""
        m, sure = self.metrics, self.intervals.get("r2")
        values = {"r2": m.r2, "images": counted_images(m.n, split), "mae": m.mae}
        if sure is None:
            return sentence("regress.headline", **values)
        return sentence("regress.headline_sure", **values, interval=value_range(sure, "{:.3f}".format))

    def rows(self, split: str) -> list[tuple[str, ...]]:
        """Return the numbers for a terminal: name, value, and 95 % interval."""
        m = self.metrics
        r2, mae, rmse = self._ranges()
        return [
            (f"R² ({split})", f"{m.r2:.4f}", r2),
            ("mean absolute error", f"{m.mae:.4g}", mae),
            ("root mean squared error", f"{m.mse**0.5:.4g}", rmse),
            ("images", f"{m.n:,}"),
        ]

    def tiles(self) -> list[Tile]:
        """Return the headline numbers of the report."""
        m = self.metrics
        r2, mae, rmse = self._ranges()
        return [
            Tile(name=sentence(f"tile.{name}"), value=value, meaning=sentence(f"tile.{name}.means"), interval=interval)
            for name, value, interval in (
                ("r2", f"{m.r2:.3f}", r2),
                ("mae", f"{m.mae:.4g}", mae),
                ("rmse", f"{m.mse**0.5:.4g}", rmse),
            )
        ]

    def _ranges(self) -> tuple[str, str, str]:
        """Return the intervals of R², mean absolute and root mean squared error as text; "" for one that is unknown."""
        found, short = dict(self.intervals), "{:.4g}".format
        if "mse" in found:
            found["rmse"] = Interval(found["mse"].low ** 0.5, found["mse"].high ** 0.5)
        forms = {"r2": "{:.4f}".format, "mae": short, "rmse": short}
        r2, mae, rmse = (value_range(found[name], form) if name in found else "" for name, form in forms.items())
        return r2, mae, rmse

    def prediction_table(self) -> PredictionTable:
        """Return label, prediction, and the difference of the two."""
        columns = {"label": self.targets, "prediction": self.predictions, "error": self.predictions - self.targets}
        return PredictionTable(facts={name: [float(f"{x:.7g}") for x in c] for name, c in columns.items()})

    def footnote(self) -> str:
        """Return the definition of R²."""
        return sentence("footnote.r2")

    def drawings(self) -> list[Drawing]:
        """Return predictions over labels, and the largest errors."""
        worst = np.argsort(-np.abs(self.predictions - self.targets), kind="stable")[:_SHOWN]
        captions = [
            sentence("figure.guess", guess=f"{self.predictions[i]:.4g}", label=f"{self.targets[i]:.4g}")
            for i in worst.tolist()
        ]
        axes = (figure := canvas(5.5, 5.0)).subplots()
        ends = [min(self.targets.min(), self.predictions.min()), max(self.targets.max(), self.predictions.max())]
        axes.plot(ends, ends, color=MUTED, linewidth=1)
        axes.plot(self.targets, self.predictions, ".", color=BLUE, markersize=4)
        axes.set(xlabel=sentence("column.label"), ylabel=sentence("axis.prediction"))
        heading(axes, sentence("figure.predictions"), f"R² {self.metrics.r2:.3f}")
        style_axes(axes)
        return [
            Drawing(
                name="predictions",
                heading=sentence("figure.predictions"),
                caption=sentence("figure.predictions.text"),
                figure=finish(figure),
            ),
            Drawing(
                name="worst",
                heading=sentence("figure.errors"),
                caption=sentence("figure.errors.text"),
                figure=contact_sheet(list(self.images.pixels(worst)), captions, sentence("figure.errors")),
            ),
        ]


class Regression(Task):
    """One number an image: mean squared error, R²."""

    name: ClassVar[str] = "regress"
    summary: ClassVar[str] = "predict a number for each image; labels are numbers"
    stratify: ClassVar[bool] = False
    losses: ClassVar[tuple[str, ...]] = ("mse",)
    metrics: ClassVar[Mapping[str, Metric]] = {"r2": Metric("r2"), "loss": Metric("mse", lower=True)}
    unused: ClassVar[tuple[str, ...]] = ("label_smoothing", "balance", "reject")
    optimizer: ClassVar[str] = "adamw"
    lr: ClassVar[Mapping[str, float]] = {**Task.lr, "sgd": 0.005}

    def outputs(self, dataset: Dataset) -> tuple[str, ...]:
        """Return the name of the one output."""
        return ("value",)

    def targets(self, dataset: Dataset, outputs: tuple[str, ...], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the numbers of labels, float64 `(n, 1)`.

        Raises:
            DataError: a label is no finite number.
        """
        labels = dataset.labels(rows)
        try:
            values = np.array([float(label) for label in labels])
        except ValueError:
            wrong = next(label for label in labels if not _is_number(label))
            raise DataError(f"{dataset.name}: the label {wrong!r} is no number, which the task regress needs") from None
        if not np.isfinite(values).all():
            raise DataError(f"{dataset.name}: a label is not finite, which the task regress needs")
        return values[:, None]

    def scores(self, loss: str) -> str:
        """Return the outputs themselves."""
        return "identity"

    def finish_card(self, card: ModelCard, train: Labelled[Images]) -> ModelCard:
        """Return the card with mean and deviation of the training targets, which undo the standardisation."""
        deviation = float(train.targets.std()) if np.ptp(train.targets) else 0.0  # of equal ones, rounding leaves some
        return replace(card, temperature=1 / deviation if deviation else 1.0, offset=float(train.targets.mean()))

    def objective(
        self, settings: LossSettings, card: ModelCard, targets: NDArray[Any], device: torch.device
    ) -> RegressionObjective:
        """Return the squared error of standardised numbers."""
        return RegressionObjective(offset=card.offset, scale=1 / card.temperature)

    def fit_head(
        self,
        features: NDArray[np.float32],
        targets: NDArray[Any],
        card: ModelCard,
        loss: LossSettings,
        seed: int,
        strength: float | None = None,
    ) -> FittedHead:
        """Fit ridge regression; leave-one-out errors choose the penalty, 5 folds measure R²."""
        from sklearn.linear_model import RidgeCV  # what only evaluates exported files does without
        from sklearn.model_selection import KFold, cross_val_predict

        mean, deviation = features.mean(0), np.maximum(features.std(0), 1e-6)
        x, y = (features - mean) / deviation, (targets[:, 0] - card.offset) * card.temperature
        ridge = RidgeCV(_PENALTIES).fit(x, y)
        score = None
        if len(x) > 1:
            folds = KFold(min(_FOLDS, len(x)), shuffle=True, random_state=seed)
            score = measure_regression(cross_val_predict(ridge, x, y, cv=folds), y).r2
        weight = (ridge.coef_ / deviation)[None]
        bias = np.array([ridge.intercept_ - weight[0] @ mean])
        return FittedHead(weight=weight.astype(np.float32), bias=bias.astype(np.float32), score=score)

    def model(self, network: nn.Module, card: ModelCard, *, tta: bool = False) -> Model:
        """Return a predictor.

        Raises:
            OptionError: numbers are not averaged over views.
        """
        if tta:
            raise OptionError("numbers are not averaged over views of an image; leave out --tta")
        from hubel.inference.predictor import Predictor  # what only evaluates exported files does without

        return Predictor(network, card)

    def evaluate(self, model: Model, images: Images, targets: NDArray[Any]) -> RegressionEvaluation:
        """Measure a model, exported or not."""
        assert isinstance(model, Classifier)
        return _evaluate(predict_scores(model, images), images, targets)

    def evaluate_outputs(
        self, outputs: NDArray[np.float32], card: ModelCard, images: Images, targets: NDArray[Any]
    ) -> RegressionEvaluation:
        """Measure outputs `(n, 1)`."""
        return _evaluate(scores(outputs, card), images, targets)


def _evaluate(predictions: NDArray[np.float64], images: Images, targets: NDArray[Any]) -> RegressionEvaluation:
    found, truth = predictions[:, 0], targets[:, 0].astype(np.float64)
    metrics = measure_regression(found, truth)
    return RegressionEvaluation(metrics=metrics, predictions=found, targets=truth, images=images)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
