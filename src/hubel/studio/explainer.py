"""Attribution maps as PNG overlays, computed one at a time."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image

from hubel.core.errors import UnknownNameError
from hubel.studio.pending import PendingImage
from hubel.studio.responses import busy
from hubel.studio.uploads import PreparedUpload

if TYPE_CHECKING:
    from hubel.inference.predictor import Predictor

__all__ = ["METHOD", "Explainer", "overlay_png"]

METHOD = "layercam"
_LONGER_SIDE = 480  # of the overlay, in pixels
_MOST = 4  # maps in progress


class Explainer:
    """Thread that computes attribution maps.

    Args:
        compute: returns the PNG overlay of an encoded image and a class (the predicted one if None); may raise.
    """

    def __init__(self, compute: Callable[[bytes, str | None], bytes]) -> None:
        self._compute = compute
        self._slots = threading.BoundedSemaphore(_MOST)
        self._thread = ThreadPoolExecutor(1, "hubel-maps")

    def submit(self, data: bytes, label: str | None) -> Future[bytes]:
        """Return a future of the PNG overlay; cancel it to drop the image.

        Raises:
            RequestError: too many maps are in progress.
        """
        if not self._slots.acquire(blocking=False):
            raise busy("too many maps are in progress")
        pending = PendingImage[bytes](data)
        self._thread.submit(self._work, pending, label)
        return pending.answer

    def close(self) -> None:
        """Finish the map in progress, and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _work(self, pending: PendingImage[bytes], label: str | None) -> None:
        try:
            if pending.data is not None:
                pending.succeed(self._compute(pending.data, label))
        except Exception as error:  # becomes the answer to the request
            pending.fail(error)
        finally:
            self._slots.release()


def overlay_png(predictor: Predictor, upload: PreparedUpload, label: str | None) -> bytes:
    """Return the attribution map over the image in grey, as PNG with the aspect ratio of the original image.

    Raises:
        UnknownNameError: there is no such class.
        OptionError: no layer of the network outputs a map.
    """
    from hubel.explain.explanation import explain
    from hubel.explain.heat_map import overlay
    from hubel.explain.images import PreparedImage

    if label is not None and label not in predictor.classes:
        raise UnknownNameError("class", label, predictor.classes)
    preprocess = predictor.card.preprocess
    height, width, _ = upload.pixels.shape
    aspect = upload.size[1] / upload.size[0] if preprocess.resize == "squash" else width / height
    prepared = PreparedImage(name="image", pixels=upload.pixels, aspect=aspect)
    (explanation,) = explain(predictor, iter([prepared]), method=METHOD, label=label)
    image = Image.fromarray(overlay(upload.pixels, explanation.map))
    size = (_LONGER_SIDE, max(1, round(_LONGER_SIDE / aspect)))
    if aspect < 1:
        size = (max(1, round(_LONGER_SIDE * aspect)), _LONGER_SIDE)
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
