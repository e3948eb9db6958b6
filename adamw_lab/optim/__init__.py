"""Drop-in torch.optim classes: AdamW with clipping, spike awareness, and pruning from its own state."""

from adamw_lab.optim.adv import AdamWAdv
from adamw_lab.optim.groups import parameter_groups, state_bytes
from adamw_lab.optim.own import register
from adamw_lab.optim.prune import AdamWPrune
from adamw_lab.optim.registry import OPTIMIZERS, build_optimizer
from adamw_lab.optim.spam import AdamWSPAM

__all__ = ["OPTIMIZERS", "AdamWAdv", "AdamWPrune", "AdamWSPAM", "build_optimizer", "parameter_groups", "register",
           "state_bytes"]
