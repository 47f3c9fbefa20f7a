"""The encoders by the names that `--encoder` takes."""

from __future__ import annotations

from hubel.core.errors import UnknownNameError
from hubel.core.files import user_path
from hubel.retrieval.clip import CLIPEncoder
from hubel.retrieval.concepts import DEFAULT_MODEL, ConceptsEncoder
from hubel.retrieval.encoder import Encoder
from hubel.retrieval.paired import PairedEncoder
from hubel.weights.clip import CHECKPOINTS

__all__ = ["ENCODERS", "find_encoder"]

_CLIP = "clip:"
#: Names of the encoders; beside them a file or run that was trained on pairs, and `clip:FOLDER` for other checkpoints.
ENCODERS = ("concepts", *(f"{_CLIP}{name}" for name in CHECKPOINTS))


def find_encoder(name: str = "concepts", *, model: str = DEFAULT_MODEL, device: str = "auto") -> Encoder:
    """Return an encoder by its name.

    Args:
        name: one of `ENCODERS`; the file or the run of an encoder that was trained on pairs; or "clip:" and the folder
            of a checkpoint of CLIP.
        model: of the encoder concepts: the classifier.
        device: cpu, cuda, mps or auto.

    Raises:
        UnknownNameError: there is no such encoder.
        OptionError: the model predicts no classes.
        WeightsError: a checkpoint of CLIP is not there, and cannot be downloaded.
        ModelFileError: the file was not trained on pairs, or is damaged.
    """
    if name.startswith(_CLIP):
        return CLIPEncoder(name.removeprefix(_CLIP))
    if name not in ENCODERS and user_path(name).exists():
        return PairedEncoder(name)
    if name not in ENCODERS:
        raise UnknownNameError("encoder", name, ENCODERS)
    return ConceptsEncoder(model, device=device)
