"""What every network of the catalogue promises."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hubel.core.errors import OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import (
    ALIASES,
    FAMILIES,
    count_parameters,
    create_model,
    find,
    list_models,
    options_of,
)
from hubel.models.neighbours import Neighbours
from hubel.nn.network import Network
from hubel.runtime.forward import forward
from hubel.weights.model_file import ModelCard, load_model, save_model

NAMES = list_models()
TRAINED = [name for name in NAMES if name != "knn"]


def images(name: str, n: int = 2, channels: int | None = None) -> torch.Tensor:
    c, h, w = find(name)[1].shape
    return torch.randn(n, channels or c, h, w, generator=torch.Generator().manual_seed(0))


def made(name: str, **settings: object) -> nn.Module:
    torch.manual_seed(0)
    network = create_model(name, **settings)  # type: ignore[arg-type]
    if isinstance(network, Neighbours):
        network.fit(images(name, 8, settings.get("in_channels")), torch.arange(8) % network.num_classes)  # type: ignore[arg-type]
    return network


def one_line(error: Exception) -> None:
    assert "\n" not in str(error)


def count_macs(network: nn.Module, x: torch.Tensor) -> int:
    """Multiply-adds of convolutions and linear layers for the images `x`."""
    total = 0

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            kernel = math.prod(module.kernel_size) * module.in_channels // module.groups
            total += output.numel() * kernel
        elif isinstance(module, nn.Linear):
            total += output.numel() * module.in_features

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    network(x)
    for hook in hooks:
        hook.remove()
    return total


def test_list_is_complete_and_sorted() -> None:
    assert len(FAMILIES) == len(set(FAMILIES))
    assert sorted(NAMES) == NAMES
    assert not set(ALIASES) & set(NAMES)
    assert set(ALIASES.values()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_published_facts(name: str) -> None:
    variant = find(name)[1]
    published = variant.published
    with torch.device("meta"):
        network = create_model(name).eval()
        x = torch.empty(1, *variant.shape)
    assert all(p.is_meta for p in network.parameters())
    if published.params is not None:
        assert sum(p.numel() for p in network.parameters()) == published.params == count_parameters(name)
    if published.macs is not None:
        assert count_macs(network, x) == published.macs
    if published.maps:
        assert isinstance(network, Network)
        maps = network.maps(x)
        assert {key: tuple(maps[key].shape[1:]) for key in published.maps} == dict(published.maps)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_and_classes(name: str, channels: int) -> None:
    network = made(name, in_channels=channels, num_classes=7).eval()
    with torch.no_grad():
        several = network(images(name, 3, channels))
        single = network(images(name, 3, channels)[:1])
    assert several.shape == (3, 7)
    assert torch.isfinite(several).all()
    torch.testing.assert_close(single, several[:1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_default_is_the_published_number_of_classes(name: str) -> None:
    with torch.no_grad():
        assert made(name)(images(name)).shape == (2, find(name)[1].num_classes)


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_has_a_finite_gradient(name: str) -> None:
    network = made(name).train()
    nn.functional.cross_entropy(network(images(name, 4)), torch.arange(4)).backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", TRAINED)
def test_maps_agree_with_forward(name: str) -> None:
    network = made(name).eval()
    assert isinstance(network, Network)
    x = images(name)
    with torch.no_grad():
        logits, maps = network(x), network.maps(x)
    assert torch.equal(maps["logits"], logits)
    assert next(iter(maps)) == "stem"
    assert list(maps)[-1] == "logits"
    stages = [key for key in maps if key.startswith("stage") and "." not in key]
    for stage in stages:
        last = [key for key in maps if key.startswith(f"{stage}.")][-1]
        assert maps[stage] is maps[last]
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load(name: str, tmp_path: Path) -> None:
    network = made(name, num_classes=3).eval()
    options = {"samples": 8} if isinstance(network, Neighbours) else {}
    c, h, w = find(name)[1].shape
    card = ModelCard(name, ("a", "b", "c"), Preprocess(h, w, c, mean=(0.4,) * c, std=(0.2,) * c), options)
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert read == card
    assert not loaded.training
    pixels = np.random.default_rng(0).integers(0, 256, (5, h, w, c), np.uint8)
    assert np.array_equal(forward(network, pixels, card.preprocess), forward(loaded, pixels, card.preprocess))


@pytest.mark.parametrize("name", NAMES)
def test_options_survive_as_text(name: str) -> None:
    values = options_of(name)
    text = {key: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for key, v in values.items()}
    with torch.device("meta"):
        as_text, as_values = create_model(name, options=text), create_model(name, options=values)
    shapes = [{k: v.shape for k, v in network.state_dict().items()} for network in (as_text, as_values)]
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("name", NAMES)
def test_mistakes_are_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no option of {name} is called 'depht'"):
        create_model(name, options={"depht": 3})
    for option, value in options_of(name).items():
        if not isinstance(value, str):
            with pytest.raises(OptionError, match=option) as caught:
                create_model(name, options={option: "many"})
            assert "\n" not in str(caught.value)
    with pytest.raises(OptionError, match="at least one class"):
        create_model(name, num_classes=0)
    for settings in ({"in_channels": 0}, {"input_size": (0, 4)}, {"input_size": (4, -1)}):
        with pytest.raises(OptionError) as caught:
            create_model(name, **settings)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", NAMES)
def test_numbers_beyond_all_bounds_are_refused(name: str) -> None:
    for option, value in options_of(name).items():
        if isinstance(value, str | bool):
            continue
        for wild in ("-1", "nan", "inf", "1e400", str(10**30), "9" * 15):
            given = ",".join([wild] * max(1, len(value))) if isinstance(value, tuple) else wild
            try:
                with torch.device("meta"):
                    create_model(name, options={option: given})
            except OptionError as error:
                one_line(error)


def test_unknown_model_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"no model is called 'resnet21'; did you mean resnet20"):
        create_model("resnet21")
    with pytest.raises(UnknownNameError, match="the known ones are"):
        find("zzz")


def test_fixed_size_is_named() -> None:
    with pytest.raises(OptionError, match="32x32 pixels, not 64x48"):
        create_model("lenet5", input_size=(64, 48))
