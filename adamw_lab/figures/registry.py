"""The committed figures: what each draws, from which recorded numbers, for which notebook, with what caption."""

import hashlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from adamw_lab.figures.amsgrad import amsgrad_figure
from adamw_lab.figures.bases import bases_figure
from adamw_lab.figures.calibration import calibration_figure
from adamw_lab.figures.claims import claims_figure
from adamw_lab.figures.costs import limit_figure, selection_figure, throughput_figure
from adamw_lab.figures.decay import decay_figure
from adamw_lab.figures.detection import detectors_figure
from adamw_lab.figures.effects import betas_figure, optimizers_figure, rates_figure, spam_figure
from adamw_lab.figures.effects import decay_figure as decay_study_figure
from adamw_lab.figures.gradients import gradients_figure
from adamw_lab.figures.hyperparameters import betas_curves_figure, rates_map_figure, theta_figure
from adamw_lab.figures.landscapes import landscapes_figure
from adamw_lab.figures.memory import memory_figure
from adamw_lab.figures.own import own_figure
from adamw_lab.figures.pruning import pruning_figure, scores_figure
from adamw_lab.figures.responses import adam_figure
from adamw_lab.figures.runs import study_figure
from adamw_lab.figures.sizes import size_figure
from adamw_lab.figures.spikes import spike_figure
from adamw_lab.figures.step_time import step_time_figure
from adamw_lab.figures.style import COMMITTED, at_width, save
from adamw_lab.figures.switches import switches_figure
from adamw_lab.figures.tuning import expected_best_figure, profiles_figure, sensitivity_figure
from adamw_lab.provenance import cores
from adamw_lab.suggest import did_you_mean


@dataclass(frozen=True)
class Recorded:
    """A committed figure.

    Attributes:
        draw: takes the tables of `data`, in their order, and returns the figure. Without data it computes what it
            draws, in a second or two and always the same.
        data: CSV files under `figures/data/`.
        notebook: the file name of the notebook that it belongs to.
        caption: what it shows; a sentence or two, in plain text.
    """

    draw: Callable[..., Figure]
    data: tuple[str, ...]
    notebook: str
    caption: str


def _study(name: str) -> tuple[str, str]:
    return f"{name}.csv", f"{name}-epochs.csv"


TUNED_TASKS = ("lstm", "gpt", "resnet18", "fashion", "resnet50")
FULL_TASKS = TUNED_TASKS[:-1]
"""Those on which all optimizers were run."""

FIGURES: dict[str, Recorded] = {
    "landscapes": Recorded(
        landscapes_figure, (), "01_what_is_an_optimizer.ipynb",
        "Five optimizers for 200 steps on six landscapes, each at the learning rate of the lowest mean loss among "
        "nineteen from 1e-4 to 3.2. A ring is the start, a star a minimum, a marker where a path ends; AdaGrad's path "
        "is wide and beneath the others; the darker the ground, the higher."),
    "adam": Recorded(
        adam_figure, (), "02_adam.ipynb",
        "Left, Adam's steps without the bias correction under a constant gradient; with it they are 1. Middle, how "
        "far a weight gets whose gradient is there at a share of the steps. Right, the step against the gradient's "
        "size. Left and right, Adam's markers are measured and its lines are formulas."),
    "optimizers-quick": Recorded(
        study_figure, _study("optimizers-quick"), "08_resnet_experiment.ipynb",
        "ResNet-18 on scikit-learn's digits, default learning rates, two seeds each. Left, validation accuracy of "
        "every epoch, each seed faint and the mean strong; right, after the last epoch, a dot a seed and a bar at the "
        "mean."),
    "decay": Recorded(
        decay_figure, ("decay.csv",), "03_adamw.ipynb",
        "Validation loss of a small network by learning rate and weight decay, mean of three seeds; left, Adam with "
        "the decay in its gradient, right, AdamW. A dot marks the best decay for each learning rate."),
    "amsgrad": Recorded(
        amsgrad_figure, (), "04_adamw_adv.ipynb",
        "The counterexample of Reddi et al. Left, x over the steps: Adam leaves the minimum at -1, AMSGrad finds it. "
        "Right, the movement of a period away from the minimum relative to that towards it, against the memory of v: "
        "Adam errs where it is above 1, up to the dot."),
    "switches": Recorded(
        switches_figure, ("switches.csv",), "04_adamw_adv.ipynb",
        "AdamWAdv's three switches, paired by seed: LeNet-5 on scikit-learn's digits, ten seeds. Left, how much lower "
        "the validation loss of each combination is than that of AdamW with none; right, with a switch on than off, "
        "averaged over the states of the others. Dots are seeds, bars 95 % intervals of the mean."),
    "spike": Recorded(
        spike_figure, (), "05_adamw_spam.ipynb",
        "One gradient a hundred times too long in a noisy quadratic bowl: the second moment remembers it for hundreds "
        "of steps, in which AdamW's weights move about half as far as before."),
    "pruning-quick": Recorded(
        pruning_figure, _study("pruning-quick"), "06_adamw_prune.ipynb",
        "ResNet-18 on the digits: validation accuracy against the share of weights pruned, for four scores, three "
        "seeds each; bands are the range over seeds, the dashed line is the network without pruning. Right, a closer "
        "look at the same, without the whole of the random score."),
    "gradients": Recorded(
        gradients_figure, (), "07_gradient_problems.ipynb",
        "Gradients before any training. Left, of the states of five recurrent networks by the steps back in time, of "
        "which the radius is that of all singular values of the recurrent weights; right, of the weights of 20 plain "
        "and 20 residual layers."),
    "step_time": Recorded(
        step_time_figure, ("step_time.csv",), "12_speed_and_memory.ipynb",
        "A step's time relative to that of torch.optim.AdamW(fused=True) in the same turn; lower is faster."),
    "step_time_gpu": Recorded(
        step_time_figure, ("step_time-gpu.csv",), "12_speed_and_memory.ipynb",
        "A step's time on one H100, from the call to the end of the GPU's work, relative to that of "
        "torch.optim.AdamW(fused=True) in the same turn; lower is faster. Small models wait for the host."),
    "machine_limit": Recorded(
        limit_figure, ("step_time.csv",), "12_speed_and_memory.ipynb",
        "The speed at which a step moves the bytes that its rule must move, relative to that of a copy in the same "
        "turns. The dashed line is a copy's speed if it reads what it overwrites, unasked and uncounted. Neither is a "
        "limit."),
    "training": Recorded(
        throughput_figure, ("training.csv",), "12_speed_and_memory.ipynb",
        "Images a second of ways to train on Fashion-MNIST: a tutorial's loop, fit, and the bare forward, backward "
        "and step. The number is how many times as fast as the tutorial's loop it is, the median over paired turns; "
        "fit, looking, bare and compiled are in bfloat16, the tutorial's loop in float32."),
    "selection": Recorded(
        selection_figure, ("selection.csv",), "12_speed_and_memory.ipynb",
        "Finding the exact threshold of a mask update: time, and memory taken for a moment, over the number of "
        "scores."),
    "memory": Recorded(
        memory_figure, ("memory.csv",), "12_speed_and_memory.ipynb",
        "Bytes a parameter that training ResNet-18 keeps, by component, and what a mask update takes for a moment; "
        "the number is what pruning keeps for a weight."),
    "calibration": Recorded(
        calibration_figure, _study("calibration-cpu"), "09_optimizer_study.ipynb",
        "ResNet-18 on the whole of Fashion-MNIST, tuned SGD with momentum and AdamW, one run each: validation "
        "accuracy by epoch, hollow the test accuracy after the last, dashed what is published after many more epochs."),
    "optimizer-study": Recorded(
        lambda *runs: optimizers_figure(TUNED_TASKS, runs[: len(TUNED_TASKS)], runs[len(TUNED_TASKS):]),
        tuple(f"{kind}-{task}-cpu.csv" for kind in ("defaults", "tuned") for task in TUNED_TASKS),
        "09_optimizer_study.ipynb",
        "How much lower the test loss of each optimizer is than AdamW's, or how much higher its test accuracy, paired "
        "by seed, with 95 % intervals: hollow out of the box, filled when tuned with equal effort; faint dots are "
        "seeds, three on ResNet-50. In the grey band a difference of tuned runs counts as none; beyond it axes are "
        "logarithmic."),
    "sensitivity": Recorded(
        lambda *tuning: sensitivity_figure(TUNED_TASKS, tuning),
        tuple(f"tuning-{task}-cpu.csv" for task in TUNED_TASKS), "09_optimizer_study.ipynb",
        "What each learning rate reaches on validation, the better of the weight decays, one seed; runs that diverged "
        "are left out."),
    "spam-study": Recorded(
        lambda *tables: spam_figure(("gpt", "resnet18"), tables),
        ("spam-ablation-cpu.csv", "spam-ablation-resnet18-cpu.csv"), "09_optimizer_study.ipynb",
        "Parts of SPAM beside AdamW by test loss, on a small GPT and a small ResNet, paired by seed, with 95 % "
        "intervals, seeds as faint dots; to the right is better, and in the grey band a difference counts as none. "
        "Left, by how much less spoilt steps cost them (3 % of the steps; seven parts met noise, too); right, what "
        "they are worth where no step is spoilt."),
    "pruning-lenet5": Recorded(
        scores_figure, ("pruning-lenet5-cpu.csv",), "10_pruning_study.ipynb",
        "LeNet-5, five seeds. Left, test accuracy at the achieved sparsity, bands are the range over seeds; right, "
        "how much higher that of each score is than that of magnitude, paired by seed, with 95 % intervals; faint "
        "dots are seeds."),
    "rates-study": Recorded(
        rates_figure, ("rates-cpu.csv",), "11_hyperparameters.ipynb",
        "Small GPTs of four widths: test loss by AdamW's learning rate. Faint dots are the three seeds, a line goes "
        "through their means, and a band is their range; a large dot is the rate that is best on validation."),
    "pruning-study": Recorded(
        scores_figure, ("pruning-resnet18-cpu.csv",), "10_pruning_study.ipynb",
        "ResNet-18 of a quarter of its width on the digits, five seeds. Left, test accuracy at the achieved sparsity, "
        "bands are the range over seeds; right, how much higher that of each score is than that of magnitude, paired "
        "by seed, with 95 % intervals; faint dots are seeds."),
    "betas-study": Recorded(
        betas_figure, ("betas-cpu.csv", "betas-gpt-cpu.csv"), "11_hyperparameters.ipynb",
        "AdamW on LeNet-5 and the digits, about 160 steps, ten seeds, and on a small GPT, 300 steps, five seeds: how "
        "much lower the test loss is than that of (0.9, 0.999), with 95 % intervals; faint dots are seeds. In the "
        "grey band a difference counts as none."),
    "claims": Recorded(
        claims_figure, ("claims.csv",), "13_claims.ipynb",
        "Verdicts on the claims of the note and of the README, by what they are about."),
    "your-own": Recorded(
        own_figure, ("your-own-paths.csv", "your-own.csv"), "14_your_own_optimizer.ipynb",
        "Lion, written in one cell, beside optimizers of the workbook. Left, a landscape, each at its best learning "
        "rate. Middle, validation loss of a small network on the digits by learning rate, one seed. Right, how much "
        "higher the test accuracy at the best of these is than AdamW's, paired by seed, with 95 % intervals of the "
        "mean; faint dots are seeds. In the grey band a difference counts as none."),
    "detectors": Recorded(
        detectors_figure, (), "05_adamw_spam.ipynb",
        "Two detectors of gradient spikes by their threshold, on 1,000 steps of wandering noise with 20 spikes of ten "
        "to a thousand times the usual size: left, how many of their calls are right, right, how many of the spikes "
        "they find."),
    "expected-best": Recorded(
        lambda *tuning: expected_best_figure(TUNED_TASKS, tuning),
        tuple(f"tuning-{task}-cpu.csv" for task in TUNED_TASKS), "09_optimizer_study.ipynb",
        "The best result on validation to expect of so many trials, drawn at random from those that were made, one "
        "seed; a trial that diverged counts as the worst."),
    "profiles": Recorded(
        lambda *tuned: profiles_figure(FULL_TASKS, [runs[runs["arm"] != "adamw_again"] for runs in tuned]),
        tuple(f"tuned-{task}-cpu.csv" for task in FULL_TASKS), "09_optimizer_study.ipynb",
        "Each tuned optimizer beside AdamW (circles): the share of runs on four tasks that score above so much, 0 "
        "being a task's worst optimizer on average and 1 its best, losses by their logarithm. Bands are 95 % "
        "intervals of the bootstrap over seeds within a task."),
    "size": Recorded(
        lambda *tables: size_figure(("gpt", "resnet18"), tables),
        ("width-gpt-cpu.csv", "width-resnet18-cpu.csv"), "09_optimizer_study.ipynb",
        "Against the number of parameters, five seeds: left, AdamWSPAM's gain on AdamW, in percent of AdamW's "
        "result at the smallest size; middle, the steps of AdamW whose gradient norm lies two deviations above the "
        "last hundred; right, a run's largest gradient norm relative to its median. Faint, the seeds; bars are 95 % "
        "intervals."),
    "bases": Recorded(
        bases_figure, ("pruning-bases-cpu.csv",), "10_pruning_study.ipynb",
        "LeNet-5 on the digits: test accuracy by sparsity, a panel a score, a line a rule beneath AdamWPrune; faint "
        "lines are the five seeds, bars 95 % intervals of the mean, dashed each rule without pruning."),
    "betas-curves": Recorded(
        betas_curves_figure, ("betas-cpu.csv", "betas-gpt-cpu.csv"), "11_hyperparameters.ipynb",
        "AdamW's test loss against each beta, the other at its default, relative to the default pair and paired by "
        "seed: below 0 is better. Faint lines are seeds, bars 95 % intervals of the mean."),
    "rates-map": Recorded(
        rates_map_figure, ("rates-cpu.csv",), "11_hyperparameters.ipynb",
        "Small GPTs by learning rate and size: how far AdamW's test loss is behind that of the best rate of the "
        "same size, mean of three seeds. A ring marks the rate that is best on validation."),
    "theta": Recorded(
        lambda *tables: theta_figure(("gpt", "resnet18"), tables),
        ("spam-ablation-cpu.csv", "spam-ablation-resnet18-cpu.csv"), "11_hyperparameters.ipynb",
        "AdamW with a clip by element and nothing else: by how much less spikes cost it than they cost AdamW, and "
        "how much lower its test loss is without spikes, by the threshold θ. Faint lines are the five seeds, bars "
        "95 % intervals; within the grey band counts as no difference."),
    "decay-study": Recorded(
        decay_study_figure, ("decay-cpu.csv",), "11_hyperparameters.ipynb",
        "LeNet-5 on 400 digits, ten seeds: how much lower the test loss is, and the gap between validation and "
        "training, with a decay than without one. Dots are seeds, bars 95 % intervals; within the grey band counts "
        "as no difference."),
}


def draw_all(out: str | Path, data: str | Path, *, names: Sequence[str] = (), formats: Sequence[str] = COMMITTED,
             width: float | None = None) -> list[Path]:
    """Redraw committed figures into `out` from the numbers under `data`; returns the files written.

    Args:
        names: which; empty (default): all.
        formats: `svg`, `png`, `pdf`; default: the two that are committed.
        width: inches; None (default): each figure's own. Panels that would be too narrow are stacked.

    Raises:
        ValueError: an unknown figure or format, or the numbers of a figure are missing.
    """
    for name in names:
        if name not in FIGURES:
            raise ValueError(f"unknown figure {name!r}; allowed: {', '.join(FIGURES)}.{did_you_mean(name, FIGURES)}")
    wanted = list(names or FIGURES)
    one = partial(_draw_one, out=Path(out), data=data, formats=formats, width=width)
    if len(wanted) < WORTH_PROCESSES or cores() == 1:
        return [path for name in wanted for path in one(name)]
    with ProcessPoolExecutor(cores(), multiprocessing.get_context("spawn")) as pool:
        return [path for paths in pool.map(one, wanted) for path in paths]


WORTH_PROCESSES = 12
"""Figures from which on it pays to start a process for each core, which takes as long as drawing a few."""


def _draw_one(name: str, *, out: Path, data: str | Path, formats: Sequence[str], width: float | None) -> list[Path]:
    return save(draw(name, data, width), out / name, formats)


def draw(name: str, data: str | Path, width: float | None = None) -> Figure:
    """One committed figure from the numbers under `data`; ValueError where they are missing."""
    figure = FIGURES[name]
    try:
        tables = [pd.read_csv(Path(data) / file) for file in figure.data]
    except FileNotFoundError as error:
        raise ValueError(f"figure {name!r}: no numbers at {error.filename}") from error
    with at_width(width):
        return figure.draw(*tables)


def manifest(data: str | Path) -> dict[str, dict[str, object]]:
    """Each committed figure's caption, notebook, and the SHA-256 of every file that it is drawn from."""
    return {
        name: {"caption": figure.caption, "notebook": f"notebooks/{figure.notebook}",
               "data": {file: hashlib.sha256((Path(data) / file).read_bytes()).hexdigest() for file in figure.data}}
        for name, figure in FIGURES.items()
    }
