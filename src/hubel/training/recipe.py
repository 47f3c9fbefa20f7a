"""Everything that decides how a model is trained: one flat table of settings. It imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from hubel.core.errors import OptionError, UnknownNameError

__all__ = ["Recipe"]

# Lowest value, highest value of each number; None where there is no bound.
_RANGES: dict[str, tuple[float, float | None]] = {
    "epochs": (0, None),
    "batch_size": (0, None),
    "lr": (0, None),
    "momentum": (0, 0.9999),
    "weight_decay": (0, None),
    "warmup": (0, 0.9),
    "label_smoothing": (-1, 0.99),
    "ema": (-1, 0.99999),
    "lr_decay": (0.01, 1),
    "gradual": (0, 0.5),
    "views": (0, 64),
    "clip": (0, None),
    "patience": (0, None),
    "max_minutes": (0, None),
    "val_share": (0.001, 0.9),
    "test_share": (0, 0.9),
    "checkpoint_minutes": (0, None),
    "loading_threads": (-1, 256),
    "threads": (0, 1024),
}
_CHOICES = {
    "cache": ("auto", "off", "ram", "disk"),
    "task": ("auto", "classify", "reconstruct"),
    "resize": ("auto", "squash", "pad", "crop"),
    "optimizer": ("auto", "sgd", "adamw"),
    "schedule": ("onecycle", "cosine", "step", "constant"),
    "loss": ("softmax", "sigmoid", "mse"),
    "precision": ("auto", "float32", "bfloat16"),
}


@dataclass(frozen=True)
class Recipe:
    """Settings of a training run. Each has a value that works; 0 or "auto" means that hubel decides.

    Attributes:
        task: classify (name what is on images), reconstruct (make each image again), or auto: what the network is for.
        model: name of the network; `hubel models` lists them. auto is efficientnet_lite0, convnet for many small
            images, and autoencoder_28 to reconstruct.
        options: options of the network, such as --options.filters 16,32; `hubel models NAME` lists them.
        size: height and width of the network's input in pixels, such as 64 or 48x64.
        weights: what training starts from: a name of pretrained weights, as hubel models NAME lists them, or default,
            or a file of weights; none starts from scratch; auto is the default ones where they need no download.
        freeze: the part of a pretrained network that stays as it is: all (a new last layer learns), stage1 ... stageN
            (what is above learns), none (all learns), or auto: what suits the number of images and what they show.
        views: how many views of each image the frozen part looks at: the image, its mirror image, crops; 0 decides.
        engine: what runs the frozen part: auto (the fastest), torch, "torch bfloat16", openvino, "openvino bfloat16",
            "openvino int8" or onnxruntime.
        resize: how an image gets that size: squash it, pad it with black, or crop its centre. auto crops for a network
            that is pretrained so; otherwise it pads images that are nearly of the size, and squashes all others.
        augment: how training images are changed: none, shift, light (and mirrored), standard (cut, turned, other
            colours), strong, trivialaugment, randaugment, or a file of settings that ends in .toml; auto is standard
            for photos, light for small colour images, shift for grey ones.
        epochs: passes over the training images; 0 makes 15, and more of a small set.
        batch_size: images a step; halved, with as many steps accumulated, when memory runs out.
        optimizer: sgd (with Nesterov momentum) or adamw; auto is sgd, and adamw to reconstruct.
        lr: the highest learning rate; 0 is the usual one, 0.1 for sgd (0.01 without batch norm) and 0.002 for
            adamw (0.02 to reconstruct).
        momentum: of sgd.
        weight_decay: of weights; never of norms and biases.
        schedule: how the learning rate changes: onecycle, cosine, step or constant.
        warmup: share of the steps in which the learning rate rises.
        loss: softmax (cross-entropy), sigmoid (binary cross-entropy for each class) or mse.
        label_smoothing: share of the target that is spread over all classes; -1 is 0.1 in fine-tuning, 0 otherwise.
        class_weights: weight each class by the inverse of its frequency.
        ema: decay of the moving average of the weights, such as 0.99; 0 uses the weights themselves; -1 is 0.9 when
            fine-tuning and 0 otherwise.
        lr_decay: when fine-tuning, each stage learns at this share of the rate of the part above it.
        gradual: when fine-tuning, each stage begins to learn by this share of the steps later than the part above it.
        clip: largest norm of the gradient; 0 does not clip.
        patience: epochs without improvement before training stops; 0 never stops early.
        max_minutes: time for training; fewer epochs are made when they would take longer. 0 sets no limit.
        val_share: share of the training images that chooses the epoch, when the data has no split for it.
        test_share: share of all images that measures the result, when the data has no split at all.
        multi_label: a label of the table may name several classes, separated by "|".
        seed: another seed gives other weights, another order, another split.
        precision: of the convolutions: float32, bfloat16, or auto (bfloat16 where the hardware has units for it).
        device: cpu, cuda, mps or auto.
        threads: of the computation; 0 uses every core.
        loading_threads: that decode images; 0 decodes between the steps, -1 uses every core.
        cache: where decoded images wait for the next epoch: ram, disk, off, or auto: where there is room.
        checkpoint_minutes: time between two checkpoints inside an epoch; 0 makes one at every step.
    """

    task: str = "auto"
    model: str = "auto"
    options: dict[str, str] = field(default_factory=dict)
    weights: str = "auto"
    freeze: str = "auto"
    views: int = 0
    engine: str = "auto"
    size: str = "auto"
    resize: str = "auto"
    augment: str = "auto"
    epochs: int = 0
    batch_size: int = 0
    optimizer: str = "auto"
    lr: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "onecycle"
    warmup: float = 0.2
    loss: str = "softmax"
    label_smoothing: float = -1.0
    class_weights: bool = False
    ema: float = -1.0
    lr_decay: float = 1.0
    gradual: float = 0.0
    clip: float = 0.0
    patience: int = 0
    max_minutes: float = 0.0
    val_share: float = 0.1
    test_share: float = 0.2
    multi_label: bool = False
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    threads: int = 0
    loading_threads: int = -1
    cache: str = "auto"
    checkpoint_minutes: float = 5.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not (low <= value and (high is None or value <= high)):
                bounds = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
                raise OptionError(f"{name} is {bounds}, not {value}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(name, getattr(self, name), known)
        if self.multi_label and self.loss != "sigmoid":
            raise OptionError("several labels an image need a score for each class by itself: add --loss sigmoid")
        self.input_size()

    def input_size(self) -> tuple[int, int] | None:
        """Height and width in pixels, or None where hubel decides.

        >>> Recipe(size="64").input_size(), Recipe(size="48x64").input_size(), Recipe().input_size()
        ((64, 64), (48, 64), None)
        """
        if self.size == "auto":
            return None
        sides = self.size.lower().split("x")
        if len(sides) > 2 or not all(side.isdecimal() and int(side) > 0 for side in sides):
            raise OptionError(
                f"size is a number of pixels such as 64, or HEIGHTxWIDTH such as 48x64, not {self.size!r}"
            )
        return int(sides[0]), int(sides[-1])

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The inverse of `to_json`; what is missing has its usual value.

        Raises:
            UnknownNameError: a setting that does not exist.
            OptionError: a value out of range.
        """
        known = {entry.name for entry in fields(cls)}
        for name in values:
            if name not in known:
                raise UnknownNameError("setting", name, known)
        try:
            return cls(**values)
        except TypeError as error:
            raise OptionError(f"a setting has a value of the wrong type: {error}") from None
