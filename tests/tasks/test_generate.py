"""Generation: the losses are those of the papers, one step teaches both networks of a GAN, and all verbs answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

import hubel
from hubel.cli import main
from hubel.core.errors import OptionError, UnknownNameError
from hubel.evaluation.evaluate import evaluate_file
from hubel.export.run import export
from hubel.inference.generator import Generator, load_generator
from hubel.inference.onnx_file import read_onnx
from hubel.metrics.generation import JudgedImages, measure_samples
from hubel.models.catalogue import build_model
from hubel.models.gan import AdversarialNetwork
from hubel.models.vae import VariationalAutoencoder, normal_divergence
from hubel.tasks.generation_losses import AdversarialObjective, BoundObjective

QUICK = {"epochs": 1, "images": 64, "threads": 1, "size": "8"}
X = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, -1, 1])


def network(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return build_model(name, num_classes=3, input_size=(8, 8), options={"widths": "4,8", "code": 6, **options})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each network, and of a judge."""
    folder = tmp_path_factory.mktemp("generation")
    for name in ("vae", "cvae", "cgan"):
        # So few steps need to be large, for images to differ.
        recipe = {
            **QUICK,
            "model": name,
            "lr": 0.05,
            "ema": 0.0,
            "batch_size": 8,
            "options": {"widths": (4, 8), "code": 6},
        }
        hubel.train("digits", recipe, out=folder / name)
    hubel.train("digits", {**QUICK, "model": "lenet5_relu", "size": "28", "reject": 0.0}, out=folder / "judge")
    return {path.name: path for path in folder.iterdir()}


def test_divergence_is_that_of_torch() -> None:
    draws = torch.randn(4, 7, 6, generator=torch.Generator().manual_seed(1)).double()
    mean, log_variance, prior_mean, prior_log = draws
    q, p = Normal(mean, (0.5 * log_variance).exp()), Normal(prior_mean, (0.5 * prior_log).exp())
    standard = kl_divergence(q, Normal(torch.zeros_like(mean), torch.ones_like(mean))).sum(1)
    torch.testing.assert_close(normal_divergence(mean, log_variance), standard)
    torch.testing.assert_close(
        normal_divergence(mean, log_variance, (prior_mean, prior_log)), kl_divergence(q, p).sum(1)
    )


def test_bound_is_that_of_the_paper() -> None:
    """Of one drawn code: minus the log-likelihood of the pixels, and the divergence; in nats a pixel as a loss."""
    net = network("cvae").eval()
    assert isinstance(net, VariationalAutoencoder)
    classes, noise = net.class_weights(LABELS), torch.randn(5, 6, generator=torch.Generator().manual_seed(2))
    assert classes is not None
    assert classes[3].sum() == 0
    with torch.no_grad():
        parts = net.bound(X, classes, noise)
        mean, log_variance = net.encode(X, classes)
        p = torch.sigmoid(net.decode(mean + (0.5 * log_variance).exp() * noise, classes))
    likelihood = (X * p.log() + (1 - X) * (1 - p).log()).sum((1, 2, 3))
    torch.testing.assert_close(parts[:, 0], -likelihood)
    loss = BoundObjective(pixels=64).losses(parts, LABELS)
    torch.testing.assert_close(loss, (parts[:, 0] + parts[:, 1]) / 64)


def test_without_a_class_it_is_the_network_itself() -> None:
    net = network("cvae").eval()
    with torch.no_grad():
        torch.testing.assert_close(net(X), net.decode(net.encode(X)[0]))
        nobody, third = net.class_weights(torch.full((5,), -1)), net.class_weights(torch.full((5,), 2))
        torch.testing.assert_close(net.make(X.new_ones(5, 6), nobody), net.make(X.new_ones(5, 6)))
        assert not torch.allclose(net.make(X.new_ones(5, 6), third), net.make(X.new_ones(5, 6)))


def test_one_backward_pass_is_simultaneous_descent() -> None:
    """Each network has the gradient of its own loss alone, as if two passes had been made."""
    net = network("cgan").train()
    assert isinstance(net, AdversarialNetwork)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.startswith("generator."):
                parameter.mul_(3)  # so that the penalty of the gradient counts

    def made() -> tuple[torch.Tensor, torch.Tensor]:
        torch.manual_seed(3)
        c = net.class_weights(LABELS)
        assert c is not None
        return torch.sigmoid(net.make(torch.randn(5, 6), c)), c

    torch.manual_seed(3)
    AdversarialObjective().losses(net.training_outputs(X, LABELS), LABELS).sum().backward()
    together = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    fake, c = made()
    F.softplus(-net.judge(fake, c)).sum().backward()
    generator = {name: p.grad for name, p in net.named_parameters() if name.startswith("generator.")}
    expected = {name: grad.clone() for name, grad in generator.items() if grad is not None}
    net.zero_grad()
    x = X.clone().requires_grad_()
    real = net.judge(x, c)
    (slope,) = torch.autograd.grad(real.sum(), x, create_graph=True)
    fake = made()[0].detach()
    loss = -torch.sigmoid(real).log() - (1 - torch.sigmoid(net.judge(fake, c))).log()
    (loss + 0.05 * slope.square().sum((1, 2, 3))).sum().backward()
    expected |= {
        name: p.grad for name, p in net.named_parameters() if p.grad is not None and not name.startswith("generator.")
    }
    assert set(together) == set(expected) == {name for name, _ in net.named_parameters()}
    for name, grad in expected.items():
        torch.testing.assert_close(together[name], grad, rtol=1e-4, atol=1e-5)


def test_each_class_has_its_own_gradient_and_its_share_is_told() -> None:
    outputs = torch.tensor([[1.0, -1.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0], [-1.0, 1.0, 0.0, 0.0]])
    objective = AdversarialObjective()
    assert objective.correct(outputs, LABELS[:3]).tolist() == [1.0, 0.5, 0.0]
    assert objective.row("train", 2.0, 0.5) == {"train_loss": 2.0, "train_told": 0.5}


def test_samples_are_compared_with_real_images() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 50)
    real = JudgedImages(features=rng.normal(size=(100, 4)).astype(np.float32), predicted=labels)
    copied = measure_samples(real, real, labels, ("a", "b"))
    assert (copied.agreement, copied.frechet, copied.spread) == (1, pytest.approx(0, abs=1e-6), 1)
    assert copied.frechet_real > 0.01
    collapsed = JudgedImages(features=np.tile(real.features[:1], (100, 1)), predicted=np.repeat(["a"], 100))
    found = measure_samples(collapsed, real, labels, ("a", "b"))
    assert found.agreement == 0.5
    assert found.spread == 0
    assert [(one.name, one.agreement, one.real_agreement, one.spread) for one in found.classes] == [
        ("a", 1, 1, 0),
        ("b", 0, 1, 0),
    ]
    assert found.frechet > 10 * found.frechet_real


@pytest.mark.parametrize("name", ["vae", "cvae", "cgan"])
def test_images_are_functions_of_the_seed(runs: dict[str, Path], name: str) -> None:
    made = hubel.generate(runs[name], count=7, seed=4)
    assert made.pixels.shape == (7, 8, 8, 1)
    assert made.pixels.dtype == np.uint8
    again, more = hubel.generate(runs[name], count=7, seed=4), hubel.generate(runs[name], count=300, seed=4)
    assert np.array_equal(made.pixels, again.pixels)
    assert np.abs(more.pixels[:7].astype(int) - made.pixels).max() <= 1  # batches of another size round otherwise
    assert not np.array_equal(made.pixels, hubel.generate(runs[name], count=7, seed=5).pixels)
    assert made.labels == (("",) * 7 if name == "vae" else tuple("0123456"))


def test_classes_are_asked_for(runs: dict[str, Path]) -> None:
    assert set(hubel.generate(runs["cgan"], label="3", count=4).labels) == {"3"}
    assert hubel.generate(runs["cvae"], label=["3", "5"], count=3).labels == ("3", "5", "3")
    with pytest.raises(UnknownNameError, match="no class is called 'sneaker'"):
        hubel.generate(runs["cvae"], label="sneaker")
    with pytest.raises(OptionError, match="vae takes no class"):
        hubel.generate(runs["vae"], label="3")


@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_between_two_images(runs: dict[str, Path], name: str) -> None:
    ends = [np.full((8, 8), 30, np.uint8), np.full((8, 8), 220, np.uint8)]
    made = hubel.generate(runs[name], between=(ends[0], ends[1]), count=3)
    assert made.labels == ("100% first, 0% second", "50% first, 50% second", "0% first, 100% second")
    model = load_generator(runs[name])
    x = torch.from_numpy(np.stack(ends)).float()[:, None] / 255
    with torch.no_grad():
        pixels = torch.sigmoid(model.network(x)).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(made.pixels[[0, 2]], np.rint(255 * pixels).astype(np.uint8))


def test_a_gan_has_no_encoder(runs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cgan has no encoder"):
        hubel.generate(runs["cgan"], between=(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8)))
    with pytest.raises(OptionError, match="cgan has no encoder"):
        export(runs["cgan"], tmp_path / "cgan.onnx")


@pytest.mark.parametrize("name", ["vae", "cvae"])
def test_the_reconstruction_is_exported(runs: dict[str, Path], tmp_path: Path, name: str) -> None:
    found = export(runs[name], tmp_path / "model.onnx")
    assert found.parity.largest_difference < 1e-5
    assert read_onnx(found.path).card.conditions == (tuple("0123456789") if name == "cvae" else ())


@pytest.mark.parametrize(
    ("name", "measures"),
    [("cvae", {"bound", "cross_entropy", "divergence"}), ("cgan", {"real_told", "made_told"}), ("vae", {"bound"})],
)
def test_evaluation_with_a_judge(runs: dict[str, Path], tmp_path: Path, name: str, measures: set[str]) -> None:
    result = evaluate_file(runs[name], "digits", judge=runs["judge"], out=tmp_path / "report")
    numbers = result.to_json()
    assert measures <= set(numbers)
    assert set(numbers["intervals"]) <= set(numbers)
    judged = numbers["judged"]
    assert judged["n"] == numbers["n"] > 100
    assert 0 < judged["frechet_real"] < judged["frechet"]
    assert (judged["agreement"] is None) == (name == "vae")
    assert "Fréchet" in result.report.read_text(encoding="utf-8")
    if name != "cgan":
        low, high = numbers["intervals"]["bound"]
        assert low < numbers["bound"] < high
        assert result.evaluation.quality().values.mean() == pytest.approx(numbers["bound"])


def test_a_resumed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    """Draws of codes depend on seed, epoch and step alone."""
    recipe = {**QUICK, "model": "cgan", "epochs": 2, "batch_size": 16, "options": {"widths": (4, 8), "code": 6}}
    whole = hubel.train("digits", recipe, out=tmp_path / "whole")

    def interrupt(row: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hubel.train("digits", {**recipe, "checkpoint_minutes": 0.0}, out=tmp_path / "part", on_epoch=interrupt)
    resumed = hubel.resume(tmp_path / "part")
    one, other = (load_generator(run.model).network.state_dict() for run in (whole, resumed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_command(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = str(runs["cvae"])

    def call(*words: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        assert isinstance(ended.value.code, int)
        return ended.value.code

    assert call("generate", run, "--class", "3", "--count", "5", "--out", "a.png", "--images", "made") == 0
    assert len(list(Path("made").glob("*-3.png"))) == 5
    assert Image.open("a.png").width > 100
    assert call("generate", run, "--between", "made/0000-3.png", "made/0001-3.png", "--count", "4") == 0
    assert Path("generated.png").is_file()
    capsys.readouterr()
    for arguments, words in {
        ("predict", run, "a.png"): "makes images and predicts no classes; hubel generate MODEL",
        ("explain", run, "a.png"): "makes images and predicts no classes",
        ("serve", run): "makes images and predicts no classes",
        ("generate", str(runs["judge"])): "makes no images (its task is classify); vae, cvae and cgan do",
        ("generate", run, "--count", "0"): "--count is at least 1, not 0",
        ("train", "digits", "--model", "cvae", "--size", "30"): "multiples of 4 therefore, not 30x30; --size 32x32",
        ("evaluate", str(runs["judge"]), "digits", "--judge", run): "makes none (its task is classify)",
        ("evaluate", run, "digits", "--judge", run): "makes images and predicts no classes",
    }.items():
        assert call(*arguments) == 2
        error = capsys.readouterr().err
        assert words in error.splitlines()[-1]
        assert "Traceback" not in error


def test_only_generative_networks_make_images() -> None:
    judge = build_model("lenet5_relu")
    card = type("Card", (), {"model": "lenet5_relu", "task": "classify"})()
    with pytest.raises(OptionError, match="lenet5_relu makes no images"):
        Generator(judge, card)
