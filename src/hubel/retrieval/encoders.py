"""The encoders by what `--encoder` takes."""

from __future__ import annotations

from pathlib import Path

from hubel.core.errors import UnknownNameError
from hubel.core.files import user_path
from hubel.retrieval.concepts import DEFAULT_MODEL, ConceptsEncoder
from hubel.retrieval.encoder import Encoder

__all__ = ["find_encoder"]

_CLIP = "clip:"


def find_encoder(name: str | Path = "concepts", *, model: str = DEFAULT_MODEL, device: str = "auto") -> Encoder:
    """Return an encoder.

    Args:
        name: "concepts"; "clip:" and a checkpoint or a folder with one; or the file or the run of a model that was
            trained on pairs of images and captions.
        model: of the encoder concepts: the classifier.
        device: of the encoder concepts: cpu, cuda, mps or auto.

    Raises:
        UnknownNameError: there is no such encoder, checkpoint or file.
        OptionError: the classifier predicts no classes.
        ModelFileError: the file was not trained on pairs, or is damaged.
        WeightsError: files of the checkpoint are missing, or cannot be downloaded.
    """
    name = str(name)
    if name == "concepts":
        return ConceptsEncoder(model, device=device)
    if name.startswith(_CLIP):
        from hubel.retrieval.clip import CLIPEncoder  # brings torch

        return CLIPEncoder(name.removeprefix(_CLIP))
    if user_path(name).exists():
        from hubel.retrieval.paired import PairedEncoder

        return PairedEncoder(name)
    raise UnknownNameError("encoder", name, ["concepts", "clip:RN50"])
