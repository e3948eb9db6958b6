"""What to prune, how much and when: exact selection, importance scores, schedules, allocation."""

from adamw_lab.pruning.allocation import SCOPES, allocate, nm_mask, parse_pattern
from adamw_lab.pruning.schedules import SCHEDULES, check_schedule, sparsity_at
from adamw_lab.pruning.scores import IMPORTANCE, resolve_importance
from adamw_lab.pruning.selection import kth_smallest, lowest_masks

__all__ = [
    "IMPORTANCE",
    "SCHEDULES",
    "SCOPES",
    "allocate",
    "check_schedule",
    "kth_smallest",
    "lowest_masks",
    "nm_mask",
    "parse_pattern",
    "resolve_importance",
    "sparsity_at",
]
