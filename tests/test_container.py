"""Without torch: what `pip install hubel` brings, and the Dockerfile, which serves a model as a user without rights."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from io import BytesIO
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from PIL import Image

from hubel.core.packages import TRAINING_MODULES

ROOT = Path(__file__).parents[1]
INSTRUCTION = re.compile(r"^([A-Z]+) (.+)$", re.MULTILINE)


def instructions() -> list[tuple[str, str]]:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    return INSTRUCTION.findall(re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " "))


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_the_small_installation_is_tested_and_has_no_torch() -> None:
    small, extras = names(PROJECT["dependencies"]), PROJECT["optional-dependencies"]
    tested = names((ROOT / "requirements" / "tested.txt").read_text(encoding="utf-8").splitlines())
    assert small | names(extras["train"]) <= tested
    assert {"numpy", "onnxruntime", "uvicorn"} <= small
    assert not small & (names(extras["train"]) | {"torch", "torchvision", "nncf"})
    assert "hubel[search]" in extras["test"]
    assert "hubel[train]" in extras["search"]
    assert "hubel[train]" in extras["similar"]


def test_the_extra_and_the_modules_that_its_absence_is_said_of_agree() -> None:
    of_extra = names(PROJECT["optional-dependencies"]["train"])
    providers = packages_distributions()
    assert {name.lower().replace("_", "-") for module in TRAINING_MODULES for name in providers[module]} == of_extra


# Runs hubel as where the packages of the extra are not installed.
WITHOUT = "import sys; from hubel.core.packages import TRAINING_MODULES as m; sys.modules.update(dict.fromkeys(m)); "


def without_torch(*words: object) -> subprocess.CompletedProcess[str]:
    code = WITHOUT + "from hubel.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)


def test_what_the_small_installation_can(exported: Path, tmp_path: Path) -> None:
    for name in ("0", "1"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.linear_gradient("L").resize((8, 8)).save(tmp_path / "photos" / name / "a.png")
    predicted = without_torch("predict", exported, tmp_path / "photos", "--json")
    assert (predicted.returncode, len(json.loads(predicted.stdout))) == (0, 2), predicted.stderr
    evaluated = without_torch("evaluate", exported, tmp_path / "photos", "--out", tmp_path / "report")
    assert evaluated.returncode == 0, evaluated.stderr
    assert (tmp_path / "report" / "report.html").exists()


def test_what_needs_torch_in_python() -> None:
    code = WITHOUT + (
        "import hubel, hubel.audit\n"
        "for what in (lambda: hubel.train, lambda: hubel.load('x.safetensors'), lambda: hubel.audit.corrupt):\n"
        "    try: what()\n"
        "    except hubel.MissingPackageError as error: assert isinstance(error, ImportError); print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count('pip install "hubel[train]"') == 3


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
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*install, "--constraint", ROOT / "requirements" / "tested.txt", wheel], check=True)
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
