"""The parameters of a notebook, read from its own parameters cell and checked before anything starts.

A parameters cell holds nothing but assignments, `lr: float = None  # learning rate, in (0, 1]`. The annotation is
the type, or else the default's own; the value is the default, the comment is the help, and an interval in it, after
"in", is the range. A default of None lets None through, and without an annotation anything.
"""

import ast
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Json, TypeAdapter, ValidationError

from adamw_lab.suggest import did_you_mean

# Lax on purpose: YAML reads 1e-4 as text, and a command line can give a dict only as JSON.
_TYPES = {
    "bool": TypeAdapter(bool),
    "int": TypeAdapter(int),
    "float": TypeAdapter(float),
    "str": TypeAdapter(str),
    "dict": TypeAdapter(dict | Json[dict]),
    "list": TypeAdapter(list | Json[list]),
}
_TYPES["any"] = TypeAdapter(Any)
_RANGE = re.compile(r"\bin ([\[(])\s*([-+.\deE]+|-inf)\s*,\s*([-+.\deE]+|inf)\s*([\])])")
_EXAMPLES = {"bool": "true", "int": "3", "float": "1e-3", "str": "text", "dict": '{"a": 1}', "list": "[1, 2]",
             "any": "anything"}


@dataclass(frozen=True)
class Parameter:
    """One line of a parameters cell: its name, the type's name, the default value and the help comment."""

    name: str
    type: str
    default: Any
    help: str = ""

    def check(self, value: Any) -> Any:
        """The value in the parameter's type; ValueError names the parameter, the value and the type."""
        if value is None and self.default is None:
            return None
        # pydantic would take True for 1, which is never what somebody meant.
        wrong = isinstance(value, bool) and self.type in ("int", "float")
        try:
            if not wrong:
                return self._in_range(_TYPES[self.type].validate_python(value))
        except ValidationError:
            pass
        raise ValueError(f"parameter {self.name}: {value!r} is not of type {self.type} "
                         f"(for example {_EXAMPLES[self.type]})")

    def _in_range(self, value: Any) -> Any:
        declared = _RANGE.search(self.help)
        if declared is None or self.type not in ("int", "float"):
            return value
        left, low, high, right = declared.groups()
        above = value >= float(low) if left == "[" else value > float(low)
        below = value <= float(high) if right == "]" else value < float(high)
        if not (above and below):
            raise ValueError(f"parameter {self.name}: {value!r} is out of range; allowed: {declared[0]}")
        return value


def parse_parameters(source: str) -> dict[str, Parameter]:
    """The parameters that the source of a parameters cell declares, in its order."""
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        target = node.targets[0] if isinstance(node, ast.Assign) and len(node.targets) == 1 else None
        target = node.target if isinstance(node, ast.AnnAssign) and node.value is not None else target
        if not isinstance(target, ast.Name):
            raise ValueError(f"line {node.lineno} of the parameters cell, {lines[node.lineno - 1]!r}: only "
                             "assignments belong there, such as `lr: float = 1e-3  # learning rate`")
        name, default = target.id, _literal(node.value, lines[node.lineno - 1])
        kind = _kind(default) if isinstance(node, ast.Assign) else ast.unparse(node.annotation)
        kind = kind.removesuffix(" | None")
        if name in found:
            raise ValueError(f"line {node.lineno} of the parameters cell: {name!r} is assigned twice")
        if kind not in _TYPES:
            raise ValueError(f"parameter {name}: unknown type {kind!r}; allowed: {', '.join(_TYPES)}")
        comment = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode().partition("#")[2]
        found[name] = Parameter(name, kind, default, comment.strip())
    return found


def _literal(node: ast.expr, line: str) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"the parameters cell computes a default in {line!r}; allowed: plain values") from error


def _kind(default: Any) -> str:
    return type(default).__name__ if type(default).__name__ in _TYPES else "any"


def inspect_parameters(notebook: str | Path) -> dict[str, Parameter]:
    """The parameters of a notebook.

    Raises:
        ValueError: it is no notebook, or has no cell tagged `parameters`.
        OSError: it cannot be read.
    """
    try:
        content = json.loads(Path(notebook).read_text(encoding="utf-8"))
        cells = content["cells"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{notebook} is not a notebook: {type(error).__name__}: {error}") from error
    for cell in cells:
        if "parameters" in cell.get("metadata", {}).get("tags", []):
            return parse_parameters("".join(cell["source"]))
    raise ValueError(f"{notebook}: no cell is tagged 'parameters', so it takes none")


def check_given(known: dict[str, Parameter], given: dict[str, Any], where: str) -> dict[str, Any]:
    """All parameters with their values: those given, checked, and the defaults of the others."""
    for name in given:
        if name not in known:
            raise ValueError(f"unknown parameter {name!r} of {where}; allowed: {', '.join(known)}."
                             f"{did_you_mean(name, known)}")
    return {name: known[name].check(given[name]) if name in given else known[name].default for name in known}


def check_parameters(notebook: str | Path, given: dict[str, Any]) -> dict[str, Any]:
    """The complete parameters of one execution of `notebook`, in the order of its parameters cell.

    Raises ValueError for a name that the notebook does not have and for a value that is not of its type.
    """
    return check_given(inspect_parameters(notebook), given, Path(notebook).name)


def collect_parameters(namespace: dict[str, Any]) -> dict[str, Any]:
    """From inside a notebook, `collect_parameters(globals())`: its parameters, checked.

    Papermill only warns of a name that the notebook does not have and runs with the default instead; here the
    cell that papermill injected after the parameters cell is compared with it, and such a name is refused.
    """
    known, injected = {}, []
    for source in namespace["In"]:
        if source.startswith("# Parameters\n"):
            injected = [target.id for node in ast.parse(source).body for target in node.targets]
        elif _declares_parameters(source):
            known, injected = parse_parameters(source), []
    if not known:
        raise ValueError("run the parameters cell of this notebook first")
    names = dict.fromkeys([*known, *injected])
    return check_given(known, {name: namespace[name] for name in names}, "this notebook")


def _declares_parameters(source: str) -> bool:
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a cell with a magic
        return False
    return bool(body) and all(isinstance(node, ast.AnnAssign) for node in body)
