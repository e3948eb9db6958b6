"""Figures: one style, pure drawing functions `fig_x(ax, data, …)`, and the committed figures by name."""

from adamw_lab.figures.images import fig_images
from adamw_lab.figures.memory import fig_memory, memory_figure
from adamw_lab.figures.pruning import fig_pruning, pruning_figure
from adamw_lab.figures.registry import FIGURES, Recorded, draw_all, manifest
from adamw_lab.figures.runs import fig_comparison, fig_curves, fig_training, study_figure
from adamw_lab.figures.sparsity import fig_sparsity
from adamw_lab.figures.step_time import fig_step_time, step_time_figure
from adamw_lab.figures.style import COLOURS, MARKERS, NAMES, new_figure, save, use_style

__all__ = ["COLOURS", "FIGURES", "MARKERS", "NAMES", "Recorded", "draw_all", "fig_comparison", "fig_curves",
           "fig_images", "fig_memory", "fig_pruning", "fig_sparsity", "fig_step_time", "fig_training", "manifest",
           "memory_figure", "new_figure", "pruning_figure", "save", "step_time_figure", "study_figure", "use_style"]
