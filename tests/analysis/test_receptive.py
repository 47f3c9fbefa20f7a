from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from hubel.analysis.receptive import of_image, shifted, union, windowed
from hubel.analysis.summary import summary
from hubel.analysis.tracing import trace


def after(*layers: nn.Module, size: int = 64) -> tuple[float, float, float]:
    """Size, jump and first centre of the field after some layers."""
    field = trace(nn.Sequential(*layers), (1, size, size))[-1].field
    assert field is not None
    assert field.rows == field.columns
    return field.rows.size, field.rows.jump, field.rows.first_centre


def conv(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(1, 1, kernel, stride, padding, dilation)


@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_convolution_then_pooling(k: int, p: int) -> None:
    """A KxK convolution followed by PxP pooling at stride 1 sees P + K - 1."""
    assert after(conv(k), nn.MaxPool2d(p, 1))[0] == p + k - 1


def test_stacks() -> None:
    """Two 3x3 see 5, three see 7, and after a stride everything counts double."""
    assert after(conv(3), conv(3))[0] == 5
    assert after(conv(3), conv(3), conv(3))[0] == 7
    assert after(conv(3, 2), conv(3))[:2] == (7, 2)


@pytest.mark.parametrize(("k", "d"), [(3, 1), (3, 2), (3, 6), (5, 3)])
def test_dilation(k: int, d: int) -> None:
    assert after(conv(k, dilation=d))[0] == d * (k - 1) + 1


def test_first_centre() -> None:
    """Padding of half the window puts the first centre on the first pixel; none puts it half a window inside."""
    assert after(conv(7, 2, 3))[2] == 0
    assert after(conv(7, 2))[2] == 3
    assert after(nn.AvgPool2d(2))[2] == 0.5


@pytest.mark.slow
def test_branches_meet() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = conv(3, padding=1), conv(7, padding=3), nn.Conv2d(1, 1, (1, 5), padding=(0, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.a(x), self.c(x)], 1) + self.b(x) * 0 + x

    field = trace(Branches(), (1, 32, 32))[-1].field
    assert field is not None
    assert (field.rows.size, field.columns.size) == (7, 7)

    class Thin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c = nn.Conv2d(1, 1, (1, 5), padding=(0, 2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + self.c(x)

    field = trace(Thin(), (1, 32, 32))[-1].field
    assert field is not None
    assert (field.rows.size, field.columns.size) == (1, 5)


@pytest.mark.slow
def test_gates_depend_on_the_whole_image() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.gate = conv(3, padding=1), nn.Conv2d(1, 1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))

    calls = trace(Gated(), (1, 16, 16))
    gate = next(call for call in calls if call.name == "gate")
    assert gate.field is None
    field = calls[-1].field
    assert field is not None
    assert (field.rows.size, field.whole) == (3, True)


@settings(deadline=None, max_examples=60)
@given(
    layers=st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3)), min_size=1, max_size=4
    )
)
def test_against_gradients(layers: list[tuple[int, int, int, int]]) -> None:
    """Any stack of windows: the pixels with a gradient, for every unit of the last map."""
    torch.manual_seed(0)
    modules = [conv(k, s, min(p, k - 1), d) for k, s, p, d in layers]
    network = nn.Sequential(*modules).double()
    for module in modules:
        nn.init.ones_(module.weight)
    image = torch.ones(1, 1, 60, 60, dtype=torch.float64, requires_grad=True)
    try:
        values = network(image)
    except RuntimeError:  # nothing is left
        return
    field = trace(network, (1, 60, 60))[-1].field
    assert field is not None
    n = values.shape[2]
    for place in {0, n // 2, n - 1}:
        (gradient,) = torch.autograd.grad(values[0, 0, place, place], image, retain_graph=True)
        rows = (gradient[0, 0] > 0).any(1).nonzero().flatten().tolist()
        low, high = field.rows.of(place)
        if not rows:  # padding only
            assert high < 0 or low > 59 or high - low + 1 > 1
            continue
        assert low <= rows[0]
        assert rows[-1] <= high
        # With gaps between windows the outermost pixel may be padding; without padding the field is exact.
        if all(p == 0 for _, _, p, _ in layers):
            assert (rows[0], rows[-1]) == (low, high)


def reached(network: nn.Module, size: int) -> list[tuple[int, int] | None]:
    """First and last pixel that each value of the last map depends on, by its gradients; None for no pixel."""
    network = network.double()
    for parameter in network.parameters():
        nn.init.ones_(parameter) if parameter.ndim > 1 else nn.init.zeros_(parameter)
    image = torch.ones(1, 1, size, 1, dtype=torch.float64, requires_grad=True)
    values = network(image)[0, 0, :, 0]
    found: list[tuple[int, int] | None] = []
    for value in values:
        (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
        rows = gradient[0, 0, :, 0].nonzero().flatten().tolist()
        found.append((rows[0], rows[-1]) if rows else None)
    return found


def column(layer: type[nn.Module], kernel: int, stride: int, padding: int, dilation: int, **more: object) -> nn.Module:
    """A layer that works along the rows only."""
    return layer(1, 1, (kernel, 1), (stride, 1), (padding, 0), dilation=(dilation, 1), **more)


def test_transposed_k2_s2_adds_nothing() -> None:
    """Each value of the larger map depends on one value of the smaller one, so 3 stays 3."""
    assert after(conv(3), nn.ConvTranspose2d(1, 1, 2, 2)) == (3, 0.5, 1)
    assert after(nn.ConvTranspose2d(1, 1, 4, 2, 1))[0] == 2
    assert after(nn.ConvTranspose2d(1, 1, 3, 2, 1))[0] == 2


windows = st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3))


@settings(deadline=None, max_examples=25)
@given(before=windows, enlarging=windows, extra=st.integers(0, 2), behind=windows, scale=st.sampled_from([None, 2, 3]))
def test_enlarging_layers_against_gradients(
    before: tuple[int, int, int, int],
    enlarging: tuple[int, int, int, int],
    extra: int,
    behind: tuple[int, int, int, int],
    scale: int | None,
) -> None:
    """Exact for every value whose field meets no border; and the stated size is that of the largest one."""
    size, (k, s, p, d) = 28, enlarging
    more = {"output_padding": (min(extra, max(s, d) - 1), 0)}
    layers = [
        column(nn.Conv2d, before[0], before[1], 0, before[3]),
        column(nn.ConvTranspose2d, k, s, min(p, d * (k - 1)), d, **more),
        *([nn.Upsample(scale_factor=(scale, 1))] if scale else []),
        column(nn.Conv2d, behind[0], behind[1], 0, behind[3]),
    ]
    network = nn.Sequential(*layers)
    try:
        found = reached(network, size)
    except RuntimeError:  # nothing is left
        return
    field = trace(network, (1, size, 1))[-1].field
    assert field is not None
    margin = int(field.rows.size) + k * d
    inside = 0
    for place, actual in enumerate(found):
        low, high = field.rows.of(place)
        if actual is None:
            assert low > high or low < margin or high >= size - margin, place
        elif margin <= actual[0] and actual[1] < size - margin:
            assert actual == (low, high)
            inside += 1
        else:  # a border may cut the field off
            assert low <= actual[0]
            assert actual[1] <= high
    if inside > len(field.rows.fields):
        assert field.rows.size == max(b - a + 1 for a, b in filter(None, found))


@pytest.mark.parametrize(
    "layer",
    [
        nn.AdaptiveAvgPool2d((7, 1)), nn.AdaptiveAvgPool2d((30, 1)), nn.Upsample((33, 1)), nn.Upsample((9, 1)),
        nn.Upsample(scale_factor=(1.5, 1)), nn.Upsample((33, 1), mode="nearest-exact"),
        nn.Upsample(scale_factor=(2, 1), mode="bilinear"), nn.Upsample((31, 1), mode="bilinear"),
        nn.Upsample((39, 1), mode="bilinear", align_corners=True), nn.Upsample(scale_factor=(2, 1), mode="bicubic"),
        nn.ZeroPad2d((0, 0, 2, 1)),
    ],
    ids=str,
)  # fmt: skip
def test_resizing_layers_against_gradients(layer: nn.Module) -> None:
    """Every value but those at the borders, where interpolation repeats the outermost values."""
    network = nn.Sequential(column(nn.Conv2d, 3, 1, 1, 1), layer)
    field = trace(network, (1, 20, 1))[-1].field
    assert field is not None
    for place, actual in enumerate(reached(network, 20)):
        low, high = field.rows.of(place)
        if actual is None:  # padding
            assert low < 0 or high > 19, place
        else:
            assert actual == (max(0, low), min(19, high)), place


class Applied(nn.Module):
    """A function between two convolutions of 3x3."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor], channels: int = 4) -> None:
        super().__init__()
        self.function = function
        self.first, self.last = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(channels, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.function(self.first(x)))


def nhwc(x: torch.Tensor) -> torch.Tensor:
    """Norm and linear layer over the channels of each place, as ConvNeXt has them, in channels-last order."""
    y = F.linear(F.layer_norm(x.permute(0, 2, 3, 1), (4,)), torch.ones(4, 4).to(x).tril())
    return F.gelu(y * 2 + y).transpose(1, -1).transpose(2, 3)


def running_norm(x: torch.Tensor) -> torch.Tensor:
    return F.instance_norm(x, torch.zeros(4).to(x), torch.ones(4).to(x), use_input_stats=False)


@pytest.mark.parametrize(
    ("function", "channels", "size"),
    [(nhwc, 4, 5), (lambda x: F.pixel_shuffle(x, 2), 1, 4), (lambda x: F.pixel_unshuffle(x, 2), 16, 8),
     (lambda x: x.softmax(1), 4, 5), (running_norm, 4, 5)],
)  # fmt: skip
def test_functions_that_keep_places(function: Callable[[torch.Tensor], torch.Tensor], channels: int, size: int) -> None:
    torch.manual_seed(0)
    network, image = Applied(function, channels).double(), torch.rand(1, 1, 16, 16, dtype=torch.float64)
    field = trace(network, (1, 16, 16))[-1].field
    assert field is not None
    assert (field.rows.size, field.columns.size, field.whole) == (size, size, False)
    output = network(image.requires_grad_())
    for place in range(output.shape[2]):
        (gradient,) = torch.autograd.grad(output[0, 0, place].sum(), image, retain_graph=True)
        rows = gradient[0, 0].abs().sum(1).nonzero()
        low, high = field.rows.of(place)
        assert (int(rows.min()), int(rows.max())) == (max(0, low), min(15, high))


@pytest.mark.parametrize(
    "function",
    [
        nn.GroupNorm(2, 4), nn.InstanceNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False),
        nn.LayerNorm((4, 16, 16)), nn.LayerNorm(16), nn.Softmax(3), nn.LogSoftmax(-2), lambda x: x @ x.mT,
        lambda x: F.scaled_dot_product_attention(x, x, x), lambda x: torch.fft.fft2(x).real, lambda x: x.flip(3),
        lambda x: x.cumsum(2),
    ],
)  # fmt: skip
def test_functions_that_mix_places(function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    torch.manual_seed(0)
    network, image = Applied(function).eval(), torch.rand(1, 1, 16, 16)
    field = trace(network, (1, 16, 16))[-1].field
    assert field is not None
    assert field.whole
    (gradient,) = torch.autograd.grad(network(image.requires_grad_())[0, 0, 8, 4].square(), image)
    for axis, (low, high) in enumerate((field.rows.of(8), field.columns.of(4))):
        seen = gradient[0, 0].nonzero()[:, axis]
        if seen.min() < low or seen.max() > high:
            return
    pytest.fail("the field of rows and columns is all that it sees")


def test_a_linear_layer_over_columns_has_no_places() -> None:
    assert trace(nn.Sequential(conv(3, padding=1), nn.Linear(16, 16)), (1, 16, 16))[-1].field is None


def test_convnext_by_hand() -> None:
    """Patches of 4, then 7x7 three, three, nine and three times, between them patches of 2."""
    size, jump = 4, 4
    for stage, depth in enumerate((3, 3, 9, 3)):
        if stage:
            size, jump = size + jump, 2 * jump
        size += depth * 6 * jump
    field = summary("convnext_tiny").field
    assert field is not None
    assert (field.rows.size, field.rows.jump, field.whole) == (size, jump, False) == (1688, 32, False)


def test_the_field_of_a_summary_is_that_of_the_output() -> None:
    """The last layer may be a branch that sees less."""

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide, self.narrow = conv(7, padding=3), conv(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.wide(x) + self.narrow(x)

    found = summary(Branches(), (1, 16, 16))
    assert found.field is not None
    assert found.field.rows.size == 7
    assert "7 pixels" in str(found)


def test_sizes_without_a_common_measure_are_bounded() -> None:
    """A few resizings between convolutions have more different fields than are kept; then one bound serves all."""
    layers = [layer for side in (37, 53, 71) for layer in (conv(3), nn.Upsample((side, side)))]
    exact = trace(nn.Sequential(*layers[:4]), (1, 31, 31))[-1].field
    bound = trace(nn.Sequential(*layers), (1, 31, 31))[-1].field
    assert exact is not None
    assert bound is not None
    assert (len(exact.rows.fields), len(bound.rows.fields)) == (53 * 37, 1)
    assert exact.rows.size < bound.rows.size < 12


def test_pure_functions() -> None:
    field = windowed(of_image(), (3, 5), (2, 1), (1, 0))
    assert (field.rows.of(0), field.rows.jump) == ((-1, 1), 2)
    assert (field.columns.of(0), field.columns.jump) == ((0, 4), 1)
    moved = shifted(field, 1, 2)
    assert (moved.rows.of(0), moved.columns.of(0)) == ((-3, -1), (-2, 2))
    both = union([field, moved])
    assert (both.rows.of(0), both.columns.of(0)) == ((-3, 1), (-2, 4))
