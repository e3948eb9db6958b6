"""Widgets: figures that answer as controls are moved. All are `explore(fig_fn, controls)` around a pure function."""

from adamw_lab.widgets.advisor import optimizer_advisor
from adamw_lab.widgets.controls import Control, choice, log_slider, number, scale, several, slider, text, tick
from adamw_lab.widgets.explorer import Explorer, explore
from adamw_lab.widgets.landscape import landscape_explorer
from adamw_lab.widgets.live import live_training
from adamw_lab.widgets.memory import memory_calculator
from adamw_lab.widgets.pruning import pruning_explorer
from adamw_lab.widgets.runs import run_browser
from adamw_lab.widgets.schedules import schedule_designer
from adamw_lab.widgets.spikes import spike_lab

__all__ = ["Control", "Explorer", "choice", "explore", "landscape_explorer", "live_training", "log_slider",
           "memory_calculator", "number", "optimizer_advisor", "pruning_explorer", "run_browser", "scale",
           "schedule_designer", "several", "slider", "spike_lab", "text", "tick"]
