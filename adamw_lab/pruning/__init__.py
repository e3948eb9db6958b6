"""What to prune, how much and when; baseline pruners; sparse checkpoints. It knows nothing of our
optimizers.
"""

from adamw_lab.pruning.allocation import SCOPES, allocate, nm_mask, parse_pattern
from adamw_lab.pruning.pruners import PRUNERS, MagnitudePruner, MovementPruner, RandomPruner
from adamw_lab.pruning.schedules import SCHEDULES, SHARES, check_schedule, default_step, sparsity_at
from adamw_lab.pruning.scores import IMPORTANCE, resolve_importance
from adamw_lab.pruning.selection import kth_smallest, lowest_masks, select
from adamw_lab.pruning.semi_structured import SemiStructured, export_semi_structured
from adamw_lab.pruning.sparse import finalize, load_sparse, save_sparse, sparsity_report

__all__ = [
    "IMPORTANCE",
    "PRUNERS",
    "SCHEDULES",
    "SCOPES",
    "SHARES",
    "MagnitudePruner",
    "MovementPruner",
    "RandomPruner",
    "SemiStructured",
    "allocate",
    "check_schedule",
    "default_step",
    "export_semi_structured",
    "finalize",
    "kth_smallest",
    "load_sparse",
    "lowest_masks",
    "nm_mask",
    "parse_pattern",
    "resolve_importance",
    "save_sparse",
    "select",
    "sparsity_at",
    "sparsity_report",
]
