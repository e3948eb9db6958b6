"""The settings of AdamWPrune, checked and completed when a parameter group is added."""

from typing import Any

from adamw_lab.optim.checks import is_number
from adamw_lab.pruning import SCOPES, SHARES, check_schedule, default_step, parse_pattern, resolve_importance
from adamw_lab.suggest import did_you_mean


def check_pruning(group: dict[str, Any]) -> None:
    """Refuse what is out of range, and fill in what follows from other settings.

    Raises:
        ValueError: names the setting, its value and what is allowed; for a pattern, the parameter that it does not fit.
    """
    if group["scope"] not in SCOPES:
        raise ValueError(f"unknown scope {group['scope']!r}; allowed: {', '.join(SCOPES)}."
                         f"{did_you_mean(str(group['scope']), SCOPES)}")
    resolve_importance(group["importance"])
    _resolve_target(group)
    _resolve_steps(group)
    check_schedule(begin_step=group["begin_step"], end_step=group["end_step"], target=group["target_sparsity"],
                   schedule=group["schedule"], update_every=group["update_every"])
    if not is_number(group["regrow"]) or not 0.0 <= group["regrow"] < 1.0:
        raise ValueError(f"Invalid regrow value: {group['regrow']!r}; allowed: a fraction in [0, 1)")
    if group["pattern"] is not None and group["prunable"]:
        _check_pattern_fits(group)


def _resolve_target(group: dict[str, Any]) -> None:
    target = group["target_sparsity"]
    if group["pattern"] is not None:
        n, m = parse_pattern(group["pattern"])
        if target is not None and target != 1 - n / m:
            raise ValueError(f"Invalid target_sparsity value: {target!r}; pattern {group['pattern']!r} fixes it at "
                             f"{1 - n / m}: leave it out")
        if group["scope"] != "global":
            raise ValueError(f"Invalid scope value: {group['scope']!r}; a pattern is the same in every layer: leave it "
                             "out")
        if group["regrow"]:
            raise ValueError(f"Invalid regrow value: {group['regrow']!r}; a pattern does not regrow")
        target = 1 - n / m
    group["target_sparsity"] = 0.7 if target is None else target


def _resolve_steps(group: dict[str, Any]) -> None:
    total = group["total_steps"]
    for name, share in SHARES.items():
        if group[name] is None:
            if total is None:
                raise ValueError(f"{name} is not given; allowed: a step number, or total_steps, of which it is then "
                                 f"{share:.0%}")
            group[name] = default_step(name, total)


def _check_pattern_fits(group: dict[str, Any]) -> None:
    _, m = parse_pattern(group["pattern"])
    names = group.get("param_names", range(len(group["params"])))
    for name, p in zip(names, group["params"], strict=True):
        if any(placement.is_shard(1) for placement in getattr(p, "placements", ())):
            raise ValueError(f"pattern {group['pattern']!r} needs whole input dimensions, and parameter {name!r} is "
                             f"sharded over it: {p.placements}; allowed: sharding over another dimension")
        if p.ndim >= 2 and p.shape[1] % m:
            raise ValueError(f"pattern {group['pattern']!r} does not divide the {p.shape[1]} input channels of "
                             f"parameter {name!r} of shape {tuple(p.shape)}: put it in a group with prunable=False")
