"""OpenCV is for whoever changes images; to predict, or to say what a policy is, nobody waits for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hubel.data.augment.opencv import opencv


@pytest.mark.parametrize(
    "code",
    [
        "import hubel.data.augment, hubel.data.loading, hubel.features.views, hubel.training.recipe",
        "import hubel.inference.predictor, hubel.inference.exported, hubel.inference.tta",
        "from hubel.data.augment import find_policy, draw; draw(find_policy('strong', channels=3), 0, 1, 2)",
    ],
)
def test_opencv_is_not_imported(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print('cv2' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_opencv_computes_each_image_with_one_thread() -> None:
    assert opencv().getNumThreads() == 1
