"""Optimizers of one's own, by name beside those of `OPTIMIZERS`."""

import hashlib
import inspect
import re
from types import CodeType
from typing import Any

from torch.optim import Optimizer

from adamw_lab.optim.checks import is_number
from adamw_lab.optim.registry import OPTIMIZERS, Spec

EXAMPLE = "def __init__(self, params, lr=1e-3, weight_decay=0.0)"


def register(name: str, cls: type[Optimizer]) -> None:
    """Make a torch optimizer known by a name, until this process ends.

    It is then a key of `OPTIMIZERS`: `build_optimizer` makes it, `TrainConfig(optimizer=name)` trains with it, descents
    and benchmarks take it, and figures give it a colour and a marker that none of the others has. Processes that start
    anew do not know it. The same class may be registered again, as a notebook does whose cell is run twice.

    Args:
        name: lower-case letters, digits and underscores, a letter first; not that of an optimizer that is there.
        cls: subclass of torch.optim.Optimizer. Its arguments after the parameters have defaults; those of `lr` and
            `weight_decay`, which it must have, are numbers. One called `total_steps` says that it anneals by itself,
            from lr to `min_lr`, which it must have then; torch's cosine scheduler anneals all others.

    Raises:
        ValueError: names what is wrong and what is allowed.
    """
    if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ValueError(f"Invalid name of an optimizer: {name!r}; allowed: lower-case letters, digits and "
                         "underscores, a letter first")
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise ValueError(f"optimizer {name!r} cannot be {cls!r}; allowed: a subclass of torch.optim.Optimizer")
    there = OPTIMIZERS.get(name)
    if there is not None and (not there.own or _title(there.cls) != _title(cls)):
        raise ValueError(f"optimizer {name!r} exists, and is {_title(there.cls)}; allowed for {_title(cls)}: another "
                         f"name than {', '.join(OPTIMIZERS)}")
    _check_arguments(name, cls)
    OPTIMIZERS[name] = Spec(cls, cls, own=True)


def own_names() -> list[str]:
    """The names that were registered, in their order."""
    return [name for name, spec in OPTIMIZERS.items() if spec.own]


def code_digest(name: str) -> str | None:
    """What tells whether an optimizer of one's own is still the same: 16 digits of a SHA-256 over the compiled code
    and the defaults of its methods, those of the classes under it but torch's included. None for the others.

    Other versions of Python may compile the same text to other code.
    """
    if not OPTIMIZERS[name].own:
        return None
    classes = [cls for cls in OPTIMIZERS[name].cls.__mro__ if cls not in Optimizer.__mro__]
    methods = [(key, inspect.unwrap(value)) for cls in classes for key, value in sorted(vars(cls).items())
               if inspect.isfunction(value)]
    facts = [(key, _facts(method.__code__), repr(method.__defaults__), repr(method.__kwdefaults__))
             for key, method in methods]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


def _facts(code: CodeType) -> tuple[Any, ...]:
    """What code does, whatever its file and lines."""
    constants = [_facts(c) if isinstance(c, CodeType) else sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c)
                 for c in code.co_consts]
    return code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, constants


def _title(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _check_arguments(name: str, cls: type[Optimizer]) -> None:
    settings = list(inspect.signature(cls).parameters.values())[1:]
    known = {p.name: p.default for p in settings}
    for setting in ("lr", "weight_decay"):
        if not is_number(known.get(setting)):
            raise ValueError(f"optimizer {name!r}: {cls.__name__} needs an argument {setting!r} whose default is a "
                             f"number, such as {EXAMPLE}")
    for p in settings:
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise ValueError(f"optimizer {name!r}: argument {p.name!r} of {cls.__name__} has no default; allowed: "
                             f"arguments with defaults, such as {EXAMPLE}")
    if "total_steps" in known and "min_lr" not in known:
        raise ValueError(f"optimizer {name!r}: {cls.__name__} has total_steps, so it anneals by itself, and needs an "
                         "argument min_lr, where it ends; allowed: both or neither")
