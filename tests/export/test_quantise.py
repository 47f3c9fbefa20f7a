"""An int8 network predicts nearly as in float32, on both engines; the loss is measured and bounded."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError
from hubel.export.int8_graph import Int8Graph
from hubel.export.quantise import OnnxQuantiser, QuantisationCost, Quantised
from hubel.inference.engines.nncf_quantiser import NncfQuantiser
from hubel.inference.engines.quantiser import Quantiser
from hubel.inference.onnx_file import INPUT, OUTPUTS
from hubel.inference.quiet import undisturbed

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

SIDE = 16


class FromBytes(nn.Module):
    """A network with the preprocessing and the scores of an exported file."""

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


def low_frequency_images(count: int, channels: int = 3, seed: int = 1) -> np.ndarray:
    """Return random images of low frequency, so that they differ in more than noise."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, channels), dtype=np.uint8)
    return coarse.repeat(SIDE // 4, 1).repeat(SIDE // 4, 2)


def outputs(model: bytes, images: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"]).run(list(OUTPUTS), {INPUT: images})


def explained_variance(exact: np.ndarray, rounded: np.ndarray) -> float:
    return float(1 - np.square(exact - rounded).sum() / np.square(exact - exact.mean(0)).sum())


def operators(model: bytes) -> dict[str, list[str]]:
    """Return the operators whose outputs are the inputs of each named node."""
    nodes = onnx.load_from_string(model).graph.node
    makers = {name: node.op_type for node in nodes for name in node.output}
    return {node.name: [makers.get(name, "") for name in node.input] for node in nodes}


def quantise(model: bytes, images: np.ndarray, **settings: Any) -> Quantised:
    return OnnxQuantiser(**settings).quantise_with_cost(model, images)


@pytest.fixture(scope="module")
def model() -> bytes:
    return exported(small())


def test_outputs_stay_nearly_the_same_on_unseen_images(model: bytes) -> None:
    result = quantise(model, low_frequency_images(64), max_drop=0.1)
    images = low_frequency_images(64, seed=2)
    (exact_scores, exact), (scores, logits) = outputs(model, images), outputs(result.model, images)
    assert explained_variance(exact, logits) > 0.98
    np.testing.assert_allclose(scores, exact_scores, atol=0.05)
    np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-5)
    assert result.layers == 6
    assert result.float_layers == ()
    assert result.float_macs == 0
    assert result.cost.agreement >= 0.9
    assert result.cost.images == 32


def test_every_layer_has_rounded_inputs_and_weights_in_seven_bits(model: bytes) -> None:
    rounded = quantise(model, low_frequency_images(8), max_drop=1).model
    layers = {name: made_by for name, made_by in operators(rounded).items() if name.endswith(("Conv", "Gemm"))}
    assert len(layers) == 6
    assert all(made_by[:2] == ["DequantizeLinear"] * 2 for made_by in layers.values())
    numbers = [onnx.numpy_helper.to_array(x) for x in onnx.load_from_string(rounded).graph.initializer]
    weights = [x for x in numbers if x.dtype == np.int8 and x.ndim > 1]
    assert len(weights) == 6
    assert all(np.abs(x.astype(int)).max() <= 64 for x in weights)


def test_biases_correct_the_mean_shift_of_rounded_weights() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.uniform_(network[0].weight, 0.0, 1.0)
    network[0].weight.data[:, 0] = 40  # makes the steps of all the others coarse
    model, images = exported(network), 192 + low_frequency_images(64) // 4
    graph = Int8Graph(model, images)
    exact = outputs(model, images)[1]
    with_means = outputs(graph.quantised(()), images)[1]
    graph._biases = {}
    without = outputs(graph.quantised(()), images)[1]
    assert np.abs((with_means - exact).mean(0)).max() < 0.5 * np.abs((without - exact).mean(0)).max()


def test_equal_images_give_equal_bytes_in_any_process(model: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model)
    np.save(tmp_path / "images.npy", low_frequency_images(16))
    script = (
        "import sys, hashlib, numpy as np; from pathlib import Path; from hubel.export.quantise import OnnxQuantiser;"
        "p = Path(sys.argv[1]); model, images = (p / 'model.onnx').read_bytes(), np.load(p / 'images.npy');"
        "print(hashlib.sha256(OnnxQuantiser(max_drop=1).quantise(model, images)).hexdigest(), 'torch' in sys.modules)"
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


def test_no_file_is_left_behind_and_nothing_printed(
    model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    images = low_frequency_images(8)
    before = images.copy()
    quantise(model, images, max_drop=1)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(images, before)


class Fragile(nn.Module):
    """A network with one channel 50,000 times as large as the decisive ones, which the next layer ignores."""

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
            seen = torch.from_numpy(low_frequency_images(64)).permute(0, 3, 1, 2) / 128 - 1.0
            self.head.bias -= self(seen).mean(0)  # so that no class is best everywhere

    def forward(self, x: Tensor) -> Tensor:
        x = self.quiet(self.loud(torch.relu(self.wide(torch.relu(self.first(x))))))
        return self.head(torch.relu(self.body(x)).amax((2, 3)))


def test_sensitive_layers_stay_float_and_the_cost_is_within_the_limit() -> None:
    model, images = exported(Fragile()), low_frequency_images(128)
    everything = quantise(model, images, max_drop=1)
    assert everything.cost.drop > 0.1
    result = quantise(model, images, max_drop=0.05)
    assert result.cost.drop - 2 * result.cost.standard_error <= 0.05
    assert {"loud", "quiet"} & set(result.float_layers)
    assert "body" not in result.float_layers
    assert 0 < result.float_macs <= 0.5
    weights = {x.name for x in onnx.load_from_string(result.model).graph.initializer if x.data_type == 1}
    assert all(f"network.{name}.weight" in weights for name in result.float_layers)
    assert "stay float: " in str(result)


def test_layers_in_float_are_computed_in_float_between_rounded_ones() -> None:
    """ONNX Runtime would round such weights after all; its output without optimisation is that of the file."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, groups=16), nn.Conv2d(16, 8, 3), nn.Flatten())
    network.append(nn.Linear(8 * (SIDE - 6) ** 2, 5))
    network[1].weight.data *= torch.logspace(-3, 1, 16).view(-1, 1, 1, 1)
    network[2].weight.data /= torch.logspace(-3, 1, 16).view(1, -1, 1, 1)
    model, images = exported(network), low_frequency_images(16)
    graph = Int8Graph(model, images)
    rounded = graph.quantised(list(graph.layers)[1:2])
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    plain = ort.InferenceSession(rounded, options, providers=["CPUExecutionProvider"])
    exact = plain.run([OUTPUTS[1]], {INPUT: images})[0]
    assert explained_variance(exact, outputs(rounded, images)[1]) > 0.999


def test_means_whose_last_window_is_cut_off_are_correct() -> None:
    """ONNX Runtime computes them wrongly in 8 bits."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True))
    model, images = (
        exported(body.append(nn.Conv2d(16, 8, 1)).append(nn.Flatten()).append(nn.Linear(512, 5))),
        low_frequency_images(32),
    )
    result = quantise(model, images, max_drop=1)
    assert explained_variance(outputs(model, images)[1], outputs(result.model, images)[1]) > 0.99


def test_refuses_where_half_of_the_multiply_adds_would_stay_float() -> None:
    with pytest.raises(
        OptionError, match=r"costs too much.*of 6 layers.*32 images.*5\.0% may be lost.*--max-drop"
    ) as error:
        quantise(exported(Fragile(kernel=7)), low_frequency_images(64), max_drop=0.05)
    assert "\n" not in str(error.value)


def test_labels_give_the_accuracy_before_and_after(model: bytes) -> None:
    images = low_frequency_images(40, seed=4)
    targets = outputs(model, images)[1].argmax(1)
    targets[:10] = (targets[:10] + 1) % 10
    result = quantise(model, low_frequency_images(32), max_drop=0.2, check=(images, targets))
    assert result.cost.images == 20
    assert result.cost.accuracy_before == 0.75
    assert result.cost.accuracy_after is not None
    assert result.cost.drop == result.cost.accuracy_before - result.cost.accuracy_after
    assert "accuracy 75.0% before" in str(result)
    assert set(result.facts()) >= {"agreement", "accuracy_before", "accuracy_after", "kept_float", "float_macs"}


def alternating(chosen: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the images in turn: the layers are chosen on the first, the cost is stated on the second kind."""
    mixed = np.empty((2 * len(chosen), *chosen.shape[1:]), np.uint8)
    mixed[::2], mixed[1::2] = chosen, others
    return mixed


@pytest.mark.parametrize("labelled", [True, False])
def test_the_cost_is_stated_on_other_images_than_choose_the_layers(labelled: bool) -> None:
    model, chosen = exported(Fragile()), low_frequency_images(64)
    results = []
    for others in (low_frequency_images(64, seed=9), 255 - chosen):
        images = alternating(chosen, others)
        check = (images, outputs(model, images)[1].argmax(1)) if labelled else None
        result = quantise(model, chosen if labelled else images, max_drop=0.05, check=check)
        before, after = (outputs(one, others)[1].argmax(1) for one in (model, result.model))
        assert result.cost.images == 64
        assert result.cost.agreement == (before == after).mean()
        assert result.cost.standard_error == pytest.approx(np.std(before != after) / 8)
        results.append(result)
    assert results[0].float_layers
    assert results[0].model == results[1].model, "images that state the cost choose nothing"


def test_a_choice_that_fails_on_the_other_images_is_refused() -> None:
    model, images = exported(Fragile()), low_frequency_images(400)
    rounded = Int8Graph(model, images[:64]).quantised(())
    same = outputs(model, images)[1].argmax(1) == outputs(rounded, images)[1].argmax(1)
    n = min(same.sum(), (~same).sum())
    kept, lost = images[same][:n], images[~same][:n]
    assert n > 20
    for check, refused in (((kept, kept), False), ((kept, lost), True)):
        mixed = alternating(*check)
        settings: dict[str, Any] = {"max_drop": 0.1, "check": (mixed, outputs(model, mixed)[1].argmax(1))}
        if refused:
            with pytest.raises(OptionError, match=r"on images that did not choose the layers: .*10\.0% may be lost"):
                quantise(model, images[:64], **settings)
        else:
            assert quantise(model, images[:64], **settings).cost.drop == 0


def test_a_gain_in_accuracy_is_no_loss() -> None:
    assert QuantisationCost(images=10, agreement=0.5, accuracy_before=0.6, accuracy_after=0.7).drop < 0
    assert QuantisationCost(images=10, agreement=0.5).drop == 0.5


@pytest.mark.peer
def test_both_engines_compute_the_same_logits(model: bytes) -> None:
    openvino = pytest.importorskip("openvino")
    images = low_frequency_images(32, seed=5)
    for result in (
        quantise(model, low_frequency_images(32), max_drop=1).model,
        quantise(exported(Fragile()), low_frequency_images(32), max_drop=0.05).model,
    ):
        core = openvino.Core()
        compiled = core.compile_model(core.read_model(result), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        other = compiled([images])[OUTPUTS[1]]
        assert explained_variance(outputs(result, images)[1], other) > 0.99


def test_one_grey_image_is_enough() -> None:
    model = exported(small(channels=1), channels=1)
    result = quantise(model, low_frequency_images(1, channels=1), max_drop=1)
    images = low_frequency_images(32, channels=1, seed=6)
    assert explained_variance(outputs(model, images)[1], outputs(result.model, images)[1]) > 0.5


def test_linear_layers_alone_are_rounded() -> None:
    torch.manual_seed(0)
    model = exported(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 16, bias=False), nn.ReLU(), nn.Linear(16, 5)))
    result = quantise(model, low_frequency_images(64), max_drop=1)
    assert result.layers == 2
    images = low_frequency_images(64, seed=7)
    assert explained_variance(outputs(model, images)[1], outputs(result.model, images)[1]) > 0.98


def test_nothing_to_quantise_or_to_measure_with(model: bytes) -> None:
    with pytest.raises(OptionError, match="no convolution and no linear layer"):
        quantise(exported(nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())), low_frequency_images(4))
    with pytest.raises(OptionError, match="there are none"):
        quantise(model, low_frequency_images(0))
    with pytest.raises(OptionError, match="there are none"):
        quantise(model, low_frequency_images(4), check=(low_frequency_images(0), np.zeros(0, np.int64)))


def test_a_quantiser_returns_the_model_that_it_measures(model: bytes) -> None:
    images, unchanged = low_frequency_images(16), bytes(model)
    quantiser: Quantiser[bytes] = OnnxQuantiser(max_drop=1)
    assert quantiser.quantise(model, images) == quantise(model, images, max_drop=1).model
    assert model == unchanged


def test_settings_of_a_quantiser_apply_to_its_models() -> None:
    model, images = exported(Fragile()), low_frequency_images(64)
    assert OnnxQuantiser(max_drop=0.05).quantise(model, images) == quantise(model, images, max_drop=0.05).model
    assert OnnxQuantiser(max_drop=0.05).quantise(model, images) != quantise(model, images, max_drop=1).model


@pytest.mark.peer
def test_both_quantisers_have_one_interface(model: bytes, tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    images = low_frequency_images(32)
    graph = openvino.Core().read_model(model)
    from_nncf: Quantiser[Any] = NncfQuantiser()
    from_onnx: Quantiser[bytes] = OnnxQuantiser(max_drop=1)
    models = [from_nncf.quantise(graph, images), openvino.Core().read_model(from_onnx.quantise(model, images))]
    exact = outputs(model, images)[1]
    for quantised in models:
        operators_inside = {node.get_type_name() for node in quantised.get_ops()}
        assert operators_inside & {"FakeQuantize", "Convert"}
        compiled = openvino.compile_model(quantised, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        assert explained_variance(exact, compiled([images])[OUTPUTS[1]]) > 0.95
    assert not any(node.get_type_name() == "FakeQuantize" for node in graph.get_ops()), "the given model is unchanged"
