"""Summaries against other libraries and against the catalogue; any module is left as it was."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

import hubel
import peers
from hubel.analysis.compare import compare_networks, expand_patterns
from hubel.analysis.comparison_figure import accuracy_against_macs
from hubel.analysis.listing import COLUMNS, cells, to_csv, to_json, to_markdown, totals
from hubel.analysis.summary import summary
from hubel.core.errors import DataError, ModelFileError, OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, find, list_models
from hubel.weights.card import ModelCard
from hubel.weights.model_file import save_model

TWENTY = [
    "alexnet", "alexnet_tv", "vgg11", "vgg16_bn", "nin", "googlenet_bn_tv", "inception_v3", "resnet18", "resnet50",
    "resnet50_v1", "resnet152", "resnet20", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small",
    "densenet121", "efficientnet_b0", "efficientnet_b3", "efficientnet_lite0",
]  # fmt: skip


# Of the others, the contract verifies the same facts.
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in TWENTY else pytest.mark.slow) for name in list_models() if name != "knn"],
)
def test_totals_are_the_published_ones(name: str) -> None:
    found, published = summary(name), find(name)[1].published
    assert published.params in (None, found.params)
    if name != "cgan":  # of which the fact is the discriminator's
        assert published.macs in (None, found.macs)
    if published.params_without_auxiliary:
        assert found.params - found.unused == published.params_without_auxiliary
    assert sum(p for p, _ in found.sections().values()) == found.params - found.unused
    assert sum(m for _, m in found.sections().values()) == found.macs


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize("name", TWENTY)
def test_beside_fvcore(name: str) -> None:
    """Parameters equal; multiply-adds of convolutions and linear layers equal, per layer."""
    fvcore_nn = peers.fvcore_nn()
    variant = find(name)[1]
    network = build_model(name).eval()
    analysis = fvcore_nn.FlopCountAnalysis(network, torch.zeros(1, *variant.shape))
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
    found = summary(name)
    theirs = analysis.by_module_and_operator()
    for layer in found.layers:
        operators = theirs[layer.name]
        assert operators.get("conv", 0) + operators.get("linear", 0) == layer.macs, layer.name
    assert fvcore_nn.parameter_count(network)[""] == found.params


@pytest.mark.peer
@pytest.mark.parametrize("name", TWENTY)
def test_beside_torchinfo(name: str) -> None:
    """Parameters and output shapes of every layer; torchinfo's own multiply-adds also count norms and biases."""
    torchinfo = peers.torchinfo()
    variant = find(name)[1]
    with torch.device("meta"):
        network = build_model(name).eval()
    theirs = torchinfo.summary(network, input_size=(1, *variant.shape), device="meta", verbose=0, depth=9)
    found = summary(name)
    assert theirs.total_params == found.params
    shapes: dict[int, list[tuple[int, ...]]] = {}  # a module may be called more than once
    for info in theirs.summary_list:
        shapes.setdefault(info.layer_id, []).append(tuple(info.output_size[1:]))
    names = dict(network.named_modules())
    for row in found.rows:
        assert shapes[id(names[row.name])].pop(0) == row.shape, row.name


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    ["swin_tiny_patch4_window7_224", "swinv2_cr_tiny_224", "mobilevit_xxs", "xcit_nano_12_p16_224", "ecaresnet26t"],
)
def test_transformers_beside_torchs_counter(name: str) -> None:
    equals_torchs_counter(name)


@pytest.mark.peer
@pytest.mark.slow
def test_all_of_timm_beside_torchs_counter() -> None:
    """An hour; what cannot be built without its own library is left out."""
    tried = 0
    for name in peers.timm().list_models():
        with contextlib.suppress(ImportError):
            equals_torchs_counter(name)
            tried += 1
    assert tried > 1000


def equals_torchs_counter(name: str) -> None:
    with torch.device("meta"):
        network = peers.timm().create_model(name).eval().requires_grad_(False)
    shape = network.default_cfg["input_size"]
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, *shape, device="meta"))
    found = hubel.summary(network, shape)
    assert (found.macs, found.not_counted) == (counter.get_total_flops() // 2, {}), name


@pytest.mark.peer
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "mobilenet_v2", "alexnet_tv"])
def test_beside_ptflops(name: str) -> None:
    """ptflops also counts biases, norms, activations and pooling, one operation a number; see docs/summary.md."""
    ptflops = peers.ptflops()
    variant = find(name)[1]
    network = build_model(name).eval()
    macs, params = ptflops.get_model_complexity_info(
        network, tuple(variant.shape), as_strings=False, print_per_layer_stat=False, verbose=False, backend="pytorch"
    )
    found = summary(name)
    assert params == found.params
    assert found.macs < macs < 1.15 * found.macs


def test_the_module_is_restored() -> None:
    torch.manual_seed(0)
    network = build_model("densenet_bc_100", options={"depths": "2,2,2"}).train()
    network.stages[0].eval()  # type: ignore[union-attr, index]
    next(network.parameters()).requires_grad_(False)
    x = torch.randn(2, 3, 32, 32)
    network(x).sum().backward()
    network.register_forward_hook(lambda *_: None)

    def state() -> list[Any]:
        return [
            [m.training for m in network.modules()],
            [(p.requires_grad, None if p.grad is None else p.grad.clone()) for p in network.parameters()],
            [b.clone() for b in network.buffers()],
            [list(m._forward_hooks) + list(m._forward_pre_hooks) for m in network.modules()],
            torch.get_rng_state(),
        ]

    before = state()
    hubel.summary(network, (3, 32, 32))
    for one, other in zip(before, state(), strict=True):
        torch.testing.assert_close(one, other) if isinstance(one, Tensor) else None
        assert str(one) == str(other)
    assert not torch.nn.modules.module._global_forward_hooks
    assert not torch.nn.modules.module._global_forward_pre_hooks


def test_lazy_layers_stay_lazy() -> None:
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(5))
    found = hubel.summary(network, (3, 13, 13))
    assert found.params == (3 * 9 * 4 + 4) + (4 * 11 * 11 * 5 + 5)
    assert found.macs == 3 * 9 * 4 * 121 + 4 * 121 * 5
    hubel.draw(network, (3, 13, 13))
    assert isinstance(network[0], nn.LazyConv2d)
    network(torch.zeros(1, 1, 9, 9)).sum().backward()
    assert network[2].weight.shape == (5, 4 * 49)


class Strange(nn.Module):
    """What users write: functions instead of modules, views, two inputs, a shared layer, parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.entry = nn.Conv2d(3, 4, 3, 2, padding="valid")
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.head = nn.Linear(4 * 7 * 7, 5)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = F.gelu(self.entry(x)) * self.scale
        x = self.shared(x) + self.shared(torch.tanh(x))
        x = F.adaptive_max_pool2d(x, 7)
        n = x.shape[0]
        return torch.softmax(self.head(x.view(n, -1)), 1) + y.mean(1, keepdim=True)


def test_any_module() -> None:
    network = Strange()
    found = hubel.summary(network, (3, 20, 20), (6,))
    assert found.params == sum(p.numel() for p in network.parameters())
    assert found.unused == 0
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 20, 20), torch.zeros(1, 6))
    assert found.macs == counter.get_total_flops() // 2
    shared = [layer for layer in found.layers if layer.name == "shared"]
    assert [layer.params for layer in shared] == [4 * 4 * 9 + 4, 0]
    assert shared[1].macs == 4 * 4 * 9 * 81
    assert [layer.field.rows.size for layer in shared if layer.field] == [7, 7]
    assert found.rows[-1].shape == (5,)


class Windows(nn.Module):
    """Windows of 4x4 pixels in the batch, as Swin has them, and attention in each."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(3, 24), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[0]
        windows = x.view(n, 3, 2, 4, 2, 4).permute(0, 2, 4, 3, 5, 1).reshape(n * 4, 16, 3)
        q, k, v = self.qkv(windows).chunk(3, -1)
        return self.out((q @ k.mT).softmax(-1) @ v).view(n, 64, 5)


class Attention(nn.Module):
    """One attention, written in different ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.kind == "fused":
            return F.scaled_dot_product_attention(q, k, v)
        if self.kind == "einsum":
            return torch.einsum("bqk,bkd->bqd", torch.einsum("bqd,bkd->bqk", q, k).softmax(-1), v)
        return torch.bmm(torch.baddbmm(torch.zeros(1, device=q.device), q, k.mT).softmax(-1), v)


class Siamese(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return self.conv(torch.cat([one, other])).chunk(2)[0]


class Frames(Siamese):
    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return self.conv(x.flatten(0, 1)).view(*x.shape[:2], 4, 8, 8).mean(1)


class Constant(nn.Module):
    """A product in which the image has no part, as with the positions of Swin V2."""

    def __init__(self) -> None:
        super().__init__()
        self.mlp, self.positions = nn.Linear(2, 8), nn.Buffer(torch.rand(49, 2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.positions).sum()


class Functional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.square = nn.Parameter(torch.rand(4, 3, 3, 3)), nn.Parameter(torch.rand(36, 36))

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel).flatten(2)[0]
        return torch.addmm(torch.zeros(36, device=x.device), x, self.square).matmul(self.square)


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (Windows(), [(3, 8, 8)]), (Frames(), [(6, 3, 8, 8)]), (Siamese(), [(3, 8, 8)] * 2), (Constant(), [(3, 8, 8)]),
        (Functional(), [(3, 8, 8)]), (nn.Conv1d(2, 4, 3), [(2, 9)]), (nn.Conv3d(2, 4, 3, groups=2), [(2, 5, 5, 5)]),
        (nn.Conv2d(2, 4, 3), [(2, 9, 9)]), (nn.ConvTranspose1d(2, 4, 3, 2), [(2, 9)]),
        (nn.ConvTranspose2d(2, 4, 3, 2, groups=2), [(2, 5, 7)]), (nn.ConvTranspose3d(2, 4, 2), [(2, 3, 3, 3)]),
        (Attention("bmm"), [(5, 8), (7, 8), (7, 4)]), (Attention("einsum"), [(5, 8), (7, 8), (7, 4)]),
        (Attention("fused"), [(2, 5, 8), (2, 7, 8), (2, 7, 8)]),
        (nn.MultiheadAttention(8, 2, batch_first=True), [(5, 8)] * 3),
        (nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), [(10, 32)]),
        (nn.LSTM(16, 8, num_layers=2, bidirectional=True, batch_first=True), [(5, 16)]),
        (nn.GRU(16, 8, batch_first=True), [(5, 16)]), (nn.RNN(16, 8, batch_first=True), [(5, 16)]),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_equals_torchs_counter(network: nn.Module, shapes: list[tuple[int, ...]]) -> None:
    """Whatever is folded into the batch, written as functions, or constant: all that torch's counter sees."""
    found = hubel.summary(network.eval(), *shapes)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(*[torch.empty(1, *shape, device="meta") for shape in shapes])
    assert found.macs == counter.get_total_flops() // 2 > 0
    assert not found.not_counted
    assert sum(macs for _, macs in found.sections().values()) == found.macs


def test_what_is_folded_into_the_batch_has_its_shape_and_memory() -> None:
    rows = {row.name: row for row in hubel.summary(Windows(), (3, 8, 8)).rows}
    assert (rows["qkv"].shape, rows["qkv"].macs, rows["qkv"].memory) == ((4, 16, 24), 64 * 3 * 24, 4 * 64 * 24)
    assert rows[""].macs == 2 * 4 * 16 * 16 * 8  # the products of attention, in the network itself
    assert rows[""].shape == (64, 5)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_functions_count() -> None:
    """Their operators do not pass through Python, where others are seen."""

    class Scripted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.jit.trace(nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    assert hubel.summary(Scripted().to("meta"), (3, 8, 8)).macs == 4 * 3 * 9 * 36


@torch.library.custom_op("hubel_tests::blur", mutates_args=())
def blur(x: Tensor) -> Tensor:
    return x.clone()


blur.register_fake(torch.empty_like)


class Uncounted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear, self.conv = nn.Bilinear(8, 8, 4), nn.Conv2d(3, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.fft.irfft2(torch.fft.rfft2(blur(self.conv(x))))
        return self.bilinear(x.mean((2, 3)), x.amax((2, 3)))


def test_what_is_not_counted_is_named() -> None:
    found = hubel.summary(Uncounted(), (3, 8, 8))
    assert found.macs == 64 * 3 * 8
    assert {"aten._fft_r2c", "aten._fft_c2r", "aten._trilinear", "hubel_tests.blur"} <= set(found.not_counted)
    assert found.not_counted["aten._trilinear"] == ("bilinear",)
    assert found.not_counted["hubel_tests.blur"] == ("Uncounted",)
    assert "aten._trilinear in bilinear" in dict(totals(found))["not counted"]
    assert to_json(found, found.layers)["not_counted"]["aten._trilinear"] == ["bilinear"]


def test_several_processors_leave_nothing_uncounted() -> None:
    assert not hubel.summary(nn.DataParallel(nn.Conv2d(3, 4, 3)), (3, 8, 8)).not_counted


def test_transformer_blocks_and_recurrent_nets_have_shapes() -> None:
    found = hubel.summary(nn.TransformerEncoderLayer(32, 4, 64, batch_first=True), (10, 32))
    assert found.rows[-1].shape == (10, 32)
    assert found.unused == 0
    found = hubel.summary(nn.Sequential(nn.Flatten(2), nn.LSTM(16, 8, batch_first=True)), (3, 4, 4))
    assert found.params == 4 * 8 * (16 + 8 + 2)
    assert (found.rows[-1].shape, found.memory) == ((3, 8), 4 * 3 * 8)


class Looks(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if float(x.sum()) > 0 else -x


def test_settings_of_any_kind() -> None:
    """A module of the user's may call a list "stride"."""

    class Windowed(nn.Identity):
        kernel_size, stride, padding = [3, 5], [1, 2], "same"

    assert hubel.summary(Windowed(), (3, 8, 8)).layers[0].detail == "3x5 stride 1x2 pad same"


@pytest.mark.parametrize("shape", [3, "3x8x8", (), (3, -1, 8), (3, 0, 8), (3.0, 8, 8)])
def test_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(OptionError, match=r"whole numbers without the batch, such as \(3, 224, 224\), not"):
        hubel.summary(nn.Conv2d(3, 4, 3), shape)


def test_mistakes() -> None:
    with pytest.raises(OptionError, match="give the shape of the input"):
        summary(nn.Linear(2, 2))
    with pytest.raises(OptionError, match="cannot be traced for an input of 3x8x8"):
        summary(Looks(), (3, 8, 8))
    with pytest.raises(OptionError, match=r"cannot be traced for an input of 4x32x32 in 0: .*channel"):
        summary(nn.Sequential(nn.Conv2d(3, 4, 3)), (4, 32, 32))
    with pytest.raises(OptionError, match="a window of 7x7 is larger than what is left of the image, 4x4 pixels"):
        summary(nn.Sequential(nn.Conv2d(3, 4, 7)), (3, 4, 4))
    with pytest.raises(UnknownNameError, match="resnet5O"):
        summary("resnet5O")
    with pytest.raises(OptionError, match="at least 67 pixels"):
        summary("alexnet", (3, 32, 32))
    assert not torch.nn.modules.module._global_forward_hooks


def test_depth() -> None:
    found = summary("resnet50")
    every, blocks = found.at_depth(0), found.at_depth(3)
    assert len(every) == len(found.layers)
    for shown in (found.at_depth(1), found.at_depth(2), blocks, found.at_depth(4)):
        assert sum(layer.params for layer in shown) == found.params
        assert sum(layer.macs for layer in shown) == found.macs
        assert sum(layer.memory for layer in shown) == found.memory
    assert [layer.name for layer in found.at_depth(1)] == ["stem", "stages", "head"]
    assert found.fitting(10_000) == 0
    assert len(found.at_depth(found.fitting(40))) <= 40
    assert list(found.sections()) == ["stem", "stage1", "stage2", "stage3", "stage4", "head"]


def test_memory() -> None:
    """Results in place and those that hand on their input take none."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten(), nn.Linear(72, 3))
    assert [layer.memory for layer in summary(network, (1, 8, 8)).layers] == [4 * 72, 0, 0, 0, 12]
    passing = nn.Sequential(nn.Unflatten(1, (2, 4)), nn.Dropout1d(), nn.AlphaDropout(), nn.ReLU())
    assert [layer.memory for layer in summary(passing, (8,)).layers] == [0, 0, 0, 32]


def test_listings() -> None:
    found = summary("lenet5_modern")
    rows = list(csv.reader(io.StringIO(to_csv(found.layers))))
    assert [len(row) for row in rows] == [len(COLUMNS)] * (len(found.layers) + 1)
    assert sum(int(row[4]) for row in rows[1:]) == 61_706
    values = json.loads(json.dumps(to_json(found, found.layers)))
    assert values["macs"] == 416_520
    assert values["layers"][1]["receptive_field"]["rows"] == {"size": 5, "jump": 1, "first_centre": 2}
    assert to_markdown(found.layers).count("\n") == len(found.layers) + 2
    assert dict(totals(found))["parameters"] == "61,706"
    gated = next(layer for layer in summary("efficientnet_b0").layers if layer.name == "head.conv.conv")
    assert cells(gated)[7] == "851*"


def test_of_a_model_file(tmp_path: Any) -> None:
    network = build_model("resnet20", num_classes=3, input_size=(40, 24))
    card = ModelCard("resnet20", ("a", "b", "c"), Preprocess(40, 24))
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    found = summary(tmp_path)
    assert found.inputs == ((3, 40, 24),)
    assert found.rows[-1].shape == (3,)


def test_compare() -> None:
    one, other = compare_networks(["resnet18", "lenet5"], timed=True)
    assert (one.summary.params, other.summary.params) == (11_689_512, 60_000)
    assert one.top1
    assert other.top1 is None
    assert (one.latency_ms or 0) > (other.latency_ms or 0) > 0
    assert expand_patterns(["vgg1?", "nin"]) == ["vgg11", "vgg13", "vgg16", "vgg19", "nin"]
    assert accuracy_against_macs([one, other]).axes
    with pytest.raises(DataError, match="published accuracy"):
        accuracy_against_macs([other])


def test_neurons_are_the_outputs_of_the_weighted_layers() -> None:
    # Krizhevsky et al. 2012 say "650,000 neurons": the maps of Figure 2, of which the first has 55x55x96.
    maps = [55 * 55 * 96, 27 * 27 * 256, 13 * 13 * 384, 13 * 13 * 384, 13 * 13 * 256, 4096, 4096, 1000]
    assert summary("alexnet").neurons == sum(maps) == 659_272


def test_what_does_not_train() -> None:
    network = build_model("resnet18")
    network.stem.requires_grad_(requires_grad=False)
    found = summary(network, (3, 224, 224))
    assert found.params - found.trainable == 64 * 3 * 49 + 2 * 64
    assert found.statistics == 2 * sum(m.num_features for m in network.modules() if isinstance(m, nn.BatchNorm2d))


def test_neighbours_have_no_weights_and_say_what_they_are() -> None:
    found = summary("knn")
    assert (found.params, found.macs, found.neurons) == (0, 0, 0)
    assert found.description.startswith("k nearest neighbours on the pixels: stores the training images")


def test_an_adversarial_network_shows_both_of_its_parts() -> None:
    found = summary("cgan")
    generator, discriminator = 31_360 + 200_704 + 1_605_632 + 100_352, 100_352 + 1_605_632 + 3_136 + 31_360
    assert found.sections()["generator"] == (268_673, generator)
    assert found.macs == generator + discriminator
    assert found.unused == 0


def test_one_network_spoils_no_comparison(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    (damaged := tmp_path / "model.safetensors").write_bytes(b"no weights")
    with caplog.at_level("INFO"):
        found = compare_networks(["lenet5", str(damaged), "knn"])
    assert [one.name for one in found] == ["lenet5", "knn"]
    assert f"left out: {damaged}" in caplog.text
    with pytest.raises(ModelFileError, match="model"):
        compare_networks([str(damaged)])
    with pytest.raises(UnknownNameError, match="lenett5"):
        compare_networks(["lenet5", "lenett5"])
