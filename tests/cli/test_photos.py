"""A folder of real photos with broken files among them, from the command line to the predictions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

CLOTHING = Path(__file__).parents[3] / "shared" / "data" / "clothing"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CLOTHING.is_dir(), reason="the photos of ../shared/data are not here"),
]


def hubel(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "hubel", *map(str, arguments)], cwd=cwd, capture_output=True, text=True
    )


@pytest.fixture
def photos(tmp_path):
    """A copy with five files planted in train/dress: three that cannot be read, two that only look odd."""
    shutil.copytree(CLOTHING, tmp_path / "clothing")
    folder = tmp_path / "clothing" / "train" / "dress"
    folder.chmod(0o755)
    good = next(folder.glob("*.jpg"))
    (folder / "truncated.jpg").write_bytes(good.read_bytes()[: good.stat().st_size // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no photo\n" * 50)
    with Image.open(good) as image:
        image.convert("CMYK").save(folder / "cmyk.jpg")
        exif = Image.Exif()
        exif[274] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(folder / "rotated.jpg", exif=exif)
        size = image.size
    return tmp_path / "clothing", size


def test_broken_files_are_named_and_nothing_else_changes(photos, tmp_path):
    data, size = photos
    listed = hubel("data", data, "--unreadable", cwd=tmp_path)
    bad = dict(line.split("\t") for line in listed.stdout.splitlines())
    assert sorted(Path(path).name for path in bad) == ["empty.jpg", "text.jpg", "truncated.jpg"]
    assert "empty" in bad["train/dress/empty.jpg"]
    assert "truncated" in bad["train/dress/truncated.jpg"]
    assert "not an image" in bad["train/dress/text.jpg"]

    before = {path: path.stat().st_mtime_ns for path in data.rglob("*")}
    trained = hubel("train", data, "--size", "64", "--epochs", "3", "--out", "run", cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*")} == before
    assert "3 files left out because unreadable" in trained.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    counts = config["images"]
    assert counts["train"] + counts["val"] == 1000 + 2
    assert counts["test"] == 293
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["n"] == 293
    report = (tmp_path / "run" / "report.html").read_text()
    assert all(name in report for name in ("empty.jpg", "text.jpg", "truncated.jpg"))

    evaluated = hubel("evaluate", "run", data, "--json", cwd=tmp_path)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["n"] == 293

    folder = data / "train" / "dress"
    predicted = hubel("predict", "run", folder, "--json", "--debug-decode", cwd=tmp_path)
    assert predicted.returncode == 3
    rows = {Path(row["path"]).name: row for row in json.loads(predicted.stdout)}
    assert {name for name, row in rows.items() if row["error"]} == {"empty.jpg", "text.jpg", "truncated.jpg"}
    assert rows["cmyk.jpg"]["mode"] == "CMYK"
    assert (rows["rotated.jpg"]["width"], rows["rotated.jpg"]["height"]) == size
