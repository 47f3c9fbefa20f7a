"""The settings that a search tries: the networks at hand, and for each the values of its open settings.

The first value of each setting is what the default recipe decides. Settings that the user has given stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hubel.core.errors import HubelError, ModelFileError, OptionError
from hubel.core.files import model_in, no_such, user_path
from hubel.data.augment import POLICIES, find_policy
from hubel.models.catalogue import find, list_models
from hubel.nn.freezing import ALL, boundaries
from hubel.nn.network import Network
from hubel.nn.shapes_only import shapes_only
from hubel.training.initial_weights import SMALL_PIXELS, at_hand
from hubel.training.plan import Plan
from hubel.training.recipe import Recipe
from hubel.training.resolve import resolve
from hubel.weights.create import is_file_name
from hubel.weights.model_file import read_card

__all__ = ["DEPTH", "HEAD", "START", "Space", "Start", "make_space"]

Values = tuple[Any, ...]

START, DEPTH = "start", "freeze"
HEAD = ALL  # the value of `freeze` in a trial of the head alone

# Networks that small images are tried on from scratch, by the number of their channels.
_FROM_SCRATCH: dict[str, tuple[Mapping[str, Any], ...]] = {
    "grey": (
        {"model": "convnet"},
        {"model": "convnet", "options": {"filters": "48,96,192"}},
        {"model": "resnet20"},
        {"model": "lenet5_modern"},
    ),
    "coloured": ({"model": "convnet"}, {"model": "resnet20"}),
}
_ENLARGED = (1.15, 1.3)  # sizes of the input of a pretrained network, as multiples of that of its training
_SMALL_SIDES = (96, 128, 160, 224)  # at which a pretrained network may see small images
_STEP = 32  # pixels: strides of all stages together
_UNEVEN = 1.5  # ratio of the largest to the smallest class from which on weights of the classes are tried
_POLICIES = {"grey": ("shift", "none", "standard"), "coloured": ("light", "standard", "strong", "trivialaugment")}
_MOST_VIEWS = 8


@dataclass(frozen=True, eq=False, kw_only=True)
class Start:
    """A network at a size, with what it starts from.

    Attributes:
        name: for the leaderboard.
        plan: of the final training with this start and no other change.
        recipe: with every decision of the plan written into it, for the folds, which have fewer images.
        settings: what differs from the default recipe.
        values: of each setting that is tried; the first is that of `recipe`.
    """

    name: str
    plan: Plan
    recipe: Recipe
    settings: Mapping[str, Any]
    values: Mapping[str, Values]

    @property
    def pretrained(self) -> bool:
        """It starts from weights."""
        return self.plan.transfer is not None

    def key(self, name: str) -> str:
        """Return the name of the parameter that chooses among the values of a setting.

        Starts of a kind share it, so that what one shows counts for the others.
        """
        return f"{'tuned' if self.pretrained else 'scratch'} {name} {len(self.values[name])}"

    def params(self, **places: int) -> dict[str, Any]:
        """Return the parameters of a trial, given the place of the value of each setting that is not the first."""
        return {START: self.name, **{self.key(name): places.get(name, 0) for name in self.values}}

    def value(self, params: Mapping[str, Any], name: str) -> Any:
        """Return the value of a setting under the parameters of a trial."""
        return self.values[name][params.get(self.key(name), 0)]

    def changed(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that the parameters of a trial change in the recipe of the start."""
        places = {name: params.get(self.key(name), 0) for name in self.values}
        return {name: self.values[name][place] for name, place in places.items() if place}

    def heads(self) -> dict[str, Any] | None:
        """Return the parameters of a trial in which only the head is trained; None where there is none."""
        return self.params(freeze=self.values[DEPTH].index(HEAD)) if HEAD in self.values.get(DEPTH, ()) else None


@dataclass(frozen=True, eq=False, kw_only=True)
class Space:
    """All starts; the first is that of the default recipe.

    Attributes:
        starts: by name.
        notes: remarks for the user.
    """

    starts: Mapping[str, Start]
    notes: Sequence[str] = field(default_factory=list)

    @property
    def default(self) -> Start:
        """The start of the default recipe."""
        return next(iter(self.starts.values()))

    def settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings that parameters of a trial stand for, as far as they differ from the default recipe."""
        start = self.starts[params[START]]
        return {**start.settings, **start.changed(params)}

    def recipe(self, params: Mapping[str, Any]) -> Recipe:
        """Return the recipe of a trial, for a fold and for the final training alike."""
        start = self.starts[params[START]]
        return start.recipe.with_settings(**start.changed(params))


def make_space(default: Plan, models: Sequence[str] = ()) -> Space:
    """Return what is tried on the images of a plan.

    Args:
        default: the plan of the default recipe.
        models: networks, or files of weights, that are tried instead of those at hand.

    Raises:
        UnknownNameError: there is no such network.
        OptionError: there is no such file, or it does not tell its network.
    """
    given = [_named(name) for name in models]
    starts, notes = dict[str, Start](), list[str]()
    for settings in ({}, *(given or _at_hand(default))):
        try:
            found = list(_at_sizes(default, settings))
        except HubelError as error:
            if settings in given or not settings:
                raise
            notes.append(str(error))
            continue
        for changed, plan in found:
            start = _start(plan, changed, default)
            if all(start.recipe != other.recipe for other in starts.values()):
                starts.setdefault(start.name, start)
    return Space(starts=starts, notes=notes)


def _at_sizes(default: Plan, settings: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], Plan]]:
    """Yield a network at its usual size and at others: the settings that differ from the default recipe, and a plan."""
    plan = _with(default, settings)
    yield dict(settings), plan
    for size in _sizes(plan):
        changed = {**settings, **size}
        yield changed, _with(default, changed)


def _with(default: Plan, settings: Mapping[str, Any]) -> Plan:
    if not settings:
        return default
    # The threads are those of the default recipe: another start shall not be faster because the machine is idle now.
    recipe = default.recipe.with_settings(threads=default.threads, **settings)
    return resolve(recipe, default.dataset, default.task)


def _start(plan: Plan, settings: Mapping[str, Any], default: Plan) -> Start:
    p, transfer = plan.preprocess, plan.transfer
    weights = f" from {Path(transfer.weights).name}" if transfer and isinstance(transfer.weights, Path) else ""
    options = "".join(f" {name} {value}" for name, value in plan.recipe.network.options.items())
    name = f"{plan.card.model}{options}{weights} at {p.height}" + (f"x{p.width}" if p.width != p.height else "")
    recipe = plan.pinned.with_settings(
        size=f"{p.height}x{p.width}", resize=p.resize, **({"views": transfer.views} if transfer else {})
    )
    values = {
        name: tuple(dict.fromkeys(found))
        for name, found in (_tuned_values(plan) if transfer else _scratch_values(plan)).items()
        if not _given(default, name) and name not in plan.task.unused
    }
    if transfer is None:
        values.pop(DEPTH, None)
    return Start(
        name=name,
        plan=plan,
        recipe=recipe,
        settings=dict(settings),
        values={name: found for name, found in values.items() if len(found) > 1},
    )


def _given(default: Plan, name: str) -> bool:
    """Return whether the user has given a setting."""
    return bool(default.recipe.settings()[name] != Recipe().settings()[name])


def _tuned_values(plan: Plan) -> dict[str, Values]:
    """Return the values that are tried where training starts from weights."""
    transfer, loop, optimizer = plan.transfer, plan.loop, plan.optimizer
    assert transfer is not None
    with shapes_only():
        network = plan.create()
    known = boundaries(network) if isinstance(network, Network) else []
    place = known.index(transfer.lower) if transfer.lower in known else 0
    earlier = (known[place - 1],) if place > 1 else ()
    views = tuple(n for n in (transfer.views, 2 * transfer.views) if n <= _MOST_VIEWS) or (transfer.views,)
    return {
        DEPTH: (plan.recipe.transfer.freeze, *((HEAD,) if HEAD in known else ()), *earlier),
        "epochs": (loop.epochs, 2 * loop.epochs, max(1, loop.epochs // 2)),
        "lr": (optimizer.lr, 2 * optimizer.lr, 4 * optimizer.lr, optimizer.lr / 2),
        "views": views,
        "augment": _policies(plan),
        "label_smoothing": _smoothing(plan),
        "weight_decay": (optimizer.weight_decay, 20 * optimizer.weight_decay),
        "ema": (optimizer.ema, 0.98),
        **_balances(plan),
    }


def _scratch_values(plan: Plan) -> dict[str, Values]:
    """Return the values that are tried where training starts from scratch."""
    loop, optimizer = plan.loop, plan.optimizer
    return {
        "epochs": (loop.epochs, 2 * loop.epochs, max(1, loop.epochs // 2)),
        "lr": (optimizer.lr, optimizer.lr / 2, 2 * optimizer.lr),
        "batch_size": (loop.batch_size, max(8, loop.batch_size // 2)),
        "augment": _policies(plan),
        "label_smoothing": _smoothing(plan),
        "weight_decay": (optimizer.weight_decay, 4 * optimizer.weight_decay, optimizer.weight_decay / 4),
        "ema": (optimizer.ema, 0.98),
        **_balances(plan),
    }


def _policies(plan: Plan) -> Values:
    """Return the policies, first that of the plan: None for the one that suits the images."""
    own = plan.pinned.data.augment
    p = plan.preprocess
    used = find_policy(own or "auto", channels=p.channels, size=min(p.height, p.width))
    others = (name for name in _POLICIES[_colours(plan)] if POLICIES[name] != used)
    return (own, *others)


def _colours(plan: Plan) -> str:
    index, rows = plan.dataset.index, plan.splits.train
    return "grey" if index.channels[rows].max() == 1 else "coloured"


def _smoothing(plan: Plan) -> Values:
    own = plan.loss.label_smoothing
    return (own, 0.0 if own else 0.1) if plan.loss.name == "cross_entropy" else (own,)


def _balances(plan: Plan) -> dict[str, Values]:
    if not plan.task.exclusive:
        return {}
    counts = np.bincount(plan.train.targets)
    uneven = counts.max() > _UNEVEN * max(1, counts.min())
    other = "none" if plan.loss.balance == "inverse" else "inverse"
    return {"balance": (plan.recipe.optimization.balance, other)} if uneven else {}


def _sizes(plan: Plan) -> list[dict[str, Any]]:
    """Return other sizes of the input of a network that starts from weights."""
    variant = find(plan.card.model)[1]
    if plan.transfer is None or _given(plan, "size") or variant.fixed_size:
        return []
    side = plan.preprocess.height
    if _is_small(plan):
        return [{"size": str(other)} for other in _SMALL_SIDES if other != side and other <= 1.3 * side]
    index, rows = plan.dataset.index, plan.splits.train
    most = int(np.median(np.minimum(index.height[rows], index.width[rows])))
    sides = [round(side * factor / _STEP) * _STEP for factor in _ENLARGED]
    return [{"size": str(other)} for other in dict.fromkeys(sides) if side < other <= most]


def _is_small(plan: Plan) -> bool:
    index, rows = plan.dataset.index, plan.splits.train
    return int(max(index.height[rows].max(), index.width[rows].max())) <= SMALL_PIXELS


def _at_hand(plan: Plan) -> list[dict[str, Any]]:
    """Return the networks whose weights need no download, and for small images those that learn from scratch."""
    if _given(plan, "model") or _given(plan, "weights"):
        return []
    output = plan.task.output
    found: list[dict[str, Any]] = [
        {"model": name} for name in list_models() if find(name)[1].output == output and at_hand(name)
    ]
    if _is_small(plan):
        small = _FROM_SCRATCH[_colours(plan)] if output == "vector" else ()
        found += [{**one, "weights": "none"} for one in small]
    return found


def _named(name: str) -> dict[str, Any]:
    """Return the settings that name a network, or a file of weights.

    Raises:
        OptionError: there is no such file, or it does not tell its network.
        UnknownNameError: there is no such network.
    """
    if not is_file_name(name):
        return {"model": find(name)[0]}
    path = model_in(user_path(name))
    if not path.is_file():
        raise OptionError(f"--models {no_such(path, 'file')}")
    try:
        card = read_card(path)
    except ModelFileError:
        raise OptionError(
            f"--models {name} does not tell its network; make a model file: hubel weights convert"
        ) from None
    return {"model": card.model, "weights": str(path)}
