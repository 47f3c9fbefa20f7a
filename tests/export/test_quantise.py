"""A network in 8 bits answers as it did, on both engines; what it loses is measured, and bounded."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.export.int8_graph import Int8Graph
from hubel.export.quantise import Cost, quantise
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

SIDE = 16


class FromBytes(nn.Module):
    """What stands around a network in an exported file."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(images.permute(0, 3, 1, 2).float() * (1 / 128) - 1.0)
        return torch.softmax(logits / 1.5, 1), logits


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.project = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.project(torch.relu(self.depthwise(x)))


def small(channels: int = 3, classes: int = 10) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1),
        nn.ReLU6(),
        Residual(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 24),
        nn.ReLU(),
        nn.Linear(24, classes),
    )


def exported(network: nn.Module, channels: int = 3) -> bytes:
    example, file = torch.zeros(2, SIDE, SIDE, channels, dtype=torch.uint8), io.BytesIO()
    names = [INPUT, *OUTPUTS]
    with undisturbed():
        torch.onnx.export(
            FromBytes(network).eval(),
            (example,),
            file,
            dynamo=False,
            opset_version=17,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "n"} for name in names},
        )
    return file.getvalue()


def pictures(count: int, channels: int = 3, seed: int = 1) -> np.ndarray:
    """Random pictures of low frequency, so that they differ in more than noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    return coarse.repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)


def answers(model: bytes, images: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(list(OUTPUTS), {INPUT: images})


def variation_kept(exact: np.ndarray, rounded: np.ndarray) -> float:
    return float(1 - np.square(exact - rounded).sum() / np.square(exact - exact.mean(0)).sum())


def operators(model: bytes) -> dict[str, list[str]]:
    """The operators that make the inputs of each named node."""
    nodes = onnx.load_from_string(model).graph.node
    makers = {name: node.op_type for node in nodes for name in node.output}
    return {node.name: [makers.get(name, "") for name in node.input] for node in nodes}


@pytest.fixture(scope="module")
def model() -> bytes:
    return exported(small())


def test_answers_stay_nearly_the_same_on_images_not_seen(model: bytes) -> None:
    result = quantise(model, pictures(64), max_drop=0.1)
    images = pictures(64, seed=2)
    (exact_scores, exact), (scores, logits) = answers(model, images), answers(result.model, images)
    assert variation_kept(exact, logits) > 0.98
    np.testing.assert_allclose(scores, exact_scores, atol=0.05)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    assert result.layers == 6
    assert result.kept_float == ()
    assert result.float_macs == 0
    assert result.cost.agreement >= 0.9
    assert result.cost.images == 64


def test_every_layer_has_rounded_inputs_and_weights_in_seven_bits(model: bytes) -> None:
    rounded = quantise(model, pictures(8), max_drop=1).model
    layers = {name: made_by for name, made_by in operators(rounded).items() if name.endswith(("Conv", "Gemm"))}
    assert len(layers) == 6
    assert all(made_by[:2] == ["DequantizeLinear"] * 2 for made_by in layers.values())
    numbers = [onnx.numpy_helper.to_array(x) for x in onnx.load_from_string(rounded).graph.initializer]
    weights = [x for x in numbers if x.dtype == np.int8 and x.ndim > 1]
    assert len(weights) == 6
    assert all(np.abs(x.astype(int)).max() <= 64 for x in weights)


def test_biases_take_back_what_rounded_weights_add_to_the_mean() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.uniform_(network[0].weight, 0.0, 1.0)
    network[0].weight.data[:, 0] = 40  # makes the steps of all the others coarse
    model, images = exported(network), 192 + pictures(64) // 4
    graph = Int8Graph(model, images)
    exact = answers(model, images)[1]
    with_means = answers(graph.rounded(()), images)[1]
    graph._biases = {}
    without = answers(graph.rounded(()), images)[1]
    assert np.abs((with_means - exact).mean(0)).max() < 0.5 * np.abs((without - exact).mean(0)).max()


def test_equal_images_give_equal_bytes_in_any_process(model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model)
    np.save(tmp_path / "images.npy", pictures(16))
    script = (
        "import sys, hashlib, numpy as np; from pathlib import Path; from hubel.export.quantise import quantise;"
        "p = Path(sys.argv[1]); r = quantise((p / 'model.onnx').read_bytes(), np.load(p / 'images.npy'), max_drop=1);"
        "print(hashlib.sha256(r.model).hexdigest(), 'torch' in sys.modules)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert found.pop().split()[1] == "False"


def test_nothing_is_left_behind_or_printed(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    images = pictures(8)
    before = images.copy()
    quantise(model, images, max_drop=1)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(images, before)


class Fragile(nn.Module):
    """One channel is 50,000 times as large as those that decide, and is taken away again."""

    def __init__(self, kernel: int = 1) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 16, 3, stride=2, padding=1)
        self.wide = nn.Conv2d(16, 32, 3, padding=1)
        self.loud = nn.Conv2d(32, 8, kernel, padding=kernel // 2)
        self.quiet = nn.Conv2d(8, 8, 1)
        self.body = nn.Conv2d(8, 64, 3, padding=1)
        self.head = nn.Linear(64, 5)
        with torch.no_grad():
            self.loud.weight[0] *= 50_000
            self.quiet.weight[:, 0] = 0
            seen = torch.from_numpy(pictures(64)).permute(0, 3, 1, 2) / 128 - 1.0
            self.head.bias -= self(seen).mean(0)  # so that no class is best everywhere

    def forward(self, x: Tensor) -> Tensor:
        x = self.quiet(self.loud(torch.relu(self.wide(torch.relu(self.first(x))))))
        return self.head(torch.relu(self.body(x)).amax((2, 3)))


def test_layers_that_hurt_stay_float_and_the_result_fits() -> None:
    model, images = exported(Fragile()), pictures(64)
    everything = quantise(model, images, max_drop=1)
    assert everything.cost.drop > 0.1
    result = quantise(model, images, max_drop=0.05)
    assert result.cost.drop <= 0.05
    assert {"loud", "quiet"} & set(result.kept_float)
    assert "body" not in result.kept_float
    assert 0 < result.float_macs <= 0.5
    weights = {x.name for x in onnx.load_from_string(result.model).graph.initializer if x.data_type == 1}
    assert all(f"network.{name}.weight" in weights for name in result.kept_float)
    assert "stay float: " in str(result)


def test_layers_in_float_are_computed_in_float_between_rounded_ones() -> None:
    """ONNX Runtime would round such weights after all; its answer without optimisation is the file's own."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 8, 3), nn.Flatten())
    network.append(nn.Linear(8 * (SIDE - 6) ** 2, 5))
    network[1].weight.data *= torch.logspace(-3, 1, 16).view(-1, 1, 1, 1)
    network[2].weight.data /= torch.logspace(-3, 1, 16).view(1, -1, 1, 1)
    model, images = exported(network), pictures(16)
    graph = Int8Graph(model, images)
    rounded = graph.rounded(list(graph.layers)[1:2])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(rounded, options, providers=["CPUExecutionProvider"])
    exact = plain.run([OUTPUTS[1]], {INPUT: images})[0]
    assert variation_kept(exact, answers(rounded, images)[1]) > 0.999


def test_means_whose_last_window_is_cut_off_are_right() -> None:
    """ONNX Runtime computes them wrongly in 8 bits."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True))
    model, images = (
        exported(body.append(nn.Conv2d(16, 8, 1)).append(nn.Flatten()).append(nn.Linear(512, 5))),
        pictures(32),
    )
    result = quantise(model, images, max_drop=1)
    assert variation_kept(answers(model, images)[1], answers(result.model, images)[1]) > 0.99


def test_refuses_where_half_of_the_multiply_adds_would_stay_float() -> None:
    with pytest.raises(
        OptionError, match=r"cost too much.*of 6 layers.*64 images.*5\.0% may be lost.*--max-drop"
    ) as error:
        quantise(exported(Fragile(kernel=7)), pictures(64), max_drop=0.05)
    assert "\n" not in str(error.value)


def test_labels_say_what_accuracy_is_lost(model: bytes) -> None:
    images = pictures(40, seed=4)
    targets = answers(model, images)[1].argmax(1)
    targets[:10] = (targets[:10] + 1) % 10
    result = quantise(model, pictures(32), max_drop=0.2, check=(images, targets))
    assert result.cost.images == 40
    assert result.cost.accuracy_before == 0.75
    assert result.cost.accuracy_after is not None
    assert result.cost.drop == result.cost.accuracy_before - result.cost.accuracy_after
    assert "accuracy 75.0% before" in str(result)
    assert set(result.facts()) >= {"agreement", "accuracy_before", "accuracy_after", "kept_float", "float_macs"}


def test_a_gain_in_accuracy_is_no_loss() -> None:
    assert Cost(10, 0.5, 0.6, 0.7).drop < 0
    assert Cost(10, 0.5).drop == 0.5


@pytest.mark.peer
def test_both_engines_make_the_same_of_it(model: bytes) -> None:
    openvino = pytest.importorskip("openvino")
    images = pictures(32, seed=5)
    for result in (
        quantise(model, pictures(32), max_drop=1).model,
        quantise(exported(Fragile()), pictures(32), max_drop=0.05).model,
    ):
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(result), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        other = compiled([images])[OUTPUTS[1]]
        assert variation_kept(answers(result, images)[1], other) > 0.99


def test_one_grey_image_is_enough() -> None:
    model = exported(small(channels=1), channels=1)
    result = quantise(model, pictures(1, channels=1), max_drop=1)
    images = pictures(32, channels=1, seed=6)
    assert variation_kept(answers(model, images)[1], answers(result.model, images)[1]) > 0.5


def test_linear_layers_alone_are_rounded() -> None:
    torch.manual_seed(0)
    model = exported(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 16, bias=False), nn.ReLU(), nn.Linear(16, 5)))
    result = quantise(model, pictures(64), max_drop=1)
    assert result.layers == 2
    images = pictures(64, seed=7)
    assert variation_kept(answers(model, images)[1], answers(result.model, images)[1]) > 0.98


def test_nothing_to_round_or_to_measure_with(model: bytes) -> None:
    with pytest.raises(OptionError, match="no convolution and no linear layer"):
        quantise(exported(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())), pictures(4))
    with pytest.raises(OptionError, match="there are none"):
        quantise(model, pictures(0))
    with pytest.raises(OptionError, match="there are none"):
        quantise(model, pictures(4), check=(pictures(0), np.zeros(0, np.int64)))
