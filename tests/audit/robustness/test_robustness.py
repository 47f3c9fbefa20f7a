import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hubel.audit.robustness import run as robustness_run
from hubel.audit.robustness.accuracy import ALEXNET, ALEXNET_CLEAN, Robustness, mce, measure_robustness, relative_mce
from hubel.audit.robustness.corruptions import CORRUPTIONS, SIMPLE, corrupt, find_corruptions
from hubel.audit.robustness.figure import robustness_curves
from hubel.audit.robustness.run import robustness_files
from hubel.cli import main
from hubel.core.errors import DataError, HubelError, OptionError, UnknownNameError
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.inference.predictor import Predictor
from hubel.plots.figure_files import to_png
from hubel.weights.card import ModelCard
from hubel.weights.imagenet import imagenet_classes
from hubel.weights.model_file import save_model

CLASSES = ("dark", "light")


def result_of(name, accuracy, clean, corruptions):
    return Robustness(model=name, n=50, seed=0, clean=clean, corruptions=corruptions, accuracy=accuracy)


def random_result(seed, which=None, name="model"):
    rng = np.random.default_rng(seed)
    which = which or find_corruptions()
    return result_of(
        name, {one.name: tuple(rng.uniform(0.2, 0.7, len(one.strengths)).tolist()) for one in which}, 0.8, which
    )


def brighter_half(channels=1, side=28):
    """A model that says whether the left half of an image is the brighter one; it needs no training."""
    preprocess = Preprocess(side, side, channels, mean=(0.5,) * channels, std=(0.25,) * channels)
    card = ModelCard("linear", CLASSES, preprocess)
    network = card.create()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        weight = next(p for p in network.parameters() if p.ndim == 2)
        left = torch.zeros(channels, side, side)
        left[:, :, : side // 2] = 1
        weight[1] = left.flatten() - (1 - left).flatten()
    return network.eval(), card


def halves(n=40, side=28):
    """Images with one bright half: class 1 where it is the left one. All of them are easy."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    images = rng.integers(0, 100, (n, side, side)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, slice(0, side // 2) if label else slice(side // 2, side)] += 110
    return images, labels


def looked_at(images, labels, card):
    dataset = open_dataset((images, np.array(CLASSES)[labels]))
    rows = np.arange(len(labels))
    return dataset.images(card.preprocess, rows), dataset.targets(card.classes, rows)


@pytest.fixture
def folder(tmp_path):
    """A data set as a folder, with a model that fits it."""
    images, labels = halves()
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        file = tmp_path / "photos" / CLASSES[label] / f"{place:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    network, card = brighter_half()
    save_model(tmp_path / "model.safetensors", network.state_dict(), card)
    return tmp_path


def test_measured_as_counted_by_hand():
    images, labels = halves(20)
    network, card = brighter_half()
    loaded, targets = looked_at(images, labels, card)
    which = find_corruptions(["gaussian_noise", "rotation", "contrast"], quick=True)
    found = measure_robustness(Predictor(network, card), loaded, targets, corruptions=which, seed=3)
    assert found.clean == 1
    assert list(found.accuracy) == ["gaussian_noise", "rotation", "contrast"]
    for change in which:
        for strength, accuracy in zip(change.strengths, found.accuracy[change.name], strict=True):
            right = 0
            for row, label in enumerate(labels):
                pixels = corrupt(loaded.pixels(np.array([row]))[0], change.name, strength, seed=3, image=row)
                with torch.no_grad():
                    right += int(network(torch.from_numpy(card.preprocess.normalise(pixels[None]))).argmax()) == label
            assert accuracy == right / 20


def test_the_number_of_threads_changes_nothing(monkeypatch):
    images, labels = halves(10)
    network, card = brighter_half()
    loaded, targets = looked_at(images, labels, card)
    found = []
    for threads in (1, 4):
        monkeypatch.setattr("hubel.audit.robustness.accuracy.usable_cores", lambda threads=threads: threads)
        found.append(measure_robustness(Predictor(network, card), loaded, targets).accuracy)
    assert found[0] == found[1]


def test_the_model_is_left_unchanged():
    images, labels = halves(4)
    network, card = brighter_half()
    network.train()
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    loaded, targets = looked_at(images, labels, card)
    measure_robustness(Predictor(network, card), loaded, targets, corruptions=find_corruptions(["shift"]))
    assert network.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_several_classes_an_image_and_no_image_are_refused():
    images, labels = halves(4)
    network, card = brighter_half()
    loaded, targets = looked_at(images, labels, card)
    for wrong in (np.eye(2), targets[:0]):
        with pytest.raises(OptionError, match="one class each"):
            measure_robustness(Predictor(network, card), loaded, wrong)


def test_mce_as_the_paper_defines_it():
    one, other = random_result(1), random_result(2)
    e = np.array([[1 - a for a in one.accuracy[name]] for name in CORRUPTIONS])
    ref = np.array([[1 - a for a in other.accuracy[name]] for name in CORRUPTIONS])
    assert one.mean_error() == pytest.approx(e.mean())
    assert mce(one.errors(), other.errors()) == pytest.approx((e.sum(1) / ref.sum(1)).mean())
    relative = ((e - 0.2).sum(1) / (ref - 0.25).sum(1)).mean()
    assert relative_mce(one.errors(), 0.2, other.errors(), 0.25) == pytest.approx(relative)
    assert mce(one.errors(), one.errors()) == pytest.approx(1)
    assert mce(ALEXNET, ALEXNET) == pytest.approx(1)


def test_means_that_cannot_be_formed_are_none():
    one = random_result(1)
    assert mce(one.errors(), dict.fromkeys(CORRUPTIONS, 0.0)) is None
    assert relative_mce(one.errors(), 0.2, one.errors(), 1.0) is None
    only = random_result(1, find_corruptions(["shift"]))
    assert only.errors() == {}
    assert only.mean_error() is None
    assert mce({}, {}) is None


def test_alexnet_is_as_published():
    """The means of what AlexNet does at each severity, of which these are some."""
    severities = {
        "gaussian_noise": (0.69528, 0.82542, 0.93554, 0.98138, 0.99452),
        "snow": (0.71726, 0.88392, 0.86468, 0.9187, 0.94952),
        "elastic_transform": (0.52596, 0.70116, 0.55686, 0.64076, 0.80554),
        "jpeg_compression": (0.51002, 0.54718, 0.57294, 0.65458, 0.74778),
    }
    assert list(ALEXNET) == list(CORRUPTIONS)
    for name, errors in severities.items():
        assert ALEXNET[name] == pytest.approx(np.mean(errors), abs=1e-6)
    assert min(ALEXNET.values()) > ALEXNET_CLEAN


def test_alexnet_is_the_reference_of_imagenet_models_only(folder, monkeypatch):
    model = folder / "model.safetensors"
    words = "mCE relative to AlexNet"
    monkeypatch.setattr(robustness_run, "save_figure", lambda figure, path: None)
    found = robustness_files(model, str(folder / "photos"), out=folder / "a", images=2)
    assert words not in found.means
    monkeypatch.setattr(robustness_run, "imagenet_classes", lambda: CLASSES)
    found = robustness_files(model, str(folder / "photos"), out=folder / "b", images=2)
    assert found.means[words] == pytest.approx(mce(found.results[0].errors(), ALEXNET))
    for more in ({"quick": True}, {"only": ["fog"]}):
        found = robustness_files(model, str(folder / "photos"), out=folder / "c", images=2, **more)
        assert words not in found.means
    assert len(imagenet_classes()) == 1000


def test_files(folder):
    found = robustness_files(folder / "model.safetensors", str(folder / "photos"), out=folder / "out", quick=True)
    assert found.split == "labelled"
    result = found.results[0]
    assert (result.n, result.clean) == (40, 1)
    assert any("quick" in note for note in found.notes)
    table = list(csv.DictReader(io.StringIO((folder / "out" / "robustness.csv").read_text())))
    assert len(table) == 1 + 3 * len(CORRUPTIONS | SIMPLE)
    assert table[0]["change"] == "clean"
    for row in table[1:]:
        place = [one.name for one in result.corruptions].index(row["change"])
        strengths = result.corruptions[place].strengths
        assert float(row["accuracy"]) == result.accuracy[row["change"]][strengths.index(float(row["strength"]))]
    written = json.loads((folder / "out" / "robustness.json").read_text())
    assert written["models"][0]["changes"]["fog"]["accuracy"] == list(result.accuracy["fog"])
    assert written["means"]["mean corruption error (not normalised)"] == result.mean_error()
    assert (folder / "out" / "robustness.png").read_bytes().startswith(b"\x89PNG")
    assert [row[0] for row in found.rows(simple=False)] == list(CORRUPTIONS)
    assert len(found.rows(simple=True)) == len(SIMPLE)


def test_a_baseline_is_measured_on_the_same_images(folder):
    network, card = brighter_half()
    for parameter in network.parameters():
        parameter.data.neg_()
    save_model(folder / "wrong.safetensors", network.state_dict(), card)
    found = robustness_files(
        folder / "wrong.safetensors",
        str(folder / "photos"),
        baseline=folder / "model.safetensors",
        only=["gaussian_noise", "shift"],
        images=10,
        seed=5,
        out=folder / "out",
    )
    wrong, right = found.results
    assert (wrong.clean, right.clean, wrong.n, right.n) == (0, 1, 10, 10)
    for a, b in zip(wrong.accuracy["shift"], right.accuracy["shift"], strict=True):
        assert a + b == pytest.approx(1)
    assert found.rows(simple=False)[0][1] == "0.0 / 100"
    assert found.means == {}
    again = robustness_files(
        folder / "model.safetensors", str(folder / "photos"), only=["shift"], images=10, seed=5, out=folder / "again"
    )
    assert again.results[0].accuracy["shift"] == right.accuracy["shift"]


def test_mistakes(folder):
    model, data = folder / "model.safetensors", str(folder / "photos")
    for error, words in (
        (UnknownNameError, {"only": ["shfit"]}),
        (OptionError, {"images": 0}),
        (DataError, {"split": "val"}),
    ):
        with pytest.raises(error):
            robustness_files(model, data, **words)
    network, card = brighter_half()
    save_model(folder / "many.safetensors", network.state_dict(), replace(card, provenance={"multi_label": True}))
    with pytest.raises(HubelError, match="one class"):
        robustness_files(folder / "many.safetensors", data)


@pytest.mark.parametrize("names", [[], ["shift"], ["fog", "snow", "blur", "jpeg"]])
@pytest.mark.slow
def test_curves(names):
    which = find_corruptions(names)
    both = [random_result(seed, which, f"run {seed}") for seed in (0, 1)]
    assert to_png(robustness_curves(both[:1] if names else both)).startswith(b"\x89PNG")
    figure = robustness_curves(both)
    drawn = [axes for axes in figure.axes if axes.lines]
    assert sum(len(axes.lines) for axes in drawn) == 2 * len(which)
    for axes in drawn:
        for line in axes.lines:
            assert line.get_ydata()[0] == 80
        left, right = axes.get_xlim()
        first = axes.lines[0].get_xdata()
        assert (first[-1] > first[0]) == (right > left), "what is worse stands to the right"


def test_curves_of_nothing_are_refused():
    with pytest.raises(DataError):
        robustness_curves([])
    with pytest.raises(DataError):
        robustness_curves([random_result(0), random_result(1, find_corruptions(["fog"]))])


def test_the_command(folder, monkeypatch, capsys):
    monkeypatch.setattr("hubel.cli.tune_process", lambda: None)
    monkeypatch.chdir(folder)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(["robust", "model.safetensors", "photos", *words])
        return ended.value.code, *capsys.readouterr()

    code, out, _ = call("--only", "fog,shift", "--images", "8", "--baseline", "model.safetensors")
    assert code == 0
    assert [word in out for word in ("fog", "shift (share of each side)", "contrast")] == [True, True, False]
    assert "clean accuracy of model.safetensors" in out
    assert "mean corruption error" not in out
    assert (folder / "runs" / "robust-photos-1" / "robustness.csv").exists()
    code, out, _ = call("--only", "zoom_in", "--images", "8", "--quick", "--json")
    assert code == 0
    assert json.loads(out)["models"][0]["changes"]["zoom_in"]["strengths"] == [1.1, 1.5, 3]
    code, _, err = call("--only", "fogg")
    assert code == 2
    assert "did you mean fog" in err
