"""adamw-lab: a tested workbook about the Adam family of optimizers.

The optimizers alone: `from adamw_lab.optim import AdamWSPAM`. Rooms are imported when first used, so that
this costs little more than `import torch`.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

__version__ = "0.1.0"


def __getattr__(name: str) -> ModuleType:
    """`adamw_lab.optim` and the other rooms after a plain `import adamw_lab`."""
    if not name.startswith("_") and find_spec(f"{__name__}.{name}"):
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
