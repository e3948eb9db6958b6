"""`key=value` arguments of the command line, and what is said of bad ones."""

from typing import Any

import yaml

from adamw_lab.experiments.yaml_numbers import Yaml


def settings_from(pairs: list[str]) -> dict[str, Any]:
    """`["lr=1e-4", "seed=3"]` as `{"lr": 0.0001, "seed": 3}`; the values are YAML.

    Raises ValueError for what is not `key=value`, a key given twice, and a value that is not YAML.
    """
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise ValueError(f"expected key=value, got {pair!r}")
        if name in settings:
            raise ValueError(f"{name!r} is given twice")
        try:
            settings[name] = yaml.load(value, Loader=Yaml)
        except yaml.YAMLError as error:
            raise ValueError(f"the value of {name!r} is not YAML: {value!r}") from error
    return settings


def one_line(error: Exception) -> str:
    """What `error` says, on one line; of a pydantic error each field, what is wrong, and the value."""
    if hasattr(error, "errors"):
        return "; ".join(map(_field_error, error.errors()))
    return " ".join(str(error).split()) or type(error).__name__


def _field_error(error: dict[str, Any]) -> str:
    message = error["msg"].removeprefix("Value error, ")
    if error["loc"]:
        message = f"{'.'.join(map(str, error['loc']))}: {message}"
    # Our own validators name the value themselves.
    return message if error["type"] == "value_error" else f"{message}, got {error['input']!r}"
