"""Files beside the images and the model that are not what they should be: one line says what is wrong."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hubel.core.lock import FileLock
from hubel.data.sources.class_files import named_classes

Call = Callable[..., Any]

_COSTS = "true,blue,green,red\nblue,0,1,1\ngreen,1,0,1\nred,5,1,0\n"
_TABLE = "[blue]\ngreen = 1\nred = 1\n[green]\nblue = 1\nred = 1\n[red]\ngreen = 1\nblue = "
_DEEP = "a = " + "[" * 5000 + "]" * 5000
_DOTTED = f"{'.'.join('a' * 3000)} = 1\n"  # nested by a dotted name, which no parser of TOML recurses for


def line(answer: Any) -> str:
    """Return the message of a command that ended with one line."""
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1), answer
    return str(answer.err.removeprefix("hubel: ").removesuffix("\n"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", _COSTS.replace("red,5", 'red,"5'), "no CSV (unexpected end of data)"),
        ("c.csv", f"true,{'x' * 140_000}\n", "no CSV (field larger than field limit (131072))"),
        ("c.csv", _COSTS.replace("5", "9" * 400), f"where red is true is a number from 0 to 1e+12, not '{'9' * 79}"),
        ("c.toml", _TABLE + "9" * 400, f"where red is true is a number from 0 to 1e+12, not {'9' * 80}"),
        ("c.toml", _DEEP, "no TOML: "),
        ("c.toml", _DOTTED, "no TOML: more than 64 tables and lists in each other"),
        ("c.csv", _COSTS.encode("utf-16"), "save it as UTF-8"),
    ],
)
def test_costs(hubel: Call, model: Path, name: str, text: str | bytes, message: str) -> None:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    said = line(hubel("predict", model, "nothing", "--costs", name))
    assert said.startswith(f"--costs {name}: ")
    assert message in said


@pytest.mark.parametrize("flag", ["--recipe", "--config"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_DEEP, "{flag} r.toml: no TOML: "),
        (_DOTTED, "{flag} r.toml: no TOML: more than 64 tables and lists in each other"),
        ("epochs = [1]\n", "--epochs is a whole number, not '[1]' (from r.toml)"),
        ("epochs = 1\n[optimization]\nepochs = 2\n", "epochs is there twice, in the table optimization and outside"),
        ("teacher = ','\n", "teacher is a model or several with commas between them, not ','"),
        ("\ufeffepochs = 0\n", "epochs is at least 1, not 0"),
    ],
)
def test_recipes(hubel: Call, flag: str, text: str, message: str) -> None:
    Path("r.toml").write_text(text, encoding="utf-8")
    assert message.format(flag=flag) in line(hubel("train", "digits", flag, "r.toml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("blue,blue\n", "the parents run in a circle: blue < blue"),
        ("blue,green\ngreen,blue\n", "the parents run in a circle: blue < green < blue"),
        ('blue,"cold\ngreen,cold\n', "no CSV (unexpected end of data)"),
    ],
)
def test_parents(hubel: Call, photos: Path, text: str, message: str) -> None:
    Path("p.csv").write_text(text)
    assert line(hubel("train", photos, "--parents", "p.csv")) == f"--parents {Path('p.csv').resolve()}: {message}"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file")
def test_an_endless_file(hubel: Call, model: Path) -> None:
    more = "/dev/zero: more than 33,554,432 bytes; expected "
    assert line(hubel("predict", model, "x", "--costs", "/dev/zero")).startswith(f"--costs {more}")
    assert line(hubel("train", "digits", "--config", "/dev/zero")).startswith(f"--config {more}")
    assert line(hubel("train", "digits", "--parents", "/dev/zero")).startswith(f"--parents {more}")


def test_gates_and_references(hubel: Call, model: Path, photos: Path) -> None:
    both = ("--min-recall", "red=0.9", "--min-recall", "red=0.1")
    assert line(hubel("evaluate", model, photos, *both)) == "--min-recall: red has two limits, 0.9 and 0.1"
    few = Path("few")
    for folder in ("blue", "red"):
        (few / folder).mkdir(parents=True)
        for number in range(3):
            (few / folder / f"{number}.png").write_bytes((photos / folder / f"{number}.png").read_bytes())
    said = "6 readable images of the training are too few to compare; 10 are the least"
    assert line(hubel("drift", model, photos, "--data", few)) == said


def test_a_class_with_a_number_that_no_mask_has(tmp_path: Path) -> None:
    (tmp_path / "names.json").write_text('{"cat": 1000000000000}')
    assert named_classes([tmp_path]) == []
    (tmp_path / "names.json").write_text('{"cat": 1, "dog": 0}')
    assert named_classes([tmp_path]) == ["dog", "cat"]
    (tmp_path / "names.json").write_text("[" * 100_000)
    assert named_classes([tmp_path]) == []


@pytest.mark.skipif(sys.platform == "win32", reason="the lock of a file is another one")
def test_two_processes_that_write_into_one_folder(hubel: Call, model: Path, photos: Path) -> None:
    """The second says so in a line, and its results are whole once the first has ended, however it ended."""
    code = "import sys; from hubel.core.outputs import *; from pathlib import Path\nwith holding_folders():\n"
    code += "    make_folder(Path('both'), verb='evaluate', name=''); print('made', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        said = hubel("evaluate", model, photos, "--out", "both")
        assert (said.code, said.err.splitlines()[-1]) == (
            2,
            "hubel: both: another process is writing its results there",
        )
        assert [path.name for path in Path("both").iterdir() if not path.name.startswith(".")] == []
        process.kill()
    time.sleep(0.1)
    assert hubel("evaluate", model, photos, "--out", "both").code == 0
    assert Path("both/report.html").exists()
    assert not Path("both/.hubel.lock").exists()


def test_two_processes_that_export_graph_and_weights(hubel: Call, model: Path) -> None:
    pytest.importorskip("openvino")
    with FileLock(Path(".x.xml.lock")):
        said = hubel("export", model, "--format", "openvino", "-o", "x.xml")
        assert (said.code, said.err.splitlines()[-1]) == (2, "hubel: .x.xml.lock: another process is at work")
        assert not Path("x.bin").exists()
    assert hubel("export", model, "--format", "openvino", "-o", "x.xml").code == 0
    assert not Path(".x.xml.lock").exists()
