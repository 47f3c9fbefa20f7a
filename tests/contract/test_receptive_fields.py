"""The receptive field that is computed is the one that gradients have, for every map of every network.

With positive weights and a positive image nothing cancels and no ReLU is shut, so the gradient of one unit in mid-map
is above zero at exactly the pixels that it depends on. Maxima are replaced by means over the same windows,
because only one pixel of a maximum has a gradient, and ReLU6 by ReLU, which does not saturate.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from hubel.analysis.receptive import Axis, Field
from hubel.analysis.tracing import trace
from hubel.models.catalogue import build_model, family_of, find, list_models
from hubel.models.variant import InputShape
from hubel.nn.dense import DenseNetwork
from hubel.nn.network import Network

NAMES = [name for name in list_models() if family_of(name) not in ("baselines", "neighbours")]  # those have no maps
# Widths change no field.
NARROW: dict[str, dict[str, object]] = {name: {"dense": 8} for name in NAMES if name.startswith("vgg")}
NARROW |= {name: {"dense": 8, "widths": "8,16,16,16,16"} for name in NAMES if name.startswith("alexnet")}
NARROW |= {name: {"width": 0.25} for name in NAMES if name.startswith(("mobilenet_v", "efficientnet"))}
NARROW |= {
    "densenet121": {"growth": 8},
    "nin": {"widths": "8,8,8,16,16,16,16,16,16,16,16"},
    "plain18": {"widths": "8,16,32,64"},
    "resnet18": {"widths": "8,16,32,64"},
    "vgg11": {"dense": 8, "widths": "8,16,16,32,32"},
    "unet": {"backbone": "mobilenet_v1_025", "widths": "8,8"},
    "unet_2015": {"widths": "4,8"},
    "lraspp": {"backbone": "mobilenet_v1_025"},
    "lraspp_mobilenet_v3_large": {"backbone_options": "width=0.25"},
    "fcn8s": {"backbone": "vgg11", "dense": 8},
    "fcn_resnet50": {"backbone": "resnet18"},
    "pose": {"backbone": "mobilenet_v1_025"},
    "pose_resnet50": {"backbone": "resnet18"},
}
# Of 224 pixels nin's windows never see the last one; those of dense networks are smaller, to be quick.
SHAPES = {"nin": InputShape(3, 227, 227), "unet_2015": InputShape(1, 148, 140), "unet": InputShape(3, 200, 189)}
# The others are deeper, wider or finer than one of these, of the same strides, kernels and paddings.
QUICK = {
    "alexnet", "alexnet_tv", "autoencoder_28", "autoencoder_28_transposed", "convnet", "densenet_bc_100",
    "densenet121", "efficientnet_b0", "efficientnet_lite0", "googlenet", "googlenet_bn_tv", "lenet5", "lenet5_modern",
    "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "nin", "nin_cifar10", "plain18",
    "plain20", "pose", "resnet18", "resnet20", "unet", "unet_2015", "vgg11",
}  # fmt: skip


def marked(name: str) -> object:
    assert set(NAMES) >= QUICK
    return pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)


def fields(network: Network | DenseNetwork, shape: tuple[int, ...]) -> dict[str, Field | None]:
    found: dict[str, Field | None] = {}
    trace(network, shape, run=lambda x: found.update({name: y.field for name, y in network.walk(x)}))  # type: ignore[attr-defined]
    return found


def positive(network: nn.Module) -> None:
    """Every layer a mean with positive weights, so that values stay between 0 and 1."""
    for module in network.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.ndim > 1:
                parameter.data.uniform_(0.5, 1.5)
                parameter.data /= parameter[0].numel()
            else:
                parameter.data.fill_(0.0 if name == "bias" else 1.0)


def smooth(network: nn.Module) -> None:
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
            elif isinstance(child, nn.ReLU6):
                setattr(module, name, nn.ReLU())


def expected(axis: Axis, place: int, size: int) -> tuple[int, int]:
    low, high = axis.of(place)
    return max(0, int(low)), min(size - 1, int(high))


def extent(positive_at: torch.Tensor) -> tuple[int, int]:
    places = positive_at.nonzero()
    return int(places.min()), int(places.max())


@pytest.mark.parametrize("name", [marked(name) for name in NAMES])
def test_field_is_that_of_the_gradient(name: str) -> None:
    torch.manual_seed(0)
    shape = SHAPES.get(name, find(name)[1].shape)
    network = build_model(name, input_size=shape[1:], options=NARROW.get(name)).double().eval()
    assert isinstance(network, Network | DenseNetwork)
    positive(network)
    computed = fields(network, shape)
    smooth(network)
    image = torch.rand(1, *shape, dtype=torch.float64) + 0.1
    image.requires_grad_()
    exact = 0
    for map_name, values in network.walk(image):
        if ".block" in map_name or values.ndim < 4:  # their last one is the stage's map; a list of points is no map
            continue
        field = computed[map_name]
        assert field is not None, map_name
        row, column = values.shape[2] // 2, values.shape[3] // 2
        (gradient,) = torch.autograd.grad(values[0, :, row, column].sum(), image, retain_graph=True)
        seen = gradient[0].abs().sum(0) > 0  # through a norm with its own mean, a pixel may also lower the value
        found = extent(seen.any(1)), extent(seen.any(0))
        if field.whole:
            assert found == ((0, shape.height - 1), (0, shape.width - 1)), map_name
            continue
        wanted = expected(field.rows, row, shape.height), expected(field.columns, column, shape.width)
        assert found == wanted, map_name
        exact += wanted[0][0] > 0 and wanted[0][1] < shape.height - 1
    assert exact >= 1  # at least one field lies wholly within the image


@pytest.mark.parametrize(
    ("name", "map_name", "size"),
    [
        ("vgg16", "head", 212), ("vgg16", "stage5", 196), ("alexnet", "head", 195), ("alexnet_tv", "head", 195),
        ("resnet50_v1", "stage4", 483), ("resnet50", "stage4", 427), ("resnet18", "stage4", 435),
        ("resnet101", "stage4", 971), ("resnet152", "stage4", 1451), ("inception_v3", "stage3", 1311),
        ("mobilenet_v1", "stage5", 315), ("mobilenet_v2", "stage5", 491),
        ("fcn8s", "head.fc7", 404),
    ],
)  # fmt: skip
def test_published_fields(name: str, map_name: str, size: int) -> None:
    """Araujo et al. 2019, Table 1 (with v1 units for 483), Long et al. 2015, Table 1, and what courses give."""
    with torch.device("meta"):
        network = build_model(name)
    assert isinstance(network, Network | DenseNetwork)
    if map_name == "head":
        calls = trace(network, find(name)[1].shape)
        field = next(call.field for call in calls if call.name == "head.pool")
    else:
        field = fields(network, find(name)[1].shape)[map_name]
    assert field is not None
    assert field.rows.size == field.columns.size == size
