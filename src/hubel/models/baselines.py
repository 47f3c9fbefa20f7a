"""Networks without convolution, which show why convolution wins.

`linear` is multinomial logistic regression on the pixels; `mlp` is the multilayer perceptron of Rumelhart, Hinton &
Williams 1986, with ReLU (LeCun et al. 1998, Sections III.C.1 and III.C.3, measure both on handwritten digits).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hubel.core.errors import OptionError
from hubel.models.variant import InputShape, Published, Variant
from hubel.nn.layers import activation, he_initialise
from hubel.nn.network import Network


@dataclass(frozen=True)
class Layout:
    """Fully connected layers between the pixels and the classes."""

    hidden: tuple[int, ...] = ()  # units of each hidden layer
    activation: str = "relu"
    dropout: float = 0.0  # probability, after each hidden layer


def build(layout: Layout, shape: InputShape, num_classes: int) -> Network:
    """The network of a layout."""
    if not 0 <= layout.dropout < 1:
        raise OptionError(f"dropout is a probability below 1, not {layout.dropout}")
    if any(units < 1 for units in layout.hidden):
        raise OptionError(f"each hidden layer needs at least one unit, not {layout.hidden}")
    units = shape.channels * shape.height * shape.width
    layers: list[nn.Module] = [nn.Flatten()]
    for hidden in layout.hidden:
        layers += [nn.Linear(units, hidden), activation(layout.activation), nn.Dropout(layout.dropout)]
        units = hidden
    network = Network(nn.Identity(), [], nn.Sequential(*layers, nn.Linear(units, num_classes)))
    he_initialise(network)
    return network


_DIGIT = InputShape(1, 28, 28)

VARIANTS = {
    "linear": Variant(
        Layout(),
        "softmax regression on the pixels",
        _DIGIT,
        published=Published("LeCun 1998, III.C.1: 7,850 parameters on 28x28", params=7_850, macs=7_840),
        augment="none",
    ),
    "mlp": Variant(
        Layout(hidden=(300, 100)),
        "multilayer perceptron with two hidden layers",
        _DIGIT,
        published=Published("LeCun 1998, III.C.4: 28x28-300-100-10", params=266_610, macs=266_200),
        augment="none",
    ),
}
