"""What a reader can set beneath a figure: values with their range and words, and ipywidgets only where they are shown.

A control is no widget: that opens a line to the front end when it is made, and leaves its state in a notebook that a
batch executes. Each is made into one by `Control.build`.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from adamw_lab.suggest import did_you_mean


@dataclass(frozen=True)
class Control:
    """One argument of a figure function, as a reader sets it.

    Attributes:
        kind: the class of ipywidgets.
        value: what it shows first.
        label: its name for readers.
        help: what it does, shown where the mouse rests.
        low, high: the range, both inside; None: none.
        options: label -> value, where there is a choice.
        traits: more of the widget's own settings.
    """

    kind: str
    value: Any
    label: str
    help: str
    low: float | None = None
    high: float | None = None
    options: Mapping[str, Any] | None = None
    traits: Mapping[str, Any] = field(default_factory=dict)

    def check(self, name: str, value: Any) -> Any:
        """The value as the widget will hold it; ValueError if it cannot, which would move it in silence."""
        if self.kind == "SelectMultiple":
            return tuple(self._choose(name, one) for one in _sequence(name, value))
        if self.options is not None:
            return self._choose(name, value)
        if self.low is not None and not (_is_number(value) and self.low <= value <= self.high):
            raise ValueError(f"Invalid {name} value: {value!r}; allowed: from {self.low:g} to {self.high:g}")
        return value

    def _choose(self, name: str, value: Any) -> Any:
        for allowed in self.options.values():
            if value == allowed and isinstance(value, bool) == isinstance(allowed, bool):
                return allowed
        raise ValueError(f"Invalid {name} value: {value!r}; allowed: {', '.join(map(str, self.options.values()))}."
                         f"{did_you_mean(str(value), map(str, self.options.values()))}")

    def build(self, value: Any) -> Any:
        """An ipywidgets widget that shows the value, its label beside it, its help as tooltip."""
        import ipywidgets

        traits = {"value": value, **self.traits}
        if self.options is not None:
            traits["options"] = [(label, self._held(option)) for label, option in self.options.items()]
            traits["value"] = self._held(value)
        return getattr(ipywidgets, self.kind)(description=self.label, tooltip=self.help, **traits,
                                              style={"description_width": "10em"}, layout={"width": "28em"})

    def read(self, held: Any) -> Any:
        """The value that a widget stands for by what it holds."""
        return None if self._none is not None and held == self._none else held

    def _held(self, value: Any) -> Any:
        """What the widget holds: None, which is its word for no choice at all, by its label."""
        return self._none if value is None else value

    @property
    def _none(self) -> str | None:
        return next((label for label, option in (self.options or {}).items() if option is None), None)


def slider(value: float, low: float, high: float, label: str, help: str, *, step: float | None = None) -> Control:
    """A slider over whole numbers if `value`, `low` and `high` are, by steps of one; otherwise by a hundredth of the
    range."""
    whole = all(isinstance(number, int) for number in (value, low, high))
    by = step if step is not None else 1 if whole else (high - low) / 100
    return Control("IntSlider" if whole else "FloatSlider", value, label, help, low, high,
                   traits={"min": low, "max": high, "step": by, "continuous_update": False})


def log_slider(value: float, low: float, high: float, label: str, help: str, *, step: float = 0.125) -> Control:
    """A slider over powers of ten, `step` of a decade at a time."""
    return Control("FloatLogSlider", value, label, help, low, high, traits={
        "min": math.log10(low), "max": math.log10(high), "step": step, "continuous_update": False,
        "readout_format": ".3g"})


def choice(value: Any, options: Mapping[str, Any] | Iterable[Any], label: str, help: str) -> Control:
    """A menu of values, or of labels with their values."""
    return Control("Dropdown", value, label, help, options=_labelled(options))


def scale(value: Any, options: Mapping[str, Any] | Iterable[Any], label: str, help: str) -> Control:
    """A slider over values in the order given."""
    return Control("SelectionSlider", value, label, help, options=_labelled(options),
                   traits={"continuous_update": False})


def several(value: Iterable[Any], options: Mapping[str, Any] | Iterable[Any], label: str, help: str) -> Control:
    """A list of which any number is chosen, with Ctrl or Shift; the value is a tuple."""
    options = _labelled(options)
    return Control("SelectMultiple", tuple(value), label, help, options=options,
                   traits={"rows": min(len(options), 6)})


def tick(value: bool, label: str, help: str) -> Control:
    """A box to tick."""
    return Control("Checkbox", value, label, help, traits={"indent": True})


def number(value: float, label: str, help: str) -> Control:
    """A field for any number, whole if `value` is; the figure function says what it does not take."""
    return Control("IntText" if isinstance(value, int) else "FloatText", value, label, help,
                   traits={"continuous_update": False})


def text(value: str, label: str, help: str) -> Control:
    """A field for text; the figure function says what it does not take."""
    return Control("Text", value, label, help, traits={"continuous_update": False})


def values_of(controls: Mapping[str, Control], given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each control, those given in place of its own. ValueError: an unknown name, or a value that a
    control cannot hold."""
    for name in given:
        if name not in controls:
            raise ValueError(f"unknown control {name!r}; allowed: {', '.join(controls)}.{did_you_mean(name, controls)}")
    return {name: control.check(name, given.get(name, control.value)) for name, control in controls.items()}


def _labelled(options: Mapping[str, Any] | Iterable[Any]) -> dict[str, Any]:
    if isinstance(options, Mapping):
        return dict(options)
    return {f"{option:g}" if _is_number(option) else str(option).replace("_", " "): option for option in options}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sequence(name: str, value: Any) -> Iterable[Any]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"Invalid {name} value: {value!r}; allowed: a list")
    return value
