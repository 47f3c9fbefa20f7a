"""Maps of where on an image a class comes from: one at a time, as pictures."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image

from hubel.core.errors import UnknownNameError
from hubel.studio.pictures import Picture
from hubel.studio.refusal import busy
from hubel.studio.tickets import Ticket

if TYPE_CHECKING:
    from hubel.inference.predictor import Predictor

__all__ = ["METHOD", "Explainer", "overlay_png"]

METHOD = "layercam"
_LONGER_SIDE = 480  # of the picture, in pixels
_MOST = 4  # under way


class Explainer:
    """Makes maps in a thread of its own.

    Args:
        make: a PNG from an encoded image and a class, the first one where that is None; may raise.
    """

    def __init__(self, make: Callable[[bytes, str | None], bytes]) -> None:
        self._make = make
        self._places = threading.BoundedSemaphore(_MOST)
        self._thread = ThreadPoolExecutor(1, "hubel-maps")

    def submit(self, data: bytes, label: str | None) -> Future[bytes]:
        """A picture to come; cancel it if nobody waits for it any more.

        Raises:
            RequestError: too many are under way.
        """
        if not self._places.acquire(blocking=False):
            raise busy("too many maps are being made")
        ticket = Ticket[bytes](data)
        self._thread.submit(self._work, ticket, label)
        return ticket.answer

    def close(self) -> None:
        """Finish the map that is being made, and end the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _work(self, ticket: Ticket[bytes], label: str | None) -> None:
        try:
            if ticket.data is not None:
                ticket.succeed(self._make(ticket.data, label))
        except Exception as error:  # the request's answer says which
            ticket.fail(error)
        finally:
            self._places.release()


def overlay_png(predictor: Predictor, picture: Picture, label: str | None) -> bytes:
    """The image in grey under the heat of the map, in the shape that the photo has.

    Raises:
        UnknownNameError: there is no such class.
        OptionError: the network has no maps.
    """
    from hubel.explain.drawing import overlay
    from hubel.explain.explanation import Picture as Seen
    from hubel.explain.explanation import explain

    if label is not None and label not in predictor.classes:
        raise UnknownNameError("class", label, predictor.classes)
    preprocess = predictor.card.preprocess
    height, width, _ = picture.pixels.shape
    aspect = picture.aspect if preprocess.resize == "squash" else width / height
    (explanation,) = explain(predictor, iter([Seen("image", picture.pixels, aspect)]), method=METHOD, label=label)
    image = Image.fromarray(overlay(picture.pixels, explanation.map))
    size = (_LONGER_SIDE, max(1, round(_LONGER_SIDE / aspect)))
    if aspect < 1:
        size = (max(1, round(_LONGER_SIDE * aspect)), _LONGER_SIDE)
    file = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
