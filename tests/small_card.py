"""A network so small that training, exporting and running it take no time: 12x10 pixels in colour, three classes."""

from hubel.data.preprocess import Preprocess
from hubel.weights.card import ModelCard

__all__ = ["CARD", "CLASSES"]

CLASSES = ("blue", "green", "red")
CARD = ModelCard(
    "convnet",
    CLASSES,
    Preprocess(12, 10, 3, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25)),
    {"filters": [4, 8], "repeat": [1]},
    temperature=1.7,
)
