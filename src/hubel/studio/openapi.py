"""OpenAPI 3.1 document of the HTTP API."""

from __future__ import annotations

from typing import Any

from hubel.studio.settings import ServerSettings
from hubel.weights.card import DENSE, SCORES

__all__ = ["MOST_CLASSES", "MOST_PHOTOS", "openapi_document"]

MOST_CLASSES = 1000  # per image of a response
MOST_PHOTOS = 48  # of an answer to a query

_Json = dict[str, Any]
_ERROR = {"$ref": "#/components/schemas/Error"}


def openapi_document(settings: ServerSettings, *, searches: bool = False) -> _Json:
    """Return the OpenAPI document; its version is the API's, not the package's.

    Args:
        settings: limits, token, path below which a proxy publishes the server.
        searches: the server has an indexed folder, and so `/v1/search`.
    """
    paths: dict[str, _Json] = {
        "/v1/predict": {"post": _predict(settings)},
        "/v1/explain": {"post": _explain()},
        **({"/v1/search": {"get": _search()}} if searches else {}),
        "/v1/models": {"get": _get("The models, the default one first.", _json("Models"))},
        "/healthz": {"get": _get("The server is alive.", _json("Health"), free=True)},
        "/readyz": {"get": _get("The server takes requests; 503 while it stops.", _json("Health"), 503, free=True)},
        "/metrics": {"get": _get("Counters in the text format of Prometheus.", {"text/plain": {"schema": _TEXT}})},
        "/openapi.json": {"get": _get("This document.", {"application/json": {"schema": {"type": "object"}}})},
    }
    components: _Json = {"schemas": _SCHEMAS, "responses": _RESPONSES}
    servers = [{"url": settings.root_path or "/"}]
    document: _Json = {
        "openapi": "3.1.0", "info": _INFO, "servers": servers, "paths": paths, "components": components
    }  # fmt: skip
    if settings.token is not None:
        components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"bearer": []}]
    return document


_INFO = {"title": "hubel", "version": "1", "description": "Image classification with convolutional networks."}
_TEXT = {"type": "string"}


def _object(properties: _Json, *optional: str) -> _Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


_COUNT = {"type": "integer", "minimum": 1}
_NUMBER = {"type": "number"}
_BINARY = {"type": "string", "format": "binary"}
_SCORE = {"type": "number", "minimum": 0, "maximum": 1}
_MESSAGE = _object({"code": _TEXT, "message": _TEXT})
_SCHEMAS: _Json = {
    "Class": _object({"class": _TEXT, "score": _SCORE}),
    "Object": _object(
        {
            "class": _TEXT,
            "score": _SCORE,
            "box": {
                "type": "array",
                "items": {"type": "number"},
                "minItems": 4,
                "maxItems": 4,
                "description": "left, top, right and bottom in pixels of the upright image",
            },
            "points": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
                "description": "x and y of each key point in pixels of the upright image, and its score",
            },
        },
        "points",
    ),
    "Image": {
        **_object(
            {
                "name": {"type": ["string", "null"], "description": "the file name, if a form has one"},
                "top": {"type": "array", "items": {"$ref": "#/components/schemas/Class"}, "minItems": 1},
                "expected_cost": {"type": "number", "minimum": 0, "description": "of the first class, if it has costs"},
                "set": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Class"},
                    "minItems": 1,
                    "description": "the classes that the image may have, if `coverage` is given",
                },
                "ancestor": {
                    "type": ["string", "null"],
                    "description": "the deepest class or group of classes that is as likely as `sure` asks; null: none",
                },
                "ancestor_score": {**_SCORE, "description": "the sum of the scores of its classes; 1 for none"},
                "novelty": {"type": "number", "description": "about 0 for a typical image of the classes"},
                "unknown": {"type": "boolean", "description": "the image is probably of none of the classes"},
                "damaged": {
                    **_TEXT,
                    "description": "why parts of the photo are not as taken",
                },
                "width": {**_COUNT, "description": "of the upright image, in pixels, where it is annotated"},
                "height": _COUNT,
                "objects": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Object"},
                    "description": "what is found on the image, the surest first",
                },
                "shares": {
                    "type": "object",
                    "additionalProperties": _SCORE,
                    "description": "share of the image's pixels that each class has",
                },
                "mask": {
                    **_TEXT,
                    "contentEncoding": "base64",
                    "contentMediaType": "image/png",
                    "description": "class number of each pixel, 255 for none; of the image's shape, at most 1,024 "
                    "pixels long",
                },
                "error": _MESSAGE,
            },
            "top",
            "width",
            "height",
            "objects",
            "shares",
            "mask",
            "expected_cost",
            "set",
            "ancestor",
            "ancestor_score",
            "novelty",
            "unknown",
            "damaged",
            "error",
        ),
        "description": "The classes with the highest scores, in descending order, behind that of least cost if the "
        "model has costs, and of models that know it how new the image is; or the reason why it cannot be read.",
    },
    "Predictions": _object(
        {"model": _TEXT, "images": {"type": "array", "items": {"$ref": "#/components/schemas/Image"}, "minItems": 1}}
    ),
    "Model": _object(
        {
            "name": _TEXT,
            "network": _TEXT,
            "input": _object({"width": _COUNT, "height": _COUNT, "channels": {"enum": [1, 3]}}),
            "output": {"enum": ["vector", *DENSE], "description": "scores of classes, or annotations"},
            "scores": {"enum": list(SCORES)},
            "explains": {"type": "boolean", "description": "whether /v1/explain is available"},
            "classes": {"type": "array", "items": _TEXT, "minItems": 1},
            "groups": {
                "type": "array",
                "items": _TEXT,
                "description": "names above the classes, each behind its parent; of models that `sure` can be asked of",
            },
            "points": {"type": "array", "items": _TEXT, "description": "names of the key points of an object"},
            "limbs": {
                "type": "array",
                "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 2, "maxItems": 2},
                "description": "pairs of key points, by number, that a line joins",
            },
        },
        "groups",
        "points",
        "limbs",
    ),
    "Models": _object({"models": {"type": "array", "items": {"$ref": "#/components/schemas/Model"}, "minItems": 1}}),
    "Photo": _object(
        {
            "name": {**_TEXT, "description": "the file name, without its folder"},
            "score": _NUMBER,
            "picture": {
                **_TEXT,
                "contentEncoding": "base64",
                "contentMediaType": "image/jpeg",
                "description": "the photo, made small; empty if the file cannot be read any more",
            },
        }
    ),
    "Answer": _object(
        {
            "query": {**_TEXT, "description": "as it was asked"},
            "searched": {**_TEXT, "description": "the English words that were searched for; empty if none is known"},
            "threshold": {**_NUMBER, "description": "a photo fits from this score on, which chance does not reach"},
            "best": {"type": ["number", "null"], "description": "the highest score; null if no word is known"},
            "images": {"type": "integer", "minimum": 1, "description": "how many photos were searched"},
            "photos": {
                "type": "array",
                "items": {"$ref": "#/components/schemas/Photo"},
                "maxItems": MOST_PHOTOS,
                "description": "the photos that fit, the best first; none if nothing fits",
            },
        }
    ),
    "Health": _object({"status": {"const": "ok"}}),
    "Error": _object({"error": _MESSAGE}),
}
_REASONS = {
    400: "the request is malformed",
    401: "the token is missing or wrong",
    403: "the Origin is unknown",
    404: "there is no such model or class",
    408: "the body arrived too slowly",
    413: "the body is too large, or has too many parts",
    415: "the media type is not supported, or the body is compressed",
    421: "the Host is unknown",
    422: "a parameter has a wrong value, or the single image cannot be read",
    503: "the server is busy; try again after the number of seconds in Retry-After",
}
_RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 1}}}
_RESPONSES: _Json = {
    f"{status}": {
        "description": text,
        "content": {"application/json": {"schema": _ERROR}},
        **({"headers": _RETRY} if status == 503 else {}),
    }
    for status, text in _REASONS.items()
}
_EVERYWHERE = (401, 403, 421, 503)
_BODY = (400, 404, 408, 413, 415, 422)


def _json(schema: str) -> _Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _responses(text: str, content: _Json, *errors: int) -> _Json:
    statuses = sorted({*_EVERYWHERE, *errors})
    error_responses = {f"{status}": {"$ref": f"#/components/responses/{status}"} for status in statuses}
    return {"200": {"description": text, "content": content}, **error_responses}


def _get(text: str, content: _Json, *errors: int, free: bool = False) -> _Json:
    return {"summary": text, "responses": _responses(text, content, *errors), **({"security": []} if free else {})}


def _query(name: str, text: str, schema: _Json) -> _Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


_COVERAGE = (
    "of images like those that calibrated the model, this share of sets have the true class. "
    "422 for models that are not calibrated, or for too few images to bound so high a share."
)
_MODEL = _query("model", "A name among /v1/models; the first one if not given.", _TEXT)
_IMAGE: _Json = {kind: {"schema": _BINARY} for kind in ("image/*", "application/octet-stream")}


def _predict(settings: ServerSettings) -> _Json:
    form = {"type": "object", "additionalProperties": _BINARY, "minProperties": 1, "maxProperties": settings.max_parts}
    top = {"type": "integer", "minimum": 1, "maximum": MOST_CLASSES, "default": 5}
    share = {"type": "number", "minimum": 0.5, "maximum": 0.999}
    return {
        "summary": "Classify one or several images.",
        "description": f"One image as the body, or up to {settings.max_parts} as the parts of a form; "
        f"{settings.max_body:,} bytes in all.",
        "parameters": [
            _MODEL,
            _query("top", "Number of classes for each image, those with the highest scores.", top),
            _query("coverage", f"Add prediction sets: {_COVERAGE}", share),
            _query("sure", "Add the deepest class or group of classes whose score is at least this.", share),
        ],
        "requestBody": {"required": True, "content": {**_IMAGE, "multipart/form-data": {"schema": form}}},
        "responses": _responses("The images in their order.", _json("Predictions"), *_BODY),
    }


def _explain() -> _Json:
    label = _query("class", "The class to explain; the one with the highest score if not given.", _TEXT)
    png = {"image/png": {"schema": _BINARY}}
    return {
        "summary": "Explain a class on an image: its attribution map as a heat map over the image in grey.",
        "description": "Only for models with `explains`; exported models have no maps.",
        "parameters": [_MODEL, label],
        "requestBody": {"required": True, "content": _IMAGE},
        "responses": _responses("The overlay.", png, *_BODY),
    }


def _search() -> _Json:
    sentence = {**_TEXT, "minLength": 1}
    parameter = _query("q", "What the photos show, in English or Korean; the first 1,000 letters count.", sentence)
    return {
        "summary": "Find the photos of the indexed folder that fit a sentence.",
        "description": "Nothing fits is an answer, too: `photos` is empty then.",
        "parameters": [{**parameter, "required": True}],
        "responses": _responses("The photos that fit.", _json("Answer"), 422),
    }
