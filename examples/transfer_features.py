"""Compute the features of a pretrained network once, and fit a head of your own to them with scikit-learn.

Run it anywhere, offline: `python examples/transfer_features.py`. The weights of `efficientnet_lite0` are installed with
hubel; the features stay in its cache, so that a second run only fits the head.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hubel.data import open_dataset
from hubel.features import last_layer_features
from hubel.inference import load_network


def main() -> None:
    """Print the cross-validated accuracy of a logistic regression on 50 images."""
    digits = load_digits()
    pixels = (digits.images[:50] / 16 * 255).astype(np.uint8)
    labels = digits.target[:50].astype(str)

    network, card = load_network("efficientnet_lite0")
    dataset = open_dataset((pixels, labels))
    found = last_layer_features(network, dataset.images(card.preprocess), card=card)
    print(f"{len(found)} images, {found.shape[1]} features each")

    head = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    print(f"accuracy: {cross_val_score(head, found, labels, cv=3).mean():.3f}")


if __name__ == "__main__":
    main()
