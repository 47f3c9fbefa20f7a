"""Large libraries are imported by what needs them, and by nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

#: What is run, and what is not imported by then: OpenCV transforms images only; a first training waits neither for
#: the compiler of torch nor for scikit-learn, whose digits it reads.
STEPS = [
    ("import hubel.data.augment, hubel.data.loading, hubel.features.views, hubel.training.recipe", ["cv2"]),
    ("import hubel.inference.predictor, hubel.inference.exported, hubel.inference.tta", ["cv2"]),
    ("import hubel.data.augment as a; a.draw_augmentations(a.find_policy('strong', channels=3), 0, 1, 2)", ["cv2"]),
    (
        "import hubel; hubel.train('digits', {'model': 'linear', 'epochs': 1, 'ema': 0.9}, out='run', quiet=True)",
        ["torch._dynamo", "sklearn", "pandas"],
    ),
]


def test_only_what_is_needed_is_imported(tmp_path: Path) -> None:
    """One process runs all of them: what one has not imported, the next may still import."""
    script = "\n".join(f"{code}\nassert not sys.modules.keys() & {not_yet}, {code!r}" for code, not_yet in STEPS)
    words = [sys.executable, "-c", f"import sys\n{script}"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
