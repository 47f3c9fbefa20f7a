from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hubel.analysis.summary import summary
from hubel.models.catalogue import build_model
from hubel.models.lenet import _CONNECTIONS, class_codes
from hubel.nn.network import Network


def by_layer(name: str) -> dict[str, int]:
    layers: dict[str, int] = {}
    for key, parameter in build_model(name).named_parameters():
        layer = next(part for part in reversed(key.split(".")) if part[0] in "csfo" and part not in ("conv", "layer"))
        layers[layer] = layers.get(layer, 0) + parameter.numel()
    return layers


def test_layer_tables() -> None:
    """LeCun 1998, Section II.B; and with the full C3 and the linear output of the modern form."""
    assert by_layer("lenet5") == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
    assert by_layer("lenet5_modern") == {"c1": 156, "c3": 2_416, "c5": 48_120, "f6": 10_164, "output": 850}


def test_connections() -> None:
    """Section II.B counts connections, 340,908 in all; C3 has those of Table I only."""
    assert [len(seen) for seen in _CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
    # Table I: every map of S2 is seen by ten of C3.
    assert np.bincount([below for seen in _CONNECTIONS for below in seen]).tolist() == [10] * 6
    rows = {row.name.split(".")[-2]: row for row in summary("lenet5").layers if row.params}
    macs = {layer: rows[layer].macs for layer in ("c1", "c3", "c5", "f6")}
    assert macs == {"c1": 117_600, "c3": 150_000, "c5": 48_000, "f6": 10_080}
    connections = {layer: n + math.prod(rows[layer].shape) for layer, n in macs.items()}  # and a bias each
    assert connections == {"c1": 122_304, "c3": 151_600, "c5": 48_120, "f6": 10_164}
    for layer, n in (("s2", 5_880), ("s4", 2_000)):  # four pixels and a bias
        connections[layer] = 5 * math.prod(rows[layer].shape)
        assert connections[layer] == n
    assert sum(connections.values()) + class_codes(10).size == 340_908


def test_against_the_formulas() -> None:
    """The whole forward pass in numpy."""
    torch.manual_seed(0)
    network = build_model("lenet5").double().eval()
    assert isinstance(network, Network)
    values = {key: value.numpy() for key, value in network.state_dict().items()}
    image = np.random.default_rng(0).uniform(-0.1, 1.175, (1, 32, 32))

    def squash(a: np.ndarray) -> np.ndarray:
        return 1.7159 * np.tanh(2 / 3 * a)

    def convolve(maps: np.ndarray, kernels: dict[tuple[int, int], np.ndarray], bias: np.ndarray) -> np.ndarray:
        side = maps.shape[1] - 4
        out = np.repeat(bias, side * side).reshape(len(bias), side, side)
        for (o, i), kernel in kernels.items():
            for y in range(5):
                for x in range(5):
                    out[o] += kernel[y, x] * maps[i, y : y + side, x : x + side]
        return out

    def sub_sample(maps: np.ndarray, name: str) -> np.ndarray:
        summed = maps.reshape(len(maps), maps.shape[1] // 2, 2, -1, 2).sum((2, 4))
        return squash(summed * values[f"{name}.weight"].reshape(-1, 1, 1) + values[f"{name}.bias"].reshape(-1, 1, 1))

    def full(weight: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
        return {(o, i): weight[o, i] for o in range(weight.shape[0]) for i in range(weight.shape[1])}

    c1 = squash(convolve(image, full(values["stages.0.c1.layer.weight"]), values["stages.0.c1.layer.bias"]))
    s2 = sub_sample(c1, "stages.0.s2.layer")
    pairs = [(o, i) for o, seen in enumerate(_CONNECTIONS) for i in seen]
    sparse = dict(zip(pairs, values["stages.1.c3.layer.weight"], strict=True))
    c3 = squash(convolve(s2, sparse, values["stages.1.c3.layer.bias"]))
    s4 = sub_sample(c3, "stages.1.s4.layer")
    c5 = squash(convolve(s4, full(values["stages.2.c5.layer.weight"]), values["stages.2.c5.layer.bias"]))
    f6 = squash(values["head.f6.layer.weight"] @ c5.ravel() + values["head.f6.layer.bias"])
    distances = ((f6 - values["head.output.codes"]) ** 2).sum(1)
    logits = network(torch.from_numpy(image)[None]).detach().numpy()[0]
    np.testing.assert_allclose(logits, -distances, rtol=1e-10)


def test_squashing_keeps_the_targets() -> None:
    """f(1) = 1 and f(-1) = -1 (Appendix A), the values of the bitmaps."""
    network = build_model("lenet5")
    act = network.stages[0].c1.act  # type: ignore[union-attr, index]
    torch.testing.assert_close(act(torch.tensor([-1.0, 1.0])), torch.tensor([-1.0, 1.0]), rtol=1e-4, atol=0)


def test_codes() -> None:
    codes = class_codes(95)
    assert codes.shape == (95, 84)
    assert set(np.unique(codes)) == {-1, 1}
    assert np.array_equal(class_codes(12), codes[:12])
    assert np.array_equal(class_codes(3), codes[:3])
    distances = (codes[:, None] != codes[None]).sum(2)
    assert distances[~np.eye(95, dtype=bool)].min() >= 4  # pixels by which two digits differ at least
    seven = codes[7].reshape(12, 7)
    assert (seven[1] == 1).all()
    assert (seven[5:9, 4:] == 1).sum() <= 4


@pytest.mark.parametrize("name", ["lenet5", "lenet5_modern"])
def test_shapes_and_activation(name: str) -> None:
    network = build_model(name).eval()
    assert isinstance(network, Network)
    maps = network.maps(torch.randn(2, 1, 32, 32))
    limit = 1.7159 if name == "lenet5" else 1
    assert maps["stage1.block1"].abs().max() <= limit
    if name == "lenet5_modern":
        pooled = maps["stage1.block1"].reshape(2, 6, 14, 2, 14, 2).mean((3, 5))
        torch.testing.assert_close(maps["stage1"], pooled)
