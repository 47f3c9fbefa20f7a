"""Extraction of features: the frozen part of a network runs once over images, and its outputs are cached."""

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
from hubel.core.group import current_group
from hubel.core.progress import bar
from hubel.core.random import permutation, uniform
from hubel.data.annotation import Annotation
from hubel.data.augment import VIEWS, Policy
from hubel.data.balanced_order import draw_epochs
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import Batch, blank_input, network_input, steps_per_epoch
from hubel.data.shares import Share, numbered_slots, share_of
from hubel.features.store import ACTIVATIONS, PARTS, FeatureStore, StoredFeatures
from hubel.features.views import annotation_view, image_key, view, view_name
from hubel.inference.device import device_of
from hubel.inference.engines.engine import Precision
from hubel.inference.engines.frozen import OpenedEngine, open_frozen
from hubel.inference.engines.registry import EngineChoice
from hubel.inference.fold import folded
from hubel.inference.forward import reportable
from hubel.nn.dense import DenseNetwork
from hubel.nn.evaluating import evaluating
from hubel.nn.freezing import ALL, frozen_part
from hubel.nn.frozen_backbone import FrozenMaps
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

__all__ = ["ExtractorSettings", "FeatureExtractor", "Features"]

_VIEW = 1  # separates the draws of views from those of the order
_VERSION = 2  # of the meaning of the values: of the views, the engines, the layout
_SAMPLES = 32  # images that an engine is timed and calibrated with
_BATCH = 32  # images that are computed at once
_PART_BYTES = 2**28  # of memory that the values of one part take, all views together
_DECODED = 128  # images that are decoded before the network has its turn
_WORTH_TELLING = 2**24  # bytes
# The engine that adds to what is cached in a precision.
_ENGINE = {
    Precision.FLOAT32: EngineChoice("torch"),
    Precision.BFLOAT16: EngineChoice("torch", Precision.BFLOAT16),
    Precision.INT8: EngineChoice("openvino", Precision.INT8),
}


@dataclass(frozen=True)
class Features:
    """Maps of images, one set for each view, as the input that the upper part of a network is trained on.

    Attributes:
        images: from which they were computed.
        views: the maps of each view; view 0 is the image as evaluation sees it.
        precision: in which they were computed.
        policy: that the views are drawn from.
    """

    images: Images
    views: Sequence[StoredFeatures]
    precision: Precision
    policy: Policy = VIEWS

    @property
    def preprocess(self) -> Preprocess:
        """The preprocessing of the images."""
        return self.images.preprocess

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: NDArray[np.int64], number: int = 0) -> NDArray[Any]:
        """Return maps float16 `(n, h, w, c)` of one view, or features `(n, d)`."""
        return self.views[number].take(positions)

    def epoch(
        self,
        seed: int,
        epoch: int,
        batch_size: int,
        policy: Policy,
        *,
        start: int = 0,
        order: NDArray[np.int64] | None = None,
        share: Share | None = None,
    ) -> Iterator[Batch]:
        """Yield the training batches of an epoch from step `start` on; each image in one of its views.

        See `hubel.data.samples.Samples.epoch`.
        """
        order = permutation(len(self), seed, epoch) if order is None else order
        # Another key than those of the order: first images would else be first views.
        draws = uniform(seed, draw_epochs(order, epoch), self.images.rows[order], _VIEW)
        views = (draws * len(self.views)).astype(np.int64)
        for _, slots in numbered_slots(len(order), steps_per_epoch(len(self), batch_size), start=start, share=share):
            positions, chosen = order[slots], views[slots]
            first = self.take(positions[:1])
            out = np.empty((len(positions), *first.shape[1:]), first.dtype)
            for number in np.unique(chosen).tolist():
                in_view = chosen == number
                out[in_view] = self.take(positions[in_view], number)
            yield Batch(positions, out, annotations=self._annotations(positions, chosen))

    def in_sequence(self, batch_size: int, *, first: int = 0, every: int = 1) -> Iterator[Batch]:
        """Yield all images in order, in view 0; see `hubel.data.samples.Samples.in_sequence`."""
        for start in range(first * batch_size, len(self), every * batch_size):
            positions = np.arange(start, min(start + batch_size, len(self)))
            annotations = self._annotations(positions, np.zeros_like(positions))
            yield Batch(positions, self.take(positions), annotations=annotations)

    def _annotations(self, positions: NDArray[np.int64], views: NDArray[np.int64]) -> tuple[Annotation, ...]:
        """Return what is marked on views of images; nothing where no annotations are wanted."""
        if not self.images.annotations:
            return ()
        pairs = zip(positions.tolist(), views.tolist(), strict=True)
        return tuple(annotation_view(self.images, at, number, self.policy) for at, number in pairs)

    def network_input(self, pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
        """Return maps as the input of the part above the boundary: float32 `(n, c, h, w)`, or `(n, d)`."""
        tensor = torch.from_numpy(pixels).to(device).float()
        return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


@dataclass(frozen=True, kw_only=True)
class ExtractorSettings:
    """Settings of a `FeatureExtractor`.

    Attributes:
        engine: that runs the network; None for the fastest.
        threads: of the computation; 0 for torch's setting.
        expected_images: all views together, that are going to be computed: an engine that takes time to set up pays
            from some number on. 0: those of the first call.
        views: the policy that views other than the plain and the mirrored one are drawn from.
        exact: store values in float32, rather than in half the bytes.
    """

    engine: EngineChoice | None = None
    threads: int = 0
    expected_images: int = 0
    views: Policy = VIEWS
    exact: bool = False


class FeatureExtractor:
    """The frozen part of a network, whose outputs are cached.

    Args:
        network: of which it is a part; with the weights that are frozen.
        card: of the network.
        boundary: where the part ends; see `hubel.nn.freezing.boundaries`. Of a dense network, "all" of its backbone.
        settings: engine, threads, views, type of the values.
        tell: takes a sentence that the user should read.

    Raises:
        ModelFileError: the network's outputs are NaN or infinite.
    """

    def __init__(
        self,
        network: Network | DenseNetwork,
        card: ModelCard,
        boundary: str,
        *,
        settings: ExtractorSettings | None = None,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        dense = isinstance(network, DenseNetwork)
        self.part = FrozenMaps(network) if isinstance(network, DenseNetwork) else frozen_part(network, boundary)
        # A linear head is trained on the rounding of its features; deeper ones on rounded maps meet exact ones later.
        self._int8 = boundary == ALL and not dense
        self.preprocess, self.boundary = card.preprocess, boundary
        self.settings, self._tell = settings or ExtractorSettings(), tell
        self._threads = self.settings.threads or torch.get_num_threads()
        self._type = np.dtype(np.float32 if self.settings.exact else np.float16)
        self._engine: OpenedEngine | None = None
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
            output = _stored(self.part(blank).float().cpu().numpy(), self._type)
        self.shape: tuple[int, ...] = output.shape[1:]

    @property
    def bytes_per_view(self) -> int:
        """The size of one view of one image on the disk."""
        return self._type.itemsize * int(np.prod(self.shape))

    def maps(self, images: Images, views: int = 1) -> Features:
        """Return the maps of images at the boundary; those that are not in the cache are computed, and stored there.

        Raises:
            DecodeError: a file that the index knows as good can no longer be read.
            OptionError: there is no room for the cache; see `room_for`.
            ModelFileError: a feature is NaN or infinite.
        """
        hashes = images.digests
        precision, found = self._find(hashes, views)
        divided = _are_alike(_missing(found))
        while len(_missing(found)):  # again where another process has made room for itself meanwhile
            engine = self._pick(images, precision, max(self.settings.expected_images, len(images) * views))
            precision = engine.choice.precision
            stores = self._stores(precision, views)
            found = [store.find(hashes) for store in stores]
            if divided or len(_missing(found)):  # no other process has stored them while the engine was opened
                self._compute(engine, images, found, stores, divided=divided)
                if divided:  # whoever has another cache computes in the second turn what the others have not brought
                    current_group().gather(b"")
                    divided = False
                found = [store.find(hashes) for store in stores]
        return Features(images, found, precision or Precision.FLOAT32, self.settings.views)  # of no images at all

    def maps_above(self, below: Features, layers: nn.Module) -> Features:
        """Return the maps of view 0 of images, computed by the upper layers from maps of a boundary below; cached, too.

        Args:
            below: maps at the lower boundary.
            layers: of the network, between the two boundaries.
        """
        hashes = below.images.digests
        store = self._stores(below.precision, 1)[0]
        found = store.find(hashes)
        divided = _are_alike(_missing([found]))
        while len(missing := _missing([found])):
            missing = _own_part(missing, _BATCH) if divided else missing
            quick, parts = folded(layers), []
            with torch.inference_mode(), bar("features", len(missing)) as progress:
                for start in range(0, len(missing), _BATCH):
                    x = below.network_input(below.take(missing[start : start + _BATCH]), self._device)
                    parts.append(_stored(quick(x).float().cpu().numpy(), self._type))
                    progress.step(len(x))
            make_room(ACTIVATIONS, PARTS, len(missing) * self.bytes_per_view, found.folders)
            if len(missing):
                store.add(hashes[missing], np.concatenate(parts))
            if divided:
                current_group().gather(b"")
                divided = False
            found = store.find(hashes)
        return Features(below.images, [found], below.precision, below.policy)

    def room_for(self, images: Sequence[Images], views: int) -> bool:
        """Return whether the cache may take so many views of images; the oldest values of others make room."""
        size, needed = 0, set[Path]()
        for chosen in images:
            _, found = self._find(chosen.digests, views)
            size += self._bytes_to_come(found)
            needed |= {folder for stored in found for folder in stored.folders}
        return make_room(ACTIVATIONS, PARTS, size, needed)

    def has(self, images: Images) -> bool:
        """Return whether view 0 of all images is cached already."""
        _, found = self._find(images.digests, 1)
        return not len(_missing(found))

    def _bytes_to_come(self, found: Sequence[StoredFeatures]) -> int:
        return len(_missing(found)) * len(_lacking(found)) * self.bytes_per_view

    def _stores(self, precision: Precision, views: int) -> list[FeatureStore]:
        start = f"{self._key}-{self.boundary}-{precision}"
        return [FeatureStore(f"{start}-{view_name(number, self.settings.views)}") for number in range(views)]

    def _find(self, hashes: NDArray[np.void], views: int) -> tuple[Precision | None, list[StoredFeatures]]:
        """Return the values in the precision that has most of them; None where none has any. Two are never mixed."""
        chosen = self.settings.engine
        precisions = tuple(_ENGINE) if chosen is None else (chosen.precision,)
        all_found = {name: [store.find(hashes) for store in self._stores(name, views)] for name in precisions}
        lacking = {name: sum(len(stored.missing) for stored in found) for name, found in all_found.items()}
        best = min(lacking, key=lambda name: lacking[name])
        return best if lacking[best] < len(hashes) * views else None, all_found[best]

    def _pick(self, images: Images, precision: Precision | None, count: int) -> OpenedEngine:
        """Return the engine, chosen once; what is cached already decides the precision."""
        if self._device.type != "cpu":
            return OpenedEngine(choice=_ENGINE[Precision.FLOAT32], run=self._on_device)
        asked = self.settings.engine or (_ENGINE[precision] if precision is not None else None)
        if self._engine is None or (precision is not None and self._engine.choice.precision is not precision):
            samples = permutation(len(images), 0)[:_SAMPLES]
            pixels = network_input(images.pixels(np.sort(samples)), self.preprocess)
            self._engine = open_frozen(
                self.part,
                pixels.numpy(),
                images=count,
                threads=self._threads,
                choice=asked,
                int8=self._int8 or asked is not None,
            )
            where = "all" if self.boundary == ALL else f"all up to {self.boundary}"
            self._tell(f"{where} frozen, run by {self._engine.choice}: {self._engine.note}")
        return self._engine

    def _on_device(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        with evaluating(self.part):
            out: NDArray[np.float32] = self.part(torch.from_numpy(x).to(self._device)).float().cpu().numpy()
        return out

    def _compute(
        self,
        engine: OpenedEngine,
        images: Images,
        found: list[StoredFeatures],
        stores: list[FeatureStore],
        *,
        divided: bool,
    ) -> None:
        """Decode each image that lacks a view once, compute the views that are lacking, and store them part by part.

        Several ranks divide the images, but not the batches: the values are those that one process computes.
        """
        missing, numbers, size = _missing(found), _lacking(found), self._bytes_to_come(found)
        if not make_room(ACTIVATIONS, PARTS, size, {folder for stored in found for folder in stored.folders}):
            raise OptionError(
                f"{size / 2**30:.1f} GiB of activations are more than the cache may take, "
                f"{cache_limit(ACTIVATIONS) / 2**30:.1f} GiB; set {LIMIT_VARIABLE} to more, or freeze less"
            )
        if size > _WORTH_TELLING:
            self._tell(f"storing {size / 2**20:,.0f} MiB of activations in the cache; `hubel cache` clears it")
        hashes = images.digests

        def prepare(position: int) -> list[NDArray[np.uint8]]:
            pixels = images.decoded(position)
            key = image_key(hashes[position])
            return [view(pixels, self.preprocess, number, key, self.settings.views) for number in numbers]

        missing = _own_part(missing, _DECODED) if divided else missing
        n = max(_BATCH, _PART_BYTES // (len(numbers) * self.bytes_per_view))
        n = n // _DECODED * _DECODED or n  # batches begin at the same images however many parts there are
        # Decoding and computing take turns: threads of a layer wait for each other, and for whoever takes their core.
        with ThreadPoolExecutor(max(1, images.threads)) as pool, bar("frozen part", len(missing)) as progress:
            for start in range(0, len(missing), n):
                part = missing[start : start + n]
                values = [np.empty((len(part), *self.shape), self._type) for _ in numbers]
                for at in range(0, len(part), _DECODED):
                    prepared = list(pool.map(prepare, part[at : at + _DECODED].tolist()))
                    for place, array in enumerate(values):
                        pixels = np.stack([views[place] for views in prepared])
                        for i in range(0, len(pixels), _BATCH):
                            x = network_input(pixels[i : i + _BATCH], self.preprocess).numpy()
                            array[at + i : at + i + len(x)] = _stored(engine.run(x), self._type)
                    progress.step(len(prepared))
                for number, array in zip(numbers, values, strict=True):
                    stores[number].add(hashes[part], array)


def _missing(found: Sequence[StoredFeatures]) -> NDArray[np.int64]:
    """Return the positions without values in some view."""
    return np.flatnonzero(np.any([stored.part < 0 for stored in found], axis=0))


def _are_alike(missing: NDArray[np.int64]) -> bool:
    """Return whether several ranks lack the same images, so that each may compute a part of them."""
    group = current_group()
    if group.world == 1:
        return False
    found = group.gather(hashlib.blake2b(missing.tobytes(), digest_size=16).digest())
    return len(missing) > 0 and len(set(found)) == 1


def _own_part(missing: NDArray[np.int64], unit: int) -> NDArray[np.int64]:
    """Return the part of this rank: whole batches of so many images."""
    group = current_group()
    share = share_of(group.rank, group.world, -(-len(missing) // unit))
    return missing[share.first * unit : share.stop * unit]


def _lacking(found: Sequence[StoredFeatures]) -> list[int]:
    """Return the views that some image is without."""
    return [number for number, stored in enumerate(found) if len(stored.missing)]


def _stored(values: NDArray[np.float32], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return outputs `(n, c, h, w)` or `(n, d)` as they are stored: channels last, and within the range of the type.

    Raises:
        ModelFileError: an output is NaN or infinite.
    """
    values = reportable(values, "features")
    turned = values.transpose(0, 2, 3, 1) if values.ndim == 4 else values
    largest = np.finfo(dtype).max
    return np.clip(turned, -largest, largest).astype(dtype)
