"""Gradients that fade or grow on their way back: networks that show it, and a training loop small enough to read."""

from collections.abc import Callable, Iterable, Mapping

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from adamw_lab.data.sequences import adding_problem
from adamw_lab.models import build_model
from adamw_lab.models.recurrent import Recurrent

RECURRENT: Mapping[str, tuple[str, float | None]] = {
    "RNN": ("rnn", None), "RNN, radius 1": ("rnn", 1.0), "RNN, radius 1.5": ("rnn", 1.5),
    "LSTM": ("lstm", None), "GRU": ("gru", None),
}
"""name -> the model and the radius of its recurrent weights; None: as torch makes them."""


def recurrent_networks(hidden: int = 64, seed: int = 0) -> dict[str, Recurrent]:
    """The networks of `RECURRENT` for the adding problem, before training, in float64."""
    networks = {}
    for name, (model, radius) in RECURRENT.items():
        network = build_model(model, features=2, outputs=1, hidden=hidden, seed=seed).double()
        networks[name] = network if radius is None else set_radius(network, radius, seed)
    return networks


def some_sequences(length: int, count: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Inputs [count, length, 2] and targets [count, 1] of the adding problem, in float64."""
    split = adding_problem(count, seed, length).train
    return split.inputs.double(), split.targets.double()


def set_radius(model: Recurrent, radius: float, seed: int = 0) -> Recurrent:
    """Make the recurrent weights `radius` times a random orthogonal matrix; returns the model.

    All singular values are then `radius`, and no eigenvalue is larger: at states near 0, where tanh is the identity,
    a step back in time multiplies a gradient by just that.

    Raises:
        ValueError: a radius that is not above 0, or a network with gates, whose weights are several matrices.
    """
    if not radius > 0:
        raise ValueError(f"Invalid radius: {radius!r}; allowed: a number above 0")
    if not isinstance(model.cell, nn.RNN):
        raise ValueError(f"Invalid model: {type(model.cell).__name__}; allowed: RNN, which has one recurrent matrix")
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        nn.init.orthogonal_(model.cell.weight_hh_l0, generator=generator).mul_(radius)
    return model


def early_share(model: Recurrent, inputs: Tensor, targets: Tensor, late: int | None = None) -> float:
    """How much of the gradient of the recurrent weights comes from before the last `late` steps (default: half).

    ‖g − g'‖ / ‖g‖, g the gradient of the mean squared error and g' the same with the state cut off from its past at
    that step. Below 6e-8 float32 rounds it away. The gradients of the parameters are left as they were.

    Raises:
        ValueError: `late` is not a part of the sequence.
    """
    length = inputs.shape[1]
    late = length // 2 if late is None else late
    if not 0 < late < length:
        raise ValueError(f"Invalid late value: {late!r}; allowed: from 1 to {length - 1}")
    gradients = []
    for cut in (False, True):
        _, state = model.cell(inputs[:, : length - late])
        if cut:
            state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        states, _ = model.cell(inputs[:, length - late :], state)
        loss = F.mse_loss(model.head(states[:, -1]), targets)
        gradients.append(torch.autograd.grad(loss, model.cell.weight_hh_l0)[0])
    return float((gradients[0] - gradients[1]).norm() / gradients[0].norm())


class DeepNet(nn.Module):
    """A deep and narrow network: [N, …] with `features` numbers each to [N, outputs], `depth` square layers in between.

        plain:     x <- tanh(W x + b)
        residual:  x <- x + tanh(W x + b)           (arXiv 1512.03385)

    Weights are torch's own at the start, with a deviation of 1 / sqrt(3 width), so that tanh(W x) is shorter than x.
    """

    def __init__(self, depth: int, residual: bool, *, features: int = 64, outputs: int = 10, width: int = 32) -> None:
        super().__init__()
        self.residual = residual
        self.first = nn.Linear(features, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, outputs)

    def states(self, x: Tensor) -> list[Tensor]:
        """What goes into the first square layer, and what comes out of each."""
        states = [torch.tanh(self.first(x.flatten(1)))]
        for layer in self.layers:
            new = torch.tanh(layer(states[-1]))
            states.append(states[-1] + new if self.residual else new)
        return states

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.states(x)[-1])


def deep_networks(depth: int, seed: int = 0) -> dict[str, DeepNet]:
    """A plain and a residual `DeepNet` with the same weights, and torch's generators left as they were."""
    networks = {}
    for name, residual in (("plain", False), ("residual", True)):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            networks[name] = DeepNet(depth, residual)
    return networks


@torch.no_grad()
def signal_by_layer(model: DeepNet, inputs: Tensor) -> pd.Series:
    """How much of every state depends on the input: ‖x − mean of x over the batch‖ / ‖x‖, between 0 and 1."""
    return pd.Series([float((x - x.mean(0)).norm() / x.norm()) for x in model.states(inputs)], name="signal")


def train(model: nn.Module, optimizer: Optimizer, batches: Iterable[tuple[Tensor, Tensor]],
          loss: Callable[[Tensor, Tensor], Tensor], *, clip_norm: float | None = None) -> pd.DataFrame:
    """One step a batch.

    Args:
        clip_norm: clip the gradient to this norm before the step; None (default): do not.

    Returns:
        A row a step: `step`; `loss` and `grad_norm` before it, the norm before any clipping; and `moved`, the 2-norm
        of what the step changed.
    """
    rows = []
    params = list(model.parameters())
    for step, (inputs, targets) in enumerate(batches, start=1):
        optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        norm = nn.utils.get_total_norm([p.grad for p in params])
        if clip_norm is not None:
            nn.utils.clip_grads_with_norm_(params, clip_norm, norm)
        before = [p.detach().clone() for p in params]
        optimizer.step()
        moved = nn.utils.get_total_norm([p.detach() - old for p, old in zip(params, before, strict=True)])
        rows.append((step, float(value.detach()), float(norm), float(moved)))
    return pd.DataFrame(rows, columns=["step", "loss", "grad_norm", "moved"])


def random_batches(inputs: Tensor, targets: Tensor, size: int, steps: int, seed: int = 0
                   ) -> Iterable[tuple[Tensor, Tensor]]:
    """`steps` batches of `size` drawn with replacement, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(0, len(targets), (size,), generator=generator)
        yield inputs[chosen], targets[chosen]


def update_by_layer(model: nn.Module, optimizer: Optimizer) -> pd.Series:
    """2-norm of what one step, with the gradients that are there, changes in every weight matrix, by its name."""
    before = {name: p.detach().clone() for name, p in model.named_parameters() if p.ndim >= 2}
    optimizer.step()
    return pd.Series({name: float((p.detach() - before[name]).norm()) for name, p in model.named_parameters()
                      if name in before}, name="update", dtype="float64")
