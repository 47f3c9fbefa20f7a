"""`hubel serve --watch`: counters over HTTP, the alarm, its bounds, and no influence on answers."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from colours import CLASSES, Client, Colours, form, picture

from hubel.audit.drifting.observe import observe_reference
from hubel.core.errors import ModelFileError
from hubel.data.dataset import open_dataset
from hubel.data.preprocess import Preprocess
from hubel.studio.watch import Watch, watch_lines
from hubel.weights.card import ModelCard

Start = Callable[..., Client]
CARD = ModelCard("resnet20", CLASSES, Preprocess(8, 8))


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    """That of 300 images of random colours and noise."""
    return _reference()


def _images(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    base = rng.uniform(60, 180, (n, 1, 1, 3))
    return np.clip(base + rng.normal(0, 1, (n, 8, 8, 3)) * rng.uniform(5, 40, (n, 1, 1, 1)), 0, 255).astype(np.uint8)


def _reference() -> dict[str, Any]:
    dataset = open_dataset((_images(300, 0), np.arange(300) % 2))
    rows = dataset.rows()
    images = dataset.images(CARD.preprocess, rows)
    first, second = images.subset(np.arange(100)), images.subset(np.arange(100, 300))
    return observe_reference(Colours(), CARD.preprocess, shown=second, held_out=first).to_json()


def _metrics(client: Client) -> dict[str, float]:
    lines = client("GET", "/metrics").body.decode().splitlines()
    return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines if not x.startswith("#"))}


def _after(client: Client, n: int) -> dict[str, float]:
    """Return the metrics once n predictions are counted: that is done after the answer."""
    for _ in range(200):
        found = _metrics(client)
        if sum(value for name, value in found.items() if name.startswith("hubel_predictions_total")) >= n:
            return found
        time.sleep(0.02)
    raise AssertionError("the predictions were not counted")


def test_predictions_are_counted(start: Start, reference: dict[str, Any], model: Colours) -> None:
    model.card = dataclasses.replace(model.card, reference=reference)
    client = start(watch=True)
    before = _metrics(client)
    assert before['hubel_drift_alarms_total{model="colours",statistic="brightness",direction="lower"}'] == 0
    for colour in ((250, 10, 10), (10, 250, 10), (250, 10, 10)):
        assert client.post(picture(colour)).status == 200
    body, kind = form([("a", picture((250, 10, 10))), ("b", b"no image")])
    client.post(body, kind=kind)
    found = _after(client, 4)
    assert found['hubel_predictions_total{model="colours",class="red"}'] == 3
    assert found['hubel_predictions_total{model="colours",class="green"}'] == 1
    assert found['hubel_confidence_count{model="colours"}'] == 4
    assert found['hubel_confidence_bucket{model="colours",le="0.95"}'] == 4
    assert found['hubel_image_usual{model="colours",statistic="brightness"}'] == pytest.approx(0.47, abs=0.03)
    assert 'hubel_image_recent{model="colours",statistic="brightness"}' in found
    assert found['hubel_drift_evidence{model="colours",statistic="brightness"}'] < 0


def test_the_alarm_rings_once_images_are_dark(
    start: Start, reference: dict[str, Any], model: Colours, capsys: Any
) -> None:
    model.card = dataclasses.replace(model.card, reference=reference)
    client = start(watch=True)
    for _ in range(4):
        body, kind = form([("dark", picture((12, 10, 10), (8, 8)))] * 20)
        assert client.post(body, kind=kind).status == 200
    found = _after(client, 80)
    rung = {name: value for name, value in found.items() if name.startswith("hubel_drift_alarms_total") and value}
    assert rung
    assert found['hubel_drift_alarm_timestamp_seconds{model="colours"}'] == pytest.approx(time.time(), abs=60)
    assert "colours: drift alarm after " in capsys.readouterr().err


def test_without_watch_there_is_nothing(client: Client) -> None:
    client.post(picture())
    assert not any("predictions" in name or "drift" in name for name in _metrics(client))


def test_a_model_without_reference_is_counted(capsys: Any) -> None:
    watch = Watch("old", CARD)
    assert "old keeps no statistics of its training images" in capsys.readouterr().err
    watch.add(list(_images(3, 1)), [np.array([0.7, 0.1, 0.1, 0.1])] * 3)
    lines = watch_lines([watch])
    assert 'hubel_predictions_total{model="old",class="red"} 3' in lines
    assert not any(line.startswith("hubel_drift_alarms_total{") for line in lines)


def test_hostile_statistics_are_refused(reference: dict[str, Any]) -> None:
    card = dataclasses.replace(CARD, reference={**reference, "formats": {"JPEG": 10**12}})
    with pytest.raises(ModelFileError, match="training statistics"):
        Watch("hostile", card)


def test_labels_are_bounded() -> None:
    names = tuple(f"class {number}" for number in range(300))
    watch = Watch("many", dataclasses.replace(CARD, classes=names))
    for number in range(300):
        watch.add([np.zeros((8, 8, 3), np.uint8)], [np.eye(300)[number]])
    lines = [line for line in watch_lines([watch]) if line.startswith("hubel_predictions_total{")]
    assert len(lines) == 101
    assert 'hubel_predictions_total{model="many",class="(others)"} 200' in lines


def test_what_stands_behind_the_scores_is_novelty(reference: dict[str, Any]) -> None:
    watch = Watch("new", dataclasses.replace(CARD, reference=reference))
    watch.add(list(_images(2, 4)), [np.array([0.7, 0.1, 0.1, 0.1, novelty]) for novelty in (0.5, 99.0)])
    lines = watch_lines([watch])
    assert 'hubel_predictions_total{model="new",class="red"} 2' in lines
    assert 'hubel_novelty_bucket{model="new",le="8.0"} 1' in lines
    assert 'hubel_novelty_count{model="new"} 2' in lines


def test_batches_and_threads_lose_no_image(reference: dict[str, Any]) -> None:
    watch = Watch("busy", dataclasses.replace(CARD, reference=reference))
    images, stop = _images(50, 2), threading.Event()

    def read() -> None:
        while not stop.is_set():
            assert watch_lines([watch])

    def add() -> None:
        for size in (1, 9, 40):
            watch.add(list(images[:size]), [np.array([0.4, 0.3, 0.2, 0.1])] * size)

    reader, writers = threading.Thread(target=read), [threading.Thread(target=add) for _ in range(4)]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    reader.join()
    assert 'hubel_predictions_total{model="busy",class="red"} 200' in watch_lines([watch])


def test_every_metric_is_declared_once(reference: dict[str, Any]) -> None:
    watches = [Watch(name, dataclasses.replace(CARD, reference=reference)) for name in ("one", "two")]
    for watch in watches:
        watch.add(list(_images(5, 3)), [np.array([0.4, 0.3, 0.2, 0.1])] * 5)
    lines = watch_lines(watches)
    heads = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    assert all(re.fullmatch(r'\w+\{\w+="[^"\\\n]*"(,\w+="[^"\\\n]*")*\} \S+', line) for line in lines if line[0] != "#")


def test_watching_and_comparing_import_no_torch() -> None:
    script = (
        "import sys, hubel.studio.watch, hubel.audit.drifting.compare, hubel.cli.drift\n"
        "print(sorted({'torch', 'scipy', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
