"""Rules for the output shape and the receptive field of torch's functions.

Each rule takes the arguments of its function, and falls back to torch's shape inference in unusual cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hubel.analysis import receptive
from hubel.analysis.traced import Traced, combined, everywhere, inferred, like, shape_of
from hubel.core.errors import OptionError

__all__ = ["OF_TORCH"]


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])


def _same(x: Traced, *others: Any, **options: Any) -> Traced:
    """Return the input: element-wise functions keep shape and field."""
    return x


def _binary(x: Any, other: Any, **options: Any) -> Any:
    if isinstance(x, Traced) and isinstance(other, Traced):
        size, other_size = shape_of(x), shape_of(other)
        shape = size if size == other_size else torch.broadcast_shapes(size, other_size)  # type: ignore[no-untyped-call]
        return combined(shape, (x, other))
    if isinstance(x, Traced) and not isinstance(other, Tensor):
        return x
    return inferred(torch.add, (x, other), {})


def _batch_norm(
    x: Traced, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None, training: bool = False, *_: Any,
    **__: Any,
) -> Traced:  # fmt: skip
    """Return the input, normalised by its own mean and variance if `training`, otherwise by running ones."""
    return everywhere(x) if training else x


def _instance_norm(
    x: Traced, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None, own: bool = True, *_: Any,
    use_input_stats: bool = True, **__: Any,
) -> Traced:  # fmt: skip
    return everywhere(x) if own and use_input_stats else x


def _group_norm(x: Traced, *_: Any, **__: Any) -> Traced:
    return everywhere(x)


def _layer_norm(x: Traced, normalized_shape: Sequence[int], *_: Any, **__: Any) -> Traced:
    first = len(shape_of(x)) - len(normalized_shape)
    return everywhere(x) if max(x.axes) >= first else x


def _softmax(x: Traced, dim: int | None = None, *_: Any, **__: Any) -> Traced:
    along = 1 if dim is None else dim % len(shape_of(x))
    return everywhere(x) if along in x.axes else x


def _permute(x: Traced, *dims: Any) -> Any:
    result = inferred(Tensor.permute, (x, *dims), {})
    order = [dim % 4 for dim in (dims[0] if isinstance(dims[0], list | tuple) else dims)]
    if len(order) == 4:
        result.field, result.axes = x.field, (order.index(x.axes[0]), order.index(x.axes[1]))
    return result


def _transpose(x: Traced, dim0: int, dim1: int) -> Any:
    order = list(range(len(shape_of(x))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    return _permute(x, order)


def _pixel_shuffle(x: Traced, by: int) -> Any:
    """Enlarge maps by channels: each value has one tap."""
    result = inferred(F.pixel_shuffle, (x, by), {})
    result.field = x.map_field and receptive.averaged(x.map_field, (1, 1), (by, by))
    return result


def _pixel_unshuffle(x: Traced, by: int) -> Any:
    result = inferred(F.pixel_unshuffle, (x, by), {})
    result.field = x.map_field and receptive.windowed(x.map_field, (by, by), (by, by), (0, 0))
    return result


def _mixing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the rule of a function whose outputs, of whatever size, depend on other places than their own."""

    def rule(*args: Any, **options: Any) -> Any:
        result = inferred(function, args, options)
        return everywhere(result) if isinstance(result, Traced) else result

    return rule


def _cat(tensors: Sequence[Traced], dim: int = 0, **options: Any) -> Any:
    shapes = [shape_of(x) for x in tensors if isinstance(x, Traced)]
    if dim != 1 or len(shapes) != len(tensors) or len({(*s[:1], *s[2:]) for s in shapes}) > 1:
        return inferred(torch.cat, (tensors, dim), options)
    shape = (shapes[0][0], sum(s[1] for s in shapes), *shapes[0][2:])
    return combined(shape, tensors)


def _conv2d(
    x: Traced, weight: Tensor, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    size = shape_of(x)
    out, below, *kernel = weight.shape
    if len(size) != 4 or size[1] != below * groups:
        return inferred(torch.conv2d, (x, weight, bias, stride, padding, dilation, groups), {})
    k, s, d = _pair(kernel), _pair(stride), _pair(dilation)
    if padding == "same":
        total = [d[i] * (k[i] - 1) for i in (0, 1)]
        p, before = (total[0] / 2, total[1] / 2), (total[0] // 2, total[1] // 2)
    else:
        p = before = (0, 0) if padding == "valid" else _pair(padding)
    sides = [int(size[2 + i] + 2 * p[i] - d[i] * (k[i] - 1) - 1) // s[i] + 1 for i in (0, 1)]
    _check(size, k, sides)
    x.calls[-1].macs += size[0] * out * sides[0] * sides[1] * below * k[0] * k[1]
    field = x.map_field and receptive.windowed(x.map_field, k, s, before, d)
    return like(x, (size[0], out, *sides), field)


def _conv_transpose2d(
    x: Traced,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    size, (channels, out, *kernel) = shape_of(x), weight.shape
    if len(size) != 4 or size[1] != channels:
        return inferred(
            torch.conv_transpose2d, (x, weight, bias, stride, padding, output_padding, groups, dilation), {}
        )
    k, s, p, d, more = map(_pair, (kernel, stride, padding, dilation, output_padding))
    sides = [(size[2 + i] - 1) * s[i] - 2 * p[i] + d[i] * (k[i] - 1) + more[i] + 1 for i in (0, 1)]
    x.calls[-1].macs += math.prod(size) * out * k[0] * k[1]
    return like(x, (size[0], out * groups, *sides), x.map_field and receptive.transposed(x.map_field, k, s, p, d))


def _linear(x: Traced, weight: Tensor, bias: Any = None) -> Any:
    size = shape_of(x)
    if len(weight.shape) != 2 or size[-1] != weight.shape[1]:
        return inferred(F.linear, (x, weight, bias), {})
    x.calls[-1].macs += math.prod(size[:-1]) * weight.numel()
    places = len(size) == 4 and max(x.axes) < 3  # (n, h, w, c): at each place by itself
    return like(x, (*size[:-1], weight.shape[0]), x.field if places else None)


def _pool(
    x: Traced,
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> Traced:
    size, k, p, d = shape_of(x), _pair(kernel), _pair(padding), _pair(dilation)
    s = k if stride is None or stride == [] else _pair(stride)
    sides = []
    for i in (0, 1):
        span = size[2 + i] + 2 * p[i] - d[i] * (k[i] - 1) - 1
        out = (-(-span // s[i]) if ceil_mode else span // s[i]) + 1
        sides.append(out - (ceil_mode and (out - 1) * s[i] >= size[2 + i] + p[i]))
    _check(size, k, sides)
    return like(x, (*size[:2], *sides), x.map_field and receptive.windowed(x.map_field, k, s, p, d))


def _max_pool2d(
    x: Traced,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    if return_indices or len(shape_of(x)) != 4:
        return inferred(F.max_pool2d, (x, kernel_size, stride, padding, dilation, ceil_mode, return_indices), {})
    return _pool(x, kernel_size, stride, padding, dilation, ceil_mode)


def _avg_pool2d(
    x: Traced,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    *more: Any,
    **options: Any,
) -> Any:
    if len(shape_of(x)) != 4:
        return inferred(F.avg_pool2d, (x, kernel_size, stride, padding, ceil_mode, *more), options)
    return _pool(x, kernel_size, stride, padding, 1, ceil_mode)


def _adaptive_pool2d(x: Traced, output_size: Any, **options: Any) -> Any:
    size = shape_of(x)
    wanted = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    sides = [given if given is not None else size[2 + i] for i, given in enumerate(wanted)]
    if sides == list(size[2:]):
        return x
    field = None
    if x.map_field is not None and sides != [1, 1]:
        field = receptive.averaged(x.map_field, _pair(size[2:]), _pair(sides))
    return like(x, (*size[:2], *sides), field)


def _pad(x: Traced, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    result = inferred(F.pad, (x, tuple(pad)), {"mode": mode})
    left, top = pad[0], pad[2] if len(pad) > 2 else 0
    result.field = x.map_field and receptive.shifted(x.map_field, top, left)
    return result


def _getitem(x: Traced, index: Any) -> Any:
    result = inferred(Tensor.__getitem__, (x, index), {})
    maps = isinstance(index, tuple) and len(index) == len(shape_of(x)) == 4
    if maps and all(isinstance(one, slice) and one.step in (None, 1) for one in index):
        top, left = (one.indices(size)[0] for one, size in zip(index[2:], shape_of(x)[2:], strict=True))
        result.field = x.map_field and receptive.shifted(x.map_field, -top, -left)
    return result


_SAMPLES = {"nearest": (1, 0.0), "nearest-exact": (1, 0.5), "bilinear": (2, 0.5), "bicubic": (4, 0.5)}  # reach, shift


def _interpolate(
    x: Traced,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    before = shape_of(x)[2:]
    if len(before) != 2 or antialias or mode not in (*_SAMPLES, "area"):
        settings = (size, scale_factor, mode, align_corners, recompute_scale_factor, antialias)
        return inferred(F.interpolate, (x, *settings), {})
    if size is not None:
        after = _pair(size)
    else:
        by = scale_factor if isinstance(scale_factor, list | tuple) else (scale_factor, scale_factor)
        after = (math.floor(before[0] * by[0]), math.floor(before[1] * by[1]))
    result = like(x, (*shape_of(x)[:2], *after), None)
    if x.map_field is None:
        return result
    if mode == "area":
        result.field = receptive.averaged(x.map_field, _pair(before), _pair(after))
        return result
    reach, shift = _SAMPLES[mode]
    steps = [Fraction(b, a) for b, a in zip(before, after, strict=True)]
    if align_corners:
        shift, steps = 0.0, [Fraction(b - 1, max(1, a - 1)) for b, a in zip(before, after, strict=True)]
    elif scale_factor is not None and not recompute_scale_factor:
        scales = scale_factor if isinstance(scale_factor, list | tuple) else (scale_factor, scale_factor)
        steps = [1 / Fraction(scale).limit_denominator(1000) for scale in scales]
    result.field = receptive.interpolated(x.map_field, (steps[0], steps[1]), reach, Fraction(shift))
    return result


def _check(size: Sequence[int], kernel: Sequence[int], sides: Sequence[int]) -> None:
    if min(sides) < 1:
        window, maps = ("x".join(map(str, value)) for value in (kernel, size[2:]))
        raise OptionError(f"a window of {window} is larger than what is left of the image, {maps} pixels")


def _dim(x: Traced) -> int:
    return len(shape_of(x))


OF_TORCH: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys(
        (
            F.dropout, F.dropout2d, F.elu, F.gelu, F.hardsigmoid, F.hardswish, F.hardtanh, F.leaky_relu,
            F.local_response_norm, F.relu, F.relu6, F.silu, torch.relu, torch.sigmoid, torch.tanh, Tensor.contiguous,
            Tensor.relu, Tensor.sigmoid, Tensor.tanh,
        ),
        _same,
    ),
    **dict.fromkeys((Tensor.add, Tensor.add_, Tensor.sub, Tensor.mul, torch.add, torch.mul), _binary),
    **dict.fromkeys((F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, Tensor.softmax), _softmax),
    **dict.fromkeys((torch.permute, Tensor.permute), _permute),
    **dict.fromkeys((torch.transpose, Tensor.transpose), _transpose),
    **{
        function: _mixing(function)
        for function in (
            F.scaled_dot_product_attention, torch.matmul, torch.cumsum, torch.flip, torch.roll, torch.fft.fft2,
            torch.fft.ifft2, torch.fft.rfft2, torch.fft.irfft2, Tensor.matmul, Tensor.__matmul__, Tensor.cumsum,
            Tensor.flip, Tensor.roll,
        )
    },
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
    F.group_norm: _group_norm,
    F.layer_norm: _layer_norm,
    F.pixel_shuffle: _pixel_shuffle,
    F.pixel_unshuffle: _pixel_unshuffle,
    torch.cat: _cat,
    torch.conv2d: _conv2d,
    torch.conv_transpose2d: _conv_transpose2d,
    F.linear: _linear,
    F.max_pool2d: _max_pool2d,
    F.avg_pool2d: _avg_pool2d,
    F.adaptive_avg_pool2d: _adaptive_pool2d,
    F.adaptive_max_pool2d: _adaptive_pool2d,
    F.pad: _pad,
    F.interpolate: _interpolate,
    Tensor.__getitem__: _getitem,
    Tensor.dim: _dim,
    Tensor.shape.__get__: shape_of,  # type: ignore[attr-defined]
}  # fmt: skip
