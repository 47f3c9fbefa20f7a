"""The learning-rate range test (Smith 2015, arXiv:1506.01186, Section 3.3): which rate suits a network and its data.

The learning rate grows by the same factor at every step of one short run. At first nothing happens; then the loss
falls, the faster the higher the rate; at last it explodes. The suggestion is where it falls fastest: the middle of the
decade with the steepest straight line through its losses, before the smoothed loss is lowest. The other usual rule, a
tenth of the rate where the loss is lowest, depends on the one point that noise moves most. Deviation: Smith reads two
rates off the accuracy, for a cycle between them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hubel.core.errors import DivergedError, OptionError
from hubel.core.files import write_atomic
from hubel.core.outputs import make_folder, output_folder
from hubel.core.progress import bar, say
from hubel.core.random import scalar
from hubel.core.ranges import check_range
from hubel.core.shell import shell_command
from hubel.data.loading import with_principal_axes
from hubel.data.samples import Batch, Labelled, Samples
from hubel.data.sources.builtin import XO
from hubel.models.neighbours import Neighbours
from hubel.plots.figure_files import save_figure
from hubel.plots.style import BLUE, GREEN, INK, MUTED, PALE_BLUE, canvas, drawable, finish, heading, style_axes
from hubel.training.execute import build_trainer, training_context
from hubel.training.first_layer import fit_first_layer
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import plan_training
from hubel.training.transfer import prepare_tuning

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RangeTest", "RangeTestResult", "draw_range_test", "find_lr", "range_test", "smoothed", "train_command"]

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 100
_LEAST_STEPS, _MOST_STEPS = 20, 100_000
_EXPLODED = 4.0  # times the lowest smoothed loss so far
_NOISE = 1.5  # standard deviations of single steps; 100 steps that learn nothing stay within 1.2
_ALONE = "learning rates are tested in one process, on whole batches; --processes is for the training alone"
_MEMORY = 0.8  # of the moving average, in decades: 10 of the usual 100 steps

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class RangeTest:
    """Learning rate and loss of each step.

    Attributes:
        rates: learning rates `(n,)`, growing.
        losses: mean loss of each step's images `(n,)`, nats, before its update.
        exploded: the test ended because the loss exploded, rather than at the highest rate.
    """

    rates: Values
    losses: Values
    exploded: bool

    @property
    def smooth(self) -> Values:
        """The losses, smoothed."""
        return smoothed(self.rates, self.losses)

    @property
    def lowest(self) -> int:
        """The step with the lowest smoothed loss, from where the average has enough to go by."""
        begin = int(np.searchsorted(self.rates, self.rates[0] * 10**_MEMORY))
        return begin + int(self.smooth[begin:].argmin()) if begin < len(self.rates) else len(self.rates) - 1

    @property
    def steepest(self) -> int:
        """The step in the middle of the decade of rates in which the losses fall fastest, up to the lowest one.

        The lines are those of least squares. A moving average would come too late, and single steps are noise.

        Raises:
            DivergedError: the loss never fell below the noise of the first quarter of the steps.
        """
        first = self.losses[: max(1, len(self.losses) // 4)]
        decades = np.log10(self.rates)
        slopes = np.full(self.lowest + 1, np.inf)
        for step in range(self.lowest + 1):
            near = np.abs(decades - decades[step]) <= 0.5
            if near.sum() > 1 and decades[step] - 0.5 >= decades[0]:
                x, y = decades[near] - decades[near].mean(), self.losses[near]
                slopes[step] = (x @ y) / (x @ x)
        if not slopes.min() < 0 or self.smooth[self.lowest] > first.mean() - _NOISE * first.std() - 1e-6:
            raise DivergedError(
                f"the loss fell at no learning rate from {self.rates[0]:.2g} to {self.rates[-1]:.2g}; "
                "try a lower --lowest, more --steps, or other settings"
            )
        return int(slopes.argmin())

    @property
    def suggestion(self) -> float:
        """The learning rate at the steepest descent, to two digits."""
        return float(f"{self.rates[self.steepest]:.2g}")

    def to_csv(self) -> str:
        """Return a row for each step."""
        columns = (self.rates, self.losses, self.smooth)
        rows = [f"{i},{a:.6g},{b:.6g},{c:.6g}" for i, (a, b, c) in enumerate(zip(*columns, strict=True), start=1)]
        return "\n".join(["step,learning_rate,loss,smoothed_loss", *rows, ""])


@dataclass(frozen=True, kw_only=True)
class RangeTestResult:
    """A range test and where it was written.

    Attributes:
        test: the numbers.
        folder: with `lr_find.csv` and `lr_find.png`.
        command: trains with the suggestion.
        notes: warnings about the data.
    """

    test: RangeTest
    folder: Path
    command: str
    notes: tuple[str, ...]


def smoothed(rates: Values, losses: Values) -> Values:
    """Return an exponential average over the last 0.8 decades of rates, without the bias of its start at zero.

    The correction is that of Kingma & Ba 2014, arXiv:1412.6980, Section 3.

    >>> smoothed(np.array([0.1, 0.2, 0.4]), np.array([2.0, 2.0, 2.0])).round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    if len(losses) < 2:
        return losses.copy()
    decades = math.log10(rates[1] / rates[0])  # a step
    memory = 1 - min(0.5, decades / _MEMORY)
    average, out = 0.0, np.empty(len(losses))
    for step, loss in enumerate(losses):
        average = memory * average + (1 - memory) * loss
        out[step] = average / (1 - memory ** (step + 1))
    return out


def find_lr(
    data: Any,
    recipe: Recipe | None = None,
    *,
    steps: int = STEPS,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    out: Path | None = None,
    xo: XO | None = None,
) -> RangeTestResult:
    """Test learning rates on a fresh network, which is thrown away, and write a table and a figure.

    Args:
        data: as for `hubel.train`.
        recipe: the settings of training; its learning rate and schedule do not matter here.
        steps: how many, at least 20.
        lowest: the first learning rate.
        highest: the last one, unless the loss explodes before.
        out: a new folder below `runs/` if not given.
        xo: the settings of the images when `data` is "xo".

    Raises:
        HubelError: the data or a setting cannot be used.
        DivergedError: the loss fell at no learning rate.
    """
    recipe = recipe or Recipe()
    check_range("--steps", steps, _LEAST_STEPS, _MOST_STEPS, whole=True)
    for flag, rate in (("--lowest", lowest), ("--highest", highest)):
        check_range(flag, rate, 1e-30, 1e6)
    if not lowest < highest:
        raise OptionError(f"--lowest is above 0 and below --highest, not {lowest:g} and {highest:g}")
    out = output_folder(out, verb="lr-find", inputs=(data,))
    plan = plan_training(data, recipe, xo=xo)
    rates = np.geomspace(lowest, highest, steps)
    with training_context(plan):
        network, train = _start(plan)
        test = range_test(plan, network, train, rates)
    name = plan.dataset.source.name
    folder = make_folder(out, verb="lr-find", name=f"lr-find-{name}")
    write_atomic(folder / "lr_find.csv", test.to_csv())
    save_figure(draw_range_test(test, f"{plan.card.model} on {name}"), folder / "lr_find.png")
    command = train_command(data, recipe, test.suggestion, xo=xo)
    alone = [] if recipe.machine.processes == "none" else [_ALONE]
    return RangeTestResult(test=test, folder=folder, command=command, notes=(*plan.notes, *alone))


def _start(plan: Plan) -> tuple[nn.Module, Labelled[Samples]]:
    """Return the network as training starts with it, and what it trains on."""
    torch.manual_seed(scalar(plan.loop.seed))
    if plan.transfer is None:
        return plan.create().to(plan.device), plan.train
    tuning = prepare_tuning(plan, plan.transfer, lambda network: None, say)
    if tuning.tuned is None:
        raise OptionError(
            "with these images only a new last layer is fitted, in one go and without a learning rate; "
            "--freeze none tunes the whole network, and --weights none trains it from scratch"
        )
    return tuning.tuned, tuning.train


def range_test(plan: Plan, network: nn.Module, train: Labelled[Samples], rates: Values) -> RangeTest:
    """Take one step at each of the rates, until the loss explodes. The network is trained in place.

    Raises:
        OptionError: the network is not trained by steps.
        DivergedError: the very first loss is not finite.
    """
    if isinstance(network, Neighbours):
        raise OptionError(f"{plan.card.model} stores the images instead of learning; it has no learning rate")
    fit_first_layer(network, train.images)
    trainer, losses, best, exploded = build_trainer(plan, network), list[float](), math.inf, False
    with bar("learning rates", len(rates)) as shown:
        for step, (rate, batch) in enumerate(zip(rates.tolist(), _batches(plan, train), strict=False)):
            result = trainer.step(train, batch, rate, plan.loop.seed, 0, step)
            loss = result.loss_sum / result.samples
            if not math.isfinite(loss):
                if not losses:
                    raise DivergedError(f"the loss is {loss} at the first learning rate, {rate:.2g}")
                exploded = True
                break
            losses.append(loss)
            now = float(smoothed(rates[: len(losses)], np.array(losses))[-1])
            best = min(best, now)
            shown.step(note=f"{rate:.1e}  loss {now:.3f}")
            if exploded := now > _EXPLODED * best:
                break
    return RangeTest(rates[: len(losses)], np.array(losses), exploded)


def _batches(plan: Plan, train: Labelled[Samples]) -> Iterator[Batch]:
    """Yield the batches of training, epoch by epoch, without end."""
    policy = with_principal_axes(plan.loop.policy, train.images)
    for epoch in count():
        order = plan.loop.order(train.targets, epoch)
        yield from train.images.epoch(plan.loop.seed, epoch, plan.loop.batch_size, policy, order=order)


def train_command(data: Any, recipe: Recipe, lr: float, *, xo: XO | None = None) -> str:
    """Return the command that trains with this learning rate and with whatever else a recipe sets."""
    words, defaults = ["hubel", "train", str(data) if isinstance(data, str | Path) else "PHOTOS"], Recipe().settings()
    for setting, value in recipe.settings().items():
        flag = "--" + setting.replace("_", "-")
        if setting == "options":
            words += [word for key, text in value.items() for word in (f"{flag}.{key}", str(text))]
        elif setting != "lr" and value != defaults[setting]:
            words += [flag] if value is True else [flag, str(value)]
    if xo is not None:
        usual = asdict(XO())
        changed = {key: value for key, value in asdict(xo).items() if value != usual[key]}
        words += [word for key, value in changed.items() for word in (f"--xo.{key}", f"{value:g}")]
    return shell_command(*words, "--lr", f"{lr:g}")


def draw_range_test(test: RangeTest, title: str) -> Figure:
    """Draw the loss over the learning rate, with the suggestion and the rate at which the loss is lowest."""
    axes = (figure := canvas(8.5, 4.6)).subplots()
    axes.plot(test.rates, test.losses, ".", color=PALE_BLUE, markersize=5, label="a step")
    axes.plot(test.rates, test.smooth, color=BLUE, linewidth=1.9, label="smoothed")
    low, high = float(test.smooth[test.lowest]), float(test.smooth[: test.lowest + 1].max())
    axes.set_ylim(max(0.0, low - 0.5 * (high - low)), high + 0.5 * (high - low))
    axes.set(xlabel="Learning rate", ylabel="Loss (nats)", xscale="log")
    marks = ((test.steepest, GREEN, "falls fastest", "right"), (test.lowest, MUTED, "lowest", "left"))
    for step, colour, words, side in marks:
        axes.axvline(test.rates[step], color=colour, linewidth=1.2, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            f"{words}\n{test.rates[step]:.2g}", (test.rates[step], 0.97), xycoords=("data", "axes fraction"),
            xytext=(-5 if side == "right" else 5, 0), textcoords="offset points", va="top", ha=side, fontsize=9,
            color=colour, bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
    heading(axes, drawable(title, limit=45), f"suggestion: --lr {test.suggestion:g}")
    style_axes(axes)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK, loc="lower left")
    return finish(figure)
