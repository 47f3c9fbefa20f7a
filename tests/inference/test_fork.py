"""A forked child predicts, though the threads of its parent have not come along."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
import os
import numpy as np, torch
from hubel.data.preprocess import Preprocess
from hubel.inference.forward import forward

torch.set_num_threads(2)
network = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Flatten())
images = np.zeros((8, 64, 64, 3), np.uint8)
expected = forward(network, images, Preprocess(64, 64))
child = os.fork()
if child == 0:
    os._exit(0 if np.allclose(forward(network, images, Preprocess(64, 64)), expected) else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_predicts() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout == "0\n"
