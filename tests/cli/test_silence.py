"""Nothing that hubel does reaches beyond this computer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# Every attempt to reach another computer, to look one up, or to start a program that might.
WATCHED = """
import json, sys
seen = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if not (isinstance(address, tuple) and str(address[0]).startswith(("127.", "::1")) or isinstance(address, str)):
            seen.append([event, repr(address)])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request", "http.client.connect"):
        if arguments[0] not in (None, "localhost", "127.0.0.1"):
            seen.append([event, repr(arguments[:2])])
    elif event in ("subprocess.Popen", "os.system", "os.posix_spawn") and arguments[0] != "fc-list":  # fonts
        seen.append([event, repr(arguments[0])])
sys.addaudithook(watch)
from hubel.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main(words)
    except SystemExit as end:
        assert end.code == 0, (words, end.code)
print(json.dumps(["seen", seen]))
"""


def test_train_export_and_predict_reach_nobody(tmp_path: Path) -> None:
    """serve is in tests/serving."""
    commands = [
        ["train", "xo", "--model", "linear", "--epochs", "1", "--out", "run"],
        ["export", "run", "-o", "m8.onnx", "--int8", "--data", "xo", "--max-drop", "100"],  # that in float32, too
        ["predict", "m8.onnx", "run/figures", "-o", "x.csv"],
    ]
    # Each of these silences one of the libraries by itself.
    silencing = ("CI", "PYTEST_CURRENT_TEST", "ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED")
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    home = tmp_path / "home"
    home.mkdir()
    environment |= {"HOME": str(home), "LOCALAPPDATA": str(home), "USERPROFILE": str(home), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-c", WATCHED, json.dumps(commands)]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["seen", []]
    assert [path for path in home.rglob("*") if path.is_file() and "matplotlib" not in str(path)] == []


NEEDS_TORCH = 'hubel: this needs torch, which is not installed: pip install "hubel[train]"'
NONE = f"{NEEDS_TORCH}; a file made by hubel export needs no torch"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["predict", "efficientnet_lite0", "x.png"], NONE),
        (["evaluate", "run", "photos"], NONE),
        (["predict", "model.onx", "x.png"], "hubel: model.onx: no such file; did you mean model.onnx?"),
        (["evaluate", "model.onx", "photos"], "hubel: model.onx: no such file; did you mean model.onnx?"),
        (["train", "digits"], NEEDS_TORCH),
        (["demo"], NEEDS_TORCH),
    ],
)
def test_what_needs_torch_says_so(words: list[str], said: str, tmp_path: Path) -> None:
    for name in ("x.png", "model.onnx"):
        (tmp_path / name).write_bytes(b"")
    code = "import sys; sys.modules['torch'] = None; from hubel.cli import main; main(sys.argv[1:])"
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr == f"{said}\n"


def test_info_without_torch(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from hubel.cli import main; main(['info'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert lines["torch"].startswith("not installed")
    assert {"hubel", "python", "numpy", "engines", "threads", "cache"} <= set(lines)
    assert "device" not in lines
