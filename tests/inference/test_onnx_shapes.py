"""Shapes, types and known elements of each operator's outputs are those that ONNX Runtime computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from hubel.inference.onnx_nodes import KINDS, OnnxNode, Value
from hubel.inference.onnx_shapes import _RULES, infer

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

LEAST = -(2**63)
KIND_OF = {dtype: kind for kind, dtype in KINDS.items()}


class Fed:
    """An input that depends on the image."""

    def __init__(self, *shape: int, dtype: str = "float32", most: int = 5) -> None:
        self.array = np.random.default_rng(0).integers(1, most, shape).astype(dtype)


def i64(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def f32(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


def ones(*shape: int) -> NDArray[np.float32]:
    return np.ones(shape, np.float32)


X = Fed(2, 3, 8, 7)
ROWS: list[tuple[str, list[Any], dict[str, Any]]] = [
    *((name, [X], {}) for name in (
        "Abs", "Ceil", "Elu", "Erf", "Exp", "Floor", "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish",
        "Identity", "LeakyRelu", "Log", "LogSoftmax", "Neg", "Reciprocal", "Relu", "Selu", "Shape", "Sigmoid",
        "Softmax", "Softplus", "Softsign", "Sqrt", "Tanh", "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceSum", "ArgMax", "Flatten", "Squeeze", "Transpose",
    )),
    *((name, [X, Fed(8, 1)], {}) for name in ("Add", "Equal", "Greater", "Less", "Max", "Min", "Mul", "Pow", "Sub")),
    *((name, [f32(3, -2), f32(2)], {}) for name in ("Add", "Div", "Equal", "Less", "Max", "Min", "Mul", "Sub")),
    *((name, [f32(1.5, 4)], {}) for name in ("Abs", "Ceil", "Floor", "Neg", "Relu", "Sqrt")),
    *((name, [np.array([True, False]), np.array([[True], [False]])], {}) for name in ("And", "Or")),
    *((name, [X, ones(3), ones(3)], {}) for name in ("InstanceNormalization",)),
    ("Not", [np.array([True, False])], {}),
    ("Div", [X, f32(0)], {}),
    ("Div", [i64(7, -7, 6), i64(2)], {}),
    ("Div", [i64(7, -7, 6), i64(-2)], {}),
    ("Mod", [i64(7, -7, 6), i64(4)], {}),
    ("PRelu", [X, ones(3, 1, 1)], {}),
    ("Where", [Fed(8, 1, dtype="bool"), X, np.float32(0)], {}),
    ("Where", [np.array([True, False]), i64(1, 2), i64(3)], {}),
    ("Clip", [X, np.float32(0), np.float32(2)], {}),
    ("Clip", [i64(-3, 5), np.int64(0)], {}),
    ("Cast", [X], {"to": 7}),
    ("Cast", [f32(1.7, -1.7)], {"to": 7}),
    ("LRN", [X], {"size": 3}),
    ("BatchNormalization", [X, ones(3), ones(3), ones(3), ones(3)], {}),
    ("LayerNormalization", [X, ones(7), ones(7)], {"axis": -1}),
    ("QuantizeLinear", [X, np.float32(1), np.int8(0)], {}),
    ("QuantizeLinear", [X, ones(3), np.zeros(3, np.uint8)], {"axis": 1}),
    ("DequantizeLinear", [Fed(2, 3, dtype="uint8"), np.float32(1), np.uint8(0)], {}),
    ("ReduceMax", [X], {"axes": [1, -1], "keepdims": 0}),
    ("ReduceMean", [X], {"axes": [2, 3]}),
    ("ReduceSum", [X, i64(1)], {"keepdims": 0}),
    ("ReduceSum", [X], {"noop_with_empty_axes": 1}),
    ("ArgMax", [X], {"axis": 1, "keepdims": 0}),
    ("Conv", [X, ones(4, 3, 3, 2), ones(4)], {"pads": [1, 0, 2, 1], "strides": [2, 3], "dilations": [2, 1]}),
    ("Conv", [X, ones(6, 1, 1, 1)], {"group": 3, "kernel_shape": [1, 1]}),
    ("ConvTranspose", [X, ones(3, 4, 3, 3)], {"strides": [2, 3], "pads": [1, 0, 1, 0], "output_padding": [1, 0]}),
    ("ConvTranspose", [X, ones(3, 2, 2, 2)], {"group": 3, "dilations": [2, 1]}),
    *(
        (name, [Fed(1, 2, rows, 9)], {"kernel_shape": [k, 3], "strides": [s, 2], "pads": [p, 1] * 2, "ceil_mode": ceil})
        for name in ("AveragePool", "MaxPool")
        for rows in (2, 7, 8, 9, 10)
        for k, s, p in ((3, 2, 1), (2, 3, 0), (2, 3, 1), (3, 4, 1), (2, 2, 0), (3, 2, 0))
        for ceil in (0, 1)
        if rows >= k or ceil
    ),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "dilations": [2, 3]}),
    ("Flatten", [X], {"axis": 3}),
    ("Reshape", [X, i64(0, -1, 7)], {}),
    ("Reshape", [i64(1, 2, 3, 4), i64(2, 2)], {}),
    ("Reshape", [i64(5), i64()], {}),
    ("Squeeze", [Fed(2, 1, 3, 1), i64(-1)], {}),
    ("Squeeze", [i64(4), i64(0)], {}),
    ("Unsqueeze", [X, i64(0, -1)], {}),
    ("Unsqueeze", [np.int64(4), i64(0)], {}),
    ("Transpose", [X], {"perm": [0, 2, 3, 1]}),
    ("Transpose", [np.arange(6).reshape(2, 3)], {}),
    ("Concat", [X, X], {"axis": -3}),
    ("Concat", [i64(1), i64(2, 3), i64()], {"axis": 0}),
    ("Expand", [Fed(3, 1), i64(2, 1, 4)], {}),
    ("Expand", [i64(3), i64(2, 2)], {}),
    ("Tile", [X, i64(1, 2, 3, 1)], {}),
    ("Split", [X, i64(3, 5)], {"axis": 2, "outputs": 2}),
    ("Split", [X], {"axis": 2, "outputs": 4}),
    ("Split", [i64(1, 2, 3), i64(1, 2)], {"outputs": 2}),
    *(
        ("Slice", [X, i64(start), i64(end), i64(2), i64(step)], {})
        for start in (0, 3, -2, 7, -100)
        for end in (8, 5, -1, 2**63 - 1)
        for step in (1, 3)
        if len(range(8)[start:end:step])
    ),
    *(
        ("Slice", [X, i64(start), i64(end), i64(-1), i64(step)], {})
        for start in (6, -1, 4, 2**62)
        for end in (0, 2, -6, LEAST)
        for step in (-1, -2)
    ),
    ("Slice", [i64(1, 2, 3, 4), i64(1), i64(3)], {}),
    ("Gather", [X, np.array([[0, 2], [1, -1]])], {"axis": 1}),
    ("Gather", [i64(5, 6, 7), np.int64(-1)], {}),
    ("GatherElements", [X, np.zeros((2, 5, 8, 7), np.int64)], {"axis": 1}),
    ("GatherND", [X, np.array([[[1, 2]], [[0, 0]]])], {}),
    ("GatherND", [X, np.array([[[2, 7]], [[0, 0]]])], {"batch_dims": 1}),
    ("ScatterND", [X, np.array([[1, 2], [0, 1]]), ones(2, 8, 7)], {}),
    ("Pad", [X, i64(0, 0, 1, 2, 0, 1, 0, 3)], {}),
    ("Pad", [X, i64(0, 0, -1, 2, 0, 0, -3, 0)], {}),
    ("Pad", [X, i64(0, 0, 1, 2, 0, 0, 0, 3)], {"mode": "reflect"}),
    ("Pad", [X, i64(0, 0, 1, 20, 0, 0, 0, 3)], {"mode": "edge"}),
    ("Resize", [X, None, f32(1, 1, 1.7, 0.6)], {"mode": "nearest"}),
    ("Resize", [X, None, f32(1, 1, 2, 3)], {"mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    ("Resize", [X, f32(), f32(), i64(2, 3, 5, 16)], {"mode": "cubic"}),
    ("OneHot", [Fed(2, 3, dtype="int64"), np.int64(6), f32(0, 1)], {}),
    ("OneHot", [Fed(2, 3, dtype="int64"), i64(6), f32(0, 1)], {"axis": 1}),
    ("Shape", [X], {"start": 1, "end": -1}),
    ("ConstantOfShape", [i64(2, 3)], {}),
    ("ConstantOfShape", [i64()], {"value": numpy_helper.from_array(i64(4))}),
    ("ConstantOfShape", [i64(70, 70)], {"value": numpy_helper.from_array(i64(4))}),
    ("Constant", [], {"value": numpy_helper.from_array(i64(4, 5))}),
    ("TopK", [X, i64(3)], {"axis": 2, "outputs": 2}),
    ("MatMul", [X, ones(7, 4)], {}),
    ("MatMul", [X, ones(7)], {}),
    ("MatMul", [ones(8), X], {}),
    ("MatMul", [X, ones(5, 1, 1, 7, 2)], {}),
    ("Gemm", [Fed(4, 5), ones(6, 5), ones(6)], {"transB": 1}),
    ("Gemm", [Fed(5, 4), ones(5, 6)], {"transA": 1}),
    ("LSTM", [Fed(6, 2, 5), ones(1, 16, 5), ones(1, 16, 4), ones(1, 32)], {"hidden_size": 4, "outputs": 3}),
    ("LSTM", [Fed(6, 2, 5), ones(2, 16, 5), ones(2, 16, 4), None, None, ones(2, 2, 4), ones(2, 2, 4)],
     {"hidden_size": 4, "direction": "bidirectional", "outputs": 3}),
]  # fmt: skip


def inferred(operator: str, inputs: list[Any], attributes: dict[str, Any], outputs: int = 1) -> tuple[Value, ...]:
    """Return what the rule of an operator says of these inputs."""

    def stated(value: Any) -> Value | None:
        if value is None:
            return None
        array = value.array if isinstance(value, Fed) else np.asarray(value)
        return Value(array.shape, KIND_OF[array.dtype], None if isinstance(value, Fed) else array)

    values = {
        name: stated(numpy_helper.to_array(value)) if hasattr(value, "dims") else
        value.encode() if isinstance(value, str) else value
        for name, value in attributes.items()
    }  # fmt: skip
    names = tuple("" if value is None else f"i{place}" for place, value in enumerate(inputs))
    node = OnnxNode(operator, names, tuple(f"o{place}" for place in range(outputs)), values)
    return infer(node, [stated(value) for value in inputs])


def computed(operator: str, inputs: list[Any], attributes: dict[str, Any], outputs: int = 1) -> list[NDArray[Any]]:
    """Return what ONNX Runtime makes of them."""
    names = ["" if value is None else f"i{place}" for place, value in enumerate(inputs)]
    fed = {name: value.array for name, value in zip(names, inputs, strict=True) if isinstance(value, Fed)}
    constants = [
        numpy_helper.from_array(np.asarray(value), name)
        for name, value in zip(names, inputs, strict=True)
        if value is not None and not isinstance(value, Fed)
    ]
    made = [f"o{place}" for place in range(outputs)]
    graph = helper.make_graph(
        [helper.make_node(operator, names, made, **attributes)],
        "one",
        [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in fed.items()],
        [onnx.ValueInfoProto(name=name) for name in made],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(made, fed)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("operator", "inputs", "attributes"), ROWS, ids=lambda x: x if isinstance(x, str) else "")
def test_shapes_are_those_of_onnxruntime(operator: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    attributes = dict(attributes)
    outputs = attributes.pop("outputs", 1)
    found, expected = (run(operator, inputs, attributes, outputs) for run in (inferred, computed))
    for value, array in zip(found, expected, strict=False):
        assert (value.shape, KINDS[value.kind]) == (array.shape, array.dtype)
        if value.known is not None:
            np.testing.assert_array_equal(value.known, array)
    is_arithmetic = inputs and not any(isinstance(value, Fed) or value is None for value in inputs)
    assert not is_arithmetic or found[0].known is not None or found[0].elements > 2**12


def test_each_operator_is_compared() -> None:
    assert _RULES.keys() - {operator for operator, _, _ in ROWS} == {"NonMaxSuppression"}  # the row below


def test_suppression_states_the_most_rows() -> None:
    boxes, scores = np.random.default_rng(0).random((2, 5, 4), np.float32), Fed(2, 3, 5)
    inputs = [boxes, scores, i64(4), f32(1), f32(0)]
    (value,) = inferred("NonMaxSuppression", inputs, {})
    (rows,) = computed("NonMaxSuppression", inputs, {})
    assert value.shape == (2 * 3 * 4, 3) == rows.shape
    assert value.below == (2, 3, 5)
    assert (rows < value.below).all()


X4 = Fed(2, 3, 8, 7, dtype="int64")
REFUSED: list[tuple[str, list[Any], dict[str, Any], str]] = [
    ("Loop", [X], {}, "the operator 'Loop'"),
    ("Div", [X4, i64(0)], {}, "divisor of 0 or -1"),
    ("Div", [i64(LEAST), i64(-1)], {}, "divisor of 0 or -1"),
    ("Div", [X4, X4], {}, "divisor that depends on the image"),
    ("Mod", [X4, i64(3, -1, 3, 3, 3, 3, 3)], {}, "divisor of 0 or -1"),
    ("Reshape", [X, Fed(2, dtype="int64")], {}, "a size that depends on the image"),
    ("Reshape", [X, i64(-1, -1)], {}, "an impossible shape"),
    ("Reshape", [X, i64(2**32, 2**32)], {}, "another number of elements"),
    ("ConstantOfShape", [i64(-1)], {}, "another shape or value"),
    ("Conv", [X, ones(4, 3, 3, 3)], {"strides": [0, 1]}, "strides"),
    ("Conv", [X, ones(4, 3, 3, 3)], {"pads": [2**31] * 4}, "pads"),
    ("Conv", [X, ones(4, 3, 0, 0)], {}, "an empty input"),
    ("Conv", [X, ones(4, 3, 3, 3)], {"auto_pad": "SAME_UPPER"}, "auto_pad"),
    ("MaxPool", [X], {"kernel_shape": [0, 0]}, "kernel_shape"),
    ("MaxPool", [X], {"kernel_shape": [2, 2], "pads": [2, 2, 2, 2]}, "beyond the map"),
    ("Identity", [X], {"foo": 1}, "the attribute 'foo'"),
    ("Resize", [X, None, f32(1, 1, np.nan, 1)], {}, "scales"),
    ("Resize", [X, None, f32(1, 1, 1e30, 1)], {}, "scales"),
    ("Resize", [X, f32(0, 0, 1, 1), f32(1, 1, 2, 2)], {}, "a region"),
    ("Pad", [X, i64(0, 0, -(2**62), 0, 0, 0, 0, 0)], {}, "pads"),
    ("TopK", [X, i64(10**9)], {}, "largest of 7"),
    ("Cast", [f32(np.nan)], {"to": 7}, "without a whole part"),
    ("Cast", [X], {"to": 8}, "to 8"),
    ("Slice", [X, i64(0), i64(5), i64(2), i64(0)], {}, "steps"),
    ("Slice", [X, i64(0), i64(0), i64(2)], {}, "an output of shape"),
    ("Gather", [X, i64(3)], {"axis": 1}, "beyond its axis"),
    ("GatherND", [X, Fed(4, 1, dtype="int64")], {}, "places that may lie beyond"),
    ("GatherND", [X, i64(-1)], {}, "below 0"),
    ("GatherND", [X, i64(0)], {"batch_dims": -1}, "batch_dims"),
    ("ScatterND", [X, Fed(4, 1, dtype="int64"), ones(4, 3, 8, 7)], {}, "places that may lie beyond"),
    ("GatherElements", [X, X4], {}, "places that may lie beyond"),
    ("Unsqueeze", [X, i64(0, 1, 2, 3, 4)], {}, "9 dimensions"),
    ("InstanceNormalization", [Fed(0, 3, 8, 7), ones(3), ones(3)], {}, "an empty input"),
    ("LSTM", [Fed(6, 2, 5), ones(1, 16, 5), ones(1, 16, 1)], {"hidden_size": 4}, "weights of other sizes"),
    ("Add", [X, Fed(5)], {}, "do not belong together"),
    ("Concat", [], {"axis": 0}, "do not belong together"),
]


@pytest.mark.parametrize(("operator", "inputs", "attributes", "words"), REFUSED)
def test_what_stops_an_engine_is_refused(
    operator: str, inputs: list[Any], attributes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        inferred(operator, inputs, attributes)


def test_places_found_on_a_map_lie_on_it() -> None:
    """Of the largest elements, or of quotients of their places: as detectors decode boxes."""
    _, places = inferred("TopK", [Fed(2, 12), i64(5)], {}, 2)
    assert places.below == (12,)
    point = infer(OnnxNode("Div", ("a", "b"), ("c",), {}), [places, Value((), 7, np.array(3))])[0]
    assert point.below == (4,)
    column = infer(OnnxNode("Unsqueeze", ("a", "b"), ("c",), {}), [point, Value((1,), 7, i64(2))])[0]
    boxes = Value((2, 4, 4), 1)
    found = infer(OnnxNode("GatherND", ("a", "b"), ("c",), {"batch_dims": 1}), [boxes, column])[0]
    assert found.shape == (2, 5, 4)
    with pytest.raises(ValueError, match="beyond a map"):
        infer(OnnxNode("GatherND", ("a", "b"), ("c",), {"batch_dims": 1}), [Value((2, 3, 4), 1), column])
