"""`hubel serve`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

EXAMPLES = (
    "hubel serve runs/PHOTOS-efficientnet_lite0-1",
    "hubel serve efficientnet_lite0 model.onnx --port 8080",
    "HUBEL_TOKEN=secret hubel serve model.onnx --host 0.0.0.0 --allow-host photos.example.org",
)


def serve(
    *models: str,
    host: str = "127.0.0.1",
    port: int = 8000,
    allow_host: list[str] | None = None,
    token: Annotated[str | None, Parameter(env_var="HUBEL_TOKEN")] = None,
    batch: int = 8,
    queue: int = 64,
    deadline: float = 10.0,
    max_body_mib: int = 32,
    decode_mib: int = 160,
    engine: str = "auto",
    device: str = "auto",
) -> int:
    """Serve models over HTTP, with a page to try them on a photo; docs/serve.md has the API.

    SIGTERM or Ctrl-C stops it, after the requests under way have their answers.

    Exit code: 0 stopped, 2 wrong use.

    Args:
        models: model files, folders of runs, exported files, or networks with ImageNet weights, as in hubel predict;
            the first one is the default.
        host: the address to listen on; another one than 127.0.0.1 opens the server to other computers.
        port: 0 is any free one.
        allow_host: a further name by which clients call this server, such as a proxy's; may be repeated.
        token: what every request must carry, as "Authorization: Bearer TOKEN"; better in the environment as
            HUBEL_TOKEN, since other users see the command line.
        batch: the most images that go through a network together.
        queue: the most images of one model that may be under way; further requests get 503.
        deadline: seconds that an answer may take; later ones become 503.
        max_body_mib: the most that a request may send, in MiB.
        decode_mib: the most memory for decoding one image, in MiB; it limits the number of pixels.
        engine: for exported files: auto (the fastest here), openvino or onnxruntime.
        device: cpu, cuda, mps or auto, for others.
    """
    from hubel.core.errors import OptionError
    from hubel.core.process import give_back
    from hubel.core.progress import say
    from hubel.studio.served_models import load_models
    from hubel.studio.server import serve as run
    from hubel.studio.settings import ServerSettings

    if not models:
        raise OptionError("name a model: hubel serve MODEL")
    settings = ServerSettings(
        host=host,
        port=port,
        allow_hosts=tuple(allow_host or ()),
        token=token,
        batch=batch,
        queue=queue,
        max_parts=max(1, min(queue, ServerSettings.max_parts)),
        deadline=deadline,
        max_body=max_body_mib * 2**20,
        max_bodies=max(max_body_mib * 2**20, ServerSettings.max_bodies),
        decode_memory=decode_mib * 2**20,
    )
    give_back()
    run(load_models(models, device=device, engine=engine), settings, say)
    return 0
