"""Numbers of the lesson `transfer`: what is frozen, four ways to train on 30 photos, augmentations."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hubel.core.errors import OptionError
from hubel.core.random import permutation
from hubel.data.preprocess import Preprocess
from hubel.data.sources.shapes import Shapes, draw_shapes
from hubel.teach.course.lesson import Lesson
from hubel.teach.course.lessons.transfer.augmentations import augmented_steps
from hubel.teach.course.lessons.transfer.photos import FewPhotos, drawn_photos, own_photos
from hubel.teach.course.photos import pack, read_photo

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hubel.nn.network import Network

__all__ = ["LESSON", "MODEL", "REGIMES", "augment_photo", "train_regimes", "transfer_numbers"]

MODEL = "efficientnet_lite0"

#: How the network starts and what trains: the last layer, the last stages, everything, and everything from random
#: weights. A boundary of "" is that below the last stages.
REGIMES: Mapping[str, tuple[bool, str]] = {
    "head": (True, "all"),
    "stages": (True, ""),
    "all": (True, "none"),
    "scratch": (False, "none"),
}

_CLASSES = 3
_SIDE = 128
_SMALL = 64  # pixels, at which the stages halve the map as at any size
_BATCH, _MOST_EPOCHS = 10, 30
_RATES = {"head": 0.01, "stages": 0.0005, "all": 0.0005, "scratch": 0.002}
_CANVAS, _OTHER = 4, 6  # numbers of drawn pictures
_DRAWN = Shapes(size=96, objects=4, clutter=2)


def transfer_numbers() -> Mapping[str, Any]:
    """Compute what the page shows without a server."""
    import torch

    from hubel.models.catalogue import build_model, find
    from hubel.nn.freezing import boundaries, frozen_part, last_linear, last_stages
    from hubel.nn.network import Network

    shape = find(MODEL)[1].shape
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        network = build_model(MODEL, num_classes=_CLASSES)
        assert isinstance(network, Network)
        costs = _multiply_adds(network, torch.zeros(1, *shape))
        stages = last_stages(network, torch.zeros(1, shape.channels, _SMALL, _SMALL))
    last = last_linear(network)
    assert last is not None
    total = sum(parameter.numel() for parameter in network.parameters())
    rows = []
    for boundary in boundaries(network):
        part = frozen_part(network, boundary)
        frozen = sum(parameter.numel() for parameter in part.parameters())
        macs = sum(costs.get(module, 0) for module in part.modules())
        rows.append({"name": boundary, "trainable": total - frozen, "frozen": frozen, "macs": macs})
    canvas, other = (draw_shapes(_DRAWN, number)[0] for number in (_CANVAS, _OTHER))
    return {
        "model": MODEL,
        "classes": _CLASSES,
        "parameters": total,
        "statistics": sum(buffer.numel() for name, buffer in network.named_buffers() if "running" in name),
        "boundaries": rows,
        "stages": stages,
        "macs": sum(costs.values()),
        "features": last.in_features,
        "canvas": pack(canvas),
        "other": pack(other),
        "augmentations": list(augmented_steps(canvas, 40)),
    }


def augment_photo(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Augment the learner's photo; see `augmented_steps`.

    Raises:
        OptionError, DecodeError: see `read_photo`.
    """
    yield from augmented_steps(read_photo(asked.get("photo")), 96)


def train_regimes(asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Train on few photos in the ways of `REGIMES`; yield what is trainable, then a row for each epoch.

    Args:
        asked: `photos`, see `own_photos`, drawn ones if missing; `regimes`, names; `epochs`, 1 to 30.

    Raises:
        OptionError, DecodeError: a value cannot be used.
    """
    regimes, epochs = asked.get("regimes", list(REGIMES)), asked.get("epochs", 8)
    if not isinstance(regimes, list) or not regimes or any(name not in REGIMES for name in regimes):
        raise OptionError(f"regimes are some of {', '.join(REGIMES)}, not {regimes!r}")
    if type(epochs) is not int or not 1 <= epochs <= _MOST_EPOCHS:
        raise OptionError(f"epochs are a whole number from 1 to {_MOST_EPOCHS}, not {epochs!r}")
    from hubel.weights.pretrained import find_weights

    row = find_weights(MODEL, "default").preprocess
    preprocess = Preprocess(_SIDE, _SIDE, resize="crop", mean=row.mean, std=row.std)
    sent = asked.get("photos")
    photos = drawn_photos(preprocess) if sent is None else own_photos(sent, preprocess)
    yield {
        "kind": "photos",
        "classes": photos.classes,
        "training": len(photos.training),
        "test": len(photos.test),
        "pictures": [pack(image[::2, ::2]) for image in photos.training[:: max(1, len(photos.training) // 6)][:6]],
    }
    for name in dict.fromkeys(regimes):
        yield from _train(name, photos, preprocess, epochs)


def _train(name: str, photos: FewPhotos, preprocess: Preprocess, epochs: int) -> Iterator[Mapping[str, Any]]:
    import torch
    from torch.nn import functional as F

    from hubel.nn.freezing import NONE, Tuned, frozen_part, last_stages
    from hubel.nn.network import Network
    from hubel.training.eager import eager
    from hubel.weights.create import create_model

    pretrained, boundary = REGIMES[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = create_model(MODEL, weights="default" if pretrained else None, num_classes=len(photos.classes))
    assert isinstance(network, Network)
    x, test = (_input(pixels, preprocess) for pixels in (photos.training, photos.test))
    network.eval()
    with torch.no_grad():
        boundary = boundary or last_stages(network, x[:1])
    tuned = Tuned(network, boundary, from_maps=boundary != NONE, hold_norms=pretrained)
    trainable = [parameter for parameter in tuned.parameters() if parameter.requires_grad]
    total = sum(parameter.numel() for parameter in network.parameters())
    count = sum(parameter.numel() for parameter in trainable)
    yield {"kind": "regime", "regime": name, "boundary": boundary, "trainable": count, "frozen": total - count}
    began = time.perf_counter()
    if boundary != NONE:
        part = frozen_part(network, boundary)
        with torch.no_grad():
            x, test = part(x), part(test)
        yield {"kind": "stored", "regime": name, "seconds": time.perf_counter() - began, "values": x[0].numel()}
    targets, test_targets = torch.from_numpy(photos.targets), torch.from_numpy(photos.test_targets)
    optimizer = eager(torch.optim.AdamW)(trainable, _RATES[name])
    for epoch in range(epochs):
        tuned.train()
        order = torch.from_numpy(permutation(len(x), 0, epoch))
        losses = []
        for batch in torch.split(order, _BATCH):
            loss = F.cross_entropy(tuned(x[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            losses.append(loss.detach())
        tuned.eval()
        with torch.no_grad():
            right = (tuned(test).argmax(1) == test_targets).float().mean()
        yield {
            "kind": "epoch",
            "regime": name,
            "epoch": epoch + 1,
            "loss": float(torch.stack(losses).mean()),
            "accuracy": float(right),
            "seconds": time.perf_counter() - began,
        }


def _input(pixels: np.ndarray[Any, np.dtype[np.uint8]], preprocess: Preprocess) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(preprocess.normalise(pixels)))


def _multiply_adds(network: Network, x: Tensor) -> dict[nn.Module, int]:
    """Return the multiply-adds of each convolution and linear layer for an image `(1, c, h, w)`."""
    from torch import nn

    costs: dict[nn.Module, int] = {}

    def note(layer: Any, _: Any, y: torch.Tensor) -> None:
        places = y.shape[2] * y.shape[3] if y.ndim == 4 else 1
        costs[layer] = layer.weight.numel() * places

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    network.eval()(x)
    for handle in handles:
        handle.remove()
    return costs


LESSON = Lesson(name="transfer", data=transfer_numbers, live={"train": train_regimes, "augment": augment_photo})
