"""Model files that a stranger might send: 300, made from one small model, each damaged or made to do harm.

`hostile_models(canary)` yields name and content, `sample_of_hostile_models(canary)` those of a few. Whatever runs code
in one of them creates the file `canary`. `hostile_graphs()` are ONNX files by names that say what is wrong, with a part
of the line that refuses them: most stopped ONNX Runtime or OpenVINO, hung it, or took gigabytes.
`COMMANDS` are the command lines that take a model file; each works with one of the `whole_models`, and OTHER is one.
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import random
import struct
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from hubel.data.preprocess import Preprocess
from hubel.export.onnx_graph import onnx_network
from hubel.inference.onnx_file import described
from hubel.weights.model_file import _NO_DIGEST, _as_stored
from small_card import CARD

__all__ = ["COMMANDS", "hostile_graphs", "hostile_models", "sample_of_hostile_models", "whole_models"]

_BUILD = "--model convnet --options.filters 4,8 --options.repeat 1"
COMMANDS = (
    "predict MODEL PHOTO", "evaluate MODEL PHOTOS --out evaluated", "explain MODEL PHOTO --out explained",
    "explain MODEL PHOTO --maps --out maps", "explain MODEL PHOTO --compare --out compared",
    "explain MODEL PHOTO --unit stage2:3 --patches PHOTOS --out unit", "explain MODEL --filters --out filters",
    "explain MODEL --templates --out templates", "export MODEL -o out.onnx", "summary MODEL", "compare MODEL MODEL",
    "serve MODEL", "embed MODEL PHOTOS --out embedded", "similar MODEL PHOTOS PHOTO",
    "robust MODEL PHOTOS --quick --images 3 --only rotation --out robust", "drift MODEL PHOTOS --data PHOTOS",
    "data check PHOTOS --model MODEL --out check", "bench MODEL --seconds 0.05 --engine onnxruntime",
    "ensemble OTHER MODEL -o both.onnx", f"weights convert MODEL {_BUILD} --out out.safetensors",
    f"train PHOTOS --weights MODEL {_BUILD} --epochs 1 --size 12x10 --out run",
)  # fmt: skip

_DAMAGES = {"pth": 20, "safetensors": 40, "onnx": 40}  # flips, cuts and exchanges of bytes


def whole_models() -> dict[str, bytes]:
    """The small model in each format."""
    torch.manual_seed(0)
    network = CARD.create().eval()
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    return {
        "pth": saved(weights),
        "safetensors": signed(weights, {}),
        "onnx": described(onnx_network(network, CARD), CARD, {}),
    }


def saved(content: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():  # old kinds of tensors are deprecated
        warnings.simplefilter("ignore")
        torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def signed(weights: dict[str, torch.Tensor], changes: dict[str, Any]) -> bytes:
    """A model file with changed fields of its card, and a checksum that is right."""
    card = {**json.loads(json.dumps(CARD.__dict__, default=lambda p: p.to_json())), "format": 1, "sha256": _NO_DIGEST}
    data = save(weights, {"hubel": json.dumps({**card, **changes})})
    digest = hashlib.sha256(data).hexdigest()
    return data.replace(_as_stored(_NO_DIGEST), _as_stored(digest), 1)


def hostile_models(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name, with the ending of its format, and content of each file."""
    whole, number = whole_models(), 0
    for kind, made in _made(whole, canary):
        for content in (*made, *_damaged(whole[kind], _DAMAGES[kind])):
            number += 1
            yield f"{number:03}.{kind}", content
    others = [*whole.values(), b"", b"\0", b"hello", b"\x89HDF\r\n\x1a\n" + bytes(900)]
    others += [pickle.dumps(_Harm(canary)), zipped({"a.npy": pickle.dumps(_Harm(canary))}), b"\x80\x04" + b"]" * 10**6]
    for ending in ("pth", "pt", "bin", "safetensors", "onnx", "npz", "h5"):
        for content in others:
            number += 1
            if number > 300:
                return
            yield f"{number:03}.{ending}", content


def sample_of_hostile_models(canary: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the first attack on each format, and a file of it that is cut: name and content."""
    whole = whole_models()
    for kind, made in _made(whole, canary):
        yield f"attack.{kind}", next(made)
        yield f"cut.{kind}", next(content for content in _damaged(whole[kind], 2) if len(content) < len(whole[kind]))


def _made(whole: dict[str, bytes], canary: Path) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield each format with the files of it that are made to do harm, each of which is made when it is asked for."""
    weights = torch.load(io.BytesIO(whole["pth"]), weights_only=True)
    yield "pth", _torch_files(weights, canary)
    yield "safetensors", _safetensors_files(weights)
    yield "onnx", _onnx_files()


class _Harm:
    """An object whose unpickling touches a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.touch, (self.canary,)


class _Eval(_Harm):
    def __reduce__(self) -> Any:
        return eval, (f"open({str(self.canary)!r}, 'w')",)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _torch_files(weights: dict[str, torch.Tensor], canary: Path) -> Iterator[bytes]:
    first = next(iter(weights))
    plain = weights[first]
    for harm in (_Harm(canary), _Eval(canary)):
        for content in (harm, {"state_dict": harm}, {**weights, "x": harm}, [harm], {first: plain, "args": (harm,)}):
            yield saved(content)
            yield saved(content, legacy=True)
        yield from (pickle.dumps({first: harm}, protocol) for protocol in range(6))
    mode = f"cposix\nsystem\n(S'touch {canary}'\ntR.".encode()
    yield from (mode, b"(S'touch %s'\niposix\nsystem\n." % str(canary).encode(), b"\x80\x02" + mode)
    members = _members(saved(weights))
    pickled = next(name for name in members if name.endswith("data.pkl"))
    yield zipped({**members, pickled: mode})
    yield zipped(members, zipfile.ZIP_DEFLATED)
    storage = next(name for name in members if name.endswith("/data/0"))
    yield zipped({**members, storage: bytes(64 * 2**20)}, zipfile.ZIP_DEFLATED)
    yield zipped({**members, pickled: b"\x80\x02" + b"]" * 5_000_000}, zipfile.ZIP_DEFLATED)
    yield zipped({**members, pickled: b"\x80\x02" + b"]" * 5_000_000})
    yield saved(torch.nn.Linear(2, 2))
    cyclic: dict[str, Any] = {"epoch": 3}
    cyclic["state_dict"] = cyclic["model"] = cyclic["net"] = cyclic
    yield saved(cyclic)
    for size in (10**5, 10**6):
        huge = torch.zeros(1).expand(size, size)
        yield from (saved({**weights, first: huge}), saved({first: huge}), saved({"head.linear.bias": huge[0]}))
        yield saved({**weights, first: huge}, legacy=True)
    for changed in (
        plain * float("nan"), plain / 0, plain.to(torch.complex64), plain > 0, plain.to(torch.int32), plain.to("meta"),
        plain.to_sparse(), plain.reshape(-1), plain.T if plain.ndim == 2 else plain.transpose(0, -1), plain[:0],
        torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8), torch.tensor(1.0), plain[None], "text", None, [plain],
    ):  # fmt: skip
        yield saved({**weights, first: changed})
    yield from (saved({}), saved([]), saved(3), saved({1: plain}), saved({"a" * 10**6: plain}), saved(plain))


def _safetensors_files(weights: dict[str, torch.Tensor]) -> Iterator[bytes]:
    def header(content: bytes, length: int | None = None, data: bytes = b"") -> bytes:
        return struct.pack("<Q", len(content) if length is None else length) + content + data

    entry = '{"a": {"dtype": "F32", "shape": %s, "data_offsets": %s}}'
    for shape, offsets in (
        ("[1]", "[0, 4]"), ("[-1]", "[0, 4]"), ("[1000000000000]", "[0, 4]"), ("[1]", "[4, 0]"), ("[1]", "[0, 1e999]"),
        ("[1]", "[-4, 0]"), ("[[1]]", "[0, 4]"), ("null", "[0, 4]"), ("[1]", "null"), ("[1]", '["a", "b"]'),
        ("[1]", "[0, 20000000000]"),
    ):  # fmt: skip
        yield header((entry % (shape, offsets)).encode(), data=bytes(4))
    first = json.dumps({"dtype": "F32", "shape": [1], "data_offsets": [0, 4]})
    for pairs in (  # overlapping, doubled, no text, and of a size whose product is past 64 bits
        f'{{"a": {first}, "b": {first}}}', f'{{"a": {first}, "a": {first}}}', f'{{"a\\ud800": {first}}}',
        f'{{"a": {first.replace("[1]", "[4294967296, 4294967296]")}}}', f'{{"a": {first.replace("F32", "F64")}}}',
        f'{{"a": {first}, "__metadata__": {{"hubel": {{}}}}}}', f'{{"a": {first}, "__metadata__": 5}}',
        f'{{"a": {first}, "__metadata__": {{"hubel": "{"[" * 10**5}"}}}}',
    ):  # fmt: skip
        yield header(pairs.encode(), data=bytes(4))
    yield from (header(f'{{"\xff": {first}}}'.encode("latin-1"), data=bytes(4)), header(first.encode("utf-16")))
    yield from (header(b"[" * 10**6), header(b"{", 2**60), header(b"{}"), header(b"[]"), header(b'{"a": 1}'))
    yield header(b'{"a":' + b"[[]," * 8_000_000 + b"0" + b"]" * 8_000_000 + b"}")
    yield header(b'{"a": "' + b"x" * 40_000_000 + b'"}')
    wide = {"height": 8192, "width": 8192}
    for changes in (
        {"model": "vgg19"}, {"model": "resnet9000"}, {"options": {"filters": [10**6, 10**6]}},
        {"options": {"filters": [10**12]}}, {"options": {"repeat": [10**9]}},
        {"model": "mlp", "options": {"hidden": [10**9]}},
        {"preprocess": {**CARD.preprocess.to_json(), **wide}}, {"preprocess": {}}, {"classes": ["a"] * 3},
        {"classes": [str(i) for i in range(10**5)]}, {"temperature": float("nan")}, {"temperature": 10**400},
        {"provenance": {"a": float("nan")}}, {"scores": "x"}, {"task": "x"}, {"format": 2}, {"extra": 1},
        {"sha256": "a"},
    ):  # fmt: skip
        yield signed(weights, changes)
    for name in list(weights)[:3]:
        for change in (float("nan"), float("inf"), 3e38):
            yield signed({**weights, name: torch.full_like(weights[name], change)}, {})
    yield signed({}, {})


def _onnx_files() -> Iterator[bytes]:
    import onnx
    from onnx import TensorProto, helper

    network = onnx_network(CARD.create().eval(), CARD)

    def changed(change: Any) -> bytes:
        model = onnx.ModelProto.FromString(network)
        change(model)
        return described(model.SerializeToString(), CARD, {})

    def outside(model: Any, place: str) -> None:
        weight = model.graph.initializer[0]
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)

    def node(operator: str, *inputs: str, **attributes: Any) -> Any:
        return lambda model: model.graph.node.insert(
            0, helper.make_node(operator, list(inputs), ["bomb"], **attributes)
        )

    for place in ("*/_ORT_MEM_ADDR_/*", "/etc/passwd", "../secret", "weights.bin"):
        yield changed(lambda model, place=place: outside(model, place))
    body = onnx.ModelProto.FromString(network).graph
    for operator in ("Loop", "Scan", "If", "Expand", "Tile", "RandomNormal", "StringSplit", "Range", "FusedConv"):
        yield changed(node(operator, "images"))
        yield changed(node(operator, "images", body=body))
    yield changed(lambda model: model.functions.add(name="f", domain="x"))
    yield changed(lambda model: model.graph.output.pop())
    yield changed(lambda model: setattr(model.graph.input[0], "name", "x"))
    yield changed(lambda model: model.graph.initializer[0].dims.append(2**40))
    yield changed(lambda model: model.graph.node.pop())
    yield described(network, replace(CARD, classes=("a", "b")), {})
    yield described(network, replace(CARD, preprocess=Preprocess(8192, 8192)), {})
    yield described(network, replace(CARD, scores="identity", task="regress", classes=("a",)), {})
    yield described(b"", CARD, {})
    yield network
    yield from (content for content, _ in hostile_graphs().values())


Nodes = list[tuple[str, str, dict[str, Any]]]  # operator, names of inputs, attributes; outputs are "a", "b", "c", ...


def _int64(*numbers: int) -> Any:
    return np.array(numbers, np.int64)


def _float(*numbers: float) -> Any:
    return np.array(numbers, np.float32)


# By what is wrong: nodes, constants and a part of the line that refuses them. "x" are the images as float32
# `(n, h, w, c)`, "xi" as int64.
_GRAPHS: dict[str, tuple[Nodes, dict[str, Any], str]] = {
    "the least number by -1": ([("Div", "p q", {})], {"p": _int64(-(2**63)), "q": _int64(-1)}, "divisor of 0 or -1"),
    "the remainder by 0": ([("Mod", "xi q", {})], {"q": _int64(0)}, "divisor of 0 or -1"),
    "a division by pixels": ([("Div", "xi xi", {})], {}, "divisor that depends on the image"),
    "a division by a computed -1": (
        [("Neg", "q", {}), ("Div", "xi a", {})], {"q": _int64(1)}, "divisor of 0 or -1"
    ),
    "a map of 4 TiB": ([("ConstantOfShape", "s", {})], {"s": _int64(2**20, 2**10, 2**10)}, "bytes for one image"),
    "a column by a row": (
        [("ConstantOfShape", "s", {}), ("ConstantOfShape", "t", {}), ("Add", "a b", {})],
        {"s": _int64(2**19, 1), "t": _int64(1, 2**19)},
        "bytes for one image",
    ),
    "a product of a column and a row": (
        [("ConstantOfShape", "s", {}), ("ConstantOfShape", "t", {}), ("MatMul", "a b", {})],
        {"s": _int64(2**19, 1), "t": _int64(1, 2**19)},
        "bytes for one image",
    ),
    "a map that grows fourfold": (
        [("Identity", "x", {}), *(("Concat", " ".join(chr(97 + i) * 4), {"axis": 1}) for i in range(20))],
        {},
        "bytes for one image",
    ),
    "places by the million": (
        [("ConstantOfShape", "s", {}), ("Cast", "a", {"to": 7}), ("Gather", "x b", {"axis": 2}),
         ("Gather", "c b", {"axis": 1})],
        {"s": _int64(2**20)},
        "bytes for one image",
    ),
    "a wide code": ([("OneHot", "xi d v", {})], {"d": _int64(2**36), "v": _float(0, 1)}, "bytes for one image"),
    "a size from pixels": (
        [("ReduceMax", "xi", {"keepdims": 0}), ("Unsqueeze", "a z", {}), ("ConstantOfShape", "b", {})],
        {"z": _int64(0)},
        "a size that depends on the image",
    ),
    "pads of -2^62 and 2^62": (
        [("Pad", "x p", {})], {"p": _int64(0, 0, 0, -(2**62), 0, 0, 0, 2**62)}, "Pad with pads"
    ),
    "pads of the largest number": (
        [("Pad", "x p", {})], {"p": _int64(0, 0, 2**63 - 1, 0, 0, 0, 2**63 - 1, 0)}, "Pad with pads"
    ),
    "an infinite scale": ([("Resize", "x  s", {})], {"s": _float(1, 1, np.inf, 1)}, "Resize with scales"),
    "a scale of 1e30": ([("Resize", "x  s", {})], {"s": _float(1, 1, 1e30, 1)}, "Resize with scales"),
    "places beyond a map": (
        [("Unsqueeze", "xi z", {}), ("GatherND", "x a", {})], {"z": _int64(4)}, "places that may lie beyond a map"
    ),
    "places beyond a row": ([("GatherElements", "x xi", {})], {}, "places that may lie beyond a map"),
    "a negative number of dimensions": (
        [("GatherND", "x i", {"batch_dims": -100})], {"i": _int64(0)}, "batch_dims -100"
    ),
    "strides of 2^62": (
        [("MaxPool", "x", {"kernel_shape": [2, 2], "strides": [2**62] * 2})], {}, "strides"
    ),
    "windows of 2^31 - 1": (
        [("AveragePool", "x", {"kernel_shape": [2**31 - 1] * 2, "auto_pad": "SAME_UPPER"})], {}, "AveragePool with"
    ),
    "dilations and pads of 2^31 - 1": (
        [("Conv", "x w", {"dilations": [2**31 - 1] * 2, "pads": [2**31 - 1] * 4})],
        {"w": np.ones((1, 12, 3, 3), np.float32)},
        "Conv with",
    ),
    "a map of no pixels": (
        [("Slice", "x z z z", {}), ("InstanceNormalization", "a s s", {})],
        {"z": _int64(0), "s": np.ones(12, np.float32)},
        "an output of shape",
    ),
    "a state of 2^20": (
        [("Reshape", "x s", {}), ("LSTM", "a w r", {"hidden_size": 2**20})],
        {"s": _int64(-1, 1, 1), "w": np.ones((1, 16, 1), np.float32), "r": np.ones((1, 16, 4), np.float32)},
        "hidden_size",
    ),
    "a million steps": (
        [("Pad", "x p", {}), ("Reshape", "a s", {}), ("LSTM", "b w r", {"hidden_size": 4})],
        {
            "p": _int64(*[0] * 6, 10_000, 0),
            "s": _int64(-1, 1, 1),
            "w": np.ones((1, 16, 1), np.float32),
            "r": np.ones((1, 16, 4), np.float32),
        },
        "operations for one image",
    ),
    "windows of a million pixels": (
        [("Pad", "x p", {}), ("MaxPool", "a", {"kernel_shape": [1000, 1000]})],
        {"p": _int64(*[0] * 6, 2000, 2000)},
        "operations for one image",
    ),
    "products of large constants": (
        [("ConstantOfShape", "s", {}), *(("MatMul", f"{chr(97 + i)} a", {}) for i in range(10))],
        {"s": _int64(1024, 1024)},
        "operations for one image",
    ),
    "20,000 nodes": ([("Abs", "x", {})] * 20_000, {}, "more than 8,192 nodes"),
    "100,000 inputs": ([("Max", " ".join(["x"] * 100_000), {})], {}, "operators read"),
    "millions of axes": ([("Transpose", "x", {"perm": [0] * 2_000_000})], {}, "262,144 fields"),
    "texts": ([("Cast", "x", {"to": 8})], {}, "Cast with to 8"),
    "steps of 0": (
        [("Slice", "x z e z o", {})], {"z": _int64(0), "e": _int64(1), "o": _int64(0)}, "Slice with other axes or steps"
    ),
}  # fmt: skip


@cache
def hostile_graphs() -> dict[str, tuple[bytes, str]]:
    """Return content of each file, and a part of the line that refuses it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    network = onnx_network(CARD.create().eval(), CARD)
    found = {}
    for name, (nodes, constants, words) in _GRAPHS.items():
        model = onnx.ModelProto.FromString(network)
        first = [
            ("Cast", "images", "x", {"to": TensorProto.FLOAT}),
            ("Cast", "images", "xi", {"to": TensorProto.INT64}),
        ]
        made = [(op, inputs, chr(97 + i) if i < 26 else f"a{i}", extra) for i, (op, inputs, extra) in enumerate(nodes)]
        for operator, inputs, output, extra in (*first, *made):
            model.graph.node.append(helper.make_node(operator, inputs.split(" "), [output], **extra))
        model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in constants.items())
        found[name] = described(model.SerializeToString(), CARD, {}), words
    return found


def _damaged(whole: bytes, n: int) -> Iterator[bytes]:
    """Flips of a bit, cuts, additions and exchanges of bytes, by a fixed seed."""
    chance = random.Random(len(whole))
    for number in range(n):
        place = chance.randrange(len(whole))
        flipped = bytes([whole[place] ^ 1 << chance.randrange(8)])
        yield (
            whole[:place] + flipped + whole[place + 1 :],
            whole[:place],
            whole[:place] + chance.randbytes(64) + whole[place + 64 :],
            whole + chance.randbytes(16),
        )[number % 4]
