"""The Dockerfile serves an exported model as a user without rights and without torch."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
INSTRUCTION = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return INSTRUCTION.findall(re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " "))


def pins(name: str) -> set[str]:
    lines = (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_serving_is_tested_and_needs_no_torch() -> None:
    assert pins("serve.txt") <= pins("tested.txt")
    names = {pin.partition("==")[0].lower() for pin in pins("serve.txt")}
    assert {"numpy", "onnxruntime", "uvicorn"} <= names
    assert not names & {"torch", "scipy", "scikit-learn", "matplotlib", "pyarrow", "onnx"}


def test_copies_what_exists_and_is_not_ignored() -> None:
    _, *lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    included = {line[1:] for line in lines if line.startswith("!")}
    copied = [argument for name, argument in instructions() if name == "COPY" and "--from" not in argument]
    sources = {source for argument in copied for source in argument.split()[:-1]}
    assert sources == included
    assert all((ROOT / source).exists() for source in sources)


def test_last_stage_runs_as_a_user_without_rights() -> None:
    stages = [i for i, (name, _) in enumerate(instructions()) if name == "FROM"]
    last = instructions()[stages[-1] :]
    assert all(fnmatch(argument, "python:3.*-slim*") for name, argument in instructions() if name == "FROM")
    names = [name for name, _ in last]
    assert names[-2:] == ["ENTRYPOINT", "CMD"]
    assert "RUN" not in names
    ((user, group),) = (argument.split(":") for name, argument in last if name == "USER")
    assert int(user) > 0
    assert int(group) > 0
    (check,) = (argument for name, argument in last if name == "HEALTHCHECK")
    assert "/healthz" in check


def test_documentation_has_its_commands() -> None:
    commands = re.findall(r"^#   (docker .+)$", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8").replace("\\\n    ", "")
    assert [command for command in commands if command not in page] == []


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import hubel
    from hubel.export.run import export

    folder = tmp_path_factory.mktemp("exported")
    hubel.train("digits", hubel.Recipe(model="linear", epochs=1), out=folder / "run")
    export(folder / "run", folder / "model.onnx")
    return folder / "model.onnx"


@contextmanager
def serving(command: list[str], **options: object) -> Iterator[None]:
    process = subprocess.Popen(command, **options)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0


def predicted(port: int) -> bytes:
    """The answer to one image, as soon as there is a server."""
    image = BytesIO()
    Image.linear_gradient("L").save(image, "PNG")
    request = Request(f"http://127.0.0.1:{port}/v1/predict", image.getvalue(), {"Content-Type": "image/png"})
    for _ in range(300):
        try:
            with urlopen(request, timeout=10) as answer:
                return bytes(answer.read())
        except URLError:
            time.sleep(0.1)
    raise TimeoutError("no server")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@pytest.mark.slow
def test_serves_without_torch(exported: Path, tmp_path: Path) -> None:
    """What the image does, in a virtual environment; the cache cannot be written to, as under --read-only."""
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, "--requirement", ROOT / "requirements" / "serve.txt"], check=True)
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*install, "--no-deps", wheel], check=True)
    subprocess.run([python, "-c", "import importlib.util as i; assert not i.find_spec('torch')"], check=True)
    (tmp_path / "file").touch()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["HUBEL_CACHE"] = str(tmp_path / "file" / "cache")
    port = free_port()
    command = [str(python), "-m", "hubel", "serve", str(exported), "--port", str(port)]
    with serving(command, env=environment, cwd=tmp_path):
        assert b'"class"' in predicted(port)


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode != 0,
    reason="no docker daemon",
)
def test_image_serves(exported: Path) -> None:
    subprocess.run(["docker", "build", "--tag", "hubel-serve-test", "."], cwd=ROOT, check=True)
    port = free_port()
    options = f"--rm --read-only --tmpfs /tmp --publish 127.0.0.1:{port}:8000 --volume {exported}:/model.onnx:ro"
    with serving(["docker", "run", *shlex.split(options), "hubel-serve-test"]):
        assert b'"class"' in predicted(port)
