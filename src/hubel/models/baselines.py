"""Baselines without convolutions.

`linear` is multinomial logistic regression on the pixels; `mlp` is the multilayer perceptron of Rumelhart, Hinton &
Williams 1986, with ReLU (LeCun et al. 1998, Sections III.C.1 and III.C.3, measure both on handwritten digits); `lstm`
is the recurrent network of Hochreiter & Schmidhuber 1997, which reads an image row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from hubel.models.variant import InputShape, Variant, computed, paper
from hubel.nn.layers import activation, check_positive, check_share, he_initialise
from hubel.nn.network import Network


@dataclass(frozen=True)
class PerceptronLayout:
    """Fully connected layers between pixels and classes."""

    hidden: tuple[int, ...] = ()  # units of each hidden layer
    activation: str = "relu"
    dropout: float = 0.0  # probability, after each hidden layer


@dataclass(frozen=True)
class LSTMLayout:
    """An LSTM layer and a linear layer."""

    hidden: int = 128  # units of the state
    dropout: float = 0.0  # probability, before the linear layer


class RowByRow(nn.Module):
    """The last state of an LSTM that reads an image row by row, from top to bottom."""

    def __init__(self, in_channels: int, width: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(in_channels * width, hidden, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map images `(n, c, h, w)` to states `(n, hidden)`."""
        rows = x.transpose(1, 2).flatten(2)
        states: Tensor = self.lstm(rows)[0]
        return states[:, -1]


def build(layout: PerceptronLayout | LSTMLayout, shape: InputShape, num_classes: int) -> Network:
    """Build the network of a layout."""
    check_share(dropout=layout.dropout)
    if isinstance(layout, LSTMLayout):
        check_positive(hidden=layout.hidden)
        stage = nn.Sequential(RowByRow(shape.channels, shape.width, layout.hidden))
        head = nn.Sequential(nn.Dropout(layout.dropout), nn.Linear(layout.hidden, num_classes))
        return Network(nn.Identity(), [stage], head)
    if layout.hidden:
        check_positive(hidden=layout.hidden)
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
        PerceptronLayout(),
        "softmax regression on the pixels",
        _DIGIT,
        published=paper("LeCun 1998, Section III.C.1", params=7_850) + computed("28 x 28 x 10", macs=7_840),
        augment="none",
    ),
    "mlp": Variant(
        PerceptronLayout(hidden=(300, 100)),
        "multilayer perceptron with two hidden layers",
        _DIGIT,
        published=computed("28x28-300-100-10, the layers of LeCun 1998, Section III.C.4", params=266_610, macs=266_200),
        augment="none",
    ),
    "lstm": Variant(
        LSTMLayout(),
        "recurrent network that reads the image row by row",
        _DIGIT,
        published=computed(
            "4 x 128 x (28 + 128 + 2) + 1,290 parameters; 28 x 4 x 128 x (28 + 128) + 1,280 multiply-adds",
            params=82_186,
            macs=2_237_696,
        ),
        augment="none",
    ),
}
