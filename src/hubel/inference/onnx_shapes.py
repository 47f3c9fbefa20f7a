"""Infer the shape of what an operator of ONNX computes, before an engine computes it.

One rule for each operator that hubel's exports have, in the meaning of operator set 17
(https://onnx.ai/onnx/operators/), and a table of the attributes that it may have: engines trust them, and some divide
by them. A shape that depends on the content of an image is refused; arithmetic on shapes, which exports are full of, is
computed along.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Sequence
from dataclasses import replace
from operator import le
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hubel.inference.onnx_nodes import BOOL, FLOAT32, INT64, KINDS, UINT8, OnnxNode, Value

__all__ = ["infer"]

_FLOATS = (1, 10, 11)
_MOST_DIMENSIONS = 8
_MOST_KNOWN = 2**12  # elements of a value that is computed along

_FLAG, _AXIS, _SIZE, _EXTENT = range(2), range(-8, 8), range(1, 2**16), range(2**16)
# The values of attributes by their names, whichever operator has them; numbers in floats, and constants, are free.
_ATTRIBUTES: dict[str, Container[object]] = {
    **dict.fromkeys(("axis", "axes", "perm", "start", "end"), _AXIS),
    **dict.fromkeys(("kernel_shape", "strides", "dilations", "group", "size", "hidden_size"), _SIZE),
    **dict.fromkeys(("pads", "output_padding"), _EXTENT),
    **dict.fromkeys(
        (
            "ceil_mode", "center_point_box", "count_include_pad", "exclude_outside", "input_forget", "keepdims",
            "largest", "noop_with_empty_axes", "select_last_index", "sorted", "training_mode", "transA", "transB",
        ),
        _FLAG,
    ),
    **dict.fromkeys(("allowzero", "fmod", "layout", "storage_order"), (0,)),
    "auto_pad": (b"NOTSET",),
    "batch_dims": range(8),
    "coordinate_transformation_mode": (b"half_pixel", b"pytorch_half_pixel", b"align_corners", b"asymmetric"),
    "direction": (b"forward", b"reverse", b"bidirectional"),
    "mode": (b"nearest", b"linear", b"cubic", b"constant", b"reflect", b"edge"),
    "nearest_mode": (b"round_prefer_floor", b"round_prefer_ceil", b"floor", b"ceil"),
    "reduction": (b"none",),
    "stash_type": (1,),
    "to": KINDS,
}  # fmt: skip
_FREE = {
    "alpha", "beta", "bias", "cubic_coeff_a", "epsilon", "extrapolation_value", "gamma", "momentum", "value",
}  # fmt: skip

# Operators that take vectors without elements, which are shapes of single numbers; others divide by their size.
_TAKES_NOTHING = {"Cast", "Concat", "ConstantOfShape", "Expand", "Gather", "Identity", "Reshape", "Resize", "Slice"}

Rule = Callable[..., "Value | Sequence[Value]"]


def infer(node: OnnxNode, inputs: Sequence[Value | None]) -> tuple[Value, ...]:
    """Return the values that a node computes from others; None is an input that is left out.

    Raises:
        ValueError: hubel's exports have no such operator, or not with these attributes and inputs.
    """
    if node.operator not in _RULES:
        raise ValueError(f"the operator {node.operator!r:.100}, which hubel's exports do not have")
    try:
        _check_attributes(node)
        _require(
            node.operator in _TAKES_NOTHING or all(value is None or value.elements for value in inputs),
            "an empty input",
        )
        with np.errstate(all="ignore"):
            found = _RULES[node.operator](node, *inputs)
        values = (found,) if isinstance(found, Value) else tuple(found)
        _require(len(node.outputs) <= len(values), f"{len(node.outputs)} outputs")
        for value in values:
            _require(len(value.shape) <= _MOST_DIMENSIONS, f"an output of {len(value.shape)} dimensions")
            sizes, is_vector = value.shape, value.known is not None and len(value.shape) == 1
            _require(min(sizes, default=1) >= (0 if is_vector else 1), f"an output of shape {sizes}")
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, _RefusedError) else "inputs that do not belong together"
        raise ValueError(f"an operator {node.operator} with {reason:.200}") from None
    return values


class _RefusedError(ValueError):
    """A reason in words."""


def _require(holds: object, otherwise: str) -> None:
    if not holds:
        raise _RefusedError(otherwise)


def _check_attributes(node: OnnxNode) -> None:
    for name, value in node.attributes.items():
        if name not in _FREE:
            _require(name in _ATTRIBUTES, f"the attribute {name!r:.60}")
            allowed = _ATTRIBUTES[name]
            _require(
                all(one in allowed for one in (value if isinstance(value, list) else [value])), f"{name} {value!r:.60}"
            )


def _known(value: Value | None) -> NDArray[Any]:
    """Return the elements of an input that a shape depends on."""
    _require(value is not None and value.known is not None, "a size that depends on the image")
    assert value is not None
    assert value.known is not None
    return value.known


def _whole(value: Value | None) -> list[int]:
    """Return the elements of an input that are whole numbers in one dimension."""
    known = _known(value)
    _require(known.ndim == 1 and known.dtype == KINDS[INT64], "sizes of another type")
    return [int(number) for number in known]


def _result(shape: Sequence[int], kind: int, compute: Callable[..., Any] | None = None, *values: Value) -> Value:
    """Return a value; its elements, too, where all that they are computed from is known."""
    if compute is None or math.prod(shape) > _MOST_KNOWN or any(value.known is None for value in values):
        return Value(tuple(shape), kind)
    known = np.asarray(compute(*(value.known for value in values)))
    _require(known.shape == tuple(shape), "inputs of shapes that do not belong together")
    return Value(tuple(shape), kind, known.astype(KINDS[kind]))


def _elementwise(compute: Callable[..., Any] | None = None, kind: int = 0) -> Rule:
    """Return the rule of an operator on values that are stretched to one shape."""

    def rule(_: OnnxNode, *values: Value) -> Value:
        shape = np.broadcast_shapes(*(value.shape for value in values))
        return _result(shape, kind or values[-1].kind, compute, *values)

    return rule


def _same(_: OnnxNode, x: Value, *parameters: Value | None) -> Value:
    """Apply to an operator that changes the elements of its first input alone."""
    return Value(x.shape, x.kind)


def _per_channel(_: OnnxNode, x: Value, *parameters: Value) -> list[Value]:
    """Normalise channels; where a training normalises weights, mean and variance follow."""
    _require(len(x.shape) >= 2 and all(p.shape == x.shape[1:2] for p in parameters), "parameters of other channels")
    return [Value(x.shape, x.kind), *(Value(x.shape[1:2], x.kind) for _ in range(2))]


def _layer_norm(node: OnnxNode, x: Value, *parameters: Value) -> Value:
    axis = _axis(node.number("axis", -1), x)
    _require(all(p.shape == x.shape[axis:] for p in parameters), "parameters of other sizes")
    return Value(x.shape, x.kind)


def _axis(axis: int, x: Value, *, beyond: int = 0) -> int:
    rank = len(x.shape) + beyond
    _require(-rank <= axis < rank, f"axis {axis} of {rank}")
    return axis % rank


def _identity(_: OnnxNode, x: Value) -> Value:
    return x


def _constant(node: OnnxNode) -> Value:
    value = node.attributes["value"]
    _require(isinstance(value, Value), "no tensor")
    return value  # type: ignore[no-any-return]


def _fill(node: OnnxNode, shape: Value) -> Value:
    sizes, value = _whole(shape), node.attributes.get("value", Value((1,), FLOAT32, np.zeros(1, np.float32)))
    _require(value.shape == (1,) and min(sizes, default=1) >= 0, "another shape or value")
    return _result(sizes, value.kind, lambda one: np.broadcast_to(one[0], sizes), value)


def _cast(node: OnnxNode, x: Value) -> Value:
    kind = node.number("to", 0)
    _require(x.known is None or kind in _FLOATS or np.isfinite(x.known).all(), "a number without a whole part")
    return _result(x.shape, kind, lambda known: known, x)


def _quotient(_: OnnxNode, x: Value, y: Value) -> Value:
    """Divide; whole numbers towards 0."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    if y.kind in _FLOATS:
        return _result(shape, y.kind, np.divide, x, y)
    least = _least_divisor(y)
    found = _result(shape, y.kind, lambda a, b: np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), x, y)
    return replace(found, below=tuple((most - 1) // least + 1 for most in x.below)) if least > 0 else found


def _remainder(_: OnnxNode, x: Value, y: Value) -> Value:
    _require(y.kind not in _FLOATS, "a remainder that is not whole")
    _least_divisor(y)
    return _result(np.broadcast_shapes(x.shape, y.shape), y.kind, np.mod, x, y)


def _least_divisor(y: Value) -> int:
    """Refuse divisors by which the processor stops a program: 0, or -1 of the least number."""
    _require(y.known is not None and y.known.size, "a whole divisor that depends on the image")
    assert y.known is not None
    _require(not np.isin(y.known, (0, -1)).any(), "a whole divisor of 0 or -1")
    return int(y.known.min())


def _quantised(kind: int) -> Rule:
    def rule(node: OnnxNode, x: Value, scale: Value, zero: Value | None = None) -> Value:
        if scale.elements > 1:
            _require(scale.shape == (x.shape[_axis(node.number("axis", 1), x)],), "scales of another size")
        _require(zero is None or zero.elements == scale.elements, "zero points of another size")
        return Value(x.shape, kind or (UINT8 if zero is None else zero.kind))

    return rule


def _clip(_: OnnxNode, x: Value, low: Value | None = None, high: Value | None = None) -> Value:
    limits = [limit for limit in (low, high) if limit is not None]
    _require(all(limit.shape == () for limit in limits), "limits of another shape")

    def compute(known: NDArray[Any], *_: NDArray[Any]) -> Any:
        return np.clip(known, None if low is None else low.known, None if high is None else high.known)

    return _result(x.shape, x.kind, compute, x, *limits)


def _reduced(x: Value, axes: Sequence[int], kind: int, *, keep: int) -> Value:
    gone = {_axis(axis, x) for axis in axes} if axes else set(range(len(x.shape)))
    sizes = [1 if place in gone else size for place, size in enumerate(x.shape) if keep or place not in gone]
    return Value(tuple(sizes), kind)


def _reduction(node: OnnxNode, x: Value) -> Value:
    return _reduced(x, node.numbers("axes", []), x.kind, keep=node.number("keepdims", 1))


def _sum(node: OnnxNode, x: Value, axes: Value | None = None) -> Value:
    chosen = [] if axes is None else _whole(axes)
    if not chosen and node.number("noop_with_empty_axes", 0):
        return Value(x.shape, x.kind)
    return _reduced(x, chosen, x.kind, keep=node.number("keepdims", 1))


def _best(node: OnnxNode, x: Value) -> Value:
    axis = _axis(node.number("axis", 0), x)
    return replace(_reduced(x, [axis], INT64, keep=node.number("keepdims", 1)), below=(x.shape[axis],))


def _windows(node: OnnxNode, sizes: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return the numbers of positions of a window on a map of these sizes."""
    n = len(kernel)
    strides, dilations = node.numbers("strides", [1] * n), node.numbers("dilations", [1] * n)
    pads = node.numbers("pads", [0] * 2 * n)
    _require([len(sizes), len(strides), len(dilations), len(pads)] == [n, n, n, 2 * n], "windows of other dimensions")
    found = []
    for size, k, stride, dilation, before, after in zip(
        sizes, kernel, strides, dilations, pads[:n], pads[n:], strict=True
    ):
        free = size + before + after - dilation * (k - 1) - 1
        positions = free // stride + 1
        if node.number("ceil_mode", 0) and free % stride and positions * stride < size + before:
            positions += 1  # its last window starts on the map or before it, and ends behind
        _require(positions > 0, f"a window of {k} on {size}")
        found.append(positions)
    return found


def _kernel(node: OnnxNode, weights: Value) -> list[int]:
    kernel = list(weights.shape[2:])
    _require(kernel and node.numbers("kernel_shape", kernel) == kernel, "a kernel of other sizes than its weights")
    return kernel


def _convolution(node: OnnxNode, x: Value, weights: Value, bias: Value | None = None) -> Value:
    n, channels, *sizes = x.shape
    out, each, groups = *weights.shape[:2], node.number("group", 1)
    _require(channels == each * groups and out % groups == 0, "weights of other channels")
    _require(bias is None or bias.shape == (out,), "a bias of other channels")
    return Value((n, out, *_windows(node, sizes, _kernel(node, weights))), x.kind)


def _transposed(node: OnnxNode, x: Value, weights: Value, bias: Value | None = None) -> Value:
    n, channels, *sizes = x.shape
    kernel, groups = _kernel(node, weights), node.number("group", 1)
    out, rank = weights.shape[1] * groups, len(kernel)
    _require(channels == weights.shape[0] and channels % groups == 0, "weights of other channels")
    _require(bias is None or bias.shape == (out,), "a bias of other channels")
    strides, dilations = node.numbers("strides", [1] * rank), node.numbers("dilations", [1] * rank)
    pads, more = node.numbers("pads", [0] * 2 * rank), node.numbers("output_padding", [0] * rank)
    found = [
        stride * (size - 1) + extra + dilation * (k - 1) + 1 - before - after
        for size, k, stride, dilation, before, after, extra in zip(
            sizes, kernel, strides, dilations, pads[:rank], pads[rank:], more, strict=True
        )
    ]
    return Value((n, out, *found), x.kind)


def _pool(node: OnnxNode, x: Value) -> tuple[Value, Value]:
    kernel = node.numbers("kernel_shape", [])
    n = len(kernel)
    pads = node.numbers("pads", [0] * 2 * n)
    _require(all(pad < k for pad, k in zip(pads, kernel * 2, strict=True)), "a window that may lie beyond the map")
    shape = (*x.shape[:2], *_windows(node, x.shape[2:], kernel))
    return Value(shape, x.kind), Value(shape, INT64)


def _global_pool(_: OnnxNode, x: Value) -> Value:
    return Value((*x.shape[:2], *(1 for _ in x.shape[2:])), x.kind)


def _reshape(_: OnnxNode, x: Value, shape: Value) -> Value:
    wanted = _whole(shape)
    sizes = [x.shape[place] if size == 0 else size for place, size in enumerate(wanted)]
    _require(min(sizes, default=1) >= -1 and sizes.count(-1) <= 1, "an impossible shape")
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.elements // max(1, -math.prod(sizes))
    _require(math.prod(sizes) == x.elements, "a shape of another number of elements")
    return _result(sizes, x.kind, lambda known: known.reshape(sizes), x)


def _flatten(node: OnnxNode, x: Value) -> Value:
    axis = node.number("axis", 1)
    place = axis if axis == len(x.shape) else _axis(axis, x)
    return Value((math.prod(x.shape[:place]), math.prod(x.shape[place:])), x.kind)


def _squeeze(_: OnnxNode, x: Value, axes: Value | None = None) -> Value:
    chosen = range(len(x.shape)) if axes is None else {_axis(axis, x) for axis in _whole(axes)}
    gone = {place for place in chosen if axes is not None or x.shape[place] == 1}
    _require(all(x.shape[place] == 1 for place in gone), "axes that are longer than 1")
    sizes = [size for place, size in enumerate(x.shape) if place not in gone]
    return _result(sizes, x.kind, lambda known: known.reshape(sizes), x)


def _unsqueeze(_: OnnxNode, x: Value, axes: Value) -> Value:
    wanted = _whole(axes)
    places = {_axis(axis, x, beyond=len(wanted)) for axis in wanted}
    _require(len(places) == len(wanted), "an axis twice")
    others = iter(x.shape)
    sizes = [1 if place in places else next(others) for place in range(len(x.shape) + len(places))]
    return replace(
        _result(sizes, x.kind, lambda known: known.reshape(sizes), x), below=x.below[:1] * (len(x.below) == 1)
    )


def _expand(_: OnnxNode, x: Value, shape: Value) -> Value:
    sizes = np.broadcast_shapes(x.shape, tuple(_whole(shape)))
    return _result(sizes, x.kind, lambda known: np.broadcast_to(known, sizes), x)


def _tile(_: OnnxNode, x: Value, repeats: Value) -> Value:
    times = _whole(repeats)
    _require(len(times) == len(x.shape) and min(times, default=1) > 0, f"repeats {times}")
    sizes = [size * more for size, more in zip(x.shape, times, strict=True)]
    return _result(sizes, x.kind, lambda known: np.tile(known, times), x)


def _split(node: OnnxNode, x: Value, sizes: Value | None = None) -> list[Value]:
    axis, n = _axis(node.number("axis", 0), x), len(node.outputs)
    each = [x.shape[axis] // n] * n if sizes is None else _whole(sizes)
    _require(len(each) == n and sum(each) == x.shape[axis] and min(each) > 0, "parts of other sizes")
    ends = np.cumsum(each).tolist()
    return [
        _result(
            (*x.shape[:axis], size, *x.shape[axis + 1 :]),
            x.kind,
            lambda known, size=size, end=end: known[(*[slice(None)] * axis, slice(end - size, end))],
            x,
        )
        for size, end in zip(each, ends, strict=True)
    ]


def _transpose(node: OnnxNode, x: Value) -> Value:
    order = node.numbers("perm", [*range(len(x.shape))[::-1]])
    _require(sorted(order) == [*range(len(x.shape))], "an order of other axes")
    return _result([x.shape[place] for place in order], x.kind, lambda known: known.transpose(order), x)


def _concat(node: OnnxNode, *values: Value) -> Value:
    axis = _axis(node.attributes["axis"], values[0])
    rests = {(value.shape[:axis], value.shape[axis + 1 :]) for value in values}
    _require(len(rests) == 1, "inputs of other sizes")
    sizes = list(values[0].shape)
    sizes[axis] = sum(value.shape[axis] for value in values)
    return _result(sizes, values[0].kind, lambda *known: np.concatenate(known, axis), *values)


def _slice(
    _: OnnxNode, x: Value, starts: Value, ends: Value, axes: Value | None = None, steps: Value | None = None
) -> Value:
    begin, end = _whole(starts), _whole(ends)
    places = [_axis(axis, x) for axis in (range(len(begin)) if axes is None else _whole(axes))]
    stride = [1] * len(begin) if steps is None else _whole(steps)
    _require(len(set(places)) == len(places) and all(abs(step) in _SIZE for step in stride), "other axes or steps")
    kept = [slice(None)] * len(x.shape)
    for place, *limits in zip(places, begin, end, stride, strict=True):
        kept[place] = slice(*limits)
    sizes = [len(range(size)[part]) for size, part in zip(x.shape, kept, strict=True)]
    return _result(sizes, x.kind, lambda known: known[tuple(kept)], x)


def _gather(node: OnnxNode, x: Value, places: Value) -> Value:
    axis = _axis(node.number("axis", 0), x)
    if places.known is not None:
        _require(((places.known >= -x.shape[axis]) & (places.known < x.shape[axis])).all(), "a place beyond its axis")
    sizes = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    return _result(sizes, x.kind, lambda known, at: np.take(known, at, axis), x, places)


def _gather_elements(node: OnnxNode, x: Value, places: Value) -> Value:
    axis = _axis(node.number("axis", 0), x)
    sizes = zip(places.shape, x.shape, strict=True)
    _require(all(a <= b or place == axis for place, (a, b) in enumerate(sizes)), "more places than there are")
    _check_places(places, x.shape[axis : axis + 1])
    return Value(places.shape, x.kind)


def _check_places(places: Value, sizes: Sequence[int]) -> None:
    """Refuse places that may lie beyond a map of these sizes: OpenVINO reads and writes there."""
    below: tuple[int, ...] = places.below
    if places.known is not None:
        _require(places.known.min(initial=0) >= 0, "a place below 0")
        below = tuple(places.known.reshape(-1, len(sizes)).max(0, initial=0) + 1)
    below = below * len(sizes) if len(below) == 1 else below
    _require(len(below) == len(sizes) and all(map(le, below, sizes)), "places that may lie beyond a map")


def _gather_nd(node: OnnxNode, x: Value, places: Value) -> Value:
    batch, depth = node.number("batch_dims", 0), places.shape[-1]
    _require(
        batch < len(places.shape) and batch + depth <= len(x.shape) and places.shape[:batch] == x.shape[:batch],
        "places of other dimensions",
    )
    _check_places(places, x.shape[batch : batch + depth])
    return Value((*places.shape[:-1], *x.shape[batch + depth :]), x.kind)


def _scatter_nd(_: OnnxNode, x: Value, places: Value, updates: Value) -> Value:
    depth = places.shape[-1]
    _require(updates.shape == (*places.shape[:-1], *x.shape[depth:]), "updates of another shape")
    _check_places(places, x.shape[:depth])
    return Value(x.shape, x.kind)


def _pad(node: OnnxNode, x: Value, pads: Value, value: Value | None = None, axes: Value | None = None) -> Value:
    amounts, rank = _whole(pads), len(x.shape)
    _require(axes is None and len(amounts) == 2 * rank, "pads of other axes")
    is_mirror = node.attributes.get("mode") == b"reflect"
    for size, amount in zip(x.shape * 2, amounts, strict=True):
        _require(-size < amount < (size if is_mirror else _EXTENT.stop), f"pads {amounts}")
    return Value(tuple(map(sum, zip(x.shape, amounts[:rank], amounts[rank:], strict=True))), x.kind)


def _resize(
    _: OnnxNode, x: Value, region: Value | None, scales: Value | None = None, sizes: Value | None = None
) -> Value:
    _require(region is None or region.shape == (0,), "a region")
    if sizes is not None:
        return _of_rank(_whole(sizes), x)
    factors = _known(scales)
    _require(np.isfinite(factors).all() and (factors > 0).all() and (factors < 2**16).all(), f"scales {factors}")
    return _of_rank([int(size) for size in np.floor(np.array(x.shape, np.float32) * factors)], x)


def _of_rank(sizes: Sequence[int], x: Value) -> Value:
    _require(len(sizes) == len(x.shape), "sizes of other dimensions")
    return Value(tuple(sizes), x.kind)


def _one_hot(node: OnnxNode, places: Value, depth: Value, values: Value) -> Value:
    (size,) = _known(depth).reshape(-1).tolist()
    axis = _axis(node.number("axis", -1), places, beyond=1)
    return Value((*places.shape[:axis], int(size), *places.shape[axis:]), values.kind)


def _shape(node: OnnxNode, x: Value) -> Value:
    part = np.array(x.shape[node.number("start", 0) : node.attributes.get("end")], np.int64)
    return Value(part.shape, INT64, part)


def _top(node: OnnxNode, x: Value, number: Value) -> tuple[Value, Value]:
    (k,), axis = _whole(number), _axis(node.number("axis", -1), x)
    _require(1 <= k <= x.shape[axis], f"the {k} largest of {x.shape[axis]}")
    sizes = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    return Value(sizes, x.kind), Value(sizes, INT64, below=(x.shape[axis],))


def _suppression(_: OnnxNode, boxes: Value, scores: Value, most: Value, *limits: Value | None) -> Value:
    """Return as many rows as there can be."""
    (n, places, four), (same_n, classes, same_places) = boxes.shape, scores.shape
    _require((n, places, four) == (same_n, same_places, 4), "boxes and scores of other numbers")
    (kept,) = _whole(most)
    return Value((n * classes * min(kept, places), 3), INT64, below=(n, classes, places))


def _product(_: OnnxNode, x: Value, y: Value) -> Value:
    """Multiply matrices as NumPy does."""
    left, right = (x.shape if len(x.shape) > 1 else (1, *x.shape)), (y.shape if len(y.shape) > 1 else (*y.shape, 1))
    _require(left[-1] == right[-2], "matrices of other sizes")
    sizes = [*np.broadcast_shapes(left[:-2], right[:-2])]
    sizes += [left[-2]] * (len(x.shape) > 1) + [right[-1]] * (len(y.shape) > 1)
    return Value(tuple(sizes), x.kind)


def _gemm(node: OnnxNode, x: Value, y: Value, bias: Value | None = None) -> Value:
    rows, inner = x.shape[::-1] if node.number("transA", 0) else x.shape
    same, columns = y.shape[::-1] if node.number("transB", 0) else y.shape
    _require(inner == same, "matrices of other sizes")
    _require(bias is None or np.broadcast_shapes(bias.shape, (rows, columns)) == (rows, columns), "another bias")
    return Value((rows, columns), x.kind)


def _lstm(
    node: OnnxNode,
    x: Value,
    weights: Value,
    recurrent: Value,
    bias: Value | None = None,
    lengths: Value | None = None,
    hidden: Value | None = None,
    cell: Value | None = None,
    peepholes: Value | None = None,
) -> tuple[Value, ...]:
    (steps, n, inner), h = x.shape, node.number("hidden_size", 0)
    directions = 2 if node.attributes.get("direction") == b"bidirectional" else 1
    expected = (directions, 4 * h, inner), (directions, 4 * h, h)
    _require((weights.shape, recurrent.shape) == expected, "weights of other sizes")
    _require(bias is None or bias.shape == (directions, 8 * h), "a bias of another size")
    _require(all(one is None or one.shape == (directions, n, h) for one in (hidden, cell)), "states of another size")
    _require(lengths is None and peepholes is None, "lengths or peepholes")
    last = Value((directions, n, h), x.kind)
    return Value((steps, directions, n, h), x.kind), last, last


_RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "Elu", "Erf", "Exp", "HardSigmoid", "HardSwish", "LRN", "LeakyRelu", "Log", "LogSoftmax", "Reciprocal",
            "Selu", "Sigmoid", "Softmax", "Softplus", "Softsign", "Tanh",
        ),
        _same,
    ),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), _per_channel),
    **dict.fromkeys(("ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin"), _reduction),
    **dict.fromkeys(("AveragePool", "MaxPool"), _pool),
    **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), _global_pool),
    "Abs": _elementwise(np.abs),
    "Add": _elementwise(np.add),
    "And": _elementwise(np.logical_and, BOOL),
    "ArgMax": _best,
    "Cast": _cast,
    "Ceil": _elementwise(np.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "Constant": _constant,
    "ConstantOfShape": _fill,
    "Conv": _convolution,
    "ConvTranspose": _transposed,
    "DequantizeLinear": _quantised(FLOAT32),
    "Div": _quotient,
    "Equal": _elementwise(np.equal, BOOL),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _elementwise(np.floor),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Gemm": _gemm,
    "Greater": _elementwise(np.greater, BOOL),
    "Identity": _identity,
    "LSTM": _lstm,
    "LayerNormalization": _layer_norm,
    "Less": _elementwise(np.less, BOOL),
    "MatMul": _product,
    "Max": _elementwise(lambda *values: np.maximum.reduce(np.broadcast_arrays(*values))),
    "Min": _elementwise(lambda *values: np.minimum.reduce(np.broadcast_arrays(*values))),
    "Mod": _remainder,
    "Mul": _elementwise(np.multiply),
    "Neg": _elementwise(np.negative),
    "Not": _elementwise(np.logical_not, BOOL),
    "NonMaxSuppression": _suppression,
    "OneHot": _one_hot,
    "Or": _elementwise(np.logical_or, BOOL),
    "PRelu": _elementwise(),
    "Pad": _pad,
    "Pow": _elementwise(),
    "QuantizeLinear": _quantised(0),
    "ReduceSum": _sum,
    "Relu": _elementwise(lambda known: np.maximum(known, 0)),
    "Reshape": _reshape,
    "Resize": _resize,
    "ScatterND": _scatter_nd,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _elementwise(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _elementwise(np.subtract),
    "Tile": _tile,
    "TopK": _top,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _elementwise(np.where),
}  # fmt: skip
