"""Networks of a user's own class: trained, kept in a file that names the class, loaded again, explained, exported."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

import hubel
from hubel import ImageClassifier
from hubel.core.errors import CheckpointError, ModelFileError, OptionError
from hubel.data.preprocess import Preprocess
from hubel.data.sources.builtin import XO
from hubel.explain.cam import grad_cam
from hubel.export import export
from hubel.training.execute import execute
from hubel.training.resolve import plan_training
from hubel.weights import ModelCard, OwnClass, OwnModel, hub_card, read_card, save_model

pytestmark = pytest.mark.usefixtures("cache")

DIGITS = load_digits()
IMAGES, LABELS = (DIGITS.images[:120] * 15).astype(np.uint8), DIGITS.target[:120].astype(str)
QUICK = hubel.Recipe(epochs=1, batch_size=32, threads=1, loading_threads=0, precision="float32", lr=0.05)


class Buffered(nn.Module):
    """Buffers of all kinds: one that counts, one that is infinite on purpose, one that is not stored."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("ramp", torch.linspace(0, 1, 8)[None, None, None], persistent=False)
        self.conv, self.norm, self.fc = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, classes)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps += 1
        return self.fc(F.relu(self.norm(self.conv(x - self.mean + self.ramp))).mean((2, 3)))


class TwoHeads(nn.Module):
    """A second head that is off, and `.view()`, which needs torch's default memory order."""

    def __init__(self, *, both: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.first, self.second, self.both = nn.Linear(64, 10), nn.Linear(4, 10), both

    def forward(self, x: Tensor) -> Any:
        x = self.body(x)
        y = self.first(x.view(x.size(0), -1))
        return (y, self.second(x.mean((2, 3)))) if self.both else y


class Functional(nn.Module):
    """Parameters without layers."""

    def __init__(self) -> None:
        super().__init__()
        self.kernels = nn.Parameter(torch.randn(4, 1, 3, 3) / 3)
        self.weight, self.bias = nn.Parameter(torch.randn(10, 64) / 8), nn.Parameter(torch.zeros(10))

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(F.conv2d(x, self.kernels, padding=1)), 2)
        return F.linear(x.view(x.shape[0], -1), self.weight, self.bias)


class Sharing(nn.Module):
    """One convolution that is three, two of them in a container whose norm must not be folded into it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.conv = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.again = self.conv
        self.body = nn.Sequential(self.conv, nn.BatchNorm2d(4), nn.ReLU(), self.conv, nn.ReLU())
        self.fc = nn.Linear(4, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return self.fc(F.adaptive_avg_pool2d(self.body(x) + self.again(x), 1).flatten(1))


class TimmLike(nn.Module):
    """The methods of timm's models."""

    def __init__(self, num_classes: int = 10) -> None:
        super().__init__()
        self.num_classes, self.num_features = num_classes, 8
        self.conv_stem, self.bn1 = nn.Conv2d(1, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
        self.act1 = nn.SiLU(inplace=True)
        self.blocks = nn.Sequential(nn.Conv2d(4, 8, 3, 2, 1, groups=2), nn.BatchNorm2d(8), nn.Hardswish(inplace=True))
        self.global_pool, self.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(8, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def forward_features(self, x: Tensor) -> Tensor:
        return self.blocks(self.act1(self.bn1(self.conv_stem(x))))

    def forward_head(self, x: Tensor) -> Tensor:
        return self.classifier(self.global_pool(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def trained(module: nn.Module, folder: Path, recipe: hubel.Recipe = QUICK) -> Path:
    folder.mkdir(exist_ok=True)
    return execute(plan_training((IMAGES, LABELS), recipe, module=module), folder).path


@pytest.mark.parametrize("kind", [Buffered, TwoHeads, Functional, Sharing, TimmLike])
def test_modules_train_and_come_back_and_export(kind: type[nn.Module], tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = kind()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    file = trained(module, tmp_path)
    assert module.training
    assert not module._forward_pre_hooks
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    other = kind()  # with weights of its own, which do not matter
    model = hubel.load(file, model=other)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in model.network.state_dict().items())
    made = export(OwnModel(file, other))
    assert made.parity.top1_equal == made.parity.images
    exported = hubel.load(made.path).predict_proba(IMAGES[:20])
    np.testing.assert_allclose(exported, model.predict_proba(IMAGES[:20]), atol=1e-5)


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    network = hubel.load(trained(Sharing(), tmp_path), model=Sharing()).network
    assert network.conv is network.again is network.body[0]
    assert len(list(network.parameters())) == 8


def test_a_whole_run_is_measured_explained_and_summarised(tmp_path: Path) -> None:
    run = hubel.train((IMAGES, LABELS), QUICK, model=TimmLike(), out=tmp_path / "run", quiet=True)
    assert run.evaluation is not None
    assert run.report is not None
    assert "TimmLike on arrays" in run.report.read_text(encoding="utf-8")
    network = hubel.load(run.folder, model=TimmLike()).network
    heat = grad_cam(network, torch.rand(2, 1, 8, 8), torch.tensor([3, 4]))
    assert heat.shape == (2, 8, 8)
    table = hubel.summary(OwnModel(run.folder, TimmLike()))
    assert table.params == sum(p.numel() for p in TimmLike().parameters())
    assert f"{TimmLike.__module__}:TimmLike, which the weights need" in hub_card(read_card(run.model))


def test_the_estimator_takes_a_module() -> None:
    classifier = clone(ImageClassifier(Functional(), recipe=QUICK)).fit(IMAGES, LABELS)
    assert classifier.predict_proba(IMAGES[:3]).shape == (3, 10)


def test_nothing_is_imported(tmp_path: Path) -> None:
    """A file that names a class of any module loads nothing, and says what it needs."""
    file = trained(Functional(), tmp_path)
    with pytest.raises(ModelFileError, match=r"weights of a class .*Functional.* never imports.*=Functional\("):
        hubel.load(file)
    card = replace(read_card(file), own=OwnClass(module="antigravity", name="Functional"))
    save_model(tmp_path / "antigravity.safetensors", Functional().state_dict(), card)
    with pytest.raises(ModelFileError, match="of the module antigravity"):
        hubel.load(tmp_path / "antigravity.safetensors")
    assert "antigravity" not in sys.modules


def test_another_network_with_fitting_weights_is_refused(tmp_path: Path) -> None:
    class Other(Functional):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(-x)

    file = trained(Functional(), tmp_path)
    with pytest.raises(ModelFileError, match="takes the weights, but computes other outputs"):
        hubel.load(file, model=Other())
    with pytest.raises(ModelFileError, match=r"'again\.bias' is absent in the file"):
        hubel.load(file, model=Sharing())
    with pytest.raises(ModelFileError, match=r"an instance such as MyNet.*; not the class Functional"):
        hubel.load(file, model=Functional)  # type: ignore[arg-type]


def test_random_answers_are_not_compared(tmp_path: Path) -> None:
    class Noisy(Functional):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(super().forward(x), 0.5)

    file = trained(Noisy(), tmp_path)
    assert read_card(file).own == OwnClass.of(Noisy())
    assert hubel.load(file, model=Noisy()).classes == tuple("0123456789")


def test_lazy_layers_get_their_size_from_the_images(tmp_path: Path) -> None:
    def lazy() -> nn.Module:
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))

    network = hubel.load(trained(lazy(), tmp_path), model=lazy()).network
    assert network[3].weight.shape == (10, 144)


@pytest.mark.parametrize(
    ("module", "recipe", "message"),
    [
        (TimmLike(7), {}, "TimmLike has 7 outputs, and the data has 10 classes; build it with 10 outputs"),
        (TwoHeads(both=True), {}, "TwoHeads returns a tuple of 2; hubel trains one tensor of logits"),
        (
            nn.Conv2d(1, 10, 3),
            {},
            r"Conv2d returns the shape \(1, 10, 6, 6\) for one image of 1x8x8; expected \(1, 10\)",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), {}, "cannot take images of 1x8x8: .*; choose another size"),
        (Functional().requires_grad_(False), {}, "nothing in it can be trained"),
        (Functional(), {"model": "resnet18"}, "two networks: resnet18 in the recipe, and the module Functional"),
        (Functional(), {"options": {"k": 1}}, "options are of networks of the catalogue"),
        (Functional(), {"weights": "default"}, "training starts from the weights that Functional has"),
        (Functional(), {"freeze": "all"}, "freeze a part of Functional by its own"),
        (Functional(), {"task": "reconstruct"}, "the task reconstruct needs a network of hubel"),
    ],
)
def test_what_cannot_work_is_one_clear_line(module: nn.Module, recipe: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        plan_training((IMAGES, LABELS), hubel.Recipe(**recipe), module=module)


def test_a_class_or_a_number_is_no_network() -> None:
    for model, shown in ((Functional, "the class Functional"), (3, "int")):
        with pytest.raises(OptionError, match=f"such as MyNet\\(\\); not {shown}"):
            hubel.train((IMAGES, LABELS), model=model)  # type: ignore[arg-type]


def test_grey_images_become_coloured_for_a_module_of_three_channels() -> None:
    module = nn.Sequential(nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    plan = plan_training((IMAGES, LABELS), QUICK, module=module)
    assert plan.preprocess.channels == 3
    assert len(plan.preprocess.mean) == 3


def test_a_run_goes_on_with_the_module_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(row: Any) -> None:
        raise KeyboardInterrupt

    recipe = QUICK.with_settings(epochs=2)
    folder = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        hubel.train("xo", recipe, model=Small(), out=folder, xo=XO_IMAGES, quiet=True, on_epoch=stop)
    with pytest.raises(CheckpointError, match=r"trains your class .*:Small; in Python, bring a module of it"):
        hubel.resume(folder)
    assert hubel.resume(folder, model=Small()).evaluation is not None
    with pytest.raises(OptionError, match=r":Small is a class of your own: hubel.train\(data, model=Small"):
        plan_training("xo", hubel.Recipe(model=f"{Small.__module__}:Small"))


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(81, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.flatten(1))


XO_IMAGES = XO(size=9, count=60)


def test_graphs_that_no_file_can_repeat_are_refused(tmp_path: Path) -> None:
    class Counting(Functional):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).reshape(len(x), -1)

    class Cumulating(Functional):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).cumsum(1)

    for kind, message in ((Counting, "only takes as many images as it was traced with"), (Cumulating, "CumSum")):
        with pytest.raises(OptionError, match=f"{kind.__name__} cannot be exported: .*{message}"):
            export(OwnModel(trained(kind(), tmp_path / kind.__name__), kind()))


@pytest.mark.parametrize(
    "own",
    [{"module": "m", "name": "N"}, {"module": 1, "name": "N", "answer": []}, {"module": "m", "name": "N", "answer": 3},
     {"module": "m", "name": "N\n", "answer": []}, {"module": "m", "name": "N", "answer": [1.0] * 99}, []],
)  # fmt: skip
def test_damaged_descriptions_are_refused(own: Any) -> None:
    card = ModelCard("N", ("a", "b"), Preprocess(8, 8, 1, mean=(0.0,), std=(1.0,)))
    values = json.loads(json.dumps(card.to_json()))
    with pytest.raises(OptionError, match="own"):
        ModelCard.from_json({**values, "own": own})
