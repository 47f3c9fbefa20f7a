"""A variable that names no backend of matplotlib costs nobody a figure."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

DRAW = """
import os
import numpy as np
from hubel.plots.colour_maps import apply_colour_map
from hubel.plots.style import canvas
apply_colour_map(np.eye(2))
canvas(1, 1)
import matplotlib
print(os.environ["MPLBACKEND"], matplotlib.rcParams["backend"])
"""


@pytest.mark.parametrize(("asked", "taken"), [("nope", "agg"), ("svg", "svg")])
def test_what_names_no_backend_is_passed_over(asked: str, taken: str) -> None:
    environment = {name: text for name, text in os.environ.items() if "DISPLAY" not in name} | {"MPLBACKEND": asked}
    done = subprocess.run([sys.executable, "-c", DRAW], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [asked, taken]
