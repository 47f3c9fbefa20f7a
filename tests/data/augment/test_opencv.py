"""OpenCV takes the threads that it is given."""

from __future__ import annotations

from hubel.data.augment.opencv import opencv


def test_opencv_computes_each_image_with_one_thread() -> None:
    assert opencv().getNumThreads() == 1
