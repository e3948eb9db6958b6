"""Models by name: image classifiers, recurrent networks, and a small language model."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from adamw_lab.models.gpt import GPT
from adamw_lab.models.images import SMALL, lenet5, mlp, resnet18, resnet50
from adamw_lab.models.recurrent import gru, lstm, rnn
from adamw_lab.suggest import did_you_mean

__all__ = ["MODELS", "SMALL", "build_model", "layer_names", "model_options", "models_for", "parameter_count"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "lenet5": lenet5, "mlp": mlp, "resnet18": resnet18, "resnet50": resnet50,
    "rnn": rnn, "lstm": lstm, "gru": gru, "gpt": GPT,
}
"""name -> what builds it. Arguments without a default are facts of the data, those with one are options."""
LEAST = {"image_size": 8}


def build_model(name: str, *, seed: int | None = None, **arguments: Any) -> nn.Module:
    """Make a model.

    Args:
        name: a key of `MODELS`.
        seed: the initial weights depend on it alone, and torch's global generators are left as they were; None
            (default): the weights are drawn from the global generator.
        arguments: facts of the data, as its `model_arguments()` tells them (channels, classes and image_size of
            images; features and outputs; vocabulary and context), and options of the model, such as `width`.

    Raises:
        ValueError: an unknown name or argument, one that is missing, or one out of range.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; allowed: {', '.join(MODELS)}.{did_you_mean(name, MODELS)}")
    _check_arguments(name, arguments)
    if seed is None:
        return MODELS[name](**arguments)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the devices' generators too
        return MODELS[name](**arguments)


def model_options(name: str) -> dict[str, Any]:
    """The options of a model with their defaults."""
    parameters = inspect.signature(MODELS[name]).parameters
    return {option: p.default for option, p in parameters.items() if p.default is not p.empty}


def models_for(facts: dict[str, Any]) -> list[str]:
    """The models that are made for data with these facts."""
    return [name for name in MODELS if _facts(name) == set(facts)]


def parameter_count(model: nn.Module) -> int:
    """Number of parameters, shared ones counted once."""
    return sum(p.numel() for p in model.parameters())


def layer_names(model: nn.Module) -> dict[str, str]:
    """Name of each weight matrix -> what to call it: one that is a bare number in a sequence by its kind, counted.

    `1.weight` becomes `convolution 1`, `12.weight` `linear 3`; other names stay.
    """
    kinds, names = {nn.Conv2d: "convolution", nn.Linear: "linear"}, {}
    counts = dict.fromkeys(kinds, 0)
    for name, module in model.named_modules():
        if type(module) in kinds:
            counts[type(module)] += 1
            given = f"{kinds[type(module)]} {counts[type(module)]}"
            names[f"{name}.weight"] = given if name.isdigit() else f"{name}.weight"
    return names


def _facts(name: str) -> set[str]:
    return set(inspect.signature(MODELS[name]).parameters) - set(model_options(name))


def _check_arguments(name: str, arguments: dict[str, Any]) -> None:
    facts, options = _facts(name), model_options(name)
    for argument, value in arguments.items():
        if argument not in facts and argument not in options:
            allowed = [*sorted(facts), *options]
            raise ValueError(f"unknown argument {argument!r} of model {name!r}; allowed: {', '.join(allowed)}."
                             f"{did_you_mean(argument, allowed)}")
        whole = not isinstance(options.get(argument, 0), float)
        least = LEAST.get(argument, 1) if whole else 0
        kinds = int if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or value < least or not whole and value <= 0:
            allowed = f"a whole number of at least {least}" if whole else "a number above 0"
            raise ValueError(f"Invalid {argument} value: {value!r}; allowed: {allowed}")
    if missing := sorted(facts - set(arguments)):
        raise ValueError(f"model {name!r} needs {', '.join(missing)}; given: {', '.join(arguments) or 'nothing'}")
