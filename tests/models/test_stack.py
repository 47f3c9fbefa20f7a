"""Tables of layers: read, measured without torch, built, trained, kept and exported; and refused with a line."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

import hubel
from hubel import summary
from hubel.core.errors import HubelError, ModelFileError, OptionError, UnknownNameError
from hubel.data.preprocess import Preprocess
from hubel.export.onnx_graph import check_parity, onnx_network
from hubel.models import measure_stack, read_stack
from hubel.models.catalogue import build_model
from hubel.models.stack import _MODULES
from hubel.models.stack_cost import COSTS
from hubel.models.stack_table import KINDS, is_stack_file, read_stack_file
from hubel.training.resolve import plan_training
from hubel.weights import ModelCard, load_model, save_model

SHAPE = (1, 12, 10)

TOML = """# a residual block
[[layers]]
kind = "conv"
filters = 4

[[layers]]
kind = "residual"
layers = [{kind = "conv", filters = 4}, {kind = "relu"},
          {kind = "conv", filters = 4}]

[[layers]]
kind = "flatten"

[[layers]]
kind = "dense"
"""


def test_every_kind_has_its_cost_and_its_module() -> None:
    assert {kind for kind, one in KINDS.items() if not one.nested} == set(COSTS)
    assert set(_MODULES) == set(KINDS)


def layer(kind: str, **values: Any) -> dict[str, Any]:
    return {"kind": kind, **values}


# The encoder and the decoder of Keras' tutorial, as the catalogue's autoencoder_28 has them.
AUTOENCODER = [
    layer("conv", filters=16), layer("relu"), layer("pool"), layer("conv", filters=8), layer("relu"), layer("pool"),
    layer("conv", filters=4), layer("relu"), layer("pool", round_up=True),
    layer("conv", filters=4), layer("relu"), layer("upsample"), layer("conv", filters=8), layer("relu"),
    layer("upsample"), layer("conv", filters=16, padding="valid"), layer("relu"), layer("upsample"), layer("conv"),
]  # fmt: skip


def swap(old: str, new: str) -> str:
    assert old in TOML
    return TOML.replace(old, new)


def convolutions() -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda filters, kernel, stride, groups, bias: layer(
            "conv", filters=4 * filters, kernel=kernel, stride=stride, groups=groups, bias=bias, padding=1
        ),
        st.integers(1, 2), st.lists(st.integers(1, 3), min_size=2, max_size=2), st.integers(1, 2),
        st.sampled_from([1, 2, 4]), st.booleans(),
    )  # fmt: skip


BLOCKS = st.one_of(
    convolutions(),
    st.sampled_from([
        layer("relu"), layer("tanh"), layer("sigmoid"), layer("batch_norm"), layer("dropout", share=0.2),
        layer("pool", kernel=2, stride=1), layer("pool", mode="average", kernel=3, padding=1, stride=2, round_up=True),
        layer("upsample", mode="bilinear"), layer("transposed_conv", filters=4, kernel=3, padding=1, extra=1),
        layer("concat", branches=[[], [layer("conv", filters=4, dilation=2), layer("relu")]]),
        layer("residual", layers=[layer("conv", filters=4), layer("relu"), layer("conv", filters=4)],
              shortcut=[layer("conv", filters=4, kernel=1)]),
    ]),
)  # fmt: skip
STACKS = st.builds(
    lambda body, end: [layer("conv", filters=4), *body, *end, layer("dense")],
    st.lists(BLOCKS, min_size=2, max_size=6),
    st.sampled_from([[layer("global_average_pool")], [layer("flatten"), layer("dense", units=6), layer("tanh")]]),
)


FEW = settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@given(layers=STACKS)
@FEW
def test_stacks_train_a_step_and_come_back_and_export(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    check_stack(layers, tmp_path)


@pytest.mark.slow
@given(layers=STACKS)
@settings(FEW, max_examples=20)
def test_more_stacks(layers: list[dict[str, Any]], tmp_path: Path) -> None:
    check_stack(layers, tmp_path)


def check_stack(layers: list[dict[str, Any]], folder: Path) -> None:
    options = {"layers": json.dumps(layers)}
    preprocess = Preprocess(SHAPE[1], SHAPE[2], 1, mean=(0.5,), std=(0.25,))
    card = ModelCard("stack", ("a", "b", "c"), preprocess, options)
    torch.manual_seed(0)
    network = card.create().train()
    x, target = torch.randn(6, *SHAPE), torch.arange(6) % 3
    optimizer = torch.optim.SGD(network.parameters(), 0.01)
    loss = F.cross_entropy(network(x), target)
    loss.backward()
    optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    # The cost without torch is that of the network that torch runs.
    costs = measure_stack(read_stack(options["layers"]), SHAPE, classes=3)
    table = summary(network, SHAPE)
    assert (sum(c.params for c in costs), sum(c.macs for c in costs)) == (table.params, table.macs)
    maps = network.eval().maps(x)
    assert [c.after for c in costs if len(c.after) == 3][-1:] == [tuple(maps[list(maps)[-2]].shape[1:])]
    save_model(folder / "model.safetensors", network.state_dict(), card)
    again, _ = load_model(folder / "model.safetensors")
    with torch.inference_mode():
        torch.testing.assert_close(again(x), network(x))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 10, 1), dtype=np.uint8)
    assert check_parity(network, card, onnx_network(network, card), pixels).top1_equal == 3


def test_the_courses_autoencoder_as_a_table() -> None:
    costs = measure_stack(read_stack(json.dumps(AUTOENCODER)), (1, 28, 28), output="image")
    assert sum(cost.params for cost in costs) == 3_369
    assert sum(cost.macs for cost in costs) == summary("autoencoder_28").macs == 712_224
    assert [cost.after for cost in costs if cost.layer.kind == "pool"] == [(16, 14, 14), (8, 7, 7), (4, 4, 4)]
    network = build_model("stack_autoencoder", options={"layers": AUTOENCODER})
    assert network(torch.zeros(1, 1, 28, 28)).shape == (1, 1, 28, 28)


def test_toml_json_and_python_are_the_same_table() -> None:
    table = [layer("conv", filters=4), layer("relu"), layer("flatten"), layer("dense")]
    text = "\n".join(
        f'[[layers]]\nkind = "{one["kind"]}"\n{"filters = 4" if "filters" in one else ""}' for one in table
    )
    found = []
    for value in (text, json.dumps(table), json.dumps({"layers": table}), table):
        torch.manual_seed(3)
        found.append(build_model("stack", input_size=(8, 8), options={"layers": value})(torch.ones(1, 1, 8, 8)))
    assert all(torch.equal(one, found[0]) for one in found)


def test_measuring_needs_no_torch() -> None:
    script = (
        "import sys; from hubel.models import measure_stack, read_stack; "
        'measure_stack(read_stack(\'[{"kind": "conv", "filters": 2}]\'), (1, 8, 8)); print(\'torch\' in sys.modules)'
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_residual_block_starts_as_the_identity() -> None:
    network = build_model("stack", input_size=(8, 8), options={"layers": TOML})
    block = network.stages[0].residual2
    x = torch.rand(2, 4, 8, 8)
    assert torch.equal(block(x), x)


def test_very_deep_stacks_without_norm_keep_their_scale() -> None:
    body = [one for _ in range(24) for one in (layer("conv", filters=16), layer("relu"))]
    torch.manual_seed(1)
    options = {"layers": [*body, layer("flatten"), layer("dense", units=8), layer("relu"), layer("dense")]}
    network = build_model("stack", input_size=(8, 8), options=options)
    deep = network.stages(torch.randn(4, 1, 8, 8))
    assert 0.02 < deep.std() < 20


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (swap('"dense"', '"dens"'), r"layer 4, line 15: no kind of layer is called 'dens'; did you mean dense\?"),
        (swap("filters = 4\n", "filtres = 4\n"), "layer 1, line 3: no setting of conv .* did you mean filters"),
        (
            swap('kind = "flatten"', 'kind = "tanh"'),
            r"layer 4 \(dense\), line 15: takes numbers in a row, and gets maps of 4x8x8",
        ),
        (
            swap('"conv", filters = 4}]', '"conv", filters = 5}]'),
            r"layer 2 \(residual\), line 7: adds maps of 5x8x8 to maps of 4x8x8; .* shortcut",
        ),
        (
            swap('{kind = "relu"}', '{kind = "conv", filters = 3, groups = 2}'),
            r"layer 2\.2 \(conv\), line 8: 2 groups do not divide both 4 channels and 3",
        ),
        (
            swap("filters = 4\n", 'filters = 4\nkernel = 9\npadding = "valid"\n'),
            r"layer 1 \(conv\), line 3: a window of 9 pixels is larger",
        ),
        (
            swap("filters = 4\n", "filters = 0\n"),
            r"layer 1 \(conv\), line 3: filters is a whole number, not below 1, not 0",
        ),
        (
            swap("filters = 4\n", "filters = 4\nkernel = 2\n"),
            r"layer 1 \(conv\), line 3: a kernel of 2x2 has no centre",
        ),
        (
            TOML + "units = 7\n",
            r"layer 4 \(dense\), line 15: gives 7 numbers in a row, and the network has to give 10 numbers",
        ),
        (TOML + '[[layers]]\nkind = "sigmoid"\n', r"layer 5 \(sigmoid\), line 17: comes last; .* leave it out"),
        ('[{"kind": "relu"},\n {"filters": 3}]', "layer 2: it has no kind; the kinds are batch_norm, concat"),
        (
            '[{"kind": "concat",\n "branches": [[{"kind": "pool"}], []]}]',
            r"layer 1 \(concat\), line 1: joins maps of 1x4x4 and maps of 1x8x8",
        ),
        ('[{"kind": "concat"}]', "branches is missing, a list of lists of layers"),
        ('[{"kind": "residual"}]', "layers is missing, a list of layers"),
        ('[{"kind": "upsample", "factor": 60000}]', r"layer 1 \(upsample\), line 1: gives .* 134,217,728 are the most"),
        (json.dumps([layer("conv"), layer("conv", filters=60000)]), "filters are missing"),
        (json.dumps([layer("flatten"), *[layer("dense", units=65536)] * 2, layer("dense")]), "parameters is too large"),
        (json.dumps([layer("relu")] * 301), "301 layers is too large; 300 are the most"),
        (
            '[{"kind": "residual", "layers": ' * 9 + "[]" + "}]" * 9,
            "layers within layers within layers: 8 are the most",
        ),
        ("[" * 60_000, "TOML or JSON"),
        (" " * 70_000, "at most 65,536 letters"),
        ("layers = 3", "a table of layers is a list of layers"),
        ('[{"kind": "dropout", "share": 1.0}]', "share is a share from 0 to below 1, not 1.0"),
        ('[{"kind": "pool", "mode": "min"}]', "mode is max or average, not 'min'"),
        ("net.toml", "a file is named by --model FILE"),
        ("[3]", "a layer is a table such as"),
    ],
)
def test_faults_are_one_line_that_names_the_layer(text: str, message: str) -> None:
    with pytest.raises(HubelError, match=message) as caught:
        build_model("stack", input_size=(8, 8), options={"layers": text})
    assert "\n" not in str(caught.value)


def test_lines_are_not_told_where_they_cannot_be() -> None:
    text = '[{"layers": [{"kind": "relu"}], "kind": "residual"}, {"kind": "flaten"}]'
    with pytest.raises(UnknownNameError, match=r"^layer 2: no kind"):
        read_stack(text)


@given(text=st.text(max_size=40) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(sorted(KINDS)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["kind", "layers", "branches", "shortcut", "filters", "units", "kernel", "padding"]), inner, max_size=4),
    max_leaves=12,
).map(json.dumps))  # fmt: skip
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_text_is_a_table_or_refused(text: str) -> None:
    with contextlib.suppress(HubelError):
        measure_stack(read_stack(text), (1, 8, 8))


def test_a_file_on_the_command_line_is_kept_in_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(TOML)
    digits = load_digits()
    data = (digits.images[:60] * 15).astype(np.uint8), digits.target[:60].astype(str)
    plan = plan_training(data, hubel.Recipe(model="net.toml", epochs=1))
    assert (plan.card.model, plan.card.options) == ("stack", {"layers": TOML})
    assert plan.pinned.network.options == {"layers": TOML}
    assert plan_training(data, plan.pinned).card.options == plan.card.options
    assert summary("net.toml", (1, 8, 8)).params == sum(p.numel() for p in plan.create().parameters())
    for bad, message in (("absent.toml", "no such file"), ("bad.json", "bad.json: layer 1, line 1: no kind")):
        (tmp_path / "bad.json").write_text('[{"kind": "maxpool"}]')
        with pytest.raises(HubelError, match=message):
            plan_training(data, hubel.Recipe(model=bad))
    with pytest.raises(OptionError, match=r"write them into net\.toml"):
        plan_training(data, hubel.Recipe(model="net.toml", options={"k": "1"}))


def test_hostile_model_files_ask_for_no_memory(tmp_path: Path) -> None:
    preprocess = Preprocess(8, 8, 1, mean=(0.0,), std=(1.0,))
    huge = [layer("conv", filters=65536, kernel=64, padding=40)] * 3 + [layer("flatten"), layer("dense")]
    card = ModelCard("stack", ("a", "b"), preprocess, {"layers": json.dumps(huge)})
    save_model(tmp_path / "m.safetensors", {"x": torch.zeros(1)}, card)
    with pytest.raises(ModelFileError, match="are the most"):
        load_model(tmp_path / "m.safetensors")


def test_norms_of_vectors_are_folded_like_those_of_maps() -> None:
    table = [layer("flatten"), layer("dense", units=8), layer("batch_norm"), layer("relu"), layer("dense")]
    network = build_model("stack", input_size=(4, 4), options={"layers": table})
    assert any(isinstance(module, nn.BatchNorm1d) for module in network.modules())
    assert is_stack_file("A.TOML")
    with pytest.raises(OptionError, match="no such file"):
        read_stack_file("nowhere.json")
