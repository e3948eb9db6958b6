"""Grids of parameters: what varies, written on the command line or in a file, and the points that it makes."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from adamw_lab.experiments.yaml_numbers import Yaml
from adamw_lab.suggest import did_you_mean


@dataclass(frozen=True)
class Grid:
    """Points of parameters: the product of all axes and zips, without what is excluded, and what is included.

    Attributes:
        base: values that all points share.
        axes: name -> values; the product of all.
        zip: groups of axes of one length that go together, value by value; each group is one axis of the product.
        include: points of their own, on top of base.
        exclude: a point that agrees with all entries of one of these is left out.
    """

    base: Mapping[str, Any] = field(default_factory=dict)
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    zip: Sequence[Mapping[str, Sequence[Any]]] = ()
    include: Sequence[Mapping[str, Any]] = ()
    exclude: Sequence[Mapping[str, Any]] = ()

    def points(self) -> list[dict[str, Any]]:
        """The points, each once. The axis that is named first varies slowest, `seed` slowest of all: a batch that is
        stopped early has whole comparisons of the seeds it reached.

        Raises:
            ValueError: an axis without values, axes of a zip that differ in length, a name in two axes, or an exclude
                that names no parameter.
        """
        self._check()
        blocks = [[{name: value} for value in values] for name, values in self.axes.items()]
        for group in self.zip:
            columns = [[(name, value) for value in values] for name, values in group.items()]
            blocks.append([dict(row) for row in itertools.zip_longest(*columns)])
        blocks.sort(key=lambda block: "seed" not in block[0])
        product = [{k: v for part in parts for k, v in part.items()} for parts in itertools.product(*blocks)]
        found: list[dict[str, Any]] = []
        for point in [*(product if blocks or not self.include else []), *self.include]:
            point = {**self.base, **point}
            excluded = any(all(point.get(k, ...) == v for k, v in entry.items()) for entry in self.exclude)
            if not excluded and point not in found:
                found.append(point)
        return found

    def varying(self) -> list[str]:
        """The names that tell points apart, in order."""
        names = [*self.axes, *(name for group in self.zip for name in group),
                 *(name for entry in self.include for name in entry)]
        return list(dict.fromkeys(names))

    def _check(self) -> None:
        seen: set[str] = set()
        for group in [{name: values} for name, values in self.axes.items()] + list(self.zip):
            for name, values in group.items():
                if name in seen:
                    raise ValueError(f"parameter {name!r} is in two axes; allowed: one")
                seen.add(name)
                if not len(values):
                    raise ValueError(f"axis {name!r} has no values; allowed: at least one")
            if len({len(values) for values in group.values()}) > 1:
                lengths = ", ".join(f"{name} has {len(values)}" for name, values in group.items())
                raise ValueError(f"zipped axes must be of one length: {lengths}")
        known = {*self.base, *seen, *(name for entry in self.include for name in entry)}
        for entry in self.exclude:
            for name in entry:
                if name not in known:
                    raise ValueError(f"exclude names {name!r}, which no point has.{did_you_mean(name, known)}")


def parse_axis(text: str) -> tuple[str, list[Any]]:
    """`lr=1e-3,1e-4` as ("lr", [0.001, 0.0001]); `seed=0..4` counts up, both ends included.

    Values are YAML: text, numbers, true, null, "quoted, text", [1, 2], {a: 1}; a comma outside these parts them.

    Raises:
        ValueError: not name=values, or not YAML.
    """
    name, equals, values = text.partition("=")
    if not equals or not name.isidentifier():
        raise ValueError(f"expected name=value or name=value,value, got {text!r}")
    if counted := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", values):
        low, high = map(int, counted.groups())
        if high < low:
            raise ValueError(f"{text!r} counts down; allowed: low..high")
        return name, list(range(low, high + 1))
    try:
        return name, yaml.load(f"[{values}]", Loader=Yaml) if values else [""]
    except yaml.YAMLError as error:
        raise ValueError(f"the values of {name!r} are not YAML: {values!r}") from error


def read_grid(path: str | Path) -> Grid:
    """A grid from a YAML file with the keys base, axes, zip, include, exclude, as `Grid` has them.

    Raises:
        ValueError: not YAML, or an entry that does not belong there; names the file and the line.
        OSError: the file cannot be read.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    try:
        node, content = yaml.compose(text, Loader=Yaml), yaml.load(text, Loader=Yaml)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: expected the keys {', '.join(SHAPES)}")
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value}
    for key, value in content.items():
        where = f"{path}, line {lines[str(key)]}"
        if key not in SHAPES:
            raise ValueError(f"{where}: unknown key {key!r}; allowed: {', '.join(SHAPES)}.{did_you_mean(key, SHAPES)}")
        fits, wanted = SHAPES[key]
        if not fits(value):
            raise ValueError(f"{where}: {key} must be {wanted}, got {value!r}")
    return Grid(**content)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in value)


def _axes(value: Any) -> bool:
    return _mapping(value) and all(isinstance(values, list) for values in value.values())


def _mappings(value: Any) -> bool:
    return isinstance(value, list) and all(map(_mapping, value))


SHAPES = {
    "base": (_mapping, "a mapping of names to values"),
    "axes": (_axes, "a mapping of names to lists of values"),
    "zip": (lambda value: isinstance(value, list) and all(map(_axes, value)),
            "a list of mappings of names to lists of values"),
    "include": (_mappings, "a list of mappings of names to values"),
    "exclude": (_mappings, "a list of mappings of names to values"),
}
"""key of a grid file -> what it must look like."""
