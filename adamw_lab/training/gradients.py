"""How gradients grow or fade on their way back, through time and through layers."""

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adamw_lab.models.recurrent import Recurrent


def gradient_by_time(model: Recurrent, inputs: Tensor, targets: Tensor) -> Tensor:
    """|∂L/∂s_t| for each time t, [T], of the mean squared error L: its 2-norm over batch and hidden units.

    The state s_t is all that goes on from t: h_t, and of an LSTM c_t too. The gradients of the parameters are left as
    they were. The network must have one recurrent layer; only its last state is read.

    Raises:
        ValueError: more than one layer.
    """
    if model.cell.num_layers != 1:
        raise ValueError(f"Invalid layers: {model.cell.num_layers}; allowed: 1, whose states alone can be told apart")
    states: list[tuple[Tensor, ...]] = []
    state = None
    for x in inputs.unbind(1):
        _, state = model.cell(x[:, None], state)
        states.append(state if isinstance(state, tuple) else (state,))
    loss = F.mse_loss(model.head(states[-1][0][-1]), targets)
    grads = torch.autograd.grad(loss, [part for parts in states for part in parts], materialize_grads=True)
    norms = torch.stack([torch.linalg.vector_norm(g) for g in grads])
    return torch.linalg.vector_norm(norms.view(len(states), -1), dim=1)


def gradient_by_layer(model: nn.Module) -> pd.Series:
    """2-norm of the gradient of every weight matrix or kernel, by its name, from the input to the output."""
    return pd.Series({name: float(torch.linalg.vector_norm(p.grad)) for name, p in model.named_parameters()
                      if p.ndim >= 2 and p.grad is not None}, name="gradient norm", dtype="float64")
