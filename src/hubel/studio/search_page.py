"""The search box of the server: a page and an API over the photos of one indexed folder.

Photos travel inside the answer, as small pictures; no request can name a file.
"""

from __future__ import annotations

import html
import re
from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from hubel.core.errors import OptionError
from hubel.core.language import preferred, table
from hubel.retrieval.page import thumbnail
from hubel.retrieval.search import PhotoSearch
from hubel.studio.openapi import MOST_PHOTOS
from hubel.studio.responses import JsonResponse, RequestError
from hubel.studio.settings import ServerSettings

__all__ = ["SearchEndpoints"]

_PLACE = re.compile(r"\{\{(\w+)\}\}")
_SIDE = 256  # longer side of a picture, in pixels


class SearchEndpoints:
    """The endpoints.

    Args:
        search: the indexed folder.
        settings: language of the page, path below which a proxy publishes the server.
    """

    def __init__(self, search: PhotoSearch, settings: ServerSettings) -> None:
        self._search, self._settings = search, settings

    async def api(self, request: Request) -> Response:
        """Answer a query as JSON: scores, and the photos that fit as pictures."""
        query = request.query_params.get("q", "")
        try:
            return JsonResponse(await run_in_threadpool(self._told, query))
        except OptionError as error:
            raise RequestError(422, "bad_parameter", str(error)) from None

    async def page(self, request: Request) -> Response:
        """Return the page with the box, and the answer where there is a query."""
        query = request.query_params.get("q", "")
        language = self._settings.lang or preferred(request.headers.get("accept-language", ""))
        told = await run_in_threadpool(self._told, query) if query.strip() else None
        headers = {"content-type": "text/html; charset=utf-8", "vary": "Accept-Language"}
        return Response(self._html(query, language, told).encode("utf-8", "replace"), headers=headers)

    def _told(self, query: str) -> dict[str, Any]:
        answer = self._search.ask(query, top_k=MOST_PHOTOS)
        photos = [
            {
                "name": Path(one.path).name,
                "score": round(one.similarity, 4),
                "picture": b64encode(thumbnail(one.path, _SIDE)).decode(),
            }
            for one in answer.found
        ]
        return {
            "query": answer.query,
            "searched": answer.searched,
            "threshold": round(answer.threshold, 4),
            "best": round(answer.nearest[0].similarity, 4) if answer.nearest else None,
            "images": answer.images,
            "photos": photos,
        }

    def _html(self, query: str, language: str, told: dict[str, Any] | None) -> str:
        words = {key: html.escape(text) for key, text in table(language).items() if key.startswith("search.")}
        cards, said = "", ""
        if told is not None:
            nothing = "search.none" if told["best"] is not None else "search.unknown"
            said = words["search.some" if told["photos"] else nothing].format(
                shown=len(told["photos"]), n=told["images"], best=told["best"], threshold=told["threshold"]
            )
            if told["searched"] and told["searched"] != " ".join(query.split()):
                said = words["search.searched"].format(words=html.escape(told["searched"])) + " " + said
            cards = "".join(_card(**one) for one in told["photos"])
        page = files("hubel.studio").joinpath("search.html").read_text(encoding="utf-8")
        filled = {
            "language": language,
            "title": words["search.title"],
            "box": words["search.box"],
            "button": words["search.button"],
            "lead": words["search.lead"].format(n=len(self._search.index.paths)),
            "query": html.escape(query[:1000]),
            "said": said,
            "cards": cards,
        }
        return _PLACE.sub(lambda place: filled[place[1]], page)


def _card(name: str, score: float, picture: str) -> str:
    known = html.escape(name)
    image = f'<img alt="{known}" src="data:image/jpeg;base64,{picture}">'
    return f"<figure><div>{image}</div><figcaption>{score:.3f}<small>{known}</small></figcaption></figure>"
