"""CLIP checkpoints: an image tower and a text tower in one file, in the layout in which OpenCLIP publishes them.

A checkpoint is three files of one folder, or of one repository of the Hugging Face Hub: the weights under OpenAI's
names, a description of both towers, and the tokenizer. `CHECKPOINTS` lists those that hubel knows by name; any other
folder of the same layout can be used likewise, if its image tower is one of hubel's networks.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hubel.core.errors import OptionError, UnknownNameError, WeightsError
from hubel.core.files import sha256_of, user_path
from hubel.core.progress import say
from hubel.data.preprocess import Preprocess
from hubel.models.catalogue import build_model, list_models
from hubel.nn.network import Network
from hubel.nn.text_transformer import TextLayout, TextTransformer
from hubel.weights.bounded_json import parse_json
from hubel.weights.foreign import Varying, fit_weights, parameter_names
from hubel.weights.keymaps import clip as key_map
from hubel.weights.keymaps.pairs import Pairs
from hubel.weights.pretrained import Pretrained, fetch_weights, is_fetched
from hubel.weights.weight_file import read_weights

__all__ = ["CHECKPOINTS", "CLIPFiles", "CLIPTowers", "clip_files", "load_clip", "read_preprocess"]

CONFIG, TOKENIZER = "open_clip_config.json", "tokenizer.json"
_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's training images
# What the descriptions of ResNets and of the paper's text tower consist of; its sizes by our names.
_VISION = {
    "image_size", "layers", "width", "patch_size",
    "timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_drop", "timm_drop_path",
}  # fmt: skip
_TEXT = {
    "context_length": "context", "vocab_size": "vocabulary", "width": "width", "heads": "heads", "layers": "layers",
}  # fmt: skip
_LARGEST_LOG_SCALE = math.log(100)  # Radford et al. 2021, Section 2.5
_NOT_WEIGHTS = ("logit_scale", "logit_bias", "input_resolution", "context_length", "vocab_size")


@dataclass(frozen=True, kw_only=True)
class CLIPCheckpoint:
    """A published checkpoint.

    Attributes:
        location: repository of the Hugging Face Hub.
        licence: of the weights as its publisher states it, an SPDX identifier in lower case.
    """

    location: str
    licence: str


#: The checkpoints by name. SigLIP 2's image towers are transformers, and MobileCLIP 2's licence allows research alone:
#: neither is listed.
CHECKPOINTS: Mapping[str, CLIPCheckpoint] = {
    "RN50": CLIPCheckpoint(location="timm/resnet50_clip.openai", licence="mit"),
    "RN101": CLIPCheckpoint(location="timm/resnet101_clip.openai", licence="mit"),
    "RN50x4": CLIPCheckpoint(location="timm/resnet50x4_clip.openai", licence="mit"),
    "convnext_base_w": CLIPCheckpoint(location="laion/CLIP-convnext_base_w-laion2B-s13B-b82K", licence="mit"),
}


@dataclass(frozen=True, kw_only=True)
class CLIPFiles:
    """The three files of a checkpoint.

    Attributes:
        config: JSON with the sizes of both towers and the preprocessing.
        weights: of both towers.
        tokenizer: JSON of the tokenizers package.
    """

    config: Path
    weights: Path
    tokenizer: Path

    def digest(self) -> str:
        """Return a hexadecimal digest of everything that the vectors of images depend on."""
        return hashlib.sha256(sha256_of(self.weights).encode() + self.config.read_bytes()).hexdigest()


@dataclass(frozen=True, eq=False, kw_only=True)
class CLIPTowers:
    """Both towers, in evaluation mode.

    Attributes:
        image: maps normalised images `(n, c, h, w)` to `(n, d)`.
        text: maps tokens `(n, t)` to `(n, d)`.
        preprocess: of images.
        scale: what cosines are multiplied with before a softmax, as the training learnt it; 1 to 100.
    """

    image: nn.Module
    text: TextTransformer
    preprocess: Preprocess
    scale: float


def clip_files(name: str) -> CLIPFiles:
    """Return the files of a checkpoint, downloaded where they are not in the cache; first the licence is shown.

    Args:
        name: a key of `CHECKPOINTS`, or a folder with the files.

    Raises:
        UnknownNameError: there is neither such a checkpoint nor such a folder.
        WeightsError: files are missing, or cannot be downloaded.
    """
    if name in CHECKPOINTS:
        return _fetched(name)
    folder = user_path(name)
    if not folder.is_dir():
        raise UnknownNameError("CLIP checkpoint or folder with one", name, CHECKPOINTS)
    found = [folder / weights for weights in _WEIGHTS if (folder / weights).is_file()]
    missing = [one for one in (CONFIG, TOKENIZER) if not (folder / one).is_file()]
    if not found or missing:
        lacking = ", ".join([*missing, *([] if found else [_WEIGHTS[0]])])
        raise WeightsError(f"{folder} is no CLIP checkpoint: it lacks {lacking}")
    return CLIPFiles(config=folder / CONFIG, weights=found[0], tokenizer=folder / TOKENIZER)


def _fetched(name: str) -> CLIPFiles:
    checkpoint = CHECKPOINTS[name]
    weights = Pretrained(
        model=f"CLIP {name}",
        tag=checkpoint.location.rpartition("/")[2],
        library="open_clip",
        origin="hub",
        location=checkpoint.location,
        file=_WEIGHTS[0],
        licence=checkpoint.licence,
        preprocess=Preprocess(224, 224),
    )
    rows = [dataclasses.replace(weights, file=file) for file in (CONFIG, TOKENIZER, weights.file)]
    if not all(map(is_fetched, rows)):
        say(f"CLIP {name} comes from {checkpoint.location}; licence of the weights: {checkpoint.licence}")
    instead = f"or give a folder with {', '.join(row.file for row in rows)}: --encoder clip:FOLDER"
    config, tokenizer, file = (fetch_weights(row, instead=instead) for row in rows)
    return CLIPFiles(config=config, weights=file, tokenizer=tokenizer)


def read_preprocess(files: CLIPFiles) -> Preprocess:
    """Return the preprocessing of a checkpoint's images, without reading its weights.

    Raises:
        WeightsError: the description cannot be used.
    """
    return _described(files.config)[0]


def load_clip(files: CLIPFiles) -> CLIPTowers:
    """Load both towers of a checkpoint.

    Raises:
        WeightsError: the description cannot be used, or the weights do not match it.
    """
    preprocess, model, options, layout = _described(files.config)
    found = {name.removeprefix("text."): tensor for name, tensor in read_weights(files.weights).items()}
    images = {name.removeprefix("visual."): tensor for name, tensor in found.items() if name.startswith("visual.")}
    texts = {n: tensor for n, tensor in found.items() if not n.startswith("visual.") and n not in _NOT_WEIGHTS}

    def image_tower() -> nn.Module:
        size = (preprocess.height, preprocess.width)
        return build_model(model, num_classes=layout.embedding, input_size=size, options=options)

    def text_tower() -> nn.Module:
        return TextTransformer(layout)

    image, text = image_tower(), TextTransformer(layout)
    assert isinstance(image, Network)
    names = key_map.image_tower if model == "clip_resnet50" else key_map.timm_tower
    _fit(image, names(image), images, Varying(lambda *_: image_tower()))
    _fit(text, key_map.text_tower(text), texts, Varying(lambda *_: text_tower()))
    scale = found.get("logit_scale", torch.tensor(_LARGEST_LOG_SCALE)).double().clamp(0, _LARGEST_LOG_SCALE).exp()
    return CLIPTowers(image=image.eval(), text=text.eval(), preprocess=preprocess, scale=float(scale.mean()))


def _fit(tower: nn.Module, pairs: Pairs, found: Mapping[str, Tensor], varying: Varying) -> None:
    names = parameter_names({their: our for our, their in pairs}, tower.state_dict())
    with torch.no_grad():
        fit_weights(tower, {names.get(name, name): tensor for name, tensor in found.items()}, varying)


def _described(config: Path) -> tuple[Preprocess, str, dict[str, Any], TextLayout]:
    """Return what a description says: preprocessing, name and options of the image tower, sizes of the text tower."""
    try:
        described = parse_json(config.read_bytes())
        model, stated = described["model_cfg"], described.get("preprocess_cfg", {})
        vision, text = dict(model["vision_cfg"]), model["text_cfg"]
        name, options = _image_tower(vision)
        if other := (vision.keys() - _VISION) | (text.keys() - _TEXT.keys()):
            raise OptionError(f"hubel does not know {', '.join(sorted(other))}")
        sizes = {ours: text[theirs] for theirs, ours in _TEXT.items() if theirs in text}
        layout = TextLayout(**sizes, embedding=model["embed_dim"], quick_gelu=bool(model.get("quick_gelu", False)))
        return _preprocess(vision["image_size"], stated), name, options, layout
    except (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise WeightsError(f"{config} describes no CLIP that hubel can load: {reason}") from None


def _image_tower(vision: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return name and options of the network that a description of the image tower means."""
    if isinstance(vision.get("layers"), list):
        return "clip_resnet50", {"depths": vision["layers"], "width": vision["width"]}
    kind = vision.get("timm_model_name", "a vision transformer")
    if kind not in list_models("convnext*"):
        raise OptionError(
            f"its image tower is {kind}; hubel has CLIP's ResNets and {', '.join(list_models('convnext*'))}"
        )
    if vision.get("timm_pool", "avg") not in ("", "avg") or vision.get("timm_proj") != "linear":
        raise OptionError(f"its {kind} ends otherwise than in the mean and one linear layer")
    return str(kind), {"head_bias": False}


def _preprocess(size: int | list[int], stated: Mapping[str, Any]) -> Preprocess:
    height, width = size if isinstance(size, list) else (size, size)
    resize = {"shortest": "crop", "longest": "pad", "squash": "squash"}[stated.get("resize_mode", "shortest")]
    return Preprocess(
        height,
        width,
        resize=resize,  # type: ignore[arg-type]  # Preprocess checks it
        interpolation=stated.get("interpolation", "bicubic"),
        mean=tuple(stated.get("mean", _MEAN)),
        std=tuple(stated.get("std", _STD)),
    )
