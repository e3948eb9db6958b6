"""Training: a typed config, and `fit`, which turns it into a recorded run."""

from adamw_lab.interrupts import StopTraining
from adamw_lab.training.config import TrainConfig
from adamw_lab.training.loop import Progress, fit
from adamw_lab.training.records import HISTORY, RunResult

__all__ = ["HISTORY", "Progress", "RunResult", "StopTraining", "TrainConfig", "fit"]
