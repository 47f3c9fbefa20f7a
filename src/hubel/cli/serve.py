"""`hubel serve`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

EXAMPLES = (
    "hubel serve runs/PHOTOS-efficientnet_lite0-1",
    "hubel serve efficientnet_lite0 model.onnx --port 8080",
    "hubel serve model.onnx --watch",
    "hubel serve efficientnet_lite0 --photos holiday/",
    "HUBEL_TOKEN=secret hubel serve model.onnx --host 0.0.0.0 --allow-host photos.example.org",
)


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: list[str] | None = None,
    root_path: str = "",
    token: Annotated[str | None, Parameter(env_var="HUBEL_TOKEN")] = None,
    batch: int = 8,
    queue: int = 64,
    deadline: float = 10.0,
    max_body_mib: int = 32,
    decode_mib: int = 160,
    watch: bool = False,
    photos: str = "",
    lang: Literal["en", "ko"] | None = None,
    engine: str = "auto",
    device: str = "auto",
) -> int:
    """Serve models over HTTP, with a page to try them on a photo; docs/serve.md describes the API.

    SIGTERM or Ctrl-C stops the server after the requests in progress are answered.

    Exit codes: 0 stopped, 2 wrong usage.

    Args:
        models: model files, folders of runs, exported files, or pretrained networks by their names, as for hubel
            predict; the first one is the default.
        host: address to listen on; any other than 127.0.0.1 opens the server to other computers.
        port: port to listen on; 0 selects a free one.
        allow_host: further host name of this server for clients, such as a proxy's; *.example.org allows all names
            below example.org, and * all names; may be repeated.
        root_path: path below which a proxy publishes the server, such as /hubel.
        token: token that every request must send, as "Authorization: Bearer TOKEN"; safer in the environment as
            HUBEL_TOKEN, since other users can see the command line.
        batch: largest batch size.
        queue: largest number of pending images per model; further requests get 503.
        deadline: longest time for a response, in seconds; slower requests get 503.
        max_body_mib: largest body of a request, in MiB.
        decode_mib: largest memory for decoding one image, in MiB; it limits the number of pixels.
        watch: count predicted classes and confidence in /metrics, and raise an alarm there when the images no longer
            look like those of the training.
        photos: folder of photos, indexed first, for a page with a search box at /search, as hubel search finds them.
        lang: language of the page; that of the browser if not given.
        engine: engine for exported files: openvino, onnxruntime, or auto for the faster one.
        device: cpu, cuda, mps or auto, for models that are not exported.
    """
    from hubel.core.errors import OptionError
    from hubel.core.process import give_back
    from hubel.core.progress import say
    from hubel.core.status_line import resting
    from hubel.studio.served_models import load_models
    from hubel.studio.server import serve as run
    from hubel.studio.settings import ServerSettings

    if not models:
        raise OptionError("name a model: hubel serve MODEL")
    settings = ServerSettings(
        host=host,
        port=port,
        allow_hosts=tuple(allow_host or ()),
        root_path=root_path.rstrip("/"),
        token=token,
        batch=batch,
        queue=queue,
        max_parts=max(1, min(queue, ServerSettings.max_parts)),
        deadline=deadline,
        max_body=max_body_mib * 2**20,
        max_bodies=max(max_body_mib * 2**20, ServerSettings.max_bodies),
        decode_memory=decode_mib * 2**20,
        watch=watch,
        lang=lang or "",
    )
    give_back()
    loaded = load_models(models, device=device, engine=engine)
    searched = None
    if photos:
        from hubel.retrieval.search import index_photos

        searched = index_photos(photos)
    with resting():
        run(loaded, settings, say, searched)
    return 0
