"""What is particular to one family, against the paper's formula or table."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hubel.analysis.summary import summary
from hubel.core.errors import OptionError
from hubel.models.catalogue import build_model, find
from hubel.models.densenet import DenseLayer
from hubel.models.efficientnet import _SCALING
from hubel.models.googlenet import _TABLE_1
from hubel.nn.blocks import ConvNorm, DropPath, SameConv2d, SqueezeExcite, Style
from hubel.nn.layers import response_norm, round_channels
from hubel.nn.network import Network


def parameters(name: str, **options: object) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in build_model(name, options=options).parameters())


@pytest.mark.parametrize("channels", [1, 3, 5, 96])
def test_response_norm_is_the_papers(channels: int) -> None:
    """Krizhevsky 2012, Section 3.3: k = 2, n = 5, alpha = 1e-4, beta = 0.75, and the sum, not the mean."""
    a = np.random.default_rng(channels).normal(0, 30, (2, channels, 3, 4))
    expected = np.empty_like(a)
    for i in range(channels):
        near = a[:, max(0, i - 2) : min(channels, i + 3)]
        expected[:, i] = a[:, i] / (2 + 1e-4 * (near**2).sum(1)) ** 0.75
    np.testing.assert_allclose(response_norm()(torch.from_numpy(a)).numpy(), expected, rtol=1e-12)


def test_alexnet_towers() -> None:
    """Figure 2: kernels of the second, fourth and fifth layer see the maps of their own processor only."""
    with torch.device("meta"):
        network = build_model("alexnet")
    shapes = [tuple(m.weight.shape[:2]) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert shapes == [(96, 3), (256, 48), (384, 256), (384, 192), (256, 192)]
    pools = [(m.kernel_size, m.stride) for m in network.modules() if isinstance(m, nn.MaxPool2d)]
    assert pools == [(3, 2)] * 3  # overlapping (Section 3.4)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.5, 0.5]


@pytest.mark.parametrize(("name", "layers"), [("vgg11", 11), ("vgg13", 13), ("vgg16", 16), ("vgg19", 19)])
def test_vgg_layers(name: str, layers: int) -> None:
    with torch.device("meta"):
        network = build_model(name)
    assert sum(isinstance(m, nn.Conv2d | nn.Linear) for m in network.modules()) == layers
    assert {m.kernel_size for m in network.modules() if isinstance(m, nn.Conv2d)} == {(3, 3)}


def test_nin_has_no_fully_connected_layer() -> None:
    for name, classes in (("nin", 1000), ("nin_cifar10", 10)):
        with torch.device("meta"):
            network = build_model(name)
        assert not any(isinstance(m, nn.Linear) for m in network.modules())
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert convolutions[-1].out_channels == classes
        assert sum(m.kernel_size == (1, 1) for m in convolutions) == 2 * len(convolutions) // 3
        pools = [type(m) for m in network.modules() if isinstance(m, nn.MaxPool2d | nn.AvgPool2d)]
        assert pools == ([nn.MaxPool2d] * 3 if name == "nin" else [nn.MaxPool2d, nn.AvgPool2d])


def test_googlenet_table() -> None:
    """Table 1: output maps of each module, and parameters in thousands, of 1,024, as printed there."""
    rows = [row for stage in _TABLE_1 for row in stage]
    assert [row.out_channels for row in rows] == [256, 480, 512, 512, 512, 528, 832, 832, 1024]
    # For 4c and 5a the paper prints 463 and 1,072, which its own rows do not give.
    printed = [159, 380, 364, 437, 497, 580, 840, 1018, 1388]
    ins = [192, 256, 480, 512, 512, 512, 528, 832, 832]
    for row, channels, thousands in zip(rows, ins, printed, strict=True):
        weights = channels * (row.conv1 + row.reduce3 + row.reduce5 + row.pool_proj)
        weights += 9 * row.reduce3 * row.conv3 + 25 * row.reduce5 * row.conv5
        assert weights / 1024 == pytest.approx(thousands, rel=0.03)


def test_auxiliary_classifiers_run_in_training_only() -> None:
    network = build_model("googlenet", num_classes=10).eval()
    assert isinstance(network, Network)
    outputs = network.outputs(torch.randn(2, 3, 64, 64))
    assert list(outputs.auxiliary) == ["stage2.block2", "stage2.block5"]
    assert all(logits.shape == (2, 10) for logits in outputs.auxiliary.values())
    assert network.auxiliary_weight == 0.3
    assert parameters("googlenet", auxiliary="no") == 6_998_552
    assert parameters("googlenet_bn_tv", auxiliary="no") == 6_624_904


def test_separable_convolution_costs_an_eighth() -> None:
    """Howard 2017, Section 3.1: 1/N + 1/D^2 of a full convolution."""
    dense = 14 * 14 * 9 * 512 * 512
    separable = 14 * 14 * (9 * 512 + 512 * 512)
    assert separable / dense == pytest.approx(1 / 512 + 1 / 9)
    with torch.device("meta"):
        block = build_model("mobilenet_v1").stages[3][1]  # type: ignore[union-attr, index]
    assert sum(m.weight.numel() for m in block.modules() if isinstance(m, nn.Conv2d)) * 196 == separable


@pytest.mark.parametrize(("width", "millions"), [(1.0, 4.2), (0.75, 2.6), (0.5, 1.3), (0.25, 0.5)])
def test_mobilenet_width(width: float, millions: float) -> None:
    """Howard 2017, Table 6."""
    assert round(parameters("mobilenet_v1", width=width) / 1e6, 1) == millions


@pytest.mark.parametrize(("size", "macs"), [(224, 569), (192, 418), (160, 290), (128, 186)])
def test_mobilenet_resolution(size: int, macs: int) -> None:
    """Howard 2017, Table 7: millions of multiply-adds."""
    assert summary("mobilenet_v1", (3, size, size)).macs / 1e6 == pytest.approx(macs, rel=0.01)


@given(st.floats(0.1, 5000))
def test_rounded_channels(channels: float) -> None:
    rounded = round_channels(channels)
    assert rounded % 8 == 0
    assert rounded >= 8
    assert rounded >= 0.9 * channels
    assert rounded <= max(8, channels + 8)


def test_densenet_grows() -> None:
    """Section 3: layer l of a block sees k0 + k (l - 1) maps."""
    with torch.device("meta"):
        network = build_model("densenet121")
    layers = [m for m in network.stages[0] if isinstance(m, DenseLayer)]  # type: ignore[union-attr, index]
    assert [layer.norm1.num_features for layer in layers] == [64 + 32 * i for i in range(6)]
    assert {layer.conv2.out_channels for layer in layers} == {32}


def test_checkpointing_changes_nothing_but_memory() -> None:
    """Outputs, gradients, and the running statistics, which a second computation must not touch."""
    x = torch.randn(4, 3, 32, 32)
    results = []
    for on in (False, True):
        torch.manual_seed(0)
        network = build_model("densenet_bc_100", options={"checkpointing": on, "depths": "4,4,4"}).train()
        images = x.clone().requires_grad_()
        network(images).square().mean().backward()
        gradients = [p.grad for p in network.parameters()]
        statistics = [b.clone() for b in network.buffers()]
        results.append((images.grad, gradients, statistics))
        assert all(m.momentum == 0.1 for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    for plain, again in zip(results[0], results[1], strict=True):
        torch.testing.assert_close(again, plain)


def test_checkpointing_saves_memory() -> None:
    def kept(on: bool) -> int:
        network = build_model("densenet_bc_100", options={"checkpointing": on}).train()
        size, seen = 0, set()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal size
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in seen:
                seen.add(storage.data_ptr())
                size += storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            network(torch.randn(2, 3, 32, 32, requires_grad=True)).sum()
        return size

    assert kept(True) < 0.7 * kept(False)


@pytest.mark.parametrize(
    ("name", "of_depth", "of_width", "of_resolution"),
    [
        ("b0", 0, 0, 0), ("b1", 0.5, 0.5, 0.5), ("b2", 1, 1, 1), ("b3", 2, 2, 2),
        ("b4", 3, 3.5, 3.8), ("b5", 4, 5, 5), ("b6", 5, 6, 6), ("b7", 6, 7, 7),
    ],
)  # fmt: skip
def test_compound_scaling(name: str, of_depth: float, of_width: float, of_resolution: float) -> None:
    """Eq. 3: depth 1.2^phi, width 1.1^phi, resolution 1.15^phi.

    One phi gives the published coefficients up to b3; beyond, the published depths are those of a phi one smaller than
    the widths and resolutions have. All are within what rounding by hand explains.
    """
    scaling = _SCALING[name]
    assert scaling.depth == pytest.approx(1.2**of_depth, rel=0.063)
    assert scaling.width == pytest.approx(1.1**of_width, rel=0.047)
    assert scaling.resolution == pytest.approx(224 * 1.15**of_resolution, rel=0.02)


def test_lite_does_not_scale_stem_and_head() -> None:
    with torch.device("meta"):
        large = build_model("efficientnet_lite4")
    assert large.stem[0].conv.out_channels == 32  # type: ignore[union-attr, index]
    assert large.head.conv.conv.out_channels == 1280  # type: ignore[union-attr]
    assert len(large.stages[0]) == len(large.stages[-1]) == 1  # type: ignore[arg-type, index]
    assert not any(isinstance(m, SqueezeExcite | nn.SiLU) for m in large.modules())


def test_drop_path_grows_and_keeps_the_mean() -> None:
    with torch.device("meta"):
        rates = [m.rate for m in build_model("efficientnet_b0").modules() if isinstance(m, DropPath)]
    assert [rate for rate in rates if rate] == sorted(rate for rate in rates if rate)
    assert max(rates) < 0.2
    torch.manual_seed(0)
    drop = DropPath(0.25).train()
    dropped = drop(torch.ones(20_000, 1, 1, 1))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / 0.75])
    assert dropped.mean() == pytest.approx(1, abs=0.02)
    assert torch.equal(drop.eval()(torch.ones(5, 1, 1, 1)), torch.ones(5, 1, 1, 1))


@settings(deadline=None, max_examples=60)
@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    kernel=st.sampled_from([1, 3, 5]),
    stride=st.integers(1, 3),
)
def test_same_padding(size: tuple[int, int], kernel: int, stride: int) -> None:
    """ceil(n / stride) outputs; total padding max((out - 1) * stride + k - n, 0), the odd pixel behind (TensorFlow)."""
    convolution = ConvNorm(2, 3, kernel, stride, style=Style("", norm=False, same_padding=True)).conv
    assert isinstance(convolution, SameConv2d)
    x = torch.randn(1, 2, *size)
    out = convolution(x)
    padded = x.numpy()
    for axis, n in ((2, size[0]), (3, size[1])):
        total = max(0, (-(-n // stride) - 1) * stride + kernel - n)
        widths = [(0, 0)] * 4
        widths[axis] = (total // 2, total - total // 2)
        padded = np.pad(padded, widths)
    expected = nn.functional.conv2d(torch.from_numpy(padded), convolution.weight, convolution.bias, stride)
    assert out.shape[2:] == tuple(-(-n // stride) for n in size)
    torch.testing.assert_close(out, expected)


def test_autoencoder_table() -> None:
    """Parameters of the seven layers, and the sizes 28 -> 14 -> 7 -> 4 -> 8 -> 16 -> 14 -> 28."""
    network = build_model("autoencoder_28").eval()
    assert isinstance(network, Network)
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    counts = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert counts == [160, 1160, 292, 148, 296, 1168, 145]
    assert sum(counts) == 3369
    with torch.no_grad():
        maps = network.maps(torch.randn(1, 1, 28, 28))
    sides = [maps[name].shape[2] for name in ("stem", "stage1", "stage2", "stage3", "stage4", "stage5")]
    assert [*sides, maps["stage6.block1"].shape[2], maps["stage6"].shape[2]] == [28, 14, 7, 4, 8, 16, 14, 28]
    assert maps["logits"].shape == (1, 1, 28, 28)


def test_lstm_reads_rows_in_order() -> None:
    """The states of the cell by the formulas of the gates, in numpy."""
    torch.manual_seed(0)
    network = build_model("lstm", input_size=(5, 4), in_channels=2, options={"hidden": 3}).eval()
    values = {key.rpartition(".")[2]: value.numpy() for key, value in network.state_dict().items() if "lstm" in key}
    image = torch.randn(1, 2, 5, 4)
    h, c = np.zeros(3), np.zeros(3)
    for row in range(5):
        x = image[0, :, row].numpy().ravel()
        gates = values["weight_ih_l0"] @ x + values["bias_ih_l0"] + values["weight_hh_l0"] @ h + values["bias_hh_l0"]
        i, f, g, o = np.split(gates, 4)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    state = network.stages(network.stem(image)).detach().numpy()[0]  # type: ignore[operator]
    np.testing.assert_allclose(state, h, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("alexnet", {"groups": "5"}, "5 groups must divide"),
        ("alexnet", {"widths": "1,2,3"}, "five convolutions"),
        ("vgg16", {"dropout": "1"}, "dropout is a probability below 1, not 1"),
        ("nin", {"widths": "8,8"}, "need 11 widths"),
        ("googlenet", {"large_kernel": "4"}, "large_kernel is 3, 5 or 7"),
        ("densenet121", {"compression": "2"}, "at most 1, not 2"),
        ("efficientnet_b0", {"depth": "1e9"}, "too deep"),
        ("mobilenet_v1", {"width": "-1"}, "width is above 0"),
        ("lenet5", {"dropout": "-0.1"}, "probability"),
    ],
)
def test_messages(name: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError, match=message) as caught:
        build_model(name, options=options)
    assert "\n" not in str(caught.value)


def test_too_small_images_are_refused() -> None:
    assert find("alexnet")[1].smallest == 67
    with pytest.raises(OptionError, match="alexnet needs images of at least 67 pixels each way, not 28x28"):
        build_model("alexnet", input_size=(28, 28))
