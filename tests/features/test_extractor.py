"""What the cache hands out is what the frozen part makes of the images, computed once and never mixed up."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import hubel
from hubel.core.cache import LIMIT_VARIABLE, cache_limit, make_room
from hubel.core.errors import DecodeError, ModelFileError, OptionError
from hubel.core.files import cache_root, folder_bytes
from hubel.data.augment import find_policy
from hubel.data.dataset import open_dataset
from hubel.data.loading import Images
from hubel.data.preprocess import Preprocess
from hubel.data.samples import network_input
from hubel.features import extractor as module
from hubel.features.extractor import ExtractorSettings, FeatureExtractor, Features
from hubel.features.logits import cached_logits, last_layer_features
from hubel.features.store import ACTIVATIONS, PARTS, FeatureStore, StoredFeatures
from hubel.features.views import image_view
from hubel.inference.engines.engine import Precision
from hubel.inference.engines.frozen import OpenedEngine, open_frozen
from hubel.inference.engines.registry import EngineChoice
from hubel.nn.freezing import ALL, between, frozen_part, last_linear
from hubel.nn.network import Network
from hubel.weights.card import ModelCard

PREPROCESS = Preprocess(16, 16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.3))
CARD = ModelCard("resnet20", ("a", "b", "c"), PREPROCESS, {"depths": "1,1,1"})
N = 10
NONE = find_policy("none", channels=3)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and no waiting for the disk."""
    torch.set_num_threads(1)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def make(seed: int = 0) -> Network:
    torch.manual_seed(seed)
    network = hubel.create_model("resnet20", num_classes=3, input_size=(16, 16), options=CARD.options).eval()
    assert isinstance(network, Network)
    for module_ in network.modules():
        if isinstance(module_, nn.BatchNorm2d):
            nn.init.uniform_(module_.running_mean, -0.2, 0.2)
            nn.init.uniform_(module_.running_var, 0.5, 1.5)
    return network


def frozen(network: Network | None = None, card: ModelCard = CARD, boundary: str = "stage3") -> FeatureExtractor:
    return FeatureExtractor(
        network or make(), card, boundary, settings=ExtractorSettings(engine=EngineChoice("torch"), threads=1)
    )


def photos(folder: Path, n: int = N) -> Path:
    """Pictures of noise, each other's equal in nothing; two classes."""
    for i in range(n):
        path = folder / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 24, 3)).astype(np.uint8)).save(path)
    return folder


def images_of(folder: Path, rows: slice = slice(None), preprocess: Preprocess = PREPROCESS) -> Images:
    dataset = open_dataset(folder, threads=0)
    return dataset.images(preprocess, np.arange(len(dataset.index))[rows], threads=0)


@pytest.fixture
def images(tmp_path: Path) -> Images:
    return images_of(photos(tmp_path / "photos"))


def values(found: Features, number: int = 0) -> NDArray[np.float16]:
    return found.take(np.arange(len(found)), number)


def expected(network: Network, images: Images, boundary: str, number: int = 0) -> NDArray[np.float32]:
    """The frozen part's own outputs, `(n, h, w, c)` or `(n, d)`."""
    pixels = np.stack([image_view(images, position, number) for position in range(len(images))])
    with torch.inference_mode():
        made = frozen_part(network, boundary)(network_input(pixels, images.preprocess)).numpy()
    return made.transpose(0, 2, 3, 1) if made.ndim == 4 else made


def assert_half(got: NDArray[np.float16], wanted: NDArray[np.float32]) -> None:
    """Equal but for half precision, and for the order of sums in folded layers."""
    assert got.dtype == np.float16
    assert got.shape == wanted.shape
    np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=2e-3, atol=1e-3 * float(np.abs(wanted).max()))


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The key and the number of each view that is computed."""
    seen: list[tuple[int, int]] = []
    view = module.view

    def counted(pixels: Any, preprocess: Preprocess, number: int, key: int, policy: Any) -> Any:
        seen.append((key, number))
        return view(pixels, preprocess, number, key, policy)

    monkeypatch.setattr(module, "view", counted)
    return seen


def parts() -> list[Path]:
    return sorted((cache_root() / ACTIVATIONS).glob("*/part-*"))


def series() -> set[str]:
    return {part.parent.name for part in parts()}


# Values ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("boundary", ["stage1", "stage3", ALL])
def test_values_are_the_frozen_part_s_own(images: Images, boundary: str) -> None:
    network = make()
    part = frozen(network, boundary=boundary)
    found = part.maps(images, 3)
    assert (len(found), len(found.views), found.precision) == (N, 3, "float32")
    assert found.preprocess is images.preprocess
    assert part.shape == values(found).shape[1:]
    assert part.bytes_per_view == values(found)[0].nbytes
    for number in range(3):
        assert_half(values(found, number), expected(network, images, boundary, number))
    assert_half(found.take(np.array([7, 2, 2])), expected(network, images, boundary)[[7, 2, 2]])


def test_maps_go_on_as_the_network_would(images: Images) -> None:
    network = make()
    found = frozen(network, boundary="stage2").maps(images)
    x = found.network_input(values(found))
    assert x.dtype == torch.float32
    with torch.inference_mode():
        got = between(network, "stage2", ALL)(x)
        wanted = frozen_part(network, ALL)(images.network_input(images.pixels(np.arange(N))))
    torch.testing.assert_close(got, wanted, rtol=1e-2, atol=5e-3)
    flat = Features(images, [], "float32").network_input(np.ones((2, 5), np.float16))
    assert flat.shape == (2, 5)


def test_batches_in_sequence(images: Images) -> None:
    found = frozen().maps(images)
    batches = list(found.in_sequence(4))
    assert [batch.positions.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert np.array_equal(np.concatenate([batch.pixels for batch in batches]), values(found))


def test_what_overflows_is_clipped(images: Images) -> None:
    network = make()
    last = [part for part in network.stages[2].modules() if isinstance(part, nn.BatchNorm2d)][-1]
    with torch.no_grad():
        last.weight.mul_(1e7)
    assert expected(network, images, "stage3").max() > 1e6
    got = values(frozen(network).maps(images))
    assert np.isfinite(got).all()
    assert got.max() == np.finfo(np.float16).max
    assert module._stored(np.array([[-1e9, 1e9, 1.5]], np.float32), np.dtype(np.float16)).tolist() == [
        [-65504, 65504, 1.5]
    ]


def test_features_are_what_the_last_layer_sees(images: Images) -> None:
    network = make()
    got = last_layer_features(network, images, card=CARD, engine=EngineChoice("torch"))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected(network, images, ALL), rtol=2e-3, atol=2e-3)
    with pytest.raises(OptionError, match="nin_cifar10 does not end in a linear layer"):
        last_layer_features(
            hubel.create_model("nin_cifar10"), images, card=replace(CARD, model="nin_cifar10", options={})
        )


def logits_of(network: Network, images: Images) -> NDArray[np.float32]:
    with torch.inference_mode():
        return network(network_input(images.pixels(np.arange(len(images))), images.preprocess)).numpy()


def tuned(above: str) -> Network:
    """A network that shares what lies up to a boundary with `make()`, and nothing else."""
    network = make()
    last = last_linear(network)
    assert last is not None
    with torch.no_grad():
        for parameter in (*between(network, above, ALL).parameters(), *last.parameters()):
            parameter.mul_(-1.5)
    return network


@pytest.mark.parametrize("boundary", ["none", "stage1", "stage3", ALL])
@pytest.mark.parametrize("limit", [1e9, 0.0])
def test_logits_are_the_network_s_own(
    boundary: str, limit: float, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As exact in the second run, which finds what is kept, as in the first; and where there is no room to keep it."""
    gib(limit, monkeypatch)
    wanted = logits_of(make(), images)
    for _ in range(2):
        got = cached_logits(make(), images, card=CARD, boundary=boundary)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)
    assert bool(parts()) == (limit > 0 and boundary != "none")


@pytest.mark.parametrize("second", ["stage2", ALL])
def test_what_is_frozen_sees_the_test_images_once(second: str, images: Images, looked: list[tuple[int, int]]) -> None:
    """Layers above the frozen part may differ; a head alone, later, takes the maps below the last stages."""
    first = cached_logits(tuned("stage2"), images, card=CARD, boundary="stage2")
    assert len(looked) == N
    np.testing.assert_allclose(first, logits_of(tuned("stage2"), images), rtol=1e-5, atol=1e-5)
    again = cached_logits(tuned(second), images, card=CARD, boundary=second)
    assert len(looked) == N
    np.testing.assert_allclose(again, logits_of(tuned(second), images), rtol=1e-5, atol=1e-5)
    assert np.abs(again - logits_of(make(), images)).max() > 0.1


def test_the_part_does_not_learn_and_has_no_hooks(images: Images) -> None:
    network = make()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    frozen(network).maps(images, 2)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert not any(part._forward_hooks for part in network.modules())


# Once -----------------------------------------------------------------------------------------------------


def test_the_second_call_computes_nothing(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    first = [values(frozen().maps(images, 2), number) for number in range(2)]

    def fail(*_: Any) -> None:
        raise AssertionError("computed again")

    for name in ("_compute", "_pick"):
        monkeypatch.setattr(FeatureExtractor, name, fail)
    again = frozen().maps(images, 2)
    for number in range(2):
        assert np.array_equal(values(again, number), first[number])


def test_more_images_cost_only_themselves(tmp_path: Path, looked: list[tuple[int, int]]) -> None:
    photos(tmp_path / "photos")
    part = frozen()
    first = values(part.maps(images_of(tmp_path / "photos", slice(2, 6))))
    assert len(set(looked)) == len(looked) == 4
    looked.clear()
    whole = images_of(tmp_path / "photos")
    found = frozen().maps(whole)
    assert len(set(looked)) == len(looked) == N - 4
    assert np.array_equal(values(found)[2:6], first)
    assert_half(values(found), expected(make(), whole, "stage3"))
    looked.clear()
    shuffled = images_of(tmp_path / "photos", slice(None, None, -1))
    assert np.array_equal(values(frozen().maps(shuffled)), values(found)[::-1])
    assert looked == []


def test_more_views_cost_the_images_without_them(images: Images, looked: list[tuple[int, int]]) -> None:
    frozen().maps(images, 2)
    assert sorted({number for _, number in looked}) == [0, 1]
    looked.clear()
    found = frozen().maps(images, 3)
    assert [number for _, number in looked] == [2] * N, "the views that are there are not computed again"
    for number in range(3):
        assert_half(values(found, number), expected(make(), images, "stage3", number))
    looked.clear()
    frozen().maps(images, 1)
    assert looked == []


def changed(kind: str) -> dict[str, Any]:
    return {
        "weights": {"network": make(1)},
        "one number": {"network": _nudged()},
        "batch norm": {"network": _nudged("running_mean")},
        "mean": {"card": replace(CARD, preprocess=replace(PREPROCESS, mean=(0.4, 0.5, 0.5)))},
        "size": {"card": replace(CARD, preprocess=replace(PREPROCESS, height=20))},
        "resize": {"card": replace(CARD, preprocess=replace(PREPROCESS, resize="crop"))},
        "boundary": {"boundary": "stage2"},
    }[kind]


def _nudged(name: str = "weight") -> Network:
    network = make()
    tensor = next(value for key, value in network.state_dict().items() if key.endswith(name))
    tensor.view(-1)[0] += 1e-3
    return network


@pytest.mark.parametrize("kind", ["weights", "one number", "batch norm", "mean", "size", "resize", "boundary"])
def test_what_makes_another_series(kind: str, images: Images, looked: list[tuple[int, int]]) -> None:
    frozen().maps(images)
    before, names = values(frozen().maps(images)), series()
    looked.clear()
    change = changed(kind)
    other = images.normalised_by(change["card"].preprocess) if "card" in change else images
    found = frozen(**change).maps(other)
    assert len(looked) == N
    assert len(series() - names) == 1
    assert names < series()
    assert not np.array_equal(values(found), before)
    wanted = expected(change.get("network", make()), other, change.get("boundary", "stage3"))
    if kind != "size":
        assert_half(values(found), wanted)
    assert np.array_equal(values(frozen().maps(images)), before)


def test_what_lies_above_the_boundary_does_not_count(images: Images, looked: list[tuple[int, int]]) -> None:
    frozen(boundary="stage2").maps(images)
    looked.clear()
    network = make()
    with torch.no_grad():
        for parameter in (*network.stages[2].parameters(), *network.head.parameters()):
            parameter.zero_()
    frozen(network, replace(CARD, classes=("other", "names")), "stage2").maps(images)
    assert looked == []


def test_the_same_bytes_under_another_name(tmp_path: Path, looked: list[tuple[int, int]]) -> None:
    first = images_of(photos(tmp_path / "photos"))
    before = values(frozen().maps(first))
    for i, path in enumerate(sorted((tmp_path / "photos").rglob("*.png"))):
        moved = tmp_path / "moved" / "xyz"[i % 3] / f"renamed-{i:02}.png"
        moved.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, moved)
    shutil.copy(tmp_path / "photos" / "a" / "00.png", tmp_path / "moved" / "x" / "twice.png")
    shutil.rmtree(tmp_path / "photos")
    looked.clear()
    second = images_of(tmp_path / "moved")
    found = frozen().maps(second)
    assert looked == []
    by_digest = {d.tobytes(): v for d, v in zip(first.digests, before, strict=True)}
    for digest, value in zip(second.digests, values(found), strict=True):
        assert np.array_equal(value, by_digest[digest.tobytes()])


# Damage ---------------------------------------------------------------------------------------------------


class Bomb:
    """Leaves a folder behind when somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def truncate(name: str, to: int = -1) -> Callable[[Path], None]:
    def damage(part: Path) -> None:
        data = (part / name).read_bytes()
        (part / name).write_bytes(data[: to if to >= 0 else len(data) // 2])

    return damage


def pickled(name: str) -> Callable[[Path], None]:
    def damage(part: Path) -> None:
        np.save(part / name, np.array([Bomb(part / "went-off")], object), allow_pickle=True)

    return damage


def flip(name: str) -> Callable[[Path], None]:
    def damage(part: Path) -> None:
        data = bytearray((part / name).read_bytes())
        data[-len(data) // 3] ^= 1
        (part / name).write_bytes(data)

    return damage


def altered(value: float) -> Callable[[Path], None]:
    """A file that is as good as any, but for one of its values."""

    def damage(part: Path) -> None:
        array = np.load(part / "values.npy", mmap_mode="r+")
        array[0, 0, 0, 0] = value
        array.flush()

    return damage


DAMAGES = {
    "half of the values": truncate("values.npy"),
    "no byte of the values": truncate("values.npy", 0),
    "the header of the values": truncate("values.npy", 40),
    "half of the hashes": truncate("hashes.npy", 140),
    "no hashes": lambda part: (part / "hashes.npy").unlink(),
    "no values": lambda part: (part / "values.npy").unlink(),
    "an empty folder": lambda part: [file.unlink() for file in part.iterdir()],  # type: ignore[dict-item,return-value]
    "one bit of a value": flip("values.npy"),
    "one bit of a hash": flip("hashes.npy"),
    "one bit of the manifest": flip("manifest.json"),
    "no manifest": lambda part: (part / "manifest.json").unlink(),
    "a value of 1,000": altered(1000),
    "a value that is no number": altered(np.nan),
    "values of Python": pickled("values.npy"),
    "hashes of Python": pickled("hashes.npy"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_computed_again(
    damage: str, images: Images, looked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = values(frozen().maps(images))
    (part,) = parts()
    DAMAGES[damage](part)
    looked.clear()
    monkeypatch.setattr("hubel.features.store._verified", set())  # as in a new process
    assert np.array_equal(values(frozen().maps(images)), before)
    assert len(looked) == N
    looked.clear()
    assert np.array_equal(values(frozen().maps(images)), before)
    assert looked == []
    assert not (part / "went-off").exists()


def test_a_part_is_read_once_to_verify_it(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen().maps(images)
    calls: list[Path] = []
    monkeypatch.setattr("hubel.features.store.is_whole", lambda folder, **_: calls.append(folder) or True)
    monkeypatch.setattr("hubel.features.store._verified", set())
    for _ in range(2):
        frozen().maps(images)
    assert calls == parts()


def test_photos_that_change_after_the_scan_are_stored_nowhere(tmp_path: Path, looked: list[tuple[int, int]]) -> None:
    """Their features would be found under the digests of the photos that were there before."""
    images = images_of(photos(tmp_path / "photos"))
    path = tmp_path / "photos" / "a" / "04.png"
    true, other = path.read_bytes(), (tmp_path / "photos" / "b" / "05.png").read_bytes()
    path.write_bytes(other)
    with pytest.raises(DecodeError, match=r"a/04\.png: it has changed since the images were indexed"):
        frozen().maps(images)
    assert parts() == []
    path.write_bytes(true)
    assert_half(values(frozen().maps(images)), expected(make(), images, "stage3"))


def test_a_cache_that_cannot_be_written_serves_this_process_alone(
    images: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looked: list[tuple[int, int]]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "file" / "cache"))
    for _ in range(2):
        assert_half(values(frozen().maps(images)), expected(make(), images, "stage3"))
    assert len(looked) == N
    assert (tmp_path / "file").read_bytes() == b""


def test_two_processes_at_the_same_time(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both find nothing; the other one stores everything while this one opens its engine, or while it computes."""
    wanted = values(frozen().maps(images))
    for moment in ("_pick", "_compute"):
        shutil.rmtree(cache_root())
        original = getattr(FeatureExtractor, moment)

        def meanwhile(
            extractor: FeatureExtractor, *given: Any, original: Any = original, moment: str = moment, **named: Any
        ) -> Any:
            monkeypatch.setattr(FeatureExtractor, moment, original)
            frozen().maps(images)
            return original(extractor, *given, **named)

        monkeypatch.setattr(FeatureExtractor, moment, meanwhile)
        assert np.array_equal(values(frozen().maps(images)), wanted)
        assert len(parts()) == 1


def test_parts_that_another_process_removes_are_computed_again(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes room for its own just when this one has stored its values."""
    add = FeatureStore.add

    def driven_out(store: FeatureStore, *given: Any) -> None:
        add(store, *given)
        shutil.rmtree(store.folder)
        monkeypatch.setattr(FeatureStore, "add", add)

    monkeypatch.setattr(FeatureStore, "add", driven_out)
    assert_half(values(frozen().maps(images)), expected(make(), images, "stage3"))


def test_nothing_is_pickled(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    load, save = np.load, np.save

    def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, allow_pickle: bool = True, **options: Any) -> Any:
            asked.append(allow_pickle)
            return function(*args, allow_pickle=allow_pickle, **options)

        return call

    monkeypatch.setattr(np, "load", recorded(load))
    monkeypatch.setattr(np, "save", recorded(save))
    frozen().maps(images)
    assert asked.count(False) == len(asked) >= 4
    assert {file.name for part in parts() for file in part.iterdir()} == {"hashes.npy", "values.npy", "manifest.json"}


# Room -----------------------------------------------------------------------------------------------------


def gib(count: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, repr(count / 2**30))


def filled(name: str, age: int, n: int = 4) -> tuple[FeatureStore, NDArray[np.void], Path]:
    """A series with one part that was used so many seconds ago."""
    one = FeatureStore(name)
    hashes = np.array([np.void(f"{name}-{i:02}".encode().ljust(16)) for i in range(n)])
    one.add(hashes, np.full((n, 1000), age, np.float16))
    (part,) = one.folder.glob("part-*")
    os.utime(part, (1e9 - age, 1e9 - age))
    return one, hashes, part


def test_no_room_at_all(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    one, hashes, _ = filled("old", 5)
    gib(500, monkeypatch)
    with pytest.raises(OptionError, match=rf"GiB of activations are more than the cache may take, .*{LIMIT_VARIABLE}"):
        frozen().maps(images)
    assert (one.find(hashes).part == 0).all(), "nothing is removed in vain"
    assert not frozen().room_for([images], 1)


@pytest.mark.parametrize("text", ["ten", "nan", "inf", "1 GiB"])
def test_a_limit_is_a_number(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(OptionError, match=f"{LIMIT_VARIABLE} is a number of GiB such as 10, not '{text}'"):
        cache_limit(ACTIVATIONS)


def test_the_usual_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert cache_limit(ACTIVATIONS) == 500
    filled("a", 0)
    assert cache_limit(ACTIVATIONS) == 500 + folder_bytes(cache_root() / ACTIVATIONS)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**50))
    assert cache_limit(ACTIVATIONS) == 10 * 2**30
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    assert cache_limit(ACTIVATIONS) == 2**29


def test_the_least_recently_used_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def room(wanted: int, limit: int) -> bool:
        gib(limit, monkeypatch)
        return make_room(ACTIVATIONS, PARTS, wanted)

    made = {name: filled(name, age) for name, age in (("b", 20), ("a", 30), ("d", 0), ("c", 10))}
    size = folder_bytes(made["a"][2])
    held = folder_bytes(cache_root() / ACTIVATIONS)
    assert held == 4 * size
    assert room(0, held)
    assert room(size, 5 * size)
    assert series() == {"a", "b", "c", "d"}
    assert room(1, held)
    assert series() == {"b", "c", "d"}
    one, hashes, _ = made["b"]
    one.find(hashes)  # now it is used
    assert room(2 * size, 4 * size)
    assert series() == {"b", "d"}
    assert not room(5 * size, 4 * size)
    assert series() == {"b", "d"}
    assert room(4 * size, 4 * size)
    assert series() == set()


def test_old_values_make_room_for_new_ones(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    part = frozen()
    part.maps(images)
    size = folder_bytes(parts()[0])
    os.utime(parts()[0], (1e9, 1e9))
    gib(1.5 * size, monkeypatch)
    other = frozen(make(1))
    assert_half(values(other.maps(images)), expected(make(1), images, "stage3"))
    assert len(parts()) == 1


def test_values_are_right_where_new_ones_drive_out_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    photos(tmp_path / "photos")
    frozen().maps(images_of(tmp_path / "photos", slice(0, 5)))
    gib(1.6 * folder_bytes(parts()[0]), monkeypatch)
    whole = images_of(tmp_path / "photos", slice(0, 9))
    with contextlib.suppress(OptionError):  # there is no room for all of them at once: to say so is right, too
        assert_half(values(frozen().maps(whole)), expected(make(), whole, "stage3"))


def test_asking_for_room_does_not_remove_what_is_asked_for(
    images: Images, looked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run, whose values take more than half of the cache."""
    frozen().maps(images)
    gib(1.5 * folder_bytes(parts()[0]), monkeypatch)
    looked.clear()
    part = frozen()
    assert part.room_for([images], 1)
    part.maps(images)
    assert looked == []


# Upper layers ---------------------------------------------------------------------------------------------


def test_upper_layers_on_maps_are_the_whole_part(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make()
    part, whole = frozen(network, boundary="stage2"), frozen(network, boundary=ALL)
    layers = between(network, "stage2", ALL)
    below = part.maps(images)
    found = whole.maps_above(below, layers)
    assert_half(values(found), expected(network, images, ALL))
    assert (len(found.views), found.precision) == (1, "float32")

    def fail(*_: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(module, "folded", fail)
    monkeypatch.setattr(FeatureExtractor, "_compute", fail)
    assert np.array_equal(values(whole.maps_above(below, layers)), values(found))
    assert np.array_equal(values(frozen(network, boundary=ALL).maps(images)), values(found)), "they are in the cache"


def test_features_hardly_depend_on_what_was_computed_before(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features from images and from kept maps are one series: they differ by the rounding to 16 bits only."""
    network, layers = make(), between(make(), "stage2", ALL)

    def through_maps() -> NDArray[np.float16]:
        below = frozen(network, boundary="stage2").maps(images)
        return values(frozen(network, boundary=ALL).maps_above(below, layers))

    first = through_maps()
    monkeypatch.setenv("HUBEL_CACHE", str(cache_root() / "another"))
    frozen(network, boundary=ALL).maps(images)
    assert np.abs(through_maps() - first).max() < 2e-3 * np.abs(first).max()


# Precisions -----------------------------------------------------------------------------------------------


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What "auto" takes, and what was asked for; everything is run by torch."""
    state = SimpleNamespace(auto="torch", asked=[])

    def chosen(part: nn.Module, samples: Any, *, choice: EngineChoice | None, **options: Any) -> OpenedEngine:
        state.asked.append("auto" if choice is None else str(choice))
        plain = open_frozen(part, samples, choice=EngineChoice("torch"), **options)
        return replace(plain, choice=choice or EngineChoice.parse(state.auto))

    monkeypatch.setattr(module, "open_frozen", chosen)
    return state


def auto(network: Network | None = None) -> FeatureExtractor:
    return FeatureExtractor(network or make(), CARD, "stage3", settings=ExtractorSettings(threads=1))


def test_new_images_go_through_the_engine_of_the_old_ones(tmp_path: Path, engines: SimpleNamespace) -> None:
    photos(tmp_path / "photos")
    engines.auto = "torch bfloat16"
    assert auto().maps(images_of(tmp_path / "photos", slice(0, 6))).precision == "bfloat16"
    engines.auto = "torch"
    assert auto().maps(images_of(tmp_path / "photos")).precision == "bfloat16"
    assert engines.asked == ["auto", "torch bfloat16"]
    assert len(series()) == 1


def test_a_precision_that_is_asked_for_is_its_own_series(images: Images, engines: SimpleNamespace) -> None:
    engines.auto = "torch bfloat16"
    auto().maps(images)
    found = frozen().maps(images)
    assert found.precision == "float32"
    assert engines.asked == ["auto", "torch"]
    assert len(series()) == 2


def test_views_that_come_later_have_the_precision_of_the_first(tmp_path: Path, engines: SimpleNamespace) -> None:
    """A head is fitted to the first views, in another process perhaps; validation looks at these only."""
    photos(tmp_path / "photos")
    train, val = images_of(tmp_path / "photos", slice(0, 6)), images_of(tmp_path / "photos", slice(6, None))
    engines.auto = "torch bfloat16"
    for some in (train, val):
        auto().maps(some)
    engines.auto = "torch"
    later = auto()
    assert later.maps(train, 3).precision == later.maps(val).precision


# Epochs ---------------------------------------------------------------------------------------------------


def numbered(n: int = 60, views: int = 3, rows: NDArray[np.int64] | None = None) -> Features:
    """Maps 2x2x2 that are full of 100 * the row + the view."""
    rows = np.arange(n) + 7 if rows is None else rows
    facts = {"rows": rows, "preprocess": PREPROCESS, "annotations": ""}
    images = type("Some", (), {**facts, "__len__": lambda _: len(rows)})()
    made = [
        StoredFeatures([np.tile((100 * rows + v)[:, None, None, None], (1, 2, 2, 2)).astype(np.float32)], 0 * rows,
              np.arange(len(rows)), [])
        for v in range(views)
    ]  # fmt: skip
    return Features(images, made, Precision.FLOAT32)


def seen(found: Features, seed: int = 0, epoch: int = 0, size: int = 8) -> dict[int, int]:
    """The view of each row that came in an epoch."""
    out: dict[int, int] = {}
    for batch in found.epoch(seed, epoch, size, NONE):
        assert 0 < len(batch.positions) <= size
        assert batch.pixels.shape == (len(batch.positions), 2, 2, 2)
        for position, pixels in zip(batch.positions.tolist(), batch.pixels, strict=True):
            row, number = divmod(int(pixels[0, 0, 0]), 100)
            assert (pixels == pixels[0, 0, 0]).all()
            assert row == found.images.rows[position]
            assert row not in out
            out[row] = number
    assert len(out) == len(found)
    return out


def test_every_image_comes_once_in_one_of_its_views() -> None:
    found = numbered()
    counts = np.zeros(3)
    for epoch in range(10):
        counts += np.bincount(list(seen(found, epoch=epoch).values()), minlength=3)
    assert (counts > 150).all(), "of 600, a third each"


def test_the_view_is_a_function_of_seed_epoch_and_image() -> None:
    whole = seen(numbered())
    assert seen(numbered(), size=13) == whole
    some = np.arange(60)[::-2] + 7
    assert seen(numbered(rows=some)) == {row: whole[row] for row in some.tolist()}
    assert seen(numbered(), epoch=1) != whole
    assert seen(numbered(), seed=1) != whole
    assert set(seen(numbered(views=1)).values()) == {0}


def test_an_epoch_goes_on_where_it_was_left() -> None:
    found = numbered()
    whole = list(found.epoch(3, 2, 8, NONE))
    for start in (0, 1, 5, 8):
        rest = list(found.epoch(3, 2, 8, NONE, start=start))
        assert len(rest) == len(whole) - start
        for got, wanted in zip(rest, whole[start:], strict=True):
            assert np.array_equal(got.positions, wanted.positions)
            assert np.array_equal(got.pixels, wanted.pixels)


def test_the_order_is_that_of_images() -> None:
    """Maps come as their images would: training goes on the same way where the cache has no room."""
    rows = np.arange(30)
    dataset = open_dataset((np.zeros((30, 4, 4), np.uint8), ["a", "b"] * 15), threads=0)
    images = dataset.images(Preprocess(4, 4), rows, threads=0)
    order = [batch.positions.tolist() for batch in images.epoch(5, 1, 8, NONE)]
    assert [batch.positions.tolist() for batch in numbered(rows=rows).epoch(5, 1, 8, NONE)] == order


@pytest.mark.parametrize("first", [0, 7])
def test_a_batch_has_all_views(first: int) -> None:
    """What shuffles the images must not choose their views, or an epoch begins with one view and ends with another."""
    rows = np.arange(240) + first
    for epoch in range(3):
        for batch in numbered(rows=rows).epoch(0, epoch, 40, NONE):
            assert len(np.unique(batch.pixels[:, 0, 0, 0] % 100)) == 3


@pytest.mark.parametrize(("weight", "value"), [("running_var", -10.0), ("weight", 3e38)])
def test_no_feature_is_nan_or_infinite(weight: str, value: float) -> None:
    """Weights that are finite and make features that are not: infinite ones are not clipped, NaN teaches nothing."""
    network = make()
    norm = next(module_ for module_ in network.modules() if isinstance(module_, nn.BatchNorm2d))
    getattr(norm, weight).data.fill_(value)
    with pytest.raises(ModelFileError, match="the network's features are NaN or infinite"):
        frozen(network, boundary="stage1")
