"""Servers on free ports, and a browser."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from hubel.inference.classifier import Classifier
from hubel.studio.course.server import running_course
from hubel.studio.server import running_server
from hubel.studio.settings import ServerSettings

sys.path.insert(0, str(Path(__file__).parent))

from browser import CHROMIUM, Browser, browser
from colours import Client, Colours
from served_lesson import LessonPage

Start = Callable[..., Client]


@pytest.fixture(scope="session")
def client() -> Iterator[Client]:
    """A shared server whose only model is `Colours`."""
    with running_server({"colours": Colours()}, ServerSettings(port=0)) as url:
        yield Client(urlsplit(url).port or 0)


@pytest.fixture
def model() -> Iterator[Colours]:
    """The model of `start`."""
    colours = Colours()
    yield colours
    colours.go()


@pytest.fixture
def start(model: Colours) -> Iterator[Start]:
    """Start a server for one test with these settings."""
    with ExitStack() as stack:

        def begin(models: dict[str, Classifier] | None = None, **settings: Any) -> Client:
            url = stack.enter_context(running_server(models or {"colours": model}, ServerSettings(port=0, **settings)))
            stack.callback(model.go)
            return Client(urlsplit(url).port or 0)

        yield begin


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page
        assert page.said == []


@pytest.fixture(scope="module")
def served(page: Browser) -> Iterator[LessonPage]:
    """Lessons as `hubel learn` serves them."""
    with running_course(ServerSettings(port=0)) as address:
        yield LessonPage(page, address)
