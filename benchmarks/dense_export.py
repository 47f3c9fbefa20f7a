"""Exported detectors and segmenters: the same boxes on every engine, what 8 bits cost, and frames a second.

Claims (2 cores, CPU):
1. On the last 50 photos of Penn-Fudan by name, ONNX Runtime and OpenVINO find the boxes that torch finds: the same
   classes, and overlaps above 0.999. Needs --detector, a model file or run of `hubel train`.
2. Frames a second, from the bytes of a frame to boxes or classes in its pixels, decoding and suppression included, in
   float and in int8: at least 3 times those of torchvision in eager torch. Detector at 320x320 with 90 classes beside
   SSDlite320-MobileNetV3; segmenter at 480x360 with 12 classes beside LR-ASPP-MobileNetV3. Of ours, the default
   network and one with as many multiply-adds as the peer are timed.
3. What int8 costs on images that neither taught nor chose the layers: average precision (--detector with --boxes) and
   mean IoU (--segmenter with --masks) beside float.

All of 2 has random weights, and networks take turns: the medians of the rounds are compared, as other programs
disturb. Scores are shifted until both detectors have 300 pairs of a place and a class left to decode. The peer's
compiled suppression loads beside its own build of torch only, so here it does nothing, which costs the peer nothing.
The fastest of --engines is compared. On a busy machine, --cores 1 --clock cpu counts the work of one core.
Run: python benchmarks/dense_export.py [--only 1,2,3] [--rounds 30] [--detector RUN --boxes FOLDER] [--segmenter RUN
     --masks FOLDER] [--engines openvino,onnxruntime]
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from claims import Claims, chosen
from hubel import load
from hubel.core.resources import usable_cores
from hubel.data.preprocess import Preprocess
from hubel.export.decoded import decoded
from hubel.export.int8_graph import Int8Graph
from hubel.export.onnx_graph import onnx_network
from hubel.export.run import export
from hubel.inference.box_decoding import decode_boxes
from hubel.inference.box_overlap import box_iou
from hubel.inference.dense import DenseModel
from hubel.inference.dense_exported import DenseExported
from hubel.inference.dense_predictor import DensePredictor
from hubel.inference.detections import Detections
from hubel.inference.engines.registry import installed_onnx_engines
from hubel.inference.onnx_file import described, read_onnx
from hubel.weights.card import ModelCard

SHARED = Path(__file__).parents[2] / "shared" / "data"
PHOTOS = 50
PAIRS = 300  # of a place and a class, above the least score
GAIN = 3.0
# The default, and one with as many multiply-adds as the peer: 0.6 billion.
DETECTORS: dict[str, dict[str, Any]] = {
    "fcos": {},
    "fcos 48x1 on mobilenet_v1_050": {"backbone": "mobilenet_v1_050", "width": 48, "depth": 1},
}
# The peer's own network, ours by default, and one with as many multiply-adds as the peer: 1.2 billion.
SEGMENTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "lraspp_mobilenet_v3_large": ("lraspp_mobilenet_v3_large", {}),
    "unet": ("unet", {}),
    "unet 48,32,24 on mobilenet_v1_050": ("unet", {"backbone": "mobilenet_v1_050", "widths": "48,32,24"}),
}
Frame = NDArray[np.uint8]


def photos(size: tuple[int, int], count: int) -> Frame:
    """Photos of the street, uint8 `(count, h, w, 3)`."""
    files = sorted((SHARED / "penn-fudan" / "images").iterdir())[-count:]
    return np.stack([np.asarray(Image.open(file).convert("RGB").resize(size[::-1])) for file in files])


def same_boxes(options: argparse.Namespace, claims: Claims, folder: Path) -> None:
    """Claim 1: all boxes with a score of at least 0.05, as average precision counts them."""
    files = sorted((SHARED / "penn-fudan" / "images").iterdir())[-PHOTOS:]
    expected = found_on(options.detector, files)
    exported = export(options.detector, folder / "detector.onnx").path
    for engine in options.engines:
        found = found_on(exported, files, engine=engine)
        overlaps = np.concatenate([best_overlaps(*pair) for pair in zip(expected, found, strict=True)])
        back = np.concatenate([best_overlaps(*pair) for pair in zip(found, expected, strict=True)])
        alone = int((overlaps <= 0.999).sum() + (back <= 0.999).sum())
        same = overlaps[overlaps > 0.999]
        score = max(
            np.abs(np.sort(a.scores) - np.sort(b.scores)).max(initial=0.0) for a, b in zip(expected, found, strict=True)
        )
        words = f"{len(overlaps):,} boxes, {alone} in one only, least overlap {same.min():.6f}, scores by {score:.0e}"
        claims.add(f"{engine}: the boxes of torch on {PHOTOS} photos", words, not alone)


def found_on(model: str | Path, files: Sequence[Path], **settings: str) -> list[Detections]:
    """What a model finds on each photo."""
    loaded = load(model, **settings)  # type: ignore[arg-type]
    assert isinstance(loaded, DenseModel)
    p, found = loaded.card.preprocess, []
    for file in files:
        photo = np.asarray(Image.open(file).convert("RGB"))
        (rows,) = loaded.outputs(p.apply(photo)[None])
        found.append(decode_boxes(rows, p, (photo.shape[0], photo.shape[1])))
    return found


def best_overlaps(one: Detections, two: Detections) -> NDArray[np.float64]:
    """The best overlap of each box with one of its class among others, `(k,)`."""
    same = box_iou(one.boxes, two.boxes) * (one.classes[:, None] == two.classes)
    return same.max(1, initial=0.0)


def speed(options: argparse.Namespace, claims: Claims, folder: Path) -> None:
    """Claim 2."""
    torch.manual_seed(0)
    torch.set_num_threads(usable_cores())
    detectors = {"torchvision SSDlite320": ssdlite()}
    for name, layout in DETECTORS.items():
        detectors |= ours("fcos", name, (320, 320), 90, options.engines, folder, layout)
    compare("detector, 320x320", detectors, photos((320, 320), 8), options, claims)
    segmenters: dict[str, Callable[[Frame], Any]] = {"torchvision LR-ASPP": lraspp()}
    for name, (network, layout) in SEGMENTERS.items():
        segmenters |= ours(network, name, (360, 480), 12, options.engines, folder, layout)
    compare("segmenter, 480x360", segmenters, photos((360, 480), 8), options, claims)


def compare(
    title: str,
    candidates: dict[str, Callable[[Frame], Any]],
    frames: Frame,
    options: argparse.Namespace,
    claims: Claims,
) -> None:
    """Time candidates in turn and print their medians; the first one is the peer."""
    clock = time.process_time if options.clock == "cpu" else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(options.rounds + 2):
        for name, answer in candidates.items():
            started = clock()
            answer(frames[number % len(frames)])
            if number > 1:  # the first rounds warm up
                seconds[name].append(clock() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    peer, *others = medians
    print(f"\n{title}, {usable_cores()} threads, {options.rounds} rounds, {options.clock} time")
    for name, median in medians.items():
        gain, least = medians[peer] / median, min(seconds[peer]) / min(seconds[name])
        print(f"  {name:54s} {1000 * median:7.1f} ms {1 / median:7.1f}/s  {gain:5.2f}x  (least: {least:5.2f}x)")
    for network in dict.fromkeys(name.split(", ")[0] for name in others if "torchvision" not in name):
        for precision in ("float", "int8"):
            fast = min((n for n in others if n.startswith(f"{network}, {precision}, ")), key=medians.__getitem__)
            gain = medians[peer] / medians[fast]
            claims.add(f"{title}: {fast} beside {peer}, claim {GAIN:.0f}x", f"{gain:.2f}x", gain >= GAIN)


def ours(
    model: str,
    name: str,
    size: tuple[int, int],
    classes: int,
    engines: Sequence[str],
    folder: Path,
    layout: dict[str, Any] | None = None,
) -> dict[str, Callable[[Frame], Any]]:
    """A network of the catalogue in eager torch, and exported in float and int8 for each engine."""
    kind: dict[str, Any] = {"task": "detect", "dense": "boxes", "scores": "identity"}
    if model != "fcos":
        kind = {"task": "segment", "dense": "maps"}
    card = ModelCard(model, tuple(map(str, range(classes))), Preprocess(*size), layout or {}, **kind)
    network = card.create().eval()
    sample = photos(size, 16)
    if model == "fcos":
        shift_scores(network, card, sample[:1])
    graph = onnx_network(network, card)
    models = {f"{name}, eager": answer_of(DensePredictor(network, card))}
    for precision, part in (("float", graph), ("int8", Int8Graph(graph, sample, float_ends=True).quantised(()))):
        path = folder / f"{name}.{precision}.onnx"
        path.write_bytes(described(decoded(part, card), card, {}))
        for engine in engines:
            models[f"{name}, {precision}, {engine}"] = answer_of(DenseExported(read_onnx(path), engine=engine))
    return models


def answer_of(model: DenseModel) -> Callable[[Frame], Any]:
    """From the bytes of a frame to boxes or classes in its pixels."""
    return lambda frame: model.decode(model.outputs(frame[None])[0], (frame.shape[0], frame.shape[1]))


def shift_scores(network: Any, card: ModelCard, frame: Frame) -> None:
    """Shift the classes' logits until so many pairs have the least score."""
    with torch.no_grad():
        output = network(torch.from_numpy(card.preprocess.normalise(frame)))[0]
        # score = sqrt(sigmoid(a) sigmoid(b)) = 0.05, so the shift of each pair is known
        wanted = 0.05**2 / torch.sigmoid(output[:, 4:5]).double()
        needed = torch.logit(wanted.clamp(max=1 - 1e-6)) - output[:, 5:]
        network.head.classify.bias += needed.flatten().kthvalue(PAIRS).values.float()


def torchvision_detection() -> Any:
    """The peer, with a suppression that keeps everything."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    import peers

    torchvision = peers.torchvision()
    boxes = importlib.import_module("torchvision.ops.boxes")
    boxes.batched_nms = lambda boxes, scores, classes, overlap: scores.argsort(descending=True)
    return torchvision


def ssdlite() -> Callable[[Frame], Any]:
    """The peer's detector: bytes in, boxes in pixels out."""
    network = (
        torchvision_detection()
        .models.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91)
        .eval()
    )

    def answer(frame: Frame) -> list[NDArray[Any]]:
        with torch.inference_mode():
            (found,) = network([torch.from_numpy(frame).permute(2, 0, 1).float() / 255])
        return [values.numpy() for values in found.values()]

    logits: list[torch.Tensor] = []
    hook = network.head.register_forward_hook(lambda *parts: logits.append(parts[-1]["cls_logits"][0]))
    answer(photos((320, 320), 1)[0])
    hook.remove()
    others = logits[0][:, 1:].double()
    rest = others.logsumexp(1, keepdim=True)
    # The probability of a class is 0.001 where the background has this logit; most pairs need a lower one.
    background = torch.log((others.exp() / network.score_thresh - rest.exp()).clamp(min=1e-30)) - logits[0][:, :1]
    shift = background.flatten().kthvalue(background.numel() - PAIRS).values.float()
    with torch.no_grad():
        for head in network.head.classification_head.module_list:
            head[-1].bias.view(-1, 91)[:, 0] += shift
    return answer


def lraspp() -> Callable[[Frame], Any]:
    """The peer's segmenter: bytes in, the class of each pixel out."""
    network = (
        torchvision_detection()
        .models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=12)
        .eval()
    )
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    def answer(frame: Frame) -> NDArray[Any]:
        with torch.inference_mode():
            x = (torch.from_numpy(frame).permute(2, 0, 1).float() / 255 - mean) / std
            return network(x[None])["out"].argmax(1).numpy()  # type: ignore[no-any-return]

    return answer


def int8(options: argparse.Namespace, claims: Claims, folder: Path) -> None:
    """Claim 3."""
    for model, data in ((options.detector, options.boxes), (options.segmenter, options.masks)):
        if model and data:
            done = export(model, folder / f"{Path(model).name}.int8.onnx", int8=True, data=data, max_drop=0.02)
            print("\n".join(done.lines()))
            assert done.quantised is not None
            claims.add(f"int8 of {Path(model).name}, at most 2 points lost", str(done.quantised), True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="numbers of claims, such as 1,2")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--detector", help="a run of hubel train with boxes")
    parser.add_argument("--boxes", help="its data, with the images that it held out")
    parser.add_argument("--segmenter", help="a run of hubel train with masks")
    parser.add_argument("--masks", help="its data")
    parser.add_argument("--engines", default=",".join(installed_onnx_engines()))
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu, with --cores 1, on a busy machine"
    )
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-options.cores :])
    options.engines = options.engines.split(",")
    claims = Claims()
    with tempfile.TemporaryDirectory(prefix="hubel-dense-export-") as folder:
        for number in chosen(options.only, CLAIMS):
            if number != 1 or options.detector:
                CLAIMS[number](options, claims, Path(folder))
    claims.close()


CLAIMS = {1: same_boxes, 2: speed, 3: int8}

if __name__ == "__main__":
    main()
