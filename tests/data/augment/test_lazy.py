"""OpenCV is imported to transform images only; predicting and drawing from a policy do without."""

from __future__ import annotations

import subprocess
import sys

from hubel.data.augment.opencv import opencv

LIGHT = [
    "import hubel.data.augment, hubel.data.loading, hubel.features.views, hubel.training.recipe",
    "import hubel.inference.predictor, hubel.inference.exported, hubel.inference.tta",
    "import hubel.data.augment as a; a.draw_augmentations(a.find_policy('strong', channels=3), 0, 1, 2)",
]


def test_opencv_is_not_imported() -> None:
    """One process runs all of them: what one has not imported, the next may still import."""
    script = "\n".join(f"{code}\nassert 'cv2' not in sys.modules, {code!r}" for code in LIGHT)
    done = subprocess.run([sys.executable, "-c", f"import sys\n{script}"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_opencv_computes_each_image_with_one_thread() -> None:
    assert opencv().getNumThreads() == 1
