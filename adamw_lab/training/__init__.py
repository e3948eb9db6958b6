"""Training: a typed config, and `fit`, which turns it into a recorded run."""

from adamw_lab.training.config import TrainConfig
from adamw_lab.training.loop import fit
from adamw_lab.training.records import HISTORY, RunResult

__all__ = ["HISTORY", "RunResult", "TrainConfig", "fit"]
