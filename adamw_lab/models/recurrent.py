"""Recurrent networks that answer after the last step: sequences [N, T, features] to [N, outputs]."""

from torch import Tensor, nn


class Recurrent(nn.Module):
    """A recurrent layer or several, and a linear answer from the last state of the last."""

    def __init__(self, kind: type[nn.RNNBase], features: int, outputs: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.cell = kind(features, hidden, layers, batch_first=True)
        self.head = nn.Linear(hidden, outputs)

    def states(self, inputs: Tensor) -> Tensor:
        """The last layer's hidden states [N, T, hidden]."""
        return self.cell(inputs)[0]

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.states(inputs)[:, -1])


def rnn(features: int, outputs: int, hidden: int = 64, layers: int = 1) -> Recurrent:
    """Elman's network with tanh."""
    return Recurrent(nn.RNN, features, outputs, hidden, layers)


def lstm(features: int, outputs: int, hidden: int = 64, layers: int = 1) -> Recurrent:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget gate, biased to remember.

    The forget gate's bias begins at 1 (Jozefowicz et al., 2015), since torch's begins near 0 and forgets.
    """
    model = Recurrent(nn.LSTM, features, outputs, hidden, layers)
    for name, bias in model.cell.named_parameters():
        if name.startswith("bias_ih"):
            nn.init.ones_(bias.data[hidden : 2 * hidden])
        elif name.startswith("bias_hh"):
            nn.init.zeros_(bias.data[hidden : 2 * hidden])
    return model


def gru(features: int, outputs: int, hidden: int = 64, layers: int = 1) -> Recurrent:
    """Gated recurrent units (arXiv 1406.1078)."""
    return Recurrent(nn.GRU, features, outputs, hidden, layers)
