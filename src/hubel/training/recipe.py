"""The request for a training run: nested tables of settings, in which None means "decide". It imports nothing heavy."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from itertools import pairwise
from typing import Any, Self

from hubel.core.errors import OptionError, UnknownNameError
from hubel.core.files import user_path
from hubel.core.language import LANGUAGES
from hubel.core.ranges import check_range
from hubel.data.reading import one_line

__all__ = [
    "DataSettings",
    "DistillationSettings",
    "MachineSettings",
    "NetworkSettings",
    "OptimizationSettings",
    "Recipe",
    "TransferSettings",
    "flattened",
    "parse_milestones",
    "parse_size",
    "refuse_settings",
]


_MOST = 1_000_000  # epochs, minutes, images in a batch: what nobody means, and no arithmetic breaks at
_MOST_PIXELS = 16_384  # of a side of the network's input
_MOST_SEED = 2**63
_MOST_PROCESS_DIGITS = 7
_MOST_DIGITS = 1000  # Python converts no more than 4,300


def _number(default: Any, low: float, high: float) -> Any:
    """Declare a finite number from `low` to `high`; a whole one where its type is int."""
    return field(default=default, metadata={"range": (low, high)})


def _choice(default: str | None, *names: str) -> Any:
    """Declare a setting that is one of some names."""
    return field(default=default, metadata={"names": names})


def parse_milestones(text: str) -> tuple[float, ...]:
    """Return the shares of a run, each above the one before.

    Raises:
        OptionError: they are no such shares.

    >>> parse_milestones("0.5,0.75")
    (0.5, 0.75)
    """
    try:
        shares = tuple(map(float, text.split(",")))
    except ValueError:
        shares = ()
    if not shares or not all(low < high for low, high in pairwise((0.0, *shares, 1.0))):
        raise OptionError(f"milestones are shares of the run, rising from 0 to 1, such as 0.5,0.75, not {text!r}")
    return shares


class _Settings:
    """Check values and take "auto" for None, in every table of settings."""

    def __post_init__(self) -> None:
        for entry in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, entry.name)
            if isinstance(value, str) and value == "auto" and entry.default is None:
                object.__setattr__(self, entry.name, None)
            elif value is not None:
                plain = _plain(entry.name, value, str(entry.type))
                object.__setattr__(self, entry.name, plain)
                _check(entry, plain)


def _plain(name: str, value: Any, kind: str) -> Any:
    """Return a value as Python's own type of its setting: numbers of NumPy and paths are taken, too.

    Args:
        name: of the setting.
        value: of the user.
        kind: the type of the setting as its table declares it, such as "int | None".

    Raises:
        OptionError: it is of another type.
    """
    if hasattr(value, "item") and not isinstance(value, str):
        with contextlib.suppress(ValueError, RuntimeError):  # of several numbers
            value = value.item()
    if kind.startswith("bool") and isinstance(value, bool):
        return value
    if kind.startswith(("int", "float")) and isinstance(value, int | float) and not isinstance(value, bool):
        if kind.startswith("float"):
            return value
        if value == value // 1:
            return int(value)
        raise OptionError(f"{name} is a whole number, not {value!r}")
    if kind.startswith("str") and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if kind.startswith("dict") and isinstance(value, Mapping):
        return {str(key): _option_text(option) for key, option in value.items()}
    wanted = next(word for start, word in _WORDS.items() if kind.startswith(start))
    raise OptionError(f"{name} is {wanted}, not {one_line(repr(value))}")


def _option_text(value: Any) -> str:
    """Return an option of a network as text; a table of layers as JSON."""
    if isinstance(value, Mapping) or (isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value)):
        return json.dumps(value)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_WORDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a name", "dict": "a table"}


def _check(entry: Field[Any], value: Any) -> None:
    if "range" in entry.metadata:
        check_range(entry.name, value, *entry.metadata["range"])
    if "names" in entry.metadata and value not in entry.metadata["names"]:
        raise UnknownNameError(entry.name, value, ("auto", *entry.metadata["names"]))


@dataclass(frozen=True, kw_only=True)
class DataSettings(_Settings):
    """The images: their size, their augmentation, their splits.

    Attributes:
        size: height and width of the network's input in pixels, such as 64 or 48x64. Default: that of the pretraining,
            or of the images.
        train_size: the same of the training images, if it is another one: smaller ones train faster, and make the
            objects in crops as large as in whole images. Several, such as 128,160,192, follow each other, each for an
            equal part of the epochs. Default: as the others.
        resize: how an image gets that size: squash it, pad it with black, or crop its centre. Default: crop for a
            network that is pretrained so; pad where images are nearly of the size, and for key points; otherwise
            squash.
        augment: augmentation policy: none, shift, light (and mirrored), standard (crops, rotation, colour), strong,
            scene (crops, mirrored, colour), pose (rotation, mirrored, colour), trivialaugment, randaugment, or a file
            of settings that ends in .toml. Default: standard for photos, light for small colour images, shift for grey
            ones, scene for boxes and masks, pose for key points.
        val_share: share of the training images that selects the best epoch, when the data has no split for it; with 0
            all of them are trained on, and the last epoch is kept.
        images: train on so many of the training images, drawn by the seed and in the proportions of the classes.
            Default: all of them.
        test_share: share of all images that measures the result, when the data has no split at all.
        folds: predict every image, those of all splits, by a linear head that has not seen it: one head for each of so
            many parts of the images, on the features of the pretrained network. Default: no folds.
        cache: where decoded images wait for the next epoch: ram, disk or off. Default: where there is room.
        loading_threads: threads that decode; 0 decodes between the steps. Default: every core.
        root: folder that the relative paths of a table start at. Default: the table's own.
        void: value of a mask's pixels that belong to no class, such as 11, besides 255; the loss and the metrics leave
            them out.
        parents: groups of classes, and groups of these: folders, where class folders lie in the folders of their
            parents (animals/cats, animals/dogs); a CSV file with class,parent in each row; or none. Default: the
            column parent of a table, if it has one.
    """

    size: str | None = None
    train_size: str | None = None
    resize: str | None = _choice(None, "squash", "pad", "crop")
    augment: str | None = None
    val_share: float = _number(0.1, 0, 0.9)
    test_share: float = _number(0.2, 0, 0.9)
    images: int | None = _number(None, 1, 2**40)
    folds: int | None = _number(None, 2, 100)
    cache: str | None = _choice(None, "off", "ram", "disk")
    loading_threads: int | None = _number(None, 0, 256)
    root: str | None = None
    void: int | None = _number(None, 0, 255)
    parents: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.train_size, int | list | tuple) and not isinstance(self.train_size, bool):
            sizes = self.train_size if isinstance(self.train_size, list | tuple) else [self.train_size]
            object.__setattr__(self, "train_size", ",".join(map(str, sizes)))
        size: Any = self.size  # 64, (48, 64) or "48x64"
        if size is not None and not isinstance(size, str | bool):
            sides = size if isinstance(size, list | tuple) else [size]
            object.__setattr__(self, "size", "x".join(map(str, sides)))
        super().__post_init__()
        if self.size is not None:
            parse_size(self.size)
        if self.train_size is not None:
            for one in self.train_size.split(","):
                parse_size(one)
        if self.root is not None:
            object.__setattr__(self, "root", str(user_path(self.root).resolve()))
        if self.parents not in (None, "folders", "none"):
            object.__setattr__(self, "parents", str(user_path(self.parents).resolve()))


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(_Settings):
    """The network.

    Attributes:
        model: name of the network; `hubel models` lists them; or a file with a table of layers, .toml or .json.
            Default: efficientnet_lite0, convnet for many small images, autoencoder_28 to reconstruct, and cvae to
            generate.
        options: options of the network, such as --options.filters 16,32; `hubel models NAME` lists them.
        reject: share of the images of the classes that a classifier may take for images of none of them, so that it
            can answer "unknown" to those that are; 0 for a model that never does.
    """

    model: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    reject: float = _number(0.05, 0, 0.5)


@dataclass(frozen=True, kw_only=True)
class TransferSettings(_Settings):
    """Transfer learning: what training starts from, and what stays frozen.

    Attributes:
        weights: initial weights: a name of pretrained weights, as hubel models NAME lists them, or default, or a file
            of weights; none trains from scratch. Default: pretrained ones where they need no download.
        freeze: the part of a pretrained network that stays frozen: all (only a new last layer is trained), stage1 ...
            stageN (what is above is trained), or none; for boxes, masks and key points, all is the backbone. Default:
            what suits the number of images and their features; none for boxes, masks and key points.
        views: how many views of each image the frozen part processes: the image, its mirror image, crops.
        engine: what runs the frozen part: torch, "torch bfloat16", openvino, "openvino bfloat16", "openvino int8" or
            onnxruntime. Default: the fastest.
        layer_decay: learning rate of each stage as a share of that of the part above it, in fine-tuning.
        gradual_unfreeze: in fine-tuning, each stage starts to train by this share of the steps later than the part
            above it.
    """

    weights: str | None = None
    freeze: str | None = None
    views: int | None = _number(None, 1, 64)
    engine: str | None = None
    layer_decay: float = _number(1.0, 0.01, 1)
    gradual_unfreeze: float = _number(0.0, 0, 0.5)


@dataclass(frozen=True, kw_only=True)
class DistillationSettings(_Settings):
    """Distillation: a trained model, the teacher, passes on what it has learned to the network, the student.

    Attributes:
        teacher: a model file, the folder of a run, an exported file, or the name of a network with pretrained weights;
            several, with commas between them, teach by their mean probability. Their classes are matched by name.
        distill_loss: the distance from the teacher: kd (Hinton's softened cross-entropy), dkd (its two parts
            decoupled), dist (correlations), mse (of logits) or hint (of a middle map, as FitNets have it). Default: kd.
        temperature: of the softmax of both in kd, dkd and dist. Default: 4; 1 for dist.
        teacher_weight: share of the loss that is the teacher's; the labels have the rest. Default: 0.9 for kd and mse,
            otherwise 0.5.
        teacher_views: number of views of each image; epoch e shows view e modulo this number to student and teacher
            alike. Default: 16, or one for each of fewer epochs; with online_teacher one for each epoch.
        online_teacher: compute the teacher's answers in the loop, rather than once, before it, for the cache.
        unlabelled: folder of more images, whose labels do not count: they teach through the teacher alone.
    """

    teacher: str | None = None
    distill_loss: str | None = _choice(None, "kd", "dkd", "dist", "mse", "hint")
    temperature: float | None = _number(None, 0.01, 1000)
    teacher_weight: float | None = _number(None, 0, 1)
    teacher_views: int | None = _number(None, 1, _MOST)
    online_teacher: bool = False
    unlabelled: str | None = None

    def __post_init__(self) -> None:
        teacher: Any = self.teacher
        if isinstance(teacher, list | tuple):
            object.__setattr__(self, "teacher", ",".join(map(str, teacher)))
        super().__post_init__()
        if self.teacher is not None:
            if not (names := _teachers(self.teacher)):
                raise OptionError(f"teacher is a model or several with commas between them, not {self.teacher!r}")
            object.__setattr__(self, "teacher", ",".join(map(_resolved, names)))
        if self.unlabelled is not None:
            object.__setattr__(self, "unlabelled", _resolved(self.unlabelled))


def _teachers(text: str) -> list[str]:
    """Return the teachers that a text names: a path, or names and paths with commas between them."""
    if user_path(text).exists():
        return [text]
    return [name.strip() for name in text.split(",") if name.strip()]


def _resolved(text: str) -> str:
    """Return the whole path of a file or folder that is there; any other text as it is."""
    path = user_path(text)
    return str(path.resolve()) if path.exists() else text


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings(_Settings):
    """Loss, optimizer and schedule.

    Attributes:
        epochs: passes over the training images. Default: 15, and more of a small set.
        max_steps: the most steps of the run, in the middle of an epoch, too. Default: those of its epochs; given alone,
            as many epochs as it takes.
        batch_size: images a step; halved, with as many steps accumulated, when memory runs out. Default: a power of
            two up to 128 (64 to generate, 32 in fine-tuning, 8 for boxes and masks) that leaves at least 16 steps.
        optimizer: sgd (with Nesterov momentum), heavy_ball (sgd with Polyak's), adamw, adam, adadelta or lamb.
            Default: sgd from scratch, adamw in fine-tuning, to reconstruct, and for boxes and masks; adam to generate.
        lr: the highest learning rate. Default: 0.1 for sgd (0.01 for deep networks without batch norm; with a teacher
            divided by the temperature), 0.002 for adam, adamw and lamb (0.02 to reconstruct, 0.001 for boxes and
            masks), 1 for adadelta; in fine-tuning 0.002, 0.0005 and 0.1.
        momentum: of sgd and heavy_ball.
        weight_decay: of weights. Default: 0.0005; none to generate.
        decayed: what decays: weights; or all, with the biases and the factors of norms.
        schedule: of the learning rate: onecycle, cosine, step or constant.
        milestones: shares of all steps at which the schedule step divides the learning rate by 10.
        warmup: share of the steps in which the learning rate rises.
        first_lr: learning rate at the start of the warmup, as a share of the highest.
        last_lr: learning rate at the end of onecycle and cosine, as a share of the highest.
        norm_bias_lr: learning rate of the biases of norms, as a multiple of that of the weights.
        loss: cross_entropy (of softmax), bce (binary cross-entropy of each class) or mse; for masks cross_entropy, dice
            or cross_entropy_dice, their sum. Default: the task's.
        label_smoothing: share of the target that is spread over all classes. Default: 0.1 in fine-tuning, otherwise 0.
        balance: how unequal classes are treated, in the linear head, too: none; inverse (the loss is weighted by the
            inverse of the class's frequency); effective (by that of its effective number of images);
            inverse_sqrt (by the inverse of the frequency's square root; for masks, that of pixels); sampling (an epoch
            shows each class equally often); logit_adjustment (the logits carry the classes' frequencies in training,
            and not afterwards). Default: logit_adjustment where the classes are very unequal, inverse_sqrt for masks,
            otherwise none.
        costs: CSV or TOML of what it costs to predict a class (column) where another one is true (row). The model keeps
            them and predicts the class of least expected cost. Default: all errors cost the same.
        ema: decay of the moving average of the weights; 0 uses the weights themselves. Default: 0.9 in fine-tuning,
            otherwise 0.
        lookahead: every so many steps, the weights themselves go back to their moving average, whose decay grows with
            the third power of the share of the run that is done, up to ema; 0 for never.
        clip: largest norm of the gradient. Default: no clipping.
        patience: epochs without improvement before training stops. Default: all epochs are made.
        max_minutes: time for the whole run. Where it is short, fewer epochs are made, and in transfer learning fewer
            views or images are used; each file is read, and the result measured, all the same. Default: no limit.
    """

    epochs: int | None = _number(None, 1, _MOST)
    batch_size: int | None = _number(None, 1, _MOST)
    max_steps: int | None = _number(None, 1, 2**40)
    optimizer: str | None = _choice(None, "sgd", "heavy_ball", "adamw", "adam", "adadelta", "lamb")
    lr: float | None = _number(None, 1e-30, 1e12)
    momentum: float = _number(0.9, 0, 0.9999)
    weight_decay: float | None = _number(None, 0, 1e6)
    decayed: str = _choice("weights", "weights", "all")
    schedule: str = _choice("onecycle", "onecycle", "cosine", "step", "constant")
    milestones: str = "0.5,0.75"
    warmup: float = _number(0.2, 0, 0.9)
    first_lr: float = _number(0.0, 0, 1)
    last_lr: float = _number(0.0, 0, 1)
    norm_bias_lr: float = _number(1.0, 1e-3, 1e3)
    loss: str | None = _choice(None, "cross_entropy", "bce", "mse", "dice", "cross_entropy_dice")
    label_smoothing: float | None = _number(None, 0, 0.99)
    balance: str | None = _choice(None, "none", "inverse", "effective", "inverse_sqrt", "sampling", "logit_adjustment")
    costs: str | None = None
    ema: float | None = _number(None, 0, 0.99999)
    lookahead: int = _number(0, 0, _MOST)
    clip: float | None = _number(None, 1e-30, 1e6)
    patience: int | None = _number(None, 1, _MOST)
    max_minutes: float | None = _number(None, 1e-9, _MOST)

    def __post_init__(self) -> None:
        milestones: Any = self.milestones  # 0.5, (0.5, 0.75) or "0.5,0.75"
        if not isinstance(milestones, str | bool):
            shares = milestones if isinstance(milestones, list | tuple) else [milestones]
            object.__setattr__(self, "milestones", ",".join(map(str, shares)))
        super().__post_init__()
        parse_milestones(self.milestones)


@dataclass(frozen=True, kw_only=True)
class MachineSettings(_Settings):
    """The computer: device, precision, threads, checkpoints, and the language that it reports in.

    Attributes:
        device: cpu, cuda or mps. Default: the fastest one that is there.
        precision: of convolutions: float32 or bfloat16. Default: bfloat16 where the hardware has units for it.
        threads: of the computation. Default: every core that no other program uses.
        checkpoint_minutes: time between two checkpoints inside an epoch; 0 makes one at every step.
        lang: language of the report: en or ko.
        processes: train on so many processes of this machine; auto for one on each GPU. The weights have the same bits
            on any number of them, and under torchrun. Default: none, the one that runs.
        launcher: torch starts processes on this machine; ray on the machines of a Ray cluster.
        shards: into which a batch is divided for processes; each takes whole ones. Default: 8 of a batch of
            256 and more, 4 of 16 and more, then fewer.
        fast_reduce: average gradients as other programs do, rather than in an order that gives the same bits on any
            number of processes.
        timeout: seconds after which a process that does not move is ended, and training starts again from the last
            checkpoint.
    """

    device: str | None = None
    precision: str | None = _choice(None, "float32", "bfloat16")
    threads: int | None = _number(None, 1, 1024)
    checkpoint_minutes: float = _number(5.0, 0, _MOST)
    lang: str = _choice("en", *LANGUAGES)
    processes: str = "none"
    launcher: str = _choice("torch", "torch", "ray")
    shards: int | None = _number(None, 1, _MOST)
    fast_reduce: bool = False
    timeout: float = _number(60.0, 2, 86_400)

    def __post_init__(self) -> None:
        number: Any = self.processes  # 4, "4", "auto" or "none"
        if isinstance(number, int | float) and not isinstance(number, bool):
            object.__setattr__(self, "processes", f"{number:g}")
        super().__post_init__()
        if self.processes not in ("none", "auto"):
            if not self.processes.isdecimal() or len(self.processes) > _MOST_PROCESS_DIGITS:
                raise OptionError(f"processes is a whole number, auto or none, not {self.processes!r}")
            check_range("processes", int(self.processes), 1, _MOST)


@dataclass(frozen=True, init=False)
class Recipe:
    """The request for a training run. A setting that is None is decided from the data by `resolve`.

    The tables below hold the settings; all of them are keywords here, too, and flags of `hubel train`, and keys of a
    TOML file, with or without their table's name.

    >>> recipe = Recipe(model="resnet20", epochs=30)
    >>> recipe.network.model, recipe.optimization.epochs, recipe.optimization.lr
    ('resnet20', 30, None)

    Attributes:
        task: classify, multi_label (several classes an image), reconstruct or another one that `hubel info` lists.
            Default: what the network is for.
        seed: another seed gives other weights, another order, another split.
        origin: the recipe that the settings come from; see `named`.
        data: the images.
        network: the network.
        transfer: transfer learning.
        distillation: learning from a teacher.
        optimization: loss, optimizer and schedule.
        machine: the computer.

    Raises:
        OptionError: a value is out of range.
        UnknownNameError: there is no such setting, or no such choice.
    """

    task: str | None = None
    seed: int = 0
    origin: str | None = None
    data: DataSettings = DataSettings()
    network: NetworkSettings = NetworkSettings()
    transfer: TransferSettings = TransferSettings()
    distillation: DistillationSettings = DistillationSettings()
    optimization: OptimizationSettings = OptimizationSettings()
    machine: MachineSettings = MachineSettings()

    def __init__(
        self,
        *,
        task: str | None = None,
        seed: int = 0,
        origin: str | None = None,
        data: DataSettings | None = None,
        network: NetworkSettings | None = None,
        transfer: TransferSettings | None = None,
        distillation: DistillationSettings | None = None,
        optimization: OptimizationSettings | None = None,
        machine: MachineSettings | None = None,
        **settings: Any,
    ) -> None:
        tables: dict[str, Any] = {
            "data": data or DataSettings(),
            "network": network or NetworkSettings(),
            "transfer": transfer or TransferSettings(),
            "distillation": distillation or DistillationSettings(),
            "optimization": optimization or OptimizationSettings(),
            "machine": machine or MachineSettings(),
        }
        for name in settings:
            if name not in _TABLE_OF:
                raise UnknownNameError("setting", name, [*_TABLE_OF, *_OWN, *tables])
        for name, value in tables.items():
            if not isinstance(value, _TABLES[name]):
                raise OptionError(f"{name} is a {_TABLES[name].__name__}, not {value!r}")
        task = task if task is None else _plain("task", task, "str")
        object.__setattr__(self, "task", None if task == "auto" else task)
        seed = _plain("seed", seed, "int")
        check_range("seed", seed, -_MOST_SEED, _MOST_SEED)
        object.__setattr__(self, "seed", seed)
        object.__setattr__(self, "origin", origin if origin is None else _plain("origin", origin, "str"))
        for name, table in tables.items():
            changed = {key: value for key, value in settings.items() if _TABLE_OF[key] == name}
            object.__setattr__(self, name, dataclasses.replace(table, **changed) if changed else table)

    @classmethod
    def named(cls, name: str, **settings: Any) -> Self:
        """Return a recipe of the package, or of a file, with some settings changed.

        Args:
            name: as `hubel recipes` lists it; or a path that ends in .toml, .yaml, .yml or .json.
            settings: that differ, by their own names.

        Raises:
            UnknownNameError: there is no such recipe, or no such setting.
            OptionError: the file cannot be read, or a value is out of range.

        >>> Recipe.named("resnet-cifar", epochs=3).optimization.lr
        0.1
        """
        from hubel.training.named_recipes import find_recipe  # which imports this file

        return cls(**{**flattened(find_recipe(name).settings), **settings, "origin": name})

    @classmethod
    def of(cls, value: Recipe | Mapping[str, Any] | str | os.PathLike[str] | None) -> Recipe:
        """Return the recipe that a user gives in Python: a recipe, its name or file, a dict of settings, or None.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: it is none of these, or a value is out of range.

        >>> Recipe.of({"model": "resnet20", "epochs": 30}).optimization.epochs
        30
        """
        if isinstance(value, Recipe):
            return value
        if value is None or isinstance(value, Mapping):
            return cls.from_json(value or {})
        if isinstance(value, str | os.PathLike):
            return cls.named(os.fspath(value))
        if isinstance(value, int | float):
            raise OptionError(f"a recipe is a hubel.Recipe, its name or a dict of settings, not {value!r:.80}")
        raise OptionError(
            f"a recipe is a hubel.Recipe, its name or a dict of settings, not {type(value).__name__}; images and their "
            "labels are one tuple, (images, labels)"
        )

    def with_settings(self, **settings: Any) -> Self:
        """Return a copy with some settings changed, by their own names.

        Raises:
            UnknownNameError: there is no such setting.
            OptionError: a value is out of range.
        """
        own = {name: getattr(self, name) for name in (*_OWN, *_TABLES)}
        return type(self)(**{**own, **settings})

    def settings(self) -> dict[str, Any]:
        """Return all settings in one flat table."""
        found: dict[str, Any] = {name: getattr(self, name) for name in _OWN}
        for name in _TABLES:
            table = getattr(self, name)
            found |= {entry.name: getattr(table, entry.name) for entry in fields(table)}
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: a table each."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read tables, or flat settings, or both; what is missing has its default.

        Raises:
            UnknownNameError: a setting that does not exist.
            OptionError: a value out of range or of the wrong type.
        """
        try:
            return cls(**flattened(values))
        except TypeError as error:
            raise OptionError(f"a setting has a value of the wrong type: {error}") from None


_TABLES: dict[str, type[Any]] = {
    "data": DataSettings,
    "network": NetworkSettings,
    "transfer": TransferSettings,
    "distillation": DistillationSettings,
    "optimization": OptimizationSettings,
    "machine": MachineSettings,
}
_OWN = ("task", "seed", "origin")
_TABLE_OF = {entry.name: name for name, table in _TABLES.items() for entry in fields(table)}


def flattened(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in one flat table, from tables by name, flat settings, or both.

    Raises:
        OptionError: what should be a table is none, or a setting stands in a table of another subject.
    """
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name not in _TABLES:
            flat[name] = value
            continue
        if not isinstance(value, Mapping):
            raise OptionError(f"{name} is a table of settings, not {value!r}")
        for key in value:
            if _TABLE_OF.get(key, name) != name:
                raise OptionError(f"{key} belongs into the table {_TABLE_OF[key]}, not into {name}")
            if key in values:
                raise OptionError(f"{key} is there twice, in the table {name} and outside of it")
        flat |= value
    return flat


def parse_size(size: str) -> tuple[int, int]:
    """Return height and width in pixels.

    >>> parse_size("64"), parse_size("48x64")
    ((64, 64), (48, 64))
    """
    sides = size.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and len(side) < _MOST_DIGITS and int(side) > 0 for side in sides):
        raise OptionError(f"size is a number of pixels such as 64, or HEIGHTxWIDTH such as 48x64, not {size!r}")
    for side in sides:
        check_range("size", int(side), 1, _MOST_PIXELS, unit="pixels")
    return int(sides[0]), int(sides[-1])


def refuse_settings(function: str, named: Mapping[str, object]) -> None:
    """Refuse arguments that a function of the package does not have, and say where settings stand.

    Args:
        function: its name in `hubel`.
        named: the arguments.

    Raises:
        UnknownNameError: one of them is no setting.
        OptionError: they are settings, which stand in the recipe.
    """
    for name in named:
        if name not in _TABLE_OF:
            raise UnknownNameError("setting", name, [*_TABLE_OF, *_OWN])
    if named:
        settings = ", ".join(f"{name!r}: {value!r:.80}" for name, value in named.items())
        raise OptionError(f"settings stand in the recipe: hubel.{function}(data, {{{settings}}})")
