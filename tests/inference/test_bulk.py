"""Bulk prediction: whatever happens to the process, the file comes out as if nothing had."""

import csv
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from hubel.core.errors import HubelError, OptionError
from hubel.data.inputs import Input, collect
from hubel.data.preprocess import Preprocess
from hubel.inference import bulk
from hubel.inference.bulk import BulkResult, partial_of, write
from hubel.inference.bulk_job import BulkJob
from hubel.inference.classifier import Classifier
from hubel.inference.stream import batch_size
from hubel.weights.card import ModelCard

JOB = BulkJob("colours", top=2)
SUFFIXES = (".jsonl", ".csv", ".parquet")


class Colours(Classifier):
    """How red, green and blue a picture is; the scores feel the size of their batch, more than any network's do."""

    def __init__(self, delay=0.0):
        super().__init__(ModelCard("none", ("red", "green", "blue"), Preprocess(512, 512)))
        self.delay = delay

    def _scores(self, pixels):
        time.sleep(self.delay)
        return pixels.mean((1, 2)) / 512 + len(pixels) / 1000


BATCH = batch_size(Colours().card.preprocess)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """29 pictures; three of them are none."""
    place = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for number in range(29):
        pixels = np.full((4, 4, 3), generator.integers(0, 256, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number}.png")
    for number in (0, 5, 28):
        (place / f"{number}.png").write_bytes(b"no picture")
    return place


@pytest.fixture(scope="module")
def inputs(folder):
    return list(collect([folder]))


@pytest.fixture(scope="module")
def whole(inputs, tmp_path_factory):
    """Each format's file of a process that nobody stopped, and what FILE.partial was before that."""
    place = tmp_path_factory.mktemp("whole")
    files = {}
    for suffix in SUFFIXES:
        summary = write(JOB, Colours(), inputs, place / f"answers{suffix}")
        assert (summary.images, summary.unreadable, summary.stopped_by) == (29, 3, 0)
        files[suffix] = (place / f"answers{suffix}").read_bytes()
    assert sorted(path.name for path in place.iterdir()) == sorted(f"answers{suffix}" for suffix in SUFFIXES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "_publish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write(JOB, Colours(), inputs, place / "unpublished.jsonl")
    return files, partial_of(place / "unpublished.jsonl").read_bytes()


def test_formats_agree(whole, inputs, tmp_path):
    rows = [json.loads(line) for line in whole[0][".jsonl"].splitlines()]
    assert [row["path"] for row in rows] == [item.name for item in inputs]
    flat = list(csv.DictReader(whole[0][".csv"].decode().splitlines()))
    (tmp_path / "answers.parquet").write_bytes(whole[0][".parquet"])
    table = parquet.read_table(tmp_path / "answers.parquet")
    assert table.to_pylist() == [row | {"top": row["top"]} for row in rows]
    assert {field.name: str(field.type) for field in table.schema} == {
        "path": "string",
        "class": "string",
        "score": "double",
        "top": "list<element: struct<class: string, score: double>>",
        "error": "string",
    }
    assert list(flat[0]) == ["path", "class", "score", "class2", "score2", "error"]
    for row, line in zip(rows, flat, strict=True):
        assert (line["path"], line["error"]) == (row["path"], row["error"] or "")
        named = [(line["class"], line["score"]), (line["class2"], line["score2"])]
        assert named == ([(one["class"], str(one["score"])) for one in row["top"]] or [("", "")] * 2)


@given(kept=st.floats(0, 1), zeros=st.integers(0, 9), suffix=st.sampled_from(SUFFIXES))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_goes_on_wherever_it_was_cut(kept, zeros, suffix, whole, inputs, tmp_path_factory):
    files, partial = whole
    output = tmp_path_factory.mktemp("cut") / f"answers{suffix}"
    left = partial[: round(kept * len(partial))]
    if b"\n" in left:  # a system that crashed may have kept the length of what it had not written
        left += b"\0" * zeros
    partial_of(output).write_bytes(left)
    summary = write(JOB, Colours(), inputs, output, resume=True)
    assert (summary.images, summary.unreadable) == (29, 3)
    assert output.read_bytes() == files[output.suffix]
    assert not partial_of(output).exists()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("rows", [0, 1, 14])
def test_goes_on_after_a_kill(rows, whole, folder, tmp_path):
    output = tmp_path / "answers.csv"
    partial = partial_of(output)
    with subprocess.Popen([sys.executable, __file__, folder, output]) as process:
        while not partial.exists() or partial.read_bytes().count(b"\n") <= rows:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not output.exists()
    write(JOB, Colours(), list(collect([folder])), output, resume=True)
    assert output.read_bytes() == whole[0][".csv"]


@pytest.mark.parametrize("row", [1, 14, 29])
def test_an_altered_row_is_computed_again(row, whole, inputs, tmp_path):
    """A score that is as good as any, but not the network's; and rows that are missing, twice or in another order."""
    lines = whole[1].splitlines(keepends=True)
    digit = next(at for at in range(len(lines[row]) - 1, 0, -1) if lines[row][at : at + 1].isdigit())
    altered = lines[row][:digit] + b"%d" % ((int(lines[row][digit : digit + 1]) + 1) % 10) + lines[row][digit + 1 :]
    output = tmp_path / "answers.csv"
    for left in (
        [*lines[:row], altered, *lines[row + 1 :]],
        [*lines[:row], lines[row][17:], *lines[row + 1 :]],  # as an earlier version wrote it
        [*lines[:row], lines[row], lines[row], *lines[row + 1 :]],
        [*lines[: row - 1], *lines[row + 1 :]],
    ):
        partial_of(output).write_bytes(b"".join(left))
        if b"hubel predict" not in left[0]:
            continue
        assert write(JOB, Colours(), inputs, output, resume=True).images == 29
        assert output.read_bytes() == whole[0][".csv"]
        output.unlink()


def test_a_row_altered_while_the_rest_is_predicted_is_noticed(whole, inputs, tmp_path):
    output = tmp_path / "answers.csv"

    class Careless(Colours):
        def _scores(self, pixels):
            data = partial_of(output).read_bytes()
            if b"1.png" in data:
                partial_of(output).write_bytes(data.replace(b"1.png", b"7.png"))
            return super()._scores(pixels)

    with pytest.raises(OptionError, match="has changed while it was written; go on by --resume"):
        write(JOB, Careless(), inputs, output)
    assert not output.exists()
    write(JOB, Colours(), inputs, output, resume=True)
    assert output.read_bytes() == whole[0][".csv"]


def test_a_second_ctrl_c_ends_it_at_once(whole, inputs, tmp_path):
    output = tmp_path / "answers.jsonl"

    class Interrupted(Colours):
        def _scores(self, pixels):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("still there")

    with pytest.raises(KeyboardInterrupt):
        write(JOB, Interrupted(), inputs, output)
    write(JOB, Colours(), inputs, output, resume=True)
    assert output.read_bytes() == whole[0][".jsonl"]


def test_a_stop_is_in_good_order(whole, inputs, tmp_path):
    output = tmp_path / "answers.jsonl"
    batches = []

    class Interrupted(Colours):
        def _scores(self, pixels):
            batches.append(len(pixels))
            if len(batches) == 2:
                signal.raise_signal(signal.SIGINT)
            return super()._scores(pixels)

    summary = write(JOB, Interrupted(), inputs, output)
    assert (summary.stopped_by, summary.images, len(batches)) == (signal.SIGINT, BATCH + 1, 2)
    assert partial_of(output).read_bytes().count(b"\n") == 1 + summary.images
    assert write(JOB, Colours(), inputs, output, resume=True).images == 29
    assert output.read_bytes() == whole[0][".jsonl"]


def test_enough_is_left_for_the_same_engine(whole, inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(bulk, "MANY", 9)
    counts = []
    monkeypatch.setattr(Colours, "for_many", lambda self, images: (counts.append(images), (self.scores, 1))[1])
    output = tmp_path / "answers.jsonl"
    partial_of(output).write_bytes(b"".join(whole[1].splitlines(keepends=True)[:28]))
    write(JOB, Colours(), inputs, output, resume=True)
    assert counts == [29 - 20]
    assert output.read_bytes() == whole[0][".jsonl"]


def test_a_kill_between_publishing_and_tidying_up(whole, inputs, tmp_path):
    output = tmp_path / "answers.csv"
    output.write_bytes(whole[0][".csv"])
    partial_of(output).write_bytes(whole[1])
    write(JOB, Colours(), inputs, output, resume=True)
    assert output.read_bytes() == whole[0][".csv"]
    assert list(tmp_path.iterdir()) == [output]

    output.write_text("somebody's own")
    partial_of(output).write_bytes(whole[1])
    with pytest.raises(OptionError, match="has appeared meanwhile"):
        write(JOB, Colours(), inputs, output, resume=True)
    assert output.read_text() == "somebody's own"
    assert partial_of(output).read_bytes() == whole[1]


def test_nothing_is_overwritten(inputs, tmp_path):
    output = tmp_path / "answers.csv"
    output.write_text("precious")
    with pytest.raises(OptionError, match=r"answers.csv is there already; .*--resume"):
        write(JOB, Colours(), inputs, output)
    assert bulk.is_finished(output, resume=True)
    output.rename(partial_of(output))
    with pytest.raises(OptionError, match=r"answers.csv.partial is there already: .*--resume"):
        write(JOB, Colours(), inputs, output)
    with pytest.raises(OptionError, match="was not begun by hubel predict"):
        write(JOB, Colours(), inputs, output, resume=True)
    assert partial_of(output).read_text() == "precious"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"top": 3}, "--top: 2, not 3;"),
        ({"shard": "1/2"}, "--shard: 1/1, not 1/2;"),
        ({"tta": True}, "--tta: False, not True;"),
        ({"model": "colors"}, "model: another one, not this;"),
    ],
)
def test_another_job_is_refused(changed, words, whole, inputs, tmp_path):
    output = tmp_path / "answers.csv"
    partial_of(output).write_bytes(whole[1])
    with pytest.raises(OptionError, match=words):
        write(replace(JOB, **changed), Colours(), inputs, output, resume=True)
    assert partial_of(output).read_bytes() == whole[1]


@pytest.mark.parametrize("head", [b"[" * 100_000 + b"\n", b'{"hubel predict": ' + b"[" * 100_000 + b"\n", b"\0" * 100])
def test_a_file_that_is_none_of_ours(head, whole, inputs, tmp_path):
    output = tmp_path / "answers.csv"
    partial_of(output).write_bytes(head)
    with pytest.raises(OptionError, match="was not begun by hubel predict"):
        write(JOB, Colours(), inputs, output, resume=True)
    assert partial_of(output).read_bytes() == head


def test_a_folder_in_the_place_of_the_rows(inputs, tmp_path):
    output = tmp_path / "answers.csv"
    partial_of(output).mkdir()
    for resume in (False, True):
        with pytest.raises(OptionError, match=r"answers\.csv\.partial is no file; remove it"):
            write(JOB, Colours(), inputs, output, resume=resume)


def test_a_model_is_known_by_its_bytes(tmp_path):
    run, exported = tmp_path / "run", tmp_path / "model.onnx"
    run.mkdir()
    (run / "model.safetensors").write_bytes(b"weights")
    exported.write_bytes(b"weights")
    first = BulkJob(str(run)).identity()
    assert first == BulkJob(str(run / "model.safetensors")).identity() == BulkJob(str(exported)).identity()
    (run / "model.safetensors").write_bytes(b"others")
    assert BulkJob(str(run)).identity() != first
    assert json.loads(json.dumps(first)) == first


def test_other_images_are_refused(whole, inputs, tmp_path):
    output = tmp_path / "answers.csv"
    for others, words in (
        ([inputs[0], Input("new.png"), *inputs[1:]], r"number 2 was .*1.png, now new.png"),
        (inputs[:7], "number 8 was .*7.png, now no more"),
    ):
        partial_of(output).write_bytes(whole[1])
        with pytest.raises(OptionError, match=words):
            write(JOB, Colours(), others, output, resume=True)
        assert partial_of(output).read_bytes() == whole[1]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no lock")
def test_two_processes_do_not_write_one_file(inputs, tmp_path):
    output = tmp_path / "answers.csv"

    class Nosy(Colours):
        def _scores(self, pixels):
            with pytest.raises(OptionError, match="another process is writing it"):
                write(JOB, Colours(), inputs, output, resume=True)
            return super()._scores(pixels)

    assert write(JOB, Nosy(), inputs, output).images == 29


def test_a_start_that_fails_leaves_nothing(inputs, tmp_path):
    class Broken(Colours):
        def _scores(self, pixels):
            raise MemoryError

    with pytest.raises(MemoryError):
        write(JOB, Broken(), inputs, tmp_path / "answers.csv")
    assert list(tmp_path.iterdir()) == []


def test_shards_are_disjoint_and_together_all(inputs, tmp_path):
    parts = [replace(JOB, shard=f"{part}/3").share(inputs) for part in (1, 2, 3)]
    assert [len(part) for part in parts] == [10, 10, 9]
    assert sorted((item for part in parts for item in part), key=inputs.index) == inputs
    none = replace(JOB, shard="30/30").share(inputs)
    assert none == []
    for suffix in SUFFIXES:
        assert write(JOB, Colours(), none, tmp_path / f"answers{suffix}").images == 0
    assert (tmp_path / "answers.jsonl").read_bytes() == b""
    assert parquet.read_table(tmp_path / "answers.parquet").num_rows == 0


@pytest.mark.parametrize("shard", ["0/3", "4/3", "1", "1/0", "-1/3", "a/b", "", "1/3/5", "²/3"])
def test_shards_that_are_none(shard):
    with pytest.raises(OptionError, match="--shard is I/N"):
        BulkJob("model", shard=shard)


def test_a_name_without_a_format(tmp_path):
    with pytest.raises(OptionError, match=r"answers.txt: the name .* ends in .jsonl, .csv or .parquet"):
        write(JOB, Colours(), [], tmp_path / "answers.txt")


def test_names_that_break_lines(tmp_path):
    """A name with a carriage return alone is quoted, too."""
    inputs = [Input(name, data=b"no picture") for name in ("a\rb.png", "a\nb.png", "a\r\nb.png", 'a"b,c.png')]
    write(JOB, Colours(), inputs, tmp_path / "answers.csv")
    with (tmp_path / "answers.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == [one.name for one in inputs]


def test_names_that_are_no_text(tmp_path):
    """Names of files may hold bytes that are no UTF-8, and what CSV and JSON have a meaning for."""
    names = ["caf\udce9.png", 'a,"b".png', "\\udce9.png", "猫\n.png"]
    for suffix in SUFFIXES:
        output = tmp_path / f"answers{suffix}"
        write(JOB, Colours(), [Input(name) for name in names], output)
        if suffix == ".jsonl":
            assert [json.loads(line)["path"] for line in output.read_bytes().splitlines()] == names
        elif suffix == ".csv":
            with output.open(newline="", encoding="utf-8") as file:
                assert [row["path"] for row in csv.DictReader(file)] == ["caf\\udce9.png", *names[1:]]
        else:
            assert parquet.read_table(output)["path"].to_pylist() == ["caf\\udce9.png", *names[1:]]


def test_how_images_were_decoded(inputs, tmp_path):
    for suffix in SUFFIXES:
        write(replace(JOB, decoded=True), Colours(), inputs[:3], tmp_path / f"answers{suffix}")
    rows = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    table = parquet.read_table(tmp_path / "answers.parquet").to_pylist()
    assert rows[1]["width"] == table[1]["width"] == 4
    assert rows[1]["rgb_mean"] == table[1]["rgb_mean"]
    assert table[0]["width"] is None
    with (tmp_path / "answers.csv").open() as file:
        assert [row["mode"] for row in csv.DictReader(file)] == ["", "RGB", "RGB"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray's own making
def test_ray(model_file, folder, inputs, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        monkeypatch.setattr("hubel.inference.ray_predict._IMAGES", 2 * BATCH)
        monkeypatch.chdir(folder)
        job = BulkJob(str(model_file), engine="ray")
        named = list(collect(["*.png"]))
        write(job, job.load(), named, tmp_path / "ray.csv")
        alone = replace(job, engine="auto")
        write(alone, alone.load(), named, tmp_path / "alone.csv")
        assert (tmp_path / "ray.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()
        (tmp_path / "gone.safetensors").write_bytes(model_file.read_bytes())
        gone = replace(job, model=str(tmp_path / "gone.safetensors"))
        classifier = gone.load()
        (tmp_path / "gone.safetensors").unlink()
        with pytest.raises(HubelError, match=r"Ray: .*gone.safetensors: no such model file"):
            write(gone, classifier, named, tmp_path / "gone.csv")
    finally:
        ray.shutdown()


@pytest.fixture
def model_file(tmp_path):
    torch = pytest.importorskip("torch")
    from hubel.weights.model_file import save_model

    torch.manual_seed(0)
    card = ModelCard("convnet", ("red", "green", "blue"), Preprocess(12, 12), {"filters": (4, 8), "repeat": 1})
    path = tmp_path / "model.safetensors"
    save_model(path, card.create().state_dict(), card)
    return path


def main(folder: str, output: str) -> BulkResult:
    """A process to kill."""
    return write(JOB, Colours(delay=0.1), list(collect([folder])), Path(output))


if __name__ == "__main__":
    main(*sys.argv[1:])
