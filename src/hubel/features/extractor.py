"""What the frozen part of a network makes of images: computed once by the fastest engine, kept, and used again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hubel.core.cache import LIMIT_VARIABLE, cache_limit, make_room
from hubel.core.errors import OptionError
from hubel.core.progress import bar
from hubel.core.random import permutation, uniform
from hubel.data.augment import VIEWS, Policy
from hubel.data.loading import Batch, Images, blank_input, network_input, steps_per_epoch
from hubel.data.preprocess import Preprocess
from hubel.features.store import ACTIVATIONS, PARTS, Found, Series
from hubel.features.views import image_key, view, view_name
from hubel.inference.device import device_of
from hubel.inference.engines import Engine, fastest
from hubel.inference.fold import folded
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL, frozen_part
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

__all__ = ["FeatureExtractor", "Features"]

_VIEW = 1  # keeps the draws of views apart from those of the order
_VERSION = 2  # of what the values mean: of the views, the engines, the layout
_SAMPLES = 32  # images that an engine is timed and calibrated with
_STEP = 32  # images that go through at once
_PART_BYTES = 2**28  # of memory that the values of one part take, all views together
_DECODED = 128  # images that are decoded before the network has its turn
_WORTH_A_WORD = 2**24  # bytes
# Every other engine computes in float32.
_PRECISION = {"torch bfloat16": "bfloat16", "openvino bfloat16": "bfloat16", "openvino int8": "int8"}
_ENGINE = {"float32": "torch", "bfloat16": "torch bfloat16", "int8": "openvino int8"}  # to add to what is cached


@dataclass(frozen=True)
class Features:
    """Maps of images, one set for each view, as something that a network learns from.

    Attributes:
        images: what they were made from.
        views: the maps of each view; view 0 is the image as evaluation sees it.
        precision: that they were computed in.
    """

    images: Images
    views: Sequence[Found]
    precision: str

    @property
    def preprocess(self) -> Preprocess:
        """How an image became the network's input."""
        return self.images.preprocess

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: NDArray[np.int64], number: int = 0) -> NDArray[Any]:
        """Maps float16 `(n, h, w, c)` of one view, or features `(n, d)`."""
        return self.views[number].take(positions)

    def epoch(self, seed: int, epoch: int, batch_size: int, policy: Policy, *, start: int = 0) -> Iterator[Batch]:
        """The training batches of an epoch from step `start` on; every image comes once, in one of its views."""
        order = permutation(len(self), seed, epoch)
        # Another key than those of the order: first images would else be first views.
        chosen = (uniform(seed, epoch, self.images.rows, _VIEW) * len(self.views)).astype(np.int64)
        for positions in np.array_split(order, steps_per_epoch(len(self), batch_size))[start:]:
            first = self.take(positions[:1])
            out = np.empty((len(positions), *first.shape[1:]), first.dtype)
            for number in np.unique(chosen[positions]).tolist():
                here = chosen[positions] == number
                out[here] = self.take(positions[here], number)
            yield Batch(positions, out)

    def in_sequence(self, batch_size: int) -> Iterator[Batch]:
        """All images in order, in view 0."""
        for start in range(0, len(self), batch_size):
            positions = np.arange(start, min(start + batch_size, len(self)))
            yield Batch(positions, self.take(positions))

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """Maps as the part of the network above the boundary sees them: float32 `(n, c, h, w)`, or `(n, d)`."""
        tensor = torch.from_numpy(pixels).to(device).float()
        return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


class FeatureExtractor:
    """The part of a network that stays as it is.

    Args:
        network: whose layers they are; with the weights that they will keep.
        card: which network it is, and how an image becomes its input.
        boundary: where the part ends; see `hubel.nn.freezing.boundaries`.
        engine: what runs it; "auto" is the fastest.
        threads: of the computation.
        expected: images, all views together, that it will look at: an engine that takes time to set up pays from some
            number on. 0: those of the first call.
        views: the policy that views other than the plain and the mirrored one are drawn from.
        exact: keep values in float32, rather than in half the bytes.
        tell: takes what a person should know.
    """

    def __init__(
        self,
        network: Network,
        card: ModelCard,
        boundary: str,
        *,
        engine: str = "auto",
        threads: int = 0,
        expected: int = 0,
        views: Policy = VIEWS,
        exact: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.part = frozen_part(network, boundary)
        self.preprocess, self.boundary = card.preprocess, boundary
        self._asked, self._threads, self._tell = engine, threads or torch.get_num_threads(), tell
        self._expected, self._type = expected, np.dtype(np.float32 if exact else np.float16)
        self._views = views
        self._engine: Engine | None = None
        self._device = device_of(self.part)
        digest = hashlib.blake2b(digest_size=16)
        described = [_VERSION, str(self._type), card.model, dict(card.options), boundary, card.preprocess.to_json()]
        digest.update(json.dumps(described, sort_keys=True).encode())
        for name, tensor in self.part.state_dict().items():
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        self._key = digest.hexdigest()
        with evaluating(self.part):
            blank = blank_input(card.preprocess, self._device)
            made = _stored(self.part(blank).float().cpu().numpy(), self._type)
        self.shape: tuple[int, ...] = made.shape[1:]

    @property
    def bytes_per_view(self) -> int:
        """What one view of one image takes on the disk."""
        return self._type.itemsize * int(np.prod(self.shape))

    def maps(self, images: Images, views: int = 1) -> Features:
        """What the part makes of images; what is not in the cache is computed, and kept there.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read.
            OptionError: there is no room for the cache; see `room_for`.
        """
        hashes = images.digests
        precision, found = self._known(hashes, views)
        if len(_missing(found)):
            engine = self._pick(images, precision, max(self._expected, len(images) * views))
            precision = _PRECISION.get(engine.name, "float32")
            series = self._series(precision, views)
            self._compute(engine, images, [one.find(hashes) for one in series], series)
            found = [one.find(hashes) for one in series]
        return Features(images, found, precision)

    def maps_above(self, below: Features, layers: nn.Module) -> Features:
        """What the part makes of view 0 of images, by its upper layers from maps of a boundary below; kept likewise."""
        hashes = below.images.digests
        series = self._series(below.precision, 1)[0]
        found = series.find(hashes)
        if len(missing := _missing([found])):
            quick, parts = folded(layers), []
            with torch.inference_mode(), bar("features", len(missing)) as progress:
                for start in range(0, len(missing), _STEP):
                    x = below.network_input(below.take(missing[start : start + _STEP]), self._device)
                    parts.append(_stored(quick(x).float().cpu().numpy(), self._type))
                    progress.step(len(x))
            make_room(ACTIVATIONS, PARTS, len(missing) * self.bytes_per_view, found.folders)
            series.add(hashes[missing], np.concatenate(parts))
            found = series.find(hashes)
        return Features(below.images, [found], below.precision)

    def room_for(self, images: Sequence[Images], views: int) -> bool:
        """Whether the cache may take so many views of images; the oldest values of others make room."""
        wanted, needed = 0, set[Path]()
        for some in images:
            _, found = self._known(some.digests, views)
            wanted += self._bytes_to_come(found)
            needed |= {folder for one in found for folder in one.folders}
        return make_room(ACTIVATIONS, PARTS, wanted, needed)

    def has(self, images: Images) -> bool:
        """Whether view 0 of all images is kept already."""
        _, found = self._known(images.digests, 1)
        return not len(_missing(found))

    def _bytes_to_come(self, found: Sequence[Found]) -> int:
        return len(_missing(found)) * len(_lacking(found)) * self.bytes_per_view

    def _series(self, precision: str, views: int) -> list[Series]:
        start = f"{self._key}-{self.boundary}-{precision}"
        return [Series(f"{start}-{view_name(number, self._views)}") for number in range(views)]

    def _known(self, hashes: NDArray[np.void], views: int) -> tuple[str, list[Found]]:
        """The values in the precision that has most of them; "" where none has any. Two are never mixed."""
        wanted = tuple(_ENGINE)
        if self._asked != "auto":
            wanted = (_PRECISION.get(self._asked, "float32"),)
        all_found = {name: [one.find(hashes) for one in self._series(name, views)] for name in wanted}
        lacking = {name: sum(len(one.missing) for one in found) for name, found in all_found.items()}
        best = min(lacking, key=lambda name: lacking[name])
        return best if lacking[best] < len(hashes) * views else "", all_found[best]

    def _pick(self, images: Images, precision: str, count: int) -> Engine:
        """The engine, chosen once; what is cached already decides the precision."""
        if self._device.type != "cpu":
            return Engine("torch", self._on_device, 0.0)
        asked = _ENGINE[precision] if precision and self._asked == "auto" else self._asked
        if self._engine is None or (precision and _PRECISION.get(self._engine.name, "float32") != precision):
            some = permutation(len(images), 0)[:_SAMPLES]
            pixels = network_input(images.pixels(np.sort(some)), self.preprocess)
            self._engine = fastest(
                self.part,
                pixels.numpy(),
                images=count,
                threads=self._threads,
                engine=asked,
                # A head learns the rounding of its features; what is tuned on rounded maps meets exact ones later.
                int8=self.boundary == ALL or asked != "auto",
            )
            self._tell(f"{self.boundary} frozen, run by {self._engine.name}: {self._engine.note}")
        return self._engine

    def _on_device(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        with evaluating(self.part):
            out: NDArray[np.float32] = self.part(torch.from_numpy(x).to(self._device)).float().cpu().numpy()
        return out

    def _compute(self, engine: Engine, images: Images, found: list[Found], series: list[Series]) -> None:
        """Decode each image that lacks a view once, make the views that are lacking, and run them, part by part."""
        missing, numbers, wanted = _missing(found), _lacking(found), self._bytes_to_come(found)
        if not make_room(ACTIVATIONS, PARTS, wanted, {folder for one in found for folder in one.folders}):
            raise OptionError(
                f"{wanted / 2**30:.1f} GiB of activations are more than the cache may take, "
                f"{cache_limit(ACTIVATIONS) / 2**30:.1f} GiB; set {LIMIT_VARIABLE} to more, or freeze less"
            )
        if wanted > _WORTH_A_WORD:
            self._tell(f"keeping {wanted / 2**20:,.0f} MiB of activations in the cache; `hubel cache` clears it")
        hashes = images.digests

        def prepare(position: int) -> list[NDArray[np.uint8]]:
            pixels = images.decoded(position)
            key = image_key(hashes[position])
            return [view(pixels, self.preprocess, number, key, self._views) for number in numbers]

        n = max(_STEP, _PART_BYTES // (len(numbers) * self.bytes_per_view))
        # Decoding and computing take turns: threads of a layer wait for each other, and for whoever takes their core.
        with ThreadPoolExecutor(max(1, images.threads)) as pool, bar("frozen part", len(missing)) as progress:
            for start in range(0, len(missing), n):
                part = missing[start : start + n]
                values = [np.empty((len(part), *self.shape), self._type) for _ in numbers]
                for at in range(0, len(part), _DECODED):
                    prepared = list(pool.map(prepare, part[at : at + _DECODED].tolist()))
                    for which, array in enumerate(values):
                        pixels = np.stack([views[which] for views in prepared])
                        for i in range(0, len(pixels), _STEP):
                            x = network_input(pixels[i : i + _STEP], self.preprocess).numpy()
                            array[at + i : at + i + len(x)] = _stored(engine.run(x), self._type)
                    progress.step(len(prepared))
                for number, array in zip(numbers, values, strict=True):
                    series[number].add(hashes[part], array)


def _missing(found: Sequence[Found]) -> NDArray[np.int64]:
    """The positions without values in some view."""
    return np.flatnonzero(np.any([one.part < 0 for one in found], axis=0))


def _lacking(found: Sequence[Found]) -> list[int]:
    """The views that some image is without."""
    return [number for number, one in enumerate(found) if len(one.missing)]


def _stored(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Outputs `(n, c, h, w)` or `(n, d)` as they are kept: channels last, and within the range of the type."""
    turned = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
    largest = np.finfo(dtype).max
    return np.clip(turned, -largest, largest).astype(dtype)
