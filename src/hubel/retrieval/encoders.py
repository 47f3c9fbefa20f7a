"""The encoders by the names that `--encoder` takes."""

from __future__ import annotations

from hubel.core.errors import UnknownNameError
from hubel.retrieval.concepts import DEFAULT_MODEL, ConceptsEncoder
from hubel.retrieval.encoder import Encoder

__all__ = ["ENCODERS", "find_encoder"]

#: Names of the encoders.
ENCODERS = ("concepts",)


def find_encoder(name: str = "concepts", *, model: str = DEFAULT_MODEL, device: str = "auto") -> Encoder:
    """Return an encoder by its name.

    Args:
        name: one of `ENCODERS`.
        model: of the encoder concepts: the classifier.
        device: cpu, cuda, mps or auto.

    Raises:
        UnknownNameError: there is no such encoder.
        OptionError: the model predicts no classes.
    """
    if name not in ENCODERS:
        raise UnknownNameError("encoder", name, ENCODERS)
    return ConceptsEncoder(model, device=device)
