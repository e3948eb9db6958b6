"""The figure of detectors of gradient spikes against the truth."""

from matplotlib.figure import Figure

from adamw_lab.figures.spikes import fig_detection
from adamw_lab.figures.style import new_figure
from adamw_lab.spikes import norm_scores, precision_recall, spike_scores, spoilt_gradients

THRESHOLDS = (1, 2, 3, 5, 8, 13, 20, 50)


def detectors_figure(seed: int = 0) -> Figure:
    """Precision and recall of the two detectors of spikes, on `spikes.spoilt_gradients`; computed, in a second."""
    gradients, factors = spoilt_gradients(seed=seed)
    scores = {"norm, in deviations": norm_scores(gradients.norm(dim=1)),
              "largest element's score": spike_scores(gradients).amax(dim=1)}
    curves = {name: precision_recall(score, factors > 1, THRESHOLDS) for name, score in scores.items()}
    figure, axes = new_figure(2, width=7.0, height=2.3)
    for ax, quantity in zip(axes, ("precision", "recall"), strict=True):
        fig_detection(ax, curves, quantity)
    axes[1].legend(loc="lower left")
    return figure
